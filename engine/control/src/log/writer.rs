//! The thread that writes a log: what comes while it syncs is written together.

use std::io;

use openraft::storage::LogFlushed;
use tokio::sync::{mpsc, oneshot};

use super::records::Record;
use super::segments::Segments;
use crate::config::Types;

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

/// Writes until nobody is left that could send. After an error nothing more is written: what the disk holds is not known then.
pub fn write_all(mut segments: Segments, mut queue: mpsc::Receiver<Write>) {
    let mut failed: Option<String> = None;
    while let Some(first) = queue.blocking_recv() {
        let mut together = vec![first];
        while together.len() < TOGETHER
            && let Ok(next) = queue.try_recv()
        {
            together.push(next);
        }
        let (records, written): (Vec<Vec<Record>>, Vec<Written>) = together.into_iter().map(|write| (write.records, write.written)).unzip();
        let result = match &failed {
            Some(why) => Err(why.clone()),
            None => segments.write(&records.concat()).map_err(|error| error.to_string()),
        };
        if let Err(why) = &result {
            failed.get_or_insert_with(|| {
                tracing::error!(why, "the control group's log cannot be written any more");
                why.clone()
            });
        }
        for written in written {
            written.tell(result.clone().map_err(io::Error::other));
        }
    }
}
