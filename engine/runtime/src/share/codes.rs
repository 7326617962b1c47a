//! The codes of what goes wrong between processes that share a run.

use crate::error::RunError;

/// A process that ran tasks is gone.
pub const MEMBER_LOST: &str = "MR0440";
/// What came from another process is no element of an edge.
pub const FOREIGN: &str = "MR0441";

/// That a process is gone, as `message` says: its tasks can run elsewhere.
pub fn member_lost(message: String) -> RunError {
    RunError::State {
        code: MEMBER_LOST,
        message,
        help: "the run goes on from its last epoch over those that are left, if it is kept",
        retryable: true,
    }
}
