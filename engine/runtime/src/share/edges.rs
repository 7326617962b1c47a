//! Between channels of this process and bytes that travel.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::task::AtomicWaker;
use millrace_plan::Member;

use super::travel::{Decoder, Encoder};
use super::{EdgeId, Edges};
use crate::clock::Clock;
use crate::error::{RunError, RunResult};
use crate::flow::Element;
use crate::flow::channel::{Received, Receiver, Sender};
use crate::telemetry::Stopwatch;

/// The ends of channels whose other ends are elsewhere.
#[derive(Default)]
pub struct FarEnds {
    /// What goes to a member.
    pub out: Vec<Outgoing>,
    /// What comes from one.
    pub into: Vec<Incoming>,
}

pub struct Outgoing {
    pub to: Member,
    pub edge: EdgeId,
    pub receiver: Receiver,
    pub arrival: Arc<AtomicWaker>,
}

pub struct Incoming {
    pub from: Member,
    pub edge: EdgeId,
    pub sender: Sender,
}

impl Outgoing {
    /// Carries elements away until the last one, or until this end or the other is gone.
    pub async fn pump(self, edges: Arc<dyn Edges>) -> RunResult<()> {
        let mut encoder = Encoder::default();
        loop {
            let element = match self.next().await {
                Some(element) => element,
                // Its task failed or was aborted, which it reports itself.
                None => return Ok(()),
            };
            let is_last = matches!(element, Element::End(_));
            edges.send(self.edge, encoder.encode(&element)?).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn next(&self) -> Option<Element> {
        poll_fn(|context| {
            self.arrival.register(context.waker());
            match self.receiver.try_receive() {
                Received::Element(element) => Poll::Ready(Some(element)),
                Received::Nothing => Poll::Pending,
                Received::Closed => Poll::Ready(None),
            }
        })
        .await
    }
}

impl Incoming {
    /// Brings elements in, until the last one or until either end is gone. Room is waited for here, so that the other end waits as well.
    pub async fn pump(mut self, edges: Arc<dyn Edges>, clock: Arc<dyn Clock>) -> RunResult<()> {
        let (blocked, mut decoder) = (Stopwatch::default(), Decoder::default());
        while let Some(bytes) = edges.receive(self.edge).await? {
            let element = decoder.decode(&bytes)?;
            let is_last = matches!(element, Element::End(_));
            match self.sender.send(element, &blocked, clock.as_ref()).await {
                // The task that takes them is gone, which it reports itself.
                Err(RunError::Cancelled) => return Ok(()),
                sent => sent?,
            }
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }
}
