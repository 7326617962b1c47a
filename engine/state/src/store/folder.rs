//! State in a folder of this machine.
//!
//! A file is written under another name, synced, then moved (or linked, which fails if the name is taken) into place, and its folder is
//! synced: after a crash it is there whole or not at all.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, DiskLock, SystemDisk, make_durable_folder};
use super::{Created, Store};
use crate::error::{StateError, StateResult};

/// A folder, held by one process at a time.
#[derive(Debug)]
pub struct FolderStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Released by the system however the process ends. A visitor has none.
    _lock: Option<DiskLock>,
    next: AtomicU64,
}

const LOCK: &str = "lock";
const UNFINISHED: &str = ".unfinished-";

impl FolderStore {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process, or another run of this one, has it.
    pub fn open(folder: &Path) -> StateResult<FolderStore> {
        FolderStore::open_on(Arc::new(SystemDisk), folder)
    }

    /// The same on another disk.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process has it.
    pub fn open_on(disk: Arc<dyn Disk>, folder: &Path) -> StateResult<FolderStore> {
        let failed = |cause| StateError::io(folder.display().to_string(), cause);
        make_durable_folder(disk.as_ref(), folder).map_err(failed)?;
        let Some(lock) = disk.lock(&folder.join(LOCK)).map_err(failed)? else {
            return Err(StateError::InUse { path: folder.display().to_string() });
        };
        let store = FolderStore { disk, folder: folder.to_path_buf(), _lock: Some(lock), next: AtomicU64::new(0) };
        store.sweep().map_err(failed)?;
        Ok(store)
    }

    /// Removes what a process that was killed had not finished in the folder itself. Who forgets a run or an epoch clears its own.
    fn sweep(&self) -> io::Result<()> {
        let names = self.disk.list(&self.folder)?;
        names.iter().filter(|name| name.starts_with(UNFINISHED)).try_for_each(|name| self.disk.remove_file(&self.folder.join(name)))
    }

    /// Looks in while another process may hold the folder: to list what is kept, and to leave a request.
    pub fn visit(folder: &Path) -> FolderStore {
        FolderStore { disk: Arc::new(SystemDisk), folder: folder.to_path_buf(), _lock: None, next: AtomicU64::new(0) }
    }

    /// Whether it is such a folder, and no process holds it.
    pub fn is_free(folder: &Path) -> bool {
        File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
    }

    fn at(&self, path: &str) -> StateResult<PathBuf> {
        let is_name = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\\');
        if path.split('/').all(is_name) {
            return Ok(self.folder.join(path));
        }
        Err(StateError::io(path, io::Error::new(ErrorKind::InvalidInput, "it leads out of the folder of states")))
    }

    /// Writes and syncs a file under a name of its own, beside where it is to stand.
    fn write_beside(&self, to: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
        let folder = to.parent().unwrap_or(&self.folder);
        self.make_folders(folder)?;
        let name = format!("{UNFINISHED}{}-{}", self.disk.process(), self.next.fetch_add(1, Ordering::Relaxed));
        let beside = folder.join(name);
        match write(&beside) {
            Ok(()) => Ok(beside),
            Err(error) => {
                let _ = self.disk.remove_file(&beside);
                Err(error)
            }
        }
    }

    /// Puts what `write` writes to a file beside.
    fn put_by(&self, path: &str, write: impl FnOnce(&Path) -> io::Result<()>) -> StateResult<()> {
        let to = self.at(path)?;
        let put = || {
            let beside = self.write_beside(&to, write)?;
            self.disk.rename(&beside, &to)?;
            self.sync_folder_of(&to)
        };
        put().map_err(|cause| StateError::io(path, cause))
    }

    /// Makes `folder` within the store's own, and syncs every folder that got a new name.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        if self.disk.is_folder(folder) || folder == self.folder {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.folder);
        self.make_folders(above)?;
        match self.disk.make_folder(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => self.disk.sync_folder(above),
        }
    }

    /// Makes the name of a file durable.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(path.parent().unwrap_or(&self.folder))
    }
}

impl Store for FolderStore {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.put_by(path, |beside| self.disk.write_synced(beside, bytes))
    }

    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        self.put_by(path, |beside| self.disk.write_pieces_synced(beside, pieces))
    }

    fn put_for_now(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        let to = self.at(path)?;
        let put = || {
            self.disk.make_folders(to.parent().unwrap_or(&self.folder))?;
            self.disk.write(&to, bytes)
        };
        put().map_err(|cause| StateError::io(path, cause))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        let to = self.at(path)?;
        let create = || {
            let beside = self.write_beside(&to, |beside| self.disk.write_synced(beside, bytes))?;
            let linked = self.disk.hard_link(&beside, &to);
            self.disk.remove_file(&beside)?;
            match linked {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Created::Before),
                other => other?,
            }
            // Folders on the way may be of a process that did not come to sync them, or could not.
            let mut own = to.ancestors().skip(1).take_while(|above| above.starts_with(&self.folder));
            own.try_for_each(|above| self.disk.sync_folder(above))?;
            Ok(Created::Now)
        };
        create().map_err(|cause| StateError::io(path, cause))
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let failed = |cause| StateError::io(path, cause);
        let file = match self.disk.open(&self.at(path)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let length = file.length().map_err(failed)?;
        if length > most_bytes {
            return Err(StateError::damaged(path, format!("it has {length} bytes, and {most_bytes} at most")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(most_bytes).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let failed = |cause| StateError::io(path, cause);
        let mut file = match self.disk.open(&self.at(path)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let length = file.length().map_err(failed)?;
        if at.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(StateError::damaged(path, format!("it has {length} bytes, and {bytes} at byte {at} are asked for")));
        }
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut read = Vec::new();
        file.take(bytes).read_to_end(&mut read).map_err(failed)?;
        Ok(Some(read))
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        let folder = if path.is_empty() { self.folder.clone() } else { self.at(path)? };
        let mut names = match self.disk.list(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|cause| StateError::io(path, cause))?,
        };
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        match self.disk.remove_file(&self.at(path)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StateError::io(path, error)),
            _ => Ok(()),
        }
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        match self.disk.sync_folder(&self.at(path)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StateError::io(path, error)),
            _ => Ok(()),
        }
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        match self.disk.remove_folder(&self.at(path)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StateError::io(path, error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_and_a_name_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(&folder.path().join("state")).unwrap();
        assert_eq!((store.get("a/b", 10).unwrap(), store.list("a").unwrap()), (None, vec![]));
        store.put("a/b", b"one").unwrap();
        store.put("a/b", b"two").unwrap();
        assert_eq!(store.create("a/c", b"three").unwrap(), Created::Now);
        assert_eq!(store.create("a/c", b"four").unwrap(), Created::Before);
        assert_eq!(store.get("a/b", 10).unwrap().unwrap(), b"two");
        assert_eq!(store.get("a/c", 10).unwrap().unwrap(), b"three");
        assert_eq!(store.list("a").unwrap(), ["b", "c"], "nothing unfinished is left");
        assert!(store.get("a/c", 2).is_err());
        for path in ["../x", "/x", "a//b", "a/../b", ""] {
            assert!(store.put(path, b"").is_err(), "{path:?}");
        }
        store.remove("a/b").unwrap();
        store.remove("a/b").unwrap();
        assert_eq!(store.list("a").unwrap(), ["c"]);
    }

    #[test]
    fn what_a_killed_process_had_not_finished_goes_when_the_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".unfinished-7-0"), b"ha").unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        assert_eq!(store.list("").unwrap(), ["lock"]);
    }

    #[test]
    fn one_holds_the_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderStore::open(folder.path()).unwrap();
        assert!(matches!(FolderStore::open(folder.path()), Err(StateError::InUse { .. })));
        drop(first);
        FolderStore::open(folder.path()).unwrap();
    }
}
