//! A run that is spread over nodes: its rows and counts are those of one process, whichever of them is killed on the way.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";

fn project(every: Option<&str>) -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    let every = every.map_or(String::new(), |every| format!("checkpoint_every = \"{every}\"\n"));
    project.write(FILE, DEPARTURES.replace("[pipeline]\n", &format!("[pipeline]\n{every}")).replace("86400x", "5256000x"));
    project
}

/// The counts of a run that is not spread, in a project of its own.
fn alone() -> (Millrace, Value) {
    let project = project(None);
    let ran = project.run(&["run", FILE, "--json"]).succeeded();
    let nodes = ran.json()["nodes"].clone();
    (project, nodes)
}

fn assert_same_rows(expected: &Millrace, found: &Millrace, what: &str) {
    let connection = Connection::open_in_memory().unwrap();
    for output in ["out/hourly.parquet", "out/late.parquet"] {
        let [expected, found] = [expected, found].map(|project| format!("read_parquet('{}')", project.path(output).display()));
        assert_eq!(difference(&connection, "*", &expected, &found), 0, "{what}: {output}");
    }
}

#[test]
fn a_run_that_is_spread_over_nodes_is_that_of_one_process() {
    let (expected, counts) = alone();
    let leader = Node::start();
    let _members = [Node::joined(&leader, 2), Node::joined(&leader, 1)];
    for every in [None, Some("200ms")] {
        let project = project(every);
        let mut command = project.command();
        command.args(["run", FILE, "--json", "--on", &leader.address]).env("MILLRACE_TOKEN", &leader.token);
        let ran = Ran::from(command.output().unwrap()).succeeded();
        assert_eq!(ran.json()["nodes"], counts, "{every:?}");
        assert_same_rows(&expected, &project, &format!("{every:?}"));
    }
}

#[test]
fn a_run_goes_on_when_a_node_is_killed_and_ends_as_if_it_had_not_been() {
    let (expected, counts) = alone();
    let leader = Node::start();
    let mut members = [Node::joined(&leader, 1), Node::joined(&leader, 1), Node::joined(&leader, 1)];
    let project = project(Some("100ms"));
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--on", &leader.address]).env("MILLRACE_TOKEN", &leader.token);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut told = Vec::new();
    for member in &mut members[..2] {
        std::thread::sleep(Duration::from_millis(1_500));
        member.kill();
        // The next one goes when the run has begun again.
        let was_told = said.by_ref().inspect(|line| told.push(line.clone())).any(|line| line.contains("is gone, and its tasks with it"));
        assert!(was_told, "{}", told.join("\n"));
    }
    told.extend(said);
    let mut ran = Ran::from(running.wait_with_output().unwrap());
    ran.stderr = told.join("\n");
    let ran = ran.succeeded();
    assert_eq!(ran.stderr.matches("is gone, and its tasks with it").count(), 2, "the third lives: {}", ran.stderr);
    assert_eq!(ran.json()["nodes"], counts, "{}", ran.stderr);
    assert_same_rows(&expected, &project, "killed");
}
