//! What planning says to a `top_n`, and what only an operator can be asked.

use std::sync::Arc;

use millrace_model::{ChangeMode, Field, NodeDecl, NodeId, Schema, Timestamp};
use millrace_plan::{BindInput, Distribution, InputPort};
use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series, TimeUnit, df};
use serde_json::{Value, json};

use super::*;
use crate::batch::Batch;
use crate::operator::{Budget, EndReason, Operator, Output, Step};

fn flights() -> Schema {
    Schema::new(vec![
        Field::new("origin", millrace_model::DataType::Varchar),
        Field::new("delay", millrace_model::DataType::BigInt),
        Field::new("window_end", millrace_model::DataType::Varchar),
    ])
}

fn decl(spec: Value) -> NodeDecl {
    NodeDecl {
        id: NodeId::new("top"),
        kind: "top_n".to_owned(),
        inputs: Vec::new(),
        common: Default::default(),
        spec,
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    }
}

fn bound(spec: Value, schema: Schema, has_event_time: bool) -> (Option<BoundNode>, Diagnostics) {
    let decl = decl(spec);
    let mut found = Diagnostics::default();
    let inputs = [InputPort { schema: Arc::new(schema), mode: ChangeMode::Append, has_event_time }];
    let bound = TopN::default().bind(&BindInput { node: &decl, inputs: &inputs, discovered: None }, &mut found);
    let bound = bound.map(|bound| BoundNode {
        decl,
        inputs: Vec::new(),
        outputs: bound.outputs,
        distribution: bound.distribution,
        payload: bound.payload,
    });
    (bound, found)
}

/// Code and field of each finding.
fn findings(spec: Value, has_event_time: bool) -> Vec<(String, String)> {
    let (_, found) = bound(spec, flights(), has_event_time);
    found.items.into_iter().map(|finding| (finding.code.into_owned(), finding.field.unwrap_or_default())).collect()
}

#[derive(Default)]
struct Ports(Vec<(usize, Batch)>);

impl Output for Ports {
    fn emit(&mut self, port: usize, batch: Batch) {
        self.0.push((port, batch));
    }
}

impl Ports {
    fn rows(&self, port: usize) -> Vec<usize> {
        self.0.iter().filter(|(other, _)| *other == port).map(|(_, batch)| batch.rows()).collect()
    }
}

fn operator(spec: Value, frame: &DataFrame, batch_rows: usize) -> Box<dyn Operator> {
    let visible = frame.columns().iter().filter(|column| !crate::batch::is_hidden(column.name()));
    let field = |column: &Column| Field::new(column.name().as_str(), millrace_expr::from_polars(column.dtype()).unwrap());
    let (bound, found) = bound(spec, Schema::new(visible.map(field).collect()), true);
    assert!(found.is_empty(), "{:?}", found.items);
    let context = OperatorContext { node: NodeId::new("top"), task: 0, tasks: 1, batch_rows };
    TopN::default().create(&Arc::new(bound.unwrap()), &context).unwrap()
}

fn rows_at(times: &[i64], watermark: i64) -> DataFrame {
    df! { "n" => times, "__time" => times, "__watermark" => vec![watermark; times.len()] }.unwrap()
}

#[test]
fn the_output_says_what_becomes_of_rows() {
    let columns = |spec: Value| {
        let schema = Schema::new(flights().fields[..2].to_vec());
        let (bound, found) = bound(spec, schema, true);
        assert!(found.is_empty(), "{:?}", found.items);
        let bound = bound.unwrap();
        let names: Vec<String> = bound.outputs[0].schema.names().map(str::to_owned).collect();
        (names.join(" "), bound.outputs[0].mode.word(), bound.distribution)
    };
    let by_origin = Distribution::ByKey(vec!["origin".to_owned()]);
    assert_eq!(
        columns(json!({ "by": ["origin"], "n": 3, "order": ["delay DESC"], "window": "1d", "rank": "place" })),
        ("window_start window_end window_time origin delay place".to_owned(), "append", by_origin)
    );
    assert_eq!(
        columns(json!({ "n": 3, "order": ["delay"], "rank": "place" })),
        ("origin delay place __op".to_owned(), "retract", Distribution::Single)
    );
}

#[test]
fn everything_wrong_is_found_at_once() {
    let expect = |found: Vec<(String, String)>, expected: &[(&str, &str)]| {
        let found: Vec<(&str, &str)> = found.iter().map(|(code, field)| (code.as_str(), field.as_str())).collect();
        assert_eq!(found, expected);
    };
    let spec =
        json!({ "by": ["orgin", "origin", "origin"], "n": 0, "order": ["delay DOWN", "delya", "delay", "delay DESC"], "window": "0s" });
    expect(
        findings(spec, false),
        &[
            ("MR0322", "by.0"),
            ("MR0309", "by.2"),
            ("MR0201", "order.0"),
            ("MR0202", "order.1"),
            ("MR0309", "order.3"),
            ("MR0326", "n"),
            ("MR0320", "window"),
            ("MR0321", "window"),
            ("MR0309", "window"),
        ],
    );
    let carried = json!({ "n": 1, "order": ["delay"], "window": "input", "rank": " " });
    expect(findings(carried, true), &[("MR0344", "window"), ("MR0344", "window"), ("MR0308", "rank")]);
    expect(
        findings(json!({ "n": 1, "order": [], "allowed_lateness": "1s" }), true),
        &[("MR0322", "order"), ("MR0344", "allowed_lateness")],
    );
}

#[test]
fn rows_that_may_be_taken_back_are_refused() {
    let kind = TopN::default();
    assert!(kind.takes(&ChangeMode::Append));
    assert!(!kind.takes(&ChangeMode::Retract) && !kind.takes(&ChangeMode::Upsert { key: Vec::new() }));
}

#[test]
fn a_step_gives_out_no_more_than_its_budget_and_a_fired_window_leaves_no_rows() {
    let frame = rows_at(&(0..500).collect::<Vec<_>>(), i64::MIN);
    let mut operator = operator(json!({ "by": ["n"], "n": 1, "order": ["n"], "window": "10s" }), &frame, 16);
    let mut ports = Ports::default();
    operator.on_batch(0, Batch::new(frame), &mut ports).unwrap();
    let size = operator.state_size();
    assert_eq!((size.rows, size.open_windows, size.next_window_end), (500, 1, Some(Timestamp(10_000_000))));
    assert!(size.bytes > 0);
    operator.on_watermark(Timestamp(9_999_999)).unwrap();
    assert_eq!(operator.step(Budget { rows: 40 }, &mut ports).unwrap(), Step::Done);
    operator.on_watermark(Timestamp::MAX).unwrap();
    let mut given = 0;
    while operator.step(Budget { rows: 40 }, &mut ports).unwrap() == Step::More {
        let now: usize = ports.rows(0).iter().sum();
        assert!(now - given <= 40);
        given = now;
    }
    assert_eq!(ports.rows(0).iter().sum::<usize>(), 500);
    assert!(ports.rows(0).iter().all(|rows| *rows <= 16));
    operator.on_end(EndReason::Finished, &mut ports).unwrap();
    assert_eq!(operator.state_size().rows, 0);
}

#[test]
fn a_row_whose_window_fired_while_its_input_was_idle_is_late_and_counted_apart() {
    let frame = rows_at(&[0], 0);
    let mut operator = operator(json!({ "n": 1, "order": ["n"], "window": "10us" }), &frame, 16);
    let mut ports = Ports::default();
    operator.on_watermark(Timestamp(20)).unwrap();
    assert_eq!(operator.step(Budget { rows: 10 }, &mut ports).unwrap(), Step::Done);
    operator.on_batch(0, Batch::new(rows_at(&[1], 10)), &mut ports).unwrap();
    operator.on_batch(0, Batch::new(rows_at(&[1, 20, i64::MAX], 5)), &mut ports).unwrap();
    let counts = operator.counts();
    assert_eq!((counts.accepted, counts.late, counts.late_after_idle, counts.quarantined), (1, 2, 1, 1));
    assert_eq!((ports.rows(1), ports.rows(2)), (vec![1, 1], vec![1]));
}

#[test]
fn rows_that_carry_no_window_are_quarantined() {
    let at = |times: [Option<i64>; 4]| {
        let times = Series::new("t".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
        times.into_column()
    };
    let mut frame = df! { "n" => [1i64, 2, 3, 4], "__time" => [0i64; 4], "__watermark" => [i64::MIN; 4] }.unwrap();
    frame.insert_column(1, at([Some(0), None, Some(0), Some(5)]).with_name("window_start".into())).unwrap();
    frame.insert_column(2, at([Some(5), Some(5), None, Some(5)]).with_name("window_end".into())).unwrap();
    let mut operator = operator(json!({ "n": 9, "order": ["n"], "window": "input" }), &frame, 16);
    let mut ports = Ports::default();
    operator.on_batch(0, Batch::new(frame), &mut ports).unwrap();
    assert_eq!((operator.counts().accepted, operator.counts().quarantined), (1, 3));
    operator.on_watermark(Timestamp(5)).unwrap();
    assert_eq!(operator.step(Budget { rows: 10 }, &mut ports).unwrap(), Step::Done);
    assert_eq!((ports.rows(0), ports.rows(2)), (vec![1], vec![3]));
}
