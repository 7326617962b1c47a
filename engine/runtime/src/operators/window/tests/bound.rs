//! What planning says to a window.

use std::sync::Arc;

use millrace_model::{ChangeMode, DataType, Diagnostics, Field, Schema};
use millrace_plan::{BindInput, Distribution, InputPort, Kind};
use serde_json::{Value, json};

use super::super::TumblingWindow;
use super::{bind, node};

fn flights() -> Schema {
    Schema::new(vec![
        Field::new("origin", DataType::Varchar),
        Field::new("dep_delay", DataType::Integer),
        Field::new("window_start", DataType::Timestamp),
    ])
}

/// Code, field, message and nearest name of each finding.
fn findings(spec: Value) -> Vec<(String, String, Option<String>)> {
    let (_, found) = bind(spec, flights());
    let told = |finding: millrace_model::Diagnostic| (finding.code.into_owned(), finding.field.unwrap_or_default(), finding.nearest);
    found.items.into_iter().map(told).collect()
}

#[test]
fn the_output_is_the_window_then_the_keys_then_the_aggregates_in_the_files_order() {
    let (bound, found) = bind(
        json!({ "size": "1h", "by": ["origin"], "aggregate": { "z": "count(*)", "a": "avg(dep_delay)", "m": "max(dep_delay)" } }),
        flights(),
    );
    assert!(found.is_empty());
    let bound = bound.unwrap();
    let columns: Vec<(String, DataType)> =
        bound.outputs[0].schema.fields.iter().map(|field| (field.name.clone(), field.data_type)).collect();
    let expected = [
        ("window_start", DataType::Timestamp),
        ("window_end", DataType::Timestamp),
        ("window_time", DataType::Timestamp),
        ("origin", DataType::Varchar),
        ("z", DataType::BigInt),
        ("a", DataType::Double),
        ("m", DataType::Integer),
    ];
    assert_eq!(columns, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    assert_eq!(bound.outputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>(), ["out", "late", "quarantined"]);
    assert_eq!(*bound.outputs[1].schema, flights());
    assert_eq!(bound.distribution, Distribution::ByKey(vec!["origin".to_owned()]));
}

#[test]
fn a_window_without_keys_runs_in_one_task() {
    let (bound, _) = bind(json!({ "size": "1h", "aggregate": { "n": "count(*)" } }), flights());
    assert_eq!(bound.unwrap().distribution, Distribution::Single);
}

#[test]
fn everything_wrong_is_found_at_once() {
    let spec = json!({
        "size": "0s", "time_zone": "America/NewYork", "by": ["orign", "origin", "origin", "window_start"],
        "aggregate": { "origin": "count(*)", "__n": "count(*)", "window_end": "count(*)", "x": "avg(dep_dely)", "y": "avg(origin)" },
    });
    let found = findings(spec);
    let expected = [
        ("MR0327", "time_zone", Some("America/New_York")),
        ("MR0321", "size", None),
        ("MR0322", "by.0", Some("origin")),
        ("MR0309", "by.2", None),
        ("MR0309", "by.3", None),
        ("MR0309", "aggregate.origin", None),
        ("MR0308", "aggregate.__n", None),
        ("MR0308", "aggregate.window_end", None),
        ("MR0202", "aggregate.x", Some("dep_delay")),
        ("MR0204", "aggregate.y", None),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(c, f, n)| (c.to_owned(), f.to_owned(), n.map(str::to_owned))).collect();
    assert_eq!(found, expected);
}

#[test]
fn rows_without_an_event_time_are_refused_with_the_way_out() {
    let decl = node(json!({ "size": "1h", "aggregate": { "n": "count(*)" } }));
    let inputs = [InputPort { schema: Arc::new(flights()), mode: ChangeMode::Append, has_event_time: false }];
    let mut found = Diagnostics::default();
    TumblingWindow::default().bind(&BindInput { node: &decl, inputs: &inputs, discovered: None }, &mut found);
    let finding = &found.items[0];
    assert_eq!(finding.code, "MR0320");
    assert!(finding.help.as_deref().unwrap_or_default().contains("event_time"));
}

#[test]
fn an_emission_that_is_not_known_is_refused() {
    for emit in [json!("on_tuesday"), json!({ "evry": "5s" })] {
        let (bound, found) = bind(json!({ "size": "1h", "aggregate": { "n": "count(*)" }, "emit": emit }), flights());
        assert!(bound.is_none() && found.has_errors());
    }
    let schema = (TumblingWindow::default().info().schema)();
    assert!(schema["properties"]["emit"].to_string().contains("on_close"), "{schema}");
}

#[test]
fn sizes_that_do_not_fit_a_calendar_are_refused() {
    let found = |size: &str, offset: &str| {
        let spec = json!({ "size": size, "offset": offset, "time_zone": "Europe/Berlin", "aggregate": { "n": "count(*)" } });
        findings(spec).into_iter().map(|(code, field, _)| (code, field)).collect::<Vec<_>>()
    };
    let finding = |code: &str, field: &str| vec![(code.to_owned(), field.to_owned())];
    for size in ["1d", "7d", "6h", "15m", "1mo", "1y"] {
        assert_eq!(found(size, "1h"), [], "{size}");
    }
    assert_eq!(found("5h", "0s"), finding("MR0323", "size"));
    assert_eq!(found("36h", "0s"), finding("MR0323", "size"));
    assert_eq!(found("0mo", "0s"), finding("MR0321", "size"));
    assert_eq!(found("1mo", "28d"), finding("MR0323", "offset"));
}
