//! A run that failed goes on from its last epoch, at any parallelism, and ends with the rows and counts of one that did not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_model::NodeDecl;
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::{JobHandle, JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::{EpochOutcome, RunState};
use millrace_wire::message::StopMode;
use polars::prelude::DataFrame;
use serde_json::json;

use crate::{COLUMNS, frame};

/// Keys with and without text, times that go back and forth, over some windows.
pub fn rows(count: i64) -> DataFrame {
    let keys = (0..count).map(|n| n * 7_919 % 101).collect();
    let texts = (0..count).map(|n| ["", "a", "longer than twelve bytes", "é"][(n % 4) as usize]).collect();
    let times = (0..count).map(|n| (n + n * 31 % 17 * 40) * 1_000_000).collect();
    frame(keys, texts, times)
}

fn pipeline() -> Vec<NodeDecl> {
    let aggregate = json!({
        "n": "count(*)", "values": "count(v)", "sum": "sum(k)", "float_sum": "sum(k / 3)", "mean": "avg(k)", "float_mean": "avg(k / 7)",
        "least": "min(v)", "most": "max(k)", "spread": "stddev(k)", "p90": "quantile(k, 0.9)", "kinds": "count_distinct(v)",
        "numbers": "count_distinct(k)",
    });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("some", "filter", &["rows"], json!({ "where": "k <> 13" })),
        node("windows", "tumbling_window", &["some"], json!({ "size": "5m", "by": ["v"], "aggregate": aggregate })),
        node("all", "tumbling_window", &["some"], json!({ "size": "1h", "aggregate": { "n": "count(*)" } })),
        node("kept", "collect", &["windows"], json!({})),
        node("late", "collect", &["windows.late"], json!({})),
        node("totals", "collect", &["all"], json!({})),
    ]
}

fn options(parallelism: u32) -> JobOptions {
    JobOptions { parallelism, batch_rows: 50, ..JobOptions::default() }
}

fn home(folder: &Path, is_fresh: bool) -> Option<StateHome> {
    Some(StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(10), is_fresh))
}

/// Long enough for some epochs.
pub fn silence() -> Script {
    Script::Silence(Duration::from_millis(200))
}

/// Two partitions whose scripts play some rows, fall silent so that an epoch is taken, and go on with `then`.
fn memory(then: &[Script]) -> Memory {
    let script = |from: i64| {
        let rows = rows(3_000).slice(from, 1_500);
        let mut script = vec![Script::Rows(rows.slice(0, 700)), silence()];
        script.extend(then.iter().cloned());
        script.push(Script::Rows(rows.slice(700, 800)));
        script
    };
    Memory::default().with("rows", &COLUMNS, vec![script(0), script(1_500)])
}

async fn attempt(folder: &Path, memory: Memory, collected: &Collected, parallelism: u32, is_fresh: bool) -> JobOutcome {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.state = home(folder, is_fresh);
    harness.run(pipeline(), options(parallelism)).await
}

/// How much memory there is, and the parallelism of a run's lives: those that fail, and the last.
pub type Lives = (fn() -> StateMemory, [u32; 3]);

/// From memory, and from disk: everything that can go there does, at every look.
pub const LIVES: [Lives; 3] = [(StateMemory::default, [3, 2, 1]), (no_memory, [3, 2, 1]), (no_memory, [1, 3, 7])];

pub fn no_memory() -> StateMemory {
    StateMemory::of_machine(1 << 40, Some(0))
}

/// Runs a pipeline of the caller's to its end, or to its first failure.
pub async fn attempt_at(folder: &Path, memory: Memory, collected: &Collected, parallelism: u32, nodes: Vec<NodeDecl>) -> JobOutcome {
    attempt_within(StateMemory::default(), folder, memory, collected, parallelism, nodes).await
}

/// The same, with bounds on the memory that state may take.
pub async fn attempt_within(
    bounds: StateMemory,
    folder: &Path,
    memory: Memory,
    collected: &Collected,
    parallelism: u32,
    nodes: Vec<NodeDecl>,
) -> JobOutcome {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.data = harness.data.with_memory(bounds);
    harness.state = home(folder, false);
    harness.run(nodes, options(parallelism)).await
}

fn tables(collected: &Collected) -> Vec<Table> {
    ["kept", "late", "totals"].iter().map(|node| Table::from_frames(&collected.frames(node))).collect()
}

#[tokio::test]
async fn a_failed_run_goes_on_at_another_parallelism_with_every_aggregate_as_it_was() {
    let expected = Collected::default();
    let folder = tempfile::tempdir().unwrap();
    let reference = attempt(&folder.path().join("reference"), memory(&[]), &expected, 1, false).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None));
    for parallelism in [[3, 2, 1], [1, 3, 7]] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (attempt_of, parallelism) in parallelism.into_iter().enumerate() {
            let fails = if attempt_of < 2 { &[Script::Break("pulled the plug")][..] } else { &[] };
            let outcome = attempt(folder.path(), memory(fails), &collected, parallelism, false).await;
            if attempt_of < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"));
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
        }
        for (expected, found) in tables(&expected).iter().zip(tables(&collected)) {
            expected.assert_same(&found);
        }
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["lock", "newest"], "a run that is finished leaves nothing to go on from");
    }
}

#[tokio::test]
async fn a_stopped_run_shows_what_there_is_and_goes_on_with_its_open_windows() {
    let expected = Collected::default();
    let folder = tempfile::tempdir().unwrap();
    attempt(&folder.path().join("reference"), memory(&[]), &expected, 1, false).await;
    let (collected, home_folder) = (Collected::default(), folder.path().join("stopped"));
    let mut harness = Harness::with_collected(memory(&[Script::Forever]), collected.clone());
    harness.state = home(&home_folder, false);
    let job = harness.start(pipeline(), options(2)).await;
    while job.figures().nodes[&"rows".into()].accepted < 1_400 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    job.stop(StopMode::Drain);
    assert_eq!(job.wait().await.state, RunState::Stopped);
    assert!(collected.rows("kept") > 0 && collected.rows("kept") < expected.rows("kept"));
    drop((job, harness));
    let outcome = attempt(&home_folder, memory(&[]), &collected, 3, false).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    for (expected, found) in tables(&expected).iter().zip(tables(&collected)) {
        expected.assert_same(&found);
    }
}

async fn an_epoch_is_complete(job: &JobHandle) {
    while !job.figures().epochs.iter().any(|epoch| epoch.outcome == EpochOutcome::Complete) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_followed_by_a_restart_from_the_last_epoch_and_one_that_stays_ends_the_run() {
    let expected = Collected::default();
    let folder = tempfile::tempdir().unwrap();
    let reference = attempt(&folder.path().join("reference"), memory(&[]), &expected, 1, false).await;
    let may_fail = Arc::new(AtomicBool::new(false));
    let collected = Collected::default();
    let script = [Script::Until(may_fail.clone()), Script::FailOnce("the line was cut", Arc::default())];
    let mut harness = Harness::with_collected(memory(&script), collected.clone());
    harness.state = home(&folder.path().join("restarted"), false);
    let job = harness.start(pipeline(), options(3)).await;
    let mut notices = job.take_notices().unwrap();
    an_epoch_is_complete(&job).await;
    may_fail.store(true, Ordering::Relaxed);
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes);
    for (expected, found) in tables(&expected).iter().zip(tables(&collected)) {
        expected.assert_same(&found);
    }
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.extend((notice.kind == "restarted").then_some(notice.message));
    }
    assert!(
        matches!(told.as_slice(), [message] if message.contains("the line was cut") && message.contains("again from epoch")),
        "{told:?}"
    );

    let outcome = attempt(&folder.path().join("stays"), memory(&[Script::Fail("no line at all")]), &Collected::default(), 2, false).await;
    assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"));
}

#[tokio::test]
async fn a_run_whose_tasks_are_killed_goes_on_from_its_last_epoch_and_one_that_is_not_kept_ends() {
    let expected = Collected::default();
    let folder = tempfile::tempdir().unwrap();
    let reference = attempt(&folder.path().join("reference"), memory(&[]), &expected, 1, false).await;
    let collected = Collected::default();
    let may_end = Arc::new(AtomicBool::new(false));
    let mut harness = Harness::with_collected(memory(&[Script::Until(may_end.clone())]), collected.clone());
    harness.state = home(&folder.path().join("killed"), false);
    let job = harness.start(pipeline(), options(3)).await;
    let mut notices = job.take_notices().unwrap();
    an_epoch_is_complete(&job).await;
    job.kill();
    let told = loop {
        let notice = notices.recv().await.unwrap();
        if notice.kind == "restarted" {
            break notice.message;
        }
    };
    may_end.store(true, Ordering::Relaxed);
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes);
    for (expected, found) in tables(&expected).iter().zip(tables(&collected)) {
        expected.assert_same(&found);
    }
    assert!(told.contains("killed by hand") && told.contains("again from epoch") && told.contains("rows again"), "{told}");

    let harness = Harness::new(memory(&[Script::Forever]));
    let job = harness.start(pipeline(), options(2)).await;
    while job.figures().nodes[&"rows".into()].accepted == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    job.kill();
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0429"));
}

fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry, ending));
        } else if entry.to_string_lossy().ends_with(ending) {
            found.push(entry);
        }
    }
    found
}

#[tokio::test]
async fn damaged_state_is_refused_with_what_to_do_and_fresh_does_without() {
    for (ending, flips) in [("manifest", true), ("rows-0.part", true), ("windows-1.part", false)] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let failed = attempt(folder.path(), memory(&[Script::Break("pulled the plug")]), &collected, 2, false).await;
        assert_eq!(failed.state, RunState::Failed);
        for path in files(folder.path(), ending) {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if flips {
                bytes[middle] ^= 4;
                std::fs::write(&path, bytes).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
        }
        let refused = attempt(folder.path(), memory(&[]), &collected, 2, false).await;
        let cause = refused.cause.expect("a cause").diagnostic;
        assert_eq!((refused.state, cause.code.as_ref()), (RunState::Failed, "MR0422"), "{ending}: {cause}");
        assert!(cause.to_string().contains("--fresh"), "{cause}");
        let fresh = attempt(folder.path(), memory(&[]), &Collected::default(), 2, true).await;
        assert_eq!((fresh.state, fresh.summary.rows_in), (RunState::Finished, 3_000), "{ending}");
    }
}
