//! A run on a node that goes on as another pipeline while it is under way, and back again.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference, number};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";
const NEXT: &str = "next.millrace.toml";

fn pipeline() -> String {
    DEPARTURES.replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"100ms\"\n").replace("86400x", "2000000x")
}

fn project() -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write(FILE, pipeline());
    project
}

fn start(project: &Millrace, node: &Node) -> Child {
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--parallelism", "2", "--on", &node.address]);
    command.env("MILLRACE_TOKEN", &node.token).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn says(project: &Millrace, node: &Node, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
    Ran::from(command.output().unwrap())
}

/// The number of the run, once it has got somewhere.
fn number_of_run(project: &Millrace, node: &Node, epoch: u64) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let runs = says(project, node, &["ps", "--json"]).succeeded().json();
        if runs[0]["epoch"].as_u64() > Some(epoch) {
            return runs[0]["job"].to_string();
        }
        assert!(Instant::now() < end, "the run gets nowhere: {runs:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// What a file of hours holds beside that of a run which was left alone: hours and departures.
fn assert_same_hours(expected: &Millrace, found: &Millrace) {
    let connection = Connection::open_in_memory().unwrap();
    let [expected, found] = [expected, found].map(|project| format!("read_parquet('{}')", project.path("out/hourly.parquet").display()));
    assert!(number(&connection, &format!("SELECT count(*) FROM {found}")) > 1_000);
    assert_eq!(difference(&connection, "window_start, origin, departures, mean_delay", &expected, &found), 0);
}

#[test]
fn a_run_goes_on_as_another_pipeline_with_its_state_and_one_that_cannot_keep_it_is_refused() {
    let expected = project();
    expected.run(&["run", FILE, "--json"]).succeeded();
    let (project, node) = (project(), Node::start());
    let running = start(&project, &node);
    let run = number_of_run(&project, &node, 0);

    // Windows of another length hold nothing of those that there were.
    project.write(NEXT, pipeline().replace("size = \"1h\"", "size = \"2h\""));
    let refused = says(&project, &node, &["upgrade", &run, NEXT]);
    assert!(refused.code == 1 && refused.stdout.contains("loses `hourly`: `size` changed"), "{} {}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("--allow-state-loss"), "{}", refused.stderr);
    project.write(NEXT, pipeline().replace("kind = \"filter\"", "kind = \"filtre\""));
    assert_eq!(says(&project, &node, &["upgrade", &run, NEXT]).code, 78);

    // Another filter for a filter that never held anything, and one more aggregate.
    let next = pipeline()
        .replace("where = \"dep_delay IS NOT NULL\"", "where = \"NOT (dep_delay IS NULL)\"")
        .replace("quantile(dep_delay, 0.95)\" }", "quantile(dep_delay, 0.95)\", flown = \"count(dep_delay)\" }")
        .replace("input = \"hourly\"\npath = \"out/hourly", "input = \"narrow\"\npath = \"out/hourly");
    let narrow = "\n[node.narrow]\nkind = \"select\"\ninput = \"hourly\"\ncolumns = [\"window_start\", \"window_end\", \"window_time\", \"origin\", \"departures\", \"mean_delay\", \"p95_delay\"]\n";
    project.write(NEXT, format!("{next}{narrow}"));
    let looked = says(&project, &node, &["upgrade", &run, NEXT, "--look", "--json"]).succeeded().json();
    assert!(looked["change"].is_null() && list(&looked["kept"]["lost"]).is_empty(), "{looked:#}");
    assert_eq!(list(&looked["kept"]["new"]), ["narrow"], "{looked:#}");
    assert!(list(&looked["kept"]["notes"])[0].contains("aggregate `flown` begins empty"), "{looked:#}");
    let upgraded = says(&project, &node, &["upgrade", &run, NEXT]).succeeded().stdout;
    assert!(upgraded.contains(&format!("run {run} upgraded, at epoch ")) && upgraded.contains("--rollback"), "{upgraded}");
    assert!(says(&project, &node, &["ps"]).succeeded().stdout.contains("upgraded at epoch "));

    let ran = Ran::from(running.wait_with_output().unwrap()).succeeded();
    assert!(ran.json()["nodes"]["narrow"]["accepted"].as_u64() > Some(0), "{}", ran.stderr);
    assert_same_hours(&expected, &project);
}

#[test]
fn an_upgrade_is_taken_back_to_its_savepoint_once_what_sinks_have_shown_since_is_known() {
    let expected = project();
    expected.run(&["run", FILE, "--json"]).succeeded();
    let (project, node) = (project(), Node::start());
    let running = start(&project, &node);
    let run = number_of_run(&project, &node, 0);
    let none = says(&project, &node, &["upgrade", &run, "--rollback"]);
    assert!(none.code == 1 && none.stderr.contains("was not upgraded"), "{}", none.stderr);

    // Its hours are wrong from here on.
    project.write(NEXT, pipeline().replace("where = \"dep_delay IS NOT NULL\"", "where = \"dep_delay > 100\""));
    let upgraded = says(&project, &node, &["upgrade", &run, NEXT, "--json"]).succeeded().json();
    let epoch = upgraded["change"]["epoch"].as_u64().unwrap();
    number_of_run(&project, &node, epoch + 3);
    let refused = says(&project, &node, &["upgrade", &run, "--rollback"]);
    let savepoint = upgraded["savepoint"].as_str().unwrap();
    assert!(refused.code == 1 && refused.stderr.contains("MR0426") && refused.stderr.contains(savepoint), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("`out`: rows of epochs {} to ", epoch + 1)), "{}", refused.stderr);
    let back = says(&project, &node, &["upgrade", &run, "--rollback", "--allow-rewind"]).succeeded().stdout;
    assert!(back.contains(&format!("rolled back to savepoint `{savepoint}`, at epoch {epoch}")), "{back}");

    Ran::from(running.wait_with_output().unwrap()).succeeded();
    assert_same_hours(&expected, &project);
}
