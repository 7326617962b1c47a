//! `top_n` against DuckDB: the same rows and the same late rows, however the run is cut and spread, and after two faults.

use millrace_runtime::JobOptions;
use millrace_testkit::{Collected, Harness, Memory, Oracle, Script, Table, node};
use millrace_wire::figures::RunState;
use polars::prelude::DataFrame;
use serde_json::{Value, json};

use crate::changelog::{CUTS, KEPT, kept_rows, oracle, retracted, run, taken, taken_or_none};
use crate::checkpoints::{LIVES, attempt_at, attempt_within, silence};

/// Windows of 30 minutes: their bounds, and whether the row is late.
const PLACED: &str = "CREATE TABLE placed AS SELECT *, coalesce(ws + 1800000000 + 300000000 <= wm, false) AS is_late
    FROM (SELECT *, tu - (tu % 1800000000 + 1800000000) % 1800000000 AS ws FROM seen)";

const WINDOW: &str = "make_timestamp(ws) AS window_start, make_timestamp(ws + 1800000000) AS window_end,
    make_timestamp(ws + 1800000000 - 1) AS window_time, k, v, x, t";

/// What SQL says of the first rows by `order`: of equal ones the other columns decide, or all are taken.
fn windowed(oracle: &Oracle, ties: &str, by: &str, order: &str, others: &str, n: usize) -> Table {
    let (function, order) = match ties {
        "keep" => ("rank()", order.to_owned()),
        _ => ("row_number()", format!("{order}, {others}")),
    };
    oracle.query(&format!(
        "SELECT {WINDOW}, {function} OVER (PARTITION BY ws{by} ORDER BY {order}) AS place FROM placed WHERE NOT is_late QUALIFY place <= {n}"
    ))
}

#[tokio::test]
async fn the_first_rows_of_each_window_equal_duckdb_at_any_parallelism_and_batch_size() {
    let rows = kept_rows(1, 4_000);
    let oracle = oracle(&rows);
    oracle.run(PLACED);
    let late = oracle.query("SELECT k, v, x, t FROM placed WHERE is_late");
    assert!(late.rows.len() > 100);
    let cases = [
        ("drop", json!(["v"]), ", v", vec!["x DESC"], "k, v, t", 3),
        ("keep", json!(["v"]), ", v", vec!["x DESC"], "", 3),
        ("drop", json!([]), "", vec!["v DESC NULLS FIRST", "k"], "x, t", 5),
        ("keep", json!(["k", "v"]), ", k, v", vec!["x NULLS FIRST", "t DESC"], "", 1),
        ("drop", json!(["k"]), ", k", vec!["t"], "k, v, x", 1000),
    ];
    for (ties, by, sql_by, order, others, n) in cases {
        let expected = windowed(&oracle, ties, sql_by, &order.join(", "), others, n);
        assert!(expected.rows.len() > 200, "the data is worth the test");
        let fields = json!({ "by": by, "n": n, "order": order, "window": "30m", "allowed_lateness": "5m", "ties": ties, "rank": "place" });
        for cut in CUTS {
            let (collected, outcome) = run(&rows, "top_n", fields.clone(), true, cut).await;
            expected.assert_same(&taken(&collected, "out"));
            late.assert_same(&taken(&collected, "late"));
            let figures = &outcome.summary.nodes[&"op".into()];
            assert_eq!((figures.late, figures.filtered), (late.rows.len() as u64, 0));
        }
    }
}

#[tokio::test]
async fn rows_are_ranked_in_the_windows_that_they_carry() {
    let rows = kept_rows(2, 4_000);
    let oracle = oracle(&rows);
    oracle.run(&PLACED.replace(" + 300000000", ""));
    let expected = oracle.query(
        "SELECT make_timestamp(ws) AS window_start, make_timestamp(ws + 1800000000) AS window_end,
           make_timestamp(ws + 1800000000 - 1) AS window_time, k, count(*) AS n FROM placed WHERE NOT is_late GROUP BY ws, k
         QUALIFY rank() OVER (PARTITION BY ws ORDER BY count(*) DESC) <= 2",
    );
    for (parallelism, batch_rows) in CUTS {
        let harness = Harness::new(Memory::default().with("rows", &KEPT, vec![vec![Script::Rows(rows.clone())]]));
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
            node("counts", "tumbling_window", &["rows"], json!({ "size": "30m", "by": ["k"], "aggregate": { "n": "count(*)" } })),
            node("op", "top_n", &["counts"], json!({ "n": 2, "order": ["n DESC"], "window": "input", "ties": "keep" })),
            node("out", "collect", &["op"], json!({})),
        ];
        let outcome = harness.run(nodes, JobOptions { parallelism, batch_rows, ..JobOptions::default() }).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
        expected.assert_same(&taken(&harness.collected, "out"));
        let figures = &outcome.summary.nodes[&"op".into()];
        assert_eq!((figures.rows_in, figures.late, figures.quarantined), (figures.accepted, 0, 0));
    }
}

#[tokio::test]
async fn what_an_updating_ranking_tells_comes_to_what_duckdb_says_of_all_rows() {
    let rows = kept_rows(3, 3_000);
    let oracle = oracle(&rows);
    let cases = [
        ("drop", "row_number() OVER (PARTITION BY v ORDER BY x DESC, k, v, t)", Some("place")),
        ("drop", "row_number() OVER (PARTITION BY v ORDER BY x DESC, k, v, t)", None),
        ("keep", "rank() OVER (PARTITION BY v ORDER BY x DESC)", Some("place")),
        ("keep", "rank() OVER (PARTITION BY v ORDER BY x DESC)", None),
    ];
    for (ties, place, rank) in cases {
        let shown = rank.map_or(String::new(), |name| format!(", {place} AS {name}"));
        let expected = oracle.query(&format!("SELECT k, v, x, t{shown} FROM rows QUALIFY {place} <= 4"));
        let fields = json!({ "by": ["v"], "n": 4, "order": ["x DESC"], "ties": ties, "rank": rank });
        for (cut, has_time) in CUTS.into_iter().zip([true, false, true, false]) {
            let (collected, outcome) = run(&rows, "top_n", fields.clone(), has_time, cut).await;
            expected.assert_same(&retracted(taken(&collected, "out")));
            assert_eq!(outcome.summary.nodes[&"op".into()].accepted, 3_000);
        }
    }
}

/// One partition that falls silent so that an epoch is taken, and goes on with `then`.
pub fn interrupted(rows: &DataFrame, then: &[Script]) -> Memory {
    let (half, rest) = (rows.height() / 2, rows.height() - rows.height() / 2);
    let mut script = vec![Script::Rows(rows.slice(0, half)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(rows.slice(half as i64, rest)));
    Memory::default().with("rows", &KEPT, vec![script])
}

/// Fails twice and goes on, each time with other tasks; what comes out is `expected`.
pub async fn outlives(rows: &DataFrame, kind: &str, fields: Value, settle: impl Fn(Table) -> Table) {
    let nodes = || {
        vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
            node("op", kind, &["rows"], fields.clone()),
            node("out", "collect", &["op"], json!({})),
            node("late", "collect", &["op.late"], json!({})),
        ]
    };
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let reference = attempt_at(folder.path(), interrupted(rows, &[]), &expected, 1, nodes()).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None), "{kind}");
    for (bounds, parallelism) in LIVES {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (attempt, parallelism) in parallelism.into_iter().enumerate() {
            let fails = if attempt < 2 { &[Script::Break("pulled the plug")][..] } else { &[] };
            let outcome = attempt_within(bounds(), folder.path(), interrupted(rows, fails), &collected, parallelism, nodes()).await;
            if attempt < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"), "{kind}");
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
            let counts = |outcome: &std::collections::BTreeMap<_, millrace_wire::figures::NodeSummary>| {
                let it = &outcome[&millrace_model::NodeId::new("op")];
                (it.rows_in, it.accepted, it.filtered, it.late, it.quarantined)
            };
            assert_eq!(counts(&outcome.summary.nodes), counts(&reference.summary.nodes), "the counts of {kind} go on");
        }
        settle(taken(&expected, "out")).assert_same(&settle(taken(&collected, "out")));
        taken_or_none(&expected, "late").assert_same(&taken_or_none(&collected, "late"));
    }
}

#[tokio::test]
async fn rankings_outlive_their_process() {
    let rows = kept_rows(4, 2_000);
    let windowed = json!({ "by": ["v"], "n": 3, "order": ["x DESC"], "window": "4h", "ties": "keep", "rank": "place" });
    outlives(&rows, "top_n", windowed, |table| table).await;
    outlives(&rows, "top_n", json!({ "n": 3, "order": ["v"], "window": "10h" }), |table| table).await;
    outlives(&rows, "top_n", json!({ "by": ["k"], "n": 2, "order": ["x", "v DESC"], "rank": "place" }), retracted).await;
    outlives(&rows, "top_n", json!({ "by": ["k", "v"], "n": 2, "order": ["x"], "ties": "keep" }), retracted).await;
}
