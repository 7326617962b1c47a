//! The codes of what goes wrong between processes that share a run.

/// A process that ran tasks is gone.
pub const MEMBER_LOST: &str = "MR0440";
/// What came from another process is no element of an edge.
pub const FOREIGN: &str = "MR0441";
