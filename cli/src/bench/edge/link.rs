//! What both processes of the bench share: connections, sessions whose data side carries edges, and the messages on them.

use std::any::Any;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use millrace_engine::cluster::link::link;
use millrace_engine::cluster::share::LinkEdges;
use millrace_engine::cluster::socket::{Patience, Pumps, Resumption, Side, Wire, control_config, data_config};
use millrace_engine::cluster::{DataItem, DataPayload};
use millrace_engine::wire::message::{DataHeader, EdgeId, ShareId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What a connection is for: its first byte, before it becomes a WebSocket.
pub const BARE: u8 = b'b';
pub const CONTROL: u8 = b'c';
pub const DATA: u8 = b'd';

/// What a message on an edge is: its first byte.
pub const ROWS: u8 = 0;
/// When it was sent follows, in nanoseconds since 1970.
pub const TIMED: u8 = 1;
/// The other end answers with what came.
pub const LAST: u8 = 2;

/// What came by an edge.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Came {
    pub bytes: u64,
    /// How long each timed message was on its way.
    pub one_way_ns: Vec<u64>,
}

pub const fn edge(number: u32) -> EdgeId {
    EdgeId { exchange: 0, from: number, to: 0 }
}

/// Of the machine, which both processes are on.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub async fn web_socket(wire: Wire, role: Role, purpose: u8) -> WebSocketStream<Wire> {
    let config = if purpose == CONTROL { control_config() } else { data_config() };
    WebSocketStream::from_raw_socket(wire, role, Some(config)).await
}

/// A session, as a run has one, of which the edges alone are used. It ends when this is dropped.
pub struct Session {
    pub edges: Arc<LinkEdges>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Session {
    fn drop(&mut self) {
        self.edges.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Session {
    pub fn new(control: WebSocketStream<Wire>, data: WebSocketStream<Wire>, role: Role) -> Session {
        let (client, host) = link();
        // Acknowledgements are on as with any peer of this release, though nobody dials again.
        let resumption = Resumption::Arrivals { control: mpsc::channel(1).1, data: mpsc::channel(1).1 };
        let standing = client.standing.clone();
        // The bench has one end of the link, the sockets stand for the other.
        let (side, patience, data_out, data_in, out, into, ends): (_, _, _, _, _, _, Box<dyn Any + Send>) = match role {
            Role::Client => {
                let (out, into) = (client.data_out.0.clone(), client.data_in.0.clone());
                let side = Side::Asking { out: host.requests, back: host.answers };
                (side, Patience::ASKING, host.data_in, host.data_out, out, into, Box::new(client))
            }
            Role::Server => {
                let (out, into) = (host.data_out.0.clone(), host.data_in.0.clone());
                let side = Side::Node { out: client.answers, back: client.requests };
                (side, Patience::NODE, client.data_in, client.data_out, out, into, Box::new(host))
            }
        };
        let pumps = Pumps { control, data, side, data_out, data_in, patience, resumption, standing };
        let edges = LinkEdges::new(ShareId(1), out);
        let carrying = tokio::spawn(async move { drop(pumps.run().await) });
        let hearing = edges.clone();
        let hearing = tokio::spawn(async move {
            // The session lives as long as its link's end, requests that nobody makes included.
            let _ends = ends;
            while let Some(DataItem { header, payload }) = into.take().await {
                match (header, payload) {
                    (DataHeader::Edge { edge, raw, .. }, DataPayload::Bytes(bytes)) => {
                        if hearing.came(edge, bytes, raw).is_err() {
                            break;
                        }
                    }
                    (DataHeader::Credit { edge, bytes, hungry, .. }, _) => hearing.granted(edge, bytes, hungry),
                    _ => break,
                }
            }
            hearing.close();
        });
        Session { edges, tasks: [carrying, hearing] }
    }
}

/// A message of a kind, of so many bytes in all.
pub fn message(kind: u8, bytes: usize) -> Bytes {
    let mut message = vec![kind; bytes.max(1)];
    // Not all alike, as rows are not.
    for (at, byte) in message.iter_mut().enumerate().skip(1) {
        *byte = (at % 251) as u8;
    }
    Bytes::from(message)
}
