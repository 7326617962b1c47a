//! Runs that several processes share: what comes of them is what comes of one alone, whoever is lost on the way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::NodeDecl;
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, TestTeam, node};
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::COLUMNS;
use crate::checkpoints::{rows, silence};

/// Windows by key behind a filter, windows of those windows, one window for all, late rows, and records that nobody takes.
fn pipeline() -> Vec<NodeDecl> {
    let by_text = json!({ "size": "5m", "by": ["v"], "aggregate": { "n": "count(*)", "sum": "sum(k)", "kinds": "count_distinct(k)" } });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("some", "derive", &["rows"], json!({ "columns": { "share": "100 // (k - 13)" }, "on_error": "quarantine" })),
        node("windows", "tumbling_window", &["some"], by_text),
        node("again", "tumbling_window", &["windows"], json!({ "size": "1h", "by": ["n"], "aggregate": { "m": "count(*)" } })),
        node("all", "tumbling_window", &["some"], json!({ "size": "1h", "aggregate": { "n": "count(*)" } })),
        node("kept", "collect", &["windows"], json!({})),
        node("late", "collect", &["windows.late"], json!({})),
        node("hours", "collect", &["again"], json!({})),
        node("totals", "collect", &["all"], json!({})),
    ]
}

const SINKS: [&str; 4] = ["kept", "late", "hours", "totals"];

fn memory(silences: usize) -> Memory {
    let script = |from: i64| {
        let rows = rows(6_000).slice(from, 3_000);
        let mut script = vec![Script::Rows(rows.slice(0, 1_400))];
        script.extend(vec![silence(); silences]);
        script.push(Script::Rows(rows.slice(1_400, 1_600)));
        script
    };
    Memory::default().with("rows", &COLUMNS, vec![script(0), script(3_000)])
}

fn options() -> JobOptions {
    JobOptions { parallelism: 4, batch_rows: 50, ..JobOptions::default() }
}

fn harness(collected: &Collected, silences: usize, state: Option<&Path>, team: Option<&Arc<TestTeam>>) -> Harness {
    let mut harness = Harness::with_collected(memory(silences), collected.clone());
    harness.state = state.map(|folder| StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(20), false));
    harness.team = team.cloned();
    harness
}

async fn alone() -> (JobOutcome, Collected) {
    let collected = Collected::default();
    let outcome = harness(&collected, 0, None, None).run(pipeline(), options()).await;
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None));
    (outcome, collected)
}

fn assert_same(expected: &Collected, found: &Collected) {
    for sink in SINKS {
        Table::from_frames(&expected.frames(sink)).assert_same(&Table::from_frames(&found.frames(sink)));
    }
}

#[tokio::test]
async fn a_run_that_is_spread_gives_the_rows_and_counts_of_one_that_is_not() {
    let (reference, expected) = alone().await;
    for slots in [&[1][..], &[2, 2], &[1, 2, 1], &[3, 1]] {
        let (team, collected) = (TestTeam::of(slots), Collected::default());
        let outcome = harness(&collected, 0, None, Some(&team)).run(pipeline(), options()).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{slots:?}");
        assert_eq!(outcome.summary.nodes, reference.summary.nodes, "{slots:?}");
        assert_eq!(team.begun().len(), slots.len());
        assert_same(&expected, &collected);
    }
}

#[tokio::test]
async fn a_run_that_loses_members_goes_on_over_those_that_are_left_and_ends_as_if_none_had_been_lost() {
    let (reference, expected) = alone().await;
    let (team, collected, folder) = (TestTeam::of(&[2, 1, 1]), Collected::default(), tempfile::tempdir().unwrap());
    let harness = harness(&collected, 12, Some(folder.path()), Some(&team));
    let job = harness.start(pipeline(), options()).await;
    for lost in [2, 1] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        team.lose(lost);
    }
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
    assert!(team.begun().len() > 3 + 2, "{:?}", team.begun());
    assert_same(&expected, &collected);
}

#[tokio::test]
async fn a_run_that_is_not_kept_fails_when_a_member_is_lost_and_says_so() {
    let (team, collected) = (TestTeam::of(&[1, 1]), Collected::default());
    let harness = harness(&collected, 12, None, Some(&team));
    let job = harness.start(pipeline(), options()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    team.lose(1);
    let outcome = job.wait().await;
    assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0440"));
}
