//! What planning says to a `deduplicate`, and what only an operator can be asked.

use std::sync::Arc;

use millrace_model::{ChangeMode, Field, NodeDecl, NodeId, Schema, Timestamp};
use millrace_plan::{BindInput, InputPort};
use polars::prelude::df;
use serde_json::{Value, json};

use super::*;
use crate::batch::Batch;
use crate::operator::{Budget, EndReason, Operator, Output, Step};

fn bound(spec: Value, has_event_time: bool) -> (Option<BoundNode>, Diagnostics) {
    let decl = NodeDecl {
        id: NodeId::new("once"),
        kind: "deduplicate".to_owned(),
        inputs: Vec::new(),
        common: Default::default(),
        spec,
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    };
    let fields = [("k", millrace_model::DataType::BigInt), ("n", millrace_model::DataType::BigInt)];
    let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type)).to_vec());
    let mut found = Diagnostics::default();
    let inputs = [InputPort { schema: Arc::new(schema), mode: ChangeMode::Append, has_event_time }];
    let bound = Deduplicate::default().bind(&BindInput { node: &decl, inputs: &inputs, discovered: None }, &mut found);
    let bound = bound.map(|bound| BoundNode {
        decl,
        inputs: Vec::new(),
        outputs: bound.outputs,
        distribution: bound.distribution,
        payload: bound.payload,
    });
    (bound, found)
}

fn operator(spec: Value) -> Box<dyn Operator> {
    let (bound, found) = bound(spec, true);
    assert!(found.is_empty(), "{:?}", found.items);
    let context = OperatorContext { node: NodeId::new("once"), task: 0, tasks: 1, batch_rows: 16 };
    Deduplicate::default().create(&Arc::new(bound.unwrap()), &context).unwrap()
}

#[derive(Default)]
struct Ports(Vec<(usize, Batch)>);

impl Output for Ports {
    fn emit(&mut self, port: usize, batch: Batch) {
        self.0.push((port, batch));
    }
}

impl Ports {
    fn rows(&self, port: usize) -> usize {
        self.0.iter().filter(|(other, _)| *other == port).map(|(_, batch)| batch.rows()).sum()
    }
}

/// Rows of `keys` at `times`.
fn rows(keys: &[i64], times: &[i64], watermark: i64) -> Batch {
    let numbers: Vec<i64> = (0..keys.len() as i64).collect();
    Batch::new(df! { "k" => keys, "n" => numbers, "__time" => times, "__watermark" => vec![watermark; keys.len()] }.unwrap())
}

fn advance(operator: &mut dyn Operator, watermark: i64, ports: &mut Ports) {
    operator.on_watermark(Timestamp(watermark)).unwrap();
    while operator.step(Budget { rows: 3 }, ports).unwrap() == Step::More {}
}

#[test]
fn the_mode_of_the_output_hangs_on_what_stays() {
    let mode = |spec: Value, has_event_time: bool| {
        let (bound, found) = bound(spec, has_event_time);
        assert!(found.is_empty(), "{:?}", found.items);
        let main = &bound.unwrap().outputs[0];
        (main.mode.word(), main.schema.names().collect::<Vec<_>>().join(" "))
    };
    let (append, upsert) = (("append", "k n".to_owned()), ("upsert", "k n __op".to_owned()));
    for has_event_time in [true, false] {
        assert_eq!(mode(json!({ "by": ["k"] }), has_event_time), append);
        assert_eq!(mode(json!({ "by": ["k"], "keep": "last" }), has_event_time), upsert);
        assert_eq!(mode(json!({ "by": ["k"], "keep": "first", "order": ["n DESC"] }), has_event_time), upsert);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let found = |spec: Value, has_event_time: bool| {
        let (_, found) = bound(spec, has_event_time);
        found.items.into_iter().map(|finding| format!("{} {}", finding.code, finding.field.unwrap_or_default())).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({ "by": [] }), true), ["MR0346 by"]);
    assert_eq!(found(json!({ "by": ["kay"], "order": ["m"] }), true), ["MR0322 by.0", "MR0202 order.0"]);
    assert_eq!(found(json!({ "by": ["k"], "within": "1s" }), false), ["MR0320 within"]);
    assert_eq!(found(json!({ "by": ["k"], "within": "0s" }), true), ["MR0345 within"]);
    assert_eq!(found(json!({ "by": ["k"], "within": "1s", "keep": "last" }), true), ["MR0345 within"]);
    assert_eq!(found(json!({ "by": ["k"], "within": "1s", "order": ["n"] }), true), ["MR0345 within"]);
    let kind = Deduplicate::default();
    assert!(!kind.takes(&ChangeMode::Retract) && !kind.takes(&ChangeMode::Upsert { key: Vec::new() }));
}

#[test]
fn a_row_comes_out_once_the_watermark_has_passed_it_and_not_before() {
    let mut operator = operator(json!({ "by": ["k"] }));
    let mut ports = Ports::default();
    operator.on_batch(0, rows(&[1, 1, 2], &[7, 5, 9], i64::MIN), &mut ports).unwrap();
    advance(operator.as_mut(), 5, &mut ports);
    assert_eq!(ports.rows(0), 0, "another row of that time may come");
    operator.on_batch(0, rows(&[1], &[5], 5), &mut ports).unwrap();
    advance(operator.as_mut(), 6, &mut ports);
    let batch = &ports.0[0].1;
    assert_eq!((batch.times().unwrap(), batch.watermarks().unwrap()), (&[5][..], &[i64::MIN][..]));
    assert_eq!(operator.output_watermark(Timestamp(6)), Timestamp(6));
    assert_eq!((operator.counts().accepted, operator.counts().filtered), (1, 1), "those that wait are not yet counted");
    advance(operator.as_mut(), i64::MAX, &mut ports);
    assert_eq!((operator.counts().accepted, operator.counts().filtered), (2, 2));
    operator.on_end(EndReason::Finished, &mut ports).unwrap();
}

#[test]
fn a_row_that_the_watermark_overtook_while_its_input_was_idle_is_late_and_counted_apart() {
    let mut operator = operator(json!({ "by": ["k"] }));
    let mut ports = Ports::default();
    advance(operator.as_mut(), 20, &mut ports);
    operator.on_batch(0, rows(&[1, 2], &[9, 11], 10), &mut ports).unwrap();
    operator.on_batch(0, rows(&[3], &[20], 10), &mut ports).unwrap();
    let counts = operator.counts();
    assert_eq!((counts.late, counts.late_after_idle, ports.rows(1)), (2, 1, 2));
    operator.on_end(EndReason::Stopped, &mut ports).unwrap();
    assert_eq!((operator.counts().accepted, ports.rows(0)), (1, 0), "a stopped input gives nothing out that waits");
}

#[test]
fn a_bound_lets_go_of_keys_that_are_over() {
    let mut operator = operator(json!({ "by": ["k"], "within": "10us" }));
    let mut ports = Ports::default();
    let mut most = 0;
    for at in 0..200i64 {
        let keys: Vec<i64> = (0..100).map(|n| at * 100 + n).collect();
        operator.on_batch(0, rows(&keys, &vec![at; keys.len()], i64::MIN), &mut ports).unwrap();
        advance(operator.as_mut(), at, &mut ports);
        most = most.max(operator.state_size().rows);
    }
    advance(operator.as_mut(), i64::MAX, &mut ports);
    assert_eq!(ports.rows(0), 20_000);
    assert!(most < 5_000, "{most} rows and keys at most");
}
