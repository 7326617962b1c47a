//! The session between the process that leads a run and one that takes part: the exchange, the frames and the edges are those of the engine; in place of
//! the two sockets is a way that is slow, is cut, and whose connections break and are made again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millrace_cluster::data::DataQueue;
use millrace_cluster::share::LinkEdges;
use millrace_cluster::socket::{Exchange, Next};
use millrace_cluster::{DataItem, DataPayload};
use millrace_control::time::{Moment, sleep};
use millrace_runtime::share::EdgeId;
use millrace_wire::codec::Encoder;
use millrace_wire::message::{DataHeader, ShareId};
use millrace_wire::{Decoded, Decoder, Frame, FrameKind};
use tokio::sync::{Notify, mpsc};

use crate::net::Net;
use crate::process::Process;

/// On this edge go orders and reports; empty where no more come.
const NOTES: EdgeId = EdgeId { exchange: u32::MAX, from: 0, to: 0 };

/// What came is acknowledged after this long at the latest.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(20);
/// A connection by which nothing comes back is dropped after this long.
const SILENCE: Duration = Duration::from_secs(3);
/// The leader gives a session up that has had no connection for so long, and the other end some time later.
const AWAY: Duration = Duration::from_secs(10);
const KEPT: Duration = Duration::from_secs(20);

/// A share at one end.
pub struct Share {
    pub edges: Arc<LinkEdges>,
    pub notes: mpsc::Sender<Bytes>,
}

/// Who is told of notes of a share that nobody has at this end: a leader that begins one.
type Begin = Box<dyn Fn(ShareId, Bytes) + Send + Sync>;

/// One end.
pub struct Side {
    exchange: Exchange,
    pub out: Arc<DataQueue>,
    shares: Mutex<BTreeMap<ShareId, Share>>,
    is_over: AtomicBool,
}

impl Side {
    fn new() -> Arc<Side> {
        let exchange = Exchange::new(FrameKind::Data, true);
        let out = Arc::new(DataQueue::new(256, 1 << 20));
        Arc::new(Side { exchange, out, shares: Mutex::default(), is_over: AtomicBool::new(false) })
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<ShareId, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Takes a share in; its edges are given.
    pub fn begin(self: &Arc<Self>, share: ShareId, notes: mpsc::Sender<Bytes>) -> Arc<LinkEdges> {
        let edges = LinkEdges::new(share, self.out.clone());
        self.shares().insert(share, Share { edges: edges.clone(), notes });
        edges
    }

    /// A share is over at this end.
    pub fn drop_share(&self, share: ShareId) {
        if let Some(share) = self.shares().remove(&share) {
            share.edges.close();
        }
    }

    pub async fn note(&self, share: ShareId, bytes: Bytes) -> bool {
        self.out.send(DataItem { header: DataHeader::Edge { share, edge: NOTES, raw: 0 }, payload: DataPayload::Bytes(bytes) }).await
    }

    /// The session is over at this end.
    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let shares = std::mem::take(&mut *self.shares());
        shares.values().for_each(|share| share.edges.close());
        self.out.close();
    }

    /// Puts what is sent into frames.
    async fn fill(self: Arc<Self>) {
        let mut encoder = Encoder::new(FrameKind::Data);
        while let Some(DataItem { header, payload }) = self.out.take().await {
            let DataPayload::Bytes(payload) = payload else { continue };
            self.exchange.room().await;
            self.exchange.push(encoder.data(&header, &payload).expect("it fits"));
        }
    }

    /// Gives what came to whom it is for.
    async fn empty(self: Arc<Self>, begin: Option<Begin>, net: Arc<Net>) {
        loop {
            if let Decoded::Data(message) = self.exchange.delivery().await {
                match message.header {
                    DataHeader::Edge { share, edge: NOTES, .. } => self.noted(share, message.payload, begin.as_ref()).await,
                    DataHeader::Edge { share, edge, raw } => {
                        let edges = self.shares().get(&share).map(|share| share.edges.clone());
                        if edges.is_some_and(|edges| edges.came(edge, message.payload, raw).is_err()) {
                            net.judge.find("more comes by an edge than it has credit for".to_owned());
                        }
                    }
                    DataHeader::Credit { share, edge, bytes, hungry } => {
                        let edges = self.shares().get(&share).map(|share| share.edges.clone());
                        edges.into_iter().for_each(|edges| edges.granted(edge, bytes, hungry));
                    }
                    other => net.judge.find(format!("nobody sends {other:?}")),
                }
            }
            self.exchange.delivered();
        }
    }

    async fn noted(&self, share: ShareId, note: Bytes, begin: Option<&Begin>) {
        let notes = self.shares().get(&share).map(|share| share.notes.clone());
        match (notes, begin) {
            // A member's last elements may still be on their way: its edges stay until the leader lets the share go.
            (Some(_), None) if note.is_empty() => self.quiet(share),
            (Some(_), Some(_)) if note.is_empty() => self.drop_share(share),
            // Who takes no more is gone, which is told otherwise.
            (Some(notes), _) => drop(notes.send(note).await),
            (None, Some(begin)) if !note.is_empty() => begin(share, note),
            (None, _) => {}
        }
    }

    /// No more notes come of a share.
    fn quiet(&self, share: ShareId) {
        let (closed, _) = mpsc::channel(1);
        if let Some(share) = self.shares().get_mut(&share) {
            share.notes = closed;
        }
    }
}

/// A session.
pub struct Link {
    pub leader: Arc<Side>,
    pub member: Arc<Side>,
    /// What carries it; it ends with either end's process.
    carrier: Arc<Process>,
    net: Arc<Net>,
    /// The ends in the network's table.
    places: (usize, usize),
    breaks: Notify,
    is_connected: AtomicBool,
}

impl Link {
    /// Joins a leader and a member, which hears by `begin` of shares that are to begin.
    pub fn join(net: &Arc<Net>, carrier: Arc<Process>, places: (usize, usize), begin: Begin) -> Arc<Link> {
        let (leader, member) = (Side::new(), Side::new());
        let (net, breaks, is_connected) = (net.clone(), Notify::new(), AtomicBool::new(false));
        let link = Arc::new(Link { leader, member, carrier, net, places, breaks, is_connected });
        let carrier = &link.carrier;
        drop(carrier.run(link.leader.clone().fill()));
        drop(carrier.run(link.member.clone().fill()));
        drop(carrier.run(link.leader.clone().empty(None, link.net.clone())));
        drop(carrier.run(link.member.clone().empty(Some(begin), link.net.clone())));
        drop(carrier.run(link.clone().connect()));
        link
    }

    /// Whether the leader can speak to the member now.
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed) && !self.leader.is_over()
    }

    /// The connection breaks, with what is on its way.
    pub fn break_connection(&self) {
        self.breaks.notify_waiters();
    }

    /// One of the ends is gone; the other finds that nobody listens there.
    pub fn end(&self) {
        self.carrier.end();
        self.is_connected.store(false, Ordering::Relaxed);
        self.leader.end();
        self.member.end();
    }

    fn is_cut(&self) -> bool {
        let (leader, member) = self.places;
        self.net.is_cut(leader, member) || self.net.is_cut(member, leader)
    }

    /// Makes connections, one after the other, until the leader gives it up.
    async fn connect(self: Arc<Self>) {
        let (mut at_leader, mut at_member) = (Decoder::new(FrameKind::Data), Decoder::new(FrameKind::Data));
        loop {
            let since = Moment::now();
            while self.is_cut() {
                if since.elapsed() > AWAY {
                    self.net.say(format_args!("the session of {:?} is given up", self.places));
                    self.leader.end();
                    sleep(KEPT).await;
                    return self.member.end();
                }
                sleep(Duration::from_millis(100)).await;
            }
            sleep(self.net.latency()).await;
            let (by_leader, by_member) = (self.leader.exchange.wants(), self.member.exchange.wants());
            let resumed =
                self.leader.exchange.resume(by_member, by_leader).and_then(|()| self.member.exchange.resume(by_leader, by_member));
            if let Err(error) = resumed {
                return self.net.judge.find(format!("a session cannot be resumed: {error}"));
            }
            self.turn(true);
            let (there, back) = (self.places, (self.places.1, self.places.0));
            tokio::select! {
                biased;
                () = self.breaks.notified() => {}
                () = self.silent() => {}
                error = self.carry(&self.leader, &self.member, &mut at_member, there) => return self.net.judge.find(error),
                error = self.carry(&self.member, &self.leader, &mut at_leader, back) => return self.net.judge.find(error),
            }
            self.turn(false);
            sleep(self.net.latency()).await;
        }
    }

    fn turn(&self, is_connected: bool) {
        self.net.say(format_args!("{:?} {}", self.places, if is_connected { "is connected" } else { "is dropped" }));
        self.is_connected.store(is_connected, Ordering::Relaxed);
        self.leader.exchange.set_connected(is_connected);
        self.member.exchange.set_connected(is_connected);
    }

    /// Until nothing has come back for long.
    async fn silent(&self) {
        let mut since = Moment::now();
        while since.elapsed() < SILENCE {
            sleep(Duration::from_millis(250)).await;
            if !self.is_cut() {
                since = Moment::now();
            }
        }
    }

    /// Carries frames one way. Gives what no honest peer sends.
    async fn carry(&self, from: &Side, to: &Side, decoder: &mut Decoder, way: (usize, usize)) -> String {
        loop {
            let bytes = match from.exchange.next() {
                Next::Frame(frame) => frame.to_bytes(),
                Next::Acknowledgement(wants) => Frame::acknowledgement(wants).encode().expect("it has no payload"),
                Next::Close(_) => return "nobody closes".to_owned(),
                Next::Nothing { unacknowledged } => {
                    tokio::select! {
                        biased;
                        () = from.exchange.ready() => continue,
                        () = sleep(ACKNOWLEDGE_AFTER), if unacknowledged => {}
                    }
                    match from.exchange.acknowledge() {
                        Some(wants) => Frame::acknowledgement(wants).encode().expect("it has no payload"),
                        None => continue,
                    }
                }
            };
            while self.net.is_cut(way.0, way.1) {
                sleep(Duration::from_millis(20)).await;
            }
            sleep(self.net.latency()).await;
            let taken = Frame::decode(&bytes).and_then(|frame| match frame.kind {
                FrameKind::Acknowledgement => to.exchange.acknowledged(frame.sequence).map(drop),
                _ => to.exchange.take(frame, bytes.len(), decoder),
            });
            if let Err(error) = taken {
                return format!("what came by {way:?} is not what was sent: {error}");
            }
        }
    }
}
