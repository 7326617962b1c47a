//! That a process is being emptied: it takes nothing new, and what it has goes elsewhere, so that it can be stopped and nothing is missed.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends with the process: one that starts again takes part. Clones are the same.
#[derive(Debug, Clone)]
pub struct Drains(Arc<watch::Sender<bool>>);

impl Default for Drains {
    fn default() -> Self {
        Drains(Arc::new(watch::Sender::new(false)))
    }
}

impl Drains {
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Whether that is a change.
    pub fn set(&self, is_on: bool) -> bool {
        self.0.send_if_modified(|before| std::mem::replace(before, is_on) != is_on)
    }

    pub fn follow(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}
