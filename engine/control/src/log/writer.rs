//! Who writes a log, on a thread of its own: what comes while it syncs is written together.

use std::io;

use millrace_state::store::DiskLock;
use openraft::storage::LogFlushed;
use tokio::sync::{mpsc, oneshot};

use super::records::Record;
use super::segments::Segments;
use crate::config::Types;
use crate::time;

/// Writes that wait.
pub const QUEUE: usize = 256;

/// Writes of one frame.
const TOGETHER: usize = 64;

/// Something to be written, and who waits for it.
pub struct Write {
    pub records: Vec<Record>,
    pub written: Written,
}

pub enum Written {
    /// Raft's own way to be told of entries.
    Entries(LogFlushed<Types>),
    Asked(oneshot::Sender<io::Result<()>>),
}

impl Written {
    fn tell(self, result: io::Result<()>) {
        match self {
            Written::Entries(flushed) => flushed.log_io_completed(result),
            // Who does not wait any more does not mind.
            Written::Asked(asked) => drop(asked.send(result)),
        }
    }
}

/// Who writes. After an error nothing more is written: what the disk holds is not known then.
pub struct Writer {
    segments: Segments,
    failed: Option<String>,
    /// Held until all is written.
    _lock: DiskLock,
}

impl Writer {
    pub const fn new(segments: Segments, lock: DiskLock) -> Writer {
        Writer { segments, failed: None, _lock: lock }
    }

    /// Writes until nobody is left that could send, on a thread that may block.
    pub fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        while let Some(first) = queue.blocking_recv() {
            self.write(together(first, &mut queue));
        }
    }

    /// The same where no thread may block.
    pub async fn run_beside(mut self, mut queue: mpsc::Receiver<Write>) {
        while let Some(first) = queue.recv().await {
            let writes = together(first, &mut queue);
            let writing = time::blocking(move || {
                self.write(writes);
                self
            });
            match writing.await {
                Ok(writer) => self = writer,
                Err(_) => return,
            }
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        let (records, written): (Vec<Vec<Record>>, Vec<Written>) = writes.into_iter().map(|write| (write.records, write.written)).unzip();
        let result = match &self.failed {
            Some(why) => Err(why.clone()),
            None => self.segments.write(&records.concat()).map_err(|error| error.to_string()),
        };
        if let Err(why) = &result {
            self.failed.get_or_insert_with(|| {
                tracing::error!(why, "the control group's log cannot be written any more");
                why.clone()
            });
        }
        for written in written {
            written.tell(result.clone().map_err(io::Error::other));
        }
    }
}

/// What has come meanwhile is written in the same frame.
fn together(first: Write, queue: &mut mpsc::Receiver<Write>) -> Vec<Write> {
    let mut together = vec![first];
    while together.len() < TOGETHER
        && let Ok(next) = queue.try_recv()
    {
        together.push(next);
    }
    together
}
