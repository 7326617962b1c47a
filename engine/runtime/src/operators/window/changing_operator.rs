//! The operator of windows whose results change: they come before the window ends, or are corrected after.
//!
//! Each window has a table of its own, and a row is added to every window that it counts for: a result must be there at any moment, and not
//! only once at the end, when panes can be merged. So a hopping window costs as many updates a row as windows overlap.
//!
//! # When results go out
//!
//! Of a key, when it has had so many rows (`rows`), at the row that makes it so many; of every key that has had rows since its last result,
//! when an interval has passed (`every`), when the watermark reaches the window's end, and after that at the end of each batch that brought
//! one. A window is forgotten when the watermark reaches its end plus `allowed_lateness`. So what is told last of a key is what `on_close`
//! would have told, whatever the intervals were, and with `discarding` the results add up to it.
//!
//! # What the output watermark may say
//!
//! The watermark less `allowed_lateness`, as of other windows: a result tells of a window that is not forgotten, which ends after that. Of a
//! window over everything results tell the times of their rows, so that nothing is said before the end.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_plan::BoundNode;
use millrace_state::snapshot::SnapshotWriter;

use super::assign::{Assignment, Fate, Fates, Place, Run, Slot, assign};
use super::bind::Aggregation;
use super::changes::{Changes, Telling};
use super::emission::Triggers;
use super::inputs::Readied;
use super::intake::{Intake, OUT, Taken};
use super::open_window::{NewRows, OpenWindow};
use super::saved::{read_shared, write_shared};
use super::shape::{Window, Windows};
use super::spec::EmitMode;
use super::states::{OnOverflow, PaneShape, Refusal, Scratch};
use crate::batch::{Batch, TIME_COLUMN};
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step, Timer, Timers};
use crate::operators::aggregate::keys::BatchKeys;

/// Which windows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Times(Windows),
    /// One window over everything.
    All,
}

/// The window over everything: it closes with the end of input.
const EVERYTHING: Window = Window { start: i64::MIN, end: i64::MAX };

/// What a window with changing results is made from.
#[derive(Debug, Clone)]
pub struct ChangingPlan {
    pub extent: Extent,
    pub triggers: Triggers,
    pub telling: Telling,
    pub close_after_idle: Option<Duration>,
    pub aggregation: Aggregation,
}

/// Makes the operator of a node that was bound with a [`ChangingPlan`].
pub fn create(node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
    let plan: &ChangingPlan = node.payload.get().ok_or_else(|| RunError::bug("a window was bound by another kind"))?;
    Ok(Box::new(ChangingOperator::new(plan, context)))
}

pub struct ChangingOperator {
    batch_rows: usize,
    plan: ChangingPlan,
    intake: Intake,
    shape: PaneShape,
    open: BTreeMap<Window, OpenWindow>,
    /// Windows that have something to give out, or are to be forgotten.
    due: VecDeque<Window>,
    giving: Option<Giving>,
    /// Every window that ends at or before it is out, or is before the next batch.
    watermark: i64,
    /// How far the windows were closed because nothing came.
    idle_watermark: i64,
    scratch: Scratch,
}

/// A window whose results are on their way out.
struct Giving {
    window: Window,
    groups: Vec<u32>,
    given: usize,
}

/// Where the results of a batch go.
struct Going<'a> {
    changes: Changes,
    /// Windows that had ended when rows of the batch came for them.
    behind: Vec<Window>,
    out: &'a mut dyn Output,
}

/// Rows of a batch, in line for one of the windows that they count for.
struct Line {
    rows: Range<usize>,
    pane: i64,
    next: Option<Window>,
}

impl ChangingOperator {
    fn new(plan: &ChangingPlan, context: &OperatorContext) -> Self {
        ChangingOperator {
            batch_rows: context.batch_rows.max(1),
            plan: plan.clone(),
            intake: Intake::new(&plan.aggregation, context),
            shape: PaneShape { beside: "what was told", ..Intake::pane_shape(&plan.aggregation) },
            open: BTreeMap::new(),
            due: VecDeque::new(),
            giving: None,
            watermark: i64::MIN,
            idle_watermark: i64::MIN,
            scratch: Scratch::default(),
        }
    }

    fn close_of(&self, window: Window) -> i64 {
        match self.plan.extent {
            Extent::Times(windows) => windows.close_of(window),
            Extent::All => i64::MAX,
        }
    }

    fn assign(&self, times: &[i64], watermarks: &[i64]) -> Assignment {
        match self.plan.extent {
            Extent::Times(windows) => assign(&windows, times, watermarks, self.watermark),
            Extent::All => {
                let mut fates = Fates::default();
                // The window of a row at the end of time would end after it.
                times.iter().enumerate().for_each(|(row, time)| match *time {
                    i64::MAX => fates.refuse(row, Fate::OutOfRange),
                    _ => fates.keep(),
                });
                let place = Place { next: EVERYTHING, slot: Slot { pane: 0, first_end: EVERYTHING.end } };
                Assignment { runs: vec![Run { place, rows: 0..fates.kept }], fates }
            }
        }
    }

    fn next(&self, window: Window, pane: i64) -> Option<Window> {
        match self.plan.extent {
            Extent::Times(windows) => windows.next(window, pane),
            Extent::All => None,
        }
    }

    /// Adds the kept rows to all their windows. Gives those that a sum or a list refused in the first of them, by their place in `readied`;
    /// in the others such a result is NULL.
    fn add(&mut self, readied: &mut Readied, times: &[i64], assignment: &Assignment, going: &mut Going<'_>) -> RunResult<Vec<Refusal>> {
        let line = |run: &Run| Line { rows: run.rows.clone(), pane: run.place.slot.pane, next: Some(run.place.next) };
        let mut lines: Vec<Line> = assignment.runs.iter().map(line).collect();
        let refused = self.add_to_next(readied, times, &mut lines, self.intake.on_overflow(), going)?;
        if !refused.is_empty() && lines.iter().any(|line| line.next.is_some()) {
            leave_out(&refused, readied, &mut lines)?;
        }
        while lines.iter().any(|line| line.next.is_some()) {
            self.add_to_next(readied, times, &mut lines, OnOverflow::GiveUp, going)?;
        }
        Ok(refused)
    }

    /// Adds rows to the window that each is in line for, and moves them on to the next.
    fn add_to_next(
        &mut self,
        readied: &Readied,
        times: &[i64],
        lines: &mut [Line],
        on_overflow: OnOverflow,
        going: &mut Going<'_>,
    ) -> RunResult<Vec<Refusal>> {
        let rows = lines.last().map_or(0, |line| line.rows.end);
        let keys = BatchKeys::new(readied.keys(), rows)?;
        let mut arguments = readied.arguments()?;
        let (mut refused, mut found) = (Vec::new(), Vec::new());
        let times = (self.plan.extent == Extent::All).then_some(times);
        for line in lines {
            let Some(window) = line.next else {
                arguments.iter_mut().for_each(|argument| argument.skip(&line.rows));
                continue;
            };
            line.next = self.next(window, line.pane);
            if window.end <= self.watermark && !going.behind.contains(&window) {
                going.behind.push(window);
            }
            let (trigger, mode) = (self.plan.triggers.rows, self.plan.triggers.mode);
            let open = self.open.entry(window).or_insert_with(|| OpenWindow::new(&self.shape));
            open.find(&keys, line.rows.clone(), &mut found)?;
            let mut at = 0;
            while at < found.len() {
                let new = NewRows { rows: line.rows.start + at..line.rows.end, groups: found.get(at..).unwrap_or_default(), times };
                let added = open.add(&new, trigger, &mut arguments, on_overflow, &mut self.scratch)?;
                at += added.rows;
                refused.extend(added.refused);
                open.give(window, &added.due, mode, &mut going.changes);
                if going.changes.len() >= self.batch_rows {
                    emit(&self.intake, self.plan.telling, &mut going.changes, going.out)?;
                }
            }
        }
        Ok(refused)
    }

    /// Takes up the next window that has something to give out, and forgets those that are closed.
    fn begin_giving(&mut self) -> Option<Giving> {
        loop {
            let window = self.due.pop_front()?;
            let groups = self.open.get_mut(&window).map(OpenWindow::take_touched).unwrap_or_default();
            if !groups.is_empty() {
                return Some(Giving { window, groups, given: 0 });
            }
            self.forget_closed(window);
        }
    }

    /// When the last of the open windows closes.
    fn greatest_close(&self) -> Option<i64> {
        self.open.keys().map(|window| self.close_of(*window)).max()
    }

    fn forget_closed(&mut self, window: Window) {
        if self.close_of(window) <= self.watermark {
            self.open.remove(&window);
        }
    }

    /// The windows that have ended and have something to give out, or have closed.
    fn ended(&self) -> VecDeque<Window> {
        let before = Window { start: self.watermark, end: i64::MAX };
        let ended = self.open.range(..=before).filter(|(window, _)| window.end <= self.watermark);
        ended.filter(|(window, open)| open.is_touched() || self.close_of(**window) <= self.watermark).map(|(window, _)| *window).collect()
    }
}

/// Takes the rows that were refused out of those that are in line.
fn leave_out(refused: &[Refusal], readied: &mut Readied, lines: &mut Vec<Line>) -> RunResult<()> {
    let rows = lines.last().map_or(0, |line| line.rows.end);
    let mut keeps = vec![true; rows];
    for refusal in refused {
        if let Some(keep) = keeps.get_mut(refusal.row) {
            *keep = false;
        }
    }
    readied.filter(&keeps.iter().copied().collect())?;
    let mut kept = 0;
    for line in lines {
        let first = kept;
        kept += keeps.get(line.rows.clone()).unwrap_or_default().iter().filter(|keep| **keep).count();
        line.rows = first..kept;
    }
    Ok(())
}

fn emit(intake: &Intake, telling: Telling, changes: &mut Changes, out: &mut dyn Output) -> RunResult<()> {
    let full = std::mem::replace(changes, Changes::new(&intake.rows, telling));
    if full.len() > 0 {
        out.emit(OUT, full.finish(&intake.rows)?);
    }
    Ok(())
}

impl Operator for ChangingOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut assignment = self.assign(batch.times()?, batch.watermarks()?);
        let Some(taken) = self.intake.take(batch.into_frame(), &assignment.fates, out)? else { return Ok(()) };
        let Taken { frame, mut readied, keeps } = taken;
        if let Some(keeps) = &keeps {
            assignment.retain(keeps);
        }
        let order = assignment.gather();
        if let Some(order) = &order {
            readied.take(order)?;
        }
        let times = match self.plan.extent {
            // All rows are of one window, so that none was moved.
            Extent::All => frame.column(TIME_COLUMN)?.as_materialized_series().rechunk().i64()?.iter().flatten().collect(),
            Extent::Times(_) => Vec::new(),
        };
        let mut going = Going { changes: Changes::new(&self.intake.rows, self.plan.telling), behind: Vec::new(), out };
        let refused = self.add(&mut readied, &times, &assignment, &mut going)?;
        for window in std::mem::take(&mut going.behind) {
            let Some(open) = self.open.get_mut(&window) else { continue };
            let touched = open.take_touched();
            open.give(window, &touched, self.plan.triggers.mode, &mut going.changes);
        }
        emit(&self.intake, self.plan.telling, &mut going.changes, going.out)?;
        let place = |row: usize| order.as_ref().map_or(row, |order| order.get(row).map_or(row, |row| *row as usize));
        self.intake.added(&frame, &refused, place, out)
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        self.due = self.ended();
        Ok(())
    }

    fn timers(&self) -> Timers {
        Timers { every: self.plan.triggers.every, after_idle: self.plan.close_after_idle, ..Timers::default() }
    }

    fn on_timer(&mut self, timer: Timer) -> RunResult<()> {
        match timer {
            Timer::Every => self.due = self.open.iter().filter(|(_, open)| open.is_touched()).map(|(window, _)| *window).collect(),
            Timer::AfterIdle => self.close_idle(Timestamp(self.greatest_close().unwrap_or(i64::MIN)))?,
            Timer::PutOff => {}
        }
        Ok(())
    }

    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        self.idle_watermark = self.idle_watermark.max(until.micros());
        self.on_watermark(Timestamp(self.idle_watermark))
    }

    fn outlook(&self) -> Outlook {
        let due_at = |(window, open): (&Window, &OpenWindow)| if open.is_touched() { window.end } else { self.close_of(*window) };
        let (due, last_close) = (self.open.iter().map(due_at).min(), self.greatest_close());
        Outlook { due: due.map(Timestamp), last_close: last_close.map(Timestamp), waiting_rows: 0 }
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut left = budget.rows.max(1);
        let mut changes = Changes::new(&self.intake.rows, self.plan.telling);
        while left > 0 {
            let Some(mut giving) = self.giving.take().or_else(|| self.begin_giving()) else { break };
            let some = giving.groups.len().min(giving.given + left.min(self.batch_rows - changes.len()));
            left -= some - giving.given;
            if let Some(open) = self.open.get_mut(&giving.window) {
                open.give(giving.window, giving.groups.get(giving.given..some).unwrap_or_default(), self.plan.triggers.mode, &mut changes);
            }
            giving.given = some;
            match giving.given == giving.groups.len() {
                true => self.forget_closed(giving.window),
                false => self.giving = Some(giving),
            }
            if changes.len() >= self.batch_rows {
                emit(&self.intake, self.plan.telling, &mut changes, out)?;
            }
        }
        emit(&self.intake, self.plan.telling, &mut changes, out)?;
        Ok(if self.giving.is_some() || !self.due.is_empty() { Step::More } else { Step::Done })
    }

    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        match self.plan.extent {
            Extent::Times(windows) => input.max(Timestamp(self.idle_watermark)).saturating_add(-windows.allowed_lateness),
            Extent::All if input == Timestamp::MAX => input,
            Extent::All => Timestamp::MIN,
        }
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && !self.open.is_empty() {
            return Err(RunError::bug("the input finished before the greatest watermark closed all windows"));
        }
        self.open.clear();
        self.due.clear();
        self.giving = None;
        Ok(())
    }

    /// A record a window and key group.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if self.giving.is_some() || !self.due.is_empty() {
            return Err(RunError::bug("a window was asked for its state before it had given out what is due"));
        }
        write_shared(self.watermark, &self.shape, writer);
        for (window, open) in &self.open {
            open.save(&self.shape, &|out| [window.start, window.end].iter().for_each(|part| out.i64(*part)), writer)?;
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(read_shared(snapshot, &self.shape)?);
        for (_, mut record) in snapshot.keyed(groups) {
            let window = Window { start: record.i64()?, end: record.i64()? };
            self.open.entry(window).or_insert_with(|| OpenWindow::new(&self.shape)).load(&self.shape, &mut record)?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize {
            rows: self.open.values().map(|open| open.len() as u64).sum(),
            bytes: self.open.values().map(|open| open.bytes() as u64).sum(),
            open_windows: self.open.len() as u64,
            next_window_end: self.open.keys().map(|window| window.end).min().filter(|end| *end < i64::MAX).map(Timestamp),
        }
    }
}

/// How the rows of a mode tell what they do.
pub fn telling_of(mode: EmitMode) -> Telling {
    match mode {
        EmitMode::Accumulating => Telling::Upsert,
        EmitMode::Discarding => Telling::Append,
    }
}
