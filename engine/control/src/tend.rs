//! Who votes: one, three or five of a group's nodes, as many as are there.
//!
//! With two a vote would help nobody: either's loss would stop the group, where now only the voter's does. So the second node follows until a third
//! is there, and then both get a vote at once.

use std::collections::BTreeSet;

use openraft::{ChangeMembers, RaftMetrics};

use crate::config::{NodeId, Peer};

/// Voters of a group: more would make it slower, and hardly safer.
const MOST_VOTERS: usize = 5;

/// A node that lacks more entries than this is not given a vote yet.
const NEARLY_THERE: u64 = 64;

/// The nodes that get a vote now, as the leader sees it; none if it is well as it is.
pub fn promoted(metrics: &RaftMetrics<NodeId, Peer>) -> Option<ChangeMembers<NodeId, Peer>> {
    let membership = metrics.membership_config.membership();
    let replication = metrics.replication.as_ref()?;
    // A change that its leader did not bring to its end. If it is under way, this is refused or changes nothing.
    if let [_, .., target] = membership.get_joint_config().as_slice() {
        return Some(ChangeMembers::AddVoterIds(target.clone()));
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let is_near = |id: &NodeId| {
        let matching = replication.get(id).copied().flatten();
        matching.is_some_and(|matching| matching.index + NEARLY_THERE >= last)
    };
    let voters = membership.voter_ids().count();
    let near: Vec<NodeId> = membership.learner_ids().filter(is_near).collect();
    let wanted = wanted(voters + near.len());
    let promoted: BTreeSet<NodeId> = near.into_iter().take(wanted.saturating_sub(voters)).collect();
    (!promoted.is_empty()).then_some(ChangeMembers::AddVoterIds(promoted))
}

/// How many of so many nodes vote.
const fn wanted(nodes: usize) -> usize {
    let most = if nodes < MOST_VOTERS { nodes } else { MOST_VOTERS };
    if most % 2 == 0 { most.saturating_sub(1) } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_votes() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 9].map(wanted), [0, 1, 1, 3, 3, 5, 5, 5]);
    }
}
