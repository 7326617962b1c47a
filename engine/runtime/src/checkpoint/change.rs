//! What a changed pipeline keeps of its state, node by node: a pure comparison of what nodes meant at an epoch and mean now.
//!
//! State belongs to a node's name, or to the one that it was `renamed_from`. Offsets and state are kept where the node's meaning is the same;
//! what cannot be kept is listed, and given up only if that is allowed.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::id::MAIN_PORT;
use millrace_model::{NodeDecl, NodeId};
use millrace_plan::BoundNode;
use millrace_state::checkpoint::Meaning;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

/// Fields that neither state nor rows depend on: how fast it goes, as how many tasks, how it is drawn.
const PACE: [&str; 5] = ["parallelism", "rate", "replay", "plot", "renamed_from"];

/// Fields of a source that leave its offsets what they are.
const HARMLESS_AT_SOURCE: [&str; 7] = ["max_delay", "max_ahead", "idle_after", "on_error", "schema", "max_record", "every"];

/// Fields of a sink that leave what it wrote what it is.
const HARMLESS_AT_SINK: [&str; 3] = ["on_error", "input", COLUMNS];

/// Of a sink: what reaches it, beside the fields of its declaration. No field of a kind has such a name.
const COLUMNS: &str = "columns of the input";

/// What a kind's state is, for the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Offsets.
    Source,
    /// State, if it wrote any. `may_extend`: whether aggregates added at the end begin empty beside the others.
    Operator { may_extend: bool },
    /// What it has prepared, and what it showed with the epochs. `may_widen`: whether rows of other columns may follow there.
    Sink { may_widen: bool },
    /// Rows that it showed as they came.
    Nothing,
}

/// What becomes of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carry {
    /// By the node now: whose state it takes over.
    pub from: BTreeMap<NodeId, NodeId>,
    /// What cannot be kept, and why, in words.
    pub losses: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// What a node means, as hashes: a manifest is no place for values, which may be secrets.
pub fn meaning(node: &BoundNode) -> Meaning {
    let mut meaning = declared(&node.decl);
    if node.outputs.iter().all(|port| port.name != MAIN_PORT) {
        let columns = node.inputs.iter().flat_map(|input| &input.schema.fields);
        let columns: Vec<_> = columns.map(|field| json!([field.name, field.data_type.name()])).collect();
        meaning.fields.insert(COLUMNS.to_owned(), hash(&json!(columns)));
    }
    meaning
}

fn declared(node: &NodeDecl) -> Meaning {
    let mut spec = node.spec.clone();
    let mut fields = BTreeMap::new();
    let mut aggregates = Vec::new();
    if let Value::Object(all) = &mut spec {
        all.sort_keys();
        for (name, value) in all.iter().filter(|(name, _)| !PACE.contains(&name.as_str())) {
            match value {
                Value::Object(calls) if name == "aggregate" => {
                    let original = node.spec.get("aggregate").and_then(Value::as_object).unwrap_or(calls);
                    aggregates.extend(original.iter().map(|(name, call)| (name.clone(), hash(call))));
                }
                _ => drop(fields.insert(name.clone(), hash(value))),
            }
        }
    }
    let inputs: Vec<_> = node.inputs.iter().map(|input| json!([input.name, input.from.to_string()])).collect();
    let others = [
        ("input", json!(inputs)),
        ("event_time", json!(node.source.event_time)),
        ("max_delay", json!(node.source.max_delay)),
        ("max_ahead", json!(node.source.max_ahead)),
        ("time_zone", json!(node.source.time_zone)),
        ("on_error", json!(node.common.on_error)),
    ];
    let is_set = |value: &Value| !value.is_null() && *value != json!([]);
    fields.extend(others.iter().filter(|(_, value)| is_set(value)).map(|(name, value)| ((*name).to_owned(), hash(value))));
    Meaning { kind: node.kind.clone(), fields, aggregates }
}

fn hash(value: &Value) -> u64 {
    xxh3_64(value.to_string().as_bytes())
}

/// A node as it is now.
pub struct Now<'a> {
    pub node: &'a NodeDecl,
    pub meaning: Meaning,
    pub holds: Holds,
}

/// Compares. `wrote`: the nodes whose operators had written state.
pub fn carry(
    now: &[Now<'_>],
    then: &BTreeMap<NodeId, Meaning>,
    held_then: &dyn Fn(&str) -> Holds,
    wrote: &dyn Fn(&NodeId) -> bool,
) -> Carry {
    let mut carry = Carry::default();
    let mut taken = BTreeSet::new();
    for Now { node, meaning, holds } in now {
        let former = [Some(node.id.clone()), node.common.renamed_from.as_deref().map(NodeId::new)];
        let Some((former, before)) = former.into_iter().flatten().find_map(|id| Some((id.clone(), then.get(&id)?))) else { continue };
        taken.insert(former.clone());
        match lost(before, meaning, *holds, wrote(&former)) {
            Kept::All => drop(carry.from.insert(node.id.clone(), former)),
            Kept::WithNew(names) => {
                carry.notes.push(format!("`{}`: {} begins empty, and counts what comes from here on", node.id, names.join(", ")));
                carry.from.insert(node.id.clone(), former);
            }
            Kept::Not(why) => carry.losses.push(format!("`{}`: {why}", node.id)),
        }
    }
    for (id, meaning) in then.iter().filter(|(id, _)| !taken.contains(*id)) {
        match held_then(&meaning.kind) {
            Holds::Source => carry.losses.push(format!("`{id}` is gone, and with it how far it was read")),
            Holds::Operator { .. } if wrote(id) => carry.losses.push(format!("`{id}` is gone, and its state with it")),
            Holds::Sink { .. } => carry.losses.push(format!("`{id}` is gone: rows of it that are not visible yet never will be")),
            Holds::Operator { .. } | Holds::Nothing => {}
        }
    }
    carry
}

enum Kept {
    All,
    WithNew(Vec<String>),
    Not(String),
}

fn lost(before: &Meaning, now: &Meaning, holds: Holds, wrote: bool) -> Kept {
    let holds_nothing = matches!(holds, Holds::Nothing) || matches!(holds, Holds::Operator { .. }) && !wrote;
    if before == now || holds_nothing && before.kind == now.kind {
        return Kept::All;
    }
    if before.kind != now.kind {
        return Kept::Not(format!("it was a {}, and is a {} now", before.kind, now.kind));
    }
    let names: BTreeSet<&String> = before.fields.keys().chain(now.fields.keys()).collect();
    let changed = names.into_iter().filter(|name| before.fields.get(*name) != now.fields.get(*name));
    match holds {
        Holds::Source => match unharmed(changed, &HARMLESS_AT_SOURCE) {
            None => Kept::All,
            Some(fields) => Kept::Not(format!("{fields} changed, so that it is read from its beginning")),
        },
        Holds::Sink { may_widen: false } if before.fields.get(COLUMNS) != now.fields.get(COLUMNS) => {
            Kept::Not("its columns changed, and what it wrote up to here has the others".to_owned())
        }
        Holds::Sink { .. } => match unharmed(changed, &HARMLESS_AT_SINK) {
            None => Kept::All,
            Some(fields) => Kept::Not(format!("{fields} changed: rows up to here stay where they were, and what was not visible is lost")),
        },
        Holds::Operator { may_extend } => match unharmed(changed, &["on_error", "input"]) {
            None => aggregates(before, now, may_extend),
            Some(fields) => Kept::Not(format!("{fields} changed, and its state is of what was there before")),
        },
        Holds::Nothing => Kept::All,
    }
}

/// The changed fields that are not harmless, in words.
fn unharmed<'a>(changed: impl Iterator<Item = &'a String>, harmless: &[&str]) -> Option<String> {
    let names: Vec<String> = changed.filter(|name| !harmless.contains(&name.as_str())).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn aggregates(before: &Meaning, now: &Meaning, may_extend: bool) -> Kept {
    if before.aggregates == now.aggregates {
        return Kept::All;
    }
    match now.aggregates.strip_prefix(before.aggregates.as_slice()) {
        Some(new) if may_extend && !before.aggregates.is_empty() => {
            Kept::WithNew(new.iter().map(|(name, _)| format!("aggregate `{name}`")).collect())
        }
        _ => Kept::Not("its aggregates changed other than by new ones at the end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, kind: &str, input: &str, spec: Value) -> NodeDecl {
        let from = millrace_model::PortRef { node: NodeId::new(input), port: "out".to_owned() };
        let inputs = if input.is_empty() { Vec::new() } else { vec![millrace_model::InputDecl { name: None, from, span: None }] };
        NodeDecl {
            id: NodeId::new(id),
            kind: kind.to_owned(),
            inputs,
            spec,
            common: Default::default(),
            source: Default::default(),
            sink: Default::default(),
            spans: BTreeMap::new(),
        }
    }

    fn holds(kind: &str) -> Holds {
        match kind {
            "file" => Holds::Source,
            "file_sink" => Holds::Sink { may_widen: true },
            "dashboard" => Holds::Nothing,
            other => Holds::Operator { may_extend: other == "tumbling_window" },
        }
    }

    fn flights() -> Vec<NodeDecl> {
        vec![
            node("flights", "file", "", json!({ "path": "data/flights.parquet" })),
            node("flown", "filter", "flights", json!({ "where": "dep_delay IS NOT NULL" })),
            node("hourly", "tumbling_window", "flown", json!({ "size": "1h", "by": ["origin"], "aggregate": { "n": "count(*)" } })),
            node("chart", "dashboard", "hourly", json!({ "plot": { "x": "a" } })),
            node("out", "file_sink", "hourly", json!({ "path": "out/" })),
        ]
    }

    fn changed(change: impl FnOnce(&mut Vec<NodeDecl>)) -> Carry {
        let then = flights().iter().map(|node| (node.id.clone(), declared(node))).collect();
        let mut now = flights();
        change(&mut now);
        let now: Vec<Now<'_>> = now.iter().map(|node| Now { node, meaning: declared(node), holds: holds(&node.kind) }).collect();
        carry(&now, &then, &holds, &|id| id.as_str() == "hourly")
    }

    #[test]
    fn the_same_pipeline_keeps_all_and_so_do_changes_that_no_state_hangs_on() {
        let same = changed(|_| {});
        assert_eq!((same.from.len(), same.losses, same.notes), (5, vec![], vec![]));
        let harmless = changed(|nodes| {
            nodes[0].spec["parallelism"] = json!(3);
            nodes[1].spec["where"] = json!("dep_delay > 0");
            nodes[3].spec["plot"] = json!({ "x": "b" });
            nodes.push(node("more", "file_sink", "flown", json!({ "path": "more/" })));
        });
        assert_eq!((harmless.from.len(), harmless.losses), (5, vec![]));
    }

    #[test]
    fn what_cannot_be_kept_is_listed_with_the_reason() {
        let carry = changed(|nodes| {
            nodes[2].spec["by"] = json!(["dest"]);
            nodes[0].spec["path"] = json!("data/other.parquet");
            nodes.truncate(4);
        });
        assert_eq!(
            carry.losses,
            [
                "`flights`: `path` changed, so that it is read from its beginning",
                "`hourly`: `by` changed, and its state is of what was there before",
                "`out` is gone: rows of it that are not visible yet never will be",
            ]
        );
        assert!(!carry.from.contains_key(&NodeId::new("hourly")));
    }

    #[test]
    fn an_aggregate_at_the_end_begins_empty_and_any_other_change_of_them_loses_the_state() {
        let added = changed(|nodes| nodes[2].spec["aggregate"] = json!({ "n": "count(*)", "mean": "avg(dep_delay)" }));
        assert_eq!(added.notes, ["`hourly`: aggregate `mean` begins empty, and counts what comes from here on"]);
        assert_eq!((added.losses.len(), added.from.len()), (0, 5));
        let other = changed(|nodes| nodes[2].spec["aggregate"] = json!({ "mean": "avg(dep_delay)", "n": "count(*)" }));
        assert_eq!(other.losses, ["`hourly`: its aggregates changed other than by new ones at the end"]);
    }

    #[test]
    fn a_node_that_was_renamed_takes_its_state_along() {
        let carry = changed(|nodes| {
            nodes[2].id = NodeId::new("by_hour");
            nodes[2].common.renamed_from = Some("hourly".to_owned());
        });
        assert_eq!(carry.from.get(&NodeId::new("by_hour")), Some(&NodeId::new("hourly")));
        assert_eq!(carry.losses, Vec::<String>::new());
    }
}
