//! What passes along an edge, and samples of it for whoever looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use millrace_model::{NodeId, PortRef};
use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::telemetry::metrics::Counter;

/// The least time between two samples of an edge.
const TAP_PERIOD_NS: u64 = 500_000_000;

/// Some rows that passed along an edge.
#[derive(Debug, Clone)]
pub struct TapSample {
    pub from: PortRef,
    pub to: NodeId,
    pub batch: Batch,
}

/// One edge's counters, shared by all tasks at its sending end.
#[derive(Debug)]
pub struct EdgeProbe {
    pub from: PortRef,
    pub to: NodeId,
    pub rows: Counter,
    pub bytes: Counter,
    pub batches: Counter,
    tap: Tap,
}

#[derive(Debug)]
struct Tap {
    is_on: AtomicBool,
    max_rows: AtomicU32,
    /// Before this moment no sample is taken.
    due_ns: AtomicU64,
    samples: mpsc::Sender<TapSample>,
}

impl EdgeProbe {
    /// `samples` takes what the tap sees; a sample that finds it full is dropped.
    pub fn new(from: PortRef, to: NodeId, samples: mpsc::Sender<TapSample>) -> Arc<Self> {
        let tap = Tap { is_on: AtomicBool::new(false), max_rows: AtomicU32::new(0), due_ns: AtomicU64::new(0), samples };
        Arc::new(EdgeProbe { from, to, rows: Counter::default(), bytes: Counter::default(), batches: Counter::default(), tap })
    }

    /// Counts a batch, and samples it if someone looks.
    pub fn passed(&self, batch: &Batch, clock: &dyn Clock) {
        self.rows.add(batch.rows() as u64);
        self.bytes.add(batch.bytes() as u64);
        self.batches.add(1);
        if self.tap.is_on.load(Ordering::Relaxed) {
            self.sample(batch, clock.monotonic_ns());
        }
    }

    /// Turns the tap on or off. The first sample comes with the next batch.
    pub fn set_tap(&self, is_on: bool, max_rows: u32) {
        self.tap.max_rows.store(max_rows, Ordering::Relaxed);
        self.tap.due_ns.store(0, Ordering::Relaxed);
        self.tap.is_on.store(is_on, Ordering::Relaxed);
    }

    fn sample(&self, batch: &Batch, now_ns: u64) {
        let due = self.tap.due_ns.load(Ordering::Relaxed);
        // Of several tasks at one edge, the one that moves the due time takes the sample.
        let next = now_ns + TAP_PERIOD_NS;
        if now_ns < due || self.tap.due_ns.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let rows = (self.tap.max_rows.load(Ordering::Relaxed) as usize).min(batch.rows());
        // A slice would keep the whole batch alive while the sample waits for its reader; that is bounded by the queue's length.
        let sample = TapSample { from: self.from.clone(), to: self.to.clone(), batch: Batch::new(batch.frame().slice(0, rows)) };
        // Nobody is told of a sample that is dropped: the next comes half a second later.
        let _ = self.tap.samples.try_send(sample);
    }
}
