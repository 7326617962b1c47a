//! Windows asked what DuckDB answers, and what only a stream can be asked.

mod bound;
mod calendar;
mod changing;
mod copying;
mod count;
mod duck;
mod flow;
mod gathered;
mod lateness;
mod oracle;
mod overflow;
mod overlap;
mod partial;
mod session;

use std::sync::Arc;

use millrace_model::{ChangeMode, Diagnostics, NodeDecl, NodeId, Schema, Timestamp};
use millrace_plan::{BindInput, BoundNode, InputPort};
use polars::prelude::*;
use serde_json::{Value, json};

use crate::batch::{Batch, TIME_COLUMN, WATERMARK_COLUMN, is_hidden};
use crate::error::RunResult;
use crate::operator::{Budget, EndReason, Operator, OperatorContext, OperatorFactory, Output, Step};
use crate::registry::Entry;

/// What came out of each port.
#[derive(Default)]
pub struct Ports {
    pub batches: [Vec<Batch>; 3],
}

impl Output for Ports {
    fn emit(&mut self, port: usize, batch: Batch) {
        self.batches[port].push(batch);
    }
}

impl Ports {
    /// Everything that left by a port, in order; `None` if nothing did.
    pub fn frame(&self, port: usize) -> Option<DataFrame> {
        let frames = self.batches[port].iter().map(|batch| batch.frame().clone());
        frames.reduce(|all, next| all.vstack(&next).unwrap()).map(|mut frame| {
            frame.rechunk_mut();
            frame
        })
    }

    pub fn rows(&self, port: usize) -> usize {
        self.batches[port].iter().map(Batch::rows).sum()
    }
}

/// A window of `spec`, which may also name its `kind` and `on_error`.
pub fn node(spec: Value) -> NodeDecl {
    let own = spec.as_object().unwrap().iter().filter(|(name, _)| *name != "on_error" && *name != "kind");
    NodeDecl {
        id: NodeId::new("w"),
        kind: spec.get("kind").and_then(Value::as_str).unwrap_or("tumbling_window").to_owned(),
        inputs: Vec::new(),
        common: serde_json::from_value(json!({ "on_error": spec.get("on_error") })).unwrap(),
        spec: Value::Object(own.map(|(name, value)| (name.clone(), value.clone())).collect()),
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    }
}

pub fn kind(name: &str) -> Arc<dyn OperatorFactory> {
    let factories = crate::operators::all().into_iter().filter_map(|entry| match entry {
        Entry::Operator(factory) => Some(factory),
        _ => None,
    });
    factories.into_iter().find(|factory| factory.info().name == name).unwrap()
}

/// The columns of a frame as an edge's schema.
pub fn schema_of(frame: &DataFrame) -> Schema {
    let visible = frame.columns().iter().filter(|column| !is_hidden(column.name()));
    let field = |column: &Column| millrace_model::Field::new(column.name().as_str(), millrace_expr::from_polars(column.dtype()).unwrap());
    Schema::new(visible.map(field).collect())
}

pub fn bind(spec: Value, schema: Schema) -> (Option<BoundNode>, Diagnostics) {
    let decl = node(spec);
    let mut found = Diagnostics::default();
    let inputs = [InputPort { schema: Arc::new(schema), mode: ChangeMode::Append, has_event_time: true }];
    let bound = kind(&decl.kind).bind(&BindInput { node: &decl, inputs: &inputs, discovered: None }, &mut found);
    let bound = bound.map(|bound| BoundNode {
        decl,
        inputs: Vec::new(),
        outputs: bound.outputs,
        distribution: bound.distribution,
        payload: bound.payload,
    });
    (bound, found)
}

pub fn operator(spec: Value, schema: Schema, batch_rows: usize) -> Box<dyn Operator> {
    let (bound, found) = bind(spec, schema);
    assert!(found.is_empty(), "{:?}", found.items);
    let context = OperatorContext { node: NodeId::new("w"), task: 0, tasks: 1, batch_rows };
    let bound = bound.unwrap();
    kind(&bound.decl.kind).create(&Arc::new(bound), &context).unwrap()
}

pub fn fire(operator: &mut dyn Operator, watermark: i64, ports: &mut Ports) -> RunResult<()> {
    operator.on_watermark(Timestamp(watermark))?;
    while operator.step(Budget { rows: 1000 }, ports)? == Step::More {}
    Ok(())
}

/// `frame` with the hidden columns that a source of one partition gives it: the row's time from a TIMESTAMP column, and its own watermark,
/// which is the greatest time before it less `max_delay`.
pub fn with_time(frame: &DataFrame, column: &str, max_delay: i64) -> DataFrame {
    let times: Vec<i64> =
        frame.column(column).unwrap().to_physical_repr().as_materialized_series().i64().unwrap().iter().flatten().collect();
    let mut greatest = i64::MIN;
    let mut watermarks = Vec::new();
    for time in &times {
        watermarks.push(if greatest == i64::MIN { i64::MIN } else { greatest - max_delay });
        greatest = greatest.max(*time);
    }
    let mut frame = frame.clone();
    frame.with_column(Column::new(TIME_COLUMN.into(), times)).unwrap();
    frame.with_column(Column::new(WATERMARK_COLUMN.into(), watermarks)).unwrap();
    frame
}

/// Runs a whole input in batches of `cut` rows, the watermark after each, and ends it.
pub fn run(spec: Value, frame: &DataFrame, max_delay: i64, cut: usize) -> (Ports, crate::operator::RowCounts) {
    let mut operator = operator(spec, schema_of(frame), 100);
    let mut ports = Ports::default();
    let mut greatest = i64::MIN;
    for start in (0..frame.height()).step_by(cut) {
        let mut slice = frame.slice(start as i64, cut);
        slice.rechunk_mut();
        let batch = Batch::new(slice);
        greatest = batch.times().unwrap().iter().copied().fold(greatest, i64::max);
        operator.on_batch(0, batch, &mut ports).unwrap();
        fire(operator.as_mut(), greatest.saturating_sub(max_delay), &mut ports).unwrap();
    }
    fire(operator.as_mut(), i64::MAX, &mut ports).unwrap();
    operator.on_end(EndReason::Finished, &mut ports).unwrap();
    assert_eq!(operator.state_size().rows, 0, "fired windows leave no state");
    (ports, operator.counts())
}
