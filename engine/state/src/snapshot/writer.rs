//! Writes values end to end, little-endian.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Reader;
use crate::block::Piece;

/// Records of fewer bytes are copied to what is beside them.
const LEAST_PIECE: usize = 64 * 1024;

/// Bytes under way.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Leaves room to be filled later.
    pub(super) fn room(&mut self, bytes: usize) {
        self.bytes.resize(self.bytes.len() + bytes, 0);
    }

    /// Takes back what was written beyond so many bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Bit for bit.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub fn optional_i64(&mut self, value: Option<i64>) {
        self.flag(value.is_some());
        self.i64(value.unwrap_or(0));
    }

    /// As they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// With their length before them.
    pub fn sized(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.sized(text.as_bytes());
    }

    /// What `write` writes, with its length before it.
    pub fn within(&mut self, write: impl FnOnce(&mut Writer)) {
        let at = self.bytes.len();
        self.u64(0);
        write(self);
        let length = (self.bytes.len() - at - 8) as u64;
        if let Some(place) = self.bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// Records of key groups, end to end.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Writer,
    count: u64,
}

impl Records {
    /// A record of one key group, which exactly one task reads. There may be many of a group, in any order.
    pub fn keyed(&mut self, group: u16, write: impl FnOnce(&mut Writer)) {
        self.count += 1;
        self.bytes.u16(group);
        self.bytes.within(write);
    }
}

/// What an operator writes of itself.
#[derive(Debug)]
pub struct SnapshotWriter {
    key_groups: u16,
    shared: Writer,
    keyed: Records,
    /// Records that were written apart.
    added: Vec<Records>,
    spilled: Writer,
    pieces: u64,
    blocks: BTreeSet<String>,
}

impl SnapshotWriter {
    pub fn new(key_groups: u16) -> Self {
        SnapshotWriter {
            key_groups,
            shared: Writer::default(),
            keyed: Records::default(),
            added: Vec::new(),
            spilled: Writer::default(),
            pieces: 0,
            blocks: BTreeSet::new(),
        }
    }

    /// Into how many key groups the pipeline's keys are cut.
    pub const fn key_groups(&self) -> u16 {
        self.key_groups
    }

    /// State that no key owns: after a change of parallelism every task reads that of all former tasks.
    pub fn shared(&mut self) -> &mut Writer {
        &mut self.shared
    }

    /// A record of one key group, which exactly one task reads. There may be many of a group, in any order.
    pub fn keyed(&mut self, group: u16, write: impl FnOnce(&mut Writer)) {
        self.keyed.keyed(group, write);
    }

    /// A piece of a block, which stays where it lies; `write` says what it is.
    pub fn spilled(&mut self, group: u16, piece: &Piece, write: impl FnOnce(&mut Writer)) {
        let place = piece.keep();
        self.pieces += 1;
        self.spilled.u16(group);
        self.spilled.within(|out| {
            out.text(&place.block);
            out.u64(place.at);
            out.u64(place.bytes);
            out.u64(place.checksum);
            write(out);
        });
        if !self.blocks.contains(&place.block) {
            self.blocks.insert(place.block);
        }
    }

    /// Puts in records that were written apart.
    pub fn add(&mut self, records: Records) {
        self.added.push(records);
    }

    /// How many bytes [`SnapshotWriter::write_to`] writes.
    pub(super) fn len(&self) -> usize {
        let keyed: usize = std::iter::once(&self.keyed).chain(&self.added).map(|records| records.bytes.len()).sum();
        self.shared.len() + keyed + self.spilled.len() + 40
    }

    /// The records so far by key group, in the order in which they were written.
    pub fn by_key_group(&self) -> BTreeMap<u16, Vec<&[u8]>> {
        let mut records: BTreeMap<u16, Vec<&[u8]>> = BTreeMap::new();
        for written in std::iter::once(&self.keyed).chain(&self.added) {
            let mut reader = Reader::new(written.bytes.as_bytes(), "what an operator wrote");
            while let (Ok(group), Ok(record)) = (reader.u16(), reader.sized()) {
                records.entry(group).or_default().push(record);
            }
        }
        records
    }

    /// The blocks that it refers to.
    pub const fn blocks(&self) -> &BTreeSet<String> {
        &self.blocks
    }

    /// Writes all to `out`; before large records, what is in `out` goes to `pieces`, and they after it.
    pub(super) fn write_to(self, out: &mut Writer, pieces: &mut Vec<Vec<u8>>) {
        out.sized(self.shared.as_bytes());
        let all = || std::iter::once(&self.keyed).chain(&self.added);
        out.u64(all().map(|records| records.count).sum());
        out.u64(all().map(|records| records.bytes.len() as u64).sum());
        for records in std::iter::once(self.keyed).chain(self.added) {
            if records.bytes.len() < LEAST_PIECE {
                out.bytes.extend_from_slice(records.bytes.as_bytes());
            } else {
                pieces.push(std::mem::take(out).into_bytes());
                pieces.push(records.bytes.into_bytes());
            }
        }
        out.u64(self.pieces);
        out.sized(self.spilled.as_bytes());
    }
}
