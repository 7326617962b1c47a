//! The TOML tree that edits work on, and the comments that must not go with what is removed.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::{lines, refuse};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::lines::{BOM, LineIndex};
use crate::file::{raw, syntax};

pub struct Tree {
    original: String,
    /// What the tree writes of the original.
    before: String,
    pub document: DocumentMut,
}

impl Tree {
    pub fn parse(text: &str) -> Result<Tree, Diagnostic> {
        let broken =
            |found: Diagnostics| found.items.into_iter().next().unwrap_or_else(|| Diagnostic::error(codes::SYNTAX, "this is not TOML"));
        let document = syntax::parse(text, &LineIndex::new(text)).map_err(broken)?.into_mut();
        Ok(Tree { original: text.to_owned(), before: document.to_string(), document })
    }

    /// The text after the edits, and its lines that changed. What was not meant keeps its bytes.
    pub fn finish(mut self) -> Result<(String, Vec<Range<u32>>), Diagnostic> {
        self.show_emptied();
        let after = self.document.to_string();
        if after == self.before {
            return Ok((self.original, Vec::new()));
        }
        let meant = meaning(self.document.as_table());
        let means_it = |text: &str| syntax::parse(text, &LineIndex::new(text)).is_ok_and(|read| meaning(read.as_table()) == meant);
        let merged = lines::merge(&self.original, &self.before, &after).filter(|text| means_it(text));
        let text = merged.unwrap_or_else(|| lines::dress(&self.original, &after));
        if !means_it(&text) {
            return Err(refuse("this file is written in a way that the change cannot be made in").help("make the change in the text"));
        }
        let changed = lines::changed(self.original.trim_start_matches(BOM), text.trim_start_matches(BOM));
        Ok((text, changed))
    }

    /// A table that had no header of its own and lost its last entry would not be written at all: it gets a header. The table of
    /// nodes or of alerts goes.
    fn show_emptied(&mut self) {
        let is_bare = |table: &Table| table.is_implicit() && table.is_empty();
        for name in ["node", "alert"] {
            if self.document.get(name).and_then(Item::as_table).is_some_and(is_bare) {
                self.document.remove(name);
            }
        }
        visit_mut(self.document.as_table_mut(), &mut |table| {
            if is_bare(table) {
                table.set_implicit(false);
            }
        });
    }

    pub fn top(&self) -> &Table {
        self.document.as_table()
    }

    pub fn nodes(&self) -> Option<&dyn TableLike> {
        self.document.get("node").and_then(Item::as_table_like)
    }

    pub fn names(&self) -> Vec<String> {
        self.nodes().into_iter().flat_map(|nodes| nodes.iter()).map(|(name, _)| name.to_owned()).collect()
    }

    pub fn has(&self, node: &str) -> bool {
        self.nodes().is_some_and(|nodes| nodes.get(node).is_some_and(|item| item.as_table_like().is_some()))
    }

    pub fn must_have(&self, node: &str) -> Result<(), Diagnostic> {
        if self.has(node) { Ok(()) } else { Err(self.unknown(node)) }
    }

    fn unknown(&self, node: &str) -> Diagnostic {
        let names = self.names();
        Diagnostic::error(codes::UNKNOWN_NODE, format!("there is no node `{node}`")).nearest_of(node, names.iter().map(String::as_str))
    }

    pub fn node(&self, node: &str) -> Option<&dyn TableLike> {
        self.nodes()?.get(node)?.as_table_like()
    }

    pub fn node_mut(&mut self, node: &str) -> Result<&mut Item, Diagnostic> {
        self.must_have(node)?;
        let found = self.nodes_mut()?.as_table_like_mut().and_then(|nodes| nodes.get_mut(node));
        found.ok_or_else(|| refuse(format!("`{node}` is not a table")))
    }

    /// The table of nodes, made if there is none.
    pub fn nodes_mut(&mut self) -> Result<&mut Item, Diagnostic> {
        self.table_mut("node", |table, _| table.set_implicit(true))
    }

    pub fn alerts(&self) -> Option<&dyn TableLike> {
        self.document.get("alert").and_then(Item::as_table_like)
    }

    pub fn alert(&self, name: &str) -> Option<&dyn TableLike> {
        self.alerts()?.get(name)?.as_table_like()
    }

    /// The table of alerts, made if there is none.
    pub fn alerts_mut(&mut self) -> Result<&mut Item, Diagnostic> {
        self.table_mut("alert", |table, _| table.set_implicit(true))
    }

    pub fn has_settings(&self) -> bool {
        self.document.contains_key("pipeline")
    }

    /// The `[pipeline]` table, made before all others if there is none.
    pub fn settings_mut(&mut self) -> Result<&mut Item, Diagnostic> {
        self.table_mut("pipeline", |table, _| table.set_position(Some(0)))
    }

    /// The `[layout]` table, made after all others if there is none.
    pub fn layout_mut(&mut self) -> Result<&mut Item, Diagnostic> {
        self.table_mut("layout", |table, last| table.set_position(Some(last + 1)))
    }

    fn table_mut(&mut self, name: &str, prepare: impl FnOnce(&mut Table, isize)) -> Result<&mut Item, Diagnostic> {
        let last = self.last_position();
        let item = self.document.as_table_mut().entry(name).or_insert_with(|| {
            let mut table = Table::new();
            prepare(&mut table, last);
            Item::Table(table)
        });
        if item.as_table_like().is_some() {
            Ok(item)
        } else {
            Err(refuse(format!("`{name}` is not a table")).help("mend it in the text first"))
        }
    }

    pub fn existing_layout_mut(&mut self) -> Option<&mut Item> {
        self.document.get_mut("layout")
    }

    fn last_position(&self) -> isize {
        let mut last = 0;
        visit(self.document.as_table(), &mut |table| last = last.max(table.position().unwrap_or(0)));
        last
    }

    /// The position that a new node's table takes: after the nodes, before a layout at the end.
    pub fn position_for_node(&self) -> Option<isize> {
        let layout = self.document.get("layout").and_then(Item::as_table).and_then(Table::position);
        match layout {
            Some(layout) if self.nodes().is_none_or(TableLike::is_empty) => Some(layout - 1),
            _ => None,
        }
    }

    /// The position that a new alert's table takes: after the alerts, else before a layout that stands at the end.
    pub fn position_for_alert(&self) -> Option<isize> {
        let layout = self.document.get("layout").and_then(Item::as_table).and_then(Table::position);
        layout.filter(|layout| *layout >= self.last_position() && self.alerts().is_none_or(TableLike::is_empty)).map(|layout| layout - 1)
    }

    /// Gives comments that stood before something removed to the first table that comes after `position`, or to the end.
    pub fn rehome(&mut self, orphan: String, position: isize) {
        if orphan.is_empty() {
            return;
        }
        let mut next: Option<isize> = None;
        visit(self.document.as_table(), &mut |table| {
            if let Some(at) = table.position().filter(|at| *at > position && !table.is_implicit() && !table.is_dotted()) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        });
        let mut waiting = Some(orphan);
        if let Some(next) = next {
            visit_mut(self.document.as_table_mut(), &mut |table| {
                if table.position() == Some(next)
                    && !table.is_implicit()
                    && !table.is_dotted()
                    && let Some(orphan) = waiting.take()
                {
                    let own = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or("\n").to_owned();
                    table.decor_mut().set_prefix(orphan + &own);
                }
            });
        }
        if let Some(orphan) = waiting {
            let own = self.document.trailing().as_str().unwrap_or_default().to_owned();
            self.document.set_trailing(orphan + &own);
        }
    }

    /// Gives comments to what comes after a node's own table.
    pub fn rehome_after(&mut self, node: &str, orphan: String) {
        let position = self.position(node);
        self.rehome(orphan, position);
    }

    /// Where a node's table stands among all; 0 if it has no header of its own.
    pub fn position(&self, node: &str) -> isize {
        self.nodes().and_then(|nodes| nodes.get(node)).and_then(Item::as_table).and_then(Table::position).unwrap_or(0)
    }
}

/// What a tree says. A text over several lines takes the file's line ends, which TOML counts as one and the same.
fn meaning(top: &Table) -> Value {
    fn plain(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(text.replace("\r\n", "\n")),
            Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
            Value::Object(fields) => Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()),
            other => other,
        }
    }
    plain(Value::Object(raw::table_to_json(top)))
}

fn visit(table: &Table, see: &mut dyn FnMut(&Table)) {
    see(table);
    for (_, item) in table.iter() {
        match item {
            Item::Table(table) => visit(table, see),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|table| visit(table, see)),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// Sees a table and all tables in it.
pub fn visit_mut(table: &mut Table, see: &mut dyn FnMut(&mut Table)) {
    see(table);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => visit_mut(table, see),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| visit_mut(table, see)),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// Cuts the space before something in two: comments set apart by an empty line, which stay, and the rest, which goes with it.
pub fn split_comments(prefix: &str) -> (String, String) {
    let mut cut = 0;
    let mut at = 0;
    for line in prefix.split_inclusive('\n') {
        if line.trim().is_empty() && line.ends_with('\n') {
            cut = at;
        }
        at += line.len();
    }
    let (apart, own) = prefix.split_at(cut);
    if apart.contains('#') { (apart.to_owned(), own.to_owned()) } else { (String::new(), prefix.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_set_apart_by_an_empty_line_stays() {
        assert_eq!(split_comments("\n# a section\n\n# of the node\n"), ("\n# a section\n".to_owned(), "\n# of the node\n".to_owned()));
        assert_eq!(split_comments("\n# of the node\n"), (String::new(), "\n# of the node\n".to_owned()));
        assert_eq!(split_comments("# of the one before\n\n"), ("# of the one before\n".to_owned(), "\n".to_owned()));
    }
}
