//! What a pipeline that changed keeps of a run's state.

use std::collections::BTreeMap;

use millrace_model::NodeId;
use millrace_plan::{BoundNode, Distribution, LogicalPlan};
use millrace_state::checkpoint::Meaning;
use millrace_wire::change::StateKept;
use millrace_wire::message::NoticeSeverity;

use crate::checkpoint::{Allowances, Carry, Holds, Now, Restored, carry, codes, identities, meaning, meanings};
use crate::error::{RunError, RunResult};
use crate::guarantee::{Replay, Visibility};
use crate::job::setup::Shared;
use crate::registry::{Entry, Registry};

/// Compares a plan with what its nodes meant. `wrote`: the nodes whose operators have written state.
fn compare(plan: &LogicalPlan, registry: &Registry, then: &BTreeMap<NodeId, Meaning>, wrote: &dyn Fn(&NodeId) -> bool) -> Carry {
    // A sink that is gone widens nothing.
    let held = |kind: &str| match registry.get(kind) {
        Some(Entry::Source(factory)) if factory.replay().what == Replay::FromNow => Holds::Nothing,
        Some(Entry::Source(_)) => Holds::Source,
        Some(Entry::Operator(factory)) => Holds::Operator { may_extend: factory.may_extend_aggregates() },
        Some(Entry::Sink(factory)) if factory.visibility().what == Visibility::AsTheyCome => Holds::Nothing,
        Some(Entry::Sink(_)) | None => Holds::Sink { may_widen: false },
    };
    let holds = |node: &BoundNode| match (held(&node.decl.kind), registry.get(&node.decl.kind)) {
        (Holds::Sink { .. }, Some(Entry::Sink(factory))) => Holds::Sink { may_widen: factory.takes_other_columns(&node.decl) },
        (held, _) => held,
    };
    let now: Vec<Now<'_>> = plan.nodes.iter().map(|node| Now { node: &node.decl, meaning: meaning(node), holds: holds(node) }).collect();
    carry(&now, then, &held, wrote)
}

/// What a run of one plan would keep as another, before it is tried. Operators that rows pass as they come hold nothing; what the others do hold is
/// known only at the epoch.
pub fn outlook(before: &LogicalPlan, after: &LogicalPlan, registry: &Registry) -> StateKept {
    let holds = |id: &NodeId| before.node(id).is_some_and(|node| !matches!(node.distribution, Distribution::Any));
    let Carry { from, losses, notes } = compare(after, registry, &meanings(before), &holds);
    let kept = from.iter().map(|(now, then)| if now == then { now.to_string() } else { format!("{now} (was {then})") });
    let is_new = |node: &&BoundNode| {
        let is_lost = losses.iter().any(|loss| loss.starts_with(&format!("`{}`", node.id())));
        !from.contains_key(node.id()) && !is_lost
    };
    StateKept {
        kept: kept.collect(),
        new: after.nodes.iter().filter(is_new).map(|node| node.id().to_string()).collect(),
        lost: losses,
        notes,
    }
}

impl Shared {
    /// Sees what a pipeline that changed keeps, and gives it that.
    ///
    /// # Errors
    /// If there is anything that it cannot keep, and that is not allowed.
    pub fn carry(&self, restored: &mut Restored, allows: Allowances) -> RunResult<()> {
        let manifest = &restored.manifest;
        if manifest.key_groups != self.physical.key_groups {
            let message =
                format!("the state is in {} key groups, and this release makes {}", manifest.key_groups, self.physical.key_groups);
            return Err(other_pipeline(message));
        }
        let is_same = identities(&self.plan) == manifest.nodes;
        if is_same && (manifest.meanings.is_empty() || manifest.meanings == meanings(&self.plan)) {
            return Ok(());
        }
        let unknown: BTreeMap<NodeId, Meaning> = manifest.nodes.keys().map(|node| (node.clone(), Meaning::default())).collect();
        let then = if manifest.meanings.is_empty() { &unknown } else { &manifest.meanings };
        let Carry { from, losses, notes } = compare(&self.plan, &self.registry, then, &|node| restored.has_state(node));
        if !losses.is_empty() && !allows.state_loss {
            let message = format!(
                "the pipeline has changed since epoch {}, and what it kept is not all of use to it: {}",
                manifest.epoch,
                losses.join("; ")
            );
            return Err(other_pipeline(message));
        }
        for (severity, said) in
            losses.iter().map(|it| (NoticeSeverity::Warning, it)).chain(notes.iter().map(|it| (NoticeSeverity::Info, it)))
        {
            self.notices.say(None, severity, "state_changed", 1, || said.clone());
        }
        restored.carry(from);
        Ok(())
    }
}

/// That a run's state is of another pipeline.
pub fn other_pipeline(message: String) -> RunError {
    let help = "bring those nodes back as they were; or run with --allow-state-loss to go on without, or with --fresh to begin anew";
    RunError::State { code: codes::OTHER_PIPELINE, message, help, retryable: false }
}
