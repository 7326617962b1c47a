//! Arithmetic that tells when it overflows. Polars wraps.

use polars::prelude::*;

use super::{Checked, binary, unary};
use crate::ir::Arithmetic;

/// What the checked operations need of an integer.
trait Whole: Copy {
    fn apply(op: Arithmetic, a: Self, b: Self) -> (Self, bool);
    fn negate(self) -> (Self, bool);
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Whole for $type {
            #[inline(always)]
            fn apply(op: Arithmetic, a: Self, b: Self) -> (Self, bool) {
                match op {
                    Arithmetic::Add => a.overflowing_add(b),
                    Arithmetic::Subtract => a.overflowing_sub(b),
                    Arithmetic::Multiply => a.overflowing_mul(b),
                    // Rust truncates towards zero and the remainder has the sign of the left side: DuckDB's meaning.
                    Arithmetic::Divide | Arithmetic::IntegerDivide => a.checked_div(b).map_or((0, true), |value| (value, false)),
                    Arithmetic::Modulo => a.checked_rem(b).map_or((0, true), |value| (value, false)),
                }
            }
            fn negate(self) -> (Self, bool) {
                self.overflowing_neg()
            }
        }
    )*};
}

whole!(i8, i16, i32, i64, u8, u16, u32, u64);

trait Floating: Copy {
    fn apply(op: Arithmetic, a: Self, b: Self) -> (Self, bool);
}

macro_rules! floating {
    ($($type:ty),*) => {$(
        impl Floating for $type {
            #[inline(always)]
            fn apply(op: Arithmetic, a: Self, b: Self) -> (Self, bool) {
                match op {
                    Arithmetic::Add => (a + b, false),
                    Arithmetic::Subtract => (a - b, false),
                    Arithmetic::Multiply => (a * b, false),
                    Arithmetic::Divide | Arithmetic::IntegerDivide => (a / b, b == 0.0),
                    Arithmetic::Modulo => (a % b, b == 0.0),
                }
            }
        }
    )*};
}

floating!(f32, f64);

fn of_whole<T>(op: Arithmetic, left: &ChunkedArray<T>, right: &ChunkedArray<T>) -> Checked<ChunkedArray<T>>
where
    T: PolarsNumericType,
    T::Native: Whole,
{
    // One loop for each operation, so that the compiler sees it constant.
    match op {
        Arithmetic::Add => binary(left, right, |a, b| T::Native::apply(Arithmetic::Add, a, b)),
        Arithmetic::Subtract => binary(left, right, |a, b| T::Native::apply(Arithmetic::Subtract, a, b)),
        Arithmetic::Multiply => binary(left, right, |a, b| T::Native::apply(Arithmetic::Multiply, a, b)),
        other => binary(left, right, |a, b| T::Native::apply(other, a, b)),
    }
}

fn of_floats<T>(op: Arithmetic, left: &ChunkedArray<T>, right: &ChunkedArray<T>) -> Checked<ChunkedArray<T>>
where
    T: PolarsNumericType,
    T::Native: Floating,
{
    match op {
        Arithmetic::Add => binary(left, right, |a, b| T::Native::apply(Arithmetic::Add, a, b)),
        Arithmetic::Subtract => binary(left, right, |a, b| T::Native::apply(Arithmetic::Subtract, a, b)),
        Arithmetic::Multiply => binary(left, right, |a, b| T::Native::apply(Arithmetic::Multiply, a, b)),
        other => binary(left, right, |a, b| T::Native::apply(other, a, b)),
    }
}

fn series<T: PolarsNumericType>((values, failed): Checked<ChunkedArray<T>>) -> Checked<Series>
where
    ChunkedArray<T>: IntoSeries,
{
    (values.into_series(), failed)
}

/// Both sides have one numeric type.
pub(crate) fn arithmetic(op: Arithmetic, left: &Series, right: &Series) -> PolarsResult<Checked<Series>> {
    Ok(match left.dtype() {
        DataType::Int8 => series(of_whole(op, left.i8()?, right.i8()?)),
        DataType::Int16 => series(of_whole(op, left.i16()?, right.i16()?)),
        DataType::Int32 => series(of_whole(op, left.i32()?, right.i32()?)),
        DataType::Int64 => series(of_whole(op, left.i64()?, right.i64()?)),
        DataType::UInt8 => series(of_whole(op, left.u8()?, right.u8()?)),
        DataType::UInt16 => series(of_whole(op, left.u16()?, right.u16()?)),
        DataType::UInt32 => series(of_whole(op, left.u32()?, right.u32()?)),
        DataType::UInt64 => series(of_whole(op, left.u64()?, right.u64()?)),
        DataType::Float32 => series(of_floats(op, left.f32()?, right.f32()?)),
        DataType::Float64 => series(of_floats(op, left.f64()?, right.f64()?)),
        other => polars_bail!(ComputeError: "no arithmetic on {other}"),
    })
}

pub(crate) fn negate(input: &Series) -> PolarsResult<Checked<Series>> {
    Ok(match input.dtype() {
        DataType::Int8 => series(unary::<_, Int8Type>(input.i8()?, i8::negate)),
        DataType::Int16 => series(unary::<_, Int16Type>(input.i16()?, i16::negate)),
        DataType::Int32 => series(unary::<_, Int32Type>(input.i32()?, i32::negate)),
        DataType::Int64 => series(unary::<_, Int64Type>(input.i64()?, i64::negate)),
        DataType::Float32 => series(unary::<_, Float32Type>(input.f32()?, |value| (-value, false))),
        DataType::Float64 => series(unary::<_, Float64Type>(input.f64()?, |value| (-value, false))),
        other => polars_bail!(ComputeError: "no negation of {other}"),
    })
}

/// The size of a number.
pub(crate) fn absolute(input: &Series) -> PolarsResult<Checked<Series>> {
    Ok(match input.dtype() {
        DataType::Int8 => series(unary::<_, Int8Type>(input.i8()?, i8::overflowing_abs)),
        DataType::Int16 => series(unary::<_, Int16Type>(input.i16()?, i16::overflowing_abs)),
        DataType::Int32 => series(unary::<_, Int32Type>(input.i32()?, i32::overflowing_abs)),
        DataType::Int64 => series(unary::<_, Int64Type>(input.i64()?, i64::overflowing_abs)),
        DataType::Float32 => series(unary::<_, Float32Type>(input.f32()?, |value| (value.abs(), false))),
        DataType::Float64 => series(unary::<_, Float64Type>(input.f64()?, |value| (value.abs(), false))),
        _ => (input.clone(), None),
    })
}
