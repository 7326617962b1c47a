//! A run, and its figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::document::Finding;
use crate::message::Severity;

/// The present or the last run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RunInfo {
    /// Counts the runs of this studio.
    pub run: u32,
    pub phase: RunPhase,
    /// The target's id.
    pub target: String,
    /// When it began, milliseconds since 1970.
    pub started_at_ms: f64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ended_at_ms: Option<f64>,
    /// While contact is lost: when the target was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub last_heard_ms: Option<f64>,
    /// While a dropped connection to the target is made again. The run goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reconnecting: Option<Reconnecting>,
    /// How many connections to the target were dropped and made again since the session with it began; none if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reconnects: Option<u32>,
    /// Why it failed, or why contact was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cause: Option<Finding>,
    /// Whether it takes checkpoints: only such a run can go on in other numbers of tasks.
    pub kept: bool,
    /// Some of the rows that a failed task was working on, as JSON.
    pub sample: Vec<String>,
    /// How the document differs from what runs; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub differs: Option<Differs>,
    /// The upgrade that can be taken back; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub upgraded: Option<RunUpgraded>,
}

/// An upgrade of the run while it was under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RunUpgraded {
    pub at_ms: f64,
    /// What the state before it is kept as.
    pub savepoint: String,
}

/// What becomes of a run's state where it goes on as the text stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct UpgradeLook {
    /// Of the text that it is about.
    pub revision: u32,
    /// Nodes that go on with what they hold.
    pub kept: Vec<String>,
    /// Nodes that begin with nothing.
    pub new: Vec<String>,
    /// What cannot be kept, and why.
    pub lost: Vec<String>,
    pub notes: Vec<String>,
    /// Why it cannot be done at all; none if it can.
    pub refused: Vec<Finding>,
}

/// A connection that was dropped and is being made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Reconnecting {
    /// When it was dropped, milliseconds since 1970.
    pub since_ms: f64,
    /// Why, in words.
    pub why: String,
}

/// Where a run is. Before the first run there is none (a draft).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    Starting,
    Running,
    Draining,
    Finished,
    Stopped,
    Failed,
    ContactLost,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Differs {
    /// Fields, nodes and edges changed; layout does not count.
    pub changes: u32,
    /// Nodes of the document that are new or changed: the running figures are not theirs.
    pub nodes: Vec<String>,
}

/// One look at a run. Counters are since it began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Figures {
    pub run: u32,
    /// When they were taken, milliseconds since 1970.
    pub at_ms: f64,
    /// Rows read by all sources, per second.
    pub rows_per_s: f64,
    /// Of one core: 200 on two busy cores.
    pub cpu_percent: f64,
    pub memory_bytes: f64,
    /// The newest event time seen, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub event_clock_ms: Option<f64>,
    /// The least watermark of all sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub watermark_ms: Option<f64>,
    /// What the first window waits for, or holds everything up, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waits_for: Option<String>,
    pub nodes: BTreeMap<String, NodeFigures>,
    pub edges: Vec<EdgeFigures>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bottleneck: Option<Bottleneck>,
    pub late: f64,
    pub quarantined: f64,
    /// The newest checkpoints, oldest first; none of a run that is not kept.
    pub checkpoints: Vec<Checkpoint>,
    /// Tasks of every node that does not say otherwise; 0 where the target does not tell.
    pub parallelism: u32,
    /// The newest change of the run while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub change: Option<RunChange>,
    /// 0 to 1, where all sources are bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub progress: Option<f64>,
    /// The running pipeline's, in the file's order.
    pub alerts: Vec<Alert>,
    /// How its numbers of tasks follow its load; none where they are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub autoscale: Option<Autoscale>,
}

/// In how many tasks the nodes of a run would do what is wanted of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Autoscale {
    pub mode: AutoscaleMode,
    /// Upstream before downstream; empty if all is as it should be, and as long as nothing can be said.
    pub advice: Vec<TaskAdvice>,
    /// Why nothing is said, or nothing done, at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waits: Option<String>,
    /// The newest decision, and what came of it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub decided: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AutoscaleMode {
    Off,
    Advise,
    On,
}

/// What one node wants, and those that have as many tasks as it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TaskAdvice {
    pub node: String,
    pub with: Vec<String>,
    pub tasks: u32,
    /// As many as `tasks` where it wants more and can have none.
    pub wanted: u32,
    /// In numbers: `count is 96 % busy at ..`
    pub cause: String,
    /// What keeps it from having as many as it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bound: Option<String>,
    /// What to ask for to have it so, by node; empty where nothing is to be done.
    pub asks: BTreeMap<String, u32>,
}

/// An alert of a run, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Alert {
    pub name: String,
    /// `watermark_lag`
    pub figure: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub node: Option<String>,
    /// `watermark_lag of flights above 10 min`
    pub rule: String,
    pub standing: AlertStanding,
    /// Since when it stands so, milliseconds since 1970.
    pub since_ms: f64,
    /// What was measured last, in words; empty if it could not be.
    pub value: String,
    /// How often it has fired since the run began.
    pub fired: f64,
    pub desktop: bool,
    pub webhooks: Vec<Webhook>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AlertStanding {
    Quiet,
    Pending,
    Firing,
}

/// What became of what a webhook was to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Webhook {
    /// Scheme and host, and no more of its address.
    pub to: String,
    pub sent: f64,
    /// Given up, or dropped.
    pub lost: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub problem: Option<String>,
}

/// An alert has begun to fire, or is over: for a toast, and the desktop if its file says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AlertTold {
    pub name: String,
    pub firing: bool,
    /// The rule and the value, in words.
    pub message: String,
    pub pipeline: String,
    /// Whether the page is to tell it on the desktop: where no program does.
    pub desktop: bool,
}

/// How unevenly rows are spread over the tasks of a node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct Skew {
    /// Rows of the task that gets most, over the mean.
    pub ratio: f64,
    pub task: u32,
}

/// One epoch of a run. The phases follow each other; those that it did not come to are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Checkpoint {
    pub epoch: f64,
    /// When it began, milliseconds since 1970.
    pub at_ms: f64,
    /// Until every task had handed over what it holds.
    pub aligning_ms: f64,
    /// Until all of that was at rest.
    pub writing_ms: f64,
    /// Until the manifest was there.
    pub manifest_ms: f64,
    /// Until all sinks had committed.
    pub commit_ms: f64,
    pub bytes: f64,
    /// The node whose task handed over last, and which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waited_for: Option<WaitedFor>,
    pub outcome: CheckpointOutcome,
    /// Why it came to nothing: the root cause, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cause: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct WaitedFor {
    pub node: String,
    pub task: u32,
    pub after_ms: f64,
}

/// What came of a checkpoint, or the phase that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointOutcome {
    Aligning,
    Writing,
    Manifest,
    Commit,
    Complete,
    Failed,
    /// The run's last checkpoint took its place.
    Superseded,
}

/// A change of a run while it is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RunChange {
    /// In words: `rescaled from 2 to 4`.
    pub what: String,
    /// The checkpoint at which the run went over; none as long as it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub epoch: Option<f64>,
    /// How long nothing was read; none as long as no row has come since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pause_ms: Option<f64>,
}

/// State that was kept under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Savepoint {
    pub name: String,
    pub epoch: f64,
    /// When it was taken, milliseconds since 1970.
    pub at_ms: f64,
    pub bytes: f64,
}

/// The node that holds the others back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Bottleneck {
    pub node: String,
    pub busy_percent: f64,
    /// Why, in words that go on from the node's name: `takes no more than 100/s`.
    pub reason: String,
}

/// One node. `read = accepted + filtered + late + quarantined`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct NodeFigures {
    pub read: f64,
    pub accepted: f64,
    pub filtered: f64,
    pub late: f64,
    /// Of `late`: those that an idle input let others overtake.
    pub late_after_idle: f64,
    pub quarantined: f64,
    pub rows_out: f64,
    pub in_per_s: f64,
    pub out_per_s: f64,
    /// Shares of its tasks' time, 0 to 100.
    pub busy_percent: f64,
    pub blocked_percent: f64,
    pub tasks: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub watermark_ms: Option<f64>,
    /// Newest event time less watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub lag_ms: Option<f64>,
    /// How long the watermark has stood still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub watermark_still_ms: Option<f64>,
    pub open_windows: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub next_window_end_ms: Option<f64>,
    pub state_rows: f64,
    pub state_bytes: f64,
    pub state_disk_bytes: f64,
    /// What it waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waits_for: Option<String>,
    /// 0 to 1, for a bounded source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub progress: Option<f64>,
    /// Of the last seconds; none of a single task, and while few rows come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub skew: Option<Skew>,
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct EdgeFigures {
    pub from: String,
    pub port: String,
    pub to: String,
    pub rows: f64,
    pub rows_per_s: f64,
    /// As they lie in memory.
    pub bytes_per_s: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub lag_ms: Option<f64>,
    /// The share of its time that the sender waits for room, 0 to 100.
    pub waiting_percent: f64,
    pub queued_rows: f64,
}

/// A line of the Events screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Notice {
    /// Unique; a later notice with the same id replaces the earlier (its count grew).
    pub id: u32,
    /// Milliseconds since 1970.
    pub at_ms: f64,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub node: Option<String>,
    /// A stable kind: `bad_records`, `stalled_input`, `slow_sink`, `late_rows`, `started`, `failed`.
    pub kind: String,
    /// In words.
    pub message: String,
    pub count: f64,
}
