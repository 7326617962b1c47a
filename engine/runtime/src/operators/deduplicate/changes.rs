//! What every `deduplicate` does: reads keys, and gives rows out of the batch that is at hand.

use millrace_model::{OP_COLUMN, RowOp};
use polars::prelude::*;

use crate::batch::{Batch, is_hidden};
use crate::error::RunResult;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;

/// Tells the group of each of a frame's rows.
pub fn find(groups: &mut Groups, keys: &[(String, millrace_model::DataType)], frame: &DataFrame, found: &mut Vec<u32>) -> RunResult<()> {
    let columns = keys.iter().map(|(name, _)| Ok(frame.column(name)?)).collect::<RunResult<Vec<_>>>()?;
    let keys = BatchKeys::new(columns, frame.height())?;
    found.clear();
    found.resize(frame.height(), 0);
    groups.find(&keys, 0..frame.height(), found)
}

/// A batch of these rows with what each does, behind the shown columns.
pub fn with_ops(frame: DataFrame, ops: &[RowOp]) -> RunResult<Batch> {
    let height = frame.height();
    let (hidden, mut columns): (Vec<Column>, Vec<Column>) = frame.into_columns().into_iter().partition(|column| is_hidden(column.name()));
    columns.push(Column::new(OP_COLUMN.into(), ops.iter().map(|op| op.word()).collect::<Vec<_>>()));
    columns.extend(hidden);
    Ok(Batch::new(DataFrame::new(height, columns)?))
}
