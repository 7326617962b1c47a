//! Holds a sink to its `rate`.

use std::time::Duration;

use millrace_model::field::Rate;

/// How often in a second a limited sink writes, at most.
const SLICES_PER_SECOND: f64 = 20.0;

/// Spreads rows evenly over time.
#[derive(Debug)]
pub struct RateLimiter {
    rows_per_second: f64,
    /// The next rows may go from this moment on.
    free_ns: u64,
}

impl RateLimiter {
    pub fn new(rate: Rate) -> Self {
        RateLimiter { rows_per_second: rate.rows_per_second, free_ns: 0 }
    }

    /// The most rows to write at once.
    pub fn slice_rows(&self) -> usize {
        ((self.rows_per_second / SLICES_PER_SECOND) as usize).max(1)
    }

    /// Books `rows`, and says how long to wait before they may go.
    pub fn book(&mut self, rows: usize, now_ns: u64) -> Duration {
        let start = self.free_ns.max(now_ns);
        self.free_ns = start.saturating_add((rows as f64 / self.rows_per_second * 1e9) as u64);
        Duration::from_nanos(start - now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_evenly() {
        let mut limiter = RateLimiter::new(Rate { rows_per_second: 100.0 });
        assert_eq!(limiter.slice_rows(), 5);
        assert_eq!(limiter.book(5, 0), Duration::ZERO);
        assert_eq!(limiter.book(5, 0), Duration::from_millis(50));
        assert_eq!(limiter.book(5, 80_000_000), Duration::from_millis(20));
        assert_eq!(limiter.book(5, 1_000_000_000), Duration::ZERO, "a pause earns no burst");
    }
}
