//! Where state lies: few and simple demands, so that an object store can meet them as a folder does.

mod direct;
mod disk;
mod folder;
mod gate;

pub use disk::{AppendFile, Disk, DiskLock, ReadFile, SystemDisk, make_durable_folder};
pub use folder::FolderStore;
pub use gate::{Gate, Gated};

use crate::error::StateResult;

/// Whether a conditional create was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Now,
    /// Something stood there before, and still stands.
    Before,
}

/// Keeps bytes under paths of `/` and names. What a call has put is durable when it returns. Calls block: they belong on a thread that may.
pub trait Store: Send + Sync {
    /// Puts bytes, in place of what may be there. Who reads sees the old or the new, whole.
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()>;

    /// The same of bytes in pieces, of which there may be many.
    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        self.put(path, &pieces.concat())
    }

    /// Puts bytes that need not outlive the process.
    fn put_for_now(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.put(path, bytes)
    }

    /// Puts bytes that no snapshot names yet. They outlive the process from [`Store::keep`] on.
    fn put_until_kept(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.put(path, bytes)
    }

    /// Sees that what was put until kept outlives the process, before an epoch refers to it. Nothing to do for what was put otherwise.
    fn keep(&self, _path: &str) -> StateResult<()> {
        Ok(())
    }

    /// Whether processes on other machines may use it at the same time: then no lock keeps two of them apart, only what is created once.
    fn is_shared(&self) -> bool {
        false
    }

    /// Puts bytes unless something is there.
    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created>;

    /// All bytes; an error if there are more than `most_bytes`, and none if nothing is there.
    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>>;

    /// `bytes` bytes from `at` on; an error if there are fewer, and none if nothing is there.
    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>>;

    /// The names directly below a path; none if nothing is there.
    fn list(&self, path: &str) -> StateResult<Vec<String>>;

    /// Removes what stands there, if something does. After a crash it may be there again.
    fn remove(&self, path: &str) -> StateResult<()>;

    /// Sees to it that no crash undoes what was done directly below a path: brings back what was removed, or takes away what stands there.
    fn settle(&self, path: &str) -> StateResult<()> {
        let _ = path;
        Ok(())
    }

    /// Removes a folder that is empty, where there are folders.
    fn remove_folder(&self, path: &str) -> StateResult<()>;
}
