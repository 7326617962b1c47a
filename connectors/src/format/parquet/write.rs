//! Writing.

use std::fs::File;
use std::io;
use std::sync::Arc;

use arrow_schema::SchemaRef as ArrowSchemaRef;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::runtime::arrow_bridge::{arrow_schema, to_arrow};
use millrace_engine::runtime::connector::BadRecord;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use polars::prelude::DataFrame;

use crate::format::RowWriter;
use crate::format::cells::bug;

/// Most rows of a written row group: DuckDB's own size.
const ROW_GROUP_ROWS: usize = 122_880;
/// Most bytes that a row group under way holds.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Writes Parquet.
pub struct ParquetWriter {
    writer: ArrowWriter<File>,
    columns: Vec<String>,
}

/// What the system refused, as it said it: whoever hears of it judges by that whether another try may help.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(system) => *system,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}

fn arrow_writer(file: File, schema: ArrowSchemaRef) -> io::Result<ArrowWriter<File>> {
    let level = ZstdLevel::try_new(1).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("millrace ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(file, schema, options).map_err(failed)
}

/// Ends a file, and makes it durable.
fn end(mut writer: ArrowWriter<File>) -> io::Result<()> {
    // Not `into_inner`, which tells what the system refused as text alone.
    writer.finish().map_err(failed)?;
    writer.inner().sync_all()
}

/// Writes the rows of files of one schema, one after another, as one file with row groups of the usual size.
pub fn concatenate(parts: Vec<File>, to: File) -> io::Result<()> {
    let mut to = Some(to);
    let mut writer: Option<ArrowWriter<File>> = None;
    for part in parts {
        let part = ParquetRecordBatchReaderBuilder::try_new(part).map_err(failed)?;
        if let Some(to) = to.take() {
            writer = Some(arrow_writer(to, part.schema().clone())?);
        }
        let Some(writer) = &mut writer else { continue };
        for batch in part.build().map_err(failed)? {
            writer.write(&batch.map_err(io::Error::other)?).map_err(failed)?;
            if writer.in_progress_size() > ROW_GROUP_BYTES {
                writer.flush().map_err(failed)?;
            }
        }
    }
    match writer {
        Some(writer) => end(writer),
        None => Err(io::Error::other("there is no part to put together")),
    }
}

impl ParquetWriter {
    pub fn new(file: File, schema: &SchemaRef) -> io::Result<Self> {
        let writer = arrow_writer(file, Arc::new(arrow_schema(schema)))?;
        Ok(ParquetWriter { writer, columns: schema.names().map(str::to_owned).collect() })
    }
}

impl RowWriter for ParquetWriter {
    fn write(&mut self, frame: &DataFrame) -> io::Result<Vec<BadRecord>> {
        let shown = frame.select(self.columns.iter().map(String::as_str)).map_err(bug)?;
        let batch = to_arrow(&shown).map_err(|error| io::Error::other(error.to_string()))?;
        self.writer.write(&batch).map_err(failed)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(failed)?;
        }
        Ok(Vec::new())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        end(self.writer)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use millrace_engine::model::{DataType, Field, Schema};
    use polars::prelude::df;

    use super::*;

    const NO_SPACE: i32 = 28;

    #[test]
    fn a_disk_that_is_full_is_told_as_the_system_says_it() {
        // A device that takes no byte.
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::BigInt)]));
        let ended = ParquetWriter::new(full(), &schema).and_then(|mut writer| {
            writer.write(&df!("n" => [1i64, 2, 3]).unwrap())?;
            Box::new(writer).finish()
        });
        assert_eq!(ended.unwrap_err().raw_os_error(), Some(NO_SPACE));

        let mut part = tempfile::tempfile().unwrap();
        let mut writer = ParquetWriter::new(part.try_clone().unwrap(), &schema).unwrap();
        writer.write(&df!("n" => [1i64, 2, 3]).unwrap()).unwrap();
        Box::new(writer).finish().unwrap();
        io::Seek::rewind(&mut part).unwrap();
        assert_eq!(concatenate(vec![part], full()).unwrap_err().raw_os_error(), Some(NO_SPACE));
    }
}
