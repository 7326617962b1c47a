//! What can be measured of a running pipeline. Counters grow from 0 for the length of a run; rates are the reader's to make.

use std::collections::BTreeMap;

use millrace_model::{NodeId, PortRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alerts::AlertFigures;
use crate::autoscale::AutoscaleFigures;
use crate::change::ChangeFigures;

/// One node, all its tasks together. The law of rows: `rows_in = accepted + filtered + late + quarantined`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFigures {
    /// Rows that reached the node; for a source, records read.
    pub rows_in: u64,
    pub accepted: u64,
    /// Rows that left by the main port.
    pub rows_out: u64,
    pub filtered: u64,
    pub late: u64,
    /// Of `late`: rows in time by their own watermark that an idle partition let others overtake.
    pub late_after_idle: u64,
    pub quarantined: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Time spent working, summed over tasks.
    pub busy_ns: u64,
    /// Time spent waiting for room downstream, summed over tasks.
    pub blocked_ns: u64,
    /// Time spent waiting for input, summed over tasks.
    pub idle_ns: u64,
    pub tasks: u32,
    /// The least watermark over its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Timestamp>,
    /// The greatest event time seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_event_time: Option<Timestamp>,
    /// How long the watermark has stood still, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_still_ms: Option<u64>,
    pub state_rows: u64,
    pub state_bytes: u64,
    /// Of its state on disk, beside those in memory. A peer of the release before tells none.
    #[serde(default)]
    pub state_disk_bytes: u64,
    /// Windows open now.
    pub open_windows: u64,
    /// The end of the next window to close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_window_end: Option<Timestamp>,
    /// For a bounded source: bytes or rows read, and in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How unevenly its rows are spread over its tasks; none of a single task, and while few rows come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<Skew>,
}

/// Rows of the task that gets most, over the mean of all tasks of the node, in the last seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Skew {
    /// 1 is even; at most the number of tasks.
    pub ratio: f64,
    /// The task that gets most.
    pub task: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// One edge, all its channels together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeFigures {
    pub from: PortRef,
    pub to: NodeId,
    pub rows: u64,
    pub bytes: u64,
    pub batches: u64,
    pub queued_rows: u64,
    pub queued_bytes: u64,
    /// Time the sender waited for room, summed over channels.
    pub blocked_ns: u64,
}

/// One epoch of a run that is kept: how long it took by phase, and what came of it. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochFigures {
    pub epoch: u64,
    /// When its barriers were sent: wall clock, since 1970.
    pub began_us: i64,
    /// Until every task had its barrier from all inputs and had handed over what it holds.
    pub aligning_us: u64,
    /// From then on until all of that was at rest.
    pub writing_us: u64,
    /// Until the manifest was there.
    pub manifest_us: u64,
    /// Until all sinks had committed.
    pub commit_us: u64,
    /// Of all parts.
    pub bytes: u64,
    /// The task that handed over last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_for: Option<SlowestTask>,
    pub outcome: EpochOutcome,
}

/// A task of a node, and how long after the barriers were sent it handed over what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowestTask {
    pub node: NodeId,
    pub task: u32,
    pub after_us: u64,
}

/// What came of an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum EpochOutcome {
    /// What it is at: the phases before are over.
    UnderWay { phase: EpochPhase },
    /// Its sinks have committed.
    Complete,
    /// It came to nothing, and why: the root cause, in words.
    Failed { cause: String },
    /// The run's last epoch took its place.
    Superseded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochPhase {
    Aligning,
    Writing,
    Manifest,
    Commit,
}

/// Why a run is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Starting,
    Running,
    Draining,
    Finished,
    Stopped,
    Failed,
}

impl RunState {
    pub const fn is_over(self) -> bool {
        matches!(self, RunState::Finished | RunState::Stopped | RunState::Failed)
    }
}

/// One look at a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobFigures {
    pub state: RunState,
    /// Since the run began, in milliseconds.
    pub elapsed_ms: u64,
    pub nodes: BTreeMap<NodeId, NodeFigures>,
    pub edges: Vec<EdgeFigures>,
    /// The node that holds the others back, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<NodeId>,
    /// How long a task of the bottleneck is busy, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck_busy: Option<f64>,
    /// The newest epochs of a run that is kept, oldest first. A peer of the release before sends none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub epochs: Vec<EpochFigures>,
    /// Tasks of every node that does not say otherwise. A peer of the release before tells none.
    #[serde(default)]
    pub parallelism: u32,
    /// The newest change of the run while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeFigures>,
    /// How often the run went back to an epoch after a failure. A peer of the release before tells none.
    #[serde(default)]
    pub restarts: u64,
    /// In the file's order. A peer of the release before knows none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertFigures>,
    /// How its numbers of tasks follow its load; none where they are not looked at. A peer of the release before tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleFigures>,
}

/// The end of a run, in the shape that `run --json` prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub rows_in: u64,
    pub rows_out: u64,
    pub filtered: u64,
    pub late: u64,
    pub quarantined: u64,
    pub elapsed_ms: u64,
    pub nodes: BTreeMap<NodeId, NodeSummary>,
    /// Of a pipeline that has some, as they stood at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertFigures>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSummary {
    pub rows_in: u64,
    pub accepted: u64,
    pub rows_out: u64,
    pub filtered: u64,
    pub late: u64,
    pub quarantined: u64,
}
