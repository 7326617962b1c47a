use std::fs;

use millrace_runtime::JobOptions;
use millrace_runtime::connector::BadRecord;
use millrace_testkit::{Cell, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use polars::prelude::*;
use serde_json::json;

use crate::{COLUMNS, rows};

fn scripts() -> Vec<Vec<Script>> {
    let far = 253_370_764_800_000_000; // the year 9999
    let record = BadRecord { reason: "not UTF-8".to_owned(), position: "line 2".to_owned(), raw: "x\u{fffd}".to_owned() };
    vec![vec![Script::Rows(rows(&[(1, "a", 1_000_000), (2, "b", far)])), Script::Bad(record), Script::Rows(rows(&[(3, "c", 2_000_000)]))]]
}

#[tokio::test]
async fn bad_records_and_impossible_times_leave_by_the_quarantined_port_with_reason_and_place() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, scripts()));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t" })),
        node("kept", "collect", &["rows"], json!({})),
        node("bad", "collect", &["rows.quarantined"], json!({})),
    ];
    let outcome = harness.run(nodes, JobOptions::default()).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    let source = &outcome.summary.nodes[&"rows".into()];
    assert_eq!((source.rows_in, source.accepted, source.quarantined), (4, 2, 2));
    let bad = Table::from_frames(&harness.collected.frames("bad"));
    let text = |row: usize, column: usize| match &bad.rows[row][column] {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bad.columns, ["__reason", "__source", "__position", "__raw"]);
    assert!(text(0, 0).contains("9999") && text(0, 0).contains("max_ahead (1d)"), "{}", text(0, 0));
    assert_eq!((text(0, 1).as_str(), text(0, 2).as_str()), ("rows/0", "row 1"));
    assert_eq!((text(1, 0).as_str(), text(1, 2).as_str()), ("not UTF-8", "line 2"));
}

#[tokio::test]
async fn a_quarantined_port_that_nobody_reads_goes_to_a_file() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, scripts()));
    let nodes = vec![node("rows", "memory", &[], json!({ "event_time": "t" })), node("kept", "collect", &["rows"], json!({}))];
    let outcome = harness.run(nodes, JobOptions::default()).await;
    assert_eq!((outcome.state, outcome.summary.quarantined), (RunState::Finished, 2));
    let text = fs::read_to_string(harness.folder().join(".millrace/quarantine/test/rows.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["__position"], "line 2");
}

fn sums(on_error: &str) -> Vec<millrace_model::NodeDecl> {
    vec![
        node("rows", "memory", &[], json!({})),
        node("sum", "derive", &["rows"], json!({ "columns": { "s": "n + 1" }, "on_error": on_error })),
        node("kept", "collect", &["sum"], json!({})),
        node("bad", "collect", &["sum.quarantined"], json!({})),
    ]
}

fn numbers() -> Memory {
    let frame = df! { "n" => [1i64, i64::MAX, 3] }.unwrap();
    Memory::default().with("rows", &[("n", millrace_model::DataType::BigInt)], vec![vec![Script::Rows(frame)]])
}

#[tokio::test]
async fn on_error_decides_what_becomes_of_a_row_that_cannot_be_computed() {
    let harness = Harness::new(numbers());
    let outcome = harness.run(sums("quarantine"), JobOptions::default()).await;
    assert_eq!((outcome.summary.rows_out, outcome.summary.quarantined), (3, 1), "two sums and one record kept aside");
    assert_eq!((harness.collected.rows("kept"), harness.collected.rows("bad")), (2, 1));

    let harness = Harness::new(numbers());
    let outcome = harness.run(sums("null"), JobOptions::default()).await;
    assert_eq!((outcome.summary.rows_out, outcome.summary.quarantined), (3, 0));
    let kept = Table::from_frames(&harness.collected.frames("kept"));
    assert_eq!(kept.rows[1][1], Cell::Null);

    let harness = Harness::new(numbers());
    let outcome = harness.run(sums("fail"), JobOptions::default()).await;
    let cause = outcome.cause.expect("a cause");
    assert_eq!((outcome.state, cause.diagnostic.code.as_ref()), (RunState::Failed, "MR0401"));
    assert_eq!(cause.diagnostic.node.as_ref().map(|node| node.as_str()), Some("sum"));
    assert_eq!(cause.sample, [format!("{{\"n\":{}}}", i64::MAX)]);
    assert_eq!(harness.collected.rows("kept"), 0, "nothing of a failed run is visible");
}

#[tokio::test]
async fn rows_that_a_sink_refuses_are_its_quarantined_ones() {
    let frame = df! { "n" => [1i64, 2, 3] }.unwrap();
    let memory = Memory::default().with("rows", &[("n", millrace_model::DataType::BigInt)], vec![vec![Script::Rows(frame)]]);
    let harness = Harness::new(memory);
    let nodes = vec![
        node("rows", "memory", &[], json!({})),
        node("kept", "collect", &["rows"], json!({ "refuses": 2 })),
        node("bad", "collect", &["kept.quarantined"], json!({})),
    ];
    let outcome = harness.run(nodes, JobOptions::default()).await;
    let sink = &outcome.summary.nodes[&"kept".into()];
    assert_eq!((outcome.state, sink.rows_in, sink.accepted, sink.quarantined), (RunState::Finished, 3, 2, 1));
    assert_eq!(harness.collected.rows("bad"), 1);
}
