//! A run that is killed, wherever it was, goes on and ends with the rows of a run that was not.
//!
//! Real processes and `kill -9`. At a named step the process says `halted at STEP` and stays there (see `millrace_state::step`), so that the
//! kill comes exactly then; what other threads do meanwhile is left to chance, as in life.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bucket;
mod database;
mod disk;
mod savepoints;

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_tests::flights::{DEPARTURES, difference, number};
use millrace_tests::s3::S3;
use millrace_tests::{Chance, Millrace, Ran};
use serde_json::Value;

/// Steps in the life of a run that begins, in the order in which they come.
const STEPS: [&str; 15] = [
    "barriers-sent",
    "sink-prepared",
    "part-taken",
    "part-written",
    "all-parts-written",
    "manifest-created",
    "committing",
    "part-renamed",
    "sink-committed",
    "forgetting",
    "parts-together",
    "file-renamed",
    "part-removed",
    "run-over",
    "epoch-forgotten",
];

/// Steps of a run that goes on.
const RESTORE_STEPS: [&str; 7] =
    ["looking", "part-restored", "sink-recovered", "committing", "sink-committed", "restored", "operator-restored"];

/// How a run keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Plain,
    /// Every epoch's barriers overtake the rows before them.
    Unaligned,
    /// The same, and state goes to disk as soon as there is any.
    Spilled,
}

/// A project, and how it is run.
struct Project {
    project: Millrace,
    how: How,
    /// Where its state lies, if not beside the file.
    server: Option<Arc<S3>>,
}

impl std::ops::Deref for Project {
    type Target = Millrace;

    fn deref(&self) -> &Millrace {
        &self.project
    }
}

const FILE: &str = "departures.millrace.toml";

/// The departures by hour into a file, those that came late into a folder, an epoch every 20 ms.
fn project(how: How) -> Project {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    let text = DEPARTURES
        .replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"20ms\"\n")
        .replace("max_delay = \"3h\"", "max_delay = \"10m\"")
        .replace("86400x", "10512000x")
        .replace("allowed_lateness = \"6h\"\n", "")
        .replace("out/late.parquet", "out/late/");
    assert!(text.contains("checkpoint_every") && text.contains("out/late/") && !text.contains("allowed_lateness"));
    let text = match how {
        How::Plain => text,
        // Barriers never wait for each other, and no pane stays in memory for longer than a batch or two.
        How::Unaligned | How::Spilled => text.replace("[pipeline]\n", "[pipeline]\nunaligned_after = \"0s\"\n"),
    };
    project.write(FILE, text);
    Project { project, how, server: None }
}

/// To be killed: the year goes by in three seconds, which is time for many epochs.
fn paced(project: &Project, parallelism: usize) -> Command {
    let mut command = run(project, parallelism);
    command.arg("--replay");
    command
}

thread_local! {
    /// The bug that this test's processes have.
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

fn run(project: &Project, parallelism: usize) -> Command {
    let mut command = project.command();
    if let Some(bug) = PLANTED.get() {
        command.env("MILLRACE_PLANTED_BUG", bug);
    }
    command.args(["run", FILE, "--json", "--batch-rows", "1024", "--parallelism", &parallelism.to_string()]);
    if let Some(server) = &project.server {
        command.envs(server.environment());
    }
    if project.how == How::Spilled {
        command.args(["--state-memory", "1B"]);
    }
    command
}

/// What a run without faults left behind.
struct Truth {
    project: Project,
    nodes: Value,
}

fn truth() -> &'static Truth {
    static TRUTH: OnceLock<Truth> = OnceLock::new();
    TRUTH.get_or_init(|| {
        let project = project(How::Plain);
        let ran = Ran::from(run(&project, 1).output().unwrap()).succeeded();
        Truth { nodes: ran.json()["nodes"].clone(), project }
    })
}

/// Steps that come when a run ends.
const AT_THE_END: [&str; 4] = ["parts-together", "file-renamed", "run-over", "epoch-forgotten"];

/// Half a minute for the year: on a busy machine three seconds hold less than a handful of epochs.
const SLOWLY: [&str; 2] = ["--set", "flights.replay.speed=1051200x"];

/// Runs until the step is reached for the `time`th time, then kills. False if the run came to its end before.
fn kill_at(project: &Project, parallelism: usize, step: &str, time: usize) -> bool {
    let mut command = paced(project, parallelism);
    // What barriers overtake and what memory cannot hold wants rows in plenty.
    if project.how == How::Plain && !AT_THE_END.contains(&step) {
        command.args(SLOWLY);
    }
    command.env("MILLRACE_HALT_AT", format!("{step}:{time}")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let was_reached = said.any(|line| line == format!("halted at {step}"));
    // On Unix this is SIGKILL: nothing of the process gets to clean up.
    let _ = child.kill();
    child.wait().unwrap();
    was_reached
}

fn kill_after(project: &Project, parallelism: usize, time: Duration) {
    let mut child = paced(project, parallelism).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(time);
    let _ = child.kill();
    child.wait().unwrap();
}

/// Runs to the end, and compares with the run that nobody killed: every row, every count, and nothing left lying about.
fn ends_like_a_run_without_faults(project: &Project, parallelism: usize, what: &str) {
    let ran = Ran::from(run(project, parallelism).output().unwrap());
    has_the_rows_of_a_run_without_faults(project, &ran, what);
    let state = if project.server.is_some() { ".millrace/remote/departures" } else { ".millrace/state/departures" };
    for folder in ["out", "out/late", state] {
        let names = std::fs::read_dir(project.path(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| name.starts_with('.') || name.starts_with("run-")).collect();
        assert!(left.is_empty(), "{what}: {folder} still holds {left:?}");
    }
}

fn has_the_rows_of_a_run_without_faults(project: &Millrace, ran: &Ran, what: &str) {
    assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    for files in ["out/hourly.parquet", "out/late/*.parquet"] {
        let of = |project: &Millrace| format!("read_parquet('{}/{files}')", project.folder.path().display());
        let (got, expected) = (of(project), of(&truth().project));
        assert_eq!(difference(&duckdb, "*", &got, &expected), 0, "{what}: {files}");
        assert!(number(&duckdb, &format!("SELECT count(*) FROM {expected}")) > 100, "{files}");
    }
    assert_eq!(ran.json()["nodes"], truth().nodes, "{what}: the counts go on");
}

/// Kills at a step, and says how often it was reached.
fn killed_at(how: How, step: &str, times: impl Iterator<Item = usize>, chance: &mut Chance) -> usize {
    let mut reached = 0;
    for time in times {
        let project = project(how);
        reached += usize::from(kill_at(&project, chance.parallelism(), step, time));
        ends_like_a_run_without_faults(&project, chance.parallelism(), &format!("{how:?}, killed at {step}, time {time}"));
    }
    reached
}

/// Kills a run, then its continuation at a step, then lets it go on.
fn killed_while_restoring(how: How, step: &str, times: usize, chance: &mut Chance) -> usize {
    let mut reached = 0;
    for time in 1..=times {
        let project = project(how);
        let first = 2 + chance.below(3);
        assert!(kill_at(&project, chance.parallelism(), "forgetting", first), "the run has epochs before it is killed");
        // These come once; the others once for each part, sink or operator.
        let at = if ["looking", "committing", "restored"].contains(&step) { 1 } else { 1 + chance.below(2) };
        reached += usize::from(kill_at(&project, chance.parallelism(), step, at));
        ends_like_a_run_without_faults(&project, chance.parallelism(), &format!("{how:?}, killed while restoring at {step}, time {time}"));
    }
    reached
}

#[test]
fn a_run_that_is_killed_at_a_step_ends_with_the_rows_of_one_that_was_not() {
    let mut chance = Chance(1);
    for (step, time) in [("part-written", 12), ("manifest-created", 3), ("part-renamed", 2), ("parts-together", 1), ("run-over", 1)] {
        assert_eq!(killed_at(How::Plain, step, std::iter::once(time), &mut chance), 1, "{step} was reached");
    }
}

#[test]
fn a_continuation_that_is_killed_goes_on_as_well() {
    let mut chance = Chance(2);
    for step in ["sink-recovered", "restored"] {
        assert_eq!(killed_while_restoring(How::Plain, step, 1, &mut chance), 1, "{step} was reached");
    }
}

#[test]
fn a_run_whose_barriers_overtake_and_whose_state_is_on_disk_is_killed_with_as_little_harm() {
    let mut chance = Chance(7);
    for (how, step, time) in [
        (How::Unaligned, "in-flight-recorded", 20),
        (How::Spilled, "block-written", 40),
        (How::Spilled, "in-flight-recorded", 30),
        (How::Spilled, "block-forgotten", 3),
        (How::Spilled, "manifest-created", 4),
    ] {
        assert_eq!(killed_at(how, step, std::iter::once(time), &mut chance), 1, "{how:?}: {step} was reached");
    }
    assert_eq!(killed_while_restoring(How::Spilled, "operator-restored", 1, &mut chance), 1);
}

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let (project, mut chance) = (project(How::Plain), Chance(3));
    for _ in 0..5 {
        kill_after(&project, chance.parallelism(), Duration::from_millis(60 + chance.below(600) as u64));
    }
    ends_like_a_run_without_faults(&project, 2, "killed five times");
}

#[test]
fn fresh_gives_the_unfinished_run_up_and_one_pipeline_runs_once_at_a_time() {
    let project = project(How::Plain);
    assert!(kill_at(&project, 2, "forgetting", 3));
    let mut halted = run(&project, 2);
    let mut halted = halted.env("MILLRACE_HALT_AT", "restored").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(halted.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "halted at restored"));
    let second = Ran::from(run(&project, 2).output().unwrap());
    assert!(second.code == 78 && second.stderr.contains("MR0421"), "{}: {}", second.code, second.stderr);
    halted.kill().unwrap();
    halted.wait().unwrap();
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    project.write(FILE, text.replace("size = \"1h\"", "size = \"2h\""));
    let changed = Ran::from(run(&project, 2).output().unwrap());
    let says = |words: &str| changed.stderr.contains(words);
    assert!(changed.code == 1 && says("MR0423") && says("`hourly`: `size` changed"), "{}", changed.stderr);
    project.write(FILE, text);
    Ran::from(run(&project, 1).arg("--fresh").output().unwrap()).succeeded();
    ends_like_a_run_without_faults(&project, 1, "a second run, after --fresh");
}

/// Whether a run with a bug, killed at a step, comes to something else than a run without faults.
fn catches(how: How, bug: &'static str, parallelism: [usize; 2], step: &str, time: usize) -> bool {
    truth();
    let proof = AssertUnwindSafe(|| {
        let project = project(how);
        PLANTED.set(Some(bug));
        kill_at(&project, parallelism[0], step, time);
        ends_like_a_run_without_faults(&project, parallelism[1], bug);
    });
    let caught = catch_unwind(proof).is_err();
    PLANTED.set(None);
    caught
}

/// Kills until the comparison with a run without faults fails, and says after how many kills it did. None: the bug was not seen.
fn kills_until_caught(how: How, bug: &'static str, steps: &[(&str, usize)], most: usize) -> Option<usize> {
    let mut chance = Chance(7 + bug.len() as u64);
    (1..=most).find(|kill| {
        let (step, time) = steps[kill % steps.len()];
        let parallelism = [2 + chance.below(2), 2 + chance.below(2)];
        catches(how, bug, parallelism, step, time + chance.below(6))
    })
}

const ANYWHERE: [(&str, usize); 4] = [("forgetting", 2), ("manifest-created", 3), ("all-parts-written", 4), ("sink-prepared", 9)];

fn is_caught(how: How, bug: &'static str, steps: &[(&str, usize)], most: usize) {
    let caught = kills_until_caught(how, bug, steps, most);
    println!("{bug}: caught by kill {caught:?} of {most} at most");
    assert!(caught.is_some(), "{bug} was not caught");
}

#[test]
fn barriers_that_are_not_aligned_are_caught() {
    is_caught(How::Plain, "no-alignment", &ANYWHERE, 40);
}

#[test]
fn a_commit_before_its_epoch_is_caught_in_the_second_epoch() {
    for tasks in [2, 3] {
        // Every task has a part of the first epoch, which this bug commits twice: the next one is the second epoch's. A first epoch's that
        // never was complete is no harm: the run begins anew, and takes it away.
        assert!(catches(How::Plain, "commit-before-epoch", [tasks, 5 - tasks], "part-renamed", 2 * tasks + 1), "as {tasks} tasks");
    }
}

#[test]
fn in_flight_rows_that_are_forgotten_are_caught() {
    is_caught(How::Unaligned, "in-flight-forgotten", &ANYWHERE, 20);
}

#[test]
fn an_epoch_that_is_collected_too_early_is_caught() {
    is_caught(How::Plain, "collected-too-early", &[("forgetting", 2)], 5);
}

#[test]
fn an_offset_that_is_off_by_one_is_caught() {
    is_caught(How::Plain, "offset-off-by-one", &ANYWHERE, 20);
}

#[test]
#[ignore = "a long proof: make prove"]
fn ten_kills_at_every_step() {
    let mut chance = Chance(4);
    for step in STEPS {
        let at_the_end = AT_THE_END.contains(&step);
        let reached = killed_at(How::Plain, step, (0..10).map(|kill| if at_the_end { 1 } else { 1 + kill % 5 }), &mut chance);
        println!("{step}: reached and killed {reached} of 10 times");
        assert_eq!(reached, 10, "{step} was reached every time");
    }
}

#[test]
#[ignore = "a long proof: make prove"]
fn ten_kills_at_every_step_of_the_restore() {
    let mut chance = Chance(5);
    for step in RESTORE_STEPS {
        let reached = killed_while_restoring(How::Plain, step, 10, &mut chance);
        println!("{step}: reached and killed {reached} of 10 times while restoring");
        assert_eq!(reached, 10, "{step} was reached every time");
    }
}

#[test]
#[ignore = "a long proof: make prove"]
fn two_hundred_kills_at_random() {
    let mut chance = Chance(6);
    for round in 0..40 {
        let project = project(How::Plain);
        for _ in 0..5 {
            kill_after(&project, chance.parallelism(), Duration::from_millis(20 + chance.below(600) as u64));
        }
        ends_like_a_run_without_faults(&project, chance.parallelism(), &format!("round {round}"));
    }
}

#[test]
#[ignore = "a long proof: make prove"]
fn fifty_kills_of_runs_whose_barriers_overtake_and_as_many_with_their_state_on_disk() {
    let mut chance = Chance(8);
    for how in [How::Unaligned, How::Spilled] {
        let steps: &[&str] = match how {
            How::Spilled => &["block-written", "block-forgotten", "in-flight-recorded", "manifest-created", "sink-committed"],
            _ => &["in-flight-recorded", "part-taken", "part-written", "manifest-created", "sink-committed"],
        };
        for step in steps {
            let reached = killed_at(how, step, (0..10).map(|kill| 1 + kill * 3), &mut chance);
            println!("{how:?}: {step}: reached and killed {reached} of 10 times");
        }
    }
}

#[test]
#[ignore = "a long proof: make prove"]
fn fifty_kills_of_continuations_from_overtaken_rows_and_as_many_from_disk() {
    let mut chance = Chance(9);
    for how in [How::Unaligned, How::Spilled] {
        for step in ["looking", "part-restored", "operator-restored", "restored", "sink-committed"] {
            let reached = killed_while_restoring(how, step, 10, &mut chance);
            println!("{how:?}: {step}: reached and killed {reached} of 10 times while restoring");
        }
    }
}
