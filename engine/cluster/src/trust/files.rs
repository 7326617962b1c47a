//! Files that are their user's alone.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::TrustError;

/// No file of a keyring comes near to this.
const MAX_BYTES: u64 = 64 << 10;

/// Makes a folder that nobody else may look into (0700), whoever made it before.
pub fn private_folder(path: &Path) -> Result<(), TrustError> {
    let made = fs::create_dir_all(path).and_then(|()| close(path));
    made.map_err(TrustError::folder(path))
}

#[cfg(unix)]
fn close(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn close(_: &Path) -> io::Result<()> {
    // A user's folders are theirs by default there.
    Ok(())
}

/// Puts a file in place at once and whole, for its user alone (0600), whatever stood there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = (|| {
        // Temporary files are 0600 from the beginning: there is no moment at which others can read it.
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    })();
    written.map_err(TrustError::folder(path))
}

/// Reads a file. None: it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, TrustError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrustError::folder(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(TrustError::folder(path))?;
    Ok(Some(bytes))
}

/// Removes a file that may be there.
pub fn remove(path: &Path) -> Result<(), TrustError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TrustError::folder(path)(error)),
        _ => Ok(()),
    }
}

/// Has a folder to itself until the file is dropped, or the process ends.
pub fn lock(folder: &Path) -> Result<fs::File, TrustError> {
    let path = folder.join("lock");
    write_if_absent(&path).map_err(TrustError::folder(&path))?;
    let file = fs::File::open(&path).map_err(TrustError::folder(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(TrustError::InUse { path: folder.to_owned() }),
        Err(fs::TryLockError::Error(cause)) => Err(TrustError::folder(&path)(cause)),
    }
}

fn write_if_absent(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// The names in a folder that are plain names, in their order; none if there is no such folder.
pub fn names(folder: &Path) -> Result<Vec<String>, TrustError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrustError::folder(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(TrustError::folder(folder))?;
        names.extend(entry.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}
