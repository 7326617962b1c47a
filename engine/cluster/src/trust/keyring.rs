//! What a process holds of a cluster, in a folder that is its user's alone: its key, its certificate, and the authority's.

use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::TrustError;
use super::files;
use super::identity::{Identity, Name, Who};

#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
}

impl Keyring {
    pub fn at(folder: impl Into<PathBuf>) -> Keyring {
        Keyring { folder: folder.into() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn key_path(&self) -> PathBuf {
        self.folder.join("key.der")
    }

    fn certificate_path(&self) -> PathBuf {
        self.folder.join("certificate.der")
    }

    fn given_by_path(&self) -> PathBuf {
        self.folder.join("given-by")
    }

    fn authority_path(&self) -> PathBuf {
        self.folder.join("authority.der")
    }

    /// The key that it holds.
    pub fn key(&self) -> Result<KeyPair, TrustError> {
        let path = self.key_path();
        let bytes = files::read(&path)?.ok_or_else(|| TrustError::NotJoined { path: self.folder.clone() })?;
        read_key(&path, bytes)
    }

    /// Keeps a new key with the first certificate that was given for it, in place of what there was.
    pub fn keep_new(
        &self,
        key: &KeyPair,
        certificate: &CertificateDer<'_>,
        authority: &CertificateDer<'_>,
        given_by: Option<&Name>,
    ) -> Result<Identity, TrustError> {
        files::private_folder(&self.folder)?;
        // A certificate never stands beside a key that is not its own.
        files::remove(&self.certificate_path())?;
        files::write(&self.key_path(), key.serialized_der())?;
        match given_by {
            Some(name) => files::write(&self.given_by_path(), name.as_str().as_bytes())?,
            None => files::remove(&self.given_by_path())?,
        }
        self.keep(certificate, authority)
    }

    /// Keeps a further certificate for the key that it holds.
    pub fn keep(&self, certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> Result<Identity, TrustError> {
        files::write(&self.authority_path(), authority)?;
        // Last: where it is, the rest is.
        files::write(&self.certificate_path(), certificate)?;
        self.load()?.ok_or_else(|| TrustError::NotJoined { path: self.folder.clone() })
    }

    /// None: it has no certificate yet.
    pub fn load(&self) -> Result<Option<Identity>, TrustError> {
        let Some(certificate) = files::read(&self.certificate_path())? else { return Ok(None) };
        let missing = |path: PathBuf| TrustError::broken(&path, "it is gone");
        let authority = files::read(&self.authority_path())?.ok_or_else(|| missing(self.authority_path()))?;
        let key = files::read(&self.key_path())?.ok_or_else(|| missing(self.key_path()))?;
        let certificate = CertificateDer::from(certificate);
        let who = Who::of(&certificate).ok_or_else(|| TrustError::broken(&self.certificate_path(), "it is no certificate of a cluster"))?;
        let given_by = files::read(&self.given_by_path())?;
        let given_by = given_by.map(|bytes| Name::parse(&String::from_utf8_lossy(&bytes))).transpose()?;
        Ok(Some(Identity {
            given_by,
            who,
            certificate,
            authority: CertificateDer::from(authority),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
        }))
    }
}

/// A key of the kind that all here are: P-256.
pub fn new_key() -> Result<KeyPair, TrustError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// Reads the key that was kept at a path.
pub fn read_key(path: &Path, bytes: Vec<u8>) -> Result<KeyPair, TrustError> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(bytes), &PKCS_ECDSA_P256_SHA256)
        .map_err(|error| TrustError::broken(path, error))
}
