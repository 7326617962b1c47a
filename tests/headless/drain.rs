//! Nodes that go on purpose while a run is under way: they are drained first, nothing begins again, and the rows are those of a run left alone.

use std::process::Stdio;
use std::time::{Duration, Instant};

use duckdb::Connection;
use millrace_tests::flights::{DEPARTURES, difference};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

use crate::takeover::{FILE, Group, deployment, epoch};

/// Long, for a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three quarters of a minute, and one that does not end by itself.
const SOON: &str = "700800x";
const LATE: &str = "86400x";

fn project(every: &str, speed: &str) -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write(FILE, DEPARTURES.replace("[pipeline]\n", &format!("[pipeline]\n{every}")).replace("86400x", speed));
    project
}

fn says(project: &Millrace, node: &Node, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
    Ran::from(command.output().unwrap())
}

/// Asks for the status until it is as wanted.
fn until(project: &Millrace, node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = says(project, node, &["status", "--json"]).succeeded().json();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {status:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The numbers of the nodes that run tasks of the windows.
fn places(status: &Value) -> Vec<u64> {
    let all = status["jobs"][0]["places"]["hourly"].as_array();
    all.map_or_else(Vec::new, |all| all.iter().filter_map(Value::as_u64).collect())
}

fn assert_same_rows(expected: &Millrace, found: &Millrace) {
    let connection = Connection::open_in_memory().unwrap();
    for output in ["out/hourly.parquet", "out/late.parquet"] {
        let [expected, found] = [expected, found].map(|project| format!("read_parquet('{}')", project.path(output).display()));
        assert_eq!(difference(&connection, "*", &expected, &found), 0, "{output}");
    }
}

#[test]
fn tasks_leave_a_node_that_is_drained_or_asked_to_end_and_the_run_begins_again_for_none_of_it() {
    let expected = project("", SOON);
    let counts = expected.run(&["run", FILE, "--json"]).succeeded().json()["nodes"].clone();
    let leader = Node::start();
    let mut members = [Node::joined(&leader, 1), Node::joined(&leader, 1)];
    let project = project("checkpoint_every = \"100ms\"\n", SOON);
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--parallelism", "2", "--on", &leader.address]).env("MILLRACE_TOKEN", &leader.token);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&project, &leader, "both run tasks of a run that is kept", |status| {
        places(status) == [1, 2] && status["jobs"][0]["epoch"].as_u64() > Some(0)
    });

    let unknown = says(&project, &leader, &["drain", "127.0.0.1:1"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("MR0658"), "{}", unknown.stderr);
    let last = says(&project, &leader, &["drain", &leader.address]);
    assert!(last.code == 1 && last.stderr.contains("of no control group"), "{}", last.stderr);

    let drained = says(&project, &leader, &["drain", &members[0].address]).succeeded().stdout;
    assert!(drained.contains("is drained: nothing runs there, it may be stopped"), "{drained}");
    let status = until(&project, &leader, "its tasks are the other's", |status| places(status) == [2, 2]);
    assert_eq!(status["jobs"][0]["change"]["what"], format!("moved off {}", members[0].address).as_str(), "{status:#}");
    until(&project, &leader, "it is shown so", |status| status["nodes"][1]["drain"] == "drained");
    let listed = says(&project, &leader, &["ps"]).succeeded().stdout;
    assert!(listed.contains(&format!("{} is drained", members[0].address)), "{listed}");
    members[0].signal("TERM");
    assert_eq!(members[0].ended(), Some(0));

    // The next one comes before the other goes, which is only asked to end.
    let _third = Node::joined(&leader, 2);
    until(&project, &leader, "that it would be spread better is known", |status| status["jobs"][0]["spreads_better"] == true);
    let listed = says(&project, &leader, &["ps"]).succeeded().stdout;
    assert!(listed.contains("1 run would be spread better over the nodes that are there now: millrace balance"), "{listed}");
    let balanced = says(&project, &leader, &["balance"]).succeeded().stdout;
    assert!(balanced.contains("spread anew over 2 nodes, at epoch "), "{balanced}");
    until(&project, &leader, "both have tasks", |status| places(status) == [2, 3]);
    let well = says(&project, &leader, &["balance"]).succeeded().stdout;
    assert!(well.contains("as well as it can be"), "{well}");
    members[1].signal("TERM");
    assert_eq!(members[1].ended(), Some(0));
    let moved =
        until(&project, &leader, "the tasks are the third one's", |status| status["jobs"][0]["job"].is_null() || places(status) == [3, 3]);
    assert!(!moved["jobs"][0]["job"].is_null(), "the run has ended before its nodes could go: {moved:#}");
    let told = says(&project, &leader, &["logs"]).succeeded().stdout;
    assert!(told.contains("  node_drains  ") && told.contains("  moved  ") && told.contains("  node_left  "), "{told}");
    assert!(!told.contains("restarted") && !told.contains("node_lost"), "{told}");

    let ran = Ran::from(running.wait_with_output().unwrap()).succeeded();
    assert_eq!(ran.json()["nodes"], counts, "{}", ran.stderr);
    assert_same_rows(&expected, &project);
}

#[test]
fn what_cannot_be_moved_is_told_and_stays_until_it_is_over() {
    let (leader, project) = (Node::start(), project("", LATE));
    let member = Node::joined(&leader, 1);
    let mut command = project.command();
    command.args(["run", FILE, "--replay", "--parallelism", "2", "--on", &leader.address]).env("MILLRACE_TOKEN", &leader.token);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&project, &leader, "the member runs tasks", |status| places(status) == [1, 1]);
    let stays = says(&project, &leader, &["drain", &member.address]);
    assert_eq!((stays.code, stays.stdout.as_str()), (1, ""));
    assert!(stays.stderr.contains("without checkpoints") && stays.stderr.contains("millrace undrain"), "{}", stays.stderr);
    let status = until(&project, &leader, "it says what stays", |status| status["nodes"][1]["stays"][0].is_string());
    assert_eq!(status["nodes"][1]["drain"], "draining");
    running.kill().unwrap();
    running.wait().unwrap();
    // Its session may come back for a while, and its run with it.
    until(&project, &leader, "nothing is left there", |status| status["nodes"][1]["drain"] == "drained");
    let drained = says(&project, &leader, &["drain", &member.address]).succeeded().stdout;
    assert!(drained.contains("is drained"), "{drained}");
    let back = says(&project, &leader, &["undrain", &member.address]).succeeded().stdout;
    assert!(back.contains("takes part again"), "{back}");
}

/// A minute, for a whole cluster to be restarted in; on a busy machine the last nodes go when it is over.
const WHILE_ALL_GO: &str = "525600x";

#[test]
fn a_cluster_is_restarted_node_by_node_under_a_run_that_passes_from_node_to_node_with_its_workers() {
    let mut group = Group::start(WHILE_ALL_GO);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let join = |group: &Group, folder: &tempfile::TempDir, token: Option<&str>| Node::member(&group.nodes[0], folder.path(), token);
    let mut workers = [0, 1].map(|worker: usize| join(&group, &folders[worker], Some(&group.new_token())));
    for member in 0..3 {
        group.until(member, "the workers, which only know the first, take part with each", |status| has_joined(status, &workers));
    }
    group.says(0, &["deploy", FILE, "--replay"]);
    let before = group.under_way(0);
    let first = deployment(&before)["node"].as_str().unwrap().to_owned();

    // Asked elsewhere, by its address.
    let address = group.nodes[0].address.clone();
    let drained = group.says(1, &["drain", &address]);
    assert!(drained.contains("is drained: nothing runs there, it may be stopped"), "{drained}");
    let led = group.until(1, "another node leads it", |status| {
        let of = deployment(status);
        of["standing"] == "running" && of["node"].as_str().is_some_and(|node| node != first) && epoch(of) > epoch(deployment(&before)) + 500
    });
    let refused = Ran::from(group.on(0, &["deploy", FILE, "--name", "other"]).output().unwrap());
    assert!(refused.code == 1 && refused.stderr.contains("MR0657"), "{}", refused.stderr);
    let second = deployment(&led)["node"].as_str().unwrap().to_owned();
    let leads = (1..3).find(|member| group.says(*member, &["ps"]).contains(FILE)).unwrap();
    group.until(leads, "the workers have tasks of it there", |status| {
        let of = deployment(status);
        of.is_null() || of["node"] != second.as_str() || workers.iter().all(|worker| tasks_of(status, worker) > Some(0))
    });
    let logs = group.says(1, &["logs"]) + &group.says(2, &["logs"]);
    assert!(!logs.contains("taken_over"), "nobody had to wait for silence: {logs}");

    for member in 0..3 {
        let (other, address) = ((member + 1) % 3, group.nodes[member].address.clone());
        group.says(other, &["drain", &address]);
        group.restart(member);
        // Each listens at another port now, which workers are told by those that they know: the last of these must not go before.
        group.until(member, "the workers have found it where it is now", |status| has_joined(status, &workers));
    }
    for (worker, folder) in workers.iter_mut().zip(&folders) {
        group.says(1, &["drain", &worker.address]);
        worker.signal("TERM");
        assert_eq!(worker.ended(), Some(0));
        *worker = join(&group, folder, None);
    }
    group.until(2, "all are there again", |status| has_joined(status, &workers));
    group.ends(1);
    group.assert_as_without_faults();
}

fn node_at<'a>(status: &'a Value, node: &Node) -> Option<&'a Value> {
    status["nodes"].as_array()?.iter().find(|of| of["address"] == node.address.as_str())
}

fn has_joined(status: &Value, nodes: &[Node]) -> bool {
    nodes.iter().all(|node| node_at(status, node).is_some_and(|of| of["standing"] == "joined"))
}

fn tasks_of(status: &Value, node: &Node) -> Option<u64> {
    node_at(status, node)?["tasks"].as_u64()
}
