//! Rows that change, in nodes that hand them on one by one: what such a node may do to them, and what it may not.
//!
//! A row that takes another back must leave as the other did: both have the same content, so that what is computed of it is the same.
//! Rows that replace each other are told by their key alone: it must stay, and whether a row goes on may hang on nothing else, or the
//! earlier row would stand although it was replaced.

use millrace_expr::TypedExpr;
use millrace_model::{ChangeMode, DataType, Diagnostic, Field, OP_COLUMN, RowOp};
use millrace_plan::{BindInput, codes};
use polars::prelude::*;

use crate::error::RunResult;

/// Whether a condition may decide which rows go on; the finding if not.
pub fn check_condition(input: &BindInput<'_>, mode: &ChangeMode, condition: &TypedExpr) -> Option<Diagnostic> {
    let ChangeMode::Upsert { key } = mode else { return None };
    let other = condition.columns.iter().find(|column| !key.contains(column))?;
    let message = format!("`{other}` may change while its row is here, and the row as it was would stay when it no longer passes");
    let finding = input.error(codes::KEY_ALONE, "where", message);
    let finding = if key.is_empty() { finding } else { finding.expected(format!("a condition over {} alone", key.join(", "))) };
    Some(
        finding
            .found(format!("upsert by {}", if key.is_empty() { "nothing: there is one row".to_owned() } else { key.join(", ") }))
            .help("filter the rows before they change, or the result where it is read"),
    )
}

/// The mode of rows of which these columns stay, each under a name; the finding if the key does not.
pub fn mode_of(input: &BindInput<'_>, mode: &ChangeMode, columns: &[(String, TypedExpr)]) -> Result<ChangeMode, Diagnostic> {
    let ChangeMode::Upsert { key } = mode else { return Ok(mode.clone()) };
    let kept = |column: &String| columns.iter().find(|(_, expr)| expr.as_column() == Some(column)).map(|(name, _)| name.clone());
    let missing: Vec<&str> = key.iter().filter(|column| kept(column).is_none()).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(ChangeMode::Upsert { key: key.iter().filter_map(kept).collect() });
    }
    let message = format!("rows replace each other by {}, and without {} none could be told", key.join(", "), missing.join(", "));
    Err(input.error(codes::KEY_DROPPED, "columns", message).help(format!("add {} to `columns`", missing.join(", "))))
}

/// The column that says what a row does, where rows change.
pub fn op_field(mode: &ChangeMode) -> Option<Field> {
    mode.has_op().then(|| Field::required(OP_COLUMN, DataType::Varchar))
}

/// Which rows of a frame add something: of the others nothing but their key is for certain.
pub fn adding(frame: &DataFrame) -> RunResult<BooleanChunked> {
    let ops = frame.column(OP_COLUMN)?.str()?;
    Ok(ops.iter().map(|op| Some(op.and_then(RowOp::from_word).is_some_and(RowOp::adds))).collect())
}

/// The frame with `-D` for all rows but those with `stays`.
pub fn delete_others(frame: &mut DataFrame, stays: &BooleanChunked) -> RunResult<()> {
    let ops = frame.column(OP_COLUMN)?.str()?.iter().zip(stays.iter());
    let ops: StringChunked = ops.map(|(op, stays)| if stays == Some(true) { op } else { Some(RowOp::Delete.word()) }).collect();
    frame.replace(OP_COLUMN, ops.with_name(OP_COLUMN.into()).into_series().into_column())?;
    Ok(())
}
