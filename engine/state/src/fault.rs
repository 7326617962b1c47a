//! Named places whose input or output fails, for the proof of `tests/crash`.
//!
//! In a debug build with `MILLRACE_FAIL_AT=NAME` or `NAME:N` the disk fails at the place, the first N times (once if N is absent): the bytes
//! are written, and the system says that they may not outlast a crash, as a failing `fsync` does. A release build knows nothing of this.

use std::io;

/// Comes to a place.
///
/// # Errors
/// As a disk's, where that is asked for.
#[cfg(debug_assertions)]
pub fn at(name: &str) -> io::Result<()> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Unix's EIO.
    const INPUT_OUTPUT_ERROR: i32 = 5;
    static FAIL: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let fail = FAIL.get_or_init(|| {
        let asked = std::env::var("MILLRACE_FAIL_AT").ok()?;
        let (name, times) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), times.parse().ok()?))
    });
    let Some((_, times)) = fail.as_ref().filter(|(fail, _)| fail == name) else { return Ok(()) };
    if TIMES.fetch_add(1, Ordering::Relaxed) >= *times {
        return Ok(());
    }
    eprintln!("failed at {name}");
    Err(io::Error::from_raw_os_error(INPUT_OUTPUT_ERROR))
}

/// Comes to a place: nothing, in a release.
///
/// # Errors
/// None.
#[cfg(not(debug_assertions))]
pub const fn at(_: &str) -> io::Result<()> {
    Ok(())
}
