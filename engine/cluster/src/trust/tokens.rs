//! The join tokens that an authority has given out: a file each, with a hash of its secret. A token is spent by moving its file, which the file
//! system lets only one do; so it serves once, whoever else makes or spends tokens in the same folder at the same time.
//!
//! Where a control group agrees on tokens, files are handed in to it, so that each serves at any of its nodes: a file that is on its way there has been
//! moved as one that is spent, and from there on the group alone says whether it serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::TrustError;
use super::files;
use super::identity::Fingerprint;
use super::refusal::Refusal;
use super::roles::Role;
use super::token::{JoinToken, hash, is_id};
use crate::node::Token;

#[derive(Debug, Clone)]
pub struct Tokens {
    open: PathBuf,
    used: PathBuf,
    /// On their way to the control group.
    entering: PathBuf,
}

/// What is kept of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invitation {
    pub role: Role,
    /// Seconds since 1970.
    pub expires: u64,
    /// The SHA-256 of the secret.
    pub hash: String,
}

impl Invitation {
    pub fn of(token: &JoinToken, role: Role, expires: SystemTime) -> Invitation {
        Invitation { role, expires: seconds(expires), hash: hash(&token.secret).reveal() }
    }
}

impl Tokens {
    pub fn within(folder: &Path) -> Tokens {
        let tokens = folder.join("tokens");
        Tokens { open: tokens.join("open"), used: tokens.join("used"), entering: tokens.join("entering") }
    }

    /// Makes a token that lets one in as `role` until it expires.
    pub fn issue(&self, authority: Fingerprint, role: Role, expires: SystemTime) -> Result<JoinToken, TrustError> {
        for folder in [&self.open, &self.used] {
            files::private_folder(folder)?;
        }
        let token = JoinToken::random(authority)?;
        let note = Invitation::of(&token, role, expires);
        let path = self.open.join(&token.id);
        let bytes = serde_json::to_vec(&note).map_err(|error| TrustError::broken(&path, error))?;
        files::write(&path, &bytes)?;
        Ok(token)
    }

    /// Spends a token. Only who has its secret learns more than that it is none.
    pub fn spend(&self, id: &str, secret: &Token, now: SystemTime) -> Result<Result<Role, Refusal>, TrustError> {
        if !is_id(id) {
            return Ok(Err(Refusal::UnknownToken));
        }
        let (open, used) = (self.open.join(id), self.used.join(id));
        let (note, is_used) = match read(&open)? {
            Some(note) => (note, false),
            None => match read(&used)? {
                Some(note) => (note, true),
                None => return Ok(Err(Refusal::UnknownToken)),
            },
        };
        if !Token::parse(&note.hash).is_some_and(|kept| kept.is_same(&hash(secret))) {
            return Ok(Err(Refusal::UnknownToken));
        }
        if is_used {
            return Ok(Err(Refusal::UsedToken));
        }
        if note.expires <= seconds(now) {
            return Ok(Err(Refusal::ExpiredToken));
        }
        match fs::rename(&open, &used).and_then(|()| settle(&self.used)) {
            Ok(()) => Ok(Ok(note.role)),
            // Somebody else spent it since it was read; or it is on its way to the control group, which is to be asked then.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.is_entering(id) => Ok(Err(Refusal::UnknownToken)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Err(Refusal::UsedToken)),
            Err(error) => Err(TrustError::folder(&used)(error)),
        }
    }

    /// The tokens to hand in to the control group, by id; nobody is let in by their files any more. Each comes again until it is
    /// [`Tokens::entered`].
    pub fn to_enter(&self) -> Result<Vec<(String, Invitation)>, TrustError> {
        let open = files::names(&self.open)?;
        if !open.is_empty() {
            files::private_folder(&self.entering)?;
        }
        for id in open {
            match fs::rename(self.open.join(&id), self.entering.join(&id)).and_then(|()| settle(&self.entering)) {
                // It was spent meanwhile.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(TrustError::folder(&self.open)(error)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for id in files::names(&self.entering)?.into_iter().filter(|id| is_id(id)) {
            if let Some(invitation) = read(&self.entering.join(&id))? {
                found.push((id, invitation));
            }
        }
        Ok(found)
    }

    /// Whether a token is on its way to the control group.
    pub fn is_entering(&self, id: &str) -> bool {
        is_id(id) && self.entering.join(id).exists()
    }

    /// The control group knows a token.
    pub fn entered(&self, id: &str) -> Result<(), TrustError> {
        files::remove(&self.entering.join(id))
    }
}

fn read(path: &Path) -> Result<Option<Invitation>, TrustError> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| TrustError::broken(path, error))
}

/// That a token was spent outlives a loss of power, before anything is given for it.
#[cfg(unix)]
fn settle(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn settle(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn issued(role: Role, expires: SystemTime) -> (tempfile::TempDir, Tokens, JoinToken) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::within(folder.path());
        let token = tokens.issue(Fingerprint::from_bytes([1; 32]), role, expires).unwrap();
        (folder, tokens, token)
    }

    #[test]
    fn a_token_lets_one_in_once_and_says_why_it_does_not_again_only_to_who_has_it() {
        let now = SystemTime::now();
        let (_folder, tokens, token) = issued(Role::Operate, now + Duration::from_secs(60));
        let other = Token::random().unwrap();
        assert_eq!(tokens.spend(&token.id, &other, now).unwrap(), Err(Refusal::UnknownToken));
        assert_eq!(tokens.spend(&token.id, &token.secret, now).unwrap(), Ok(Role::Operate));
        assert_eq!(tokens.spend(&token.id, &token.secret, now).unwrap(), Err(Refusal::UsedToken));
        assert_eq!(tokens.spend(&token.id, &other, now).unwrap(), Err(Refusal::UnknownToken));
        assert_eq!(tokens.spend(&"0".repeat(16), &token.secret, now).unwrap(), Err(Refusal::UnknownToken));
        assert_eq!(tokens.spend("../used/x", &token.secret, now).unwrap(), Err(Refusal::UnknownToken));
    }

    #[test]
    fn a_token_that_has_expired_lets_nobody_in() {
        let now = SystemTime::now();
        let (_folder, tokens, token) = issued(Role::Node, now + Duration::from_secs(60));
        assert_eq!(tokens.spend(&token.id, &token.secret, now + Duration::from_secs(61)).unwrap(), Err(Refusal::ExpiredToken));
        assert_eq!(tokens.spend(&token.id, &token.secret, now).unwrap(), Ok(Role::Node));
    }

    #[test]
    fn of_many_who_spend_a_token_at_once_one_succeeds() {
        let now = SystemTime::now();
        let (_folder, tokens, token) = issued(Role::View, now + Duration::from_secs(60));
        let spent: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| tokens.spend(&token.id, &token.secret, now).unwrap())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(spent.iter().filter(|spent| spent.is_ok()).count(), 1, "{spent:?}");
        assert!(spent.iter().all(|spent| matches!(spent, Ok(Role::View) | Err(Refusal::UsedToken))), "{spent:?}");
    }

    #[test]
    fn a_token_that_is_handed_in_lets_nobody_in_by_its_file_and_is_handed_in_until_it_is_known() {
        let now = SystemTime::now();
        let (_folder, tokens, token) = issued(Role::Node, now + Duration::from_secs(60));
        for _ in 0..2 {
            let (id, invitation) = tokens.to_enter().unwrap().pop().unwrap();
            assert!(id == token.id && invitation.role == Role::Node && invitation.hash == hash(&token.secret).reveal());
            assert_eq!(tokens.spend(&token.id, &token.secret, now).unwrap(), Err(Refusal::UnknownToken));
        }
        assert!(tokens.is_entering(&token.id));
        tokens.entered(&token.id).unwrap();
        assert!(tokens.to_enter().unwrap().is_empty() && !tokens.is_entering(&token.id));
        assert_eq!(tokens.spend(&token.id, &token.secret, now).unwrap(), Err(Refusal::UnknownToken));
    }

    #[test]
    fn no_file_holds_a_secret() {
        let (folder, _tokens, token) = issued(Role::Admin, SystemTime::now());
        let text = fs::read_to_string(folder.path().join("tokens/open").join(&token.id)).unwrap();
        assert!(!text.contains(&token.secret.reveal()), "{text}");
    }
}
