//! The session protocol: what a studio or the terminal asks of an engine, and what the engine says.
//!
//! Requests and events are small and travel on the control side. Rows and file contents are data: they travel on the data side as
//! [`DataHeader`] plus a payload (a batch as it is in process, Arrow IPC at a socket).

use std::collections::BTreeMap;
use std::fmt;

use millrace_model::{Diagnostic, NodeId, PortRef, Schema};
use serde::{Deserialize, Serialize};

use crate::change::{Changed, SavepointTaken, Scale, Upgraded};
use crate::cluster::{Balanced, Cluster, Drain, DrainLook, Health, PageMark, TimelinePage};
use crate::figures::{JobFigures, RunState, Summary};

/// The oldest protocol that this release speaks, which every peer must understand: a session of it ends with its connections.
pub const PROTOCOL_VERSION: u16 = 1;

/// The newest protocol that this release speaks: its sessions outlive their connections (see [`crate::resume`]).
pub const NEWEST_PROTOCOL: u16 = 2;

/// Whether this release speaks a protocol: its own, and the one before.
pub const fn is_spoken(protocol: u16) -> bool {
    PROTOCOL_VERSION <= protocol && protocol <= NEWEST_PROTOCOL
}

/// A run of a pipeline on an engine, unique within the engine's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// One attempt at a run at one member of it, unique within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShareId(pub u64);

/// One channel of an exchange, from one task to one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeId {
    /// The exchange's number in the plan.
    pub exchange: u32,
    pub from: u32,
    pub to: u32,
}

/// Pairs a request with its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// A file that goes to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Relative to the project's root, parts joined by `/`: see [`crate::path::may_travel`].
    pub path: String,
    pub bytes: u64,
}

/// How to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Tasks per node; the pipeline's own, else the number of cores, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Most rows in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_rows: Option<u32>,
    /// Whether sources with `replay` keep their pace.
    #[serde(default)]
    pub replay: bool,
    /// Whether an unfinished run of the same pipeline is given up instead of resumed.
    #[serde(default)]
    pub fresh: bool,
    /// The savepoint to go on from. A peer of the release before knows none, and resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether it may go back below an epoch that sinks have committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_rewind: bool,
    /// Whether it may go on without the state that a changed pipeline cannot keep.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_state_loss: bool,
    /// `--set node.field=value`, in order.
    #[serde(default)]
    pub overrides: Vec<(String, String)>,
    /// The folder that it is run in, where the engine shares it with the asking side: then no file travels. Only an engine whose description tells
    /// that it shares the folder is asked so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<SharedPlace>,
}

/// Longest name of a deployment that a control group keeps running, in bytes.
pub const MAX_DEPLOYMENT_NAME: usize = 64;

/// A project that every node of a cluster which may lead its runs sees under one path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPlace {
    /// The project's root, absolute and without links.
    pub root: String,
    /// The pipeline file's folder, absolute and without links.
    pub folder: String,
    /// What is written in the project's mark.
    pub mark: String,
    /// What the control group calls its deployment; the file's name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The generation in which it was handed to the node that is asked; none if somebody wants it to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<u64>,
}

/// A pipeline to run: its text, and the environment it refers to, as the asking side reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The file's name as shown in messages.
    pub name: String,
    pub text: String,
    pub env: BTreeMap<String, String>,
    pub options: RunOptions,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Request {
    /// What this engine is.
    Describe,
    /// Prepares a place for a run's inputs. Reply: `Staged`. An engine in the asking process stages nothing.
    Stage {
        deployment: Deployment,
        /// The pipeline file's folder, relative to the project's root, parts joined by `/`; empty for the root itself.
        #[serde(default)]
        folder: String,
        /// The files that the asking side will send. No other is taken.
        #[serde(default)]
        inputs: Vec<InputFile>,
    },
    /// Checks and starts what was staged, after its inputs came over the data side. Reply: `Started` or `Rejected`.
    Start {
        job: JobId,
    },
    /// Ends a run, of this session or of another: whoever may run here may stop.
    Stop {
        job: JobId,
        mode: StopMode,
    },
    /// Fails a run's tasks as a crash would: a run that is kept goes on from its last epoch, any other ends. To see what a fault does. A peer
    /// of the release before refuses it.
    Kill {
        job: JobId,
    },
    /// Has a run, of this session or of another, go on in other numbers of tasks. Reply: `Changed`, once its rows flow again. A peer whose
    /// description does not tell that it can change runs would end the session.
    Scale {
        job: JobId,
        scale: Scale,
    },
    /// Keeps the state of a run, of this session or of another, under a name. Reply: `Savepoint`, once it is at rest. As with `Scale`, not every peer
    /// knows it.
    Savepoint {
        job: JobId,
        name: String,
    },
    /// Has a run, of this session or of another, go on as another pipeline, in the files that it was staged with. Reply: `Upgraded`, once its rows
    /// flow again, or `Rejected`; `looks_only`: what it would keep. As with `Scale`, not every peer knows it.
    Upgrade {
        job: JobId,
        deployment: Deployment,
        #[serde(default)]
        looks_only: bool,
    },
    /// Takes the newest upgrade of a run back, to the savepoint that was taken for it. Reply: `Changed`; refused with what sinks have shown since, unless
    /// that may be taken back.
    RollBack {
        job: JobId,
        #[serde(default)]
        allow_rewind: bool,
    },
    /// Sends [`Event::Figures`] this often; 0 ends it.
    WatchFigures {
        job: JobId,
        every_ms: u32,
    },
    /// Samples an edge's rows onto the data side until `off`.
    Tap {
        job: JobId,
        from: PortRef,
        to: NodeId,
        on: bool,
        max_rows: u32,
    },
    /// Sends the rows that a `dashboard` shows onto the data side: what it holds, then what comes.
    WatchResults {
        job: JobId,
        node: NodeId,
        on: bool,
    },
    /// Ends a job's life on the engine: its files and figures are forgotten.
    Forget {
        job: JobId,
    },
    /// A node offers to take part in the runs that the engine leads, in so many tasks of each operator. It is called at this address, with this
    /// token, before the reply.
    Enlist {
        address: String,
        token: String,
        slots: u32,
        /// It takes nothing new, since it is to be stopped. A leader of the release before takes no notice.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        drains: bool,
        /// Whether it understands `Enlisted`. Who does not is told `Done`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        learns: bool,
    },
    /// Has the runs that would be spread better over the nodes that are there now be spread anew. Reply: `Balanced`, once their rows flow again. A peer whose
    /// description tells no `drain` does not know it, and would end the session.
    Balance,
    /// Has a node be emptied, or take part again: the node that is asked, or another that it knows, by its address, name or number. Without `drains` it is
    /// only looked how far that has come. Reply: `Drain`. A peer whose description tells no `drain` does not know it, and would end the session.
    Drain {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drains: Option<bool>,
    },
    /// Asks a node to take part in a run that the asking side leads: to make the tasks of `start` (`ShareStart` of the runtime, as JSON), of this
    /// deployment whose sources have these columns. What becomes of it is told by [`Event::Share`].
    TakePart {
        share: ShareId,
        deployment: Deployment,
        columns: BTreeMap<NodeId, Schema>,
        start: serde_json::Value,
    },
    /// Tells a member something: `MemberOrder` of the runtime, as JSON.
    Order {
        share: ShareId,
        order: serde_json::Value,
    },
    /// The member is not needed any more, whatever it does.
    Dismiss {
        share: ShareId,
    },
    /// A look at the cluster that the engine leads. Reply: `Cluster`, with the fault timeline if it has changed since that revision. A peer whose
    /// description tells no health is of the release before, and would end the session.
    Cluster {
        known: u64,
    },
    /// What a node of a control group asks of another: `Question` of `millrace-control`, as JSON. Reply: `Consensus`. A peer whose description says
    /// nothing of control does not know it, and would end the session.
    Consensus {
        question: serde_json::Value,
    },
    /// Opens what a node of the control group holds of a deployment's state, for the asking node: the asks and answers of its store go on the data
    /// side under this share, until it is dismissed. As with `Consensus`, not every peer knows it.
    Replica {
        share: ShareId,
        deployment: String,
        open: ReplicaOpen,
    },
    /// Has the control group keep a pipeline running, in a folder that its nodes share, whoever asked for it. Reply: `Deployed`. As with `Consensus`, not
    /// every peer knows it.
    Deploy {
        deployment: Deployment,
    },
    /// Ends a deployment of the control group, and forgets its state. As with `Consensus`, not every peer knows it.
    Remove {
        deployment: String,
    },
    Ping {
        sent_us: u64,
    },
    /// Makes a join token that lets one in as this role, once, for so long. Reply: `Invited`. A peer whose description does not tell that it keeps
    /// certificates does not know this one and the next three, and would end the session.
    Invite {
        role: String,
        life_s: u64,
    },
    /// Takes all certificates of a name back.
    Revoke {
        name: String,
    },
    /// Who has certificates. Reply: `Certificates`.
    Certificates,
    /// A node of the control group is gone for good: the group does without it, and another one votes in its place.
    Expel {
        node: String,
    },
    /// What a node of a control group has seen and heard of others, as far as it is newer than these pages, by the names of the nodes that told them. Reply:
    /// `Timeline`. As with `Invite`, not every peer knows it.
    Timeline {
        known: BTreeMap<String, PageMark>,
    },
}

/// What a node wants with a deployment's state at another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaOpen {
    /// To take what is there. Nothing of it goes for a while.
    Read,
    /// To put down what its run completes, in this generation: no older one may any more.
    Write { generation: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// Sources end, rows in flight are committed, open windows do not fire.
    Drain,
    /// At once; nothing more is committed.
    Abort,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    Description(EngineDescription),
    /// The job's id, and the input files that the engine wants sent.
    Staged {
        job: JobId,
        wanted: Vec<String>,
    },
    Started {
        job: JobId,
    },
    /// The pipeline is wrong; nothing runs.
    Rejected {
        diagnostics: Vec<Diagnostic>,
    },
    Done,
    Failed {
        diagnostic: Diagnostic,
    },
    Pong {
        sent_us: u64,
    },
    Changed {
        change: Changed,
    },
    Savepoint {
        savepoint: SavepointTaken,
    },
    Upgraded {
        upgraded: Upgraded,
    },
    Cluster {
        cluster: Box<Cluster>,
    },
    /// `Told` of `millrace-control`, as JSON.
    Consensus {
        told: serde_json::Value,
    },
    /// What the control group calls it.
    Deployed {
        deployment: String,
    },
    /// A join token, to be shown once.
    Invited {
        token: Secret,
    },
    Certificates {
        certificates: Vec<Certificate>,
    },
    Timeline {
        /// The wall clock of whoever answers, microseconds since 1970.
        at_us: i64,
        pages: Vec<TimelinePage>,
    },
    /// The node takes part. The nodes of the control group, of which any may lead runs: it may take part in those too.
    Enlisted {
        #[serde(default)]
        control: Vec<ControlPeer>,
    },
    Drain {
        look: DrainLook,
    },
    Balanced {
        runs: Vec<Balanced>,
    },
}

/// A text that is shown on purpose, and to no log by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Somebody who has, or had, a certificate of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub name: String,
    pub role: String,
    /// When the newest one ends, in seconds since 1970.
    pub expires: u64,
    pub revoked: bool,
}

/// A node of a control group, as the others reach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ControlPeer {
    /// Its certificate's.
    pub name: String,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineDescription {
    pub version: String,
    pub protocol: u16,
    pub cores: u32,
    pub memory_bytes: u64,
    /// How its process is now. A peer of the release before tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Whether it is of a control group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
    /// Whether it can change runs that are under way. A peer of the release before cannot.
    #[serde(default)]
    pub changes: bool,
    /// The folders that it shares with others, under the same paths: a project below one is run where it lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Whether it can be asked for tokens and certificates, and for its pages of the fault timeline. A peer of the release before cannot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admits: bool,
    /// Whether it is being emptied. A peer of the release before tells none, and knows nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    State {
        job: JobId,
        state: RunState,
    },
    Figures {
        job: JobId,
        figures: JobFigures,
    },
    /// Something happened that a person may want to know.
    Notice {
        job: JobId,
        notice: Notice,
    },
    /// What a member of a run tells its leader: `MemberReport` of the runtime, as JSON. None: it is through, and tells nothing more.
    Share {
        share: ShareId,
        report: Option<serde_json::Value>,
    },
    /// The run is over and every output file that comes back has been sent before this.
    Ended {
        job: JobId,
        state: RunState,
        summary: Summary,
        cause: Option<Failure>,
    },
}

/// A line of the Events screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Wall clock, microseconds since 1970; of the last time, if it happened more than once.
    pub at_us: i64,
    pub severity: NoticeSeverity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The alert that it is about. A peer of the release before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// A stable kind: `bad_records`, `stalled_input`, `slow_sink`, `late_rows`, `started`, `window`, `failed`,
    /// `resumed`, `restarted`, `checkpoint_failed`, `checkpoint_slow`, `savepoint`, `state_changed`, `rescaled`, `moved`,
    /// `upgraded`, `rolled_back`, `change_refused`, `alert_firing`, `alert_resolved`, `alert_not_told`,
    /// `autoscaled`, `autoscale_refused`, `autoscale_advice`, `left_out`.
    pub kind: String,
    /// In words.
    pub message: String,
    /// How often it happened since it was last said.
    pub count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeSeverity {
    Info,
    Warning,
    Error,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub diagnostic: Diagnostic,
    /// Whether a retry can help.
    pub retryable: bool,
    /// Some of the rows that were being worked on, as JSON objects.
    #[serde(default)]
    pub sample: Vec<String>,
}

/// What stands in a control frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "control")]
pub enum Control {
    /// Asking side to engine.
    Request { id: RequestId, request: Request },
    /// Engine to asking side.
    Reply { id: RequestId, reply: Reply },
    /// Engine to asking side.
    Event { event: Event },
}

/// What can be asked of a store, as `millrace_state` means it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum StoreAsk {
    Put {
        path: String,
    },
    /// The same of bytes that have this xxh3: what came otherwise is not put down.
    PutWhole {
        path: String,
        checksum: u64,
    },
    PutUntilKept {
        path: String,
    },
    Keep {
        path: String,
    },
    Create {
        path: String,
    },
    Get {
        path: String,
        most_bytes: u64,
    },
    GetRange {
        path: String,
        at: u64,
        bytes: u64,
    },
    List {
        path: String,
    },
    Remove {
        path: String,
    },
    RemoveFolder {
        path: String,
    },
    Settle {
        path: String,
    },
}

impl StoreAsk {
    pub fn path(&self) -> &str {
        match self {
            StoreAsk::Put { path }
            | StoreAsk::PutWhole { path, .. }
            | StoreAsk::PutUntilKept { path }
            | StoreAsk::Keep { path }
            | StoreAsk::Create { path }
            | StoreAsk::Get { path, .. }
            | StoreAsk::GetRange { path, .. }
            | StoreAsk::List { path }
            | StoreAsk::Remove { path }
            | StoreAsk::RemoveFolder { path }
            | StoreAsk::Settle { path } => path,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum StoreAnswer {
    Done,
    /// Whether it was created now; something stood there before if not.
    Created {
        now: bool,
    },
    /// The bytes that come with it.
    Bytes,
    /// There is nothing at that path.
    Nothing,
    Names {
        names: Vec<String>,
    },
    Failed {
        why: String,
        retryable: bool,
    },
}

/// What a payload on the data side is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "data")]
pub enum DataHeader {
    /// Rows of a `dashboard`. `dropped` rows came before and were not kept. `newest_us`: the wall-clock stamp of the newest row.
    Results { job: JobId, node: NodeId, dropped: u64, newest_us: i64 },
    /// A sample of an edge. `dropped` sampled rows came before and were not kept.
    TapRows {
        job: JobId,
        from: PortRef,
        to: NodeId,
        #[serde(default)]
        dropped: u64,
    },
    /// A part of an input file, asking side to engine.
    InputFile { job: JobId, path: String, offset: u64, last: bool },
    /// A part of an output file, engine to asking side. It is complete, to be renamed into place, at `last`.
    OutputFile { job: JobId, path: String, offset: u64, last: bool },
    /// An element of an edge between two members of a run, either way. `raw`: how long it was before it was packed (LZ4, a block); 0 if it was not.
    Edge {
        share: ShareId,
        edge: EdgeId,
        #[serde(default, skip_serializing_if = "is_zero")]
        raw: u32,
    },
    /// So much of what came by an edge was taken, against the way of its elements. `hungry`: whether there was nothing to take at some time since the
    /// last one; who says so can unpack what comes by that edge, and nothing is packed for others.
    Credit {
        share: ShareId,
        edge: EdgeId,
        bytes: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hungry: Option<bool>,
    },
    /// What a member asks of the store that its leader keeps the run's state in, with a part of the bytes that belong to it.
    StoreCall { share: ShareId, call: u64, ask: StoreAsk, last: bool },
    /// The answer, with a part of its bytes.
    StoreAnswer { share: ShareId, call: u64, answer: StoreAnswer, last: bool },
    /// Nothing more comes of this job. [`Event::Ended`] travels on another socket: the asking side holds it back until it saw this.
    EndOfJob { job: JobId },
}

const fn is_zero(raw: &u32) -> bool {
    *raw == 0
}

impl DataHeader {
    /// The share that it belongs to, if it goes between members of a run.
    pub const fn share(&self) -> Option<ShareId> {
        match self {
            DataHeader::Edge { share, .. }
            | DataHeader::Credit { share, .. }
            | DataHeader::StoreCall { share, .. }
            | DataHeader::StoreAnswer { share, .. } => Some(*share),
            _ => None,
        }
    }

    /// The job that the payload belongs to; none of what goes between members of a run.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            DataHeader::Results { job, .. }
            | DataHeader::TapRows { job, .. }
            | DataHeader::InputFile { job, .. }
            | DataHeader::OutputFile { job, .. }
            | DataHeader::EndOfJob { job } => Some(*job),
            DataHeader::Edge { .. } | DataHeader::Credit { .. } | DataHeader::StoreCall { .. } | DataHeader::StoreAnswer { .. } => None,
        }
    }
}
