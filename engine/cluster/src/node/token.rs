//! The token: 32 random bytes, as 64 hexadecimal digits.

use std::fmt;
use std::fmt::Write;

use rand::TryRngCore;
use rand::rngs::OsRng;
use subtle::ConstantTimeEq;

use crate::error::NodeError;

const BYTES: usize = 32;

/// What lets a client in. It is shown on purpose ([`Token::reveal`]), never by accident.
#[derive(Clone)]
pub struct Token([u8; BYTES]);

impl Token {
    pub fn random() -> Result<Token, NodeError> {
        random().map(Token)
    }

    /// Reads the digits. None: they are no token.
    pub fn parse(text: &str) -> Option<Token> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * BYTES {
            return None;
        }
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        Some(Token(bytes))
    }

    /// The digits.
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    pub const fn from_bytes(bytes: [u8; BYTES]) -> Token {
        Token(bytes)
    }

    pub const fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Whether both are the same, in a time that does not tell how much of it is.
    pub fn is_same(&self, other: &Token) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

pub fn random<const N: usize>() -> Result<[u8; N], NodeError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|cause| NodeError::Randomness { cause: cause.to_string() })?;
    Ok(bytes)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_was_shown_and_shows_itself_to_no_log() {
        let token = Token::random().unwrap();
        let read = Token::parse(&token.reveal()).unwrap();
        assert!(token.is_same(&read));
        assert!(!token.is_same(&Token::random().unwrap()));
        assert_eq!(format!("{token:?}"), "Token(..)");
        for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(Token::parse(wrong).is_none());
        }
    }
}
