//! File formats: one file each.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{DataType, Field, Schema};
use millrace_engine::runtime::connector::BadRecord;
use millrace_engine::runtime::{RunError, RunResult};
use polars::prelude::DataFrame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codes;
use crate::reader::{ChunkReader, PositionUnit};
use crate::text::reader::MAX_RECORD_BYTES;

mod cells;
pub mod csv;
pub mod jsonl;
pub mod parquet;

pub use cells::{Cell, CellColumn, write_number};

/// A file format, by the name that a pipeline gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a header.
    Csv,
    /// JSON Lines: an object per line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Parquet => "parquet",
        }
    }

    /// The format that a path's extension names.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Some(Format::Csv),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            "parquet" | "pq" => Some(Format::Parquet),
            _ => None,
        }
    }

    /// What a record's place is counted in.
    pub const fn position_unit(self) -> PositionUnit {
        match self {
            Format::Csv | Format::Jsonl => PositionUnit::Line,
            Format::Parquet => PositionUnit::Row,
        }
    }
}

/// How an input is to be read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    pub format: Format,
    /// Between a CSV record's fields.
    pub delimiter: u8,
    /// Whether a CSV file's first record names the columns.
    pub header: bool,
    /// What stands for NULL in CSV.
    pub null: String,
    /// Longest record, in bytes.
    pub max_record: usize,
    /// Types that the pipeline gives, in its order.
    pub types: Vec<(String, DataType)>,
    /// A column that stays text, whatever it looks like: its reading is the pipeline's own.
    pub keep_text: Option<String>,
}

impl ReadOptions {
    pub fn new(format: Format) -> Self {
        ReadOptions {
            format,
            delimiter: b',',
            header: true,
            null: String::new(),
            max_record: MAX_RECORD_BYTES,
            types: Vec::new(),
            keep_text: None,
        }
    }

    fn type_of(&self, column: &str) -> Option<DataType> {
        self.types.iter().find(|(name, _)| name == column).map(|(_, data_type)| *data_type)
    }
}

/// Why an input's columns cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoverError {
    /// Reading failed, or the file is not of its format.
    File { message: String, help: Option<String> },
    /// `schema` names a column that is not there.
    NoSuchColumn { column: String, known: Vec<String> },
    /// `schema` gives a column a type that it cannot have.
    WrongType { column: String, message: String },
    /// A column's own type cannot be carried.
    Unsupported { column: String, data_type: String },
}

impl fmt::Display for DiscoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiscoverError::File { message, .. } => f.write_str(message),
            DiscoverError::NoSuchColumn { column, .. } => write!(f, "it has no column `{column}`"),
            DiscoverError::WrongType { column, message } => write!(f, "column `{column}`: {message}"),
            DiscoverError::Unsupported { column, data_type } => {
                write!(f, "column `{column}` is of Parquet's type {data_type}, which a stream cannot carry")
            }
        }
    }
}

impl DiscoverError {
    pub(crate) fn file(message: impl ToString) -> Self {
        DiscoverError::File { message: message.to_string(), help: None }
    }
}

/// Tells the columns of an input from its beginning (Parquet: from its footer).
pub fn discover(file: File, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    let schema = match options.format {
        Format::Csv => csv::discover(file, options)?,
        Format::Jsonl => jsonl::discover(file, options)?,
        Format::Parquet => parquet::discover(file, options)?,
    };
    with_types(schema, options)
}

/// Most columns of an input.
pub const MAX_COLUMNS: usize = 10_000;
/// Longest name of a column: it stands in every reason why one of its values is bad.
pub const MAX_NAME_BYTES: usize = 1024;
/// Most values of a chunk. A short line may stand for very many NULLs, so that its bytes bound nothing.
pub const MAX_CHUNK_CELLS: usize = 1 << 20;

/// The columns that an input claims to have are few and short enough to work with, and each has a name of its own.
fn check_columns(schema: &Schema) -> Result<(), DiscoverError> {
    let count = schema.fields.len();
    if count > MAX_COLUMNS {
        return Err(DiscoverError::file(format!("it has {count} columns; at most {MAX_COLUMNS} are read")));
    }
    let mut names = HashSet::new();
    for (index, name) in schema.names().enumerate() {
        if !names.insert(name) {
            return Err(DiscoverError::file(format!("its column {} is called `{name}`, as one before it is", index + 1)));
        }
        if name.len() > MAX_NAME_BYTES {
            let what = format!("the name of its column {} has {} bytes; at most {MAX_NAME_BYTES} are read", index + 1, name.len());
            return Err(DiscoverError::file(what));
        }
        if name.contains('\0') {
            return Err(DiscoverError::file(format!("the name of its column {} holds a NUL byte; is it text in UTF-8?", index + 1)));
        }
    }
    Ok(())
}

/// Holds `schema`'s names against the columns that were found.
pub(crate) fn with_types(schema: Schema, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    check_columns(&schema)?;
    let missing = options.types.iter().find(|(name, _)| schema.field(name).is_none());
    match missing {
        // Nothing in it, nothing to contradict.
        Some(_) if schema.fields.is_empty() => {
            let fields = options.types.iter().map(|(name, data_type)| Field::new(name, *data_type));
            Ok(Schema::new(fields.collect()))
        }
        Some((name, _)) => Err(DiscoverError::NoSuchColumn { column: name.clone(), known: schema.names().map(str::to_owned).collect() }),
        None => Ok(schema),
    }
}

/// Opens a file to read it in the columns of `schema`, from its first record, or from where a [`Chunk`](crate::reader::Chunk) of it began.
///
/// # Errors
/// With `at`, if what stands before it is not what stood there then.
pub fn open(file: File, name: &str, schema: &SchemaRef, options: &ReadOptions, at: Option<&Value>) -> RunResult<Box<dyn ChunkReader>> {
    match options.format {
        Format::Csv => csv::open(file, name, schema, options, at),
        Format::Jsonl => jsonl::open(file, name, schema, options, at),
        Format::Parquet => parquet::open(file, name, schema, options, at),
    }
}

/// The file's column for each of the schema's.
fn order_of(name: &str, schema: &SchemaRef, columns: &[String]) -> RunResult<Vec<usize>> {
    let place = |column: &str| {
        columns.iter().position(|known| known == column).ok_or_else(|| {
            let cause = format!("it has no column `{column}`; every file of a path must have the columns of the first");
            RunError::connector(codes::COLUMNS_CHANGED, format!("read {name}"), cause, false)
        })
    };
    schema.names().map(place).collect()
}

fn open_error(name: &str, error: &DiscoverError) -> RunError {
    RunError::connector(codes::READ, format!("read {name}"), error, false)
}

/// Writes rows to one file.
pub trait RowWriter: Send {
    /// Takes the schema's columns of `frame`; gives back the rows that could not be written.
    fn write(&mut self, frame: &DataFrame) -> std::io::Result<Vec<BadRecord>>;

    /// Ends the file, and makes it durable.
    fn finish(self: Box<Self>) -> std::io::Result<()>;
}

/// Puts files together that [`create`] began, each ended by [`RowWriter::finish`]: their rows, one after another. Makes it durable.
pub fn concatenate(parts: Vec<File>, mut to: File, format: Format, schema: &SchemaRef) -> std::io::Result<()> {
    let mut header = Vec::new();
    match format {
        Format::Parquet => return parquet::concatenate(parts, to),
        Format::Csv => csv::write_header(schema, &mut header),
        Format::Jsonl => {}
    }
    for (index, mut part) in parts.into_iter().enumerate() {
        if index > 0 {
            part.seek(SeekFrom::Start(header.len() as u64))?;
        }
        std::io::copy(&mut part, &mut to)?;
    }
    to.sync_all()
}

/// Begins a file, which is a sound one of its format even if no row follows.
pub fn create(file: File, format: Format, schema: &SchemaRef) -> std::io::Result<Box<dyn RowWriter>> {
    match format {
        Format::Csv => Ok(Box::new(csv::CsvWriter::new(file, schema)?)),
        Format::Jsonl => Ok(Box::new(jsonl::JsonlWriter::new(file, schema))),
        Format::Parquet => Ok(Box::new(parquet::ParquetWriter::new(file, schema)?)),
    }
}
