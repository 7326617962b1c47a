//! What a node knows of its group at the moment.

use std::collections::BTreeSet;

use openraft::RaftMetrics;

use crate::config::{NodeId, Peer};

/// A node's view of its group. A node that is cut off does not know better.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupLook {
    /// Who looks.
    pub id: NodeId,
    pub term: u64,
    pub leader: Option<NodeId>,
    /// Whether a majority was heard of lately; known by the leader alone.
    pub has_majority: Option<bool>,
    /// By id.
    pub nodes: Vec<GroupNode>,
    /// How many nodes may be lost, whichever they are, such that nothing is. While votes are being given to others, most of those that had one before are
    /// needed too.
    pub survives: usize,
    /// Entries of the log that were applied.
    pub applied: u64,
}

/// A node of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNode {
    pub id: NodeId,
    pub peer: Peer,
    /// A node without a vote follows, and can be given one.
    pub votes: bool,
}

/// A leader that heard of no majority for longer is told to have none.
const MAJORITY_PATIENCE_MS: u64 = 1_000;

impl GroupLook {
    pub(crate) fn of(metrics: &RaftMetrics<NodeId, Peer>) -> GroupLook {
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let node = |(id, peer): (&NodeId, &Peer)| GroupNode { id: *id, peer: peer.clone(), votes: voters.contains(id) };
        let leads = metrics.current_leader == Some(metrics.id);
        GroupLook {
            id: metrics.id,
            term: metrics.current_term,
            leader: metrics.current_leader,
            has_majority: leads
                .then(|| voters.len() == 1 || metrics.millis_since_quorum_ack.is_some_and(|passed| passed < MAJORITY_PATIENCE_MS)),
            nodes: membership.nodes().map(node).collect(),
            survives: survives(membership.get_joint_config().iter().map(BTreeSet::len)),
            applied: metrics.last_applied.map_or(0, |last| last.index + 1),
        }
    }

    pub fn leads(&self) -> bool {
        self.leader == Some(self.id)
    }

    pub fn node(&self, id: NodeId) -> Option<&GroupNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub fn voters(&self) -> usize {
        self.nodes.iter().filter(|node| node.votes).count()
    }
}

/// Of groups of so many voters, each of which has to keep its majority.
fn survives(voters: impl Iterator<Item = usize>) -> usize {
    voters.map(|voters| voters.saturating_sub(1) / 2).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_voter_and_two_survive_no_loss_three_one_and_five_two() {
        assert_eq!([1, 2, 3, 4, 5].map(|voters| survives([voters].into_iter())), [0, 0, 1, 1, 2]);
        assert_eq!(survives([1, 3].into_iter()), 0, "three are given a vote, and one of them had the only one");
    }
}
