//! What goes wrong with what this process itself holds; what the other end refuses is a [`super::Refusal`].

use std::io;
use std::path::{Path, PathBuf};

use millrace_model::Blame;
use millrace_wire::codes;
use thiserror::Error;

/// Why keys and certificates cannot be used or made here.
#[derive(Debug, Error)]
pub enum TrustError {
    #[error("{path} cannot be used: {cause}")]
    Folder { path: PathBuf, cause: io::Error },
    #[error("{path} is not what was written there: {why}; restore it, or remove its folder and join again")]
    Broken { path: PathBuf, why: String },
    #[error("another node runs with {path}; give each a folder of its own, since what lies there is who a node is")]
    InUse { path: PathBuf },
    #[error(
        "there is no authority in {path}: a cluster's certificates come from the node that was started first, and from control nodes that joined with a \
         token of the role `control`"
    )]
    NoAuthority { path: PathBuf },
    #[error("there is no certificate in {path} yet: join with a token first")]
    NotJoined { path: PathBuf },
    #[error("`{text}` is no name of a certificate: letters, digits and `-`, at most 64")]
    BadName { text: String },
    #[error("nobody of the name {name} has a certificate of this cluster")]
    UnknownName { name: String },
    #[error("the control group does not agree to it: {why}")]
    NotAgreed { code: &'static str, why: String },
    #[error("a certificate cannot be made: {why}")]
    Certificate { why: String },
    #[error("the system gives no randomness: {cause}")]
    Randomness { cause: String },
}

impl TrustError {
    pub const fn code(&self) -> &'static str {
        match self {
            TrustError::Certificate { .. } => codes::BUG,
            TrustError::NotAgreed { code, .. } => code,
            _ => codes::KEYRING,
        }
    }

    pub const fn blame(&self) -> Blame {
        match self {
            TrustError::BadName { .. } | TrustError::UnknownName { .. } => Blame::User,
            TrustError::NoAuthority { .. } | TrustError::NotJoined { .. } | TrustError::InUse { .. } => Blame::User,
            TrustError::Certificate { .. } => Blame::Bug,
            TrustError::Folder { .. } | TrustError::Broken { .. } | TrustError::Randomness { .. } | TrustError::NotAgreed { .. } => {
                Blame::Environment
            }
        }
    }

    pub(crate) fn folder(path: &Path) -> impl FnOnce(io::Error) -> TrustError {
        move |cause| TrustError::Folder { path: path.to_owned(), cause }
    }

    pub(crate) fn broken(path: &Path, why: impl ToString) -> TrustError {
        TrustError::Broken { path: path.to_owned(), why: why.to_string() }
    }
}

impl From<rcgen::Error> for TrustError {
    fn from(error: rcgen::Error) -> Self {
        TrustError::Certificate { why: error.to_string() }
    }
}

impl From<rustls::Error> for TrustError {
    fn from(error: rustls::Error) -> Self {
        TrustError::Certificate { why: error.to_string() }
    }
}
