//! Panes that left memory, as pieces by key group in blocks.
//!
//! When the process is over its budget, the largest panes are written down and begin anew, empty: what is on disk is one part of their
//! state, what comes after another. Nothing is read back before the window fires. Then its keys come in again, some key groups at a time,
//! the parts of each merged as partial aggregates are, so that a window of any size fires within the memory of a share of its keys. Results
//! of such a window are in the order of their keys within each share, not as a whole.
//!
//! A sum that overflows only when its parts are merged is NULL: the row that did it is not known any more.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use millrace_state::block::{self, BlockWriter, Piece};
use millrace_state::snapshot::{Reader, SnapshotWriter};

use super::assign::Slot;
use super::pane::Pane;
use super::rows::Rows;
use super::shape::{Window, Windows};
use super::states::PaneShape;
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::memory::SpillSpace;

/// Pieces that are read together, in bytes on disk: the memory that a firing takes is a few times as much.
const CHUNK_BYTES: u64 = 32 << 20;

/// Rows per pane between two looks at how much memory all panes take: a look walks over them.
const ROWS_PER_LOOK: usize = 64;

/// A piece with its key group.
type Placed = (u16, Piece);

/// What of a window's panes is on disk.
#[derive(Default)]
pub struct Spilled {
    space: Option<SpillSpace>,
    /// By the window that takes them next, as panes in memory are.
    open: BTreeMap<Window, BTreeMap<Slot, Vec<Placed>>>,
    firing: Option<Firing>,
    /// On disk, of the windows that have not fired and the one that does.
    bytes: u64,
    rows_since_look: usize,
}

/// A window whose keys come in again.
struct Firing {
    window: Window,
    slots: Vec<(Slot, Vec<Placed>)>,
    /// Key groups that are still to come.
    chunks: VecDeque<Range<u32>>,
    /// Those that are in memory, in the order in which they go out, and how many of them have.
    at_hand: Option<(Pane, Vec<u32>, usize)>,
}

impl Spilled {
    pub fn spill_to(&mut self, space: SpillSpace) {
        self.space = Some(space);
    }

    /// Whether it is time to look at how much memory the panes take.
    pub fn is_look_due(&mut self, rows: usize, panes: usize) -> bool {
        self.rows_since_look += rows;
        let is_due = self.space.is_some() && self.rows_since_look >= panes.saturating_mul(ROWS_PER_LOOK);
        if is_due {
            self.rows_since_look = 0;
        }
        is_due
    }

    /// Says how much memory the panes take, and tells how much of it should go.
    pub fn to_free(&self, bytes: usize) -> usize {
        let Some(space) = &self.space else { return 0 };
        space.share.hold(bytes as u64, self.bytes);
        if space.share.is_over_budget() { bytes / 2 } else { 0 }
    }

    /// Writes a pane down. It may be forgotten then.
    pub fn put(&mut self, next: Window, slot: Slot, pane: &Pane, shape: &PaneShape) -> RunResult<()> {
        let Some(space) = self.space.as_ref().filter(|_| pane.len() > 0) else { return Ok(()) };
        let mut writer = BlockWriter::default();
        pane.each_key_group(shape, space.key_groups, |group, write| writer.piece(group, write))?;
        let pieces = space.blocks.write(writer)?;
        self.bytes += bytes_of(&pieces);
        self.open.entry(next).or_default().entry(slot).or_default().extend(pieces);
        Ok(())
    }

    /// The first window that has something on disk.
    pub fn first(&self) -> Option<Window> {
        self.open.keys().next().copied()
    }

    pub const fn is_firing(&self) -> bool {
        self.firing.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.firing.is_none()
    }

    /// Takes up the first window, all of whose panes are on disk.
    pub fn begin_firing(&mut self) {
        let Some((window, slots)) = self.open.pop_first() else { return };
        let slots: Vec<(Slot, Vec<Placed>)> = slots.into_iter().collect();
        let chunks = chunks(slots.iter().flat_map(|(_, pieces)| pieces));
        self.firing = Some(Firing { window, slots, chunks, at_hand: None });
    }

    /// Reads some key groups of the window that fires, or gives out up to `limit` of its rows. Says how many rows were worked on; once all
    /// are given out, its pieces are in line for their next windows.
    pub fn work(&mut self, windows: &Windows, shape: &PaneShape, rows: &mut Rows, limit: usize) -> RunResult<usize> {
        let Some(firing) = self.firing.as_mut() else { return Ok(0) };
        if let Some((pane, order, given)) = &mut firing.at_hand {
            let end = order.len().min(*given + limit);
            let worked = end - *given;
            rows.push(firing.window, pane, order.get(*given..end).unwrap_or_default());
            *given = end;
            if *given == order.len() {
                firing.at_hand = None;
            }
            return Ok(worked);
        }
        let Some(chunk) = firing.chunks.pop_front() else {
            self.end_firing(windows);
            return Ok(0);
        };
        let pane = firing.read(&chunk, shape)?;
        let order = pane.sorted();
        let worked = order.len();
        firing.at_hand = Some((pane, order, 0));
        Ok(worked)
    }

    fn end_firing(&mut self, windows: &Windows) {
        let Some(firing) = self.firing.take() else { return };
        for (slot, pieces) in firing.slots {
            match windows.next(firing.window, slot.pane) {
                Some(next) => self.open.entry(next).or_default().entry(slot).or_default().extend(pieces),
                None => self.bytes -= bytes_of(&pieces),
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.open.clear();
        self.firing = None;
        self.bytes = 0;
    }

    pub fn snapshot(&self, writer: &mut SnapshotWriter) {
        for (next, slots) in &self.open {
            for (slot, pieces) in slots {
                let place = [next.start, next.end, slot.pane, slot.first_end];
                for (group, piece) in pieces {
                    writer.spilled(*group, piece, |out| place.iter().for_each(|part| out.i64(*part)));
                }
            }
        }
    }

    pub fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        let Some(space) = &self.space else { return Ok(()) };
        for spilled in snapshot.spilled(groups) {
            let (group, place, mut head) = spilled?;
            let next = Window { start: head.i64()?, end: head.i64()? };
            let slot = Slot { pane: head.i64()?, first_end: head.i64()? };
            head.finish()?;
            let piece = space.blocks.open(&place)?;
            self.bytes += piece.bytes();
            self.open.entry(next).or_default().entry(slot).or_default().push((group, piece));
        }
        Ok(())
    }

    /// All places that have something on disk.
    pub fn places(&self) -> impl Iterator<Item = (Window, Slot)> {
        self.open.iter().flat_map(|(next, slots)| slots.keys().map(|slot| (*next, *slot)))
    }

    /// On disk, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In memory, of the window that fires.
    pub fn at_hand(&self) -> Option<&Pane> {
        self.firing.as_ref()?.at_hand.as_ref().map(|(pane, ..)| pane)
    }
}

impl Firing {
    fn read(&self, chunk: &Range<u32>, shape: &PaneShape) -> RunResult<Pane> {
        let mut whole = Pane::new(shape);
        let mut part = Pane::new(shape);
        let pieces = self.slots.iter().flat_map(|(_, pieces)| pieces);
        for (_, piece) in pieces.filter(|(group, _)| chunk.contains(&u32::from(*group))) {
            let bytes = block::read(piece)?;
            part.clear();
            part.load(shape, &mut Reader::new(&bytes, "a piece of state on disk"))?;
            whole.merge(&part)?;
        }
        Ok(whole)
    }
}

fn bytes_of(pieces: &[Placed]) -> u64 {
    pieces.iter().map(|(_, piece)| piece.bytes()).sum()
}

/// Cuts the key groups of the pieces into ranges of about [`CHUNK_BYTES`].
fn chunks<'a>(pieces: impl Iterator<Item = &'a Placed>) -> VecDeque<Range<u32>> {
    let mut bytes: BTreeMap<u16, u64> = BTreeMap::new();
    for (group, piece) in pieces {
        *bytes.entry(*group).or_default() += piece.bytes();
    }
    let mut ranges: VecDeque<Range<u32>> = VecDeque::new();
    let mut size = 0;
    for (group, bytes) in bytes {
        let group = u32::from(group);
        match ranges.back_mut().filter(|_| size + bytes <= CHUNK_BYTES) {
            Some(range) => {
                range.end = group + 1;
                size += bytes;
            }
            None => {
                ranges.push_back(group..group + 1);
                size = bytes;
            }
        }
    }
    ranges
}
