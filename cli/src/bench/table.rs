//! The rows that the engine's own benches work on: a pure function of a row's number, so that the engine and DuckDB are given the same.
//!
//! | column | |
//! |---|---|
//! | `t` TIMESTAMP | 4,096 rows every 2.5 ms of event time, in order: 16.4 million in a window of ten seconds |
//! | `k` BIGINT | one of as many keys as are asked for, evenly at random |
//! | `v` BIGINT | 0 to 999,999 at random |
//!
//! Keys and values come again after [`Table::distinct`] rows, times do not.

use millrace_engine::model::{DataType, Field, Schema};
use polars::prelude::{Column, DataFrame, Int64Chunked, IntoSeries, PolarsResult, TimeUnit};

use super::prepared::Prepared;

/// Batches that differ in keys and values.
const DISTINCT_BATCHES: u64 = 1024;
/// Rows between two steps of event time.
pub const ROWS_PER_STEP: u64 = 4096;
/// How far a step goes, in microseconds.
pub const STEP_US: u64 = 2_500;
/// When the first row happens: some time in 2001, so that the sums of a checksum stay within 128 bits.
pub const FIRST_US: i64 = 1_000_000_000_000_000;
/// What the two multiplications are taken by: a prime below 2^31, so that no product leaves 64 bits, in SQL either.
const PRIME: u64 = 2_147_483_647;

/// The rows as columns in memory, made before any clock starts.
pub struct Table {
    batch_rows: u64,
    keys: u64,
    /// Keys and values of each distinct batch.
    batches: Vec<[Column; 2]>,
    /// The times of a batch's rows after its first step.
    ramp: Vec<i64>,
}

impl Table {
    /// `batch_rows` is rounded up to whole steps of event time.
    pub fn new(batch_rows: u64, keys: u64) -> Table {
        let batch_rows = batch_rows.max(1).next_multiple_of(ROWS_PER_STEP);
        let batch = |number: u64| {
            let rows = number * batch_rows..(number + 1) * batch_rows;
            let (ks, vs): (Vec<i64>, Vec<i64>) = rows.map(|row| key_and_value(row, keys)).unzip();
            [integers("k", ks), integers("v", vs)]
        };
        let ramp = (0..batch_rows).map(|row| time_after_first(row) as i64).collect();
        Table { batch_rows, keys, batches: (0..DISTINCT_BATCHES).map(batch).collect(), ramp }
    }

    /// Rows with keys and values of their own.
    pub fn distinct(&self) -> u64 {
        DISTINCT_BATCHES * self.batch_rows
    }

    fn frame(&self, number: u64, times: Vec<i64>) -> PolarsResult<DataFrame> {
        let mut columns = vec![stamps(times)];
        columns.extend(self.batches.get((number % DISTINCT_BATCHES) as usize).into_iter().flatten().cloned());
        DataFrame::new(self.batch_rows as usize, columns)
    }

    fn frame_of(&self, number: u64) -> PolarsResult<DataFrame> {
        let columns = self.batches.get((number % DISTINCT_BATCHES) as usize).into_iter().flatten().cloned().collect();
        DataFrame::new(self.batch_rows as usize, columns)
    }

    /// A query that gives the rows from one number to before another, in order.
    pub fn sql(&self, from: u64, to: u64) -> String {
        self.sql_of(&format!("range({from}, {to}) AS numbers(r)"))
    }

    /// A query that gives a partition's rows of the first so many: partition i of n has every nth batch.
    pub fn part_sql(&self, rows: u64, partition: u64, partitions: u64) -> String {
        self.sql_of(&format!("range({rows}) AS numbers(r) WHERE (r // {}) % {partitions} = {partition}", self.batch_rows))
    }

    fn sql_of(&self, numbers: &str) -> String {
        let (distinct, keys) = (self.distinct(), self.keys);
        format!(
            "SELECT make_timestamp({FIRST_US} + (r // {ROWS_PER_STEP}) * {STEP_US} + ((r % {ROWS_PER_STEP}) * {STEP_US}) // {ROWS_PER_STEP}) AS t,
                    x3 % {keys} AS k, ((xor(x3, x1) * 69621) % {PRIME}) % 1000000 AS v
             FROM (SELECT r, x1, xor(x2, x2 >> 16) AS x3
             FROM (SELECT r, x1, (xor(x1, x1 >> 15) * 1597334677) % {PRIME} AS x2
             FROM (SELECT r, ((r % {distinct} + 1) * 48271) % {PRIME} AS x1 FROM {numbers})))"
        )
    }
}

impl Prepared for Table {
    fn schema(&self) -> Schema {
        schema()
    }

    fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Its times are made as it goes by, its other columns are shared.
    fn batch(&self, number: u64) -> PolarsResult<DataFrame> {
        let first = FIRST_US + (number * (self.batch_rows / ROWS_PER_STEP) * STEP_US) as i64;
        let times: Vec<i64> = self.ramp.iter().map(|after| first + after).collect();
        self.frame(number, times)
    }

    fn batch_at(&self, number: u64, from: usize, times: Vec<i64>) -> PolarsResult<Option<DataFrame>> {
        let rows = times.len();
        let frame = self.frame_of(number)?.slice(from as i64, rows);
        let mut columns = vec![stamps(times)];
        columns.extend(frame.columns().iter().cloned());
        DataFrame::new(rows, columns).map(Some)
    }
}

/// The columns of such rows.
pub fn schema() -> Schema {
    let columns = [("t", DataType::Timestamp), ("k", DataType::BigInt), ("v", DataType::BigInt)];
    Schema::new(columns.map(|(name, data_type)| Field::required(name, data_type)).to_vec())
}

/// What a row's time is after the first's, in microseconds.
pub const fn time_after_first(row: u64) -> u64 {
    (row / ROWS_PER_STEP) * STEP_US + (row % ROWS_PER_STEP) * STEP_US / ROWS_PER_STEP
}

/// The same arithmetic as in [`Table::sql`], for a row among the distinct ones.
pub const fn key_and_value(row: u64, keys: u64) -> (i64, i64) {
    let x1 = (row + 1) * 48_271 % PRIME;
    let x2 = (x1 ^ (x1 >> 15)) * 1_597_334_677 % PRIME;
    let x3 = x2 ^ (x2 >> 16);
    let v = ((x3 ^ x1) * 69_621 % PRIME) % 1_000_000;
    ((x3 % keys) as i64, v as i64)
}

pub fn integers(name: &str, values: Vec<i64>) -> Column {
    Int64Chunked::from_vec(name.into(), values).into_series().into()
}

pub fn stamps(times: Vec<i64>) -> Column {
    Int64Chunked::from_vec("t".into(), times).into_datetime(TimeUnit::Microseconds, None).into_series().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duckdb_makes_the_same_rows() {
        let table = Table::new(4096, 1_000);
        let (from, to) = (table.distinct() - 5, table.distinct() + 5);
        let connection = duckdb::Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare(&format!("SELECT epoch_us(t), k, v FROM ({})", table.sql(from, to))).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))).unwrap();
        let theirs: Vec<(i64, i64, i64)> = rows.map(Result::unwrap).collect();
        let ours: Vec<(i64, i64, i64)> = (from..to)
            .map(|row| {
                let frame = table.batch(row / 4096).unwrap().slice((row % 4096) as i64, 1);
                let at =
                    |name: &str| frame.column(name).unwrap().as_materialized_series().to_physical_repr().i64().unwrap().get(0).unwrap();
                (at("t"), at("k"), at("v"))
            })
            .collect();
        assert_eq!(ours, theirs);
    }
}
