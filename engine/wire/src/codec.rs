//! Messages to frames and back.
//!
//! One direction of one socket has one [`Encoder`] and one [`Decoder`] at its ends. A message longer than a frame is cut into
//! fragments that follow one another; messages do not interleave, so that a receiver holds at most one that is unfinished. Every
//! fragment but the last is full: a peer cannot send fragments without end that add nothing.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{WireError, WireResult};
use crate::frame::{Frame, FrameKind, Head, Outgoing};
use crate::message::{Control, DataHeader};

/// Longest control message, in bytes: a pipeline's text of 1 MiB with every character escaped, and room for the rest.
pub const MAX_CONTROL_MESSAGE_BYTES: usize = 8 << 20;

/// Longest data message, header included, in bytes.
pub const MAX_DATA_MESSAGE_BYTES: usize = 64 << 20;

/// Memory that is taken for a message before it has come, at most: a peer that says nothing further has no more of ours.
const MOST_LIKELY_BYTES: usize = 4 << 20;

/// Longest header of a data message, in bytes.
pub const MAX_DATA_HEADER_BYTES: usize = 8 << 10;

/// A message of the data side.
#[derive(Debug, Clone, PartialEq)]
pub struct DataMessage {
    pub header: DataHeader,
    pub payload: Bytes,
}

/// Cuts messages into numbered frames.
#[derive(Debug)]
pub struct Encoder {
    kind: FrameKind,
    next_message: u64,
    next_sequence: u64,
}

impl Encoder {
    pub const fn new(kind: FrameKind) -> Encoder {
        Encoder { kind, next_message: 0, next_sequence: 0 }
    }

    /// The frames of a control message, in the order to be sent.
    pub fn control(&mut self, message: &Control) -> WireResult<Vec<Outgoing>> {
        let json = to_json("control message", message)?;
        self.frames(0, [Bytes::from(json), Bytes::new()])
    }

    /// The frames of a data message, in the order to be sent. They share the payload's memory.
    pub fn data(&mut self, header: &DataHeader, payload: &Bytes) -> WireResult<Vec<Outgoing>> {
        let section = to_json("data header", header)?;
        let length = u16::try_from(section.len()).ok().filter(|length| usize::from(*length) <= MAX_DATA_HEADER_BYTES);
        let length = length.ok_or(WireError::HeaderSection { why: "it is too long" })?;
        self.frames(length, [Bytes::from(section), payload.clone()])
    }

    /// Of a body in two parts.
    fn frames(&mut self, header_section: u16, [mut begin, mut rest]: [Bytes; 2]) -> WireResult<Vec<Outgoing>> {
        let (most, found, room) = (max_message(self.kind), begin.len() + rest.len(), self.kind.max_payload());
        if found > most {
            return Err(WireError::MessageTooLong { found, most });
        }
        let (message, mut first) = (self.next_message, true);
        let mut frames = Vec::with_capacity(found / room + 1);
        loop {
            let head = begin.split_to(begin.len().min(room));
            let tail = rest.split_to(rest.len().min(room - head.len()));
            let last = begin.is_empty() && rest.is_empty();
            let header_section = if first { header_section } else { 0 };
            let of = Head { kind: self.kind, first, last, header_section, message, sequence: self.next_sequence };
            frames.push(Outgoing::new(of, [head, tail])?);
            self.next_sequence += 1;
            first = false;
            if last {
                self.next_message += 1;
                return Ok(frames);
            }
        }
    }
}

/// What a frame completed.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Control(Box<Control>),
    Data(DataMessage),
}

/// Puts frames together again, and checks that each is the one that is due.
#[derive(Debug)]
pub struct Decoder {
    kind: FrameKind,
    next_message: u64,
    next_sequence: u64,
    partial: Option<Partial>,
    /// How long the last message in fragments was: the next one is like it, mostly.
    like: usize,
    failed: Option<WireError>,
}

/// A message of which not all fragments have come. Each is copied as it comes, while the processor has it at hand, and the socket reads the next
/// into the same memory: to keep fragments until the last is there would have it read into ever new memory.
#[derive(Debug)]
struct Partial {
    header_section: usize,
    body: Vec<u8>,
}

impl Decoder {
    /// For a socket that carries frames of `kind` and no others.
    pub const fn new(kind: FrameKind) -> Decoder {
        Decoder { kind, next_message: 0, next_sequence: 0, partial: None, like: 0, failed: None }
    }

    /// Takes the next frame; gives the message that it completes. After an error the socket is of no more use: it gives the same
    /// error for whatever comes.
    pub fn take(&mut self, bytes: &Bytes) -> WireResult<Option<Decoded>> {
        self.take_result(Frame::decode(bytes))
    }

    /// The same, for a frame that was read already.
    pub fn take_frame(&mut self, frame: Frame) -> WireResult<Option<Decoded>> {
        self.take_result(Ok(frame))
    }

    fn take_result(&mut self, frame: WireResult<Frame>) -> WireResult<Option<Decoded>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let taken = frame.and_then(|frame| self.next(frame));
        if let Err(error) = &taken {
            self.failed = Some(error.clone());
            self.partial = None;
        }
        taken
    }

    fn next(&mut self, frame: Frame) -> WireResult<Option<Decoded>> {
        self.check(&frame)?;
        self.next_sequence = self.next_sequence.wrapping_add(1);
        let most = max_message(self.kind);
        let held = self.partial.as_ref().map_or(0, |partial| partial.body.len());
        if held + frame.payload.len() > most {
            return Err(WireError::MessageTooLong { found: held + frame.payload.len(), most });
        }
        let header_section = usize::from(frame.header_section);
        let (header_section, body) = match (self.partial.take(), frame.last) {
            (None, true) => (header_section, frame.payload),
            (partial, last) => {
                let begin = || Partial { header_section, body: Vec::with_capacity(self.like) };
                let mut partial = partial.unwrap_or_else(begin);
                partial.body.extend_from_slice(&frame.payload);
                if !last {
                    self.partial = Some(partial);
                    return Ok(None);
                }
                self.like = partial.body.len().min(MOST_LIKELY_BYTES);
                if partial.body.capacity() > 2 * partial.body.len() {
                    // Whoever holds it counts its length.
                    partial.body.shrink_to_fit();
                }
                (partial.header_section, Bytes::from(partial.body))
            }
        };
        self.next_message = self.next_message.wrapping_add(1);
        self.message(header_section, body).map(Some)
    }

    fn check(&self, frame: &Frame) -> WireResult<()> {
        if frame.kind != self.kind {
            return Err(WireError::WrongKind { kind: frame.kind, expected: self.kind });
        }
        if frame.sequence != self.next_sequence {
            return Err(WireError::Sequence { expected: self.next_sequence, found: frame.sequence });
        }
        let why = match &self.partial {
            _ if frame.message != self.next_message => Some("it belongs to another message"),
            None if !frame.first => Some("no message was begun"),
            Some(_) if frame.first => Some("the message before it is unfinished"),
            _ if !frame.last && frame.payload.len() != self.kind.max_payload() => Some("it is neither full nor the last"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(WireError::Fragment { why });
        }
        let section = usize::from(frame.header_section);
        let why = match self.kind {
            FrameKind::Control | FrameKind::Acknowledgement if section != 0 => Some("a control message has none"),
            FrameKind::Data if !frame.first && section != 0 => Some("only the first fragment has one"),
            FrameKind::Data if frame.first && section == 0 => Some("it is missing"),
            FrameKind::Data if section > MAX_DATA_HEADER_BYTES => Some("it is too long"),
            FrameKind::Data if section > frame.payload.len() => Some("it is longer than the payload"),
            _ => None,
        };
        why.map_or(Ok(()), |why| Err(WireError::HeaderSection { why }))
    }

    fn message(&self, header_section: usize, mut body: Bytes) -> WireResult<Decoded> {
        match self.kind {
            FrameKind::Acknowledgement => Err(WireError::Fragment { why: "an acknowledgement is no message" }),
            FrameKind::Control => Ok(Decoded::Control(Box::new(from_json("control message", &body)?))),
            FrameKind::Data => {
                let section = body.split_to(header_section.min(body.len()));
                Ok(Decoded::Data(DataMessage { header: from_json("data header", &section)?, payload: body }))
            }
        }
    }
}

const fn max_message(kind: FrameKind) -> usize {
    match kind {
        FrameKind::Control => MAX_CONTROL_MESSAGE_BYTES,
        FrameKind::Data => MAX_DATA_MESSAGE_BYTES,
        FrameKind::Acknowledgement => 0,
    }
}

fn to_json<T: Serialize>(what: &'static str, value: &T) -> WireResult<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| WireError::Json { what, why: error.to_string() })
}

fn from_json<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> WireResult<T> {
    serde_json::from_slice(bytes).map_err(|error| WireError::Json { what, why: error.to_string() })
}
