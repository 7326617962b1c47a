//! Files in parts, read away from the threads that keep sessions alive.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;

/// How much of a file goes in one message.
pub const PART_BYTES: usize = 256 << 10;

/// The next part: shorter than [`PART_BYTES`] (or empty) only at the file's end.
pub fn read_part(mut file: File) -> io::Result<(File, Bytes)> {
    let mut bytes = Vec::with_capacity(PART_BYTES);
    file.by_ref().take(PART_BYTES as u64).read_to_end(&mut bytes)?;
    Ok((file, Bytes::from(bytes)))
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
