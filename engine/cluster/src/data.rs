//! The data side of a session, in one direction: rows that may be let go, and file parts that may not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millrace_model::{NodeId, PortRef};
use millrace_runtime::Batch;
use millrace_wire::message::{DataHeader, JobId};
use tokio::sync::Notify;

/// What travels on the data side.
#[derive(Debug, Clone)]
pub struct DataItem {
    pub header: DataHeader,
    pub payload: DataPayload,
}

/// Rows as they are, or a part of a file. Only a socket turns rows into bytes and back.
#[derive(Debug, Clone)]
pub enum DataPayload {
    Rows(Batch),
    Bytes(Bytes),
}

impl DataPayload {
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            DataPayload::Rows(batch) => batch.bytes(),
            DataPayload::Bytes(bytes) => bytes.len(),
        }
    }

    pub fn rows(&self) -> u64 {
        match self {
            DataPayload::Rows(batch) => batch.rows() as u64,
            DataPayload::Bytes(_) => 0,
        }
    }
}

/// What an item is a part of, so that what was let go is told with what comes next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Flow {
    Results(JobId, NodeId),
    Tap(JobId, String, NodeId),
}

fn flow_of(header: &DataHeader) -> Option<Flow> {
    match header {
        DataHeader::Results { job, node, .. } => Some(Flow::Results(*job, node.clone())),
        DataHeader::TapRows { job, from, to, .. } => Some(Flow::Tap(*job, PortRef::to_string(from), to.clone())),
        _ => None,
    }
}

fn dropped_of(header: &mut DataHeader) -> Option<&mut u64> {
    match header {
        DataHeader::Results { dropped, .. } | DataHeader::TapRows { dropped, .. } => Some(dropped),
        _ => None,
    }
}

/// A queue bounded in items and bytes. Rows are offered: when it is full the oldest rows go first, and the next of their kind says how
/// many went. Everything else is sent: the sender waits for room. Any number may send and take.
#[derive(Debug)]
pub struct DataQueue {
    state: Mutex<State>,
    ready: Notify,
    room: Notify,
    most_items: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<DataItem>,
    bytes: usize,
    dropped: BTreeMap<Flow, u64>,
    /// Bytes of all that was taken.
    passed: u64,
    closed: bool,
}

impl DataQueue {
    pub fn new(most_items: usize, most_bytes: usize) -> DataQueue {
        DataQueue { state: Mutex::default(), ready: Notify::new(), room: Notify::new(), most_items, most_bytes }
    }

    // A panic while the lock was held leaves at worst a count that is off.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State, bytes: usize) -> bool {
        state.items.is_empty() || (state.items.len() < self.most_items && state.bytes + bytes <= self.most_bytes)
    }

    /// Adds rows, letting the oldest rows go where there is no room. Never waits.
    pub fn offer(&self, item: DataItem) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        while !self.has_room(&state, item.payload.bytes()) {
            let Some(at) = state.items.iter().position(|old| flow_of(&old.header).is_some()) else {
                // Full of file parts: the new rows go.
                count_dropped(&mut state, item);
                return;
            };
            if let Some(old) = state.items.remove(at) {
                state.bytes = state.bytes.saturating_sub(old.payload.bytes());
                count_dropped(&mut state, old);
            }
        }
        state.push(item);
        drop(state);
        self.ready.notify_one();
    }

    /// Adds an item whether there is room or not: for what is small, and as rare as something that is bounded.
    pub fn put(&self, item: DataItem) {
        let mut state = self.state();
        if !state.closed {
            state.push(item);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Adds an item once there is room. False: nobody takes any more.
    pub async fn send(&self, item: DataItem) -> bool {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.closed {
                    return false;
                }
                if self.has_room(&state, item.payload.bytes()) {
                    state.push(item);
                    let is_more = self.has_room(&state, 0);
                    drop(state);
                    if is_more {
                        self.room.notify_one();
                    }
                    break;
                }
            }
            room.await;
        }
        self.ready.notify_one();
        true
    }

    /// Takes the next item. None: the queue was closed, and is empty. Dropping the future loses nothing.
    pub async fn take(&self) -> Option<DataItem> {
        loop {
            let ready = self.ready.notified();
            {
                let mut state = self.state();
                if let Some(item) = state.pop() {
                    let more = !state.items.is_empty();
                    drop(state);
                    if more {
                        self.ready.notify_one();
                    }
                    // One sender, which wakes the next if there is room for more: all of a thousand would find no room, but one.
                    self.room.notify_one();
                    return Some(item);
                }
                if state.closed {
                    // The next taker learns it too.
                    self.ready.notify_one();
                    return None;
                }
            }
            ready.await;
        }
    }

    /// How many bytes have been taken so far, headers aside.
    pub fn passed_bytes(&self) -> u64 {
        self.state().passed
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        self.state().closed = true;
        self.ready.notify_one();
        self.ready.notify_waiters();
        self.room.notify_waiters();
    }
}

impl State {
    fn push(&mut self, item: DataItem) {
        self.bytes += item.payload.bytes();
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<DataItem> {
        let mut item = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(item.payload.bytes());
        self.passed += item.payload.bytes() as u64;
        if let Some(count) = flow_of(&item.header).and_then(|flow| self.dropped.remove(&flow))
            && let Some(dropped) = dropped_of(&mut item.header)
        {
            *dropped += count;
        }
        Some(item)
    }
}

/// Rows are counted with those that their own header already counted.
fn count_dropped(state: &mut State, mut item: DataItem) {
    let before = dropped_of(&mut item.header).map_or(0, |dropped| *dropped);
    if let Some(flow) = flow_of(&item.header) {
        *state.dropped.entry(flow).or_default() += before + item.payload.rows();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use polars::prelude::*;

    use super::*;

    fn rows(n: i64) -> DataItem {
        let frame = df!("n" => (0..n).collect::<Vec<i64>>()).unwrap();
        let header = DataHeader::Results { job: JobId(1), node: "chart".into(), dropped: 0, newest_us: n };
        DataItem { header, payload: DataPayload::Rows(Batch::new(frame)) }
    }

    fn part(bytes: usize) -> DataItem {
        let header = DataHeader::OutputFile { job: JobId(1), path: "x".into(), offset: 0, last: false };
        DataItem { header, payload: DataPayload::Bytes(Bytes::from(vec![0; bytes])) }
    }

    #[tokio::test]
    async fn the_oldest_rows_go_first_and_the_next_ones_say_how_many_went() {
        let queue = DataQueue::new(2, 1 << 20);
        for n in 1..=5 {
            queue.offer(rows(n));
        }
        let Some(DataItem { header: DataHeader::Results { dropped, newest_us, .. }, .. }) = queue.take().await else { panic!() };
        assert_eq!((dropped, newest_us), (1 + 2 + 3, 4));
        let Some(DataItem { header: DataHeader::Results { dropped, .. }, .. }) = queue.take().await else { panic!() };
        assert_eq!(dropped, 0);
    }

    #[tokio::test]
    async fn a_file_part_waits_for_room_and_is_never_let_go() {
        let queue = Arc::new(DataQueue::new(64, 100));
        assert!(queue.send(part(80)).await);
        let other = queue.clone();
        let waiting = tokio::spawn(async move { other.send(part(80)).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        queue.offer(rows(3));
        assert!(!waiting.is_finished());
        assert!(matches!(queue.take().await.unwrap().header, DataHeader::OutputFile { .. }));
        assert!(waiting.await.unwrap());
        assert!(matches!(queue.take().await.unwrap().header, DataHeader::OutputFile { .. }));
        queue.close();
        assert!(queue.take().await.is_none());
        assert!(!queue.send(part(1)).await);
    }
}
