//! What a log says, record by record, and what is known after all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Entry, LogId, Vote};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Stands first in each segment: all that the segments before it said, but for entries.
    Head(Head),
    Vote(Vote),
    Committed(Option<LogId>),
    Entries(Vec<Entry>),
    /// Entries from this index on do not count.
    Truncate(u64),
    /// Entries up to this one are in a snapshot.
    Purge(LogId),
}

/// What is known beside entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
}

impl Head {
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Head(head) => *self = head.clone(),
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(committed) => self.committed = *committed,
            Record::Purge(upto) => self.purged = Some(*upto),
            Record::Entries(_) | Record::Truncate(_) => {}
        }
    }
}

/// What a log holds.
#[derive(Debug, Default)]
pub struct Known {
    pub head: Head,
    /// By index; those that were purged are not among them.
    pub entries: BTreeMap<u64, Entry>,
    /// Whether Raft waits for a snapshot to be on disk: it neither hears nor answers anything meanwhile. Not of what is on disk.
    pub waits: bool,
}

impl Known {
    pub fn take(&mut self, record: Record) {
        self.head.take(&record);
        match record {
            Record::Entries(entries) => self.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry))),
            Record::Truncate(since) => drop(self.entries.split_off(&since)),
            Record::Purge(upto) => self.entries = self.entries.split_off(&upto.index.saturating_add(1)),
            Record::Head(_) | Record::Vote(_) | Record::Committed(_) => {}
        }
    }

    pub fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, entry)| entry.log_id).or(self.head.purged)
    }

    /// Whether entries follow each other without a gap, and what was purged.
    pub fn is_whole(&self) -> bool {
        let first = self.head.purged.map_or(0, |purged| purged.index + 1);
        self.entries.keys().copied().eq((first..).take(self.entries.len()))
    }
}
