//! Connectors as the runtime drives them, with DuckDB beside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod attacks;
mod bad_inputs;
mod bad_records;
mod duckdb_sink;
mod forge;
mod formats;
mod hostile_parquet;
mod hostile_text;
mod nexmark;
mod partitions;
mod resume;
mod sinks;
mod sources;
mod support;
