//! What is compared of two results: how many rows, the sum of every column, and of neighbouring columns how they stand beside each other.

use polars::prelude::{Column, DataFrame, DataType};

use millrace_engine::runtime::RunResult;
use millrace_engine::runtime::batch::is_hidden;

/// Of all rows of a result, in whatever order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checksum {
    pub rows: u64,
    /// The sum of every column of numbers or times, wrapping, by place; 0 where there are floats or text.
    pub sums: Vec<i64>,
    /// The sum of the exclusive or of each such column with the next, wrapping: a value that slipped to another row shows.
    pub mixes: Vec<i64>,
    /// The sum of every column of floats, by place.
    pub floats: Vec<f64>,
}

impl Checksum {
    /// Adds the visible columns of a frame.
    pub fn add(&mut self, frame: &DataFrame) -> RunResult<()> {
        self.rows += frame.height() as u64;
        let visible: Vec<&Column> = frame.columns().iter().filter(|column| !is_hidden(column.name())).collect();
        self.widen(visible.len());
        let mut last: Option<&[i64]> = None;
        let physical: Vec<_> = visible.iter().map(|column| column.as_materialized_series().to_physical_repr()).collect();
        for (place, series) in physical.iter().enumerate() {
            let mut words = None;
            match series.dtype() {
                DataType::Int64 => {
                    let values = series.i64()?;
                    match values.cont_slice() {
                        Ok(values) => {
                            add_to(&mut self.sums, place, wrapping_sum(values.iter().copied()));
                            if let Some(before) = last {
                                add_to(&mut self.mixes, place, wrapping_sum(before.iter().zip(values).map(|(a, b)| a ^ b)));
                            }
                            words = Some(values);
                        }
                        Err(_) => add_to(&mut self.sums, place, wrapping_sum(values.iter().flatten())),
                    }
                }
                DataType::Float64 => {
                    if let Some(sum) = self.floats.get_mut(place) {
                        let values = series.f64()?;
                        *sum += match values.cont_slice() {
                            Ok(values) => values.iter().sum::<f64>(),
                            Err(_) => values.iter().flatten().sum::<f64>(),
                        };
                    }
                }
                _ => {}
            }
            last = words;
        }
        Ok(())
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
}
