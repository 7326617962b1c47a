//! DuckDB over the same rows at rest, in this process and with as many threads.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use duckdb::Connection;
use duckdb::types::ValueRef;

use super::checksum::Checksum;
use super::table::Table;
use super::workload::{Column, Workload};

/// A database that holds the table `rows`.
pub struct Duck {
    connection: Connection,
    rows: u64,
}

impl Duck {
    pub fn new(threads: u32) -> anyhow::Result<Duck> {
        let connection = Connection::open_in_memory().context("DuckDB cannot be opened")?;
        connection.execute_batch(&format!(
            "SET TimeZone = 'UTC'; SET threads = {threads}; CREATE TABLE rows (t TIMESTAMP, k BIGINT, v BIGINT)"
        ))?;
        Ok(Duck { connection, rows: 0 })
    }

    /// Has the table hold this many rows, in their order.
    pub fn fill(&mut self, table: &Table, rows: u64) -> anyhow::Result<()> {
        if rows > self.rows {
            self.connection.execute_batch(&format!("INSERT INTO rows {}", table.sql(self.rows, rows)))?;
            self.rows = rows;
        }
        Ok(())
    }

    /// Writes the rows of a query, in their order.
    pub fn write_parquet(&self, sql: &str, path: &str) -> anyhow::Result<()> {
        Ok(self.connection.execute_batch(&format!("COPY ({sql}) TO '{}' (FORMAT parquet)", path.replace('\'', "''")))?)
    }

    /// Has the table `bids` hold what a file does.
    pub fn take_bids(&self, path: &str) -> anyhow::Result<()> {
        let table = format!("CREATE TABLE bids AS FROM read_parquet('{}')", path.replace('\'', "''"));
        Ok(self.connection.execute_batch(&table)?)
    }

    /// Has `bid` be the bids among the events before one, or all.
    pub fn show_bids(&self, before: Option<u64>) -> anyhow::Result<()> {
        let condition = before.map_or_else(String::new, |before| format!(" WHERE event_number < {before}"));
        Ok(self.connection.execute_batch(&format!("CREATE OR REPLACE TEMP VIEW bid AS FROM bids{condition}"))?)
    }

    /// Has `rows` be what these files hold.
    pub fn read_parquet(&self, glob: &str) -> anyhow::Result<()> {
        let view = format!("CREATE OR REPLACE TEMP VIEW rows AS SELECT * FROM read_parquet('{}')", glob.replace('\'', "''"));
        Ok(self.connection.execute_batch(&view)?)
    }

    /// How long the query takes, its result drained.
    pub fn time(&self, workload: &Workload, keys: u64) -> anyhow::Result<Duration> {
        let sql = workload.timed_sql(keys);
        let started = Instant::now();
        self.numbers(&sql)?;
        Ok(started.elapsed())
    }

    /// What the result comes to.
    pub fn checksum(&self, workload: &Workload, keys: u64) -> anyhow::Result<Checksum> {
        let mut numbers = self.numbers(&workload.checked_sql(keys))?.into_iter();
        let columns = workload.columns.len();
        let mut checksum = Checksum { rows: 0, sums: vec![0; columns], mixes: vec![0; columns], floats: vec![0.0; columns] };
        let mut next = || numbers.next().context("DuckDB gave too few columns");
        checksum.rows = next()?.whole() as u64;
        for ((column, sum), float) in workload.columns.iter().zip(&mut checksum.sums).zip(&mut checksum.floats) {
            match (column, next()?) {
                (Column::Whole(_) | Column::Text(_), number) => *sum = number.whole() as i64,
                (Column::Float(_), Number::Float(value)) => *float = value,
                (Column::Float(_), Number::Whole(value)) => *float = value as f64,
            }
        }
        for (place, _, _) in workload.neighbours() {
            let number = next()?;
            if let Some(mix) = checksum.mixes.get_mut(place) {
                *mix = number.whole() as i64;
            }
        }
        Ok(checksum)
    }

    /// The one row of a query.
    fn numbers(&self, sql: &str) -> anyhow::Result<Vec<Number>> {
        let mut statement = self.connection.prepare(sql).with_context(|| format!("DuckDB refuses\n{sql}"))?;
        let mut rows = statement.query([])?;
        let row = rows.next()?.context("DuckDB gave no row")?;
        (0..row.as_ref().column_count()).map(|column| Number::of(row.get_ref(column)?)).collect()
    }
}

/// A number that DuckDB gave.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    fn of(value: ValueRef<'_>) -> anyhow::Result<Number> {
        Ok(match value {
            // Of no rows.
            ValueRef::Null => Number::Whole(0),
            ValueRef::BigInt(value) => Number::Whole(value.into()),
            ValueRef::HugeInt(value) => Number::Whole(value),
            ValueRef::Double(value) => Number::Float(value),
            other => bail!("a bench does not read {other:?} of DuckDB"),
        })
    }

    /// The lowest 64 bits are what a wrapping sum holds.
    fn whole(self) -> i128 {
        match self {
            Number::Whole(value) => value,
            Number::Float(value) => value as i128,
        }
    }
}
