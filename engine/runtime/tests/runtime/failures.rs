use std::time::Duration;

use millrace_runtime::JobOptions;
use millrace_testkit::{Harness, Memory, Script, node};
use millrace_wire::figures::RunState;
use millrace_wire::message::StopMode;
use serde_json::json;

use crate::{COLUMNS, many, one};

fn options() -> JobOptions {
    JobOptions { parallelism: 3, batch_rows: 100, ..JobOptions::default() }
}

fn pipeline(fields: serde_json::Value) -> Vec<millrace_model::NodeDecl> {
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t" })),
        node("blow", "explode", &["rows"], fields),
        node("kept", "collect", &["blow"], json!({})),
    ]
}

#[tokio::test]
async fn a_panic_ends_its_own_pipeline_with_node_and_sample_and_no_other() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(10_000))));
    let flood = vec![node("flood", "flood", &[], json!({})), node("kept", "collect", &["flood"], json!({ "rate": "1000/s" }))];
    let bystander = harness.start(flood, options()).await;
    let outcome = harness.run(pipeline(json!({ "at": 36 })), options()).await;
    let cause = outcome.cause.expect("a cause");
    assert_eq!((outcome.state, cause.diagnostic.code.as_ref()), (RunState::Failed, "MR0404"));
    assert!(cause.diagnostic.message.contains("exploded on purpose"), "{}", cause.diagnostic.message);
    assert_eq!(cause.diagnostic.node.as_ref().map(|node| node.as_str()), Some("blow"));
    assert!((1..=5).contains(&cause.sample.len()) && cause.sample[0].starts_with("{\"k\":"), "{:?}", cause.sample);
    assert_eq!((harness.collected.rows("kept"), harness.collected.aborted()), (0, 1));
    assert_eq!(bystander.state(), RunState::Running);
    bystander.stop(StopMode::Abort);
    assert_eq!(bystander.wait().await.state, RunState::Stopped);
}

#[tokio::test]
async fn a_failing_operator_and_a_failing_source_are_named() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(10_000))));
    let outcome = harness.run(pipeline(json!({ "at": 36, "how": "fail" })), options()).await;
    let cause = outcome.cause.expect("a cause");
    assert_eq!((cause.diagnostic.code.as_ref(), cause.diagnostic.node.as_ref().unwrap().as_str()), ("MR0401", "blow"));
    assert!(!cause.sample.is_empty());

    for (step, code) in [(Script::Fail("disk on fire"), "MR0598"), (Script::Panic("source blew up"), "MR0404")] {
        let script = vec![Script::Rows(many(1_000)), Script::Silence(Duration::from_millis(5)), step];
        let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![script]));
        let outcome = harness.run(pipeline(json!({})), options()).await;
        let cause = outcome.cause.expect("a cause");
        assert_eq!((cause.diagnostic.code.as_ref(), cause.diagnostic.node.as_ref().unwrap().as_str()), (code, "rows"));
    }
}

#[tokio::test]
async fn notices_tell_of_the_start_and_the_failure() {
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(10_000))));
    let job = harness.start(pipeline(json!({ "at": 36 })), options()).await;
    let mut notices = job.take_notices().expect("the first reader");
    assert!(job.take_notices().is_none());
    job.wait().await;
    let mut kinds = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        kinds.push(notice.kind);
    }
    assert_eq!(kinds, ["started", "failed"]);
}
