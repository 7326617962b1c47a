//! `union`: the rows of several inputs under each other.
//!
//! ```toml
//! [node.all]
//! kind = "union"
//! input = ["domestic", "abroad"]
//! ```
//!
//! Every input has the same columns, by their names; they stand in the order of the first. A column of different types takes the one in
//! which DuckDB's UNION ALL would give it (`INTEGER` and `BIGINT` are `BIGINT`, text and anything are text); where we have none, as for
//! `BIGINT` and `UBIGINT`, the union is refused.
//!
//! Rows of one input keep their order; which input's come first hangs on which is faster. The watermark is the least of all inputs', and
//! rows keep their own, so that nothing is late that was in time before. Rows carry an event time if those of all inputs do.
//!
//! Rows that are new and rows that take others back stand side by side: the new ones are `+I`. Rows that replace each other by a key do
//! not, even if the key is the same: a row of one input would replace one of another (MR0333).
//!
//! The law of its rows: `rows_in = accepted`.

use std::sync::Arc;

use millrace_expr::{TypedExpr, parse_scalar, stacked};
use millrace_model::catalog::schema_of;
use millrace_model::id::MAIN_PORT;
use millrace_model::types::SchemaRef;
use millrace_model::{Category, ChangeMode, DataType, Diagnostics, Field, Inputs, KindInfo, OP_COLUMN, RowOp, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, InputPort, Kind, OutputPort, change_mode, codes};
use polars::prelude::{Column, DataFrame, PlSmallStr, Scalar};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, is_hidden};
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory, Output, RowCounts};
use crate::operators::changes::op_field;
use crate::operators::project::Projection;

/// Takes the rows of several inputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnionSpec {}

pub struct Union {
    info: KindInfo,
}

impl Default for Union {
    fn default() -> Self {
        let info = KindInfo {
            name: "union",
            title: "Union",
            category: Category::Shape,
            icon: "merge",
            summary: "Takes the rows of several inputs that have the same columns.",
            inputs: Inputs::Many,
            has_output: true,
            side_ports: &[],
            key_fields: &[],
            schema: schema_of::<UnionSpec>,
        };
        Union { info }
    }
}

/// What becomes of each input's rows.
#[derive(Debug, Clone)]
struct UnionPlan {
    inputs: Vec<Shaping>,
}

#[derive(Debug, Clone)]
struct Shaping {
    /// None if the columns are as they must be.
    projection: Option<Projection>,
    /// Whether rows that are new must say so.
    says_insert: bool,
    /// Whether hidden columns go, since not all inputs have them.
    loses_time: bool,
}

impl Kind for Union {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let before = found.items.len();
        check_inputs(input, found);
        let mode = mode_of(input, found);
        let contents: Vec<SchemaRef> = input.inputs.iter().map(|port| change_mode::content(&port.schema, &port.mode)).collect();
        let content = columns(input, &contents, found)?;
        if found.items.len() > before {
            return None;
        }
        let has_event_time = input.inputs.iter().all(|port| port.has_event_time);
        let shape = |(port, own): (&InputPort, &SchemaRef)| Shaping {
            projection: projection(own, &content),
            says_insert: mode.has_op() && !port.mode.has_op(),
            loses_time: port.has_event_time && !has_event_time,
        };
        let inputs = input.inputs.iter().zip(&contents).map(shape).collect();
        let fields = content.fields.iter().cloned().chain(op_field(&mode)).collect();
        let main = OutputPort { name: MAIN_PORT.to_owned(), schema: Arc::new(Schema::new(fields)), mode, has_event_time };
        Some(Bound { outputs: vec![main], distribution: Distribution::Any, payload: Payload::new(UnionPlan { inputs }) })
    }
}

/// The input of a number as the file names it.
fn name_of(input: &BindInput<'_>, at: usize) -> String {
    input.node.inputs.get(at).map_or_else(String::new, |input| input.from.to_string())
}

fn check_inputs(input: &BindInput<'_>, found: &mut Diagnostics) {
    for at in 1..input.node.inputs.len() {
        let name = name_of(input, at);
        if (0..at).any(|earlier| name_of(input, earlier) == name) {
            let finding = input.error(codes::UNION_INPUTS, &format!("input.{at}"), format!("`{name}` is named twice"));
            found.push(finding.help("its rows would be counted twice: name it once"));
        }
    }
}

fn mode_of(input: &BindInput<'_>, found: &mut Diagnostics) -> ChangeMode {
    let modes = || input.inputs.iter().map(|port| &port.mode);
    if let [only] = input.inputs {
        return only.mode.clone();
    }
    for (at, mode) in modes().enumerate().filter(|(_, mode)| matches!(mode, ChangeMode::Upsert { .. })) {
        let message = format!(
            "rows of `{}` replace each other by their key, and would replace rows of other inputs, or be taken for them",
            name_of(input, at)
        );
        let finding = input.error(codes::UNION_INPUTS, &format!("input.{at}"), message).expected("append or retract").found(mode.word());
        found.push(finding.help("unite the rows before they are aggregated, with a column that tells them apart among the keys"));
    }
    if modes().all(|mode| *mode == ChangeMode::Append) { ChangeMode::Append } else { ChangeMode::Retract }
}

/// The columns of the result; none if the inputs' do not match.
fn columns(input: &BindInput<'_>, contents: &[SchemaRef], found: &mut Diagnostics) -> Option<Schema> {
    let (first, rest) = contents.split_first()?;
    let mut fields = first.fields.clone();
    for (at, other) in (1..).zip(rest) {
        check_names(input, first, at, other, found);
        for field in &mut fields {
            let Some(theirs) = other.field(&field.name) else { continue };
            field.nullable |= theirs.nullable;
            match stacked(field.data_type, theirs.data_type) {
                Some(both) => field.data_type = both,
                None => found.push(no_type(input, at, field, theirs.data_type)),
            }
        }
    }
    Some(Schema::new(fields))
}

fn no_type(input: &BindInput<'_>, at: usize, field: &Field, theirs: DataType) -> millrace_model::Diagnostic {
    let message =
        format!("no type holds `{}` of all inputs: it is {} so far, and {theirs} in `{}`", field.name, field.data_type, name_of(input, at));
    let finding = input.error(codes::UNION_COLUMNS, &format!("input.{at}"), message).expected(field.data_type.name()).found(theirs.name());
    finding.help(format!("bring them together before, in a select: columns = [\"CAST({} AS DOUBLE) AS {}\", ..]", field.name, field.name))
}

fn check_names(input: &BindInput<'_>, first: &Schema, at: usize, other: &Schema, found: &mut Diagnostics) {
    let (name, first_name) = (name_of(input, at), name_of(input, 0));
    let help = "give all inputs the same columns, with a select before those that differ";
    for missing in first.names().filter(|column| other.field(column).is_none()) {
        let message = format!("`{name}` has no column `{missing}`, and `{first_name}` has");
        found.push(input.error(codes::UNION_COLUMNS, &format!("input.{at}"), message).nearest_of(missing, other.names()).help(help));
    }
    for more in other.names().filter(|column| first.field(column).is_none()) {
        let message = format!("`{name}` has a column `{more}`, and `{first_name}` has not");
        found.push(input.error(codes::UNION_COLUMNS, &format!("input.{at}"), message).nearest_of(more, first.names()).help(help));
    }
}

/// What makes the columns of `own` those of `content`; none if they are.
fn projection(own: &Schema, content: &Schema) -> Option<Projection> {
    let is_same = own.fields.len() == content.fields.len()
        && own.fields.iter().zip(&content.fields).all(|(own, all)| own.name == all.name && own.data_type == all.data_type);
    if is_same {
        return None;
    }
    let columns: Vec<(String, TypedExpr)> =
        content.fields.iter().filter_map(|field| Some((field.name.clone(), widened(own, field)?))).collect();
    Some(Projection::new(&columns, false))
}

/// A column in the type of the result. What widens never fails.
fn widened(own: &Schema, field: &Field) -> Option<TypedExpr> {
    let name = format!("\"{}\"", field.name.replace('"', "\"\""));
    let text = if own.field(&field.name)?.data_type == field.data_type { name } else { format!("CAST({name} AS {})", field.data_type) };
    parse_scalar(&text, own).ok()
}

impl OperatorFactory for Union {
    fn create(&self, node: &Arc<BoundNode>, _: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let plan: &UnionPlan = node.payload.get().ok_or_else(|| RunError::bug("a union without its inputs"))?;
        Ok(Box::new(UnionOperator { plan: plan.clone(), counts: RowCounts::default() }))
    }
}

struct UnionOperator {
    plan: UnionPlan,
    counts: RowCounts,
}

impl Shaping {
    fn shape(&self, batch: Batch) -> RunResult<Batch> {
        if self.projection.is_none() && !self.says_insert && !self.loses_time {
            return Ok(batch);
        }
        let frame = batch.frame();
        let columns = match &self.projection {
            Some(projection) => match projection.apply(frame)? {
                (columns, failed) if failed.is_empty() => columns,
                (_, failed) => return Err(RunError::bug(format!("{} columns could not be widened", failed.len()))),
            },
            None => frame.columns().to_vec(),
        };
        let (hidden, mut columns): (Vec<Column>, Vec<Column>) = columns.into_iter().partition(|column| is_hidden(column.name()));
        if self.says_insert {
            let insert = Scalar::from(PlSmallStr::from_static(RowOp::Insert.word()));
            columns.push(Column::new_scalar(OP_COLUMN.into(), insert, frame.height()).as_materialized_series().clone().into());
        }
        if !self.loses_time {
            columns.extend(hidden);
        }
        Ok(Batch::new(DataFrame::new(frame.height(), columns)?))
    }
}

impl Operator for UnionOperator {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let shaping = self.plan.inputs.get(input).ok_or_else(|| RunError::bug("a batch of an input that is not there"))?;
        self.counts.accepted += batch.rows() as u64;
        out.emit(0, shaping.shape(batch)?);
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
