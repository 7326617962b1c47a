//! Bugs put in on purpose, so that the proof of `tests/crash` can be proved: it has to catch each of them.
//!
//! In a debug build with `MILLRACE_PLANTED_BUG=NAME` the process has that bug. A release build knows nothing of this.

/// A bug of the kinds that a protocol of checkpoints is liable to.
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
}

impl Bug {
    pub const ALL: [Bug; 5] =
        [Bug::NoAlignment, Bug::CommitBeforeEpoch, Bug::InFlightForgotten, Bug::CollectedTooEarly, Bug::OffsetOffByOne];

    pub const fn name(self) -> &'static str {
        match self {
            Bug::NoAlignment => "no-alignment",
            Bug::CommitBeforeEpoch => "commit-before-epoch",
            Bug::InFlightForgotten => "in-flight-forgotten",
            Bug::CollectedTooEarly => "collected-too-early",
            Bug::OffsetOffByOne => "offset-off-by-one",
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
