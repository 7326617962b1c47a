//! What becomes of rows whose values cannot be computed, as the node's `on_error` says.

use millrace_expr::compile::Failures;
use millrace_model::NodeId;
use millrace_model::field::OnError;
use polars::prelude::*;

use crate::batch::Batch;
use crate::connector::MAX_RAW_BYTES;
use crate::error::{RunError, RunResult};
use crate::{json, quarantine};

/// A node's way with such rows.
#[derive(Debug, Clone)]
pub struct RowErrors {
    node: NodeId,
    on_error: OnError,
}

/// Rows that go no further.
#[derive(Debug)]
pub struct BadRows {
    /// True for every row that stays.
    pub good: BooleanChunked,
    pub count: usize,
    /// The others, as rows of the `quarantined` port.
    pub quarantined: Batch,
}

impl RowErrors {
    pub fn new(node: NodeId, on_error: Option<OnError>) -> Self {
        RowErrors { node, on_error: on_error.unwrap_or_default() }
    }

    /// Settles what could not be computed over `frame`. Each of `failed` has the column it is of, or nothing for a condition.
    ///
    /// Only rows of `counting` count, if it is there. With `null` all rows stay, and none is returned. With `fail` it is an error, with a sample.
    pub fn settle(&self, frame: &DataFrame, failed: &[(&str, Failures)], counting: Option<&BooleanChunked>) -> RunResult<Option<BadRows>> {
        let mut rows = rows_of(failed);
        rows.retain(|(row, _)| counting.is_none_or(|counting| counting.get(*row) == Some(true)));
        if rows.is_empty() || self.on_error == OnError::Null {
            return Ok(None);
        }
        if self.on_error == OnError::Fail {
            return Err(fail(frame, &rows));
        }
        let mut good = vec![true; frame.height()];
        for (row, _) in &rows {
            if let Some(good) = good.get_mut(*row) {
                *good = false;
            }
        }
        let count = rows.len();
        let records = quarantine::bad_rows(frame, rows);
        let quarantined = quarantine::batch(self.node.as_str(), &records)?;
        Ok(Some(BadRows { good: good.into_iter().map(Some).collect(), count, quarantined }))
    }
}

/// Every row that failed, once, in order, with its first reason.
fn rows_of(failed: &[(&str, Failures)]) -> Vec<(usize, String)> {
    let mut rows = std::collections::BTreeMap::new();
    for (column, failures) in failed {
        let Some(mask) = failures.mask() else { continue };
        for (row, _) in mask.iter().enumerate().filter(|(_, failed)| *failed == Some(true)) {
            let reason = failures.reason(row).unwrap_or("the value cannot be computed");
            let say = || if column.is_empty() { reason.to_owned() } else { format!("column {column}: {reason}") };
            rows.entry(row).or_insert_with(say);
        }
    }
    rows.into_iter().collect()
}

fn fail(frame: &DataFrame, rows: &[(usize, String)]) -> RunError {
    let message = rows.first().map_or_else(String::new, |(_, reason)| reason.clone());
    let sample = rows.iter().take(json::SAMPLE_ROWS).map(|(row, _)| json::row_text(frame, *row, MAX_RAW_BYTES)).collect();
    RunError::Value { message, sample }
}
