//! DuckDB, asked for the right answer.

use std::fs::File;
use std::path::Path;

use duckdb::Connection;
use duckdb::types::ValueRef;
use millrace_model::DataType;
use polars::prelude::DataFrame;

use crate::table::{Cell, Table};

/// A database in memory. Its methods panic: a test that cannot ask is a failed test.
pub struct Oracle {
    connection: Connection,
}

impl Default for Oracle {
    fn default() -> Self {
        let connection = Connection::open_in_memory().expect("DuckDB opens");
        connection.execute_batch("SET TimeZone = 'UTC'; SET threads = 2;").expect("DuckDB takes its settings");
        Oracle { connection }
    }
}

impl Oracle {
    /// Runs statements that give no rows.
    #[track_caller]
    pub fn run(&self, sql: &str) -> &Self {
        if let Err(error) = self.connection.execute_batch(sql) {
            panic!("DuckDB refuses: {error}\n{sql}");
        }
        self
    }

    /// Makes a table of a frame's visible columns, by way of a CSV file.
    #[track_caller]
    pub fn load(&self, name: &str, columns: &[(&str, DataType)], frames: &[DataFrame]) -> &Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rows.csv");
        write_csv(&path, &Table::from_frames(frames));
        let types: Vec<String> = columns.iter().map(|(name, data_type)| format!("'{name}': '{}'", data_type.name())).collect();
        let path = path.display();
        self.run(&format!(
            "CREATE TABLE {name} AS SELECT * FROM read_csv('{path}', header = true, nullstr = '\\N', columns = {{{}}}, parallel = false)",
            types.join(", ")
        ))
    }

    /// The rows of a query.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Table {
        let mut statement = self.connection.prepare(sql).unwrap_or_else(|error| panic!("DuckDB refuses: {error}\n{sql}"));
        let mut rows = statement.query([]).unwrap_or_else(|error| panic!("DuckDB refuses: {error}\n{sql}"));
        let mut table = Table::default();
        while let Some(row) = rows.next().unwrap_or_else(|error| panic!("DuckDB fails: {error}\n{sql}")) {
            let width = row.as_ref().column_count();
            table.rows.push((0..width).map(|index| cell(row.get_ref(index).expect("the column is there"))).collect());
        }
        drop(rows);
        table.columns = statement.column_names();
        table
    }

    /// The rows of a query; none if DuckDB refuses it.
    pub fn try_query(&self, sql: &str) -> Option<Table> {
        self.connection.prepare(sql).ok().map(|_| self.query(sql))
    }

    /// The one number that a query gives.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i128 {
        match self.query(sql).rows.first().and_then(|row| row.first()) {
            Some(Cell::Integer(value)) => *value,
            other => panic!("not a number: {other:?}\n{sql}"),
        }
    }
}

fn write_csv(path: &Path, table: &Table) {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(File::create(path).expect("the file is made"));
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let header: Vec<String> = table.columns.iter().map(|name| quote(name)).collect();
    writeln!(file, "{}", header.join(",")).expect("the file is written");
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell {
                Cell::Null => "\\N".to_owned(),
                Cell::Text(text) => quote(text),
                Cell::Date(days) => millrace_model::Timestamp(i64::from(*days) * 86_400_000_000).to_rfc3339()[..10].to_owned(),
                Cell::Timestamp(at) => millrace_model::Timestamp(*at).to_rfc3339().trim_end_matches('Z').to_owned(),
                other => other.to_string(),
            })
            .collect();
        writeln!(file, "{}", cells.join(",")).expect("the file is written");
    }
    file.flush().expect("the file is written");
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Boolean(value) => Cell::Boolean(value),
        ValueRef::TinyInt(value) => Cell::Integer(value.into()),
        ValueRef::SmallInt(value) => Cell::Integer(value.into()),
        ValueRef::Int(value) => Cell::Integer(value.into()),
        ValueRef::BigInt(value) => Cell::Integer(value.into()),
        ValueRef::HugeInt(value) => Cell::Integer(value),
        ValueRef::UTinyInt(value) => Cell::Integer(value.into()),
        ValueRef::USmallInt(value) => Cell::Integer(value.into()),
        ValueRef::UInt(value) => Cell::Integer(value.into()),
        ValueRef::UBigInt(value) => Cell::Integer(value.into()),
        ValueRef::Float(value) => Cell::Float(value.into()),
        ValueRef::Double(value) => Cell::Float(value),
        ValueRef::Timestamp(unit, value) => Cell::Timestamp(unit.to_micros(value)),
        ValueRef::Date32(days) => Cell::Date(days),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        other => panic!("the oracle does not read {other:?}; cast it in the query"),
    }
}
