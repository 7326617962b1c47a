//! A clock that moves when it is told to.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use millrace_runtime::Clock;

/// Stands at 2026-01-01 and 0 ns until it is advanced; sleepers wake when their time has come.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now_ns: u64,
    sleepers: Vec<Waker>,
}

/// 2026-01-01T00:00:00Z.
pub const START_US: i64 = 1_767_225_600_000_000;

impl ManualClock {
    pub fn advance(&self, time: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now_ns += time.as_nanos() as u64;
        state.sleepers.drain(..).for_each(Waker::wake);
    }
}

impl Clock for ManualClock {
    fn wall_us(&self) -> i64 {
        START_US + (self.monotonic_ns() / 1_000) as i64
    }

    fn monotonic_ns(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).now_ns
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let state = self.state.clone();
        let until = self.monotonic_ns() + time.as_nanos() as u64;
        Box::pin(poll_fn(move |context| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.now_ns >= until {
                return Poll::Ready(());
            }
            state.sleepers.push(context.waker().clone());
            Poll::Pending
        }))
    }
}
