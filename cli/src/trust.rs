//! `millrace token`, `revoke` and `control`, and what commands share of certificates.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millrace_engine::cluster::trust::{Audit, Authority, Entry, Name, Outcome, Revoked, Role, Tokens, TrustError, folder_in};
use millrace_engine::cluster::{ClientError, EngineClient};
use millrace_engine::model::Timestamp;
use millrace_engine::wire::message::Certificate;
use serde_json::json;

use crate::arguments::{ControlCommand, ControlRemoveArguments, RevokeArguments, TokenArguments, TrustPlace};
use crate::cluster::session;
use crate::exit;
use crate::output::{complain, say};
use crate::reach::reach;

/// Where a cluster's tokens and certificates are seen to.
enum Place<'a> {
    /// A folder of a node that holds the authority's key, be the node running or not.
    Data(&'a Path),
    Node(EngineClient),
}

impl TrustPlace {
    /// None: the node cannot be reached, which has been said.
    async fn open(&self) -> anyhow::Result<Option<Place<'_>>> {
        match (&self.data, &self.on) {
            (Some(data), _) => Ok(Some(Place::Data(data))),
            (None, Some(address)) => match reach(address, self.token_file.as_deref()).await? {
                Ok(client) => Ok(Some(Place::Node(client))),
                Err(problem) => {
                    complain(format_args!("error: {problem}"));
                    Ok(None)
                }
            },
            (None, None) => {
                complain("error: say which cluster: --on ADDRESS, or --data DIR");
                Ok(None)
            }
        }
    }
}

/// What went wrong, as it is told.
fn in_words(error: &TrustError) -> String {
    format!("[{}]: {error}", error.code())
}

fn of_node(error: &ClientError) -> String {
    format!(": {error}")
}

/// Makes a join token.
pub async fn token(arguments: &TokenArguments) -> anyhow::Result<u8> {
    let Some(place) = arguments.place.open().await? else { return Ok(exit::FAILED) };
    let made = match place {
        Place::Data(data) => make_token(data, arguments.role, arguments.expires).map_err(|error| in_words(&error)),
        Place::Node(client) => {
            let made = client.invite(arguments.role.as_str(), arguments.expires).await;
            client.leave().await;
            made.map_err(|error| of_node(&error))
        }
    };
    told(made.map(|token| vec![token]))
}

/// Revokes all certificates of a name, or lists who has any.
pub async fn revoke(arguments: &RevokeArguments) -> anyhow::Result<u8> {
    let Some(place) = arguments.place.open().await? else { return Ok(exit::FAILED) };
    let done = match (place, &arguments.name) {
        (Place::Data(data), Some(name)) => revoke_name(data, name).map(|()| revoked(name)).map_err(|error| in_words(&error)),
        (Place::Data(data), None) => certificates(data).map(|all| listed(&all, arguments.json)).map_err(|error| in_words(&error)),
        (Place::Node(client), name) => {
            let done = match name {
                Some(name) => client.revoke(name).await.map(|()| revoked(name)),
                None => client.certificates().await.map(|all| listed(&all, arguments.json)),
            };
            client.leave().await;
            done.map_err(|error| of_node(&error))
        }
    };
    told(done)
}

fn revoked(name: &str) -> Vec<String> {
    vec![format!("revoked {name}")]
}

/// Says what was asked for, or why it is not to be had.
fn told(lines: Result<Vec<String>, String>) -> anyhow::Result<u8> {
    match lines {
        Ok(lines) => {
            lines.iter().try_for_each(|line| say(format_args!("{line}")))?;
            Ok(exit::DONE)
        }
        Err(why) => {
            complain(format_args!("error{why}"));
            Ok(exit::FAILED)
        }
    }
}

/// Changes which nodes are of the control group.
pub async fn control(command: ControlCommand) -> anyhow::Result<u8> {
    match command {
        ControlCommand::Remove(arguments) => remove(&arguments).await,
    }
}

async fn remove(arguments: &ControlRemoveArguments) -> anyhow::Result<u8> {
    let Some(client) = session(&arguments.node).await? else { return Ok(exit::FAILED) };
    let removed = client.expel(&arguments.name).await;
    client.leave().await;
    let name = &arguments.name;
    let said = format!("{name} is of the control group no more; its certificate still lets it in: millrace revoke {name}");
    let line = if arguments.node.json { json!({ "removed": name }).to_string() } else { said };
    told(removed.map(|()| vec![line]).map_err(|error| of_node(&error)))
}

fn make_token(data: &Path, role: Role, life: Duration) -> Result<String, TrustError> {
    let folder = folder_in(data);
    let authority = Authority::open(&folder)?;
    let token = Tokens::within(&folder).issue(authority.fingerprint(), role, SystemTime::now() + life)?;
    note(data, "token", role.as_str())?;
    Ok(token.reveal())
}

fn revoke_name(data: &Path, name: &str) -> Result<(), TrustError> {
    let (folder, name) = (folder_in(data), Name::parse(name)?);
    if !Authority::open(&folder)?.issued()?.iter().any(|issued| issued.who.name == name) {
        return Err(TrustError::UnknownName { name: name.to_string() });
    }
    Revoked::within(&folder).add(&name)?;
    note(data, "revoke", name.as_str())
}

/// As a folder has them, by name.
fn certificates(data: &Path) -> Result<Vec<Certificate>, TrustError> {
    let folder = folder_in(data);
    let revoked = Revoked::within(&folder);
    let issued = Authority::open(&folder)?.issued()?;
    let certificates = issued.iter().map(|issued| Certificate {
        name: issued.who.name.to_string(),
        role: issued.who.role.as_str().to_owned(),
        expires: issued.expires,
        revoked: revoked.contains(&issued.who.name),
    });
    Ok(certificates.collect())
}

/// `first-3f9a2c1b  node  until 2013-06-12T09:42:00Z  revoked`
fn listed(certificates: &[Certificate], as_json: bool) -> Vec<String> {
    let line = |Certificate { name, role, expires, revoked }: &Certificate| {
        let expires = Timestamp(i64::try_from(*expires).unwrap_or(i64::MAX).saturating_mul(1_000_000)).to_rfc3339();
        if as_json {
            return json!({ "name": name, "role": role, "expires": expires, "revoked": revoked }).to_string();
        }
        format!("{name}  {role}  until {expires}{}", if *revoked { "  revoked" } else { "" })
    };
    certificates.iter().map(line).collect()
}

fn note(data: &Path, what: &str, about: &str) -> Result<(), TrustError> {
    let entry =
        Entry { who: Some("local"), role: Some(Role::Admin.as_str()), from: None, what, about: Some(about), outcome: Outcome::Done };
    Audit::open(&data.join("audit.jsonl"))?.tell(entry);
    Ok(())
}

/// Where the certificates of a user who asks lie, by the XDG rules.
pub fn home() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    base.unwrap_or_else(|| PathBuf::from(".config")).join("millrace/clusters")
}

/// What this computer is called, for a name in a certificate.
pub fn own_label() -> String {
    let file = || std::fs::read_to_string("/etc/hostname").ok();
    let name = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).or_else(file);
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "member".to_owned())
}

/// For arguments.
pub fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "a role is view, operate, admin, node or control".to_owned())
}
