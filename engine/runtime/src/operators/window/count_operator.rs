//! The operator of count windows.
//!
//! Each key has a ring of panes, of gcd(rows, slide) rows each: as many as a window is made of. The slot of a pane is told by its key and its
//! place in the ring, so that a row finds it by arithmetic. A batch is cut before a row whose key has just completed a window: its panes are
//! given out before they serve again.

use std::ops::Range;

use millrace_model::Timestamp;
use millrace_state::snapshot::{Reader, SnapshotWriter};

use super::assign::{Fate, Fates};
use super::bind::Aggregation;
use super::intake::{Intake, OUT};
use super::rows::Rows;
use super::saved::{read_shared, write_shared};
use super::shape::{Window, gcd};
use super::states::{PaneShape, Refusal, Scratch, States};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize};
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::aggregate::values::Argument;

/// What a count window is made from.
#[derive(Debug, Clone)]
pub struct CountPlan {
    pub rows: u64,
    /// At most `rows`.
    pub slide: u64,
    /// In microseconds.
    pub allowed_lateness: i64,
    pub aggregation: Aggregation,
}

/// The least and the greatest event time of a pane's rows.
#[derive(Debug, Clone, Copy)]
struct Times {
    least: i64,
    greatest: i64,
}

const NO_TIMES: Times = Times { least: i64::MAX, greatest: i64::MIN };

pub struct CountOperator {
    batch_rows: usize,
    plan: CountPlan,
    /// Rows of a pane, and panes of a window.
    pane_rows: u64,
    panes: u64,
    intake: Intake,
    shape: PaneShape,
    keys: Groups,
    /// By key: its rows so far.
    counted: Vec<u64>,
    /// By key: the part of the input in which it last completed a window.
    completed: Vec<u64>,
    part: u64,
    /// By slot: pane `p` of key `k` is at `k * panes + p % panes`.
    states: States,
    times: Vec<Times>,
    /// What windows of several panes are merged in.
    merged: States,
    watermark: i64,
    scratch: Scratch,
}

impl CountOperator {
    pub fn new(plan: &CountPlan, context: &OperatorContext) -> Self {
        let shape = Intake::pane_shape(&plan.aggregation);
        let pane_rows = gcd(plan.rows as i64, plan.slide as i64).max(1) as u64;
        CountOperator {
            batch_rows: context.batch_rows.max(1),
            plan: plan.clone(),
            pane_rows,
            panes: plan.rows / pane_rows,
            intake: Intake::new(&plan.aggregation, context),
            keys: Groups::new(&shape.keys),
            counted: Vec::new(),
            completed: Vec::new(),
            part: 0,
            states: States::new(&shape),
            times: Vec::new(),
            merged: States::new(&shape),
            shape,
            watermark: i64::MIN,
            scratch: Scratch::default(),
        }
    }

    fn fates(&self, times: &[i64], watermarks: &[i64]) -> Fates {
        let mut fates = Fates::default();
        for (row, (time, watermark)) in times.iter().zip(watermarks).enumerate() {
            let latest = time.saturating_add(self.plan.allowed_lateness);
            if *time == i64::MAX {
                fates.refuse(row, Fate::OutOfRange);
            } else if latest < *watermark {
                fates.refuse(row, Fate::Late);
            } else if latest < self.watermark {
                fates.refuse(row, Fate::LateAfterIdle);
            } else {
                fates.keep();
            }
        }
        fates
    }

    fn slot(&self, key: u32, pane: u64) -> u32 {
        (u64::from(key) * self.panes + pane % self.panes) as u32
    }

    /// Makes room for the panes of all keys.
    fn resize(&mut self) -> RunResult<()> {
        let slots = self.keys.len() as u64 * self.panes;
        if slots >= u64::from(u32::MAX) {
            let message = format!("a count window holds {} keys of {} panes, more than there can be", self.keys.len(), self.panes);
            return Err(RunError::Limit { message });
        }
        self.counted.resize(self.keys.len(), 0);
        self.completed.resize(self.keys.len(), 0);
        self.times.resize(slots as usize, NO_TIMES);
        self.states.resize(slots as usize);
        Ok(())
    }

    /// Counts rows from `first` on until one's key has a window to give out first. Leaves the slots of the rows that were counted in the
    /// scratch, and gives the keys whose windows are complete, in order.
    fn count(&mut self, of: &[u32], times: &[i64], first: usize) -> (Range<usize>, Vec<u32>) {
        let mut complete: Vec<u32> = Vec::new();
        self.part += 1;
        self.scratch.groups.clear();
        for (key, time) in of.iter().zip(times).skip(first) {
            let counted = self.counted.get(*key as usize).copied().unwrap_or(0);
            if self.completed.get(*key as usize) == Some(&self.part) {
                break;
            }
            let slot = self.slot(*key, counted / self.pane_rows);
            self.scratch.groups.push(slot);
            if let Some(seen) = self.times.get_mut(slot as usize) {
                *seen = Times { least: seen.least.min(*time), greatest: seen.greatest.max(*time) };
            }
            if let Some(place) = self.counted.get_mut(*key as usize) {
                *place = counted + 1;
            }
            if is_complete(counted + 1, &self.plan) {
                complete.push(*key);
                if let Some(part) = self.completed.get_mut(*key as usize) {
                    *part = self.part;
                }
            }
        }
        (first..first + self.scratch.groups.len(), complete)
    }

    /// Gives out the windows that these keys have completed, and forgets the panes that no later window has.
    fn give(&mut self, complete: &[u32], rows: &mut Rows) -> RunResult<()> {
        let mut windows = Vec::with_capacity(complete.len());
        let mut pairs = Vec::with_capacity(complete.len() * self.panes as usize);
        for (place, key) in (0..).zip(complete) {
            let end = self.counted.get(*key as usize).copied().unwrap_or(0) / self.pane_rows;
            let slots = (end - self.panes..end).map(|pane| self.slot(*key, pane));
            pairs.extend(slots.map(|slot| (slot, place)));
        }
        for slots in pairs.chunks(self.panes as usize) {
            let seen = slots.iter().filter_map(|(slot, _)| self.times.get(*slot as usize));
            let times =
                seen.fold(NO_TIMES, |all, more| Times { least: all.least.min(more.least), greatest: all.greatest.max(more.greatest) });
            windows.push(Window { start: times.least, end: times.greatest.saturating_add(1) });
        }
        let groups: Vec<u32> = if self.panes == 1 {
            pairs.iter().map(|(slot, _)| *slot).collect()
        } else {
            self.merged.clear();
            self.merged.resize(complete.len());
            self.merged.merge(&self.states, &pairs)?;
            (0..complete.len() as u32).collect()
        };
        let states = if self.panes == 1 { &mut self.states } else { &mut self.merged };
        rows.push_each(windows.into_iter(), |keys, aggregates| {
            self.keys.give(complete, keys);
            states.give(&groups, aggregates);
        });
        let gone = (self.plan.slide / self.pane_rows) as usize;
        for (slot, _) in pairs.chunks(self.panes as usize).flat_map(|slots| slots.iter().take(gone)) {
            self.states.reset(*slot);
            if let Some(times) = self.times.get_mut(*slot as usize) {
                *times = NO_TIMES;
            }
        }
        Ok(())
    }

    /// Reads a record of the snapshot.
    fn load(&mut self, from: &mut Reader<'_>) -> RunResult<()> {
        let keys = load_keys(&mut self.keys, &self.shape.keys, from)?;
        self.resize()?;
        for key in &keys {
            let counted = from.u64()?;
            if let Some(place) = self.counted.get_mut(*key as usize) {
                *place = counted;
            }
        }
        let mut slots = Vec::new();
        for _ in 0..from.count(4 * size_of::<u64>())? {
            let (key, place) = (from.u64()?, from.u64()?);
            let times = Times { least: from.i64()?, greatest: from.i64()? };
            let Some(key) = usize::try_from(key).ok().and_then(|key| keys.get(key)) else {
                return Err(from.damaged("a pane is of a key that is not there").into());
            };
            let slot = self.slot(*key, place);
            if let Some(seen) = self.times.get_mut(slot as usize) {
                *seen = times;
            }
            slots.push(slot);
        }
        self.states.load(&slots, from)?;
        Ok(from.finish()?)
    }

    fn emit(&self, rows: &mut Rows, out: &mut dyn Output) -> RunResult<()> {
        let full = std::mem::replace(rows, Rows::new(&self.intake.rows, 0));
        if full.len() > 0 {
            out.emit(OUT, full.finish(&self.intake.rows)?);
        }
        Ok(())
    }

    /// Counts all rows of a batch, whose keys are `of`, and gives out what they complete.
    fn add(&mut self, of: &[u32], times: &[i64], arguments: &mut [Argument<'_>], out: &mut dyn Output) -> RunResult<Vec<Refusal>> {
        let mut refused = Vec::new();
        let mut rows = Rows::new(&self.intake.rows, 0);
        let mut next = 0;
        while next < of.len() {
            let (counted, complete) = self.count(of, times, next);
            next = counted.end;
            refused.extend(self.states.update(counted, arguments, self.intake.on_overflow(), &mut self.scratch)?);
            for some in complete.chunks(self.batch_rows) {
                self.give(some, &mut rows)?;
                if rows.len() >= self.batch_rows {
                    self.emit(&mut rows, out)?;
                }
            }
        }
        self.emit(&mut rows, out)?;
        Ok(refused)
    }
}

/// Whether a window ends with the row that makes a key's rows so many.
fn is_complete(counted: u64, plan: &CountPlan) -> bool {
    counted >= plan.rows && (counted - plan.rows).is_multiple_of(plan.slide)
}

impl Operator for CountOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let fates = self.fates(batch.times()?, batch.watermarks()?);
        let Some(taken) = self.intake.take(batch.into_frame(), &fates, out)? else { return Ok(()) };
        let mut frame = taken.frame;
        frame.rechunk_mut();
        let batch = Batch::new(frame);
        let keys = BatchKeys::new(taken.readied.keys(), batch.rows())?;
        let mut of = vec![0; batch.rows()];
        self.keys.find(&keys, 0..batch.rows(), &mut of)?;
        self.resize()?;
        let mut arguments = taken.readied.arguments()?;
        let refused = self.add(&of, batch.times()?, &mut arguments, out)?;
        self.intake.added(batch.frame(), &refused, |row| row, out)
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        Ok(())
    }

    /// A window's time is at or after that of its last row, which was not late.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input.saturating_add(-self.plan.allowed_lateness)
    }

    fn outlook(&self) -> Outlook {
        // A watermark completes no window.
        Outlook::NOTHING_DUE
    }

    fn on_end(&mut self, _: EndReason, _: &mut dyn Output) -> RunResult<()> {
        self.keys.clear();
        self.counted.clear();
        self.completed.clear();
        self.times.clear();
        self.states.clear();
        Ok(())
    }

    /// A record a key group: the keys, how many rows each has had, then its panes that have rows.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        write_shared(self.watermark, &self.shape, writer);
        let saved = SavedKeys::new(&self.keys, &self.shape.keys, writer.key_groups())?;
        for (key_group, keys) in saved.by_key_group() {
            let mut panes: Vec<(u64, u64, u32, Times)> = Vec::new();
            for (at, key) in (0..).zip(&keys) {
                let slots = (0..self.panes).map(|place| (place, self.slot(*key, place)));
                let times = slots.filter_map(|(place, slot)| Some((at, place, slot, *self.times.get(slot as usize)?)));
                panes.extend(times.filter(|(_, _, _, times)| times.least <= times.greatest));
            }
            writer.keyed(key_group, |out| {
                saved.write(&keys, out);
                keys.iter().for_each(|key| out.u64(self.counted.get(*key as usize).copied().unwrap_or(0)));
                out.u64(panes.len() as u64);
                for (at, place, _, times) in &panes {
                    out.u64(*at);
                    out.u64(*place);
                    out.i64(times.least);
                    out.i64(times.greatest);
                }
                self.states.save(&panes.iter().map(|(_, _, slot, _)| *slot).collect::<Vec<_>>(), out);
            });
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(read_shared(snapshot, &self.shape)?);
        for (_, mut record) in snapshot.keyed(groups) {
            self.load(&mut record)?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        let bytes = self.keys.bytes() + self.states.bytes() + self.merged.bytes();
        let own = (self.counted.capacity() + self.completed.capacity()) * size_of::<u64>() + self.times.capacity() * size_of::<Times>();
        StateSize { rows: self.keys.len() as u64, bytes: (bytes + own) as u64, open_windows: self.keys.len() as u64, next_window_end: None }
    }
}
