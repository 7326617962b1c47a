//! A control group of real processes: its leader is killed with `kill -9` while another of its nodes leads a run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";

struct Terminal {
    project: Millrace,
}

impl Terminal {
    /// A year that takes some seconds, and is kept often.
    fn new() -> Terminal {
        let project = Millrace::project();
        project.sample("data/flights.parquet");
        let kept = DEPARTURES.replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"100ms\"\n");
        project.write(FILE, kept.replace("86400x", "2628000x"));
        Terminal { project }
    }

    fn assert_same_rows(&self, expected: &Terminal) {
        let connection = Connection::open_in_memory().unwrap();
        for output in ["out/hourly.parquet", "out/late.parquet"] {
            let [expected, found] = [expected, self].map(|it| format!("read_parquet('{}')", it.project.path(output).display()));
            assert_eq!(difference(&connection, "*", &expected, &found), 0, "{output}");
        }
    }

    /// A command to a node, by the token that it printed: it is of this machine.
    fn on(&self, node: &Node, arguments: &[&str]) -> Command {
        let mut command = self.project.command();
        command.args(arguments).args(["--on", &format!("ws://{}", node.authority())]).env("MILLRACE_TOKEN", &node.token);
        command
    }

    fn says(&self, node: &Node, arguments: &[&str]) -> String {
        Ran::from(self.on(node, arguments).output().unwrap()).succeeded().stdout
    }

    fn new_token(&self, data: &Path) -> String {
        let mut command = self.project.command();
        command.args(["token", "--role", "node", "--data"]).arg(data);
        Ran::from(command.output().unwrap()).succeeded().stdout.trim().to_owned()
    }

    fn status(&self, node: &Node) -> Value {
        serde_json::from_str(&self.says(node, &["status", "--json"])).unwrap()
    }

    /// Asks until a node says what is wanted, and gives that.
    fn until(&self, node: &Node, patience: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + patience;
        loop {
            let status = self.status(node);
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not within {patience:?}: {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn leader(status: &Value) -> Option<&str> {
    let nodes = status["control"]["nodes"].as_array()?;
    nodes.iter().find(|node| node["leads"] == true)?["name"].as_str()
}

fn epoch(status: &Value) -> u64 {
    status["jobs"][0]["epoch"].as_u64().unwrap_or(0)
}

/// Three nodes of one control group, all of which vote. The first is the one that the others joined.
fn three(terminal: &Terminal) -> Vec<Node> {
    let first = terminal.project.path("first");
    let mut nodes = vec![Node::control(&first, None)];
    for name in ["second", "third"] {
        let token = terminal.new_token(&first);
        nodes.push(Node::control(&terminal.project.path(name), Some((&nodes[0], Some(&token)))));
    }
    nodes
}

#[test]
fn the_leader_of_a_control_group_is_killed_under_a_run_that_another_node_leads_and_the_run_goes_on() {
    let terminal = Terminal::new();
    let mut nodes = three(&terminal);
    let whole = |status: &Value| status["control"]["survives"] == 1 && leader(status).is_some();
    let status = terminal.until(&nodes[0], Duration::from_secs(30), "three vote", whole);
    let nodes_told = status["control"]["nodes"].as_array().unwrap();
    let leads = nodes_told.iter().find(|node| node["leads"] == true).unwrap()["address"].as_str().unwrap();
    let at = nodes.iter().position(|node| leads == node.address).unwrap();
    let runs = (at + 1) % 3;
    let mut command = terminal.on(&nodes[runs], &["run", FILE, "--json", "--replay"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let before = terminal.until(&nodes[runs], Duration::from_secs(30), "epochs are complete", |status| epoch(status) > 3);

    let killed = Instant::now();
    nodes[at].kill();
    let old = leader(&status).map(str::to_owned);
    let is_new = |status: &Value| leader(status).is_some_and(|now| Some(now.to_owned()) != old);
    let after = terminal.until(&nodes[runs], Duration::from_secs(2), "a survivor tells the new leader", is_new);
    println!("told the new leader {:?} after the kill", killed.elapsed());
    assert!(after["control"]["term"].as_u64() > before["control"]["term"].as_u64());
    let is_told = |status: &Value| status["timeline"].to_string().contains("leader_changed");
    terminal.until(&nodes[runs], Duration::from_secs(5), "the timeline tells it", is_told);
    let newest = epoch(&after);
    terminal.until(&nodes[runs], Duration::from_secs(20), "epochs are complete again", |status| epoch(status) > newest + 3);
    let applied = |status: &Value| status["control"]["applied"].as_u64().unwrap();
    let entered = applied(&terminal.status(&nodes[runs])) - applied(&before);
    assert!(entered >= 2 * (newest - epoch(&before)), "epochs and commits are entered: {entered}");
    let said = terminal.says(&nodes[runs], &["ps"]);
    assert!(said.contains("leads, term") && said.contains("running"), "{said}");
    let ran = Ran::from(running.wait_with_output().unwrap()).succeeded();
    let alone = Terminal::new();
    let expected = Ran::from(alone.project.command().args(["run", FILE, "--json"]).output().unwrap()).succeeded();
    assert_eq!(ran.json()["nodes"], expected.json()["nodes"]);
    terminal.assert_same_rows(&alone);
}
