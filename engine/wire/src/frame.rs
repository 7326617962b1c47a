//! The frame: a fixed header of 40 bytes, then a payload.
//!
//! | bytes | what (little-endian) |
//! |---|---|
//! | 0..2 | `MR` |
//! | 2 | version of the frame |
//! | 3 | kind: 1 control, 2 data, 3 acknowledgement (from protocol 2 on) |
//! | 4 | flags: 1 the message's first fragment, 2 its last |
//! | 5 | zero |
//! | 6..8 | length of the header section that begins the payload (first fragment of data) |
//! | 8..16 | number of the message that the fragment belongs to |
//! | 16..24 | number of the frame, counted from 0 in each direction of each socket; of an acknowledgement: the number wanted next |
//! | 24..28 | length of the payload |
//! | 28..32 | zero |
//! | 32..40 | xxh3 of the 32 bytes before and the payload |
//!
//! The checksum finds faults, not forgers: who may send is settled before the first frame.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{WireError, WireResult};

pub const MAGIC: [u8; 2] = *b"MR";

/// The version that this release writes. It is the first, so that there is none before it to read.
pub const FRAME_VERSION: u8 = 1;

pub const HEADER_BYTES: usize = 40;

/// Longest control frame, header included.
pub const MAX_CONTROL_FRAME_BYTES: usize = 1 << 20;

/// Longest data frame, header included.
pub const MAX_DATA_FRAME_BYTES: usize = 64 << 10;

const CHECKED_BYTES: usize = 32;
const FIRST: u8 = 1;
const LAST: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Requests, replies and events, as JSON.
    Control,
    /// Rows and file contents.
    Data,
    /// Which frame is wanted next. It has no payload and no number of its own.
    Acknowledgement,
}

impl FrameKind {
    const fn tag(self) -> u8 {
        match self {
            FrameKind::Control => 1,
            FrameKind::Data => 2,
            FrameKind::Acknowledgement => 3,
        }
    }

    const fn of_tag(tag: u8) -> Option<FrameKind> {
        match tag {
            1 => Some(FrameKind::Control),
            2 => Some(FrameKind::Data),
            3 => Some(FrameKind::Acknowledgement),
            _ => None,
        }
    }

    /// Longest payload of one frame, in bytes.
    pub const fn max_payload(self) -> usize {
        match self {
            FrameKind::Control => MAX_CONTROL_FRAME_BYTES - HEADER_BYTES,
            FrameKind::Data => MAX_DATA_FRAME_BYTES - HEADER_BYTES,
            FrameKind::Acknowledgement => 0,
        }
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameKind::Control => "control",
            FrameKind::Data => "data",
            FrameKind::Acknowledgement => "acknowledgement",
        })
    }
}

/// One fragment of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub first: bool,
    pub last: bool,
    /// How much of the payload is the header section.
    pub header_section: u16,
    pub message: u64,
    pub sequence: u64,
    pub payload: Bytes,
}

impl Frame {
    /// Says that everything below `wants` has come.
    pub const fn acknowledgement(wants: u64) -> Frame {
        let kind = FrameKind::Acknowledgement;
        Frame { kind, first: true, last: true, header_section: 0, message: 0, sequence: wants, payload: Bytes::new() }
    }

    /// The frame as bytes. The payload must be no longer than the kind allows.
    pub fn encode(&self) -> WireResult<Bytes> {
        let Frame { kind, first, last, header_section, message, sequence, ref payload } = *self;
        let head = Head { kind, first, last, header_section, message, sequence };
        Ok(Outgoing::new(head, [payload.clone(), Bytes::new()])?.to_bytes())
    }

    /// Reads one frame that fills `bytes`. Takes no memory: the payload is a part of `bytes`.
    pub fn decode(bytes: &Bytes) -> WireResult<Frame> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(WireError::TooShort { found: bytes.len(), expected: HEADER_BYTES });
        };
        let [m0, m1, version, kind, flags, zero, s0, s1, words @ ..] = *header;
        if [m0, m1] != MAGIC {
            return Err(WireError::NotAFrame);
        }
        if version != FRAME_VERSION {
            return Err(WireError::Version { found: version, expected: FRAME_VERSION });
        }
        let kind = FrameKind::of_tag(kind).ok_or(WireError::UnknownKind { found: kind })?;
        if flags & !(FIRST | LAST) != 0 {
            return Err(WireError::UnknownFlags { found: flags });
        }
        let [message, sequence, lengths, sum] = words_of(&words);
        // The low half is the length, the high half is kept for later.
        let (said, reserved) = (lengths & u64::from(u32::MAX), lengths >> 32);
        if zero != 0 || reserved != 0 {
            return Err(WireError::Reserved);
        }
        if said > kind.max_payload() as u64 {
            return Err(WireError::FrameTooLong { kind, said, most: kind.max_payload() });
        }
        if said != rest.len() as u64 {
            return Err(WireError::Length { said, found: rest.len() });
        }
        let checked = header.first_chunk::<CHECKED_BYTES>().map_or(&[][..], |checked| checked);
        if checksum(checked, rest) != sum {
            return Err(WireError::Checksum);
        }
        let (first, last) = (flags & FIRST != 0, flags & LAST != 0);
        let header_section = u16::from_le_bytes([s0, s1]);
        Ok(Frame { kind, first, last, header_section, message, sequence, payload: bytes.slice(HEADER_BYTES..) })
    }
}

/// What stands before a frame's payload, but for the payload's length.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub kind: FrameKind,
    pub first: bool,
    pub last: bool,
    pub header_section: u16,
    pub message: u64,
    pub sequence: u64,
}

/// A frame on its way out: what stands before its payload, and the payload, in two pieces that share the memory of their message. It becomes
/// bytes when it is written ([`Outgoing::put`]), and once more if it is written again, so that to keep frames until they are acknowledged takes no copy of them.
#[derive(Debug, Clone)]
pub struct Outgoing {
    head: Head,
    payload: [Bytes; 2],
    /// Of both pieces.
    length: u32,
}

impl Outgoing {
    /// # Errors
    /// If the pieces are longer than a frame of this kind may be.
    pub fn new(head: Head, payload: [Bytes; 2]) -> WireResult<Outgoing> {
        let (found, most) = (payload[0].len() + payload[1].len(), head.kind.max_payload());
        let length = u32::try_from(found).ok().filter(|_| found <= most);
        let length = length.ok_or(WireError::FrameTooLong { kind: head.kind, said: found as u64, most })?;
        Ok(Outgoing { head, payload, length })
    }

    /// Its length as bytes, header included.
    pub const fn bytes(&self) -> usize {
        HEADER_BYTES + self.length as usize
    }

    /// Appends the frame as bytes.
    pub fn put(&self, out: &mut BytesMut) {
        let Head { kind, first, last, header_section, message, sequence } = self.head;
        out.reserve(self.bytes());
        let begin = out.len();
        out.put_slice(&MAGIC);
        out.put_u8(FRAME_VERSION);
        out.put_u8(kind.tag());
        out.put_u8(if first { FIRST } else { 0 } | if last { LAST } else { 0 });
        out.put_u8(0);
        out.put_u16_le(header_section);
        out.put_u64_le(message);
        out.put_u64_le(sequence);
        out.put_u32_le(self.length);
        out.put_u32_le(0);
        let mut hasher = Xxh3::new();
        hasher.update(out.get(begin..).unwrap_or_default());
        self.payload.iter().for_each(|piece| hasher.update(piece));
        out.put_u64_le(hasher.digest());
        self.payload.iter().for_each(|piece| out.put_slice(piece));
    }

    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes());
        self.put(&mut out);
        out.freeze()
    }
}

fn words_of(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

fn checksum(header: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.digest()
}
