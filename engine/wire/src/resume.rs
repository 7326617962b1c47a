//! What lets a session outlive its connections: every frame is kept until the other end has said that it has it.
//!
//! One direction of one socket has an [`Outbox`] where frames leave and an [`Inbox`] where they come. Frames are numbered once for the
//! session's life, across all connections that carry it. The receiving end says which number it wants next: now and then by an
//! acknowledgement ([`crate::Frame::acknowledgement`]), and at the beginning of each further connection. What is below that number goes from
//! the outbox; what is not is sent again on the next connection. So a frame is applied once, wherever a connection broke: a repeat is
//! below the number that is wanted, and a gap would be above it.
//!
//! What came and was not taken by whom it is for is not acknowledged. So a receiver never has to stop reading, and acknowledgements for the
//! other direction never stand behind rows that nobody takes; what waits with it is bounded by what its peer may keep.
//!
//! The idea is that of TCP's own sequence numbers (RFC 9293), one floor up, where it outlives the connection.

use std::collections::VecDeque;

use crate::codec::{MAX_CONTROL_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES};
use crate::error::{WireError, WireResult};
use crate::frame::{FrameKind, Outgoing};

/// More than the headers of all frames of one message take.
const FRAME_HEADERS_BYTES: usize = 1 << 20;

/// How much is kept for a peer, and how often it is told what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Bytes kept until they are acknowledged. The message that passes it is kept whole; no further one is taken.
    pub kept_bytes: usize,
    /// The same, in frames.
    pub kept_frames: usize,
    /// Bytes that may wait to be written: beyond them rows had better wait where the oldest can still be let go.
    pub unsent_bytes: usize,
    /// Bytes that may have come and not yet been taken. It has room for whatever a peer that keeps to the bounds above can send.
    pub waiting_bytes: usize,
    /// An acknowledgement is due after as many bytes.
    pub acknowledge_bytes: usize,
    /// The same, in frames.
    pub acknowledge_frames: u64,
}

impl Window {
    /// What a socket for frames of `kind` is given. An acknowledgement is due after a sixteenth of what is kept, so that a peer which keeps
    /// up never makes the sender wait.
    pub const fn of(kind: FrameKind) -> Window {
        match kind {
            FrameKind::Data => Window {
                kept_bytes: 8 << 20,
                kept_frames: 4096,
                unsent_bytes: 1 << 20,
                waiting_bytes: (8 << 20) + MAX_DATA_MESSAGE_BYTES + FRAME_HEADERS_BYTES,
                acknowledge_bytes: 512 << 10,
                acknowledge_frames: 256,
            },
            FrameKind::Control | FrameKind::Acknowledgement => Window {
                kept_bytes: 4 << 20,
                kept_frames: 512,
                unsent_bytes: 256 << 10,
                waiting_bytes: (4 << 20) + MAX_CONTROL_MESSAGE_BYTES + FRAME_HEADERS_BYTES,
                acknowledge_bytes: 256 << 10,
                acknowledge_frames: 32,
            },
        }
    }
}

/// Frames on their way out, kept until they are acknowledged.
#[derive(Debug)]
pub struct Outbox {
    window: Window,
    /// Frames `first..first + kept.len()`.
    kept: VecDeque<Outgoing>,
    kept_bytes: usize,
    first: u64,
    /// The next to be written on the present connection, `first..=first + kept.len()`.
    next: u64,
    /// What was never written on any connection begins here.
    unwritten: u64,
    unsent_bytes: usize,
}

impl Outbox {
    pub const fn new(window: Window) -> Outbox {
        Outbox { window, kept: VecDeque::new(), kept_bytes: 0, first: 0, next: 0, unwritten: 0, unsent_bytes: 0 }
    }

    /// The number that the next frame to be pushed has.
    pub fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// Whether another message may be taken. If not, its sender waits: this is the session's backpressure.
    pub fn has_room(&self) -> bool {
        self.kept_bytes < self.window.kept_bytes
            && self.kept.len() < self.window.kept_frames
            && self.unsent_bytes < self.window.unsent_bytes
    }

    /// Adds a frame, which must have the number [`Outbox::end`].
    pub fn push(&mut self, frame: Outgoing) {
        self.kept_bytes += frame.bytes();
        self.unsent_bytes += frame.bytes();
        self.kept.push_back(frame);
    }

    /// The next frame to be written on this connection. It stays until it is acknowledged; what is given shares its memory.
    pub fn write_next(&mut self) -> Option<Outgoing> {
        let at = usize::try_from(self.next - self.first).ok()?;
        let frame = self.kept.get(at)?.clone();
        self.next += 1;
        self.unwritten = self.unwritten.max(self.next);
        self.unsent_bytes -= frame.bytes();
        Some(frame)
    }

    /// Whether everything has been written on this connection.
    pub fn is_written(&self) -> bool {
        self.next == self.end()
    }

    /// Lets go of what was written: for a peer that acknowledges nothing.
    pub fn forget_written(&mut self) {
        self.release(self.next);
    }

    /// The peer has everything below `wants`. Gives how many frames that lets go; none if it was said before.
    ///
    /// # Errors
    /// A peer that acknowledges what it was never sent, or takes an acknowledgement back, is not to be trusted.
    pub fn acknowledged(&mut self, wants: u64) -> WireResult<u64> {
        if wants < self.first || wants > self.unwritten {
            return Err(WireError::Acknowledged { wants, from: self.first, to: self.unwritten });
        }
        let released = wants - self.first;
        self.release(wants);
        Ok(released)
    }

    /// Whether a connection can go on from `wants`.
    ///
    /// # Errors
    /// Below, frames are gone that the peer had acknowledged; above, it was never sent any.
    pub fn check_resume(&self, wants: u64) -> WireResult<()> {
        if wants < self.first || wants > self.unwritten {
            return Err(WireError::Acknowledged { wants, from: self.first, to: self.unwritten });
        }
        Ok(())
    }

    /// A further connection begins, and its peer wants `wants`: everything from there is written again.
    ///
    /// # Errors
    /// See [`Outbox::check_resume`]; then nothing has changed.
    pub fn resume(&mut self, wants: u64) -> WireResult<()> {
        self.check_resume(wants)?;
        self.release(wants);
        (self.next, self.unsent_bytes) = (self.first, self.kept_bytes);
        Ok(())
    }

    /// Bytes kept, written or not.
    pub const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    pub fn kept_frames(&self) -> usize {
        self.kept.len()
    }

    /// Lets go of the frames below `to`. One that was written on an earlier connection only need not be written again.
    fn release(&mut self, to: u64) {
        while self.first < to
            && let Some(frame) = self.kept.pop_front()
        {
            self.kept_bytes -= frame.bytes();
            if self.next == self.first {
                self.next += 1;
                self.unsent_bytes -= frame.bytes();
            }
            self.first += 1;
        }
    }
}

/// What becomes of a frame that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// It is the one that is due: apply it.
    New,
    /// It came before: ignore it.
    Repeat,
}

/// Which frames have come, and which messages wait to be taken.
#[derive(Debug)]
pub struct Inbox {
    window: Window,
    /// The number of the next frame that is new.
    due: u64,
    /// Messages that are whole and not taken yet: the number of each one's last frame, and its bytes.
    waiting: VecDeque<(u64, usize)>,
    waiting_bytes: usize,
    /// Bytes of the message that is not whole yet.
    partial_bytes: usize,
    /// What the peer was last told.
    acknowledged: u64,
    bytes_since: usize,
    repeats: u64,
}

impl Inbox {
    pub const fn new(window: Window) -> Inbox {
        Inbox { window, due: 0, waiting: VecDeque::new(), waiting_bytes: 0, partial_bytes: 0, acknowledged: 0, bytes_since: 0, repeats: 0 }
    }

    /// The number to tell the peer: it need not keep anything below. Never goes back.
    pub fn wants(&self) -> u64 {
        self.waiting.front().map_or(self.due, |(last, _)| *last)
    }

    /// Takes the number and the length of a frame that came whole.
    ///
    /// # Errors
    /// A number above what is due: frames between are missing.
    pub fn take(&mut self, sequence: u64, bytes: usize) -> WireResult<Arrived> {
        if sequence > self.due {
            return Err(WireError::Sequence { expected: self.due, found: sequence });
        }
        if sequence < self.due {
            self.repeats += 1;
            return Ok(Arrived::Repeat);
        }
        self.due += 1;
        self.partial_bytes += bytes;
        self.bytes_since += bytes;
        Ok(Arrived::New)
    }

    /// The frame taken last made a message whole, which waits now until it is [`Inbox::delivered`].
    ///
    /// # Errors
    /// More waits than a peer may send without an acknowledgement.
    pub fn completed(&mut self) -> WireResult<()> {
        self.waiting_bytes += self.partial_bytes;
        self.waiting.push_back((self.due.saturating_sub(1), self.partial_bytes));
        self.partial_bytes = 0;
        let (found, most) = (self.waiting_bytes, self.window.waiting_bytes);
        if found > most || self.waiting.len() > self.window.kept_frames {
            return Err(WireError::Window { bytes: found, messages: self.waiting.len(), most });
        }
        Ok(())
    }

    /// The oldest message that waited was taken.
    pub fn delivered(&mut self) {
        if let Some((_, bytes)) = self.waiting.pop_front() {
            self.waiting_bytes -= bytes;
        }
    }

    /// Whether there is something that the peer was not told of.
    pub fn is_unacknowledged(&self) -> bool {
        self.wants() > self.acknowledged
    }

    /// Whether it is so much that the peer is to be told now, and not only after a while.
    pub fn is_acknowledgement_due(&self) -> bool {
        let frames = self.wants().saturating_sub(self.acknowledged);
        frames > 0 && (self.bytes_since >= self.window.acknowledge_bytes || frames >= self.window.acknowledge_frames)
    }

    /// What to tell the peer, which counts as told by that: an acknowledgement that is lost with its connection is made good by the next
    /// connection's first word.
    pub fn acknowledge(&mut self) -> u64 {
        self.told(self.wants());
        self.acknowledged
    }

    /// The peer was told `wants` when the present connection began. What was taken since then is yet to be acknowledged.
    pub fn told(&mut self, wants: u64) {
        self.acknowledged = wants.min(self.wants());
        self.bytes_since = 0;
    }

    /// Frames that came once more than they should.
    pub const fn repeats(&self) -> u64 {
        self.repeats
    }
}
