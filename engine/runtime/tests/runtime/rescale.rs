//! A run that goes on in other numbers of tasks while it is under way: rows and counts are those of a run that was left alone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_model::{NodeDecl, NodeId};
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::{JobHandle, JobOptions, JobOutcome, RunError};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, TestTeam, node};
use millrace_wire::change::Scale;
use millrace_wire::figures::RunState;
use serde_json::json;

use crate::COLUMNS;
use crate::checkpoints::{no_memory, rows};

const ROWS: i64 = 24_000;
const SINKS: [&str; 5] = ["kept", "late", "hours", "totals", "slow"];

/// Windows by key behind a filter, windows of those, one window for all, and a sink of rows that holds the others back.
fn pipeline(rate: &str) -> Vec<NodeDecl> {
    let by_text = json!({ "size": "5m", "by": ["v"], "aggregate": { "n": "count(*)", "sum": "sum(k)", "kinds": "count_distinct(k)" } });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("some", "filter", &["rows"], json!({ "where": "k <> 13" })),
        node("windows", "tumbling_window", &["some"], by_text),
        node("again", "tumbling_window", &["windows"], json!({ "size": "1h", "by": ["n"], "aggregate": { "m": "count(*)" } })),
        node("all", "tumbling_window", &["some"], json!({ "size": "1h", "aggregate": { "n": "count(*)" } })),
        node("kept", "collect", &["windows"], json!({})),
        node("late", "collect", &["windows.late"], json!({})),
        node("hours", "collect", &["again"], json!({})),
        node("totals", "collect", &["all"], json!({})),
        node("slow", "collect", &["some"], json!({ "rate": rate })),
    ]
}

/// Two partitions, of so many pieces each, that wait for these before every piece but the first.
fn memory(gates: &[Arc<AtomicBool>]) -> Memory {
    let all = rows(ROWS);
    let pieces = gates.len() as i64 + 1;
    let script = |from: i64| {
        let length = ROWS / 2 / pieces;
        let piece = |number: i64| Script::Rows(all.slice(from + number * length, length as usize));
        let rest = gates.iter().zip(1..).flat_map(|(gate, number)| [Script::Until(gate.clone()), piece(number)]);
        std::iter::once(piece(0)).chain(rest).collect::<Vec<Script>>()
    };
    Memory::default().with("rows", &COLUMNS, vec![script(0), script(ROWS / 2)])
}

fn options(parallelism: u32) -> JobOptions {
    JobOptions { parallelism, batch_rows: 50, unaligned_after: Duration::from_millis(3), ..JobOptions::default() }
}

fn harness(collected: &Collected, memory: Memory, folder: &Path) -> Harness {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.state = Some(StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(15), false));
    harness
}

async fn left_alone(gates: usize) -> (JobOutcome, Collected) {
    let collected = Collected::default();
    let open: Vec<_> = (0..gates).map(|_| Arc::new(AtomicBool::new(true))).collect();
    let outcome = Harness::with_collected(memory(&open), collected.clone()).run(pipeline("1000000/s"), options(1)).await;
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None));
    (outcome, collected)
}

fn assert_same((reference, expected): &(JobOutcome, Collected), outcome: JobOutcome, found: &Collected) {
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts go on");
    for sink in SINKS {
        Table::from_frames(&expected.frames(sink)).assert_same(&Table::from_frames(&found.frames(sink)));
    }
}

fn to(parallelism: u32) -> Scale {
    Scale { parallelism: Some(parallelism), ..Scale::default() }
}

fn of(nodes: &[(&str, u32)]) -> Scale {
    Scale { parallelism: None, nodes: nodes.iter().map(|(node, tasks)| (NodeId::new(*node), *tasks)).collect() }
}

fn tasks(job: &JobHandle, node: &str) -> u32 {
    job.figures().nodes[&NodeId::new(node)].tasks
}

async fn until(job: &JobHandle, holds: impl Fn(&JobHandle) -> bool) {
    while !holds(job) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn refusal(error: &RunError) -> (&str, String) {
    (error.code(), error.to_string())
}

#[tokio::test]
async fn a_run_goes_up_and_down_at_an_epoch_of_its_own_and_says_how_long_it_paused() {
    let gates: Vec<Arc<AtomicBool>> = (0..4).map(|_| Arc::default()).collect();
    let reference = left_alone(gates.len()).await;
    for memory_bounds in [StateMemory::default as fn() -> StateMemory, no_memory] {
        gates.iter().for_each(|gate| gate.store(false, Ordering::Relaxed));
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let mut harness = harness(&collected, memory(&gates), folder.path());
        harness.data = harness.data.with_memory(memory_bounds());
        let job = harness.start(pipeline("1000000/s"), options(2)).await;
        let mut notices = job.take_notices().unwrap();
        let mut before = 2;
        for (gate, parallelism) in gates.iter().zip([4, 1, 7, 3]) {
            until(&job, |job| job.figures().nodes[&"rows".into()].accepted > 0).await;
            let goes_on = async {
                until(&job, |job| job.figures().parallelism == parallelism).await;
                gate.store(true, Ordering::Relaxed);
            };
            let (changed, ()) = tokio::join!(job.rescale(to(parallelism)), goes_on);
            let changed = changed.unwrap();
            assert_eq!((changed.what.as_str(), &changed.fault), (format!("rescaled from {before} to {parallelism}").as_str(), &None));
            assert_eq!((tasks(&job, "windows"), tasks(&job, "rows"), tasks(&job, "all")), (parallelism, parallelism.min(2), 1));
            let told = job.figures().change.unwrap();
            assert_eq!((told.epoch, told.what), (Some(changed.epoch), changed.what.clone()));
            assert_eq!(told.pause_us, Some(changed.pause_us));
            before = parallelism;
        }
        assert_same(&reference, job.wait().await, &collected);
        let mut told = Vec::new();
        while let Ok(notice) = notices.try_recv() {
            assert_ne!(notice.kind, "restarted", "{}", notice.message);
            told.extend((notice.kind == "rescaled").then_some(notice.message));
        }
        assert!(told.iter().any(|it| it.starts_with("rescaled from 2 to 4, at epoch ") && it.ends_with(" ms")), "{told:?}");
    }
}

#[tokio::test]
async fn a_run_under_load_is_rescaled_again_and_again_and_loses_and_repeats_nothing() {
    let reference = left_alone(0).await;
    for memory_bounds in [StateMemory::default as fn() -> StateMemory, no_memory] {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let mut harness = harness(&collected, memory(&[]), folder.path());
        harness.data = harness.data.with_memory(memory_bounds());
        let job = harness.start(pipeline("15000/s"), options(2)).await;
        let mut times = 0;
        for parallelism in [3, 1, 5, 2, 4].into_iter().cycle() {
            match job.rescale(to(parallelism)).await {
                Ok(_) => times += 1,
                Err(error) => {
                    assert_eq!(error.code(), "MR0436", "{error}");
                    break;
                }
            }
        }
        assert!(times >= 3, "the run was rescaled {times} times only");
        assert_same(&reference, job.wait().await, &collected);
    }
}

#[tokio::test]
async fn one_operator_is_rescaled_and_the_others_stay_as_they_are() {
    let gates = [Arc::<AtomicBool>::default()];
    let reference = left_alone(gates.len()).await;
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let job = harness(&collected, memory(&gates), folder.path()).start(pipeline("1000000/s"), options(2)).await;
    let goes_on = async {
        until(&job, |job| tasks(job, "windows") == 5).await;
        gates[0].store(true, Ordering::Relaxed);
    };
    let (changed, ()) = tokio::join!(job.rescale(of(&[("windows", 5)])), goes_on);
    assert_eq!(changed.unwrap().what, "rescaled `windows` from 2 to 5");
    assert_eq!((tasks(&job, "windows"), tasks(&job, "some"), tasks(&job, "again"), job.figures().parallelism), (5, 2, 2, 2));
    assert_same(&reference, job.wait().await, &collected);
}

#[tokio::test]
async fn a_failure_on_the_way_goes_back_to_the_epoch_before_and_keeps_the_new_parallelism() {
    let reference = left_alone(0).await;
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let job = harness(&collected, memory(&[]), folder.path()).start(pipeline("8000/s"), options(2)).await;
    until(&job, |job| job.figures().epochs.len() > 2).await;
    let fails = async {
        // Its barrier waits behind rows for the slow sink.
        until(&job, |job| job.figures().change.is_some()).await;
        job.kill();
    };
    let (changed, ()) = tokio::join!(job.rescale(to(4)), fails);
    let changed = changed.unwrap();
    assert!(changed.fault.as_ref().is_some_and(|fault| fault.contains("killed by hand")), "{changed:?}");
    assert!(changed.in_words().contains("back from a failure on the way"), "{}", changed.in_words());
    assert_eq!(tasks(&job, "windows"), 4);
    assert_same(&reference, job.wait().await, &collected);
}

#[tokio::test]
async fn a_run_that_is_spread_over_members_is_rescaled_with_them() {
    let reference = left_alone(0).await;
    let (team, collected, folder) = (TestTeam::of(&[2, 1]), Collected::default(), tempfile::tempdir().unwrap());
    let mut harness = harness(&collected, memory(&[]), folder.path());
    harness.team = Some(team.clone());
    let job = harness.start(pipeline("10000/s"), options(3)).await;
    until(&job, |job| job.figures().nodes[&"windows".into()].accepted > 0).await;
    for parallelism in [6, 2] {
        job.rescale(to(parallelism)).await.unwrap();
        assert_eq!(tasks(&job, "windows"), parallelism);
    }
    assert_same(&reference, job.wait().await, &collected);
    assert_eq!(team.begun(), [1, 2, 1, 2, 1], "two tasks are one member's");
}

#[tokio::test]
async fn a_run_is_moved_off_a_member_that_is_to_go_and_nothing_is_lost_repeated_or_begun_again() {
    let reference = left_alone(0).await;
    let (team, collected, folder) = (TestTeam::of(&[1, 2]), Collected::default(), tempfile::tempdir().unwrap());
    let mut harness = harness(&collected, memory(&[]), folder.path());
    harness.team = Some(team.clone());
    let job = harness.start(pipeline("10000/s"), options(3)).await;
    let mut notices = job.take_notices().unwrap();
    until(&job, |job| job.figures().nodes[&"windows".into()].accepted > 0).await;
    for (member, left) in [(1, vec![1, 2, 2]), (2, vec![1, 2, 2])] {
        team.spare(member);
        let moved = job.spread_anew(format!("moved off {member}")).await.unwrap();
        assert_eq!((moved.what, moved.fault), (format!("moved off {member}"), None));
        // The last one's tasks are the leader's.
        assert_eq!((tasks(&job, "windows"), team.begun()), (3, left));
    }
    let outcome = job.wait().await;
    assert_eq!(job.figures().restarts, 0);
    assert_same(&reference, outcome, &collected);
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.extend((notice.kind == "moved").then_some(notice.message));
    }
    assert!(told.len() == 2 && told[0].starts_with("moved off 1, at epoch "), "{told:?}");
}

#[tokio::test]
async fn a_run_that_is_spread_onto_a_member_that_cannot_begin_it_goes_on_without_that() {
    let reference = left_alone(0).await;
    let (team, collected, folder) = (TestTeam::of(&[1, 2]), Collected::default(), tempfile::tempdir().unwrap());
    let mut harness = harness(&collected, memory(&[]), folder.path());
    harness.team = Some(team.clone());
    let job = harness.start(pipeline("10000/s"), options(3)).await;
    let mut notices = job.take_notices().unwrap();
    until(&job, |job| job.figures().nodes[&"windows".into()].accepted > 0).await;
    for (member, begun) in [(2, vec![1, 2, 1, 1]), (1, vec![1, 2, 1, 1])] {
        team.unfit(member);
        let moved = job.spread_anew(format!("spread anew without {member}")).await.unwrap();
        assert_eq!(moved.fault, None);
        assert_eq!((tasks(&job, "windows"), team.begun()), (3, begun), "the one that began beside it begins once more, alone");
    }
    let outcome = job.wait().await;
    assert_eq!(job.figures().restarts, 0);
    assert_same(&reference, outcome, &collected);
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.extend((notice.kind == "left_out").then_some(notice.message));
    }
    let names = |member: u32| {
        told.iter().any(|it| it.starts_with(&format!("process {member} of the run cannot take part, and the run begins without it: ")))
    };
    assert!(names(1) && names(2), "{told:?}");
}

#[tokio::test]
async fn a_run_without_checkpoints_and_one_of_one_process_are_not_moved() {
    let gates = [Arc::<AtomicBool>::default()];
    let (team, collected, folder) = (TestTeam::of(&[1, 1]), Collected::default(), tempfile::tempdir().unwrap());
    let mut kept = harness(&collected, memory(&gates), folder.path());
    let mut spread = Harness::with_collected(memory(&gates), Collected::default());
    spread.team = Some(team);
    for (harness, why) in [(&mut kept, "of one process alone"), (&mut spread, "without checkpoints")] {
        let job = harness.start(pipeline("1000000/s"), options(2)).await;
        let error = job.spread_anew("moved".to_owned()).await.unwrap_err();
        assert!(refusal(&error).0 == "MR0436" && refusal(&error).1.contains(why), "{error}");
        job.stop(millrace_wire::message::StopMode::Abort);
        gates[0].store(true, Ordering::Relaxed);
        job.wait().await;
        gates[0].store(false, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason_and_the_run_goes_on_as_it_was() {
    let gates = [Arc::<AtomicBool>::default()];
    let reference = left_alone(gates.len()).await;
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let job = harness(&collected, memory(&gates), folder.path()).start(pipeline("1000000/s"), options(2)).await;
    let refused = [
        (to(0), "0 tasks are none that a node can run as"),
        (to(1025), "1025 tasks are none that a node can run as"),
        (to(2), "the run has these numbers of tasks already"),
        (Scale::default(), "no number of tasks was given"),
        (of(&[("all", 2)]), "`all` has one task: its rows come together in one place"),
        (of(&[("rows", 3)]), "`rows` has at most 2 tasks: its input is in no more parts"),
        (of(&[("nowhere", 3)]), "the pipeline has no node `nowhere`"),
        (to(400), "channels between tasks are more than the 65536 that a run may have"),
    ];
    for (scale, why) in refused {
        let error = job.rescale(scale).await.unwrap_err();
        assert!(refusal(&error).0 == "MR0436" && refusal(&error).1.contains(why), "{error}");
    }
    let goes_on = async {
        until(&job, |job| job.figures().change.is_some()).await;
        let error = job.rescale(to(3)).await.unwrap_err();
        assert_eq!(refusal(&error), ("MR0437", "another change of the run is under way".to_owned()));
        gates[0].store(true, Ordering::Relaxed);
    };
    let (changed, ()) = tokio::join!(job.rescale(to(4)), goes_on);
    changed.unwrap();
    assert_same(&reference, job.wait().await, &collected);
    let error = job.rescale(to(3)).await.unwrap_err();
    assert_eq!(refusal(&error), ("MR0436", "the run is over".to_owned()));

    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![vec![Script::Forever]]));
    let job = harness.start(pipeline("1000000/s"), options(1)).await;
    let error = job.rescale(to(2)).await.unwrap_err();
    assert!(refusal(&error).0 == "MR0436" && refusal(&error).1.contains("without checkpoints"), "{error}");
}
