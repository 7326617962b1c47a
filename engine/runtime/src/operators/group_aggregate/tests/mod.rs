//! What planning says to an `aggregate`, and to the nodes that rows which change go through.

use std::sync::Arc;

use millrace_model::{ChangeMode, DataType, Diagnostics, Field, InputDecl, NodeDecl, NodeId, OP_COLUMN, PortRef, Schema};
use millrace_plan::{BindInput, Bound, Distribution, InputPort};
use serde_json::{Value, json};

use crate::operator::OperatorFactory;
use crate::operators::all;
use crate::registry::Entry;

fn factory(kind: &str) -> Arc<dyn OperatorFactory> {
    let factories = all().into_iter().filter_map(|entry| if let Entry::Operator(factory) = entry { Some(factory) } else { None });
    factories.into_iter().find(|factory| factory.info().name == kind).unwrap()
}

fn port(mode: ChangeMode, has_event_time: bool) -> InputPort {
    let fields = [("k", DataType::BigInt), ("v", DataType::Varchar), ("u", DataType::UBigInt), ("f", DataType::Double)];
    let mut fields: Vec<Field> = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type)).collect();
    if mode.has_op() {
        fields.push(Field::required(OP_COLUMN, DataType::Varchar));
    }
    InputPort { schema: Arc::new(Schema::new(fields)), mode, has_event_time }
}

fn upsert(key: &[&str]) -> ChangeMode {
    ChangeMode::Upsert { key: key.iter().map(|name| (*name).to_owned()).collect() }
}

fn bind_to(kind: &str, spec: Value, ports: &[InputPort]) -> (Option<Bound>, Diagnostics) {
    let inputs = (0..ports.len()).map(|at| InputDecl { name: None, from: PortRef::parse(&format!("in{at}")), span: None });
    let node = NodeDecl {
        id: NodeId::new("n"),
        kind: kind.to_owned(),
        inputs: inputs.collect(),
        common: Default::default(),
        spec,
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    };
    let mut found = Diagnostics::default();
    let bound = factory(kind).bind(&BindInput { node: &node, inputs: ports, discovered: None }, &mut found);
    (bound, found)
}

fn codes(kind: &str, spec: Value, ports: &[InputPort]) -> Vec<(String, String)> {
    let (_, found) = bind_to(kind, spec, ports);
    found.items.into_iter().map(|it| (it.code.into_owned(), it.field.unwrap_or_default())).collect()
}

fn one(code: &str, field: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), field.to_owned())]
}

#[test]
fn an_aggregate_gives_keys_aggregates_and_what_each_row_does_and_upserts_by_the_keys() {
    let spec = json!({ "by": ["v", "k"], "aggregate": { "z": "count(*)", "a": "avg(f)" } });
    let (bound, found) = bind_to("aggregate", spec, &[port(ChangeMode::Append, true)]);
    assert!(found.is_empty(), "{found:?}");
    let bound = bound.unwrap();
    assert_eq!(bound.outputs[0].schema.names().collect::<Vec<_>>(), ["v", "k", "z", "a", "__op"]);
    assert_eq!(bound.outputs[0].mode, upsert(&["v", "k"]));
    assert_eq!(bound.distribution, Distribution::ByKey(vec!["v".to_owned(), "k".to_owned()]));
}

#[test]
fn rows_that_replace_each_other_are_spread_by_columns_of_their_key_alone() {
    let distribution = |by: Value| {
        let spec = json!({ "by": by, "aggregate": { "n": "count(*)" } });
        bind_to("aggregate", spec, &[port(upsert(&["k", "v"]), false)]).0.unwrap().distribution
    };
    assert_eq!(distribution(json!(["v"])), Distribution::ByKey(vec!["v".to_owned()]));
    assert_eq!(distribution(json!(["v", "f"])), Distribution::Single, "a row may leave its group for another task's");
    assert_eq!(distribution(json!([])), Distribution::Single);
}

#[test]
fn an_aggregate_that_cannot_take_back_is_refused_over_rows_that_change() {
    for mode in [ChangeMode::Retract, upsert(&["k"])] {
        for call in ["first(k)", "last(v)", "sum(DISTINCT k)"] {
            let spec = json!({ "by": ["v"], "aggregate": { "a": call } });
            assert_eq!(codes("aggregate", spec, &[port(mode.clone(), true)]), one("MR0330", "aggregate.a"), "{call}");
        }
        for call in ["count(*)", "sum(f)", "avg(k)", "min(v)", "max(u)", "mode(v)", "median(f)", "arg_min(v, k)", "count_distinct(f)"] {
            let spec = json!({ "by": ["v"], "aggregate": { "a": call } });
            assert_eq!(codes("aggregate", spec, &[port(mode.clone(), true)]), [], "{call}");
        }
    }
}

#[test]
fn what_goes_by_event_time_is_refused_without_one() {
    let plain = [port(ChangeMode::Append, false)];
    let spec = |more: Value| {
        let mut spec = json!({ "aggregate": { "a": "count(*)" } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    assert_eq!(codes("aggregate", json!({ "aggregate": { "a": "last(v)" } }), &plain), one("MR0320", "aggregate.a"));
    assert_eq!(codes("aggregate", spec(json!({ "ttl": "1h" })), &plain), one("MR0320", "ttl"));
    assert_eq!(codes("aggregate", spec(json!({ "ttl": "1h" })), &[port(ChangeMode::Append, true)]), []);
    assert_eq!(codes("aggregate", spec(json!({ "ttl": "0s" })), &[port(ChangeMode::Append, true)]), one("MR0331", "ttl"));
    assert_eq!(codes("aggregate", spec(json!({ "ttl": "1h" })), &[port(ChangeMode::Retract, true)]), one("MR0331", "ttl"));
}

#[test]
fn no_expression_reads_what_a_row_does() {
    let changing = [port(ChangeMode::Retract, true)];
    assert_eq!(codes("filter", json!({ "where": "__op = '+I'" }), &changing).len(), 1);
    assert_eq!(codes("aggregate", json!({ "by": ["__op"], "aggregate": { "n": "count(*)" } }), &changing), one("MR0322", "by.0"));
    let (bound, found) = bind_to("select", json!({ "columns": ["v"] }), &changing);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(bound.unwrap().outputs[0].schema.names().collect::<Vec<_>>(), ["v", "__op"]);
    let (bound, _) = bind_to("derive", json!({ "columns": { "w": "k + 1" } }), &changing);
    assert_eq!(bound.unwrap().outputs[0].schema.names().collect::<Vec<_>>(), ["k", "v", "u", "f", "w", "__op"]);
}

#[test]
fn rows_that_replace_each_other_are_filtered_by_their_key_and_keep_it() {
    let by_k = [port(upsert(&["k"]), true)];
    assert_eq!(codes("filter", json!({ "where": "k > 3" }), &by_k), []);
    assert_eq!(codes("filter", json!({ "where": "k > 3 AND f > 1" }), &by_k), one("MR0334", "where"));
    assert_eq!(codes("filter", json!({ "where": "f > 1" }), &[port(ChangeMode::Retract, true)]), []);
    assert_eq!(codes("select", json!({ "columns": ["v", "k + 1 AS k"] }), &by_k), one("MR0335", "columns"));
    let (bound, _) = bind_to("select", json!({ "columns": ["v", "k AS id"] }), &by_k);
    assert_eq!(bound.unwrap().outputs[0].mode, upsert(&["id"]));
}

#[test]
fn a_union_says_which_inputs_do_not_match_and_how() {
    let other = |name: &str, data_type, mode: ChangeMode| {
        let mut port = port(mode, true);
        let fields = port.schema.fields.iter().map(|field| if field.name == "u" { Field::new(name, data_type) } else { field.clone() });
        port.schema = Arc::new(Schema::new(fields.collect()));
        port
    };
    let first = || port(ChangeMode::Append, true);
    let double = |code: &str| [one(code, "input.1"), one(code, "input.1")].concat();
    assert_eq!(codes("union", json!({}), &[first(), other("w", DataType::UBigInt, ChangeMode::Append)]), double("MR0332"));
    assert_eq!(codes("union", json!({}), &[first(), other("u", DataType::BigInt, ChangeMode::Append)]), one("MR0332", "input.1"));
    assert_eq!(codes("union", json!({}), &[first(), port(upsert(&["k"]), true)]), one("MR0333", "input.1"));
    let (bound, found) = bind_to("union", json!({}), &[first(), port(ChangeMode::Retract, true)]);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(bound.unwrap().outputs[0].mode, ChangeMode::Retract);
    let (bound, _) = bind_to("union", json!({}), &[first(), port(ChangeMode::Append, false)]);
    assert!(!bound.unwrap().outputs[0].has_event_time);
}
