//! What waits for one webhook: a short queue, and the task that works it off.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_model::alert::WebhookUrl;
use millrace_wire::alerts::WebhookFigures;

use super::post::Tried;
use super::{Body, Shared};

/// Messages that wait for one webhook; then the oldest goes, which says least of how things are.
const MOST_WAITING: usize = 16;

pub struct Line {
    url: WebhookUrl,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Body>,
    is_worked_off: bool,
    sent: u64,
    failed: u64,
    dropped: u64,
    problem: Option<String>,
}

impl Line {
    pub fn new(url: WebhookUrl) -> Line {
        Line { url, state: Mutex::default() }
    }

    pub const fn url(&self) -> &WebhookUrl {
        &self.url
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message. Returns at once: a task posts it.
    pub fn put(self: &Arc<Self>, body: Body, shared: &Arc<Shared>) {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            state.waiting.pop_front();
            state.dropped += 1;
        } else {
            shared.waiting.send_modify(|waiting| *waiting += 1);
        }
        state.waiting.push_back(body);
        if !state.is_worked_off {
            state.is_worked_off = true;
            tokio::spawn(work_off(self.clone(), shared.clone()));
        }
    }

    /// The next message. None: nothing waits, and the task ends.
    fn next(&self) -> Option<Body> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        state.is_worked_off = next.is_some();
        next
    }

    fn tried(&self, outcome: &Result<(), String>) {
        let mut state = self.state();
        match outcome {
            Ok(()) => {
                state.sent += 1;
                state.problem = None;
            }
            Err(problem) => {
                state.failed += 1;
                state.problem = Some(problem.clone());
            }
        }
    }

    pub fn figures(&self) -> WebhookFigures {
        let state = self.state();
        let (sent, failed, dropped) = (state.sent, state.failed, state.dropped);
        WebhookFigures { to: self.url.shown(), sent, failed, dropped, problem: state.problem.clone() }
    }
}

/// One message after the other, so that they come in their order.
async fn work_off(line: Arc<Line>, shared: Arc<Shared>) {
    while let Some(body) = line.next() {
        let outcome = tell(&line.url, &body, &shared).await;
        line.tried(&outcome);
        shared.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}

/// Tries until it is taken, refused for good, or there are no tries left.
async fn tell(url: &WebhookUrl, body: &Body, shared: &Shared) -> Result<(), String> {
    let mut waits = shared.patience.waits.iter();
    let mut tries = 0_usize;
    loop {
        tries += 1;
        let tried = {
            // Never closed: it is the engine's as long as this holds it.
            let _turn = shared.requests.acquire().await;
            shared.poster.post(url, body.clone()).await
        };
        let problem = match tried {
            Tried::Taken => return Ok(()),
            Tried::Refused(problem) => return Err(problem),
            Tried::Failed(problem) => problem,
        };
        match waits.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => return Err(format!("{problem}, after {tries} tries")),
        }
    }
}
