//! What differs between two pipelines in meaning: comments, order, spacing and layout do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml_edit::{Item, TableLike};

use super::lines::LineIndex;
use super::read::join;
use super::{raw, syntax};
use crate::diagnostic::Diagnostics;
use crate::id::NodeId;

/// One difference. Values are as written: a reference to the environment stays one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    NodeAdded {
        node: NodeId,
        kind: String,
    },
    NodeRemoved {
        node: NodeId,
        kind: String,
    },
    /// The new one says so by `renamed_from`, and takes over the state.
    NodeRenamed {
        from: NodeId,
        to: NodeId,
    },
    /// A field of a node, dotted; `old` or `new` is absent where the field is.
    FieldChanged {
        node: NodeId,
        field: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Value>,
    },
    /// A field of an alert, dotted; empty for the whole alert, which is new or gone.
    AlertChanged {
        alert: String,
        field: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Value>,
    },
    /// A field of the `[pipeline]` table.
    SettingChanged {
        field: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Value>,
    },
}

impl Change {
    /// The node that differs, by its new name.
    pub fn node(&self) -> Option<&NodeId> {
        match self {
            Change::NodeAdded { node, .. } | Change::NodeRemoved { node, .. } | Change::FieldChanged { node, .. } => Some(node),
            Change::NodeRenamed { to, .. } => Some(to),
            Change::AlertChanged { .. } | Change::SettingChanged { .. } => None,
        }
    }
}

/// In plain words, on one line.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, old, new) = match self {
            Change::NodeAdded { node, kind } => return write!(f, "{node}: new node ({kind})"),
            Change::NodeRemoved { node, kind } => return write!(f, "{node}: node removed ({kind})"),
            Change::NodeRenamed { from, to } => return write!(f, "{to}: renamed from {from}, keeps its state"),
            Change::FieldChanged { node, field, old, new } => (format!("{node}.{field}"), old, new),
            Change::AlertChanged { alert, field, new: Some(_), .. } if field.is_empty() => return write!(f, "alert.{alert}: new alert"),
            Change::AlertChanged { alert, field, .. } if field.is_empty() => return write!(f, "alert.{alert}: alert removed"),
            Change::AlertChanged { alert, field, old, new } => (format!("alert.{alert}.{field}"), old, new),
            Change::SettingChanged { field, old, new } => (format!("pipeline.{field}"), old, new),
        };
        match (old, new) {
            // Entries that differ are told one by one; what is left is their order, which two values cut short might not show.
            (Some(Value::Object(_)), Some(Value::Object(new))) => {
                write!(f, "{place}: now in the order {}", raw::cut(&new.keys().map(String::as_str).collect::<Vec<_>>().join(", ")))
            }
            (Some(old), Some(new)) => write!(f, "{place}: {} becomes {}", raw::show(old), raw::show(new)),
            (None, Some(new)) => write!(f, "{place}: set to {}", raw::show(new)),
            (Some(old), None) => write!(f, "{place}: removed, was {}", raw::show(old)),
            (None, None) => write!(f, "{place}: unchanged"),
        }
    }
}

/// The nodes that differ, by their new names: figures of the old version do not hold for them.
pub fn changed_nodes(changes: &[Change]) -> BTreeSet<NodeId> {
    changes.iter().filter_map(Change::node).cloned().collect()
}

/// Compares two texts. Fails only where one is not TOML.
pub fn diff(old: &str, new: &str) -> Result<Vec<Change>, Diagnostics> {
    let old = syntax::parse(old, &LineIndex::new(old))?;
    let new = syntax::parse(new, &LineIndex::new(new))?;
    let (old, new): (&dyn TableLike, &dyn TableLike) = (old.as_table(), new.as_table());
    let mut changes = Vec::new();
    fields(&settings(old), &settings(new), "", &mut |field, old, new| {
        if changes.len() < MAX_CHANGES {
            changes.push(Change::SettingChanged { field, old, new });
        }
    });
    alert_changes(&alerts(old), &alerts(new), &mut changes);
    let (old, new) = (raw::nodes(old), raw::nodes(new));
    let renames = renames(&old, &new);
    for (id, fields) in &new {
        node_changes(id, fields, &old, &renames, &mut changes);
    }
    for (id, fields) in &old {
        if !renames.contains_key(id) && find(&new, id).is_none() {
            changes.push(Change::NodeRemoved { node: id.clone(), kind: kind(fields) });
        }
    }
    Ok(changes)
}

/// Fields that differ beyond this are not told: nobody reads on, and memory is bounded.
const MAX_CHANGES: usize = 10_000;

type Nodes = [(NodeId, Map<String, Value>)];

fn settings(top: &dyn TableLike) -> Map<String, Value> {
    top.get("pipeline").and_then(Item::as_table_like).map(raw::table_to_json).unwrap_or_default()
}

fn alerts(top: &dyn TableLike) -> Map<String, Value> {
    top.get("alert").and_then(Item::as_table_like).map(raw::table_to_json).unwrap_or_default()
}

fn alert_changes(old: &Map<String, Value>, new: &Map<String, Value>, changes: &mut Vec<Change>) {
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, value)| (name, Some(value), None));
    for (alert, before, after) in new.iter().map(|(name, value)| (name, old.get(name), Some(value))).chain(gone) {
        let mut tell = |field: String, old: Option<Value>, new: Option<Value>| {
            if changes.len() < MAX_CHANGES {
                changes.push(Change::AlertChanged { alert: alert.clone(), field, old, new });
            }
        };
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => fields(before, after, "", &mut tell),
            _ if before == after => {}
            _ => tell(String::new(), before.cloned(), after.cloned()),
        }
    }
}

fn find<'a>(nodes: &'a Nodes, id: &NodeId) -> Option<&'a Map<String, Value>> {
    nodes.iter().find(|(name, _)| name == id).map(|(_, fields)| fields)
}

fn kind(fields: &Map<String, Value>) -> String {
    fields.get("kind").and_then(Value::as_str).unwrap_or("no kind").to_owned()
}

/// From old to new names, where the new node says so, the old name is gone, and nobody else took it over.
fn renames(old: &Nodes, new: &Nodes) -> BTreeMap<NodeId, NodeId> {
    let mut renames = BTreeMap::new();
    for (id, fields) in new.iter().filter(|(id, _)| find(old, id).is_none()) {
        let Some(from) = fields.get("renamed_from").and_then(Value::as_str).map(NodeId::new) else { continue };
        if find(old, &from).is_some() && find(new, &from).is_none() {
            renames.entry(from).or_insert_with(|| id.clone());
        }
    }
    renames
}

fn node_changes(id: &NodeId, new: &Map<String, Value>, all_old: &Nodes, renames: &BTreeMap<NodeId, NodeId>, changes: &mut Vec<Change>) {
    let from = renames.iter().find(|(_, to)| *to == id).map(|(from, _)| from);
    let Some(old) = find(all_old, from.unwrap_or(id)) else {
        changes.push(Change::NodeAdded { node: id.clone(), kind: kind(new) });
        return;
    };
    let (mut old, mut new) = (old.clone(), new.clone());
    if let Some(from) = from {
        changes.push(Change::NodeRenamed { from: from.clone(), to: id.clone() });
        old.shift_remove("renamed_from");
        new.shift_remove("renamed_from");
    }
    // An input is the port that it names, in whatever shape, and under the name that the port's node has now.
    let mut read = raw::inputs(old.get("input"));
    for input in &mut read {
        if let Some(to) = renames.get(&input.from.node) {
            input.from.node = to.clone();
        }
    }
    if read == raw::inputs(new.get("input")) && !read.is_empty() {
        old.shift_remove("input");
        new.shift_remove("input");
    }
    fields(&old, &new, "", &mut |field, old, new| {
        if changes.len() < MAX_CHANGES {
            changes.push(Change::FieldChanged { node: id.clone(), field, old, new });
        }
    });
}

/// Tells every field that differs, down to the innermost tables.
fn fields(old: &Map<String, Value>, new: &Map<String, Value>, under: &str, tell: &mut dyn FnMut(String, Option<Value>, Option<Value>)) {
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, value)| (name, Some(value), None));
    let there: Vec<_> = new.iter().map(|(name, value)| (name, old.get(name), Some(value))).chain(gone).collect();
    for (name, before, after) in there {
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                fields(before, after, &join(under, name), tell);
                // The order of aggregates is that of the columns they make.
                if before == after && !before.keys().eq(after.keys()) {
                    tell(join(under, name), Some(Value::Object(before.clone())), Some(Value::Object(after.clone())));
                }
            }
            _ if before == after => {}
            _ => tell(join(under, name), before.cloned(), after.cloned()),
        }
    }
}
