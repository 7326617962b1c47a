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
        Node::by(Node::command(&[]))
    }

    /// The same, and takes part in the runs of another.
    pub fn joined(leader: &Node, slots: u32) -> Node {
        Node::by(Node::command(&Node::joining(&leader.address, &leader.token, slots))).has_joined(leader)
    }

    /// What makes a node take part in another's runs.
    pub fn joining(leader: &str, token: &str, slots: u32) -> [String; 6] {
        ["--join", leader, "--token", token, "--slots", &slots.to_string()].map(str::to_owned)
    }

    /// The first node of a cluster of its own, with the command for the next one that it prints when it starts for the first time.
    pub fn founding(data: &Path) -> (Node, JoinCommand) {
        let mut node = Node::started(data);
        let line = node.says().unwrap();
        let command = line.strip_prefix("join millrace ").unwrap_or_else(|| panic!("expected a join command, found `{line}`"));
        (node, JoinCommand(command.split(' ').map(str::to_owned).collect()))
    }

    /// The same, started again.
    pub fn started(data: &Path) -> Node {
        Node::by(Node::command(&["--data".to_owned(), data.display().to_string()]))
    }

    /// A node that joins a cluster: with a token at the first time, without one from then on.
    pub fn member(leader: &Node, data: &Path, token: Option<&str>) -> Node {
        let data = data.display().to_string();
        let mut arguments = vec!["--data", &data, "--join", leader.authority(), "--slots", "1"];
        arguments.extend(token.iter().flat_map(|token| ["--token", token]));
        Node::by(Node::command(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())).has_joined(leader)
    }

    /// A node by the very command that the first one printed, in a folder.
    pub fn pasted(leader: &Node, command: &JoinCommand, folder: &Path) -> Node {
        let mut pasted = Command::new(binary::path());
        pasted.args(&command.0).current_dir(folder).env_remove("MILLRACE_TOKEN");
        Node::by(pasted).has_joined(leader)
    }

    /// A node of a control group: the first one of a cluster, or one that joins it.
    pub fn control(data: &Path, joins: Option<(&Node, Option<&str>)>) -> Node {
        let data = data.display().to_string();
        let mut arguments = vec!["--data", &data, "--control", "--slots", "1"];
        if let Some((leader, token)) = joins {
            arguments.extend(["--join", leader.authority()]);
            arguments.extend(token.iter().flat_map(|token| ["--token", token]));
        }
        Node::by(Node::command(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    }

    /// The same, which shares a folder with others: what lies there is run where it lies.
    pub fn sharing(data: &Path, shared: &Path, joins: Option<(&Node, Option<&str>)>) -> Node {
        let (data, shared) = (data.display().to_string(), shared.display().to_string());
        let mut arguments = vec!["--data", &data, "--control", "--slots", "1", "--shared", &shared];
        if let Some((leader, token)) = joins {
            arguments.extend(["--join", leader.authority()]);
            arguments.extend(token.iter().flat_map(|token| ["--token", token]));
        }
        Node::by(Node::command(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    }

    fn has_joined(mut self, leader: &Node) -> Node {
        assert_eq!(self.says(), Some(format!("joined {}", leader.address)));
        self
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.address.rsplit('/').next().unwrap_or_default()
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

    /// Waits until the process has ended by itself, and gives its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
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
