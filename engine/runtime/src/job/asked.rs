//! Savepoints that whoever holds a run asks it for. Other processes ask by files in the folder of its state.

use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_state::checkpoint::SavepointName;
use tokio::sync::{oneshot, watch};

use crate::checkpoint::{Savepoint, codes};
use crate::error::{RunError, RunResult};

/// Requests that wait for their epoch; more are refused.
const MOST_WAITING: usize = 16;

type Answer = oneshot::Sender<RunResult<Savepoint>>;

/// Requests without an answer.
#[derive(Debug)]
pub struct AskedSavepoints {
    waiting: Mutex<Waiting>,
    bell: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    asked: Vec<Ask>,
    is_over: bool,
}

#[derive(Debug)]
struct Ask {
    name: SavepointName,
    /// Whether an attempt has taken it up.
    is_taken_up: bool,
    answer: Answer,
}

impl Default for AskedSavepoints {
    fn default() -> Self {
        AskedSavepoints { waiting: Mutex::default(), bell: watch::Sender::new(0) }
    }
}

impl AskedSavepoints {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one. What comes of it is told by the receiver.
    ///
    /// # Errors
    /// If the run is over, or as many are waited for as may be.
    pub fn ask(&self, name: SavepointName) -> RunResult<oneshot::Receiver<RunResult<Savepoint>>> {
        let mut waiting = self.waiting();
        if waiting.is_over {
            return Err(refused("the run is over".to_owned(), "take it of the pipeline's file: millrace savepoint FILE NAME"));
        }
        let is_known = waiting.asked.iter().any(|ask| ask.name == name);
        if is_known || waiting.asked.len() >= MOST_WAITING {
            return Err(refused(format!("savepoint `{name}` is waited for, or too many others are"), "wait until they are taken"));
        }
        let (answer, answered) = oneshot::channel();
        waiting.asked.push(Ask { name, is_taken_up: false, answer });
        drop(waiting);
        self.bell.send_modify(|rung| *rung += 1);
        Ok(answered)
    }

    /// Rings when one is asked for.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// The names that wait for an answer, each with whether it was taken up before; only those that were not, unless an attempt begins.
    pub fn take_up(&self, begins: bool) -> Vec<(SavepointName, bool)> {
        let mut waiting = self.waiting();
        let taken = waiting.asked.iter_mut().filter(|ask| begins || !ask.is_taken_up);
        taken.map(|ask| (ask.name.clone(), std::mem::replace(&mut ask.is_taken_up, true))).collect()
    }

    /// Answers whoever asked for that name here, if anybody did.
    pub fn answer(&self, name: &SavepointName, what: RunResult<Savepoint>) {
        let mut waiting = self.waiting();
        if let Some(at) = waiting.asked.iter().position(|ask| ask.name == *name) {
            // Whoever asked may be gone.
            let _ = waiting.asked.swap_remove(at).answer.send(what);
        }
    }

    /// The run is over: none is taken any more.
    pub fn over(&self) {
        let mut waiting = self.waiting();
        waiting.is_over = true;
        for Ask { name, answer, .. } in waiting.asked.drain(..) {
            let message = format!("savepoint `{name}` was not taken: the run ended before");
            let _ = answer.send(Err(refused(message, "see how it ended")));
        }
    }
}

/// That a savepoint was not taken.
pub fn refused(message: String, help: &'static str) -> RunError {
    RunError::State { code: codes::NO_SAVEPOINT, message, help, retryable: false }
}
