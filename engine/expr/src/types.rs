//! Between Millrace's types and Polars', and DuckDB's rules of promotion.

use millrace_model::DataType;
use polars::prelude::{DataType as PlDataType, TimeUnit};

/// The Polars type that holds a column.
pub fn to_polars(data_type: DataType) -> PlDataType {
    match data_type {
        DataType::Boolean => PlDataType::Boolean,
        DataType::TinyInt => PlDataType::Int8,
        DataType::SmallInt => PlDataType::Int16,
        DataType::Integer => PlDataType::Int32,
        DataType::BigInt => PlDataType::Int64,
        DataType::UTinyInt => PlDataType::UInt8,
        DataType::USmallInt => PlDataType::UInt16,
        DataType::UInteger => PlDataType::UInt32,
        DataType::UBigInt => PlDataType::UInt64,
        DataType::Float => PlDataType::Float32,
        DataType::Double => PlDataType::Float64,
        DataType::Varchar => PlDataType::String,
        DataType::Date => PlDataType::Date,
        DataType::Timestamp => PlDataType::Datetime(TimeUnit::Microseconds, None),
    }
}

/// The type that a Polars column holds, if it is one of ours.
pub fn from_polars(data_type: &PlDataType) -> Option<DataType> {
    DataType::ALL.into_iter().find(|ours| to_polars(*ours) == *data_type)
}

/// How a column is held while it is computed with: times as the integers that they are.
pub(crate) fn physical(data_type: DataType) -> PlDataType {
    match data_type {
        DataType::Date => PlDataType::Int32,
        DataType::Timestamp => PlDataType::Int64,
        other => to_polars(other),
    }
}

const fn bits(data_type: DataType) -> u32 {
    match data_type {
        DataType::TinyInt | DataType::UTinyInt => 8,
        DataType::SmallInt | DataType::USmallInt => 16,
        DataType::Integer | DataType::UInteger => 32,
        _ => 64,
    }
}

const fn is_signed(data_type: DataType) -> bool {
    matches!(data_type, DataType::TinyInt | DataType::SmallInt | DataType::Integer | DataType::BigInt)
}

/// The range of an integer type.
pub(crate) const fn integer_range(data_type: DataType) -> (i128, i128) {
    let bits = bits(data_type);
    if is_signed(data_type) { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) }
}

fn integers(a: DataType, b: DataType) -> Option<DataType> {
    if is_signed(a) == is_signed(b) {
        return Some(if bits(a) >= bits(b) { a } else { b });
    }
    let (signed, unsigned) = if is_signed(a) { (a, b) } else { (b, a) };
    match bits(signed).max(bits(unsigned) * 2) {
        8 => Some(DataType::TinyInt),
        16 => Some(DataType::SmallInt),
        32 => Some(DataType::Integer),
        64 => Some(DataType::BigInt),
        // DuckDB's HUGEINT; we have none.
        _ => None,
    }
}

/// The type that holds the values of both numbers, as DuckDB promotes them.
pub(crate) fn numeric_union(a: DataType, b: DataType) -> Option<DataType> {
    match (a, b) {
        _ if a == b => Some(a),
        (DataType::Double, _) | (_, DataType::Double) => Some(DataType::Double),
        (DataType::Float, _) | (_, DataType::Float) => Some(DataType::Float),
        _ => integers(a, b),
    }
}

/// The type in which DuckDB computes with two numbers: as [`numeric_union`], but where a signed and an unsigned integer have no
/// room in one another it goes to BIGINT at once.
pub(crate) fn arithmetic_union(a: DataType, b: DataType) -> Option<DataType> {
    let both = numeric_union(a, b)?;
    Some(if both.is_integer() && both != a && both != b { DataType::BigInt } else { both })
}

/// The type in which two columns meet under each other, as in DuckDB's UNION ALL: any value can stand as a text.
pub fn stacked(a: DataType, b: DataType) -> Option<DataType> {
    if a == DataType::Varchar || b == DataType::Varchar { Some(DataType::Varchar) } else { union(a, b) }
}

/// The type in which two values meet (in a comparison, a CASE, a COALESCE), if there is one.
pub(crate) fn union(a: DataType, b: DataType) -> Option<DataType> {
    match (a, b) {
        _ if a == b => Some(a),
        _ if a.is_numeric() && b.is_numeric() => numeric_union(a, b),
        (DataType::Boolean, other) | (other, DataType::Boolean) if other.is_numeric() => Some(other),
        (DataType::Date, DataType::Timestamp) | (DataType::Timestamp, DataType::Date) => Some(DataType::Timestamp),
        _ => None,
    }
}
