//! Computes columns over a batch: what `select` and `derive` share.

use millrace_expr::TypedExpr;
use millrace_expr::compile;
use millrace_expr::compile::{CompiledExpr, Failures};
use millrace_model::field::OnError;
use millrace_model::{ChangeMode, Field, OP_COLUMN};
use millrace_plan::{BoundNode, InputPort};
use polars::prelude::{Column, DataFrame};

use crate::batch::{Batch, is_hidden};
use crate::error::RunResult;
use crate::operator::{Operator, Output, RowCounts};
use crate::operators::changes::{adding, delete_others};
use crate::operators::row_errors::RowErrors;

/// Columns that are computed, in order.
#[derive(Debug, Clone)]
pub struct Projection {
    columns: Vec<Computed>,
    /// Whether the input's columns stay, before the computed ones.
    keeps_input: bool,
}

#[derive(Debug, Clone)]
struct Computed {
    name: String,
    /// The input's column that it is, under whatever name.
    copies: Option<String>,
    expr: CompiledExpr,
}

impl Projection {
    pub fn new(columns: &[(String, TypedExpr)], keeps_input: bool) -> Self {
        let compute = |(name, typed): &(String, TypedExpr)| Computed {
            name: name.clone(),
            copies: typed.as_column().map(str::to_owned),
            expr: compile(typed),
        };
        Projection { columns: columns.iter().map(compute).collect(), keeps_input }
    }

    /// The columns of the result over `frame`, what a row does and hidden ones last, and what could not be computed by column.
    #[expect(clippy::type_complexity, reason = "the columns, and for each that failed its name and where")]
    pub fn apply(&self, frame: &DataFrame) -> RunResult<(Vec<Column>, Vec<(&str, Failures)>)> {
        let is_engines = |column: &&Column| is_hidden(column.name()) || column.name() == OP_COLUMN;
        let stays = |column: &&Column| self.keeps_input && !is_engines(column);
        let mut columns: Vec<Column> = frame.columns().iter().filter(stays).cloned().collect();
        let mut failed = Vec::new();
        for computed in &self.columns {
            let column = match &computed.copies {
                Some(name) => frame.column(name)?.clone(),
                None => {
                    let evaluated = computed.expr.evaluate(frame)?;
                    failed.extend(evaluated.failures.map(|failures| (computed.name.as_str(), failures)));
                    Column::from(evaluated.column)
                }
            };
            columns.push(column.with_name(computed.name.as_str().into()));
        }
        columns.extend(frame.columns().iter().filter(is_engines).cloned());
        Ok((columns, failed))
    }
}

/// The fields of computed columns. A value that cannot be computed is NULL only where `on_error` says so, or of a row that goes.
pub fn fields(columns: &[(String, TypedExpr)], upstream: &InputPort, on_error: Option<OnError>) -> Vec<Field> {
    let may_be_null = on_error == Some(OnError::Null) || matches!(upstream.mode, ChangeMode::Upsert { .. });
    let field = |(name, typed): &(String, TypedExpr)| {
        let copied = typed.as_column().and_then(|column| upstream.schema.field(column)).map(|field| field.nullable);
        let nullable = copied.unwrap_or(typed.nullable || may_be_null);
        Field { name: name.clone(), data_type: typed.data_type, nullable }
    };
    columns.iter().map(field).collect()
}

/// Computes columns; every row that comes goes on, or is quarantined.
pub struct ProjectOperator {
    projection: Projection,
    errors: RowErrors,
    /// Whether rows replace each other by a key.
    upserts: bool,
    counts: RowCounts,
}

impl ProjectOperator {
    pub fn new(projection: Projection, errors: RowErrors, node: &BoundNode) -> Self {
        let upserts = node.inputs.iter().any(|edge| matches!(edge.mode, ChangeMode::Upsert { .. }));
        ProjectOperator { projection, errors, upserts, counts: RowCounts::default() }
    }
}

impl Operator for ProjectOperator {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let frame = batch.frame();
        let (columns, failed) = self.projection.apply(frame)?;
        let mut result = DataFrame::new(frame.height(), columns)?;
        let mut bad = 0;
        // Of a row that only goes, nothing but the key needs to be computed.
        let counting = if self.upserts && !failed.is_empty() { Some(adding(frame)?) } else { None };
        if !failed.is_empty()
            && let Some(rows) = self.errors.settle(frame, &failed, counting.as_ref())?
        {
            match self.upserts {
                true => delete_others(&mut result, &rows.good)?,
                false => result = result.filter_seq(&rows.good)?,
            }
            bad = rows.count;
            out.emit(1, rows.quarantined);
        }
        self.counts.quarantined += bad as u64;
        self.counts.accepted += (batch.rows() - bad) as u64;
        out.emit(0, Batch::new(result));
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
