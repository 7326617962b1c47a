//! Named steps of a run's life, at which the proof of `tests/crash` kills the process.
//!
//! In a debug build with `MILLRACE_HALT_AT=NAME` or `NAME:N`, the thread that comes to the step (for the Nth time) says `halted at NAME`
//! on standard error and stays there until it is killed, or until there is a file `MILLRACE_HALT_UNTIL`. A release build knows nothing of this.

/// Comes to a step.
#[cfg(debug_assertions)]
pub fn reached(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static HALT: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let halt = HALT.get_or_init(|| {
        let asked = std::env::var("MILLRACE_HALT_AT").ok()?;
        let (name, time) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), time.parse().ok()?))
    });
    let Some((_, time)) = halt.as_ref().filter(|(halt, _)| halt == name) else { return };
    if TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *time {
        eprintln!("halted at {name}");
        let until = std::env::var_os("MILLRACE_HALT_UNTIL");
        while until.as_ref().is_none_or(|file| !std::path::Path::new(file).exists()) {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// Comes to a step: nothing, in a release.
#[cfg(not(debug_assertions))]
pub const fn reached(_: &str) {}
