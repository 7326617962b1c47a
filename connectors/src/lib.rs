//! Connectors: how rows come in and go out. One folder each, one file per format, and [`all`] lists them.
//!
//! A connector reaches the disk through [`Files`](millrace_engine::runtime::files::Files) alone.
//!
//! To add one: a folder with its `Spec` (docs per field become the form and the help), its factory, and one line in [`all`].

use std::sync::Arc;

use millrace_engine::runtime::registry::Entry;

pub mod codes;
pub mod duckdb_sink;
pub mod file;
pub mod file_sink;
pub mod format;
mod hidden;
pub mod host_metrics;
mod input;
pub mod nexmark;
pub mod reader;
pub mod stdin;
pub mod stdout;
pub mod text;

/// Every kind of this crate.
pub fn all() -> Vec<Entry> {
    vec![
        Entry::Source(Arc::new(file::FileSource)),
        Entry::Source(Arc::new(host_metrics::HostMetrics)),
        Entry::Source(Arc::new(nexmark::Nexmark)),
        Entry::Source(Arc::new(stdin::Stdin)),
        Entry::Sink(Arc::new(duckdb_sink::DuckdbSink)),
        Entry::Sink(Arc::new(file_sink::FileSink)),
        Entry::Sink(Arc::new(stdout::Stdout)),
    ]
}
