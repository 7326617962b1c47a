//! `global_window`: one window of each key over everything.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::field::{ColumnName, Duration};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bind::Binding;
use super::changes::Telling;
use super::changing_operator::{self, ChangingPlan, Extent, telling_of};
use super::emission::{Emission, Triggers, never_idle};
use super::spec::{Aggregates, Common, Emit, EmitMode, SIDE_PORTS, When};
use super::timed::mode_of;
use crate::error::RunResult;
use crate::operator::{Operator, OperatorContext, OperatorFactory};

/// The fields of a `global_window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalWindowSpec {
    /// The columns whose values each get rows of their own.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// What to compute, by the name of the output column.
    pub aggregate: Aggregates,
    /// When results come out: at the end of input, `on_close`, or early too, as in `{ every = "5s", rows = 1000 }`, where `mode = "discarding"`
    /// makes each cover what came since the last.
    #[serde(default)]
    pub emit: Emit,
    /// Has no meaning here: a window over everything ends with its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_after_idle: Option<Duration>,
}

/// Groups all rows of a key into one window, which ends with the input: totals of a finite stream, or every thousand rows of an endless one.
///
/// ```toml
/// [node.totals]
/// kind = "global_window"
/// input = "readings"
/// by = ["sensor"]
/// aggregate = { readings = "count(*)", mean = "avg(celsius)" }
/// emit = { rows = 1000, every = "10s" }
/// ```
///
/// `emit = "on_close"`, the default, gives one final row a key at the end of input. With `rows` and `every` there are results before, each in
/// place of the key's last; with `mode = "discarding"` each is of the rows since.
///
/// ```
/// use millrace_runtime::operators::window::GlobalWindowSpec;
///
/// let fields = r#"{ "by": ["sensor"], "aggregate": { "n": "count(*)" }, "emit": { "rows": 1000, "mode": "discarding" } }"#;
/// let spec: GlobalWindowSpec = serde_json::from_str(fields)?;
/// assert_ne!(spec.emit, Default::default());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// `window_start` is the least event time of the rows that a result covers, `window_time` the greatest, `window_end` 1 us after it; so a
/// result is told apart by the columns of `by` alone. Rows go out by key, those of `rows` as they come to be due. Event time downstream stands
/// still until the end.
///
/// Law of rows: each row is accepted or quarantined. None is late. A key is remembered as long as the run lasts.
pub struct GlobalWindow {
    info: KindInfo,
}

impl Default for GlobalWindow {
    fn default() -> Self {
        let info = KindInfo {
            name: "global_window",
            title: "Global window",
            category: Category::Window,
            icon: "group",
            summary: "Groups all rows of a key into one window, and aggregates it.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: SIDE_PORTS,
            key_fields: &["by"],
            schema: schema_of::<GlobalWindowSpec>,
        };
        GlobalWindow { info }
    }
}

impl Kind for GlobalWindow {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: GlobalWindowSpec = input.spec(found)?;
        let binding = Binding::new(input, Common { by: spec.by, aggregate: spec.aggregate }, found)?;
        never_idle(input, spec.close_after_idle, "a window over everything ends with its input", found);
        if spec.emit == Emit::When(When::OnUpdate) {
            let finding = input.error(codes::WINDOW_EMIT, "emit", "nothing comes after the end of a window over everything");
            found.push(finding.expected("`on_close`, or { rows = .. }, { every = \"..\" }"));
        }
        let (triggers, telling) = match Emission::of(input, spec.emit, found) {
            Emission::Final => (Triggers { every: None, rows: None, mode: EmitMode::Accumulating }, Telling::Append),
            Emission::Changing(triggers) => (triggers, telling_of(triggers.mode)),
        };
        let mode = if telling == Telling::Append { EmitMode::Discarding } else { EmitMode::Accumulating };
        let plan = |aggregation| ChangingPlan { extent: Extent::All, triggers, telling, close_after_idle: None, aggregation };
        binding.bind_as(found, |keys| mode_of(mode, &[], keys), plan)
    }
}

impl OperatorFactory for GlobalWindow {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        changing_operator::create(node, context)
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}
