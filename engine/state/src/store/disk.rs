//! What a folder of states asks of a disk: the system's, or a simulated one that loses what was not synced.

use std::any::Any;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::direct;

/// A lock that is held until this is dropped, or the process is gone.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// A file that is being read.
pub trait ReadFile: Read + Seek {
    fn length(&self) -> io::Result<u64>;
}

/// A file that is written at its end.
pub trait AppendFile: Send + fmt::Debug {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes its bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The calls of a file system. None is durable by itself: a file's bytes are once they are synced, and a name once its folder is.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Tells the unfinished files of this process from those of others.
    fn process(&self) -> u32;

    /// Makes the file if need be, and takes it; none if another holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>>;

    fn is_folder(&self, path: &Path) -> bool;

    /// Makes one folder, in one that is there.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes a folder with those that it lies in, as far as they are not there.
    fn make_folders(&self, folder: &Path) -> io::Result<()>;

    /// Writes a file, in place of what may be there.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Writes a file, and syncs its bytes.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// The same of bytes in pieces, of which there may be many.
    fn write_pieces_synced(&self, path: &Path, pieces: &[Vec<u8>]) -> io::Result<()> {
        self.write_synced(path, &pieces.concat())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// Opens a file to be written at its end, which is made if need be.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Lets go of a file's bytes from a length on, and syncs it.
    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Names that nothing stands under yet.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in a folder, in any order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that is empty.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;
}

/// Makes a folder, with those that it lies in, whose names are as durable as what is put there.
///
/// # Errors
/// As the disk's. Then what was made is taken away again: whoever comes next makes it anew, rather than take it for durable.
pub fn make_durable_folder(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    // One at least: another may have made it, and not come to sync that.
    let made = folder.ancestors().take_while(|folder| !disk.is_folder(folder)).count().max(1);
    disk.make_folders(folder)?;
    let mut above = folder.ancestors().skip(1).take(made).filter(|above| !above.as_os_str().is_empty());
    let synced = above.try_for_each(|above| disk.sync_folder(above));
    if synced.is_err() {
        // One that holds something stays, and was durable before that was put there.
        let _ = folder.ancestors().take(made).try_for_each(|made| disk.remove_folder(made));
    }
    synced
}

/// The disks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl ReadFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl AppendFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for SystemDisk {
    fn process(&self) -> u32 {
        std::process::id()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let lock = File::options().create(true).truncate(false).write(true).open(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Box::new(lock))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)
    }

    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn write_pieces_synced(&self, path: &Path, pieces: &[Vec<u8>]) -> io::Result<()> {
        if pieces.iter().map(Vec::len).sum::<usize>() >= direct::LEAST_BYTES && direct::write_synced(path, pieces)? {
            return Ok(());
        }
        let mut file = File::create(path)?;
        pieces.iter().try_for_each(|piece| file.write_all(piece))?;
        file.sync_all()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(File::options().create(true).append(true).open(path)?))
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }
}
