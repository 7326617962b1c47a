//! `tumbling_window`: windows of one size, one after another.

use std::sync::Arc;

use chrono_tz::Tz;
use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration, TimeZoneName, WindowSize};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::{Binding, positive};
use super::calendar::{Calendar, Period};
use super::shape::{Shape, Windows};
use super::spec::{Aggregates, Common, Emit, SIDE_PORTS};
use super::timed::{self, Timing};
use super::zoned::{days_of, some_months, within_month, zone_of};
use crate::error::RunResult;
use crate::operator::{Combiner, Operator, OperatorContext, OperatorFactory};

/// The fields of a `tumbling_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TumblingWindowSpec {
    /// How long each window is: a time, or calendar months.
    pub size: WindowSize,
    /// Moves the windows' beginnings away from the full hour, day..
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Duration>,
    /// The zone whose clock the windows are aligned to; UTC if absent.
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

/// Groups rows by time into windows that do not overlap, and by key within each.
///
/// ```toml
/// [node.hourly]
/// kind = "tumbling_window"
/// input = "flown"
/// size = "1h"
/// by = ["origin"]
/// aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
/// allowed_lateness = "6h"
/// ```
///
/// The aggregates keep the file's order:
///
/// ```
/// use millrace_runtime::operators::window::TumblingWindowSpec;
///
/// let fields = r#"{ "size": "1h", "by": ["origin"], "aggregate": { "departures": "count(*)", "delay": "avg(dep_delay)" } }"#;
/// let spec: TumblingWindowSpec = serde_json::from_str(fields)?;
/// let columns: Vec<&str> = spec.aggregate.0.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(columns, ["departures", "delay"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// With a `time_zone`, windows begin at local midnight and days are as long as they are there: 23 or 25 hours where the clock changes. Parts
/// of a day (`6h`) follow each other from its beginning, so that the last of such a day is shorter, or there is one more. `1mo` is a
/// calendar month, `1y` twelve of them.
///
/// With `emit = "on_update"` a key's row comes when its window ends, and again with each batch that brings a row within `allowed_lateness`; with
/// `emit = { every = "5s", rows = 1000 }` early ones come too, whichever is first. The rows then end with `__op`: `+I` for the first of a key,
/// `+U` for those that replace it. `mode = "discarding"` in that table makes each row cover what came since the last, without `__op`.
///
/// ```
/// use millrace_runtime::operators::window::{Emit, TumblingWindowSpec};
///
/// let fields = r#"{ "size": "1h", "aggregate": { "n": "count(*)" }, "emit": { "every": "5s", "rows": 1000 }, "close_after_idle": "30s" }"#;
/// let spec: TumblingWindowSpec = serde_json::from_str(fields)?;
/// assert!(matches!(spec.emit, Emit::Early(early) if early.rows == Some(1000)));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Gives out `window_start`, `window_end`, `window_time` (the end less 1 us), the keys, the aggregates, in that order; by window, and within
/// each by key (ascending, text by its bytes, NaN last of the numbers, NULL last of all). NULL is a key like another, `-0.0` is `0.0`,
/// every NaN is one.
///
/// Law of rows: each row is accepted, or leaves by `late` as it came, or leaves by `quarantined`: because its window would begin or end
/// beyond what a TIMESTAMP holds, because an expression could not be computed, or because an integer sum would overflow (which
/// `on_error = "null"` turns into NULL). A row that is late and cannot be computed is late. So of each input batch
/// `rows = accepted + late + quarantined`, and the counts of `count(*)` over all windows are the accepted rows, once all have fired.
/// `late_after_idle` tells how many of `late` were late only because their input had been idle.
pub struct TumblingWindow {
    info: KindInfo,
}

impl Default for TumblingWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "tumbling_window",
            title: "Tumbling window",
            category: Category::Window,
            icon: "columns-3",
            summary: "Groups rows into windows of one length, one after another, and aggregates each.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["size", "by"],
            schema: schema_of::<TumblingWindowSpec>,
        };
        TumblingWindow { info }
    }
}

impl Kind for TumblingWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: TumblingWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        let offset = spec.offset.unwrap_or_default().micros;
        let zone = zone_of(input, spec.time_zone.as_ref(), found);
        let (shape, offset) = match (spec.size, zone) {
            (WindowSize::Fixed(size), Tz::UTC) => {
                let size = positive(input, "size", size, found);
                (Shape::Hopping { size, slide: size }, offset.rem_euclid(size))
            }
            (WindowSize::Fixed(size), zone) => (Shape::Calendar(days_of(input, "size", size, zone, offset, found)), 0),
            (WindowSize::Months(months), zone) => {
                let period = Period::Months(some_months(input, "size", months, found));
                (Shape::Calendar(Calendar { zone, period, offset: within_month(input, offset, found), part: None }), 0)
            }
        };
        let windows = Windows { shape, offset, allowed_lateness: spec.allowed_lateness.unwrap_or_default().micros };
        timed::bind(input, binding, windows, Timing { emit: spec.emit, close_after_idle: spec.close_after_idle }, found)
    }
}

impl OperatorFactory for TumblingWindow {
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
