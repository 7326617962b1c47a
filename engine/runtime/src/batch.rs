//! The unit of data flow: some thousand rows in columns.

use std::sync::{Arc, OnceLock};

use millrace_model::{DataType, Field, Schema};
use polars::prelude::*;

use crate::error::{RunError, RunResult};

/// Hidden column: the row's event time (i64 microseconds UTC, never NULL). Survives `select`.
pub const TIME_COLUMN: &str = "__time";

/// Hidden column: the row's own watermark (i64 microseconds): the largest event time before it in its source partition less
/// `max_delay`; `i64::MIN` where nothing was before it, and on rows that a window made. It makes lateness a property of the data.
pub const WATERMARK_COLUMN: &str = "__watermark";

/// Hidden column, the last one of a batch of partial results: how many rows they are made of, all together. Such a batch goes from a
/// [`crate::operator::Combiner`] to its operator and is seen by nothing else.
pub const PARTIAL_COLUMN: &str = "__rows";

/// Rows of one edge: the schema's columns in order, then the hidden ones where rows carry an event time. One chunk per column.
#[derive(Debug, Clone)]
pub struct Batch {
    frame: DataFrame,
    /// Asked for at every edge, worked out once.
    bytes: OnceLock<usize>,
}

impl Batch {
    /// Takes a frame whose columns stand as the edge's schema says, hidden ones last.
    pub fn new(frame: DataFrame) -> Self {
        Batch { frame, bytes: OnceLock::new() }
    }

    pub fn rows(&self) -> usize {
        self.frame.height()
    }

    /// Whether its rows are partial results.
    pub fn is_partial(&self) -> bool {
        self.frame.columns().last().is_some_and(|column| column.name() == PARTIAL_COLUMN)
    }

    /// The rows it counts for: its own, or those that its partial results are made of.
    pub fn counted_rows(&self) -> usize {
        if !self.is_partial() {
            return self.rows();
        }
        let rows = self.frame.columns().last().and_then(|column| column.i64().ok()).and_then(|rows| rows.sum()).unwrap_or(0);
        usize::try_from(rows).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.frame.height() == 0
    }

    /// Memory held, in bytes; an estimate that counts shared buffers in full.
    pub fn bytes(&self) -> usize {
        *self.bytes.get_or_init(|| self.frame.estimated_size())
    }

    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    pub fn into_frame(self) -> DataFrame {
        self.frame
    }

    /// The rows' event times, where they carry them.
    pub fn times(&self) -> RunResult<&[i64]> {
        self.hidden(TIME_COLUMN)
    }

    /// The rows' own watermarks, where they carry them.
    pub fn watermarks(&self) -> RunResult<&[i64]> {
        self.hidden(WATERMARK_COLUMN)
    }

    fn hidden(&self, name: &'static str) -> RunResult<&[i64]> {
        let column = self.frame.column(name).map_err(RunError::from_polars)?;
        let series = column.as_materialized_series();
        series.i64().and_then(|values| values.cont_slice()).map_err(RunError::from_polars)
    }
}

/// Whether a column belongs to the engine and is not shown.
pub fn is_hidden(name: &str) -> bool {
    name == TIME_COLUMN || name == WATERMARK_COLUMN
}

/// What flows out of every `quarantined` port: why, from where, at which place there, and the record as it was.
pub fn quarantine_schema() -> Arc<Schema> {
    Arc::new(Schema::new(["__reason", "__source", "__position", "__raw"].map(|name| Field::new(name, DataType::Varchar)).to_vec()))
}
