//! The sending end of an exchange, in one task.

use std::sync::Arc;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::error::RunResult;
use crate::flow::channel::Sender;
use crate::flow::combine::Combining;
use crate::flow::element::Element;
use crate::flow::partition::Partitioner;
use crate::telemetry::{EdgeProbe, TaskMetrics};

/// Which of an outlet's channels a batch goes by.
#[derive(Debug)]
pub enum Route {
    /// There is one channel.
    Only,
    /// Split by key group.
    Hash(Partitioner),
    /// One after the other.
    Turn { next: usize },
}

pub struct Outlet {
    pub probe: Arc<EdgeProbe>,
    route: Route,
    senders: Vec<Sender>,
    /// What aggregates rows before they go, where the node at the other end lets it.
    combining: Option<Combining>,
}

impl Outlet {
    pub fn new(probe: Arc<EdgeProbe>, route: Route, senders: Vec<Sender>) -> Self {
        Outlet { probe, route, senders, combining: None }
    }

    /// Has rows aggregated before they go.
    #[must_use]
    pub fn combining(self, combining: Combining) -> Self {
        Outlet { combining: Some(combining), ..self }
    }

    /// Sends a batch where it belongs, and anything else to every channel.
    ///
    /// Splitting and combining count as the sending node's work, waiting for room as its being blocked.
    pub async fn send(&mut self, element: Element, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<()> {
        match element {
            Element::Batch(batch) => {
                self.probe.passed(&batch, clock);
                self.combine_or_send(batch, metrics, clock).await
            }
            control => {
                self.make_way(&control, metrics, clock).await?;
                for sender in &mut self.senders {
                    sender.send(control.clone(), &metrics.blocked, clock).await?;
                }
                Ok(())
            }
        }
    }

    async fn combine_or_send(&mut self, batch: Batch, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<()> {
        let Some(combining) = &mut self.combining else { return self.route(batch, metrics, clock).await };
        let work = metrics.busy.run(clock);
        let now_ns = clock.monotonic_ns();
        let passed = combining.take(batch, now_ns)?;
        let is_full = combining.is_full(passed.is_none(), now_ns);
        drop(work);
        if let Some(batch) = passed {
            self.route(batch, metrics, clock).await?;
        }
        if is_full { self.give(metrics, clock).await } else { Ok(()) }
    }

    /// Lets what was combined go before a control element that it belongs before.
    async fn make_way(&mut self, control: &Element, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<()> {
        let Some(combining) = &mut self.combining else { return Ok(()) };
        match control {
            Element::Watermark(watermark) => {
                let is_due = combining.is_due(*watermark);
                combining.advance(*watermark);
                if !is_due {
                    return Ok(());
                }
            }
            Element::Idle => combining.stop(),
            Element::Barrier { .. } | Element::End(_) => {}
            Element::Batch(_) | Element::Active => return Ok(()),
        }
        self.give(metrics, clock).await
    }

    /// Sends what was combined so far.
    async fn give(&mut self, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<()> {
        let work = metrics.busy.run(clock);
        let given = self.combining.as_mut().map(Combining::give).transpose()?.flatten();
        drop(work);
        match given {
            Some(batch) => self.route(batch, metrics, clock).await,
            None => Ok(()),
        }
    }

    async fn route(&mut self, batch: Batch, metrics: &TaskMetrics, clock: &dyn Clock) -> RunResult<()> {
        let blocked = &metrics.blocked;
        match &mut self.route {
            Route::Only => {
                if let Some(sender) = self.senders.first_mut() {
                    sender.send(Element::Batch(batch), blocked, clock).await?;
                }
            }
            Route::Hash(partitioner) => {
                let work = metrics.busy.run(clock);
                let parts = partitioner.split(&batch);
                drop(work);
                for (task, part) in parts? {
                    if let Some(sender) = self.senders.get_mut(task) {
                        sender.send(Element::Batch(part), blocked, clock).await?;
                    }
                }
            }
            Route::Turn { next } => {
                let turn = *next % self.senders.len().max(1);
                *next = turn + 1;
                if let Some(sender) = self.senders.get_mut(turn) {
                    sender.send(Element::Batch(batch), blocked, clock).await?;
                }
            }
        }
        Ok(())
    }
}
