//! A blocking reader on a thread of its own, a bounded number of chunks ahead of who reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use millrace_engine::runtime::connector::{Read, Source, SourceProgress, SourceRows};
use millrace_engine::runtime::{RunError, RunResult};
use millrace_engine::state::planted::{self, Bug};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::codes;

/// Chunks that a reader may be ahead.
const CHUNKS_AHEAD: usize = 4;
/// KiB that a reader may be ahead; a chunk of more counts as so many.
const KIB_AHEAD: u32 = 64 * 1024;

/// Records that were read together.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub rows: SourceRows,
    /// Where its first record begins, in the reader's own words.
    pub at: Value,
    /// Bytes of the input up to its end.
    pub bytes_done: u64,
}

/// Reads an input, waiting where it must.
pub trait ChunkReader: Send {
    /// The next records, at most `max_rows`, good and bad together; `None` at the end.
    fn next(&mut self, max_rows: usize) -> RunResult<Option<Chunk>>;
}

/// What a position in an input is called in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionUnit {
    Line,
    Row,
}

/// A chunk on its way, and its share of what the reader may be ahead.
type Ahead = (Chunk, OwnedSemaphorePermit);

/// Opens an input where a chunk of it began; at its beginning if none is named.
type Open = Box<dyn FnOnce(Option<Value>) -> RunResult<Box<dyn ChunkReader>> + Send>;

/// A source that is read by a thread, which starts with the first read.
pub struct ThreadedSource {
    name: String,
    unit: PositionUnit,
    open: Option<Open>,
    chunk_rows: usize,
    chunks: Option<mpsc::Receiver<RunResult<Ahead>>>,
    pending: Option<Chunk>,
    /// Good and bad records of `pending` that were given out.
    given: (usize, usize),
    at: Value,
    /// Good and bad records of what follows `at` that a former reader gave out.
    passed_over: (usize, usize),
    progress: Option<SourceProgress>,
}

impl ThreadedSource {
    /// `open` runs on the reader's thread. `total_bytes` is there if the input has an end.
    pub fn new(name: String, unit: PositionUnit, chunk_rows: usize, total_bytes: Option<u64>, open: Open) -> Self {
        let progress = total_bytes.map(|total| SourceProgress { done: 0, total });
        ThreadedSource {
            name,
            unit,
            open: Some(open),
            chunk_rows: chunk_rows.max(1),
            chunks: None,
            pending: None,
            given: (0, 0),
            at: Value::Null,
            passed_over: (0, 0),
            progress,
        }
    }

    fn start(&mut self, open: Open) -> RunResult<()> {
        let (to_reader, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (name, chunk_rows, runtime) = (self.name.clone(), self.chunk_rows, Handle::current());
        let at = Some(self.at.clone()).filter(|at| !at.is_null());
        let run = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| read_all(open, at, chunk_rows, &runtime, &to_reader)));
            let failure = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => RunError::connector(codes::READ, format!("read {name}"), panic_text(panic.as_ref()), false),
            };
            // If nobody listens any more, nobody needs to know.
            let _ = to_reader.blocking_send(Err(failure));
        };
        std::thread::Builder::new()
            .name("millrace-read".to_owned())
            .spawn(run)
            .map_err(|error| RunError::connector(codes::READ, format!("start a reader for {}", self.name), error, true))?;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// The next part of what is pending, of at most `max_rows`.
    fn part(&mut self, max_rows: usize) -> Option<SourceRows> {
        let chunk = self.pending.as_ref()?;
        let (good, bad) = self.given;
        let height = chunk.rows.frame.height();
        let take_bad = (chunk.rows.bad.len() - bad).min(max_rows);
        let take_good = (height - good).min(max_rows - take_bad);
        let rows = SourceRows {
            frame: chunk.rows.frame.slice(good as i64, take_good),
            first_position: chunk.rows.positions.get(good).copied().unwrap_or(chunk.rows.first_position + good as u64),
            positions: chunk.rows.positions.get(good..good + take_good).map(<[u64]>::to_vec).unwrap_or_default(),
            bad: chunk.rows.bad.get(bad..bad + take_bad).map(<[_]>::to_vec).unwrap_or_default(),
        };
        self.given = (good + take_good, bad + take_bad);
        if self.given == (height, chunk.rows.bad.len()) {
            self.finish_pending();
        }
        Some(rows)
    }

    /// What of a new chunk had been given out before, by a former reader.
    fn pass_over(&mut self, chunk: &Chunk) -> (usize, usize) {
        let good = self.passed_over.0.min(chunk.rows.frame.height());
        let bad = self.passed_over.1.min(chunk.rows.bad.len());
        self.passed_over = (self.passed_over.0 - good, self.passed_over.1 - bad);
        (good, bad)
    }

    fn finish_pending(&mut self) {
        if let Some(chunk) = self.pending.take()
            && let Some(progress) = &mut self.progress
        {
            progress.done = chunk.bytes_done.min(progress.total);
        }
    }
}

fn read_all(open: Open, at: Option<Value>, chunk_rows: usize, runtime: &Handle, chunks: &mpsc::Sender<RunResult<Ahead>>) -> RunResult<()> {
    let mut reader = open(at)?;
    let room = Arc::new(Semaphore::new(KIB_AHEAD as usize));
    while let Some(chunk) = reader.next(chunk_rows)? {
        let kib = u32::try_from(chunk.rows.frame.estimated_size() / 1024).unwrap_or(KIB_AHEAD).min(KIB_AHEAD);
        // The permits of chunks that nobody will read come back with them, so that this wait ends with the source.
        let Ok(permit) = runtime.block_on(room.clone().acquire_many_owned(kib)) else { break };
        if chunks.blocking_send(Ok((chunk, permit))).is_err() {
            break;
        }
    }
    Ok(())
}

#[async_trait]
impl Source for ThreadedSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn read(&mut self, max_rows: usize) -> RunResult<Read> {
        let max_rows = max_rows.max(1);
        if let Some(open) = self.open.take() {
            self.start(open)?;
        }
        while self.pending.is_none() {
            let Some(chunks) = &mut self.chunks else { return Ok(Read::End) };
            let Some(chunk) = chunks.recv().await else {
                self.chunks = None;
                return Ok(Read::End);
            };
            let (chunk, _room) = chunk?;
            self.at = chunk.at.clone();
            self.given = self.pass_over(&chunk);
            if self.given == (0, 0) && chunk.rows.bad.is_empty() && chunk.rows.frame.height() <= max_rows {
                self.given.0 = chunk.rows.frame.height();
                if let Some(progress) = &mut self.progress {
                    progress.done = chunk.bytes_done.min(progress.total);
                }
                return Ok(Read::Rows(chunk.rows));
            }
            let is_given = self.given == (chunk.rows.frame.height(), chunk.rows.bad.len());
            self.pending = Some(chunk);
            if is_given {
                self.finish_pending();
            }
        }
        Ok(self.part(max_rows).map_or(Read::End, Read::Rows))
    }

    fn position(&self) -> Value {
        let too_far = usize::from(planted::has(Bug::OffsetOffByOne));
        json!({ "chunk": self.at, "rows": self.given.0 + self.passed_over.0 + too_far, "bad": self.given.1 + self.passed_over.1 })
    }

    fn seek(&mut self, position: &Value) -> RunResult<()> {
        let count = |name: &str| position.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let (Some(at), Some(rows), Some(bad)) = (position.get("chunk"), count("rows"), count("bad")) else {
            return Err(changed(&self.name, &format!("{position} is no place in it")));
        };
        self.at = at.clone();
        self.passed_over = (rows, bad);
        Ok(())
    }

    fn position_text(&self, position: u64) -> String {
        match self.unit {
            PositionUnit::Line => format!("line {position}"),
            PositionUnit::Row => format!("row {position}"),
        }
    }

    fn progress(&self) -> Option<SourceProgress> {
        self.progress
    }
}

/// An input that a run cannot go on with.
pub fn changed(name: &str, how: &str) -> RunError {
    let cause = format!("{how}, so that the run cannot go on where it was; put the input back as it was, or run with --fresh");
    RunError::connector(codes::INPUT_CHANGED, format!("go on reading {name}"), cause, false)
}

/// A failure to read, in the words of the file.
pub fn read_error(name: &str, error: impl ToString) -> RunError {
    RunError::connector(codes::READ, format!("read {name}"), error, false)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the reader could not make sense of it ({})", text.unwrap_or("no reason given"))
}
