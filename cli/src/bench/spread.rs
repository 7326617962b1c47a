//! Rows that fill a state: each of so many keys once, then all again in the same order.
//!
//! The columns and times are those of [`super::table`]. Keys are made as a batch goes by, and lie scattered over all 64-bit numbers.

use millrace_engine::model::Schema;
use polars::prelude::{Column, DataFrame, PolarsResult};

use super::prepared::Prepared;
use super::table::{FIRST_US, ROWS_PER_STEP, STEP_US, integers, key_and_value, schema, stamps, time_after_first};

/// Batches of values that differ.
const DISTINCT_VALUES: u64 = 64;
/// Odd, so that no two numbers give the same key.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

pub struct Spread {
    batch_rows: u64,
    keys: u64,
    values: Vec<Column>,
    ramp: Vec<i64>,
}

impl Spread {
    /// `batch_rows` is rounded up to whole steps of event time.
    pub fn new(batch_rows: u64, keys: u64) -> Spread {
        let batch_rows = batch_rows.max(1).next_multiple_of(ROWS_PER_STEP);
        let values = |number: u64| (number * batch_rows..(number + 1) * batch_rows).map(|row| key_and_value(row, 1).1).collect();
        Spread {
            batch_rows,
            keys: keys.max(1),
            values: (0..DISTINCT_VALUES).map(|number| integers("v", values(number))).collect(),
            ramp: (0..batch_rows).map(|row| time_after_first(row) as i64).collect(),
        }
    }
}

impl Prepared for Spread {
    fn schema(&self) -> Schema {
        schema()
    }

    fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    fn batch(&self, number: u64) -> PolarsResult<DataFrame> {
        let first = FIRST_US + (number * (self.batch_rows / ROWS_PER_STEP) * STEP_US) as i64;
        let times = self.ramp.iter().map(|after| first + after).collect();
        let start = number * self.batch_rows % self.keys;
        let keys = (start..start + self.batch_rows).map(|at| (at % self.keys).wrapping_mul(SCATTER) as i64).collect();
        let mut columns = vec![stamps(times), integers("k", keys)];
        columns.extend(self.values.get((number % DISTINCT_VALUES) as usize).cloned());
        DataFrame::new(self.batch_rows as usize, columns)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_comes_once_before_any_comes_again() {
        let spread = Spread::new(4096, 15_000);
        let keys: Vec<i64> =
            (0..5).flat_map(|number| spread.batch(number).unwrap().column("k").unwrap().i64().unwrap().to_vec()).flatten().collect();
        let (first, again) = keys.split_at(15_000);
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 15_000);
        assert_eq!(first[..again.len()], *again);
    }
}
