//! The codes of what goes wrong with a run's state.

/// The state cannot be written or read: a disk, or an object store that is away.
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
/// Another process leads the run by the control group's log, and this one enters nothing any more.
pub const FENCED: &str = "MR0438";
/// A later run has replaced what the sinks had at a savepoint.
pub const REPLACED: &str = "MR0428";
/// There is no such bucket.
pub const NO_BUCKET: &str = "MR0430";
/// The object store does not let the key do this.
pub const REFUSED: &str = "MR0431";
/// The environment has no key for the object store.
pub const NO_CREDENTIALS: &str = "MR0432";
/// The object store does not keep what was created once.
pub const NO_CONDITIONAL_CREATE: &str = "MR0433";
/// What `state` under `[pipeline]` names cannot be used.
pub const BAD_PLACE: &str = "MR0434";
/// The run cannot be changed as it was asked to be.
pub const UNCHANGEABLE: &str = "MR0436";
/// Another change of the run is under way.
pub const CHANGING: &str = "MR0437";
/// A setting does nothing beside the others, as one about checkpoints in a pipeline that has none.
pub const IDLE_SETTING: &str = "MR0435";
