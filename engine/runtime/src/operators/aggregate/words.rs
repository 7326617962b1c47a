//! Values of every fixed-width type as 64-bit words.
//!
//! A word equals another exactly if the values are equal in SQL (`-0.0` is `0.0`, one NaN is every NaN), and words sort as the values do
//! (NaN greatest). So one table, one minimum and one sort serve fourteen types.

use millrace_model::DataType as Type;
use polars::prelude::*;
use polars_arrow::bitmap::Bitmap;

use crate::error::{RunError, RunResult};

const SIGN: u64 = 1 << 63;

#[inline]
pub fn of_i64(value: i64) -> u64 {
    (value as u64) ^ SIGN
}

#[inline]
pub fn to_i64(word: u64) -> i64 {
    (word ^ SIGN) as i64
}

#[inline]
pub fn of_f64(value: f64) -> u64 {
    // Adding zero turns -0.0 into 0.0 and leaves all else as it is.
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[inline]
pub fn to_f64(word: u64) -> f64 {
    f64::from_bits(if word & SIGN == 0 { !word } else { word ^ SIGN })
}

/// The values of a one-chunk array, whatever stands where they are NULL.
pub fn values<T: PolarsNumericType>(array: &ChunkedArray<T>) -> &[T::Native] {
    array.downcast_iter().next().map(|chunk| chunk.values().as_slice()).unwrap_or_default()
}

/// Which rows hold a value; `None` if all do.
pub fn validity(series: &Series) -> Option<Bitmap> {
    if series.null_count() == 0 { None } else { series.rechunk_validity() }
}

/// One word per row; any word where the row is NULL.
pub fn encode(series: &Series) -> RunResult<Vec<u64>> {
    let series = series.rechunk();
    Ok(match series.dtype() {
        DataType::Null => vec![0; series.len()],
        DataType::Boolean => series.bool()?.iter().map(|value| u64::from(value == Some(true))).collect(),
        DataType::Int64 => values(series.i64()?).iter().map(|value| of_i64(*value)).collect(),
        DataType::UInt64 => values(series.u64()?).to_vec(),
        DataType::Int32 => values(series.i32()?).iter().map(|value| of_i64(i64::from(*value))).collect(),
        dtype if dtype.is_integer() => values(series.cast(&DataType::Int64)?.i64()?).iter().map(|value| of_i64(*value)).collect(),
        DataType::Float64 => values(series.f64()?).iter().map(|value| of_f64(*value)).collect(),
        DataType::Float32 => values(series.f32()?).iter().map(|value| of_f64(f64::from(*value))).collect(),
        DataType::Date => values(series.to_physical_repr().i32()?).iter().map(|value| of_i64(i64::from(*value))).collect(),
        DataType::Datetime(TimeUnit::Microseconds, _) => {
            values(series.to_physical_repr().i64()?).iter().map(|value| of_i64(*value)).collect()
        }
        other => return Err(RunError::bug(format!("column {} of type {other} has no words", series.name()))),
    })
}

/// The column that the words stand for.
pub fn decode(name: &str, words: Vec<u64>, valid: Option<Bitmap>, data_type: Type) -> RunResult<Column> {
    let name = PlSmallStr::from_str(name);
    let series = match data_type {
        Type::Boolean => {
            let bits: Bitmap = words.iter().map(|word| *word != 0).collect();
            BooleanChunked::with_chunk(name, polars_arrow::array::BooleanArray::new(ArrowDataType::Boolean, bits, valid)).into_series()
        }
        Type::UBigInt => UInt64Chunked::from_vec_validity(name, words, valid).into_series(),
        Type::Double => Float64Chunked::from_vec_validity(name, words.into_iter().map(to_f64).collect(), valid).into_series(),
        Type::Float => {
            Float32Chunked::from_vec_validity(name, words.into_iter().map(|word| to_f64(word) as f32).collect(), valid).into_series()
        }
        Type::Date => {
            let days = Int32Chunked::from_vec_validity(name, words.into_iter().map(|word| to_i64(word) as i32).collect(), valid);
            days.into_series().cast(&DataType::Date)?
        }
        Type::Varchar => return Err(RunError::bug("text has no words")),
        _ => {
            let numbers = Int64Chunked::from_vec_validity(name, words.into_iter().map(to_i64).collect(), valid).into_series();
            if data_type == Type::BigInt { numbers } else { numbers.cast(&millrace_expr::to_polars(data_type))? }
        }
    };
    Ok(series.into_column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_sort_and_compare_as_the_values_do() {
        let floats = [f64::NEG_INFINITY, -1.5, -f64::MIN_POSITIVE, 0.0, 1e-300, 7.0, f64::INFINITY, f64::NAN];
        assert!(floats.windows(2).all(|pair| of_f64(pair[0]) < of_f64(pair[1])));
        assert_eq!((of_f64(-0.0), of_f64(-f64::NAN)), (of_f64(0.0), of_f64(f64::NAN)));
        let integers = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(integers.windows(2).all(|pair| of_i64(pair[0]) < of_i64(pair[1])));
        assert!(integers.iter().all(|value| to_i64(of_i64(*value)) == *value));
        assert!(floats.iter().all(|value| to_f64(of_f64(*value)).total_cmp(value).is_eq()));
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        let numbers = Series::new("n".into(), [Some(1i64), None, Some(100)]);
        for data_type in Type::ALL.into_iter().filter(|data_type| *data_type != Type::Varchar) {
            let before = numbers.cast(&millrace_expr::to_polars(data_type)).unwrap();
            let after = decode("n", encode(&before).unwrap(), validity(&before), data_type).unwrap();
            assert!(before.equals_missing(after.as_materialized_series()), "{data_type}");
        }
    }
}
