//! What travels in band from task to task, and nothing else does.

use millrace_model::Timestamp;

use crate::batch::Batch;
use crate::operator::EndReason;

#[derive(Debug, Clone)]
pub enum Element {
    Batch(Batch),
    /// No further row of this channel with an earlier event time is wanted.
    Watermark(Timestamp),
    /// The sender no longer holds the watermark back, until `Active`.
    Idle,
    Active,
    /// Divides the rows of one epoch from those of the next.
    Barrier {
        epoch: u64,
    },
    /// The last element.
    End(EndReason),
}

/// What an element counts for in a channel's bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub rows: usize,
    pub bytes: usize,
}

impl Element {
    /// A control element costs as much as a row, so that a channel is bounded whatever flows.
    pub fn cost(&self) -> Cost {
        match self {
            Element::Batch(batch) => Cost { rows: batch.rows(), bytes: batch.bytes() },
            _ => Cost { rows: 1, bytes: size_of::<Element>() },
        }
    }
}
