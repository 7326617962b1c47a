//! What can go wrong with state at rest.

use std::io;

use thiserror::Error;

pub type StateResult<T> = Result<T, StateError>;

/// A failure of the store, or of what was read from it.
#[derive(Debug, Error)]
pub enum StateError {
    /// The disk failed, or refuses.
    #[error("{path}: {cause}")]
    Io { path: String, cause: io::Error },
    /// The object store failed, or refuses.
    #[error("{path}: {cause}")]
    Remote { path: String, trouble: Trouble, cause: String },
    /// Another process holds this state.
    #[error("{path} is in use by another run of this pipeline")]
    InUse { path: String },
    /// Bytes that are not what was written: cut, flipped, or not ours.
    #[error("{what} is damaged: {how}")]
    Damaged { what: String, how: String },
    /// Written by a release that this one does not read.
    #[error("{what} is of version {found}, and this release reads up to {known}")]
    Version { what: String, found: u16, known: u16 },
}

/// What is the matter with an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be reached, or fails: that may pass.
    Away,
    /// The key may not do this, or is not known there.
    Refused,
    NoBucket,
    /// The environment names no key.
    NoCredentials,
    /// It puts an object where one is, though it was asked not to: nothing would keep two runs apart.
    NoConditionalCreate,
    /// What names it cannot be used.
    BadAddress,
}

impl StateError {
    pub fn remote(path: impl Into<String>, trouble: Trouble, cause: impl Into<String>) -> Self {
        StateError::Remote { path: path.into(), trouble, cause: cause.into() }
    }

    pub fn io(path: impl Into<String>, cause: io::Error) -> Self {
        StateError::Io { path: path.into(), cause }
    }

    pub fn damaged(what: impl Into<String>, how: impl Into<String>) -> Self {
        StateError::Damaged { what: what.into(), how: how.into() }
    }

    /// Whether trying again can help: a disk may have room again, damage stays.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, StateError::Io { .. } | StateError::Remote { trouble: Trouble::Away, .. })
    }
}
