//! Reads a file's footer: looked over before it is decoded, since the decoder believes the lengths that it finds.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::thrift::{I32, LIST, STRUCT, Thrift, ThriftError};

/// Largest footer that is read.
const MAX_FOOTER_BYTES: u64 = 64 * 1024 * 1024;
/// Most elements of a schema, groups included.
const MAX_SCHEMA_ELEMENTS: u64 = 10_000;
/// Deepest nesting of a schema.
const MAX_SCHEMA_DEPTH: usize = 32;
/// Most rows of a row group.
const MAX_ROW_GROUP_ROWS: i64 = 1 << 28;
/// Most bytes that a row group may say it unfolds to.
pub const MAX_ROW_GROUP_BYTES: i64 = 1 << 30;

const MAGIC: &[u8; 4] = b"PAR1";
/// Of a file whose footer is encrypted.
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";
/// The footer's length and the magic at a file's end.
const TAIL_BYTES: u64 = 8;

/// What a footer says, as far as it can be true, and a hash of the file's length and footer: it names every page's place and size, so that
/// a file with another content has another one, if it was written by a writer of Parquet and not altered in place.
pub fn read(file: &mut File) -> Result<(ParquetMetaData, u64), String> {
    let bytes = footer_bytes(file)?;
    check_thrift(&bytes)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| ParquetMetaDataReader::decode_metadata(&bytes)));
    let metadata = decoded.map_err(|_| "its footer is broken".to_owned())?.map_err(|error| format!("its footer is broken ({error})"))?;
    let file_bytes = file.metadata().map_err(|error| error.to_string())?.len();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        check_row_group(group, file_bytes).map_err(|error| format!("its row group {index} {error}"))?;
    }
    Ok((metadata, xxh3_64_with_seed(&bytes, file_bytes)))
}

fn footer_bytes(file: &mut File) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let length = file.seek(SeekFrom::End(0)).map_err(text)?;
    let least = MAGIC.len() as u64 + TAIL_BYTES;
    if length < least {
        return Err(format!("it is not a Parquet file: {length} bytes are too few"));
    }
    let mut tail = [0u8; TAIL_BYTES as usize];
    file.seek(SeekFrom::Start(length - TAIL_BYTES)).map_err(text)?;
    file.read_exact(&mut tail).map_err(text)?;
    let [a, b, c, d, magic @ ..] = tail;
    if magic == *ENCRYPTED_MAGIC {
        return Err("it is encrypted, and Millrace does not decrypt Parquet".to_owned());
    }
    if magic != *MAGIC {
        return Err("it is not a Parquet file, or it was cut short: PAR1 is missing at its end".to_owned());
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer > length - least || footer > MAX_FOOTER_BYTES {
        return Err(format!("its footer claims {footer} bytes"));
    }
    let mut bytes = vec![0; footer as usize];
    file.seek(SeekFrom::Start(length - TAIL_BYTES - footer)).map_err(text)?;
    file.read_exact(&mut bytes).map_err(text)?;
    Ok(bytes)
}

/// Every length in the footer is held against the bytes that are there, and the schema's nesting against a limit.
fn check_thrift(bytes: &[u8]) -> Result<(), String> {
    walk_footer(bytes).map_err(|error| match error {
        ThriftError::Short => "its footer is broken: a length goes beyond its end".to_owned(),
        ThriftError::Broken(what) => format!("its footer is broken: {what}"),
    })
}

fn walk_footer(bytes: &[u8]) -> Result<(), ThriftError> {
    /// `FileMetaData.schema` of parquet.thrift.
    const SCHEMA: i16 = 2;
    let mut thrift = Thrift::new(bytes);
    let mut last = 0;
    while let Some((id, kind)) = thrift.field(last)? {
        last = id;
        if id == SCHEMA && kind == LIST { walk_schema(&mut thrift)? } else { thrift.skip(kind, 1)? }
    }
    Ok(())
}

fn walk_schema(thrift: &mut Thrift<'_>) -> Result<(), ThriftError> {
    let (length, element) = thrift.list()?;
    if length > MAX_SCHEMA_ELEMENTS {
        return Err(ThriftError::Broken("more than 10,000 columns"));
    }
    // How many children each open group still lacks.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..length {
        if element != STRUCT {
            return Err(ThriftError::Broken("a schema of something else"));
        }
        let children = walk_schema_element(thrift)?;
        if let Some(lacking) = open.last_mut() {
            *lacking -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        while open.last().is_some_and(|lacking| *lacking <= 0) {
            open.pop();
        }
        if open.len() > MAX_SCHEMA_DEPTH {
            return Err(ThriftError::Broken("a schema that is nested too deep"));
        }
    }
    Ok(())
}

/// A schema element's number of children.
fn walk_schema_element(thrift: &mut Thrift<'_>) -> Result<i64, ThriftError> {
    /// `SchemaElement.num_children` of parquet.thrift.
    const NUM_CHILDREN: i16 = 5;
    let (mut last, mut children) = (0, 0);
    while let Some((id, kind)) = thrift.field(last)? {
        last = id;
        if id == NUM_CHILDREN && kind == I32 { children = thrift.integer()? } else { thrift.skip(kind, 3)? }
    }
    if !(0..=MAX_SCHEMA_ELEMENTS as i64).contains(&children) {
        return Err(ThriftError::Broken("a group of too many columns"));
    }
    Ok(children)
}

fn check_row_group(group: &RowGroupMetaData, file_bytes: u64) -> Result<(), String> {
    if !(0..=MAX_ROW_GROUP_ROWS).contains(&group.num_rows()) {
        return Err(format!("claims {} rows; at most {MAX_ROW_GROUP_ROWS} are read", group.num_rows()));
    }
    let claimed = group.columns().iter().try_fold(0i64, |sum, column| sum.checked_add(column.uncompressed_size().max(0)));
    if claimed.is_none_or(|claimed| claimed > MAX_ROW_GROUP_BYTES) {
        return Err(format!("claims to unfold to more than {} bytes", MAX_ROW_GROUP_BYTES));
    }
    for column in group.columns() {
        check_column(column, file_bytes)?;
    }
    Ok(())
}

fn check_column(column: &ColumnChunkMetaData, file_bytes: u64) -> Result<(), String> {
    let begin = column.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or_else(|| column.data_page_offset());
    let within = begin >= 0
        && column.data_page_offset() >= 0
        && column.compressed_size() >= 0
        && column.num_values() >= 0
        && (begin as u64).checked_add(column.compressed_size() as u64).is_some_and(|end| end <= file_bytes);
    if within { Ok(()) } else { Err(format!("places the column {} outside the file", column.column_path())) }
}
