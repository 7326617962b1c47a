//! State that does not fit in memory: the same results from disk, straight and after a crash, and a clear end where there is too much.

use millrace_model::NodeDecl;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use serde_json::{Value, json};

use crate::COLUMNS;
use crate::checkpoints::{attempt_at, attempt_within, no_memory, rows, silence};

fn memory(then: &[Script]) -> Memory {
    let rows = rows(3_000);
    let mut script = vec![Script::Rows(rows.slice(0, 1_400)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(rows.slice(1_400, 1_600)));
    Memory::default().with("rows", &COLUMNS, vec![script])
}

fn pipeline(kind: &str, mut fields: Value) -> Vec<NodeDecl> {
    fields["aggregate"] = json!({
        "n": "count(*)", "sum": "sum(k)", "mean": "avg(k)", "once": "sum(DISTINCT k)", "least": "min(v)", "most": "max(k)",
        "middle": "median(k)", "kinds": "count_distinct(v)", "usual": "mode(v)", "first": "first(k)", "last_text": "last(v)",
        "lowest": "arg_min(v, k)", "any_high": "bool_or(k > 90)",
    });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("window", kind, &["rows"], fields),
        node("kept", "collect", &["window"], json!({})),
        node("late", "collect", &["window.late"], json!({})),
    ]
}

fn assert_same(expected: &Collected, found: &Collected) {
    for node in ["kept", "late"] {
        Table::from_frames(&expected.frames(node)).assert_same(&Table::from_frames(&found.frames(node)));
    }
}

fn left_of(folder: &std::path::Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect()
}

/// From disk alone: in one go, and failing twice, each time with other tasks.
async fn is_the_same_from_disk(kind: &str, fields: Value) {
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let nodes = || pipeline(kind, fields.clone());
    let reference = attempt_at(&folder.path().join("reference"), memory(&[]), &expected, 1, nodes()).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None), "{kind}");
    for parallelism in [[3, 2, 1], [1, 3, 7]] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (attempt, parallelism) in parallelism.into_iter().enumerate() {
            let fails = if attempt < 2 { &[Script::Break("pulled the plug")][..] } else { &[] };
            let outcome = attempt_within(no_memory(), folder.path(), memory(fails), &collected, parallelism, nodes()).await;
            if attempt < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"), "{kind}");
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts of {kind} go on");
        }
        assert_same(&expected, &collected);
        assert_eq!(left_of(folder.path()), ["lock", "newest"], "no block is left of a run that is finished");
    }
}

#[tokio::test]
async fn tumbling_windows_from_disk_are_those_from_memory() {
    is_the_same_from_disk("tumbling_window", json!({ "size": "10m", "by": ["k", "v"], "allowed_lateness": "1m" })).await;
}

#[tokio::test]
async fn overlapping_windows_from_disk_are_those_from_memory() {
    is_the_same_from_disk("hopping_window", json!({ "size": "10m", "slide": "4m", "by": ["v"], "allowed_lateness": "1m" })).await;
}

#[tokio::test]
async fn cumulating_windows_from_disk_are_those_from_memory() {
    is_the_same_from_disk("cumulate_window", json!({ "size": "1h", "step": "10m", "by": ["k"] })).await;
}

async fn without_checkpoints(bounds: StateMemory, nodes: Vec<NodeDecl>, options: JobOptions) -> (JobOutcome, Collected, Harness) {
    let collected = Collected::default();
    let mut harness = Harness::with_collected(memory(&[]), collected.clone());
    harness.data = harness.data.with_memory(bounds);
    let outcome = harness.run(nodes, options).await;
    (outcome, collected, harness)
}

#[tokio::test]
async fn a_run_without_checkpoints_puts_state_on_disk_too_and_leaves_nothing_there() {
    let nodes = || pipeline("tumbling_window", json!({ "size": "10m", "by": ["k", "v"] }));
    let options = JobOptions { parallelism: 2, batch_rows: 50, ..JobOptions::default() };
    let (reference, expected, _) = without_checkpoints(StateMemory::default(), nodes(), options.clone()).await;
    let (outcome, found, harness) = without_checkpoints(no_memory(), nodes(), options).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes);
    assert_same(&expected, &found);
    let spill = harness.folder().join(".millrace/spill");
    assert!(spill.is_dir(), "something was put on disk");
    assert_eq!(left_of(&spill), Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn a_pipeline_beyond_its_quota_fails_with_what_to_do_and_no_other_does() {
    let options = JobOptions { batch_rows: 50, max_state: Some(10_000), ..JobOptions::default() };
    let nodes = pipeline("session_window", json!({ "gap": "2m", "by": ["k"] }));
    let (outcome, ..) = without_checkpoints(StateMemory::default(), nodes, options).await;
    let cause = outcome.cause.unwrap();
    assert_eq!((outcome.state, cause.diagnostic.code.as_ref()), (RunState::Failed, "MR0403"));
    assert_eq!(cause.diagnostic.node.unwrap().as_str(), "window");
    assert!(cause.diagnostic.message.contains("max_state"), "{}", cause.diagnostic.message);
}
