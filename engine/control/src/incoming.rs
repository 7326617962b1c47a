//! What another node asks, looked at before Raft takes it.
//!
//! Raft believes its peers: what no honest node ever says ends it, be it by an assertion or by an error that it takes for its own disk's. Whoever has a
//! certificate of the cluster could end its peers so. What is refused here is refused to its sender, and changes nothing.

use openraft::error::{InstallSnapshotError, SnapshotMismatch};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{EntryPayload, Membership, SnapshotSegmentId};

use crate::config::{LogId, NodeId, Peer, Types, Vote};
use crate::control::Control;
use crate::log::Known;

/// A term, or an entry's index, that is so far ahead of ours was counted up by nobody.
pub const MOST_AHEAD: u64 = 1 << 32;

/// Longest snapshot as it travels: as many texts of pipelines as can be held, twice as long as JSON.
const MOST_SNAPSHOT_BYTES: u64 = 2 << 30;

/// What a node knows, to compare with.
pub struct Own<'a> {
    pub id: NodeId,
    pub vote: Vote,
    pub known: &'a Known,
    /// What is agreed on up to here, or further.
    pub committed: Option<LogId>,
}

type Checked = Result<(), &'static str>;

fn ensure(is_so: bool, otherwise: &'static str) -> Checked {
    if is_so { Ok(()) } else { Err(otherwise) }
}

impl Own<'_> {
    fn check_ahead(&self, id: Option<LogId>) -> Checked {
        let last = self.known.last().map_or(0, |last| last.index);
        ensure(id.is_none_or(|id| id.index < last.saturating_add(MOST_AHEAD)), "an entry that is too far ahead")
    }

    fn check_vote(&self, vote: &Vote) -> Checked {
        let (term, by) = (vote.leader_id().term, vote.leader_id().voted_for());
        ensure(term < self.vote.leader_id().term.saturating_add(MOST_AHEAD), "a term that is too far ahead")?;
        ensure(by.is_some_and(|by| by != self.id), "a vote of nobody's, or of this node's own")?;
        let leads = self.vote.is_committed().then(|| self.vote.leader_id());
        let is_second = vote.is_committed() && leads.is_some_and(|leads| leads.term == term && leads.voted_for() != by);
        ensure(!is_second, "a second leader in one term")
    }

    /// Somebody wants to be elected.
    pub fn check_candidate(&self, asked: &VoteRequest<NodeId>) -> Checked {
        self.check_vote(&asked.vote)?;
        ensure(!asked.vote.is_committed(), "who asks for votes has them")?;
        self.check_ahead(asked.last_log_id)?;
        ensure(asked.last_log_id.is_none_or(|last| last.leader_id.term <= asked.vote.leader_id().term), "entries of a later term")
    }

    fn check_leader(&self, vote: &Vote) -> Checked {
        self.check_vote(vote)?;
        ensure(vote.is_committed(), "whoever was not elected does not lead")
    }

    /// The entry of an index that this node holds.
    fn held(&self, index: u64) -> Option<LogId> {
        let purged = self.known.head.purged.filter(|purged| purged.index == index);
        self.known.entries.get(&index).map(|entry| entry.log_id).or(purged)
    }

    /// What is agreed on does not change any more. Of an entry that is in a snapshot by now it is known that its term is none of a later one.
    fn check_agreed(&self, id: LogId) -> Checked {
        let Some(committed) = self.committed.filter(|committed| id.index <= committed.index) else { return Ok(()) };
        let is_it = self.held(id.index).map_or(id <= committed, |held| held == id);
        ensure(is_it, "another entry in place of one that is agreed on")
    }

    /// A leader has entries appended.
    pub fn check_append(&self, append: &AppendEntriesRequest<Types>) -> Checked {
        self.check_leader(&append.vote)?;
        let mut before = append.prev_log_id;
        self.check_ahead(before)?;
        self.check_ahead(append.leader_commit)?;
        before.map_or(Ok(()), |before| self.check_agreed(before))?;
        for entry in &append.entries {
            let id = entry.log_id;
            ensure(id.index == before.map_or(0, |before| before.index + 1), "entries that do not follow one another")?;
            ensure(
                before.is_none_or(|before| before.leader_id.term <= id.leader_id.term),
                "an entry of a term before that of the one before",
            )?;
            self.check_agreed(id)?;
            if let EntryPayload::Membership(membership) = &entry.payload {
                check_membership(membership)?;
            }
            before = Some(id);
        }
        ensure(
            before.is_none_or(|last| last.leader_id.term <= append.vote.leader_id().term),
            "entries of a later term than their leader's",
        )?;
        append.leader_commit.map_or(Ok(()), |commit| self.check_commit(append, before, commit))
    }

    /// What a leader takes for agreed on is an entry of its own log.
    fn check_commit(&self, append: &AppendEntriesRequest<Types>, last: Option<LogId>, commit: LogId) -> Checked {
        const OTHER: &str = "another entry is agreed on than that of this index";
        ensure(commit.leader_id.term <= append.vote.leader_id().term, "an entry of a later term is agreed on")?;
        if last.is_none_or(|last| commit.index > last.index) {
            return ensure(last.is_none_or(|last| last.leader_id.term <= commit.leader_id.term), OTHER);
        }
        // Where this node's log does not hold what goes before, it is answered so, and the leader goes back.
        let follows = append.prev_log_id.is_none_or(|before| self.held(before.index) == Some(before));
        let sent = append.entries.iter().map(|entry| entry.log_id).chain(append.prev_log_id).find(|id| id.index == commit.index);
        let held = sent.or_else(|| self.held(commit.index).filter(|_| follows));
        ensure(held.is_none_or(|held| held == commit), OTHER)?;
        self.check_agreed(commit)
    }

    /// A leader sends a snapshot.
    pub fn check_snapshot(&self, piece: &InstallSnapshotRequest<Types>) -> Checked {
        self.check_leader(&piece.vote)?;
        self.check_ahead(piece.meta.last_log_id)?;
        let Some(last) = piece.meta.last_log_id else { return Err("a snapshot of nothing") };
        ensure(last.leader_id.term <= piece.vote.leader_id().term, "a snapshot of a later term than its leader's")?;
        let since = *piece.meta.last_membership.log_id();
        ensure(since.is_some_and(|since| since.index <= last.index), "who is of the group is younger than the snapshot")?;
        check_membership(piece.meta.last_membership.membership())
    }

    /// Whether a snapshot tells nothing that this node does not hold.
    pub fn has_all_of(&self, piece: &InstallSnapshotRequest<Types>) -> bool {
        let last = piece.meta.last_log_id.map(|last| last.index);
        self.committed.is_some_and(|committed| last <= Some(committed.index))
    }
}

/// Somebody votes, and every voter can be reached.
fn check_membership(membership: &Membership<NodeId, Peer>) -> Checked {
    let configs = membership.get_joint_config();
    ensure((1..=2).contains(&configs.len()) && configs.iter().all(|voters| !voters.is_empty()), "a group in which nobody votes")?;
    ensure(membership.voter_ids().all(|voter| membership.get_node(&voter).is_some()), "a voter without an address")
}

/// A snapshot that is coming, piece by piece.
#[derive(Debug, Default)]
pub struct Coming {
    id: String,
    bytes: Vec<u8>,
}

/// What a piece comes to.
#[derive(Debug)]
pub enum Piece {
    /// More is to come.
    More,
    /// It was the last one.
    Whole(Vec<u8>),
    /// It does not follow what has come: its sender begins anew.
    Mismatch(InstallSnapshotError),
    Refused(&'static str),
}

impl Coming {
    /// Takes the next piece. One that has come before may come again.
    pub fn take(&mut self, piece: InstallSnapshotRequest<Types>) -> Piece {
        let id = piece.meta.snapshot_id;
        if piece.offset == 0 {
            *self = Coming { id: id.clone(), bytes: Vec::new() };
        }
        let length = self.bytes.len() as u64;
        if self.id != id || piece.offset > length {
            let expect = SnapshotSegmentId { id: id.clone(), offset: if self.id == id { length } else { 0 } };
            return Piece::Mismatch(InstallSnapshotError::SnapshotMismatch(SnapshotMismatch {
                expect,
                got: SnapshotSegmentId { id, offset: piece.offset },
            }));
        }
        if piece.offset + piece.data.len() as u64 > MOST_SNAPSHOT_BYTES {
            *self = Coming::default();
            return Piece::Refused("a snapshot that is too long");
        }
        self.bytes.truncate(usize::try_from(piece.offset).unwrap_or(usize::MAX));
        self.bytes.extend_from_slice(&piece.data);
        if piece.done { Piece::Whole(std::mem::take(self).bytes) } else { Piece::More }
    }
}

/// Whether a snapshot can be read: one that cannot is none of an honest node's.
pub fn check_state(bytes: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<Control>(bytes).map(drop).map_err(|error| format!("a snapshot that cannot be read: {error}"))
}
