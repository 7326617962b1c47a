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
    /// Another process holds this state.
    #[error("{path} is in use by another run of this pipeline")]
    InUse { path: String },
    /// Bytes that are not what was written: cut, flipped, or not ours.
    #[error("{what} is damaged: {how}")]
    Damaged { what: String, how: String },
    /// What a task held could not be written down.
    #[error("the state of {node} could not be written down: {why}")]
    Unwritten { node: String, why: String },
    /// Written by a release that this one does not read.
    #[error("{what} is of version {found}, and this release reads up to {known}")]
    Version { what: String, found: u16, known: u16 },
}

impl StateError {
    pub fn io(path: impl Into<String>, cause: io::Error) -> Self {
        StateError::Io { path: path.into(), cause }
    }

    pub fn damaged(what: impl Into<String>, how: impl Into<String>) -> Self {
        StateError::Damaged { what: what.into(), how: how.into() }
    }

    /// Whether trying again can help: a disk may have room again, damage stays.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, StateError::Io { .. })
    }
}
