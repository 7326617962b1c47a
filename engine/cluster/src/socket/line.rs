//! A socket of a session, through all the connections that it takes one after another.
//!
//! Control and data each have a line of their own, and resume apart: a connection that broke says nothing about the other, neither waits for
//! the other's frames to be sent again, and control stays as independent of data as it is otherwise. The session is lost when either is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use millrace_wire::{Decoder, FrameKind};
use rand::Rng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::WebSocketStream;

use super::connection::{self, Stop};
use super::exchange::Exchange;
use super::patience::{Patience, Rate};
use super::{HANDSHAKE_PATIENCE, Over};
use crate::contact::Standing;

/// The first wait before dialling again, and the longest; each is drawn from its upper half.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Connections that one line takes in a second; a peer that comes back more often is told to wait.
const MAX_RESUMES_PER_SECOND: u32 = 50;
/// A process that is gone refuses at once; the second time is for a forwarded port that is just being opened again.
const REFUSALS_UNTIL_GONE: u32 = 2;

/// Where further connections come from.
pub enum Supply<S> {
    /// The peer knows of none: the session ends with its connections.
    None,
    /// This side dials.
    Dial(Arc<dyn Redial<S>>),
    /// The peer dials.
    Arrivals(mpsc::Receiver<Arrival<S>>),
}

/// Dials a session's socket again.
#[async_trait]
pub trait Redial<S>: Send + Sync {
    /// `wants`: the frame that this side wants next.
    async fn dial(&self, kind: FrameKind, wants: u64) -> Redialled<S>;
}

/// What came of dialling again.
pub enum Redialled<S> {
    /// The peer takes the session up, and wants this frame next.
    Connected(Box<WebSocketStream<S>>, u64),
    /// Not now.
    Later(String),
    /// Nobody listens on this machine at that port any more.
    NobodyListens(String),
    /// Never: the peer does not have the session.
    Gone(String),
}

/// A peer that has shown that the session is its, and wants to go on with one of its sockets.
#[derive(Debug)]
pub struct Arrival<S> {
    /// The frame that the peer wants next.
    pub wants: u64,
    /// Gets the frame that this side wants next.
    pub answer: oneshot::Sender<Result<u64, NotResumed>>,
    /// The socket, once the peer has been answered.
    pub socket: oneshot::Receiver<WebSocketStream<S>>,
}

/// Why an arrival is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotResumed {
    /// It wants frames that are gone, or that never were.
    Impossible,
    /// It comes too often.
    TooOften,
}

pub struct Line<S> {
    pub exchange: Arc<Exchange>,
    /// The exchange of the session's other socket, where this is the one that notices silence.
    pub other: Option<Arc<Exchange>>,
    pub decoder: Decoder,
    pub patience: Patience,
    pub supply: Supply<S>,
    pub standing: Standing,
    pub resumes: Rate,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Line<S> {
    pub fn new(exchange: Arc<Exchange>, supply: Supply<S>, patience: Patience, standing: Standing) -> Line<S> {
        let decoder = Decoder::new(exchange.kind);
        Line { exchange, other: None, decoder, patience, supply, standing, resumes: Rate::new(MAX_RESUMES_PER_SECOND) }
    }

    /// Runs until the session is over.
    pub async fn run(mut self, first: WebSocketStream<S>) -> Over {
        let mut socket = first;
        loop {
            socket = match self.serve(socket).await {
                Served::Over(over) => return over,
                Served::Replaced(arrival) => {
                    tracing::debug!(socket = %self.exchange.kind, "a connection was replaced by a newer one");
                    self.standing.cut(self.exchange.kind, "the peer dialled again");
                    match self.again(Some(arrival)).await {
                        Ok(socket) => socket,
                        Err(why) => return Over::cut(format!("the peer dialled again and did not come, and {why}")),
                    }
                }
                Served::Cut(why) => {
                    if matches!(self.supply, Supply::None) {
                        return Over::cut(why);
                    }
                    tracing::info!(socket = %self.exchange.kind, "a session's connection was dropped: {why}");
                    self.standing.cut(self.exchange.kind, &why);
                    match self.again(None).await {
                        Ok(socket) => socket,
                        Err(then) => return Over::cut(format!("{why}, and {then}")),
                    }
                }
            };
            self.standing.resumed(self.exchange.kind);
            let (repeats, resumes) = (self.exchange.repeats(), self.standing.resumes());
            tracing::info!(socket = %self.exchange.kind, resumes, repeats, "a session's connection was resumed");
        }
    }

    async fn serve(&mut self, socket: WebSocketStream<S>) -> Served<S> {
        let (mut sink, mut stream) = socket.split();
        self.exchange.set_connected(true);
        let exchange = &self.exchange;
        let stop = tokio::select! {
            stop = connection::write(&mut sink, exchange, &self.patience) => stop,
            stop = connection::read(&mut stream, exchange, &mut self.decoder, &self.patience) => stop,
            arrival = newer(&mut self.supply, exchange, &mut self.resumes) => {
                exchange.set_connected(false);
                return Served::Replaced(arrival);
            }
            () = exchange.suspected() => Stop::Cut("the node was silent on the session's other connection".to_owned()),
        };
        exchange.set_connected(false);
        match stop {
            Stop::Cut(why) => Served::Cut(why),
            Stop::Silent(why) => {
                if let Some(other) = &self.other {
                    other.suspect();
                }
                Served::Cut(why)
            }
            Stop::Over(mut over) => {
                if let Some(close) = over.close.take_if(|_| exchange.kind == FrameKind::Control) {
                    exchange.finish(close);
                    let _ = connection::write(&mut sink, exchange, &self.patience).await;
                }
                if exchange.kind == FrameKind::Control {
                    connection::closing(&mut stream).await;
                }
                Served::Over(over)
            }
        }
    }

    /// The next connection, or why there is none.
    async fn again(&mut self, arrival: Option<Arrival<S>>) -> Result<WebSocketStream<S>, String> {
        let until = Instant::now() + self.patience.resume;
        match &mut self.supply {
            Supply::None => Err("there is no other".to_owned()),
            Supply::Dial(redial) => dial_until(&**redial, &self.exchange, until, self.patience.resume).await,
            Supply::Arrivals(_) => self.wait_until(arrival, until).await,
        }
    }

    /// Waits for the peer. Of two that come the later one is taken: the earlier may be a connection that its peer has given up.
    async fn wait_until(&mut self, arrival: Option<Arrival<S>>, until: Instant) -> Result<WebSocketStream<S>, String> {
        let late = || format!("the peer did not come back within {:.0?}", self.patience.resume);
        let mut arrived = arrival;
        loop {
            let arrival = match arrived.take() {
                Some(arrival) => arrival,
                None => match timeout_at(until, newer(&mut self.supply, &self.exchange, &mut self.resumes)).await {
                    Ok(arrival) => arrival,
                    Err(_) => return Err(late()),
                },
            };
            // It was looked at when it came, and only this line takes frames out.
            let told = self.exchange.wants();
            if self.exchange.resume(arrival.wants, told).is_err() || arrival.answer.send(Ok(told)).is_err() {
                continue;
            }
            tokio::select! {
                socket = timeout_at(Instant::now() + HANDSHAKE_PATIENCE, arrival.socket) => if let Ok(Ok(socket)) = socket {
                    return Ok(socket);
                },
                later = newer(&mut self.supply, &self.exchange, &mut self.resumes) => arrived = Some(later),
            }
        }
    }
}

enum Served<S> {
    Cut(String),
    Replaced(Arrival<S>),
    Over(Over),
}

/// The next arrival that can be taken; others are sent away. Never, where this side dials.
async fn newer<S>(supply: &mut Supply<S>, exchange: &Exchange, resumes: &mut Rate) -> Arrival<S> {
    let Supply::Arrivals(arrivals) = supply else { return std::future::pending().await };
    while let Some(arrival) = arrivals.recv().await {
        let refused = if !resumes.count() {
            NotResumed::TooOften
        } else if exchange.check_resume(arrival.wants).is_err() {
            NotResumed::Impossible
        } else {
            return arrival;
        };
        tracing::warn!(socket = %exchange.kind, ?refused, "a connection could not take a session up");
        let _ = arrival.answer.send(Err(refused));
    }
    // The node is going, and this line with it.
    std::future::pending().await
}

async fn dial_until<S>(
    redial: &dyn Redial<S>,
    exchange: &Exchange,
    until: Instant,
    patience: Duration,
) -> Result<WebSocketStream<S>, String> {
    let (mut wait, mut refusals) = (FIRST_WAIT, 0);
    let mut last = "no answer".to_owned();
    loop {
        let drawn = wait.mul_f64(rand::rng().random_range(0.5..=1.0));
        wait = (wait * 2).min(LONGEST_WAIT);
        let dialled = async {
            sleep(drawn).await;
            // Messages are taken meanwhile, too: what is told here is less than what will be wanted then.
            let told = exchange.wants();
            (told, redial.dial(exchange.kind, told).await)
        };
        last = match timeout_at(until, dialled).await {
            Err(_) => return Err(format!("dialling again for {patience:.0?} brought nothing ({last})")),
            Ok((told, Redialled::Connected(socket, wants))) => match exchange.resume(wants, told) {
                Ok(()) => return Ok(*socket),
                Err(error) => return Err(format!("the node cannot go on with the session: {error}")),
            },
            Ok((_, Redialled::Gone(why))) => return Err(why),
            Ok((_, Redialled::Later(why))) => {
                refusals = 0;
                why
            }
            Ok((_, Redialled::NobodyListens(why))) => {
                refusals += 1;
                if refusals >= REFUSALS_UNTIL_GONE {
                    return Err(format!("nobody listens there any more: {why}"));
                }
                why
            }
        };
    }
}
