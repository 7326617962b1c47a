//! The manifest of an epoch: that it is complete, which parts it has, and what its sinks are to commit.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::paths::RunId;
use crate::error::{StateError, StateResult};
use crate::frame::{self, FrameKind};

const KIND: FrameKind = FrameKind { magic: *b"MRCP", version: 1, oldest: 1, name: "manifest of an epoch" };

/// The most bytes that a manifest has: some hundred for each task.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A task, by the node at its head.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    pub node: NodeId,
    pub task: u32,
}

/// What a sink has made ready in an epoch, to be committed once the epoch is complete. Small; the data itself is at rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Committable {
    pub node: NodeId,
    pub task: u32,
    pub what: Value,
}

/// How a run ended with its last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All was read and all windows have fired: nothing is left to resume.
    Finished,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// One task's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    pub task: TaskId,
    /// Of the whole file, frame and all.
    pub bytes: u64,
    /// Of its content: the same as in its frame, so that a part of another epoch is no substitute.
    pub checksum: u64,
    /// The blocks that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
}

/// What a node's state and rows depend on, in hashes: so that a pipeline that changed can tell what it keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    pub kind: String,
    /// By field.
    pub fields: BTreeMap<String, u64>,
    /// In their order, each with its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<(String, u64)>,
}

/// That an epoch is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub run: RunId,
    pub epoch: u64,
    /// Wall clock, microseconds since 1970.
    pub taken_us: i64,
    /// Set in a run's last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    pub key_groups: u16,
    /// What each node is, as a hash of its fields: state is for the same pipeline.
    pub nodes: BTreeMap<NodeId, u64>,
    /// The same by field. A release before wrote none: then a node that changed keeps nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meanings: BTreeMap<NodeId, Meaning>,
    pub parts: Vec<PartEntry>,
    /// Sinks commit these, again after a crash.
    pub ready: Vec<Committable>,
}

impl Manifest {
    pub fn encode(&self) -> StateResult<Vec<u8>> {
        let payload = serde_json::to_vec(self).map_err(|error| StateError::damaged(format!("epoch {}", self.epoch), error.to_string()))?;
        Ok(frame::enclose(KIND, &payload))
    }

    /// All blocks that its parts refer to.
    pub fn blocks(&self) -> BTreeSet<&str> {
        self.parts.iter().flat_map(|part| part.blocks.iter().map(String::as_str)).collect()
    }

    /// Reads what [`Manifest::encode`] wrote. `what` names it in errors.
    pub fn decode(bytes: &[u8], what: &str) -> StateResult<Manifest> {
        let (_, payload) = frame::open(KIND, bytes, what)?;
        serde_json::from_slice(payload).map_err(|error| StateError::damaged(what, error.to_string()))
    }
}
