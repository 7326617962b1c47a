//! The operator of session windows whose results change.
//!
//! A result is told apart by its window and keys, and a session's window moves with its rows: what was told of it before is deleted (`-D`, with
//! the keys alone), and the session is told anew. Where the window stays as it was the new result takes the place of the old one (`+U`).

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use millrace_model::{RowOp, Timestamp};
use millrace_state::snapshot::SnapshotWriter;

use super::bind::Aggregation;
use super::changes::{Change, Changes, Telling};
use super::changing_sessions::ChangingSessions;
use super::emission::Triggers;
use super::intake::{Intake, OUT};
use super::saved::{read_shared, write_shared};
use super::session_operator::fates;
use super::states::{PaneShape, Refusal, Scratch, States};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step, Timer, Timers};
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::values::Argument;

/// What a session window with changing results is made from; lengths in microseconds.
#[derive(Debug, Clone)]
pub struct ChangingSessionPlan {
    pub gap: i64,
    pub allowed_lateness: i64,
    pub triggers: Triggers,
    pub close_after_idle: Option<Duration>,
    pub aggregation: Aggregation,
}

pub struct ChangingSessionOperator {
    batch_rows: usize,
    plan: ChangingSessionPlan,
    intake: Intake,
    shape: PaneShape,
    sessions: ChangingSessions,
    /// By slot.
    states: States,
    /// Sessions whose result is due.
    to_tell: VecDeque<u32>,
    /// Sessions that have closed, to be forgotten once all is told.
    to_forget: Vec<u32>,
    /// Every session that closes at or before it is out, or is before the next batch.
    watermark: i64,
    /// How far the sessions were ended because nothing came.
    idle_watermark: i64,
    scratch: Scratch,
}

/// The rows of a batch as sessions look at them.
struct Placed<'a> {
    /// Of each row the number of its key.
    keys: &'a [u32],
    times: &'a [i64],
    watermarks: &'a [i64],
}

impl ChangingSessionOperator {
    pub fn new(plan: &ChangingSessionPlan, context: &OperatorContext) -> Self {
        let shape = PaneShape { beside: "what was told", ..Intake::pane_shape(&plan.aggregation) };
        ChangingSessionOperator {
            batch_rows: context.batch_rows.max(1),
            plan: plan.clone(),
            intake: Intake::new(&plan.aggregation, context),
            sessions: ChangingSessions::new(plan.gap, plan.allowed_lateness, &shape.keys),
            states: States::new(&shape),
            shape,
            to_tell: VecDeque::new(),
            to_forget: Vec::new(),
            watermark: i64::MIN,
            idle_watermark: i64::MIN,
            scratch: Scratch::default(),
        }
    }

    /// Adds rows from `first` on, up to one whose session has then had as many rows as make a result due; tells of that session.
    fn add(&mut self, placed: &Placed<'_>, first: usize, arguments: &mut [Argument<'_>], changes: &mut Changes) -> RunResult<Vec<Refusal>> {
        let (mut slots, mut joined, mut due) = (Vec::new(), Vec::new(), None);
        let rows = placed.keys.iter().zip(placed.times).zip(placed.watermarks).skip(first);
        for ((key, time), watermark) in rows {
            let slot = self.sessions.place(*key, *time, *watermark, &mut joined);
            slots.push(slot);
            if self.plan.triggers.rows.is_some_and(|rows| self.sessions.rows(slot) >= rows) {
                due = Some(slot);
                break;
            }
        }
        self.states.resize(self.sessions.slots());
        for (from, into) in joined {
            self.states.fold(from, into)?;
        }
        slots.iter_mut().for_each(|slot| *slot = self.sessions.target(*slot));
        let rows = first..first + slots.len();
        self.scratch.groups = slots;
        let refused = self.states.update(rows, arguments, self.intake.on_overflow(), &mut self.scratch)?;
        if let Some(slot) = due {
            self.tell(&[slot], changes);
        }
        Ok(refused)
    }

    /// Gives out sessions as they are now, and deletes what was told of them before.
    fn tell(&mut self, slots: &[u32], out: &mut Changes) {
        for slot in slots {
            let window = self.sessions.window(*slot);
            let before = self.sessions.tell(*slot);
            let gone = before.iter().filter(|told| **told != window);
            let mut changes: Vec<Change> = gone.map(|told| Change { time: window.end - 1, ..Change::of(*told, RowOp::Delete) }).collect();
            let deleted = changes.len();
            let is_there = before.contains(&window);
            changes.push(Change::of(window, if is_there { RowOp::UpdateAfter } else { RowOp::Insert }));
            let keys = vec![self.sessions.key(*slot); changes.len()];
            out.push_each(&changes, |key_cells, aggregates| {
                self.sessions.give(&keys, key_cells);
                (0..deleted).for_each(|_| aggregates.iter_mut().for_each(Cells::push_null));
                self.states.give(&[*slot], aggregates);
            });
        }
    }

    fn emit(&self, changes: &mut Changes, out: &mut dyn Output) -> RunResult<()> {
        let full = std::mem::replace(changes, Changes::new(&self.intake.rows, Telling::Upsert));
        if full.len() > 0 {
            out.emit(OUT, full.finish(&self.intake.rows)?);
        }
        Ok(())
    }
}

impl Operator for ChangingSessionOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let fates = fates(self.plan.gap, self.plan.allowed_lateness, self.watermark, batch.times()?, batch.watermarks()?);
        let Some(taken) = self.intake.take(batch.into_frame(), &fates, out)? else { return Ok(()) };
        let mut frame = taken.frame;
        frame.rechunk_mut();
        let batch = Batch::new(frame);
        let mut keys = vec![0; batch.rows()];
        self.sessions.find_keys(&BatchKeys::new(taken.readied.keys(), batch.rows())?, &mut keys)?;
        let placed = Placed { keys: &keys, times: batch.times()?, watermarks: batch.watermarks()? };
        let mut arguments = taken.readied.arguments()?;
        let mut changes = Changes::new(&self.intake.rows, Telling::Upsert);
        let (mut refused, mut slots) = (Vec::new(), Vec::with_capacity(keys.len()));
        while slots.len() < keys.len() {
            refused.extend(self.add(&placed, slots.len(), &mut arguments, &mut changes)?);
            slots.append(&mut self.scratch.groups);
            if changes.len() >= self.batch_rows {
                self.emit(&mut changes, out)?;
            }
        }
        slots.iter_mut().for_each(|slot| *slot = self.sessions.target(*slot));
        let behind = self.sessions.behind(slots, self.watermark);
        self.tell(&behind, &mut changes);
        self.emit(&mut changes, out)?;
        self.intake.added(batch.frame(), &refused, |row| row, out)
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        let due = self.sessions.due(self.watermark);
        self.to_tell.extend(due.to_tell);
        self.to_forget.extend(due.to_forget);
        Ok(())
    }

    fn timers(&self) -> Timers {
        Timers { every: self.plan.triggers.every, after_idle: self.plan.close_after_idle, ..Timers::default() }
    }

    fn on_timer(&mut self, timer: Timer) -> RunResult<()> {
        match timer {
            Timer::Every => {
                self.to_tell = self.sessions.take_touched().into();
                Ok(())
            }
            Timer::AfterIdle => self.close_idle(Timestamp(self.sessions.greatest_close().unwrap_or(i64::MIN))),
            Timer::PutOff => Ok(()),
        }
    }

    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        self.idle_watermark = self.idle_watermark.max(until.micros());
        self.on_watermark(Timestamp(self.idle_watermark))
    }

    fn outlook(&self) -> Outlook {
        let (due, last_close) = (self.sessions.next_end(), self.sessions.greatest_close());
        Outlook { due: due.map(Timestamp), last_close: last_close.map(Timestamp), waiting_rows: 0 }
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut left = budget.rows.max(1);
        let mut changes = Changes::new(&self.intake.rows, Telling::Upsert);
        while left > 0 && !self.to_tell.is_empty() {
            let some: Vec<u32> = self.to_tell.drain(..left.min(self.batch_rows).min(self.to_tell.len())).collect();
            left -= some.len();
            self.tell(&some, &mut changes);
            if changes.len() >= self.batch_rows {
                self.emit(&mut changes, out)?;
            }
        }
        self.emit(&mut changes, out)?;
        if !self.to_tell.is_empty() {
            return Ok(Step::More);
        }
        for slot in std::mem::take(&mut self.to_forget) {
            self.states.reset(slot);
            self.sessions.remove(slot);
        }
        self.sessions.tidy();
        Ok(Step::Done)
    }

    /// As of other windows: a session that is not forgotten ends after it. What is deleted counts as at the time of what takes its place.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input.max(Timestamp(self.idle_watermark)).saturating_add(-self.plan.allowed_lateness)
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && self.sessions.len() > 0 {
            return Err(RunError::bug("the input finished before the greatest watermark closed all sessions"));
        }
        self.sessions.clear();
        self.states.clear();
        self.to_tell.clear();
        self.to_forget.clear();
        Ok(())
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if !self.to_tell.is_empty() || !self.to_forget.is_empty() {
            return Err(RunError::bug("a window was asked for its state before it had given out what is due"));
        }
        write_shared(self.watermark, &self.shape, writer);
        self.sessions.save(&self.shape.keys, &self.states, writer)
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(read_shared(snapshot, &self.shape)?);
        for (_, mut record) in snapshot.keyed(groups) {
            self.sessions.load(&self.shape.keys, &mut self.states, &mut record)?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize {
            rows: self.sessions.len() as u64,
            bytes: (self.sessions.bytes() + self.states.bytes()) as u64,
            open_windows: self.sessions.len() as u64,
            next_window_end: self.sessions.next_end().map(Timestamp),
        }
    }
}
