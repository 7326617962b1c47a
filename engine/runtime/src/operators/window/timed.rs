//! What windows over event time have in common: how `emit` chooses their operator.

use std::sync::Arc;

use millrace_model::field::Duration;
use millrace_model::{ChangeMode, Diagnostics};
use millrace_plan::{BindInput, Bound, BoundNode};

use super::bind::Binding;
use super::changing_operator::{self, ChangingPlan, Extent, telling_of};
use super::emission::{Emission, close_after_idle};
use super::operator::{self, PanePlan};
use super::rows::WINDOW_COLUMNS;
use super::shape::Windows;
use super::spec::{Emit, EmitMode};
use crate::error::RunResult;
use crate::operator::{Combiner, Operator, OperatorContext};

/// When results come out, as the spec says it.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub emit: Emit,
    pub close_after_idle: Option<Duration>,
}

/// Binds a window over event time.
pub fn bind(input: &BindInput<'_>, binding: Binding<'_, '_>, windows: Windows, timing: Timing, found: &mut Diagnostics) -> Option<Bound> {
    let close_after_idle = close_after_idle(input, timing.close_after_idle, found);
    match Emission::of(input, timing.emit, found) {
        Emission::Final => binding.bind(found, |aggregation| PanePlan { windows, close_after_idle, aggregation }),
        Emission::Changing(triggers) => {
            let (extent, telling) = (Extent::Times(windows), telling_of(triggers.mode));
            let plan = |aggregation| ChangingPlan { extent, triggers, telling, close_after_idle, aggregation };
            binding.bind_as(found, |keys| mode_of(triggers.mode, &WINDOW_COLUMNS[..2], keys), plan)
        }
    }
}

/// The change mode of results that `columns` and the keys tell apart.
pub fn mode_of(mode: EmitMode, columns: &[&str], keys: Vec<String>) -> ChangeMode {
    match mode {
        EmitMode::Accumulating => ChangeMode::Upsert { key: columns.iter().map(|name| (*name).to_owned()).chain(keys).collect() },
        EmitMode::Discarding => ChangeMode::Append,
    }
}

/// Makes the operator of a node that [`bind`] has bound.
pub fn create(node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
    match node.payload.get::<PanePlan>() {
        Some(_) => operator::create(node, context),
        None => changing_operator::create(node, context),
    }
}

/// Windows over panes put these on disk by themselves; others are cut by key.
pub fn may_rest(node: &BoundNode) -> bool {
    node.payload.get::<PanePlan>().is_none()
}

/// Makes what aggregates in the sending tasks. None where results come early or windows close without a watermark: what was held back then
/// would come too late.
pub fn combiner(node: &Arc<BoundNode>) -> RunResult<Option<Box<dyn Combiner>>> {
    match node.payload.get::<PanePlan>() {
        Some(plan) if plan.close_after_idle.is_none() => Ok(operator::combiner(plan)),
        _ => Ok(None),
    }
}
