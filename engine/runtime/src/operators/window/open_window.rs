//! A window that gives out results before it closes: its groups with their states, and what of each is out.

use std::ops::Range;

use millrace_model::RowOp;
use millrace_state::snapshot::{Reader, SnapshotWriter, Writer};

use super::changes::{Change, Changes};
use super::shape::Window;
use super::spec::EmitMode;
use super::states::{OnOverflow, PaneShape, Refusal, Scratch, States};
use crate::error::RunResult;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::aggregate::values::Argument;

/// What of a group is out.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// It has had a result.
    is_given: bool,
    /// It has had rows since.
    is_touched: bool,
    /// How many.
    rows: u64,
    /// It stands in the list of those that were touched, perhaps from before its last result.
    is_listed: bool,
}

/// The event times of a group's rows that its next result covers.
#[derive(Debug, Clone, Copy)]
struct Seen {
    least: i64,
    greatest: i64,
}

const NONE_SEEN: Seen = Seen { least: i64::MAX, greatest: i64::MIN };

/// Rows of one window.
pub struct NewRows<'a> {
    /// Their places in the batch.
    pub rows: Range<usize>,
    /// Of each its group.
    pub groups: &'a [u32],
    /// Of all rows of the batch; told where results cover the times of their rows.
    pub times: Option<&'a [i64]>,
}

/// What became of new rows.
pub struct Added {
    /// How many were added.
    pub rows: usize,
    /// The groups whose result is due, in the order of their rows. More rows are to be added once these are given out.
    pub due: Vec<u32>,
    pub refused: Vec<Refusal>,
}

pub struct OpenWindow {
    groups: Groups,
    states: States,
    /// By group.
    told: Vec<Told>,
    /// By group, where results cover the times of their rows.
    seen: Vec<Seen>,
    /// All groups that have had rows since their last result, each once, among some that have not.
    touched: Vec<u32>,
}

impl OpenWindow {
    pub fn new(shape: &PaneShape) -> Self {
        OpenWindow { groups: Groups::new(&shape.keys), states: States::new(shape), told: Vec::new(), seen: Vec::new(), touched: Vec::new() }
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Tells the group of each row, opening those that are new.
    pub fn find(&mut self, keys: &BatchKeys, rows: Range<usize>, found: &mut Vec<u32>) -> RunResult<()> {
        found.clear();
        found.resize(rows.len(), 0);
        self.groups.find(keys, rows, found)?;
        self.states.resize(self.groups.len());
        self.told.resize(self.groups.len(), Told::default());
        Ok(())
    }

    /// Adds rows up to the first whose group has had `trigger` rows since its last result.
    pub fn add(
        &mut self,
        new: &NewRows<'_>,
        trigger: Option<u64>,
        arguments: &mut [Argument<'_>],
        on_overflow: OnOverflow,
        scratch: &mut Scratch,
    ) -> RunResult<Added> {
        let mut due = Vec::new();
        scratch.groups.clear();
        for group in new.groups {
            let Some(told) = self.told.get_mut(*group as usize) else { continue };
            if trigger.is_some_and(|trigger| told.rows >= trigger) {
                break;
            }
            told.is_touched = true;
            told.rows += 1;
            if !told.is_listed {
                told.is_listed = true;
                self.touched.push(*group);
            }
            if Some(told.rows) == trigger {
                due.push(*group);
            }
            scratch.groups.push(*group);
        }
        let rows = scratch.groups.len();
        let places = new.rows.start..new.rows.start + rows;
        if let Some(times) = new.times {
            self.see(&scratch.groups, times.get(places.clone()).unwrap_or_default());
        }
        let refused = self.states.update(places, arguments, on_overflow, scratch)?;
        Ok(Added { rows, due, refused })
    }

    fn see(&mut self, groups: &[u32], times: &[i64]) {
        self.seen.resize(self.groups.len(), NONE_SEEN);
        for (group, time) in groups.iter().zip(times) {
            if let Some(seen) = self.seen.get_mut(*group as usize) {
                *seen = Seen { least: seen.least.min(*time), greatest: seen.greatest.max(*time) };
            }
        }
    }

    /// The groups that have had rows since their last result, by key, to be given out now.
    pub fn take_touched(&mut self) -> Vec<u32> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|group| {
            self.told.get_mut(*group as usize).is_some_and(|told| {
                told.is_listed = false;
                told.is_touched
            })
        });
        if touched.len() == self.groups.len() {
            return self.groups.sorted();
        }
        touched.sort_unstable_by(|a, b| self.groups.compare(*a, *b));
        touched
    }

    /// Gives out some groups as they are now.
    pub fn give(&mut self, window: Window, groups: &[u32], mode: EmitMode, out: &mut Changes) {
        let changes: Vec<Change> = groups.iter().map(|group| Change::of(self.window_of(window, *group), self.op_of(*group))).collect();
        out.push_each(&changes, |keys, aggregates| {
            self.groups.give(groups, keys);
            self.states.give(groups, aggregates);
        });
        for group in groups {
            if let Some(told) = self.told.get_mut(*group as usize) {
                *told = Told { is_given: true, is_touched: false, rows: 0, ..*told };
            }
            if mode == EmitMode::Discarding {
                self.states.reset(*group);
                if let Some(seen) = self.seen.get_mut(*group as usize) {
                    *seen = NONE_SEEN;
                }
            }
        }
    }

    /// The times of the rows where they are the window, else the window as it is.
    fn window_of(&self, window: Window, group: u32) -> Window {
        match self.seen.get(group as usize) {
            Some(seen) if seen.least <= seen.greatest => Window { start: seen.least, end: seen.greatest.saturating_add(1) },
            _ => window,
        }
    }

    fn op_of(&self, group: u32) -> RowOp {
        let is_given = self.told.get(group as usize).is_some_and(|told| told.is_given);
        if is_given { RowOp::UpdateAfter } else { RowOp::Insert }
    }

    /// Writes all groups, a record for each key group that has any: `head`, the keys, what is out, the states.
    pub fn save(&self, shape: &PaneShape, head: &dyn Fn(&mut Writer), writer: &mut SnapshotWriter) -> RunResult<()> {
        let keys = SavedKeys::new(&self.groups, &shape.keys, writer.key_groups())?;
        for (key_group, groups) in keys.by_key_group() {
            writer.keyed(key_group, |out| {
                head(out);
                keys.write(&groups, out);
                for group in &groups {
                    let told = self.told.get(*group as usize).copied().unwrap_or_default();
                    let seen = self.seen.get(*group as usize).copied().unwrap_or(NONE_SEEN);
                    out.flag(told.is_given);
                    out.flag(told.is_touched);
                    out.u64(told.rows);
                    out.i64(seen.least);
                    out.i64(seen.greatest);
                }
                self.states.save(&groups, out);
            });
        }
        Ok(())
    }

    /// Adds groups that [`OpenWindow::save`] wrote; `from` stands behind the head.
    pub fn load(&mut self, shape: &PaneShape, from: &mut Reader<'_>) -> RunResult<()> {
        let groups = load_keys(&mut self.groups, &shape.keys, from)?;
        self.states.resize(self.groups.len());
        self.told.resize(self.groups.len(), Told::default());
        self.seen.resize(self.groups.len(), NONE_SEEN);
        for group in &groups {
            let (is_given, is_touched, rows) = (from.flag()?, from.flag()?, from.u64()?);
            let read = Told { is_given, is_touched, rows, is_listed: is_touched };
            let read_seen = Seen { least: from.i64()?, greatest: from.i64()? };
            if let (Some(told), Some(seen)) = (self.told.get_mut(*group as usize), self.seen.get_mut(*group as usize)) {
                (*told, *seen) = (read, read_seen);
            }
            if is_touched {
                self.touched.push(*group);
            }
        }
        self.states.load(&groups, from)?;
        Ok(from.finish()?)
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let own = self.told.capacity() * size_of::<Told>() + self.seen.capacity() * size_of::<Seen>() + self.touched.capacity() * 4;
        self.groups.bytes() + self.states.bytes() + own
    }
}
