//! TOML as JSON, as it is written: references to the environment unread.

use serde_json::{Map, Value};
use toml_edit::{InlineTable, Item, TableLike};

use super::read::number_or_null;
use crate::id::{NodeId, PortRef};
use crate::pipeline::InputDecl;

pub fn item_to_json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_to_json(value),
        Item::Table(table) => Value::Object(table_to_json(table)),
        Item::ArrayOfTables(tables) => Value::Array(tables.iter().map(|table| Value::Object(table_to_json(table))).collect()),
    }
}

pub fn table_to_json(table: &dyn TableLike) -> Map<String, Value> {
    table.iter().map(|(name, item)| (name.to_owned(), item_to_json(item))).collect()
}

pub fn value_to_json(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => number_or_null(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
        // TOML's own dates are read as the text that they are.
        toml_edit::Value::Datetime(time) => Value::String(time.value().to_string()),
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(value_to_json).collect()),
        toml_edit::Value::InlineTable(table) => Value::Object(table_to_json(table)),
    }
}

/// The natural way to write a value. Nulls, which TOML does not have, are left out.
pub fn json_to_toml(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => toml_edit::Value::Array(items.iter().filter_map(json_to_toml).collect()),
        Value::Object(fields) => {
            let mut table = InlineTable::new();
            for (name, value) in fields {
                if let Some(value) = json_to_toml(value) {
                    table.insert(name, value);
                }
            }
            toml_edit::Value::InlineTable(table)
        }
    })
}

/// A value as it may stand in a message: as TOML, on one line, cut where it is long.
pub fn show(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        other => json_to_toml(other).map_or_else(|| "a number that is none, or is infinite".to_owned(), |value| value.to_string()),
    };
    cut(&text.replace('\n', " "))
}

/// The beginning of a text that is long.
pub fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() > SHOWN { format!("{}…", text.chars().take(SHOWN - 1).collect::<String>()) } else { text.to_owned() }
}

/// The nodes of a file as written, in its order; what is no table is passed over.
pub fn nodes(top: &dyn TableLike) -> Vec<(NodeId, Map<String, Value>)> {
    let tables = top.get("node").and_then(Item::as_table_like);
    let nodes = tables.into_iter().flat_map(|nodes| nodes.iter());
    nodes.filter_map(|(name, item)| item.as_table_like().map(|table| (NodeId::new(name), table_to_json(table)))).collect()
}

/// The ports that an `input` names, in whatever shape it stands, without their places.
pub fn inputs(input: Option<&Value>) -> Vec<InputDecl> {
    let one = |name: Option<&str>, text: &str| InputDecl { name: name.map(str::to_owned), from: PortRef::parse(text), span: None };
    match input {
        Some(Value::String(text)) => vec![one(None, text)],
        Some(Value::Array(items)) => items.iter().filter_map(|item| item.as_str().map(|text| one(None, text))).collect(),
        Some(Value::Object(named)) => named.iter().filter_map(|(name, item)| item.as_str().map(|text| one(Some(name), text))).collect(),
        _ => Vec::new(),
    }
}
