//! The one place where the paths of state are made and read.
//!
//! ```text
//! run-START/begun
//! run-START/claim-N               on a store that is shared: the Nth process that goes on with the run
//! run-START/from-N                where it went on from, and where its own epochs begin
//! run-START/blocks/NODE-TASK-EPOCH-N
//! run-START/epoch-N/NODE-TASK.part
//! run-START/epoch-N/manifest
//! newest                          the run that began last
//! savepoints/NAME/NODE-TASK.part  a copy of an epoch, which nobody collects
//! savepoints/NAME/manifest
//! requests/NAME/asked             a savepoint that a running process is asked for; `refused` beside it says why not
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::manifest::TaskId;

/// A run, by the moment when it first began: microseconds since 1970. It stays the same however often the run is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The paths of one run's state, relative to its store.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    pub run: RunId,
}

const RUN: &str = "run-";
const BEGUN: &str = "begun";
const EPOCH: &str = "epoch-";
const MANIFEST: &str = "manifest";
const CLAIM: &str = "claim-";
const FROM: &str = "from-";
const SAVEPOINTS: &str = "savepoints";
const REQUESTS: &str = "requests";

/// The most bytes of a savepoint's name.
const MAX_NAME_BYTES: usize = 64;

/// The name of a savepoint: `[a-z0-9_-]`, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavepointName(String);

impl SavepointName {
    pub fn new(name: &str) -> Option<SavepointName> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        let is_good = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_plain);
        is_good.then(|| SavepointName(name.to_owned()))
    }

    /// Where all savepoints lie.
    pub const fn all() -> &'static str {
        SAVEPOINTS
    }

    /// Where all requests lie.
    pub const fn requests() -> &'static str {
        REQUESTS
    }

    pub fn folder(&self) -> String {
        format!("{SAVEPOINTS}/{}", self.0)
    }

    pub fn manifest(&self) -> String {
        format!("{SAVEPOINTS}/{}/{MANIFEST}", self.0)
    }

    pub fn part(&self, task: &TaskId) -> String {
        format!("{SAVEPOINTS}/{}/{}-{}.part", self.0, task.node, task.task)
    }

    /// A copy of a block that the epoch refers to.
    pub fn block(&self, block: &str) -> String {
        format!("{SAVEPOINTS}/{}/{block}", self.0)
    }

    /// That the savepoint is asked for.
    pub fn request(&self) -> String {
        format!("{REQUESTS}/{}/asked", self.0)
    }

    /// Why it was not taken.
    pub fn refusal(&self) -> String {
        format!("{REQUESTS}/{}/refused", self.0)
    }

    pub fn request_folder(&self) -> String {
        format!("{REQUESTS}/{}", self.0)
    }
}

impl fmt::Display for SavepointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Paths {
    pub fn run(&self) -> String {
        format!("{RUN}{}", self.run)
    }

    /// Says that the run has begun, before its first epoch: whoever gives it up knows what to clear away.
    pub fn begun(&self) -> String {
        format!("{}/{BEGUN}", self.run())
    }

    /// Says that a process goes on with the run, the `number`th that does.
    pub fn claim(&self, number: u64) -> String {
        format!("{}/{CLAIM}{number}", self.run())
    }

    /// Says where that process went on from.
    pub fn from(&self, number: u64) -> String {
        format!("{}/{FROM}{number}", self.run())
    }

    pub fn epoch(&self, epoch: u64) -> String {
        format!("{}/{EPOCH}{epoch}", self.run())
    }

    pub fn part(&self, epoch: u64, task: &TaskId) -> String {
        format!("{}/{}-{}.part", self.epoch(epoch), task.node, task.task)
    }

    pub fn manifest(&self, epoch: u64) -> String {
        format!("{}/{MANIFEST}", self.epoch(epoch))
    }

    /// Where state lies that does not fit in memory.
    pub fn blocks(&self) -> String {
        format!("{}/blocks", self.run())
    }

    pub fn block(&self, name: &str) -> String {
        format!("{}/{name}", self.blocks())
    }

    /// Names the run that began last.
    pub const fn newest_run() -> &'static str {
        "newest"
    }

    /// The run that a name in the store's top folder stands for.
    pub fn run_of(name: &str) -> Option<RunId> {
        name.strip_prefix(RUN)?.parse().ok().map(RunId)
    }

    /// The epoch that a name in a run's folder stands for.
    pub fn epoch_of(name: &str) -> Option<u64> {
        name.strip_prefix(EPOCH)?.parse().ok()
    }

    /// The number of the claim that a name in a run's folder stands for.
    pub fn claim_of(name: &str) -> Option<u64> {
        name.strip_prefix(CLAIM)?.parse().ok()
    }

    /// The number of the claim whose beginning a name in a run's folder tells.
    pub fn from_of(name: &str) -> Option<u64> {
        name.strip_prefix(FROM)?.parse().ok()
    }

    /// Whether a name in a run's folder says that the run has begun.
    pub fn is_begun(name: &str) -> bool {
        name == BEGUN
    }

    /// Whether a name in an epoch's folder is its manifest.
    pub fn is_manifest(name: &str) -> bool {
        name == MANIFEST
    }
}
