//! Large files past the system's cache.
//!
//! What is written once and read after a crash has no use of the cache, and would drive from it what has. Nor need the kernel find, clear and
//! fill a page for each 4 KiB, which took more of a core than all the encoding before it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Files of fewer bytes go through the cache.
pub const LEAST_BYTES: usize = 8 << 20;

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 4 << 20;

/// What direct writes begin and end at, on disk and in memory: no disk has larger blocks.
const ALIGNMENT: usize = 4096;

/// Writes a file in place of what may be there, and syncs it. False, and nothing is written, if the file system knows no direct writes.
pub fn write_synced(path: &Path, pieces: &[Vec<u8>]) -> io::Result<bool> {
    let Some(file) = open(path)? else { return Ok(false) };
    let mut out = Aligned::new(file);
    for piece in pieces {
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            match out.take(rest) {
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                // Some file systems take the flag and refuse the write.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && out.written == 0 => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    out.finish()?;
    Ok(true)
}

/// Gathers bytes to whole chunks.
struct Aligned {
    file: File,
    room: Vec<u8>,
    /// Where the room is aligned.
    begin: usize,
    filled: usize,
    written: u64,
}

impl Aligned {
    fn new(file: File) -> Aligned {
        let room = vec![0; CHUNK_BYTES + ALIGNMENT];
        let begin = room.as_ptr().align_offset(ALIGNMENT);
        Aligned { file, room, begin, filled: 0, written: 0 }
    }

    /// Takes as many bytes as there is room for; a chunk that is full goes out first.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filled == CHUNK_BYTES {
            self.write(CHUNK_BYTES)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.filled);
        let at = self.begin + self.filled;
        if let (Some(place), Some(bytes)) = (self.room.get_mut(at..at + taken), bytes.get(..taken)) {
            place.copy_from_slice(bytes);
        }
        self.filled += taken;
        Ok(taken)
    }

    fn write(&mut self, bytes: usize) -> io::Result<()> {
        self.file.write_all(self.room.get(self.begin..self.begin + bytes).unwrap_or_default())?;
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// The last bytes, filled up to a whole block, which is then cut off.
    fn finish(mut self) -> io::Result<()> {
        self.write(self.filled.next_multiple_of(ALIGNMENT))?;
        self.file.set_len(self.written)?;
        self.file.sync_all()
    }
}

#[cfg(target_os = "linux")]
fn open(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;

    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    match File::options().write(true).create(true).truncate(true).custom_flags(direct).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn open(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_are_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let piece = |length: usize, begin: u8| (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(begin)).collect::<Vec<u8>>();
        for lengths in [vec![1], vec![24, CHUNK_BYTES - 24], vec![24, 3 * CHUNK_BYTES + 5_000, 0, 7], vec![CHUNK_BYTES, CHUNK_BYTES, 4096]]
        {
            let pieces: Vec<Vec<u8>> = lengths.iter().zip(1..).map(|(length, begin)| piece(*length, begin)).collect();
            let path = folder.path().join("file");
            std::fs::write(&path, vec![9; 5 * CHUNK_BYTES]).unwrap();
            if write_synced(&path, &pieces).unwrap() {
                assert!(std::fs::read(&path).unwrap() == pieces.concat(), "{lengths:?}");
            }
        }
    }
}
