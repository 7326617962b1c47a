//! Binding and cutting, with kinds that do nothing but plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_model::id::MAIN_PORT;
use millrace_model::types::SchemaRef;
use millrace_model::{
    Category, ChangeMode, DataType, Diagnostics, Field, InputDecl, Inputs, KindInfo, NodeDecl, NodeId, Pipeline, PortRef, Schema,
};
use millrace_plan::kind::Payload;
use millrace_plan::{
    BindInput, Bound, BoundNode, Distribution, ExchangeKind, Kind, LogicalPlan, NodeFacts, OutputPort, PhysicalPlan, bind, physical,
};
use serde_json::json;

/// A kind of the tests: what it wants of its input, and what it gives.
struct Plain {
    info: KindInfo,
    distribution: Distribution,
    mode: ChangeMode,
}

impl Kind for Plain {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, mode: &ChangeMode) -> bool {
        *mode == ChangeMode::Append || self.info.name == "any"
    }

    fn bind(&self, input: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        let schema = input.inputs.first().map(|port| port.schema.clone()).or_else(|| input.discovered.cloned())?;
        let has_event_time = input.inputs.iter().any(|port| port.has_event_time);
        let port = OutputPort { mode: self.mode.clone(), ..OutputPort::append(MAIN_PORT, schema, has_event_time) };
        Some(Bound { outputs: vec![port], distribution: self.distribution.clone(), payload: Payload::new(()) })
    }
}

fn plain(name: &'static str, category: Category, distribution: Distribution, mode: ChangeMode) -> (String, Arc<dyn Kind>) {
    let info = KindInfo {
        name,
        title: name,
        category,
        icon: "flask-conical",
        summary: "",
        inputs: Inputs::One,
        has_output: true,
        side_ports: &[],
        key_fields: &[],
        schema: || json!({}),
    };
    (name.to_owned(), Arc::new(Plain { info, distribution, mode }))
}

fn kinds() -> BTreeMap<String, Arc<dyn Kind>> {
    let key = || Distribution::ByKey(vec!["k".to_owned()]);
    [
        plain("source", Category::Source, Distribution::Any, ChangeMode::Append),
        plain("map", Category::Shape, Distribution::Any, ChangeMode::Append),
        plain("keyed", Category::Window, key(), ChangeMode::Append),
        plain("changing", Category::Window, key(), ChangeMode::Retract),
        plain("upserting", Category::Window, key(), ChangeMode::Upsert { key: vec!["k".to_owned()] }),
        plain("any", Category::Shape, Distribution::Any, ChangeMode::Append),
        plain("one", Category::Sink, Distribution::Single, ChangeMode::Append),
        plain("parts", Category::Sink, Distribution::Any, ChangeMode::Append),
    ]
    .into()
}

fn node(id: &str, kind: &str, inputs: &[&str], fields: serde_json::Value) -> NodeDecl {
    NodeDecl {
        id: NodeId::new(id),
        kind: kind.to_owned(),
        inputs: inputs.iter().map(|from| InputDecl { name: None, from: PortRef::parse(from), span: None }).collect(),
        common: serde_json::from_value(fields.clone()).unwrap(),
        source: serde_json::from_value(fields.clone()).unwrap(),
        sink: serde_json::from_value(fields.clone()).unwrap(),
        spec: fields,
        spans: BTreeMap::new(),
    }
}

fn columns() -> SchemaRef {
    let fields = [("k", DataType::BigInt), ("t", DataType::Timestamp), ("ms", DataType::BigInt), ("ok", DataType::Boolean)];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type)).to_vec()))
}

fn look(nodes: Vec<NodeDecl>) -> (Option<LogicalPlan>, Diagnostics) {
    let sources = nodes.iter().filter(|node| node.inputs.is_empty()).map(|node| (node.id.clone(), columns())).collect();
    bind(&Pipeline { nodes, ..Pipeline::default() }, &kinds(), &sources)
}

fn codes(found: &Diagnostics) -> Vec<(&str, &str)> {
    found.items.iter().map(|finding| (finding.code.as_ref(), finding.field.as_deref().unwrap_or(""))).collect()
}

#[test]
fn nodes_come_upstream_first_and_event_time_flows_down() {
    let (plan, found) = look(vec![
        node("sink", "one", &["b"], json!({})),
        node("b", "keyed", &["a"], json!({})),
        node("a", "map", &["src"], json!({})),
        node("src", "source", &[], json!({ "event_time": "t" })),
    ]);
    assert!(found.is_empty(), "{found:?}");
    let plan = plan.unwrap();
    assert_eq!(plan.nodes.iter().map(|node| node.id().as_str()).collect::<Vec<_>>(), ["src", "a", "b", "sink"]);
    assert!(plan.nodes.iter().skip(1).all(|node| node.inputs[0].has_event_time));
}

#[test]
fn every_wrong_time_field_is_found_in_one_look() {
    let cases = [
        (json!({ "event_time": "tt" }), vec![("MR0302", "event_time")]),
        (json!({ "event_time": "ok" }), vec![("MR0303", "event_time")]),
        (json!({ "event_time": "ms" }), vec![("MR0304", "event_time")]),
        (
            json!({ "event_time": { "column": "t", "unit": "ms", "format": "%Y" } }),
            vec![("MR0304", "event_time.unit"), ("MR0304", "event_time.format")],
        ),
        (json!({ "max_delay": "1s", "replay": { "speed": "2x" } }), vec![("MR0305", "max_delay"), ("MR0306", "replay")]),
        (json!({ "event_time": "t", "replay": { "by": "tee", "speed": "2x" } }), vec![("MR0306", "replay.by")]),
        (json!({ "event_time": { "column": "ms", "unit": "ms" }, "replay": { "by": "ms", "speed": "2x" } }), vec![]),
    ];
    for (fields, expected) in cases {
        let (plan, found) = look(vec![node("src", "source", &[], fields.clone()), node("sink", "one", &["src"], json!({}))]);
        assert_eq!(codes(&found), expected, "{fields}");
        assert_eq!(plan.is_some(), !found.has_errors());
    }
    let (_, found) = look(vec![node("src", "source", &[], json!({ "event_time": "tt" }))]);
    assert_eq!(found.items[0].nearest.as_deref(), Some("t"));
}

#[test]
fn a_change_mode_that_a_kind_cannot_take_is_refused_with_the_reason() {
    let (plan, found) = look(vec![
        node("src", "source", &[], json!({})),
        node("top", "changing", &["src"], json!({})),
        node("sink", "one", &["top"], json!({})),
        node("after", "map", &["sink"], json!({})),
    ]);
    assert!(plan.is_none());
    assert_eq!(codes(&found), [("MR0301", "input")], "what hangs on the refused node is passed over");
    assert!(found.items[0].message.contains("take earlier rows back"));
    assert!(found.items[0].help.as_deref().unwrap().contains("`top`"), "it says what to do");
}

#[test]
fn a_node_behind_an_unknown_schema_is_passed_over_in_silence() {
    let nodes = vec![node("src", "source", &[], json!({})), node("sink", "one", &["src"], json!({}))];
    let (plan, found) = bind(&Pipeline { nodes, ..Pipeline::default() }, &kinds(), &BTreeMap::new());
    assert!(plan.is_none());
    assert_eq!(codes(&found), [("MR0390", "")]);
}

fn cut(nodes: Vec<NodeDecl>, parallelism: u32) -> PhysicalPlan {
    let (plan, found) = look(nodes);
    let facts = |node: &BoundNode| NodeFacts {
        max_parallelism: (node.decl.kind == "source").then_some(2),
        is_sink: node.decl.kind == "one" || node.decl.kind == "parts",
    };
    physical(&plan.unwrap_or_else(|| panic!("{found:?}")), parallelism, &facts)
}

fn shape(plan: &PhysicalPlan) -> Vec<(Vec<&str>, u32)> {
    plan.vertices.iter().map(|vertex| (vertex.nodes.iter().map(NodeId::as_str).collect(), vertex.parallelism)).collect()
}

#[test]
fn nodes_that_take_rows_as_they_come_chain_with_what_feeds_them() {
    let nodes = vec![
        node("src", "source", &[], json!({})),
        node("a", "map", &["src"], json!({})),
        node("b", "map", &["src"], json!({})),
        node("w", "keyed", &["a"], json!({})),
        node("c", "map", &["w"], json!({})),
        node("out", "one", &["c"], json!({})),
        node("parts", "parts", &["b"], json!({})),
    ];
    let plan = cut(nodes, 7);
    assert_eq!(shape(&plan), [(vec!["src", "a", "b"], 2), (vec!["w", "c"], 7), (vec!["out"], 1), (vec!["parts"], 2)]);
    let kinds: Vec<&ExchangeKind> = plan.exchanges.iter().map(|exchange| &exchange.kind).collect();
    assert_eq!(kinds, [&ExchangeKind::Hash { columns: vec!["k".to_owned()] }, &ExchangeKind::Gather, &ExchangeKind::Forward]);
    assert_eq!(plan.tasks().values().sum::<u32>(), 2 * 3 + 7 * 2 + 1 + 2);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<PhysicalPlan>(&text).unwrap(), plan);
}

#[test]
fn a_nodes_own_parallelism_breaks_the_chain_and_batches_go_in_turn() {
    let nodes = vec![
        node("src", "source", &[], json!({ "parallelism": 1 })),
        node("a", "map", &["src"], json!({ "parallelism": 3 })),
        node("w", "keyed", &["a"], json!({ "parallelism": 1 })),
        node("out", "one", &["w"], json!({})),
    ];
    let plan = cut(nodes, 7);
    assert_eq!(shape(&plan), [(vec!["src"], 1), (vec!["a"], 3), (vec!["w"], 1), (vec!["out"], 1)]);
    let kinds: Vec<&ExchangeKind> = plan.exchanges.iter().map(|exchange| &exchange.kind).collect();
    assert_eq!(kinds, [&ExchangeKind::Rebalance, &ExchangeKind::Gather, &ExchangeKind::Gather]);
}

#[test]
fn changes_of_one_row_go_one_way_whatever_the_parallelism() {
    let nodes = vec![
        node("src", "source", &[], json!({ "parallelism": 2 })),
        node("top", "changing", &["src"], json!({ "parallelism": 3 })),
        node("latest", "upserting", &["src"], json!({ "parallelism": 3 })),
        node("as_many", "any", &["top", "src"], json!({ "parallelism": 3 })),
        node("fewer", "any", &["latest"], json!({ "parallelism": 2 })),
        node("chained", "any", &["latest"], json!({})),
    ];
    let plan = cut(nodes, 7);
    let into = |id: &str| plan.exchanges.iter().filter(|it| it.to.as_str() == id).map(|it| it.kind.clone()).collect::<Vec<_>>();
    let by = |columns: &[&str]| ExchangeKind::Hash { columns: columns.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(into("as_many"), [by(&["k", "t", "ms", "ok"]), ExchangeKind::Rebalance]);
    assert_eq!(into("fewer"), [by(&["k"])]);
    assert_eq!(into("chained"), [], "within a task nothing overtakes");
}
