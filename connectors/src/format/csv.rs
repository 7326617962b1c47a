//! Comma-separated values, after RFC 4180 and DuckDB's habits.
//!
//! - The first record names the columns (`header = false`: they are `column0`, `column1`, ..).
//! - A field may stand in double quotes, a quote within is doubled; a quoted field may hold line breaks. Lines end in `\n` or `\r\n`.
//! - What stands for NULL (`null`, nothing if absent) is NULL where it stands without quotes: `""` is an empty text.
//! - A blank line is no record, unless there is but one column.
//! - Written: a header, times as `2013-01-01 10:17:00.5`, not finite numbers as `nan`, `inf`, `-inf`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Read, Write};

use memchr::{memchr, memchr2};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{DataType, Field, Schema};
use millrace_engine::runtime::RunResult;
use millrace_engine::runtime::connector::BadRecord;
use polars::prelude::DataFrame;
use serde_json::Value;

use super::cells::{Cell, CellColumn, bug, columns_of, write_number};
use super::{DiscoverError, ReadOptions, RowWriter};
use crate::reader::ChunkReader;
use crate::text::blocks::Blocks;
use crate::text::infer::{SAMPLE_BYTES, SAMPLE_ROWS};
use crate::text::{Columns, Frame, Guess, RecordFormat, TextReader};

/// A field's place in its record.
#[derive(Debug, Clone, Copy)]
struct FieldAt {
    begin: usize,
    end: usize,
    quoted: bool,
    /// Whether it holds doubled quotes.
    escaped: bool,
}

/// Cuts records into fields.
#[derive(Debug)]
struct Splitter {
    delimiter: u8,
    fields: Vec<FieldAt>,
}

impl Splitter {
    const fn new(delimiter: u8) -> Self {
        Splitter { delimiter, fields: Vec::new() }
    }

    fn frame(&mut self, rest: &[u8], ended: bool) -> Frame {
        self.fields.clear();
        let mut at = 0;
        loop {
            let after = if rest.get(at) == Some(&b'"') { self.quoted(rest, at, ended) } else { self.plain(rest, at, ended) };
            match after {
                Ok(After::Delimiter(next)) => at = next,
                Ok(After::End { length, next }) => return Frame::Record { length, next },
                Err(frame) => return frame,
            }
        }
    }

    fn plain(&mut self, rest: &[u8], begin: usize, ended: bool) -> Result<After, Frame> {
        let tail = rest.get(begin..).unwrap_or_default();
        let end = match memchr2(self.delimiter, b'\n', tail) {
            Some(length) => begin + length,
            None if ended => rest.len(),
            None => return Err(Frame::More),
        };
        if rest.get(end) == Some(&self.delimiter) {
            self.fields.push(FieldAt { begin, end, quoted: false, escaped: false });
            return Ok(After::Delimiter(end + 1));
        }
        let length = if end > begin && rest.get(end - 1) == Some(&b'\r') { end - 1 } else { end };
        self.fields.push(FieldAt { begin, end: length, quoted: false, escaped: false });
        Ok(After::End { length, next: (end + 1).min(rest.len()) })
    }

    fn quoted(&mut self, rest: &[u8], begin: usize, ended: bool) -> Result<After, Frame> {
        let (mut scan, mut escaped) = (begin + 1, false);
        loop {
            let Some(length) = memchr(b'"', rest.get(scan..).unwrap_or_default()) else {
                let unclosed = Frame::Broken { seen: rest.len(), reason: "a quote is opened and never closed" };
                return Err(if ended { unclosed } else { Frame::More });
            };
            let quote = scan + length;
            match rest.get(quote + 1..).unwrap_or_default() {
                [] | [_] if !ended => return Err(Frame::More),
                [b'"', ..] => {
                    escaped = true;
                    scan = quote + 2;
                    continue;
                }
                after => {
                    self.fields.push(FieldAt { begin: begin + 1, end: quote, quoted: true, escaped });
                    let length = quote + 1;
                    return match after {
                        [] => Ok(After::End { length, next: length }),
                        [b'\n', ..] => Ok(After::End { length, next: length + 1 }),
                        [b'\r', b'\n', ..] => Ok(After::End { length, next: length + 2 }),
                        [b'\r'] => Ok(After::End { length, next: length + 1 }),
                        [first, ..] if *first == self.delimiter => Ok(After::Delimiter(length + 1)),
                        _ => Err(Frame::Broken { seen: quote + 3, reason: "something stands between a closing quote and the next field" }),
                    };
                }
            }
        }
    }

    /// A field's text, and whether it stood in quotes.
    fn field<'a>(&self, record: &'a str, index: usize) -> Option<(Cow<'a, str>, bool)> {
        let at = self.fields.get(index)?;
        let text = record.get(at.begin..at.end)?;
        Some((if at.escaped { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }, at.quoted))
    }
}

enum After {
    Delimiter(usize),
    End { length: usize, next: usize },
}

/// Reads records into columns.
struct CsvFormat {
    splitter: Splitter,
    null: String,
    /// The file's field for each column of the schema.
    order: Vec<usize>,
    /// Fields in the file's records.
    width: usize,
}

impl RecordFormat for CsvFormat {
    fn frame(&mut self, rest: &[u8], ended: bool) -> Frame {
        self.splitter.frame(rest, ended)
    }

    fn read(&mut self, record: &str, columns: &mut Columns) -> Result<Option<()>, String> {
        if record.is_empty() && self.width != 1 {
            return Ok(None);
        }
        let found = self.splitter.fields.len();
        if found != self.width {
            let what = if found < self.width { "missing" } else { "too many" };
            return Err(format!("{what} fields: {} expected, {found} found", self.width));
        }
        let is_null = |text: &str, quoted: bool| !quoted && text == self.null;
        let splitter = &self.splitter;
        let value = |column: usize| {
            let field = *self.order.get(column)?;
            splitter.field(record, field).and_then(|(text, quoted)| (!is_null(&text, quoted)).then_some(text))
        };
        columns.push(value).map(Some)
    }
}

/// The names and the sample's guesses of a file's columns.
fn look(input: &mut dyn Read, options: &ReadOptions) -> Result<(Vec<String>, Vec<Guess>), DiscoverError> {
    let mut sample = Vec::new();
    // A record may be longer than the sample; the first must be seen whole, since it names the columns.
    let limit = SAMPLE_BYTES.max(options.max_record + 2);
    input.take(limit as u64 + 1).read_to_end(&mut sample).map_err(DiscoverError::file)?;
    let ended = sample.len() <= limit;
    let mut rest: &[u8] = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&sample);
    let mut splitter = Splitter::new(options.delimiter);
    let mut names: Vec<String> = Vec::new();
    let mut guesses: Vec<Guess> = Vec::new();
    let mut rows = 0;
    while !rest.is_empty() && rows < SAMPLE_ROWS {
        match splitter.frame(rest, ended) {
            Frame::More => break,
            Frame::Broken { reason, .. } if guesses.is_empty() => {
                return Err(DiscoverError::file(format!("the first line cannot be read: {reason}")));
            }
            Frame::Broken { .. } => rest = memchr(b'\n', rest).and_then(|end| rest.get(end + 1..)).unwrap_or_default(),
            Frame::Record { length, next } => {
                let record = rest.get(..length).and_then(|record| std::str::from_utf8(record).ok());
                rest = rest.get(next..).unwrap_or_default();
                if length == 0 && guesses.len() != 1 {
                    continue;
                }
                if guesses.is_empty() {
                    let record = record.ok_or_else(|| DiscoverError::file("the first line is not UTF-8"))?;
                    names = column_names(&splitter, record, options);
                    guesses = vec![Guess::default(); names.len()];
                    if options.header {
                        continue;
                    }
                }
                if let Some(record) = record.filter(|_| splitter.fields.len() == guesses.len()) {
                    see(&splitter, record, options, &mut guesses);
                    rows += 1;
                }
            }
        }
    }
    if guesses.is_empty() && !rest.is_empty() {
        return Err(DiscoverError::file(format!("the first line does not end within {limit} bytes")));
    }
    Ok((names, guesses))
}

fn column_names(splitter: &Splitter, first: &str, options: &ReadOptions) -> Vec<String> {
    let count = splitter.fields.len();
    if !options.header && options.types.len() == count {
        return options.types.iter().map(|(name, _)| name.clone()).collect();
    }
    let name = |index: usize| {
        let named = splitter.field(first, index).map(|(text, _)| text.trim().to_owned());
        named.filter(|name| options.header && !name.is_empty()).unwrap_or_else(|| format!("column{index}"))
    };
    (0..count).map(name).collect()
}

fn see(splitter: &Splitter, record: &str, options: &ReadOptions, guesses: &mut [Guess]) {
    for (index, guess) in guesses.iter_mut().enumerate() {
        if let Some((text, quoted)) = splitter.field(record, index)
            && (quoted || text != options.null)
        {
            guess.see_text(&text);
        }
    }
}

pub(super) fn discover(mut file: File, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    discover_in(&mut file, options)
}

/// As [`super::discover`], of anything that can be read.
pub(crate) fn discover_in(input: &mut dyn Read, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    let (names, guesses) = look(input, options)?;
    let field = |(name, guess): (String, Guess)| {
        let guessed = if options.keep_text.as_ref() == Some(&name) { DataType::Varchar } else { guess.data_type() };
        let data_type = options.type_of(&name).unwrap_or(guessed);
        Field::new(name, data_type)
    };
    Ok(Schema::new(names.into_iter().zip(guesses).map(field).collect()))
}

pub(super) fn open(
    mut file: File,
    name: &str,
    schema: &SchemaRef,
    options: &ReadOptions,
    at: Option<&Value>,
) -> RunResult<Box<dyn ChunkReader>> {
    use std::io::Seek;

    let (names, _) = look(&mut file, &ReadOptions { max_record: options.max_record, ..options.clone() })
        .map_err(|error| super::open_error(name, &error))?;
    file.rewind().map_err(|error| crate::reader::read_error(name, error))?;
    let mut reader = reader(file, name, schema, options, &names)?;
    at.map(|at| reader.resume(at)).transpose()?;
    Ok(Box::new(reader))
}

/// Reads records in the columns of `schema`, out of a file whose columns are `names`.
pub(crate) fn reader<R: Read + Send>(
    input: R,
    name: &str,
    schema: &SchemaRef,
    options: &ReadOptions,
    names: &[String],
) -> RunResult<TextReader<impl RecordFormat + use<R>, R>> {
    let order = if names.is_empty() { (0..schema.fields.len()).collect() } else { super::order_of(name, schema, names)? };
    let width = if names.is_empty() { schema.fields.len() } else { names.len() };
    let format = CsvFormat { splitter: Splitter::new(options.delimiter), null: options.null.clone(), order, width };
    let mut reader = TextReader::new(format, Blocks::new(input), schema, name.to_owned(), options.max_record);
    reader.skip_bom()?;
    if options.header {
        reader.skip_record()?;
    }
    Ok(reader)
}

/// Writes CSV.
pub struct CsvWriter {
    file: BufWriter<File>,
    schema: SchemaRef,
    text: Vec<u8>,
}

impl CsvWriter {
    pub(super) fn new(file: File, schema: &SchemaRef) -> std::io::Result<Self> {
        let mut writer = CsvWriter { file: BufWriter::new(file), schema: schema.clone(), text: Vec::new() };
        write_header(schema, &mut writer.text);
        Ok(writer)
    }
}

impl RowWriter for CsvWriter {
    fn write(&mut self, frame: &DataFrame) -> std::io::Result<Vec<BadRecord>> {
        write_rows(frame, &self.schema, &mut self.text)?;
        self.file.write_all(&self.text)?;
        self.text.clear();
        Ok(Vec::new())
    }

    fn finish(mut self: Box<Self>) -> std::io::Result<()> {
        self.file.write_all(&self.text)?;
        self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

/// Writes the columns' names as a record.
pub fn write_header(schema: &SchemaRef, out: &mut Vec<u8>) {
    for (index, name) in schema.names().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
    }
    out.push(b'\n');
}

/// Writes the schema's columns of `frame`, a record per row.
pub fn write_rows(frame: &DataFrame, schema: &SchemaRef, out: &mut Vec<u8>) -> std::io::Result<()> {
    let series = columns_of(frame, schema)?;
    let columns = series.iter().map(CellColumn::new).collect::<Result<Vec<_>, _>>().map_err(bug)?;
    for row in 0..frame.height() {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match column.cell(row) {
                Cell::Null => {}
                Cell::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
                Cell::Text(text) => write_text(text, out),
                Cell::Time(text) => out.extend_from_slice(text.as_bytes()),
                number => write_number(&number, out),
            }
        }
        out.push(b'\n');
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let plain = !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::reader::testing::{Seen, read_all};

    fn read(bytes: &[u8], block_bytes: usize) -> Seen {
        let format = CsvFormat { splitter: Splitter::new(b','), null: String::new(), order: vec![0, 1], width: 2 };
        read_all(format, bytes, block_bytes)
    }

    proptest! {
        #[test]
        fn records_are_the_same_however_the_bytes_come(
            pieces in prop::collection::vec(prop::sample::select(vec![
                b"a".as_slice(), b"bb", b",", b"\"", b"\"\"", b"\n", b"\r\n", b"\r", "ä".as_bytes(), b"\xc3", b"\xff", b"\0", b"xxxxxxxxxxxxxxxx", b",x\n",
            ]), 0..60),
        ) {
            let bytes = pieces.concat();
            let whole = read(&bytes, 1 << 20);
            for block_bytes in [1, 2, 3, 7, 64] {
                prop_assert_eq!(&read(&bytes, block_bytes), &whole);
            }
        }
    }
}
