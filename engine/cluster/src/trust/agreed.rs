//! What the control group has agreed on of trust: which tokens serve, who has certificates, and whose are believed no more.
//!
//! What is agreed on is the same at every node of the group, whichever is asked, and a token that is shown at two of them at once lets one in. It holds
//! names, times and hashes; keys and secrets are never entered.

use std::fmt;
use std::time::{Duration, SystemTime};

use millrace_control::ControlGroup;
use millrace_control::control::{Answer, Command, Refusal as Refused};
use millrace_control::time::draw;
use millrace_wire::codes;

use super::authority::{Authority, Issued, LIFE, new_name};
use super::enrol::Source;
use super::error::TrustError;
use super::identity::{Name, Who};
use super::refusal::Refusal;
use super::roles::Role;
use super::token::hash;
use super::tokens::{Invitation, seconds};
use crate::control::code;
use crate::node::Token;

/// Names that are drawn for a newcomer before it is given up: one of four billion is somebody else's.
const MOST_NAMES: usize = 8;

/// How long something is waited for that this node has not heard of yet, and how often it is looked: whoever asks knows that it was agreed on.
pub const BEHIND: Duration = Duration::from_millis(1500);
pub const BEHIND_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Clones are the same.
#[derive(Clone)]
pub struct Agreed {
    group: ControlGroup,
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("node", &self.group.id()).finish_non_exhaustive()
    }
}

impl Agreed {
    pub fn by(group: ControlGroup) -> Agreed {
        Agreed { group }
    }

    /// Has the group agree to something. All that trust proposes passes here.
    async fn enter(&self, command: Command) -> Result<Answer, TrustError> {
        let entered = self.group.write(command).await;
        entered.map_err(|error| TrustError::NotAgreed { code: code(&error), why: error.to_string() })
    }

    async fn done(&self, command: Command) -> Result<(), TrustError> {
        match self.enter(command).await? {
            answer if answer.is_done() => Ok(()),
            answer => Err(refused(&answer)),
        }
    }

    /// A token that was made, sealed by the authority: the log is written to by every node of the group, and not all of those may invite.
    pub async fn invite(&self, token: &str, invitation: &Invitation, authority: &Authority) -> Result<(), TrustError> {
        let Invitation { role, expires, hash } = invitation.clone();
        let (token, role, now) = (token.to_owned(), role.as_str().to_owned(), seconds(SystemTime::now()));
        let seal = authority.seal(&words(&token, &role, &hash, expires));
        self.done(Command::Invite { token, role, hash, expires, seal, now }).await
    }

    /// Whether a token is known here. A node that was just told of it may be ahead of this one.
    pub fn knows(&self, token: &str) -> bool {
        self.group.read(|agreed| agreed.admissions().token(token).is_some())
    }

    /// Whether this node leads the group, and so is behind nobody.
    pub fn leads(&self) -> bool {
        self.group.look().leads()
    }

    /// What a token lets one in as, if the secret is its, and if somebody made it who may.
    fn role_of(&self, token: &str, secret: &Token, authority: &Authority) -> Option<String> {
        let known = self.group.read(|agreed| agreed.admissions().token(token).cloned())?;
        let is_its = Token::parse(&known.hash).is_some_and(|kept| kept.is_same(&hash(secret)));
        if is_its && !authority.is_sealed(&words(token, &known.role, &known.hash, known.expires), &known.seal) {
            tracing::error!(token, role = known.role, "a token is in the control group's log that nobody made who may");
            return None;
        }
        is_its.then_some(known.role)
    }

    /// Has somebody come in by a token, once in the whole cluster, under a name that nobody else has.
    pub async fn enrol(&self, token: &str, secret: &Token, label: &str, authority: &Authority) -> Result<Result<Who, Refusal>, TrustError> {
        // What is none is not entered: a stranger fills no log.
        let Some(role) = self.role_of(token, secret, authority) else { return Ok(Err(Refusal::UnknownToken)) };
        let Some(role) = Role::parse(&role) else { return Ok(Err(Refusal::Unreadable)) };
        for _ in 0..MOST_NAMES {
            let (name, nonce, now) = (new_name(label)?, draw(), SystemTime::now());
            let (expires, now) = (seconds(now + LIFE), seconds(now));
            let (token, hash, named) = (token.to_owned(), hash(secret).reveal(), name.to_string());
            match self.enter(Command::Enrol { token, hash, name: named, nonce, expires, now }).await? {
                Answer::Done { .. } | Answer::Already { .. } => return Ok(Ok(Who { role, name })),
                Answer::Refused { why: Refused::Taken } => {}
                Answer::Refused { why: Refused::Used } => return Ok(Err(Refusal::UsedToken)),
                Answer::Refused { why: Refused::Expired } => return Ok(Err(Refusal::ExpiredToken)),
                Answer::Unknown => return Ok(Err(Refusal::UnknownToken)),
                other => return Err(refused(&other)),
            }
        }
        Err(refused(&Answer::Refused { why: Refused::Taken }))
    }

    /// Somebody has a certificate, or a further one.
    pub async fn certify(&self, issued: &Issued) -> Result<(), TrustError> {
        let Issued { who, expires } = issued;
        let (name, role, now) = (who.name.to_string(), who.role.as_str().to_owned(), seconds(SystemTime::now()));
        self.done(Command::Certify { name, role, expires: *expires, now }).await
    }

    /// Whether the group knows of a certificate that lasts as long.
    pub fn has(&self, issued: &Issued) -> bool {
        let name = issued.who.name.as_str();
        self.group.read(|agreed| agreed.admissions().certified(name).is_some_and(|known| known.expires >= issued.expires))
    }

    /// All who have, or had, a certificate.
    pub fn issued(&self) -> Vec<Issued> {
        self.group.read(|agreed| {
            let known = agreed.admissions().certificates();
            // What a later release calls a role is nothing to this one.
            let issued = known.filter_map(|(name, known)| {
                let who = Who { role: Role::parse(&known.role)?, name: Name::parse(name).ok()? };
                Some(Issued { who, expires: known.expires })
            });
            issued.collect()
        })
    }

    /// No certificate of a name is believed any more, at any node.
    pub async fn revoke(&self, name: &Name) -> Result<(), TrustError> {
        self.done(Command::Revoke { name: name.to_string() }).await
    }

    pub fn is_revoked(&self, name: &Name) -> bool {
        self.group.read(|agreed| agreed.admissions().is_revoked(name.as_str()))
    }

    pub fn revoked(&self) -> Vec<Name> {
        self.group.read(|agreed| agreed.admissions().revoked().filter_map(|name| Name::parse(name).ok()).collect())
    }

    /// The nodes of the group, as others reach them.
    pub fn nodes(&self) -> Vec<Source> {
        let source = |name: &str, address: &str| {
            let authority = address.strip_prefix("wss://")?.trim_end_matches('/').to_owned();
            Some(Source { authority, name: Some(Name::parse(name).ok()?) })
        };
        self.group.read(|agreed| {
            let nodes = agreed.members().iter().filter(|(_, member)| member.is_control);
            nodes.filter_map(|(name, member)| source(name, &member.address)).collect()
        })
    }
}

/// What a seal is made of.
fn words(token: &str, role: &str, hash: &str, expires: u64) -> String {
    format!("{token}\n{role}\n{hash}\n{expires}")
}

fn refused(answer: &Answer) -> TrustError {
    let (code, why) = match answer {
        Answer::Refused { why: Refused::Full } => (codes::LIMIT, "it holds as many tokens or names as it may".to_owned()),
        Answer::Refused { why: Refused::Taken } => (codes::KEYRING, "somebody else has that id or name".to_owned()),
        other => (codes::BUG, format!("it answers {other:?}")),
    };
    TrustError::NotAgreed { code, why }
}
