//! Who watches a control group from outside, and knows at once when something is not as it must be.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_control::{Ask, ControlGroup, NodeId, Question, Told};

/// What was seen of a group so far.
#[derive(Default)]
struct Seen {
    /// Who led which term.
    leaders: BTreeMap<u64, NodeId>,
    /// Whom a node has voted for in a term.
    votes: BTreeMap<(NodeId, u64), NodeId>,
    /// The newest term that a node has answered with.
    terms: BTreeMap<NodeId, u64>,
    /// What is agreed on after an entry: of which term that is, and a fingerprint.
    states: BTreeMap<u64, (u64, u64)>,
    /// The entry up to which a node was looked at.
    looked: BTreeMap<NodeId, u64>,
    wrong: Option<String>,
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Judge {
    seen: Arc<Mutex<Seen>>,
}

impl Seen {
    fn find(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    fn leads(&mut self, term: u64, node: NodeId) {
        let before = *self.leaders.entry(term).or_insert(node);
        if before != node {
            self.find(format!("term {term} has two leaders, {before} and {node}"));
        }
    }
}

impl Seen {
    fn votes(&mut self, node: NodeId, term: u64, candidate: NodeId) {
        let before = *self.votes.entry((node, term)).or_insert(candidate);
        if before != candidate {
            self.find(format!("{node} votes in term {term} for {before} and for {candidate}"));
        }
    }
}

impl Judge {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, if something is.
    pub fn wrong(&self) -> Option<String> {
        self.seen().wrong.clone()
    }

    pub fn find(&self, wrong: String) {
        self.seen().find(wrong);
    }

    /// How many terms had a leader.
    pub fn terms(&self) -> u64 {
        self.seen().leaders.len() as u64
    }

    /// A node asks something: only a leader has others append, and who asks for a vote has given its own to itself.
    pub fn asked(&self, by: NodeId, question: &Question) {
        match &question.ask {
            Ask::Append(append) => self.seen().leads(append.vote.leader_id().term, by),
            Ask::Vote(vote) => self.seen().votes(by, vote.vote.leader_id().term, by),
            _ => {}
        }
    }

    /// A node has answered.
    pub fn answered(&self, by: NodeId, question: &Question, told: &Told) {
        let mut seen = self.seen();
        if let (Ask::Vote(asked), Told::Vote(answer)) = (&question.ask, told) {
            let term = answer.vote.leader_id().term;
            let newest = seen.terms.entry(by).or_default();
            *newest = term.max(*newest);
            let (term, candidate) = (asked.vote.leader_id().term, asked.vote.leader_id().voted_for().unwrap_or_default());
            if answer.vote_granted {
                seen.votes(by, term, candidate);
            }
        }
    }

    /// A node has come back, and knows of this term.
    pub fn came_back(&self, node: NodeId, term: u64) {
        let mut seen = self.seen();
        let newest = seen.terms.get(&node).copied().unwrap_or_default();
        if term < newest {
            seen.find(format!("{node} has answered in term {newest} and knows of {term} alone after its restart"));
        }
    }

    /// Looks at a node: whether it leads, and what it has agreed to.
    pub fn look(&self, group: &ControlGroup) {
        let (id, look) = (group.id(), group.look());
        let mut seen = self.seen();
        if look.leads() {
            seen.leads(look.term, id);
        }
        group.read_at(|last, control| {
            let Some(last) = last.filter(|last| seen.looked.get(&id) != Some(&last.index)) else { return };
            seen.looked.insert(id, last.index);
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(control).unwrap_or_default().hash(&mut hasher);
            let state = (last.leader_id.term, hasher.finish());
            let before = *seen.states.entry(last.index).or_insert(state);
            if before != state {
                seen.find(format!("{id} has another state than others after entry {}", last.index));
            }
        });
    }
}
