//! A way between two processes: TCP that passes through here, and can be cut, held in either direction, made slow, and closed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ground::Ground;

/// Pieces on their way in one direction of a connection, each of 16 KiB at most.
const PIECES: usize = 16;
const PIECE_BYTES: usize = 16 << 10;
/// The longest head of a request that is read to make it one for whom it goes to.
const HEAD_BYTES: usize = 16 << 10;

/// Which bytes: those of who dials, or the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    There,
    Back,
}

/// What the way is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    /// Whether anybody listens.
    is_open: bool,
    /// Bytes of this direction stay where they are, and so do new connections.
    holds_there: bool,
    holds_back: bool,
    delay: Duration,
    /// No limit if zero.
    bytes_per_second: u32,
}

const FAIR: Weather = Weather { is_open: true, holds_there: false, holds_back: false, delay: Duration::ZERO, bytes_per_second: 0 };

impl Weather {
    fn holds(&self, direction: Direction) -> bool {
        match direction {
            Direction::There => self.holds_there,
            Direction::Back => self.holds_back,
        }
    }
}

/// Where a way leads.
#[derive(Debug, Clone, Copy)]
struct Target {
    address: SocketAddr,
    /// The host that requests are made to be for, if not the one that they name: a node lets in those alone that are for a host which it knows
    /// as its own.
    host: Option<SocketAddr>,
}

struct Shared {
    address: SocketAddr,
    target: Mutex<Target>,
    weather: watch::Sender<Weather>,
    /// Counts up at each cut, which ends all connections that there are.
    cuts: watch::Sender<u64>,
    connections: AtomicUsize,
}

/// Dropping it closes it.
pub struct Way {
    shared: Arc<Shared>,
    listening: AbortHandle,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

impl Way {
    /// A way that begins at `address` on that ground, and leads nowhere yet.
    pub fn new(ground: &Ground, address: SocketAddr) -> Way {
        let shared = Arc::new(Shared {
            address,
            target: Mutex::new(Target { address, host: None }),
            weather: watch::Sender::new(FAIR),
            cuts: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let listening = ground.spawn(listen(shared.clone()));
        Way { shared, listening }
    }

    /// Leads there from now on, with requests that are for `host` if that is not what they name.
    pub fn aim(&self, address: SocketAddr, host: Option<SocketAddr>) {
        *self.shared.target.lock().unwrap() = Target { address, host };
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Ends all connections, as a cable that is pulled and put back. How many there were.
    pub fn cut(&self) -> usize {
        let connections = self.connections();
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        connections
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn hold(&self, direction: Direction, is_held: bool) {
        self.shared.weather.send_modify(|weather| match direction {
            Direction::There => weather.holds_there = is_held,
            Direction::Back => weather.holds_back = is_held,
        });
    }

    /// Each piece comes later by this, and no more than so many bytes come in a second; zero: as many as there are.
    pub fn slow(&self, delay: Duration, bytes_per_second: u32) {
        self.shared.weather.send_modify(|weather| (weather.delay, weather.bytes_per_second) = (delay, bytes_per_second));
    }

    /// A way that nobody listens at is what a process that is gone leaves: connections end, and new ones are refused.
    pub fn close(&self) {
        self.shared.weather.send_modify(|weather| weather.is_open = false);
        self.cut();
    }

    pub fn open(&self) {
        self.shared.weather.send_modify(|weather| weather.is_open = true);
    }
}

async fn listen(shared: Arc<Shared>) {
    let mut weather = shared.weather.subscribe();
    loop {
        weather.wait_for(|weather| weather.is_open).await.unwrap();
        // Somebody else may have the port for a moment.
        let Ok(listener) = TcpListener::bind(shared.address).await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        loop {
            tokio::select! {
                biased;
                _ = weather.wait_for(|weather| !weather.is_open) => break,
                accepted = listener.accept() => if let Ok((near, _)) = accepted {
                    tokio::spawn(carry(near, shared.clone()));
                }
            }
        }
    }
}

/// One connection, until either end ends it or it is cut.
async fn carry(near: TcpStream, shared: Arc<Shared>) {
    let (mut cuts, mut weather) = (shared.cuts.subscribe(), shared.weather.subscribe());
    let passing = async {
        // Where nothing goes through there is nobody to be reached either.
        weather.wait_for(|weather| !weather.holds_there && !weather.holds_back).await.unwrap();
        let target = *shared.target.lock().unwrap();
        let Ok(far) = TcpStream::connect(target.address).await else { return };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((mut near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let first = match target.host {
            None => Vec::new(),
            Some(host) => match head(&mut near_read).await {
                Some(head) => head.replace(&shared.address.to_string(), &host.to_string()).into_bytes(),
                None => return,
            },
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let _counted = Counted(&shared.connections);
        // The first to end ends both.
        tokio::select! {
            () = pass(first, near_read, far_write, Direction::There, &shared) => {}
            () = pass(Vec::new(), far_read, near_write, Direction::Back, &shared) => {}
        }
    };
    tokio::select! {
        _ = cuts.changed() => {}
        () = passing => {}
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request's head, and what came with it.
async fn head(from: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES {
            return None;
        }
        head.push(from.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Passes one direction on, `first` before all else.
async fn pass(first: Vec<u8>, from: impl AsyncReadExt + Unpin, to: impl AsyncWriteExt + Unpin, direction: Direction, shared: &Shared) {
    let (pieces, taken) = mpsc::channel(PIECES);
    if !first.is_empty() {
        pieces.send((Instant::now(), first)).await.unwrap();
    }
    // A reader that has come to its end lets what is on its way still come.
    tokio::join!(read(from, pieces, &shared.weather), write(to, taken, direction, shared));
}

async fn read(mut from: impl AsyncReadExt + Unpin, pieces: mpsc::Sender<(Instant, Vec<u8>)>, weather: &watch::Sender<Weather>) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Weather { delay, bytes_per_second, .. } = *weather.borrow();
        if bytes_per_second > 0 {
            sleep(Duration::from_secs_f64(read as f64 / f64::from(bytes_per_second))).await;
        }
        if pieces.send((Instant::now() + delay, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn write(mut to: impl AsyncWriteExt + Unpin, mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>, direction: Direction, shared: &Shared) {
    let mut weather = shared.weather.subscribe();
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        weather.wait_for(|weather| !weather.holds(direction)).await.unwrap();
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}
