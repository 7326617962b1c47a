//! `session_window`: windows of activity, each closed by a gap.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::{Binding, positive};
use super::changing_session_operator::{ChangingSessionOperator, ChangingSessionPlan};
use super::emission::{Emission, close_after_idle};
use super::rows::WINDOW_COLUMNS;
use super::session_operator::{SessionOperator, SessionPlan};
use super::spec::{Aggregates, Common, Emit, EmitMode, SIDE_PORTS};
use super::timed::mode_of;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};

/// The fields of a `session_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionWindowSpec {
    /// A session ends once this long has passed without a row of its key.
    pub gap: Duration,
    /// The columns whose values each have sessions of their own.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// What to compute, by the name of the output column.
    pub aggregate: Aggregates,
    /// How long after its end a session still takes rows; its result waits as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// When results come out: once, `on_close`; at the end and corrected, `on_update`; or early too, as in `{ every = "5s", rows = 1000 }`.
    #[serde(default)]
    pub emit: Emit,
    /// Closes what is open once nothing has come for so long by the clock, though event time has not passed its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_after_idle: Option<Duration>,
}

/// Groups rows of a key that follow each other within a gap: a visit, a trip, a burst of errors.
///
/// ```toml
/// [node.visits]
/// kind = "session_window"
/// input = "clicks"
/// gap = "30m"
/// by = ["user"]
/// aggregate = { clicks = "count(*)" }
/// ```
///
/// A session is the time from its first row to its last plus the gap; rows exactly a gap apart are in two sessions.
///
/// ```
/// use millrace_runtime::operators::window::SessionWindowSpec;
///
/// let fields = r#"{ "gap": "30m", "by": ["user"], "aggregate": { "clicks": "count(*)" } }"#;
/// let spec: SessionWindowSpec = serde_json::from_str(fields)?;
/// assert_eq!(spec.gap.to_string(), "30m");
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// With `emit = "on_update"`, or with early results, what was told of a session is deleted (`__op` is `-D`, the keys alone count) when its first or
/// last row moves or it becomes one with another, and the session is told anew. `mode = "discarding"` is refused.
///
/// Columns as in [`TumblingWindow`](super::TumblingWindow); by end, start and key.
///
/// Law of rows: each row is accepted, late or quarantined. It is late if the session that it would make alone (its time plus the gap) closes
/// at or before its own watermark, whatever sessions are open. It joins only sessions that close after its own watermark, so that a row
/// in time may open one that overlaps a session already out. A row that brings two sessions together makes them one. A row that an integer
/// sum refuses has still held its session together; a sum that overflows where two sessions meet is NULL.
pub struct SessionWindow {
    info: KindInfo,
}

impl Default for SessionWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "session_window",
            title: "Session window",
            category: Category::Window,
            icon: "activity",
            summary: "Groups rows of a key that follow each other within a gap, and aggregates each group.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["gap", "by"],
            schema: schema_of::<SessionWindowSpec>,
        };
        SessionWindow { info }
    }
}

impl Kind for SessionWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: SessionWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        let gap = positive(input, "gap", spec.gap, found);
        let allowed_lateness = spec.allowed_lateness.unwrap_or_default().micros;
        let close_after_idle = close_after_idle(input, spec.close_after_idle, found);
        match Emission::of(input, spec.emit, found) {
            Emission::Final => binding.bind(found, |aggregation| SessionPlan { gap, allowed_lateness, close_after_idle, aggregation }),
            Emission::Changing(triggers) => {
                if triggers.mode == EmitMode::Discarding {
                    let finding =
                        input.error(codes::WINDOW_EMIT, "emit.mode", "the parts of a session that grows have no window in common");
                    found.push(finding.expected("accumulating").help("a window over event time has parts that add up"));
                }
                let plan = |aggregation| ChangingSessionPlan { gap, allowed_lateness, triggers, close_after_idle, aggregation };
                binding.bind_as(found, |keys| mode_of(EmitMode::Accumulating, &WINDOW_COLUMNS[..2], keys), plan)
            }
        }
    }
}

impl OperatorFactory for SessionWindow {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        if let Some(plan) = node.payload.get::<SessionPlan>() {
            return Ok(Box::new(SessionOperator::new(plan, context)));
        }
        let plan: &ChangingSessionPlan = node.payload.get().ok_or_else(|| RunError::bug("a session_window was bound by another kind"))?;
        Ok(Box::new(ChangingSessionOperator::new(plan, context)))
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}
