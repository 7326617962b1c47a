//! Whether a pipeline is the one that a state is of.

use std::collections::BTreeMap;

use millrace_model::{NodeDecl, NodeId};
use millrace_plan::LogicalPlan;
use millrace_state::checkpoint::Meaning;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::change::meaning;

/// Each node as a hash of all that its state and its rows depend on. How fast it goes, and as how many tasks, does not count.
pub fn identities(plan: &LogicalPlan) -> BTreeMap<NodeId, u64> {
    plan.nodes.iter().map(|node| (node.id().clone(), identity(&node.decl))).collect()
}

/// The same by field, for the comparison of a pipeline that changed.
pub fn meanings(plan: &LogicalPlan) -> BTreeMap<NodeId, Meaning> {
    plan.nodes.iter().map(|node| (node.id().clone(), meaning(node))).collect()
}

fn identity(node: &NodeDecl) -> u64 {
    let mut spec = node.spec.clone();
    if let Value::Object(fields) = &mut spec {
        for pace in ["parallelism", "rate", "replay"] {
            fields.shift_remove(pace);
        }
        fields.sort_keys();
    }
    let inputs: Vec<_> = node.inputs.iter().map(|input| json!([input.name, input.from.to_string()])).collect();
    let source = json!({
        "event_time": node.source.event_time,
        "max_delay": node.source.max_delay,
        "max_ahead": node.source.max_ahead,
        "time_zone": node.source.time_zone,
    });
    xxh3_64(json!([node.kind, inputs, spec, source, node.common.on_error]).to_string().as_bytes())
}
