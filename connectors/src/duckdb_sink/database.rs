//! Opens a database: by a path that leads nowhere else, one at a time, and waiting a while for who holds it.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use duckdb::{Config, Connection};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::{RunError, RunResult};

use crate::codes;

/// How long a database that another process holds is waited for, before that is a failure.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What a commit may hold in memory; what is more goes to a folder of DuckDB's beside the database.
const MEMORY: &str = "512MB";
const THREADS: i64 = 2;

/// Two instances of DuckDB in one process would not see each other's lock, and spoil the file.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whether a database could be there at all. Changes nothing.
pub fn check(files: &Files, path: &Path) -> io::Result<()> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"));
    }
    let place = files.opened_by_path(path)?;
    // It would put its log where the path ends before a `?`.
    if place.to_string_lossy().contains('?') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "DuckDB takes no path with a `?`"));
    }
    if files.is_special(&place) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device or a pipe"));
    }
    if files.is_folder(&place).is_ok_and(|is_folder| is_folder) {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    match files.is_folder(place.parent().unwrap_or(Path::new(""))) {
        Ok(false) => Err(io::Error::new(io::ErrorKind::NotADirectory, "its folder is a file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A failure of DuckDB's, with what it was to do.
pub fn failed(path: &Path, error: impl ToString) -> RunError {
    RunError::connector(codes::DATABASE, format!("write to the database {}", path.display()), error, false)
}

/// Does some work with the database open, and closes it. Nobody else of this process has a database open meanwhile.
pub fn with<T>(files: &Files, path: &Path, work: impl FnOnce(&mut Connection) -> RunResult<T>) -> RunResult<T> {
    let refused = |error: io::Error| RunError::connector(codes::SINK_PATH, format!("open the database {}", path.display()), error, false);
    check(files, path).map_err(refused)?;
    let place = files.opened_by_path(path).map_err(refused)?;
    let begin = Instant::now();
    loop {
        // A panic while it was held left no instance open: unwinding closes it.
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        match open(&place) {
            Ok(mut connection) => {
                let done = work(&mut connection)?;
                connection.close().map_err(|(_, error)| failed(path, error))?;
                return Ok(done);
            }
            Err(error) if is_locked(&error) => {
                if begin.elapsed() >= LOCK_PATIENCE {
                    return Err(locked(path, &error));
                }
            }
            Err(error) => return Err(failed(path, error)),
        }
        drop(alone);
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Nothing that a database says brings code into this process.
fn open(place: &Path) -> duckdb::Result<Connection> {
    let config = Config::default().enable_autoload_extension(false)?.max_memory(MEMORY)?.threads(THREADS)?;
    Connection::open_with_flags(place, config)
}

fn is_locked(error: &duckdb::Error) -> bool {
    error.to_string().contains("Could not set lock on file")
}

fn locked(path: &Path, error: &duckdb::Error) -> RunError {
    let cause = format!("another process has it open, and DuckDB lets one write at a time; close it there ({error})");
    RunError::connector(codes::DATABASE_LOCKED, format!("open the database {}", path.display()), cause, true)
}
