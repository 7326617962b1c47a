//! What the node that leads tells of its cluster: the nodes, the links to them, the runs, and what went wrong.
//!
//! A look is asked for with `Request::Cluster`; only a peer whose description tells its [`Health`] knows that request.

use std::collections::BTreeMap;

use millrace_model::NodeId;
use serde::{Deserialize, Serialize};

use crate::alerts::AlertFigures;
use crate::autoscale::AutoscaleFigures;
use crate::change::{ChangeFigures, Changed};
use crate::figures::RunState;
use crate::message::JobId;

/// How a node's process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// When the process began, microseconds since 1970: another process at the same address has another.
    pub started_us: i64,
    /// What it takes of all the machine's cores, 0 to 100; none before the second look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The process's memory, in bytes.
    pub memory_bytes: u64,
    /// Parts that it takes in runs which are led elsewhere.
    #[serde(default)]
    pub shares: u32,
}

/// One look at a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// When it was looked at, microseconds since 1970.
    pub at_us: i64,
    /// The node that leads comes first.
    pub nodes: Vec<ClusterNode>,
    /// From the node that leads to each other.
    pub links: Vec<ClusterLink>,
    pub jobs: Vec<ClusterJob>,
    /// None if nothing has changed since the revision that was asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<FaultTimeline>,
    /// The control group, as the node that was asked knows it; none of a node that is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlLook>,
}

/// What a node of a control group knows of it. One that is cut off from the others does not know better.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLook {
    /// The term of the newest election that it has heard of.
    pub term: u64,
    /// Whether whoever leads heard of a majority lately; told by the one that leads alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_majority: Option<bool>,
    /// How many voters may be lost such that nothing is.
    pub survives: u32,
    /// Entries of the log that the node has carried out.
    pub applied: u64,
    pub nodes: Vec<ControlNode>,
    /// The runs that the group has agreed on, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<DeploymentLook>,
}

/// A run that a control group has agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentLook {
    pub name: String,
    /// Grows with each pipeline that it was changed to; 1 at first.
    pub version: u64,
    pub generation: u64,
    pub standing: DeploymentStanding,
    /// The node that leads it, or is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its newest complete epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Of how many nodes each epoch is to be on the disks; 0 where that is not asked for.
    #[serde(default)]
    pub replicas: u32,
    /// The nodes that hold the newest complete one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// The folder that it runs in; none of a run whose files are its node's alone, which ends with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why nobody leads it, or why the node that leads it took it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl DeploymentLook {
    /// Whether fewer nodes hold its newest epoch than are to.
    pub fn is_under_replicated(&self) -> bool {
        self.epoch.is_some() && self.holders.len() < self.replicas as usize
    }
}

/// What becomes of a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStanding {
    Running,
    /// Another node is to lead it, and has not begun to.
    TakenOver,
    /// Nobody leads it.
    #[default]
    Waiting,
    /// It was stopped, and can be gone on with.
    Stopped,
}

/// A node of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlNode {
    pub name: String,
    pub address: String,
    /// A node without a vote follows until there are enough for an odd number of votes.
    pub votes: bool,
    /// One of them at most.
    pub leads: bool,
    /// Whether it is the node that was asked.
    pub is_asked: bool,
}

impl ControlLook {
    pub fn leader(&self) -> Option<&ControlNode> {
        self.nodes.iter().find(|node| node.leads)
    }
}

/// A node: the one that leads (member 0), or one that has joined it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// As tasks name it. A node that joins again has another.
    pub member: u32,
    /// Where it listens; none of the node that leads, which is known by where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How often a node has joined from that address.
    pub incarnation: u32,
    pub standing: Standing,
    /// Since when it stands so, microseconds since 1970.
    pub since_us: i64,
    /// Why it is suspected or lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of how many tasks of each operator it takes part; none of the node that leads, where sources and sinks are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The most tasks of one operator that it runs, of all runs together.
    pub slots_used: u32,
    /// Tasks that it runs.
    pub tasks: u32,
    /// 0 where it was not told.
    pub cores: u32,
    /// The machine's memory, in bytes; 0 where it was not told.
    pub memory_bytes: u64,
    /// As last told; none of a peer of the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Whether it is being emptied, to be stopped.
    #[serde(default, skip_serializing_if = "Drain::is_no")]
    pub drain: Drain,
    /// What stays there although it drains, each with why, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<String>,
    /// The release that it runs; none where it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Whether a node is being emptied, so that it can be stopped and nothing is missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// It takes part.
    #[default]
    No,
    /// It takes nothing new, and something is left.
    Draining,
    /// Nothing runs there any more.
    Drained,
}

impl Drain {
    pub const fn is_no(&self) -> bool {
        matches!(self, Drain::No)
    }
}

/// How far a node has come in being emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainLook {
    /// What the node is called: its address or its name; empty where nobody knows it by another one than it was asked at.
    #[serde(default)]
    pub node: String,
    pub drain: Drain,
    /// Runs that it leads, and parts that it takes in runs which are led elsewhere.
    #[serde(default)]
    pub leads: u32,
    #[serde(default)]
    pub shares: u32,
    /// What stays there although it drains, each with why, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<String>,
}

/// Whether a node is in reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is the node that was asked.
    Leads,
    Joined,
    /// Its connection was dropped and is being made again, or it does not answer.
    Suspected,
    Lost,
}

/// The session with a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterLink {
    pub member: u32,
    /// Payloads of the data side, since the session began.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// In the last second or so.
    pub sent_per_s: f64,
    pub received_per_s: f64,
    /// How long the last question took to be answered, microseconds; none before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
    /// Connections that were dropped and made again.
    pub resumes: u64,
}

/// A run, of whatever session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterJob {
    pub job: JobId,
    /// The pipeline file's name.
    pub name: String,
    pub state: RunState,
    pub elapsed_ms: u64,
    /// Records read by all sources.
    pub rows_in: u64,
    pub late: u64,
    pub quarantined: u64,
    /// Its newest complete epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// By node of the pipeline: the member that runs each of its tasks, by the task's number.
    pub places: BTreeMap<NodeId, Vec<u32>>,
    /// Tasks of every node that does not say otherwise; 0 where it was not told.
    #[serde(default)]
    pub parallelism: u32,
    /// Its newest change while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeFigures>,
    /// Its alerts that fire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firing: Vec<AlertFigures>,
    /// Whether its tasks would be spread better over the nodes that are there now than they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spreads_better: bool,
    /// How its numbers of tasks follow its load; none where they are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleFigures>,
}

/// What became of a run that was to be spread anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balanced {
    pub job: JobId,
    /// The pipeline file's name.
    pub name: String,
    /// What came of it; none if it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Changed>,
    /// Why it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What happened to nodes and runs, oldest first. Bounded: the oldest go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultTimeline {
    /// Grows with every change.
    pub revision: u64,
    pub incidents: Vec<Incident>,
}

/// What one node of a control group has seen, as it tells it to the others and they to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelinePage {
    /// The node that has seen it, by its name.
    pub by: String,
    pub mark: PageMark,
    /// The newest, oldest first.
    pub incidents: Vec<Incident>,
}

/// How new a page is. Of one node the greater is the newer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PageMark {
    /// Of the node's process: each start has a greater one.
    pub incarnation: u64,
    /// Grows with every change.
    pub revision: u64,
}

/// A root cause, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: u64,
    pub root: Happening,
    /// Oldest first.
    pub victims: Vec<Happening>,
    /// Victims that are not listed.
    #[serde(default)]
    pub unlisted: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// Wall clock of the node that leads, microseconds since 1970.
    pub at_us: i64,
    /// A stable kind, one of [`happenings`].
    pub kind: String,
    /// The address of the node that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The run that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The name of its pipeline file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The run's alert that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// What happened and why, in words.
    pub message: String,
}

/// The kinds of happenings. A reader shows one that it does not know by its words.
pub mod happenings {
    pub const NODE_JOINED: &str = "node_joined";
    /// A connection was dropped, or a node does not answer.
    pub const NODE_SUSPECTED: &str = "node_suspected";
    /// It is in reach again, and nothing was lost.
    pub const NODE_RESUMED: &str = "node_resumed";
    pub const NODE_LOST: &str = "node_lost";
    /// It is being emptied, as somebody asked..
    pub const NODE_DRAINS: &str = "node_drains";
    /// ..was stopped once it was empty..
    pub const NODE_LEFT: &str = "node_left";
    /// ..or takes part again.
    pub const NODE_TAKES_PART: &str = "node_takes_part";
    /// Tasks ended with the node that ran them.
    pub const TASKS_LOST: &str = "tasks_lost";
    pub const CHECKPOINT_FAILED: &str = "checkpoint_failed";
    /// One took long, with how long each of its phases took.
    pub const CHECKPOINT_SLOW: &str = "checkpoint_slow";
    /// A run begins again after a failure.
    pub const RESTARTED: &str = "restarted";
    /// A run goes on in other numbers of tasks, as somebody asked it to.
    pub const RESCALED: &str = "rescaled";
    /// Tasks of a run are at other nodes, as somebody asked.
    pub const MOVED: &str = "moved";
    /// A run is to, as its load asks for: why, in numbers.
    pub const AUTOSCALED: &str = "autoscaled";
    /// It could not.
    pub const AUTOSCALE_REFUSED: &str = "autoscale_refused";
    /// A run goes on as another pipeline, or as the one before again.
    pub const UPGRADED: &str = "upgraded";
    pub const ROLLED_BACK: &str = "rolled_back";
    /// Its rows flow again.
    pub const RUNNING: &str = "running";
    /// A run has failed for good.
    pub const FAILED: &str = "failed";
    /// A figure of a run passed the threshold of an alert, with what was measured..
    pub const ALERT_FIRING: &str = "alert_firing";
    /// ..and came back.
    pub const ALERT_RESOLVED: &str = "alert_resolved";
    /// Another node leads the control group.
    pub const LEADER_CHANGED: &str = "leader_changed";
    /// A node leads a deployment whose node is gone.
    pub const TAKEN_OVER: &str = "taken_over";
    /// No node can lead a deployment at the moment.
    pub const DEPLOYMENT_WAITS: &str = "deployment_waits";
    /// Fewer nodes hold a deployment's newest epoch than are to.
    pub const UNDER_REPLICATED: &str = "under_replicated";
    /// As many hold it again.
    pub const REPLICATED: &str = "replicated";
}
