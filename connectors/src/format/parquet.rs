//! Apache Parquet, read by parquet-rs with caps of our own ([`pages`]), written as DuckDB and others read it.
//!
//! | in the file | here |
//! |---|---|
//! | BOOLEAN, integers, FLOAT, DOUBLE, DATE, STRING, ENUM, JSON | the same |
//! | TIMESTAMP of any unit, adjusted to UTC or not, and INT96 | TIMESTAMP in microseconds. Of nanoseconds that are no whole microseconds the record is bad, unless `schema` asks for TIMESTAMP, which cuts them off |
//! | DECIMAL, half floats | DOUBLE, FLOAT |
//! | TIME, bytes, intervals, lists, maps, structs | refused before the run |
//!
//! Written: TIMESTAMP of microseconds not adjusted to UTC, zstd, row groups of at most 122,880 rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType as ArrowType, Field as ArrowField, Fields, TimeUnit};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{DataType, Field, Schema};
use millrace_engine::runtime::arrow_bridge::{column_from_arrow, data_type_of};
use millrace_engine::runtime::connector::{BadRecord, MAX_RAW_BYTES, SourceRows};
use millrace_engine::runtime::{RunError, RunResult};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{SchemaDescriptor, Type as ParquetType};
use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray};
use serde_json::{Value, json};

use self::convert::{Conversion, convert};
use self::pages::CappedRowGroup;
use super::{DiscoverError, MAX_CHUNK_CELLS, ReadOptions, jsonl};
use crate::reader::{Chunk, ChunkReader, changed, read_error};
use crate::text::reader::raw_text;

mod convert;
mod delta;
mod footer;
mod header;
mod pages;
mod thrift;
mod write;

pub(super) use write::{ParquetWriter, concatenate};

/// Bytes that the rows of a chunk should have together.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// A column of the file, and how it becomes one of ours.
#[derive(Debug, Clone)]
struct ColumnPlan {
    name: String,
    data_type: DataType,
    conversion: Conversion,
}

/// The types that parquet-rs is to read a file's columns as.
fn read_types(schema: &SchemaDescriptor) -> Result<Fields, ParquetError> {
    let arrow = parquet_to_arrow_schema(schema, None)?;
    let hinted = arrow.fields().iter().zip(schema.root_schema().get_fields()).map(|(field, parquet)| {
        let hint = match field.data_type() {
            ArrowType::Utf8 => Some(ArrowType::Utf8View),
            ArrowType::Binary if is_text(parquet) => Some(ArrowType::Utf8View),
            ArrowType::Timestamp(TimeUnit::Nanosecond, None) if is_int96(parquet) => {
                Some(ArrowType::Timestamp(TimeUnit::Microsecond, None))
            }
            _ => None,
        };
        hint.map_or_else(|| field.clone(), |hint| Arc::new(ArrowField::new(field.name(), hint, field.is_nullable())))
    });
    Ok(hinted.collect())
}

fn is_int96(parquet: &ParquetType) -> bool {
    parquet.is_primitive() && parquet.get_physical_type() == PhysicalType::INT96
}

fn is_text(parquet: &ParquetType) -> bool {
    let info = parquet.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::Enum | LogicalType::Json | LogicalType::String))
        || matches!(info.converted_type(), ConvertedType::ENUM | ConvertedType::JSON | ConvertedType::UTF8)
}

/// How a file's columns become ours.
fn plan(fields: &Fields, options: &ReadOptions) -> Result<Vec<ColumnPlan>, DiscoverError> {
    fields.iter().map(|field| plan_column(field, options)).collect()
}

fn plan_column(field: &ArrowField, options: &ReadOptions) -> Result<ColumnPlan, DiscoverError> {
    let name = field.name().clone();
    let asked = options.type_of(&name);
    let (data_type, conversion) = match field.data_type() {
        known if data_type_of(known).is_some() => (data_type_of(known).unwrap_or(DataType::Varchar), Conversion::None),
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) if asked == Some(DataType::Timestamp) => {
            (DataType::Timestamp, Conversion::CutNanoseconds)
        }
        ArrowType::Timestamp(unit, _) => (DataType::Timestamp, Conversion::Timestamp(*unit)),
        ArrowType::Float16 => (DataType::Float, Conversion::HalfFloat),
        ArrowType::Decimal32(_, scale)
        | ArrowType::Decimal64(_, scale)
        | ArrowType::Decimal128(_, scale)
        | ArrowType::Decimal256(_, scale) => (DataType::Double, Conversion::Decimal { scale: *scale }),
        other => return Err(DiscoverError::Unsupported { column: name, data_type: other.to_string() }),
    };
    match asked {
        Some(asked) if asked != data_type => {
            let message = format!("Parquet says that it is {data_type}, and `schema` says {asked}; a Parquet file's types are its own");
            Err(DiscoverError::WrongType { column: name, message })
        }
        _ => Ok(ColumnPlan { name, data_type, conversion }),
    }
}

fn parquet_error(error: &ParquetError) -> DiscoverError {
    DiscoverError::file(format!("its schema cannot be read ({error})"))
}

pub(super) fn discover(mut file: File, options: &ReadOptions) -> Result<Schema, DiscoverError> {
    let (metadata, _) = footer::read(&mut file).map_err(DiscoverError::file)?;
    let fields = read_types(metadata.file_metadata().schema_descr()).map_err(|error| parquet_error(&error))?;
    let columns = plan(&fields, options)?;
    Ok(Schema::new(columns.into_iter().map(|column| Field::new(column.name, column.data_type)).collect()))
}

pub(super) fn open(
    mut file: File,
    name: &str,
    schema: &SchemaRef,
    options: &ReadOptions,
    at: Option<&Value>,
) -> RunResult<Box<dyn ChunkReader>> {
    let (metadata, identity) = footer::read(&mut file).map_err(|error| read_error(name, error))?;
    let descriptor = metadata.file_metadata().schema_descr();
    let fields = read_types(descriptor).map_err(|error| read_error(name, error))?;
    let plans = plan(&fields, options).map_err(|error| super::open_error(name, &error))?;
    let names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
    let order = super::order_of(name, schema, &names)?;
    let wanted: Vec<ColumnPlan> = order.iter().filter_map(|place| plans.get(*place).cloned()).collect();
    if let Some((plan, field)) = wanted.iter().zip(&schema.fields).find(|(plan, field)| plan.data_type != field.data_type) {
        let cause = format!("its column `{}` is {}, and {} in the first file of the path", plan.name, plan.data_type, field.data_type);
        return Err(RunError::connector(crate::codes::COLUMNS_CHANGED, format!("read {name}"), cause, false));
    }
    let levels =
        parquet_to_arrow_field_levels(descriptor, ProjectionMask::all(), Some(&fields)).map_err(|error| read_error(name, error))?;
    let mut reader = ParquetReader {
        file: Arc::new(file),
        levels,
        order,
        plans: wanted,
        name: name.to_owned(),
        max_value: options.max_record,
        group: 0,
        batches: None,
        row: 0,
        group_rows: 0,
        bytes_done: 0,
        skip: 0,
        identity,
        metadata: Arc::new(metadata),
    };
    at.map(|at| reader.resume(at)).transpose()?;
    Ok(Box::new(reader))
}

/// Reads a file's row groups in order.
struct ParquetReader {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    levels: FieldLevels,
    /// The file's column for each of the schema's.
    order: Vec<usize>,
    plans: Vec<ColumnPlan>,
    name: String,
    /// Longest text, in bytes.
    max_value: usize,
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
    /// Rows of the file that were read.
    row: u64,
    /// Rows of this row group that were read.
    group_rows: u64,
    bytes_done: u64,
    /// Rows of this row group that are passed over.
    skip: u64,
    /// What tells the file from another.
    identity: u64,
}

impl ParquetReader {
    /// Goes to where a chunk began.
    fn resume(&mut self, at: &Value) -> RunResult<()> {
        let number = |name: &str| at.get(name).and_then(Value::as_u64);
        let (Some(group), Some(row), Some(identity)) = (number("row_group"), number("row"), number("file")) else {
            return Err(changed(&self.name, &format!("{at} is no place in it")));
        };
        if identity != self.identity {
            return Err(changed(&self.name, "it is another file than the one that was read"));
        }
        self.group = usize::try_from(group).unwrap_or(usize::MAX).min(self.metadata.num_row_groups());
        for before in self.metadata.row_groups().iter().take(self.group) {
            self.row += before.num_rows().max(0) as u64;
            self.bytes_done += before.compressed_size().max(0) as u64;
        }
        self.skip = row.saturating_sub(self.row);
        Ok(())
    }

    /// What of a batch is not passed over.
    fn unskipped(&mut self, batch: RecordBatch) -> RecordBatch {
        let skipped = batch.num_rows().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        if skipped == 0 {
            return batch;
        }
        self.skip -= skipped as u64;
        self.row += skipped as u64;
        self.group_rows += skipped as u64;
        batch.slice(skipped, batch.num_rows() - skipped)
    }

    fn start_group(&mut self, max_rows: usize) -> RunResult<ParquetRecordBatchReader> {
        let rows = CappedRowGroup::new(self.file.clone(), self.metadata.clone(), self.group);
        self.group_rows = 0;
        let batch_rows = max_rows.min(self.rows_of_a_chunk());
        ParquetRecordBatchReader::try_new_with_row_groups(&self.levels, &rows, batch_rows, None).map_err(|error| self.failed(error))
    }

    /// As many rows as are not too many values or, as long as the footer tells the truth, bytes.
    fn rows_of_a_chunk(&self) -> usize {
        let group = self.metadata.row_group(self.group);
        let row_bytes = group.total_byte_size().max(0) / group.num_rows().max(1);
        let by_bytes = CHUNK_BYTES / usize::try_from(row_bytes).unwrap_or(usize::MAX).max(1);
        by_bytes.min(MAX_CHUNK_CELLS / self.plans.len().max(1)).max(1)
    }

    fn failed(&self, error: impl ToString) -> RunError {
        read_error(&self.name, format!("row group {}, after row {}: {}", self.group, self.row, error.to_string()))
    }

    fn end_group(&mut self) -> RunResult<()> {
        let group = self.metadata.row_group(self.group);
        if group.num_rows() as u64 != self.group_rows {
            return Err(self.failed(format!("it ends after {} of {} rows", self.group_rows, group.num_rows())));
        }
        self.bytes_done += group.compressed_size().max(0) as u64;
        self.group += 1;
        Ok(())
    }

    fn chunk(&mut self, batch: &RecordBatch) -> RunResult<Chunk> {
        let at = json!({ "row_group": self.group, "row": self.row, "file": self.identity });
        let mut misfits: BTreeMap<usize, String> = BTreeMap::new();
        let mut columns = Vec::with_capacity(self.plans.len());
        for (plan, place) in self.plans.iter().zip(&self.order) {
            let array = batch.columns().get(*place).ok_or_else(|| RunError::bug("a column was not read"))?;
            let mut report = |row: usize, what: String| {
                misfits.entry(row).or_insert_with(|| format!("column {}: {what}", plan.name));
            };
            let array = convert(array, plan.conversion, self.max_value, &mut report).map_err(|error| self.failed(error))?;
            columns.push(column_from_arrow(&plan.name, &array)?);
        }
        let frame = DataFrame::new(batch.num_rows(), columns)?;
        let first = self.row + 1;
        self.row += batch.num_rows() as u64;
        self.group_rows += batch.num_rows() as u64;
        let rows = set_aside(frame, first, misfits)?;
        Ok(Chunk { rows, at, bytes_done: self.bytes_done + self.bytes_of_group() })
    }

    /// Bytes of this row group that were read, by the share of its rows.
    fn bytes_of_group(&self) -> u64 {
        let group = self.metadata.row_group(self.group);
        let share = self.group_rows as f64 / group.num_rows().max(1) as f64;
        (group.compressed_size().max(0) as f64 * share) as u64
    }
}

impl ChunkReader for ParquetReader {
    fn next(&mut self, max_rows: usize) -> RunResult<Option<Chunk>> {
        while self.group < self.metadata.num_row_groups() {
            let mut batches = match self.batches.take() {
                Some(batches) => batches,
                None => self.start_group(max_rows)?,
            };
            match batches.next() {
                Some(batch) => {
                    let batch = batch.map_err(|error| self.failed(error))?;
                    self.batches = Some(batches);
                    let batch = self.unskipped(batch);
                    if batch.num_rows() > 0 {
                        return self.chunk(&batch).map(Some);
                    }
                }
                None => self.end_group()?,
            }
        }
        Ok(None)
    }
}

/// Takes the rows that do not fit out of the frame. `first` is the first row's number.
fn set_aside(frame: DataFrame, first: u64, misfits: BTreeMap<usize, String>) -> RunResult<SourceRows> {
    if misfits.is_empty() {
        return Ok(SourceRows { frame, first_position: first, ..SourceRows::default() });
    }
    let mut bad = Vec::with_capacity(misfits.len());
    for (row, reason) in &misfits {
        // Only its beginning: a dictionary may hold one text of very many bytes for very many rows.
        let raw = raw_text(&jsonl::row_beginning(&frame, *row, MAX_RAW_BYTES)?);
        bad.push(BadRecord { reason: reason.clone(), position: format!("row {}", first + *row as u64), raw });
    }
    let good: Vec<bool> = (0..frame.height()).map(|row| !misfits.contains_key(&row)).collect();
    let positions: Vec<u64> = (first..).zip(&good).filter(|(_, good)| **good).map(|(position, _)| position).collect();
    let frame = frame.filter(&BooleanChunked::from_slice("good".into(), &good))?;
    Ok(SourceRows { frame, first_position: positions.first().copied().unwrap_or(first), positions, bad })
}
