//! A task with an operator at its head: the gate's events through the chain.

use crate::chain::Chain;
use crate::error::RunResult;
use crate::flow::{Element, Gate, GateEvent, InFlight};
use crate::operator::EndReason;
use crate::task::alarms::{Alarms, Input};
use crate::task::measured::measured;
use crate::task::{Barriers, Resumed, Turn};
use crate::telemetry::{Stopwatch, TaskMetrics};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

pub struct OperatorTask {
    pub gate: Gate,
    pub chain: Chain,
    /// The head's.
    pub metrics: Arc<TaskMetrics>,
    pub clock: Arc<dyn Clock>,
    pub barriers: Barriers,
    /// What the task goes on from: former tasks' rows that a barrier had overtaken, the least watermark first.
    pub resumed: Vec<Resumed>,
}

impl OperatorTask {
    pub async fn run(mut self) -> RunResult<EndReason> {
        let mut turn = Turn::default();
        let mut alarms = Alarms::new(&self.chain.timers(), self.clock.monotonic_ns());
        for resumed in std::mem::take(&mut self.resumed) {
            resume(&mut self.chain, resumed).await?;
        }
        loop {
            let Some(event) = self.next(&mut alarms).await? else { continue };
            let mut rows = 0;
            match event {
                GateEvent::Batch { input, batch } => {
                    rows = batch.rows();
                    self.chain.deliver(0, input, batch)?;
                    self.chain.flush().await?;
                }
                GateEvent::Watermark(watermark) => self.chain.advance(watermark).await?,
                GateEvent::Idle => {
                    self.chain.settle().await?;
                    self.chain.broadcast(Element::Idle).await?;
                }
                GateEvent::Active => self.chain.broadcast(Element::Active).await?,
                GateEvent::Barrier { epoch, is_aligned } => {
                    self.barriers.acknowledger.finish_copying(&mut self.chain).await?;
                    let part = self.barriers.acknowledger.snapshot(&mut self.chain).await?;
                    self.chain.broadcast(Element::Barrier { epoch }).await?;
                    self.barriers.acknowledger.pass(epoch, !is_aligned, part, None, &mut self.chain).await?;
                }
                GateEvent::Recorded { epoch, rows } => self.barriers.acknowledger.recorded(epoch, &rows, &mut self.chain).await?,
                GateEvent::End(reason) => {
                    self.barriers.acknowledger.finish_copying(&mut self.chain).await?;
                    self.chain.end(reason).await?;
                    return Ok(reason);
                }
            }
            self.barriers.acknowledger.copy_on(&mut self.chain).await?;
            turn.spend(rows).await;
        }
    }

    /// The next event; none if timers went off instead, or nothing has come and a snapshot is gone on with.
    async fn next(&mut self, alarms: &mut Alarms) -> RunResult<Option<GateEvent>> {
        if self.chain.is_copying() {
            if let Some(event) = self.gate.try_next()? {
                return Ok(Some(event));
            }
            self.barriers.acknowledger.copy_on(&mut self.chain).await?;
            tokio::task::yield_now().await;
            return Ok(None);
        }
        let clock = self.clock.clone();
        if alarms.is_empty() {
            return next_event(&mut self.gate, &mut self.barriers, &self.metrics, clock.as_ref()).await.map(Some);
        }
        let heard = self.gate.heard();
        let next_ns = alarms.next_ns();
        let alarm = async {
            match next_ns {
                Some(at) => clock.sleep(Duration::from_nanos(at.saturating_sub(clock.monotonic_ns()))).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            event = next_event(&mut self.gate, &mut self.barriers, &self.metrics, clock.as_ref()) => Some(event?),
            () = alarm => None,
        };
        // What waits to be worked on has come, however long the work before it took.
        let now = clock.monotonic_ns();
        if self.gate.heard() > heard {
            alarms.heard(now);
        }
        let input = if event.is_some() { Input::Busy } else { Input::Quiet };
        for (node, timer) in alarms.due(now, input) {
            self.chain.ring(node, timer).await?;
        }
        Ok(event)
    }
}

/// Delivers rows that were in flight to a former task.
pub(super) async fn resume(chain: &mut Chain, resumed: Resumed) -> RunResult<()> {
    if let Some(watermark) = resumed.watermark {
        chain.advance(watermark).await?;
    }
    for InFlight { input, batch } in resumed.rows {
        chain.deliver(resumed.place, input, batch)?;
        chain.flush().await?;
    }
    Ok(())
}

/// The next event; a wait for it counts as idle.
pub(super) async fn next_event(gate: &mut Gate, barriers: &mut Barriers, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<GateEvent> {
    if let Some(epoch) = barriers.hastened() {
        gate.hasten(epoch);
    }
    loop {
        if let Some(event) = gate.try_next()? {
            return Ok(event);
        }
        // The polls of a gate are too short to count as work.
        let polls = Stopwatch::default();
        let next = measured(gate.next(), &polls, &metrics.idle, clock);
        let epoch = tokio::select! {
            biased;
            epoch = barriers.wait_for_haste() => epoch,
            event = next => return event,
        };
        gate.hasten(epoch);
    }
}
