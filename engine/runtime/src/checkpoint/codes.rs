//! The codes of what goes wrong with a run's state.

/// The state cannot be written or read.
pub const IO: &str = "MR0420";
/// Another run of the same pipeline is under way.
pub const IN_USE: &str = "MR0421";
/// The state is damaged, or of another version.
pub const UNREADABLE: &str = "MR0422";
/// The pipeline is not the one that the state is of.
pub const OTHER_PIPELINE: &str = "MR0423";
/// Another process went on with this run.
pub const ORPHANED: &str = "MR0424";
/// The last epoch could not be completed, and so the run could not end.
pub const LAST_EPOCH: &str = "MR0425";
/// A sink has committed an epoch that comes after the one to go on from.
pub const COMMITTED_LATER: &str = "MR0426";
/// There is no savepoint of that name, or nothing to take one of.
pub const NO_SAVEPOINT: &str = "MR0427";
/// Its tasks were killed by whoever watches it, to see what comes of it.
pub const KILLED: &str = "MR0429";
/// A later run has replaced what the sinks had at a savepoint.
pub const REPLACED: &str = "MR0428";
