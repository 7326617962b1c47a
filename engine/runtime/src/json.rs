//! Rows as JSON objects: for samples in messages, and for records kept aside.

use millrace_expr::time_text::{format_date, format_timestamp};
use polars::prelude::{AnyValue, DataFrame, TimeUnit};
use serde_json::{Map, Value};

use crate::batch::is_hidden;

/// The most rows in a message's sample.
pub const SAMPLE_ROWS: usize = 5;

/// The frame's row as an object of its visible columns, in their order. Times are ISO 8601 text, NaN and infinities are text too.
pub fn row(frame: &DataFrame, index: usize) -> Value {
    let visible = frame.columns().iter().filter(|column| !is_hidden(column.name()));
    let fields: Map<String, Value> =
        visible.map(|column| (column.name().to_string(), column.get(index).map_or(Value::Null, |value| from_any(&value)))).collect();
    Value::Object(fields)
}

/// The row as JSON text, cut at `max_bytes`.
pub fn row_text(frame: &DataFrame, index: usize, max_bytes: usize) -> String {
    let mut text = row(frame, index).to_string();
    cut(&mut text, max_bytes);
    text
}

/// The first few rows, each cut at `max_bytes`.
pub fn sample(frame: &DataFrame, max_bytes: usize) -> Vec<String> {
    (0..frame.height().min(SAMPLE_ROWS)).map(|index| row_text(frame, index, max_bytes)).collect()
}

/// Cuts a text at the last whole character within `max_bytes`.
pub fn cut(text: &mut String, max_bytes: usize) {
    if text.len() > max_bytes {
        let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

fn from_any(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => Value::Bool(*value),
        AnyValue::String(value) => Value::String((*value).to_owned()),
        AnyValue::StringOwned(value) => Value::String(value.to_string()),
        AnyValue::Int8(value) => Value::from(*value),
        AnyValue::Int16(value) => Value::from(*value),
        AnyValue::Int32(value) => Value::from(*value),
        AnyValue::Int64(value) => Value::from(*value),
        AnyValue::UInt8(value) => Value::from(*value),
        AnyValue::UInt16(value) => Value::from(*value),
        AnyValue::UInt32(value) => Value::from(*value),
        AnyValue::UInt64(value) => Value::from(*value),
        AnyValue::Float32(value) => float(f64::from(*value)),
        AnyValue::Float64(value) => float(*value),
        AnyValue::Date(days) => Value::String(format_date(i64::from(*days))),
        AnyValue::Datetime(at, unit, _) => Value::String(format_timestamp(micros(*at, *unit))),
        AnyValue::DatetimeOwned(at, unit, _) => Value::String(format_timestamp(micros(*at, *unit))),
        other => Value::String(other.to_string()),
    }
}

const fn micros(at: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Milliseconds => at.saturating_mul(1_000),
        TimeUnit::Microseconds => at,
        TimeUnit::Nanoseconds => at.div_euclid(1_000),
    }
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    #[test]
    fn a_row_reads_as_its_visible_columns_in_order() {
        let frame = df! { "b" => [1i64], "a" => ["é\"x"], "f" => [f64::NAN], "n" => [None::<i32>], "__time" => [5i64] }.unwrap();
        assert_eq!(row(&frame, 0).to_string(), r#"{"b":1,"a":"é\"x","f":"NaN","n":null}"#);
        assert_eq!(row_text(&frame, 0, 12), r#"{"b":1,"a":""#);
        assert_eq!(row_text(&frame, 0, 14), r#"{"b":1,"a":"é"#, "a character is not cut in two");
        assert_eq!(row_text(&frame, 0, 13), r#"{"b":1,"a":""#);
    }
}
