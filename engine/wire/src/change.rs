//! What is asked of a run while it is under way, and what came of it.

use std::collections::BTreeMap;

use millrace_model::NodeId;
use serde::{Deserialize, Serialize};

/// In how many tasks a run is to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Of every node that neither says for itself nor is named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Of these nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<NodeId, u32>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// In words: `rescaled from 2 to 4`.
    pub what: String,
    /// The epoch that the run goes on from.
    pub epoch: u64,
    /// From the barrier behind which nothing was read any more to the first row after it; where no row came, to when one could have. Microseconds.
    pub pause_us: u64,
    /// Why the run went back to an earlier epoch on the way, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Changed {
    /// `rescaled from 2 to 4, at epoch 17, paused 83 ms`
    pub fn in_words(&self) -> String {
        let Changed { what, epoch, pause_us, fault } = self;
        let on_the_way = fault.as_ref().map_or_else(String::new, |fault| format!(", back from a failure on the way ({fault})"));
        format!("{what}, at epoch {epoch}{on_the_way}, paused {} ms", pause_us.div_ceil(1_000))
    }
}

/// What becomes of a run's state where it goes on as another pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateKept {
    /// Nodes that go on with what they hold: `hourly`, `by_hour (was hourly)`.
    pub kept: Vec<String>,
    /// Nodes that begin with nothing, since there was none of that name.
    pub new: Vec<String>,
    /// What cannot be kept, and why, in words.
    pub lost: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// What came of an upgrade, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    pub kept: StateKept,
    /// None if it was only looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Changed>,
    /// What the epoch is kept as that the run was upgraded at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
}

/// A savepoint that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointTaken {
    pub name: String,
    pub epoch: u64,
    /// Wall clock, microseconds since 1970.
    pub taken_us: i64,
    pub bytes: u64,
}

/// A change of a run, asked for or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFigures {
    /// In words: `rescaled from 2 to 4`.
    pub what: String,
    /// When it was taken up: wall clock, microseconds since 1970.
    pub at_us: i64,
    /// The epoch that the run went over at; none as long as it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// From the barrier behind which nothing was read any more to the first row after it, in microseconds; none as long as no row has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_us: Option<u64>,
}
