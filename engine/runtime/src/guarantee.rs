//! What a crash does to the rows between a source and a sink, told before anything runs.
//!
//! A pair is as good as its weaker half. Between them nothing is lost or doubled: operators' state and the source's offset are of one
//! epoch, and lateness is a property of the data.

use std::collections::BTreeSet;

use millrace_model::NodeId;
use millrace_plan::{BoundNode, LogicalPlan};
use serde::{Deserialize, Serialize};

use crate::registry::{Entry, Registry};

/// How a source goes on after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It reads again from any offset that it once told.
    FromOffset,
    /// It goes on from now: what came meanwhile nobody saw.
    FromNow,
    /// What was read cannot be read again, and the run cannot go on.
    Never,
}

/// When a sink makes rows visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// With the epoch that they belong to, all or none, and only once.
    WithEpoch,
    /// As they come: those since the last epoch come again.
    AsTheyCome,
}

/// A half of a guarantee, and what it rests on: a clause, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise<T> {
    pub what: T,
    pub needs: &'static str,
}

/// How often a row of the source counts in what the sink shows, whatever crashes in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
    /// What is read counts once; what the source missed while the run was away never does.
    AtMostOnce,
    /// Rows may be missing, and others come twice.
    BestEffort,
    /// The run cannot go on: it has to begin anew.
    BeginsAnew,
}

impl Delivery {
    fn of(replay: Replay, visibility: Visibility) -> Delivery {
        match (replay, visibility) {
            (Replay::FromOffset, Visibility::WithEpoch) => Delivery::ExactlyOnce,
            (Replay::FromOffset, Visibility::AsTheyCome) => Delivery::AtLeastOnce,
            (Replay::FromNow, Visibility::WithEpoch) => Delivery::AtMostOnce,
            (Replay::FromNow, Visibility::AsTheyCome) => Delivery::BestEffort,
            (Replay::Never, _) => Delivery::BeginsAnew,
        }
    }

    pub const fn in_words(self) -> &'static str {
        match self {
            Delivery::ExactlyOnce => "exactly once",
            Delivery::AtLeastOnce => "at least once",
            Delivery::AtMostOnce => "at most once",
            Delivery::BestEffort => "best effort",
            Delivery::BeginsAnew => "begins anew",
        }
    }
}

/// The guarantee of one source and one sink that its rows reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarantee {
    pub source: NodeId,
    pub sink: NodeId,
    pub delivery: Delivery,
    /// What it rests on, or what would better it.
    pub needs: Vec<String>,
}

/// What a pipeline without `checkpoint_every` lacks.
const NOT_KEPT: &str = "a run that crashes begins anew; with `checkpoint_every` under [pipeline] it goes on";

/// The guarantees of all pairs, by sink. `is_kept`: whether the pipeline has checkpoints.
pub fn guarantees(plan: &LogicalPlan, registry: &Registry, is_kept: bool) -> Vec<Guarantee> {
    let mut found = Vec::new();
    for node in &plan.nodes {
        let Some(Entry::Sink(sink)) = registry.get(&node.decl.kind) else { continue };
        for above in sources_of(plan, node.id()) {
            let Some(source) = plan.node(&above) else { continue };
            let Some(Entry::Source(factory)) = registry.get(&source.decl.kind) else { continue };
            let (reads, shows) = (factory.replay(), sink.visibility());
            let delivery = if is_kept { Delivery::of(reads.what, shows.what) } else { Delivery::BeginsAnew };
            let clauses = if is_kept { [reads.needs, shows.needs] } else { [NOT_KEPT, ""] };
            let needs = clauses.iter().filter(|clause| !clause.is_empty()).map(|clause| (*clause).to_owned()).collect();
            found.push(Guarantee { source: above, sink: node.id().clone(), delivery, needs });
        }
    }
    found
}

/// Every sink, and when it shows rows.
pub fn sinks(plan: &LogicalPlan, registry: &Registry) -> Vec<(NodeId, Visibility)> {
    let of = |node: &BoundNode| match registry.get(&node.decl.kind) {
        Some(Entry::Sink(sink)) => Some((node.id().clone(), sink.visibility().what)),
        _ => None,
    };
    plan.nodes.iter().filter_map(of).collect()
}

/// The nodes above a sink that read nothing themselves.
fn sources_of(plan: &LogicalPlan, sink: &NodeId) -> Vec<NodeId> {
    let (mut open, mut seen, mut sources) = (vec![sink.clone()], BTreeSet::new(), Vec::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let inputs = plan.node(&id).map(|node| node.inputs.as_slice()).unwrap_or_default();
        if inputs.is_empty() {
            sources.push(id);
        } else {
            open.extend(inputs.iter().map(|input| input.from.node.clone()));
        }
    }
    sources.sort();
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_as_good_as_its_weaker_half() {
        use Replay::{FromNow, FromOffset, Never};
        use Visibility::{AsTheyCome, WithEpoch};
        let pairs = [(FromOffset, WithEpoch), (FromOffset, AsTheyCome), (FromNow, WithEpoch), (FromNow, AsTheyCome), (Never, WithEpoch)];
        let words = pairs.map(|(replay, visibility)| Delivery::of(replay, visibility).in_words());
        assert_eq!(words, ["exactly once", "at least once", "at most once", "best effort", "begins anew"]);
    }
}
