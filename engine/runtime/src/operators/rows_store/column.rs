//! One column of kept rows.

use std::cmp::Ordering;

use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, Writer};
use polars::prelude::*;
use polars_arrow::bitmap::Bitmap;

use super::texts::Texts;
use crate::error::RunResult;
use crate::operators::aggregate::words;

/// The values of every kept row, by the row's number.
pub enum StoredColumn {
    /// See [`words`].
    Words {
        words: Vec<u64>,
        /// Empty until a value is NULL.
        valid: Vec<bool>,
    },
    Text(Texts),
}

/// A value, as it is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Word(u64),
    Text(&'a [u8]),
}

impl StoredColumn {
    pub fn new(data_type: Type) -> Self {
        match data_type {
            Type::Varchar => StoredColumn::Text(Texts::default()),
            _ => StoredColumn::Words { words: Vec::new(), valid: Vec::new() },
        }
    }

    /// The values of a batch.
    pub fn of(column: &Column) -> RunResult<Self> {
        let series = column.as_materialized_series();
        if series.dtype() == &DataType::String {
            let mut texts = Texts::default();
            series.str()?.iter().enumerate().for_each(|(row, text)| texts.set(row, text.map(str::as_bytes)));
            return Ok(StoredColumn::Text(texts));
        }
        let valid = words::validity(series).map(|bits| bits.iter().collect()).unwrap_or_default();
        Ok(StoredColumn::Words { words: words::encode(series)?, valid })
    }

    #[inline]
    pub fn get(&self, row: usize) -> Value<'_> {
        match self {
            StoredColumn::Words { words, valid } => match words.get(row) {
                Some(word) if valid.is_empty() || valid.get(row) == Some(&true) => Value::Word(*word),
                _ => Value::Null,
            },
            StoredColumn::Text(texts) => texts.get(row).map_or(Value::Null, Value::Text),
        }
    }

    /// Puts a value at a row; that after the last is a new one.
    pub fn set(&mut self, row: usize, value: Value<'_>) {
        match self {
            StoredColumn::Words { words, valid } => {
                let (word, is_valid) = match value {
                    Value::Word(word) => (word, true),
                    _ => (0, false),
                };
                if !is_valid || !valid.is_empty() {
                    valid.resize(words.len().max(row + 1), true);
                    if let Some(place) = valid.get_mut(row) {
                        *place = is_valid;
                    }
                }
                match words.get_mut(row) {
                    Some(place) => *place = word,
                    None => words.push(word),
                }
            }
            StoredColumn::Text(texts) => match value {
                Value::Text(text) => texts.set(row, Some(text)),
                _ => texts.set(row, None),
            },
        }
    }

    pub fn free(&mut self, row: usize) {
        if let StoredColumn::Text(texts) = self {
            texts.free(row);
        }
    }

    /// The values of some rows, as a column of a batch.
    pub fn give(&self, name: &str, rows: &[u32], data_type: Type) -> RunResult<Column> {
        match self {
            StoredColumn::Words { words, valid } => {
                let given = rows.iter().map(|row| words.get(*row as usize).copied().unwrap_or(0)).collect();
                let bits: Option<Bitmap> =
                    (!valid.is_empty()).then(|| rows.iter().map(|row| valid.get(*row as usize) == Some(&true)).collect());
                words::decode(name, given, bits.filter(|bits| bits.unset_bits() > 0), data_type)
            }
            StoredColumn::Text(texts) => {
                let mut builder = StringChunkedBuilder::new(PlSmallStr::from_str(name), rows.len());
                for row in rows {
                    builder.append_option(texts.get(*row as usize).and_then(|text| std::str::from_utf8(text).ok()));
                }
                Ok(builder.finish().into_series().into_column())
            }
        }
    }

    pub fn save(&self, rows: &[u32], out: &mut Writer) {
        for row in rows {
            let value = self.get(*row as usize);
            out.flag(value != Value::Null);
            match value {
                Value::Null => {}
                Value::Word(word) => out.u64(word),
                Value::Text(text) => out.sized(text),
            }
        }
    }

    /// Reads a value that [`StoredColumn::save`] wrote.
    pub fn load(&mut self, row: usize, from: &mut Reader<'_>) -> RunResult<()> {
        let is_valid = from.flag()?;
        let value = match self {
            _ if !is_valid => Value::Null,
            StoredColumn::Words { .. } => Value::Word(from.u64()?),
            StoredColumn::Text(_) => Value::Text(from.text()?.as_bytes()),
        };
        self.set(row, value);
        Ok(())
    }

    pub fn clear(&mut self) {
        match self {
            StoredColumn::Words { words, valid } => {
                words.clear();
                valid.clear();
            }
            StoredColumn::Text(texts) => texts.clear(),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            StoredColumn::Words { words, valid } => words.capacity() * 8 + valid.capacity(),
            StoredColumn::Text(texts) => texts.bytes(),
        }
    }
}

impl Value<'_> {
    /// Ascending but for NULL, which has a place of its own.
    #[inline]
    pub fn compare(self, other: Value<'_>, is_descending: bool, nulls_first: bool) -> Ordering {
        let order = match (self, other) {
            (Value::Word(a), Value::Word(b)) => a.cmp(&b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Null, Value::Null) => return Ordering::Equal,
            (Value::Null, _) => return if nulls_first { Ordering::Less } else { Ordering::Greater },
            (_, Value::Null) => return if nulls_first { Ordering::Greater } else { Ordering::Less },
            // One column has one type.
            _ => Ordering::Equal,
        };
        if is_descending { order.reverse() } else { order }
    }

    /// A number that never sorts two values the other way round, but that two may share.
    #[inline]
    pub fn lead(self, is_descending: bool, nulls_first: bool) -> u64 {
        let lead = match self {
            Value::Null => return if nulls_first { 0 } else { u64::MAX },
            Value::Word(word) => word,
            Value::Text(text) => {
                let mut first = [0; 8];
                let length = text.len().min(8);
                if let (Some(place), Some(text)) = (first.get_mut(..length), text.get(..length)) {
                    place.copy_from_slice(text);
                }
                u64::from_be_bytes(first)
            }
        };
        if is_descending { !lead } else { lead }
    }
}
