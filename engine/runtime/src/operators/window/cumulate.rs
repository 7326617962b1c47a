//! `cumulate_window`: windows that begin together and grow step by step.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration, TimeZoneName, WindowSize};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::Binding;
use super::shape::Windows;
use super::spec::{Aggregates, Common, Emit, SIDE_PORTS};
use super::timed::{self, Timing};
use super::zoned::{Lengths, cumulating, zone_of};
use crate::error::RunResult;
use crate::operator::{Combiner, Operator, OperatorContext, OperatorFactory};

/// The fields of a `cumulate_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CumulateWindowSpec {
    /// How long the longest window is.
    pub size: WindowSize,
    /// How much longer each window is than the one before. It divides `size`.
    pub step: WindowSize,
    /// Moves the windows' beginnings away from the full hour, day..
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Duration>,
    /// The zone whose days or months the windows are made of; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZoneName>,
    /// The columns whose values each get rows of their own.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// What to compute, by the name of the output column.
    pub aggregate: Aggregates,
    /// How long after its end a window still takes rows; its result waits as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// When results come out: once, `on_close`; at the end and corrected, `on_update`; or early too, as in `{ every = "5s", rows = 1000 }`, where
    /// `mode = "discarding"` makes each cover what came since the last.
    #[serde(default)]
    pub emit: Emit,
    /// Closes what is open once nothing has come for so long by the clock, though event time has not passed its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_after_idle: Option<Duration>,
}

/// Groups rows by time into windows that begin together and end a step apart: the day so far, told every hour.
///
/// ```toml
/// [node.so_far]
/// kind = "cumulate_window"
/// input = "flown"
/// size = "1d"
/// step = "1h"
/// by = ["origin"]
/// aggregate = { departures = "count(*)" }
/// ```
///
/// Each window carries on where the one before stopped, so that a row is added once and merged once:
///
/// ```
/// use millrace_runtime::operators::window::CumulateWindowSpec;
///
/// let fields = r#"{ "size": "1d", "step": "1h", "aggregate": { "departures": "count(*)" } }"#;
/// let spec: CumulateWindowSpec = serde_json::from_str(fields)?;
/// assert_eq!((spec.size.to_string(), spec.step.to_string()), ("1d".to_owned(), "1h".to_owned()));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// With a `time_zone`, or in months, windows begin at local midnight (`offset` after it) and grow by whole days, by months, or by parts of each
/// day that follow each other from its beginning: the day so far in New York, through every change of the clock.
///
/// Every window gives a row for each key seen since the common beginning, also where the last step brought no row of it. Columns, order and
/// law of rows are those of [`HoppingWindow`](super::HoppingWindow): a row counts for the windows that close after its own watermark.
pub struct CumulateWindow {
    info: KindInfo,
}

impl Default for CumulateWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "cumulate_window",
            title: "Cumulate window",
            category: Category::Window,
            icon: "chart-no-axes-column",
            summary: "Groups rows into windows that begin together and grow step by step, and aggregates each.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["size", "step", "by"],
            schema: schema_of::<CumulateWindowSpec>,
        };
        CumulateWindow { info }
    }
}

impl Kind for CumulateWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: CumulateWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        let zone = zone_of(input, spec.time_zone.as_ref(), found);
        let lengths = Lengths { size: spec.size, part: spec.step, zone, offset: spec.offset.unwrap_or_default().micros };
        let (shape, offset) = cumulating(input, lengths, found);
        let windows = Windows { shape, offset, allowed_lateness: spec.allowed_lateness.unwrap_or_default().micros };
        timed::bind(input, binding, windows, Timing { emit: spec.emit, close_after_idle: spec.close_after_idle }, found)
    }
}

impl OperatorFactory for CumulateWindow {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        timed::create(node, context)
    }

    fn combiner(&self, node: &Arc<BoundNode>) -> RunResult<Option<Box<dyn Combiner>>> {
        timed::combiner(node)
    }

    fn may_extend_aggregates(&self) -> bool {
        true
    }

    fn may_rest(&self, node: &BoundNode) -> bool {
        timed::may_rest(node)
    }
}
