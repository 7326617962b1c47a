//! A task with a source at its head: its partitions read in turn, their watermarks merged, barriers sent when the job says so.
//!
//! A task that has read everything, or is to stop, stays for the barriers to come: it ends behind the last one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_model::id::MAIN_PORT;
use millrace_state::snapshot::PartitionPart;
use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::chain::{Chain, CurrentWork};
use crate::clock::Clock;
use crate::connector::SourceProgress;
use crate::error::{RunError, RunResult};
use crate::flow::Element;
use crate::flow::watermark::{Change, WatermarkMerge};
use crate::operator::EndReason;
use crate::source::{Arrived, Partition};
use crate::task::alarms::{Alarms, Input};
use crate::task::boundary::TaskReport;
use crate::task::caution::CautiousReading;
use crate::task::measured::measured;
use crate::task::operator_task::resume;
use crate::task::stop::{StopReceiver, Stopping};
use crate::task::{Acknowledger, BarrierCommand, Resumed, Turn};
use crate::telemetry::TaskMetrics;

pub struct SourceTask {
    /// Each with what it goes on from, where the run was resumed.
    pub partitions: Vec<(Partition, Option<PartitionPart>)>,
    /// After this long without a row a partition no longer holds the watermark back.
    pub idle_after: Option<Duration>,
    pub batch_rows: usize,
    pub chain: Chain,
    pub metrics: Arc<TaskMetrics>,
    pub clock: Arc<dyn Clock>,
    pub work: CurrentWork,
    pub stop: StopReceiver,
    pub commands: mpsc::Receiver<BarrierCommand>,
    pub acknowledger: Acknowledger,
    pub cautious: CautiousReading,
    /// Whether its first rows are waited for, and still to come.
    pub tells_first: bool,
    /// Rows that were in flight to nodes of its chain, which former tasks had at their head.
    pub resumed: Vec<Resumed>,
}

/// A task's view of one partition.
struct Lane {
    partition: Partition,
    has_ended: bool,
    is_idle: bool,
    last_rows_ns: u64,
    progress: SourceProgress,
}

enum Happened {
    Arrived(usize, RunResult<Arrived>),
    Quiet,
    Barrier(BarrierCommand),
    Stopped,
    /// A timer of an operator has gone off.
    Alarm,
    /// Nothing has, and there may be something else to do.
    Nothing,
}

struct Reader {
    task: SourceTask,
    lanes: Vec<Lane>,
    merge: WatermarkMerge,
    /// The lane to look at first.
    cursor: usize,
    alarms: Alarms,
}

impl SourceTask {
    pub async fn run(mut self) -> RunResult<EndReason> {
        let now = self.clock.monotonic_ns();
        let lanes: Vec<Lane> = std::mem::take(&mut self.partitions)
            .into_iter()
            .map(|(partition, from)| Lane {
                partition,
                has_ended: from.as_ref().is_some_and(|from| from.has_ended),
                is_idle: from.as_ref().is_some_and(|from| from.is_idle),
                last_rows_ns: now,
                progress: SourceProgress::default(),
            })
            .collect();
        let merge = WatermarkMerge::new(lanes.len());
        let alarms = Alarms::new(&self.chain.timers(), now);
        Reader { task: self, lanes, merge, cursor: 0, alarms }.run().await
    }
}

impl Reader {
    async fn run(mut self) -> RunResult<EndReason> {
        for resumed in std::mem::take(&mut self.task.resumed) {
            resume(&mut self.task.chain, resumed).await?;
        }
        self.begin().await?;
        let (mut turn, mut is_exhausted) = (Turn::default(), false);
        loop {
            if !is_exhausted && self.lanes.iter().all(|lane| lane.has_ended) {
                is_exhausted = true;
                // A task without a partition has no watermark to merge.
                self.task.chain.advance(Timestamp::MAX).await?;
                self.task.acknowledger.reports.send(TaskReport::Exhausted).await.map_err(|_| RunError::Cancelled)?;
            }
            self.task.acknowledger.copy_on(&mut self.task.chain).await?;
            match self.wait(is_exhausted).await {
                Happened::Arrived(index, arrived) => {
                    let rows = self.take(index, arrived?).await?;
                    if !self.alarms.is_empty() {
                        self.alarms.heard(self.task.clock.monotonic_ns());
                        self.ring(Input::Busy).await?;
                    }
                    turn.spend(rows).await;
                }
                Happened::Alarm => self.ring(Input::Quiet).await?,
                Happened::Quiet => self.mark_idle().await?,
                Happened::Barrier(command) => {
                    self.pass(command.epoch).await?;
                    if let Some(reason) = command.end {
                        self.task.acknowledger.finish_copying(&mut self.task.chain).await?;
                        self.task.chain.end(reason).await?;
                        return Ok(reason);
                    }
                }
                Happened::Stopped | Happened::Nothing => {}
            }
        }
    }

    /// Says first what is known of event time: a run that goes on has a watermark before its first row.
    async fn begin(&mut self) -> RunResult<()> {
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else { break };
            let watermark = if lane.has_ended { Some(Timestamp::MAX) } else { lane.partition.watermark() };
            let is_idle = lane.is_idle;
            if let Some(watermark) = watermark.filter(|watermark| *watermark > Timestamp::MIN) {
                let change = self.merge.advance(index, watermark);
                self.tell(change).await?;
            }
            if is_idle {
                let change = self.merge.set_idle(index, true);
                self.tell(change).await?;
            }
        }
        Ok(())
    }

    /// Sends the barrier of an epoch: the rows before it belong to it.
    async fn pass(&mut self, epoch: u64) -> RunResult<()> {
        self.task.acknowledger.finish_copying(&mut self.task.chain).await?;
        let mut part = self.task.acknowledger.snapshot(&mut self.task.chain).await?;
        if let Some(part) = &mut part {
            let partitions: Vec<PartitionPart> = self.lanes.iter().map(|lane| lane.partition.part(lane.is_idle, lane.has_ended)).collect();
            partitions.iter().for_each(|partition| part.partition(partition));
            self.task.cautious.passed(epoch, partitions);
        }
        self.task.chain.broadcast(Element::Barrier { epoch }).await?;
        self.task.acknowledger.pass(epoch, false, part, None, &mut self.task.chain).await
    }

    /// Tells operators of the timers that have gone off.
    async fn ring(&mut self, input: Input) -> RunResult<()> {
        for (node, timer) in self.alarms.due(self.task.clock.monotonic_ns(), input) {
            self.task.chain.ring(node, timer).await?;
        }
        Ok(())
    }

    /// Waits for rows, for a partition's idleness, for a barrier to send, for a timer, or for the stop.
    async fn wait(&mut self, is_exhausted: bool) -> Happened {
        let quiet_in = self.quiet_in();
        let alarm_at_ns = self.alarms.next_ns();
        let task = &mut self.task;
        if let Some(head) = task.chain.head() {
            task.work.begin(&head.id, None);
        }
        let is_stopping = task.stop.current() != Stopping::No;
        let commanded = async {
            match task.commands.recv().await {
                Some(command) => Happened::Barrier(command),
                // The job is gone, and its abort is on its way.
                None => std::future::pending().await,
            }
        };
        // While a snapshot is being copied nothing is waited for.
        let is_copying = task.chain.is_copying();
        let copying = async {
            match is_copying {
                true => tokio::task::yield_now().await,
                false => std::future::pending().await,
            }
        };
        if is_exhausted || is_stopping {
            if is_copying {
                return tokio::select! { biased; command = commanded => command, () = copying => Happened::Nothing };
            }
            let _idle = task.metrics.idle.run(task.clock.as_ref());
            return commanded.await;
        }
        let leave = task.cautious.leave(task.batch_rows);
        if leave == 0 {
            let began = task.clock.monotonic_ns();
            let happened = tokio::select! {
                biased;
                command = commanded => command,
                () = task.stop.reached(Stopping::Drain) => Happened::Stopped,
                () = task.cautious.changed() => Happened::Nothing,
                () = copying => Happened::Nothing,
            };
            // Nobody was reading: that makes no partition idle.
            let passed = task.clock.monotonic_ns().saturating_sub(began);
            self.lanes.iter_mut().for_each(|lane| lane.last_rows_ns += passed);
            return happened;
        }
        let next = next_arrival(&mut self.lanes, &mut self.cursor, leave);
        let next = measured(next, &task.metrics.busy, &task.metrics.idle, task.clock.as_ref());
        let quiet = async {
            match quiet_in {
                Some(wait) => task.clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        let alarm = async {
            match alarm_at_ns {
                Some(at) => task.clock.sleep(Duration::from_nanos(at.saturating_sub(task.clock.monotonic_ns()))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commanded => command,
            () = task.stop.reached(Stopping::Drain) => Happened::Stopped,
            (index, arrived) = next => Happened::Arrived(index, arrived),
            () = quiet => Happened::Quiet,
            () = alarm => Happened::Alarm,
            () = copying => Happened::Nothing,
        }
    }

    /// How long until the next partition counts as idle, if none of its rows come.
    fn quiet_in(&self) -> Option<Duration> {
        let idle_after = self.task.idle_after?.as_nanos() as u64;
        let now = self.task.clock.monotonic_ns();
        let watched = self.lanes.iter().filter(|lane| !lane.has_ended && !lane.is_idle);
        watched.map(|lane| (lane.last_rows_ns + idle_after).saturating_sub(now)).min().map(Duration::from_nanos)
    }

    async fn mark_idle(&mut self) -> RunResult<()> {
        let idle_after = self.task.idle_after.map_or(u64::MAX, |time| time.as_nanos() as u64);
        let now = self.task.clock.monotonic_ns();
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(index) else { break };
            if !lane.has_ended && !lane.is_idle && now.saturating_sub(lane.last_rows_ns) >= idle_after {
                lane.is_idle = true;
                let change = self.merge.set_idle(index, true);
                self.tell(change).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, index: usize, arrived: Arrived) -> RunResult<usize> {
        match arrived {
            Arrived::End => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.has_ended = true;
                }
                let back = self.merge.set_idle(index, false);
                self.tell(back).await?;
                let change = self.merge.advance(index, Timestamp::MAX);
                self.tell(change).await?;
                Ok(0)
            }
            Arrived::Rows { batch, bad, watermark } => {
                self.count(index, batch.as_ref(), bad.len())?;
                if let Some(head) = self.task.chain.head() {
                    self.task.cautious.read(&head.id, index, batch.as_ref().map_or(0, Batch::rows), bad.len());
                }
                let name = self.lanes.get(index).map(|lane| lane.partition.name().to_owned()).unwrap_or_default();
                self.task.chain.quarantine_from_head(&name, &bad)?;
                if self.lanes.get(index).is_some_and(|lane| lane.is_idle) {
                    self.wake(index).await?;
                }
                let rows = batch.as_ref().map_or(0, Batch::rows);
                if let Some(batch) = batch {
                    self.task.chain.emit_from_head(MAIN_PORT, batch)?;
                }
                self.flush().await?;
                if rows > 0 && std::mem::take(&mut self.task.tells_first) {
                    self.task.acknowledger.reports.send(TaskReport::Flowing).await.map_err(|_| RunError::Cancelled)?;
                }
                if let Some(watermark) = watermark {
                    let change = self.merge.advance(index, watermark);
                    self.tell(change).await?;
                }
                Ok(rows + bad.len())
            }
        }
    }

    fn count(&mut self, index: usize, batch: Option<&Batch>, bad: usize) -> RunResult<()> {
        let metrics = &self.task.metrics;
        metrics.received(bad, 0);
        if let Some(batch) = batch {
            metrics.received(batch.rows(), batch.bytes());
            metrics.accepted.add(batch.rows() as u64);
            if let Some(newest) = batch.times().ok().and_then(|times| times.iter().max()) {
                metrics.saw_event_time(*newest);
            }
        }
        let now = self.task.clock.monotonic_ns();
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.last_rows_ns = now;
            lane.progress = lane.partition.progress().unwrap_or_default();
        }
        let done = self.lanes.iter().map(|lane| lane.progress.done).sum();
        let total = self.lanes.iter().map(|lane| lane.progress.total).sum();
        metrics.set_progress(SourceProgress { done, total });
        Ok(())
    }

    async fn wake(&mut self, index: usize) -> RunResult<()> {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.is_idle = false;
        }
        let change = self.merge.set_idle(index, false);
        self.tell(change).await
    }

    /// Sends on. Time spent waiting for room does not make a partition idle: nobody was reading it.
    async fn flush(&mut self) -> RunResult<()> {
        let before = self.task.clock.monotonic_ns();
        self.task.chain.flush().await?;
        let passed = self.task.clock.monotonic_ns().saturating_sub(before);
        self.lanes.iter_mut().for_each(|lane| lane.last_rows_ns += passed);
        Ok(())
    }

    async fn tell(&mut self, change: Change) -> RunResult<()> {
        if change.idle == Some(false) {
            self.task.chain.broadcast(Element::Active).await?;
        }
        if let Some(watermark) = change.watermark {
            self.task.chain.advance(watermark).await?;
        }
        if change.idle == Some(true) {
            self.task.chain.settle().await?;
            self.task.chain.broadcast(Element::Idle).await?;
        }
        Ok(())
    }
}

/// The first partition that has something, asked in turn. Dropping the future loses no row.
async fn next_arrival(lanes: &mut [Lane], cursor: &mut usize, batch_rows: usize) -> (usize, RunResult<Arrived>) {
    type Pending<'a> = (usize, Pin<Box<dyn Future<Output = RunResult<Arrived>> + Send + 'a>>);
    let count = lanes.len();
    let first = *cursor;
    let mut pending: Vec<Pending<'_>> = Vec::with_capacity(count);
    for (index, lane) in lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.has_ended) {
        pending.push((index, Box::pin(lane.partition.next(batch_rows))));
    }
    pending.sort_by_key(|(index, _)| (index + count - first % count.max(1)) % count.max(1));
    let (index, arrived) = poll_fn(|context| {
        for (index, future) in &mut pending {
            if let Poll::Ready(arrived) = future.as_mut().poll(context) {
                return Poll::Ready((*index, arrived));
            }
        }
        Poll::Pending
    })
    .await;
    drop(pending);
    *cursor = index + 1;
    (index, arrived)
}
