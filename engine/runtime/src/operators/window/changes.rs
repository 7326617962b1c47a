//! Results that may change: the rows of a window, and where they form a changelog what each of them does.

use millrace_model::{OP_COLUMN, RowOp};
use polars::prelude::*;

use super::rows::{RowShape, Rows};
use super::shape::Window;
use crate::batch::{Batch, TIME_COLUMN};
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;

/// The columns behind the visible ones: a row's time and its own watermark.
const HIDDEN_COLUMNS: usize = 2;

/// Whether rows say what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Every row is new and final.
    Append,
    /// A row replaces the earlier one of its key.
    Upsert,
}

/// Collects results until they fill a batch.
pub struct Changes {
    rows: Rows,
    telling: Telling,
    ops: Vec<RowOp>,
    /// The rows' event times.
    times: Vec<i64>,
}

/// What a row of results is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub window: Window,
    pub op: RowOp,
    /// When it counts as having happened: no less than the output watermark.
    pub time: i64,
}

impl Change {
    /// A row at its window's own time.
    pub const fn of(window: Window, op: RowOp) -> Change {
        Change { window, op, time: window.end - 1 }
    }
}

impl Changes {
    pub fn new(shape: &RowShape, telling: Telling) -> Self {
        Changes { rows: Rows::new(shape, 0), telling, ops: Vec::new(), times: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row for each of `changes`; `give` adds their keys and aggregates.
    pub fn push_each(&mut self, changes: &[Change], give: impl FnOnce(&mut [Cells], &mut [Cells])) {
        self.ops.extend(changes.iter().map(|change| change.op));
        self.times.extend(changes.iter().map(|change| change.time));
        self.rows.push_each(changes.iter().map(|change| change.window), give);
    }

    pub fn finish(self, shape: &RowShape) -> RunResult<Batch> {
        let batch = self.rows.finish(shape)?;
        if self.telling == Telling::Append {
            return Ok(batch);
        }
        let mut columns = batch.into_frame().into_columns();
        if let Some(times) = columns.iter_mut().find(|column| column.name() == TIME_COLUMN) {
            *times = Int64Chunked::from_vec(TIME_COLUMN.into(), self.times).into_series().into_column();
        }
        let words = StringChunked::from_iter_values(OP_COLUMN.into(), self.ops.iter().map(|op| op.word()));
        columns.insert(columns.len().saturating_sub(HIDDEN_COLUMNS), words.into_series().into_column());
        Ok(Batch::new(DataFrame::new(self.ops.len(), columns)?))
    }
}
