//! Inputs: from names to ports, and what is wrong with the graph that they draw.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::MAX_FINDINGS;
use super::raw::{self, show};
use super::read::ReadTable;
use crate::catalog::{Catalog, Inputs, KindInfo};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::id::{MAIN_PORT, NodeId, PortRef};
use crate::pipeline::{InputDecl, NodeDecl};

/// Reads a node's `input` field, in whatever shape it stands.
pub fn inputs(read: &ReadTable) -> Vec<InputDecl> {
    let mut inputs = raw::inputs(read.values.get("input"));
    for (at, input) in inputs.iter_mut().enumerate() {
        let path = input.name.as_ref().map_or_else(|| format!("input.{at}"), |name| format!("input.{name}"));
        input.span = read.spans.get(&path).or_else(|| read.spans.get("input")).copied();
    }
    inputs
}

/// Whether the `input` stands in the shape that the kind wants. A list of one is taken where one is wanted.
pub fn check_shape(node: &NodeDecl, read: &ReadTable, kind: &KindInfo, found: &mut Diagnostics) {
    let given = read.values.get("input");
    let expected = match kind.inputs {
        Inputs::None => {
            if given.is_some() {
                found.push(node.error(codes::INPUT_TO_SOURCE, "input", format!("`{}` is a source and reads no other node", kind.name)));
            }
            return;
        }
        Inputs::One => "the name of one node: input = \"name\"".to_owned(),
        Inputs::Many => "the names of nodes: input = [\"a\", \"b\"]".to_owned(),
        Inputs::Named(names) => format!("an input for each of {}: input = {{ {} }}", names.join(", "), named_example(names)),
    };
    let Some(given) = given else {
        found.push(node.error(codes::NO_INPUT, "", "this node reads nothing").expected(expected).help("set `input`"));
        return;
    };
    let fits = match (kind.inputs, given) {
        (Inputs::One, Value::String(_)) => true,
        (Inputs::One, Value::Array(items)) => items.len() == 1 && items.iter().all(Value::is_string),
        (Inputs::Many, Value::String(_)) => true,
        (Inputs::Many, Value::Array(items)) => !items.is_empty() && items.iter().all(Value::is_string),
        (Inputs::Named(names), Value::Object(fields)) => {
            fields.len() == names.len() && fields.iter().all(|(name, value)| names.contains(&name.as_str()) && value.is_string())
        }
        _ => false,
    };
    if !fits {
        found.push(
            node.error(codes::INPUT_SHAPE, "input", "the input is not in the shape that this kind wants")
                .expected(expected)
                .found(show(given)),
        );
    }
}

fn named_example(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name} = \"..\"")).collect::<Vec<_>>().join(", ")
}

/// Whether every input names a port that there is. Gives back the nodes that are meant by an input which is wrong.
pub fn check_references(nodes: &[NodeDecl], catalog: &Catalog, found: &mut Diagnostics) -> BTreeSet<NodeId> {
    let mut meant = BTreeSet::new();
    let by_id: BTreeMap<&NodeId, &NodeDecl> = nodes.iter().map(|node| (&node.id, node)).collect();
    for node in nodes {
        for input in &node.inputs {
            // Each finding looks for the nearest name, which is work.
            if found.items.len() >= MAX_FINDINGS {
                return meant;
            }
            match by_id.get(&input.from.node) {
                None => {
                    let finding = node
                        .error(codes::UNKNOWN_NODE, "input", format!("there is no node `{}`", input.from.node))
                        .at(input.span)
                        .nearest_of(input.from.node.as_str(), nodes.iter().map(|node| node.id.as_str()));
                    meant.extend(finding.nearest.as_ref().map(NodeId::new));
                    found.push(finding);
                }
                Some(upstream) => {
                    if let Some(finding) = check_port(node, input, upstream, catalog) {
                        meant.insert(upstream.id.clone());
                        found.push(finding);
                    }
                }
            }
        }
    }
    meant
}

fn check_port(node: &NodeDecl, input: &InputDecl, upstream: &NodeDecl, catalog: &Catalog) -> Option<Diagnostic> {
    let kind = catalog.get(&upstream.kind)?;
    let port = input.from.port.as_str();
    let mut ports: Vec<&str> = kind.side_ports.iter().map(|port| port.name).collect();
    if kind.has_output {
        ports.insert(0, MAIN_PORT);
    }
    if ports.contains(&port) {
        return None;
    }
    let message = if ports.is_empty() || (port == MAIN_PORT && !kind.has_output) {
        format!("`{}` is a {} and gives no rows on", upstream.id, kind.name)
    } else {
        format!("`{}` has no port `{port}`", upstream.id)
    };
    let names: Vec<String> =
        ports.iter().map(|port| if *port == MAIN_PORT { upstream.id.to_string() } else { format!("{}.{port}", upstream.id) }).collect();
    let mut finding = node.error(codes::UNKNOWN_PORT, "input", message).at(input.span).nearest_of(port, ports);
    finding.nearest =
        finding.nearest.map(|port| if port == MAIN_PORT { upstream.id.to_string() } else { format!("{}.{port}", upstream.id) });
    Some(if names.is_empty() { finding } else { finding.expected(format!("one of {}", names.join(", "))) })
}

/// Rows that go round in a circle, each circle once, and main outputs that nobody reads nor was `meant` to.
pub fn check_graph(nodes: &[NodeDecl], catalog: &Catalog, meant: &BTreeSet<NodeId>, found: &mut Diagnostics) {
    for circle in circles(nodes) {
        let Some(first) = circle.first().and_then(|id| nodes.iter().find(|node| node.id == *id)) else { continue };
        let mut names: Vec<&str> = circle.iter().map(NodeId::as_str).collect();
        names.push(first.id.as_str());
        let message = format!("rows would go round in a circle: {}", names.join(" -> "));
        found.push(first.error(codes::CYCLE, "input", message).help("take one of these inputs away"));
    }
    let read: BTreeSet<&PortRef> = nodes.iter().flat_map(|node| node.inputs.iter().map(|input| &input.from)).collect();
    for node in nodes {
        let gives = catalog.get(&node.kind).is_some_and(|kind| kind.has_output);
        if gives && !meant.contains(&node.id) && !read.contains(&PortRef::main(node.id.clone())) {
            let mut finding = node.error(codes::UNREAD_OUTPUT, "", "nobody reads what this node gives");
            finding.severity = crate::diagnostic::Severity::Warning;
            found.push(finding.help("connect it to a node or a sink, or remove it"));
        }
    }
}

/// Circles in the order of the file, each starting at its first node. Iterative: a chain of any length takes no stack.
fn circles(nodes: &[NodeDecl]) -> Vec<Vec<NodeId>> {
    let order: BTreeMap<&NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (&node.id, at)).collect();
    let upstream: Vec<Vec<usize>> =
        nodes.iter().map(|node| node.inputs.iter().filter_map(|input| order.get(&input.from.node).copied()).collect()).collect();
    let mut done = vec![false; nodes.len()];
    let mut circles = Vec::new();
    for start in 0..nodes.len() {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = path.last().copied() {
            let step = if done.get(at).copied().unwrap_or(true) { None } else { upstream.get(at).and_then(|up| up.get(next)).copied() };
            let Some(to) = step else {
                if let Some(flag) = done.get_mut(at) {
                    *flag = true;
                }
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            match path.iter().position(|(seen, _)| *seen == to) {
                // Inputs point upstream, rows flow the other way.
                Some(from) => {
                    let mut circle: Vec<usize> = path.iter().skip(from).rev().map(|(seen, _)| *seen).collect();
                    let first = circle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
                    circle.rotate_left(first);
                    circles.push(circle.iter().filter_map(|at| nodes.get(*at)).map(|node| node.id.clone()).collect::<Vec<_>>());
                }
                None => path.push((to, 0)),
            }
        }
    }
    circles
}
