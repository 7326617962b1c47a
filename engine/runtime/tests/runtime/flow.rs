use millrace_runtime::JobOptions;
use millrace_testkit::{Collected, Harness, Memory, Oracle, Table, node};
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::{COLUMNS, many, one};

fn options(parallelism: u32, batch_rows: usize) -> JobOptions {
    JobOptions { parallelism, batch_rows, ..JobOptions::default() }
}

#[tokio::test]
async fn a_linear_pipeline_keeps_the_law_of_rows_and_equals_duckdb() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(10_000))));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10s" })),
        node("some", "filter", &["rows"], json!({ "where": "k % 5 = 2 AND v <> 'b'" })),
        node("more", "derive", &["some"], json!({ "columns": { "twice": "k * 2", "day": "CAST(t AS DATE)" } })),
        node("out", "select", &["more"], json!({ "columns": ["v", "twice", "k + 1 AS next", "day"] })),
        node("kept", "collect", &["out"], json!({})),
    ];
    let outcome = harness.run(nodes, options(1, 256)).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, &[many(10_000)]);
    let expected = oracle.query("SELECT v, k * 2 AS twice, k + 1 AS next, CAST(t AS DATE) AS day FROM rows WHERE k % 5 = 2 AND v <> 'b'");
    expected.assert_same(&Table::from_frames(&harness.collected.frames("kept")));
    for (id, node) in &outcome.summary.nodes {
        assert_eq!(node.rows_in, node.accepted + node.filtered + node.late + node.quarantined, "{id}");
    }
    let summary = outcome.summary;
    assert_eq!((summary.rows_in, summary.rows_out), (10_000, expected.rows.len() as u64));
    assert_eq!(summary.rows_in, summary.rows_out + summary.filtered);
}

#[tokio::test]
async fn an_exchange_gives_the_same_rows_at_any_parallelism() {
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, &[many(20_000)]);
    let expected = oracle.query("SELECT * FROM rows");
    for (parallelism, batch_rows) in [(1, 4096), (2, 64), (7, 1), (7, 8192)] {
        let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(20_000))));
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t" })),
            node("keyed", "explode", &["rows"], json!({})),
            node("kept", "collect", &["keyed"], json!({})),
        ];
        let outcome = harness.run(nodes, options(parallelism, batch_rows)).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{parallelism} tasks");
        expected.assert_same(&Table::from_frames(&harness.collected.frames("kept")));
    }
}

#[tokio::test]
async fn partitions_are_read_by_as_many_tasks_as_there_are_and_sinks_may_be_spread() {
    let partitions = vec![one(many(500)).remove(0), one(many(700)).remove(0), one(many(900)).remove(0)];
    let memory = Memory::default().with("rows", &COLUMNS, partitions);
    let harness = Harness::with_collected(memory, Collected::default().spread());
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t" })),
        node("all", "filter", &["rows"], json!({ "where": "true" })),
        node("kept", "collect", &["all"], json!({})),
    ];
    let job = harness.start(nodes, options(8, 100)).await;
    let tasks = job.physical().tasks();
    assert_eq!(tasks.values().copied().collect::<Vec<_>>(), [3, 3, 3], "{tasks:?}");
    let outcome = job.wait().await;
    assert_eq!(outcome.state, RunState::Finished);
    assert_eq!((outcome.summary.rows_in, harness.collected.rows("kept")), (2_100, 2_100));
}

#[tokio::test]
async fn a_branch_sends_each_reader_every_row() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(1_000))));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t" })),
        node("low", "filter", &["rows"], json!({ "where": "k < 10" })),
        node("high", "filter", &["rows"], json!({ "where": "k >= 10" })),
        node("a", "collect", &["low"], json!({})),
        node("b", "collect", &["high"], json!({})),
        node("c", "collect", &["rows"], json!({})),
        node("chart", "dashboard", &["low"], json!({ "plot": { "x": "t", "y": "k" } })),
    ];
    let outcome = harness.run(nodes, options(2, 128)).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    let kept = |id: &str| harness.collected.rows(id);
    assert_eq!((kept("a") + kept("b"), kept("c")), (1_000, 1_000));
    let shown: usize = harness.results.rows.lock().unwrap().iter().map(|(_, batch)| batch.rows()).sum();
    assert_eq!(shown, kept("a"));
}

#[tokio::test]
async fn an_empty_source_ends_like_any_other() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![vec![]]));
    let nodes = vec![node("rows", "memory", &[], json!({ "event_time": "t" })), node("kept", "collect", &["rows"], json!({}))];
    let outcome = harness.run(nodes, options(2, 128)).await;
    assert_eq!((outcome.state, outcome.summary.rows_out), (RunState::Finished, 0));
}
