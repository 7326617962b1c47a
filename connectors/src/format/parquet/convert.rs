//! Turns columns as Parquet has them into columns as an edge carries them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType as ArrowType, TimeUnit};

/// What has to be done to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// It is one of ours already.
    None,
    /// A timestamp of another unit or with a zone (which in Parquet only says that it is UTC).
    Timestamp(TimeUnit),
    /// A timestamp of nanoseconds, of which the thousands are cut off, towards the past.
    CutNanoseconds,
    Decimal {
        scale: i8,
    },
    HalfFloat,
}

/// Converts a column. A value that has no counterpart is reported by its row, and is NULL in what comes out.
///
/// # Errors
/// If the array is not of the type that the conversion was planned for.
pub fn convert(
    array: &ArrayRef,
    conversion: Conversion,
    max_text: usize,
    report: &mut dyn FnMut(usize, String),
) -> Result<ArrayRef, String> {
    match conversion {
        Conversion::None => {
            report_long_texts(array, max_text, report);
            Ok(array.clone())
        }
        Conversion::Timestamp(unit) => timestamp(array, unit, report),
        Conversion::CutNanoseconds => Ok(micros(typed::<TimestampNanosecondType>(array)?.unary(|value| value.div_euclid(1_000)))),
        Conversion::Decimal { scale } => decimal(array, scale),
        Conversion::HalfFloat => {
            let halves = typed::<Float16Type>(array)?;
            Ok(Arc::new(halves.unary::<_, Float32Type>(|value| value.to_f32())))
        }
    }
}

fn typed<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>, String> {
    array.as_primitive_opt::<T>().ok_or_else(|| format!("a column came out as {}", array.data_type()))
}

fn micros(array: PrimitiveArray<TimestampMicrosecondType>) -> ArrayRef {
    Arc::new(array.with_timezone_opt(None::<&str>))
}

/// A dictionary may hold one long text for many rows.
fn report_long_texts(array: &ArrayRef, max_text: usize, report: &mut dyn FnMut(usize, String)) {
    if *array.data_type() != ArrowType::Utf8View {
        return;
    }
    let texts = array.as_string_view();
    for (row, length) in texts.lengths().enumerate().filter(|(_, length)| *length as usize > max_text) {
        if texts.is_valid(row) {
            report(row, format!("a text of {length} bytes, longer than {max_text}"));
        }
    }
}

fn timestamp(array: &ArrayRef, unit: TimeUnit, report: &mut dyn FnMut(usize, String)) -> Result<ArrayRef, String> {
    match unit {
        TimeUnit::Microsecond => Ok(micros(typed::<TimestampMicrosecondType>(array)?.clone())),
        TimeUnit::Second => scaled(typed::<TimestampSecondType>(array)?, 1_000_000, report),
        TimeUnit::Millisecond => scaled(typed::<TimestampMillisecondType>(array)?, 1_000, report),
        TimeUnit::Nanosecond => {
            let nanos = typed::<TimestampNanosecondType>(array)?;
            for (row, value) in nanos.iter().enumerate() {
                if let Some(value) = value.filter(|value| value % 1_000 != 0) {
                    report(row, format!("{value} ns is no whole microsecond (schema = {{ .. = \"TIMESTAMP\" }} cuts it)"));
                }
            }
            Ok(micros(nanos.unary(|value| value.div_euclid(1_000))))
        }
    }
}

fn scaled<T: ArrowPrimitiveType<Native = i64>>(
    array: &PrimitiveArray<T>,
    factor: i64,
    report: &mut dyn FnMut(usize, String),
) -> Result<ArrayRef, String> {
    for (row, value) in array.iter().enumerate() {
        if let Some(value) = value.filter(|value| value.checked_mul(factor).is_none()) {
            report(row, format!("{value} is out of range for a TIMESTAMP"));
        }
    }
    Ok(micros(array.unary_opt(|value| value.checked_mul(factor))))
}

fn decimal(array: &ArrayRef, scale: i8) -> Result<ArrayRef, String> {
    let divisor = 10f64.powi(i32::from(scale));
    let doubles: PrimitiveArray<Float64Type> = match array.data_type() {
        ArrowType::Decimal32(..) => typed::<Decimal32Type>(array)?.unary(|value| f64::from(value) / divisor),
        ArrowType::Decimal64(..) => typed::<Decimal64Type>(array)?.unary(|value| value as f64 / divisor),
        ArrowType::Decimal128(..) => typed::<Decimal128Type>(array)?.unary(|value| value as f64 / divisor),
        // Of 256 bits only the text tells the value; such columns are rare.
        _ => {
            let wide = typed::<Decimal256Type>(array)?;
            wide.iter().map(|value| value.and_then(|value| value.to_string().parse::<f64>().ok()).map(|value| value / divisor)).collect()
        }
    };
    Ok(Arc::new(doubles))
}
