//! A way to a node that can be cut, stalled, and half closed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

#[derive(Default)]
struct State {
    connections: Mutex<Vec<AbortHandle>>,
    stalled: AtomicBool,
    /// Nobody is let through.
    closed: AtomicBool,
    accepted: AtomicUsize,
    /// A connection breaks after as many bytes in either direction; zero: never.
    lifetime: AtomicU64,
}

/// Dropping it closes it.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    listening: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

impl Proxy {
    pub async fn to(node: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(State::default()));
        let shared = state.clone();
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                let passing = tokio::spawn(pass(stream, address, node, shared.clone()));
                shared.connections.lock().unwrap().push(passing.abort_handle());
            }
        });
        Proxy { address, state, listening }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Breaks all connections, as a cable that is pulled and put back. How many there were.
    pub fn cut(&self) -> usize {
        let connections = std::mem::take(&mut *self.state.connections.lock().unwrap());
        connections.iter().filter(|passing| !passing.is_finished()).map(AbortHandle::abort).count()
    }

    /// The connections that were made last, of those that stand.
    pub fn cut_last(&self) {
        let last = self.state.connections.lock().unwrap().pop();
        last.unwrap().abort();
    }

    /// Lets nothing through, and says nothing.
    pub fn stall(&self, is_stalled: bool) {
        self.state.stalled.store(is_stalled, Ordering::SeqCst);
    }

    /// Takes connections and drops them at once.
    pub fn close(&self, is_closed: bool) {
        self.state.closed.store(is_closed, Ordering::SeqCst);
    }

    pub fn break_after(&self, bytes: u64) {
        self.state.lifetime.store(bytes, Ordering::SeqCst);
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

async fn pass(mut near: TcpStream, own: SocketAddr, node: SocketAddr, state: Arc<State>) {
    let mut far = TcpStream::connect(node).await.unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    // The node serves its own address alone: the request is made to be for that. What is in TLS cannot be changed, and need not be.
    let mut head = Vec::new();
    let mut first = [0];
    near.peek(&mut first).await.unwrap();
    while first != [0x16] && !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().replace(&own.to_string(), &node.to_string());
    while state.stalled.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if far.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    // The first to end ends both.
    tokio::select! {
        () = copy(near_read, far_write, &state) => {}
        () = copy(far_read, near_write, &state) => {}
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, state: &State) {
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0);
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        while state.stalled.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lifetime = state.lifetime.load(Ordering::SeqCst);
        let rest = if lifetime > 0 { usize::try_from(lifetime.saturating_sub(passed)).unwrap() } else { read };
        // Some of what came last still goes through: the cut is within a frame as often as not.
        if to.write_all(&buffer[..read.min(rest)]).await.is_err() || rest < read {
            return;
        }
        passed += read as u64;
    }
}
