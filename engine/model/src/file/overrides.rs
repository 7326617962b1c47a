//! `--set node.field=value`: a value put over the file's for one run.

use serde_json::{Map, Value};

use super::raw;
use super::read::{ReadTable, is_within};
use crate::codes;
use crate::diagnostic::Diagnostic;

/// One override: `node.field`, dotted further for nested values, and the value as written.
pub type Override = (String, String);

/// Reads `node.field=value` (`pipeline.parallelism=3` for the pipeline's own).
pub fn parse_override(text: &str) -> Result<Override, Diagnostic> {
    match text.split_once('=') {
        Some((name, value)) if name.contains('.') => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(Diagnostic::error(codes::BAD_OVERRIDE, format!("--set {text}: this names no field and value"))
            .expected("node.field=value")
            .found(text.to_owned())),
    }
}

/// A value as TOML reads it, else the text itself: `3`, `true` and `["a"]` are what they look like, `1h` is a text.
fn parse_value(text: &str) -> Value {
    let parsed = format!("v = {text}\n").parse::<toml_edit::DocumentMut>().ok().and_then(|document| document.get("v").cloned());
    match parsed.as_ref().and_then(toml_edit::Item::as_value) {
        Some(value) => raw::value_to_json(value),
        None => Value::String(text.to_owned()),
    }
}

fn finding(name: &str, message: String) -> Diagnostic {
    Diagnostic::error(codes::BAD_OVERRIDE, format!("--set {name}: {message}"))
}

/// Puts one override in its place. `tables` are the nodes, and `pipeline` for the pipeline's own settings.
pub fn apply(over: &Override, tables: &mut [(String, ReadTable)]) -> Result<(), Diagnostic> {
    let (name, text) = over;
    let Some((table, path)) = name.split_once('.') else {
        return Err(finding(name, "it names no field".to_owned()).expected("node.field=value"));
    };
    let names: Vec<String> = tables.iter().map(|(name, _)| name.clone()).collect();
    let Some((_, read)) = tables.iter_mut().find(|(name, _)| name == table) else {
        return Err(finding(name, format!("there is no node `{table}`")).nearest_of(table, names.iter().map(String::as_str)));
    };
    let steps: Vec<&str> = path.split('.').collect();
    if steps.iter().any(|step| step.is_empty()) {
        return Err(finding(name, "a part of the field's name is empty".to_owned()).expected("node.field=value"));
    }
    put(&mut read.values, &steps, parse_value(text)).map_err(|problem| finding(name, problem))?;
    read.spans.retain(|field, _| !is_within(field.trim_start_matches('!'), path));
    read.references.retain(|field, _| !is_within(field, path));
    read.overridden.insert(path.to_owned());
    Ok(())
}

fn put(fields: &mut Map<String, Value>, steps: &[&str], value: Value) -> Result<(), String> {
    match steps {
        [] => Ok(()),
        [last] => {
            fields.insert((*last).to_owned(), value);
            Ok(())
        }
        [first, rest @ ..] => match fields.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => put(inner, rest, value),
            _ => Err(format!("`{first}` is not a table")),
        },
    }
}
