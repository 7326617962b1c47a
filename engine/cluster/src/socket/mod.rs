//! Sessions over WebSockets: two sockets each, control and data, so that a stop never waits behind rows.
//!
//! Nothing is resumed in this release: when either socket ends, the session does. The asking side pings every half second and counts
//! the node as lost after 3 s of silence; a process that dies closes its sockets, which is seen at once. A node waits 10 s for a
//! silent peer, as long for one that takes no control messages, and 30 s for one that takes no data; then the session ends and its jobs
//! are aborted.

mod connect;
mod pump;
mod rows;

use std::time::Duration;

use millrace_wire::frame::{MAX_CONTROL_FRAME_BYTES, MAX_DATA_FRAME_BYTES};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use connect::{Transport, connect, connect_with};
pub use pump::{Patience, Pumps, Side};

/// Says which protocol a peer speaks, in both directions.
pub const PROTOCOL_HEADER: &str = "x-millrace-protocol";
/// Names the session: from the node on the control socket, to the node on the data socket.
pub const SESSION_HEADER: &str = "x-millrace-session";
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
