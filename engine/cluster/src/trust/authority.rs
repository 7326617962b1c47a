//! The cluster's own certificate authority: a key, a certificate that it gave itself, and a list of whom it has given others.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
};
use ring::hmac;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use webpki::EndEntityCert;

use super::error::TrustError;
use super::files;
use super::identity::{Fingerprint, Name, Who, sha256};
use super::keyring::{new_key, read_key};
use super::roles::Role;
use crate::node::{Token, hex, random};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the authority's own certificate is good for.
const OWN_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long the others are. They are renewed long before.
pub const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// When a certificate is renewed: this long before its end.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What seals are made with is no other use of the key.
const SEALS: &[u8] = b"millrace seals 1";
/// Most of a newcomer's own word that goes into its name.
const MAX_LABEL: usize = 40;

pub struct Authority {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Somebody who has a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub who: Who,
    /// Seconds since 1970.
    pub expires: u64,
}

#[derive(Serialize, Deserialize)]
struct Note {
    role: Role,
    expires: u64,
}

/// The authority's key alone; a keyring's is another.
fn key_path(folder: &Path) -> PathBuf {
    folder.join("authority-key.der")
}

fn certificate_path(folder: &Path) -> PathBuf {
    folder.join("authority.der")
}

impl Authority {
    pub fn is_in(folder: &Path) -> bool {
        key_path(folder).exists()
    }

    /// # Errors
    /// If there is none in the folder.
    pub fn open(folder: &Path) -> Result<Authority, TrustError> {
        if !Authority::is_in(folder) {
            return Err(TrustError::NoAuthority { path: folder.to_owned() });
        }
        Authority::open_or_make(folder)
    }

    pub fn open_or_make(folder: &Path) -> Result<Authority, TrustError> {
        files::private_folder(folder)?;
        let path = key_path(folder);
        let key = match files::read(&path)? {
            Some(bytes) => read_key(&path, bytes)?,
            None => {
                let made = new_key()?;
                files::write(&path, made.serialized_der())?;
                made
            }
        };
        let parameters = own_parameters(&key);
        let path = certificate_path(folder);
        let certificate = match files::read(&path)? {
            Some(bytes) => CertificateDer::from(bytes),
            None => {
                let made = parameters.self_signed(&key)?.der().clone();
                files::write(&path, &made)?;
                made
            }
        };
        Ok(Authority { folder: folder.to_owned(), certificate, issuer: Issuer::new(parameters, key) })
    }

    /// Takes over the key of the authority whose certificate this folder's identity believes, as another node of it has sent it.
    ///
    /// # Errors
    /// If it is another authority's key: nothing is kept then.
    pub fn keep(folder: &Path, certificate: &CertificateDer<'_>, key: &AuthorityKey) -> Result<Authority, TrustError> {
        files::private_folder(folder)?;
        let path = key_path(folder);
        let pair = read_key(&path, key.0.clone())?;
        if HeldKey::of(certificate).is_none_or(|held| held.0 != HeldKey::of_pair(&pair).0) {
            return Err(TrustError::Certificate { why: "what was sent is the key of another authority".to_owned() });
        }
        files::write(&certificate_path(folder), certificate)?;
        // Last: where it is, the rest is.
        files::write(&path, pair.serialized_der())?;
        Authority::open(folder)
    }

    /// What only who holds the authority's key can make of a text.
    pub fn seal(&self, text: &str) -> String {
        hex(hmac::sign(&self.sealing_key(), text.as_bytes()).as_ref())
    }

    pub fn is_sealed(&self, text: &str, seal: &str) -> bool {
        // 32 bytes, as a token is; compared in a time that tells nothing.
        Token::parse(seal).is_some_and(|seal| hmac::verify(&self.sealing_key(), text.as_bytes(), seal.bytes()).is_ok())
    }

    fn sealing_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &sha256(&[SEALS, self.issuer.key().serialized_der()].concat()))
    }

    /// The key, for a node that may give certificates too.
    pub fn key(&self) -> AuthorityKey {
        AuthorityKey(self.issuer.key().serialized_der().to_vec())
    }

    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// A certificate for whoever holds a key, good until a time.
    pub fn issue(&self, who: &Who, key: &HeldKey, until: SystemTime) -> Result<CertificateDer<'static>, TrustError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, who.name.as_str());
        parameters.subject_alt_names = vec![SanType::URI(who.uri().try_into()?)];
        // Clocks of two machines are never the same.
        parameters.not_before = (SystemTime::now().min(until) - DAY).into();
        parameters.not_after = until.into();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if who.role.is_node() {
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(key, &self.issuer)?.der().clone();
        self.note(who, until)?;
        Ok(certificate)
    }

    fn note(&self, who: &Who, until: SystemTime) -> Result<(), TrustError> {
        let folder = self.folder.join("issued");
        files::private_folder(&folder)?;
        let expires = until.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let path = folder.join(who.name.as_str());
        let note = serde_json::to_vec(&Note { role: who.role, expires }).map_err(|error| TrustError::broken(&path, error))?;
        files::write(&path, &note)
    }

    /// All who have, or had, a certificate.
    pub fn issued(&self) -> Result<Vec<Issued>, TrustError> {
        let folder = self.folder.join("issued");
        let names = files::names(&folder)?;
        let notes = names.iter().map(|name| {
            let path = folder.join(name);
            let bytes = files::read(&path)?.unwrap_or_default();
            let Note { role, expires } = serde_json::from_slice(&bytes).map_err(|error| TrustError::broken(&path, error))?;
            Ok(Issued { who: Who { role, name: Name::parse(name)? }, expires })
        });
        notes.collect()
    }
}

/// A name that nobody else has: what the newcomer calls itself, as far as it may be part of one, and some digits.
pub fn new_name(label: &str) -> Result<Name, TrustError> {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let label: String = label.chars().take(MAX_LABEL).map(plain).collect();
    let label = Some(label.trim_matches('-')).filter(|label| !label.is_empty()).unwrap_or("member");
    let digits = random::<4>().map_err(|error| TrustError::Randomness { cause: error.to_string() })?;
    Name::parse(&format!("{label}-{}", hex(&digits)))
}

/// What the authority's certificate says. The name is of the key, so that two clusters' authorities are never of one name.
fn own_parameters(key: &KeyPair) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let digits: String = hex(&sha256(&key.subject_public_key_info())).chars().take(16).collect();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("Millrace authority {digits}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = (SystemTime::now() - DAY).into();
    parameters.not_after = (SystemTime::now() + OWN_LIFE).into();
    parameters
}

/// An authority's private key on its way from one control node to another, within TLS. It shows itself to no log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorityKey(Vec<u8>);

impl std::fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorityKey(..)")
    }
}

/// A public key whose holder has shown in a handshake that it holds the private one.
pub struct HeldKey(Vec<u8>);

impl HeldKey {
    /// The key of a certificate. None: it is of another kind than ours are.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<HeldKey> {
        let shown = EndEntityCert::try_from(certificate).ok()?.subject_public_key_info();
        let point = shown.get(shown.len().checked_sub(POINT_BYTES)?..)?;
        let key = HeldKey(point.to_vec());
        // The same point as a key of our kind is the same bytes if it was one.
        (key.subject_public_key_info() == shown.as_ref()).then_some(key)
    }

    pub fn of_pair(key: &KeyPair) -> HeldKey {
        HeldKey(key.der_bytes().to_vec())
    }
}

/// A point of P-256, not compressed.
const POINT_BYTES: usize = 65;

impl PublicKeyData for HeldKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
