//! The join tokens that an authority has given out: a file each, with a hash of its secret. A token is spent by moving its file, which the file
//! system lets only one do; so it serves once, whoever else makes or spends tokens in the same folder at the same time.

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

#[derive(Debug)]
pub struct Tokens {
    open: PathBuf,
    used: PathBuf,
}

/// What is kept of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    role: Role,
    /// Seconds since 1970.
    expires: u64,
    /// The SHA-256 of the secret.
    hash: String,
}

impl Tokens {
    pub fn within(folder: &Path) -> Tokens {
        let tokens = folder.join("tokens");
        Tokens { open: tokens.join("open"), used: tokens.join("used") }
    }

    /// Makes a token that lets one in as `role` until it expires.
    pub fn issue(&self, authority: Fingerprint, role: Role, expires: SystemTime) -> Result<JoinToken, TrustError> {
        for folder in [&self.open, &self.used] {
            files::private_folder(folder)?;
        }
        let token = JoinToken::random(authority)?;
        let note = Note { role, expires: seconds(expires), hash: hash(&token.secret).reveal() };
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
            // Somebody else spent it since it was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Err(Refusal::UsedToken)),
            Err(error) => Err(TrustError::folder(&used)(error)),
        }
    }
}

fn read(path: &Path) -> Result<Option<Note>, TrustError> {
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

fn seconds(time: SystemTime) -> u64 {
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
    fn no_file_holds_a_secret() {
        let (folder, _tokens, token) = issued(Role::Admin, SystemTime::now());
        let text = fs::read_to_string(folder.path().join("tokens/open").join(&token.id)).unwrap();
        assert!(!text.contains(&token.secret.reveal()), "{text}");
    }
}
