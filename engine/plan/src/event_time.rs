//! Checks a source's time fields against the columns it found.

use millrace_model::field::{EventTime, SourceFields, TimeUnit};
use millrace_model::{DataType, Diagnostics, NodeDecl, Schema};

use crate::codes;

/// A source's time fields, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTimeColumn<'a> {
    pub column: &'a str,
    /// The dotted field that names the column, for messages.
    pub field: &'static str,
    pub format: Option<&'a str>,
    pub unit: Option<TimeUnit>,
}

/// The event time's column as declared, if there is one.
pub fn declared(source: &SourceFields) -> Option<EventTimeColumn<'_>> {
    Some(match source.event_time.as_ref()? {
        EventTime::Column(column) => EventTimeColumn { column: &column.0, field: "event_time", format: None, unit: None },
        EventTime::Detailed(detail) => {
            EventTimeColumn { column: &detail.column.0, field: "event_time.column", format: detail.format.as_deref(), unit: detail.unit }
        }
    })
}

/// Finds what is wrong with the time fields, and tells whether rows will carry an event time.
pub fn check(node: &NodeDecl, columns: &Schema, found: &mut Diagnostics) -> bool {
    let Some(time) = declared(&node.source) else {
        warn_of_unused(node, found);
        check_replay(node, columns, None, found);
        return false;
    };
    check_column(node, columns, &time, found);
    check_replay(node, columns, Some(&time), found);
    true
}

fn check_column(node: &NodeDecl, columns: &Schema, time: &EventTimeColumn<'_>, found: &mut Diagnostics) {
    let Some(field) = columns.field(time.column) else {
        let message = format!("there is no column `{}` to take the event time from", time.column);
        found.push(node.error(codes::TIME_COLUMN, time.field, message).expected(names(columns)).nearest_of(time.column, columns.names()));
        return;
    };
    let data_type = field.data_type;
    if data_type == DataType::Boolean {
        let message = format!("`{}` cannot be an event time", field.name);
        found.push(node.error(codes::TIME_TYPE, time.field, message).expected("TIMESTAMP, DATE, text or a number").found(data_type.name()));
    }
    if data_type.is_numeric() && time.unit.is_none() {
        let message = format!("`{}` is a number; say what it counts since 1970", field.name);
        let help = format!("event_time = {{ column = \"{}\", unit = \"ms\" }}", field.name);
        found.push(node.error(codes::TIME_READING, time.field, message).expected("a `unit`: s, ms, us or ns").help(help));
    }
    if time.unit.is_some() && !data_type.is_numeric() {
        let message = format!("`unit` is for numbers, and `{}` is none", field.name);
        found.push(node.error(codes::TIME_READING, "event_time.unit", message).found(data_type.name()));
    }
    if time.format.is_some() && data_type != DataType::Varchar {
        let message = format!("`format` is for text, and `{}` is none", field.name);
        found.push(node.error(codes::TIME_READING, "event_time.format", message).found(data_type.name()));
    }
}

fn warn_of_unused(node: &NodeDecl, found: &mut Diagnostics) {
    let source = &node.source;
    let set =
        [("max_delay", source.max_delay.is_some()), ("max_ahead", source.max_ahead.is_some()), ("idle_after", source.idle_after.is_some())];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        let mut warning = node.error(codes::TIME_UNUSED, field, format!("`{field}` has no effect without `event_time`"));
        warning.severity = millrace_model::Severity::Warning;
        found.push(warning);
    }
}

fn check_replay(node: &NodeDecl, columns: &Schema, time: Option<&EventTimeColumn<'_>>, found: &mut Diagnostics) {
    let Some(replay) = &node.source.replay else { return };
    let Some(by) = replay.by.as_ref() else {
        if time.is_none() {
            let message = "a replay needs a column to go by: neither `by` nor `event_time` names one";
            found.push(node.error(codes::REPLAY_COLUMN, "replay", message).expected("replay = { by = \"..\", speed = \"..\" }"));
        }
        return;
    };
    if time.is_some_and(|time| time.column == by.0) {
        return;
    }
    match columns.field(&by.0) {
        None => {
            let message = format!("there is no column `{}` to replay by", by.0);
            let error = node.error(codes::REPLAY_COLUMN, "replay.by", message);
            found.push(error.expected(names(columns)).nearest_of(&by.0, columns.names()));
        }
        Some(field) if !field.data_type.is_temporal() && field.data_type != DataType::Varchar => {
            let message = format!("`{}` cannot pace a replay", field.name);
            let error = node.error(codes::REPLAY_COLUMN, "replay.by", message);
            found.push(error.expected("TIMESTAMP, DATE, or text that reads as one").found(field.data_type.name()));
        }
        Some(_) => {}
    }
}

fn names(columns: &Schema) -> String {
    let mut text = String::from("one of ");
    for (index, name) in columns.names().enumerate() {
        if index == 12 {
            text.push_str(", ..");
            break;
        }
        text.push_str(if index == 0 { "" } else { ", " });
        text.push_str(name);
    }
    text
}
