//! The traits of sources and sinks.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::field::Duration;
use millrace_model::types::SchemaRef;
use millrace_model::{Diagnostic, NodeDecl, NodeId};
use millrace_plan::{BoundNode, Kind};
pub use millrace_state::checkpoint::Committable;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::clock::Clock;
use crate::error::RunResult;
use crate::files::Files;
use crate::guarantee::{Promise, Replay, Visibility};

/// Longest part of a bad record that is kept, in bytes.
pub const MAX_RAW_BYTES: usize = 4 * 1024;

/// What connectors reach the world through.
#[derive(Clone)]
pub struct ConnectorContext {
    pub node: NodeId,
    pub task: u32,
    pub tasks: u32,
    /// Most rows in a batch.
    pub batch_rows: usize,
    /// The only way to the disk.
    pub files: Arc<Files>,
    pub clock: Arc<dyn Clock>,
    /// When the run began, microseconds since 1970. It stays the same when the run is resumed, and names it.
    pub run_start_us: i64,
    pub durability: Durability,
    /// What all tasks of the node had prepared in the epoch that the run goes on from.
    pub restored: Arc<Vec<Committable>>,
    /// Where a `dashboard` puts its rows.
    pub results: Arc<dyn ResultSink>,
}

/// Whether a run outlives its process, and from where it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durability {
    /// Whether the run can be resumed: what was prepared stays after a failure, until [`SinkFactory::recover`].
    pub is_durable: bool,
    /// The epoch that the run goes on from; 0 if it begins.
    pub restored_epoch: u64,
    /// Whether later epochs of the run may have been committed, and are to be taken back: [`SinkFactory::recover`] then does so.
    pub may_rewind: bool,
    /// The newest epoch of the run that a savepoint holds; 0 if none does. What was prepared up to it stays, even at the end of the run.
    pub kept_epoch: u64,
    /// Set where another process may go on with the run while this one still lives, and does not know it: the number after which this one's epochs come.
    /// It is above all epochs of whoever had the run before, and below those of whoever has it later. Names of what belongs to no epoch yet carry it, and
    /// what is above it is not this one's to remove.
    pub base: Option<u64>,
}

impl Durability {
    /// Whether what was prepared for an epoch is left over from before the one that the run goes on from was gone on from.
    pub fn is_left_over(&self, epoch: u64) -> bool {
        epoch > self.restored_epoch && self.is_not_later(epoch)
    }

    /// Whether something of an epoch, or of whoever's epochs come after that number, is of no process that has the run later than this one. Nothing is
    /// where the run goes back: a run that had come to its end has left no number to count on from, and all that was shown since is to go.
    pub fn is_not_later(&self, number: u64) -> bool {
        self.may_rewind || self.base.is_none_or(|base| number <= base)
    }
}

/// What a commit is to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// More epochs follow.
    Ongoing,
    /// The run was stopped and may be resumed: all so far becomes visible, and what a continuation needs stays.
    Paused,
    /// Nothing follows.
    Final,
}

/// Takes the rows of `dashboard` nodes. Bounded: the oldest rows go first, and are counted.
pub trait ResultSink: Send + Sync {
    fn publish(&self, node: &NodeId, batch: Batch);
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// In words: `column dep_delay: "x" is not an INTEGER`.
    pub reason: String,
    /// Where it stood: `line 12`, `row 7`.
    pub position: String,
    /// As it was, invalid UTF-8 replaced, cut at [`MAX_RAW_BYTES`].
    pub raw: String,
}

/// Records that were read together.
#[derive(Debug, Clone, Default)]
pub struct SourceRows {
    /// Good records, in the columns that discovery told (whatever type `event_time` needs is worked out by the runtime).
    pub frame: DataFrame,
    /// Where the first good record stood; the others follow, unless `positions` says otherwise. For the message of a bad time.
    pub first_position: u64,
    /// Where each good record stood, if they do not follow one another; else empty.
    pub positions: Vec<u64>,
    pub bad: Vec<BadRecord>,
}

#[derive(Debug, Clone)]
pub enum Read {
    Rows(SourceRows),
    /// No more will come.
    End,
}

/// What there is of a bounded source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProgress {
    pub done: u64,
    pub total: u64,
}

/// One partition of a source. The runtime adds event time, lateness, pacing and watermarks; a source only reads.
#[async_trait]
pub trait Source: Send {
    /// What the partition is called in messages: a path, a topic's partition.
    fn name(&self) -> String;

    /// Reads up to `max_rows` records; waits if there are none yet. Dropping the future loses no record.
    async fn read(&mut self, max_rows: usize) -> RunResult<Read>;

    /// Where the next read begins, to resume there.
    fn position(&self) -> serde_json::Value;

    /// Goes to where [`Source::position`] was told, before the first read. That the input is not the same any more may show here or at
    /// the first read. A source that cannot go back refuses; one whose past is nobody's concern goes on from now.
    fn seek(&mut self, position: &serde_json::Value) -> RunResult<()>;

    /// A number of [`SourceRows::first_position`] or `positions` in words: `line 12`.
    fn position_text(&self, position: u64) -> String {
        format!("row {position}")
    }

    fn progress(&self) -> Option<SourceProgress> {
        None
    }
}

#[async_trait]
pub trait SourceFactory: Kind {
    /// Finds the columns, before anything runs.
    async fn discover(&self, node: &NodeDecl, context: &ConnectorContext) -> Result<SchemaRef, Diagnostic>;

    /// The partitions, in an order that does not change between runs. Task i reads those whose number modulo `tasks` is i.
    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>>;

    /// Whether it reads what belongs to the process that runs it: no engine elsewhere can stand in for that.
    fn stays_here(&self) -> bool {
        false
    }

    /// How it goes on after a crash. Who does not say so cannot.
    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::Never, needs: "" }
    }

    /// The column that holds the event time where the pipeline names none.
    fn default_event_time(&self) -> Option<&'static str> {
        None
    }

    /// How far out of order its rows come by their own event time, where the pipeline does not say.
    fn default_max_delay(&self) -> Option<Duration> {
        None
    }

    /// Input paths that a remote engine must be given, relative to the pipeline file's folder.
    fn input_paths(&self, node: &NodeDecl, files: &Files) -> Result<Vec<PathBuf>, Diagnostic> {
        let _ = (node, files);
        Ok(Vec::new())
    }

    /// The most tasks that can read at once, where it is known.
    fn max_parallelism(&self, node: &NodeDecl, files: &Files) -> Option<u32> {
        let _ = (node, files);
        Some(1)
    }
}

/// One task of a sink: the first half of a two-phase commit.
#[async_trait]
pub trait Sink: Send {
    /// Takes a batch. Every row that is written counts as accepted; a row that cannot be written is returned as bad.
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>>;

    /// Makes all that was written so far durable, but not yet visible: the barrier of `epoch` has come. More may be written after it.
    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>>;

    /// The run ended before a commit: what is not committed is removed, but for what a durable run has prepared.
    async fn abort(&mut self) -> RunResult<()>;
}

/// The second half: makes what was prepared visible. Idempotent, since it runs again after a crash.
#[async_trait]
pub trait SinkFactory: Kind {
    /// Whether rows could go where the node says, asked before anything runs and while the file is edited. Changes nothing.
    fn check(&self, node: &NodeDecl, files: &Files) -> Result<(), Diagnostic> {
        let _ = (node, files);
        Ok(())
    }

    async fn create(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>>;

    /// Removes what the run prepared after the epoch that it goes on from, or altogether if it is given up: that never was. `ready` is what
    /// the epoch's commit was, or was to be, given. Comes before any task is made, and before the epoch is committed again.
    ///
    /// # Errors
    /// If a later epoch of the run was committed, and may not be taken back: its rows would come twice.
    async fn recover(&self, node: &Arc<BoundNode>, context: &ConnectorContext, ready: &[Committable]) -> RunResult<()> {
        let _ = (node, context, ready);
        Ok(())
    }

    async fn commit(&self, node: &Arc<BoundNode>, context: &ConnectorContext, ready: Vec<Committable>, finality: Finality)
    -> RunResult<()>;

    /// Whether rows of other columns may follow those that it wrote before the pipeline changed.
    fn takes_other_columns(&self, node: &NodeDecl) -> bool {
        let _ = node;
        false
    }

    /// When rows become visible. Who does not say so shows them as they come.
    fn visibility(&self) -> Promise<Visibility> {
        Promise { what: Visibility::AsTheyCome, needs: "" }
    }

    /// Whether it writes to what belongs to the process that runs it: no engine elsewhere can stand in for that.
    fn stays_here(&self) -> bool {
        false
    }

    /// Output paths that go back to the asking side of a remote run, relative to the pipeline file's folder.
    fn output_paths(&self, node: &NodeDecl) -> Vec<PathBuf> {
        let _ = node;
        Vec::new()
    }
}
