//! The counters of one node in one task.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use millrace_model::Timestamp;
use millrace_state::snapshot::Counts;

use crate::connector::SourceProgress;
use crate::operator::{RowCounts, StateSize};
use crate::telemetry::stopwatch::Stopwatch;

/// A number that one task writes and anyone reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Of kept counts, those that operators tell.
pub const fn row_counts(counts: Counts) -> RowCounts {
    RowCounts {
        accepted: counts.accepted,
        filtered: counts.filtered,
        late: counts.late,
        late_after_idle: counts.late_after_idle,
        quarantined: counts.quarantined,
    }
}

/// Written by the task that runs the node, read by the control side.
#[derive(Debug)]
pub struct TaskMetrics {
    pub rows_in: Counter,
    pub accepted: Counter,
    /// Rows that left by the main port.
    pub rows_out: Counter,
    pub filtered: Counter,
    pub late: Counter,
    pub late_after_idle: Counter,
    pub quarantined: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub busy: Stopwatch,
    pub blocked: Stopwatch,
    pub idle: Stopwatch,
    /// Held back by the sink's own `rate`.
    pub held: Stopwatch,
    pub state_rows: Counter,
    pub state_bytes: Counter,
    pub state_disk_bytes: Counter,
    pub open_windows: Counter,
    pub progress_done: Counter,
    pub progress_total: Counter,
    next_window_end: AtomicI64,
    newest_event_time: AtomicI64,
    watermark: AtomicI64,
    watermark_at_ns: AtomicU64,
    has_ended: AtomicBool,
}

impl TaskMetrics {
    /// `now_ns` is the clock's monotonic time: from then on the watermark stands still.
    pub fn new(now_ns: u64) -> Self {
        TaskMetrics {
            rows_in: Counter::default(),
            accepted: Counter::default(),
            rows_out: Counter::default(),
            filtered: Counter::default(),
            late: Counter::default(),
            late_after_idle: Counter::default(),
            quarantined: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            busy: Stopwatch::default(),
            blocked: Stopwatch::default(),
            idle: Stopwatch::default(),
            held: Stopwatch::default(),
            state_rows: Counter::default(),
            state_bytes: Counter::default(),
            state_disk_bytes: Counter::default(),
            open_windows: Counter::default(),
            progress_done: Counter::default(),
            progress_total: Counter::default(),
            next_window_end: AtomicI64::new(i64::MAX),
            newest_event_time: AtomicI64::new(i64::MIN),
            watermark: AtomicI64::new(i64::MIN),
            watermark_at_ns: AtomicU64::new(now_ns),
            has_ended: AtomicBool::new(false),
        }
    }

    /// All counts so far, as they are kept.
    pub fn counts(&self) -> Counts {
        Counts {
            rows_in: self.rows_in.get(),
            accepted: self.accepted.get(),
            rows_out: self.rows_out.get(),
            filtered: self.filtered.get(),
            late: self.late.get(),
            late_after_idle: self.late_after_idle.get(),
            quarantined: self.quarantined.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
        }
    }

    /// Goes on counting from there, as a task that begins.
    pub fn begin(&self, counts: Counts) {
        self.rows_in.set(counts.rows_in);
        self.rows_out.set(counts.rows_out);
        self.bytes_in.set(counts.bytes_in);
        self.bytes_out.set(counts.bytes_out);
        self.set_counts(row_counts(counts));
        self.watermark.store(i64::MIN, Ordering::Relaxed);
        self.has_ended.store(false, Ordering::Relaxed);
    }

    /// Adds the times of a task that has ended.
    pub fn take_times(&self, of: &TaskMetrics, now_ns: u64) {
        let mine = [&self.busy, &self.blocked, &self.idle, &self.held];
        for (mine, theirs) in mine.into_iter().zip([&of.busy, &of.blocked, &of.idle, &of.held]) {
            mine.set_total(mine.total_ns(now_ns).saturating_add(theirs.total_ns(now_ns)));
        }
    }

    pub fn received(&self, rows: usize, bytes: usize) {
        self.rows_in.add(rows as u64);
        self.bytes_in.add(bytes as u64);
    }

    pub fn sent(&self, rows: usize, bytes: usize) {
        self.rows_out.add(rows as u64);
        self.bytes_out.add(bytes as u64);
    }

    pub fn set_counts(&self, counts: RowCounts) {
        self.accepted.set(counts.accepted);
        self.filtered.set(counts.filtered);
        self.late.set(counts.late);
        self.late_after_idle.set(counts.late_after_idle);
        self.quarantined.set(counts.quarantined);
    }

    /// What it holds in memory, and how many bytes of state on disk.
    pub fn set_state(&self, size: StateSize, disk_bytes: u64) {
        self.state_disk_bytes.set(disk_bytes);
        self.state_rows.set(size.rows);
        self.state_bytes.set(size.bytes);
        self.open_windows.set(size.open_windows);
        self.next_window_end.store(size.next_window_end.map_or(i64::MAX, Timestamp::micros), Ordering::Relaxed);
    }

    pub fn next_window_end(&self) -> Option<Timestamp> {
        Some(Timestamp(self.next_window_end.load(Ordering::Relaxed))).filter(|end| *end != Timestamp::MAX)
    }

    pub fn set_progress(&self, progress: SourceProgress) {
        self.progress_done.set(progress.done);
        self.progress_total.set(progress.total);
    }

    pub fn saw_event_time(&self, newest: i64) {
        self.newest_event_time.fetch_max(newest, Ordering::Relaxed);
    }

    pub fn newest_event_time(&self) -> Option<Timestamp> {
        Some(Timestamp(self.newest_event_time.load(Ordering::Relaxed))).filter(|at| *at != Timestamp::MIN)
    }

    pub fn set_watermark(&self, watermark: Timestamp, now_ns: u64) {
        if self.watermark.swap(watermark.micros(), Ordering::Relaxed) != watermark.micros() {
            self.watermark_at_ns.store(now_ns, Ordering::Relaxed);
        }
    }

    pub fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark.load(Ordering::Relaxed))
    }

    /// When the watermark last moved, by the monotonic clock.
    pub fn watermark_at_ns(&self) -> u64 {
        self.watermark_at_ns.load(Ordering::Relaxed)
    }

    pub fn set_ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}
