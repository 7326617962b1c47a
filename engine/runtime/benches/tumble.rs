//! How fast a tumbling window takes rows on one core: 10 s windows, count, max and avg by 10,000 and by 1,000,000 integer keys, and by text.
//!
//! `cargo bench -p millrace-runtime --bench tumble [-- MILLIONS_OF_ROWS]`. Each rate is the slope between a run and one of twice the rows, so
//! that start-up does not count; the batches are distinct and made before the clock starts.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::{ChangeMode, DataType as Type, Diagnostics, Field, NodeDecl, NodeId, Schema, Timestamp};
use millrace_plan::{BindInput, BoundNode, InputPort, Kind};
use millrace_runtime::Batch;
use millrace_runtime::batch::{TIME_COLUMN, WATERMARK_COLUMN};
use millrace_runtime::operator::{Budget, Operator, OperatorContext, OperatorFactory, Output, Step};
use millrace_runtime::operators::window::TumblingWindow;
use polars::prelude::*;
use serde_json::{Value, json};

const BATCH_ROWS: usize = 8192;
const DISTINCT_BATCHES: usize = 1024;
/// Rows in 10 s of event time, as DuckDB's comparison has them.
const ROWS_PER_WINDOW: i64 = 16_400_000;
const WINDOW_MICROS: i64 = 10_000_000;

struct Count {
    rows: usize,
}

impl Output for Count {
    fn emit(&mut self, _: usize, batch: Batch) {
        self.rows += batch.rows();
    }
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Keys and values of the batches; the times are put in as they go by.
fn columns(keys: u64, is_text: bool) -> Vec<[Column; 2]> {
    let state = &mut 1;
    let batch = |_| {
        let numbers: Vec<i64> = (0..BATCH_ROWS).map(|_| (random(state) % keys) as i64).collect();
        let values: Vec<i64> = (0..BATCH_ROWS).map(|_| (random(state) % 1_000_000) as i64).collect();
        let key = match is_text {
            true => Column::new("k".into(), numbers.iter().map(|key| format!("key-{key}")).collect::<Vec<_>>()),
            false => Column::new("k".into(), numbers),
        };
        [key, Column::new("v".into(), values)]
    };
    (0..DISTINCT_BATCHES).map(batch).collect()
}

fn operator(key: Type) -> Box<dyn Operator> {
    let spec: Value = json!({ "size": "10s", "by": ["k"], "aggregate": { "n": "count(*)", "most": "max(v)", "mean": "avg(v)" } });
    let decl = NodeDecl {
        id: NodeId::new("w"),
        kind: "tumbling_window".to_owned(),
        inputs: Vec::new(),
        spec,
        common: Default::default(),
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    };
    let schema = Arc::new(Schema::new(vec![Field::new("k", key), Field::new("v", Type::BigInt)]));
    let inputs = [InputPort { schema, mode: ChangeMode::Append, has_event_time: true }];
    let kind = TumblingWindow::default();
    let bound = kind.bind(&BindInput { node: &decl, inputs: &inputs, discovered: None }, &mut Diagnostics::default()).unwrap();
    let node = BoundNode { decl, inputs: Vec::new(), outputs: bound.outputs, distribution: bound.distribution, payload: bound.payload };
    let context = OperatorContext { node: NodeId::new("w"), task: 0, tasks: 1, batch_rows: BATCH_ROWS };
    kind.create(&Arc::new(node), &context).unwrap()
}

/// The time that the operator took for this many rows.
fn run(key: Type, batches: &[[Column; 2]], rows: usize) -> (Duration, usize) {
    let mut operator = operator(key);
    let mut out = Count { rows: 0 };
    let mut spent = Duration::ZERO;
    for number in 0..rows / BATCH_ROWS {
        let first = (number * BATCH_ROWS) as i64;
        let times: Vec<i64> = (first..first + BATCH_ROWS as i64).map(|row| row * WINDOW_MICROS / ROWS_PER_WINDOW).collect();
        let watermark = times.first().copied().unwrap_or_default();
        let mut columns = batches[number % batches.len()].to_vec();
        columns.push(Column::new(TIME_COLUMN.into(), times));
        columns.push(Column::new(WATERMARK_COLUMN.into(), vec![watermark; BATCH_ROWS]));
        let batch = Batch::new(DataFrame::new(BATCH_ROWS, columns).unwrap());
        let start = Instant::now();
        operator.on_batch(0, batch, &mut out).unwrap();
        operator.on_watermark(Timestamp(watermark)).unwrap();
        while operator.step(Budget { rows: BATCH_ROWS }, &mut out).unwrap() == Step::More {}
        spent += start.elapsed();
    }
    let start = Instant::now();
    operator.on_watermark(Timestamp::MAX).unwrap();
    while operator.step(Budget { rows: BATCH_ROWS }, &mut out).unwrap() == Step::More {}
    (spent + start.elapsed(), out.rows)
}

fn main() {
    let millions = std::env::args().filter_map(|word| word.parse::<usize>().ok()).next().unwrap_or(41);
    let rows = millions * 1_000_000;
    for (name, keys, is_text) in [("10,000 integers", 10_000, false), ("1 M integers", 1_000_000, false), ("10,000 texts", 10_000, true)] {
        let key = if is_text { Type::Varchar } else { Type::BigInt };
        let batches = columns(keys, is_text);
        run(key, &batches, rows / 8);
        let (once, _) = run(key, &batches, rows);
        let (twice, results) = run(key, &batches, rows * 2);
        let slope = twice.saturating_sub(once).as_secs_f64();
        println!("{name:>16}: {:6.1} M rows/s on one core ({results} results of {} M rows)", rows as f64 / slope / 1e6, millions * 2);
    }
}
