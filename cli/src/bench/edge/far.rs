//! The other process: takes what comes and tells what came, until its input ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use millrace_engine::cluster::socket::Wire;
use millrace_engine::cluster::trust::Guard;
use millrace_engine::runtime::share::Edges;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::runner::Folder;
use super::link::{BARE, CONTROL, Came, DATA, LAST, Session, TIMED, edge, now_ns, web_socket};
use super::{EDGES, LOOPBACK};
use crate::output::say;

const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// Serves until nobody holds the other end of this process's input.
pub async fn far() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (plain, secured) = (TcpListener::bind(LOOPBACK).await?, TcpListener::bind(LOOPBACK).await?);
    let (guard, token) = open(folder.path())?;
    say(format_args!("plain {}", plain.local_addr()?))?;
    say(format_args!("tls {}", secured.local_addr()?))?;
    say(format_args!("token {token}"))?;
    let (sessions, wanted) = mpsc::channel(4);
    tokio::spawn(join(wanted));
    let taking = sessions.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(Wire::Plain(stream), taking.clone()));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, from)) = secured.accept().await {
            let _ = stream.set_nodelay(true);
            let (guard, sessions) = (guard.clone(), sessions.clone());
            tokio::spawn(async move {
                if let Some(admitted) = guard.admit(stream, from).await {
                    serve(Wire::Tls(Box::new(admitted.stream.into())), sessions).await;
                }
            });
        }
    });
    // Whoever started this process holds its input open.
    let mut input = tokio::io::stdin();
    while input.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

fn open(folder: &Path) -> anyhow::Result<(Arc<Guard>, String)> {
    let (guard, token) = Guard::open(&folder.join("far"), TOKEN_LIFE).context("a cluster cannot be made")?;
    Ok((Arc::new(guard), token.context("a cluster that was just made has a token")?.reveal()))
}

type Socket = WebSocketStream<Wire>;

async fn serve(mut wire: Wire, sessions: mpsc::Sender<(u8, Socket)>) {
    let Ok(purpose) = wire.read_u8().await else { return };
    let socket = web_socket(wire, Role::Server, purpose).await;
    if purpose == BARE {
        return bare(socket).await;
    }
    // Nobody takes it once the process ends.
    let _ = sessions.send((purpose, socket)).await;
}

/// Takes frames, and tells how many bytes came after each text.
async fn bare(mut socket: Socket) {
    let mut bytes = 0;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(frame) => bytes += frame.len() as u64,
            Message::Text(_) if socket.send(Message::Text(bytes.to_string().into())).await.is_ok() => bytes = 0,
            _ => return,
        }
    }
}

/// Makes a session of each two connections, whichever of them comes first.
async fn join(mut wanted: mpsc::Receiver<(u8, Socket)>) {
    let (mut control, mut data) = (None, None);
    while let Some((purpose, socket)) = wanted.recv().await {
        match purpose {
            CONTROL => control = Some(socket),
            DATA => data = Some(socket),
            _ => {}
        }
        (control, data) = match (control, data) {
            (Some(control), Some(data)) => {
                let session = Arc::new(Session::new(control, data, Role::Server));
                // It lives as long as they wait, which is until the near end is gone.
                (0..EDGES).for_each(|number| drop(tokio::spawn(take(session.clone(), number))));
                (None, None)
            }
            one => one,
        };
    }
}

/// Takes what comes by an edge.
async fn take(session: Arc<Session>, number: u32) {
    let mut came = Came::default();
    while let Ok(Some(bytes)) = session.edges.receive(edge(number)).await {
        came.bytes += bytes.len() as u64;
        match bytes.first() {
            Some(&TIMED) => {
                let sent = bytes.get(1..9).and_then(|sent| sent.try_into().ok()).map_or(0, u64::from_le_bytes);
                came.one_way_ns.push(now_ns().saturating_sub(sent));
            }
            Some(&LAST) => {
                let told = serde_json::to_vec(&std::mem::take(&mut came)).unwrap_or_default();
                if session.edges.send(edge(number), Bytes::from(told)).await.is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}
