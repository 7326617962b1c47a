//! Barriers that overtake rows: an epoch is complete though a sink is slow, and what was in flight is there once, and once only.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::{NodeDecl, NodeId};
use millrace_runtime::checkpoint::{Restored, StateHome};
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::COLUMNS;
use crate::checkpoints::{rows, silence};

const ROWS: i64 = 60_000;

/// A slow sink of rows, and windows by key beside it, from two partitions of which one has much more to say.
fn pipeline(rate: &str) -> Vec<NodeDecl> {
    let windows = json!({ "size": "5m", "by": ["k"], "aggregate": { "n": "count(*)", "sum": "sum(k)" } });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("some", "filter", &["rows"], json!({ "where": "k <> 13", "parallelism": 3 })),
        node("windows", "tumbling_window", &["some"], windows),
        node("kept", "collect", &["windows"], json!({})),
        node("slow", "collect", &["some"], json!({ "rate": rate })),
    ]
}

/// The lesser partition goes on with `then`, while the greater one still has rows to give.
fn memory(then: &[Script]) -> Memory {
    let all = rows(ROWS);
    let mut lesser = vec![Script::Rows(all.slice(58_500, 1_500))];
    lesser.extend(then.iter().cloned());
    Memory::default().with("rows", &COLUMNS, vec![vec![Script::Rows(all.slice(0, 58_500))], lesser])
}

async fn attempt(folder: &Path, memory: Memory, collected: &Collected, parallelism: u32, rate: &str) -> JobOutcome {
    attempt_of(folder, memory, collected, parallelism, pipeline(rate)).await
}

async fn attempt_of(folder: &Path, memory: Memory, collected: &Collected, parallelism: u32, nodes: Vec<NodeDecl>) -> JobOutcome {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.state = Some(StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(20), false));
    let unaligned_after = Duration::from_millis(5);
    harness.run(nodes, JobOptions { parallelism, batch_rows: 100, unaligned_after, ..JobOptions::default() }).await
}

/// How many batches were in flight to the slow sink in the epoch that a run would go on from.
fn in_flight(folder: &Path) -> usize {
    let home = StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_secs(1), false);
    let manifest = home.find(None).unwrap().newest.expect("an epoch is complete though the sink is slow");
    let parts = manifest.parts.iter().map(|entry| (entry.task.clone(), home.read_part(manifest.run, manifest.epoch, entry).unwrap()));
    let restored = Restored::new(manifest.clone(), parts.collect());
    restored.tasks(&NodeId::new("slow")).iter().map(|task| task.in_flight().count()).sum()
}

#[tokio::test]
async fn rows_that_were_in_flight_are_there_once_whatever_the_parallelism() {
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let reference = attempt(&folder.path().join("reference"), memory(&[]), &expected, 1, "1000000/s").await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None));
    for parallelism in [[3, 2, 1], [2, 3, 7]] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (number, parallelism) in parallelism.into_iter().enumerate() {
            let mut fails = vec![silence(); 8];
            fails.push(Script::Break("pulled the plug"));
            let (then, rate): (&[Script], &str) = if number < 2 { (&fails, "10000/s") } else { (&[], "1000000/s") };
            let outcome = attempt(folder.path(), memory(then), &collected, parallelism, rate).await;
            if number < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"));
                assert!(in_flight(folder.path()) > 0, "the epoch did not wait for the rows before the slow sink");
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
        }
        for node in ["kept", "slow"] {
            Table::from_frames(&expected.frames(node)).assert_same(&Table::from_frames(&collected.frames(node)));
        }
    }
}

/// The same with operators that keep rows.
fn keeping(rate: &str) -> Vec<NodeDecl> {
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("some", "filter", &["rows"], json!({ "where": "k <> 13", "parallelism": 3 })),
        node("once", "deduplicate", &["some"], json!({ "by": ["k"], "within": "7m" })),
        node("firsts", "collect", &["once"], json!({ "rate": rate })),
        node("top", "top_n", &["some"], json!({ "by": ["v"], "n": 2, "order": ["k DESC"], "window": "5m", "ties": "keep" })),
        node("best", "collect", &["top"], json!({})),
        node("slow", "collect", &["some"], json!({ "rate": rate })),
    ]
}

#[tokio::test]
async fn rows_that_were_kept_and_in_flight_come_out_once_whatever_the_parallelism() {
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let reference = attempt_of(&folder.path().join("reference"), memory(&[]), &expected, 1, keeping("1000000/s")).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None));
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    for (number, parallelism) in [3, 2, 7].into_iter().enumerate() {
        let mut fails = vec![silence(); 8];
        fails.push(Script::Break("pulled the plug"));
        let (then, rate): (&[Script], &str) = if number < 2 { (&fails, "20000/s") } else { (&[], "1000000/s") };
        let outcome = attempt_of(folder.path(), memory(then), &collected, parallelism, keeping(rate)).await;
        if number == 2 {
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
        }
    }
    for node in ["firsts", "best", "slow"] {
        Table::from_frames(&expected.frames(node)).assert_same(&Table::from_frames(&collected.frames(node)));
    }
}
