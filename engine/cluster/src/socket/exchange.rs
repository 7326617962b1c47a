//! What one socket of a session carries, as it stands between all connections that the socket takes: the machine of [`millrace_wire::resume`]
//! with messages on both sides of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_state::planted::{self, Bug};
use millrace_wire::resume::{Arrived, Inbox, Outbox, Window};
use millrace_wire::{Decoded, Decoder, Frame, FrameKind, Outgoing, WireResult};
use tokio::sync::Notify;

use super::Close;

/// Messages that wait for their taker where the peer knows no acknowledgements: then it is the connection that holds the peer up.
const WAITING_WITHOUT_WINDOW: usize = 2;

/// Written by one task, read by one, filled by one, emptied by one; the lock is held for a few instructions a frame.
#[derive(Debug)]
pub struct Exchange {
    pub kind: FrameKind,
    /// Whether the peer acknowledges, and connections may follow one another.
    pub is_resumable: bool,
    state: Mutex<State>,
    /// There is something to write.
    ready: Notify,
    /// There is room in the outbox.
    room: Notify,
    /// A message waits for its taker.
    came: Notify,
    /// A message was taken.
    taken: Notify,
    /// The other socket found the peer silent.
    suspected: Notify,
}

#[derive(Debug)]
struct State {
    outbox: Outbox,
    inbox: Inbox,
    waiting: VecDeque<Decoded>,
    /// What was delivered last, where a proof has to notice that it comes again.
    repeated: Option<Decoded>,
    is_connected: bool,
    finish: Option<Close>,
}

/// What to write next.
#[derive(Debug)]
pub enum Next {
    Frame(Outgoing),
    Acknowledgement(u64),
    Close(Close),
    /// Nothing now; whether something came that is to be acknowledged in a while.
    Nothing {
        unacknowledged: bool,
    },
}

impl Exchange {
    pub fn new(kind: FrameKind, is_resumable: bool) -> Exchange {
        let (outbox, inbox) = (Outbox::new(Window::of(kind)), Inbox::new(Window::of(kind)));
        let state = State { outbox, inbox, waiting: VecDeque::new(), repeated: None, is_connected: false, finish: None };
        Exchange {
            kind,
            is_resumable,
            state: Mutex::new(state),
            ready: Notify::new(),
            room: Notify::new(),
            came: Notify::new(),
            taken: Notify::new(),
            suspected: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a message may be taken from its sender. While there is no connection none may, so that rows wait where the oldest go first.
    pub async fn room(&self) {
        loop {
            let room = self.room.notified();
            {
                let state = self.state();
                if state.is_connected && state.outbox.has_room() {
                    return;
                }
            }
            room.await;
        }
    }

    pub fn push(&self, frames: Vec<Outgoing>) {
        let mut state = self.state();
        for frame in frames {
            state.outbox.push(frame);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Nothing follows: the peer is told, and the session ends. A close that tells of a fault overtakes what is unwritten.
    pub fn finish(&self, close: Close) {
        let mut state = self.state();
        if state.finish.as_ref().is_none_or(|finish| !finish.is_fault()) {
            state.finish = Some(close);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// What to write; acknowledgements that are due go first.
    pub fn next(&self) -> Next {
        let mut state = self.state();
        if self.is_resumable && state.inbox.is_acknowledgement_due() {
            return Next::Acknowledgement(state.inbox.acknowledge());
        }
        if let Some(close) = state.finish.as_ref().filter(|close| close.is_fault() || state.outbox.is_written()) {
            return Next::Close(close.clone());
        }
        let Some(frame) = state.outbox.write_next() else {
            return Next::Nothing { unacknowledged: self.is_resumable && state.inbox.is_unacknowledged() };
        };
        if !self.is_resumable {
            state.outbox.forget_written();
        }
        let has_room = state.outbox.has_room();
        drop(state);
        if has_room {
            self.room.notify_one();
        }
        Next::Frame(frame)
    }

    /// What to acknowledge now, due or not.
    pub fn acknowledge(&self) -> Option<u64> {
        let mut state = self.state();
        (self.is_resumable && state.inbox.is_unacknowledged()).then(|| state.inbox.acknowledge())
    }

    /// Waits until [`Exchange::next`] may give something. One waiter.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }

    /// The peer has said what it wants. Gives how many frames it acknowledged by that.
    pub fn acknowledged(&self, wants: u64) -> WireResult<u64> {
        let released = self.state().outbox.acknowledged(wants)?;
        if released > 0 {
            self.room.notify_one();
        }
        Ok(released)
    }

    /// Takes a frame with a message's bytes.
    pub fn take(&self, frame: Frame, bytes: usize, decoder: &mut Decoder) -> WireResult<()> {
        let (was_unacknowledged, arrived) = {
            let mut state = self.state();
            (state.inbox.is_unacknowledged(), state.inbox.take(frame.sequence, bytes)?)
        };
        // Where connections do not follow one another there is nothing to repeat: the decoder refuses the number.
        if arrived == Arrived::Repeat && self.is_resumable {
            return Ok(());
        }
        // Outside of the lock: this copies, and reads JSON.
        let decoded = decoder.take_frame(frame)?;
        let mut state = self.state();
        if let Some(message) = decoded {
            state.inbox.completed()?;
            state.waiting.push_back(message);
            self.came.notify_one();
        }
        self.tell_writer(&state.inbox, was_unacknowledged);
        Ok(())
    }

    fn tell_writer(&self, inbox: &Inbox, was_unacknowledged: bool) {
        if self.is_resumable && (inbox.is_acknowledgement_due() || (!was_unacknowledged && inbox.is_unacknowledged())) {
            self.ready.notify_one();
        }
    }

    /// Waits until another message may come, where the peer keeps to no window.
    pub async fn space(&self) {
        loop {
            let taken = self.taken.notified();
            if self.is_resumable || self.state().waiting.len() < WAITING_WITHOUT_WINDOW {
                return;
            }
            taken.await;
        }
    }

    /// The next message that came. One taker, which says when it is [`Exchange::delivered`].
    pub async fn delivery(&self) -> Decoded {
        loop {
            let came = self.came.notified();
            {
                let mut state = self.state();
                if let Some(message) = state.waiting.pop_front() {
                    state.repeated = planted::has(Bug::ResumeRepeats).then(|| message.clone());
                    return message;
                }
            }
            came.await;
        }
    }

    /// The message that was given last has been taken by whom it is for.
    pub fn delivered(&self) {
        let mut state = self.state();
        let was_unacknowledged = state.inbox.is_unacknowledged();
        state.inbox.delivered();
        self.tell_writer(&state.inbox, was_unacknowledged);
        drop(state);
        self.taken.notify_one();
    }

    /// What to tell the peer at the beginning of a connection.
    pub fn wants(&self) -> u64 {
        self.state().inbox.wants()
    }

    pub fn check_resume(&self, wants: u64) -> WireResult<()> {
        self.state().outbox.check_resume(wants)
    }

    /// A further connection begins: the peer's end wants `wants`, and was told that this one wants `told`.
    pub fn resume(&self, wants: u64, told: u64) -> WireResult<()> {
        let mut state = self.state();
        state.outbox.resume(wants)?;
        state.inbox.told(told);
        if planted::has(Bug::ResumeForgets) {
            while state.outbox.write_next().is_some() {}
        }
        if let Some(message) = state.repeated.take() {
            state.waiting.push_back(message);
            self.came.notify_one();
        }
        Ok(())
    }

    pub fn set_connected(&self, is_connected: bool) {
        self.state().is_connected = is_connected;
        if is_connected {
            self.room.notify_one();
            self.ready.notify_one();
        }
    }

    /// Frames that came once more than they should.
    pub fn repeats(&self) -> u64 {
        self.state().inbox.repeats()
    }

    /// Ends this socket's present connection: the peer was found silent on the other one.
    pub fn suspect(&self) {
        self.suspected.notify_waiters();
    }

    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }
}
