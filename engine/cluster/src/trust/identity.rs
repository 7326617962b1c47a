//! Who a certificate says that its holder is.

use std::fmt;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::error::TrustError;
use super::roles::Role;
use super::tls::provider;
use crate::node::hex;

/// Longest name.
const MAX_NAME: usize = 64;
/// The name of a certificate's holder, as the URI among its subject's names: `millrace:ROLE/NAME`.
const SCHEME: &str = "millrace:";

/// What the holder of a certificate is called: lower-case letters, digits and `-`. It is part of file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Name, TrustError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > MAX_NAME || text.starts_with('-') || !text.bytes().all(is_plain) {
            return Err(TrustError::BadName { text: text.chars().take(MAX_NAME).collect() });
        }
        Ok(Name(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = TrustError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Name::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// Somebody whom the authority knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub role: Role,
    pub name: Name,
}

impl Who {
    /// Whom a certificate is for. Says nothing about whether it is to be believed.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Who> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let mut names = certificate.valid_uri_names();
        let (Some(uri), None) = (names.next(), names.next()) else { return None };
        let (role, name) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        Some(Who { role: Role::parse(role)?, name: Name::parse(name).ok()? })
    }

    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.role, self.name)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.role)
    }
}

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
        Fingerprint(sha256(certificate))
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Fingerprint {
        Fingerprint(bytes)
    }

    pub fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.ct_eq(&sha256(certificate)).into()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // Both are 32 bytes long.
    hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// A certificate with its key, and the authority that gave it.
pub struct Identity {
    pub who: Who,
    pub certificate: CertificateDer<'static>,
    pub authority: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    /// The node that gave it, which is who answers at the address where it was given; none at that node itself.
    pub given_by: Option<Name>,
}

impl Identity {
    /// Whether the certificate can be shown at a time, and is its authority's.
    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (Ok(certificate), Ok(anchor)) = (EndEntityCert::try_from(&self.certificate), anchor_from_trusted_cert(&self.authority)) else {
            return false;
        };
        let algorithms = provider().signature_verification_algorithms.all;
        let time = UnixTime::since_unix_epoch(since);
        certificate.verify_for_usage(algorithms, &[anchor], &[], time, KeyUsage::client_auth(), None, None).is_ok()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("who", &self.who).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_lead_elsewhere_is_none() {
        for good in ["a", "laptop-3f9a2c1b", "7"] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "..", "a/b", "A", "a b", "é", &"a".repeat(65)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }
}
