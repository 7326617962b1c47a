//! Reading with caution, in an attempt that looks for rows which make a node fail: a few rows, an epoch, and a few rows more.
//!
//! Nothing is read before the epoch is complete whose barrier went before. So what made a node fail is among the few rows that were read
//! since the last complete epoch, which the trail names.

use std::sync::{Arc, Mutex, PoisonError};

use millrace_model::NodeId;
use millrace_state::snapshot::PartitionPart;
use tokio::sync::watch;

/// How far sources may read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caution {
    /// The newest complete epoch of this attempt; 0 before the first.
    pub complete: u64,
    /// Rows that a task may read between two epochs.
    pub rows: usize,
    /// Whether one task reads at a time, each in its turn.
    pub in_turn: bool,
}

/// Rows that a partition gave one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub source: NodeId,
    /// The partition before the first of them.
    pub from: PartitionPart,
    pub rows: u64,
}

/// What was read since the newest complete epoch.
#[derive(Debug, Default)]
pub struct Trail {
    since: Mutex<(u64, Vec<Stretch>)>,
}

impl Trail {
    fn read(&self, epoch: u64, source: &NodeId, from: &PartitionPart, rows: u64) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.0 != epoch {
            *since = (epoch, Vec::new());
        }
        match since.1.iter_mut().find(|it| it.source == *source && it.from.name == from.name) {
            Some(stretch) => stretch.rows += rows,
            None => since.1.push(Stretch { source: source.clone(), from: from.clone(), rows }),
        }
    }

    /// What was read after this epoch, if that was the newest.
    pub fn after(&self, epoch: u64) -> Vec<Stretch> {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.0 == epoch { since.1.clone() } else { Vec::new() }
    }
}

/// A source task's part in it.
#[derive(Debug)]
pub struct CautiousReading {
    caution: watch::Receiver<Option<Caution>>,
    trail: Arc<Trail>,
    /// The task's number among all tasks of sources, and how many these are.
    place: u64,
    tasks: u64,
    /// The epoch whose barrier went last, and the partitions as they were then.
    passed: Option<(u64, Vec<PartitionPart>)>,
    spent: usize,
}

impl CautiousReading {
    pub const fn new(caution: watch::Receiver<Option<Caution>>, trail: Arc<Trail>, place: u64, tasks: u64) -> Self {
        CautiousReading { caution, trail, place, tasks, passed: None, spent: 0 }
    }

    pub fn is_on(&self) -> bool {
        self.caution.borrow().is_some()
    }

    /// How many rows may be read now, `most` at most.
    pub fn leave(&self, most: usize) -> usize {
        let Some(caution) = *self.caution.borrow() else { return most };
        match &self.passed {
            Some((epoch, _)) if caution.complete >= *epoch && (!caution.in_turn || epoch % self.tasks.max(1) == self.place) => {
                most.min(caution.rows.saturating_sub(self.spent))
            }
            _ => 0,
        }
    }

    /// A barrier went.
    pub fn passed(&mut self, epoch: u64, partitions: Vec<PartitionPart>) {
        self.passed = Some((epoch, partitions));
        self.spent = 0;
    }

    /// A partition has given rows, and records that nobody else sees.
    pub fn read(&mut self, source: &NodeId, partition: usize, rows: usize, bad: usize) {
        if !self.is_on() {
            return;
        }
        self.spent += rows + bad;
        if let Some((epoch, partitions)) = &self.passed
            && let Some(from) = partitions.get(partition).filter(|_| rows > 0)
        {
            self.trail.read(*epoch, source, from, rows as u64);
        }
    }

    /// Waits until there may be more leave than there was.
    pub async fn changed(&mut self) {
        if self.caution.changed().await.is_err() {
            // The job is gone, and its abort is on its way.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(name: &str) -> PartitionPart {
        let position = serde_json::Value::from(7);
        PartitionPart { name: name.to_owned(), position, newest_us: None, given: [0; 3], is_idle: false, has_ended: false }
    }

    #[test]
    fn a_task_reads_a_few_rows_after_a_complete_epoch_in_its_turn_and_the_trail_names_them() {
        let (said, trail) = (watch::Sender::new(Some(Caution { complete: 0, rows: 3, in_turn: false })), Arc::new(Trail::default()));
        let mut reading = CautiousReading::new(said.subscribe(), trail.clone(), 1, 2);
        assert_eq!(reading.leave(100), 0, "an epoch comes first");
        reading.passed(6, vec![partition("a"), partition("b")]);
        assert_eq!(reading.leave(100), 0, "and is complete");
        said.send_replace(Some(Caution { complete: 6, rows: 3, in_turn: false }));
        assert_eq!(reading.leave(100), 3);
        let source = NodeId::new("rows");
        reading.read(&source, 1, 1, 1);
        assert_eq!(reading.leave(100), 1);
        reading.read(&source, 1, 1, 0);
        assert_eq!((reading.leave(100), trail.after(5)), (0, Vec::new()));
        assert_eq!(trail.after(6), [Stretch { source, from: partition("b"), rows: 2 }]);
        reading.passed(7, vec![partition("a"), partition("b")]);
        said.send_replace(Some(Caution { complete: 7, rows: 1, in_turn: true }));
        assert_eq!(reading.leave(100), 1, "its turn");
        reading.passed(8, vec![partition("a"), partition("b")]);
        said.send_replace(Some(Caution { complete: 8, rows: 1, in_turn: true }));
        assert_eq!(reading.leave(100), 0, "another's");
        said.send_replace(None);
        assert_eq!(reading.leave(100), 100);
    }
}
