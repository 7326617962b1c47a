//! What dashboards hold, and who watches them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millrace_model::NodeId;
use millrace_runtime::connector::ResultSink;
use millrace_runtime::{Batch, Clock};
use millrace_wire::message::{DataHeader, JobId};

use crate::data::{DataItem, DataPayload, DataQueue};

/// The newest rows of each dashboard of a job. Bounded in bytes: the oldest go first, and are counted.
pub struct ResultStore {
    job: JobId,
    clock: Arc<dyn Clock>,
    most_bytes: usize,
    nodes: Mutex<BTreeMap<NodeId, Held>>,
}

#[derive(Default)]
struct Held {
    batches: VecDeque<Batch>,
    bytes: usize,
    dropped: u64,
    newest_us: i64,
    watchers: Vec<Weak<DataQueue>>,
}

impl ResultStore {
    pub fn new(job: JobId, clock: Arc<dyn Clock>, most_bytes: usize) -> Arc<ResultStore> {
        Arc::new(ResultStore { job, clock, most_bytes, nodes: Mutex::default() })
    }

    /// Sends what is held, then what comes; or ends it.
    pub fn watch(&self, node: &NodeId, queue: &Arc<DataQueue>, on: bool) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let held = nodes.entry(node.clone()).or_default();
        held.watchers.retain(|watcher| watcher.upgrade().is_some_and(|other| !Arc::ptr_eq(&other, queue)));
        if !on {
            return;
        }
        if let Some(all) = joined(&held.batches) {
            queue.offer(self.item(node, held.dropped, held.newest_us, all));
        }
        held.watchers.push(Arc::downgrade(queue));
    }

    fn item(&self, node: &NodeId, dropped: u64, newest_us: i64, batch: Batch) -> DataItem {
        let header = DataHeader::Results { job: self.job, node: node.clone(), dropped, newest_us };
        DataItem { header, payload: DataPayload::Rows(batch) }
    }
}

impl ResultSink for ResultStore {
    fn publish(&self, node: &NodeId, batch: Batch) {
        let newest_us = self.clock.wall_us();
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let held = nodes.entry(node.clone()).or_default();
        held.newest_us = newest_us;
        held.watchers.retain(|watcher| match watcher.upgrade() {
            Some(queue) => {
                queue.offer(self.item(node, 0, newest_us, batch.clone()));
                true
            }
            None => false,
        });
        held.bytes += batch.bytes();
        held.batches.push_back(batch);
        while held.bytes > self.most_bytes && held.batches.len() > 1 {
            if let Some(old) = held.batches.pop_front() {
                held.bytes = held.bytes.saturating_sub(old.bytes());
                held.dropped += old.rows() as u64;
            }
        }
    }
}

/// All batches as one: a watcher that comes late gets one item, however small the batches were.
fn joined(batches: &VecDeque<Batch>) -> Option<Batch> {
    let mut all = batches.front()?.frame().clone();
    for batch in batches.iter().skip(1) {
        // Batches of one edge have one schema.
        all.vstack_mut(batch.frame()).ok()?;
    }
    all.align_chunks();
    all.rechunk_mut();
    Some(Batch::new(all))
}
