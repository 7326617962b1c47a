//! Sessions over WebSockets: two sockets each, control and data, so that a stop never waits behind rows.
//!
//! A session outlives its connections. When one is dropped, the asking side dials again, with the session's id and key and the number of
//! the frame that it wants next; each side sends again from where the other is ([`millrace_wire::resume`]). What lives as long as the
//! session ([`exchange`], [`ends`], [`line`]) is apart from what lives as long as a connection ([`connection`]).
//!
//! The asking side pings every half second and takes a connection for dead after 3 s of silence; then it dials for 10 s before the session
//! is lost. It is lost at once if the node says that it does not know it, or if nobody listens at a port of this machine any more: then the
//! process is gone, and the session with it. A node takes a connection for dead after 10 s of silence, and keeps the session for 30 s: its
//! jobs run on, and rows wait in a queue of which the oldest go first. Who leaves says so by a close on the control socket; then the session ends at
//! once. So does one whose peer sends what it may not.
//!
//! With a peer of protocol 1 nothing is resumed: when either socket ends, the session does.

mod connect;
mod connection;
mod ends;
mod exchange;
mod line;
mod over;
mod patience;
mod pump;
mod rows;
mod stream;

use std::time::Duration;

use millrace_wire::frame::{MAX_CONTROL_FRAME_BYTES, MAX_DATA_FRAME_BYTES};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use connect::{Credential, Transport, connect, connect_as, connect_with};
pub use exchange::{Exchange, Next};
pub use line::{Arrival, NotResumed, Redial, Redialled};
pub use over::{Close, Over};
pub use patience::Patience;
pub(crate) use patience::Rate;
pub use pump::{Pumps, Resumption, Side};
pub use stream::Wire;

/// Says which protocol a peer speaks, in both directions.
pub const PROTOCOL_HEADER: &str = "x-millrace-protocol";
/// Names the session: from the node on the control socket, to the node on the data socket.
pub const SESSION_HEADER: &str = "x-millrace-session";
/// From the node, when a session begins: its key. From the asking side, when it dials a socket again: the session's id, its key and the
/// number of the frame that it wants next, with a space between each.
pub const RESUME_HEADER: &str = "x-millrace-resume";
/// From the node to who resumes: the number of the frame that it wants next.
pub const WANTS_HEADER: &str = "x-millrace-wants";
/// From the node to whom it refuses, where it may know why: a code.
pub const CODE_HEADER: &str = "x-millrace-code";
pub const CONTROL_PATH: &str = "/control";
pub const DATA_PATH: &str = "/data";

/// How long a connection may take to be made.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);

/// A frame is one message. All three limits are set: the library's own are 64 MiB and none.
pub fn control_config() -> WebSocketConfig {
    config(MAX_CONTROL_FRAME_BYTES, 4 * MAX_CONTROL_FRAME_BYTES)
}

pub fn data_config() -> WebSocketConfig {
    config(MAX_DATA_FRAME_BYTES, 16 * MAX_DATA_FRAME_BYTES)
}

fn config(message: usize, written: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(64 << 10)
        .write_buffer_size(128 << 10)
        .max_message_size(Some(message))
        .max_frame_size(Some(message))
        .max_write_buffer_size(written)
}
