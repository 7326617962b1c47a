//! A bucket, and beside it a folder of this machine for what no other machine needs yet.
//!
//! In the folder lie: the lock, which keeps two processes of one machine apart; requests for savepoints, which are for the process that
//! runs here, and would cost a listing of the bucket each time they are looked for; and blocks of state that left memory. A block is
//! written here and read from here; the bucket gets it with the first epoch that refers to it, before that epoch is complete.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use millrace_state::checkpoint::{Paths, SavepointName};
use millrace_state::store::{Created, FolderStore, Store};
use millrace_state::{StateError, StateResult};

/// State in a bucket.
pub struct Remote<B> {
    bucket: B,
    here: FolderStore,
    /// Blocks that are only here. As many as there are blocks, which the quota on state bounds.
    waiting: Mutex<BTreeSet<String>>,
}

impl<B: Store> Remote<B> {
    /// Takes the folder, and clears away what processes that are gone had there: what is needed of it is in the bucket.
    ///
    /// # Errors
    /// [`millrace_state::StateError::InUse`] if another process of this machine has it.
    pub fn open(bucket: B, folder: &Path) -> StateResult<Remote<B>> {
        let here = FolderStore::open(folder)?;
        for run in here.list("")?.iter().filter_map(|name| Paths::run_of(name)) {
            forget(&here, &Paths { run }.blocks())?;
            here.remove_folder(&Paths { run }.run())?;
        }
        Ok(Remote { bucket, here, waiting: Mutex::default() })
    }

    /// Looks in while another process may run the pipeline.
    pub fn visit(bucket: B, folder: &Path) -> Remote<B> {
        Remote { bucket, here: FolderStore::visit(folder), waiting: Mutex::default() }
    }

    fn is_waiting(&self, path: &str) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// No longer; whether it was.
    fn waits_no_more(&self, path: &str) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(path)
    }

    /// Where all but blocks lie.
    fn place(&self, path: &str) -> &dyn Store {
        if is_request(path) { &self.here } else { &self.bucket }
    }
}

fn is_request(path: &str) -> bool {
    path.strip_prefix(SavepointName::requests()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes what is in a folder, and the folder.
fn forget(folder: &FolderStore, path: &str) -> StateResult<()> {
    for name in folder.list(path)? {
        folder.remove(&format!("{path}/{name}"))?;
    }
    folder.remove_folder(path)
}

impl<B: Store> Store for Remote<B> {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.place(path).put(path, bytes)
    }

    fn put_until_kept(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        self.here.put_for_now(path, bytes)
    }

    fn keep(&self, path: &str) -> StateResult<()> {
        if !self.is_waiting(path) {
            return Ok(());
        }
        let bytes = self.here.get(path, u64::MAX)?.ok_or_else(|| StateError::damaged(path, "it is missing"))?;
        self.bucket.put(path, &bytes)?;
        self.waits_no_more(path);
        Ok(())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        self.place(path).create(path, bytes)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.place(path).get(path, most_bytes)
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        match self.here.get_range(path, at, bytes)? {
            Some(found) => Ok(Some(found)),
            None => self.bucket.get_range(path, at, bytes),
        }
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        self.place(path).list(path)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        self.here.remove(path)?;
        if self.waits_no_more(path) { Ok(()) } else { self.bucket.remove(path) }
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        self.place(path).settle(path)
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        if is_request(path) {
            return self.here.remove_folder(path);
        }
        forget(&self.here, path)?;
        self.bucket.remove_folder(path)
    }

    fn is_shared(&self) -> bool {
        self.bucket.is_shared()
    }
}
