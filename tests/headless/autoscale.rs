//! A run whose numbers of tasks follow its load: one whose node is too slow by itself goes on with two tasks of it, and its rows are what DuckDB makes of
//! the same file; where it is only to say what it would do, it does that and nothing else.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{number, rows_apart};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "numbers.millrace.toml";
const ROWS: u32 = 40_000;

/// Some hundred microseconds of work for each row without optimisation, so that one task has a quarter of a minute of it: four times as long as is looked.
const WORK: &str = "length(replace(reverse(repeat(v, 4000)), 'a', 'bb'))";

const PIPELINE: &str = r#"millrace = 1

[pipeline]
checkpoint_every = "200ms"

[pipeline.autoscale]
max = 2
cool_down = "1s"

[node.numbers]
kind = "file"
path = "numbers.parquet"

[node.heavy]
kind = "derive"
input = "numbers"
columns = { work = "WORK" }

[node.few]
kind = "select"
input = "heavy"
columns = ["n", "work"]

[node.out]
kind = "file_sink"
input = "few"
path = "out/rows.parquet"
"#;

fn project(connection: &Connection) -> Millrace {
    let project = Millrace::project();
    project.write(FILE, PIPELINE.replace("WORK", WORK));
    let numbers = format!("SELECT range AS n, chr((97 + range % 3)::INTEGER) AS v FROM range({ROWS})");
    connection.execute_batch(&format!("COPY ({numbers}) TO '{}'", project.path("numbers.parquet").display())).unwrap();
    project
}

fn start(project: &Millrace, leader: &Node, mode: &str) -> Child {
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--parallelism", "1", "--on", &leader.address]);
    command.args(["--set", &format!("pipeline.autoscale.mode={mode}")]);
    command.env("MILLRACE_TOKEN", &leader.token).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn says(project: &Millrace, node: &Node, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
    Ran::from(command.output().unwrap()).succeeded()
}

/// Asks for the run until it is as wanted.
fn run_that(project: &Millrace, node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let runs = says(project, node, &["ps", "--json"]).json();
        if wanted(&runs[0]) {
            return runs[0].clone();
        }
        assert!(Instant::now() < end, "not within 90 s: {what}: {runs:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is advised about the slow node.
fn advice(run: &Value) -> Option<&Value> {
    run["autoscale"]["advice"].as_array()?.iter().find(|advice| advice["node"] == "heavy")
}

#[test]
fn a_run_that_may_goes_on_with_more_tasks_of_its_slow_node_and_its_rows_are_those_that_duckdb_makes() {
    let connection = Connection::open_in_memory().unwrap();
    let (project, leader) = (project(&connection), Node::start());
    let running = start(&project, &leader, "on");
    let scaled = run_that(&project, &leader, "it has gone on", |run| run["change"]["pause_us"].is_u64());
    assert_eq!(scaled["change"]["what"], "rescaled `heavy` from 1 to 2", "{scaled:#}");
    assert_eq!(scaled["autoscale"]["mode"], "on", "{scaled:#}");
    let told = says(&project, &leader, &["logs"]).stdout;
    let of_kind = |kind: &str| told.lines().find(|line| line.contains(kind)).unwrap_or_else(|| panic!("no {kind}: {told}"));
    assert!(of_kind("  autoscaled  ").contains("heavy: from 1 to 2; heavy with few is "), "{told}");
    assert!(of_kind("  rescaled  ").contains("rescaled `heavy` from 1 to 2, at epoch "), "{told}");
    assert!(!told.contains("restarted"), "{told}");

    let ran = Ran::from(running.wait_with_output().unwrap()).succeeded();
    assert!(ran.stderr.contains("autoscaled: heavy: from 1 to 2; "), "{}", ran.stderr);
    let found = format!("SELECT n, work FROM read_parquet('{}')", project.path("out/rows.parquet").display());
    let expected = format!("SELECT n, {WORK} AS work FROM read_parquet('{}')", project.path("numbers.parquet").display());
    assert_eq!(number(&connection, &format!("SELECT count(*) FROM ({found})")), i64::from(ROWS));
    assert_eq!(rows_apart(&connection, &found, &expected), 0);
}

#[test]
fn a_run_that_is_only_to_say_so_says_what_it_would_do_and_stays_as_it_is() {
    let connection = Connection::open_in_memory().unwrap();
    let (project, leader) = (project(&connection), Node::start());
    let mut running = start(&project, &leader, "advise");
    let run = run_that(&project, &leader, "it is advised", |run| advice(run).is_some());
    let advice = advice(&run).unwrap();
    assert_eq!((&advice["tasks"], &advice["wanted"], &advice["asks"]["heavy"]), (&1.into(), &2.into(), &2.into()), "{run:#}");
    assert!(
        advice["cause"].as_str().is_some_and(|cause| cause.starts_with("heavy with few is ") && cause.contains(" busy at ")),
        "{run:#}"
    );
    assert_eq!(advice["bound"], "`max` is 2", "{run:#}");
    let status = says(&project, &leader, &["status"]).stdout;
    let line = status.lines().find(|line| line.contains("  advise  ")).unwrap_or_else(|| panic!("{status}"));
    assert!(line.contains("heavy") && line.contains("1 to 2") && line.contains(" busy at "), "{status}");
    // It looks again each second: by then it would have changed, if it were to.
    let told_at = run["elapsed_ms"].as_u64().unwrap();
    let later = run_that(&project, &leader, "a while later", |run| run["elapsed_ms"].as_u64() > Some(told_at + 2_500));
    assert_eq!((&later["change"], &later["autoscale"]["decided"]), (&Value::Null, &Value::Null), "{later:#}");
    running.kill().unwrap();
    running.wait().unwrap();
}
