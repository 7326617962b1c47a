//! Carries what passes a link's end over two sockets: four loops, of which the first to end ends the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use millrace_wire::message::{Control, DataHeader};
use millrace_wire::{DataMessage, Decoded, Decoder, Encoder, FrameKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::rows;
use crate::data::{DataItem, DataPayload, DataQueue};
use crate::link::{Answer, AnswerReceiver, Answers, Asked, QueueEnd, WhyLost};

/// How long a peer is borne with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often to ping, at the side that does.
    pub ping_every: Option<Duration>,
    /// Nothing at all from the peer on the control socket for this long: it is gone.
    pub silence: Duration,
    /// A write to the control socket that takes this long: the peer is too slow.
    pub write: Duration,
    /// The same for the data socket, where a peer's disk may have to keep up.
    pub write_data: Duration,
    /// Control messages and pings in a second; a peer that sends more is dropped.
    pub messages_per_second: u32,
}

impl Patience {
    pub const ASKING: Patience = Patience {
        ping_every: Some(Duration::from_millis(500)),
        silence: Duration::from_secs(3),
        write: Duration::from_secs(10),
        write_data: Duration::from_secs(30),
        messages_per_second: u32::MAX,
    };

    pub const NODE: Patience = Patience {
        ping_every: None,
        silence: Duration::from_secs(10),
        write: Duration::from_secs(10),
        write_data: Duration::from_secs(30),
        messages_per_second: 1000,
    };
}

/// Which end of the link the sockets stand for, and that end's control side.
pub enum Side {
    /// At the asking side: requests go out, answers come in.
    Asking { out: mpsc::Receiver<Asked>, back: Answers },
    /// At the node: answers go out, requests come in.
    Node { out: AnswerReceiver, back: mpsc::Sender<Asked> },
}

/// Two sockets, and the end of a link that they stand for.
pub struct Pumps<S> {
    pub control: WebSocketStream<S>,
    pub data: WebSocketStream<S>,
    pub side: Side,
    /// What goes to the peer.
    pub data_out: QueueEnd,
    /// What comes from it.
    pub data_in: QueueEnd,
    pub patience: Patience,
}

/// Why a session ended, in words.
type Why = String;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Pumps<S> {
    /// Runs until the session ends, and says why. Dropping the future ends it.
    pub async fn run(self) -> Why {
        let told = WhyLost::default();
        self.run_and_tell(&told).await;
        told.why().unwrap_or_default()
    }

    /// The same; the reason is told before the link's end goes, so that whoever sees it gone finds why.
    pub async fn run_and_tell(self, told: &WhyLost) {
        let Pumps { control, data, side, data_out, data_in, patience } = self;
        let (mut control_sink, mut control_stream) = control.split();
        let (mut data_sink, mut data_stream) = data.split();
        let (mut source, target, rows) = match side {
            Side::Asking { out, back } => (Source::Requests(out), Target::Answers(back), Rows::Come),
            Side::Node { out, back } => (Source::Answers(out), Target::Requests(back), Rows::Go),
        };
        let (outgoing, incoming) = (data_out.0.clone(), data_in.0.clone());
        let mut loops = JoinSet::new();
        let tell = told.clone();
        loops.spawn(async move { tell.tell(write_control(&mut control_sink, &mut source, patience).await) });
        let tell = told.clone();
        loops.spawn(async move { tell.tell(read_control(&mut control_stream, &target, patience).await) });
        let tell = told.clone();
        loops.spawn(async move { tell.tell(write_data(&mut data_sink, &outgoing, patience).await) });
        let tell = told.clone();
        loops.spawn(async move { tell.tell(read_data(&mut data_stream, &incoming, rows, patience).await) });
        if let Some(Err(panic)) = loops.join_next().await {
            told.tell(format!("the session failed: {panic}"));
        }
    }
}

enum Source {
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

enum Target {
    Requests(mpsc::Sender<Asked>),
    Answers(Answers),
}

impl Target {
    async fn take(&self, message: Control) -> Result<(), Why> {
        let is_taken = match (self, message) {
            (Target::Requests(requests), Control::Request { id, request }) => {
                requests.send(Asked { id, request, files: None }).await.is_ok()
            }
            (Target::Answers(answers), Control::Reply { id, reply }) => answers.send(Answer::Reply { id, reply }).await,
            (Target::Answers(answers), Control::Event { event: millrace_wire::message::Event::Figures { job, figures } }) => {
                answers.figures(job, figures);
                true
            }
            (Target::Answers(answers), Control::Event { event }) => answers.send(Answer::Event(event)).await,
            (Target::Requests(_), _) => return Err("the peer sent answers, which only a node does".to_owned()),
            (Target::Answers(_), Control::Request { .. }) => {
                return Err("the node sent a request, which only the asking side does".to_owned());
            }
        };
        if is_taken { Ok(()) } else { Err("this side ended the session".to_owned()) }
    }
}

type Sink<S> = SplitSink<WebSocketStream<S>, Message>;
type Stream<S> = SplitStream<WebSocketStream<S>>;

/// Feeds all frames, then flushes once.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(sink: &mut Sink<S>, frames: Vec<Bytes>, patience: Duration) -> Result<(), Why> {
    for frame in frames {
        within(patience, sink.feed(Message::Binary(frame))).await?;
    }
    within(patience, sink.flush()).await
}

/// Why a socket ended, for people.
fn broken(error: &Error) -> Why {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the other end is gone".to_owned()
        }
        error => format!("the connection broke: {error}"),
    }
}

async fn within(patience: Duration, writing: impl Future<Output = Result<(), Error>>) -> Result<(), Why> {
    match timeout(patience, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(format!("the peer took nothing for {} s", patience.as_secs())),
    }
}

async fn write_control<S: AsyncRead + AsyncWrite + Unpin>(sink: &mut Sink<S>, source: &mut Source, patience: Patience) -> Why {
    let mut encoder = Encoder::new(FrameKind::Control);
    let mut pings = interval(patience.ping_every.unwrap_or(Duration::from_secs(3600)));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            message = source.next() => match message {
                Some(message) => match encoder.control(&message) {
                    Ok(frames) => write(sink, frames, patience.write).await,
                    Err(error) => Err(error.to_string()),
                },
                None => {
                    let _ = within(patience.write, sink.close()).await;
                    return "this side ended the session".to_owned();
                }
            },
            _ = pings.tick(), if patience.ping_every.is_some() => {
                within(patience.write, sink.send(Message::Ping(Bytes::new()))).await
            }
        };
        if let Err(why) = written {
            return why;
        }
    }
}

/// Counts what a peer sends within a second.
struct Rate {
    most: u32,
    since: Instant,
    count: u32,
}

impl Rate {
    fn new(most: u32) -> Rate {
        Rate { most, since: Instant::now(), count: 0 }
    }

    fn count(&mut self) -> Result<(), Why> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.most {
            return Err(format!("the peer sent more than {} messages in a second", self.most));
        }
        Ok(())
    }
}

/// The next frame; pings, which the library answers, are none.
fn frame_of(message: Option<Result<Message, Error>>) -> Result<Option<Bytes>, Why> {
    match message {
        Some(Ok(Message::Binary(frame))) => Ok(Some(frame)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => Err("the peer sent text, which this protocol has not".to_owned()),
        Some(Ok(Message::Close(_))) | None => Err("the peer closed the connection".to_owned()),
        Some(Err(error)) => Err(broken(&error)),
    }
}

async fn read_control<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>, target: &Target, patience: Patience) -> Why {
    let mut decoder = Decoder::new(FrameKind::Control);
    let mut rate = Rate::new(patience.messages_per_second);
    loop {
        let message = match timeout(patience.silence, stream.next()).await {
            Ok(message) => message,
            Err(_) => return format!("nothing was heard for {} s", patience.silence.as_secs()),
        };
        let taken = match rate.count().and_then(|()| frame_of(message)) {
            Ok(None) => Ok(()),
            Ok(Some(frame)) => match decoder.take(&frame) {
                Ok(Some(Decoded::Control(message))) => target.take(*message).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Err(why) => Err(why),
        };
        if let Err(why) = taken {
            return why;
        }
    }
}

async fn write_data<S: AsyncRead + AsyncWrite + Unpin>(sink: &mut Sink<S>, queue: &Arc<DataQueue>, patience: Patience) -> Why {
    let mut encoder = Encoder::new(FrameKind::Data);
    while let Some(item) = queue.take().await {
        let written = match item.payload {
            DataPayload::Rows(batch) => write_rows(sink, &mut encoder, item.header, batch, patience).await,
            DataPayload::Bytes(bytes) => match encoder.data(&item.header, &bytes) {
                Ok(frames) => write(sink, frames, patience.write_data).await,
                Err(error) => Err(error.to_string()),
            },
        };
        if let Err(why) = written {
            return why;
        }
    }
    "this side ended the session".to_owned()
}

async fn write_rows<S: AsyncRead + AsyncWrite + Unpin>(
    sink: &mut Sink<S>,
    encoder: &mut Encoder,
    mut header: DataHeader,
    batch: millrace_runtime::Batch,
    patience: Patience,
) -> Result<(), Why> {
    for (rows, bytes) in rows::encode(batch).await.map_err(|error| error.to_string())? {
        let frames = match encoder.data(&header, &bytes) {
            Ok(frames) => frames,
            // Rows too large to travel (one value of 64 MiB) are counted with those that were let go.
            Err(_) => {
                add_dropped(&mut header, rows);
                encoder.data(&header, &[]).map_err(|error| error.to_string())?
            }
        };
        write(sink, frames, patience.write_data).await?;
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Come,
    Go,
}

async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    queue: &Arc<DataQueue>,
    rows: Rows,
    patience: Patience,
) -> Why {
    let mut decoder = Decoder::new(FrameKind::Data);
    // Frames are as many as the connection carries; it is pings that are counted here.
    let mut rate = Rate::new(patience.messages_per_second);
    loop {
        let taken = match frame_of(stream.next().await) {
            Ok(None) => rate.count(),
            Ok(Some(frame)) => match decoder.take(&frame) {
                Ok(Some(Decoded::Data(message))) => take_data(message, queue, rows).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Err(why) => Err(why),
        };
        if let Err(why) = taken {
            return why;
        }
    }
}

async fn take_data(message: DataMessage, queue: &Arc<DataQueue>, direction: Rows) -> Result<(), Why> {
    let DataMessage { header, payload } = message;
    let comes = if matches!(header, DataHeader::InputFile { .. }) { Rows::Go } else { Rows::Come };
    if comes != direction {
        return Err("the peer sent data that only goes the other way".to_owned());
    }
    if matches!(header, DataHeader::Results { .. } | DataHeader::TapRows { .. }) {
        let batch = rows::decode(payload).await.map_err(|error| format!("the rows that came cannot be read: {error}"))?;
        queue.offer(DataItem { header, payload: DataPayload::Rows(batch) });
        return Ok(());
    }
    if queue.send(DataItem { header, payload: DataPayload::Bytes(payload) }).await {
        return Ok(());
    }
    Err("this side ended the session".to_owned())
}
