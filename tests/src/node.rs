//! A node as a process of its own.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::binary;

/// `millrace node`, killed when it goes out of scope.
pub struct Node {
    child: Child,
    /// Kept open, so that what it says later fails nobody.
    lines: Lines<BufReader<ChildStdout>>,
    /// `ws://127.0.0.1:PORT`
    pub address: String,
    pub token: String,
}

impl Node {
    /// Listens on a free port of this machine.
    pub fn start() -> Node {
        Node::listening(&[])
    }

    /// The same, and takes part in the runs of another.
    pub fn joined(leader: &Node, slots: u32) -> Node {
        let mut node = Node::listening(&["--join", &leader.address, "--token", &leader.token, "--slots", &slots.to_string()]);
        let joined = node.lines.next().map(Result::unwrap);
        assert_eq!(joined, Some(format!("joined {}", leader.address)));
        node
    }

    fn listening(arguments: &[&str]) -> Node {
        let mut child = Command::new(binary::path())
            .args(["node", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_remove("MILLRACE_TOKEN")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
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
