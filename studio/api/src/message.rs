//! The envelopes: requests with their replies, and events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use crate::catalog::Catalog;
use crate::chart::ChartInfo;
use crate::cluster::Cluster;
use crate::document::{Column, Conflict, Document, Finding, TextDiff};
use crate::edit::Edit;
use crate::home::{Directory, Home, Target};
use crate::rows::RowsPage;
use crate::run::{AlertTold, Figures, Notice, RunInfo, Savepoint, UpgradeLook};

/// The protocol's version. Screens and studio are built together; a page left open from an earlier release is told to reload.
pub const API_VERSION: u32 = 1;

/// A request longer than this is refused before it is read.
pub const MAX_REQUEST_BYTES: usize = 8 << 20;

/// What the screens send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ClientMessage {
    /// Comes back with the reply. 0 wants none.
    pub id: u32,
    pub request: Request,
}

/// What the studio sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "message")]
pub enum ServerMessage {
    Reply { id: u32, outcome: Outcome },
    Event { event: Box<Event> },
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok(Box<Reply>),
    Error(ApiError),
}

/// Why a request was not carried out, for the person who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ApiError {
    /// A stable code: an `MR0123` of the engine's, or `stale_text`, `not_open`, `no_run`, `not_found`, `would_lose`, `denied`, `name_taken`, `bad_request`.
    pub code: String,
    /// What happened, where, and what to do.
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Finding>>")]
    pub findings: Vec<Finding>,
}

/// What can be asked. Everything that changes the document or the run answers `Done` and is then told as an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Request {
    /// The first request. Reply: `Welcome`; then come the events that tell the present state (document, run, figures, notices).
    Hello {
        api: u32,
    },
    /// Reply: `Home`.
    Home,
    /// Opens a file. Nothing runs by it. Reply: `Done`, then a `Document` event.
    Open {
        path: String,
    },
    /// Opens a copy of a sample.
    OpenSample {
        sample: String,
    },
    /// Opens an empty pipeline that is on no disk yet.
    New,
    /// Closes the project; refused with `unsaved` while it has unsaved changes, unless `discard`. A `Closed` event follows.
    Close {
        discard: bool,
    },
    /// Writes the text to its file; refused with `no_path` before the first `SaveAs`.
    Save,
    SaveAs {
        path: String,
    },
    /// One gesture: all of its edits are carried out, as one step of undo, or none.
    Edit {
        edits: Vec<Edit>,
    },
    /// The text as typed. Refused with `stale_text` where `base_revision` is no longer the document's.
    SetText {
        text: String,
        base_revision: u32,
        /// Whether it goes on with the typing before, so that one step of undo takes back both.
        continues: bool,
    },
    Undo,
    Redo,
    /// The tables of some nodes as text, for the clipboard. Reply: `Text`.
    Copy {
        nodes: Vec<String>,
    },
    /// Types an expression that is being typed in a form. Reply: `Checked`.
    CheckField {
        node: String,
        path: Vec<String>,
        #[ts(type = "unknown")]
        value: Value,
    },
    ResolveConflict {
        choice: ConflictChoice,
    },
    /// Runs the text as it stands.
    Run {
        target: String,
        replay: bool,
    },
    /// Drains and ends the run; `abort` ends it at once.
    Stop {
        abort: bool,
    },
    /// Ends the run and runs the text as it stands, at the same target.
    Restart,
    /// Fails the tasks of the run as a crash would, to see it go on from its last checkpoint.
    Kill,
    /// Has the run go on in other numbers of tasks: of every node that does not say otherwise, or of some by name. `Done` says that it was asked
    /// for; the figures and a notice tell what came of it.
    Rescale {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        parallelism: Option<u32>,
        #[serde(default)]
        nodes: BTreeMap<String, u32>,
    },
    /// What the run would keep of its state if it went on as the text stands. `Done` says that it was asked for; an `Upgrade` event tells.
    LookAtUpgrade,
    /// Has the run go on as the text stands, with its state. `Done` says that it was asked for; the run and a notice tell what came of it.
    Upgrade {
        /// Of the text that was looked at; refused with `stale_text` if it is another by now.
        revision: u32,
        /// Also where not all of the state can be kept.
        allow_state_loss: bool,
    },
    /// Takes the newest upgrade of the run back, to this savepoint; refused with `not_found` if another one is the newest by now. `Done` says that it was
    /// asked for; a `WouldRewind` event tells who asked what sinks have shown since, unless that may be taken back.
    RollBack {
        savepoint: String,
        allow: bool,
    },
    /// Takes a savepoint of the run under that name. `Done` says that it was asked for; a notice tells when it is there.
    Savepoint {
        name: String,
    },
    /// Reply: `Savepoints`, those of the open pipeline on this computer.
    Savepoints,
    /// Runs the text as it stands from a savepoint. Refused with `would_lose`, and what, where rows that sinks have shown since would be
    /// taken back or come twice, unless `allow`.
    RestoreFrom {
        name: String,
        allow: bool,
    },
    /// What differs between the running text and the document's. Reply: `Diff`.
    DiffRunning,
    /// Samples an edge until `on` is false; the rows come as frames, twice a second.
    Tap {
        from: String,
        port: String,
        to: String,
        on: bool,
    },
    /// Sends a chart's frames until `on` is false: all that it holds, then what comes.
    WatchChart {
        node: String,
        on: bool,
    },
    /// Rows that a chart holds, newest last. `x_from` and `x_to` cut them by x (milliseconds where x is a time). Reply: `Rows`.
    ChartRows {
        node: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        x_from: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        x_to: Option<f64>,
        /// Counted from the newest row backwards.
        offset: u32,
        limit: u32,
    },
    /// Lists a folder within what may be shown; the project's, else the studio's own, where `path` is absent. Reply: `Directory`.
    ListDir {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        path: Option<String>,
    },
    /// Reply: `Targets`.
    Targets,
    /// Connects to a node and remembers its address, not its token. Reply: `Targets`.
    AddTarget {
        address: String,
        token: String,
    },
    /// Tells the cluster at a target, and no other any more, by `Cluster` events; none if absent.
    WatchCluster {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        target: Option<String>,
    },
    /// Has a node of the cluster at a target be emptied, or take part again. `Done` says that it was asked for; the cluster tells what comes of it.
    DrainNode {
        target: String,
        member: u32,
        on: bool,
    },
    /// Frames handled since the last `Ack`.
    Ack {
        frames: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ConflictChoice {
    /// Keeps the text of the studio; the next save overwrites the file.
    Mine,
    /// Takes the file's text; undo brings the studio's back.
    Theirs,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "reply", content = "value")]
pub enum Reply {
    Done,
    Welcome(Box<Welcome>),
    Home(Home),
    Text(String),
    Checked(CheckedField),
    Diff(TextDiff),
    Rows(RowsPage),
    Directory(Directory),
    Targets(Vec<Target>),
    Savepoints(Vec<Savepoint>),
}

/// What the studio is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Welcome {
    pub api: u32,
    /// `0.1.0`
    pub version: String,
    pub platform: Platform,
    pub catalog: Catalog,
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    Desktop,
    Browser,
}

/// What the checker says of a value that is not in the text yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct CheckedField {
    /// The expression's type, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, rename = "type")]
    #[serde(rename = "type")]
    pub data_type: Option<String>,
    /// The columns that it may use.
    pub columns: Vec<Column>,
    pub findings: Vec<Finding>,
}

/// What the studio tells without being asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "event", content = "value")]
pub enum Event {
    Document(Document),
    /// No project is open: the home screen.
    Closed,
    /// The run as it stands; none before the first.
    Run(Option<RunInfo>),
    /// Twice a second while a run lives.
    Figures(Figures),
    /// Lines that the Events screen gains; `reset` begins anew.
    Notices {
        reset: bool,
        notices: Vec<Notice>,
    },
    /// All charts of the running text, in the file's order.
    Charts(Vec<ChartInfo>),
    Conflict(Option<Conflict>),
    Targets(Vec<Target>),
    /// To screens that watch that target.
    Cluster(Cluster),
    Alert(AlertTold),
    /// Answers `LookAtUpgrade`.
    Upgrade(UpgradeLook),
    /// Why the run was not rolled back: what would be taken back with it.
    WouldRewind {
        savepoint: String,
        why: String,
    },
    /// Something to say that belongs to no request.
    Toast {
        severity: Severity,
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Error,
}
