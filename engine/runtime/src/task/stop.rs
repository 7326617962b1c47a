//! How a run is told to stop.

use millrace_wire::message::StopMode;
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stopping {
    No,
    /// Sources end, the rest goes through.
    Drain,
    /// Everything ends where it is.
    Abort,
}

impl From<StopMode> for Stopping {
    fn from(mode: StopMode) -> Self {
        match mode {
            StopMode::Drain => Stopping::Drain,
            StopMode::Abort => Stopping::Abort,
        }
    }
}

/// The sending end; a stop is never taken back, and an abort overrides a drain.
#[derive(Debug)]
pub struct StopSignal {
    sender: watch::Sender<Stopping>,
}

#[derive(Debug, Clone)]
pub struct StopReceiver {
    receiver: watch::Receiver<Stopping>,
}

impl Default for StopSignal {
    fn default() -> Self {
        StopSignal { sender: watch::Sender::new(Stopping::No) }
    }
}

impl StopSignal {
    pub fn send(&self, stopping: Stopping) {
        self.sender.send_if_modified(|current| {
            let is_more = stopping > *current;
            *current = stopping.max(*current);
            is_more
        });
    }

    pub fn current(&self) -> Stopping {
        *self.sender.borrow()
    }

    pub fn receiver(&self) -> StopReceiver {
        StopReceiver { receiver: self.sender.subscribe() }
    }
}

impl StopReceiver {
    pub fn current(&self) -> Stopping {
        *self.receiver.borrow()
    }

    /// Waits until the run stops at least this hard. A signal that is gone, with its job, is an abort.
    pub async fn reached(&mut self, at_least: Stopping) {
        // An error says that the sender is gone, which ends the wait all the same.
        let _ = self.receiver.wait_for(|current| *current >= at_least).await;
    }
}
