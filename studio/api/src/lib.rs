//! What the studio and its screens say to each other: the types, and the one codec of both transports.
//!
//! A pure room: serde and ts-rs only. `ui/src/generated/api.ts` is made from these types; a test holds it up to date.
//!
//! # Transports
//! - **Browser**: a WebSocket at `/api/session`, asked for with the subprotocols [`SUBPROTOCOL`] and [`TOKEN_SUBPROTOCOL`]`TOKEN` (so
//!   that the token stands in no address); the studio answers with the first. [`ClientMessage`] and [`ServerMessage`] are text
//!   messages; binary messages are [frames](frame). The page finds the token behind `#token=` in its address and keeps it in
//!   `sessionStorage`.
//! - **Desktop**: the shell's command `subscribe { channel }` opens the session, over whose channel of raw bytes come frames (a
//!   [`ServerMessage`] under [`frame::FrameKind::Message`]); `request { message }` takes a [`ClientMessage`] as JSON text and answers
//!   nothing. Beside them the page calls `choose_open {} -> path | null`, `choose_save { name } -> path | null` (native dialogs) and
//!   `save_bytes` (a raw body, the suggested name in the header `name`, percent-encoded; `-> bool`) for pictures and tables.
//!
//! # Numbers
//! JavaScript's numbers are exact up to 2^53, so 64-bit counters travel as `f64` and times as milliseconds since 1970 in an `f64`;
//! values of rows travel as text.

/// The WebSocket's subprotocol.
pub const SUBPROTOCOL: &str = "millrace.v1";
/// What stands before the token in the other subprotocol that the page names.
pub const TOKEN_SUBPROTOCOL: &str = "token.";

pub mod catalog;
pub mod chart;
pub mod chart_frame;
pub mod cluster;
pub mod document;
pub mod edit;
pub mod frame;
pub mod home;
pub mod message;
pub mod rows;
pub mod run;
pub mod typescript;

pub use catalog::{Catalog, FunctionInfo, InputsInfo, KindInfo, PortInfo};
pub use chart::{AxisKind, ChartAxis, ChartInfo, ChartMark, ChartSeries};
pub use chart_frame::{ChartFrame, ChartFrameError};
pub use cluster::{
    Cluster, ClusterContact, ClusterDrain, ClusterJob, ClusterLink, ClusterNode, ClusterStanding, ControlGroup, ControlNode, ControlPart,
    DeploymentState, GroupDeployment, Happening, Incident,
};
pub use document::{
    Broken, Column, Conflict, Delivery, DiffLine, DiffLineKind, Document, DocumentCause, Explanation, Finding, FindingSeverity, Graph,
    GraphAlert, GraphInput, GraphNode, GraphPort, Guarantee, LineRange, TextDiff, Touch, TouchKind,
};
pub use edit::Edit;
pub use home::{DirEntry, DirEntryKind, Directory, Home, RecentProject, Sample, Target, TargetState};
pub use message::{
    API_VERSION, ApiError, CheckedField, ClientMessage, ConflictChoice, Event, MAX_REQUEST_BYTES, Outcome, Platform, Reply, Request,
    ServerMessage, Severity, Welcome,
};
pub use rows::{RowsFrame, RowsPage, RowsSubject};
pub use run::{
    Alert, AlertStanding, AlertTold, Autoscale, AutoscaleMode, Bottleneck, Checkpoint, CheckpointOutcome, Differs, EdgeFigures, Figures,
    NodeFigures, Notice, Reconnecting, RunChange, RunInfo, RunPhase, RunUpgraded, Savepoint, Skew, TaskAdvice, UpgradeLook, WaitedFor,
    Webhook,
};
