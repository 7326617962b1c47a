//! `count_window`: windows of so many rows of a key.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::Binding;
use super::count_operator::{CountOperator, CountPlan};
use super::emission::{Emission, never_idle};
use super::shape::{MOST_PANES, gcd};
use super::spec::{Aggregates, Common, Emit, SIDE_PORTS};
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};

/// The fields of a `count_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountWindowSpec {
    /// How many rows of a key each window has.
    #[schemars(range(min = 1))]
    pub rows: u32,
    /// After how many rows the next window begins; `rows` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub slide: Option<u32>,
    /// The columns whose values are each counted apart.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// What to compute, by the name of the output column.
    pub aggregate: Aggregates,
    /// How far behind its own watermark a row may be. The output watermark stays as far behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// Each window goes out with its last row: `on_close` is all there is.
    #[serde(default)]
    pub emit: Emit,
    /// Has no meaning here: a window has exactly its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_after_idle: Option<Duration>,
}

/// Groups every so many rows of a key, in the order in which they come: the mean of the last 100 readings, told every 10.
///
/// ```toml
/// [node.last_readings]
/// kind = "count_window"
/// input = "readings"
/// rows = 100
/// slide = 10
/// by = ["sensor"]
/// aggregate = { mean = "avg(celsius)" }
/// ```
///
/// Windows begin at a key's first row and every `slide` rows after; each goes out with its last row.
///
/// ```
/// use millrace_runtime::operators::window::CountWindowSpec;
///
/// let spec: CountWindowSpec = serde_json::from_str(r#"{ "rows": 100, "aggregate": { "mean": "avg(celsius)" } }"#)?;
/// assert_eq!(spec.slide, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// `window_start` is the least event time of the rows, `window_time` the greatest, `window_end` 1 us after it.
///
/// Law of rows: each row is accepted, late or quarantined. It is late if its time plus `allowed_lateness` lies before its own watermark. A
/// window has exactly `rows` rows: what a key has gathered when the input ends is no window. A row that an integer sum refuses has been
/// counted. Rows of one partition are counted in their order, those of several as they arrive. A key is remembered as long as the run lasts.
pub struct CountWindow {
    info: KindInfo,
}

impl Default for CountWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "count_window",
            title: "Count window",
            category: Category::Window,
            icon: "hash",
            summary: "Groups every so many rows of a key, and aggregates each group.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["rows", "slide", "by"],
            schema: schema_of::<CountWindowSpec>,
        };
        CountWindow { info }
    }
}

impl Kind for CountWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: CountWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        let (rows, slide) = (spec.rows, spec.slide.unwrap_or(spec.rows));
        for (field, _) in [("rows", rows), ("slide", slide)].into_iter().filter(|(_, count)| *count == 0) {
            found.push(input.error(codes::WINDOW_ROWS, field, "a count window has rows").expected("1 or more").found("0"));
        }
        let (rows, slide) = (u64::from(rows.max(1)), u64::from(slide.max(1)));
        if slide > rows {
            let finding = input.error(codes::WINDOW_ROWS, "slide", "rows between two windows would count for none");
            found.push(finding.expected(format!("at most `rows`, {rows}")).found(slide.to_string()));
        }
        let pane = gcd(rows as i64, slide as i64) as u64;
        if rows / pane > MOST_PANES as u64 {
            let message = format!("each window would be merged from {} panes of {pane} rows", rows / pane);
            let finding = input.error(codes::WINDOW_PANES, "slide", message).expected(format!("at most {MOST_PANES} panes a window"));
            found.push(finding.help("a longer `slide`, or one that divides `rows`, makes longer panes"));
        }
        Emission::only_final(input, spec.emit, "a count window goes out with its last row, and changes no more", found);
        never_idle(input, spec.close_after_idle, "a count window has exactly its rows, however long they take", found);
        let allowed_lateness = spec.allowed_lateness.unwrap_or_default().micros;
        binding.bind(found, |aggregation| CountPlan { rows, slide, allowed_lateness, aggregation })
    }
}

impl OperatorFactory for CountWindow {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let plan: &CountPlan = node.payload.get().ok_or_else(|| RunError::bug("a count_window was bound by another kind"))?;
        Ok(Box::new(CountOperator::new(plan, context)))
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}
