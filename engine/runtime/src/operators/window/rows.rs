//! A window's results as rows: `window_start`, `window_end`, `window_time`, the keys, the aggregates, then the hidden columns.

use millrace_model::DataType as Type;
use polars::prelude::*;

use super::pane::Pane;
use super::shape::Window;
use crate::batch::{Batch, TIME_COLUMN, WATERMARK_COLUMN};
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;

/// The columns that a window adds in front.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The names and types of keys and aggregates, in the order in which they stand.
#[derive(Debug, Clone, Default)]
pub struct RowShape {
    pub keys: Vec<(String, Type)>,
    pub aggregates: Vec<(String, Type)>,
}

/// Collects results until they fill a batch.
pub struct Rows {
    windows: Vec<Window>,
    keys: Vec<Cells>,
    aggregates: Vec<Cells>,
}

impl Rows {
    pub fn new(shape: &RowShape, capacity: usize) -> Self {
        let cells = |columns: &[(String, Type)]| columns.iter().map(|(_, data_type)| Cells::new(*data_type, capacity)).collect();
        Rows { windows: Vec::with_capacity(capacity), keys: cells(&shape.keys), aggregates: cells(&shape.aggregates) }
    }

    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Adds some of a window's groups.
    pub fn push(&mut self, window: Window, pane: &mut Pane, groups: &[u32]) {
        self.windows.resize(self.windows.len() + groups.len(), window);
        pane.give(groups, &mut self.keys, &mut self.aggregates);
    }

    /// Adds a row for each of `windows`; `give` adds their keys and aggregates.
    pub fn push_each(&mut self, windows: impl Iterator<Item = Window>, give: impl FnOnce(&mut [Cells], &mut [Cells])) {
        self.windows.extend(windows);
        give(&mut self.keys, &mut self.aggregates);
    }

    pub fn finish(self, shape: &RowShape) -> RunResult<Batch> {
        let rows = self.windows.len();
        let starts: Vec<i64> = self.windows.iter().map(|window| window.start).collect();
        let ends: Vec<i64> = self.windows.iter().map(|window| window.end).collect();
        // An end lies above a start: it is not the least of all times.
        let times: Vec<i64> = self.windows.iter().map(|window| window.end - 1).collect();
        let mut columns = Vec::with_capacity(WINDOW_COLUMNS.len() + shape.keys.len() + shape.aggregates.len() + 2);
        for (name, values) in WINDOW_COLUMNS.into_iter().zip([starts, ends, times.clone()]) {
            let stamps = Int64Chunked::from_vec(name.into(), values).into_datetime(TimeUnit::Microseconds, None);
            columns.push(stamps.into_series().into_column());
        }
        for ((name, _), cells) in shape.keys.iter().zip(self.keys).chain(shape.aggregates.iter().zip(self.aggregates)) {
            columns.push(cells.finish(name)?);
        }
        columns.push(Int64Chunked::from_vec(TIME_COLUMN.into(), times).into_series().into_column());
        columns.push(Int64Chunked::from_vec(WATERMARK_COLUMN.into(), vec![i64::MIN; rows]).into_series().into_column());
        Ok(Batch::new(DataFrame::new(rows, columns)?))
    }
}
