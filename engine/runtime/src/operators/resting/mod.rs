//! Keyed operators whose state outgrows memory: one mechanism around any operator that writes all it holds by key group.
//!
//! # While memory suffices
//!
//! There is one operator, and now and then a look at the process' memory.
//!
//! # Beyond the budget
//!
//! The operator's state is cut into [slices](slice) of the task's key groups, by the same way that it goes to other tasks after a change of
//! parallelism: a snapshot, and a restore with a range. Each slice is an operator of its own, like a slow task within the task. Those
//! that are large and were not used for long are put [to rest](at_rest): written down as pieces by key group, and dropped from memory.
//!
//! What comes for a slice at rest waits in its [queue](queue): rows and watermarks, in the order in which they came. The slice is read back
//! and works the queue off when there is room for it, when as much waits as makes reading it worth its while, when a watermark makes
//! something due in a slice for which no row waits, when rows have waited for some time ([`Timers::put_off`]), at every barrier, before the
//! inputs fall idle and at the end. So order within a key is kept, and rows of different keys may overtake each other, as they do between
//! tasks. The watermark that goes on is the least that any slice with rows in its queue has worked off.
//!
//! # Snapshots
//!
//! At a barrier no row waits. Slices in memory write themselves as the undivided operator would; of those at rest the snapshot names the
//! pieces, so that state that was not touched since the last epoch is not written again. The state that no key owns (watermark and types)
//! is written by an operator that is told every watermark and holds no key. A restored run leaves pieces where they lie until they are
//! wanted, at any parallelism, and reads records as ever.
//!
//! # What it asks of an operator
//!
//! All it holds belongs to keys, and what it writes for all keys together is the same for every task at one watermark; it tells its
//! [`Outlook`](crate::operator::Outlook). What one task does for all keys stays undivided.

mod at_rest;
mod divided;
mod queue;
mod slice;

use std::ops::Range;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_state::snapshot::SnapshotWriter;

use self::divided::Divided;
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::memory::SpillSpace;
use crate::operator::{Budget, EndReason, Operator, Outlook, Output, RowCounts, StateSize, Step, Timer, Timers};

/// How long rows may wait for a slice at rest before it is read for their sake.
const PUT_OFF: Duration = Duration::from_millis(500);

/// Rows between two looks at what is held, at least; and in how many looks the state's rows come by once.
const LEAST_ROWS_PER_LOOK: u64 = 16;
const LOOKS_PER_STATE: u64 = 64;

/// Makes one more operator of the same node and task.
type Make = Box<dyn Fn() -> RunResult<Box<dyn Operator>> + Send>;

/// How the rows and the state of a task are divided.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The columns of the key, as rows are spread over tasks by it.
    pub columns: Vec<String>,
    /// The task's key groups.
    pub groups: Range<u16>,
}

/// An operator that goes to disk by slices.
pub struct Resting {
    make: Make,
    cut: Cut,
    space: Option<SpillSpace>,
    held: Held,
    watermark: Timestamp,
    rows_since_look: u64,
    rows_per_look: u64,
}

enum Held {
    Whole(Box<dyn Operator>),
    Divided(Box<Divided>),
    /// It failed on the way from one to the other.
    Nothing,
}

impl Resting {
    pub fn new(make: Make, cut: Cut) -> RunResult<Resting> {
        let held = Held::Whole(make()?);
        Ok(Resting { make, cut, space: None, held, watermark: Timestamp::MIN, rows_since_look: 0, rows_per_look: LEAST_ROWS_PER_LOOK })
    }

    fn operator(&self) -> Option<&dyn Operator> {
        match &self.held {
            Held::Whole(whole) => Some(whole.as_ref()),
            Held::Divided(divided) => Some(divided.as_ref()),
            Held::Nothing => None,
        }
    }

    fn operator_mut(&mut self) -> RunResult<&mut dyn Operator> {
        match &mut self.held {
            Held::Whole(whole) => Ok(whole.as_mut()),
            Held::Divided(divided) => Ok(divided.as_mut()),
            Held::Nothing => Err(RunError::bug("an operator was used after it had failed to go to disk")),
        }
    }

    /// Says what is held, and puts some of it to rest if that is too much. Comes between batches.
    fn look(&mut self, out: &mut dyn Output) -> RunResult<()> {
        let Some(space) = &self.space else { return Ok(()) };
        let size = self.state_size();
        self.rows_since_look = 0;
        self.rows_per_look = (size.rows / LOOKS_PER_STATE).max(LEAST_ROWS_PER_LOOK);
        space.share.hold(size.bytes, self.spilled_bytes());
        if !space.share.is_over_budget() {
            return Ok(());
        }
        match &mut self.held {
            Held::Whole(_) if size.rows > 0 && space.share.is_worth(size.bytes) => self.divide(),
            Held::Divided(divided) => divided.relieve(&self.make, out),
            Held::Whole(_) | Held::Nothing => Ok(()),
        }
    }

    fn divide(&mut self) -> RunResult<()> {
        let Some(space) = self.space.clone() else { return Ok(()) };
        if let Held::Whole(whole) = std::mem::replace(&mut self.held, Held::Nothing) {
            let divided = Divided::of(whole, self.watermark, &self.make, &self.cut, space)?;
            self.held = Held::Divided(Box::new(divided));
        }
        Ok(())
    }
}

impl Operator for Resting {
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        self.rows_since_look += batch.rows() as u64;
        match &mut self.held {
            Held::Divided(divided) => divided.take(&self.make, input, batch, out)?,
            _ => self.operator_mut()?.on_batch(input, batch, out)?,
        }
        if self.rows_since_look >= self.rows_per_look { self.look(out) } else { Ok(()) }
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark);
        self.operator_mut()?.on_watermark(watermark)
    }

    fn timers(&self) -> Timers {
        let timers = self.operator().map(|operator| operator.timers()).unwrap_or_default();
        Timers { put_off: Some(PUT_OFF), ..timers }
    }

    fn on_timer(&mut self, timer: Timer) -> RunResult<()> {
        match &mut self.held {
            Held::Whole(_) if timer == Timer::PutOff => Ok(()),
            _ => self.operator_mut()?.on_timer(timer),
        }
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        match &mut self.held {
            Held::Divided(divided) => divided.work(&self.make, budget, out),
            _ => self.operator_mut()?.step(budget, out),
        }
    }

    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        self.operator().map_or(Timestamp::MIN, |operator| operator.output_watermark(input))
    }

    fn settle(&mut self) -> RunResult<Step> {
        self.operator_mut()?.settle()
    }

    fn outlook(&self) -> Outlook {
        self.operator().map_or(Outlook::ALWAYS_DUE, |operator| operator.outlook())
    }

    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        self.operator_mut()?.close_idle(until)
    }

    fn on_end(&mut self, reason: EndReason, out: &mut dyn Output) -> RunResult<()> {
        self.operator_mut()?.on_end(reason, out)
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        self.operator_mut()?.snapshot(writer)
    }

    fn copy_on(&mut self, writer: &mut SnapshotWriter) -> RunResult<Step> {
        self.operator_mut()?.copy_on(writer)
    }

    /// Without pieces on disk it begins as one operator.
    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.cut.groups = groups.clone();
        let has_pieces = snapshot.spilled(groups.clone()).next().is_some();
        let Some(space) = self.space.clone().filter(|_| has_pieces) else { return self.operator_mut()?.restore(snapshot, groups) };
        self.held = Held::Divided(Box::new(Divided::restored(snapshot, &self.make, &self.cut, space)?));
        Ok(())
    }

    fn spill_to(&mut self, space: SpillSpace) {
        self.space = Some(space);
    }

    fn spilled_bytes(&self) -> u64 {
        self.operator().map_or(0, |operator| operator.spilled_bytes())
    }

    fn counts(&self) -> RowCounts {
        self.operator().map_or_else(RowCounts::default, |operator| operator.counts())
    }

    fn state_size(&self) -> StateSize {
        self.operator().map_or_else(StateSize::default, |operator| operator.state_size())
    }
}
