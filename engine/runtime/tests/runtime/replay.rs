use std::sync::Arc;
use std::time::Duration;

use millrace_runtime::JobOptions;
use millrace_runtime::checkpoint::StateHome;
use millrace_state::store::FolderStore;
use millrace_testkit::{Harness, ManualClock, Memory, Script, node};
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::{COLUMNS, many, one, rows};

/// Lets the tasks run until nothing changes for a while.
pub async fn settle(look: impl Fn() -> u64) -> u64 {
    let mut last = look();
    let mut calm = 0;
    while calm < 10 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let now = look();
        calm = if now == last { calm + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test]
async fn a_replay_keeps_the_pace_of_its_times() {
    let clock = ManualClock::default();
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(101)))).with_clock(Arc::new(clock.clone()));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "replay": { "speed": "10x" } })),
        node("kept", "collect", &["rows"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions { replay: true, ..JobOptions::default() }).await;
    let accepted = || job.figures().nodes[&"kept".into()].accepted;
    assert_eq!(settle(accepted).await, 1, "the first row is due at once");
    clock.advance(Duration::from_secs(1));
    assert_eq!(settle(accepted).await, 11, "ten seconds of event time in one");
    clock.advance(Duration::from_millis(1_550));
    assert_eq!(settle(accepted).await, 26);
    clock.advance(Duration::from_secs(60));
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.summary.rows_out), (RunState::Finished, 101));
}

#[tokio::test]
async fn what_became_due_while_a_run_went_back_comes_at_once() {
    let (clock, folder) = (ManualClock::default(), tempfile::tempdir().unwrap());
    let mut harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(101)))).with_clock(Arc::new(clock.clone()));
    harness.state = Some(StateHome::new(Arc::new(FolderStore::open(folder.path()).unwrap()), Duration::from_secs(3_600), false));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "replay": { "speed": "10x" } })),
        node("kept", "collect", &["rows"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions { replay: true, ..JobOptions::default() }).await;
    let accepted = || job.figures().nodes[&"kept".into()].accepted;
    assert_eq!(settle(accepted).await, 1, "the first row is due at once");
    clock.advance(Duration::from_secs(1));
    assert_eq!(settle(accepted).await, 11);
    job.kill();
    settle(accepted).await;
    // The wait before it begins again is over within the first second.
    clock.advance(Duration::from_secs(1));
    settle(accepted).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(settle(accepted).await, 31, "as if it had never stood still");
    clock.advance(Duration::from_secs(60));
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.summary.rows_out), (RunState::Finished, 101));
}

#[tokio::test]
async fn without_replay_the_same_file_runs_as_fast_as_it_can() {
    let clock = ManualClock::default();
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(101)))).with_clock(Arc::new(clock));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "replay": { "by": "t", "speed": "10x" } })),
        node("kept", "collect", &["rows"], json!({})),
    ];
    assert_eq!(harness.run(nodes, JobOptions::default()).await.summary.rows_out, 101);
}

#[tokio::test]
async fn an_idle_partition_stops_holding_the_watermark_and_holds_again_when_it_wakes() {
    let clock = ManualClock::default();
    let at = |seconds: i64| seconds * 1_000_000;
    let busy = vec![
        Script::Rows(rows(&[(1, "a", at(100))])),
        Script::Silence(Duration::from_secs(30)),
        Script::Rows(rows(&[(2, "a", at(200))])),
        Script::Silence(Duration::from_secs(1_000)),
    ];
    let quiet = vec![
        Script::Rows(rows(&[(3, "b", at(50))])),
        Script::Silence(Duration::from_secs(40)),
        Script::Rows(rows(&[(4, "b", at(60))])),
        Script::Silence(Duration::from_secs(1_000)),
    ];
    let memory = Memory::default().with("rows", &COLUMNS, vec![busy, quiet]).live();
    let harness = Harness::new(memory).with_clock(Arc::new(clock.clone()));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "idle_after": "20s", "parallelism": 1 })),
        node("keyed", "explode", &["rows"], json!({})),
        node("kept", "collect", &["keyed"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions { parallelism: 2, ..JobOptions::default() }).await;
    let watermark = || job.figures().nodes[&"kept".into()].watermark.map_or(0, |at| (at.micros() / 1_000_000) as u64);
    assert_eq!(settle(watermark).await, 50, "the slower partition holds");
    clock.advance(Duration::from_secs(25));
    assert_eq!(settle(watermark).await, 50, "both are idle: nothing moves");
    clock.advance(Duration::from_secs(6));
    assert_eq!(settle(watermark).await, 200, "the idle one does not hold");
    clock.advance(Duration::from_secs(10));
    assert_eq!(settle(watermark).await, 200, "it wakes behind, and the watermark does not go back");
    assert_eq!(job.figures().nodes[&"kept".into()].accepted, 4);
}
