//! Keyed operators whose state rests on disk: that it does go there, and that nothing is lost, late or held back by it.

use std::path::Path;
use std::time::Duration;

use millrace_model::NodeDecl;
use millrace_runtime::JobOptions;
use millrace_runtime::memory::StateMemory;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use millrace_wire::message::StopMode;
use serde_json::{Value, json};

use crate::changelog::{KEPT, kept_rows, retracted};
use crate::checkpoints::{attempt_at, attempt_within, no_memory};
use crate::{COLUMNS, many};

fn pipeline(kind: &str, fields: Value) -> Vec<NodeDecl> {
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("op", kind, &["rows"], fields),
        node("out", "collect", &["op"], json!({})),
    ]
}

/// A kind with its fields, and what its results come to.
type Case = (&'static str, Value, fn(Table) -> Table);

/// Kinds that hold something of nearly every key.
fn kinds() -> [Case; 7] {
    let count = json!({ "n": "count(*)", "sum": "sum(k)" });
    let last = |table: Table| crate::changelog::upserted(table, 1);
    [
        ("session_window", json!({ "gap": "7m", "by": ["k", "v"], "aggregate": count }), |table| table),
        ("count_window", json!({ "rows": 7, "slide": 3, "by": ["k"], "aggregate": count }), |table| table),
        (
            "tumbling_window",
            json!({ "size": "1h", "by": ["k", "v"], "emit": { "every": "1h", "mode": "discarding" }, "aggregate": count }),
            |table| table,
        ),
        ("aggregate", json!({ "by": ["k"], "aggregate": count }), last),
        ("deduplicate", json!({ "by": ["k", "v"], "within": "30m" }), |table| table),
        ("top_n", json!({ "by": ["v"], "n": 3, "order": ["x DESC"], "window": "4h", "ties": "keep" }), |table| table),
        ("top_n", json!({ "by": ["k"], "n": 2, "order": ["x", "v DESC"], "rank": "place" }), retracted),
    ]
}

fn options(parallelism: u32) -> JobOptions {
    JobOptions { parallelism, batch_rows: 50, ..JobOptions::default() }
}

fn kept(count: i64, then: Vec<Script>) -> Memory {
    let mut script = vec![Script::Rows(kept_rows(5, count))];
    script.extend(then);
    Memory::default().with("rows", &KEPT, vec![script])
}

fn with_memory(bounds: StateMemory, memory: Memory) -> Harness {
    let mut harness = Harness::new(memory);
    harness.data = harness.data.with_memory(bounds);
    harness
}

fn taken(collected: &Collected) -> Table {
    Table::from_frames(&collected.frames("out"))
}

#[tokio::test]
async fn without_checkpoints_every_kind_goes_to_disk_and_gives_what_it_gives_from_memory() {
    for (kind, fields, settle) in kinds() {
        let expected = with_memory(StateMemory::default(), kept(3_000, Vec::new()));
        let reference = expected.run(pipeline(kind, fields.clone()), options(1)).await;
        for parallelism in [1, 3] {
            let harness = with_memory(no_memory(), kept(3_000, Vec::new()));
            let outcome = harness.run(pipeline(kind, fields.clone()), options(parallelism)).await;
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
            let counts = |nodes: &std::collections::BTreeMap<_, millrace_wire::figures::NodeSummary>| {
                let it = &nodes[&millrace_model::NodeId::new("op")];
                (it.rows_in, it.accepted, it.filtered, it.late, it.quarantined)
            };
            assert_eq!(counts(&outcome.summary.nodes), counts(&reference.summary.nodes), "{kind}");
            settle(taken(&expected.collected)).assert_same(&settle(taken(&harness.collected)));
            let spill = harness.folder().join(".millrace/spill");
            assert!(spill.is_dir(), "{kind} put something on disk");
            assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0, "and left nothing there");
        }
    }
}

/// Files below a folder whose path has this in it.
fn files_of(folder: &Path, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files_of(&path, part)),
            path => found.extend(Some(path.display().to_string()).filter(|path| path.contains(part))),
        }
    }
    found
}

#[tokio::test]
async fn a_run_that_failed_finds_its_state_on_disk_in_memory_and_at_another_parallelism() {
    for (kind, fields, settle) in kinds() {
        let pause = Script::Silence(Duration::from_millis(700));
        let memory = |then: &[Script]| kept(1_500, [std::slice::from_ref(&pause), then, &[Script::Rows(kept_rows(6, 1_500))]].concat());
        let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let nodes = || pipeline(kind, fields.clone());
        attempt_at(&folder.path().join("reference"), memory(&[]), &expected, 1, nodes()).await;
        let collected = Collected::default();
        let broken = attempt_within(no_memory(), folder.path(), memory(&[Script::Break("pulled the plug")]), &collected, 2, nodes()).await;
        assert_eq!(broken.state, RunState::Failed, "{kind}");
        assert!(!files_of(folder.path(), "blocks").is_empty(), "{kind} has blocks: {:?}", files_of(folder.path(), ""));
        // From disk to where there is memory for all of it.
        let outcome = attempt_within(StateMemory::default(), folder.path(), memory(&[]), &collected, 3, nodes()).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
        settle(taken(&expected)).assert_same(&settle(taken(&collected)));
    }
}

/// Waits for something that comes within seconds if it comes at all.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn rows_that_wait_for_a_slice_come_out_though_nothing_follows_and_no_barrier_comes() {
    let rows = crate::frame((0..2_000).collect(), vec!["a"; 2_000], vec![0; 2_000]);
    let memory = Memory::default().with("rows", &COLUMNS, vec![vec![Script::Rows(rows), Script::Forever]]);
    let harness = with_memory(no_memory(), memory);
    let nodes = vec![
        node("rows", "memory", &[], json!({})),
        node("op", "deduplicate", &["rows"], json!({ "by": ["k"] })),
        node("out", "collect", &["op"], json!({})),
    ];
    let job = harness.start(nodes, options(2)).await;
    eventually("all rows come out", || job.figures().nodes[&"op".into()].rows_out == 2_000).await;
    assert!(job.figures().nodes[&"op".into()].state_disk_bytes > 0, "some of it is on disk");
    job.stop(StopMode::Drain);
    assert_eq!(job.wait().await.state, RunState::Stopped);
}

#[tokio::test]
async fn a_run_that_is_stopped_counts_the_rows_that_rest_on_disk() {
    let memory = kept(2_000, vec![Script::Forever]);
    let harness = with_memory(no_memory(), memory);
    let job = harness.start(pipeline("deduplicate", json!({ "by": ["k", "v", "x"] })), options(2)).await;
    eventually("all rows are taken", || job.figures().nodes[&"op".into()].rows_in == 2_000).await;
    eventually("something is on disk", || job.figures().nodes[&"op".into()].state_disk_bytes > 0).await;
    job.stop(StopMode::Drain);
    let outcome = job.wait().await;
    assert_eq!(outcome.state, RunState::Stopped);
    let it = &outcome.summary.nodes[&"op".into()];
    assert_eq!(it.rows_in, it.accepted + it.filtered + it.late + it.quarantined, "the law of rows");
}

#[tokio::test]
async fn sessions_on_disk_close_when_nothing_comes_any_more() {
    let rows = || Memory::default().with("rows", &COLUMNS, vec![vec![Script::Rows(many(2_000)), Script::Forever]]);
    let count = json!({ "n": "count(*)" });
    for fields in [
        json!({ "gap": "1m", "by": ["k"], "close_after_idle": "300ms", "aggregate": count }),
        json!({ "gap": "1m", "by": ["k"], "close_after_idle": "300ms", "aggregate": count, "emit": "on_update" }),
    ] {
        let harness = with_memory(no_memory(), rows());
        let nodes = {
            let mut nodes = pipeline("session_window", fields.clone());
            // What follows hears of the time that the silence has closed.
            if fields.get("emit").is_none() {
                nodes.push(node("after", "tumbling_window", &["op"], json!({ "size": "1s", "aggregate": { "sum": "sum(n)" } })));
                nodes.push(node("sums", "collect", &["after"], json!({})));
            }
            nodes
        };
        let job = harness.start(nodes, options(2)).await;
        let out = |node: &str| job.figures().nodes[&node.into()].rows_out;
        eventually("every key has a session", || out("op") >= 37).await;
        if fields.get("emit").is_none() {
            eventually("event time goes on", || out("after") > 25).await;
        }
        job.stop(StopMode::Drain);
        assert_eq!(job.wait().await.state, RunState::Stopped);
    }
}

#[tokio::test]
async fn state_that_no_row_touches_is_written_once_and_only_referred_to_from_then_on() {
    // Many keys at first, then one alone for some epochs of a second life.
    let rows = crate::frame((0..2_000).collect(), vec!["a"; 2_000], (0..2_000).map(|n| n * 1_000_000).collect());
    let one = Script::Rows(crate::frame(vec![7; 100], vec!["a"; 100], vec![3_000_000_000; 100]));
    let pause = Script::Silence(Duration::from_millis(700));
    let fails = Script::Break("pulled the plug");
    let scripts = [
        vec![Script::Rows(rows.clone()), pause.clone(), fails.clone()],
        vec![Script::Rows(rows), one.clone(), pause.clone(), one, pause, fails],
    ];
    let folder = tempfile::tempdir().unwrap();
    let fields = json!({ "by": ["k"], "aggregate": { "n": "count(*)", "usual": "mode(v)" } });
    for script in scripts {
        let memory = Memory::default().with("rows", &COLUMNS, vec![script]);
        let nodes = pipeline("aggregate", fields.clone());
        let failed = attempt_within(no_memory(), folder.path(), memory, &Collected::default(), 1, nodes).await;
        assert_eq!(failed.state, RunState::Failed);
    }
    let blocks = files_of(folder.path(), "blocks/op-0-");
    let (first, second): (Vec<&String>, Vec<&String>) = blocks.iter().partition(|block| block.contains("blocks/op-0-0-"));
    assert!(!first.is_empty(), "what the first life wrote is still named: {blocks:?}");
    assert!(!second.is_empty(), "what the second changed was written again: {blocks:?}");
}

#[tokio::test]
async fn event_time_waits_for_what_rests_so_that_nothing_is_late_for_those_below() {
    let count = json!({ "n": "count(*)" });
    let nodes = || {
        let mut nodes = pipeline("session_window", json!({ "gap": "3m", "by": ["k", "v"], "aggregate": count }));
        let hourly = json!({ "size": "20m", "aggregate": { "sum": "sum(n)", "sessions": "count(*)" } });
        nodes.push(node("after", "tumbling_window", &["op"], hourly));
        nodes.push(node("sums", "collect", &["after"], json!({})));
        nodes.push(node("too_late", "collect", &["after.late"], json!({})));
        nodes
    };
    let sums = |collected: &Collected| Table::from_frames(&collected.frames("sums"));
    let expected = with_memory(StateMemory::default(), kept(6_000, Vec::new()));
    expected.run(nodes(), options(1)).await;
    assert!(sums(&expected.collected).rows.len() > 50, "the data is worth the test");
    for parallelism in [1, 3] {
        let harness = with_memory(no_memory(), kept(6_000, Vec::new()));
        let outcome = harness.run(nodes(), options(parallelism)).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
        assert_eq!(harness.collected.rows("too_late"), 0, "nothing is late");
        sums(&expected.collected).assert_same(&sums(&harness.collected));
    }
}

#[tokio::test]
async fn state_of_several_times_the_budget_is_held_within_about_the_budget() {
    const KEYS: i64 = 120_000;
    const BUDGET: u64 = 4 << 20;
    let rows = |turn: i64| {
        let times = (0..KEYS).map(|n| n + turn * KEYS).collect();
        Script::Rows(crate::frame((0..KEYS).map(|n| n * 7_919 % KEYS).collect(), vec!["a"; KEYS as usize], times))
    };
    let memory = Memory::default().with("rows", &COLUMNS, vec![(0..2).map(rows).collect()]);
    let harness = with_memory(StateMemory::of_machine(1 << 40, Some(BUDGET)), memory);
    let fields = json!({ "by": ["k"], "aggregate": { "n": "count(*)", "sum": "sum(k)", "most": "max(v)" } });
    let job = harness.start(pipeline("aggregate", fields), JobOptions { parallelism: 2, ..JobOptions::default() }).await;
    let (mut most, mut on_disk) = (0, 0);
    let held = || {
        let op = job.figures().nodes[&"op".into()].clone();
        (op.state_bytes, op.state_disk_bytes, op.rows_in)
    };
    while held().2 < 2 * KEYS as u64 {
        (most, on_disk) = (held().0.max(most), held().1.max(on_disk));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(job.wait().await.state, RunState::Finished);
    assert!(most < 2 * BUDGET && on_disk > BUDGET, "{most} bytes in memory, {on_disk} on disk");
    let table = crate::changelog::upserted(taken(&harness.collected), 1);
    let whole = table.rows.iter().filter(|row| row[1].to_string() == "2").count();
    assert_eq!((table.rows.len(), whole), (KEYS as usize, KEYS as usize), "every key has had its two rows");
}
