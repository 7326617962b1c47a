//! A channel from one task to one task, bounded in rows and in bytes.
//!
//! Its price is paid per element, never per row. A sender waits for room (credit) and the wait is recorded; a batch larger than the
//! bounds passes once the channel is empty, so that nothing can wait for ever. A watermark on top of another replaces it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use crate::batch::Batch;
use crate::error::{RunError, RunResult};
use crate::flow::element::{Cost, Element};
use crate::telemetry::Stopwatch;

/// The most that a channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub rows: usize,
    pub bytes: usize,
}

/// What can be seen of a channel from outside.
#[derive(Debug, Default)]
pub struct ChannelGauge {
    pub queued_rows: AtomicU64,
    pub queued_bytes: AtomicU64,
    /// Time the sender waited for room.
    pub blocked: Stopwatch,
    pub bound_rows: u64,
}

impl ChannelGauge {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(ChannelGauge { bound_rows: bounds.rows as u64, ..ChannelGauge::default() })
    }

    /// How full the channel is, 0 to 1.
    pub fn fill(&self) -> f64 {
        self.queued_rows.load(Ordering::Relaxed) as f64 / self.bound_rows.max(1) as f64
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    bounds: Bounds,
    gauge: Arc<ChannelGauge>,
    /// Wakes the sender when there is room.
    room: AtomicWaker,
    /// Wakes the receiving gate, which all its channels share.
    arrival: Arc<AtomicWaker>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Element, Cost)>,
    rows: usize,
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

/// The sending end.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
}

/// What a receiver found.
#[derive(Debug)]
pub enum Received {
    Element(Element),
    Nothing,
    /// The sender is gone, and nothing is left.
    Closed,
}

/// Makes a channel. `arrival` is woken when something comes into an empty channel, or the sender goes.
pub fn channel(bounds: Bounds, arrival: Arc<AtomicWaker>) -> (Sender, Receiver) {
    channel_seen_by(ChannelGauge::new(bounds), bounds, arrival)
}

/// The same, seen by a gauge that a channel before it may have had.
pub fn channel_seen_by(gauge: Arc<ChannelGauge>, bounds: Bounds, arrival: Arc<AtomicWaker>) -> (Sender, Receiver) {
    let shared = Arc::new(Shared { state: Mutex::default(), bounds, gauge, room: AtomicWaker::new(), arrival });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves a whole state behind: every change is a push or a pop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        self.gauge.queued_rows.store(state.rows as u64, Ordering::Relaxed);
        self.gauge.queued_bytes.store(state.bytes as u64, Ordering::Relaxed);
    }
}

impl State {
    fn has_room(&self, cost: Cost, bounds: Bounds) -> bool {
        self.queue.is_empty() || (self.rows + cost.rows <= bounds.rows && self.bytes + cost.bytes <= bounds.bytes)
    }

    fn barrier(&self, epoch: u64) -> Option<usize> {
        self.queue.iter().position(|(element, _)| matches!(element, Element::Barrier { epoch: of } if *of == epoch))
    }

    fn push(&mut self, element: Element, cost: Cost) {
        if let (Element::Watermark(newer), Some((Element::Watermark(last), _))) = (&element, self.queue.back_mut()) {
            *last = *newer;
            return;
        }
        self.rows += cost.rows;
        self.bytes += cost.bytes;
        self.queue.push_back((element, cost));
    }
}

impl Sender {
    pub fn gauge(&self) -> Arc<ChannelGauge> {
        self.shared.gauge.clone()
    }

    /// Sends, after a wait for room if there is none. `blocked` runs while it waits, beside the channel's own watch.
    ///
    /// Fails with `Cancelled` if the receiver is gone. Dropping the future sends nothing.
    pub async fn send(&mut self, element: Element, blocked: &Stopwatch, clock: &dyn crate::clock::Clock) -> RunResult<()> {
        let Some(element) = self.try_send(element)? else { return Ok(()) };
        let _own = self.shared.gauge.blocked.run(clock);
        let _task = blocked.run(clock);
        let mut waiting = Some(element);
        poll_fn(|context| {
            self.shared.room.register(context.waker());
            let Some(element) = waiting.take() else { return Poll::Ready(Ok(())) };
            match self.try_send(element) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(refused) => {
                    waiting = refused;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Sends if there is room, or gives the element back.
    pub fn try_send(&self, element: Element) -> RunResult<Option<Element>> {
        let cost = element.cost();
        let mut state = self.shared.lock();
        if state.receiver_gone {
            return Err(RunError::Cancelled);
        }
        // Barriers are few (one epoch is under way at a time), and one that waited for room could not overtake what fills it.
        let is_barrier = matches!(element, Element::Barrier { .. });
        if !is_barrier && !state.has_room(cost, self.shared.bounds) {
            return Ok(Some(element));
        }
        let was_empty = state.queue.is_empty();
        state.push(element, cost);
        self.shared.publish(&state);
        drop(state);
        if was_empty {
            self.shared.arrival.wake();
        }
        Ok(None)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.lock().sender_gone = true;
        self.shared.arrival.wake();
    }
}

impl Receiver {
    pub fn try_receive(&self) -> Received {
        let mut state = self.shared.lock();
        let Some((element, cost)) = state.queue.pop_front() else {
            return if state.sender_gone { Received::Closed } else { Received::Nothing };
        };
        state.rows -= cost.rows;
        state.bytes -= cost.bytes;
        self.shared.publish(&state);
        drop(state);
        self.shared.room.wake();
        Received::Element(element)
    }
}

impl Receiver {
    /// Whether the barrier of an epoch is among what waits.
    pub fn holds_barrier(&self, epoch: u64) -> bool {
        self.shared.lock().barrier(epoch).is_some()
    }

    /// Takes the barrier of an epoch out of what waits, and gives the batches before it, which stay.
    pub fn overtake(&self, epoch: u64) -> Option<Vec<Batch>> {
        let mut state = self.shared.lock();
        let at = state.barrier(epoch)?;
        let (_, cost) = state.queue.remove(at)?;
        state.rows -= cost.rows;
        state.bytes -= cost.bytes;
        let before = state.queue.iter().take(at).filter_map(|(element, _)| match element {
            Element::Batch(batch) => Some(batch.clone()),
            _ => None,
        });
        let before = before.collect();
        self.shared.publish(&state);
        drop(state);
        self.shared.room.wake();
        Some(before)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.receiver_gone = true;
        state.queue.clear();
        (state.rows, state.bytes) = (0, 0);
        self.shared.publish(&state);
        drop(state);
        self.shared.room.wake();
    }
}
