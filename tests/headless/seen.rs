//! A cluster as the terminal shows it: `ps`, `status`, `logs`, `top` and `stop`, against real nodes of which one is killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use millrace_tests::flights::DEPARTURES;
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";

/// A year that takes minutes, and is kept often.
fn project() -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write(FILE, DEPARTURES.replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"100ms\"\n"));
    project
}

struct Terminal<'a> {
    project: &'a Millrace,
    node: &'a Node,
}

impl Terminal<'_> {
    fn says(&self, arguments: &[&str]) -> Ran {
        let mut command = self.project.command();
        command.args(arguments).args(["--on", &self.node.address]).env("MILLRACE_TOKEN", &self.node.token);
        Ran::from(command.output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.says(&[arguments, &["--json"]].concat()).succeeded().json()
    }

    /// Asks until it says what is wanted, and gives that.
    fn until(&self, arguments: &[&str], what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let said = self.json(arguments);
            if wanted(&said) {
                return said;
            }
            assert!(Instant::now() < end, "not within 30 s: {what}: {said:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn kinds(happenings: &Value) -> Vec<&str> {
    list(happenings).iter().filter_map(|happening| happening["kind"].as_str()).collect()
}

#[test]
fn a_killed_node_is_told_as_the_root_cause_of_what_it_cost_and_the_run_goes_on_until_it_is_stopped() {
    let leader = Node::start();
    let mut members = [Node::joined(&leader, 1), Node::joined(&leader, 1)];
    let project = project();
    let terminal = Terminal { project: &project, node: &leader };
    assert_eq!(terminal.says(&["ps"]).succeeded().stdout.trim(), "Nothing runs.");

    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--on", &leader.address]).env("MILLRACE_TOKEN", &leader.token);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = terminal.until(&["status"], "both members run tasks of a run that is kept, and told how they are", |status| {
        let is_told = |node: &&Value| node["tasks"].as_u64() > Some(0) && node["health"]["cpu_percent"].is_number();
        let is_kept = status["jobs"][0]["epoch"].as_u64() > Some(0);
        // Links are looked at once a second, each in its own time.
        let carries = |link: &&Value| link["received_bytes"].as_u64() > Some(0);
        is_kept
            && list(&status["nodes"]).iter().skip(1).filter(is_told).count() == 2
            && list(&status["links"]).iter().filter(carries).count() == 2
    });
    let hourly: Vec<u64> = list(&status["jobs"][0]["places"]["hourly"]).iter().filter_map(Value::as_u64).collect();
    assert_eq!(hourly, [1, 2], "{status:#}");
    let table = terminal.says(&["status"]).succeeded().stdout;
    assert!(table.contains("leads") && table.contains(&members[0].address) && table.contains("TASKS BY NODE"), "{table}");
    let looks = terminal.says(&["top", "--count", "2", "--json"]).succeeded().stdout;
    let looks: Vec<Value> = looks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(looks[1]["jobs"][0]["rows_in"].as_u64() > looks[0]["jobs"][0]["rows_in"].as_u64(), "{looks:#?}");

    members[0].kill();
    let incidents = terminal.until(&["logs"], "the run goes on after the loss", |incidents| {
        list(incidents).iter().any(|incident| kinds(&incident["victims"]).contains(&"running"))
    });
    let lost = list(&incidents).iter().find(|incident| incident["root"]["kind"] == "node_lost").unwrap();
    assert_eq!(lost["root"]["node"], members[0].address.as_str());
    let victims = kinds(&lost["victims"]);
    assert!(["tasks_lost", "restarted", "running"].iter().all(|kind| victims.contains(kind)), "{incidents:#}");
    assert!(!list(&incidents).iter().any(|incident| incident["root"]["kind"] == "restarted"), "victims do not stand alone: {incidents:#}");
    let words = terminal.says(&["logs"]).succeeded().stdout;
    assert!(words.contains("node_lost") && words.contains("  "), "{words}");

    let runs = terminal.until(&["ps"], "all tasks are with the one that is left", |runs| {
        runs[0]["places"]["hourly"].as_array().is_some_and(|it| it.iter().all(|at| at == 2))
    });
    assert_eq!(runs[0]["state"], "running");
    let run = runs[0]["job"].to_string();
    let stopped = terminal.says(&["stop", &run, "--json"]).succeeded();
    let ran = Ran::from(running.wait_with_output().unwrap());
    assert!(ran.json()["rows_in"].as_u64() > Some(0), "{}", ran.stderr);
    assert!(stopped.stdout.contains("stopped") || stopped.stdout.trim() == "null", "{}", stopped.stdout);
    assert_eq!(terminal.says(&["stop", &run]).code, 1);
}

#[test]
fn a_node_that_is_not_there_or_wants_another_token_is_an_error_and_no_table() {
    let project = Millrace::project();
    let node = Node::start();
    let mut command = project.command();
    let refused = Ran::from(command.args(["ps", "--on", &node.address]).env("MILLRACE_TOKEN", "0".repeat(64)).output().unwrap());
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("refused the token"), "{}", refused.stderr);
    let none = project.run(&["status", "--on", &node.address]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("MILLRACE_TOKEN"), "{}", none.stderr);
    assert_eq!(project.run(&["top"]).code, 2);
}
