//! The logical plan: the graph with every schema and change mode told.

use millrace_model::types::SchemaRef;
use millrace_model::{ChangeMode, NodeDecl, NodeId, PortRef};

use crate::kind::{Distribution, Payload};

/// An output port with what flows out of it.
#[derive(Debug, Clone)]
pub struct OutputPort {
    pub name: String,
    pub schema: SchemaRef,
    pub mode: ChangeMode,
    /// Whether rows carry an event time.
    pub has_event_time: bool,
}

/// One node of the logical plan.
#[derive(Debug, Clone)]
pub struct BoundNode {
    pub decl: NodeDecl,
    pub inputs: Vec<BoundEdge>,
    pub outputs: Vec<OutputPort>,
    pub distribution: Distribution,
    pub payload: Payload,
}

impl BoundNode {
    pub fn id(&self) -> &NodeId {
        &self.decl.id
    }

    pub fn output(&self, port: &str) -> Option<&OutputPort> {
        self.outputs.iter().find(|output| output.name == port)
    }
}

/// An edge into a node: where it comes from and what it carries.
#[derive(Debug, Clone)]
pub struct BoundEdge {
    pub from: PortRef,
    pub schema: SchemaRef,
    pub mode: ChangeMode,
    pub has_event_time: bool,
}

/// All nodes, upstream before downstream.
#[derive(Debug, Clone, Default)]
pub struct LogicalPlan {
    pub nodes: Vec<BoundNode>,
}

impl LogicalPlan {
    pub fn node(&self, id: &NodeId) -> Option<&BoundNode> {
        self.nodes.iter().find(|node| node.id() == id)
    }
}
