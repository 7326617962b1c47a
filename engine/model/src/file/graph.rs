//! The graph that a text draws, for the canvas: as written, wrong or not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml_edit::{Item, TableLike};

use super::arrange::arrange;
use super::lines::LineIndex;
use super::{raw, syntax};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostics;
use crate::id::NodeId;

/// What the canvas shows of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The `[pipeline]` table as written.
    pub settings: Map<String, Value>,
    /// In the file's order.
    pub nodes: Vec<GraphNode>,
    /// One for each input of each node, whether or not there is such a port.
    pub edges: Vec<GraphEdge>,
    /// In the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<GraphAlert>,
}

/// One alert as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphAlert {
    pub name: String,
    /// References to the environment are not read.
    pub fields: Map<String, Value>,
    /// First and last line of its table, from 1.
    pub lines: [u32; 2],
}

/// One node as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    pub id: NodeId,
    /// Empty if the node does not say.
    pub kind: String,
    /// Every field besides `kind` and `input`; references to the environment are not read.
    pub fields: Map<String, Value>,
    pub inputs: Vec<GraphInput>,
    /// The left upper corner, in pixels.
    pub position: [f64; 2],
    /// Whether the file's layout gave the position.
    pub is_placed: bool,
    /// The node's second line on the canvas: the first of the kind's key fields that is set.
    pub key_setting: String,
    /// First and last line of its table, from 1.
    pub lines: [u32; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphInput {
    /// The input's name where it has one (`left`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub from: NodeId,
    /// `out`, `late`, `quarantined`.
    pub port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEdge {
    pub from: NodeId,
    pub port: String,
    pub to: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// Draws the graph of a text. Fails only where the text is not TOML.
pub fn graph(text: &str, catalog: &Catalog) -> Result<Graph, Diagnostics> {
    let lines = LineIndex::new(text);
    let document = syntax::parse(text, &lines)?;
    let top: &dyn TableLike = document.as_table();
    let mut nodes = nodes(top, catalog, &lines);
    place(&mut nodes, top);
    let edges = nodes.iter().flat_map(edges).collect();
    let settings = top.get("pipeline").and_then(Item::as_table_like).map(raw::table_to_json).unwrap_or_default();
    Ok(Graph { settings, nodes, edges, alerts: alerts(top, &lines) })
}

fn alerts(top: &dyn TableLike, lines: &LineIndex<'_>) -> Vec<GraphAlert> {
    let tables = top.get("alert").and_then(Item::as_table_like).into_iter().flat_map(|tables| tables.iter());
    let alert = |(name, item): (&str, &Item)| {
        let fields = raw::table_to_json(item.as_table_like()?);
        Some(GraphAlert { name: name.to_owned(), fields, lines: extent(item, lines) })
    };
    tables.filter_map(alert).collect()
}

fn nodes(top: &dyn TableLike, catalog: &Catalog, lines: &LineIndex<'_>) -> Vec<GraphNode> {
    let tables = top.get("node").and_then(Item::as_table_like);
    let mut nodes = Vec::new();
    for (name, item) in tables.into_iter().flat_map(|tables| tables.iter()) {
        let Some(table) = item.as_table_like() else { continue };
        let mut fields = raw::table_to_json(table);
        let kind = fields.shift_remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        let inputs = raw::inputs(fields.shift_remove("input").as_ref());
        let inputs = inputs.into_iter().map(|input| GraphInput { name: input.name, from: input.from.node, port: input.from.port });
        nodes.push(GraphNode {
            id: NodeId::new(name),
            key_setting: key_setting(&kind, &fields, catalog),
            kind,
            inputs: inputs.collect(),
            fields,
            position: [0.0, 0.0],
            is_placed: false,
            lines: extent(item, lines),
        });
    }
    nodes
}

fn edges(node: &GraphNode) -> Vec<GraphEdge> {
    let edge = |input: &GraphInput| GraphEdge {
        from: input.from.clone(),
        port: input.port.clone(),
        to: node.id.clone(),
        input: input.name.clone(),
    };
    node.inputs.iter().map(edge).collect()
}

fn place(nodes: &mut [GraphNode], top: &dyn TableLike) {
    let fixed = positions(top);
    let shape: Vec<(NodeId, Vec<NodeId>)> =
        nodes.iter().map(|node| (node.id.clone(), node.inputs.iter().map(|input| input.from.clone()).collect())).collect();
    let places = arrange(&shape, &fixed);
    for node in nodes {
        node.is_placed = fixed.contains_key(&node.id);
        node.position = places.get(&node.id).copied().unwrap_or_default();
    }
}

/// The positions that the layout gives; what cannot be read is passed over.
pub fn positions(top: &dyn TableLike) -> BTreeMap<NodeId, [f64; 2]> {
    let layout = top.get("layout").and_then(Item::as_table_like);
    layout.into_iter().flat_map(|layout| layout.iter()).filter_map(|(name, item)| Some((NodeId::new(name), position(item)?))).collect()
}

/// `[x, y]`, both finite.
pub fn position(item: &Item) -> Option<[f64; 2]> {
    let number = |value: &toml_edit::Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    let numbers: Vec<f64> = item.as_array()?.iter().map(number).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [x, y] if x.is_finite() && y.is_finite() => Some([*x, *y]),
        _ => None,
    }
}

fn key_setting(kind: &str, fields: &Map<String, Value>, catalog: &Catalog) -> String {
    let Some(kind) = catalog.get(kind) else { return String::new() };
    kind.key_fields.iter().find_map(|name| fields.get(*name)).map(in_one_line).unwrap_or_default()
}

fn in_one_line(value: &Value) -> String {
    match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(in_one_line).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} = {}", in_one_line(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// First and last line that an item stands on.
fn extent(item: &Item, lines: &LineIndex<'_>) -> [u32; 2] {
    let (start, end) = bytes(item).unwrap_or_default();
    [lines.line_of(start), lines.line_of(end.saturating_sub(1).max(start))]
}

fn bytes(item: &Item) -> Option<(usize, usize)> {
    let own = item.span().map(|span| (span.start, span.end));
    let inner = item.as_table_like().into_iter().flat_map(|table| table.iter()).filter_map(|(_, item)| bytes(item));
    own.into_iter().chain(inner).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
