//! Types every node against what flows into it, and finds all that is wrong in one look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace_model::id::MAIN_PORT;
use millrace_model::types::SchemaRef;
use millrace_model::{Diagnostics, NodeDecl, NodeId, OP_COLUMN, Pipeline};

use crate::bound::{BoundEdge, BoundNode, LogicalPlan, OutputPort};
use crate::change_mode;
use crate::codes;
use crate::event_time;
use crate::kind::{BindInput, InputPort, Kind};

/// Where binding finds the kinds.
pub trait Kinds {
    fn kind(&self, name: &str) -> Option<&dyn Kind>;
}

impl Kinds for BTreeMap<String, Arc<dyn Kind>> {
    fn kind(&self, name: &str) -> Option<&dyn Kind> {
        self.get(name).map(Arc::as_ref)
    }
}

/// Types a pipeline that the checker has been over.
///
/// `discovered` holds the columns that each source found. The plan is there if no finding is an error. A node whose input is unknown,
/// since something upstream is wrong, is passed over in silence: its own faults show once that is mended.
pub fn bind(pipeline: &Pipeline, kinds: &dyn Kinds, discovered: &BTreeMap<NodeId, SchemaRef>) -> (Option<LogicalPlan>, Diagnostics) {
    let (plan, found) = bind_known(pipeline, kinds, discovered);
    ((!found.has_errors()).then_some(plan), found)
}

/// Like [`bind`], and gives the nodes that could be typed even if others could not: what an editor shows.
pub fn bind_known(pipeline: &Pipeline, kinds: &dyn Kinds, discovered: &BTreeMap<NodeId, SchemaRef>) -> (LogicalPlan, Diagnostics) {
    let mut found = Diagnostics::default();
    let mut plan = LogicalPlan::default();
    let mut untold = Vec::new();
    for node in topological(pipeline) {
        match bind_node(node, &plan, kinds, discovered, &mut found) {
            Some(bound) => plan.nodes.push(bound),
            None => untold.push(node),
        }
    }
    if !found.has_errors()
        && let Some(node) = untold.first()
    {
        found.push(node.error(codes::NO_SCHEMA, "", "the columns of this node are not known"));
    }
    (plan, found)
}

/// The nodes, upstream before downstream, in the file's order where the graph leaves a choice. Nodes on a cycle are left out.
pub fn topological(pipeline: &Pipeline) -> Vec<&NodeDecl> {
    let known: BTreeSet<&NodeId> = pipeline.nodes.iter().map(|node| &node.id).collect();
    let mut placed: BTreeSet<&NodeId> = BTreeSet::new();
    let mut order = Vec::with_capacity(pipeline.nodes.len());
    loop {
        let before = order.len();
        for node in &pipeline.nodes {
            let ready = |input: &millrace_model::InputDecl| placed.contains(&input.from.node) || !known.contains(&input.from.node);
            if !placed.contains(&node.id) && node.inputs.iter().all(ready) {
                placed.insert(&node.id);
                order.push(node);
            }
        }
        if order.len() == before {
            return order;
        }
    }
}

fn bind_node(
    node: &NodeDecl,
    upstream: &LogicalPlan,
    kinds: &dyn Kinds,
    discovered: &BTreeMap<NodeId, SchemaRef>,
    found: &mut Diagnostics,
) -> Option<BoundNode> {
    let kind = kinds.kind(&node.kind)?;
    let inputs: Vec<BoundEdge> = node.inputs.iter().map(|input| bound_edge(&input.from, upstream)).collect::<Option<_>>()?;
    refuse_change_modes(node, kind, &inputs, found)?;
    let ports: Vec<InputPort> = inputs
        .iter()
        .map(|edge| InputPort { schema: edge.schema.clone(), mode: edge.mode.clone(), has_event_time: edge.has_event_time })
        .collect();
    let columns = discovered.get(&node.id);
    let mut bound = kind.bind(&BindInput { node, inputs: &ports, discovered: columns }, found)?;
    let is_source = node.inputs.is_empty();
    if is_source {
        let has_event_time = columns.is_some_and(|columns| event_time::check(node, columns, found));
        if let Some(main) = bound.outputs.iter_mut().find(|port| port.name == MAIN_PORT) {
            main.has_event_time = has_event_time;
        }
    }
    for port in bound.outputs.iter().filter(|port| port.name == MAIN_PORT) {
        check_names(node, &inputs, port, found);
    }
    Some(BoundNode { decl: node.clone(), inputs, outputs: bound.outputs, distribution: bound.distribution, payload: bound.payload })
}

fn bound_edge(from: &millrace_model::PortRef, upstream: &LogicalPlan) -> Option<BoundEdge> {
    let port = upstream.node(&from.node)?.output(&from.port)?;
    Some(BoundEdge { from: from.clone(), schema: port.schema.clone(), mode: port.mode.clone(), has_event_time: port.has_event_time })
}

fn refuse_change_modes(node: &NodeDecl, kind: &dyn Kind, inputs: &[BoundEdge], found: &mut Diagnostics) -> Option<()> {
    let mut all_taken = Some(());
    for edge in inputs.iter().filter(|edge| !kind.takes(&edge.mode)) {
        all_taken = None;
        let help = format!(
            "let it read what `{}` reads, before rows change, or let an `aggregate` make of the changes what you want of them",
            edge.from.node
        );
        found.push(change_mode::refusal(node, Some(&edge.from), &edge.mode, help));
    }
    all_taken
}

/// New names do not begin with `__`, and a name stands once.
fn check_names(node: &NodeDecl, inputs: &[BoundEdge], port: &OutputPort, found: &mut Diagnostics) {
    let mut seen = BTreeSet::new();
    for name in port.schema.names() {
        let is_new = inputs.iter().all(|input| input.schema.field(name).is_none());
        let is_engines = name == OP_COLUMN && port.mode.has_op();
        if name.starts_with("__") && is_new && !is_engines {
            let message = format!("the column `{name}` begins with `__`, which is kept for columns that the engine makes");
            found.push(node.error(codes::RESERVED_COLUMN, "", message).help("rename it where the data is made, or leave it out"));
        }
        if !seen.insert(name) {
            found
                .push(node.error(codes::DOUBLE_COLUMN, "", format!("two columns are called `{name}`")).help("give each a name of its own"));
        }
    }
}
