//! Values of a frame, cell by cell, for the formats that write text.

use std::io::Write;

use millrace_engine::expr::time_text::{format_date, format_timestamp};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::runtime::RunError;
use polars::prelude::*;

/// One value, as its column holds it.
pub enum Cell<'a> {
    Null,
    Boolean(bool),
    Signed(i64),
    Unsigned(u64),
    /// Written with as many digits as bring back the same `f32`.
    Float(f32),
    Double(f64),
    Text(&'a str),
    /// A date or a time, as text.
    Time(String),
}

/// A column that is read by row.
pub enum CellColumn<'a> {
    Boolean(&'a BooleanChunked),
    Int8(&'a Int8Chunked),
    Int16(&'a Int16Chunked),
    Int32(&'a Int32Chunked),
    Int64(&'a Int64Chunked),
    UInt8(&'a UInt8Chunked),
    UInt16(&'a UInt16Chunked),
    UInt32(&'a UInt32Chunked),
    UInt64(&'a UInt64Chunked),
    Float32(&'a Float32Chunked),
    Float64(&'a Float64Chunked),
    Text(&'a StringChunked),
    Date(&'a Int32Chunked),
    Timestamp(&'a Int64Chunked),
}

impl<'a> CellColumn<'a> {
    pub fn new(series: &'a Series) -> PolarsResult<Self> {
        Ok(match series.dtype() {
            DataType::Boolean => CellColumn::Boolean(series.bool()?),
            DataType::Int8 => CellColumn::Int8(series.i8()?),
            DataType::Int16 => CellColumn::Int16(series.i16()?),
            DataType::Int32 => CellColumn::Int32(series.i32()?),
            DataType::Int64 => CellColumn::Int64(series.i64()?),
            DataType::UInt8 => CellColumn::UInt8(series.u8()?),
            DataType::UInt16 => CellColumn::UInt16(series.u16()?),
            DataType::UInt32 => CellColumn::UInt32(series.u32()?),
            DataType::UInt64 => CellColumn::UInt64(series.u64()?),
            DataType::Float32 => CellColumn::Float32(series.f32()?),
            DataType::Float64 => CellColumn::Float64(series.f64()?),
            DataType::String => CellColumn::Text(series.str()?),
            DataType::Date => CellColumn::Date(series.date()?.physical()),
            DataType::Datetime(TimeUnit::Microseconds, None) => CellColumn::Timestamp(series.datetime()?.physical()),
            other => polars_bail!(SchemaMismatch: "a column of type {other} cannot be written"),
        })
    }

    pub fn cell(&self, row: usize) -> Cell<'a> {
        let cell = match self {
            CellColumn::Boolean(column) => column.get(row).map(Cell::Boolean),
            CellColumn::Int8(column) => column.get(row).map(|value| Cell::Signed(value.into())),
            CellColumn::Int16(column) => column.get(row).map(|value| Cell::Signed(value.into())),
            CellColumn::Int32(column) => column.get(row).map(|value| Cell::Signed(value.into())),
            CellColumn::Int64(column) => column.get(row).map(Cell::Signed),
            CellColumn::UInt8(column) => column.get(row).map(|value| Cell::Unsigned(value.into())),
            CellColumn::UInt16(column) => column.get(row).map(|value| Cell::Unsigned(value.into())),
            CellColumn::UInt32(column) => column.get(row).map(|value| Cell::Unsigned(value.into())),
            CellColumn::UInt64(column) => column.get(row).map(Cell::Unsigned),
            CellColumn::Float32(column) => column.get(row).map(Cell::Float),
            CellColumn::Float64(column) => column.get(row).map(Cell::Double),
            CellColumn::Text(column) => column.get(row).map(Cell::Text),
            CellColumn::Date(column) => column.get(row).map(|days| Cell::Time(format_date(days.into()))),
            CellColumn::Timestamp(column) => column.get(row).map(|micros| Cell::Time(format_timestamp(micros))),
        };
        cell.unwrap_or(Cell::Null)
    }
}

/// The schema's columns of a frame, hidden ones left out, each in one chunk.
pub(super) fn columns_of(frame: &DataFrame, schema: &SchemaRef) -> std::io::Result<Vec<Series>> {
    schema.names().map(|name| Ok(frame.column(name).map_err(bug)?.as_materialized_series().rechunk())).collect()
}

pub(super) fn bug(error: PolarsError) -> std::io::Error {
    std::io::Error::other(RunError::from_polars(error).to_string())
}

/// A number as text that reads back as itself; not finite ones as `nan`, `inf`, `-inf`.
pub fn write_number(cell: &Cell<'_>, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match cell {
        Cell::Signed(value) => write!(out, "{value}"),
        Cell::Unsigned(value) => write!(out, "{value}"),
        Cell::Float(value) if value.is_nan() => write!(out, "nan"),
        Cell::Float(value) => write!(out, "{value:?}"),
        Cell::Double(value) if value.is_nan() => write!(out, "nan"),
        Cell::Double(value) => write!(out, "{value:?}"),
        _ => Ok(()),
    };
}
