//! The keys with their results so far, and which of them a batch has touched.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use millrace_model::RowOp;
use millrace_state::snapshot::{Reader, SnapshotWriter};
use polars::prelude::*;

use crate::batch::{Batch, TIME_COLUMN, WATERMARK_COLUMN};
use crate::error::{RunError, RunResult};
use crate::operator::Output;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::aggregate::values::Argument;
use crate::operators::window::intake::OUT;
use crate::operators::window::rows::RowShape;
use crate::operators::window::states::{OnOverflow, PaneShape, Refusal, Scratch, States};

/// Keys that are gone are swept once they are so many, and half of all.
const SWEEP_KEYS: usize = 1024;

/// What is known of a key besides its states.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Rows that were added and not taken back.
    rows: u64,
    /// The greatest event time of all rows that touched it.
    newest: i64,
    /// Whether a row of it is out that says it is there.
    is_out: bool,
    /// Whether the batch at hand has touched it.
    is_touched: bool,
    /// Whether it waits to be forgotten.
    is_due: bool,
}

const NEW: Entry = Entry { rows: 0, newest: i64::MIN, is_out: false, is_touched: false, is_due: false };

impl Entry {
    /// Whether nothing is known of the key.
    const fn is_gone(&self) -> bool {
        self.rows == 0 && !self.is_out && !self.is_touched
    }
}

/// How states are made: over rows that are new, or over rows that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    New,
    Changing,
}

/// Rows to be added or taken back, with the key of each.
pub struct Rows<'a, 'b> {
    pub keys: &'b [u32],
    /// Empty where rows carry none.
    pub times: &'b [i64],
    pub arguments: &'b mut [Argument<'a>],
}

pub struct Table {
    holding: Holding,
    shape: PaneShape,
    groups: Groups,
    states: States,
    entries: Vec<Entry>,
    gone: usize,
    touched: Vec<u32>,
    /// When keys may be forgotten, at the earliest; kept where there is a `ttl`.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    scratch: Scratch,
}

fn states(holding: Holding, shape: &PaneShape) -> RunResult<States> {
    match holding {
        Holding::New => Ok(States::new(shape)),
        Holding::Changing => States::retracting(shape),
    }
}

impl Table {
    pub fn new(holding: Holding, shape: PaneShape) -> RunResult<Self> {
        Ok(Table {
            holding,
            groups: Groups::new(&shape.keys),
            states: states(holding, &shape)?,
            shape,
            entries: Vec::new(),
            gone: 0,
            touched: Vec::new(),
            due: BinaryHeap::new(),
            scratch: Scratch::default(),
        })
    }

    /// How many keys are there.
    pub fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    /// The key of each row, by its number.
    pub fn find(&mut self, keys: &BatchKeys, rows: usize) -> RunResult<Vec<u32>> {
        let mut found = vec![0; rows];
        self.groups.find(keys, 0..rows, &mut found)?;
        self.resize();
        Ok(found)
    }

    fn resize(&mut self) {
        let groups = self.groups.len();
        self.gone += groups - self.entries.len().min(groups);
        self.entries.resize(groups, NEW);
        self.states.resize(groups);
    }

    /// Notes a row that is to be added.
    pub fn note(&mut self, key: u32, time: Option<&i64>) {
        self.touch(key, time);
        if let Some(entry) = self.entries.get_mut(key as usize) {
            entry.rows += 1;
        }
    }

    /// Adds rows that were noted, in their order, and tells which of them a sum refused.
    pub fn add(&mut self, range: Range<usize>, rows: &mut Rows<'_, '_>, on_overflow: OnOverflow) -> RunResult<Vec<Refusal>> {
        self.scratch.groups.clear();
        self.scratch.groups.extend_from_slice(rows.keys.get(range.clone()).unwrap_or_default());
        let refused = self.states.update(range, rows.arguments, on_overflow, &mut self.scratch)?;
        for key in refused.iter().filter_map(|refusal| rows.keys.get(refusal.row)) {
            if let Some(entry) = self.entries.get_mut(*key as usize) {
                entry.rows -= 1;
            }
        }
        Ok(refused)
    }

    /// Takes rows back that were added before.
    pub fn retract(&mut self, rows: &mut Rows<'_, '_>) -> RunResult<()> {
        self.scratch.groups.clear();
        self.scratch.groups.extend_from_slice(rows.keys);
        self.states.retract(0..rows.keys.len(), rows.arguments, &mut self.scratch)?;
        for (row, key) in rows.keys.iter().enumerate() {
            self.touch(*key, rows.times.get(row));
            let Some(entry) = self.entries.get_mut(*key as usize).filter(|entry| entry.rows > 0) else {
                return Err(RunError::bug("a row was taken back that was never there"));
            };
            entry.rows -= 1;
        }
        Ok(())
    }

    fn touch(&mut self, key: u32, time: Option<&i64>) {
        let Some(entry) = self.entries.get_mut(key as usize) else { return };
        if !entry.is_touched {
            self.gone -= usize::from(entry.is_gone());
            entry.is_touched = true;
            self.touched.push(key);
        }
        entry.newest = entry.newest.max(time.copied().unwrap_or(i64::MIN));
    }

    /// Gives out a row for each key that was touched.
    pub fn give(&mut self, shape: &RowShape, times: bool, batch_rows: usize, out: &mut dyn Output) -> RunResult<()> {
        let touched = std::mem::take(&mut self.touched);
        let mut changed: Vec<(u32, RowOp)> = Vec::with_capacity(touched.len());
        for key in &touched {
            let Some(entry) = self.entries.get_mut(*key as usize) else { continue };
            let op = match (entry.rows > 0, entry.is_out) {
                (true, false) => Some(RowOp::Insert),
                (true, true) => Some(RowOp::UpdateAfter),
                (false, true) => Some(RowOp::Delete),
                (false, false) => None,
            };
            entry.is_out = entry.rows > 0;
            changed.extend(op.map(|op| (*key, op)));
        }
        for some in changed.chunks(batch_rows) {
            out.emit(OUT, self.rows(some, shape, times)?);
        }
        for key in &touched {
            self.settle(*key);
        }
        self.touched = touched;
        self.touched.clear();
        self.sweep()
    }

    fn rows(&mut self, changed: &[(u32, RowOp)], shape: &RowShape, times: bool) -> RunResult<Batch> {
        let cells = |columns: &[(String, millrace_model::DataType)]| -> Vec<Cells> {
            columns.iter().map(|(_, data_type)| Cells::new(*data_type, changed.len())).collect()
        };
        let (mut keys, mut aggregates) = (cells(&shape.keys), cells(&shape.aggregates));
        let numbers: Vec<u32> = changed.iter().map(|(key, _)| *key).collect();
        self.groups.give(&numbers, &mut keys);
        self.states.give(&numbers, &mut aggregates);
        let mut columns = Vec::with_capacity(shape.keys.len() + shape.aggregates.len() + 3);
        for ((name, _), cells) in shape.keys.iter().zip(keys).chain(shape.aggregates.iter().zip(aggregates)) {
            columns.push(cells.finish(name)?);
        }
        let ops = StringChunked::from_iter_values(millrace_model::OP_COLUMN.into(), changed.iter().map(|(_, op)| op.word()));
        columns.push(ops.into_series().into_column());
        if times {
            let newest = numbers.iter().map(|key| self.entries.get(*key as usize).map_or(i64::MIN, |entry| entry.newest)).collect();
            columns.push(Int64Chunked::from_vec(TIME_COLUMN.into(), newest).into_series().into_column());
            columns.push(Int64Chunked::from_vec(WATERMARK_COLUMN.into(), vec![i64::MIN; numbers.len()]).into_series().into_column());
        }
        Ok(Batch::new(DataFrame::new(numbers.len(), columns)?))
    }

    /// The batch is done with a key.
    fn settle(&mut self, key: u32) {
        let Some(entry) = self.entries.get_mut(key as usize) else { return };
        entry.is_touched = false;
        if entry.is_gone() {
            self.gone += 1;
            self.states.reset(key);
            *entry = Entry { is_due: entry.is_due, ..NEW };
        }
    }

    /// Whether a row that comes when event time is at `now` finds its key forgotten.
    pub fn is_forgotten(&self, key: u32, now: i64, ttl: i64) -> bool {
        self.entries.get(key as usize).is_some_and(|entry| entry.newest > i64::MIN && entry.newest.saturating_add(ttl) <= now)
    }

    /// Begins a key anew; what is out of it stays as it is.
    pub fn forget(&mut self, key: u32) {
        let Some(entry) = self.entries.get_mut(key as usize) else { return };
        let was_gone = entry.is_gone();
        *entry = Entry { is_touched: entry.is_touched, is_due: entry.is_due, ..NEW };
        self.gone += usize::from(entry.is_gone() && !was_gone);
        self.states.reset(key);
    }

    /// Lets the keys that the batch has touched wait to be forgotten. Comes before [`Table::give`].
    pub fn remember(&mut self, ttl: i64) {
        for key in &self.touched {
            if let Some(entry) = self.entries.get_mut(*key as usize).filter(|entry| !entry.is_due) {
                entry.is_due = true;
                self.due.push(Reverse((entry.newest.saturating_add(ttl), *key)));
            }
        }
    }

    /// Forgets keys that no row has touched for `ttl`, looking at no more than `limit`. Says whether none is left.
    pub fn forget_due(&mut self, now: i64, ttl: i64, limit: usize) -> RunResult<bool> {
        for _ in 0..limit {
            let Some(Reverse((_, key))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                self.sweep()?;
                return Ok(true);
            };
            self.due.pop();
            let Some(entry) = self.entries.get_mut(key as usize) else { continue };
            let at = entry.newest.saturating_add(ttl);
            if entry.rows > 0 && at > now {
                self.due.push(Reverse((at, key)));
                continue;
            }
            entry.is_due = false;
            if entry.rows > 0 {
                self.forget(key);
            }
        }
        Ok(false)
    }

    /// Makes room once most keys are gone. Comes between batches.
    fn sweep(&mut self) -> RunResult<()> {
        if self.gone < SWEEP_KEYS || self.gone * 2 < self.entries.len() {
            return Ok(());
        }
        let kept: Vec<u32> = (0..).zip(&self.entries).filter(|(_, entry)| !entry.is_gone()).map(|(key, _)| key).collect();
        let mut states = states(self.holding, &self.shape)?;
        states.resize(kept.len());
        let pairs: Vec<(u32, u32)> = kept.iter().copied().zip(0..).collect();
        states.merge(&self.states, &pairs)?;
        let due: Vec<i64> = self.take_due();
        self.groups = self.groups.pick(&kept);
        self.entries = kept.iter().filter_map(|key| self.entries.get(*key as usize).copied()).collect();
        self.states = states;
        self.gone = 0;
        self.due = pairs
            .iter()
            .zip(&self.entries)
            .filter(|(_, entry)| entry.is_due)
            .filter_map(|((old, new), _)| Some(Reverse((*due.get(*old as usize)?, *new))))
            .collect();
        Ok(())
    }

    /// When each key may be forgotten, by its number.
    fn take_due(&mut self) -> Vec<i64> {
        let mut due = vec![i64::MAX; self.entries.len()];
        for Reverse((at, key)) in self.due.drain() {
            if let Some(place) = due.get_mut(key as usize) {
                *place = at;
            }
        }
        due
    }

    /// Writes all keys, a record for each key group that has any; `tag` comes first in each.
    pub fn save(&self, tag: u8, writer: &mut SnapshotWriter) -> RunResult<()> {
        let saved = SavedKeys::new(&self.groups, &self.shape.keys, writer.key_groups())?;
        for (key_group, mut keys) in saved.by_key_group() {
            keys.retain(|key| self.entries.get(*key as usize).is_some_and(|entry| !entry.is_gone()));
            if keys.is_empty() {
                continue;
            }
            writer.keyed(key_group, |out| {
                out.u8(tag);
                saved.write(&keys, out);
                for entry in keys.iter().filter_map(|key| self.entries.get(*key as usize)) {
                    out.u64(entry.rows);
                    out.i64(entry.newest);
                }
                self.states.save(&keys, out);
            });
        }
        Ok(())
    }

    /// Adds keys that [`Table::save`] wrote; `from` stands behind the tag.
    pub fn load(&mut self, from: &mut Reader<'_>, ttl: Option<i64>) -> RunResult<()> {
        let keys = load_keys(&mut self.groups, &self.shape.keys, from)?;
        self.resize();
        for key in &keys {
            let (rows, newest) = (from.u64()?, from.i64()?);
            let Some(entry) = self.entries.get_mut(*key as usize) else { continue };
            self.gone -= usize::from(entry.is_gone());
            *entry = Entry { rows, newest, is_out: true, is_due: ttl.is_some(), ..NEW };
            self.due.extend(ttl.map(|ttl| Reverse((newest.saturating_add(ttl), *key))));
        }
        self.states.load(&keys, from)?;
        Ok(from.finish()?)
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let own = self.entries.capacity() * size_of::<Entry>() + self.due.capacity() * size_of::<(i64, u32)>();
        self.groups.bytes() + self.states.bytes() + own
    }

    pub fn clear(&mut self) {
        self.groups.clear();
        self.states.clear();
        self.entries.clear();
        self.due.clear();
        self.gone = 0;
    }
}
