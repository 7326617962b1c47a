//! Binary frames: one byte of kind, then the payload.
//!
//! Frames are paced by the reader: it acknowledges what it has handled ([`crate::Request::Ack`]), and no more than [`WINDOW`] frames
//! are under way. A studio that is held up drops samples of edges (the next replaces them) and lets chart deltas grow into one.

use crate::message::ServerMessage;
use crate::rows::RowsFrame;

/// Chart and rows frames that may be under way without an acknowledgement.
pub const WINDOW: u32 = 32;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A [`ServerMessage`] as JSON, for a transport without text messages. Not counted against [`WINDOW`].
    Message = 0,
    /// One byte with the length of the node's name, the name, then the chart's bytes.
    Chart = 1,
    /// A [`RowsFrame`] as JSON.
    Rows = 2,
}

/// A [`ServerMessage`] as a frame.
///
/// # Errors
/// The message could not be written as JSON.
pub fn message_frame(message: &ServerMessage) -> Result<Vec<u8>, serde_json::Error> {
    json_frame(FrameKind::Message, message)
}

/// Rows as a frame.
///
/// # Errors
/// The rows could not be written as JSON.
pub fn rows_frame(rows: &RowsFrame) -> Result<Vec<u8>, serde_json::Error> {
    json_frame(FrameKind::Rows, rows)
}

/// A chart's bytes as a frame; none where the node's name is longer than a name may be.
pub fn chart_frame(node: &str, chart: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(node.len()).ok()?;
    let mut frame = Vec::with_capacity(2 + node.len() + chart.len());
    frame.push(FrameKind::Chart as u8);
    frame.push(length);
    frame.extend_from_slice(node.as_bytes());
    frame.extend_from_slice(chart);
    Some(frame)
}

fn json_frame<T: serde::Serialize>(kind: FrameKind, value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut frame = vec![kind as u8];
    serde_json::to_writer(&mut frame, value)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_frame_names_its_node_before_the_bytes() {
        assert_eq!(chart_frame("cpu", &[9, 8]).unwrap(), [1, 3, b'c', b'p', b'u', 9, 8]);
        assert!(chart_frame(&"x".repeat(256), &[]).is_none());
    }
}
