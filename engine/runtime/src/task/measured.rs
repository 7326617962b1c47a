//! Splits the life of a future into work and waiting.

use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::clock::Clock;
use crate::telemetry::Stopwatch;

/// Runs `future`: time within its polls goes to `busy`, time between them to `waiting`.
pub async fn measured<F: Future>(future: F, busy: &Stopwatch, waiting: &Stopwatch, clock: &dyn Clock) -> F::Output {
    let mut future = pin!(future);
    let mut pause = None;
    poll_fn(|context| {
        drop(pause.take());
        let work = busy.run(clock);
        let poll = future.as_mut().poll(context);
        drop(work);
        if poll.is_pending() {
            pause = Some(waiting.run(clock));
        }
        poll
    })
    .await
}
