//! Savepoints of runs that go on, were killed, or are over; and pipelines that changed in between.

use std::process::Stdio;
use std::time::Duration;

use millrace_tests::flights::{difference, number};
use millrace_tests::{Millrace, Ran};

use super::{FILE, How, Project, has_the_rows_of_a_run_without_faults, kill_at, paced, project, run, truth};

fn go_back(project: &Project, parallelism: usize, flags: &[&str]) -> Ran {
    Ran::from(run(project, parallelism).args(["--from", "monday"]).args(flags).output().unwrap())
}

#[test]
fn a_savepoint_of_a_run_under_way_is_kept_past_its_end_and_going_back_asks_first() {
    let project = project(How::Plain);
    let mut running = paced(&project, 2).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !project.path(".millrace/state/departures/newest").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let taken = project.run(&["savepoint", FILE, "monday", "--json"]).succeeded();
    let epoch = taken.json()[0]["epoch"].as_u64().unwrap();
    assert!(running.wait().unwrap().success());
    let listed = project.run(&["savepoint", FILE, "--list", "--json"]).succeeded().json();
    assert_eq!((listed[0]["name"].as_str(), listed[0]["epoch"].as_u64()), (Some("monday"), Some(epoch)));

    let asked = go_back(&project, 3, &[]);
    let says = |words: &str| asked.stderr.contains(words);
    assert!(asked.code == 1 && says("MR0426") && says("`out`: rows after epoch") && says("taken back"), "{}: {}", asked.code, asked.stderr);
    let twice = project.run(&["savepoint", FILE, "monday"]);
    assert!(twice.code == 1 && twice.stderr.contains("already"), "{}", twice.stderr);
    for parallelism in [3, 1] {
        let ran = go_back(&project, parallelism, &["--allow-rewind"]);
        has_the_rows_of_a_run_without_faults(&project, &ran, "from a savepoint after the end");
    }
    project.run(&["savepoint", FILE, "monday", "--remove"]).succeeded();
    assert!(go_back(&project, 1, &[]).stderr.contains("MR0427"), "there is none of that name any more");
}

#[test]
fn a_run_that_was_killed_goes_back_to_a_savepoint_below_what_its_sinks_have_shown() {
    let project = project(How::Plain);
    assert!(kill_at(&project, 2, "forgetting", 3));
    project.run(&["savepoint", FILE, "monday"]).succeeded();
    assert!(kill_at(&project, 3, "forgetting", 4), "it went on beyond the savepoint");
    let asked = go_back(&project, 2, &[]);
    assert!(asked.code == 1 && asked.stderr.contains("MR0426") && asked.stderr.contains("of epochs"), "{}", asked.stderr);
    has_the_rows_of_a_run_without_faults(&project, &go_back(&project, 2, &["--allow-rewind"]), "from a savepoint");
}

#[test]
fn a_savepoint_whose_outputs_a_later_run_has_replaced_is_refused() {
    let project = project(How::Plain);
    assert!(kill_at(&project, 2, "forgetting", 3));
    project.run(&["savepoint", FILE, "monday"]).succeeded();
    Ran::from(run(&project, 2).arg("--fresh").output().unwrap()).succeeded();
    let refused = go_back(&project, 2, &["--allow-rewind"]);
    assert!(refused.code == 1 && refused.stderr.contains("MR0428"), "{}", refused.stderr);
}

#[test]
fn a_pipeline_that_changed_keeps_the_state_of_what_it_still_means() {
    let project = project(How::Plain);
    // Into a folder: parts of one file have the same columns.
    let text = std::fs::read_to_string(project.path(FILE)).unwrap().replace("out/hourly.parquet", "out/hourly/");
    project.write(FILE, &text);
    // Late enough that rows are in windows, however slow the machine is to begin.
    assert!(kill_at(&project, 2, "forgetting", 12));
    let changed = text
        .replace("dep_delay IS NOT NULL", "dep_delay IS NOT NULL AND true")
        .replace("[node.hourly]\n", "[node.by_hour]\nrenamed_from = \"hourly\"\n")
        .replace("\"hourly", "\"by_hour")
        .replace("renamed_from = \"by_hour\"", "renamed_from = \"hourly\"")
        .replace("quantile(dep_delay, 0.95)\" }", "quantile(dep_delay, 0.95)\", newer = \"count(*)\" }");
    assert_ne!(text, changed);
    project.write(FILE, &changed);
    let ran = Ran::from(run(&project, 3).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let of =
        |files: &str, project: &Millrace| format!("read_parquet('{}/out/{files}', union_by_name = true)", project.folder.path().display());
    let (got, expected) = (of("hourly/*.parquet", &project), of("hourly.parquet", &truth().project));
    let columns = "window_start, window_end, origin, departures, mean_delay, p95_delay";
    assert_eq!(difference(&duckdb, columns, &got, &expected), 0, "rows of before and after, and windows in between");
    let fewer = number(&duckdb, &format!("SELECT count(*) FROM {got} WHERE newer < departures"));
    let wrong = number(&duckdb, &format!("SELECT count(*) FROM {got} WHERE newer > departures"));
    assert!(fewer > 0 && wrong == 0, "a new aggregate counts from where it was added: {fewer} windows of before, {wrong} wrong");
}

#[test]
fn one_file_takes_no_rows_of_other_columns() {
    let project = project(How::Plain);
    assert!(kill_at(&project, 2, "forgetting", 3));
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    project.write(FILE, text.replace("quantile(dep_delay, 0.95)\" }", "quantile(dep_delay, 0.95)\", newer = \"count(*)\" }"));
    let refused = Ran::from(run(&project, 2).output().unwrap());
    assert!(refused.code == 1 && refused.stderr.contains("`out`: its columns changed"), "{}", refused.stderr);
}

#[test]
fn state_that_cannot_be_kept_is_listed_and_given_up_only_if_allowed() {
    let project = project(How::Plain);
    assert!(kill_at(&project, 2, "forgetting", 3));
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    project.write(FILE, text.replace("size = \"1h\"", "size = \"2h\""));
    let refused = Ran::from(run(&project, 2).output().unwrap());
    assert!(refused.code == 1 && refused.stderr.contains("`hourly`: `size` changed"), "{}", refused.stderr);
    Ran::from(run(&project, 2).arg("--allow-state-loss").output().unwrap()).succeeded();
}
