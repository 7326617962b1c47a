//! A node as a process of its own.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::binary;

/// `millrace node`, killed when it goes out of scope.
pub struct Node {
    child: Child,
    /// Kept open, so that what it says later fails nobody.
    lines: Lines<BufReader<ChildStdout>>,
    /// `ws://127.0.0.1:PORT`, or `wss://` in a cluster.
    pub address: String,
    pub token: String,
}

/// What a cluster's first node says is to be entered for the next one.
pub struct JoinCommand(Vec<String>);

impl JoinCommand {
    pub fn token(&self) -> &str {
        let at = self.0.iter().position(|word| word == "--token").unwrap();
        &self.0[at + 1]
    }

    /// The folder that it names.
    pub fn data(&self) -> &str {
        self.0.last().unwrap()
    }
}

impl Node {
    /// Listens on a free port of this machine.
    pub fn start() -> Node {
        Node::listening(&[])
    }

    /// The same, and takes part in the runs of another.
    pub fn joined(leader: &Node, slots: u32) -> Node {
        Node::listening(&["--join", &leader.address, "--token", &leader.token, "--slots", &slots.to_string()]).has_joined(leader)
    }

    /// The first node of a cluster of its own, with the command for the next one that it prints when it starts for the first time.
    pub fn founding(data: &Path) -> (Node, JoinCommand) {
        let mut node = Node::started(data);
        let line = node.lines.next().unwrap().unwrap();
        let command = line.strip_prefix("join millrace ").unwrap_or_else(|| panic!("expected a join command, found `{line}`"));
        (node, JoinCommand(command.split(' ').map(str::to_owned).collect()))
    }

    /// The same, started again.
    pub fn started(data: &Path) -> Node {
        Node::listening(&["--data", &data.display().to_string()])
    }

    /// A node that joins a cluster: with a token at the first time, without one from then on.
    pub fn member(leader: &Node, data: &Path, token: Option<&str>) -> Node {
        let data = data.display().to_string();
        let mut arguments = vec!["--data", &data, "--join", leader.authority(), "--slots", "1"];
        arguments.extend(token.iter().flat_map(|token| ["--token", token]));
        Node::listening(&arguments).has_joined(leader)
    }

    /// A node by the very command that the first one printed, in a folder.
    pub fn pasted(leader: &Node, command: &JoinCommand, folder: &Path) -> Node {
        Node::from(Command::new(binary::path()).args(&command.0).current_dir(folder)).has_joined(leader)
    }

    fn has_joined(mut self, leader: &Node) -> Node {
        let joined = self.lines.next().map(Result::unwrap);
        assert_eq!(joined, Some(format!("joined {}", leader.address)));
        self
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.address.rsplit('/').next().unwrap_or_default()
    }

    fn listening(arguments: &[&str]) -> Node {
        Node::from(Command::new(binary::path()).args(["node", "--listen", "127.0.0.1:0"]).args(arguments))
    }

    fn from(command: &mut Command) -> Node {
        let command = command.env_remove("MILLRACE_TOKEN").stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut word = |name: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(name).unwrap_or_else(|| panic!("expected `{name}..`, found `{line}`")).trim().to_owned()
        };
        let address = word("listening ");
        let token = word("token ");
        Node { child, lines, address, token }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
