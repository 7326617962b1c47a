//! A cluster of processes with certificates: who joins, who runs what, and who is refused, as a user meets it on terminals.

use std::path::Path;
use std::process::Output;

use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "count.millrace.toml";
const PIPELINE: &str = r#"millrace = 1
[node.rows]
kind = "file"
path = "in.csv"
event_time = "t"
[node.windows]
kind = "tumbling_window"
input = "rows"
size = "1h"
by = ["k"]
aggregate = { n = "count(*)" }
[node.out]
kind = "file_sink"
input = "windows"
path = "out.csv"
"#;

/// A project, and beside it the folders of nodes and of a user's own certificates.
struct Terminal {
    project: Millrace,
}

impl Terminal {
    fn new() -> Terminal {
        let project = Millrace::project();
        project.write(FILE, PIPELINE);
        let rows: String = (0..1000).map(|n| format!("2024-01-01 {:02}:{:02}:00,k{}\n", n / 60, n % 60, n % 7)).collect();
        project.write("in.csv", format!("t,k\n{rows}"));
        Terminal { project }
    }

    fn run(&self, arguments: &[&str], token: Option<&str>) -> Ran {
        let mut command = self.project.command();
        command.args(arguments).env("XDG_CONFIG_HOME", self.project.path("config"));
        if let Some(token) = token {
            command.env("MILLRACE_TOKEN", token);
        }
        Ran::from(command.output().unwrap())
    }

    fn run_on(&self, leader: &Node, token: Option<&str>) -> Ran {
        self.run(&["run", FILE, "--json", "--on", &leader.address], token)
    }

    fn data(&self, name: &str) -> std::path::PathBuf {
        self.project.path(name)
    }

    fn new_token(&self, data: &Path, arguments: &[&str]) -> String {
        let data = data.display().to_string();
        let all: Vec<&str> = ["token", "--data", &data].iter().chain(arguments).copied().collect();
        self.run(&all, None).succeeded().stdout.trim().to_owned()
    }

    /// A node that is to be refused: how it ends.
    fn join_in_vain(&self, leader: &Node, name: &str, token: &str) -> Ran {
        let data = self.data(name).display().to_string();
        let arguments = ["node", "--listen", "127.0.0.1:0", "--data", &data, "--join", leader.authority(), "--token", token];
        let output: Output = self.project.command().args(arguments).output().unwrap();
        Ran::from(output)
    }
}

fn audit(data: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data.join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tells(data: &Path, what: &str, outcome: &str) -> bool {
    audit(data).iter().any(|line| line["what"] == what && line["outcome"] == outcome)
}

/// The names of a role that the first node has given certificates to.
fn names(terminal: &Terminal, data: &Path, role: &str) -> Vec<String> {
    let listed = terminal.run(&["revoke", "--data", &data.display().to_string(), "--list", "--json"], None).succeeded();
    let lines = listed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["role"] == role).map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn three_commands_make_a_cluster_whose_links_are_tls_and_a_second_start_needs_no_token() {
    let terminal = Terminal::new();
    let first = terminal.data("first");
    let expected = terminal.run(&["run", FILE, "--json"], None).succeeded().json()["nodes"].clone();
    let (leader, join) = Node::founding(&first);
    let member = Node::pasted(&leader, &join, terminal.project.folder.path());
    let second = terminal.data(join.data());
    assert!(leader.address.starts_with("wss://") && member.address.starts_with("wss://"));
    assert!(tells(&first, "enrol", "done") && tells(&first, "enlist", "done"));
    let operate = terminal.new_token(&first, &["--role", "operate"]);
    for token in [Some(operate.as_str()), None] {
        let ran = terminal.run_on(&leader, token).succeeded();
        assert_eq!(ran.json()["nodes"], expected);
    }
    assert!(tells(&first, "start", "done") && tells(&second, "take_part", "done"), "{:?}\n{:?}", audit(&first), audit(&second));
    // Both again, at other ports: the member finds the leader by its address, and both by their certificates.
    drop((member, leader));
    let leader = Node::started(&first);
    let _member = Node::member(&leader, &second, None);
}

#[test]
fn a_node_with_a_token_that_is_used_too_old_or_none_is_refused_with_a_code_at_both_ends() {
    let terminal = Terminal::new();
    let first = terminal.data("first");
    let (leader, join) = Node::founding(&first);
    let token = join.token().to_owned();
    let _member = Node::member(&leader, &terminal.data("second"), Some(&token));
    let expired = terminal.new_token(&first, &["--expires", "0s"]);
    let made_up = format!("{}{}", &token[..token.len() - 64], "0".repeat(64));
    for (token, code) in [(token.as_str(), "MR0613"), (&expired, "MR0614"), (&made_up, "MR0611")] {
        let ran = terminal.join_in_vain(&leader, code, token);
        assert!(ran.code == 1 && ran.stderr.contains(code), "{code}: {}", ran.stderr);
        assert!(tells(&first, "enrol", code), "{code}: {:?}", audit(&first));
        assert!(!ran.stderr.contains(&token[token.len() - 64..]), "a secret is shown: {}", ran.stderr);
    }
    let ran = terminal.join_in_vain(&leader, "none", "x");
    assert!(ran.code == 1 && ran.stderr.contains("MR0612") && ran.stderr.contains("join token"), "{}", ran.stderr);
}

#[test]
fn a_user_runs_with_the_role_that_its_token_gave_until_its_certificate_is_revoked() {
    let terminal = Terminal::new();
    let first = terminal.data("first");
    let (leader, _) = Node::founding(&first);
    let ran = terminal.run_on(&leader, None);
    assert!(ran.code == 1 && ran.stderr.contains("join with a token"), "{}", ran.stderr);

    let looker = Terminal::new();
    let view = terminal.new_token(&first, &["--role", "view"]);
    let ran = looker.run_on(&leader, Some(&view));
    assert!(ran.code == 1 && ran.stderr.contains("MR0619"), "{}", ran.stderr);
    assert!(tells(&first, "stage", "MR0619"), "{:?}", audit(&first));

    let operate = terminal.new_token(&first, &["--role", "operate"]);
    terminal.run_on(&leader, Some(&operate)).succeeded();
    let [name] = names(&terminal, &first, "operate").try_into().unwrap();
    let data = first.display().to_string();
    terminal.run(&["revoke", "--data", &data, &name], None).succeeded();
    let ran = terminal.run_on(&leader, None);
    assert!(ran.code == 1 && ran.stderr.contains("MR0617"), "{}", ran.stderr);
    assert!(tells(&first, "revoke", "done") && tells(&first, "connect", "MR0617"), "{:?}", audit(&first));
    let ran = terminal.run(&["revoke", "--data", &data, "nobody-0"], None);
    assert!(ran.code == 1 && ran.stderr.contains("MR0640"), "{}", ran.stderr);
}

#[test]
fn a_certificate_of_another_cluster_is_refused_by_both() {
    let (terminal, other) = (Terminal::new(), Terminal::new());
    let (first, foreign) = (terminal.data("first"), other.data("first"));
    let (leader, _) = Node::founding(&first);
    let (stranger, _) = Node::founding(&foreign);
    let token = other.new_token(&foreign, &["--role", "admin"]);
    other.run_on(&stranger, Some(&token)).succeeded();
    // Its certificate, put where the one for the other cluster belongs.
    let kept = |node: &Node| other.project.path("config/millrace/clusters").join(format!("at-{}", node.authority().replace(':', "_")));
    std::fs::rename(kept(&stranger), kept(&leader)).unwrap();
    let ran = other.run_on(&leader, None);
    assert!(ran.code == 1 && ran.stderr.contains("MR0615"), "{}", ran.stderr);
    assert!(tells(&first, "connect", "MR0615"), "{:?}", audit(&first));
}
