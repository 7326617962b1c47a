//! Which deployments this process leads: each is led once in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By name: to whom it is to be handed once its run here is over, if it is. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Leading(Arc<Mutex<BTreeMap<String, Option<String>>>>);

/// That a deployment is led here, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    leading: Leading,
    deployment: String,
}

impl Leading {
    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_led(&self, deployment: &str) -> bool {
        self.names().contains_key(deployment)
    }

    /// Whether any is.
    pub fn is_any(&self) -> bool {
        !self.names().is_empty()
    }

    /// Once its run here is over, however that ends before all is read, another node is to go on with it.
    pub fn hand_over(&self, deployment: &str, to: &str) {
        if let Some(turn) = self.names().get_mut(deployment) {
            *turn = Some(to.to_owned());
        }
    }

    /// None if it is led here.
    pub fn begin(&self, deployment: &str) -> Option<Turn> {
        let mut names = self.names();
        let is_first = !names.contains_key(deployment);
        if is_first {
            names.insert(deployment.to_owned(), None);
        }
        is_first.then(|| Turn { leading: self.clone(), deployment: deployment.to_owned() })
    }
}

impl Turn {
    /// To whom it is to be handed, if it is.
    pub fn successor(&self) -> Option<String> {
        self.leading.names().get(&self.deployment).cloned().flatten()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leading.names().remove(&self.deployment);
    }
}
