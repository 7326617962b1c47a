//! What travels between a session's two ends: messages, and the frames that carry them.
//!
//! A pure room: bytes in, values out; no tokio, no Polars. In process the same messages are handed over as they are; only a socket
//! encodes them. What comes from a socket is hostile: a length is checked before memory is taken, a checksum before use, a version
//! before meaning, and nothing here panics.

pub mod alerts;
pub mod autoscale;
pub mod change;
pub mod cluster;
pub mod codec;
pub mod codes;
pub mod error;
pub mod figures;
pub mod frame;
pub mod message;
pub mod path;
pub mod resume;

pub use codec::{DataMessage, Decoded, Decoder, Encoder};
pub use error::{WireError, WireResult};
pub use frame::{Frame, FrameKind, Outgoing};
