//! The operator of session windows.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_state::snapshot::SnapshotWriter;

use super::assign::{Fate, Fates};
use super::bind::Aggregation;
use super::intake::{Intake, OUT};
use super::rows::Rows;
use super::saved::{read_shared, write_shared};
use super::sessions::Sessions;
use super::states::{PaneShape, Scratch, States};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step, Timer, Timers};
use crate::operators::aggregate::keys::BatchKeys;

/// What a session window is made from; lengths in microseconds.
#[derive(Debug, Clone)]
pub struct SessionPlan {
    pub gap: i64,
    pub allowed_lateness: i64,
    pub close_after_idle: Option<Duration>,
    pub aggregation: Aggregation,
}

pub struct SessionOperator {
    batch_rows: usize,
    gap: i64,
    allowed_lateness: i64,
    close_after_idle: Option<Duration>,
    intake: Intake,
    shape: PaneShape,
    sessions: Sessions,
    /// By slot.
    states: States,
    /// Sessions that have ended and are not yet given out.
    ended: VecDeque<u32>,
    /// Every session that closes at or before it is out, or is before the next batch.
    watermark: i64,
    /// How far the sessions were ended because nothing came.
    idle_watermark: i64,
    scratch: Scratch,
}

impl SessionOperator {
    pub fn new(plan: &SessionPlan, context: &OperatorContext) -> Self {
        let shape = Intake::pane_shape(&plan.aggregation);
        SessionOperator {
            batch_rows: context.batch_rows.max(1),
            gap: plan.gap,
            allowed_lateness: plan.allowed_lateness,
            close_after_idle: plan.close_after_idle,
            intake: Intake::new(&plan.aggregation, context),
            sessions: Sessions::new(plan.gap, plan.allowed_lateness, &shape.keys),
            states: States::new(&shape),
            shape,
            ended: VecDeque::new(),
            watermark: i64::MIN,
            idle_watermark: i64::MIN,
            scratch: Scratch::default(),
        }
    }

    fn emit(&self, rows: &mut Rows, out: &mut dyn Output) -> RunResult<()> {
        let full = std::mem::replace(rows, Rows::new(&self.intake.rows, 0));
        if full.len() > 0 {
            out.emit(OUT, full.finish(&self.intake.rows)?);
        }
        Ok(())
    }

    /// Gives out up to `limit` of the sessions that have ended.
    fn give(&mut self, rows: &mut Rows, limit: usize) {
        let slots: Vec<u32> = self.ended.drain(..limit.min(self.ended.len())).collect();
        rows.push_each(slots.iter().map(|slot| self.sessions.window(*slot)), |keys, aggregates| {
            self.sessions.give(&slots, keys);
            self.states.give(&slots, aggregates);
        });
        for slot in slots {
            self.states.reset(slot);
            self.sessions.remove(slot);
        }
    }
}

/// What becomes of each row, told by its time and its own watermark alone, where every session that closes at or before `fired` is out.
pub fn fates(gap: i64, allowed_lateness: i64, fired: i64, times: &[i64], watermarks: &[i64]) -> Fates {
    let mut fates = Fates::default();
    for (row, (time, watermark)) in times.iter().zip(watermarks).enumerate() {
        // A session of this row alone.
        let Some(end) = time.checked_add(gap) else {
            fates.refuse(row, Fate::OutOfRange);
            continue;
        };
        let close = end.saturating_add(allowed_lateness);
        if close <= *watermark {
            fates.refuse(row, Fate::Late);
        } else if close <= fired {
            fates.refuse(row, Fate::LateAfterIdle);
        } else {
            fates.keep();
        }
    }
    fates
}

impl Operator for SessionOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let fates = fates(self.gap, self.allowed_lateness, self.watermark, batch.times()?, batch.watermarks()?);
        let Some(taken) = self.intake.take(batch.into_frame(), &fates, out)? else { return Ok(()) };
        let mut frame = taken.frame;
        let rows = frame.height();
        frame.rechunk_mut();
        let batch = Batch::new(frame);
        let keys = BatchKeys::new(taken.readied.keys(), rows)?;
        let slots = &mut self.scratch.groups;
        slots.clear();
        slots.resize(rows, 0);
        self.sessions.place(&keys, batch.times()?, batch.watermarks()?, slots)?;
        self.states.resize(self.sessions.slots());
        for (from, into) in self.sessions.joined(slots) {
            self.states.fold(from, into)?;
        }
        let mut arguments = taken.readied.arguments()?;
        let refused = self.states.update(0..rows, &mut arguments, self.intake.on_overflow(), &mut self.scratch)?;
        self.intake.added(batch.frame(), &refused, |row| row, out)
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        self.ended.extend(self.sessions.ended(self.watermark));
        Ok(())
    }

    fn timers(&self) -> Timers {
        Timers { after_idle: self.close_after_idle, ..Timers::default() }
    }

    /// Ends every session, as a watermark would that passed them all: what would have been one with them is late after idleness, or alone.
    fn on_timer(&mut self, _: Timer) -> RunResult<()> {
        self.close_idle(Timestamp(self.sessions.greatest_close().unwrap_or(i64::MIN)))
    }

    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        self.idle_watermark = self.idle_watermark.max(until.micros());
        self.on_watermark(Timestamp(self.idle_watermark))
    }

    fn outlook(&self) -> Outlook {
        let (due, last_close) = (self.sessions.next_close(), self.sessions.greatest_close());
        Outlook { due: due.map(Timestamp), last_close: last_close.map(Timestamp), waiting_rows: 0 }
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut left = budget.rows.max(1);
        let mut rows = Rows::new(&self.intake.rows, 0);
        while left > 0 && !self.ended.is_empty() {
            let before = rows.len();
            self.give(&mut rows, left.min(self.batch_rows - before));
            left -= rows.len() - before;
            if rows.len() == self.batch_rows {
                self.emit(&mut rows, out)?;
            }
        }
        self.emit(&mut rows, out)?;
        if !self.ended.is_empty() {
            return Ok(Step::More);
        }
        self.sessions.tidy();
        Ok(Step::Done)
    }

    /// As of all windows: a session that is not out ends after it.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input.max(Timestamp(self.idle_watermark)).saturating_add(-self.allowed_lateness)
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && self.sessions.len() > 0 {
            return Err(RunError::bug("the input finished before the greatest watermark closed all sessions"));
        }
        self.sessions.clear();
        self.states.clear();
        self.ended.clear();
        Ok(())
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if !self.ended.is_empty() {
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
