//! Three control nodes as processes, in TLS: the first is killed and its folder removed, and the others go on letting in, refusing and revoking.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

/// Long, for a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster of control nodes, each of which may hold the authority's key.
struct Cluster {
    project: Millrace,
    nodes: Vec<Node>,
}

impl Cluster {
    fn start() -> Cluster {
        let mut cluster = Cluster { project: Millrace::project(), nodes: Vec::new() };
        cluster.nodes.push(Node::control(&cluster.data(0), None));
        for member in 1..3 {
            // Made where the first one keeps its data, as before there was a group.
            let data = cluster.data(0).display().to_string();
            let made = cluster.project.run(&["token", "--role", "control", "--data", &data]).succeeded();
            let node = Node::control(&cluster.data(member), Some((&cluster.nodes[0], Some(made.stdout.trim()))));
            cluster.nodes.push(node);
        }
        for member in 0..3 {
            cluster.until(member, "three vote", |status| status["control"]["survives"] == 1);
            let key = cluster.data(member).join("trust/authority-key.der");
            until(&format!("{} is there", key.display()), || key.exists());
        }
        cluster
    }

    fn data(&self, member: usize) -> PathBuf {
        self.project.path(&format!("node-{member}"))
    }

    /// A command to a node by the token that it printed, which is an administrator's.
    fn on(&self, member: usize, arguments: &[&str]) -> Ran {
        let node = &self.nodes[member];
        let mut command = self.project.command();
        command.args(arguments).args(["--on", &format!("ws://{}", node.authority())]).env("MILLRACE_TOKEN", &node.token);
        Ran::from(command.output().unwrap())
    }

    /// The same by a user's certificate, or by a join token at the first time.
    fn by_user(&self, member: usize, user: &str, token: Option<&str>, arguments: &[&str]) -> Ran {
        let mut command = self.project.command();
        command.args(arguments).args(["--on", &self.nodes[member].address]).env("XDG_CONFIG_HOME", self.project.path(user));
        command.env_remove("MILLRACE_TOKEN");
        if let Some(token) = token {
            command.env("MILLRACE_TOKEN", token);
        }
        Ran::from(command.output().unwrap())
    }

    fn new_token(&self, member: usize, role: &str) -> String {
        self.on(member, &["token", "--role", role]).succeeded().stdout.trim().to_owned()
    }

    /// Asks until a node says what is wanted, and gives that.
    fn until(&self, member: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.on(member, &["status", "--json"]).succeeded().json();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How a node ends that is to be refused.
    fn join_in_vain(&self, member: usize, token: &str) -> Ran {
        let data = self.project.path("refused").display().to_string();
        let arguments = ["node", "--listen", "127.0.0.1:0", "--data", &data, "--join", self.nodes[member].authority(), "--token", token];
        Ran::from(self.project.command().args(arguments).output().unwrap())
    }
}

fn until(what: &str, check: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn control_nodes(status: &Value) -> &[Value] {
    status["control"]["nodes"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn after_the_first_node_is_lost_with_its_folder_the_others_let_in_refuse_revoke_and_take_a_node_in_its_place() {
    let mut cluster = Cluster::start();
    let status = cluster.until(0, "it knows itself", |status| control_nodes(status).iter().any(|node| node["is_asked"] == true));
    let first = control_nodes(&status).iter().find(|node| node["is_asked"] == true).unwrap()["name"].as_str().unwrap().to_owned();
    cluster.nodes[0].kill();
    std::fs::remove_dir_all(cluster.data(0)).unwrap();
    cluster.until(1, "another one leads", |status| {
        control_nodes(status).iter().any(|node| node["leads"] == true && node["name"] != first.as_str())
    });

    // A token of the second lets a node in there, and is used at the third then.
    let token = cluster.new_token(1, "node");
    let member = Node::member(&cluster.nodes[1], &cluster.project.path("worker"), Some(&token));
    assert!(member.address.starts_with("wss://"));
    let ran = cluster.join_in_vain(2, &token);
    assert!(ran.code == 1 && ran.stderr.contains("MR0613"), "{}", ran.stderr);

    // An administrator with a certificate of the third takes back what the second has given.
    let (view, admin) = (cluster.new_token(1, "view"), cluster.new_token(2, "admin"));
    cluster.by_user(1, "user", Some(&view), &["ps"]).succeeded();
    let listed = || {
        let said = cluster.by_user(2, "admin", Some(&admin), &["revoke", "--list", "--json"]).succeeded().stdout;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let is_listed = |lines: &[Value]| {
        let has = |role: &str| lines.iter().any(|line| line["role"] == role);
        has("view") && has("admin") && lines.iter().any(|line| line["name"] == first.as_str() && line["role"] == "control")
    };
    until("the third has heard of all", || is_listed(&listed()));
    let lines = listed();
    let name = lines.iter().find(|line| line["role"] == "view").unwrap()["name"].as_str().unwrap();
    let ran = cluster.by_user(1, "user", None, &["revoke", name]);
    assert!(ran.code == 1 && ran.stderr.contains("MR0619"), "{}", ran.stderr);
    cluster.by_user(2, "admin", None, &["revoke", name]).succeeded();
    until("the second has heard of it", || {
        let ran = cluster.by_user(1, "user", None, &["ps"]);
        ran.code == 1 && ran.stderr.contains("MR0617")
    });
    let audit = std::fs::read_to_string(cluster.data(2).join("audit.jsonl")).unwrap();
    let by = lines.iter().find(|line| line["role"] == "admin").unwrap()["name"].as_str().unwrap();
    assert!(audit.lines().any(|line| line.contains(by) && line.contains("\"revoke\"") && line.contains(name)), "{audit}");

    // What became of the first one is told by those that are left.
    let logs = cluster.on(1, &["logs"]).succeeded().stdout + &cluster.on(2, &["logs"]).succeeded().stdout;
    assert!(logs.contains("leader_changed"), "{logs}");

    // It is gone for good: another one takes its place, and the next loss stops nothing.
    until("the first is removed once it has been silent for long enough", || {
        let ran = cluster.on(2, &["control", "remove", &first]);
        assert!(ran.code == 0 || ran.stderr.contains("MR0656"), "{}", ran.stderr);
        ran.code == 0
    });
    cluster.until(1, "the first is of the group no more", |status| control_nodes(status).len() == 2);
    let token = cluster.new_token(2, "control");
    let fourth = Node::control(&cluster.data(3), Some((&cluster.nodes[2], Some(&token))));
    cluster.nodes.push(fourth);
    cluster.until(3, "three vote again", |status| status["control"]["survives"] == 1 && control_nodes(status).len() == 3);
    let key = cluster.data(3).join("trust/authority-key.der");
    until("the new one holds the authority's key", || key.exists());
    let status = cluster.on(3, &["status", "--json"]).succeeded().json();
    let there = control_nodes(&status)[0]["name"].as_str().unwrap();
    let refused = cluster.on(1, &["control", "remove", there]);
    assert!(refused.code == 1 && refused.stderr.contains("MR0656"), "{}", refused.stderr);
}
