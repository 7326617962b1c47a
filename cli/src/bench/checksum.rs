//! What is compared of two results: how many rows, the sum of every column, and of neighbouring columns how they stand beside each other.
//!
//! Of results that change, rows that take others back count negatively, so that what is left is compared.

use std::borrow::Cow;
use std::collections::HashMap;

use millrace_engine::model::{OP_COLUMN, RowOp};
use millrace_engine::runtime::batch::is_hidden;
use millrace_engine::runtime::{RunError, RunResult};
use polars::prelude::{Column, DataFrame, DataType, Series, StringChunked};

/// What the length of a text counts: more than its first letter can.
pub const LENGTH_WEIGHT: i64 = 0x11_0000;

/// Of all rows of a result, in whatever order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checksum {
    pub rows: u64,
    /// The sum of every column of numbers, times or text, wrapping, by place; 0 where there are floats. A text counts by its length and its
    /// first letter.
    pub sums: Vec<i64>,
    /// The sum of the exclusive or of each such column with the next, wrapping: a value that slipped to another row shows.
    pub mixes: Vec<i64>,
    /// The sum of every column of floats, by place.
    pub floats: Vec<f64>,
}

impl Checksum {
    /// Adds the visible columns of a frame.
    pub fn add(&mut self, frame: &DataFrame) -> RunResult<()> {
        let weights = weights(frame)?;
        let series = physical(frame);
        let columns: Vec<Words<'_>> = series.iter().map(Words::of).collect::<RunResult<_>>()?;
        self.widen(columns.len());
        match &weights {
            Some(weights) => self.rows = self.rows.wrapping_add(wrapping_sum(weights.iter().copied()) as u64),
            None => self.rows += frame.height() as u64,
        }
        let weights = weights.as_deref();
        let mut before: Option<&[i64]> = None;
        for (place, words) in columns.iter().enumerate() {
            let here = match words {
                Words::Whole(words) => Some(words.as_ref()),
                Words::Gaps(sum) => {
                    add_to(&mut self.sums, place, *sum);
                    None
                }
                Words::Float(sum) => {
                    self.floats.get_mut(place).into_iter().for_each(|float| *float += sum);
                    None
                }
                Words::None => None,
            };
            if let Some(here) = here {
                add_to(&mut self.sums, place, weighed(here.iter().copied(), weights));
                if let Some(before) = before {
                    add_to(&mut self.mixes, place, weighed(before.iter().zip(here).map(|(a, b)| a ^ b), weights));
                }
            }
            before = here;
        }
        Ok(())
    }

    /// Adds a row once more, or takes it back.
    fn add_row(&mut self, row: &[i64], weight: i64) {
        self.widen(row.len());
        self.rows = self.rows.wrapping_add(weight as u64);
        for (place, word) in row.iter().enumerate() {
            add_to(&mut self.sums, place, word.wrapping_mul(weight));
        }
        for (place, pair) in row.windows(2).enumerate() {
            let mix = pair.iter().fold(0, |mix, word| mix ^ word);
            add_to(&mut self.mixes, place + 1, mix.wrapping_mul(weight));
        }
    }

    /// Adds another part of the same result.
    pub fn merge(&mut self, other: &Checksum) {
        self.rows += other.rows;
        self.widen(other.sums.len());
        other.sums.iter().enumerate().for_each(|(place, sum)| add_to(&mut self.sums, place, *sum));
        other.mixes.iter().enumerate().for_each(|(place, mix)| add_to(&mut self.mixes, place, *mix));
        self.floats.iter_mut().zip(&other.floats).for_each(|(sum, more)| *sum += more);
    }

    fn widen(&mut self, columns: usize) {
        if self.sums.len() < columns {
            self.sums.resize(columns, 0);
            self.mixes.resize(columns, 0);
            self.floats.resize(columns, 0.0);
        }
    }

    /// Whether both are of the same rows, as far as can be told. Sums of floats may differ in what rounding does.
    pub fn agrees(&self, other: &Checksum) -> bool {
        let is_near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
        let is_same_width = self.floats.len() == other.floats.len();
        self.rows == other.rows
            && self.sums == other.sums
            && self.mixes == other.mixes
            && is_same_width
            && self.floats.iter().zip(&other.floats).all(is_near)
    }
}

/// What is left of rows that replace each other by key. Slow: for comparisons alone.
pub struct Net {
    key: Vec<String>,
    /// By key, the words of the row that stands.
    rows: HashMap<Vec<i64>, Vec<i64>>,
}

impl Net {
    pub fn new(key: &[String]) -> Net {
        Net { key: key.to_vec(), rows: HashMap::new() }
    }

    /// Has the rows of a frame take the place of those before them; `left` is the checksum of what stands.
    pub fn add(&mut self, frame: &DataFrame, left: &mut Checksum) -> RunResult<()> {
        let series = physical(frame);
        let mut columns = Vec::with_capacity(series.len());
        for series in &series {
            let Words::Whole(words) = Words::of(series)? else {
                return Err(RunError::bug("a bench compares whole numbers and text alone where rows replace each other"));
            };
            columns.push(words);
        }
        let key: Vec<usize> = self.key.iter().filter_map(|name| series.iter().position(|series| series.name().as_str() == name)).collect();
        let ops = frame.column(OP_COLUMN)?.str()?;
        for (row, op) in ops.iter().enumerate() {
            let words: Vec<i64> = columns.iter().filter_map(|words| words.get(row).copied()).collect();
            let key: Vec<i64> = key.iter().filter_map(|place| words.get(*place).copied()).collect();
            let adds = op.and_then(RowOp::from_word).is_some_and(RowOp::adds);
            if adds {
                left.add_row(&words, 1);
            }
            let before = if adds { self.rows.insert(key, words) } else { self.rows.remove(&key) };
            before.into_iter().for_each(|before| left.add_row(&before, -1));
        }
        Ok(())
    }
}

/// A column as numbers to sum.
enum Words<'a> {
    Whole(Cow<'a, [i64]>),
    /// The sum, where some are NULL.
    Gaps(i64),
    Float(f64),
    None,
}

impl<'a> Words<'a> {
    fn of(series: &'a Series) -> RunResult<Words<'a>> {
        Ok(match series.dtype() {
            DataType::Int64 => {
                let values = series.i64()?;
                match values.cont_slice() {
                    Ok(values) => Words::Whole(Cow::Borrowed(values)),
                    Err(_) => Words::Gaps(wrapping_sum(values.iter().flatten())),
                }
            }
            DataType::Float64 => {
                let values = series.f64()?;
                Words::Float(match values.cont_slice() {
                    Ok(values) => values.iter().sum::<f64>(),
                    Err(_) => values.iter().flatten().sum::<f64>(),
                })
            }
            DataType::String => Words::Whole(Cow::Owned(text_words(series.str()?))),
            _ => Words::None,
        })
    }
}

/// As the SQL of the workload's columns has it: the length, and the first letter.
fn text_words(texts: &StringChunked) -> Vec<i64> {
    let word = |text: &str| text.len() as i64 * LENGTH_WEIGHT + text.chars().next().map_or(-1, |letter| i64::from(u32::from(letter)));
    texts.iter().map(|text| text.map_or(0, word)).collect()
}

fn physical(frame: &DataFrame) -> Vec<Series> {
    let visible = frame.columns().iter().filter(|column| !is_hidden(column.name()) && column.name() != OP_COLUMN);
    visible.map(|column: &Column| column.as_materialized_series().to_physical_repr().into_owned()).collect()
}

/// Of rows that change, 1 for those that add something, and -1 for those that take it back.
fn weights(frame: &DataFrame) -> RunResult<Option<Vec<i64>>> {
    let Ok(ops) = frame.column(OP_COLUMN) else { return Ok(None) };
    let weight = |op: Option<&str>| if op.and_then(RowOp::from_word).is_some_and(RowOp::adds) { 1 } else { -1 };
    Ok(Some(ops.str()?.iter().map(weight).collect()))
}

fn weighed(values: impl Iterator<Item = i64>, weights: Option<&[i64]>) -> i64 {
    match weights {
        None => wrapping_sum(values),
        Some(weights) => wrapping_sum(values.zip(weights).map(|(value, weight)| value.wrapping_mul(*weight))),
    }
}

fn add_to(sums: &mut [i64], place: usize, more: i64) {
    if let Some(sum) = sums.get_mut(place) {
        *sum = sum.wrapping_add(more);
    }
}

fn wrapping_sum(values: impl Iterator<Item = i64>) -> i64 {
    values.fold(0, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    #[test]
    fn rows_in_another_order_and_in_other_batches_agree_and_a_value_in_another_row_does_not() {
        let frame = df! { "a" => [1i64, 2, 3], "b" => [7i64, 5, 9], "c" => [0.5, 0.25, 1.5], "__time" => [1i64, 2, 3] }.unwrap();
        let mut whole = Checksum::default();
        whole.add(&frame).unwrap();
        let (mut parts, mut part) = (Checksum::default(), Checksum::default());
        part.add(&frame.slice(2, 1)).unwrap();
        parts.merge(&part);
        let mut part = Checksum::default();
        part.add(&frame.slice(0, 2)).unwrap();
        parts.merge(&part);
        assert!(whole.agrees(&parts));
        let slipped = df! { "a" => [1i64, 2, 3], "b" => [5i64, 7, 9], "c" => [0.5, 0.25, 1.5] }.unwrap();
        let mut other = Checksum::default();
        other.add(&slipped).unwrap();
        assert!(!whole.agrees(&other));
    }

    #[test]
    fn what_is_left_of_changes_agrees_with_the_rows_that_stand() {
        let changes = df! { "k" => [1i64, 2, 1, 2], "v" => ["one", "two", "eins", "two"], OP_COLUMN => ["+I", "+I", "+U", "-D"] }.unwrap();
        let stands = df! { "k" => [1i64], "v" => ["eins"] }.unwrap();
        let (mut net, mut left, mut expected) = (Net::new(&["k".to_owned()]), Checksum::default(), Checksum::default());
        net.add(&changes, &mut left).unwrap();
        expected.add(&stands).unwrap();
        assert!(left.agrees(&expected), "{left:?} {expected:?}");
        let taken_back =
            df! { "k" => [1i64, 2, 1, 1, 2], "v" => ["one", "two", "one", "eins", "two"], OP_COLUMN => ["+I", "+I", "-U", "+U", "-D"] };
        let mut left = Checksum::default();
        left.add(&taken_back.unwrap()).unwrap();
        assert!(left.agrees(&expected), "{left:?} {expected:?}");
    }
}
