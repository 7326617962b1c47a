//! The pipeline file: read and checked, edited in place, compared.
//!
//! The text is the truth. [`check`] finds everything that is wrong with it at once; an edit changes only the lines that it
//! means.

mod alerts;
mod arrange;
mod check;
mod connect;
mod diff;
mod edit;
mod environment;
mod graph;
mod lines;
mod overrides;
mod raw;
mod read;
mod schema;
mod shape;
mod syntax;

pub use check::{CheckOptions, Checked, check};
pub use diff::{Change, changed_nodes, diff};
pub use edit::{Edit, EditInput, Edited, PastePlace, copy, edit, edit_all, free_name};
pub use graph::{Graph, GraphAlert, GraphEdge, GraphInput, GraphNode, graph};
pub use lines::{LineIndex, render};
pub use overrides::{Override, parse_override};
pub use schema::{alert_schema, file_schema, kind_schema};

/// The file format that this release writes.
pub const FORMAT_VERSION: i64 = 1;

/// Longest text that is read, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Most nodes that a pipeline may have.
pub const MAX_NODES: usize = 1_000;

/// Deepest nesting of tables and lists, dotted names included.
pub const MAX_DEPTH: usize = 32;

/// Longest name of a field, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// More findings than this are not told at once.
pub const MAX_FINDINGS: usize = 200;
