//! Which node holds the others back.
//!
//! A slow node shows by what it does to those before it: they wait for room. Of the nodes that do so, the one furthest downstream is
//! the cause, and the others are its effects.

use millrace_model::NodeId;

/// The share of time from which on a task counts as busy, or as blocked.
const HIGH: f64 = 0.5;

#[derive(Debug, Clone, PartialEq)]
pub struct Bottleneck {
    pub node: NodeId,
    /// How long a task of it is busy, 0 to 1.
    pub busy: f64,
}

/// One vertex over the last while.
#[derive(Debug, Clone, PartialEq)]
pub struct VertexLook {
    /// Each node, with the share of time that its busiest task worked.
    pub nodes: Vec<(NodeId, f64)>,
    /// The share of time that a task of it waited for room downstream.
    pub blocked: f64,
    /// Whether those upstream wait for it, or its queue is half full.
    pub is_pressed: bool,
}

/// Names the bottleneck. `vertices` stand upstream before downstream.
pub fn find(vertices: &[VertexLook]) -> Option<Bottleneck> {
    vertices.iter().rev().filter(|vertex| vertex.is_pressed && vertex.blocked < HIGH).find_map(|vertex| {
        let total: f64 = vertex.nodes.iter().map(|(_, busy)| busy).sum();
        let (node, _) = vertex.nodes.iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (total > HIGH).then(|| Bottleneck { node: node.clone(), busy: total.min(1.0) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(nodes: &[(&str, f64)], blocked: f64, is_pressed: bool) -> VertexLook {
        VertexLook { nodes: nodes.iter().map(|(node, busy)| (NodeId::new(node), *busy)).collect(), blocked, is_pressed }
    }

    #[test]
    fn the_slowest_furthest_downstream_is_named_and_not_those_that_wait_for_it() {
        let looks = [
            vertex(&[("source", 0.1)], 0.9, false),
            vertex(&[("window", 0.6)], 0.4, true),
            vertex(&[("parse", 0.2), ("derive", 0.7)], 0.0, true),
            vertex(&[("sink", 0.2)], 0.0, false),
        ];
        assert_eq!(find(&looks), Some(Bottleneck { node: NodeId::new("derive"), busy: 0.8999999999999999 }));
    }

    #[test]
    fn nobody_is_named_while_nothing_waits() {
        assert_eq!(find(&[vertex(&[("source", 1.0)], 0.0, false), vertex(&[("sink", 0.9)], 0.0, false)]), None);
    }
}
