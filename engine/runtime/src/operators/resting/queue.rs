//! What waits for a slice, in the order in which it came.

use std::collections::VecDeque;

use millrace_model::Timestamp;

use crate::batch::Batch;

/// What a small batch takes beside its values, a column.
const COLUMN_BYTES: usize = 128;

/// Something that an operator is told.
#[derive(Debug)]
pub enum Item {
    Rows {
        input: usize,
        batch: Batch,
    },
    Time(Time),
    /// The interval of processing time has passed.
    Every,
}

/// How far event time has come, by watermarks and because nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub watermark: Timestamp,
    pub idle: Timestamp,
}

impl Time {
    pub const fn watermark(watermark: Timestamp) -> Time {
        Time { watermark, idle: Timestamp::MIN }
    }

    pub const fn idle(idle: Timestamp) -> Time {
        Time { watermark: Timestamp::MIN, idle }
    }
}

#[derive(Debug, Default)]
pub struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Batches of rows among them.
    batches: usize,
    /// When the first of them came, by a count of whoever puts them in.
    since: u64,
}

impl Queue {
    pub fn push_rows(&mut self, input: usize, batch: Batch, now: u64) {
        if self.batches == 0 {
            self.since = now;
        }
        self.batches += 1;
        self.bytes += bytes_of(&batch);
        self.items.push_back(Item::Rows { input, batch });
    }

    /// Of times with nothing between them only the last counts.
    pub fn push_time(&mut self, time: Time) {
        match self.items.back_mut() {
            Some(Item::Time(last)) => *last = Time { watermark: last.watermark.max(time.watermark), idle: last.idle.max(time.idle) },
            _ => self.items.push_back(Item::Time(time)),
        }
    }

    pub fn push_every(&mut self) {
        self.items.push_back(Item::Every);
    }

    pub fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        if let Item::Rows { batch, .. } = &item {
            self.batches -= 1;
            self.bytes -= bytes_of(batch);
        }
        Some(item)
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub const fn has_rows(&self) -> bool {
        self.batches > 0
    }

    /// When the first of its rows came.
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// Memory held, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes_of(batch: &Batch) -> usize {
    batch.bytes() + batch.frame().width() * COLUMN_BYTES
}
