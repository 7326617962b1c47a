//! One connection of a socket: what is written to it, what is read from it, until it breaks or the session is over.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use millrace_wire::{Decoder, Frame, FrameKind, WireError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::exchange::{Exchange, Next};
use super::patience::{Patience, Rate};
use super::{Close, Over};

pub type Sink<S> = SplitSink<WebSocketStream<S>, Message>;
pub type Stream<S> = SplitStream<WebSocketStream<S>>;

/// What came is acknowledged after this long at the latest.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(20);
/// How long the other end may take to close what this one has closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub enum Stop {
    /// It is of no more use. If the session may have another, it goes on.
    Cut(String),
    /// The peer was silent: other connections on the same way may be as dead.
    Silent(String),
    /// The session is over with it.
    Over(Over),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        match error {
            // The way there spoilt a frame: it is sent again. Whatever else is wrong the peer has meant.
            WireError::Checksum => Stop::Cut(error.to_string()),
            error => Stop::Over(Over::fault(error)),
        }
    }
}

/// Why a socket ended, for people.
fn broken(error: &Error) -> Stop {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Stop::Cut("the other end is gone".to_owned())
        }
        Error::Io(error) => Stop::Cut(format!("the connection broke: {error}")),
        error => Stop::Over(Over::fault(format!("the connection broke: {error}"))),
    }
}

async fn within(patience: Duration, writing: impl Future<Output = Result<(), Error>>) -> Result<(), Stop> {
    match timeout(patience, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(Stop::Cut(format!("the peer took nothing for {} s", patience.as_secs()))),
    }
}

/// Writes what the exchange has, acknowledgements and pings.
pub async fn write<S: AsyncRead + AsyncWrite + Unpin>(sink: &mut Sink<S>, exchange: &Exchange, patience: &Patience) -> Stop {
    match write_on(sink, exchange, patience).await {
        Err(stop) => stop,
        Ok(close) => {
            let told = Message::Close(Some(close.frame()));
            let _ = within(CLOSE_PATIENCE, sink.send(told)).await;
            Stop::Over(Over { why: close.why_here(), close: None })
        }
    }
}

async fn write_on<S: AsyncRead + AsyncWrite + Unpin>(sink: &mut Sink<S>, exchange: &Exchange, patience: &Patience) -> Result<Close, Stop> {
    let limit = if exchange.kind == FrameKind::Data { patience.write_data } else { patience.write };
    // Before there were acknowledgements, nobody expected pings on a data socket.
    let ping_every = patience.ping_every.filter(|_| exchange.is_resumable || exchange.kind == FrameKind::Control);
    let mut pings = interval(ping_every.unwrap_or(Duration::from_secs(3600)));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut acknowledge_at: Option<Instant> = None;
    let mut is_flushed = true;
    // The library copies a frame behind others and lets go of it, so that the next one is made in the same memory, which the processor has at hand.
    let mut made = BytesMut::new();
    loop {
        match exchange.next() {
            Next::Frame(frame) => {
                frame.put(&mut made);
                within(limit, sink.feed(Message::Binary(made.split().freeze()))).await?;
                is_flushed = false;
                continue;
            }
            Next::Acknowledgement(wants) => {
                within(limit, sink.send(acknowledgement(wants)?)).await?;
                (acknowledge_at, is_flushed) = (None, true);
                continue;
            }
            Next::Close(close) => return Ok(close),
            Next::Nothing { unacknowledged: false } => acknowledge_at = None,
            Next::Nothing { unacknowledged: true } => {
                acknowledge_at.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE_AFTER);
            }
        }
        if !is_flushed {
            within(limit, sink.flush()).await?;
            is_flushed = true;
        }
        tokio::select! {
            () = exchange.ready() => {}
            () = sleep_until(acknowledge_at.unwrap_or_else(Instant::now)), if acknowledge_at.is_some() => {
                acknowledge_at = None;
                if let Some(wants) = exchange.acknowledge() {
                    within(limit, sink.send(acknowledgement(wants)?)).await?;
                }
            }
            _ = pings.tick(), if ping_every.is_some() => within(limit, sink.send(Message::Ping(Bytes::new()))).await?,
        }
    }
}

fn acknowledgement(wants: u64) -> Result<Message, Stop> {
    Ok(Message::Binary(Frame::acknowledgement(wants).encode()?))
}

/// Reads what comes, for the exchange.
pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    exchange: &Exchange,
    decoder: &mut Decoder,
    patience: &Patience,
) -> Stop {
    match read_on(stream, exchange, decoder, patience).await {
        Err(stop) => stop,
        Ok(never) => match never {},
    }
}

async fn read_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream<S>,
    exchange: &Exchange,
    decoder: &mut Decoder,
    patience: &Patience,
) -> Result<std::convert::Infallible, Stop> {
    let mut rate = Rate::new(patience.messages_per_second);
    let silence = match (exchange.kind, exchange.is_resumable) {
        (FrameKind::Data, true) => patience.write_data,
        // Before there were pings on it, a data socket could rest for as long as it liked.
        (FrameKind::Data, false) => Duration::MAX,
        _ => patience.silence,
    };
    loop {
        exchange.space().await;
        let Ok(message) = timeout(silence, stream.next()).await else {
            return Err(Stop::Silent(format!("nothing was heard for {} s", silence.as_secs())));
        };
        let is_counted = match frame_of(message, exchange)? {
            None => true,
            Some(bytes) => take(&bytes, exchange, decoder)?,
        };
        if is_counted && !rate.count() {
            return Err(Over::fault(format!("the peer sent more than {} messages in a second", patience.messages_per_second)).into());
        }
    }
}

/// The next frame; pings, which the library answers, are none.
fn frame_of(message: Option<Result<Message, Error>>, exchange: &Exchange) -> Result<Option<Bytes>, Stop> {
    match message {
        Some(Ok(Message::Binary(frame))) => Ok(Some(frame)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => Err(Over::fault("the peer sent text, which this protocol has not").into()),
        // Only control says when a session is over.
        Some(Ok(Message::Close(Some(frame)))) if exchange.kind == FrameKind::Control => Err(Close::read(&frame).into()),
        Some(Ok(Message::Close(_))) | None => Err(Stop::Cut("the peer closed the connection".to_owned())),
        Some(Err(error)) => Err(broken(&error)),
    }
}

/// Takes a frame. Gives whether it counts against the peer's rate: a data frame does not, nor an acknowledgement of something new, of which
/// there are no more than frames that were sent.
fn take(bytes: &Bytes, exchange: &Exchange, decoder: &mut Decoder) -> Result<bool, Stop> {
    let frame = Frame::decode(bytes)?;
    if frame.kind == FrameKind::Acknowledgement && exchange.is_resumable {
        return Ok(exchange.acknowledged(frame.sequence)? == 0);
    }
    if frame.kind != exchange.kind {
        return Err(WireError::WrongKind { kind: frame.kind, expected: exchange.kind }.into());
    }
    exchange.take(frame, bytes.len(), decoder)?;
    Ok(exchange.kind == FrameKind::Control)
}

/// Waits until the peer has read a close: if the socket went before, what the peer sent meanwhile would have the system throw it away.
pub async fn closing<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>) {
    let _ = timeout(CLOSE_PATIENCE, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}
