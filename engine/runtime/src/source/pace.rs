//! Plays a bounded source at the pace of a column's times.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millrace_model::NodeId;
use millrace_model::field::SourceFields;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::error::RunResult;
use crate::source::time_reader::TimeReader;

/// Where a replay began: all partitions of a source share it.
#[derive(Debug, Default)]
pub struct ReplayOrigin {
    /// The pacing time of the first row, in microseconds, and the monotonic clock when it came.
    first: OnceLock<(i64, u64)>,
}

/// The origins of a run's sources. They outlive its attempts: what became due while a run went back to its last epoch is given out at once, as by
/// a source that is live.
#[derive(Debug, Default)]
pub struct ReplayOrigins(Mutex<BTreeMap<NodeId, Arc<ReplayOrigin>>>);

impl ReplayOrigins {
    pub fn of(&self, source: &NodeId) -> Arc<ReplayOrigin> {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        origins.entry(source.clone()).or_default().clone()
    }
}

/// Says when each row of a partition is due.
#[derive(Debug, Clone)]
pub struct Pacer {
    reader: TimeReader,
    speed: f64,
    origin: Arc<ReplayOrigin>,
    last_due_ns: u64,
}

impl Pacer {
    /// None for a source without `replay`.
    pub fn new(source: &SourceFields, origin: Arc<ReplayOrigin>) -> RunResult<Option<Pacer>> {
        let (Some(replay), Some(reader)) = (&source.replay, TimeReader::of_replay(source)?) else { return Ok(None) };
        Ok(Some(Pacer { reader, speed: replay.speed.factor, origin, last_due_ns: 0 }))
    }

    /// When each row may leave, by the monotonic clock. No row overtakes another; one without a time goes with the row before it.
    pub fn schedule(&mut self, batch: &Batch, clock: &dyn Clock) -> RunResult<Vec<u64>> {
        let times = self.reader.read(batch.frame())?;
        let due = times.into_iter().map(|time| {
            if let Some(time) = time {
                let (first, start) = *self.origin.first.get_or_init(|| (time, clock.monotonic_ns()));
                let after_ns = time.saturating_sub(first).max(0) as f64 * 1_000.0 / self.speed;
                self.last_due_ns = self.last_due_ns.max(start.saturating_add(after_ns as u64));
            }
            self.last_due_ns
        });
        Ok(due.collect())
    }
}
