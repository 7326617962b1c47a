//! Nodes added, removed, renamed and moved.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use toml_edit::{InlineTable, Item, Key, Table};

use super::tree::Tree;
use super::{refuse, value, wire};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::id::{MAX_NODE_NAME_BYTES, NodeId, PortRef};

/// A name near `wanted` that may stand as a node's and is not taken: `filter`, then `filter_2`, `filter_3`.
pub fn free_name(wanted: &str, is_taken: &dyn Fn(&str) -> bool) -> String {
    let clean = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-' { c } else { '_' };
    let mut name: String = wanted.to_lowercase().chars().map(clean).take(MAX_NODE_NAME_BYTES).collect();
    if name.is_empty() {
        name = "node".to_owned();
    }
    if !is_taken(&name) {
        return name;
    }
    let stem = match name.rsplit_once('_') {
        Some((stem, number)) if !stem.is_empty() && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) => stem,
        _ => &name,
    };
    let stem: String = stem.chars().take(MAX_NODE_NAME_BYTES - 12).collect();
    (2u64..).map(|number| format!("{stem}_{number}")).find(|name| !is_taken(name)).unwrap_or(name)
}

/// Adds a node that has a kind and nothing else yet.
pub fn add(tree: &mut Tree, id: Option<&str>, kind: &str) -> Result<String, Diagnostic> {
    let taken: BTreeSet<String> = tree.names().into_iter().collect();
    let id = match id {
        Some(id) => {
            check_new_name(tree, id)?;
            id.to_owned()
        }
        None => free_name(kind, &|name| taken.contains(name)),
    };
    insert(tree, &id, Table::from_iter([("kind", kind)]))?;
    Ok(id)
}

/// Puts a node's table after the others.
pub fn insert(tree: &mut Tree, id: &str, mut table: Table) -> Result<(), Diagnostic> {
    table.set_position(tree.position_for_node());
    match tree.nodes_mut()? {
        Item::Table(nodes) => {
            nodes.insert(id, Item::Table(table));
        }
        inline => value::insert(inline, id, toml_edit::Value::InlineTable(table.into_inline_table())),
    }
    Ok(())
}

/// Sets the fields of a node that was added, besides those that have edits of their own.
pub fn set_fields(tree: &mut Tree, id: &str, fields: &Map<String, Value>) -> Result<(), Diagnostic> {
    for (name, field) in fields.iter().filter(|(name, field)| *name != "kind" && *name != "input" && !field.is_null()) {
        value::set(tree.node_mut(id)?, std::slice::from_ref(name), field)?;
    }
    Ok(())
}

fn check_new_name(tree: &Tree, id: &str) -> Result<(), Diagnostic> {
    if !NodeId::check(id) {
        return Err(Diagnostic::error(codes::BAD_NODE_NAME, format!("`{id}` cannot be a node's name"))
            .expected(format!("letters a-z, digits, _ and -, at most {MAX_NODE_NAME_BYTES}")));
    }
    if tree.names().iter().any(|name| name == id) {
        return Err(Diagnostic::error(codes::TWICE, format!("there is a node `{id}` already")).help("choose another name"));
    }
    Ok(())
}

pub fn remove(tree: &mut Tree, ids: &[String]) -> Result<(), Diagnostic> {
    let gone: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    for id in &gone {
        tree.must_have(id)?;
    }
    for id in &gone {
        let position = tree.position(id);
        let orphan = value::take(tree.nodes_mut()?, id);
        tree.rehome(orphan, position);
        if let Some(layout) = tree.existing_layout_mut() {
            value::take(layout, id);
        }
    }
    wire::rewrite_all(tree, &|port| (!gone.contains(port.node.as_str())).then(|| port.clone()))
}

pub fn rename(tree: &mut Tree, from: &str, to: &str, keep_state: bool) -> Result<(), Diagnostic> {
    tree.must_have(from)?;
    if from == to {
        return Ok(());
    }
    check_new_name(tree, to)?;
    rename_key(tree.nodes_mut()?, from, to);
    if let Some(layout) = tree.existing_layout_mut() {
        if layout.as_table_like().is_some_and(|layout| layout.contains_key(from)) {
            value::take(layout, to);
        }
        rename_key(layout, from, to);
    }
    let new = NodeId::new(to);
    wire::rewrite_all(tree, &|port| {
        let node = if port.node.as_str() == from { new.clone() } else { port.node.clone() };
        Some(PortRef { node, port: port.port.clone() })
    })?;
    if keep_state {
        keep_state_of(tree, from, to)?;
    }
    Ok(())
}

/// The state is under the oldest name that the file tells; a node that gets it back needs to say nothing.
fn keep_state_of(tree: &mut Tree, from: &str, to: &str) -> Result<(), Diagnostic> {
    let told = tree.node(to).and_then(|node| node.get("renamed_from")).and_then(Item::as_str).map(str::to_owned);
    let oldest = told.unwrap_or_else(|| from.to_owned());
    let says = if oldest == to { Value::Null } else { Value::String(oldest) };
    value::set(tree.node_mut(to)?, &["renamed_from".to_owned()], &says).map(drop)
}

/// Renames an entry where it stands: TOML tables have no such operation, so that every entry is put in anew, in order.
pub fn rename_key(item: &mut Item, from: &str, to: &str) {
    let renamed = |key: Key| {
        if key.get() == from {
            Key::new(to).with_leaf_decor(key.leaf_decor().clone()).with_dotted_decor(key.dotted_decor().clone())
        } else {
            key
        }
    };
    match item {
        Item::Table(table) => {
            let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
            for (key, item) in names.iter().filter_map(|name| table.remove_entry(name)).collect::<Vec<_>>() {
                table.insert_formatted(&renamed(key), item);
            }
        }
        Item::Value(toml_edit::Value::InlineTable(table)) => {
            let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
            let entries: Vec<(Key, toml_edit::Value)> = names.iter().filter_map(|name| table.remove_entry(name)).collect();
            let mut anew = InlineTable::new();
            *anew.decor_mut() = table.decor().clone();
            anew.set_dotted(table.is_dotted());
            anew.set_trailing(table.trailing().clone());
            anew.set_trailing_comma(table.trailing_comma());
            for (key, value) in entries {
                anew.insert_formatted(&renamed(key), value);
            }
            *table = anew;
        }
        _ => {}
    }
}

/// Notes a node's position, in whole pixels.
pub fn place(tree: &mut Tree, id: &str, position: [f64; 2]) -> Result<(), Diagnostic> {
    if !position.iter().all(|number| number.is_finite() && number.abs() < 1e9) {
        return Err(refuse(format!("`{id}` cannot be put there")).expected("two numbers: [x, y]"));
    }
    let [x, y] = position.map(|number| number.round() as i64);
    value::set(tree.layout_mut()?, &[id.to_owned()], &json!([x, y])).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_the_next_number() {
        let taken = ["filter", "filter_2", "top_n"];
        let free = |name: &str| free_name(name, &|name| taken.contains(&name));
        assert_eq!(free("filter"), "filter_3");
        assert_eq!(free("filter_2"), "filter_3");
        assert_eq!(free("select"), "select");
        assert_eq!(free("Top N"), "top_n_2");
        assert_eq!(free(""), "node");
        assert!(NodeId::check(&free_name(&"x".repeat(200), &|name| name.len() == 64)));
    }
}
