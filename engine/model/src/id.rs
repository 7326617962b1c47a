//! Names of nodes and ports.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest node name, in bytes.
pub const MAX_NODE_NAME_BYTES: usize = 64;

/// The port that `input = "name"` means.
pub const MAIN_PORT: &str = "out";
/// Rows that came after their last window had closed.
pub const LATE_PORT: &str = "late";
/// Records that could not be read or computed, with the reason.
pub const QUARANTINED_PORT: &str = "quarantined";

/// A node's name in the pipeline file: `[a-z0-9_-]`, at most 64 bytes. It is also the stable prefix of its operators' ids.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// Takes a name that was checked with [`NodeId::check`], or that is only shown.
    pub fn new(name: impl AsRef<str>) -> Self {
        NodeId(Arc::from(name.as_ref()))
    }

    /// Whether `name` may stand as a node's name.
    pub fn check(name: &str) -> bool {
        !name.is_empty()
            && name.len() <= MAX_NODE_NAME_BYTES
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl From<&str> for NodeId {
    fn from(name: &str) -> Self {
        NodeId::new(name)
    }
}

/// An output port of a node, written `node` (the main one) or `node.port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRef {
    pub node: NodeId,
    pub port: String,
}

impl PortRef {
    pub fn main(node: NodeId) -> Self {
        PortRef { node, port: MAIN_PORT.to_owned() }
    }

    /// Reads `node` or `node.port`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((node, port)) => PortRef { node: NodeId::new(node), port: port.to_owned() },
            None => PortRef::main(NodeId::new(text)),
        }
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == MAIN_PORT { write!(f, "{}", self.node) } else { write!(f, "{}.{}", self.node, self.port) }
    }
}
