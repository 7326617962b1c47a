use std::time::{Duration, Instant};

use millrace_runtime::JobOptions;
use millrace_testkit::{Harness, Memory, Script, node};
use millrace_wire::figures::RunState;
use millrace_wire::message::StopMode;
use serde_json::json;

use crate::{COLUMNS, many};

/// Far less than what is waited for in vain would take, and enough for a machine with other work: how soon is measured by the benches.
const SOON: Duration = Duration::from_secs(5);

fn flood(sink: serde_json::Value) -> Vec<millrace_model::NodeDecl> {
    vec![
        node("flood", "flood", &[], json!({ "event_time": "t" })),
        node("even", "filter", &["flood"], json!({ "where": "n % 2 = 0" })),
        node("keyed", "explode", &["even"], json!({})),
        node("shown", "dashboard", &["keyed"], sink),
    ]
}

fn options() -> JobOptions {
    JobOptions { parallelism: 4, ..JobOptions::default() }
}

#[tokio::test]
async fn a_drain_under_flood_ends_soon_and_every_row_in_flight_arrives() {
    let harness = Harness::new(Memory::default());
    let job = harness.start(flood(json!({})), options()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    job.stop(StopMode::Drain);
    let looked = Instant::now();
    assert!(job.figures().nodes.len() == 4 && looked.elapsed() < SOON, "figures answer while data flows");
    let outcome = job.wait().await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(outcome.state, RunState::Stopped);
    let summary = outcome.summary;
    assert!(summary.rows_in > 0);
    assert_eq!(summary.rows_in, summary.rows_out + summary.filtered, "rows in flight were delivered");
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_sinks_rate() {
    let harness = Harness::new(Memory::default());
    let job = harness.start(flood(json!({ "rate": "10/s" })), options()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    job.stop(StopMode::Drain);
    let summary = job.wait().await.summary;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(summary.rows_in, summary.rows_out + summary.filtered);
}

#[tokio::test]
async fn an_abort_ends_at_once_and_commits_nothing() {
    let harness = Harness::new(Memory::default());
    let nodes = vec![node("flood", "flood", &[], json!({})), node("kept", "collect", &["flood"], json!({ "rate": "10/s" }))];
    let job = harness.start(nodes, options()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    job.stop(StopMode::Abort);
    let outcome = job.wait().await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!((outcome.state, outcome.cause), (RunState::Stopped, None));
    assert_eq!((harness.collected.rows("kept"), harness.collected.aborted()), (0, 1));
}

#[tokio::test]
async fn a_source_that_says_nothing_hears_the_stop_and_what_it_said_is_committed() {
    let script = vec![Script::Rows(many(10)), Script::Forever];
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![script]));
    let nodes = vec![node("rows", "memory", &[], json!({ "event_time": "t" })), node("kept", "collect", &["rows"], json!({}))];
    let job = harness.start(nodes, options()).await;
    while job.figures().nodes[&"kept".into()].accepted < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(harness.collected.rows("kept"), 0, "not visible before the commit");
    job.stop(StopMode::Drain);
    assert_eq!(job.wait().await.state, RunState::Stopped);
    assert_eq!(harness.collected.rows("kept"), 10);
}

#[tokio::test]
async fn a_job_whose_handle_is_gone_ends() {
    let harness = Harness::new(Memory::default());
    let nodes = vec![node("flood", "flood", &[], json!({})), node("kept", "collect", &["flood"], json!({ "rate": "10/s" }))];
    let job = harness.start(nodes, options()).await;
    let mut state = job.watch_state();
    state.wait_for(|state| *state == RunState::Running).await.unwrap();
    drop(job);
    tokio::time::timeout(Duration::from_secs(5), state.wait_for(|state| state.is_over())).await.unwrap().unwrap();
}
