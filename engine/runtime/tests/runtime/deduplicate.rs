//! `deduplicate` against DuckDB: the same rows, the same late rows and counts, however the run is cut and spread, and after two faults.

use std::collections::HashMap;

use millrace_testkit::{Cell, Table};
use serde_json::json;

use crate::changelog::{CUTS, kept_rows, oracle, run, taken, upserted};
use crate::top_n::outlives;

#[tokio::test]
async fn the_first_row_of_each_key_equals_duckdb_at_any_parallelism_and_batch_size() {
    let rows = kept_rows(11, 4_000);
    let oracle = oracle(&rows);
    let late = oracle.query("SELECT k, v, x, t FROM seen WHERE tu < wm");
    assert!(late.rows.len() > 100);
    for (by, sql_by) in [(json!(["k", "v"]), "k, v"), (json!(["x"]), "x"), (json!(["k", "v", "x", "t"]), "k, v, x, t")] {
        let expected = oracle.query(&format!(
            "SELECT k, v, x, t FROM seen WHERE tu >= wm QUALIFY row_number() OVER (PARTITION BY {sql_by} ORDER BY t, k, v, x) = 1"
        ));
        for cut in CUTS {
            let (collected, outcome) = run(&rows, "deduplicate", json!({ "by": by }), true, cut).await;
            expected.assert_same(&taken(&collected, "out"));
            late.assert_same(&taken(&collected, "late"));
            let figures = &outcome.summary.nodes[&"op".into()];
            let (kept, late) = (expected.rows.len() as u64, late.rows.len() as u64);
            assert_eq!((figures.accepted, figures.filtered, figures.late), (kept, 4_000 - kept - late, late));
        }
    }
}

/// What stays of rows of `key` (the first column) in their order, by the time in the last.
fn bounded(sorted: &Table, within: i64) -> Table {
    let mut until: HashMap<String, i64> = HashMap::new();
    let stays = |row: &&Vec<Cell>| {
        let Some(Cell::Timestamp(time)) = row.last() else { panic!("no time") };
        let until = until.entry(format!("{:?}", row[0])).or_insert(i64::MIN);
        let stays = *time >= *until;
        if stays {
            *until = time + within;
        }
        stays
    };
    Table { columns: sorted.columns.clone(), rows: sorted.rows.iter().filter(stays).cloned().collect() }
}

#[tokio::test]
async fn a_row_within_the_bound_after_one_that_stays_is_a_duplicate_and_a_later_one_is_not() {
    let rows = kept_rows(12, 4_000);
    let sorted = oracle(&rows).query("SELECT k, v, x, t FROM seen WHERE tu >= wm ORDER BY t, k, v, x");
    for (within, micros) in [("7m", 420_000_000), ("1h", 3_600_000_000), ("1us", 1)] {
        let expected = bounded(&sorted, micros);
        assert!(expected.rows.len() > 300 && expected.rows.len() < sorted.rows.len());
        for cut in CUTS {
            let (collected, outcome) = run(&rows, "deduplicate", json!({ "by": ["k"], "within": within }), true, cut).await;
            expected.assert_same(&taken(&collected, "out"));
            assert_eq!(outcome.summary.nodes[&"op".into()].accepted, expected.rows.len() as u64, "{within}");
        }
    }
}

#[tokio::test]
async fn rows_by_event_time_come_out_sorted_by_it() {
    let rows = kept_rows(13, 2_000);
    let (collected, _) = run(&rows, "deduplicate", json!({ "by": ["k"], "within": "20m" }), true, (1, 100)).await;
    let table = taken(&collected, "out");
    let times = table.rows.iter().map(|row| match row.last() {
        Some(Cell::Timestamp(time)) => *time,
        other => panic!("no time: {other:?}"),
    });
    assert!(times.collect::<Vec<_>>().is_sorted());
}

#[tokio::test]
async fn the_last_row_of_each_key_and_the_first_by_an_order_equal_duckdb() {
    let rows = kept_rows(14, 4_000);
    let oracle = oracle(&rows);
    let cases = [
        (json!({ "by": ["k"], "keep": "last" }), "t DESC, k DESC, v DESC NULLS FIRST, x DESC NULLS FIRST", true),
        (json!({ "by": ["k"], "keep": "last", "order": ["x", "v DESC"] }), "x DESC NULLS FIRST, v ASC NULLS FIRST, t DESC", false),
        (json!({ "by": ["k"], "keep": "first", "order": ["v NULLS FIRST"] }), "v NULLS FIRST, x, t", true),
        (json!({ "by": ["k"], "keep": "first", "order": ["x DESC"] }), "x DESC, v, t", false),
        (json!({ "by": ["k"], "keep": "last" }), "row DESC", false),
    ];
    for (fields, order, has_time) in cases {
        let expected =
            oracle.query(&format!("SELECT k, v, x, t FROM seen QUALIFY row_number() OVER (PARTITION BY k ORDER BY {order}) = 1"));
        for cut in CUTS {
            let (collected, outcome) = run(&rows, "deduplicate", fields.clone(), has_time, cut).await;
            expected.assert_same(&upserted(taken(&collected, "out"), 1));
            let figures = &outcome.summary.nodes[&"op".into()];
            assert_eq!((figures.accepted, figures.late), (4_000, 0));
            assert_eq!(collected.rows("late"), 0);
        }
    }
}

#[tokio::test]
async fn rows_that_say_nothing_of_their_time_stay_in_order_of_arrival() {
    let rows = kept_rows(15, 4_000);
    let oracle = oracle(&rows);
    let expected = oracle.query("SELECT k, v, x, t FROM seen QUALIFY row_number() OVER (PARTITION BY k, v ORDER BY row) = 1");
    for cut in CUTS {
        let (collected, outcome) = run(&rows, "deduplicate", json!({ "by": ["k", "v"] }), false, cut).await;
        expected.assert_same(&taken(&collected, "out"));
        let figures = &outcome.summary.nodes[&"op".into()];
        assert_eq!((figures.accepted, figures.filtered), (expected.rows.len() as u64, 4_000 - expected.rows.len() as u64));
    }
}

#[tokio::test]
async fn what_is_known_of_keys_outlives_its_process() {
    let rows = kept_rows(16, 2_000);
    outlives(&rows, "deduplicate", json!({ "by": ["k", "v"] }), |table| table).await;
    outlives(&rows, "deduplicate", json!({ "by": ["k"], "within": "15m" }), |table| table).await;
    outlives(&rows, "deduplicate", json!({ "by": ["k", "v"], "within": "1s" }), |table| table).await;
    outlives(&rows, "deduplicate", json!({ "by": ["k"], "keep": "last" }), |table| upserted(table, 1)).await;
    outlives(&rows, "deduplicate", json!({ "by": ["k"], "order": ["v DESC"] }), |table| upserted(table, 1)).await;
}
