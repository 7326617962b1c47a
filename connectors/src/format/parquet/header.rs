//! A page's header, of parquet.thrift's `PageHeader`.

use parquet::basic::Encoding;

use super::thrift::{BOOL_FALSE, BOOL_TRUE, STRUCT, Thrift, ThriftError};

/// What a page's header says, every size found to be none below zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHeader {
    pub kind: PageKind,
    pub unfolded: usize,
    pub compressed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageKind {
    Data {
        num_values: u32,
        encoding: Encoding,
        definition: Encoding,
        repetition: Encoding,
    },
    Index,
    Dictionary {
        num_values: u32,
        encoding: Encoding,
        is_sorted: bool,
    },
    DataV2 {
        num_values: u32,
        num_nulls: u32,
        num_rows: u32,
        encoding: Encoding,
        definition_bytes: u32,
        repetition_bytes: u32,
        is_compressed: bool,
    },
}

impl PageHeader {
    /// Bytes of levels that stand before the compressed part.
    pub const fn levels_bytes(&self) -> usize {
        match self.kind {
            PageKind::DataV2 { definition_bytes, repetition_bytes, .. } => definition_bytes as usize + repetition_bytes as usize,
            _ => 0,
        }
    }

    pub const fn is_compressed(&self) -> bool {
        match self.kind {
            PageKind::DataV2 { is_compressed, .. } => is_compressed,
            _ => true,
        }
    }
}

/// The numbers of a struct's fields, by id up to 7; booleans as 0 and 1.
type Numbers = [Option<i64>; 8];

/// Reads the header that `bytes` begin with, and its size.
pub fn parse_header(bytes: &[u8]) -> Result<(PageHeader, usize), ThriftError> {
    let mut thrift = Thrift::new(bytes);
    let (mut page_type, mut unfolded, mut compressed) = (None, None, None);
    let (mut data, mut dictionary, mut data_v2) = (None, None, None);
    let mut last = 0;
    while let Some((id, kind)) = thrift.field(last)? {
        last = id;
        match (id, kind) {
            (1, 4..=6) => page_type = Some(thrift.integer()?),
            (2, 4..=6) => unfolded = Some(thrift.integer()?),
            (3, 4..=6) => compressed = Some(thrift.integer()?),
            (5, STRUCT) => data = Some(numbers(&mut thrift)?),
            (7, STRUCT) => dictionary = Some(numbers(&mut thrift)?),
            (8, STRUCT) => data_v2 = Some(numbers(&mut thrift)?),
            (_, kind) => thrift.skip(kind, 1)?,
        }
    }
    let kind = match (page_type, data, dictionary, data_v2) {
        (Some(0), Some(numbers), _, _) => PageKind::Data {
            num_values: count(&numbers, 1)?,
            encoding: encoding(&numbers, 2)?,
            definition: encoding(&numbers, 3)?,
            repetition: encoding(&numbers, 4)?,
        },
        (Some(1), ..) => PageKind::Index,
        (Some(2), _, Some(numbers), _) => PageKind::Dictionary {
            num_values: count(&numbers, 1)?,
            encoding: encoding(&numbers, 2)?,
            is_sorted: flag(&numbers, 3) == Some(true),
        },
        (Some(3), _, _, Some(numbers)) => PageKind::DataV2 {
            num_values: count(&numbers, 1)?,
            num_nulls: count(&numbers, 2)?,
            num_rows: count(&numbers, 3)?,
            encoding: encoding(&numbers, 4)?,
            definition_bytes: count(&numbers, 5)?,
            repetition_bytes: count(&numbers, 6)?,
            is_compressed: flag(&numbers, 7) != Some(false),
        },
        _ => return Err(ThriftError::Broken("an unknown page type")),
    };
    let size = |number: Option<i64>| {
        number
            .and_then(|number| i32::try_from(number).ok())
            .and_then(|number| usize::try_from(number).ok())
            .ok_or(ThriftError::Broken("a page's size"))
    };
    Ok((PageHeader { kind, unfolded: size(unfolded)?, compressed: size(compressed)? }, thrift.at()))
}

fn numbers(thrift: &mut Thrift<'_>) -> Result<Numbers, ThriftError> {
    let mut numbers = Numbers::default();
    let mut last = 0;
    while let Some((id, kind)) = thrift.field(last)? {
        last = id;
        let value = match kind {
            BOOL_TRUE => Some(1),
            BOOL_FALSE => Some(0),
            4..=6 => Some(thrift.integer()?),
            other => {
                thrift.skip(other, 2)?;
                None
            }
        };
        if let Some(place) = usize::try_from(id).ok().and_then(|id| numbers.get_mut(id)) {
            *place = value;
        }
    }
    Ok(numbers)
}

fn count(numbers: &Numbers, id: usize) -> Result<u32, ThriftError> {
    // At most what an i32 holds: that is how Parquet declares it.
    let number = numbers.get(id).copied().flatten().and_then(|number| i32::try_from(number).ok());
    number.and_then(|number| u32::try_from(number).ok()).ok_or(ThriftError::Broken("a page's counts"))
}

fn flag(numbers: &Numbers, id: usize) -> Option<bool> {
    numbers.get(id).copied().flatten().map(|number| number != 0)
}

fn encoding(numbers: &Numbers, id: usize) -> Result<Encoding, ThriftError> {
    Ok(match numbers.get(id).copied().flatten() {
        Some(0) => Encoding::PLAIN,
        Some(2) => Encoding::PLAIN_DICTIONARY,
        Some(3) => Encoding::RLE,
        #[allow(deprecated)]
        Some(4) => Encoding::BIT_PACKED,
        Some(5) => Encoding::DELTA_BINARY_PACKED,
        Some(6) => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        Some(7) => Encoding::DELTA_BYTE_ARRAY,
        Some(8) => Encoding::RLE_DICTIONARY,
        Some(9) => Encoding::BYTE_STREAM_SPLIT,
        _ => return Err(ThriftError::Broken("an unknown encoding")),
    })
}
