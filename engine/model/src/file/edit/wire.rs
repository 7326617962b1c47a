//! Edges drawn and taken away: the `input` of the node that reads.

use serde_json::{Map, Value};
use toml_edit::Item;

use super::tree::Tree;
use super::{refuse, value};
use crate::catalog::{Catalog, Inputs};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::file::raw;
use crate::id::PortRef;

/// Lets `to` read `from`, in the shape that its kind wants.
pub fn connect(tree: &mut Tree, from: &str, to: &str, name: Option<&str>, catalog: &Catalog) -> Result<(), Diagnostic> {
    let port = PortRef::parse(from);
    tree.must_have(to)?;
    tree.must_have(port.node.as_str())?;
    if port.node.as_str() == to {
        return Err(refuse(format!("`{to}` cannot read itself")));
    }
    let node = tree.node(to);
    let kind = node.and_then(|node| node.get("kind")).and_then(Item::as_str).unwrap_or_default();
    let old = node.and_then(|node| node.get("input")).map(raw::item_to_json);
    if old.as_ref().is_some_and(|old| raw::inputs(Some(old)).iter().any(|input| input.from == port && input.name.as_deref() == name)) {
        return Ok(());
    }
    let port = Value::String(port.to_string());
    let new = match (catalog.get(kind).map(|kind| kind.inputs), name) {
        (Some(Inputs::None), _) => {
            return Err(Diagnostic::error(codes::INPUT_TO_SOURCE, format!("`{to}` is a source and reads no other node")));
        }
        (Some(Inputs::One), _) => port,
        (Some(Inputs::Many), _) => appended(old, port),
        (Some(Inputs::Named(names)), _) => named(old, port, name, names, to)?,
        (None, Some(_)) => named(old, port, name, &[], to)?,
        (None, None) if matches!(old, Some(Value::Array(_))) => appended(old, port),
        (None, None) => port,
    };
    value::set(tree.node_mut(to)?, &["input".to_owned()], &new).map(drop)
}

fn appended(old: Option<Value>, port: Value) -> Value {
    let mut items = match old {
        Some(Value::Array(items)) => items,
        Some(Value::String(one)) => vec![Value::String(one)],
        _ => Vec::new(),
    };
    items.push(port);
    Value::Array(items)
}

/// Sets one of the named inputs: the one asked for, else the first that is free. An empty list of names takes any name.
fn named(old: Option<Value>, port: Value, name: Option<&str>, names: &[&str], to: &str) -> Result<Value, Diagnostic> {
    let mut fields = match old {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let free = || names.iter().copied().find(|name| !fields.contains_key(*name));
    let Some(name) = name.or_else(free) else {
        return Err(refuse(format!("every input of `{to}` is taken")).help("say which input is to be replaced"));
    };
    if !names.is_empty() && !names.contains(&name) {
        return Err(refuse(format!("`{to}` has no input `{name}`")).expected(names.join(", ")).nearest_of(name, names.iter().copied()));
    }
    fields.insert(name.to_owned(), port);
    let mut ordered = Map::new();
    for name in names {
        if let Some(port) = fields.shift_remove(*name) {
            ordered.insert((*name).to_owned(), port);
        }
    }
    ordered.extend(fields);
    Ok(Value::Object(ordered))
}

/// Takes the edge away, and `input` with it if none is left.
pub fn disconnect(tree: &mut Tree, from: &str, to: &str, name: Option<&str>) -> Result<(), Diagnostic> {
    let port = PortRef::parse(from);
    let node = tree.node_mut(to)?;
    rewrite(node, &|input, other| {
        let is_meant = *other == port && (name.is_none() || input == name);
        (!is_meant).then(|| other.clone())
    });
    Ok(())
}

/// Rewrites every input of every node, or drops it.
pub fn rewrite_all(tree: &mut Tree, change: &dyn Fn(&PortRef) -> Option<PortRef>) -> Result<(), Diagnostic> {
    for id in tree.names().iter().filter(|id| tree.has(id)).cloned().collect::<Vec<_>>() {
        rewrite(tree.node_mut(&id)?, &|_, port| change(port));
    }
    Ok(())
}

/// Rewrites the inputs of one node; `change` is told the input's name and port, and gives none to drop it.
pub fn rewrite(node: &mut Item, change: &dyn Fn(Option<&str>, &PortRef) -> Option<PortRef>) {
    let Some(old) = node.as_table_like().and_then(|table| table.get("input")).map(raw::item_to_json) else { return };
    let one = |name: Option<&str>, text: &Value| match text.as_str() {
        // What is no reference is left as it stands.
        None => Some(text.clone()),
        Some(text) => {
            let port = PortRef::parse(text);
            change(name, &port).map(|new| Value::String(if new == port { text.to_owned() } else { new.to_string() }))
        }
    };
    let new = match &old {
        Value::Array(items) => Value::Array(items.iter().filter_map(|item| one(None, item)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().filter_map(|(name, item)| one(Some(name), item).map(|item| (name.clone(), item))).collect())
        }
        other => one(None, other).unwrap_or(Value::Null),
    };
    let is_empty = new.as_array().is_some_and(Vec::is_empty) || new.as_object().is_some_and(Map::is_empty);
    if new != old {
        // `input` is there and `new` is of its shape, so that setting it cannot fail.
        let _ = value::set(node, &["input".to_owned()], if is_empty { &Value::Null } else { &new });
    }
}
