//! The work on columns that Polars does not do as DuckDB does.

pub(crate) mod arithmetic;
pub(crate) mod cast;
pub(crate) mod cast_text;
mod letters;
pub(crate) mod like;
pub(crate) mod math;
pub(crate) mod pattern;
pub(crate) mod text;
pub(crate) mod time;

use polars::prelude::*;
use polars_arrow::array::PrimitiveArray;
use polars_arrow::bitmap::{Bitmap, MutableBitmap};

/// Values, and the rows that could not be computed (NULL in the values).
pub(crate) type Checked<T> = (T, Option<BooleanChunked>);

/// What a row came to, where a function decides row by row.
pub(crate) enum Row<T> {
    Value(T),
    Null,
    Failed,
}

impl<T> From<Option<T>> for Row<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Row::Null, Row::Value)
    }
}

/// Takes `NULL` and failures aside while a column is built.
struct Marks {
    rows: usize,
    failed: Option<MutableBitmap>,
}

impl Marks {
    /// The row's value; NULL for a failure, which is kept in mind.
    fn keep<T>(&mut self, row: usize, outcome: Row<T>) -> Option<T> {
        match outcome {
            Row::Value(value) => Some(value),
            Row::Null => None,
            Row::Failed => {
                self.failed.get_or_insert_with(|| MutableBitmap::from_len_zeroed(self.rows)).set(row, true);
                None
            }
        }
    }

    fn mask(self) -> Option<BooleanChunked> {
        self.failed.map(|failed| BooleanChunked::from_bitmap(PlSmallStr::EMPTY, failed.into()))
    }
}

/// Numbers made row by row.
pub(crate) fn numbers_by_row<T: PolarsNumericType>(rows: usize, compute: impl Fn(usize) -> Row<T::Native>) -> Checked<Series>
where
    ChunkedArray<T>: IntoSeries,
{
    let mut marks = Marks { rows, failed: None };
    let values: ChunkedArray<T> = (0..rows).map(|row| marks.keep(row, compute(row))).collect_ca(PlSmallStr::EMPTY);
    (values.into_series(), marks.mask())
}

/// Truth values made row by row.
pub(crate) fn booleans_by_row(rows: usize, mut compute: impl FnMut(usize) -> Row<bool>) -> Checked<Series> {
    let mut marks = Marks { rows, failed: None };
    let values: BooleanChunked = (0..rows).map(|row| marks.keep(row, compute(row))).collect_ca(PlSmallStr::EMPTY);
    (values.into_series(), marks.mask())
}

/// Most bytes that the texts of one column may take together: what makes long texts of short ones ends with an error, not with the
/// machine's memory.
const MAX_TEXT_BYTES: usize = 1 << 30;

/// Texts made row by row, in one buffer that is used again: the function appends the row's text to it.
pub(crate) fn texts_by_row(rows: usize, compute: impl Fn(usize, &mut String) -> Row<()>) -> PolarsResult<Checked<Series>> {
    let mut marks = Marks { rows, failed: None };
    let mut builder = StringChunkedBuilder::new(PlSmallStr::EMPTY, rows);
    let mut buffer = String::new();
    let mut bytes = 0;
    for row in 0..rows {
        buffer.clear();
        let outcome = compute(row, &mut buffer);
        bytes += buffer.len();
        polars_ensure!(bytes <= MAX_TEXT_BYTES, ComputeError: "the texts of one column would take more than {MAX_TEXT_BYTES} bytes");
        match marks.keep(row, outcome) {
            Some(()) => builder.append_value(&buffer),
            None => builder.append_null(),
        }
    }
    Ok((builder.finish().into_series(), marks.mask()))
}

/// The rows that two sides make together: one row on a side stands for all.
fn broadcast(left: usize, right: usize) -> usize {
    if left == 1 { right } else { left }
}

/// Applies `compute` to pairs of values. It gives the value, and whether it failed; what it is asked of NULL rows does not matter.
pub(crate) fn binary<A: PolarsNumericType, T: PolarsNumericType>(
    left: &ChunkedArray<A>,
    right: &ChunkedArray<A>,
    compute: impl Fn(A::Native, A::Native) -> (T::Native, bool),
) -> Checked<ChunkedArray<T>> {
    let (left, right) = (left.rechunk(), right.rechunk());
    let (left, right) = (left.downcast_as_array(), right.downcast_as_array());
    let rows = broadcast(left.len(), right.len());
    let mut failed = false;
    let mut note = |(value, bad): (T::Native, bool)| {
        failed |= bad;
        value
    };
    // Collected, not pushed: the length is known then, and no row asks for room.
    let values: Vec<T::Native> = match (left.values().as_slice(), right.values().as_slice()) {
        (many, [one]) if many.len() == rows => many.iter().map(|a| note(compute(*a, *one))).collect(),
        ([one], many) => many.iter().map(|b| note(compute(*one, *b))).collect(),
        (many, other) => many.iter().zip(other).map(|(a, b)| note(compute(*a, *b))).collect(),
    };
    let validity = both_valid(left.validity(), left.len(), right.validity(), right.len(), rows);
    if !failed {
        return (chunk(values, validity), None);
    }
    let at = |slice: &[A::Native], row: usize| if slice.len() == 1 { slice.first().copied() } else { slice.get(row).copied() };
    let mask: Vec<bool> = (0..rows)
        .map(|row| {
            let valid = validity.as_ref().is_none_or(|validity| validity.get_bit(row));
            let bad = match (at(left.values().as_slice(), row), at(right.values().as_slice(), row)) {
                (Some(a), Some(b)) => compute(a, b).1,
                _ => false,
            };
            valid && bad
        })
        .collect();
    let (validity, mask) = without(validity, mask);
    (chunk(values, validity), mask)
}

/// Applies `compute` to each value; as [`binary`].
pub(crate) fn unary<A: PolarsNumericType, T: PolarsNumericType>(
    input: &ChunkedArray<A>,
    compute: impl Fn(A::Native) -> (T::Native, bool),
) -> Checked<ChunkedArray<T>> {
    let input = input.rechunk();
    let input = input.downcast_as_array();
    let mut failed = false;
    let values: Vec<T::Native> = input
        .values()
        .iter()
        .map(|value| {
            let (value, bad) = compute(*value);
            failed |= bad;
            value
        })
        .collect();
    let validity = input.validity().cloned();
    if !failed {
        return (chunk(values, validity), None);
    }
    let valid = |row: usize| validity.as_ref().is_none_or(|validity| validity.get_bit(row));
    let mask = input.values().iter().enumerate().map(|(row, value)| valid(row) && compute(*value).1).collect();
    let (validity, mask) = without(validity.clone(), mask);
    (chunk(values, validity), mask)
}

fn chunk<T: PolarsNumericType>(values: Vec<T::Native>, validity: Option<Bitmap>) -> ChunkedArray<T> {
    let array: PrimitiveArray<T::Native> = PrimitiveArray::from_vec(values).with_validity(validity);
    ChunkedArray::with_chunk(PlSmallStr::EMPTY, array)
}

/// NULL where it failed; no mask if nothing did after all (only NULL rows looked bad).
fn without(validity: Option<Bitmap>, mask: Vec<bool>) -> (Option<Bitmap>, Option<BooleanChunked>) {
    if !mask.contains(&true) {
        return (validity, None);
    }
    let good: Bitmap = mask.iter().map(|bad| !bad).collect();
    let validity = match validity {
        Some(before) => &before & &good,
        None => good,
    };
    (Some(validity), Some(BooleanChunked::from_slice(PlSmallStr::EMPTY, &mask)))
}

fn both_valid(left: Option<&Bitmap>, left_rows: usize, right: Option<&Bitmap>, right_rows: usize, rows: usize) -> Option<Bitmap> {
    let spread = |validity: Option<&Bitmap>, len: usize| {
        validity.map(|validity| if len == rows { validity.clone() } else { Bitmap::new_with_value(validity.get(0) == Some(true), rows) })
    };
    match (spread(left, left_rows), spread(right, right_rows)) {
        (Some(a), Some(b)) => Some(&a & &b),
        (one, other) => one.or(other),
    }
}
