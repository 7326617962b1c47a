//! `aggregate`: results by key over all rows so far, without windows.
//!
//! # What comes out
//!
//! A row that replaces the key's last one, whenever a batch has touched the key: `+I` the first time, `+U` from then on, and `-D` once the
//! last of its rows has been taken back. How many of these there are hangs on how rows come in batches; what they come to does not: after
//! any prefix of the input the newest row of each key is what `GROUP BY` gives over it.
//!
//! # What goes in
//!
//! Rows that are new; rows that take earlier ones back; and rows that replace the earlier one of their key. Of these the last is kept for each
//! key ([`latest`]), and taken back when the next one comes. Over rows that change, aggregates are kept such that a value can be taken back
//! exactly ([`super::aggregate::retract`]).
//!
//! # Event time
//!
//! Nothing is late where there are no windows: every row counts. A row that comes out carries the greatest event time of the rows that have
//! touched its key, and watermarks pass as they come. A late row may touch a key, so that the row that comes out lies behind the watermark:
//! what asks for more than order of a changelog's rows (a window) refuses changelogs.

mod latest;
mod operator;
mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration};
use millrace_model::id::{MAIN_PORT, QUARANTINED_PORT};
use millrace_model::{Category, ChangeMode, DataType, Diagnostics, Field, Inputs, KindInfo, OP_COLUMN, PortInfo, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, InputPort, Kind, OutputPort, change_mode, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::operator::{AggregatePlan, Source};
use crate::batch::quarantine_schema;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};
use crate::operators::aggregate::retract::retracting;
use crate::operators::window::Aggregates;
use crate::operators::window::bind::{Aggregation, bind_aggregates, bind_keys};
use crate::operators::window::inputs::Inputs as Reads;
use crate::operators::window::intake::Intake;
use crate::operators::window::rows::RowShape;
use crate::operators::window::spec::Common;

/// The fields of an `aggregate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateSpec {
    /// The columns whose values each get a row of their own; one row for all if absent.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// What to compute, by the name of the output column.
    pub aggregate: Aggregates,
    /// A key that no row has touched for so long, by event time, is forgotten; kept for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
}

/// Groups rows by key, over all rows so far, and gives a key's new result whenever it changes.
///
/// ```toml
/// [node.carriers]
/// kind = "aggregate"
/// input = "flights"
/// by = ["carrier"]
/// aggregate = { flights = "count(*)", mean_delay = "avg(dep_delay)" }
/// ttl = "30d"
/// ```
///
/// The aggregates keep the file's order:
///
/// ```
/// use millrace_runtime::operators::group_aggregate::AggregateSpec;
///
/// let fields = r#"{ "by": ["carrier"], "aggregate": { "flights": "count(*)", "delay": "avg(dep_delay)" }, "ttl": "30d" }"#;
/// let spec: AggregateSpec = serde_json::from_str(fields)?;
/// let columns: Vec<&str> = spec.aggregate.0.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(columns, ["flights", "delay"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Gives out the keys, the aggregates, `__op`, in that order: an edge that upserts by the keys. NULL is a key like another, `-0.0` is `0.0`,
/// every NaN is one. Without `by` there is one row for all, from the first row on.
///
/// Over rows that change (of another `aggregate`, a `top_n`), aggregates must take values back exactly. Most can: counts, `sum`, `avg`, and, by
/// keeping each different value of a key, `min`, `max`, `mode`, `median`, `quantile`, `stddev`, `variance`, `count_distinct`, `arg_min`, `arg_max`,
/// `bool_and` and `bool_or`. The others are refused (MR0330). Rows that replace the earlier one of their key are spread over tasks only if `by`
/// names columns of that key alone; otherwise one task takes all.
///
/// With `ttl`, a key is forgotten once the watermark has passed the newest of its rows by so much; no row tells. The next row of the key
/// begins anew, also if it comes before the key was found forgotten but its own watermark is past it, so that batches and speed change
/// nothing; rows of several partitions meet as they come. Only rows that are new and have an event time can be forgotten so.
///
/// Law of rows: each row is accepted, or leaves by `quarantined`: because an expression could not be computed, or because an integer sum would
/// overflow (which `on_error = "null"` turns into NULL; over rows that change it is NULL while it does not fit). So of each input batch
/// `rows = accepted + quarantined`, none is late, and `count(*)` over all keys comes to the accepted rows, less those that were taken back,
/// and less those before that took them. A row that replaces another and cannot be computed still takes the other back.
pub struct Aggregate {
    info: KindInfo,
}

impl Default for Aggregate {
    fn default() -> Self {
        let info = KindInfo {
            name: "aggregate",
            title: "Aggregate",
            category: Category::Shape,
            icon: "sigma",
            summary: "Aggregates all rows so far by key, and gives each key's new result whenever it changes.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[PortInfo { name: QUARANTINED_PORT, summary: "Rows that could not be computed, with the reason." }],
            key_fields: &["by", "aggregate"],
            schema: schema_of::<AggregateSpec>,
        };
        Aggregate { info }
    }
}

impl Kind for Aggregate {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: AggregateSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        let content = change_mode::content(&upstream.schema, &upstream.mode);
        let common = Common { by: spec.by, aggregate: spec.aggregate };
        let keys = bind_keys(input, &common, &content, &[], found);
        let calls = bind_aggregates(input, &common, &content, found);
        let ttl = spec.ttl.and_then(|ttl| checked_ttl(input, upstream, ttl, found));
        if keys.len() < common.by.len() || calls.len() < common.aggregate.0.len() {
            return None;
        }
        let names = common.aggregate.0.into_iter().map(|(name, _)| name);
        let aggregates = names.zip(calls.iter().map(|call| call.result)).collect();
        let on_error = input.node.common.on_error.unwrap_or_default();
        let aggregation = Aggregation { rows: RowShape { keys, aggregates }, calls, on_error };
        check_aggregates(input, upstream, &aggregation, found);
        let source = source_of(upstream, &content, &aggregation);
        let distribution = distribution(&source, &aggregation.rows);
        let outputs = outputs(upstream, &aggregation.rows);
        let plan = AggregatePlan { aggregation, source, ttl, has_event_time: upstream.has_event_time };
        Some(Bound { outputs, distribution, payload: Payload::new(plan) })
    }
}

fn checked_ttl(input: &BindInput<'_>, upstream: &InputPort, ttl: Duration, found: &mut Diagnostics) -> Option<i64> {
    if ttl.micros <= 0 {
        found.push(input.error(codes::TTL, "ttl", "a key is kept for some time").expected("more than 0").found(ttl.to_string()));
    }
    if upstream.mode.has_op() {
        let finding =
            input.error(codes::TTL, "ttl", "these rows change, and a change to what was forgotten could not be told from another");
        found.push(finding.help("leave `ttl` out here, and set it where rows are still new: on the node that makes them change"));
    } else if !upstream.has_event_time {
        let finding =
            input.error(codes::NO_EVENT_TIME, "ttl", "what has not been touched for long is told by event time, and these rows have none");
        found.push(finding.help("set `event_time` on the source, or leave `ttl` out: then every key is kept"));
    }
    Some(ttl.micros.max(1))
}

/// Finds aggregates that hang on a time that is not there, or cannot take back what an input takes back.
fn check_aggregates(input: &BindInput<'_>, upstream: &InputPort, aggregation: &Aggregation, found: &mut Diagnostics) {
    let field = |at: usize| format!("aggregate.{}", aggregation.rows.aggregates.get(at).map_or("", |(name, _)| name.as_str()));
    if upstream.mode.has_op() {
        for (at, shape) in Intake::pane_shape(aggregation).aggregates.iter().enumerate() {
            let Err(reason) = retracting(shape) else { continue };
            let message = format!("this aggregate cannot take back rows that {}: {reason}", change_mode::meaning(&upstream.mode));
            let help = "aggregate the rows before they change, or use one that can: count, sum, avg, min, max, count_distinct, median..";
            found.push(input.error(codes::NO_RETRACTION, &field(at), message).help(help));
        }
    } else if !upstream.has_event_time {
        for at in Reads::new(aggregation).by_event_time() {
            let message = "this aggregate goes by when rows happened, and these do not say";
            let help = "set `event_time` on the source, or name what to go by: arg_min(x, y), arg_max(x, y)";
            found.push(input.error(codes::NO_EVENT_TIME, &field(at), message).help(help));
        }
    }
}

fn source_of(upstream: &InputPort, content: &Schema, aggregation: &Aggregation) -> Source {
    match &upstream.mode {
        ChangeMode::Append => Source::Append,
        ChangeMode::Retract => Source::Retract,
        ChangeMode::Upsert { key } => latest::source(key, content, aggregation),
    }
}

fn distribution(source: &Source, rows: &RowShape) -> Distribution {
    let is_spread = match source {
        Source::Append | Source::Retract => true,
        // A row and the one that it replaces must meet: they are of one key, and so of one group.
        Source::Upsert(latest) => latest.placing == rows.keys.len(),
    };
    match rows.keys.is_empty() || !is_spread {
        true => Distribution::Single,
        false => Distribution::ByKey(rows.keys.iter().map(|(name, _)| name.clone()).collect()),
    }
}

fn outputs(upstream: &InputPort, rows: &RowShape) -> Vec<OutputPort> {
    let mut fields: Vec<Field> = rows.keys.iter().chain(&rows.aggregates).map(|(name, data_type)| Field::new(name, *data_type)).collect();
    fields.push(Field::required(OP_COLUMN, DataType::Varchar));
    let mode = ChangeMode::Upsert { key: rows.keys.iter().map(|(name, _)| name.clone()).collect() };
    let main =
        OutputPort { name: MAIN_PORT.to_owned(), schema: Arc::new(Schema::new(fields)), mode, has_event_time: upstream.has_event_time };
    vec![main, OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false)]
}

impl OperatorFactory for Aggregate {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let plan: &AggregatePlan = node.payload.get().ok_or_else(|| RunError::bug("an aggregate was bound by another kind"))?;
        operator::create(plan, context)
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}
