//! The nouns of Millrace: ids, time, types, and the pipeline file.
//!
//! A pure room: no I/O, no clock, no threads, no Polars. It builds for WebAssembly.

pub mod alert;
pub mod autoscale;
pub mod catalog;
pub mod codes;
pub mod diagnostic;
pub mod field;
pub mod file;
pub mod id;
pub mod pipeline;
pub mod time;
pub mod types;

pub use alert::AlertDecl;
pub use autoscale::{Autoscale, AutoscaleMode};
pub use catalog::{Catalog, Category, Inputs, KindInfo, PortInfo};
pub use diagnostic::{Blame, Diagnostic, Diagnostics, Severity, Span};
pub use id::{NodeId, PortRef};
pub use pipeline::{InputDecl, NodeDecl, Pipeline, PipelineSettings};
pub use time::Timestamp;
pub use types::{ChangeMode, DataType, Field, OP_COLUMN, RowOp, Schema};
