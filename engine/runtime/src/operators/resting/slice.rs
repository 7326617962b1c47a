//! Some of a task's key groups, with an operator of their own: a task within the task, which may be at rest.

use std::ops::Range;

use millrace_model::Timestamp;

use super::Make;
use super::at_rest::{AtRest, Summary};
use super::queue::{Item, Queue, Time};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{Budget, Operator, Outlook, Output, StateSize, Step};

/// A slice at rest is read for rows that take this part of its bytes on disk.
const WORTH_READING: u64 = 4;

/// Rows for which no slice is read while there is no room for it.
const LEAST_READ_FOR: usize = 16 << 10;

pub struct Slice {
    pub groups: Range<u16>,
    state: State,
    pub queue: Queue,
    /// The watermark up to which all is worked off.
    worked: Timestamp,
    /// What was told last may have left work behind.
    is_stepping: bool,
    /// Rows have come since the interval of processing time was over.
    pub is_stirred: bool,
    /// When rows last came, by the count of whoever holds it.
    pub last_used: u64,
    /// Stands in the line of those that have something to do.
    pub is_busy: bool,
}

enum State {
    Awake(Box<dyn Operator>),
    AtRest(AtRest),
}

impl Slice {
    pub fn at_rest(groups: Range<u16>, at_rest: AtRest, worked: Timestamp) -> Slice {
        let state = State::AtRest(at_rest);
        // Results that are due by processing time may be among what is at rest.
        Slice { groups, state, queue: Queue::default(), worked, is_stepping: false, is_stirred: true, last_used: 0, is_busy: false }
    }

    pub fn awake(&self) -> Option<&dyn Operator> {
        match &self.state {
            State::Awake(operator) => Some(operator.as_ref()),
            State::AtRest(_) => None,
        }
    }

    pub fn awake_mut(&mut self) -> Option<&mut Box<dyn Operator>> {
        match &mut self.state {
            State::Awake(operator) => Some(operator),
            State::AtRest(_) => None,
        }
    }

    pub const fn resting(&self) -> Option<&AtRest> {
        match &self.state {
            State::Awake(_) => None,
            State::AtRest(at_rest) => Some(at_rest),
        }
    }

    pub fn resting_mut(&mut self) -> Option<&mut AtRest> {
        match &mut self.state {
            State::Awake(_) => None,
            State::AtRest(at_rest) => Some(at_rest),
        }
    }

    pub fn set_awake(&mut self, operator: Box<dyn Operator>) {
        self.state = State::Awake(operator);
    }

    pub fn set_at_rest(&mut self, at_rest: AtRest) -> Option<Box<dyn Operator>> {
        match std::mem::replace(&mut self.state, State::AtRest(at_rest)) {
            State::Awake(operator) => Some(operator),
            State::AtRest(_) => None,
        }
    }

    /// Reads its state back, if that is at rest. Says whether it was.
    pub fn wake(&mut self, make: &Make) -> RunResult<bool> {
        let State::AtRest(at_rest) = &self.state else { return Ok(false) };
        let mut operator = make()?;
        operator.restore(&OperatorSnapshot::of(&at_rest.read()?), self.groups.clone())?;
        self.state = State::Awake(operator);
        Ok(true)
    }

    /// Takes rows at once if it can; says whether they wait otherwise.
    pub fn take(&mut self, input: usize, batch: Batch, now: u64, out: &mut dyn Output) -> RunResult<bool> {
        (self.is_stirred, self.last_used) = (true, now);
        match &mut self.state {
            State::Awake(operator) if self.queue.is_empty() && !self.is_stepping => {
                operator.on_batch(input, batch, out)?;
                Ok(false)
            }
            _ => {
                self.queue.push_rows(input, batch, now);
                Ok(true)
            }
        }
    }

    /// Whether so much waits that reading what is at rest is worth its while.
    pub fn is_worth_reading(&self) -> bool {
        let on_disk = self.resting().map_or(0, AtRest::bytes);
        self.queue.bytes() >= LEAST_READ_FOR && self.queue.bytes() as u64 >= on_disk / WORTH_READING
    }

    /// Tells how far event time is. Says whether it has something to do by it for which no row has to be worked off first.
    pub fn tell(&mut self, time: Time) -> bool {
        self.queue.push_time(time);
        let State::AtRest(at_rest) = &self.state else { return true };
        if self.queue.has_rows() {
            return false;
        }
        let is_due = at_rest.summary.outlook.due.is_some_and(|due| due <= time.watermark.max(time.idle));
        if !is_due {
            self.worked = self.worked.max(time.watermark);
        }
        is_due
    }

    /// Does a part of what it was told. It is awake.
    pub fn work(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let State::Awake(operator) = &mut self.state else { return Err(RunError::bug("a slice at rest was to work")) };
        loop {
            if self.is_stepping && operator.step(budget, out)? == Step::More {
                return Ok(Step::More);
            }
            self.is_stepping = true;
            match self.queue.pop() {
                None => {
                    self.is_stepping = false;
                    return Ok(Step::Done);
                }
                Some(Item::Rows { input, batch }) => {
                    self.is_stepping = false;
                    operator.on_batch(input, batch, out)?;
                    return Ok(Step::More);
                }
                Some(Item::Every) => operator.on_timer(crate::operator::Timer::Every)?,
                Some(Item::Time(time)) => {
                    if time.watermark > Timestamp::MIN {
                        operator.on_watermark(time.watermark)?;
                    }
                    if time.idle > Timestamp::MIN {
                        operator.close_idle(time.idle)?;
                    }
                    self.worked = self.worked.max(time.watermark);
                }
            }
        }
    }

    /// How far it is, where event time is at `watermark`: all of the way, unless rows wait for it.
    pub fn is_at(&self, watermark: Timestamp) -> Timestamp {
        if self.queue.has_rows() || self.is_busy { self.worked } else { watermark }
    }

    pub fn outlook(&self) -> Outlook {
        match &self.state {
            State::Awake(operator) => operator.outlook(),
            State::AtRest(at_rest) => at_rest.summary.outlook,
        }
    }

    /// What it holds in memory, and of what is at rest the numbers.
    pub fn size(&self) -> StateSize {
        match &self.state {
            State::Awake(operator) => operator.state_size(),
            State::AtRest(at_rest) => at_rest.summary.size(),
        }
    }

    /// What is to be remembered of it once it is at rest.
    pub fn summary(&self) -> Summary {
        match &self.state {
            State::Awake(operator) => Summary::of(operator.as_ref()),
            State::AtRest(at_rest) => at_rest.summary,
        }
    }
}
