//! What a newcomer is given: whom to believe, and what to show.

use std::fmt;

use super::error::TrustError;
use super::identity::{Fingerprint, sha256};
use crate::error::NodeError;
use crate::node::{Token, hex, random};

/// What every token begins with, and the version of its form.
const PREFIX: &str = "MRJOIN-1";
/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 16;

/// A join token: `MRJOIN-1-AUTHORITY-ID-SECRET`, as Docker's swarm has them. The authority's fingerprint makes that a newcomer gives the secret to
/// nobody else; the secret is kept as a hash where it was made.
#[derive(Clone)]
pub struct JoinToken {
    pub authority: Fingerprint,
    pub id: String,
    pub secret: Token,
}

impl JoinToken {
    pub fn random(authority: Fingerprint) -> Result<JoinToken, TrustError> {
        let no_randomness = |error: NodeError| TrustError::Randomness { cause: error.to_string() };
        let id = hex(&random::<{ ID_DIGITS / 2 }>().map_err(no_randomness)?);
        Ok(JoinToken { authority, id, secret: Token::random().map_err(no_randomness)? })
    }

    /// None: it is no join token.
    pub fn parse(text: &str) -> Option<JoinToken> {
        let parts = text.trim().strip_prefix(PREFIX)?.strip_prefix('-')?;
        let mut parts = parts.split('-');
        let (authority, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !is_id(id) {
            return None;
        }
        let authority = Fingerprint::from_bytes(*Token::parse(authority)?.bytes());
        Some(JoinToken { authority, id: id.to_owned(), secret: Token::parse(secret)? })
    }

    /// The token's text, to be shown once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}-{}-{}-{}", self.authority, self.id, self.secret.reveal())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether a text is a token's id, which is part of file names.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
}

/// What is kept of a secret. It is random and long: a plain hash serves.
pub fn hash(secret: &Token) -> Token {
    Token::from_bytes(sha256(secret.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_reads_as_it_was_shown_and_shows_itself_to_no_log() {
        let token = JoinToken::random(Fingerprint::from_bytes([7; 32])).unwrap();
        let text = token.reveal();
        let read = JoinToken::parse(&format!(" {text}\n")).unwrap();
        assert_eq!((read.authority, &read.id), (token.authority, &token.id));
        assert!(read.secret.is_same(&token.secret));
        assert!(!format!("{token:?}").contains(&token.secret.reveal()));
    }

    #[test]
    fn what_is_not_exactly_a_join_token_is_none() {
        let text = JoinToken::random(Fingerprint::from_bytes([7; 32])).unwrap().reveal();
        let changed = [
            text.replacen("MRJOIN-1", "MRJOIN-2", 1),
            text.replacen("MRJOIN-1-", "", 1),
            format!("{text}-00"),
            text[..text.len() - 1].to_owned(),
            text.rsplit_once('-').unwrap().0.to_owned(),
            format!("MRJOIN-1-{}-../../../etc/pas-{}", "0".repeat(64), "0".repeat(64)),
        ];
        for wrong in changed.iter().map(String::as_str).chain(["", "MRJOIN-1", "MRJOIN-1---"]) {
            assert!(JoinToken::parse(wrong).is_none(), "{wrong}");
        }
    }
}
