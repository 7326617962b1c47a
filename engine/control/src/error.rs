//! What can go wrong with a control group.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub type ControlResult<T> = Result<T, ControlError>;

/// What of the group's agreement is not to be had, and whether that may pass.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The disk failed, or refuses.
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    /// Another process has the log.
    #[error("{} is in use by another node; give each node a folder of its own", path.display())]
    InUse { path: PathBuf },
    /// Bytes on disk that are not what was written, and that a crash does not explain.
    #[error("the control group's log in {} is damaged: {how}; remove the folder, and have the node join again", path.display())]
    Damaged { path: PathBuf, how: String },
    #[error("the control group cannot be run so: {why}")]
    Settings { why: String },
    /// Nobody leads, or whoever does reaches no majority. What was asked for may still come about, or not.
    #[error("the control group has no majority: {why}")]
    NoQuorum { why: String },
    /// What is asked does not fit how the group is: asking again does not help.
    #[error("{why}")]
    Refused { why: String },
    /// The node is of no group yet.
    #[error("this node is of no control group yet")]
    NotInGroup,
    /// Raft has ended at this node: its disk failed, or it was shut down.
    #[error("the control group has ended at this node: {why}")]
    Ended { why: String },
}

impl ControlError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> ControlError + use<> {
        let path = path.to_owned();
        move |cause| ControlError::Io { path, cause }
    }

    pub(crate) fn damaged(path: &Path, how: impl Into<String>) -> ControlError {
        ControlError::Damaged { path: path.to_owned(), how: how.into() }
    }

    /// Whether trying again can help.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, ControlError::NoQuorum { .. } | ControlError::NotInGroup)
    }
}
