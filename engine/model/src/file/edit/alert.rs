//! Alerts added, changed and removed; and those that watch a node which is renamed or goes.

use serde_json::{Map, Value};
use toml_edit::{Item, Table, TableLike};

use super::tree::Tree;
use super::{node, refuse, value};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::id::{MAX_NODE_NAME_BYTES, NodeId};

/// Adds an alert after the others; named after its figure where no name is given.
pub fn add(tree: &mut Tree, name: Option<&str>, fields: &Map<String, Value>) -> Result<String, Diagnostic> {
    let taken = names(tree);
    let name = match name {
        Some(name) => {
            check_new_name(&taken, name)?;
            name.to_owned()
        }
        None => {
            let wanted = fields.get("figure").and_then(Value::as_str).unwrap_or("alert");
            node::free_name(wanted, &|name| taken.iter().any(|other| other == name))
        }
    };
    let mut table = Table::new();
    table.set_position(tree.position_for_alert());
    match tree.alerts_mut()? {
        Item::Table(alerts) => {
            alerts.insert(&name, Item::Table(table));
        }
        inline => value::insert(inline, &name, toml_edit::Value::InlineTable(table.into_inline_table())),
    }
    for (field, given) in fields.iter().filter(|(_, given)| !given.is_null()) {
        value::set(alert_mut(tree, &name)?, std::slice::from_ref(field), given)?;
    }
    Ok(name)
}

/// Sets a field of an alert, or removes it.
pub fn set(tree: &mut Tree, name: &str, path: &[String], new: &Value) -> Result<(), Diagnostic> {
    let orphan = value::set(alert_mut(tree, name)?, path, new)?;
    let position = position(tree, name);
    tree.rehome(orphan, position);
    Ok(())
}

pub fn remove(tree: &mut Tree, name: &str) -> Result<(), Diagnostic> {
    alert_mut(tree, name)?;
    let position = position(tree, name);
    let orphan = value::take(tree.alerts_mut()?, name);
    tree.rehome(orphan, position);
    Ok(())
}

pub fn rename(tree: &mut Tree, from: &str, to: &str) -> Result<(), Diagnostic> {
    alert_mut(tree, from)?;
    if from == to {
        return Ok(());
    }
    check_new_name(&names(tree), to)?;
    node::rename_key(tree.alerts_mut()?, from, to);
    Ok(())
}

/// A node is called `to` now, or is gone: alerts that watch it follow, or go with it.
pub fn follow(tree: &mut Tree, from: &str, to: Option<&str>) -> Result<(), Diagnostic> {
    let watches = |tree: &Tree, name: &str| tree.alert(name).and_then(|alert| alert.get("node")).and_then(Item::as_str) == Some(from);
    for name in names(tree).iter().filter(|name| watches(tree, name)).cloned().collect::<Vec<_>>() {
        match to {
            Some(to) => set(tree, &name, &["node".to_owned()], &Value::from(to))?,
            None => remove(tree, &name)?,
        }
    }
    Ok(())
}

fn names(tree: &Tree) -> Vec<String> {
    tree.alerts().into_iter().flat_map(TableLike::iter).map(|(name, _)| name.to_owned()).collect()
}

fn alert_mut<'a>(tree: &'a mut Tree, name: &str) -> Result<&'a mut Item, Diagnostic> {
    let known = names(tree);
    if tree.alert(name).is_none() {
        return Err(refuse(format!("there is no alert `{name}`")).nearest_of(name, known.iter().map(String::as_str)));
    }
    let found = tree.alerts_mut()?.as_table_like_mut().and_then(|alerts| alerts.get_mut(name));
    found.ok_or_else(|| refuse(format!("alert `{name}` is not a table")))
}

fn position(tree: &Tree, name: &str) -> isize {
    tree.alerts().and_then(|alerts| alerts.get(name)).and_then(Item::as_table).and_then(Table::position).unwrap_or(0)
}

fn check_new_name(taken: &[String], name: &str) -> Result<(), Diagnostic> {
    if !NodeId::check(name) {
        return Err(Diagnostic::error(codes::BAD_NODE_NAME, format!("`{name}` cannot be an alert's name"))
            .expected(format!("letters a-z, digits, _ and -, at most {MAX_NODE_NAME_BYTES}")));
    }
    if taken.iter().any(|other| other == name) {
        return Err(Diagnostic::error(codes::TWICE, format!("there is an alert `{name}` already")).help("choose another name"));
    }
    Ok(())
}
