//! Which deployments this process leads: each is led once in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Leading(Arc<Mutex<BTreeSet<String>>>);

/// That a deployment is led here, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    leading: Leading,
    deployment: String,
}

impl Leading {
    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_led(&self, deployment: &str) -> bool {
        self.names().contains(deployment)
    }

    /// None if it is led here.
    pub fn begin(&self, deployment: &str) -> Option<Turn> {
        let is_first = self.names().insert(deployment.to_owned());
        is_first.then(|| Turn { leading: self.clone(), deployment: deployment.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leading.names().remove(&self.deployment);
    }
}
