//! `hopping_window`: windows of one size that begin every slide, and overlap.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration, TimeZoneName, WindowSize};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::Binding;
use super::shape::{Shape, Windows};
use super::spec::{Aggregates, Common, Emit, SIDE_PORTS};
use super::timed::{self, Timing};
use super::zoned::{Lengths, check_panes, hopping, zone_of};
use crate::error::RunResult;
use crate::operator::{Combiner, Operator, OperatorContext, OperatorFactory};

/// The fields of a `hopping_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoppingWindowSpec {
    /// How long each window is.
    pub size: WindowSize,
    /// How long after one window the next begins.
    pub slide: WindowSize,
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

/// Groups rows by time into windows that overlap, and by key within each: the last hour, told every five minutes.
///
/// ```toml
/// [node.last_hour]
/// kind = "hopping_window"
/// input = "flown"
/// size = "1h"
/// slide = "5m"
/// by = ["origin"]
/// aggregate = { departures = "count(*)" }
/// ```
///
/// Each row is added once, to a pane of the greatest common divisor of `size` and `slide`; a window is merged from its panes when it fires.
/// A window may have 10,000 panes:
///
/// ```
/// use millrace_runtime::operators::window::HoppingWindowSpec;
///
/// let fields = r#"{ "size": "1h", "slide": "5m", "aggregate": { "departures": "count(*)" } }"#;
/// let spec: HoppingWindowSpec = serde_json::from_str(fields)?;
/// assert_eq!((spec.size.to_string(), spec.slide.to_string()), ("1h".to_owned(), "5m".to_owned()));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// With a `time_zone`, or in months, windows are made of the zone's own days or months, however long those are: the last seven days, told
/// every midnight (`size = "7d"`, `slide = "1d"`). `size` is then a whole number of slides, and a slide of less than a day is refused: parts of
/// a day have no place of their own where the clock changes.
///
/// With early results (`emit`) a row is added to each of its windows instead of one pane, since a result must be there at any moment.
///
/// Columns, order and law of rows are those of [`TumblingWindow`](super::TumblingWindow), but that a row counts for several windows: for
/// those that close (end plus `allowed_lateness`) after its own watermark. It is late only if none does. Where `slide` is more than `size`,
/// rows between two windows count as `filtered`.
pub struct HoppingWindow {
    info: KindInfo,
}

impl Default for HoppingWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "hopping_window",
            title: "Hopping window",
            category: Category::Window,
            icon: "layers",
            summary: "Groups rows into windows of one length that overlap, and aggregates each.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["size", "slide", "by"],
            schema: schema_of::<HoppingWindowSpec>,
        };
        HoppingWindow { info }
    }
}

impl Kind for HoppingWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: HoppingWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        let zone = zone_of(input, spec.time_zone.as_ref(), found);
        let lengths = Lengths { size: spec.size, part: spec.slide, zone, offset: spec.offset.unwrap_or_default().micros };
        let (shape, offset) = hopping(input, lengths, found);
        if let Shape::Hopping { size, slide } = shape {
            check_panes(input, size, slide, found);
        }
        let windows = Windows { shape, offset, allowed_lateness: spec.allowed_lateness.unwrap_or_default().micros };
        timed::bind(input, binding, windows, Timing { emit: spec.emit, close_after_idle: spec.close_after_idle }, found)
    }
}

impl OperatorFactory for HoppingWindow {
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
