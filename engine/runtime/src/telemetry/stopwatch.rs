//! A running total of time that can be read while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// Written by one task, read by anyone.
#[derive(Debug, Default)]
pub struct Stopwatch {
    total_ns: AtomicU64,
    /// When the current stretch began; 0 if none runs.
    since_ns: AtomicU64,
}

/// A stretch of time that is being counted, until this is dropped.
pub struct Running<'a> {
    watch: &'a Stopwatch,
    clock: &'a dyn Clock,
}

impl Stopwatch {
    /// Counts from now until the guard is dropped.
    pub fn run<'a>(&'a self, clock: &'a dyn Clock) -> Running<'a> {
        self.since_ns.store(clock.monotonic_ns().max(1), Ordering::Relaxed);
        Running { watch: self, clock }
    }

    /// The total at `now_ns`, the running stretch included.
    pub fn total_ns(&self, now_ns: u64) -> u64 {
        let total = self.total_ns.load(Ordering::Relaxed);
        match self.since_ns.load(Ordering::Relaxed) {
            0 => total,
            since => total + now_ns.saturating_sub(since),
        }
    }

    /// Shows a total that was counted elsewhere.
    pub fn set_total(&self, total_ns: u64) {
        self.total_ns.store(total_ns, Ordering::Relaxed);
    }

    /// How long the current stretch has run at `now_ns`, if one runs.
    pub fn running_ns(&self, now_ns: u64) -> Option<u64> {
        match self.since_ns.load(Ordering::Relaxed) {
            0 => None,
            since => Some(now_ns.saturating_sub(since)),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let since = self.watch.since_ns.swap(0, Ordering::Relaxed);
        if since != 0 {
            let passed = self.clock.monotonic_ns().saturating_sub(since);
            self.watch.total_ns.fetch_add(passed, Ordering::Relaxed);
        }
    }
}
