//! A column that is being given out, value by value.

use millrace_model::DataType as Type;
use polars::prelude::*;
use polars_arrow::bitmap::BitmapBuilder;

use super::words;
use crate::error::RunResult;

/// Collects the values of one output column.
pub struct Cells {
    data_type: Type,
    store: Store,
}

enum Store {
    Words { words: Vec<u64>, valid: BitmapBuilder },
    Text(StringChunkedBuilder),
}

impl Cells {
    pub fn new(data_type: Type, capacity: usize) -> Self {
        let store = match data_type {
            Type::Varchar => Store::Text(StringChunkedBuilder::new(PlSmallStr::EMPTY, capacity)),
            _ => Store::Words { words: Vec::with_capacity(capacity), valid: BitmapBuilder::with_capacity(capacity) },
        };
        Cells { data_type, store }
    }

    #[inline]
    pub fn push_word(&mut self, word: u64) {
        match &mut self.store {
            Store::Words { words, valid } => {
                words.push(word);
                valid.push(true);
            }
            Store::Text(_) => self.push_null(),
        }
    }

    #[inline]
    pub fn push_i64(&mut self, value: i64) {
        self.push_word(words::of_i64(value));
    }

    #[inline]
    pub fn push_f64(&mut self, value: f64) {
        self.push_word(words::of_f64(value));
    }

    pub fn push_text(&mut self, text: &str) {
        match &mut self.store {
            Store::Text(builder) => builder.append_value(text),
            Store::Words { .. } => self.push_null(),
        }
    }

    pub fn push_null(&mut self) {
        match &mut self.store {
            Store::Words { words, valid } => {
                words.push(0);
                valid.push(false);
            }
            Store::Text(builder) => builder.append_null(),
        }
    }

    pub fn finish(self, name: &str) -> RunResult<Column> {
        match self.store {
            Store::Words { words, valid } => words::decode(name, words, valid.into_opt_validity(), self.data_type),
            Store::Text(builder) => {
                let mut text = builder.finish();
                text.rename(PlSmallStr::from_str(name));
                Ok(text.into_series().into_column())
            }
        }
    }
}
