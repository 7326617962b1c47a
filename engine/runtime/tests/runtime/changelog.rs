//! Rows for operators that keep rows, and what their changelogs come to.

use std::collections::HashMap;

use millrace_model::DataType;
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_testkit::{Cell, Collected, Harness, Memory, Oracle, Script, Table, node};
use millrace_wire::figures::RunState;
use polars::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

pub const KEPT: [(&str, DataType); 4] =
    [("k", DataType::BigInt), ("v", DataType::Varchar), ("x", DataType::Double), ("t", DataType::Timestamp)];

/// How rows are cut and spread: tasks, rows a batch.
pub const CUTS: [(u32, usize); 4] = [(1, 8192), (2, 64), (7, 1), (7, 8192)];

const MINUTE: i64 = 60_000_000;

/// Rows with NULLs, ties, texts short and long, NaN and infinities; half a minute apart, most in order, some hours late.
pub fn kept_rows(seed: u64, count: i64) -> DataFrame {
    let mut random = StdRng::seed_from_u64(seed);
    let floats = [f64::NEG_INFINITY, -2.5, 0.0, 1.0, 1.5, 1e300, f64::INFINITY, f64::NAN];
    let texts = ["", "a", "ab", "longer than twelve bytes", "longer than twelve bytes too", "é"];
    let some = |random: &mut StdRng| random.random_range(0..12) > 0;
    let (mut k, mut v, mut x, mut t) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        let late = if random.random_range(0..10) == 0 { random.random_range(0..300) } else { random.random_range(0..12) };
        k.push(some(&mut random).then(|| random.random_range(-9i64..9)));
        v.push(some(&mut random).then(|| texts[random.random_range(0..texts.len())]));
        x.push(some(&mut random).then(|| floats[random.random_range(0..floats.len())]));
        t.push((row / 2 - late) * MINUTE);
    }
    let t = Series::new("t".into(), t).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let columns = vec![Column::new("k".into(), k), Column::new("v".into(), v), Column::new("x".into(), x), t.into()];
    DataFrame::new(count as usize, columns).unwrap()
}

/// The rows as table `rows`, and as `seen` with their time and own watermark in microseconds, ten minutes behind.
pub fn oracle(rows: &DataFrame) -> Oracle {
    let oracle = Oracle::default();
    oracle.load("rows", &KEPT, std::slice::from_ref(rows)).run(
        "CREATE TABLE seen AS SELECT *, epoch_us(t) AS tu, coalesce(max(epoch_us(t))
           OVER (ORDER BY rowid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - 600000000, -9223372036854775807) AS wm, rowid AS row FROM rows",
    );
    oracle
}

/// The columns of a table that the engine does not make, without `__op`.
const COLUMNS: &str = "k, v, x, t";

/// Runs one operator over the rows; gives what came out of it, what of it was late, and how it went.
pub async fn run(rows: &DataFrame, kind: &str, fields: Value, has_time: bool, cut: (u32, usize)) -> (Collected, JobOutcome) {
    let collected = Collected::default();
    let memory = Memory::default().with("rows", &KEPT, vec![vec![Script::Rows(rows.clone())]]);
    let harness = Harness::with_collected(memory, collected.clone());
    let source = if has_time { json!({ "event_time": "t", "max_delay": "10m" }) } else { json!({}) };
    let nodes = vec![
        node("rows", "memory", &[], source),
        node("op", kind, &["rows"], fields),
        node("out", "collect", &["op"], json!({})),
        node("late", "collect", &["op.late"], json!({})),
    ];
    let (parallelism, batch_rows) = cut;
    let outcome = harness.run(nodes, JobOptions { parallelism, batch_rows, ..JobOptions::default() }).await;
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None), "{kind} at {cut:?}");
    let figures = &outcome.summary.nodes[&"op".into()];
    assert_eq!(figures.rows_in, rows.height() as u64);
    assert_eq!(figures.rows_in, figures.accepted + figures.filtered + figures.late + figures.quarantined, "the law of rows");
    (collected, outcome)
}

/// What a node's sink has taken.
pub fn taken(collected: &Collected, node: &str) -> Table {
    Table::from_frames(&collected.frames(node))
}

/// Like [`taken`], where nothing may have come.
pub fn taken_or_none(collected: &Collected, node: &str) -> Table {
    let mut table = taken(collected, node);
    if table.columns.is_empty() {
        table.columns = COLUMNS.split(", ").map(str::to_owned).collect();
    }
    table
}

/// A changelog's rows with their ops, which stand last.
fn changes(table: Table) -> (Vec<String>, Vec<(String, Vec<Cell>)>) {
    let mut columns = table.columns;
    assert_eq!(columns.pop().as_deref(), Some("__op"));
    let rows = table.rows.into_iter().map(|mut row| match row.pop() {
        Some(Cell::Text(op)) => (op, row),
        other => panic!("no op: {other:?}"),
    });
    (columns, rows.collect())
}

/// What a changelog that takes rows back comes to. What is taken back was there, exactly so.
pub fn retracted(table: Table) -> Table {
    let (columns, changes) = changes(table);
    let mut there: HashMap<String, (i64, Vec<Cell>)> = HashMap::new();
    for (op, row) in changes {
        let (count, _) = there.entry(format!("{row:?}")).or_insert_with(|| (0, row.clone()));
        *count += if op.starts_with('+') { 1 } else { -1 };
        assert!(*count >= 0, "{row:?} is taken back and was not there");
    }
    let rows = there.into_values().flat_map(|(count, row)| vec![row; count as usize]).collect();
    Table { columns, rows }
}

/// What a changelog by key comes to; `keys` are the first columns.
pub fn upserted(table: Table, keys: usize) -> Table {
    let (columns, changes) = changes(table);
    let mut there: HashMap<String, Vec<Cell>> = HashMap::new();
    for (op, row) in changes {
        let before = there.insert(format!("{:?}", &row[..keys]), row);
        assert_eq!(op, if before.is_some() { "+U" } else { "+I" });
    }
    Table { columns, rows: there.into_values().collect() }
}
