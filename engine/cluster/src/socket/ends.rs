//! Between a link's end and the exchanges: takes messages from their senders, and gives those that came to whom they are for. These loops
//! live as long as the session; no connection that breaks interrupts them, so that nothing is lost between two awaits.

use std::sync::Arc;

use bytes::Bytes;
use millrace_runtime::Batch;
use millrace_wire::message::{Control, DataHeader, Event};
use millrace_wire::{DataMessage, Decoded, Encoder, FrameKind};
use tokio::sync::mpsc;

use super::exchange::Exchange;
use super::{Close, Over, rows};
use crate::data::{DataItem, DataPayload, DataQueue};
use crate::link::{Answer, AnswerReceiver, Answers, Asked};

/// Where control messages come from.
pub enum Source {
    Requests(mpsc::Receiver<Asked>),
    Answers(AnswerReceiver),
}

impl Source {
    async fn next(&mut self) -> Option<Control> {
        match self {
            Source::Requests(requests) => requests.recv().await.map(|asked| Control::Request { id: asked.id, request: asked.request }),
            Source::Answers(answers) => answers.next().await.map(|answer| match answer {
                Answer::Reply { id, reply } => Control::Reply { id, reply },
                Answer::Event(event) => Control::Event { event },
            }),
        }
    }
}

/// Where they go.
pub enum Target {
    Requests(mpsc::Sender<Asked>),
    Answers(Answers),
}

impl Target {
    async fn take(&self, message: Control) -> Result<(), Over> {
        let is_taken = match (self, message) {
            (Target::Requests(requests), Control::Request { id, request }) => {
                requests.send(Asked { id, request, files: None }).await.is_ok()
            }
            (Target::Answers(answers), Control::Reply { id, reply }) => answers.send(Answer::Reply { id, reply }).await,
            (Target::Answers(answers), Control::Event { event: Event::Figures { job, figures } }) => {
                answers.figures(job, figures);
                true
            }
            (Target::Answers(answers), Control::Event { event }) => answers.send(Answer::Event(event)).await,
            (Target::Requests(_), _) => return Err(Over::fault("the peer sent answers, which only a node does")),
            (Target::Answers(_), Control::Request { .. }) => {
                return Err(Over::fault("the node sent a request, which only the asking side does"));
            }
        };
        if is_taken { Ok(()) } else { Err(Over::ended_here()) }
    }
}

/// Control messages on their way out, until something is wrong with one. The last of them is followed by a close.
pub async fn fill_control(mut source: Source, exchange: Arc<Exchange>) -> Over {
    let mut encoder = Encoder::new(FrameKind::Control);
    loop {
        exchange.room().await;
        match source.next().await.map(|message| encoder.control(&message)) {
            Some(Ok(frames)) => exchange.push(frames),
            Some(Err(error)) => return Over::fault(error),
            None => {
                exchange.finish(Close::normal());
                return std::future::pending().await;
            }
        }
    }
}

pub async fn deliver_control(exchange: Arc<Exchange>, target: Target) -> Over {
    loop {
        if let Decoded::Control(message) = exchange.delivery().await
            && let Err(over) = target.take(*message).await
        {
            return over;
        }
        exchange.delivered();
    }
}

/// Rows and files on their way out. That the queue ends ends nothing: control says when the session is over.
pub async fn fill_data(queue: Arc<DataQueue>, exchange: Arc<Exchange>) -> Over {
    let mut encoder = Encoder::new(FrameKind::Data);
    loop {
        exchange.room().await;
        let Some(item) = queue.take().await else { return std::future::pending().await };
        let filled = match item.payload {
            DataPayload::Rows(batch) => fill_rows(&exchange, &mut encoder, item.header, batch).await,
            DataPayload::Bytes(bytes) => encoder.data(&item.header, &bytes).map(|frames| exchange.push(frames)).map_err(Over::fault),
        };
        if let Err(over) = filled {
            return over;
        }
    }
}

async fn fill_rows(exchange: &Exchange, encoder: &mut Encoder, mut header: DataHeader, batch: Batch) -> Result<(), Over> {
    for (rows, bytes) in rows::encode(batch).await.map_err(Over::fault)? {
        let frames = match encoder.data(&header, &bytes) {
            Ok(frames) => frames,
            // Rows too large to travel (one value of 64 MiB) are counted with those that were let go.
            Err(_) => {
                add_dropped(&mut header, rows);
                encoder.data(&header, &Bytes::new()).map_err(Over::fault)?
            }
        };
        exchange.room().await;
        exchange.push(frames);
        reset_dropped(&mut header);
    }
    Ok(())
}

fn add_dropped(header: &mut DataHeader, rows: u64) {
    if let DataHeader::Results { dropped, .. } | DataHeader::TapRows { dropped, .. } = header {
        *dropped += rows;
    }
}

fn reset_dropped(header: &mut DataHeader) {
    if let DataHeader::Results { dropped, .. } | DataHeader::TapRows { dropped, .. } = header {
        *dropped = 0;
    }
}

/// Which way rows and output files travel; inputs travel the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Come,
    Go,
}

pub async fn deliver_data(exchange: Arc<Exchange>, queue: Arc<DataQueue>, rows: Rows) -> Over {
    loop {
        if let Decoded::Data(message) = exchange.delivery().await
            && let Err(over) = take_data(message, &queue, rows).await
        {
            return over;
        }
        exchange.delivered();
    }
}

async fn take_data(message: DataMessage, queue: &Arc<DataQueue>, direction: Rows) -> Result<(), Over> {
    let DataMessage { header, payload } = message;
    let comes = if matches!(header, DataHeader::InputFile { .. }) { Rows::Go } else { Rows::Come };
    // What goes between members of a run goes either way.
    if header.share().is_none() && comes != direction {
        return Err(Over::fault("the peer sent data that only goes the other way"));
    }
    if matches!(header, DataHeader::Results { .. } | DataHeader::TapRows { .. }) {
        let batch = decode(payload).await?;
        queue.offer(DataItem { header, payload: DataPayload::Rows(batch) });
        return Ok(());
    }
    if queue.send(DataItem { header, payload: DataPayload::Bytes(payload) }).await {
        return Ok(());
    }
    Err(Over::ended_here())
}

async fn decode(payload: Bytes) -> Result<Batch, Over> {
    rows::decode(payload).await.map_err(|error| Over::fault(format!("the rows that came cannot be read: {error}")))
}
