//! Cuts the bound graph into chains, and says how rows go from one to the next.
//!
//! A vertex is a tree of nodes that run in one task: a source or an operator at its head, and the operators that take whatever rows
//! come, as they come. Sinks stand alone, since they wait on the outside world. Every vertex runs as `parallelism` tasks.

use std::collections::BTreeMap;

use millrace_model::{ChangeMode, NodeId, OP_COLUMN, PortRef};
use serde::{Deserialize, Serialize};

use crate::bound::{BoundEdge, BoundNode, LogicalPlan};
use crate::key_group::DEFAULT_KEY_GROUPS;
use crate::kind::Distribution;

/// What only the runtime's registry knows of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The most tasks that can run it: a source's partitions.
    pub max_parallelism: Option<u32>,
    /// Whether it waits on the outside world where it writes.
    pub is_sink: bool,
}

/// The tasks of a pipeline and the exchanges between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalPlan {
    pub key_groups: u16,
    /// Upstream before downstream.
    pub vertices: Vec<Vertex>,
    pub exchanges: Vec<Exchange>,
}

/// Nodes that run in one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vertex {
    /// Upstream before downstream; the first is the head.
    pub nodes: Vec<NodeId>,
    pub parallelism: u32,
    /// Edges within the task.
    pub chained: Vec<ChainEdge>,
}

/// An edge between two nodes of one task: a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEdge {
    pub from: PortRef,
    pub to: NodeId,
    pub input: usize,
}

/// An edge between tasks: channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub from: PortRef,
    pub from_vertex: usize,
    pub to: NodeId,
    pub input: usize,
    pub to_vertex: usize,
    pub kind: ExchangeKind,
}

/// Which task a row goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ExchangeKind {
    /// Task i to task i.
    Forward,
    /// By key group of these columns.
    Hash { columns: Vec<String> },
    /// All to the one task there is.
    Gather,
    /// Batches in turn, where the number of tasks changes and nothing says where a row belongs.
    Rebalance,
}

impl PhysicalPlan {
    /// The vertex that runs a node.
    pub fn vertex_of(&self, node: &NodeId) -> Option<usize> {
        self.vertices.iter().position(|vertex| vertex.nodes.contains(node))
    }

    /// How many tasks run each node.
    pub fn tasks(&self) -> BTreeMap<NodeId, u32> {
        self.vertices.iter().flat_map(|vertex| vertex.nodes.iter().map(|node| (node.clone(), vertex.parallelism))).collect()
    }
}

/// Cuts `plan` into vertices of `parallelism` tasks, where neither the node nor its facts say less.
pub fn physical(plan: &LogicalPlan, parallelism: u32, facts: &dyn Fn(&BoundNode) -> NodeFacts) -> PhysicalPlan {
    let mut out = PhysicalPlan { key_groups: DEFAULT_KEY_GROUPS, vertices: Vec::new(), exchanges: Vec::new() };
    for node in &plan.nodes {
        let facts = facts(node);
        let tasks = tasks_of(node, facts, parallelism.max(1), &out);
        let upstream = match node.inputs.as_slice() {
            [only] => out.vertex_of(&only.from.node),
            _ => None,
        };
        let chains = !facts.is_sink && matches!(node.distribution, Distribution::Any | Distribution::Single);
        match upstream.and_then(|index| out.vertices.get_mut(index)) {
            Some(vertex) if chains && vertex.parallelism == tasks => {
                vertex.nodes.push(node.id().clone());
                vertex.chained.extend(node.inputs.iter().map(|edge| ChainEdge {
                    from: edge.from.clone(),
                    to: node.id().clone(),
                    input: 0,
                }));
            }
            _ => own_vertex(node, tasks, &mut out),
        }
    }
    out
}

/// A node that takes rows as they come runs as often as what feeds it, unless it says otherwise.
fn tasks_of(node: &BoundNode, facts: NodeFacts, parallelism: u32, so_far: &PhysicalPlan) -> u32 {
    let inherited = match (node.inputs.as_slice(), &node.distribution) {
        ([only], Distribution::Any) => {
            so_far.vertex_of(&only.from.node).and_then(|index| so_far.vertices.get(index)).map(|vertex| vertex.parallelism)
        }
        _ => None,
    };
    let wanted = node.decl.common.parallelism.or(inherited).unwrap_or(parallelism);
    let most = match node.distribution {
        Distribution::Single => 1,
        Distribution::ByKey(_) => u32::from(DEFAULT_KEY_GROUPS),
        Distribution::Any => u32::MAX,
    };
    wanted.min(most).min(facts.max_parallelism.unwrap_or(u32::MAX)).max(1)
}

fn own_vertex(node: &BoundNode, tasks: u32, out: &mut PhysicalPlan) {
    let to_vertex = out.vertices.len();
    for (input, edge) in node.inputs.iter().enumerate() {
        let Some(from_vertex) = out.vertex_of(&edge.from.node) else { continue };
        let senders = out.vertices.get(from_vertex).map_or(1, |vertex| vertex.parallelism);
        let kind = match &node.distribution {
            _ if tasks == 1 => ExchangeKind::Gather,
            Distribution::ByKey(columns) => ExchangeKind::Hash { columns: columns.clone() },
            Distribution::Any | Distribution::Single => spread(edge, senders == tasks),
        };
        out.exchanges.push(Exchange { from: edge.from.clone(), from_vertex, to: node.id().clone(), input, to_vertex, kind });
    }
    out.vertices.push(Vertex { nodes: vec![node.id().clone()], parallelism: tasks, chained: Vec::new() });
}

/// How rows go to tasks that take any. Rows that change go by what tells them apart, whatever the number of tasks: the changes of one row
/// must not overtake each other, also where those that were in flight go on at another parallelism.
fn spread(edge: &BoundEdge, is_even: bool) -> ExchangeKind {
    match &edge.mode {
        ChangeMode::Append if is_even => ExchangeKind::Forward,
        ChangeMode::Append => ExchangeKind::Rebalance,
        ChangeMode::Upsert { key } => ExchangeKind::Hash { columns: key.clone() },
        ChangeMode::Retract => {
            ExchangeKind::Hash { columns: edge.schema.names().filter(|name| *name != OP_COLUMN).map(str::to_owned).collect() }
        }
    }
}
