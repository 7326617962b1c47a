//! JSON Lines: an object per line, a column per member.
//!
//! - The columns are the members of the first 1,000 objects, in the order in which they first stand there. A member that a later object
//!   lacks is NULL there; one that only a later object has is passed over.
//! - Whole numbers are BIGINT, others DOUBLE; texts that all read as a date or a time are DATE or TIMESTAMP; objects and arrays are VARCHAR
//!   and hold their JSON, as does a column of mixed kinds.
//! - A text is taken for a number, boolean or time if the column is one and the text reads as one, as DuckDB does it.
//! - Written: times as `"2013-01-01 10:17:00.5"`; not finite numbers, which JSON lacks, as `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};

use memchr::memchr;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{DataType, Field, Schema};
use millrace_engine::runtime::RunResult;
use millrace_engine::runtime::connector::BadRecord;
use polars::prelude::{DataFrame, PolarsError};
use serde_json::Value;

use super::cells::{Cell, CellColumn, bug, columns_of, write_number};
use super::{DiscoverError, MAX_COLUMNS, ReadOptions, RowWriter};
use crate::reader::ChunkReader;
use crate::text::blocks::Blocks;
use crate::text::infer::{SAMPLE_BYTES, SAMPLE_ROWS};
use crate::text::json::{self, Json};
use crate::text::{Columns, Frame, Guess, RecordFormat, TextReader};

fn frame(rest: &[u8], ended: bool) -> Frame {
    let end = match memchr(b'\n', rest) {
        Some(end) => end,
        None if ended => rest.len(),
        None => return Frame::More,
    };
    let length = if end > 0 && rest.get(end - 1) == Some(&b'\r') { end - 1 } else { end };
    Frame::Record { length, next: (end + 1).min(rest.len()) }
}

/// Reads lines into columns.
struct JsonlFormat {
    columns: HashMap<String, usize>,
}

impl RecordFormat for JsonlFormat {
    fn frame(&mut self, rest: &[u8], ended: bool) -> Frame {
        frame(rest, ended)
    }

    fn read(&mut self, record: &str, columns: &mut Columns) -> Result<Option<()>, String> {
        if record.trim_ascii().is_empty() {
            return Ok(None);
        }
        let mut values: Vec<Json<'_>> = vec![Json::Null; columns.width()];
        json::members(record, |name, value| {
            if let Some(place) = self.columns.get(name.as_ref()).and_then(|column| values.get_mut(*column)) {
                *place = value;
            }
        })?;
        let value = |column: usize| match values.get(column)? {
            Json::Null => None,
            Json::Bool(true) => Some(Cow::Borrowed("true")),
            Json::Bool(false) => Some(Cow::Borrowed("false")),
            Json::Number(text) | Json::Nested(text) => Some(Cow::Borrowed(*text)),
            Json::Text(text) => Some(Cow::Borrowed(text.as_ref())),
        };
        columns.push(value).map(Some)
    }
}

pub(super) fn discover(mut file: File, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    discover_in(&mut file, options)
}

/// As [`super::discover`], of anything that can be read.
pub(crate) fn discover_in(input: &mut dyn Read, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    let mut sample = Vec::new();
    let limit = SAMPLE_BYTES.max(options.max_record + 2);
    input.take(limit as u64 + 1).read_to_end(&mut sample).map_err(DiscoverError::file)?;
    let ended = sample.len() <= limit;
    let mut rest: &[u8] = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&sample);
    let mut names: Vec<String> = Vec::new();
    let mut guesses: HashMap<String, Guess> = HashMap::new();
    let (mut rows, mut first_error) = (0, None);
    while !rest.is_empty() && rows < SAMPLE_ROWS {
        let Frame::Record { length, next } = frame(rest, ended) else { break };
        let record = rest.get(..length).and_then(|record| std::str::from_utf8(record).ok());
        rest = rest.get(next..).unwrap_or_default();
        let Some(record) = record.filter(|record| !record.trim_ascii().is_empty()) else { continue };
        let mut members = Vec::new();
        // A broken line tells nothing of the columns; it will be quarantined.
        let mut keep = |name, value| {
            // One more than can be read tells enough.
            if members.len() <= MAX_COLUMNS {
                members.push((name, value));
            }
        };
        match json::members(record, &mut keep) {
            Ok(()) => rows += 1,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        }
        if members.len() > MAX_COLUMNS {
            return Err(DiscoverError::file(format!("an object of it has more than {MAX_COLUMNS} members")));
        }
        for (name, value) in members {
            if !guesses.contains_key(name.as_ref()) {
                names.push(name.as_ref().to_owned());
            }
            see(&value, guesses.entry(name.into_owned()).or_default());
        }
    }
    if let (0, Some(error), true) = (rows, first_error, options.types.is_empty()) {
        return Err(DiscoverError::file(format!("no line of it is a JSON object; the first: {error}")));
    }
    if rows == 0 && !rest.is_empty() && options.types.is_empty() {
        return Err(DiscoverError::file(format!("no line of it ends within {limit} bytes")));
    }
    // A column that the pipeline names may well stand in later objects only.
    for (name, _) in &options.types {
        if !names.contains(name) && rows == 0 {
            names.push(name.clone());
        }
    }
    let field = |name: String| {
        let guessed = guesses.get(&name).map_or(DataType::Varchar, Guess::data_type);
        let guessed = if options.keep_text.as_ref() == Some(&name) { DataType::Varchar } else { guessed };
        let data_type = options.type_of(&name).unwrap_or(guessed);
        Field::new(name, data_type)
    };
    Ok(Schema::new(names.into_iter().map(field).collect()))
}

fn see(value: &Json<'_>, guess: &mut Guess) {
    match value {
        Json::Null => {}
        Json::Bool(_) => guess.see_json_boolean(),
        Json::Number(text) => guess.see_json_number(text),
        Json::Text(text) => guess.see_json_text(text),
        Json::Nested(_) => guess.see_document(),
    }
}

pub(super) fn open(
    file: File,
    name: &str,
    schema: &SchemaRef,
    options: &ReadOptions,
    at: Option<&Value>,
) -> RunResult<Box<dyn ChunkReader>> {
    let mut reader = reader(file, name, schema, options)?;
    at.map(|at| reader.resume(at)).transpose()?;
    Ok(Box::new(reader))
}

/// Reads lines in the columns of `schema`.
pub(crate) fn reader<R: Read + Send>(
    input: R,
    name: &str,
    schema: &SchemaRef,
    options: &ReadOptions,
) -> RunResult<TextReader<impl RecordFormat + use<R>, R>> {
    let columns = schema.names().enumerate().map(|(index, name)| (name.to_owned(), index)).collect();
    let mut reader = TextReader::new(JsonlFormat { columns }, Blocks::new(input), schema, name.to_owned(), options.max_record);
    reader.skip_bom()?;
    Ok(reader)
}

/// Writes JSON Lines.
pub struct JsonlWriter {
    file: BufWriter<File>,
    schema: SchemaRef,
    text: Vec<u8>,
}

impl JsonlWriter {
    pub(super) fn new(file: File, schema: &SchemaRef) -> Self {
        JsonlWriter { file: BufWriter::new(file), schema: schema.clone(), text: Vec::new() }
    }
}

impl RowWriter for JsonlWriter {
    fn write(&mut self, frame: &DataFrame) -> std::io::Result<Vec<BadRecord>> {
        write_rows(frame, &self.schema, &mut self.text)?;
        self.file.write_all(&self.text)?;
        self.text.clear();
        Ok(Vec::new())
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

/// Writes the schema's columns of `frame`, a line per row.
pub fn write_rows(frame: &DataFrame, schema: &SchemaRef, out: &mut Vec<u8>) -> std::io::Result<()> {
    let series = columns_of(frame, schema)?;
    let columns = series.iter().map(CellColumn::new).collect::<Result<Vec<_>, _>>().map_err(bug)?;
    let names: Vec<Vec<u8>> = schema
        .names()
        .enumerate()
        .map(|(index, name)| {
            let mut text = vec![if index == 0 { b'{' } else { b',' }];
            json::write_text(name, &mut text);
            text.push(b':');
            text
        })
        .collect();
    for row in 0..frame.height() {
        if columns.is_empty() {
            out.push(b'{');
        }
        for (name, column) in names.iter().zip(&columns) {
            out.extend_from_slice(name);
            write_cell(&column.cell(row), out);
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(())
}

/// The beginning of a row as an object: a text is cut at `most_bytes`, and a column that begins after them is not written.
pub(crate) fn row_beginning(frame: &DataFrame, row: usize, most_bytes: usize) -> Result<Vec<u8>, PolarsError> {
    let mut out = Vec::new();
    for column in frame.columns() {
        if out.len() >= most_bytes {
            return Ok(out);
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::write_text(column.name(), &mut out);
        out.push(b':');
        let series = column.as_materialized_series();
        match CellColumn::new(series)?.cell(row) {
            Cell::Text(text) => json::write_text(text.get(..text.floor_char_boundary(most_bytes)).unwrap_or_default(), &mut out),
            cell => write_cell(&cell, &mut out),
        }
    }
    out.push(b'}');
    Ok(out)
}

fn write_cell(cell: &Cell<'_>, out: &mut Vec<u8>) {
    let not_finite = |value: f64| {
        if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
    };
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Cell::Text(text) => json::write_text(text, out),
        Cell::Time(text) => json::write_text(text, out),
        Cell::Float(value) if !value.is_finite() => json::write_text(not_finite(f64::from(*value)), out),
        Cell::Double(value) if !value.is_finite() => json::write_text(not_finite(*value), out),
        number => write_number(number, out),
    }
}

#[cfg(test)]
mod tests {
    use millrace_engine::runtime::connector::MAX_RAW_BYTES;
    use proptest::prelude::*;

    use super::*;
    use crate::text::reader::testing::{Seen, read_all};

    fn read(bytes: &[u8], block_bytes: usize) -> Seen {
        let columns = HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]);
        read_all(JsonlFormat { columns }, bytes, block_bytes)
    }

    proptest! {
        #[test]
        fn records_are_the_same_however_the_bytes_come(
            pieces in prop::collection::vec(prop::sample::select(vec![
                b"{\"a\":1}\n".as_slice(), b"{\"b\":\"x\"}", b"\n", b"\r\n", b"{", b"}", b"\"", b" ", "ä".as_bytes(), b"\xc3", b"\xff", b"\0",
                b"xxxxxxxxxxxxxxxxxxxx",
            ]), 0..60),
        ) {
            let bytes = pieces.concat();
            let whole = read(&bytes, 1 << 20);
            for block_bytes in [1, 2, 3, 7, 64] {
                prop_assert_eq!(&read(&bytes, block_bytes), &whole);
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_long_line_is_the_same_however_the_bytes_come() {
        for length in MAX_RAW_BYTES - 1..=MAX_RAW_BYTES + 3 {
            for line_end in ["", "\r", "\n", "\r\n", "x\r\n", "\n{\"a\":1}\r\n"] {
                let text = format!("{}{line_end}", "x".repeat(length));
                let whole = read(text.as_bytes(), 1 << 20);
                let line = text.lines().next().unwrap().trim_end_matches('\r').len();
                assert_eq!(whole.2.first().map(|bad| bad.raw.len()), Some(line.min(MAX_RAW_BYTES)), "{length} {line_end:?}");
                for block_bytes in [1, 7, MAX_RAW_BYTES, MAX_RAW_BYTES + 1, MAX_RAW_BYTES + 2] {
                    assert_eq!(read(text.as_bytes(), block_bytes), whole, "{length} {line_end:?} in blocks of {block_bytes}");
                }
            }
        }
    }
}
