//! When rows are aggregated before an exchange, and when what came of it goes on.
//!
//! Partial results are worth their while where many rows share few keys, and rows come fast. So only batches that are not nearly empty are
//! taken in; what is held goes on at least ten times a second, for those who watch; and where results were not much fewer than rows, the
//! next batches pass as they are.

use millrace_model::Timestamp;

use crate::batch::Batch;
use crate::error::RunResult;
use crate::operator::Combiner;

/// How long results are held, at most, while rows come.
const HELD_NS: u64 = 100_000_000;

/// Results that are held, at most: more would not stay in a core's cache.
const MOST_HELD: usize = 1 << 16;

/// Rows after which it is judged whether combining pays.
const JUDGED_ROWS: usize = 1 << 16;

/// It pays if a result stands for so many rows, on average.
const LEAST_ROWS_A_RESULT: usize = 4;

/// Batches that pass once combining did not pay, before it is tried again.
const PASSED_BATCHES: usize = 256;

/// A combiner at the sending end of an exchange.
pub struct Combining {
    combiner: Box<dyn Combiner>,
    /// A batch of fewer rows passes: its source has nothing more at hand.
    least_rows: usize,
    /// When something was first held, by the monotonic clock.
    held_since_ns: Option<u64>,
    /// Rows and results since it was judged.
    rows: usize,
    results: usize,
    to_pass: usize,
    /// The channel was idle: what comes may be behind what others have told.
    was_idle: bool,
}

impl Combining {
    pub fn new(combiner: Box<dyn Combiner>, batch_rows: usize) -> Self {
        let least_rows = (batch_rows / 4).max(1);
        Combining { combiner, least_rows, held_since_ns: None, rows: 0, results: 0, to_pass: 0, was_idle: false }
    }

    /// Takes a batch in, or gives it back to pass as it is.
    pub fn take(&mut self, batch: Batch, now_ns: u64) -> RunResult<Option<Batch>> {
        if self.was_idle || self.to_pass > 0 {
            self.to_pass = self.to_pass.saturating_sub(1);
            return Ok(Some(batch));
        }
        if batch.rows() < self.least_rows {
            return Ok(Some(batch));
        }
        let rows = batch.rows();
        let passed = self.combiner.combine(batch)?;
        if passed.is_none() {
            self.rows += rows;
            self.held_since_ns = self.held_since_ns.or(Some(now_ns));
        }
        Ok(passed)
    }

    /// Whether what is held goes on after a batch: `was_taken`, or passed.
    pub fn is_full(&self, was_taken: bool, now_ns: u64) -> bool {
        let Some(since) = self.held_since_ns else { return false };
        !was_taken || now_ns.saturating_sub(since) >= HELD_NS || self.combiner.len() >= MOST_HELD
    }

    /// Whether what is held goes on before this watermark.
    pub fn is_due(&self, watermark: Timestamp) -> bool {
        self.combiner.is_due(watermark)
    }

    /// The watermark has gone on.
    pub fn advance(&mut self, watermark: Timestamp) {
        self.combiner.advance(watermark);
    }

    /// From now on every batch passes.
    pub fn stop(&mut self) {
        self.was_idle = true;
    }

    /// Gives what is held.
    pub fn give(&mut self) -> RunResult<Option<Batch>> {
        self.held_since_ns = None;
        let given = self.combiner.give()?;
        self.results += given.as_ref().map_or(0, Batch::rows);
        if self.rows >= JUDGED_ROWS {
            if self.rows < self.results * LEAST_ROWS_A_RESULT {
                self.to_pass = PASSED_BATCHES;
            }
            (self.rows, self.results) = (0, 0);
        }
        Ok(given)
    }
}
