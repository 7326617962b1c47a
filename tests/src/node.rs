//! A node as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::binary;

/// `millrace node`, killed when it goes out of scope.
pub struct Node {
    child: Child,
    /// `ws://127.0.0.1:PORT`
    pub address: String,
    pub token: String,
}

impl Node {
    /// Listens on a free port of this machine.
    pub fn start() -> Node {
        let mut child = Command::new(binary::path())
            .args(["node", "--listen", "127.0.0.1:0"])
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
        Node { child, address, token }
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
