//! Bugs put in on purpose, so that the proofs can be proved: `tests/crash` and the simulations have to catch each of them.
//!
//! In a debug build with `MILLRACE_PLANTED_BUG=NAME` the process has that bug. A release build knows nothing of this.

/// A bug of the kinds that protocols of checkpoints, of consensus and of sessions are liable to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A task takes the first barrier for all of its inputs'.
    NoAlignment,
    /// Sinks commit when all parts are written, before the manifest is there.
    CommitBeforeEpoch,
    /// Rows that a barrier overtook are in nobody's snapshot.
    InFlightForgotten,
    /// What the newest epoch is made of is collected with the epochs below it.
    CollectedTooEarly,
    /// A source goes on one row too far.
    OffsetOffByOne,
    /// A node of a control group answers before its vote is on disk.
    VoteNotSynced,
    /// A node of a control group says that it holds entries that are not on disk.
    EntryNotSynced,
    /// What a crash left half written at the end of a log is written on behind.
    TornTailKept,
    /// Whoever was deposed enters as before: generations are not compared.
    FenceOff,
    /// Sinks commit with the manifest, whether or not the epoch is entered.
    CommitBeforeEntry,
    /// A session that resumes does not send again what was not acknowledged.
    ResumeForgets,
    /// A session that resumes delivers its last message once more.
    ResumeRepeats,
    /// What a member that was given up has under way is put down all the same.
    StaleMemberWrites,
}

impl Bug {
    pub const ALL: [Bug; 13] = [
        Bug::NoAlignment,
        Bug::CommitBeforeEpoch,
        Bug::InFlightForgotten,
        Bug::CollectedTooEarly,
        Bug::OffsetOffByOne,
        Bug::VoteNotSynced,
        Bug::EntryNotSynced,
        Bug::TornTailKept,
        Bug::FenceOff,
        Bug::CommitBeforeEntry,
        Bug::ResumeForgets,
        Bug::ResumeRepeats,
        Bug::StaleMemberWrites,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Bug::NoAlignment => "no-alignment",
            Bug::CommitBeforeEpoch => "commit-before-epoch",
            Bug::InFlightForgotten => "in-flight-forgotten",
            Bug::CollectedTooEarly => "collected-too-early",
            Bug::OffsetOffByOne => "offset-off-by-one",
            Bug::VoteNotSynced => "vote-not-synced",
            Bug::EntryNotSynced => "entry-not-synced",
            Bug::TornTailKept => "torn-tail-kept",
            Bug::FenceOff => "fence-off",
            Bug::CommitBeforeEntry => "commit-before-entry",
            Bug::ResumeForgets => "resume-forgets",
            Bug::ResumeRepeats => "resume-repeats",
            Bug::StaleMemberWrites => "stale-member-writes",
        }
    }
}

/// Whether this process has the bug.
#[cfg(debug_assertions)]
pub fn has(bug: Bug) -> bool {
    use std::sync::OnceLock;

    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("MILLRACE_PLANTED_BUG").ok()).as_deref() == Some(bug.name())
}

/// Whether this process has the bug: never, in a release.
#[cfg(not(debug_assertions))]
pub const fn has(_: Bug) -> bool {
    false
}
