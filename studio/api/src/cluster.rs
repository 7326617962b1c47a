//! A cluster as its leader tells it: nodes, links, runs, and what went wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The cluster at a target, about once a second while it is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Cluster {
    /// The target's id.
    pub target: String,
    pub contact: ClusterContact,
    /// When it was last looked at, milliseconds since 1970; none before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub at_ms: Option<f64>,
    /// The node that leads comes first.
    pub nodes: Vec<ClusterNode>,
    pub links: Vec<ClusterLink>,
    pub jobs: Vec<ClusterJob>,
    /// Oldest first.
    pub incidents: Vec<Incident>,
    /// Why a node was not drained that somebody here wanted to be, until the next wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub refused: Option<String>,
    /// Parts that the node takes in runs which another leads.
    pub led_elsewhere: u32,
    /// The control group that the node is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub control: Option<ControlGroup>,
}

/// A control group as the node that was asked knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ControlGroup {
    /// The term of the newest election.
    pub term: f64,
    /// False if whoever leads hears of no majority: nothing can be agreed on then.
    pub has_majority: bool,
    /// How many voters may be lost such that nothing is.
    pub survives: u32,
    pub nodes: Vec<ControlNode>,
    /// What the group keeps running, by name.
    pub deployments: Vec<GroupDeployment>,
}

/// A pipeline that a control group keeps running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct GroupDeployment {
    pub name: String,
    pub state: DeploymentState,
    /// The node that leads it, or is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub node: Option<String>,
    /// Its newest complete epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub epoch: Option<f64>,
    /// The nodes that hold that on their disks, and how many are to; 0 where that is not asked for.
    pub held: u32,
    pub replicas: u32,
    /// Why nobody leads it, or why another node is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    Running,
    /// Another node is to lead it, and has not begun to.
    TakenOver,
    /// Nobody can lead it at the moment.
    Waiting,
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ControlNode {
    /// As its certificate says.
    pub name: String,
    /// Without the scheme.
    pub address: String,
    pub part: ControlPart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ControlPart {
    Leads,
    Votes,
    /// It gets a vote once there are enough for an odd number of them.
    Follows,
}

/// Whether the leader is in reach. What it told last stays when it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ClusterContact {
    /// Nothing has come yet.
    Asking,
    Connected,
    /// A dropped connection is being made again.
    Reconnecting {
        since_ms: f64,
        why: String,
    },
    Lost {
        since_ms: f64,
        why: String,
    },
    /// The node is of an earlier release, and tells nothing of its cluster.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ClusterNode {
    /// 0 is the node that leads.
    pub member: u32,
    /// Its address without the scheme.
    pub name: String,
    /// How often a node has joined from that address.
    pub incarnation: u32,
    pub standing: ClusterStanding,
    /// Since when, milliseconds since 1970.
    pub since_ms: f64,
    /// Why it is suspected or lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub why: Option<String>,
    /// Of how many tasks of each operator it takes part; none of the node that leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub slots: Option<u32>,
    pub slots_used: u32,
    pub tasks: u32,
    /// 0 where it was not told, as `machine_bytes`.
    pub cores: u32,
    pub machine_bytes: f64,
    /// What its process takes of all its cores, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cpu_percent: Option<f64>,
    /// Its process's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub memory_bytes: Option<f64>,
    pub drain: ClusterDrain,
    /// What stays there although it is being drained, each with why.
    pub stays: Vec<String>,
    /// The release that it runs; none where it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub version: Option<String>,
}

/// Whether a node is being emptied, to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ClusterDrain {
    No,
    Draining,
    /// Nothing runs there any more.
    Drained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ClusterStanding {
    Leads,
    Joined,
    Suspected,
    Lost,
}

/// The session of the node that leads with another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ClusterLink {
    pub member: u32,
    pub name: String,
    pub sent_bytes: f64,
    pub received_bytes: f64,
    pub sent_per_s: f64,
    pub received_per_s: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub round_trip_ms: Option<f64>,
    /// Connections that were dropped and made again.
    pub resumes: f64,
}

/// A run on the cluster, whoever asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ClusterJob {
    pub job: f64,
    /// The pipeline file's name.
    pub name: String,
    /// Whether it is the run of this studio.
    pub mine: bool,
    /// `starting`, `running`, `draining`, `finished`, `stopped`, `failed`.
    pub state: String,
    pub elapsed_ms: f64,
    pub rows_in: f64,
    pub rows_per_s: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub epoch: Option<f64>,
    /// By node of the pipeline: the member that runs each of its tasks, by the task's number.
    pub places: BTreeMap<String, Vec<u32>>,
}

/// A root cause, with what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Incident {
    pub id: f64,
    pub root: Happening,
    /// Oldest first.
    pub victims: Vec<Happening>,
    /// Victims that are not listed.
    pub unlisted: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Happening {
    /// Milliseconds since 1970.
    pub at_ms: f64,
    /// A stable kind: `node_joined`, `node_suspected`, `node_resumed`, `node_lost`, `tasks_lost`, `checkpoint_failed`, `restarted`, `running`, `failed`, `leader_changed`.
    pub kind: String,
    /// The node that it happened to, by its address without the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub node: Option<String>,
    /// The name of the pipeline file that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pipeline: Option<String>,
    /// In words.
    pub message: String,
}
