//! An input, read in blocks into one buffer that holds the record at hand.

use std::io::{self, ErrorKind, Read};

use xxhash_rust::xxh3::Xxh3;

/// Bytes that are asked of the input at once.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// The bytes from the next record on. The buffer grows with the record, so that whoever takes records must bound them.
pub struct Blocks<R> {
    input: R,
    /// What was read stands in `start..end`.
    buffer: Vec<u8>,
    /// Where the next record begins in `buffer`.
    start: usize,
    end: usize,
    /// Where it begins in the input.
    offset: u64,
    block_bytes: usize,
    ended: bool,
    /// Of all bytes that were taken and have left the buffer, and of those in it up to `hashed`.
    hash: Xxh3,
    hashed: usize,
}

impl<R: Read> Blocks<R> {
    pub fn new(input: R) -> Self {
        Blocks::with_block(input, BLOCK_BYTES)
    }

    /// `block_bytes` changes nothing but speed.
    pub fn with_block(input: R, block_bytes: usize) -> Self {
        Blocks {
            input,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            block_bytes: block_bytes.max(1),
            ended: false,
            hash: Xxh3::new(),
            hashed: 0,
        }
    }

    /// What was read and not yet taken.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing comes after `rest`.
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes of the input that were taken.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// A hash of all bytes that were taken.
    pub fn hash(&mut self) -> u64 {
        self.hash.update(self.buffer.get(self.hashed..self.start).unwrap_or_default());
        self.hashed = self.start;
        self.hash.digest()
    }

    /// Takes bytes up to `offset` of the input. False if it ends before.
    pub fn go_to(&mut self, offset: u64) -> io::Result<bool> {
        while self.offset < offset {
            if self.rest().is_empty() {
                if self.ended {
                    return Ok(false);
                }
                self.fill()?;
            }
            self.take(usize::try_from(offset - self.offset).unwrap_or(usize::MAX));
        }
        Ok(true)
    }

    /// Takes `bytes` of what was read.
    pub fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest().len());
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads one more block.
    ///
    /// Of a long record as much again as there is: its end is looked for anew each time, and so the work stays linear in its length.
    pub fn fill(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.hash();
        self.hashed = 0;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let asked = if self.end > BLOCK_BYTES { self.end } else { self.block_bytes };
        if self.buffer.len() < self.end + asked {
            self.buffer.resize(self.end + asked, 0);
        }
        let place = self.buffer.get_mut(self.end..self.end + asked).unwrap_or_default();
        let read = loop {
            match self.input.read(place) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read.min(asked);
        self.ended = read == 0;
        Ok(())
    }
}
