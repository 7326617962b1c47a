//! DuckDB's answer to the same question.

use duckdb::Connection;
use duckdb::types::{TimeUnit as DuckUnit, Value};
use polars::prelude::*;

use crate::batch::is_hidden;

/// A value as both sides can say it. Times are microseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Whole(i128),
    Float(f64),
    Text(String),
}

impl Cell {
    /// Integers exactly, floats to 1e-9 relative.
    fn agrees(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Float(a), Cell::Float(b)) => (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
            _ => self == other,
        }
    }
}

/// A connection with the frame's visible columns as table `t`, and `row`, the rows' number.
pub fn table(frame: &DataFrame) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let visible: Vec<&Column> = frame.columns().iter().filter(|column| !is_hidden(column.name())).collect();
    let name = |column: &Column| format!("{} {}", column.name(), millrace_expr::from_polars(column.dtype()).unwrap());
    let columns: Vec<String> = visible.iter().map(|column| name(column)).collect();
    connection.execute_batch(&format!("SET threads = 1; CREATE TABLE t (row BIGINT, {})", columns.join(", "))).unwrap();
    let mut appender = connection.appender("t").unwrap();
    for row in 0..frame.height() {
        let values = visible.iter().map(|column| to_duck(&column.get(row).unwrap()));
        let row = std::iter::once(Value::BigInt(row as i64)).chain(values);
        appender.append_row(duckdb::appender_params_from_iter(row)).unwrap();
    }
    appender.flush().unwrap();
    drop(appender);
    connection
}

fn to_duck(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => Value::Boolean(*value),
        AnyValue::Int32(value) => Value::Int(*value),
        AnyValue::Int64(value) => Value::BigInt(*value),
        AnyValue::UInt64(value) => Value::UBigInt(*value),
        AnyValue::Float32(value) => Value::Float(*value),
        AnyValue::Float64(value) => Value::Double(*value),
        AnyValue::String(value) => Value::Text((*value).to_owned()),
        AnyValue::Date(days) => Value::Date32(*days),
        AnyValue::StringOwned(value) => Value::Text(value.to_string()),
        AnyValue::Datetime(at, ..) | AnyValue::DatetimeOwned(at, ..) => Value::Timestamp(DuckUnit::Microsecond, *at),
        other => panic!("{other:?} has no place in this test"),
    }
}

fn from_duck(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Boolean(value) => Cell::Whole(i128::from(value)),
        Value::Int(value) => Cell::Whole(i128::from(value)),
        Value::BigInt(value) => Cell::Whole(i128::from(value)),
        Value::HugeInt(value) => Cell::Whole(value),
        Value::UBigInt(value) => Cell::Whole(i128::from(value)),
        Value::Float(value) => Cell::Float(f64::from(value)),
        Value::Double(value) => Cell::Float(value),
        Value::Text(value) => Cell::Text(value),
        Value::Date32(days) => Cell::Whole(i128::from(days)),
        Value::Timestamp(_, at) => Cell::Whole(i128::from(at)),
        other => panic!("{other:?} has no place in this test"),
    }
}

fn from_polars(value: &AnyValue<'_>) -> Cell {
    from_duck(to_duck(value))
}

/// A query's rows.
pub fn query(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let mut rows = statement.query([]).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let columns = row.as_ref().column_count();
        all.push((0..columns).map(|column| from_duck(row.get::<_, Value>(column).unwrap())).collect());
    }
    all
}

/// A frame's visible rows.
pub fn rows(frame: Option<&DataFrame>) -> Vec<Vec<Cell>> {
    let Some(frame) = frame else { return Vec::new() };
    let visible: Vec<&Column> = frame.columns().iter().filter(|column| !is_hidden(column.name())).collect();
    (0..frame.height()).map(|row| visible.iter().map(|column| from_polars(&column.get(row).unwrap())).collect()).collect()
}

/// Holds both to the same rows in the same order.
pub fn assert_agree(ours: &[Vec<Cell>], theirs: &[Vec<Cell>], what: &str) {
    for (at, (our, their)) in ours.iter().zip(theirs).enumerate() {
        let agree = our.len() == their.len() && our.iter().zip(their).all(|(our, their)| our.agrees(their));
        assert!(agree, "{what}, row {at}\n  ours:   {our:?}\n  theirs: {their:?}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}: rows");
}
