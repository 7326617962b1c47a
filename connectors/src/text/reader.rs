//! Cuts an input into records and fills columns with them; a bad record is set aside, and what stands around it flows.
//!
//! The cut depends on the bytes alone, never on how they came in blocks. A record is held whole in memory, so that it has a longest
//! size; a longer one is passed over up to the end of its first line, of which only the beginning is kept.

use std::io::Read;

use memchr::memchr;
use millrace_engine::model::Schema;
use millrace_engine::runtime::RunResult;
use millrace_engine::runtime::connector::{BadRecord, MAX_RAW_BYTES, SourceRows};
use serde_json::{Value, json};

use super::blocks::Blocks;
use super::columns::Columns;
use crate::format::MAX_CHUNK_CELLS;
use crate::reader::{Chunk, ChunkReader, changed, read_error};

/// Longest record if the pipeline does not say: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Bytes that may have to be seen behind a record to know that it ended.
const LINE_END: usize = 2;

/// Bytes of input after which a chunk is given out, however few rows it has.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Not within these bytes.
    More,
    /// After `length` bytes, and the next begins after `next`.
    Record { length: usize, next: usize },
    /// Nowhere: the record breaks the format, as its first `seen` bytes show. Its first line is the bad record.
    Broken { seen: usize, reason: &'static str },
}

/// How a text format cuts records and reads them.
pub trait RecordFormat: Send {
    /// Finds the end of the record that begins with `rest`. `ended` says that nothing comes after.
    fn frame(&mut self, rest: &[u8], ended: bool) -> Frame;

    /// Reads the record that `frame` just found into `columns`; `None` if it is no record at all, as a blank line.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn read(&mut self, record: &str, columns: &mut Columns) -> Result<Option<()>, String>;
}

/// Reads one input of a text format.
pub struct TextReader<F, R> {
    format: F,
    blocks: Blocks<R>,
    columns: Columns,
    name: String,
    max_record: usize,
    /// The line, from 1, where the next record begins.
    line: u64,
    /// Whether what is at hand is given out before waiting for more.
    eager: bool,
    lines: Vec<u64>,
    bad: Vec<BadRecord>,
}

/// What a step found.
enum Step {
    Record,
    Nothing,
    WouldRead,
    End,
}

impl<F: RecordFormat, R: Read + Send> TextReader<F, R> {
    pub fn new(format: F, blocks: Blocks<R>, schema: &Schema, name: String, max_record: usize) -> Self {
        let columns = Columns::new(schema);
        TextReader { format, blocks, columns, name, max_record, line: 1, eager: false, lines: Vec::new(), bad: Vec::new() }
    }

    /// For an input where waiting for the next block may take long.
    pub fn eager(self) -> Self {
        TextReader { eager: true, ..self }
    }

    /// Goes to where a chunk began, which the same reader told: past bytes that must be the same as then.
    ///
    /// What was read before is read once more to be sure of that, about a second for each gigabyte.
    pub fn resume(&mut self, at: &Value) -> RunResult<()> {
        let number = |name: &str| at.get(name).and_then(Value::as_u64);
        let (Some(byte), Some(line), Some(hash)) = (number("byte"), number("line"), number("hash")) else {
            return Err(changed(&self.name, &format!("{at} is no place in it")));
        };
        let is_there = self.blocks.go_to(byte).map_err(|error| read_error(&self.name, error))?;
        if !is_there {
            return Err(changed(&self.name, &format!("{byte} bytes of it were read, and it has only {} now", self.blocks.offset())));
        }
        if self.blocks.hash() != hash {
            return Err(changed(&self.name, &format!("its first {byte} bytes are not the same as when they were read")));
        }
        self.line = line;
        Ok(())
    }

    /// Passes over the header's record.
    pub fn skip_record(&mut self) -> RunResult<()> {
        loop {
            match self.format.frame(self.blocks.rest(), self.blocks.ended()) {
                Frame::More if self.blocks.ended() => return Ok(()),
                Frame::More => self.blocks.fill().map_err(|error| read_error(&self.name, error))?,
                Frame::Record { next, .. } => {
                    self.take(next);
                    return Ok(());
                }
                Frame::Broken { .. } => return Ok(()),
            }
        }
    }

    /// Passes over a byte order mark.
    pub fn skip_bom(&mut self) -> RunResult<()> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        while self.blocks.rest().len() < BOM.len() && !self.blocks.ended() {
            self.blocks.fill().map_err(|error| read_error(&self.name, error))?;
        }
        if self.blocks.rest().starts_with(BOM) {
            self.blocks.take(BOM.len());
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) {
        self.line += memchr::memchr_iter(b'\n', self.blocks.rest().get(..bytes).unwrap_or_default()).count() as u64;
        self.blocks.take(bytes);
    }

    fn step(&mut self) -> RunResult<Step> {
        let rest = self.blocks.rest();
        if rest.is_empty() {
            return Ok(if self.blocks.ended() { Step::End } else { Step::WouldRead });
        }
        match self.format.frame(rest, self.blocks.ended()) {
            Frame::Record { length, .. } if length > self.max_record => self.too_long(),
            Frame::More if rest.len() > self.max_record.saturating_add(LINE_END) => self.too_long(),
            Frame::More => Ok(Step::WouldRead),
            Frame::Broken { seen, .. } if seen > self.max_record.saturating_add(LINE_END) => self.too_long(),
            Frame::Broken { reason, .. } => self.first_line_is_bad(reason.to_owned()),
            Frame::Record { length, next } => Ok(self.record(length, next)),
        }
    }

    fn record(&mut self, length: usize, next: usize) -> Step {
        let record = self.blocks.rest().get(..length).unwrap_or_default();
        let outcome = match (memchr(0, record), std::str::from_utf8(record)) {
            (Some(_), _) => Err("a NUL byte".to_owned()),
            (None, Err(error)) => Err(format!("invalid UTF-8 at byte {} of the record", error.valid_up_to() + 1)),
            (None, Ok(text)) => self.format.read(text, &mut self.columns),
        };
        let step = match outcome {
            Ok(Some(())) => {
                self.lines.push(self.line);
                Step::Record
            }
            Ok(None) => Step::Nothing,
            Err(reason) => {
                self.bad.push(bad_record(reason, self.line, record));
                Step::Record
            }
        };
        self.take(next);
        step
    }

    fn too_long(&mut self) -> RunResult<Step> {
        let reason = format!("the record is longer than {} bytes", self.max_record);
        self.first_line_is_bad(reason)
    }

    /// Sets the first line aside and goes on after it. Of a line without end only the beginning is held.
    fn first_line_is_bad(&mut self, reason: String) -> RunResult<Step> {
        // So much of it is seen, wherever a block ends, that what is kept does not depend on it.
        while self.blocks.rest().len() <= MAX_RAW_BYTES && !self.blocks.ended() && memchr(b'\n', self.blocks.rest()).is_none() {
            self.blocks.fill().map_err(|error| read_error(&self.name, error))?;
        }
        let rest = self.blocks.rest();
        let seen = rest.get(..=MAX_RAW_BYTES).unwrap_or(rest);
        let kept = match memchr(b'\n', seen) {
            Some(end) => seen.get(..end).unwrap_or_default(),
            None => seen,
        };
        let kept = kept.strip_suffix(b"\r").unwrap_or(kept);
        self.bad.push(bad_record(reason, self.line, kept));
        loop {
            let rest = self.blocks.rest();
            if let Some(end) = memchr(b'\n', rest) {
                self.take(end + 1);
                return Ok(Step::Record);
            }
            let all = rest.len();
            self.blocks.take(all);
            if self.blocks.ended() {
                return Ok(Step::Record);
            }
            self.blocks.fill().map_err(|error| read_error(&self.name, error))?;
        }
    }

    fn has_rows(&self) -> bool {
        !self.lines.is_empty() || !self.bad.is_empty()
    }
}

impl<F: RecordFormat, R: Read + Send> ChunkReader for TextReader<F, R> {
    fn next(&mut self, max_rows: usize) -> RunResult<Option<Chunk>> {
        let (begin, line, hash) = (self.blocks.offset(), self.line, self.blocks.hash());
        let max_rows = max_rows.min(MAX_CHUNK_CELLS / self.columns.width().max(1)).max(1);
        while self.lines.len() + self.bad.len() < max_rows && self.blocks.offset() - begin < CHUNK_BYTES {
            match self.step()? {
                Step::Record | Step::Nothing => {}
                Step::End if self.has_rows() => break,
                Step::End => return Ok(None),
                Step::WouldRead if self.eager && self.has_rows() => break,
                Step::WouldRead => self.blocks.fill().map_err(|error| read_error(&self.name, error))?,
            }
        }
        let mut positions = std::mem::take(&mut self.lines);
        let first_position = positions.first().copied().unwrap_or(line);
        if positions.iter().zip(first_position..).all(|(at, next)| *at == next) {
            positions = Vec::new();
        }
        let rows = SourceRows { frame: self.columns.finish()?, first_position, positions, bad: std::mem::take(&mut self.bad) };
        let at = json!({ "byte": begin, "line": line, "hash": hash });
        Ok(Some(Chunk { rows, at, bytes_done: self.blocks.offset() }))
    }
}

fn bad_record(reason: String, line: u64, raw: &[u8]) -> BadRecord {
    BadRecord { reason, position: format!("line {line}"), raw: raw_text(raw) }
}

/// A record as it was: invalid UTF-8 replaced, cut at [`MAX_RAW_BYTES`].
pub fn raw_text(raw: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(raw.get(..MAX_RAW_BYTES.min(raw.len())).unwrap_or_default()).into_owned();
    if text.len() > MAX_RAW_BYTES {
        // A replaced byte takes three.
        let end = (0..=MAX_RAW_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
pub mod testing {
    //! Reads bytes in blocks of a size, and tells all that was seen.

    use millrace_engine::model::{DataType, Field, Schema};

    use super::*;

    pub type Seen = (Vec<String>, Vec<u64>, Vec<BadRecord>);

    /// The rows of two text columns `a` and `b`, their lines, and the bad records. The longest record has 20 bytes.
    pub fn read_all(format: impl RecordFormat, bytes: &[u8], block_bytes: usize) -> Seen {
        let schema = Schema::new(["a", "b"].map(|name| Field::new(name, DataType::Varchar)).to_vec());
        let mut reader = TextReader::new(format, Blocks::with_block(bytes, block_bytes), &schema, "x".to_owned(), 20);
        let (mut rows, mut lines, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(chunk) = reader.next(3).unwrap() {
            let height = chunk.rows.frame.height();
            rows.extend((0..height).map(|row| format!("{:?}", chunk.rows.frame.get_row(row).unwrap().0)));
            lines.extend((0..height).map(|row| chunk.rows.positions.get(row).copied().unwrap_or(chunk.rows.first_position + row as u64)));
            bad.extend(chunk.rows.bad);
        }
        (rows, lines, bad)
    }
}
