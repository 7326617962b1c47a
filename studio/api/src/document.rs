//! The open pipeline: its text, and the graph that the text means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// The open pipeline after a change. The text is the truth; everything else is derived from it by the studio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Document {
    /// The file, absolute; none before the first save.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub path: Option<String>,
    /// The `[pipeline]` name, or the file's where it has none.
    pub name: String,
    /// The folder that paths may not leave.
    pub root: String,
    /// Whether the text differs from the file.
    pub dirty: bool,
    /// Grows with every change of the text.
    pub revision: u32,
    pub text: String,
    /// Of this text; of the last well-formed one while `broken` is set.
    pub graph: Graph,
    /// Why the text is not TOML. The graph is read-only until it is mended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub broken: Option<Broken>,
    pub findings: Vec<Finding>,
    pub can_undo: bool,
    pub can_redo: bool,
    /// Lines of the new text that this change touched.
    pub changed_lines: Vec<LineRange>,
    pub cause: DocumentCause,
    /// Nodes that this change made; the canvas selects them.
    pub new_nodes: Vec<String>,
}

/// Why a document was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DocumentCause {
    Opened,
    Edited,
    Typed,
    Moved,
    Undone,
    Redone,
    Saved,
    /// The file changed on disk and a clean project followed.
    Disk,
    /// The text is as before; its meaning was looked at again (a data file appeared, a schema changed).
    Checked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Broken {
    pub line: u32,
    pub column: u32,
    pub message: String,
}

/// Lines, counted from 1, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LineRange {
    pub first: u32,
    pub last: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Graph {
    /// The `[pipeline]` table as written.
    #[ts(type = "Record<string, unknown>")]
    pub settings: Value,
    /// In the file's order.
    pub nodes: Vec<GraphNode>,
    /// In the file's order.
    pub alerts: Vec<GraphAlert>,
    /// What a run would read and write, for the reader of a stranger's file.
    pub touches: Vec<Touch>,
}

/// What there is of a file that never was well-formed: nothing, in the shape that screens read.
impl Default for Graph {
    fn default() -> Self {
        Graph { settings: Value::Object(serde_json::Map::new()), nodes: Vec::new(), alerts: Vec::new(), touches: Vec::new() }
    }
}

/// One alert as written: a table `[alert.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct GraphAlert {
    pub name: String,
    #[ts(type = "Record<string, unknown>")]
    pub fields: Value,
    /// Where its table stands in the text.
    pub lines: LineRange,
}

/// One node. Edges are the nodes' inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct GraphNode {
    pub id: String,
    /// As written; it may be unknown.
    pub kind: String,
    /// From `[layout]`, else where the studio would put it. Canvas pixels, the node's left upper corner.
    pub position: [f64; 2],
    pub inputs: Vec<GraphInput>,
    /// Every field besides `kind` and `input` as written, environment references unread.
    #[ts(type = "Record<string, unknown>")]
    pub fields: Value,
    /// The node's second line: `dep_delay IS NOT NULL`.
    pub key_setting: String,
    /// Main port first, then side ports.
    pub outputs: Vec<GraphPort>,
    /// What the checker says of a field, by dotted path: `where`, `aggregate.mean_delay`.
    pub explanations: BTreeMap<String, Explanation>,
    /// For a sink: what a crash does to the rows of each source that it takes.
    pub guarantees: Vec<Guarantee>,
    /// Where its table stands in the text.
    pub lines: LineRange,
}

/// What a crash does to the rows between a source and a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Guarantee {
    pub source: String,
    pub delivery: Delivery,
    /// What it rests on, or what would better it: clauses.
    pub needs: Vec<String>,
}

/// How often a row counts, whatever crashes. The weakest comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
    AtMostOnce,
    BestEffort,
    BeginsAnew,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct GraphInput {
    /// The input's name where the kind names them (`left`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<String>,
    pub from: String,
    /// `out`, `late`, `quarantined`.
    pub port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct GraphPort {
    pub name: String,
    /// None while it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub columns: Option<Vec<Column>>,
    /// `append`, `upsert by origin`, `retract`.
    pub mode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Column {
    pub name: String,
    /// DuckDB's name: `VARCHAR`.
    #[serde(rename = "type")]
    pub data_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Explanation {
    /// The expression's type: `BOOLEAN`.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// Something that a run reads or writes outside the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Touch {
    pub node: String,
    pub kind: TouchKind,
    /// A path or an address, as resolved.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TouchKind {
    Reads,
    Writes,
    Environment,
    /// A webhook of an alert: its scheme and host.
    Calls,
}

/// One thing that is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Finding {
    /// `MR0104`
    pub code: String,
    pub severity: FindingSeverity,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub node: Option<String>,
    /// Dotted path within the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub field: Option<String>,
    /// Counted from 1; 0 where there is no place.
    pub line: u32,
    pub column: u32,
    /// The place in the text, in UTF-16 units as a browser counts; equal where there is no place.
    pub start: u32,
    pub end: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub found: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub nearest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    Error,
    Warning,
}

/// A difference of two texts, by line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TextDiff {
    /// What the two sides are: `running`, `edited`.
    pub old_title: String,
    pub new_title: String,
    /// Changed lines with a few around them.
    pub lines: Vec<DiffLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DiffLine {
    pub kind: DiffLineKind,
    /// Counted from 1; 0 where the line is not on that side.
    pub old_line: u32,
    pub new_line: u32,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DiffLineKind {
    Same,
    Removed,
    Added,
    /// Lines left out between two changes; `text` says how many.
    Gap,
}

/// The file changed on disk while the text had unsaved changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Conflict {
    pub path: String,
    /// From the file on disk (old) to the text in the studio (new).
    pub diff: TextDiff,
}
