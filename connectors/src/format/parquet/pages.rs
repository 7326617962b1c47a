//! Reads a column's pages one by one, each within a cap.
//!
//! parquet-rs believes a page's header: it takes the memory that the header claims, and unfolds gzip until it ends. A file of a few
//! bytes could so fill the memory, and memory that is not there ends the process. So pages are read here, and handed to parquet-rs
//! unfolded: sizes are checked before memory is taken, every decompressor stops at the size that the header claims, and the counts at
//! the head of dictionaries and delta-encoded values, which parquet-rs takes memory by, are held against the page. The pages of a row
//! group share a cap, since a page of each column is held at once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::delta;
use super::footer::MAX_ROW_GROUP_BYTES;
use super::header::{PageHeader, PageKind, parse_header};
use super::thrift::ThriftError;

/// Largest page, unfolded.
pub const MAX_PAGE_BYTES: usize = 256 * 1024 * 1024;
/// Most values of a dictionary or of a delta-encoded page: some bytes of memory are taken for each, and a value may stand in none.
const MAX_CODED_VALUES: u32 = 1 << 24;
/// Largest page header; it may hold a value's statistics.
const MAX_HEADER_BYTES: usize = 1024 * 1024;
/// Bytes in which most headers stand.
const HEADER_BYTES: usize = 512;

fn broken(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}

/// One row group of a file, its pages read within caps.
pub struct CappedRowGroup {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    index: usize,
    budget: Arc<Budget>,
}

/// What the pages of a row group may still unfold to, whatever the footer claims.
struct Budget(AtomicU64);

impl Budget {
    fn take(&self, bytes: u64) -> Result<()> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        match taken {
            Ok(_) => Ok(()),
            Err(_) => Err(broken(format!("a row group unfolds to more than {MAX_ROW_GROUP_BYTES} bytes"))),
        }
    }
}

impl CappedRowGroup {
    pub fn new(file: Arc<File>, metadata: Arc<ParquetMetaData>, index: usize) -> Self {
        CappedRowGroup { file, metadata, index, budget: Arc::new(Budget(AtomicU64::new(MAX_ROW_GROUP_BYTES as u64))) }
    }

    fn group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.index)
    }
}

impl RowGroups for CappedRowGroup {
    fn num_rows(&self) -> usize {
        usize::try_from(self.group().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.group().columns().get(column).ok_or_else(|| broken("a column that is not there"))?;
        Ok(Box::new(OneColumn(Some(Box::new(CappedPages::new(self.file.clone(), chunk, self.budget.clone())?)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneColumn(Option<Box<dyn PageReader>>);

impl Iterator for OneColumn {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneColumn {}

/// The pages of one column of one row group.
struct CappedPages {
    file: Arc<File>,
    compression: Compression,
    physical: PhysicalType,
    max_definition: i16,
    max_repetition: i16,
    offset: u64,
    end: u64,
    /// Values that are still to come.
    values_left: i64,
    peeked: Option<PageHeader>,
    budget: Arc<Budget>,
}

impl CappedPages {
    fn new(file: Arc<File>, chunk: &ColumnChunkMetaData, budget: Arc<Budget>) -> Result<Self> {
        let (offset, length) = chunk.byte_range();
        let description = chunk.column_descr();
        Ok(CappedPages {
            file,
            compression: chunk.compression(),
            physical: chunk.column_type(),
            max_definition: description.max_def_level(),
            max_repetition: description.max_rep_level(),
            offset,
            end: offset.saturating_add(length),
            values_left: chunk.num_values(),
            peeked: None,
            budget,
        })
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut file: &File = &self.file;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the next page's header and stands behind it; `None` at the end.
    fn header(&mut self) -> Result<Option<PageHeader>> {
        if let Some(header) = self.peeked.take() {
            return Ok(Some(header));
        }
        if self.values_left <= 0 || self.offset >= self.end {
            return Ok(None);
        }
        let left = self.end - self.offset;
        let mut length = HEADER_BYTES;
        loop {
            let at_hand = (length as u64).min(left) as usize;
            match parse_header(&self.read_at(self.offset, at_hand)?) {
                Ok((header, size)) => {
                    self.offset += size as u64;
                    self.check(&header)?;
                    return Ok(Some(header));
                }
                Err(ThriftError::Short) if (at_hand as u64) < left && length < MAX_HEADER_BYTES => length *= 8,
                Err(ThriftError::Short) => return Err(broken("a page's header does not end")),
                Err(ThriftError::Broken(what)) => return Err(broken(format!("a page's header is broken: {what}"))),
            }
        }
    }

    fn check(&self, header: &PageHeader) -> Result<()> {
        if header.compressed as u64 > self.end - self.offset {
            return Err(broken("a page goes beyond its column"));
        }
        if header.unfolded > MAX_PAGE_BYTES || header.compressed > MAX_PAGE_BYTES {
            return Err(broken(format!("a page claims to unfold to {} bytes; at most {MAX_PAGE_BYTES} are read", header.unfolded)));
        }
        if header.levels_bytes() > header.unfolded {
            return Err(broken("a page's levels are longer than the page"));
        }
        Ok(())
    }

    fn page(&mut self, header: &PageHeader) -> Result<Page> {
        // What is not compressed has the size that it has, whatever it claims.
        self.budget.take(header.unfolded.max(header.compressed) as u64)?;
        let stored = self.read_at(self.offset, header.compressed)?;
        self.offset += header.compressed as u64;
        let unfolded = Bytes::from(self.unfold(header, stored)?);
        match &header.kind {
            PageKind::Dictionary { num_values, encoding, is_sorted } => {
                self.check_dictionary(*num_values, unfolded.len())?;
                Ok(Page::DictionaryPage { buf: unfolded, num_values: *num_values, encoding: *encoding, is_sorted: *is_sorted })
            }
            PageKind::Data { num_values, encoding, definition, repetition } => {
                self.count(*num_values)?;
                let (buf, encoding) = if is_delta(*encoding) {
                    let values_at = self.values_v1(&unfolded, *definition, *repetition)?;
                    self.checked_delta(unfolded, values_at, *encoding, *num_values)?
                } else {
                    (unfolded, *encoding)
                };
                Ok(Page::DataPage {
                    buf,
                    num_values: *num_values,
                    encoding,
                    def_level_encoding: *definition,
                    rep_level_encoding: *repetition,
                    statistics: None,
                })
            }
            PageKind::DataV2 { num_values, num_nulls, num_rows, encoding, definition_bytes, repetition_bytes, .. } => {
                self.count(*num_values)?;
                if num_nulls > num_values {
                    return Err(broken("a page of more NULLs than values"));
                }
                let (buf, encoding) = if is_delta(*encoding) {
                    self.checked_delta(unfolded, header.levels_bytes(), *encoding, *num_values)?
                } else {
                    (unfolded, *encoding)
                };
                Ok(Page::DataPageV2 {
                    buf,
                    num_values: *num_values,
                    encoding,
                    num_nulls: *num_nulls,
                    num_rows: *num_rows,
                    def_levels_byte_len: *definition_bytes,
                    rep_levels_byte_len: *repetition_bytes,
                    is_compressed: false,
                    statistics: None,
                })
            }
            PageKind::Index => Err(broken("an index among the data")),
        }
    }

    fn count(&mut self, values: u32) -> Result<()> {
        self.values_left -= i64::from(values);
        if self.values_left < 0 { Err(broken("more values than the row group has")) } else { Ok(()) }
    }

    /// A value of a dictionary takes at least the bytes that its type needs.
    fn check_dictionary(&self, values: u32, bytes: usize) -> Result<()> {
        let least = match self.physical {
            PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
            PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
            PhysicalType::INT96 => 12,
            PhysicalType::BOOLEAN | PhysicalType::FIXED_LEN_BYTE_ARRAY => 1,
        };
        if values > MAX_CODED_VALUES {
            return Err(broken(format!("a dictionary of {values} values; at most {MAX_CODED_VALUES} are read")));
        }
        if values as usize > bytes / least { Err(broken("a dictionary of fewer bytes than values")) } else { Ok(()) }
    }

    /// Where the values begin in a page of the first version: behind the levels.
    fn values_v1(&self, page: &[u8], definition: Encoding, repetition: Encoding) -> Result<usize> {
        let mut rest = page;
        for (max, encoding) in [(self.max_repetition, repetition), (self.max_definition, definition)] {
            if max == 0 {
                continue;
            }
            if encoding != Encoding::RLE {
                return Err(broken("levels and values of encodings that do not go together"));
            }
            let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(|| broken("a page ends within its levels"))?;
            rest = behind.get(u32::from_le_bytes(*length) as usize..).ok_or_else(|| broken("a page ends within its levels"))?;
        }
        Ok(page.len() - rest.len())
    }

    /// A page of delta-encoded values that the decoder may believe, plain ones in place of those that it would not take.
    fn checked_delta(&self, page: Bytes, values_at: usize, encoding: Encoding, num_values: u32) -> Result<(Bytes, Encoding)> {
        let (levels, values) = page.split_at_checked(values_at).ok_or_else(|| broken("a page ends within its levels"))?;
        self.budget.take(check_delta(encoding, values, num_values)?)?;
        if encoding == Encoding::DELTA_BINARY_PACKED
            && self.physical == PhysicalType::INT32
            && let Some(plain) = delta::plain_of_wide(values, num_values, MAX_PAGE_BYTES).map_err(broken)?
        {
            self.budget.take(plain.len() as u64)?;
            return Ok(([levels, &plain].concat().into(), Encoding::PLAIN));
        }
        Ok((page, encoding))
    }

    fn unfold(&self, header: &PageHeader, stored: Vec<u8>) -> Result<Vec<u8>> {
        if self.compression == Compression::UNCOMPRESSED || !header.is_compressed() {
            return Ok(stored);
        }
        // The levels of a page of the second version are never compressed.
        let levels = header.levels_bytes();
        let packed = stored.get(levels..).ok_or_else(|| broken("a page ends within its levels"))?;
        let mut page = vec![0; header.unfolded];
        let (head, body) = page.split_at_mut_checked(levels).ok_or_else(|| broken("a page ends within its levels"))?;
        head.copy_from_slice(stored.get(..levels).unwrap_or_default());
        // A page without values but NULL has nothing behind its levels.
        if !body.is_empty() {
            decompress(self.compression, packed, body)?;
        }
        Ok(page)
    }
}

/// Unfolds `packed` to exactly `page`, and not a byte more.
fn decompress(compression: Compression, packed: &[u8], page: &mut [u8]) -> Result<()> {
    let unfolded = match compression {
        Compression::SNAPPY => {
            let claimed = snap::raw::decompress_len(packed).map_err(|error| broken(error.to_string()))?;
            if claimed != page.len() {
                return Err(wrong_size());
            }
            snap::raw::Decoder::new().decompress(packed, page).map_err(|error| broken(error.to_string()))?
        }
        Compression::ZSTD(_) => zstd::bulk::decompress_to_buffer(packed, page).map_err(|error| broken(format!("zstd: {error}")))?,
        Compression::LZ4_RAW => lz4_flex::block::decompress_into(packed, page).map_err(|error| broken(format!("lz4: {error}")))?,
        Compression::GZIP(_) => {
            let mut decoder = flate2::read::MultiGzDecoder::new(packed);
            decoder.read_exact(page).map_err(|error| broken(format!("gzip: {error}")))?;
            if decoder.read(&mut [0])? > 0 {
                return Err(wrong_size());
            }
            page.len()
        }
        other => {
            return Err(broken(format!("it is compressed with {other}, which Millrace does not read; use zstd, snappy, gzip or lz4_raw")));
        }
    };
    if unfolded == page.len() { Ok(()) } else { Err(wrong_size()) }
}

fn wrong_size() -> ParquetError {
    broken("a page does not unfold to the size that it claims")
}

const fn is_delta(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY)
}

/// Checks delta-encoded values, and gives the bytes that they unfold to beyond their own.
fn check_delta(encoding: Encoding, values: &[u8], num_values: u32) -> Result<u64> {
    let most_values = num_values.min(MAX_CODED_VALUES);
    let checked = match encoding {
        Encoding::DELTA_BYTE_ARRAY => delta::check_prefixed(values, most_values, MAX_PAGE_BYTES as u64),
        _ => delta::check_head(values, most_values).map(|()| 0),
    };
    checked.map_err(broken)
}

impl Iterator for CappedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CappedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        while let Some(header) = self.header()? {
            if matches!(header.kind, PageKind::Index) {
                self.offset += header.compressed as u64;
                continue;
            }
            return self.page(&header).map(Some);
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        while let Some(header) = self.header()? {
            let metadata = match &header.kind {
                PageKind::Index => {
                    self.offset += header.compressed as u64;
                    continue;
                }
                PageKind::Dictionary { .. } => PageMetadata { num_rows: None, num_levels: None, is_dict: true },
                PageKind::Data { num_values, .. } => {
                    PageMetadata { num_rows: None, num_levels: Some(*num_values as usize), is_dict: false }
                }
                PageKind::DataV2 { num_values, num_rows, .. } => {
                    PageMetadata { num_rows: Some(*num_rows as usize), num_levels: Some(*num_values as usize), is_dict: false }
                }
            };
            self.peeked = Some(header);
            return Ok(Some(metadata));
        }
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if let Some(header) = self.header()? {
            self.offset += header.compressed as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::basic::{GzipLevel, ZstdLevel};

    use super::*;

    /// 64 MiB of nothing, folded.
    fn bombs() -> Vec<(Compression, Vec<u8>)> {
        let unfolded = vec![0; 64 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&unfolded).unwrap();
        vec![
            (Compression::GZIP(GzipLevel::default()), gzip.finish().unwrap()),
            (Compression::ZSTD(ZstdLevel::default()), zstd::bulk::compress(&unfolded, 19).unwrap()),
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(&unfolded).unwrap()),
            (Compression::LZ4_RAW, lz4_flex::block::compress(&unfolded)),
        ]
    }

    /// Two columns of a row group, each of a page of about 8,000 bytes.
    fn two_columns(budget: u64) -> (CappedRowGroup, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let column = || Arc::new(arrow_array::Int64Array::from_iter_values(0..1_000)) as arrow_array::ArrayRef;
        let batch = arrow_array::RecordBatch::try_from_iter([("a", column()), ("b", column())]).unwrap();
        let properties = parquet::file::properties::WriterProperties::builder().set_dictionary_enabled(false).build();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file.reopen().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let metadata = super::super::footer::read(&mut file.reopen().unwrap()).unwrap().0;
        let group = CappedRowGroup {
            file: Arc::new(file.reopen().unwrap()),
            metadata: Arc::new(metadata),
            index: 0,
            budget: Arc::new(Budget(AtomicU64::new(budget))),
        };
        (group, file)
    }

    #[test]
    fn the_pages_of_a_row_group_share_a_cap() {
        let (group, _file) = two_columns(12_000);
        let mut columns = [0, 1].map(|column| group.column_chunks(column).unwrap().next().unwrap().unwrap());
        assert!(columns[0].get_next_page().unwrap().is_some());
        let error = columns[1].get_next_page().unwrap_err();
        assert!(error.to_string().contains("a row group unfolds to more than"), "{error}");
        let (group, _file) = two_columns(20_000);
        let mut columns = [0, 1].map(|column| group.column_chunks(column).unwrap().next().unwrap().unwrap());
        assert!(columns.iter_mut().all(|column| column.get_next_page().unwrap().is_some()));
    }

    #[test]
    fn a_page_that_unfolds_to_more_or_less_than_it_claims_is_refused_at_its_size() {
        for (compression, packed) in bombs() {
            for claimed in [0, 1, 1_000, (64 << 20) - 1] {
                assert!(decompress(compression, &packed, &mut vec![1; claimed]).is_err(), "{compression} to {claimed}");
            }
            let mut page = vec![1; 64 << 20];
            decompress(compression, &packed, &mut page).unwrap();
            assert!(page.iter().all(|byte| *byte == 0));
            assert!(decompress(compression, &packed, &mut vec![1; (64 << 20) + 1]).is_err());
            assert!(decompress(compression, packed.get(..packed.len() / 2).unwrap(), &mut vec![1; 64 << 20]).is_err());
            assert!(decompress(compression, b"", &mut [1; 10]).is_err());
        }
    }
}
