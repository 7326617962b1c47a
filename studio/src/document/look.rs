//! What a text means: the graph for the canvas with its columns, and everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use millrace_engine::inspect::{Inspection, Inspector};
use millrace_engine::model::alert::WebhookUrl;
use millrace_engine::model::file::graph;
use millrace_engine::model::{ChangeMode, Diagnostics, NodeId, Pipeline, Schema};
use millrace_engine::plan::{BoundNode, OutputPort, change_mode};
use millrace_engine::runtime::guarantee::{Delivery as EngineDelivery, Guarantee as EngineGuarantee};
use millrace_studio_api::{
    Broken, Column, Delivery, Explanation, Finding, Graph, GraphAlert, GraphInput, GraphNode, GraphPort, Guarantee, LineRange, Touch,
    TouchKind,
};

use super::findings::findings;

/// Looks at texts.
#[derive(Clone)]
pub struct Looker {
    inspector: Arc<Inspector>,
}

/// One look at a text.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// None where the text is not TOML.
    pub graph: Option<Graph>,
    pub broken: Option<Broken>,
    pub findings: Vec<Finding>,
    pub pipeline: Option<Pipeline>,
    /// What flows into each node whose input is known, as far as its expressions can read it.
    pub inputs: BTreeMap<NodeId, Arc<Schema>>,
    pub is_sound: bool,
}

impl Looker {
    pub fn new(inspector: Arc<Inspector>) -> Self {
        Looker { inspector }
    }

    /// Reads a text as the file at `path` (in `folder` before it has one). Sources are asked for their columns.
    pub async fn look(&self, text: &str, path: Option<&Path>, folder: &Path) -> Look {
        let name = path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let inspection = self.inspector.inspect(text, name, folder, &[]).await;
        let drawn = graph(text, self.inspector.catalog());
        let broken = drawn.as_ref().err().map(broken);
        let touches = touches(&inspection);
        Look {
            broken,
            findings: findings(&inspection.diagnostics.items, text),
            is_sound: !inspection.diagnostics.has_errors(),
            inputs: inspection
                .plan
                .nodes
                .iter()
                .filter_map(|node| node.inputs.first().map(|edge| (node.id().clone(), change_mode::content(&edge.schema, &edge.mode))))
                .collect(),
            graph: drawn.ok().map(|drawn| Graph {
                settings: drawn.settings.into(),
                nodes: drawn.nodes.into_iter().map(|node| graph_node(node, &inspection)).collect(),
                alerts: drawn.alerts.into_iter().map(graph_alert).collect(),
                touches,
            }),
            pipeline: inspection.pipeline,
        }
    }
}

fn broken(found: &Diagnostics) -> Broken {
    let first = found.items.first();
    let span = first.and_then(|finding| finding.span).unwrap_or_default();
    Broken { line: span.line.max(1), column: span.column.max(1), message: first.map(|finding| finding.message.clone()).unwrap_or_default() }
}

fn columns(schema: &Schema) -> Vec<Column> {
    schema.fields.iter().map(|field| Column { name: field.name.clone(), data_type: field.data_type.name().to_owned() }).collect()
}

fn mode(mode: &ChangeMode) -> String {
    match mode {
        ChangeMode::Append => "append".to_owned(),
        ChangeMode::Upsert { key } if key.is_empty() => "upsert, one row".to_owned(),
        ChangeMode::Upsert { key } => format!("upsert by {}", key.join(", ")),
        ChangeMode::Retract => "retract".to_owned(),
    }
}

fn graph_node(node: millrace_engine::model::file::GraphNode, inspection: &Inspection) -> GraphNode {
    let bound = inspection.plan.node(&node.id);
    let [first, last] = node.lines;
    let guarantees = inspection.guarantees.iter().filter(|it| it.sink == node.id).map(guarantee).collect();
    GraphNode {
        outputs: outputs(&node.kind, bound, inspection),
        explanations: bound.map(explanations).unwrap_or_default(),
        id: node.id.to_string(),
        kind: node.kind,
        position: node.position,
        inputs: node
            .inputs
            .into_iter()
            .map(|input| GraphInput { name: input.name, from: input.from.to_string(), port: input.port })
            .collect(),
        fields: node.fields.into(),
        key_setting: node.key_setting,
        guarantees,
        lines: LineRange { first, last },
    }
}

fn graph_alert(alert: millrace_engine::model::file::GraphAlert) -> GraphAlert {
    let [first, last] = alert.lines;
    GraphAlert { name: alert.name, fields: alert.fields.into(), lines: LineRange { first, last } }
}

fn guarantee(told: &EngineGuarantee) -> Guarantee {
    let delivery = match told.delivery {
        EngineDelivery::ExactlyOnce => Delivery::ExactlyOnce,
        EngineDelivery::AtLeastOnce => Delivery::AtLeastOnce,
        EngineDelivery::AtMostOnce => Delivery::AtMostOnce,
        EngineDelivery::BestEffort => Delivery::BestEffort,
        EngineDelivery::BeginsAnew => Delivery::BeginsAnew,
    };
    Guarantee { source: told.source.to_string(), delivery, needs: told.needs.clone() }
}

/// The ports that the kind has, with the columns where they are known.
fn outputs(kind: &str, bound: Option<&BoundNode>, inspection: &Inspection) -> Vec<GraphPort> {
    let Some(info) = inspection.catalog.get(kind) else { return Vec::new() };
    let main = info.has_output.then_some(millrace_engine::model::id::MAIN_PORT);
    let port = |name: &str| {
        let known: Option<&OutputPort> = bound.and_then(|bound| bound.output(name));
        GraphPort {
            name: name.to_owned(),
            columns: known.map(|port| columns(&port.schema)),
            mode: known.map_or_else(|| "append".to_owned(), |port| mode(&port.mode)),
        }
    };
    main.into_iter().chain(info.side_ports.iter().map(|side| side.name)).map(port).collect()
}

/// The types of a node's expressions: those of its output columns where a field makes one, BOOLEAN for a condition.
fn explanations(bound: &BoundNode) -> BTreeMap<String, Explanation> {
    let mut explained = BTreeMap::new();
    let mut explain = |field: String, data_type: &str| explained.insert(field, Explanation { data_type: data_type.to_owned() });
    if bound.decl.spec.get("where").is_some() {
        explain("where".to_owned(), "BOOLEAN");
    }
    let Some(schema) = bound.outputs.first().map(|port| port.schema.clone()) else { return explained };
    for field in ["aggregate", "columns"] {
        for name in bound.decl.spec.get(field).and_then(|value| value.as_object()).into_iter().flat_map(|fields| fields.keys()) {
            if let Some(column) = schema.field(name) {
                explain(format!("{field}.{name}"), column.data_type.name());
            }
        }
        let listed = bound.decl.spec.get(field).and_then(|value| value.as_array());
        for (at, _) in listed.into_iter().flatten().enumerate() {
            if let Some(column) = schema.fields.get(at) {
                explain(format!("{field}.{at}"), column.data_type.name());
            }
        }
    }
    explained
}

/// What a run would read and write, for the reader of a stranger's file.
fn touches(inspection: &Inspection) -> Vec<Touch> {
    let mut touches: Vec<Touch> = Vec::new();
    for node in inspection.pipeline.iter().flat_map(|pipeline| &pipeline.nodes) {
        if let Some(path) = node.spec.get("path").and_then(|path| path.as_str()) {
            let kind = if node.inputs.is_empty() { TouchKind::Reads } else { TouchKind::Writes };
            touches.push(Touch { node: node.id.to_string(), kind, what: path.to_owned() });
        }
    }
    let hooks = inspection.pipeline.iter().flat_map(|pipeline| &pipeline.alerts).flat_map(|alert| &alert.webhooks);
    let hosts: BTreeSet<String> = hooks.map(WebhookUrl::shown).collect();
    touches.extend(hosts.into_iter().map(|what| Touch { node: String::new(), kind: TouchKind::Calls, what }));
    touches.extend(inspection.env_names.iter().map(|name| Touch { node: String::new(), kind: TouchKind::Environment, what: name.clone() }));
    touches
}
