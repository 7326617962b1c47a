//! A store that can be shut: for those who use it for a while, and must not once they were given up.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{Created, Store};
use crate::error::{StateError, StateResult};
use crate::planted::{self, Bug};

/// Open until it is shut, once and for all. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<RwLock<bool>>);

impl Gate {
    /// Waits for calls that are being carried out, and lets no further one through.
    pub fn shut(&self) {
        if planted::has(Bug::StaleMemberWrites) {
            return;
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn pass(&self, path: &str) -> StateResult<RwLockReadGuard<'_, bool>> {
        let shut = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *shut {
            let why = io::Error::new(io::ErrorKind::ConnectionAborted, "whoever asks was given up by the run's leader");
            return Err(StateError::io(path, why));
        }
        Ok(shut)
    }
}

/// A store behind a gate.
pub struct Gated {
    store: Arc<dyn Store>,
    gate: Gate,
}

impl Gated {
    pub fn new(store: Arc<dyn Store>, gate: Gate) -> Gated {
        Gated { store, gate }
    }
}

impl Store for Gated {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.put(path, bytes)
    }

    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.put_pieces(path, pieces)
    }

    fn put_for_now(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.put_for_now(path, bytes)
    }

    fn put_until_kept(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.put_until_kept(path, bytes)
    }

    fn keep(&self, path: &str) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.keep(path)
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        let _passed = self.gate.pass(path)?;
        self.store.create(path, bytes)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let _passed = self.gate.pass(path)?;
        self.store.get(path, most_bytes)
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let _passed = self.gate.pass(path)?;
        self.store.get_range(path, at, bytes)
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        let _passed = self.gate.pass(path)?;
        self.store.list(path)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.remove(path)
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.settle(path)
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        let _passed = self.gate.pass(path)?;
        self.store.remove_folder(path)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::FolderStore;

    use super::*;

    #[test]
    fn nothing_passes_a_gate_that_was_shut() {
        let folder = tempfile::tempdir().unwrap();
        let (store, gate) = (Arc::new(FolderStore::open(folder.path()).unwrap()), Gate::default());
        let gated = Gated::new(store.clone(), gate.clone());
        gated.put("a", b"1").unwrap();
        gate.shut();
        let refused = gated.put("b", b"2").unwrap_err();
        assert!(refused.is_retryable() && refused.to_string().contains("given up"), "{refused}");
        assert!(gated.get("a", 9).is_err());
        assert_eq!((store.get("a", 9).unwrap(), store.get("b", 9).unwrap()), (Some(b"1".to_vec()), None));
    }
}
