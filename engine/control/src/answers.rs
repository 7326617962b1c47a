//! What another node answers, looked at before Raft takes it: as little may end who asked as who was asked ([`crate::incoming`]).

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteResponse};

use crate::config::{LogId, NodeId, Types, Vote};
use crate::incoming::MOST_AHEAD;

type Checked = Result<(), &'static str>;

fn ensure(is_so: bool, otherwise: &'static str) -> Checked {
    if is_so { Ok(()) } else { Err(otherwise) }
}

/// A vote of another, answered to somebody who leads or wants to.
pub fn check_vote(asked: &Vote, told: &Vote) -> Checked {
    let (own, other) = (asked.leader_id(), told.leader_id());
    ensure(other.term < own.term.saturating_add(MOST_AHEAD), "a term that is too far ahead")?;
    let elects_asker = told.is_committed() && other.voted_for() == own.voted_for() && told > asked;
    ensure(!elects_asker, "whoever asks has been elected, and does not know it")
}

/// The answer to somebody who wants to be elected.
pub fn check_voter(asked: &Vote, told: &VoteResponse<NodeId>) -> Checked {
    check_vote(asked, &told.vote)
}

/// What a leader had appended, as far as an answer is about it.
#[derive(Debug, Clone, Copy)]
pub struct Appended {
    vote: Vote,
    before: Option<LogId>,
    last: Option<LogId>,
}

impl Appended {
    pub fn of(append: &AppendEntriesRequest<Types>) -> Appended {
        let before = append.prev_log_id;
        Appended { vote: append.vote, before, last: append.entries.last().map(|entry| entry.log_id).or(before) }
    }

    pub fn check(&self, told: &AppendEntriesResponse<NodeId>) -> Checked {
        match told {
            AppendEntriesResponse::Success => Ok(()),
            AppendEntriesResponse::PartialSuccess(upto) => {
                ensure((self.before..=self.last).contains(upto), "it has taken entries that it was not sent")
            }
            AppendEntriesResponse::Conflict => ensure(self.before.is_some(), "it lacks what goes before the first entry"),
            AppendEntriesResponse::HigherVote(vote) => {
                ensure(vote.leader_id().term > self.vote.leader_id().term, "a second leader in one term")?;
                check_vote(&self.vote, vote)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    const SELF: NodeId = 1;
    const OTHER: NodeId = 7;

    fn id(index: u64) -> LogId {
        LogId { leader_id: CommittedLeaderId::new(3, 0), index }
    }

    fn higher(vote: Vote) -> AppendEntriesResponse<NodeId> {
        AppendEntriesResponse::HigherVote(vote)
    }

    #[test]
    fn what_an_honest_node_answers_to_a_leader_is_believed_and_nothing_else() {
        let asked = Appended { vote: Vote::new_committed(3, SELF), before: Some(id(4)), last: Some(id(6)) };
        let honest = [
            AppendEntriesResponse::Success,
            AppendEntriesResponse::PartialSuccess(Some(id(5))),
            AppendEntriesResponse::Conflict,
            higher(Vote::new(4, OTHER)),
            higher(Vote::new_committed(4, OTHER)),
            // It had called an election of its own, of which this message has not heard.
            higher(Vote::new(4, SELF)),
        ];
        for answer in honest {
            assert_eq!(asked.check(&answer), Ok(()), "{answer:?}");
        }
        let enemy = [
            AppendEntriesResponse::PartialSuccess(Some(id(9))),
            AppendEntriesResponse::PartialSuccess(Some(id(2))),
            AppendEntriesResponse::PartialSuccess(None),
            higher(Vote::new_committed(3, OTHER)),
            higher(Vote::new(u64::MAX, OTHER)),
            higher(Vote::new_committed(5, SELF)),
        ];
        for answer in enemy {
            assert!(asked.check(&answer).is_err(), "{answer:?}");
        }
        let first = Appended { before: None, ..asked };
        assert!(first.check(&AppendEntriesResponse::Conflict).is_err());
        assert_eq!(first.check(&AppendEntriesResponse::PartialSuccess(None)), Ok(()));
    }

    #[test]
    fn a_candidate_is_not_told_of_terms_without_end_nor_that_it_leads() {
        let asked = Vote::new(3, SELF);
        for told in [Vote::new(3, SELF), Vote::new(2, OTHER), Vote::new(9, OTHER), Vote::new_committed(3, OTHER)] {
            assert_eq!(check_vote(&asked, &told), Ok(()), "{told:?}");
        }
        for told in [Vote::new(u64::MAX, OTHER), Vote::new_committed(3, SELF), Vote::new_committed(8, SELF)] {
            assert!(check_vote(&asked, &told).is_err(), "{told:?}");
        }
    }
}
