//! Edges of a shared run over a session's data side, each with credit of its own: what a slow task has not taken yet fills its own edge's
//! window at the other end and nothing else, so that one slow edge never stands in the way of another. Where the way between two nodes is what holds
//! an edge up, its messages are packed ([`super::packing`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_runtime::share::{EdgeId, Edges, foreign, member_lost};
use millrace_runtime::{RunError, RunResult};
use millrace_wire::codec::MAX_DATA_MESSAGE_BYTES;
use millrace_wire::message::{DataHeader, ShareId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::packing::{Packing, Travelling};
use crate::data::{DataItem, DataPayload, DataQueue};
use crate::link::bare;

/// What may be under way on one edge, in bytes; one message more, so that any passes.
const WINDOW_BYTES: u64 = 1 << 20;

/// How much is taken before the peer is told.
const TOLD_BYTES: u64 = WINDOW_BYTES / 4;

/// The edges of one share, at either end of a session.
pub struct LinkEdges {
    share: ShareId,
    out: Arc<DataQueue>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    into: BTreeMap<EdgeId, Inbox>,
    out: BTreeMap<EdgeId, Outbox>,
    is_over: bool,
}

/// What has come by an edge and was not taken.
#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Travelling>,
    bytes: u64,
    /// What was taken and the peer was not told of.
    owed: u64,
    /// Whether its taker found nothing since the peer was told last.
    is_hungry: bool,
    arrived: Arc<Notify>,
}

/// What went by an edge and was not taken, as far as the peer has told.
#[derive(Default)]
struct Outbox {
    under_way: u64,
    room: Arc<Notify>,
    /// None as long as the peer has not shown that it can unpack.
    packing: Option<Packing>,
}

/// A peer that sends more than it has credit for, or more than a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrun;

impl LinkEdges {
    /// `out` goes to the peer; what comes from it is told by [`LinkEdges::came`] and [`LinkEdges::granted`].
    pub fn new(share: ShareId, out: Arc<DataQueue>) -> Arc<LinkEdges> {
        Arc::new(LinkEdges { share, out, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come by an edge, of `raw` bytes before they were packed, if they were. Never waits.
    ///
    /// # Errors
    /// If they are more than the peer had credit for, or would be more than a message may have: then it is no peer of ours.
    pub fn came(&self, edge: EdgeId, bytes: Bytes, raw: u32) -> Result<(), Overrun> {
        let mut state = self.state();
        let inbox = state.into.entry(edge).or_default();
        if inbox.bytes >= WINDOW_BYTES || raw as usize > MAX_DATA_MESSAGE_BYTES {
            return Err(Overrun);
        }
        inbox.bytes += cost(&bytes);
        inbox.waiting.push_back(Travelling { bytes, raw });
        inbox.arrived.notify_one();
        Ok(())
    }

    /// The peer has taken so much of what went by an edge. `is_hungry`: whether it found nothing to take meanwhile, from a peer that can unpack.
    pub fn granted(&self, edge: EdgeId, bytes: u64, is_hungry: Option<bool>) {
        let mut state = self.state();
        let outbox = state.out.entry(edge).or_default();
        outbox.under_way = outbox.under_way.saturating_sub(bytes);
        if let Some(is_hungry) = is_hungry {
            outbox.packing.get_or_insert_default().told(is_hungry);
        }
        outbox.room.notify_one();
    }

    /// The peer is gone: what has come is taken to its end, and nothing goes any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.into.values().for_each(|inbox| inbox.arrived.notify_one());
        state.out.values().for_each(|outbox| outbox.room.notify_one());
    }

    /// Takes credit for bytes; none if there is not any, with what tells of more.
    fn take_credit(&self, edge: EdgeId, bytes: u64) -> RunResult<Option<Arc<Notify>>> {
        let mut state = self.state();
        if state.is_over {
            return Err(gone());
        }
        let outbox = state.out.entry(edge).or_default();
        if outbox.under_way >= WINDOW_BYTES {
            return Ok(Some(outbox.room.clone()));
        }
        outbox.under_way += bytes;
        Ok(None)
    }

    fn take(&self, edge: EdgeId) -> Taken {
        let mut state = self.state();
        let is_over = state.is_over;
        let inbox = state.into.entry(edge).or_default();
        let Some(taken) = inbox.waiting.pop_front() else {
            inbox.is_hungry = true;
            return if is_over { Taken::Over } else { Taken::NotYet(inbox.arrived.clone()) };
        };
        inbox.bytes = inbox.bytes.saturating_sub(cost(&taken.bytes));
        inbox.owed += cost(&taken.bytes);
        if inbox.owed >= TOLD_BYTES {
            let hungry = Some(std::mem::take(&mut inbox.is_hungry));
            // One for each quarter of a window that came: bounded as that is.
            self.out.put(bare(DataHeader::Credit { share: self.share, edge, bytes: inbox.owed, hungry }));
            inbox.owed = 0;
        }
        Taken::Message(taken)
    }

    fn packs(&self, edge: EdgeId) -> bool {
        let state = self.state();
        state.out.get(&edge).and_then(|outbox| outbox.packing.as_ref()).is_some_and(Packing::is_on)
    }

    /// A message has its credit; it waited for that or did not.
    fn measure(&self, edge: EdgeId, raw_bytes: u64, has_waited: bool) {
        let mut state = self.state();
        if let Some(packing) = state.out.get_mut(&edge).and_then(|outbox| outbox.packing.as_mut()) {
            packing.sent(raw_bytes, has_waited, Instant::now());
        }
    }
}

enum Taken {
    Message(Travelling),
    /// With what tells of more.
    NotYet(Arc<Notify>),
    Over,
}

/// What bytes count for in a window: a bare element as much as a row, so that a window is bounded whatever flows.
const fn cost(bytes: &Bytes) -> u64 {
    bytes.len() as u64 + 64
}

fn gone() -> RunError {
    member_lost("the other side of the run is gone".to_owned())
}

#[async_trait]
impl Edges for LinkEdges {
    async fn send(&self, edge: EdgeId, bytes: Bytes) -> RunResult<()> {
        let message = if self.packs(edge) { Travelling::packed(bytes) } else { Travelling::plain(bytes) };
        let mut has_waited = false;
        while let Some(room) = self.take_credit(edge, cost(&message.bytes))? {
            has_waited = true;
            room.notified().await;
        }
        self.measure(edge, message.raw_bytes(), has_waited);
        let header = DataHeader::Edge { share: self.share, edge, raw: message.raw };
        if self.out.send(DataItem { header, payload: DataPayload::Bytes(message.bytes) }).await { Ok(()) } else { Err(gone()) }
    }

    async fn receive(&self, edge: EdgeId) -> RunResult<Option<Bytes>> {
        loop {
            match self.take(edge) {
                Taken::Message(message) => {
                    return message.unpacked().map(Some).map_err(|why| foreign(&format!("it cannot be unpacked: {why}")));
                }
                Taken::NotYet(arrived) => arrived.notified().await,
                Taken::Over => return Ok(None),
            }
        }
    }
}
