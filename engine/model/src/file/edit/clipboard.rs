//! Nodes copied as text, and pasted under free names.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::tree::{Tree, split_comments, visit_mut};
use super::value::{take, text};
use super::{PastePlace, node, refuse, wire};
use crate::diagnostic::Diagnostic;
use crate::file::arrange::arrange;
use crate::file::{graph, raw};
use crate::id::{NodeId, PortRef};

/// The tables of some nodes with their comments and positions, as text for the clipboard.
///
/// # Errors
/// The text is not TOML, or has no such node.
pub fn copy(text: &str, ids: &[String]) -> Result<String, Diagnostic> {
    fragment(&Tree::parse(text)?, ids)
}

/// As [`copy`], of a tree.
pub fn fragment(tree: &Tree, ids: &[String]) -> Result<String, Diagnostic> {
    for id in ids {
        tree.must_have(id)?;
    }
    let mut nodes = Table::new();
    nodes.set_implicit(true);
    for (name, item) in tree.nodes().into_iter().flat_map(|nodes| nodes.iter()).filter(|(name, _)| ids.iter().any(|id| id == name)) {
        nodes.insert(name, Item::Table(as_block(item.clone())));
    }
    let positions = positions(tree.top());
    let mut layout = Table::new();
    for (id, [x, y]) in positions.iter().filter(|(id, _)| ids.iter().any(|name| name == id.as_str())) {
        let place: toml_edit::Array = [x.round() as i64, y.round() as i64].into_iter().collect();
        layout.insert(id.as_str(), toml_edit::value(place));
    }
    let mut document = DocumentMut::new();
    document.insert("node", Item::Table(nodes));
    document.insert("layout", Item::Table(layout));
    Ok(document.to_string().trim_start_matches('\n').to_owned())
}

/// A node's table as one that has a header, with the comments that are its own and no place among others.
fn as_block(item: Item) -> Table {
    let mut table = item.into_table().unwrap_or_default();
    table.set_dotted(false);
    table.set_implicit(false);
    visit_mut(&mut table, &mut |table| table.set_position(None));
    let (_, own) = split_comments(&text(table.decor().prefix()));
    table.decor_mut().set_prefix(if own.starts_with('\n') { own } else { format!("\n{own}") });
    table
}

/// The place of every node, given or found.
fn positions(top: &dyn TableLike) -> BTreeMap<NodeId, [f64; 2]> {
    let reads = |fields: &serde_json::Map<String, serde_json::Value>| {
        raw::inputs(fields.get("input")).into_iter().map(|input| input.from.node).collect::<Vec<_>>()
    };
    let nodes: Vec<(NodeId, Vec<NodeId>)> = raw::nodes(top).into_iter().map(|(id, fields)| (id, reads(&fields))).collect();
    arrange(&nodes, &graph::positions(top))
}

/// Adds the nodes of a fragment, and gives their new names.
pub fn paste(tree: &mut Tree, fragment: &str, place: PastePlace) -> Result<Vec<NodeId>, Diagnostic> {
    let nothing = || refuse("there are no nodes on the clipboard").expected("[node.NAME] tables, as copied from a pipeline");
    let source = Tree::parse(fragment).map_err(|_| nothing())?;
    let positions = positions(source.top());
    let names = new_names(tree, &source);
    if names.is_empty() {
        return Err(nothing());
    }
    let shift = match place {
        PastePlace::Offset(offset) => offset,
        PastePlace::At([x, y]) => {
            let least = |axis: usize| positions.values().filter_map(|place| place.get(axis)).copied().min_by(f64::total_cmp).unwrap_or(0.0);
            [x - least(0), y - least(1)]
        }
    };
    let known: BTreeSet<String> = tree.names().into_iter().collect();
    for (old, new) in &names {
        let Some(item) = source.nodes().and_then(|nodes| nodes.get(old)) else { continue };
        let mut item = Item::Table(as_block(item.clone()));
        wire::rewrite(&mut item, &|_, port| follow(port, &names, &known));
        // Only one node can take over the state of another.
        take(&mut item, "renamed_from");
        node::insert(tree, new, item.into_table().unwrap_or_default())?;
    }
    for (old, new) in &names {
        if let Some([x, y]) = positions.get(&NodeId::new(old)) {
            node::place(tree, new, [x + shift[0], y + shift[1]])?;
        }
    }
    Ok(names.into_iter().map(|(_, new)| NodeId::new(new)).collect())
}

/// From the fragment's names, in its order, to names that are free.
fn new_names(tree: &Tree, source: &Tree) -> Vec<(String, String)> {
    let mut taken: BTreeSet<String> = tree.names().into_iter().collect();
    let mut names = Vec::new();
    for old in source.names().into_iter().filter(|name| source.has(name)) {
        let new = node::free_name(&old, &|name| taken.contains(name));
        taken.insert(new.clone());
        names.push((old, new));
    }
    names
}

/// Within the fragment the edge goes to the copy, outside it to the node of that name; an edge from nowhere is not taken along.
fn follow(port: &PortRef, names: &[(String, String)], known: &BTreeSet<String>) -> Option<PortRef> {
    match names.iter().find(|(old, _)| old == port.node.as_str()) {
        Some((_, new)) => Some(PortRef { node: NodeId::new(new), port: port.port.clone() }),
        None => known.contains(port.node.as_str()).then(|| port.clone()),
    }
}
