//! The codes of what goes wrong on the wire and in sessions. A code never changes its meaning; a retired one is never used again.

/// Bytes that are no frame, or a frame out of order.
pub const BAD_FRAME: &str = "MR0601";
/// A version of the frames or of the protocol that this release does not speak.
pub const VERSION: &str = "MR0602";
/// A limit of the protocol was passed.
pub const LIMIT: &str = "MR0603";
/// The other end cannot be reached, or was lost.
pub const CONTACT: &str = "MR0610";
/// The node refused the token.
pub const REFUSED: &str = "MR0611";
/// A join token that was used before.
pub const TOKEN_USED: &str = "MR0613";
/// A join token that has expired.
pub const TOKEN_EXPIRED: &str = "MR0614";
/// A certificate that the cluster's authority did not give, or that is no longer valid.
pub const FOREIGN_CERTIFICATE: &str = "MR0615";
/// No certificate was shown where one is asked for.
pub const NO_CERTIFICATE: &str = "MR0616";
/// A certificate that was revoked.
pub const REVOKED: &str = "MR0617";
/// A link without TLS that comes from another machine.
pub const PLAIN: &str = "MR0618";
/// The role of who asks does not cover what is asked.
pub const ROLE: &str = "MR0619";
/// The address is none that may be used.
pub const ADDRESS: &str = "MR0612";
/// No such job on this engine, or not of this session.
pub const NO_JOB: &str = "MR0620";
/// The request does not fit the job's state.
pub const NOT_NOW: &str = "MR0621";
/// The engine runs as many jobs as it may.
pub const TOO_MANY_JOBS: &str = "MR0622";
/// A path that may not travel.
pub const BAD_PATH: &str = "MR0630";
/// Input files did not come as announced.
pub const STAGING: &str = "MR0631";
/// More input than the engine takes.
pub const TOO_MUCH_INPUT: &str = "MR0632";
/// An output file could not be sent or put in place.
pub const OUTPUT: &str = "MR0633";
/// A node of the pipeline uses what only the asking process has.
pub const STAYS_HERE: &str = "MR0634";
/// The folder with certificates and keys cannot be used.
pub const KEYRING: &str = "MR0640";
/// The node is of no control group, and was asked as one that is.
pub const NO_CONTROL: &str = "MR0650";
/// The control group has no majority, or nobody leads it.
pub const NO_MAJORITY: &str = "MR0651";
/// The control group's log on disk cannot be used.
pub const CONTROL_LOG: &str = "MR0652";
/// What is asked of a deployment of the control group does not fit how it is.
pub const DEPLOYMENT: &str = "MR0653";
/// A node does not see a project's folder as whoever wants it to run there does.
pub const OTHER_FOLDER: &str = "MR0654";
/// A deployment's newest epoch is not to be had.
pub const NO_REPLICA: &str = "MR0655";
/// What is asked of a node of the control group does not fit how the group is.
pub const VOTER: &str = "MR0656";
/// The node is being emptied, and takes nothing new.
pub const DRAINS: &str = "MR0657";
/// A node that cannot be emptied: it is not known, or nobody else could take what it has.
pub const NOT_DRAINED: &str = "MR0658";
/// The engine's own fault.
pub const BUG: &str = "MR0690";
