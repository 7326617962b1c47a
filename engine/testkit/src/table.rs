//! Tables of values, compared as answers: integers exactly, floats to 1e-9 relative, rows in any order.

use std::cmp::Ordering;
use std::fmt;

use millrace_runtime::batch::is_hidden;
use polars::prelude::{AnyValue, DataFrame, TimeUnit};

/// One value. Integers of any width are one kind, and so are the floats.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970.
    Timestamp(i64),
}

/// The greatest relative difference of two floats that count as equal.
pub const FLOAT_TOLERANCE: f64 = 1e-9;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The visible columns of some frames of one schema.
    pub fn from_frames<'a>(frames: impl IntoIterator<Item = &'a DataFrame>) -> Table {
        let mut table = Table::default();
        for frame in frames {
            let columns: Vec<_> = frame.columns().iter().filter(|column| !is_hidden(column.name())).collect();
            table.columns = columns.iter().map(|column| column.name().to_string()).collect();
            for row in 0..frame.height() {
                table.rows.push(columns.iter().map(|column| cell(&column.get(row).unwrap_or(AnyValue::Null))).collect());
            }
        }
        table
    }

    /// Fails the test if `actual` is not the same set of rows under the same columns, with the first that differ.
    #[track_caller]
    pub fn assert_same(&self, actual: &Table) {
        assert_eq!(self.columns, actual.columns, "columns");
        let (expected, actual) = (self.sorted(), actual.sorted());
        for (row, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            let same = expected.iter().zip(*actual).all(|(a, b)| same(a, b));
            assert!(same, "row {row} (sorted) differs\nexpected: {}\n  actual: {}", show(expected), show(actual));
        }
        assert_eq!(expected.len(), actual.len(), "number of rows");
    }

    /// In an order that does not hang on how floats were rounded, as long as the other columns tell rows apart.
    fn sorted(&self) -> Vec<&Vec<Cell>> {
        let mut rows: Vec<&Vec<Cell>> = self.rows.iter().collect();
        rows.sort_by(|a, b| {
            // What is a float on one side alone tells rows apart as well.
            let by = |floats: bool| {
                let is_floats = |(a, b): &(&Cell, &Cell)| matches!((a, b), (Cell::Float(_), Cell::Float(_)));
                let pairs = a.iter().zip(b.iter()).filter(|pair| is_floats(pair) == floats);
                pairs.map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            };
            by(false).then_with(|| by(true))
        });
        rows
    }
}

fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Boolean(a), Cell::Boolean(b)) => a.cmp(b),
        (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
        (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Date(a), Cell::Date(b)) => a.cmp(b),
        (Cell::Timestamp(a), Cell::Timestamp(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

const fn rank(cell: &Cell) -> u8 {
    match cell {
        Cell::Null => 0,
        Cell::Boolean(_) => 1,
        Cell::Integer(_) => 2,
        Cell::Float(_) => 3,
        Cell::Text(_) => 4,
        Cell::Date(_) => 5,
        Cell::Timestamp(_) => 6,
    }
}

fn same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= FLOAT_TOLERANCE * a.abs().max(b.abs()),
        (a, b) => a == b,
    }
}

fn show(row: &[Cell]) -> String {
    row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Boolean(value) => write!(f, "{value}"),
            Cell::Integer(value) => write!(f, "{value}"),
            Cell::Float(value) => write!(f, "{value:?}"),
            Cell::Text(value) => write!(f, "{value:?}"),
            Cell::Date(value) => write!(f, "day {value}"),
            Cell::Timestamp(value) => f.write_str(&millrace_model::Timestamp(*value).to_rfc3339()),
        }
    }
}

fn cell(value: &AnyValue<'_>) -> Cell {
    match value {
        AnyValue::Null => Cell::Null,
        AnyValue::Boolean(value) => Cell::Boolean(*value),
        AnyValue::String(value) => Cell::Text((*value).to_owned()),
        AnyValue::StringOwned(value) => Cell::Text(value.to_string()),
        AnyValue::Int8(value) => Cell::Integer((*value).into()),
        AnyValue::Int16(value) => Cell::Integer((*value).into()),
        AnyValue::Int32(value) => Cell::Integer((*value).into()),
        AnyValue::Int64(value) => Cell::Integer((*value).into()),
        AnyValue::UInt8(value) => Cell::Integer((*value).into()),
        AnyValue::UInt16(value) => Cell::Integer((*value).into()),
        AnyValue::UInt32(value) => Cell::Integer((*value).into()),
        AnyValue::UInt64(value) => Cell::Integer((*value).into()),
        AnyValue::Float32(value) => Cell::Float((*value).into()),
        AnyValue::Float64(value) => Cell::Float(*value),
        AnyValue::Date(days) => Cell::Date(*days),
        AnyValue::Datetime(at, unit, _) => Cell::Timestamp(micros(*at, *unit)),
        AnyValue::DatetimeOwned(at, unit, _) => Cell::Timestamp(micros(*at, *unit)),
        other => Cell::Text(other.to_string()),
    }
}

const fn micros(at: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Milliseconds => at * 1_000,
        TimeUnit::Microseconds => at,
        TimeUnit::Nanoseconds => at.div_euclid(1_000),
    }
}
