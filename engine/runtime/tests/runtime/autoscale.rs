//! Runs whose numbers of tasks follow their load: rows and counts are those of a run that was left alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Autoscale, AutoscaleMode, NodeDecl, NodeId, field};
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::{JobHandle, JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, TestTeam, node};
use millrace_wire::autoscale::AutoscaleFigures;
use millrace_wire::figures::RunState;
use millrace_wire::message::NoticeSeverity;
use serde_json::json;

use crate::COLUMNS;
use crate::checkpoints::rows;

/// Ten seconds of work for one task: three times as long as it takes to see that one is not enough.
const ROWS: i64 = 20_000;
const US_A_ROW: u64 = 500;

fn pipeline() -> Vec<NodeDecl> {
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("toil", "toil", &["rows"], json!({ "us": US_A_ROW })),
        node(
            "windows",
            "tumbling_window",
            &["toil"],
            json!({ "size": "5m", "by": ["v"], "aggregate": { "n": "count(*)", "sum": "sum(k)" } }),
        ),
        node("kept", "collect", &["windows"], json!({})),
        node("all", "collect", &["toil"], json!({})),
    ]
}

fn options(mode: AutoscaleMode) -> JobOptions {
    let autoscale =
        Autoscale { mode, target_utilisation: 0.8, min: 1, max: 2, is_max_said: true, cool_down: field::Duration::from_secs(1) };
    JobOptions { parallelism: 1, batch_rows: 50, unaligned_after: Duration::from_millis(3), autoscale, ..JobOptions::default() }
}

/// A source of so many parts, kept in a folder if there is one.
fn harness(collected: &Collected, parts: i64, folder: Option<&Path>) -> Harness {
    let (all, length) = (rows(ROWS), ROWS / parts);
    let script = |part: i64| vec![Script::Rows(all.slice(part * length, length as usize))];
    let memory = Memory::default().with("rows", &COLUMNS, (0..parts).map(script).collect());
    let mut harness = Harness::with_collected(memory, collected.clone());
    let store = |folder: &Path| Arc::new(FolderStore::open(folder).unwrap());
    harness.state = folder.map(|folder| StateHome::new(store(folder), Duration::from_millis(100), false));
    harness
}

/// What is said of a run and done with it, as it is looked at until its end.
async fn watched(job: &JobHandle) -> (Vec<AutoscaleFigures>, JobOutcome) {
    let mut seen: Vec<AutoscaleFigures> = Vec::new();
    while !job.state().is_over() {
        let figures = job.figures().autoscale;
        seen.extend(figures.filter(|figures| seen.last() != Some(figures)));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (seen, job.wait().await)
}

async fn left_alone(parts: i64) -> (JobOutcome, Collected) {
    let collected = Collected::default();
    let outcome = harness(&collected, parts, None).run(pipeline(), JobOptions { batch_rows: 50, ..JobOptions::default() }).await;
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None));
    (outcome, collected)
}

fn assert_same((reference, expected): &(JobOutcome, Collected), outcome: &JobOutcome, found: &Collected) {
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
    for sink in ["kept", "all"] {
        Table::from_frames(&expected.frames(sink)).assert_same(&Table::from_frames(&found.frames(sink)));
    }
}

/// Whether what was seen says at some time that `toil` is to have a second task, and why.
fn is_told(seen: &[AutoscaleFigures]) -> bool {
    let advice = || seen.iter().flat_map(|figures| &figures.advice).filter(|advice| advice.node == NodeId::new("toil"));
    advice().any(|it| (it.tasks, it.wanted) == (1, 2) && it.cause.contains("busy at") && it.bound.as_deref() == Some("`max` is 2"))
}

#[tokio::test]
async fn a_node_that_is_too_slow_gets_a_second_task_and_the_rows_are_those_of_a_run_left_alone() {
    let reference = left_alone(1);
    let on = async {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let job = harness(&collected, 1, Some(folder.path())).start(pipeline(), options(AutoscaleMode::On)).await;
        let mut notices = job.take_notices().unwrap();
        let (seen, outcome) = watched(&job).await;
        let mut told = Vec::new();
        while let Ok(notice) = notices.try_recv() {
            assert_ne!(notice.severity, NoticeSeverity::Error, "{}", notice.message);
            told.push((notice.kind, notice.message));
        }
        (collected, job, seen, outcome, told)
    };
    let (reference, (collected, job, seen, outcome, told)) = tokio::join!(reference, on);
    assert_same(&reference, &outcome, &collected);
    assert!(is_told(&seen), "{seen:#?}");
    let decided = seen.iter().rev().find_map(|figures| figures.decided.clone()).unwrap();
    assert!(decided.what.starts_with("toil: from 1 to 2; toil is "), "{decided:?}");
    assert!(decided.outcome.as_ref().is_some_and(|outcome| outcome.starts_with("rescaled `toil` from 1 to 2, at epoch ")), "{decided:?}");
    let figures = job.figures();
    assert_eq!(figures.nodes[&"toil".into()].tasks, 2);
    assert_eq!(figures.autoscale.map(|figures| figures.advice), Some(Vec::new()), "a run that is over wants nothing");
    let of_kind = |kind: &str| told.iter().filter(|(it, _)| it == kind).count();
    assert_eq!((of_kind("autoscaled"), of_kind("rescaled"), of_kind("autoscale_advice")), (1, 1, 0), "{told:#?}");
}

#[tokio::test]
async fn who_only_advises_says_once_what_would_be_better_and_changes_nothing() {
    for is_kept in [true, false] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let job = harness(&collected, 1, is_kept.then(|| folder.path())).start(pipeline(), options(AutoscaleMode::Advise)).await;
        let mut notices = job.take_notices().unwrap();
        let (seen, outcome) = watched(&job).await;
        assert_eq!((outcome.state, outcome.cause, collected.rows("all")), (RunState::Finished, None, ROWS as usize));
        assert!(is_told(&seen), "{seen:#?}");
        let lacks_checkpoints = |figures: &AutoscaleFigures| figures.waits.as_ref().is_some_and(|why| why.contains("`checkpoint_every`"));
        assert_eq!(seen.iter().any(lacks_checkpoints), !is_kept, "{seen:#?}");
        let figures = job.figures();
        assert_eq!((figures.nodes[&"toil".into()].tasks, figures.change, seen.iter().all(|it| it.decided.is_none())), (1, None, true));
        let told: Vec<String> = std::iter::from_fn(|| notices.try_recv().ok()).map(|notice| notice.kind).collect();
        assert_eq!(told.iter().filter(|kind| *kind == "autoscale_advice").count(), 1, "{told:?}");
        assert!(!told.iter().any(|kind| kind == "autoscaled" || kind == "rescaled"), "{told:?}");
    }
}

#[tokio::test]
async fn a_node_that_runs_elsewhere_is_scaled_by_what_is_counted_there() {
    // Three readers and one task behind them, or two: it is in no chain of theirs, as it would be with three, and so with members.
    let mut nodes = pipeline();
    nodes[1].common.parallelism = Some(1);
    // It would be given one less, in the same change.
    nodes[2].common.parallelism = Some(1);
    let options = JobOptions { parallelism: 3, ..options(AutoscaleMode::On) };
    let on = async {
        let (team, collected, folder) = (TestTeam::of(&[2, 2]), Collected::default(), tempfile::tempdir().unwrap());
        let mut harness = harness(&collected, 3, Some(folder.path()));
        harness.team = Some(team.clone());
        let job = harness.start(nodes, options).await;
        let (seen, outcome) = watched(&job).await;
        (collected, job.figures().change, seen, outcome, team.begun())
    };
    let (reference, (collected, change, seen, outcome, begun)) = tokio::join!(left_alone(3), on);
    assert_same(&reference, &outcome, &collected);
    assert!(is_told(&seen), "{seen:#?}");
    assert_eq!(change.map(|change| change.what), Some("rescaled `toil` from 1 to 2".to_owned()));
    assert_eq!(begun, [1, 1, 2], "one attempt with its one task, and one with two");
}
