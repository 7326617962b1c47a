//! The operator of windows over panes: tumbling, hopping, cumulating.

use std::collections::btree_map::{Entry, OccupiedEntry};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_plan::BoundNode;
use millrace_state::snapshot::{Reader, Records, SnapshotWriter};

use super::assign::{Assignment, Slot, assign};
use super::bind::Aggregation;
use super::combine::{PaneCombiner, Partial};
use super::inputs::Readied;
use super::intake::{Intake, OUT};
use super::pane::Pane;
use super::rows::Rows;
use super::saved::{read_shared, write_shared};
use super::shape::{Window, Windows};
use super::spill::Spilled;
use super::states::{PaneShape, Refusal, Scratch};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::memory::SpillSpace;
use crate::operator::{Budget, Combiner, EndReason, Operator, OperatorContext, Output, RowCounts, StateSize, Step, Timer, Timers};
use crate::operators::aggregate::keys::BatchKeys;

/// Emptied panes kept for those that come next, so that their tables need not grow again.
const SPARE_PANES: usize = 2;

/// Groups that are copied for a snapshot between two batches, for each row of a full batch: about a millisecond's work.
const COPIED_PER_ROW: usize = 8;

/// Records whose keys are looked up together when state is read back.
const LOADED_TOGETHER: usize = 256;

/// What a window over panes is made from.
#[derive(Debug, Clone)]
pub struct PanePlan {
    pub windows: Windows,
    pub close_after_idle: Option<Duration>,
    pub aggregation: Aggregation,
}

/// Makes the operator of a node that was bound with a [`PanePlan`].
pub fn create(node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
    let plan: &PanePlan = node.payload.get().ok_or_else(|| RunError::bug("a window was bound by another kind"))?;
    Ok(Box::new(PaneOperator::new(plan, context)))
}

/// Makes what aggregates in the sending tasks, if the aggregates take part.
pub fn combiner(plan: &PanePlan) -> Option<Box<dyn Combiner>> {
    PaneCombiner::new(plan).map(|combiner| Box::new(combiner) as Box<dyn Combiner>)
}

pub struct PaneOperator {
    batch_rows: usize,
    windows: Windows,
    close_after_idle: Option<Duration>,
    intake: Intake,
    shape: Arc<PaneShape>,
    /// All panes, by the window that takes them next. Those of the first window are all that it is made of.
    open: BTreeMap<Window, BTreeMap<Slot, Pane>>,
    /// Panes that a snapshot has yet to be given, and those that it has not taken.
    to_copy: VecDeque<(Window, Slot)>,
    copied: Vec<Records>,
    /// The window whose rows are on their way out.
    firing: Option<Firing>,
    spare: Vec<Pane>,
    spilled: Spilled,
    /// Every window that closes at or before it has fired, or does before the next batch.
    watermark: i64,
    /// How far the windows were closed because nothing came.
    idle_watermark: i64,
    scratch: Scratch,
}

struct Firing {
    window: Window,
    pane: Pane,
    /// Panes that are not yet in it.
    unmerged: VecDeque<(Slot, Pane)>,
    /// How many groups of the first of them are.
    merged: usize,
    /// Where the pane belongs once it has been given out.
    then: Option<(Window, Slot)>,
    /// The groups in the order in which they go out; told when all is merged.
    order: Option<Vec<u32>>,
    given: usize,
}

impl PaneOperator {
    fn new(plan: &PanePlan, context: &OperatorContext) -> Self {
        PaneOperator {
            batch_rows: context.batch_rows.max(1),
            windows: plan.windows,
            close_after_idle: plan.close_after_idle,
            intake: Intake::new(&plan.aggregation, context),
            shape: Arc::new(Intake::pane_shape(&plan.aggregation)),
            open: BTreeMap::new(),
            to_copy: VecDeque::new(),
            copied: Vec::new(),
            firing: None,
            spare: Vec::new(),
            spilled: Spilled::default(),
            watermark: i64::MIN,
            idle_watermark: i64::MIN,
            scratch: Scratch::default(),
        }
    }

    /// Adds the kept rows to their panes. Gives those that a sum refused, by their place in `readied`.
    fn add(&mut self, readied: &Readied, assignment: &Assignment) -> RunResult<Vec<Refusal>> {
        let keys = BatchKeys::new(readied.keys(), assignment.fates.kept)?;
        let mut arguments = readied.arguments()?;
        let mut refused = Vec::new();
        for run in &assignment.runs {
            let slots = self.open.entry(run.place.next).or_default();
            let pane = slots.entry(run.place.slot).or_insert_with(|| new_pane(&mut self.spare, &self.shape));
            refused.extend(pane.update(&keys, run.rows.clone(), &mut arguments, self.intake.on_overflow(), &mut self.scratch)?);
        }
        Ok(refused)
    }

    /// Adds partial results of a [`PaneCombiner`].
    fn take_partial(&mut self, batch: &Batch) -> RunResult<()> {
        let partial = Partial::read(batch.frame(), &self.intake.rows)?;
        let keys = BatchKeys::new(partial.keys(), batch.rows())?;
        for (place, rows) in partial.places() {
            if self.windows.close_of(place.next) <= self.watermark {
                return Err(RunError::bug("partial results came for a window that had fired"));
            }
            let slots = self.open.entry(place.next).or_default();
            let pane = slots.entry(place.slot).or_insert_with(|| new_pane(&mut self.spare, &self.shape));
            pane.take_words(&keys, rows.clone(), &partial.words(rows), &mut self.scratch)?;
        }
        self.intake.counts.accepted += batch.counted_rows() as u64;
        Ok(())
    }

    /// Makes room now and then, by how many rows were added.
    fn look_for_room(&mut self, added: usize) -> RunResult<()> {
        let panes = self.open.values().map(BTreeMap::len).sum();
        if self.spilled.is_look_due(added, panes) {
            self.make_room()?;
        }
        Ok(())
    }

    /// Puts panes on disk, the largest first, if the process holds more than its budget.
    fn make_room(&mut self) -> RunResult<()> {
        let held = self.panes().chain(&self.spare).map(Pane::bytes).sum();
        let mut to_free = self.spilled.to_free(held);
        if to_free == 0 {
            return Ok(());
        }
        self.spare.clear();
        let mut places: Vec<(usize, Window, Slot)> = Vec::new();
        for (next, slots) in &self.open {
            places.extend(slots.iter().map(|(slot, pane)| (pane.bytes(), *next, *slot)));
        }
        places.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, next, slot) in places {
            self.spill(next, slot)?;
            to_free = to_free.saturating_sub(bytes);
            if to_free == 0 {
                break;
            }
        }
        self.spilled.to_free(self.panes().map(Pane::bytes).sum());
        Ok(())
    }

    fn spill(&mut self, next: Window, slot: Slot) -> RunResult<()> {
        let Some(slots) = self.open.get_mut(&next) else { return Ok(()) };
        if let Some(mut pane) = slots.remove(&slot) {
            self.copied.extend(pane.copy_on(usize::MAX)?.1);
            self.spilled.put(next, slot, &pane, &self.shape)?;
        }
        if slots.is_empty() {
            self.open.remove(&next);
        }
        Ok(())
    }

    /// Takes up the next window that the watermark has closed, if a part of it is on disk: the rest goes there too.
    fn begin_firing_spilled(&mut self) -> RunResult<()> {
        let Some(first) = self.spilled.first().filter(|first| self.windows.close_of(*first) <= self.watermark) else { return Ok(()) };
        if self.open.keys().next().is_some_and(|in_memory| *in_memory < first) {
            return Ok(());
        }
        let slots: Vec<Slot> = self.open.get(&first).into_iter().flat_map(BTreeMap::keys).copied().collect();
        for slot in slots {
            self.spill(first, slot)?;
        }
        self.spilled.begin_firing();
        Ok(())
    }

    /// Does a part of the work that is due. Says how many rows were worked on; none if nothing is due.
    fn work_on(&mut self, rows: &mut Rows, limit: usize) -> RunResult<Option<usize>> {
        if self.firing.is_none() && !self.spilled.is_firing() {
            self.begin_firing_spilled()?;
        }
        if self.spilled.is_firing() {
            return self.spilled.work(&self.windows, &self.shape, rows, limit).map(Some);
        }
        let Some(mut firing) = self.firing.take().map_or_else(|| self.begin_firing(), |firing| Ok(Some(firing)))? else { return Ok(None) };
        let worked = self.work(&mut firing, rows, limit)?;
        let is_given = firing.order.as_ref().is_some_and(|order| firing.given == order.len());
        match firing.then {
            _ if !is_given => self.firing = Some(firing),
            Some((next, slot)) => self.keep(next, slot, firing.pane)?,
            None => self.recycle(firing.pane),
        }
        Ok(Some(worked))
    }

    /// Takes up the next window that the watermark has closed.
    fn begin_firing(&mut self) -> RunResult<Option<Firing>> {
        let closes = |first: &OccupiedEntry<'_, Window, _>| self.windows.close_of(*first.key()) <= self.watermark;
        let Some(first) = self.open.first_entry().filter(closes) else { return Ok(None) };
        let (window, slots) = first.remove_entry();
        let mut unmerged: VecDeque<(Slot, Pane)> = slots.into_iter().collect();
        for (_, pane) in &mut unmerged {
            self.copied.extend(pane.copy_on(usize::MAX)?.1);
        }
        let Some((slot, pane)) = unmerged.pop_front() else { return Ok(None) };
        let next = self.windows.next(window, slot.pane);
        let carries_on = self.windows.carries_on();
        let (pane, then) = if next.is_none() || unmerged.is_empty() || carries_on {
            (pane, next.map(|next| (next, slot)))
        } else {
            unmerged.push_front((slot, pane));
            (new_pane(&mut self.spare, &self.shape), None)
        };
        Ok(Some(Firing { window, pane, unmerged, merged: 0, then, order: None, given: 0 }))
    }

    /// Merges a pane into the window that fires, or gives out up to `limit` of its rows. Says how many rows were worked on.
    fn work(&mut self, firing: &mut Firing, rows: &mut Rows, limit: usize) -> RunResult<usize> {
        if let Some((slot, pane)) = firing.unmerged.pop_front() {
            let from = firing.merged;
            let end = pane.len().min(from.saturating_add(limit));
            firing.pane.merge_some(&pane, from..end)?;
            firing.merged = end;
            if end < pane.len() {
                firing.unmerged.push_front((slot, pane));
                return Ok(end - from);
            }
            firing.merged = 0;
            match self.windows.next(firing.window, slot.pane).filter(|_| !self.windows.carries_on()) {
                Some(next) => self.keep(next, slot, pane)?,
                None => self.recycle(pane),
            }
            return Ok(end - from);
        }
        let order = firing.order.get_or_insert_with(|| firing.pane.sorted());
        let end = order.len().min(firing.given + limit);
        let worked = end - firing.given;
        rows.push(firing.window, &mut firing.pane, order.get(firing.given..end).unwrap_or_default());
        firing.given = end;
        Ok(worked)
    }

    /// Puts a pane in line for its next window.
    fn keep(&mut self, next: Window, slot: Slot, pane: Pane) -> RunResult<()> {
        match self.open.entry(next).or_default().entry(slot) {
            Entry::Vacant(place) => {
                place.insert(pane);
            }
            Entry::Occupied(mut there) => there.get_mut().merge(&pane)?,
        }
        Ok(())
    }

    fn recycle(&mut self, mut pane: Pane) {
        if self.spare.len() < SPARE_PANES {
            pane.clear();
            self.spare.push(pane);
        }
    }

    fn emit(&self, rows: &mut Rows, out: &mut dyn Output) -> RunResult<()> {
        let full = std::mem::replace(rows, Rows::new(&self.intake.rows, 0));
        if full.len() > 0 {
            out.emit(OUT, full.finish(&self.intake.rows)?);
        }
        Ok(())
    }

    fn panes(&self) -> impl Iterator<Item = &Pane> {
        let unmerged = self.firing.iter().flat_map(|firing| firing.unmerged.iter().map(|(_, pane)| pane));
        let held = self.open.values().flat_map(BTreeMap::values).chain(unmerged);
        held.chain(self.firing.iter().map(|firing| &firing.pane)).chain(self.spilled.at_hand())
    }

    /// The first window that has rows, in memory or on disk, and has not fired.
    fn first_open(&self) -> Option<Window> {
        self.open.keys().next().copied().into_iter().chain(self.spilled.first()).min()
    }

    /// How many windows have rows and have not fired.
    fn open_windows(&self) -> u64 {
        let in_memory = self.open.iter().flat_map(|(next, slots)| slots.keys().map(|slot| (*next, *slot)));
        let mut panes: Vec<(i64, Window)> = in_memory.chain(self.spilled.places()).map(|(next, slot)| (slot.pane, next)).collect();
        panes.sort_unstable();
        panes.dedup();
        let mut counted: Option<Window> = None;
        let mut count = 0;
        for (pane, next) in panes {
            // Windows over an earlier pane were counted with it, up to the last of them.
            let mut first = Some(next);
            if let Some(last) = counted.filter(|last| *last >= next) {
                first = self.windows.next(last, pane);
            }
            if let Some(first) = first {
                count += self.windows.count_from(first, pane);
                counted = self.windows.last(first, pane).max(counted);
            }
        }
        count
    }
}

fn new_pane(spare: &mut Vec<Pane>, shape: &PaneShape) -> Pane {
    spare.pop().unwrap_or_else(|| Pane::new(shape))
}

impl Operator for PaneOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if batch.is_partial() {
            self.take_partial(&batch)?;
            return self.look_for_room(batch.rows());
        }
        let mut assignment = assign(&self.windows, batch.times()?, batch.watermarks()?, self.watermark);
        let Some(mut taken) = self.intake.take(batch.into_frame(), &assignment.fates, out)? else { return Ok(()) };
        if let Some(keeps) = &taken.keeps {
            assignment.retain(keeps);
        }
        let order = assignment.gather();
        if let Some(order) = &order {
            taken.readied.take(order)?;
        }
        let refused = self.add(&taken.readied, &assignment)?;
        let place = |row: usize| order.as_ref().map_or(row, |order| order.get(row).map_or(row, |row| *row as usize));
        self.intake.added(&taken.frame, &refused, place, out)?;
        self.look_for_room(taken.frame.height())
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        Ok(())
    }

    fn timers(&self) -> Timers {
        Timers { after_idle: self.close_after_idle, ..Timers::default() }
    }

    /// Closes every window that has rows, as a watermark would that passed them all: what comes for them later is late after idleness.
    fn on_timer(&mut self, _: Timer) -> RunResult<()> {
        let in_memory = self.open.iter().flat_map(|(next, slots)| slots.keys().map(|slot| (*next, *slot)));
        let last = |(next, slot): (Window, Slot)| self.windows.last(next, slot.pane).unwrap_or(next);
        let closes = in_memory.chain(self.spilled.places()).map(|place| self.windows.close_of(last(place))).max();
        self.idle_watermark = self.idle_watermark.max(closes.unwrap_or(i64::MIN));
        self.watermark = self.watermark.max(self.idle_watermark);
        Ok(())
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut left = budget.rows.max(1);
        let mut rows = Rows::new(&self.intake.rows, 0);
        while left > 0 {
            let limit = left.min(self.batch_rows - rows.len());
            let Some(worked) = self.work_on(&mut rows, limit)? else { break };
            left -= worked.min(left);
            if rows.len() == self.batch_rows {
                self.emit(&mut rows, out)?;
            }
        }
        self.emit(&mut rows, out)?;
        let is_due = self.first_open().is_some_and(|first| self.windows.close_of(first) <= self.watermark);
        Ok(if self.firing.is_some() || self.spilled.is_firing() || is_due { Step::More } else { Step::Done })
    }

    /// See the module's page: no later result has a time before it.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input.max(Timestamp(self.idle_watermark)).saturating_add(-self.windows.allowed_lateness)
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && !(self.open.is_empty() && self.firing.is_none() && self.spilled.is_empty()) {
            return Err(RunError::bug("the input finished before the greatest watermark closed all windows"));
        }
        self.open.clear();
        self.firing = None;
        self.spilled.clear();
        Ok(())
    }

    /// A record a pane and key group.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if self.firing.is_some() || self.spilled.is_firing() {
            return Err(RunError::bug("a window was asked for its state before it had given out what is due"));
        }
        write_shared(self.watermark, &self.shape, writer);
        self.to_copy.clear();
        self.copied.clear();
        for (next, slots) in &mut self.open {
            for (slot, pane) in slots {
                pane.begin_copy([next.start, next.end, slot.pane, slot.first_end], &self.shape, writer.key_groups());
                self.to_copy.push_back((*next, *slot));
            }
        }
        self.spilled.snapshot(writer);
        Ok(())
    }

    fn copy_on(&mut self, writer: &mut SnapshotWriter) -> RunResult<Step> {
        let mut left = self.batch_rows * COPIED_PER_ROW;
        while let Some((next, slot)) = self.to_copy.front() {
            if left == 0 {
                return Ok(Step::More);
            }
            // One that has fired meanwhile was copied then.
            let pane = self.open.get_mut(next).and_then(|slots| slots.get_mut(slot));
            let (copied, whole) = pane.map_or(Ok((0, None)), |pane| pane.copy_on(left))?;
            left -= copied;
            if copied == 0 || whole.is_some() {
                self.to_copy.pop_front();
            }
            self.copied.extend(whole);
        }
        self.copied.drain(..).for_each(|records| writer.add(records));
        Ok(Step::Done)
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(read_shared(snapshot, &self.shape)?);
        self.spilled.restore(snapshot, groups.clone())?;
        let mut together: BTreeMap<(Window, Slot), Vec<Reader<'_>>> = BTreeMap::new();
        for (_, mut record) in snapshot.keyed(groups) {
            let next = Window { start: record.i64()?, end: record.i64()? };
            let slot = Slot { pane: record.i64()?, first_end: record.i64()? };
            together.entry((next, slot)).or_default().push(record);
        }
        for ((next, slot), mut records) in together {
            let pane = self.open.entry(next).or_default().entry(slot).or_insert_with(|| Pane::new(&self.shape));
            pane.reserve_for(&records)?;
            records.chunks_mut(LOADED_TOGETHER).try_for_each(|records| pane.load_all(&self.shape, records))?;
        }
        Ok(())
    }

    fn spill_to(&mut self, space: SpillSpace) {
        self.spilled.spill_to(space);
    }

    fn spilled_bytes(&self) -> u64 {
        self.spilled.bytes()
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize {
            rows: self.panes().map(|pane| pane.len() as u64).sum(),
            bytes: self.panes().chain(&self.spare).map(|pane| pane.bytes() as u64).sum(),
            open_windows: self.open_windows(),
            next_window_end: self.first_open().map(|first| Timestamp(first.end)),
        }
    }
}
