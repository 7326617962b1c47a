//! A run that goes on as another pipeline while it is under way, or cannot.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_model::NodeDecl;
use millrace_runtime::checkpoint::{Savepoints, StateHome};
use millrace_runtime::job::{NewPipeline, Way};
use millrace_runtime::{JobHandle, JobOptions, JobOutcome};
use millrace_state::checkpoint::SavepointName;
use millrace_state::store::{FolderStore, Store};
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::COLUMNS;
use crate::checkpoints::rows;

const EVERY: Duration = Duration::from_millis(15);

/// Windows by what `group` says, and a sink of rows that holds the others back.
fn pipeline(group: &str, rate: &str) -> Vec<NodeDecl> {
    let by_group = json!({ "size": "5m", "by": ["g"], "aggregate": { "n": "count(*)", "sum": "sum(k)" } });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("grouped", "derive", &["rows"], json!({ "columns": { "g": group } })),
        node("windows", "tumbling_window", &["grouped"], by_group),
        node("kept", "collect", &["windows"], json!({})),
        node("slow", "collect", &["rows"], json!({ "rate": rate })),
    ]
}

/// The last rows wait for the gate.
fn memory(gate: &Arc<AtomicBool>) -> Memory {
    let all = rows(12_000);
    let script = vec![Script::Rows(all.slice(0, 8_000)), Script::Until(gate.clone()), Script::Rows(all.slice(8_000, 4_000))];
    Memory::default().with("rows", &COLUMNS, vec![script])
}

fn options() -> JobOptions {
    JobOptions { parallelism: 2, batch_rows: 50, ..JobOptions::default() }
}

fn harness(memory: Memory, collected: &Collected, store: Option<Arc<dyn Store>>) -> Harness {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.state = store.map(|store| StateHome::new(store, EVERY, false));
    harness
}

async fn left_alone() -> (JobOutcome, Collected) {
    let collected = Collected::default();
    let gate = Arc::new(AtomicBool::new(true));
    let outcome = harness(memory(&gate), &collected, None).run(pipeline("k % 5", "1000000/s"), options()).await;
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None));
    (outcome, collected)
}

fn store(folder: &Path) -> Arc<dyn Store> {
    Arc::new(FolderStore::open(folder).unwrap())
}

async fn upgrade(harness: &Harness, nodes: Vec<NodeDecl>, savepoint: &str, allow_state_loss: bool) -> NewPipeline {
    let way = Way::Upgrade { savepoint: SavepointName::new(savepoint).unwrap(), allow_state_loss };
    NewPipeline { plan: harness.plan(nodes).await, options: options(), every: EVERY, team: None, way }
}

async fn until(job: &JobHandle, holds: impl Fn(&JobHandle) -> bool) {
    while !holds(job) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_pipeline_that_cannot_begin_is_refused_and_the_run_goes_on_as_it_was() {
    let (reference, expected) = left_alone().await;
    let (collected, folder, gate) = (Collected::default(), tempfile::tempdir().unwrap(), Arc::<AtomicBool>::default());
    let harness = harness(memory(&gate), &collected, Some(store(folder.path())));
    let job = harness.start(pipeline("k % 5", "1000000/s"), options()).await;
    let mut notices = job.take_notices().unwrap();
    until(&job, |job| job.figures().nodes[&"rows".into()].accepted == 8_000).await;
    // Before it is tried: windows of another length.
    let mut longer = pipeline("k % 5", "1000000/s");
    longer[2].spec["size"] = json!("7m");
    let error = job.replace(upgrade(&harness, longer, "first", false).await).await.unwrap_err();
    assert!(error.code() == "MR0436" && error.to_string().contains("`windows`: `size` changed"), "{error}");
    // Once it is tried: groups that were numbers are texts, which no window takes back.
    let error = job.replace(upgrade(&harness, pipeline("v", "1000000/s"), "second", false).await).await.unwrap_err();
    assert!(error.code() == "MR0436" && error.to_string().contains("the run goes on as it was"), "{error}");
    gate.store(true, Ordering::Relaxed);
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
    for sink in ["kept", "slow"] {
        Table::from_frames(&expected.frames(sink)).assert_same(&Table::from_frames(&collected.frames(sink)));
    }
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.push(notice.kind);
    }
    assert!(told.iter().any(|kind| kind == "change_refused") && !told.iter().any(|kind| kind == "restarted"), "{told:?}");
}

#[tokio::test]
async fn a_failure_on_the_way_goes_back_to_an_epoch_and_on_as_the_new_pipeline_with_its_savepoint_kept() {
    let (reference, expected) = left_alone().await;
    let (collected, folder, gate) = (Collected::default(), tempfile::tempdir().unwrap(), Arc::<AtomicBool>::default());
    let kept_in = store(folder.path());
    let harness = harness(memory(&gate), &collected, Some(kept_in.clone()));
    let job = harness.start(pipeline("k % 5", "4000/s"), options()).await;
    until(&job, |job| job.figures().epochs.len() > 2).await;
    let mut nodes = pipeline("k % 5", "1000000/s");
    nodes.push(node("more", "collect", &["rows"], json!({})));
    let upgrade = upgrade(&harness, nodes, "on-the-way", false).await;
    let fails = async {
        // Its barrier waits behind rows for the slow sink.
        until(&job, |job| job.figures().change.is_some()).await;
        job.kill();
        until(&job, |job| job.figures().nodes.contains_key(&"more".into())).await;
        gate.store(true, Ordering::Relaxed);
    };
    let (changed, ()) = tokio::join!(job.replace(upgrade), fails);
    let changed = changed.unwrap();
    assert!(changed.what == "upgraded" && changed.fault.is_some(), "{changed:?}");
    let name = SavepointName::new("on-the-way").unwrap();
    let savepoint = Savepoints::new(kept_in).get(&name).unwrap().expect("the epoch that it went on from is kept");
    assert_eq!(savepoint.epoch, changed.epoch);
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    for node in ["rows", "grouped", "windows", "kept", "slow"] {
        assert_eq!(outcome.summary.nodes[&node.into()], reference.summary.nodes[&node.into()], "the counts go on");
    }
    assert!(collected.rows("more") > 0 && collected.rows("more") < 12_000, "it has what came after the epoch");
    for sink in ["kept", "slow"] {
        Table::from_frames(&expected.frames(sink)).assert_same(&Table::from_frames(&collected.frames(sink)));
    }
}
