//! From TOML with spans to JSON with a map of spans; environment references are read on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};
use toml_edit::{Item, TableLike};

use super::MAX_FINDINGS;
use super::environment::{ReferenceError, expand};
use super::lines::LineIndex;
use super::raw::show;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::id::NodeId;

/// Reads values, and gathers what is wrong with their references.
pub struct Reader<'a> {
    pub lines: &'a LineIndex<'a>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub names: BTreeSet<String>,
    pub found: Diagnostics,
    /// How many more places are noted: what comes after has the place of what is around it.
    places_left: usize,
}

/// Places noted of one file. A path may be long, and a hostile file has many.
const MAX_PLACES: usize = 20_000;

/// A table as JSON, with the place of each value by dotted path (`` for the table itself, `!path` for the key of `path`).
#[derive(Debug, Default, Clone)]
pub struct ReadTable {
    pub values: Map<String, Value>,
    pub spans: BTreeMap<String, Span>,
    /// Texts that refer to the environment: what was read, and what stands in the file.
    pub references: BTreeMap<String, Reference>,
    /// Fields whose value came from `--set` and stands at no place of the file.
    pub overridden: BTreeSet<String>,
}

/// A text that refers to the environment.
#[derive(Debug, Clone)]
pub struct Reference {
    pub written: String,
    pub read: String,
}

impl Reference {
    /// A message with the text as written wherever it quotes what was read, or a part of it: a unit, a node's name.
    fn veil(&self, message: &str) -> String {
        let whole = message.replace(&self.read, &self.written);
        let parts = whole.split('`').enumerate();
        let is_read = |(at, part): &(usize, &str)| at % 2 == 1 && !part.is_empty() && self.read.contains(part);
        parts.map(|part| if is_read(&part) { &*self.written } else { part.1 }).collect::<Vec<_>>().join("`")
    }
}

impl ReadTable {
    /// Where a field's name stands.
    pub fn key_span(&self, field: &str) -> Option<Span> {
        self.spans.get(&format!("!{field}")).or_else(|| self.spans.get(field)).copied()
    }

    /// Puts a finding where the field stands, or at the nearest thing around it; at none if `--set` gave the value.
    pub fn place(&self, finding: Diagnostic, field: &str, at_key: bool) -> Diagnostic {
        if let Some(name) = self.overridden.iter().find(|name| is_within(field, name)) {
            return if finding.help.is_none() { finding.help(format!("--set gives `{name}` this value")) } else { finding };
        }
        if at_key {
            return finding.at(self.key_span(field));
        }
        let mut path = field;
        loop {
            if let Some(span) = self.spans.get(path) {
                return finding.at(Some(*span));
            }
            path = match path.rfind('.') {
                Some(dot) => path.split_at(dot).0,
                None if path.is_empty() => return finding,
                None => "",
            };
        }
    }

    /// Puts references back for what was read of the environment, in every finding about this table: what is secret stays so.
    pub fn veil(&self, table: &str, found: &mut Diagnostics) {
        for finding in &mut found.items {
            let Some(field) = finding.field.as_deref() else { continue };
            let field = match &finding.node {
                Some(node) if node.as_str() == table => field.to_owned(),
                None if table.starts_with(super::alerts::PREFIX) => match field.strip_prefix(table) {
                    Some(field) => field.trim_start_matches('.').to_owned(),
                    None => continue,
                },
                None if table == "pipeline" => field.strip_prefix("pipeline.").unwrap_or(field).to_owned(),
                _ => continue,
            };
            for (path, reference) in self.references.iter().filter(|(path, _)| is_within(path, &field)) {
                finding.message = reference.veil(&finding.message);
                // What was found may be cut short or stand escaped, so that no search in it is safe: it is told as written, and what
                // is more than one text not at all.
                finding.found = finding.found.take().filter(|_| *path == field).map(|_| show(&Value::from(reference.written.as_str())));
            }
        }
    }
}

impl<'a> Reader<'a> {
    pub fn new(lines: &'a LineIndex<'a>, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Reader { lines, env, names: BTreeSet::new(), found: Diagnostics::default(), places_left: MAX_PLACES }
    }

    /// The place of a range of bytes.
    pub fn span(&self, range: Option<Range<usize>>) -> Option<Span> {
        range.map(|range| self.lines.span(range))
    }

    /// Reads a table of values, tables within tables included.
    pub fn table(&mut self, table: &dyn TableLike, header: Option<Range<usize>>, node: Option<&NodeId>) -> ReadTable {
        let mut read = ReadTable::default();
        if let Some(span) = self.span(header) {
            read.spans.insert(String::new(), span);
        }
        read.values = self.fields(table, "", node, &mut read);
        read
    }

    fn note(&mut self, path: String, span: Option<Span>, read: &mut ReadTable) {
        if let Some(span) = span.filter(|_| self.places_left > 0) {
            self.places_left -= usize::from(read.spans.insert(path, span).is_none());
        }
    }

    fn fields(&mut self, table: &dyn TableLike, under: &str, node: Option<&NodeId>, read: &mut ReadTable) -> Map<String, Value> {
        let mut values = Map::new();
        for (name, item) in table.iter() {
            let path = join(under, name);
            let key = self.span(table.key(name).and_then(toml_edit::Key::span));
            self.note(format!("!{path}"), key, read);
            if let Some(value) = self.item(item, &path, node, read) {
                values.insert(name.to_owned(), value);
            }
        }
        values
    }

    fn item(&mut self, item: &Item, path: &str, node: Option<&NodeId>, read: &mut ReadTable) -> Option<Value> {
        let span = self.span(item.span());
        self.note(path.to_owned(), span, read);
        match item {
            Item::None => None,
            Item::Value(value) => Some(self.value(value, path, node, read)),
            Item::Table(table) => Some(Value::Object(self.fields(table, path, node, read))),
            Item::ArrayOfTables(tables) => Some(Value::Array(
                tables
                    .iter()
                    .enumerate()
                    .map(|(at, table)| Value::Object(self.fields(table, &join(path, &at.to_string()), node, read)))
                    .collect(),
            )),
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &str, node: Option<&NodeId>, read: &mut ReadTable) -> Value {
        let span = self.span(value.span());
        self.note(path.to_owned(), span, read);
        match value {
            toml_edit::Value::String(text) => self.text(text.value(), path, node, read),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => number_or_null(*number.value()),
            toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
            // TOML's own dates are read as the text that they are.
            toml_edit::Value::Datetime(time) => Value::String(time.value().to_string()),
            toml_edit::Value::Array(items) => Value::Array(
                items.iter().enumerate().map(|(at, item)| self.value(item, &join(path, &at.to_string()), node, read)).collect(),
            ),
            toml_edit::Value::InlineTable(table) => Value::Object(self.fields(table, path, node, read)),
        }
    }

    fn text(&mut self, text: &str, path: &str, node: Option<&NodeId>, read: &mut ReadTable) -> Value {
        match expand(text, self.env, &mut self.names) {
            Ok(full) => {
                if full != text && !full.is_empty() {
                    read.references.insert(path.to_owned(), Reference { written: text.to_owned(), read: full.clone() });
                }
                Value::String(full)
            }
            Err(errors) => {
                for error in errors.into_iter().take(MAX_FINDINGS.saturating_sub(self.found.items.len())) {
                    let mut finding = reference_finding(error).at(read.spans.get(path).copied()).field(path);
                    finding.node = node.cloned();
                    self.found.push(finding);
                }
                Value::String(text.to_owned())
            }
        }
    }
}

fn reference_finding(error: ReferenceError) -> Diagnostic {
    match error {
        ReferenceError::Missing(name) => Diagnostic::error(codes::NO_ENVIRONMENT, format!("the environment has no `{name}`"))
            .help(format!("set {name}, or give a default: ${{{name}:-value}}")),
        ReferenceError::Unclosed => Diagnostic::error(codes::BAD_REFERENCE, "a reference to the environment is not closed")
            .expected("${NAME} or ${NAME:-default}")
            .help("write $${ for the two characters themselves"),
        ReferenceError::BadName(name) => Diagnostic::error(codes::BAD_REFERENCE, format!("`{name}` is not a name of the environment"))
            .expected("letters, digits and _, not beginning with a digit")
            .help("write $${ for the two characters themselves"),
    }
}

/// JSON has no infinity and no NaN: they become a null, which fits no field.
pub fn number_or_null(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Whether the dotted `path` is `around`, or lies in it.
pub fn is_within(path: &str, around: &str) -> bool {
    path.strip_prefix(around).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The dotted path of a field within another.
pub fn join(under: &str, name: &str) -> String {
    if under.is_empty() { name.to_owned() } else { format!("{under}.{name}") }
}
