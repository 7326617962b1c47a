//! Splits a batch by the task that owns each row's key.

use std::ops::Range;

use millrace_plan::key_group::{key_group, task_of};
use polars::prelude::{Column, DataFrame, DataType, IdxSize, Int64Chunked, IntoColumn, IntoSeries, TimeUnit};

use crate::batch::Batch;
use crate::error::RunResult;
use crate::key::hash_keys;

/// Splits batches among `tasks`. Keeps its scratch, so that a batch costs one hash per row and one gather per target.
#[derive(Debug)]
pub struct Partitioner {
    columns: Vec<String>,
    groups: u16,
    /// The key groups that are spread over the tasks: all, or those of one task that divides them once more.
    range: Range<u16>,
    /// The rows that go to each task.
    rows: Vec<Vec<IdxSize>>,
}

impl Partitioner {
    pub fn new(columns: Vec<String>, groups: u16, tasks: usize) -> Self {
        Partitioner { columns, groups, range: 0..groups, rows: vec![Vec::new(); tasks] }
    }

    /// Spreads no more than these key groups, as evenly.
    #[must_use]
    pub fn within(self, range: Range<u16>) -> Self {
        Partitioner { range, ..self }
    }

    /// The parts of `batch`, each with its task, in the order of the tasks; rows keep their order. Nothing for a task without rows.
    pub fn split(&mut self, batch: &Batch) -> RunResult<Vec<(usize, Batch)>> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let hashes = hash_keys(batch.frame(), &columns)?;
        let (tasks, range) = (self.rows.len() as u32, self.range.clone());
        self.rows.iter_mut().for_each(Vec::clear);
        for (row, hash) in hashes.into_iter().enumerate() {
            let task = task_of(key_group(hash, self.groups).saturating_sub(range.start), range.end - range.start, tasks);
            if let Some(rows) = self.rows.get_mut(task as usize) {
                rows.push(row as IdxSize);
            }
        }
        let mut parts = Vec::with_capacity(self.rows.len());
        for (task, rows) in self.rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let part = if rows.len() == batch.rows() { batch.clone() } else { Batch::new(gather(batch.frame(), rows)?) };
            parts.push((task, part));
        }
        Ok(parts)
    }
}

/// The rows at `rows`, in that order, on this thread.
pub fn gather(frame: &DataFrame, rows: &[IdxSize]) -> RunResult<DataFrame> {
    let take = |column: &Column| match plain_numbers(column) {
        Some(values) => Ok(picked(column, values, rows)?),
        None => Ok(column.take_slice(rows)?),
    };
    let columns = frame.columns().iter().map(take).collect::<RunResult<Vec<_>>>()?;
    Ok(DataFrame::new(rows.len(), columns)?)
}

/// The values of a column of 64-bit integers or microseconds without NULLs, in one chunk.
fn plain_numbers(column: &Column) -> Option<Int64Chunked> {
    let is_plain = matches!(column.dtype(), DataType::Int64 | DataType::Datetime(TimeUnit::Microseconds, _)) && column.null_count() == 0;
    let series = column.as_materialized_series();
    (is_plain && series.n_chunks() == 1).then(|| series.to_physical_repr().i64().ok().cloned()).flatten()
}

/// Rows of such a column: one pass, where Polars looks at all places first.
fn picked(column: &Column, values: Int64Chunked, rows: &[IdxSize]) -> RunResult<Column> {
    let values = values.cont_slice()?;
    let taken: Vec<i64> = rows.iter().map(|row| values.get(*row as usize).copied().unwrap_or_default()).collect();
    let taken = Int64Chunked::from_vec(column.name().clone(), taken);
    Ok(match column.dtype() {
        DataType::Datetime(unit, zone) => taken.into_datetime(*unit, zone.clone()).into_series().into_column(),
        _ => taken.into_series().into_column(),
    })
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn a_key_goes_to_the_task_of_its_group_and_no_row_is_lost() {
        let frame = df! { "k" => (0..1000).map(|n| n % 37).collect::<Vec<i64>>(), "n" => (0..1000).collect::<Vec<i64>>() }.unwrap();
        let batch = Batch::new(frame);
        for tasks in [1, 2, 7] {
            let mut partitioner = Partitioner::new(vec!["k".to_owned()], 1024, tasks);
            let parts = partitioner.split(&batch).unwrap();
            assert_eq!(parts.iter().map(|(_, part)| part.rows()).sum::<usize>(), 1000);
            let mut owner = std::collections::HashMap::new();
            for (task, part) in &parts {
                let keys = part.frame().column("k").unwrap().i64().unwrap().clone();
                let rows = part.frame().column("n").unwrap().i64().unwrap().clone();
                assert!(rows.iter().flatten().is_sorted(), "rows keep their order");
                for key in keys.iter().flatten() {
                    assert_eq!(owner.entry(key).or_insert(*task), task);
                }
            }
        }
    }
}
