//! The first row of each key by event time, given out once it is final.
//!
//! Rows wait in a heap by their time until the watermark has passed them: then every row before them is there too, and which are
//! duplicates is told in order. A row that is known to be one when it comes does not wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use millrace_model::Timestamp;
use millrace_state::snapshot::SnapshotWriter;
use polars::prelude::*;

use super::bind::DeduplicatePlan;
use super::changes::find;
use crate::batch::{Batch, WATERMARK_COLUMN};
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::flow::partition::gather;
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step};
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::intake::{Intake, OUT};
use crate::operators::rows_store::{RowOrder, RowsStore, read_shared, write_shared};
use crate::operators::window::assign::{Fate, Fates};

/// Fewer keys are not looked through for those that are over.
const LEAST_TIDIED: usize = 1024;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// Rows before it are duplicates; all are at `i64::MAX`, none at `i64::MIN`.
    until: i64,
    /// The least time of its rows that wait.
    waits_from: i64,
}

const NEW_KEY: Key = Key { until: i64::MIN, waits_from: i64::MAX };

impl Key {
    const fn makes_duplicate(self, time: i64) -> bool {
        time < self.until || self.until == i64::MAX
    }
}

pub struct Earliest {
    plan: Arc<DeduplicatePlan>,
    batch_rows: usize,
    order: RowOrder,
    /// Microseconds; without, a key's first row makes duplicates for ever.
    within: Option<i64>,
    intake: Intake,
    groups: Groups,
    /// By group.
    keys: Vec<Key>,
    rows: RowsStore,
    /// By row that waits, its group.
    owners: Vec<u32>,
    waiting: BinaryHeap<Reverse<(i64, u32)>>,
    /// Rows of one time that are due, in their order.
    due: VecDeque<u32>,
    due_time: i64,
    watermark: i64,
    found: Vec<u32>,
    /// With so many keys it is time to look for those that are over.
    tidy_at: usize,
}

impl Earliest {
    pub fn new(plan: Arc<DeduplicatePlan>, order: RowOrder, within: Option<i64>, context: &OperatorContext) -> Self {
        Earliest {
            batch_rows: context.batch_rows.max(1),
            order,
            within,
            intake: Intake::new(context.node.clone(), plan.on_error, ""),
            groups: Groups::new(&plan.key_types()),
            keys: Vec::new(),
            rows: plan.layout.store(),
            owners: Vec::new(),
            waiting: BinaryHeap::new(),
            due: VecDeque::new(),
            due_time: i64::MIN,
            watermark: i64::MIN,
            found: Vec::new(),
            tidy_at: LEAST_TIDIED,
            plan,
        }
    }

    /// A row is late if its own watermark has passed it: those that were in time are told apart already.
    fn fates(&self, times: &[i64], watermarks: &[i64]) -> Fates {
        let mut fates = Fates::default();
        for (row, (time, watermark)) in times.iter().zip(watermarks).enumerate() {
            if time < watermark {
                fates.refuse(row, Fate::Late);
            } else if *time < self.watermark {
                fates.refuse(row, Fate::LateAfterIdle);
            } else {
                fates.keep();
            }
        }
        fates
    }

    /// The rows that may be the first of their key, with their groups.
    fn near(&mut self, times: &[i64]) -> (Vec<IdxSize>, Vec<u32>) {
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for ((row, group), time) in (0..).zip(&self.found).zip(times) {
            let Some(key) = self.keys.get_mut(*group as usize) else { continue };
            // Without `within`, a row after one that waits is its duplicate, or that of one still earlier.
            if key.makes_duplicate(*time) || (self.within.is_none() && *time > key.waits_from) {
                continue;
            }
            key.waits_from = key.waits_from.min(*time);
            rows.push(row);
            groups.push(*group);
        }
        (rows, groups)
    }

    fn wait(&mut self, row: u32, group: u32, time: i64) {
        if self.owners.len() <= row as usize {
            self.owners.resize(row as usize + 1, 0);
        }
        if let Some(owner) = self.owners.get_mut(row as usize) {
            *owner = group;
        }
        self.waiting.push(Reverse((time, row)));
    }

    fn is_due(&self) -> bool {
        self.waiting.peek().is_some_and(|Reverse((time, _))| *time < self.watermark || self.watermark == i64::MAX)
    }

    /// The next row that is final, with its time.
    fn next_due(&mut self) -> Option<(i64, u32)> {
        if self.due.is_empty() && self.is_due() {
            let Reverse((time, row)) = self.waiting.pop()?;
            let mut same = vec![row];
            while let Some(Reverse((other, _))) = self.waiting.peek()
                && *other == time
            {
                same.extend(self.waiting.pop().map(|Reverse((_, row))| row));
            }
            same.sort_unstable_by(|a, b| self.order.compare(&self.rows, *a, &self.rows, *b));
            (self.due, self.due_time) = (same.into(), time);
        }
        self.due.pop_front().map(|row| (self.due_time, row))
    }

    /// Whether a final row stays.
    fn decide(&mut self, time: i64, row: u32) -> bool {
        let group = self.owners.get(row as usize).copied().unwrap_or(0);
        let Some(key) = self.keys.get_mut(group as usize) else { return false };
        if key.makes_duplicate(time) {
            self.intake.counts.filtered += 1;
            self.rows.free(row);
            return false;
        }
        key.until = self.within.map_or(i64::MAX, |within| time.saturating_add(within));
        self.intake.counts.accepted += 1;
        true
    }

    /// Gives rows out, and lets them go.
    fn emit(&mut self, ids: &mut Vec<u32>, out: &mut dyn Output) -> RunResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut columns = self.plan.layout.give(&self.rows, ids)?;
        columns.extend(self.plan.layout.give_times(&self.rows, ids)?);
        columns.push(Int64Chunked::from_vec(WATERMARK_COLUMN.into(), vec![i64::MIN; ids.len()]).into_series().into_column());
        out.emit(OUT, Batch::new(DataFrame::new(ids.len(), columns)?));
        ids.drain(..).for_each(|id| self.rows.free(id));
        Ok(())
    }

    /// Forgets the keys of which no row makes duplicates any more, once they are half of all.
    fn tidy(&mut self) {
        if self.groups.len() < self.tidy_at {
            return;
        }
        let mut is_live: Vec<bool> = self.keys.iter().map(|key| key.until > self.watermark).collect();
        for Reverse((_, row)) in &self.waiting {
            if let Some(is_live) = self.owners.get(*row as usize).and_then(|group| is_live.get_mut(*group as usize)) {
                *is_live = true;
            }
        }
        let live: Vec<u32> = (0..).zip(&is_live).filter(|(_, is_live)| **is_live).map(|(group, _)| group).collect();
        self.tidy_at = (live.len() * 2).max(LEAST_TIDIED);
        if live.len() * 2 > self.groups.len() {
            self.tidy_at = self.groups.len() * 2;
            return;
        }
        let mut now = vec![0; self.groups.len()];
        for (group, was) in (0..).zip(&live) {
            if let Some(place) = now.get_mut(*was as usize) {
                *place = group;
            }
        }
        self.groups = self.groups.pick(&live);
        self.keys = live.iter().map(|was| self.keys.get(*was as usize).copied().unwrap_or(NEW_KEY)).collect();
        for owner in &mut self.owners {
            *owner = now.get(*owner as usize).copied().unwrap_or(0);
        }
    }

    /// The rows that wait, by group.
    fn waiting_by_group(&self) -> Vec<(u32, i64, u32)> {
        let owner = |row: u32| self.owners.get(row as usize).copied().unwrap_or(0);
        let mut waiting: Vec<(u32, i64, u32)> = self.waiting.iter().map(|Reverse((time, row))| (owner(*row), *time, *row)).collect();
        waiting.sort_unstable();
        waiting
    }
}

impl Operator for Earliest {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let fates = self.fates(batch.times()?, batch.watermarks()?);
        let batch = Batch::new(self.intake.turn_away(batch.into_frame(), &fates, out)?);
        if batch.is_empty() {
            return Ok(());
        }
        find(&mut self.groups, &self.plan.keys, batch.frame(), &mut self.found)?;
        self.keys.resize(self.groups.len(), NEW_KEY);
        let times = batch.times()?;
        let (rows, groups) = self.near(times);
        self.intake.counts.filtered += (batch.rows() - rows.len()) as u64;
        if rows.is_empty() {
            return Ok(());
        }
        let candidates = self.plan.layout.read(&gather(batch.frame(), &rows)?)?;
        for ((at, row), group) in (0..).zip(rows).zip(groups) {
            let id = self.rows.push(&candidates, at)?;
            self.wait(id, group, times.get(row as usize).copied().unwrap_or(i64::MIN));
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        Ok(())
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut ids = Vec::new();
        for _ in 0..budget.rows.max(1) {
            let Some((time, row)) = self.next_due() else {
                self.emit(&mut ids, out)?;
                self.tidy();
                return Ok(Step::Done);
            };
            if self.decide(time, row) {
                ids.push(row);
            }
            if ids.len() == self.batch_rows {
                self.emit(&mut ids, out)?;
            }
        }
        self.emit(&mut ids, out)?;
        Ok(Step::More)
    }

    /// A row is final once the watermark is past it. Keys that are over can be forgotten at any time.
    fn outlook(&self) -> Outlook {
        let due = self.waiting.peek().map(|Reverse((time, _))| Timestamp(time.saturating_add(1)));
        Outlook { due, waiting_rows: self.waiting.len() as u64, ..Outlook::NOTHING_DUE }
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && !self.waiting.is_empty() {
            return Err(RunError::bug("the input finished before the greatest watermark passed all rows"));
        }
        // As rows in open windows that do not fire.
        self.intake.counts.accepted += self.waiting.len() as u64;
        self.waiting.clear();
        self.rows.clear();
        Ok(())
    }

    /// A record a key group: the keys with what is known of them, the rows that wait with their keys' places.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if self.is_due() || !self.due.is_empty() {
            return Err(RunError::bug("a deduplicate was asked for its state before it had given out what is due"));
        }
        write_shared(self.watermark, &self.plan.types(), writer);
        let keys = SavedKeys::new(&self.groups, &self.plan.key_types(), writer.key_groups())?;
        let waiting = self.waiting_by_group();
        for (key_group, groups) in keys.by_key_group() {
            let (mut places, mut times, mut ids) = (Vec::new(), Vec::new(), Vec::new());
            for (place, group) in (0u64..).zip(&groups) {
                let from = waiting.partition_point(|(other, ..)| other < group);
                for (_, time, row) in waiting.iter().skip(from).take_while(|(other, ..)| other == group) {
                    places.push(place);
                    times.push(*time);
                    ids.push(*row);
                }
            }
            writer.keyed(key_group, |out| {
                keys.write(&groups, out);
                groups.iter().for_each(|group| out.i64(self.keys.get(*group as usize).map_or(i64::MIN, |key| key.until)));
                self.rows.save(&ids, out);
                places.iter().zip(&times).for_each(|(place, time)| {
                    out.u64(*place);
                    out.i64(*time);
                });
            });
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(read_shared(snapshot, &self.plan.types())?);
        for (_, mut record) in snapshot.keyed(groups) {
            let groups = load_keys(&mut self.groups, &self.plan.key_types(), &mut record)?;
            self.keys.resize(self.groups.len(), NEW_KEY);
            for group in &groups {
                let until = record.i64()?;
                if let Some(key) = self.keys.get_mut(*group as usize) {
                    key.until = until;
                }
            }
            for row in self.rows.load(&mut record)? {
                let (place, time) = (record.u64()?, record.i64()?);
                let group = usize::try_from(place).ok().and_then(|place| groups.get(place).copied());
                let group = group.ok_or_else(|| record.damaged("a row is of a key that is not there"))?;
                if let Some(key) = self.keys.get_mut(group as usize) {
                    key.waits_from = key.waits_from.min(time);
                }
                self.wait(row, group, time);
            }
            record.finish()?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        let own = self.keys.capacity() * size_of::<Key>() + self.owners.capacity() * 4 + self.waiting.capacity() * 16;
        let bytes = self.groups.bytes() + self.rows.bytes() + own;
        StateSize { rows: (self.groups.len() + self.rows.len()) as u64, bytes: bytes as u64, ..StateSize::default() }
    }
}
