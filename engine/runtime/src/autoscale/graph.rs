//! What of a pipeline can have a number of tasks of its own, and what goes with what.

use std::collections::BTreeMap;

use millrace_model::{NodeId, PortRef};
use millrace_plan::{BoundNode, Distribution, LogicalPlan, PhysicalPlan};

use crate::telemetry::figures::Role;

/// The nodes of a run as far as their numbers of tasks go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Upstream before downstream.
    pub nodes: Vec<Shape>,
    /// Upstream before downstream.
    pub units: Vec<Unit>,
    /// By place in `nodes`: from, to. In the order of the run's counters.
    pub edges: Vec<(usize, usize)>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub id: NodeId,
    pub is_source: bool,
    pub tasks: u32,
    /// How much faster than the clock a source is to play its rows, if it is.
    pub speed: Option<f64>,
}

/// Nodes that have one number of tasks together: the first takes any rows or is told apart by key, and those that follow take its rows as they come.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    pub head: NodeId,
    /// By task: the nodes that one does the work of, by place in `nodes`. The first holds the head.
    pub stages: Vec<Vec<usize>>,
    /// The nodes that follow, by name.
    pub with: Vec<NodeId>,
    /// Nodes whose number is to be named: the head, and those that have one of their own.
    pub named: Vec<NodeId>,
    pub tasks: u32,
    pub limit: Limit,
}

/// How many tasks a unit can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// As many as its input has parts: never more than it has.
    Source,
    /// One: its rows come together in one place.
    Single,
    /// A sink that keeps to a rate: its tasks share that.
    Rate,
    /// So many at most.
    Tasks(u32),
}

impl Unit {
    /// Whether its number of tasks can be another.
    pub const fn can_change(&self) -> bool {
        matches!(self.limit, Limit::Tasks(_))
    }
}

impl Graph {
    /// Of a run in these tasks. `edges` are those of its counters, in their order.
    pub fn of<'a>(
        plan: &LogicalPlan,
        physical: &PhysicalPlan,
        replays: bool,
        role: impl Fn(&NodeId) -> Role,
        edges: impl Iterator<Item = (&'a PortRef, &'a NodeId)>,
    ) -> Graph {
        let mut making = Making { physical, tasks: physical.tasks(), unit_of: Vec::new(), graph: Graph::default() };
        for node in &plan.nodes {
            making.take(node, role(node.id()), replays);
        }
        let mut graph = making.graph;
        let place = |id: &NodeId| graph.nodes.iter().position(|node| node.id == *id);
        // One that is not of the plan counts for nothing, and keeps its place.
        let edges = edges.map(|(from, to)| (place(&from.node).unwrap_or(usize::MAX), place(to).unwrap_or(usize::MAX)));
        graph.edges = edges.collect();
        graph
    }
}

struct Making<'a> {
    physical: &'a PhysicalPlan,
    tasks: BTreeMap<NodeId, u32>,
    /// By place in the graph's nodes.
    unit_of: Vec<usize>,
    graph: Graph,
}

impl Making<'_> {
    fn take(&mut self, node: &BoundNode, role: Role, replays: bool) {
        let (id, at) = (node.id(), self.graph.nodes.len());
        let tasks = self.tasks.get(id).copied().unwrap_or(1);
        let speed = node.decl.source.replay.as_ref().filter(|_| replays).map(|replay| replay.speed.factor);
        self.graph.nodes.push(Shape { id: id.clone(), is_source: role == Role::Source, tasks, speed });
        let unit = match self.followed(node) {
            Some((upstream, unit)) => {
                self.follow(at, upstream, unit, node);
                unit
            }
            None => {
                let limit = limit(node, role, self.physical);
                let (stages, named) = (vec![vec![at]], vec![id.clone()]);
                self.graph.units.push(Unit { head: id.clone(), stages, with: Vec::new(), named, tasks, limit });
                self.graph.units.len() - 1
            }
        };
        self.unit_of.push(unit);
    }

    /// The node that this one has as many tasks as, and its unit: the one before, where rows come from one and go anywhere, and that can have another
    /// number. One behind a source or in one place has a number of its own, although it runs in its task now.
    fn followed(&self, node: &BoundNode) -> Option<(usize, usize)> {
        let ([only], Distribution::Any) = (node.inputs.as_slice(), &node.distribution) else { return None };
        let upstream = self.graph.nodes.iter().position(|other| other.id == only.from.node)?;
        let unit = *self.unit_of.get(upstream)?;
        let shares = self.shares_task(&only.from.node, node.id());
        let follows = self.graph.units.get(unit)?.can_change() && node.decl.sink.rate.is_none();
        (follows && (shares || node.decl.common.parallelism.is_none())).then_some((upstream, unit))
    }

    fn shares_task(&self, one: &NodeId, other: &NodeId) -> bool {
        self.physical.vertex_of(one).is_some_and(|vertex| self.physical.vertex_of(other) == Some(vertex))
    }

    fn follow(&mut self, at: usize, upstream: usize, unit: usize, node: &BoundNode) {
        let shares = self.graph.nodes.get(upstream).is_some_and(|before| self.shares_task(&before.id, node.id()));
        let Some(unit) = self.graph.units.get_mut(unit) else { return };
        match unit.stages.iter_mut().find(|stage| shares && stage.contains(&upstream)) {
            Some(stage) => stage.push(at),
            None => unit.stages.push(vec![at]),
        }
        unit.with.push(node.id().clone());
        if node.decl.common.parallelism.is_some() {
            unit.named.push(node.id().clone());
        }
    }
}

fn limit(node: &BoundNode, role: Role, physical: &PhysicalPlan) -> Limit {
    match &node.distribution {
        _ if role == Role::Source => Limit::Source,
        Distribution::Single => Limit::Single,
        _ if node.decl.sink.rate.is_some() => Limit::Rate,
        // A change asks for no more than there are key groups, whether rows go by key or not.
        Distribution::ByKey(_) | Distribution::Any => Limit::Tasks(u32::from(physical.key_groups)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millrace_model::field::{CommonFields, Rate, SinkFields, SourceFields};
    use millrace_model::{ChangeMode, NodeDecl, Schema};
    use millrace_plan::kind::Payload;
    use millrace_plan::{BoundEdge, NodeFacts, physical};

    use super::*;

    fn node(id: &str, from: &[&str], distribution: Distribution, parallelism: Option<u32>) -> BoundNode {
        let edge = |from: &&str| BoundEdge {
            from: PortRef::main(NodeId::new(*from)),
            schema: Arc::new(Schema::new(Vec::new())),
            mode: ChangeMode::Append,
            has_event_time: false,
        };
        let decl = NodeDecl {
            id: NodeId::new(id),
            kind: String::new(),
            inputs: Vec::new(),
            spec: serde_json::Value::Null,
            common: CommonFields { parallelism, ..CommonFields::default() },
            source: SourceFields::default(),
            sink: SinkFields::default(),
            spans: BTreeMap::new(),
        };
        BoundNode { decl, inputs: from.iter().map(edge).collect(), outputs: Vec::new(), distribution, payload: Payload::new(()) }
    }

    fn by_key() -> Distribution {
        Distribution::ByKey(vec!["k".to_owned()])
    }

    /// A source of one part; everything else in two tasks where it does not say otherwise. Names of sinks begin with `to`.
    fn graph(nodes: Vec<BoundNode>) -> Graph {
        let plan = LogicalPlan { nodes };
        let is_sink = |id: &NodeId| id.as_str().starts_with("to");
        let facts = |node: &BoundNode| NodeFacts { max_parallelism: node.inputs.is_empty().then_some(1), is_sink: is_sink(node.id()) };
        let physical = physical(&plan, 2, &facts);
        let role = |id: &NodeId| match id.as_str() {
            "rows" => Role::Source,
            _ if is_sink(id) => Role::Sink,
            _ => Role::Operator,
        };
        let edges: Vec<(PortRef, NodeId)> =
            plan.nodes.iter().flat_map(|node| node.inputs.iter().map(|edge| (edge.from.clone(), node.id().clone()))).collect();
        Graph::of(&plan, &physical, true, role, edges.iter().map(|(from, to)| (from, to)))
    }

    fn units(graph: &Graph) -> Vec<String> {
        let names = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let unit = |unit: &Unit| {
            let stages: Vec<String> =
                unit.stages.iter().map(|stage| names(&stage.iter().map(|at| graph.nodes[*at].id.clone()).collect::<Vec<_>>())).collect();
            format!("{} x{}, named {}", stages.join(" | "), unit.tasks, names(&unit.named))
        };
        graph.units.iter().map(unit).collect()
    }

    #[test]
    fn nodes_behind_a_source_have_a_number_of_their_own_and_those_behind_them_have_the_same() {
        let graph = graph(vec![
            node("rows", &[], Distribution::Any, None),
            node("flown", &["rows"], Distribution::Any, None),
            node("delay", &["flown"], Distribution::Any, None),
            node("to_all", &["delay"], Distribution::Any, None),
            node("hourly", &["delay"], by_key(), None),
            node("to_hours", &["hourly"], Distribution::Single, None),
        ]);
        let expected =
            ["rows x1, named rows", "flown delay | to_all x1, named flown", "hourly x2, named hourly", "to_hours x1, named to_hours"];
        assert_eq!(units(&graph), expected);
        assert_eq!(graph.units.iter().map(Unit::can_change).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(graph.edges, [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)]);
    }

    #[test]
    fn nodes_of_one_task_that_each_say_how_many_they_have_are_named_each_and_one_that_has_another_number_is_apart() {
        let graph = graph(vec![
            node("rows", &[], Distribution::Any, None),
            node("flown", &["rows"], Distribution::Any, Some(3)),
            node("delay", &["flown"], Distribution::Any, Some(3)),
            node("more", &["delay"], Distribution::Any, Some(4)),
        ]);
        assert_eq!(units(&graph), ["rows x1, named rows", "flown delay x3, named flown delay", "more x4, named more"]);
    }

    #[test]
    fn what_follows_a_node_in_one_place_or_keeps_to_a_rate_is_apart() {
        let mut slow = node("to_slow", &["top"], Distribution::Any, None);
        slow.decl.sink.rate = Some(Rate { rows_per_second: 5.0 });
        let graph = graph(vec![
            node("rows", &[], Distribution::Any, None),
            node("all", &["rows"], Distribution::Single, None),
            node("top", &["all"], Distribution::Any, None),
            slow,
        ]);
        assert_eq!(units(&graph), ["rows x1, named rows", "all x1, named all", "top x1, named top", "to_slow x1, named to_slow"]);
        assert_eq!(
            graph.units.iter().map(|unit| unit.limit).collect::<Vec<_>>(),
            [Limit::Source, Limit::Single, Limit::Tasks(1024), Limit::Rate]
        );
    }
}
