//! Between Polars' columns and arrow-rs: in process without copying, and as Arrow IPC bytes for the wire.
//!
//! Bytes from outside are decoded by arrow-rs, which checks every offset, length and UTF-8 before it gives a column out; Polars' own
//! readers trust what they read. In process both sides hold Arrow's memory layout, so that a column changes hands through the
//! [C data interface](https://arrow.apache.org/docs/format/CDataInterface.html) with no byte copied. That needs three unsafe blocks,
//! and this module is the only place that has them.
//!
//! Limits: the 14 column types, flat; no dictionaries, no compression (the wire has its own frames and caps).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, from_ffi_and_data_type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use millrace_expr::from_polars;
use millrace_model::{DataType, Schema};
use polars::prelude::{Column, CompatLevel, DataFrame, Series};
use polars_arrow::array::Array as PolarsArray;
use polars_arrow::datatypes::{ArrowDataType as PolarsType, TimeUnit as PolarsUnit};
use polars_arrow::ffi as polars_ffi;

use crate::error::{RunError, RunResult};

/// Most rows that a decoded frame may have.
pub const MAX_DECODED_ROWS: usize = 1 << 24;
/// Most columns that a decoded frame may have.
pub const MAX_DECODED_COLUMNS: usize = 10_000;

/// The Arrow type that holds a column.
pub const fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::TinyInt => ArrowType::Int8,
        DataType::SmallInt => ArrowType::Int16,
        DataType::Integer => ArrowType::Int32,
        DataType::BigInt => ArrowType::Int64,
        DataType::UTinyInt => ArrowType::UInt8,
        DataType::USmallInt => ArrowType::UInt16,
        DataType::UInteger => ArrowType::UInt32,
        DataType::UBigInt => ArrowType::UInt64,
        DataType::Float => ArrowType::Float32,
        DataType::Double => ArrowType::Float64,
        DataType::Varchar => ArrowType::Utf8View,
        DataType::Date => ArrowType::Date32,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// The column type that an Arrow type holds as it is, if it is one of ours.
pub fn data_type_of(arrow: &ArrowType) -> Option<DataType> {
    DataType::ALL.into_iter().find(|ours| arrow_type(*ours) == *arrow)
}

/// The Arrow schema of an edge's columns.
pub fn arrow_schema(schema: &Schema) -> ArrowSchema {
    let fields: Vec<ArrowField> =
        schema.fields.iter().map(|field| ArrowField::new(&field.name, arrow_type(field.data_type), true)).collect();
    ArrowSchema::new(fields)
}

const fn polars_type(data_type: DataType) -> PolarsType {
    match data_type {
        DataType::Boolean => PolarsType::Boolean,
        DataType::TinyInt => PolarsType::Int8,
        DataType::SmallInt => PolarsType::Int16,
        DataType::Integer => PolarsType::Int32,
        DataType::BigInt => PolarsType::Int64,
        DataType::UTinyInt => PolarsType::UInt8,
        DataType::USmallInt => PolarsType::UInt16,
        DataType::UInteger => PolarsType::UInt32,
        DataType::UBigInt => PolarsType::UInt64,
        DataType::Float => PolarsType::Float32,
        DataType::Double => PolarsType::Float64,
        DataType::Varchar => PolarsType::Utf8View,
        DataType::Date => PolarsType::Date32,
        DataType::Timestamp => PolarsType::Timestamp(PolarsUnit::Microsecond, None),
    }
}

/// Hands a frame's columns to arrow-rs, uncopied where each is one chunk.
pub fn to_arrow(frame: &DataFrame) -> RunResult<RecordBatch> {
    let mut fields = Vec::with_capacity(frame.width());
    let mut arrays = Vec::with_capacity(frame.width());
    for column in frame.columns() {
        let (data_type, array) = column_to_arrow(column)?;
        fields.push(ArrowField::new(column.name().as_str(), arrow_type(data_type), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(frame.height()));
    RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options).map_err(bug)
}

/// Hands one column to arrow-rs, uncopied where it is one chunk.
pub fn column_to_arrow(column: &Column) -> RunResult<(DataType, ArrayRef)> {
    let data_type = from_polars(column.dtype())
        .ok_or_else(|| RunError::bug(format!("column {} has the type {}, which no edge carries", column.name(), column.dtype())))?;
    let series = column.as_materialized_series().rechunk();
    Ok((data_type, export(series.to_arrow(0, CompatLevel::newest()), data_type)?))
}

/// Takes columns over from arrow-rs, uncopied. Only the 14 types are taken, as [`arrow_type`] names them.
pub fn from_arrow(batch: &RecordBatch) -> RunResult<DataFrame> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        columns.push(column_from_arrow(field.name(), array)?);
    }
    Ok(DataFrame::new(batch.num_rows(), columns)?)
}

/// Takes one column over from arrow-rs, uncopied.
pub fn column_from_arrow(name: &str, array: &ArrayRef) -> RunResult<Column> {
    let data_type = data_type_of(array.data_type())
        .ok_or_else(|| RunError::bug(format!("column {name} has the Arrow type {}, which no edge carries", array.data_type())))?;
    Ok(Series::from_arrow(name.into(), import(array, data_type)?)?.into())
}

fn export(array: Box<dyn PolarsArray>, data_type: DataType) -> RunResult<ArrayRef> {
    let exported = polars_ffi::export_array_to_c(array);
    // SAFETY: both structs are the `ArrowArray` of Arrow's C data interface, `repr(C)`, and the size is checked at compile time by
    // `transmute`. The value is moved, so that its `release` runs once, when arrow-rs drops it.
    let exported = unsafe { std::mem::transmute::<polars_ffi::ArrowArray, FFI_ArrowArray>(exported) };
    // SAFETY: the array was exported a line above from a live Polars array of exactly this type (`polars_type` and `arrow_type` name
    // one layout), and keeps its buffers alive until released.
    let data = unsafe { from_ffi_and_data_type(exported, arrow_type(data_type)) }.map_err(bug)?;
    Ok(make_array(data))
}

fn import(array: &ArrayRef, data_type: DataType) -> RunResult<Box<dyn PolarsArray>> {
    let exported = FFI_ArrowArray::new(&array.to_data());
    // SAFETY: as in `export`: one C struct under two names, moved, released once; and the array is a live arrow-rs array, validated when
    // it was made, of the type that `data_type` was read from.
    let imported = unsafe {
        let exported = std::mem::transmute::<FFI_ArrowArray, polars_ffi::ArrowArray>(exported);
        polars_ffi::import_array_from_c(exported, polars_type(data_type))
    };
    Ok(imported?)
}

/// Encodes a frame as an Arrow IPC stream: its schema, then one record batch.
pub fn encode_ipc(frame: &DataFrame) -> RunResult<Vec<u8>> {
    encode_ipc_after(&[], frame)
}

/// The same, behind some other bytes.
pub fn encode_ipc_after(before: &[u8], frame: &DataFrame) -> RunResult<Vec<u8>> {
    let mut batch = to_arrow(frame)?;
    let columns = batch.columns().iter().map(own_text).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(bug)?;
    let size: usize = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    let mut bytes = Vec::with_capacity(before.len() + size + 1_024);
    bytes.extend_from_slice(before);
    let mut writer = StreamWriter::try_new(&mut bytes, batch.schema_ref()).map_err(bug)?;
    writer.write(&batch).map_err(bug)?;
    writer.finish().map_err(bug)?;
    drop(writer);
    Ok(bytes)
}

/// A column of text that refers to no more text than its own. Rows that were picked out of many share the texts of all of them, which in
/// process costs nothing; on the wire all would go with each of the picks.
fn own_text(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_view_opt() else { return column.clone() };
    let held: usize = texts.data_buffers().iter().map(Buffer::len).sum();
    let needed: usize = texts.lengths().map(|length| length as usize).filter(|length| *length > INLINE_BYTES).sum();
    if held > needed { Arc::new(texts.gc()) } else { column.clone() }
}

/// Longest text that lies within its view.
const INLINE_BYTES: usize = 12;

/// How long the schema is that a stream begins with: a marker, a length, and as many bytes. None: it is no stream.
pub fn schema_length(stream: &[u8]) -> Option<usize> {
    let (marker, rest) = stream.split_first_chunk::<4>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let whole = usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(8)?;
    (*marker == [0xff; 4] && whole <= stream.len()).then_some(whole)
}

/// Decodes what [`encode_ipc`] made, trusting nothing: a lie in it is an error, never a panic.
pub fn decode_ipc(bytes: &[u8]) -> RunResult<DataFrame> {
    decode_ipc_parts(&[bytes])
}

/// The same, of what was cut into parts behind one of its messages.
pub fn decode_ipc_parts(parts: &[&[u8]]) -> RunResult<DataFrame> {
    // arrow-rs checks offsets and UTF-8 by itself, but some of its checks on lengths are assertions.
    match catch_unwind(AssertUnwindSafe(|| decode_batch(parts))) {
        Ok(decoded) => from_arrow(&decoded?),
        Err(_) => Err(hostile("lengths that do not fit")),
    }
}

fn decode_batch(parts: &[&[u8]]) -> RunResult<RecordBatch> {
    let mut decoder = StreamDecoder::new();
    let mut found = None;
    for part in parts {
        // Copied once into aligned memory, which the columns then share.
        let mut rest = Buffer::from(*part);
        while !rest.is_empty() {
            let before = rest.len();
            let decoded = decoder.decode(&mut rest).map_err(hostile)?;
            if let Some(batch) = decoded {
                if found.replace(batch).is_some() {
                    return Err(hostile("more than one batch"));
                }
            } else if rest.len() == before {
                break;
            }
        }
    }
    let schema = decoder.schema().ok_or_else(|| hostile("no schema"))?;
    decoder.finish().map_err(hostile)?;
    if schema.fields().len() > MAX_DECODED_COLUMNS {
        return Err(hostile("too many columns"));
    }
    if let Some(field) = schema.fields().iter().find(|field| data_type_of(field.data_type()).is_none()) {
        return Err(hostile(format!("a column of type {}", field.data_type())));
    }
    let batch = found.ok_or_else(|| hostile("no batch"))?;
    if batch.num_rows() > MAX_DECODED_ROWS {
        return Err(hostile("too many rows"));
    }
    Ok(batch)
}

fn hostile(cause: impl ToString) -> RunError {
    RunError::connector("MR0406", "decode rows in Arrow's format", cause, false)
}

fn bug(error: arrow_schema::ArrowError) -> RunError {
    RunError::bug(error.to_string())
}

#[cfg(test)]
mod tests {
    use millrace_expr::to_polars;
    use polars::prelude::{NamedFrom, PlSmallStr};
    use proptest::prelude::*;

    use super::*;

    fn series(data_type: DataType, rows: &[Option<i64>]) -> Column {
        let name = PlSmallStr::from_str(data_type.name());
        let column = match data_type {
            DataType::Varchar => {
                let text =
                    |value: i64| if value % 2 == 0 { format!("{value}") } else { format!("a text of more than twelve bytes: ä{value}") };
                Series::new(name, rows.iter().map(|row| row.map(text)).collect::<Vec<_>>())
            }
            DataType::Boolean => Series::new(name, rows.iter().map(|row| row.map(|value| value % 2 == 0)).collect::<Vec<_>>()),
            other => {
                Series::new(name, rows.iter().map(|row| row.map(|value| value % 100)).collect::<Vec<_>>()).cast(&to_polars(other)).unwrap()
            }
        };
        column.into()
    }

    fn frame(rows: &[Option<i64>]) -> DataFrame {
        let columns = DataType::ALL.into_iter().map(|data_type| series(data_type, rows)).collect();
        DataFrame::new(rows.len(), columns).unwrap()
    }

    fn sample() -> DataFrame {
        frame(&[Some(1), None, Some(2), Some(3), None, Some(77), Some(4), Some(5), Some(6), None, Some(98)])
    }

    #[test]
    fn every_type_comes_back_as_it_was_with_its_nulls() {
        for rows in [sample(), frame(&[]), frame(&[None, None]), frame(&[Some(7)])] {
            assert!(from_arrow(&to_arrow(&rows).unwrap()).unwrap().equals_missing(&rows));
            let back = decode_ipc(&encode_ipc(&rows).unwrap()).unwrap();
            assert!(back.equals_missing(&rows));
            assert_eq!(back.schema(), rows.schema());
        }
    }

    #[test]
    fn rows_that_were_picked_out_of_many_take_no_more_text_along_than_theirs() {
        let texts: Vec<String> = (0..10_000).map(|row| format!("a text of more than twelve bytes: {row}")).collect();
        let all = DataFrame::new(texts.len(), vec![Series::new("text".into(), texts).into()]).unwrap();
        for picked in [all.slice(4_711, 1), all.slice(0, 0), all.clone()] {
            let bytes = encode_ipc(&picked).unwrap();
            assert!(bytes.len() < 1_000 + 100 * picked.height(), "{} bytes for {} rows", bytes.len(), picked.height());
            assert!(decode_ipc(&bytes).unwrap().equals_missing(&picked));
        }
    }

    #[test]
    fn a_schema_can_be_told_apart_and_put_before_another_batch() {
        let bytes = encode_ipc(&sample()).unwrap();
        let (schema, rest) = bytes.split_at(schema_length(&bytes).unwrap());
        assert!(decode_ipc_parts(&[schema, rest]).unwrap().equals_missing(&sample()));
        assert!(decode_ipc_parts(&[rest]).is_err());
        let other = encode_ipc(&frame(&[Some(7)])).unwrap();
        assert!(other.starts_with(schema), "it hangs on the columns alone");
        for cut in [&[][..], &bytes[..7], &bytes[..schema.len() - 1], &bytes[1..]] {
            assert_eq!(schema_length(cut), None);
        }
    }

    #[test]
    fn a_slice_that_begins_within_a_byte_of_the_null_bits_comes_back_as_it_was() {
        for (offset, length) in [(1, 5), (3, 8), (9, 2), (4, 0)] {
            let rows = sample().slice(offset, length);
            assert!(from_arrow(&to_arrow(&rows).unwrap()).unwrap().equals_missing(&rows));
            assert!(decode_ipc(&encode_ipc(&rows).unwrap()).unwrap().equals_missing(&rows));
        }
    }

    #[test]
    fn a_frame_of_several_chunks_comes_back_as_one() {
        let mut rows = sample();
        rows.vstack_mut(&sample()).unwrap();
        let back = decode_ipc(&encode_ipc(&rows).unwrap()).unwrap();
        assert!(back.equals_missing(&rows));
        assert_eq!(back.first_col_n_chunks(), 1);
    }

    #[test]
    fn a_frame_without_columns_keeps_its_height() {
        let rows = DataFrame::new(3, Vec::new()).unwrap();
        assert_eq!(decode_ipc(&encode_ipc(&rows).unwrap()).unwrap().height(), 3);
    }

    #[test]
    fn bytes_cut_short_at_any_place_are_an_error() {
        let bytes = encode_ipc(&sample()).unwrap();
        // The last 8 bytes only say that the stream has ended.
        for length in 0..bytes.len() - 8 {
            assert!(decode_ipc(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_type_that_no_edge_carries_is_refused() {
        let schema = ArrowSchema::new(vec![ArrowField::new("a", ArrowType::Binary, true)]);
        let batch = RecordBatch::new_empty(Arc::new(schema));
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        let error = decode_ipc(&writer.into_inner().unwrap()).unwrap_err();
        assert!(error.to_string().contains("Binary"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_with_lies_in_them_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = encode_ipc(&sample()).unwrap();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(rows) = decode_ipc(&bytes) {
                // What was accepted can be looked at in full.
                let shown = format!("{rows:?}");
                prop_assert!(shown.len() > 1);
                let _ = rows.columns().iter().map(|column| column.as_materialized_series().iter().count()).sum::<usize>();
            }
        }
    }
}
