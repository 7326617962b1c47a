//! What can go wrong while a pipeline runs.

use millrace_model::{Blame, Diagnostic, NodeId};
use millrace_state::{StateError, Trouble};
use thiserror::Error;

use crate::checkpoint::codes;

pub type RunResult<T> = Result<T, RunError>;

/// The code of a connector's error that says that nobody reads the output any more (`| head`): the run ends, and has not failed.
pub const READER_GONE: &str = "MR0514";

/// The codes of errors that may lie in the rows that were worked on.
const VALUE: &str = "MR0401";
const BUG: &str = "MR0404";

/// An error that ends a pipeline. The runtime adds the node and a sample of the rows that were being worked on.
#[derive(Debug, Clone, Error)]
pub enum RunError {
    /// A value could not be computed, and the node's `on_error` is `fail`.
    #[error("{message}")]
    Value { message: String, sample: Vec<String> },
    /// The outside world failed: a file, a socket, a disk.
    #[error("{what}: {cause}")]
    Connector { code: &'static str, what: String, cause: String, retryable: bool },
    /// A limit was reached: state, a record's size.
    #[error("{message}")]
    Limit { message: String },
    /// What the run keeps to go on from cannot be written, read or used; with what to do.
    #[error("{message}")]
    State { code: &'static str, message: String, help: &'static str, retryable: bool },
    /// An invariant of ours does not hold.
    #[error("internal error: {message}")]
    Bug { message: String },
    /// The pipeline is being stopped; the task that sees this just ends.
    #[error("the pipeline is stopping")]
    Cancelled,
}

impl RunError {
    pub fn from_polars(error: polars::prelude::PolarsError) -> Self {
        RunError::Bug { message: error.to_string() }
    }

    pub fn bug(message: impl Into<String>) -> Self {
        RunError::Bug { message: message.into() }
    }

    /// The connector's failure in its own words: what was tried (`read data/x.csv`), and why it failed.
    pub fn connector(code: &'static str, what: impl Into<String>, cause: impl ToString, retryable: bool) -> Self {
        RunError::Connector { code, what: what.into(), cause: cause.to_string(), retryable }
    }

    pub const fn blame(&self) -> Blame {
        match self {
            RunError::Value { .. } | RunError::Limit { .. } => Blame::User,
            RunError::Connector { .. } | RunError::State { .. } => Blame::Environment,
            RunError::Bug { .. } | RunError::Cancelled => Blame::Bug,
        }
    }

    pub const fn is_retryable(&self) -> bool {
        matches!(self, RunError::Connector { retryable: true, .. } | RunError::State { retryable: true, .. })
    }

    pub const fn code(&self) -> &'static str {
        match self {
            RunError::Value { .. } => VALUE,
            RunError::Connector { code, .. } | RunError::State { code, .. } => code,
            RunError::Limit { .. } => "MR0403",
            RunError::Bug { .. } => BUG,
            RunError::Cancelled => "MR0405",
        }
    }

    /// Whether an error of this code may lie in the rows that were worked on, and not in the world around.
    pub fn may_lie_in_rows(code: &str) -> bool {
        code == VALUE || code == BUG
    }

    pub fn diagnostic(&self, node: &NodeId) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code(), self.to_string()).node(node);
        match self {
            RunError::State { help, .. } => diagnostic.help(*help),
            _ => diagnostic,
        }
    }
}

impl From<StateError> for RunError {
    fn from(error: StateError) -> Self {
        let retryable = error.is_retryable();
        let (code, help) = match &error {
            StateError::Io { .. } => (codes::IO, "see that the disk has room and that `.millrace` may be written"),
            StateError::Remote { trouble, .. } => at_object_store(*trouble),
            StateError::InUse { .. } => (codes::IN_USE, "wait for that run to end, or stop it"),
            StateError::Damaged { .. } | StateError::Version { .. } => (
                codes::UNREADABLE,
                "bring the files back from a copy, or run with --fresh: the state is then given up, and outputs are made anew",
            ),
        };
        RunError::State { code, message: error.to_string(), help, retryable }
    }
}

/// The code of what is the matter with an object store, and what to do.
const fn at_object_store(trouble: Trouble) -> (&'static str, &'static str) {
    match trouble {
        Trouble::Away => (codes::IO, "see that the object store can be reached (AWS_ENDPOINT_URL, AWS_REGION)"),
        Trouble::Refused => (
            codes::REFUSED,
            "see that the key in the environment is right, and may list the bucket and get, put and delete objects below the prefix",
        ),
        Trouble::NoBucket => (codes::NO_BUCKET, "create the bucket, or name another in `state` under [pipeline]"),
        Trouble::NoCredentials => (codes::NO_CREDENTIALS, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        Trouble::NoConditionalCreate => (
            codes::NO_CONDITIONAL_CREATE,
            "use an object store that honours `If-None-Match: *`; this one would let two runs go on with one state",
        ),
        Trouble::BadAddress => (
            codes::BAD_PLACE,
            "write state = \"s3://BUCKET/PREFIX\"; an endpoint is https, on this machine http (or set AWS_ALLOW_HTTP=true)",
        ),
    }
}

impl From<polars::prelude::PolarsError> for RunError {
    fn from(error: polars::prelude::PolarsError) -> Self {
        RunError::from_polars(error)
    }
}
