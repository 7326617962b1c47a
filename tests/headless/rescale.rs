//! A run on real nodes that goes on in other numbers of tasks while it is under way: its output is that of a run which was left alone.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";

fn project(every: &str) -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write(FILE, DEPARTURES.replace("[pipeline]\n", &format!("[pipeline]\n{every}")).replace("86400x", "2000000x"));
    project
}

fn start(project: &Millrace, leader: &Node) -> Child {
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--parallelism", "2", "--on", &leader.address]);
    command.env("MILLRACE_TOKEN", &leader.token).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn says(project: &Millrace, node: &Node, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
    Ran::from(command.output().unwrap())
}

/// Asks for the run until it is as wanted.
fn run_that(project: &Millrace, node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let runs = says(project, node, &["ps", "--json"]).succeeded().json();
        if wanted(&runs[0]) {
            return runs[0].clone();
        }
        assert!(Instant::now() < end, "not within 30 s: {what}: {runs:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_run_on_nodes_is_rescaled_twice_and_its_files_are_those_of_a_run_left_alone() {
    let expected = project("");
    let counts = expected.run(&["run", FILE, "--json"]).succeeded().json()["nodes"].clone();
    let leader = Node::start();
    let _member = Node::joined(&leader, 2);
    let project = project("checkpoint_every = \"100ms\"\n");
    let running = start(&project, &leader);
    let run = run_that(&project, &leader, "it runs and is kept", |run| run["epoch"].as_u64() > Some(0));
    let number = run["job"].to_string();

    let scaled = says(&project, &leader, &["scale", &number, "4", "--json"]).succeeded().json();
    assert_eq!((&scaled["what"], scaled["epoch"].is_u64()), (&"rescaled from 2 to 4".into(), true), "{scaled:#}");
    let seen = run_that(&project, &leader, "four tasks", |run| run["places"]["hourly"].as_array().map(Vec::len) == Some(4));
    assert_eq!((&seen["parallelism"], &seen["change"]["what"]), (&4.into(), &"rescaled from 2 to 4".into()), "{seen:#}");
    let savepoint = says(&project, &leader, &["savepoint", &number, "before", "--json"]).succeeded().json();
    assert_eq!(savepoint[0]["name"], "before");
    assert!(savepoint[0]["epoch"].as_u64() > scaled["epoch"].as_u64(), "{savepoint:#}");

    let one = says(&project, &leader, &["scale", &number, "--node", "hourly=3"]).succeeded().stdout;
    assert!(one.starts_with(&format!("run {number} rescaled `hourly` from 4 to 3, at epoch ")) && one.trim().ends_with(" ms"), "{one}");
    assert!(says(&project, &leader, &["ps"]).succeeded().stdout.contains("rescaled `hourly` from 4 to 3"));
    let told = says(&project, &leader, &["logs"]).succeeded().stdout;
    assert!(told.contains("rescaled  run ") && !told.contains("restarted"), "{told}");

    let ran = Ran::from(running.wait_with_output().unwrap()).succeeded();
    assert_eq!(ran.json()["nodes"], counts, "{}", ran.stderr);
    let connection = Connection::open_in_memory().unwrap();
    for output in ["out/hourly.parquet", "out/late.parquet"] {
        let [expected, found] = [&expected, &project].map(|project| format!("read_parquet('{}')", project.path(output).display()));
        assert_eq!(difference(&connection, "*", &expected, &found), 0, "{output}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_reason_and_no_more_comes_of_it() {
    let leader = Node::start();
    let project = project("");
    let mut running = start(&project, &leader);
    let run = run_that(&project, &leader, "it runs", |run| run["rows_in"].as_u64() > Some(0));
    let number = run["job"].to_string();
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let ran = says(&project, &leader, arguments);
        assert!(ran.code == code && ran.stdout.is_empty() && ran.stderr.contains(why), "{arguments:?}: {} {}", ran.code, ran.stderr);
    };
    refused(&["scale", &number, "4"], 1, "MR0436");
    refused(&["savepoint", &number, "x"], 1, "MR0427");
    refused(&["scale", "4711", "4"], 1, "MR0620");
    refused(&["scale", &number], 2, "required");
    refused(&["scale", &number, "--node", "hourly"], 2, "NODE=N");
    refused(&["savepoint", "departures", "x"], 2, "no run's number");
    running.kill().unwrap();
    running.wait().unwrap();
}
