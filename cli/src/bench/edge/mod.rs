//! What an edge between two processes carries: a channel of an exchange whose other end is in another process, over a session as any run has
//! it. Beside it, in the same run, a bare WebSocket that carries frames of the same size, and TLS around both; and rows over a slow network, where they
//! are packed.

mod far;
mod link;
mod slow;

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use millrace_engine::cluster::socket::Wire;
use millrace_engine::cluster::trust::{Identity, JoinToken, Keyring, enrol, handshake, session_config};
use millrace_engine::runtime::arrow_bridge::encode_ipc;
use millrace_engine::runtime::share::Edges;
use millrace_engine::wire::frame::MAX_DATA_FRAME_BYTES;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Setting;
use super::bids::Bids;
use super::prepared::Prepared;
use super::process;
use super::runner::Folder;
pub use far::far;
use link::{BARE, CONTROL, Came, DATA, LAST, ROWS, Session, TIMED, edge as edge_of, message, now_ns, web_socket};
use slow::{SLOW_BYTES_PER_SECOND, SlowWay};

const LOOPBACK: &str = "127.0.0.1:0";
/// As many as the bench opens at once.
const EDGES: u32 = 1_000;
/// What a batch of 4,096 rows of eight numbers takes.
const MESSAGE_BYTES: usize = 256 << 10;
const BATCH_ROWS: u64 = 4096;
/// A small batch.
const SMALL_BYTES: usize = 1 << 10;
const SMALL_EVERY: Duration = Duration::from_millis(1);

/// Bytes a second by each way, and how long a small batch is on its way where nothing else is.
#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    pub name: &'static str,
    pub message_bytes: usize,
    /// A bare WebSocket with frames of 64 KiB.
    pub bare_bytes_per_second: f64,
    pub edge_bytes_per_second: f64,
    /// Of the bare one's rate.
    pub edge_of_bare: f64,
    pub bare_tls_bytes_per_second: f64,
    pub edge_tls_bytes_per_second: f64,
    pub edge_of_bare_tls: f64,
    pub edges: u32,
    /// Of all of them together.
    pub edges_bytes_per_second: f64,
    /// Of the rate of one edge.
    pub edges_of_one: f64,
    pub one_way_p50_ms: f64,
    pub one_way_p99_ms: f64,
    pub one_way_tls_p99_ms: f64,
    /// What a slow network lets through, ..
    pub slow_way_bytes_per_second: f64,
    /// .. and how many bytes of rows (bids of Nexmark, as an edge carries them) come through it: more, where they are packed.
    pub edge_slow_bytes_per_second: f64,
    pub load: [Option<f64>; 2],
}

/// The other process, killed when it is dropped.
struct Far {
    _child: Child,
    plain: String,
    tls: String,
    slow: SlowWay,
    identity: Identity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
    Slow,
}

impl Far {
    async fn start(folder: &Folder) -> anyhow::Result<Far> {
        let mut command = Command::new(std::env::current_exe().context("this program cannot be found")?);
        command.args(["bench", "edge", "--far"]).env("RUST_LOG", "off").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the other process cannot be started")?;
        let mut said = BufReader::new(child.stdout.take().context("the other process says nothing")?).lines();
        let mut next = async |what: &str| {
            let line = said.next_line().await?.context("the other process has ended")?;
            line.strip_prefix(what).map(|rest| rest.trim().to_owned()).with_context(|| format!("the other process says `{line}`"))
        };
        let (plain, tls, token) = (next("plain").await?, next("tls").await?, next("token").await?);
        let token = JoinToken::parse(&token).context("the other process gave no token")?;
        let identity = enrol(&tls, &token, "bench", &Keyring::at(folder.path().join("near"))).await?;
        let slow = SlowWay::to(plain.clone()).await?;
        Ok(Far { _child: child, plain, tls, slow, identity })
    }

    async fn dial(&self, way: Way, purpose: u8) -> anyhow::Result<Wire> {
        let stream = match way {
            Way::Plain => TcpStream::connect(&self.plain).await?,
            Way::Tls => TcpStream::connect(&self.tls).await?,
            Way::Slow => TcpStream::connect(self.slow.address).await?,
        };
        stream.set_nodelay(true)?;
        let mut wire = match way {
            Way::Plain | Way::Slow => Wire::Plain(stream),
            Way::Tls => {
                let secured = handshake(stream, session_config(&self.identity, None)?).await?;
                Wire::Tls(Box::new(secured.into()))
            }
        };
        wire.write_u8(purpose).await?;
        wire.flush().await?;
        Ok(wire)
    }

    async fn session(&self, way: Way) -> anyhow::Result<Session> {
        let control = web_socket(self.dial(way, CONTROL).await?, Role::Client, CONTROL).await;
        let data = web_socket(self.dial(way, DATA).await?, Role::Client, DATA).await;
        Ok(Session::new(control, data, Role::Client))
    }

    /// Bytes a second of frames on a bare WebSocket.
    async fn bare(&self, way: Way, time: Duration) -> anyhow::Result<f64> {
        let mut socket = web_socket(self.dial(way, BARE).await?, Role::Client, BARE).await;
        let (frame, begun) = (message(ROWS, MAX_DATA_FRAME_BYTES), Instant::now());
        while begun.elapsed() < time {
            socket.feed(Message::Binary(frame.clone())).await?;
        }
        socket.send(Message::Text("how many?".into())).await?;
        let told = socket.next().await.context("the other process is gone")??;
        let bytes: u64 = told.to_text()?.parse()?;
        Ok(bytes as f64 / begun.elapsed().as_secs_f64())
    }

    /// Bytes a second on so many edges together.
    async fn edges(&self, way: Way, edges: u32, rows: &Bytes, time: Duration) -> anyhow::Result<f64> {
        let (session, begun) = (self.session(way).await?, Instant::now());
        let sending = (0..edges).map(|number| send_for(&session, number, rows, begun + time));
        let bytes: u64 = try_join_all(sending).await?.into_iter().sum();
        Ok(bytes as f64 / begun.elapsed().as_secs_f64())
    }

    /// How long small batches are on their way, in nanoseconds, the least first.
    async fn one_way(&self, way: Way, time: Duration) -> anyhow::Result<Vec<u64>> {
        let session = self.session(way).await?;
        let mut ticks = interval(SMALL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        while begun.elapsed() < time {
            ticks.tick().await;
            let mut small = vec![TIMED; SMALL_BYTES];
            small[1..9].copy_from_slice(&now_ns().to_le_bytes());
            session.edges.send(edge_of(0), Bytes::from(small)).await?;
        }
        let mut times = ask(&session, 0).await?.one_way_ns;
        times.sort_unstable();
        Ok(times)
    }
}

/// Sends messages until then. Gives how many bytes came.
async fn send_for(session: &Session, number: u32, rows: &Bytes, until: Instant) -> anyhow::Result<u64> {
    while Instant::now() < until {
        session.edges.send(edge_of(number), rows.clone()).await?;
    }
    Ok(ask(session, number).await?.bytes)
}

async fn ask(session: &Session, number: u32) -> anyhow::Result<Came> {
    session.edges.send(edge_of(number), message(LAST, 1)).await?;
    let told = session.edges.receive(edge_of(number)).await?.context("the other process is gone")?;
    Ok(serde_json::from_slice(&told)?)
}

/// Rows as an edge carries them.
fn real_rows() -> anyhow::Result<Bytes> {
    let batch = Bids::new(BATCH_ROWS, BATCH_ROWS, 1)?.batch(0)?;
    Ok(Bytes::from([&[ROWS], encode_ipc(&batch)?.as_slice()].concat()))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds_at(times: &[u64], part: f64) -> f64 {
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).map_or(f64::NAN, |ns| *ns as f64 / 1e6)
}

/// Measures each way in turn, as often as asked; the medians count.
pub async fn edge(setting: &Setting) -> anyhow::Result<Edge> {
    let (load_before, folder) = (process::load(), Folder::new()?);
    let far = Far::start(&folder).await?;
    let (time, rows) = (setting.seconds / 4, message(ROWS, MESSAGE_BYTES));
    let (mut bare, mut one, mut bare_tls, mut one_tls, mut many) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.repeat {
        bare.push(far.bare(Way::Plain, time).await?);
        one.push(far.edges(Way::Plain, 1, &rows, time).await?);
        many.push(far.edges(Way::Plain, EDGES, &rows, time).await?);
        bare_tls.push(far.bare(Way::Tls, time).await?);
        one_tls.push(far.edges(Way::Tls, 1, &rows, time).await?);
    }
    let slow = far.edges(Way::Slow, 1, &real_rows()?, time).await?;
    let (times, times_tls) = (far.one_way(Way::Plain, time).await?, far.one_way(Way::Tls, time).await?);
    let (bare, one, bare_tls, one_tls, many) = (median(bare), median(one), median(bare_tls), median(one_tls), median(many));
    Ok(Edge {
        name: "edge",
        message_bytes: MESSAGE_BYTES,
        bare_bytes_per_second: bare,
        edge_bytes_per_second: one,
        edge_of_bare: one / bare,
        bare_tls_bytes_per_second: bare_tls,
        edge_tls_bytes_per_second: one_tls,
        edge_of_bare_tls: one_tls / bare_tls,
        edges: EDGES,
        edges_bytes_per_second: many,
        edges_of_one: many / one,
        one_way_p50_ms: milliseconds_at(&times, 0.5),
        one_way_p99_ms: milliseconds_at(&times, 0.99),
        one_way_tls_p99_ms: milliseconds_at(&times_tls, 0.99),
        slow_way_bytes_per_second: f64::from(SLOW_BYTES_PER_SECOND),
        edge_slow_bytes_per_second: slow,
        load: [load_before, process::load()],
    })
}
