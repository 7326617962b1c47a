//! The folder of a node, on whatever disk.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_state::store::{Disk, SystemDisk};

use crate::error::{ControlError, ControlResult};

/// Where a node's log, snapshot and id lie. Cheap to clone.
#[derive(Clone)]
pub struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.folder).finish()
    }
}

impl Place {
    pub fn new(disk: Arc<dyn Disk>, folder: &Path) -> Place {
        Place { disk, folder: folder.to_owned() }
    }

    /// On a disk of this machine.
    pub fn on_system(folder: &Path) -> Place {
        Place::new(Arc::new(SystemDisk), folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file's bytes, up to so many; none if it is not there.
    pub(crate) fn read(&self, name: &str, most_bytes: u64) -> ControlResult<Option<Vec<u8>>> {
        let path = self.path(name);
        let read = || {
            let mut bytes = Vec::new();
            self.disk.open(&path)?.take(most_bytes).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ControlError::io(&path)(error)),
        }
    }

    /// Puts a file in place of what was there, at once and whole.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path(name).with_extension("new");
        self.disk.write_synced(&new, bytes)?;
        self.disk.rename(&new, &self.path(name))?;
        self.disk.sync_folder(&self.folder)
    }
}
