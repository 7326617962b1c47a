//! The input of a task: many channels read in turn, their watermarks merged, their barriers aligned.
//!
//! Where barriers do not meet in time (a slow task below, a full channel), the job hastens them: the task passes the barrier at once, ahead
//! of the rows that wait, after Carbone et al. (2022, unaligned checkpoints of Flink). What then comes by a channel before its barrier is
//! worked on as ever, and recorded, since it belongs to the epoch and not to the task's snapshot.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::task::AtomicWaker;
use millrace_model::Timestamp;
use millrace_state::planted::{self, Bug};

use crate::batch::Batch;
use crate::error::{RunError, RunResult};
use crate::flow::channel::{Received, Receiver};
use crate::flow::element::Element;
use crate::flow::watermark::{Change, WatermarkMerge};
use crate::operator::EndReason;

/// What a task is told by its gate.
#[derive(Debug)]
pub enum GateEvent {
    Batch {
        input: usize,
        batch: Batch,
    },
    /// The merged watermark has moved.
    Watermark(Timestamp),
    /// All channels are idle.
    Idle,
    Active,
    /// The barrier has come by every channel, or overtakes the rows of some: those are told by `Recorded`, and by nothing if all came.
    Barrier {
        epoch: u64,
        is_aligned: bool,
    },
    /// The barrier that had overtaken rows has come by every channel.
    Recorded {
        epoch: u64,
        rows: Vec<InFlight>,
    },
    /// Every channel has ended.
    End(EndReason),
}

/// A batch that an epoch's barrier overtook.
#[derive(Debug)]
pub struct InFlight {
    pub input: usize,
    pub batch: Batch,
}

/// What was overtaken, until the barrier has come by every channel.
#[derive(Debug)]
struct Recording {
    epoch: u64,
    rows: Vec<InFlight>,
}

struct Channel {
    receiver: Receiver,
    /// The node's input that it feeds.
    input: usize,
    state: ChannelState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChannelState {
    /// It may give what it has.
    Open,
    /// Its barrier has come; it waits for the others'.
    AtBarrier,
    /// The task has passed the barrier, which has not come by this channel: what does is recorded.
    Recording,
    Ended(EndReason),
}

pub struct Gate {
    channels: Vec<Channel>,
    /// The channel to look at first: the one after the last that gave something.
    cursor: usize,
    arrival: Arc<AtomicWaker>,
    merge: WatermarkMerge,
    pending: VecDeque<GateEvent>,
    barrier: Option<u64>,
    /// The newest epoch whose barriers do not wait for each other.
    hastened: u64,
    /// The newest epoch whose barrier was given out.
    passed: u64,
    recording: Option<Recording>,
    /// For [`Bug::NoAlignment`]: the newest epoch that a barrier came of.
    newest: u64,
    /// See [`Gate::heard`].
    heard: u64,
}

impl ChannelState {
    const fn is_read(self) -> bool {
        matches!(self, ChannelState::Open | ChannelState::Recording)
    }
}

impl Gate {
    /// `receivers` with the input that each feeds; `arrival` is the waker that their channels were made with.
    pub fn new(receivers: Vec<(usize, Receiver)>, arrival: Arc<AtomicWaker>) -> Self {
        let merge = WatermarkMerge::new(receivers.len());
        let channels = receivers.into_iter().map(|(input, receiver)| Channel { receiver, input, state: ChannelState::Open }).collect();
        Gate {
            channels,
            cursor: 0,
            arrival,
            merge,
            pending: VecDeque::new(),
            barrier: None,
            hastened: 0,
            passed: 0,
            recording: None,
            newest: 0,
            heard: 0,
        }
    }

    /// The next event. After `End` nothing more comes. `Cancelled` if a sender is gone without an end: its task has failed.
    pub async fn next(&mut self) -> RunResult<GateEvent> {
        poll_fn(|context| {
            if let Some(event) = self.pending.pop_front() {
                return Poll::Ready(Ok(event));
            }
            self.arrival.register(context.waker());
            match self.look() {
                Ok(Some(event)) => Poll::Ready(Ok(event)),
                Ok(None) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// The next event if one is at hand.
    pub fn try_next(&mut self) -> RunResult<Option<GateEvent>> {
        match self.pending.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.look(),
        }
    }

    /// Lets the barriers of an epoch overtake the rows before them, from the first that has come on.
    pub fn hasten(&mut self, epoch: u64) {
        self.hastened = self.hastened.max(epoch);
    }

    fn overtake(&mut self) {
        let epoch = self.hastened;
        // A channel may stand at the barrier of an epoch that was given up.
        let is_met = self.barrier == Some(epoch);
        let holds = |channel: &Channel| {
            matches!(channel.state, ChannelState::Open | ChannelState::AtBarrier) && channel.receiver.holds_barrier(epoch)
        };
        if self.recording.is_some() || !(is_met || self.channels.iter().any(holds)) {
            return;
        }
        self.barrier = None;
        let mut rows = Vec::new();
        for channel in &mut self.channels {
            match channel.state {
                ChannelState::AtBarrier if is_met => channel.state = ChannelState::Open,
                ChannelState::AtBarrier | ChannelState::Open => match channel.receiver.overtake(epoch) {
                    Some(before) => {
                        rows.extend(before.into_iter().map(|batch| InFlight { input: channel.input, batch }));
                        channel.state = ChannelState::Open;
                    }
                    None => channel.state = ChannelState::Recording,
                },
                ChannelState::Recording | ChannelState::Ended(_) => {}
            }
        }
        self.recording = Some(Recording { epoch, rows });
        self.passed = epoch;
        self.pending.push_back(GateEvent::Barrier { epoch, is_aligned: false });
        self.end_recording();
    }

    fn end_recording(&mut self) {
        if self.channels.iter().any(|channel| channel.state == ChannelState::Recording) {
            return;
        }
        if let Some(Recording { epoch, rows }) = self.recording.take() {
            self.pending.push_back(GateEvent::Recorded { epoch, rows });
        }
    }

    /// How many elements have come that show a sender at work: idleness and barriers do not.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    fn look(&mut self) -> RunResult<Option<GateEvent>> {
        if self.hastened > self.passed {
            self.overtake();
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
        }
        let count = self.channels.len();
        let mut quiet = 0;
        while quiet < count {
            let index = self.cursor % count;
            self.cursor = index + 1;
            let Some(channel) = self.channels.get_mut(index).filter(|channel| channel.state.is_read()) else {
                quiet += 1;
                continue;
            };
            match channel.receiver.try_receive() {
                Received::Element(element) => {
                    quiet = 0;
                    if let Some(event) = self.take(index, element) {
                        return Ok(Some(event));
                    }
                }
                Received::Nothing => quiet += 1,
                Received::Closed => return Err(RunError::Cancelled),
            }
        }
        Ok(None)
    }

    /// Takes one element, and gives the first event that it makes; any others wait in `pending`.
    fn take(&mut self, index: usize, element: Element) -> Option<GateEvent> {
        if !matches!(element, Element::Idle | Element::Barrier { .. }) {
            self.heard += 1;
        }
        match element {
            Element::Batch(batch) => {
                let (input, state) = self.channels.get(index).map_or((0, ChannelState::Open), |channel| (channel.input, channel.state));
                if let Some(recording) = self.recording.as_mut().filter(|_| state == ChannelState::Recording) {
                    recording.rows.push(InFlight { input, batch: batch.clone() });
                }
                return Some(GateEvent::Batch { input, batch });
            }
            Element::Watermark(watermark) => {
                let change = self.merge.advance(index, watermark);
                self.tell(change);
            }
            Element::Idle => {
                let change = self.merge.set_idle(index, true);
                self.tell(change);
            }
            Element::Active => {
                let change = self.merge.set_idle(index, false);
                self.tell(change);
            }
            Element::Barrier { epoch } if planted::has(Bug::NoAlignment) => {
                if self.newest < epoch {
                    self.newest = epoch;
                    self.pending.push_back(GateEvent::Barrier { epoch, is_aligned: true });
                }
            }
            Element::Barrier { epoch } if self.is_recording(index, epoch) => {
                self.set(index, ChannelState::Open);
                self.end_recording();
            }
            // Of an epoch that was given up: a later one's barrier has overtaken it.
            Element::Barrier { epoch } if epoch <= self.passed => {}
            Element::Barrier { epoch } => {
                self.set(index, ChannelState::AtBarrier);
                self.barrier = Some(epoch);
                self.release_barrier();
            }
            Element::End(reason) => {
                self.set(index, ChannelState::Ended(reason));
                let change = self.merge.set_idle(index, false);
                self.tell(change);
                self.release_barrier();
                self.end_recording();
                self.tell_end();
            }
        }
        self.pending.pop_front()
    }

    fn is_recording(&self, index: usize, epoch: u64) -> bool {
        let is_recording = self.channels.get(index).is_some_and(|channel| channel.state == ChannelState::Recording);
        is_recording && self.recording.as_ref().is_some_and(|recording| recording.epoch == epoch)
    }

    fn set(&mut self, index: usize, state: ChannelState) {
        if let Some(channel) = self.channels.get_mut(index) {
            channel.state = state;
        }
    }

    fn tell(&mut self, change: Change) {
        if change.idle == Some(false) {
            self.pending.push_back(GateEvent::Active);
        }
        self.pending.extend(change.watermark.map(GateEvent::Watermark));
        if change.idle == Some(true) {
            self.pending.push_back(GateEvent::Idle);
        }
    }

    /// A channel that has ended sends no barrier any more, and is not waited for.
    fn release_barrier(&mut self) {
        if self.channels.iter().any(|channel| channel.state.is_read()) {
            return;
        }
        if let Some(epoch) = self.barrier.take() {
            self.passed = epoch;
            self.pending.push_back(GateEvent::Barrier { epoch, is_aligned: true });
            for channel in self.channels.iter_mut().filter(|channel| channel.state == ChannelState::AtBarrier) {
                channel.state = ChannelState::Open;
            }
        }
    }

    fn tell_end(&mut self) {
        let mut all = EndReason::Finished;
        for channel in &self.channels {
            match channel.state {
                ChannelState::Ended(EndReason::Finished) => {}
                ChannelState::Ended(EndReason::Stopped) => all = EndReason::Stopped,
                ChannelState::Open | ChannelState::AtBarrier | ChannelState::Recording => return,
            }
        }
        self.pending.push_back(GateEvent::End(all));
    }
}
