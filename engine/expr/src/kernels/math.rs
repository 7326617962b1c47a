//! Functions of numbers.

use millrace_model::DataType;
use polars::prelude::{
    BooleanChunked, DataType as PlDataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntoSeries, PolarsResult,
    Series, UInt8Type, UInt16Type, UInt32Type, UInt64Type, polars_bail, polars_err,
};

use super::arithmetic::absolute;
use super::{Checked, binary, unary};

/// What to say of a value that a function could not compute.
pub(crate) fn failure_reason(name: &str) -> String {
    match name {
        "abs" => "overflow in abs".to_owned(),
        "sqrt" => "the square root of a negative number".to_owned(),
        "round" => "overflow in round".to_owned(),
        "ln" | "log10" | "log2" => "the logarithm of zero or of a negative number".to_owned(),
        other => format!("{other} could not be computed"),
    }
}

pub(crate) fn call(name: &str, arguments: &[Series], data_type: DataType) -> PolarsResult<Checked<Series>> {
    let first = arguments.first().ok_or_else(|| polars_err!(ComputeError: "{name} without arguments"))?;
    match name {
        "abs" => absolute(first),
        "ceil" => floating(first, f64::ceil, f32::ceil),
        "floor" => floating(first, f64::floor, f32::floor),
        "exp" => floating(first, f64::exp, f32::exp),
        "round" => {
            let digits = arguments.get(1).map(|digits| digits.i32()).transpose()?.and_then(|digits| digits.get(0)).unwrap_or(0);
            match data_type {
                DataType::Float => floating(first, f64::round, |number| round_float(number, digits)),
                DataType::Double => floating(first, |number| round(number, digits), f32::round),
                _ => round_whole(first, digits),
            }
        }
        "sign" => {
            let (signs, failed) = unary::<Float64Type, Int8Type>(first.f64()?, |number| {
                (
                    if number > 0.0 {
                        1
                    } else if number < 0.0 {
                        -1
                    } else {
                        0
                    },
                    false,
                )
            });
            Ok((signs.into_series(), failed))
        }
        "sqrt" => doubles(first, |number| (number.sqrt(), number < 0.0)),
        "ln" => doubles(first, |number| (number.ln(), number <= 0.0)),
        "log10" => doubles(first, |number| (number.log10(), number <= 0.0)),
        "log2" => doubles(first, |number| (number.log2(), number <= 0.0)),
        "pow" => {
            let second = arguments.get(1).ok_or_else(|| polars_err!(ComputeError: "pow takes two"))?;
            let (values, failed) = binary::<Float64Type, Float64Type>(first.f64()?, second.f64()?, |a, b| (a.powf(b), false));
            Ok((values.into_series(), failed))
        }
        "isnan" => tested(first, f64::is_nan),
        "isinf" => tested(first, f64::is_infinite),
        "isfinite" => tested(first, f64::is_finite),
        "greatest" => extreme(arguments, true).map(|values| (values, None)),
        "least" => extreme(arguments, false).map(|values| (values, None)),
        other => polars_bail!(ComputeError: "no function {other} of {data_type}"),
    }
}

fn doubles(input: &Series, compute: impl Fn(f64) -> (f64, bool)) -> PolarsResult<Checked<Series>> {
    let (values, failed) = unary::<Float64Type, Float64Type>(input.f64()?, compute);
    Ok((values.into_series(), failed))
}

fn floating(input: &Series, wide: impl Fn(f64) -> f64, narrow: impl Fn(f32) -> f32) -> PolarsResult<Checked<Series>> {
    if let Ok(values) = input.f32() {
        return Ok((unary::<Float32Type, Float32Type>(values, |number| (narrow(number), false)).0.into_series(), None));
    }
    doubles(input, |number| (wide(number), false))
}

fn tested(input: &Series, test: fn(f64) -> bool) -> PolarsResult<Checked<Series>> {
    let tested: BooleanChunked = input.f64()?.iter().map(|number| number.map(test)).collect();
    Ok((tested.into_series(), None))
}

/// Halves away from zero, as DuckDB rounds.
fn round(number: f64, digits: i32) -> f64 {
    if digits == 0 {
        return number.round();
    }
    let scale = 10f64.powi(digits.abs());
    let rounded = if digits > 0 { (number * scale).round() / scale } else { (number / scale).round() * scale };
    match rounded {
        _ if rounded.is_finite() => rounded,
        _ if digits > 0 => number,
        // As DuckDB has it, of infinity and NaN too.
        _ => 0.0,
    }
}

/// The same with FLOAT's own digits.
fn round_float(number: f32, digits: i32) -> f32 {
    if digits == 0 {
        return number.round();
    }
    let scale = 10f64.powi(digits.abs()) as f32;
    let rounded = if digits > 0 { (number * scale).round() / scale } else { (number / scale).round() * scale };
    match rounded {
        _ if rounded.is_finite() => rounded,
        _ if digits > 0 => number,
        _ => 0.0,
    }
}

/// Whole numbers to tens, hundreds and so on, halves away from zero; what leaves the type fails.
fn round_whole(input: &Series, digits: i32) -> PolarsResult<Checked<Series>> {
    let scale = 10i128.checked_pow(digits.unsigned_abs()).unwrap_or(i128::MAX);
    let rounded = |number: i128| (number.abs() + scale / 2) / scale * scale * number.signum();
    macro_rules! whole {
        ($values:expr, $polars:ty, $native:ty) => {{
            let (values, failed) = unary::<$polars, $polars>($values, |number| {
                <$native>::try_from(rounded(i128::from(number))).map_or((0, true), |number| (number, false))
            });
            Ok((values.into_series(), failed))
        }};
    }
    match input.dtype() {
        PlDataType::Int8 => whole!(input.i8()?, Int8Type, i8),
        PlDataType::Int16 => whole!(input.i16()?, Int16Type, i16),
        PlDataType::Int32 => whole!(input.i32()?, Int32Type, i32),
        PlDataType::Int64 => whole!(input.i64()?, Int64Type, i64),
        PlDataType::UInt8 => whole!(input.u8()?, UInt8Type, u8),
        PlDataType::UInt16 => whole!(input.u16()?, UInt16Type, u16),
        PlDataType::UInt32 => whole!(input.u32()?, UInt32Type, u32),
        PlDataType::UInt64 => whole!(input.u64()?, UInt64Type, u64),
        other => polars_bail!(ComputeError: "{other} is not rounded"),
    }
}

/// NULL is passed over; NaN is the greatest number.
fn extreme(arguments: &[Series], greatest: bool) -> PolarsResult<Series> {
    let rows = arguments.iter().map(|values| values.len()).find(|len| *len != 1).unwrap_or(1);
    let spread = |values: &Series| if values.len() == rows { values.clone() } else { values.new_from_index(0, rows) };
    let mut result: Option<Series> = None;
    for values in arguments.iter().map(spread) {
        result = Some(match result {
            None => values,
            Some(before) => {
                use polars::prelude::ChunkCompareIneq;
                let better = if greatest { values.gt(&before)? } else { values.lt(&before)? };
                let better: BooleanChunked = better
                    .iter()
                    .zip(before.is_null().iter())
                    .map(|(better, missing)| better.unwrap_or(false) || missing == Some(true))
                    .collect();
                values.zip_with(&better, &before)?
            }
        });
    }
    result.ok_or_else(|| polars_err!(ComputeError: "nothing to compare"))
}
