//! Types a window against its input and finds what is wrong with it.

use std::sync::Arc;

use millrace_expr::{AggregateCall, parse_aggregate};
use millrace_model::field::{Duration, OnError};
use millrace_model::id::{LATE_PORT, MAIN_PORT, QUARANTINED_PORT};
use millrace_model::{ChangeMode, DataType, Diagnostics, Field, OP_COLUMN, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, Distribution, InputPort, OutputPort, codes};

use super::rows::{RowShape, WINDOW_COLUMNS};
use super::spec::Common;
use crate::batch::quarantine_schema;

/// What any window's operator aggregates, and under which names.
#[derive(Debug, Clone)]
pub struct Aggregation {
    pub rows: RowShape,
    /// In the order of `rows.aggregates`.
    pub calls: Vec<AggregateCall>,
    pub on_error: OnError,
}

/// A window's spec beside the input that it is typed against.
pub struct Binding<'a, 'b> {
    input: &'b BindInput<'a>,
    upstream: &'b InputPort,
    spec: Common,
}

impl<'a, 'b> Binding<'a, 'b> {
    pub fn new(input: &'b BindInput<'a>, spec: Common, found: &mut Diagnostics) -> Option<Self> {
        let upstream = input.inputs.first()?;
        check_event_time(input, upstream, found);
        Some(Binding { input, upstream, spec })
    }

    /// Finds everything that is wrong with keys and aggregates; gives none if not every output column is known.
    pub fn bind<Plan: Send + Sync + 'static>(self, found: &mut Diagnostics, plan: impl FnOnce(Aggregation) -> Plan) -> Option<Bound> {
        self.bind_as(found, |_| ChangeMode::Append, plan)
    }

    /// The same, for results that tell what they do; `mode` is asked with the names of the keys.
    pub fn bind_as<Plan: Send + Sync + 'static>(
        self,
        found: &mut Diagnostics,
        mode: impl FnOnce(Vec<String>) -> ChangeMode,
        plan: impl FnOnce(Aggregation) -> Plan,
    ) -> Option<Bound> {
        let Binding { input, upstream, spec } = self;
        let keys = bind_keys(input, &spec, &upstream.schema, &WINDOW_COLUMNS, found);
        let calls = bind_aggregates(input, &spec, &upstream.schema, found);
        if keys.len() < spec.by.len() || calls.len() < spec.aggregate.0.len() {
            return None;
        }
        let aggregates = spec.aggregate.0.iter().map(|(name, _)| name.clone()).zip(calls.iter().map(|call| call.result)).collect();
        let rows = RowShape { keys, aggregates };
        let distribution = match rows.keys.is_empty() {
            true => Distribution::Single,
            false => Distribution::ByKey(rows.keys.iter().map(|(name, _)| name.clone()).collect()),
        };
        let mode = mode(rows.keys.iter().map(|(name, _)| name.clone()).collect());
        let outputs = outputs(upstream, &rows, mode);
        let on_error = input.node.common.on_error.unwrap_or_default();
        Some(Bound { outputs, distribution, payload: Payload::new(plan(Aggregation { rows, calls, on_error })) })
    }
}

/// A length in microseconds that is above 0; what is not is told, and 1.
pub fn positive(input: &BindInput<'_>, field: &str, length: Duration, found: &mut Diagnostics) -> i64 {
    if length.micros <= 0 {
        found.push(input.error(codes::WINDOW_SIZE, field, "a window has a length").expected("more than 0").found(length.to_string()));
    }
    length.micros.max(1)
}

fn check_event_time(input: &BindInput<'_>, upstream: &InputPort, found: &mut Diagnostics) {
    if !upstream.has_event_time {
        let finding = input.error(codes::NO_EVENT_TIME, "", "a window needs rows that say when they happened, and these do not");
        found.push(finding.help("set `event_time` on the source, to the column that holds the time"));
    }
}

/// The key columns that are there. `made` are the columns that the node makes itself.
pub fn bind_keys(input: &BindInput<'_>, spec: &Common, schema: &Schema, made: &[&str], found: &mut Diagnostics) -> Vec<(String, DataType)> {
    let mut keys: Vec<(String, DataType)> = Vec::new();
    for (at, column) in spec.by.iter().enumerate() {
        let (name, field) = (&column.0, format!("by.{at}"));
        let Some(known) = schema.field(name) else {
            let finding = input.error(codes::UNKNOWN_KEY, &field, format!("the input has no column `{name}`"));
            let columns: Vec<&str> = schema.names().collect();
            found.push(finding.expected(format!("one of {}", columns.join(", "))).nearest_of(name, columns));
            continue;
        };
        if made.contains(&name.as_str()) {
            let finding = input.error(codes::DOUBLE_COLUMN, &field, format!("the window makes a column `{name}` itself"));
            found.push(
                finding.help(format!("give the input's another name before, in a select: columns = [\"{name} AS earlier_{name}\", ..]")),
            );
        } else if keys.iter().any(|(other, _)| other == name) {
            found.push(input.error(codes::DOUBLE_COLUMN, &field, format!("`{name}` is named twice")));
        } else {
            keys.push((name.clone(), known.data_type));
        }
    }
    keys
}

/// The aggregates that can be typed.
pub fn bind_aggregates(input: &BindInput<'_>, spec: &Common, schema: &Schema, found: &mut Diagnostics) -> Vec<AggregateCall> {
    let mut calls = Vec::new();
    for (name, text) in &spec.aggregate.0 {
        let field = format!("aggregate.{name}");
        check_name(input, spec, name, &field, found);
        match parse_aggregate(&text.0, schema) {
            Ok(call) => calls.push(call),
            Err(errors) => errors.into_iter().for_each(|error| found.push(error.into_diagnostic(input.node, &field, &text.0))),
        }
    }
    calls
}

fn check_name(input: &BindInput<'_>, spec: &Common, name: &str, field: &str, found: &mut Diagnostics) {
    if name.starts_with("__") || WINDOW_COLUMNS.contains(&name) {
        let finding = input.error(codes::RESERVED_COLUMN, field, format!("`{name}` is a name of the engine's own columns"));
        found.push(finding.expected("a name that does not begin with `__` and is none of window_start, window_end, window_time"));
    } else if name.is_empty() {
        found.push(input.error(codes::RESERVED_COLUMN, field, "a column has a name").help("such as departures = \"count(*)\""));
    } else if spec.by.iter().any(|key| key.0 == name) {
        let finding = input.error(codes::DOUBLE_COLUMN, field, format!("`{name}` is also a column of `by`"));
        found.push(finding.help("both stand in the output: give the aggregate another name"));
    }
}

fn outputs(upstream: &InputPort, rows: &RowShape, mode: ChangeMode) -> Vec<OutputPort> {
    let mut fields: Vec<Field> = WINDOW_COLUMNS.iter().map(|name| Field::required(*name, DataType::Timestamp)).collect();
    fields.extend(rows.keys.iter().chain(&rows.aggregates).map(|(name, data_type)| Field::new(name, *data_type)));
    if mode.has_op() {
        fields.push(Field::required(OP_COLUMN, DataType::Varchar));
    }
    vec![
        OutputPort { name: MAIN_PORT.to_owned(), schema: Arc::new(Schema::new(fields)), mode, has_event_time: true },
        OutputPort::append(LATE_PORT, upstream.schema.clone(), true),
        OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false),
    ]
}
