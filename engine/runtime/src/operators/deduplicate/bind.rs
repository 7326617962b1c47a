//! Types a `deduplicate` against its input and finds what is wrong with it.

use std::sync::Arc;

use millrace_expr::OrderTerm;
use millrace_model::field::{ColumnName, Duration, OnError};
use millrace_model::id::{LATE_PORT, MAIN_PORT};
use millrace_model::{ChangeMode, DataType, Diagnostics, Field, OP_COLUMN, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, InputPort, OutputPort, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::TIME_COLUMN;
use crate::operators::ordering::{OrderText, bind_keys, bind_order, distribution};
use crate::operators::rows_store::{RowLayout, RowOrder};

/// The fields of a `deduplicate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeduplicateSpec {
    /// The columns by which rows are known: rows that are equal in all of them are duplicates of each other.
    #[schemars(length(min = 1))]
    pub by: Vec<ColumnName>,
    /// Which row of a key stays.
    #[serde(default)]
    pub keep: Keep,
    /// A row this much after the one that stayed is no duplicate of it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Which row is the first, as in SQL: `price DESC`, `ts`. By event time if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<OrderText>,
}

/// Which row of a key stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    #[default]
    First,
    Last,
}

/// What a `deduplicate` is made from.
#[derive(Debug, Clone)]
pub struct DeduplicatePlan {
    pub keys: Vec<(String, DataType)>,
    pub layout: RowLayout,
    pub mode: Mode,
    pub on_error: OnError,
}

/// How the row that stays is told.
#[derive(Debug, Clone)]
pub enum Mode {
    /// The first of each key to arrive: append.
    FirstToCome,
    /// The last of each key to arrive: upsert.
    LastToCome,
    /// The first by event time, final once the watermark has passed it: append. `within` in microseconds.
    Earliest { order: RowOrder, within: Option<i64> },
    /// The one that comes first in this order, of all so far: upsert.
    Best { order: RowOrder },
}

impl DeduplicatePlan {
    pub fn key_types(&self) -> Vec<DataType> {
        self.keys.iter().map(|(_, data_type)| *data_type).collect()
    }

    /// The types in words, for a snapshot to be held to.
    pub fn types(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().map(|(_, data_type)| data_type.name()).collect();
        format!("{}; by {}", self.layout.types(), keys.join(", "))
    }
}

pub fn bind(input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
    let spec: DeduplicateSpec = input.spec(found)?;
    let upstream = input.inputs.first()?;
    let keys = bind_keys(input, &spec.by, &upstream.schema, found);
    if spec.by.is_empty() {
        let finding = input.error(codes::NO_KEY, "by", "rows are duplicates of each other by the columns in which they are equal");
        found.push(finding.expected("one column or more").help("name all columns to let go of rows that are equal in all"));
    }
    let order = bind_order(input, &spec.order, &upstream.schema, found);
    check_within(input, &spec, upstream, found);
    let layout = match upstream.has_event_time {
        true => RowLayout::visible(&upstream.schema).with_time(),
        false => RowLayout::visible(&upstream.schema),
    };
    let mode = mode_of(&spec, upstream, &layout, &order);
    let change = match mode {
        Mode::FirstToCome | Mode::Earliest { .. } => ChangeMode::Append,
        Mode::LastToCome | Mode::Best { .. } => ChangeMode::Upsert { key: keys.iter().map(|(name, _)| name.clone()).collect() },
    };
    let outputs = outputs(upstream, change);
    let distribution = distribution(&keys);
    let on_error = input.node.common.on_error.unwrap_or_default();
    Some(Bound { outputs, distribution, payload: Payload::new(DeduplicatePlan { keys, layout, mode, on_error }) })
}

fn mode_of(spec: &DeduplicateSpec, upstream: &InputPort, layout: &RowLayout, order: &[OrderTerm]) -> Mode {
    let by_time = [OrderTerm { column: TIME_COLUMN.to_owned(), is_descending: false, nulls_first: false }];
    let (order, has_order) = match order {
        [] => (RowOrder::new(layout, &by_time), false),
        order => (RowOrder::new(layout, order), true),
    };
    match spec.keep {
        Keep::First if has_order => Mode::Best { order },
        Keep::First if upstream.has_event_time => Mode::Earliest { order, within: spec.within.map(|within| within.micros) },
        Keep::First => Mode::FirstToCome,
        Keep::Last if has_order || upstream.has_event_time => Mode::Best { order: order.reversed() },
        Keep::Last => Mode::LastToCome,
    }
}

fn check_within(input: &BindInput<'_>, spec: &DeduplicateSpec, upstream: &InputPort, found: &mut Diagnostics) {
    let Some(within) = spec.within else { return };
    if within.micros <= 0 {
        let finding = input.error(codes::WITHIN, "within", "within no time no row is a duplicate");
        found.push(finding.expected("more than 0").found(within.to_string()));
    }
    if !upstream.has_event_time {
        let finding = input.error(codes::NO_EVENT_TIME, "within", "`within` needs rows that say when they happened, and these do not");
        found.push(finding.help("set `event_time` on the source, to the column that holds the time"));
    }
    if spec.keep == Keep::Last {
        let message = "the last row of a key has none after it that `within` could bound";
        found.push(input.error(codes::WITHIN, "within", message).expected("keep = \"first\"").found("keep = \"last\""));
    } else if !spec.order.is_empty() {
        let message = "`within` goes by event time, and `order` puts another in its place";
        found.push(input.error(codes::WITHIN, "within", message).help("leave one of them out"));
    }
}

fn outputs(upstream: &InputPort, mode: ChangeMode) -> Vec<OutputPort> {
    let mut fields = upstream.schema.fields.clone();
    if mode.has_op() {
        fields.push(Field::required(OP_COLUMN, DataType::Varchar));
    }
    let schema = Arc::new(Schema::new(fields));
    vec![
        OutputPort { name: MAIN_PORT.to_owned(), schema, mode, has_event_time: upstream.has_event_time },
        OutputPort::append(LATE_PORT, upstream.schema.clone(), upstream.has_event_time),
    ]
}
