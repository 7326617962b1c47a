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
        Node::by(Node::command(&[]))
    }

    /// The same, and takes part in the runs of another.
    pub fn joined(leader: &Node, slots: u32) -> Node {
        let mut node = Node::by(Node::command(&Node::joining(&leader.address, &leader.token, slots)));
        assert_eq!(node.says(), Some(format!("joined {}", leader.address)));
        node
    }

    /// What makes a node take part in another's runs.
    pub fn joining(leader: &str, token: &str, slots: u32) -> [String; 6] {
        ["--join", leader, "--token", token, "--slots", &slots.to_string()].map(str::to_owned)
    }

    /// A node on a free port of this machine.
    pub fn command(arguments: &[String]) -> Command {
        let mut command = Command::new(binary::path());
        command.args(["node", "--listen", "127.0.0.1:0"]).args(arguments).env_remove("MILLRACE_TOKEN");
        command
    }

    /// The process of such a command, once it listens. What it complains of goes where the command says.
    pub fn by(mut command: Command) -> Node {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut word = |name: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(name).unwrap_or_else(|| panic!("expected `{name}..`, found `{line}`")).trim().to_owned()
        };
        let address = word("listening ");
        let token = word("token ");
        Node { child, lines, address, token }
    }

    /// The next line that it says; waits for it. None once it is gone.
    pub fn says(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has not ended by itself.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal: `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
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
