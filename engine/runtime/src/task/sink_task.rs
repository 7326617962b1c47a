//! A task with a sink: writes, prepares at every barrier, and waits at the end for the word that all is committed.

use std::sync::Arc;

use millrace_state::step::reached;
use tokio::sync::watch;

use crate::batch::Batch;
use crate::chain::{Chain, CurrentWork};
use crate::clock::Clock;
use crate::connector::Sink;
use crate::error::{READER_GONE, RunError, RunResult};
use crate::flow::{Element, Gate, GateEvent, InFlight};
use crate::operator::EndReason;
use crate::task::boundary::TaskReport;
use crate::task::operator_task::next_event;
use crate::task::rate::RateLimiter;
use crate::task::stop::{StopReceiver, Stopping};
use crate::task::{Barriers, Boundary, Resumed, Turn};
use crate::telemetry::TaskMetrics;

/// What became of the last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Pending,
    Committed,
    Dropped,
}

pub struct SinkTask {
    pub gate: Gate,
    /// The sink as head, for what hangs on its `quarantined` port.
    pub chain: Chain,
    pub metrics: Arc<TaskMetrics>,
    pub clock: Arc<dyn Clock>,
    pub work: CurrentWork,
    pub rate: Option<RateLimiter>,
    /// Nobody reads the output any more: what still comes is let go.
    pub is_unread: bool,
    pub stop: StopReceiver,
    pub barriers: Barriers,
    /// What the task goes on from: former tasks' rows that a barrier had overtaken, the least watermark first.
    pub resumed: Vec<Resumed>,
    pub decision: watch::Receiver<Decision>,
}

/// Runs a sink's task within its boundary. Whatever ends it before the commit, the sink removes what it wrote.
pub async fn run(mut sink: Box<dyn Sink>, mut task: SinkTask, boundary: Boundary) -> TaskReport {
    let mut report = boundary.contain(task.write_all(sink.as_mut())).await;
    let is_committed = *task.decision.borrow() == Decision::Committed;
    if !is_committed && let Err(error) = sink.abort().await {
        tracing::warn!(%error, "a sink could not remove what it wrote");
    }
    if let TaskReport::Ended = report
        && !is_committed
    {
        report = TaskReport::Cancelled;
    }
    report
}

impl SinkTask {
    async fn write_all(&mut self, sink: &mut dyn Sink) -> RunResult<EndReason> {
        let mut turn = Turn::default();
        for Resumed { watermark, rows, .. } in std::mem::take(&mut self.resumed) {
            if let Some(watermark) = watermark {
                self.chain.advance(watermark).await?;
            }
            for InFlight { batch, .. } in rows {
                self.take(sink, batch).await?;
                self.chain.flush().await?;
            }
        }
        loop {
            let event = next_event(&mut self.gate, &mut self.barriers, &self.metrics, self.clock.as_ref()).await?;
            let mut rows = 0;
            match event {
                GateEvent::Batch { batch, .. } => {
                    rows = batch.rows();
                    self.take(sink, batch).await?;
                    self.chain.flush().await?;
                }
                GateEvent::Watermark(watermark) => self.chain.advance(watermark).await?,
                GateEvent::Idle => self.chain.broadcast(Element::Idle).await?,
                GateEvent::Active => self.chain.broadcast(Element::Active).await?,
                GateEvent::Barrier { epoch, is_aligned } => self.prepare(sink, epoch, is_aligned).await?,
                GateEvent::Recorded { epoch, rows } => self.barriers.acknowledger.recorded(epoch, &rows, &mut self.chain).await?,
                GateEvent::End(reason) => return self.finish(reason).await,
            }
            turn.spend(rows).await;
        }
    }

    async fn take(&mut self, sink: &mut dyn Sink, batch: Batch) -> RunResult<()> {
        if self.is_unread {
            return Ok(());
        }
        let Some(limiter) = &self.rate else { return self.write(sink, batch).await };
        let slice = limiter.slice_rows();
        let mut from = 0;
        while from < batch.rows() && !self.is_unread {
            let left = batch.rows() - from;
            self.hold(slice.min(left)).await;
            // Once the run is being stopped, the rest goes in one piece.
            let rows = if self.stop.current() == Stopping::No { slice.min(left) } else { left };
            self.write(sink, Batch::new(batch.frame().slice(from as i64, rows))).await?;
            from += rows;
        }
        Ok(())
    }

    /// Waits until the sink's rate allows some more rows. A run that is being stopped does not wait: what is in flight goes out.
    async fn hold(&mut self, rows: usize) {
        let Some(limiter) = self.rate.as_mut().filter(|_| self.stop.current() == Stopping::No) else { return };
        let wait = limiter.book(rows, self.clock.monotonic_ns());
        if !wait.is_zero() {
            let _held = self.metrics.held.run(self.clock.as_ref());
            tokio::select! {
                biased;
                () = self.stop.reached(Stopping::Drain) => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    async fn write(&mut self, sink: &mut dyn Sink, batch: Batch) -> RunResult<()> {
        if let Some(head) = self.chain.head() {
            self.work.begin(&head.id, Some(&batch));
        }
        // A sink that waits for the world outside is at work as far as those upstream can tell.
        let busy = self.metrics.busy.run(self.clock.as_ref());
        let bad = sink.write(&batch).await;
        drop(busy);
        let bad = match bad {
            Err(RunError::Connector { code: READER_GONE, .. }) => {
                self.is_unread = true;
                return self.barriers.acknowledger.reports.send(TaskReport::ReaderGone).await.map_err(|_| RunError::Cancelled);
            }
            bad => bad?,
        };
        self.metrics.received(batch.rows(), batch.bytes());
        self.metrics.accepted.add(batch.rows().saturating_sub(bad.len()) as u64);
        if let Some(node) = self.chain.head().map(|head| head.id.clone()).filter(|_| !bad.is_empty()) {
            self.chain.quarantine_from_head(node.as_str(), &bad)?;
        }
        Ok(())
    }

    /// Makes the rows durable that came before the barrier.
    async fn prepare(&mut self, sink: &mut dyn Sink, epoch: u64, is_aligned: bool) -> RunResult<()> {
        let ready = if self.is_unread { None } else { sink.prepare(epoch).await? };
        reached("sink-prepared");
        let part = self.barriers.acknowledger.snapshot(&mut self.chain).await?;
        self.chain.broadcast(Element::Barrier { epoch }).await?;
        self.barriers.acknowledger.pass(epoch, !is_aligned, part, ready, &mut self.chain).await
    }

    /// Waits until the last epoch is committed, and all rows are visible.
    async fn finish(&mut self, reason: EndReason) -> RunResult<EndReason> {
        self.chain.end(reason).await?;
        self.metrics.set_ended();
        match self.decision.wait_for(|decision| *decision != Decision::Pending).await {
            Ok(decision) if *decision == Decision::Committed => Ok(reason),
            _ => Err(RunError::Cancelled),
        }
    }
}
