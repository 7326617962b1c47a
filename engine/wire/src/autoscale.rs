//! In how many tasks the nodes of a run would do what is wanted of them, and why.

use std::collections::BTreeMap;

use millrace_model::{AutoscaleMode, NodeId};
use serde::{Deserialize, Serialize};

/// How a run's numbers of tasks follow its load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoscaleFigures {
    pub mode: AutoscaleMode,
    /// The share of its time that a task is to be at work, 0 to 1.
    pub target_utilisation: f64,
    /// Upstream before downstream: nodes that want another number of tasks, or want one that they cannot have. Empty if all is as it should be, and as
    /// long as nothing can be said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// Why nothing is said, or nothing done, at the moment, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// The newest decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// What one node wants, and those that have as many tasks as it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    pub node: NodeId,
    /// Nodes that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<NodeId>,
    pub tasks: u32,
    /// As many as it would go on in, within its bounds.
    pub wanted: u32,
    /// As many as it needs.
    pub needed: u32,
    /// In numbers and words: `a task of count does 410,000 rows/s..`
    pub cause: String,
    /// What keeps it from having as many as it needs, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// What to ask for to have it so, by node; empty where nothing is to be done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asks: BTreeMap<NodeId, u32>,
}

impl Advice {
    /// Whether something is to be done.
    pub const fn is_change(&self) -> bool {
        self.tasks != self.wanted
    }

    /// `count: 2 to 3 tasks, since ..`
    pub fn in_words(&self) -> String {
        let Advice { node, tasks, wanted, cause, .. } = self;
        let what = if self.is_change() { format!("{node}: from {tasks} to {wanted}") } else { format!("{node}: stays at {tasks}") };
        match &self.bound {
            Some(bound) => format!("{what}; {cause}; {bound}"),
            None => format!("{what}; {cause}"),
        }
    }
}

/// A decision to go on in other numbers of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Wall clock, microseconds since 1970.
    pub at_us: i64,
    /// What was to be done, and why, in words.
    pub what: String,
    /// What came of it, in words; none as long as it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}
