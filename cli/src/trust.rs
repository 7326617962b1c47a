//! `millrace token` and `millrace revoke`, and what commands share of certificates.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millrace_engine::cluster::trust::{Audit, Authority, Entry, Name, Outcome, Revoked, Role, Tokens, TrustError, folder_in};
use millrace_engine::model::Timestamp;
use serde_json::json;

use crate::arguments::{RevokeArguments, TokenArguments};
use crate::exit;
use crate::output::{complain, say};

/// Makes a join token where a cluster's first node keeps its data, be the node running or not.
pub fn token(arguments: &TokenArguments) -> anyhow::Result<u8> {
    match make_token(&arguments.data, arguments.role, arguments.expires) {
        Ok(token) => {
            say(format_args!("{token}"))?;
            Ok(exit::DONE)
        }
        Err(error) => Ok(failed(&error)),
    }
}

fn make_token(data: &Path, role: Role, life: Duration) -> Result<String, TrustError> {
    let folder = folder_in(data);
    let authority = Authority::open(&folder)?;
    let token = Tokens::within(&folder).issue(authority.fingerprint(), role, SystemTime::now() + life)?;
    note(data, "token", role.as_str())?;
    Ok(token.reveal())
}

/// Revokes all certificates of a name, or lists who has any.
pub fn revoke(arguments: &RevokeArguments) -> anyhow::Result<u8> {
    let done = match &arguments.name {
        Some(name) => revoke_name(&arguments.data, name).map(|()| vec![format!("revoked {name}")]),
        None => list(&arguments.data, arguments.json),
    };
    match done {
        Ok(lines) => {
            lines.iter().try_for_each(|line| say(format_args!("{line}")))?;
            Ok(exit::DONE)
        }
        Err(error) => Ok(failed(&error)),
    }
}

fn revoke_name(data: &Path, name: &str) -> Result<(), TrustError> {
    let (folder, name) = (folder_in(data), Name::parse(name)?);
    if !Authority::open(&folder)?.issued()?.iter().any(|issued| issued.who.name == name) {
        return Err(TrustError::UnknownName { name: name.to_string() });
    }
    Revoked::within(&folder).add(&name)?;
    note(data, "revoke", name.as_str())
}

/// `first-3f9a2c1b  node  until 2013-06-12T09:42:00Z  revoked`
fn list(data: &Path, as_json: bool) -> Result<Vec<String>, TrustError> {
    let folder = folder_in(data);
    let revoked = Revoked::within(&folder);
    let issued = Authority::open(&folder)?.issued()?;
    let lines = issued.iter().map(|issued| {
        let (name, role, is_revoked) = (&issued.who.name, issued.who.role, revoked.contains(&issued.who.name));
        let expires = Timestamp(i64::try_from(issued.expires).unwrap_or(i64::MAX).saturating_mul(1_000_000)).to_rfc3339();
        if as_json {
            return json!({ "name": name, "role": role, "expires": expires, "revoked": is_revoked }).to_string();
        }
        format!("{name}  {role}  until {expires}{}", if is_revoked { "  revoked" } else { "" })
    });
    Ok(lines.collect())
}

fn note(data: &Path, what: &str, about: &str) -> Result<(), TrustError> {
    let entry =
        Entry { who: Some("local"), role: Some(Role::Admin.as_str()), from: None, what, about: Some(about), outcome: Outcome::Done };
    Audit::open(&data.join("audit.jsonl"))?.tell(entry);
    Ok(())
}

pub fn failed(error: &TrustError) -> u8 {
    complain(format_args!("error[{}]: {error}", error.code()));
    exit::FAILED
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
    // `control` is whoever holds the authority's key, which no token gives.
    Role::parse(text).filter(|role| *role != Role::Control).ok_or_else(|| "a role is view, operate, admin or node".to_owned())
}
