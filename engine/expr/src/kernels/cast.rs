//! Casts as DuckDB makes them: a value that does not fit fails, floats round half to even.

use millrace_model::time::MICROS_PER_DAY;
use polars::prelude::*;

use super::cast_text::{text_to_boolean, text_to_double, text_to_float, text_to_integer, write_double, write_float};
use super::{Checked, Row, booleans_by_row, numbers_by_row, texts_by_row, unary};
use crate::time_text::{format_date, format_timestamp, parse_date_part, parse_timestamp};
use crate::types::{integer_range, physical};

type PlDataType = polars::prelude::DataType;
type DataType = millrace_model::DataType;

/// Whether there is such a cast at all.
pub(crate) fn is_known(from: DataType, to: DataType) -> bool {
    let plain = |data_type: DataType| data_type.is_numeric() || data_type == DataType::Boolean;
    from == to
        || from == DataType::Varchar
        || to == DataType::Varchar
        || (plain(from) && plain(to))
        || (from.is_temporal() && to.is_temporal())
        || (from == DataType::Date && to == DataType::BigInt)
}

/// Whether every value has its counterpart.
pub(crate) fn is_total(from: DataType, to: DataType) -> bool {
    if from == to || to == DataType::Varchar || to == DataType::Boolean && from != DataType::Varchar {
        return true;
    }
    match (from, to) {
        (DataType::Varchar, _) => false,
        (DataType::Boolean, _) | (DataType::Timestamp, DataType::Date) | (DataType::Date, DataType::BigInt) => true,
        (_, DataType::Double) => true,
        (_, DataType::Float) => from != DataType::Double,
        _ if from.is_integer() && to.is_integer() => {
            let ((least, most), (low, high)) = (integer_range(from), integer_range(to));
            low <= least && most <= high
        }
        _ => false,
    }
}

/// Casts values held as `from` to values held as `to`.
pub(crate) fn cast(values: &Series, from: DataType, to: DataType) -> PolarsResult<Checked<Series>> {
    let held = physical(to);
    match (from, to) {
        _ if from == to => Ok((values.clone(), None)),
        (DataType::Varchar, _) => from_text(values, to),
        (_, DataType::Varchar) => to_text(values, from).map(|text| (text, None)),
        (DataType::Date, DataType::Timestamp) => {
            let (micros, failed) = unary::<Int32Type, Int64Type>(values.i32()?, |days| {
                (i64::from(days) * MICROS_PER_DAY, i64::from(days).checked_mul(MICROS_PER_DAY).is_none())
            });
            Ok((micros.into_series(), failed))
        }
        (DataType::Timestamp, DataType::Date) => {
            let (days, failed) = unary::<Int64Type, Int32Type>(values.i64()?, |micros| (micros.div_euclid(MICROS_PER_DAY) as i32, false));
            Ok((days.into_series(), failed))
        }
        _ if from.is_float() && to.is_integer() => rounded(values, to),
        (DataType::Double, DataType::Float) => {
            let cast = values.cast(&held)?;
            let too_large = values
                .f64()?
                .iter()
                .zip(cast.f32()?.iter())
                .map(|(a, b)| matches!((a, b), (Some(a), Some(b)) if a.is_finite() && b.is_infinite()));
            let failed: BooleanChunked = too_large.collect();
            Ok(if failed.any() {
                (cast.zip_with(&!&failed, &Series::full_null(PlSmallStr::EMPTY, 1, &held))?, Some(failed))
            } else {
                (cast, None)
            })
        }
        (_, DataType::Boolean) => Ok((nonzero(values)?, None)),
        _ if is_total(from, to) => Ok((values.cast(&held)?, None)),
        _ => narrowed(values, &values.cast(&held)?),
    }
}

/// A number is true where it is not zero; NaN is.
fn nonzero(values: &Series) -> PolarsResult<Series> {
    let zero = Series::new(PlSmallStr::EMPTY, [0i8]).cast(values.dtype())?;
    Ok(values.not_equal(&zero)?.into_series())
}

/// Polars' lenient cast gives NULL where a value does not fit.
fn narrowed(values: &Series, cast: &Series) -> PolarsResult<Checked<Series>> {
    if cast.null_count() == values.null_count() {
        return Ok((cast.clone(), None));
    }
    Ok((cast.clone(), Some(&cast.is_null() & &values.is_not_null())))
}

/// Halves to the even neighbour. What lies beyond the type fails before it is rounded, as in DuckDB, and after.
fn rounded(values: &Series, to: DataType) -> PolarsResult<Checked<Series>> {
    let values = values.cast(&PlDataType::Float64)?;
    let values = values.f64()?;
    let (least, most) = integer_range(to);
    // The first whole numbers beyond: powers of two, so that a DOUBLE holds them.
    let (least, beyond) = (least as f64, (most + 1) as f64);
    let fits = |number: f64| number >= least && number < beyond && number.round_ties_even() < beyond;
    macro_rules! whole {
        ($polars:ty, $native:ty) => {{
            let (values, failed) = unary::<Float64Type, $polars>(values, |number| (number.round_ties_even() as $native, !fits(number)));
            (values.into_series(), failed)
        }};
    }
    Ok(match to {
        DataType::TinyInt => whole!(Int8Type, i8),
        DataType::SmallInt => whole!(Int16Type, i16),
        DataType::Integer => whole!(Int32Type, i32),
        DataType::UTinyInt => whole!(UInt8Type, u8),
        DataType::USmallInt => whole!(UInt16Type, u16),
        DataType::UInteger => whole!(UInt32Type, u32),
        DataType::UBigInt => whole!(UInt64Type, u64),
        _ => whole!(Int64Type, i64),
    })
}

fn from_text(values: &Series, to: DataType) -> PolarsResult<Checked<Series>> {
    let texts = values.str()?;
    let rows = texts.len();
    // NULL stays NULL; a text that does not read as the type fails.
    fn read<T>(text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Row<T> {
        match text {
            None => Row::Null,
            Some(text) => read(text).map_or(Row::Failed, Row::Value),
        }
    }
    macro_rules! whole {
        ($polars:ty, $native:ty) => {{
            let range = integer_range(to);
            let number = |text: &str| text_to_integer(text, range).and_then(|number| <$native>::try_from(number).ok());
            numbers_by_row::<$polars>(rows, |row| read(texts.get(row), number))
        }};
    }
    Ok(match to {
        DataType::Boolean => booleans_by_row(rows, |row| read(texts.get(row), text_to_boolean)),
        DataType::TinyInt => whole!(Int8Type, i8),
        DataType::SmallInt => whole!(Int16Type, i16),
        DataType::Integer => whole!(Int32Type, i32),
        DataType::BigInt => whole!(Int64Type, i64),
        DataType::UTinyInt => whole!(UInt8Type, u8),
        DataType::USmallInt => whole!(UInt16Type, u16),
        DataType::UInteger => whole!(UInt32Type, u32),
        DataType::UBigInt => whole!(UInt64Type, u64),
        DataType::Float => numbers_by_row::<Float32Type>(rows, |row| read(texts.get(row), text_to_float)),
        DataType::Double => numbers_by_row::<Float64Type>(rows, |row| read(texts.get(row), text_to_double)),
        DataType::Date => numbers_by_row::<Int32Type>(rows, |row| read(texts.get(row), parse_date_part)),
        DataType::Timestamp => numbers_by_row::<Int64Type>(rows, |row| read(texts.get(row), parse_timestamp)),
        DataType::Varchar => (values.clone(), None),
    })
}

fn to_text(values: &Series, from: DataType) -> PolarsResult<Series> {
    use std::fmt::Write;
    macro_rules! written {
        ($values:expr, |$value:ident, $to:ident| $write:expr) => {{
            let values = $values;
            texts_by_row(values.len(), |row, $to| match values.get(row) {
                Some($value) => {
                    $write;
                    Row::Value(())
                }
                None => Row::Null,
            })
        }};
    }
    let (texts, _) = match from {
        DataType::Boolean => written!(values.bool()?, |flag, to| to.push_str(if flag { "true" } else { "false" })),
        DataType::Date => written!(values.i32()?, |days, to| to.push_str(&format_date(i64::from(days)))),
        DataType::Timestamp => written!(values.i64()?, |micros, to| to.push_str(&format_timestamp(micros))),
        DataType::Double => written!(values.f64()?, |number, to| write_double(number, to)),
        DataType::Float => written!(values.f32()?, |number, to| write_float(number, to)),
        DataType::UBigInt => written!(values.u64()?, |number, to| {
            let _ = write!(to, "{number}");
        }),
        _ => {
            let numbers = values.cast(&PlDataType::Int64)?;
            written!(numbers.i64()?, |number, to| {
                let _ = write!(to, "{number}");
            })
        }
    }?;
    Ok(texts)
}
