//! Fields set, changed and removed within a TOML tree. What stays equal keeps its bytes; comments and spacing survive.

use serde_json::{Map, Value};
use toml_edit::{Array, Decor, InlineTable, Item, Key, RawString, Table};

use super::refuse;
use super::tree::split_comments;
use crate::diagnostic::Diagnostic;
use crate::file::MAX_DEPTH;
use crate::file::raw::{item_to_json, json_to_toml as to_toml, show, value_to_json};

/// Sets the field at `path` within a table, or removes it where `value` is null. Gives back comments that lost their place.
pub fn set(item: &mut Item, path: &[String], value: &Value) -> Result<String, Diagnostic> {
    let Some((name, rest)) = path.split_first() else { return Err(refuse("the edit names no field")) };
    if name.is_empty() || path.len() > MAX_DEPTH {
        return Err(refuse("the edit's path is no field's").expected("one name per level"));
    }
    if value.is_null() {
        return Ok(remove(item, path));
    }
    let Some(table) = item.as_table_like_mut() else {
        return Err(refuse(format!("`{name}` cannot be set: what it belongs to is not a table")));
    };
    match table.get_mut(name) {
        Some(inner) if rest.is_empty() => Ok(put(inner, value)),
        Some(inner) if inner.as_table_like().is_none() => {
            Err(refuse(format!("`{name}` is not a table, so that nothing can be set in it")).found(show(&item_to_json(inner))))
        }
        Some(inner) => set(inner, rest, value),
        None => {
            let whole = rest.iter().rev().fold(value.clone(), |inner, name| Value::Object(Map::from_iter([(name.clone(), inner)])));
            if let Some(new) = to_toml(&whole) {
                insert(item, name, new);
            }
            Ok(String::new())
        }
    }
}

/// Removes the field at `path`, and a table that is empty by that. Gives back comments that lost their place.
pub fn remove(item: &mut Item, path: &[String]) -> String {
    let Some((name, rest)) = path.split_first() else { return String::new() };
    if rest.is_empty() {
        return take(item, name);
    }
    let Some(inner) = item.as_table_like_mut().and_then(|table| table.get_mut(name)) else { return String::new() };
    let was_empty = inner.as_table_like().is_none_or(|table| table.is_empty());
    let orphan = remove(inner, rest);
    let is_empty = inner.as_table_like().is_some_and(|table| table.is_empty());
    if is_empty && !was_empty { orphan + &take(item, name) } else { orphan }
}

/// Takes one entry out of a table.
pub fn take(item: &mut Item, name: &str) -> String {
    match item {
        Item::Table(table) => take_from_block(table, name),
        Item::Value(toml_edit::Value::InlineTable(table)) => {
            take_from_inline(table, name);
            String::new()
        }
        _ => String::new(),
    }
}

fn take_from_block(table: &mut Table, name: &str) -> String {
    let next = table.iter().skip_while(|(key, _)| *key != name).skip(1).find(|(_, item)| item.is_value()).map(|(key, _)| key.to_owned());
    let Some((key, item)) = table.remove_entry(name) else { return String::new() };
    let prefix = match &item {
        Item::Table(table) if !table.is_dotted() => text(table.decor().prefix()),
        _ => text(key.leaf_decor().prefix()),
    };
    let (apart, _) = split_comments(&prefix);
    match next.and_then(|next| table.key_mut(&next)) {
        Some(mut next) if item.is_value() && !apart.is_empty() => {
            let own = text(next.leaf_decor().prefix());
            next.leaf_decor_mut().set_prefix(apart + &own);
            String::new()
        }
        _ => apart,
    }
}

fn take_from_inline(table: &mut InlineTable, name: &str) {
    let names: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let Some((key, value)) = table.remove_entry(name) else { return };
    let (first, last) = (names.first().is_some_and(|key| key == name), names.last().is_some_and(|key| key == name));
    if first
        && let Some(mut next) = names.get(1).and_then(|next| table.key_mut(next))
        && is_space(key.leaf_decor().prefix())
    {
        next.leaf_decor_mut().set_prefix(text(key.leaf_decor().prefix()));
    }
    if last
        && !first
        && let Some(before) = names.iter().rev().nth(1).and_then(|before| table.get_mut(before))
        && is_space(value.decor().suffix())
    {
        before.decor_mut().set_suffix(text(value.decor().suffix()));
    }
}

/// Makes an item mean `new` with the least change.
fn put(item: &mut Item, new: &Value) -> String {
    // Compared as text, since the order of a table's entries counts: it is that of the columns they make.
    #[expect(clippy::cmp_owned, reason = "serde_json's own comparison passes over the order of a table")]
    if item_to_json(item).to_string() == new.to_string() {
        return String::new();
    }
    match (&mut *item, new) {
        (Item::Value(toml_edit::Value::Array(array)), Value::Array(new)) => put_array(array, new),
        (Item::Table(_) | Item::Value(toml_edit::Value::InlineTable(_)), Value::Object(new)) => return put_fields(item, new),
        (Item::Value(old), new) => {
            if let Some(mut value) = to_toml(new) {
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
        }
        (_, new) => {
            if let Some(value) = to_toml(new) {
                *item = Item::Value(value);
            }
        }
    }
    String::new()
}

fn put_fields(item: &mut Item, new: &Map<String, Value>) -> String {
    let old: Vec<String> = item.as_table_like().into_iter().flat_map(|table| table.iter()).map(|(name, _)| name.to_owned()).collect();
    let mut orphans = String::new();
    for name in old.iter().filter(|name| new.get(*name).is_none_or(Value::is_null)) {
        orphans += &take(item, name);
    }
    for (name, value) in new {
        match item.as_table_like_mut().and_then(|table| table.get_mut(name)) {
            Some(inner) => orphans += &put(inner, value),
            None => {
                if let Some(value) = to_toml(value) {
                    insert(item, name, value);
                }
            }
        }
    }
    reorder(item, new);
    orphans
}

/// Puts entries in the order of `new`.
fn reorder(item: &mut Item, new: &Map<String, Value>) {
    let order = |name: &str| new.keys().position(|key| key == name).unwrap_or(usize::MAX);
    let now: Vec<String> = item.as_table_like().into_iter().flat_map(|table| table.iter()).map(|(name, _)| name.to_owned()).collect();
    if now.is_sorted_by_key(|name| order(name)) {
        return;
    }
    match item {
        Item::Table(table) => table.sort_values_by(|a, _, b, _| order(a.get()).cmp(&order(b.get()))),
        Item::Value(toml_edit::Value::InlineTable(table)) => {
            let edges = now.first().zip(now.last());
            let prefix = edges.and_then(|(first, _)| table.key(first)).map(|key| text(key.leaf_decor().prefix())).unwrap_or_default();
            let suffix = edges.and_then(|(_, last)| table.get(last)).map(|value| text(value.decor().suffix())).unwrap_or_default();
            table.sort_values_by(|a, _, b, _| order(a.get()).cmp(&order(b.get())));
            let sorted: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
            let between = if prefix.contains('\n') { prefix.clone() } else { " ".to_owned() };
            for (at, name) in sorted.iter().enumerate() {
                if let Some(mut key) = table.key_mut(name).filter(|key| is_space(key.leaf_decor().prefix())) {
                    key.leaf_decor_mut().set_prefix(if at == 0 { &*prefix } else { &*between });
                }
                if let Some(value) = table.get_mut(name).filter(|value| is_space(value.decor().suffix())) {
                    value.decor_mut().set_suffix(if at + 1 == sorted.len() { &*suffix } else { "" });
                }
            }
        }
        _ => {}
    }
}

/// Adds an entry at the end of a table, in the table's own style.
pub fn insert(item: &mut Item, name: &str, value: toml_edit::Value) {
    match item {
        Item::Table(table) => {
            let last = table.get_values().last().and_then(|(path, _)| path.last().map(|key| text(key.leaf_decor().prefix())));
            let indent =
                last.map(|prefix| prefix.rsplit('\n').next().unwrap_or_default().to_owned()).filter(|indent| indent.trim().is_empty());
            let mut key = Key::new(name);
            if let Some(indent) = indent.filter(|indent| !indent.is_empty()) {
                key.leaf_decor_mut().set_prefix(indent);
            }
            table.insert_formatted(&key, Item::Value(value));
        }
        Item::Value(toml_edit::Value::InlineTable(table)) => insert_inline(table, name, value),
        _ => {}
    }
}

fn insert_inline(table: &mut InlineTable, name: &str, mut value: toml_edit::Value) {
    let last = table.iter().last().map(|(name, _)| name.to_owned());
    let mut key = Key::new(name);
    match &last {
        None => {
            table.set_trailing("");
            value.decor_mut().set_suffix(" ");
        }
        Some(last) => {
            let prefix = table.key(last).map(|key| text(key.leaf_decor().prefix())).unwrap_or_default();
            if prefix.contains('\n') && prefix.trim().is_empty() {
                key.leaf_decor_mut().set_prefix(prefix);
            }
            if let Some(before) = table.get_mut(last).filter(|before| is_space(before.decor().suffix())) {
                value.decor_mut().set_suffix(text(before.decor().suffix()));
                before.decor_mut().set_suffix("");
            }
        }
    }
    table.insert_formatted(&key, value);
}

/// Changes the elements that differ, between those at both ends that are equal.
fn put_array(array: &mut Array, new: &[Value]) {
    let old: Vec<Value> = array.iter().map(value_to_json).collect();
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let tail = old.iter().skip(head).rev().zip(new.iter().skip(head).rev()).take_while(|(old, new)| old == new).count();
    let mut values: Vec<toml_edit::Value> = new.iter().skip(head).take(new.len() - tail - head).filter_map(to_toml).collect();
    let edges = Edges::of(array);
    let replaced = values.len().min(old.len() - tail - head);
    for (at, mut value) in values.drain(..replaced).enumerate() {
        if let Some(place) = array.get_mut(head + at) {
            *value.decor_mut() = place.decor().clone();
            *place = value;
        }
    }
    for _ in head + replaced..old.len() - tail {
        remove_element(array, head + replaced);
    }
    for (at, value) in values.into_iter().enumerate() {
        match &edges {
            Edges::Block { indent } => insert_line(array, head + replaced + at, value, indent),
            Edges::Line { .. } => array.insert_formatted((head + replaced + at).min(array.len()), value),
        }
    }
    if let Edges::Line { first, last } = &edges {
        let end = array.len().saturating_sub(1);
        for (at, value) in array.iter_mut().enumerate() {
            *value.decor_mut() = Decor::new(if at == 0 { &**first } else { " " }, if at == end { &**last } else { "" });
        }
    }
}

/// How an array is laid out.
enum Edges {
    /// Over several lines.
    Block { indent: String },
    /// On one line, with this much space within the brackets.
    Line { first: String, last: String },
}

impl Edges {
    fn of(array: &Array) -> Edges {
        let prefixes: Vec<String> = array.iter().map(|value| text(value.decor().prefix())).collect();
        if let Some((_, indent)) = prefixes.iter().find_map(|prefix| prefix.rsplit_once('\n')) {
            return Edges::Block { indent: indent.to_owned() };
        }
        if text(Some(array.trailing())).contains('\n') {
            return Edges::Block { indent: "  ".to_owned() };
        }
        let last = array.iter().last().map(|value| text(value.decor().suffix())).unwrap_or_default();
        Edges::Line { first: prefixes.into_iter().next().unwrap_or_default(), last }
    }
}

/// A space in two: what stands on the line before, and what begins with the line's end.
fn at_line_end(space: &str) -> (&str, &str) {
    space.split_at(space.find('\n').unwrap_or(0))
}

/// The space after the last element, which stands before the bracket or after a last comma.
fn closing(array: &Array) -> String {
    match array.iter().last() {
        Some(last) if !array.trailing_comma() => text(last.decor().suffix()),
        _ => text(Some(array.trailing())),
    }
}

fn set_closing(array: &mut Array, space: String) {
    let last = array.len().checked_sub(1).filter(|_| !array.trailing_comma());
    match last.and_then(|last| array.get_mut(last)) {
        Some(last) => last.decor_mut().set_suffix(space),
        None => array.set_trailing(space),
    }
}

/// Removes an element and the comment behind it, and leaves the one behind its neighbour.
fn remove_element(array: &mut Array, at: usize) {
    if at >= array.len() {
        return;
    }
    let (was_last, close) = (at + 1 == array.len(), closing(array));
    let removed = array.remove(at);
    let own = text(removed.decor().prefix());
    let (before, _) = at_line_end(&own);
    if was_last {
        let (_, end) = at_line_end(&close);
        let space = format!("{before}{end}");
        set_closing(array, if close.contains('\n') { space } else { close });
    } else if let Some(next) = array.get_mut(at) {
        let space = text(next.decor().prefix());
        if own.contains('\n') && space.contains('\n') {
            let (_, rest) = at_line_end(&space);
            next.decor_mut().set_prefix(format!("{before}{rest}"));
        }
    }
}

/// Inserts an element on a line of its own; a comment behind the element before stays behind that.
fn insert_line(array: &mut Array, at: usize, mut value: toml_edit::Value, indent: &str) {
    let at = at.min(array.len());
    let space = match array.get(at) {
        Some(next) => text(next.decor().prefix()),
        None => closing(array),
    };
    let (before, rest) = at_line_end(&space);
    let rest = if rest.is_empty() { format!("\n{indent}") } else { rest.to_owned() };
    *value.decor_mut() = Decor::new(format!("{before}\n{indent}"), "");
    match array.get_mut(at) {
        Some(next) => next.decor_mut().set_prefix(rest),
        None => {
            if let Some(last) = at.checked_sub(1).and_then(|last| array.get_mut(last)) {
                last.decor_mut().set_suffix("");
            }
            array.insert_formatted(at, value);
            set_closing(array, rest);
            return;
        }
    }
    array.insert_formatted(at, value);
}

pub fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str).unwrap_or_default().to_owned()
}

fn is_space(raw: Option<&RawString>) -> bool {
    raw.and_then(RawString::as_str).is_none_or(|text| text.trim().is_empty())
}
