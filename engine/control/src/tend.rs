//! Who votes: one, three or five of a group's nodes, as many as are there.
//!
//! With two a vote would help nobody: either's loss would stop the group, where now only the voter's does. So the second node follows until a third
//! is there, and then both get a vote at once.
//!
//! Nobody loses a vote by itself: a node that is silent may come back. That it is gone for good somebody has to say ([`without`]).

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
    // Known by the leader alone.
    metrics.replication.as_ref()?;
    // A change that its leader did not bring to its end. If it is under way, this is refused or changes nothing.
    if let [_, .., target] = membership.get_joint_config().as_slice() {
        return Some(ChangeMembers::AddVoterIds(target.clone()));
    }
    let voters = membership.voter_ids().count();
    let near = near(metrics);
    let wanted = wanted(voters + near.len());
    let promoted: BTreeSet<NodeId> = near.into_iter().take(wanted.saturating_sub(voters)).collect();
    (!promoted.is_empty()).then_some(ChangeMembers::AddVoterIds(promoted))
}

/// The change by which a node that is gone for good is of the group no more, as the leader sees it. If it had a vote, a node that follows and nearly has
/// all entries gets it, in the same step. `answers`: whether a node was heard of lately.
///
/// # Errors
/// In words, if it is there; or if those that are do not make up a majority of the voters before and after.
pub fn without(
    metrics: &RaftMetrics<NodeId, Peer>,
    name: &str,
    answers: impl Fn(&Peer) -> bool,
) -> Result<ChangeMembers<NodeId, Peer>, String> {
    let membership = metrics.membership_config.membership();
    let is_it = |peer: &Peer| peer.name == name;
    let gone: BTreeSet<NodeId> = membership.nodes().filter(|(_, peer)| is_it(peer)).map(|(id, _)| *id).collect();
    if gone.is_empty() {
        let names: Vec<&str> = membership.nodes().map(|(_, peer)| peer.name.as_str()).collect();
        return Err(format!("no node {name} is of the control group; there are {}", names.join(", ")));
    }
    if gone.contains(&metrics.id) {
        return Err(format!("{name} leads the control group, and so it is there; stop it before it is removed"));
    }
    if membership.nodes().any(|(_, peer)| is_it(peer) && answers(peer)) {
        return Err(format!(
            "{name} answers; stop it before it is removed: a node that goes on would call elections in a group that knows it no more"
        ));
    }
    if membership.get_joint_config().len() > 1 {
        return Err("another change of who votes is under way; try again in a moment".to_owned());
    }
    let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
    if gone.is_disjoint(&voters) {
        return Ok(ChangeMembers::RemoveNodes(gone));
    }
    let there = |id: &NodeId| !gone.contains(id) && (*id == metrics.id || membership.get_node(id).is_some_and(&answers));
    let next = successors(metrics, &voters, &gone, there);
    for (of, whose) in [(&voters, "voters that there are"), (&next, "voters that there would be")] {
        let (all, answering, wanted) = (of.len(), of.iter().filter(|id| there(id)).count(), of.len() / 2 + 1);
        if answering < wanted {
            return Err(format!("{answering} of the {all} {whose} answer, and {wanted} have to agree to it; bring others back first"));
        }
    }
    Ok(ChangeMembers::ReplaceAllVoters(next))
}

/// Who votes without those that are gone: for each of them one that follows, as far as there are any that are near and answer.
fn successors(
    metrics: &RaftMetrics<NodeId, Peer>,
    voters: &BTreeSet<NodeId>,
    gone: &BTreeSet<NodeId>,
    there: impl Fn(&NodeId) -> bool,
) -> BTreeSet<NodeId> {
    let near = near(metrics);
    let instead = near.into_iter().filter(|id| there(id)).take(voters.intersection(gone).count());
    voters.difference(gone).copied().chain(instead).collect()
}

/// Those that follow and nearly have all entries.
fn near(metrics: &RaftMetrics<NodeId, Peer>) -> Vec<NodeId> {
    let Some(replication) = metrics.replication.as_ref() else { return Vec::new() };
    let last = metrics.last_log_index.unwrap_or(0);
    let is_near = |id: &NodeId| {
        let matching = replication.get(id).copied().flatten();
        matching.is_some_and(|matching| matching.index + NEARLY_THERE >= last)
    };
    metrics.membership_config.membership().learner_ids().filter(is_near).collect()
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
