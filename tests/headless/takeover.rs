//! A control group of real processes keeps a run going whose node is killed with `kill -9`: another one goes on from its copy of the state.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

pub const FILE: &str = "departures.millrace.toml";
const NAME: &str = "departures";

/// Long, for a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// A year that takes half a minute, of which most is left once a busy machine has come to kill its node; and one that does not end by itself.
pub const SOON: &str = "1051200x";
const LATE: &str = "86400x";

/// Three nodes of one control group, each with a folder of its own, and a project that all of them see.
pub struct Group {
    pub project: Millrace,
    data: tempfile::TempDir,
    pub nodes: Vec<Node>,
}

/// A year of departures at some speed, kept often.
fn project(speed: &str) -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    let kept = DEPARTURES.replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"100ms\"\n");
    project.write(FILE, kept.replace("86400x", speed));
    project
}

impl Group {
    pub fn start(speed: &str) -> Group {
        let mut group = Group { project: project(speed), data: tempfile::tempdir().unwrap(), nodes: Vec::new() };
        for member in 0..3 {
            let token = (member > 0).then(|| group.new_token());
            let joins = group.nodes.first().map(|first| (first, token.as_deref()));
            let node = Node::sharing(&group.data(member), group.project.folder.path(), joins);
            group.nodes.push(node);
        }
        group.until(0, "three vote", |status| status["control"]["survives"] == 1);
        group
    }

    fn data(&self, member: usize) -> PathBuf {
        self.data.path().join(format!("node-{member}"))
    }

    pub fn new_token(&self) -> String {
        let mut command = self.project.command();
        command.args(["token", "--role", "node", "--data"]).arg(self.data(0));
        Ran::from(command.output().unwrap()).succeeded().stdout.trim().to_owned()
    }

    /// A command to a node, by the token that it printed: it is of this machine.
    pub fn on(&self, member: usize, arguments: &[&str]) -> Command {
        let node = &self.nodes[member];
        let mut command = self.project.command();
        command.args(arguments).args(["--on", &format!("ws://{}", node.authority())]).env("MILLRACE_TOKEN", &node.token);
        command
    }

    pub fn says(&self, member: usize, arguments: &[&str]) -> String {
        Ran::from(self.on(member, arguments).output().unwrap()).succeeded().stdout
    }

    /// Asks until a node says what is wanted, and gives that.
    pub fn until(&self, member: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_str(&self.says(member, &["status", "--json"])).unwrap();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The run is under way, and its epochs are on two disks.
    pub fn under_way(&self, member: usize) -> Value {
        let is_kept = |of: &Value| epoch(of) > 3 && of["holders"].as_array().is_some_and(|holders| holders.len() == 2);
        self.until(member, "epochs are on two disks", |status| is_kept(deployment(status)))
    }

    /// The run goes on with another node than one, in epochs of its own.
    fn taken_over(&self, member: usize, from: &str, before: u64) -> String {
        let is_led =
            |of: &Value| of["standing"] == "running" && of["node"].as_str().is_some_and(|node| node != from) && epoch(of) > before + 500;
        let status = self.until(member, "another node leads it", |status| is_led(deployment(status)));
        deployment(&status)["node"].as_str().unwrap().to_owned()
    }

    /// A node is asked to end, and started again in its folder: the group has it back, where it is now.
    pub fn restart(&mut self, member: usize) {
        self.nodes[member].signal("TERM");
        assert_eq!(self.nodes[member].ended(), Some(0));
        self.nodes[member] = Node::sharing(&self.data(member), self.project.folder.path(), None);
        let address = self.nodes[member].address.clone();
        self.until((member + 1) % 3, "it is of the group again", |status| {
            let nodes = status["control"]["nodes"].as_array();
            status["control"]["survives"] == 1
                && nodes.is_some_and(|nodes| nodes.iter().any(|node| node["address"] == address.as_str()))
                && status["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["address"] == address.as_str()))
        });
    }

    pub fn ends(&self, member: usize) {
        self.until(member, "it comes to its end", |status| deployment(status).is_null());
    }

    pub fn assert_as_without_faults(&self) {
        let alone = project(SOON);
        Ran::from(alone.command().args(["run", FILE, "--json"]).output().unwrap()).succeeded();
        let connection = Connection::open_in_memory().unwrap();
        for output in ["out/hourly.parquet", "out/late.parquet"] {
            let [expected, found] = [&alone, &self.project].map(|it| format!("read_parquet('{}')", it.path(output).display()));
            assert_eq!(difference(&connection, "*", &expected, &found), 0, "{output}");
        }
    }
}

pub fn deployment(status: &Value) -> &Value {
    let all = status["control"]["deployments"].as_array();
    all.and_then(|all| all.iter().find(|of| of["name"] == NAME)).unwrap_or(&Value::Null)
}

pub fn epoch(deployment: &Value) -> u64 {
    deployment["epoch"].as_u64().unwrap_or(0)
}

#[test]
fn a_node_that_leads_a_run_is_killed_and_another_goes_on_from_its_replica_to_the_same_rows() {
    let mut group = Group::start(SOON);
    let said = group.says(0, &["deploy", FILE, "--replay"]);
    assert!(said.contains("deployed departures"), "{said}");
    let before = group.under_way(0);
    let from = deployment(&before)["node"].as_str().unwrap().to_owned();
    let killed = Instant::now();
    group.nodes[0].kill();
    // Nobody can read what it had.
    std::fs::rename(group.data(0), group.data.path().join("gone")).unwrap();
    let to = group.taken_over(1, &from, epoch(deployment(&before)));
    println!("{to} completes epochs {:?} after {from} was killed", killed.elapsed());
    let logs = group.says(1, &["logs"]) + &group.says(2, &["logs"]);
    assert!(logs.contains("taken_over"), "{logs}");
    let listed = group.says(2, &["deployments"]);
    assert!(listed.contains(&to), "{listed}");
    group.ends(1);
    group.assert_as_without_faults();
}

#[test]
fn a_node_that_was_stopped_and_wakes_finds_itself_deposed_and_the_rows_are_its_successors() {
    let group = Group::start(SOON);
    group.says(0, &["deploy", FILE, "--replay"]);
    let before = group.under_way(0);
    let from = deployment(&before)["node"].as_str().unwrap().to_owned();
    group.nodes[0].signal("STOP");
    let to = group.taken_over(1, &from, epoch(deployment(&before)));
    assert_ne!(to, from);
    // It wakes in the midst of an epoch, with tasks that know nothing of it.
    group.nodes[0].signal("CONT");
    group.until(0, "it leads nothing any more", |status| {
        let is_over = |job: &Value| job["state"] != "running";
        deployment(status)["node"] != from.as_str() && status["jobs"].as_array().is_none_or(|jobs| jobs.iter().all(is_over))
    });
    group.ends(1);
    group.assert_as_without_faults();
}

#[test]
fn a_terminal_is_told_how_to_follow_a_run_whose_node_is_gone_and_a_node_that_comes_back_leaves_it_where_it_is() {
    let mut group = Group::start(SOON);
    let running = group.on(0, &["run", FILE, "--replay"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let before = group.under_way(0);
    let from = deployment(&before)["node"].as_str().unwrap().to_owned();
    group.nodes[0].kill();
    let told = Ran::from(running.wait_with_output().unwrap());
    assert!(told.code == 1 && told.stderr.contains("millrace deployments --on"), "{}", told.stderr);
    let to = group.taken_over(1, &from, epoch(deployment(&before)));
    group.nodes[0] = Node::sharing(&group.data(0), group.project.folder.path(), None);
    let back = group.until(0, "it hears of the others", |status| deployment(status)["node"] == to.as_str() || deployment(status).is_null());
    let runs = back["jobs"].as_array().map_or(0, Vec::len);
    assert_eq!(runs, 0, "{back:#}");
    group.ends(1);
    group.assert_as_without_faults();
}

#[test]
fn a_deployment_runs_with_no_terminal_until_it_is_removed_and_its_name_is_its_projects() {
    let group = Group::start(LATE);
    group.says(1, &["deploy", FILE, "--replay", "--name", NAME]);
    group.under_way(1);
    let again = Ran::from(group.on(2, &["deploy", FILE]).output().unwrap());
    assert!(again.code == 1 && again.stderr.contains("MR0653") && again.stderr.contains("runs already"), "{}", again.stderr);
    let other = project(LATE);
    let mut command = other.command();
    command.args(["deploy", FILE, "--on", &format!("ws://{}", group.nodes[1].authority())]).env("MILLRACE_TOKEN", &group.nodes[1].token);
    let elsewhere = Ran::from(command.output().unwrap());
    assert!(elsewhere.code == 1 && elsewhere.stderr.contains("MR0654"), "{}", elsewhere.stderr);
    let removed = group.says(2, &["remove", NAME]);
    assert!(removed.contains("removed departures"), "{removed}");
    group.until(1, "nothing runs there any more", |status| {
        let is_over = |job: &Value| job["state"] != "running";
        deployment(status).is_null() && status["jobs"].as_array().is_none_or(|jobs| jobs.iter().all(is_over))
    });
}
