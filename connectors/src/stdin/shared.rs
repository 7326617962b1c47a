//! Standard input, of which discovery has read the beginning before the run reads it all.

use std::io::{self, IsTerminal, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_engine::runtime::{RunError, RunResult};
use tokio::sync::oneshot;

use crate::codes;

/// The process' one standard input. Under one lock, so that a look and a run that begin at once do not take bytes from each other.
static BEGINNING: Mutex<Beginning> = Mutex::new(Beginning { seen: Vec::new(), is_taken: false });

const BLOCK_BYTES: usize = 64 * 1024;

struct Beginning {
    /// What discovery has read. A run reads it first; it stays, since looks at a running pipeline ask for it again.
    seen: Vec<u8>,
    /// Whether a run is reading, or has read.
    is_taken: bool,
}

fn beginning() -> MutexGuard<'static, Beginning> {
    BEGINNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads on until `lines` lines are there (or what is there is longer than a record may be, or the end), and shows all that was read.
/// Once a run has it, shows what was read before.
pub async fn peek(lines: usize, max_record: usize) -> io::Result<Vec<u8>> {
    let (tell, told) = oneshot::channel();
    // A thread of its own: a runtime that shuts down waits for its blocking pool, and standard input may never say a word.
    std::thread::Builder::new().name("millrace-stdin".to_owned()).spawn(move || {
        let _ = tell.send(peek_blocking(lines, max_record));
    })?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the reader broke down")))
}

fn peek_blocking(lines: usize, max_record: usize) -> io::Result<Vec<u8>> {
    let mut input = io::stdin();
    if input.is_terminal() {
        return Err(io::Error::other("it is a terminal"));
    }
    let mut beginning = beginning();
    let mut block = vec![0; BLOCK_BYTES];
    let is_enough = |seen: &[u8]| memchr::memchr_iter(b'\n', seen).count() >= lines || seen.len() > max_record.saturating_mul(lines);
    while !beginning.is_taken && !is_enough(&beginning.seen) {
        let read = input.read(&mut block)?;
        if read == 0 {
            break;
        }
        beginning.seen.extend_from_slice(block.get(..read).unwrap_or_default());
    }
    Ok(beginning.seen.clone())
}

/// Standard input from its beginning, for one reader.
pub struct SharedInput {
    begin: io::Cursor<Vec<u8>>,
}

impl SharedInput {
    /// # Errors
    /// If another node or run has it: what one has read the other cannot.
    pub fn take() -> RunResult<SharedInput> {
        let mut beginning = beginning();
        if std::mem::replace(&mut beginning.is_taken, true) {
            let cause = "another node or an earlier run has read it; for another run, start the process with a new pipe";
            return Err(RunError::connector(codes::READ, "read standard input", cause, false));
        }
        Ok(SharedInput { begin: io::Cursor::new(beginning.seen.clone()) })
    }
}

impl Read for SharedInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.begin.read(into)? {
            0 if !into.is_empty() => io::stdin().read(into),
            read => Ok(read),
        }
    }
}
