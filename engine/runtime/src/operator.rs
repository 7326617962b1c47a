//! The trait of operators, and what they are given.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::{NodeId, Timestamp};
use millrace_plan::{BoundNode, Kind};
use millrace_state::snapshot::SnapshotWriter;

use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::memory::SpillSpace;

/// How much an operator may do in one step before it lets others run, in rows given out.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub rows: usize,
}

/// Whether a step left work behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call again; the watermark waits.
    More,
    /// All is given out that the last watermark asked for.
    Done,
}

/// Why the input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EndReason {
    /// Everything was read: the greatest watermark came before, windows have fired.
    Finished,
    /// The user stopped it: rows in flight are committed, open windows do not fire.
    Stopped,
}

/// What processing time can ask of an operator, which reads no clock: its task tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The interval of [`Timers::every`] has passed once more.
    Every,
    /// Nothing has come by any input for as long as [`Timers::after_idle`] says.
    AfterIdle,
    /// The interval of [`Timers::put_off`] has passed once more.
    PutOff,
}

/// When an operator wants to be told of processing time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timers {
    pub every: Option<Duration>,
    pub after_idle: Option<Duration>,
    /// How long work may wait that was put off so that more comes together.
    pub put_off: Option<Duration>,
}

/// Takes what an operator gives out. Ports count as the node's outputs do: 0 is the first of `BoundNode::outputs`.
pub trait Output {
    fn emit(&mut self, port: usize, batch: Batch);
}

/// Counts that only the operator knows; it adds, the runtime reads. Rows in, rows out, bytes and times are counted by the runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    pub accepted: u64,
    pub filtered: u64,
    pub late: u64,
    pub late_after_idle: u64,
    pub quarantined: u64,
}

impl RowCounts {
    #[must_use]
    pub const fn plus(self, other: RowCounts) -> RowCounts {
        RowCounts {
            accepted: self.accepted + other.accepted,
            filtered: self.filtered + other.filtered,
            late: self.late + other.late,
            late_after_idle: self.late_after_idle + other.late_after_idle,
            quarantined: self.quarantined + other.quarantined,
        }
    }
}

/// What an operator holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateSize {
    pub rows: u64,
    pub bytes: u64,
    pub open_windows: u64,
    pub next_window_end: Option<Timestamp>,
}

/// What must be known of an operator whose state is not in memory, so that it is neither forgotten nor asked in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// No watermark before it makes anything due. None does if there is none.
    pub due: Option<Timestamp>,
    /// When the last of what is open closes.
    pub last_close: Option<Timestamp>,
    /// Rows that were taken and are in no count yet: they are accepted if the input is stopped now.
    pub waiting_rows: u64,
}

impl Outlook {
    /// Nothing becomes due by event time, and nothing waits.
    pub const NOTHING_DUE: Outlook = Outlook { due: None, last_close: None, waiting_rows: 0 };

    /// Any watermark may make something due.
    pub const ALWAYS_DUE: Outlook = Outlook { due: Some(Timestamp::MIN), ..Outlook::NOTHING_DUE };
}

/// Synchronous, deterministic, preemptible: the same batches and watermarks in the same order give the same output, and nothing
/// here waits, reads a clock or draws a random number.
///
/// The law of rows, which tests hold every operator to: of each input batch `rows = accepted + filtered + late + quarantined`.
pub trait Operator: Send {
    /// Takes a batch of one input.
    fn on_batch(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()>;

    /// Event time of all inputs together has reached `watermark`. Work that this makes due is given out by [`Operator::step`].
    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        let _ = watermark;
        Ok(())
    }

    /// When the operator wants to be told of processing time. Asked once.
    fn timers(&self) -> Timers {
        Timers::default()
    }

    /// A timer has gone off. Work that this makes due is given out by [`Operator::step`]. When that is hangs on the machine: a replay gives
    /// the same rows only as far as they do not.
    fn on_timer(&mut self, timer: Timer) -> RunResult<()> {
        let _ = timer;
        Ok(())
    }

    /// Does a part of the work that is due. The runtime calls it after every watermark and timer and at the end, until it says `Done`.
    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let _ = (budget, out);
        Ok(Step::Done)
    }

    /// The watermark to send on, once `step` is done: the one that came in, unless rows may still come out before it.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input
    }

    /// A barrier is about to pass, or the inputs to fall idle or end: what was put off becomes due. Says whether
    /// [`Operator::step`] has something to do.
    fn settle(&mut self) -> RunResult<Step> {
        Ok(Step::Done)
    }

    /// What it has to do at which event time. Comes when `step` has nothing left to do.
    fn outlook(&self) -> Outlook {
        Outlook::ALWAYS_DUE
    }

    /// Nothing has come for long: closes all that closes at or before `until`, as if a watermark had passed it. [`Timer::AfterIdle`] does so
    /// with the operator's own [`Outlook::last_close`].
    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        let _ = until;
        Ok(())
    }

    /// All inputs have ended. With `Finished` the greatest watermark came first.
    fn on_end(&mut self, reason: EndReason, out: &mut dyn Output) -> RunResult<()> {
        let _ = (reason, out);
        Ok(())
    }

    /// Writes all that the operator holds, such that [`Operator::restore`] makes the same of it: what belongs to keys by key group, since
    /// at another parallelism another task takes them. Counts are kept by the runtime. An operator that holds nothing writes nothing.
    ///
    /// Comes between batches, when `step` has nothing left to do.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        let _ = writer;
        Ok(())
    }

    /// Goes on writing what [`Operator::snapshot`] left for later, since all at once would hold rows up: the state as it was then, however it
    /// changes meanwhile. Called after `snapshot`, between batches and while none come, until it says `Done`.
    fn copy_on(&mut self, writer: &mut SnapshotWriter) -> RunResult<Step> {
        let _ = writer;
        Ok(Step::Done)
    }

    /// Takes what former tasks of this node wrote, of these key groups, before anything else comes.
    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        let _ = (snapshot, groups);
        Ok(())
    }

    /// Says where state may go that does not fit in memory, before anything else comes. An operator that holds all of it in memory need not
    /// listen: it is stopped by the quota.
    fn spill_to(&mut self, space: SpillSpace) {
        let _ = space;
    }

    /// What it holds on disk, in bytes.
    fn spilled_bytes(&self) -> u64 {
        0
    }

    /// Since the operator was made.
    fn counts(&self) -> RowCounts;

    fn state_size(&self) -> StateSize {
        StateSize::default()
    }
}

/// Aggregates rows in the task that sends them, before an exchange, so that few partial results travel instead of many rows, and a key
/// that most rows have does not keep one task busy and the others idle.
///
/// What it holds belongs to no task's state: it is given before every watermark that asks for it, every barrier and the end, so that
/// snapshots find it empty. Its operator takes rows and partial results alike, in any order.
pub trait Combiner: Send {
    /// Takes a batch in; gives it back if any row of it is not plainly to be aggregated (late, bad).
    fn combine(&mut self, batch: Batch) -> RunResult<Option<Batch>>;

    /// Whether the operator needs what is held before it hears of this watermark.
    fn is_due(&self, watermark: Timestamp) -> bool;

    /// The watermark has gone on: what it closes is closed for the rows to come.
    fn advance(&mut self, watermark: Timestamp);

    /// How many results are held.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives all that is held as a batch of partial results (see [`crate::batch::PARTIAL_COLUMN`]), with the key columns of the exchange.
    fn give(&mut self) -> RunResult<Option<Batch>>;
}

/// What a task's operator is made with.
#[derive(Debug, Clone)]
pub struct OperatorContext {
    pub node: NodeId,
    pub task: u32,
    pub tasks: u32,
    /// Most rows in a batch given out.
    pub batch_rows: usize,
}

/// Makes a kind's operators.
pub trait OperatorFactory: Kind {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>>;

    /// What aggregates its input in the tasks that send it, if the node lets itself be divided so. Not asked where a source may fall idle:
    /// rows that come back behind the others' watermark are late one by one.
    fn combiner(&self, node: &Arc<BoundNode>) -> RunResult<Option<Box<dyn Combiner>>> {
        let _ = node;
        Ok(None)
    }

    /// Whether all that the node's operators hold belongs to keys and is written by key group, so that one of them may be cut into several by
    /// key, each of which rests on disk while it is not needed (see [`crate::operators::resting`]). Such an operator tells its
    /// [outlook](Operator::outlook). Not asked of a node that one task does.
    fn may_rest(&self, node: &BoundNode) -> bool {
        let _ = node;
        false
    }

    /// Whether [`Operator::restore`] reads state that was written before aggregates were added at the end: those begin empty.
    fn may_extend_aggregates(&self) -> bool {
        false
    }
}
