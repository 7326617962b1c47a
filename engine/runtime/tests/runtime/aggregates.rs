//! Results by key over all rows so far: what the changes come to equals DuckDB's GROUP BY, however the run is cut, spread and restored.

use millrace_model::{DataType, NodeDecl};
use millrace_runtime::JobOptions;
use millrace_testkit::{Collected, Harness, Memory, Oracle, Script, Table, node};
use millrace_wire::figures::{NodeSummary, RunState};
use polars::prelude::DataFrame;
use serde_json::{Value, json};

use crate::changelogs::{CHANGING, Change, changing, net, net_of, random_rows};
use crate::checkpoints::{LIVES, attempt_at, attempt_within, rows, silence};
use crate::{COLUMNS, one};

/// As parallelism, and rows in a batch.
const CUTS: [(u32, usize); 4] = [(1, 4096), (2, 64), (7, 500), (7, 1)];

pub async fn run(memory: Memory, nodes: Vec<NodeDecl>, (parallelism, batch_rows): (u32, usize)) -> (Collected, Vec<NodeSummary>) {
    let harness = Harness::new(memory);
    let names: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    let options = JobOptions { parallelism, batch_rows, ..JobOptions::default() };
    let outcome = harness.run(nodes, options).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    let summaries: Vec<NodeSummary> = names.iter().map(|name| outcome.summary.nodes[name].clone()).collect();
    for (name, it) in names.iter().zip(&summaries) {
        assert_eq!(it.rows_in, it.accepted + it.filtered + it.late + it.quarantined, "the law of rows at {name}");
    }
    (harness.collected.clone(), summaries)
}

const ALL: [(&str, &str, &str); 19] = [
    ("n", "count(*)", "count(*)"),
    ("many", "count(*) FILTER (WHERE k > 50)", "count(*) FILTER (WHERE k > 50)"),
    ("named", "count(v)", "count(v)"),
    ("total", "sum(k)", "sum(k)::BIGINT"),
    ("float_total", "sum(f)", "sum(f)"),
    ("mean", "avg(k)", "avg(k)"),
    ("float_mean", "avg(f)", "avg(f)"),
    ("least", "min(v)", "min(v)"),
    ("most", "max(k)", "max(k)"),
    ("least_float", "min(f)", "min(f)"),
    ("spread", "stddev(k)", "stddev(k)"),
    ("variance", "variance(f)", "var_samp(f)"),
    ("middle", "median(k)", "median(k)"),
    ("p90", "quantile(f, 0.9)", "quantile_cont(f, 0.9)"),
    ("kinds", "count_distinct(v)", "count(DISTINCT v)"),
    ("numbers", "count_distinct(k)", "count(DISTINCT k)"),
    ("lowest", "arg_min(v, k)", "arg_min(v, (k, v)) FILTER (WHERE k IS NOT NULL AND v IS NOT NULL)"),
    ("all_high", "bool_and(k > -40)", "bool_and(k > -40)"),
    ("any_high", "bool_or(k > 45)", "bool_or(k > 45)"),
];

fn ours() -> Value {
    Value::Object(ALL.iter().map(|(name, call, _)| ((*name).to_owned(), json!(call))).collect())
}

fn theirs(by: &str) -> String {
    let calls: Vec<String> = ALL.iter().map(|(name, _, call)| format!("{call} AS {name}")).collect();
    let key = if by.is_empty() { String::new() } else { format!("{by}, ") };
    let group = if by.is_empty() { "HAVING count(*) > 0".to_owned() } else { format!("GROUP BY {by}") };
    format!("SELECT {key}{} FROM rows {group}", calls.join(", "))
}

fn oracle(rows: &DataFrame) -> Oracle {
    let oracle = Oracle::default();
    oracle.load("rows", &CHANGING[1..], std::slice::from_ref(&rows.drop("op").unwrap()));
    oracle
}

/// What came out by node `kept`, folded to the rows that are there in the end.
fn folded(collected: &Collected, by: &[&str]) -> Table {
    net(&collected.frames("kept"), by)
}

#[tokio::test]
async fn results_over_rows_that_are_new_equal_duckdbs() {
    let rows = random_rows(3, 1_500);
    for by in [vec!["v"], vec!["k", "v"], vec![]] {
        let expected = oracle(&rows).query(&theirs(&by.join(", ")));
        for cut in CUTS {
            let nodes = vec![
                node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
                node("sums", "aggregate", &["rows"], json!({ "by": by, "aggregate": ours() })),
                node("kept", "collect", &["sums"], json!({})),
            ];
            let (collected, summaries) = run(Memory::default().with("rows", &CHANGING, one(rows.clone())), nodes, cut).await;
            expected.assert_same(&folded(&collected, &by));
            assert_eq!((summaries[1].accepted, summaries[1].late), (1_500, 0), "nothing is late without windows");
        }
    }
}

#[tokio::test]
async fn results_over_rows_that_take_others_back_equal_duckdbs_over_those_that_are_left() {
    let (changes, left) = changing(11, 1_200, Change::Retract);
    for by in [vec!["v"], vec!["k", "v"], vec![]] {
        let expected = oracle(&left).query(&theirs(&by.join(", ")));
        for cut in CUTS {
            let nodes = vec![
                node("rows", "memory", &[], json!({ "event_time": "t" })),
                node("changes", "changelog", &["rows"], json!({})),
                node("sums", "aggregate", &["changes"], json!({ "by": by, "aggregate": ours() })),
                node("kept", "collect", &["sums"], json!({})),
            ];
            let (collected, _) = run(Memory::default().with("rows", &CHANGING, one(changes.clone())), nodes, cut).await;
            expected.assert_same(&folded(&collected, &by));
        }
    }
}

#[tokio::test]
async fn results_over_rows_that_replace_others_equal_duckdbs_over_the_last_of_each_key() {
    let (changes, left) = changing(12, 1_200, Change::Upsert);
    for by in [vec!["v"], vec!["id"], vec![]] {
        let expected = oracle(&left).query(&theirs(&by.join(", ")));
        for cut in CUTS {
            let nodes = vec![
                node("rows", "memory", &[], json!({ "event_time": "t" })),
                node("changes", "changelog", &["rows"], json!({ "key": ["id"] })),
                node("sums", "aggregate", &["changes"], json!({ "by": by, "aggregate": ours() })),
                node("kept", "collect", &["sums"], json!({})),
            ];
            let (collected, summaries) = run(Memory::default().with("rows", &CHANGING, one(changes.clone())), nodes, cut).await;
            expected.assert_same(&folded(&collected, &by));
            assert_eq!(summaries[2].accepted, changes.height() as u64);
        }
    }
}

#[tokio::test]
async fn an_aggregate_of_an_aggregate_is_the_group_by_of_a_group_by() {
    let rows = random_rows(4, 2_000);
    let sql = "SELECT n, count(*) AS keys, sum(total)::BIGINT AS total FROM
                 (SELECT v, k, count(*) AS n, sum(k) AS total FROM rows GROUP BY ALL) GROUP BY n";
    let expected = oracle(&rows).query(sql);
    for cut in CUTS {
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t" })),
            node("by_two", "aggregate", &["rows"], json!({ "by": ["v", "k"], "aggregate": { "n": "count(*)", "total": "sum(k)" } })),
            node("sums", "aggregate", &["by_two"], json!({ "by": ["n"], "aggregate": { "keys": "count(*)", "total": "sum(total)" } })),
            node("kept", "collect", &["sums"], json!({})),
        ];
        let (collected, _) = run(Memory::default().with("rows", &CHANGING, one(rows.clone())), nodes, cut).await;
        expected.assert_same(&folded(&collected, &["n"]));
    }
}

#[tokio::test]
async fn rows_without_an_event_time_aggregate_as_well() {
    let rows = random_rows(5, 1_000);
    let nodes = vec![
        node("rows", "memory", &[], json!({})),
        node("sums", "aggregate", &["rows"], json!({ "by": ["v"], "aggregate": { "n": "count(*)" } })),
        node("kept", "collect", &["sums"], json!({})),
    ];
    let (collected, _) = run(Memory::default().with("rows", &CHANGING, one(rows.clone())), nodes, (2, 100)).await;
    oracle(&rows).query("SELECT v, count(*) AS n FROM rows GROUP BY v").assert_same(&folded(&collected, &["v"]));
    assert!(collected.frames("kept").iter().all(|frame| frame.width() == 3), "no hidden columns: there is no time to hide");
}

/// A key's rows that are further apart than `ttl` begin anew, whatever the batches.
#[tokio::test]
async fn what_is_not_touched_for_so_long_is_forgotten_at_any_batch_size() {
    const SECOND: i64 = 1_000_000;
    // Key 1 comes every 10 s and key 2 pauses for 100 s; key 3 comes once.
    let times: Vec<(i64, i64)> = (0..30).map(|n| (1, n * 10)).chain([(2, 5), (2, 15), (2, 115), (2, 120), (3, 7)]).collect();
    let mut sorted = times.clone();
    sorted.sort_by_key(|(_, at)| *at);
    let texts = vec!["x"; sorted.len()];
    let frame = crate::frame(sorted.iter().map(|(key, _)| *key).collect(), texts, sorted.iter().map(|(_, at)| at * SECOND).collect());
    for batch_rows in [1, 3, 7, 4096] {
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "1s" })),
            node("sums", "aggregate", &["rows"], json!({ "by": ["k"], "aggregate": { "n": "count(*)" }, "ttl": "60s" })),
            node("kept", "collect", &["sums"], json!({})),
        ];
        let memory = Memory::default().with("rows", &COLUMNS, one(frame.clone()));
        let (collected, _) = run(memory, nodes, (2, batch_rows)).await;
        let oracle = Oracle::default();
        let expected = oracle.query("SELECT * FROM (VALUES (1::BIGINT, 30::BIGINT), (2, 2), (3, 1)) AS t(k, n)");
        expected.assert_same(&folded(&collected, &["k"]));
    }
}

#[tokio::test]
async fn a_sum_that_overflows_leaves_its_row_behind_and_over_changes_is_null_while_it_does() {
    let rows = crate::rows(&[(i64::MAX, "a", 0), (1, "a", 1), (-5, "a", 2), (7, "b", 3)]);
    let nodes = |on_error: &str| {
        let aggregate = json!({ "n": "count(*)", "s": "sum(k)" });
        let mut sums = node("sums", "aggregate", &["rows"], json!({ "by": ["v"], "aggregate": aggregate }));
        sums.common = serde_json::from_value(json!({ "on_error": on_error })).unwrap();
        vec![
            node("rows", "memory", &[], json!({})),
            sums,
            node("bad", "collect", &["sums.quarantined"], json!({})),
            node("kept", "collect", &["sums"], json!({})),
        ]
    };
    let memory = || Memory::default().with("rows", &COLUMNS, one(rows.clone()));
    let oracle = Oracle::default();
    let (collected, summaries) = run(memory(), nodes("quarantine"), (1, 2)).await;
    oracle
        .query("SELECT * FROM (VALUES ('a', 2::BIGINT, 9223372036854775802::BIGINT), ('b', 1, 7)) AS t(v, n, s)")
        .assert_same(&folded(&collected, &["v"]));
    assert_eq!((summaries[1].accepted, summaries[1].quarantined, collected.rows("bad")), (3, 1, 1));
    let (collected, summaries) = run(memory(), nodes("null"), (1, 2)).await;
    oracle
        .query("SELECT * FROM (VALUES ('a', 3::BIGINT, NULL::BIGINT), ('b', 1, 7)) AS t(v, n, s)")
        .assert_same(&folded(&collected, &["v"]));
    assert_eq!((summaries[1].accepted, summaries[1].quarantined), (4, 0));

    let changes = [("+I", i64::MAX), ("+I", 1), ("-D", 1), ("+I", -5)];
    let frame = polars::prelude::df! { "op" => changes.map(|(op, _)| op), "k" => changes.map(|(_, k)| k) }.unwrap();
    let nodes = vec![
        node("rows", "memory", &[], json!({})),
        node("changes", "changelog", &["rows"], json!({})),
        node("sums", "aggregate", &["changes"], json!({ "aggregate": { "s": "sum(k)" } })),
        node("kept", "collect", &["sums"], json!({})),
    ];
    let columns = [("op", DataType::Varchar), ("k", DataType::BigInt)];
    let (collected, _) = run(Memory::default().with("rows", &columns, one(frame)), nodes, (1, 1)).await;
    let sums: Vec<Option<i64>> =
        collected.frames("kept").iter().flat_map(|frame| frame.column("s").unwrap().i64().unwrap().iter().collect::<Vec<_>>()).collect();
    assert_eq!(sums, [Some(i64::MAX), None, Some(i64::MAX), Some(i64::MAX - 5)]);
}

/// Fails twice and goes on, each time with other tasks: the changes come to what a run without a fault gives.
async fn outlives(script: impl Fn(&[Script]) -> Memory, nodes: impl Fn() -> Vec<NodeDecl>, by: &[&str]) {
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let reference = attempt_at(&folder.path().join("reference"), script(&[]), &expected, 1, nodes()).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None));
    for (bounds, parallelism) in LIVES {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (attempt, parallelism) in parallelism.into_iter().enumerate() {
            let fails = if attempt < 2 { &[Script::Break("pulled the plug")][..] } else { &[] };
            let outcome = attempt_within(bounds(), folder.path(), script(fails), &collected, parallelism, nodes()).await;
            if attempt < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"));
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
            for (node, summary) in &reference.summary.nodes {
                let now = &outcome.summary.nodes[node];
                assert_eq!((now.accepted, now.quarantined), (summary.accepted, summary.quarantined), "the counts of {node} go on");
            }
        }
        folded(&expected, by).assert_same(&folded(&collected, by));
    }
}

fn broken(rows: &DataFrame, columns: &[(&str, DataType)], then: &[Script]) -> Memory {
    let half = rows.height() as i64 / 2;
    let mut script = vec![Script::Rows(rows.slice(0, half as usize)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(rows.slice(half, rows.height())));
    Memory::default().with("rows", columns, vec![script])
}

#[tokio::test]
async fn aggregates_of_new_rows_outlive_their_process_with_what_is_to_be_forgotten() {
    let frame = rows(3_000);
    for ttl in ["10d", "3m"] {
        let aggregate = json!({ "n": "count(*)", "total": "sum(k)", "usual": "mode(v)", "first": "first(v)", "p": "quantile(k, 0.3)" });
        let nodes = || {
            vec![
                node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "1s" })),
                node("sums", "aggregate", &["rows"], json!({ "by": ["k"], "aggregate": aggregate, "ttl": ttl })),
                node("kept", "collect", &["sums"], json!({})),
            ]
        };
        outlives(|then| broken(&frame, &COLUMNS, then), nodes, &["k"]).await;
    }
}

#[tokio::test]
async fn aggregates_of_rows_that_change_outlive_their_process() {
    for (change, key) in [(Change::Retract, json!({})), (Change::Upsert, json!({ "key": ["id"] }))] {
        let (changes, left) = changing(21, 3_000, change);
        for by in [vec!["v"], vec!["id"]] {
            let nodes = || {
                vec![
                    node("rows", "memory", &[], json!({ "event_time": "t" })),
                    node("changes", "changelog", &["rows"], key.clone()),
                    node("sums", "aggregate", &["changes"], json!({ "by": by, "aggregate": ours() })),
                    node("kept", "collect", &["sums"], json!({})),
                ]
            };
            outlives(|then| broken(&changes, &CHANGING, then), nodes, &by).await;
        }
        let sums = net_of(&left, &theirs("v"), &CHANGING[1..]);
        assert!(sums.rows.len() > 3, "the data is worth the test");
    }
}
