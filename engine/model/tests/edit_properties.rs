//! Whatever is edited: what was not meant stays.

mod common;

use common::{COMMENTED, catalog};
use millrace_model::file::{Edit, Edited, PastePlace, edit, graph};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Comments that belong to no node or field.
const SECTIONS: [&str; 5] = ["# Departures, by hour.", "# ---- sources ----", "# ---- shape ----", "# ---- sinks ----", "# the end"];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["flights", "flown", "hourly", "both", "joined", "filter", "x"]).prop_map(str::to_owned)
}

fn port() -> impl Strategy<Value = String> {
    (name(), prop::sample::select(vec!["", ".late", ".quarantined"])).prop_map(|(name, port)| name + port)
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let part =
        prop::sample::select(vec!["where", "by", "aggregate", "mean_delay", "departures", "replay", "speed", "path", "new name", "on"]);
    prop::collection::vec(part.prop_map(str::to_owned), 1..3)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "\\PC{0,12}|[a-z'\"\n\\\\#]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone().prop_filter("a list has no nulls", |value| !value.is_null()), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z ]{1,6}", inner.prop_filter("a table has no nulls", |value| !value.is_null()), 0..3)
                .prop_map(|fields| json!(fields)),
        ]
    })
}

fn position() -> impl Strategy<Value = [f64; 2]> {
    [-900.0..900.0f64, -900.0..900.0f64]
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (name(), path(), value()).prop_map(|(node, path, value)| Edit::SetField { node, path, value }),
        (path(), value()).prop_map(|(path, value)| Edit::SetPipelineField { path, value }),
        prop::collection::vec(name(), 1..3).prop_map(|ids| Edit::RemoveNodes { ids }),
        (name(), name(), any::<bool>()).prop_map(|(from, to, keep_state)| Edit::RenameNode { from, to, keep_state }),
        (port(), name()).prop_map(|(from, to)| Edit::Connect { from, to, input: None }),
        (port(), name()).prop_map(|(from, to)| Edit::Disconnect { from, to, input: None }),
        (name(), position()).prop_map(|(name, position)| Edit::MoveNodes { positions: [(name, position)].into() }),
        (prop::collection::vec(name(), 1..3), position()).prop_map(|(ids, offset)| Edit::Duplicate { ids, offset }),
        (name(), value()).prop_map(|(node, above)| Edit::AddAlert {
            name: None,
            fields: [("figure".to_owned(), json!("late")), ("node".to_owned(), json!(node)), ("above".to_owned(), above)]
                .into_iter()
                .collect(),
        }),
        (path(), value()).prop_map(|(path, value)| Edit::SetAlertField { alert: "late".to_owned(), path, value }),
        Just(Edit::RenameAlert { from: "late".to_owned(), to: "late_2".to_owned() }),
        Just(Edit::RemoveAlert { alert: "late".to_owned() }),
        position().prop_map(|place| Edit::Paste { text: COMMENTED.to_owned(), place: PastePlace::At(place) }),
        (value(), position()).prop_map(|(value, position)| Edit::AddNode {
            id: None,
            kind: "filter".to_owned(),
            fields: [("where".to_owned(), value)].into_iter().collect(),
            inputs: Vec::new(),
            position: Some(position),
        }),
    ]
}

/// Lines that the edit says it left alone stand in the old text, in the old order.
fn keeps_the_rest(old: &str, edited: &Edited) {
    let is_changed = |line: u32| edited.changed_lines.iter().any(|range| range.contains(&line));
    let mut before = old.split_inclusive('\n');
    for (at, line) in edited.text.split_inclusive('\n').enumerate() {
        if !is_changed(at as u32 + 1) {
            assert!(before.any(|old| old == line), "line {} is not in the old text: {line:?}\n{}", at + 1, edited.text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn edits_leave_what_they_do_not_mean(edits in prop::collection::vec(any_edit(), 1..6), crlf in any::<bool>()) {
        let catalog = catalog();
        let mut text = if crlf { COMMENTED.replace('\n', "\r\n") } else { COMMENTED.to_owned() };
        for one in &edits {
            let Ok(edited) = edit(&text, one, &catalog) else { continue };
            keeps_the_rest(&text, &edited);
            prop_assert!(graph(&edited.text, &catalog).is_ok(), "{}", edited.text);
            for section in SECTIONS {
                prop_assert!(edited.text.contains(section), "{section} is gone after {one:?}\n{}", edited.text);
            }
            if matches!(one, Edit::SetField { .. } | Edit::SetPipelineField { .. } | Edit::MoveNodes { .. }) {
                let again = edit(&edited.text, one, &catalog).expect("the same again");
                prop_assert_eq!(&again.text, &edited.text);
            }
            text = edited.text;
        }
    }

    #[test]
    fn a_field_that_was_set_reads_back(path in path(), value in value()) {
        let catalog = catalog();
        let one = Edit::SetField { node: "flown".to_owned(), path: path.clone(), value: value.clone() };
        let Ok(edited) = edit(COMMENTED, &one, &catalog) else { return Ok(()) };
        let drawn = graph(&edited.text, &catalog).expect("TOML");
        let node = drawn.nodes.iter().find(|node| node.id.as_str() == "flown").expect("the node");
        let mut read = Some(&Value::Object(node.fields.clone())).cloned();
        for name in &path {
            read = read.and_then(|fields| fields.get(name).cloned());
        }
        // Line ends are one character in TOML.
        prop_assert_eq!(read.unwrap_or(Value::Null), value);
    }
}
