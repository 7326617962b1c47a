//! The canonical bytes of a key, and their hash.
//!
//! One key has one encoding whatever column types carry it, so that widening a column (`INTEGER` to `BIGINT`, `DATE` to `TIMESTAMP`)
//! moves no key to another task. The bytes are part of the state's format and carry a version; the golden test below pins them.
//!
//! A key is one version byte, then each column in turn, little-endian:
//!
//! | value | bytes |
//! |---|---|
//! | NULL | `0` |
//! | BOOLEAN | `1`, then 0 or 1 |
//! | every integer that an i64 holds | `2`, then the i64 |
//! | UBIGINT above that | `3`, then the u64 |
//! | FLOAT, DOUBLE | `4`, then the f64's bits; `-0.0` as `0.0`, every NaN as one |
//! | VARCHAR | `5`, the length as u32, then UTF-8 |
//! | DATE, TIMESTAMP | `6`, then microseconds since 1970 as i64 |

use millrace_model::time::MICROS_PER_DAY;
use millrace_plan::key_group::KEY_HASH_SEED;
use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{RunError, RunResult};

/// The version of the bytes, and their first byte.
pub const KEY_VERSION: u8 = 1;

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const LARGE_UNSIGNED: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const TIME: u8 = 6;

/// The keys of a frame's rows, end to end in one buffer.
#[derive(Debug, Clone, Default)]
pub struct KeyBytes {
    bytes: Vec<u8>,
    /// Where each row's key ends; it begins where the one before ended.
    ends: Vec<usize>,
}

impl KeyBytes {
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let key = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            key
        })
    }
}

/// The canonical bytes of each row's key.
pub fn encode_keys(frame: &DataFrame, columns: &[&str]) -> RunResult<KeyBytes> {
    let columns = canonical_columns(frame, columns)?;
    let mut widths = vec![1usize; frame.height()];
    for column in &columns {
        column.add_widths(&mut widths);
    }
    let mut end = 0;
    let mut cursors = Vec::with_capacity(widths.len());
    for width in &mut widths {
        cursors.push(end);
        end += *width;
        *width = end;
    }
    let mut keys = KeyBytes { bytes: vec![0; end], ends: widths };
    for cursor in &mut cursors {
        put(&mut keys.bytes, cursor, &[KEY_VERSION]);
    }
    for column in &columns {
        column.write(&mut keys.bytes, &mut cursors);
    }
    Ok(keys)
}

/// The hash of each row's key: xxh3 of its canonical bytes under [`KEY_HASH_SEED`]. Key groups are cut from it.
///
/// No columns are one key that every row shares.
pub fn hash_keys(frame: &DataFrame, columns: &[&str]) -> RunResult<Vec<u64>> {
    if let [column] = columns {
        let column = Canonical::of(key_column(frame, column)?)?;
        return Ok(column.hashes());
    }
    Ok(encode_keys(frame, columns)?.iter().map(hash_key).collect())
}

/// The hash of one key's canonical bytes.
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, KEY_HASH_SEED)
}

/// A key column in the one type that its values are encoded from.
enum Canonical {
    Null(usize),
    Boolean(BooleanChunked),
    /// Integers, and times in microseconds, with their tag.
    Fixed(u8, Int64Chunked),
    Unsigned(UInt64Chunked),
    Float(Float64Chunked),
    Text(StringChunked),
}

fn canonical_columns(frame: &DataFrame, columns: &[&str]) -> RunResult<Vec<Canonical>> {
    columns.iter().map(|name| Canonical::of(key_column(frame, name)?)).collect()
}

fn key_column<'a>(frame: &'a DataFrame, name: &str) -> RunResult<&'a Column> {
    frame.column(name).map_err(|error| RunError::bug(format!("key column {name}: {error}")))
}

impl Canonical {
    fn of(column: &Column) -> RunResult<Canonical> {
        let series = column.as_materialized_series().rechunk();
        Ok(match series.dtype() {
            DataType::Null => Canonical::Null(series.len()),
            DataType::Boolean => Canonical::Boolean(series.bool()?.clone()),
            DataType::UInt64 => Canonical::Unsigned(series.u64()?.clone()),
            dtype if dtype.is_integer() => Canonical::Fixed(INTEGER, series.cast(&DataType::Int64)?.i64()?.clone()),
            DataType::Float32 | DataType::Float64 => Canonical::Float(series.cast(&DataType::Float64)?.f64()?.clone()),
            DataType::String => Canonical::Text(series.str()?.clone()),
            DataType::Date => {
                let days = series.to_physical_repr().cast(&DataType::Int64)?;
                Canonical::Fixed(TIME, days.i64()?.apply_values(|day| day.saturating_mul(MICROS_PER_DAY)))
            }
            DataType::Datetime(unit, _) => {
                let stamps = series.to_physical_repr().i64()?.clone();
                Canonical::Fixed(
                    TIME,
                    match unit {
                        TimeUnit::Microseconds => stamps,
                        TimeUnit::Milliseconds => stamps.apply_values(|at| at.saturating_mul(1_000)),
                        TimeUnit::Nanoseconds => stamps.apply_values(|at| at.div_euclid(1_000)),
                    },
                )
            }
            other => return Err(RunError::bug(format!("column {} of type {other} cannot be a key", series.name()))),
        })
    }

    fn add_widths(&self, widths: &mut [usize]) {
        match self {
            Canonical::Null(_) => widths.iter_mut().for_each(|width| *width += 1),
            Canonical::Boolean(values) => add(widths, values.iter().map(|value| if value.is_some() { 2 } else { 1 })),
            Canonical::Fixed(_, values) => add(widths, values.iter().map(eight)),
            Canonical::Unsigned(values) => add(widths, values.iter().map(eight)),
            Canonical::Float(values) => add(widths, values.iter().map(eight)),
            Canonical::Text(values) => add(widths, values.iter().map(|value| value.map_or(1, |text| 5 + text.len()))),
        }
    }

    fn write(&self, bytes: &mut [u8], cursors: &mut [usize]) {
        match self {
            Canonical::Null(_) => cursors.iter_mut().for_each(|cursor| put(bytes, cursor, &[NULL])),
            Canonical::Boolean(values) => {
                for (cursor, value) in cursors.iter_mut().zip(values.iter()) {
                    match value {
                        Some(value) => put(bytes, cursor, &[BOOLEAN, u8::from(value)]),
                        None => put(bytes, cursor, &[NULL]),
                    }
                }
            }
            Canonical::Fixed(tag, values) => put_all(bytes, cursors, values.iter().map(|value| value.map(|value| (*tag, value as u64)))),
            Canonical::Unsigned(values) => put_all(bytes, cursors, values.iter().map(|value| value.map(unsigned))),
            Canonical::Float(values) => put_all(bytes, cursors, values.iter().map(|value| value.map(float))),
            Canonical::Text(values) => {
                for (cursor, value) in cursors.iter_mut().zip(values.iter()) {
                    match value {
                        Some(text) => {
                            put(bytes, cursor, &[TEXT]);
                            put(bytes, cursor, &(text.len() as u32).to_le_bytes());
                            put(bytes, cursor, text.as_bytes());
                        }
                        None => put(bytes, cursor, &[NULL]),
                    }
                }
            }
        }
    }

    /// The hashes of keys of this one column, without a buffer for numbers.
    fn hashes(&self) -> Vec<u64> {
        match self {
            Canonical::Null(rows) => vec![null_hash(); *rows],
            Canonical::Boolean(values) => {
                let of = |value: bool| hash_key(&[KEY_VERSION, BOOLEAN, u8::from(value)]);
                let (no, yes, null) = (of(false), of(true), null_hash());
                values.iter().map(|value| value.map_or(null, |value| if value { yes } else { no })).collect()
            }
            Canonical::Fixed(tag, values) => match values.cont_slice() {
                Ok(values) => values.iter().map(|value| number_hash((*tag, *value as u64))).collect(),
                Err(_) => number_hashes(values.iter().map(|value| value.map(|value| (*tag, value as u64)))),
            },
            Canonical::Unsigned(values) => number_hashes(values.iter().map(|value| value.map(unsigned))),
            Canonical::Float(values) => number_hashes(values.iter().map(|value| value.map(float))),
            Canonical::Text(values) => text_hashes(values),
        }
    }
}

fn add(widths: &mut [usize], more: impl Iterator<Item = usize>) {
    widths.iter_mut().zip(more).for_each(|(width, more)| *width += more);
}

fn eight<T>(value: Option<T>) -> usize {
    if value.is_some() { 9 } else { 1 }
}

fn unsigned(value: u64) -> (u8, u64) {
    (if value > i64::MAX as u64 { LARGE_UNSIGNED } else { INTEGER }, value)
}

fn float(value: f64) -> (u8, u64) {
    let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
    (FLOAT, canonical.to_bits())
}

fn put(bytes: &mut [u8], cursor: &mut usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(*cursor..*cursor + part.len()) {
        place.copy_from_slice(part);
    }
    *cursor += part.len();
}

fn put_all(bytes: &mut [u8], cursors: &mut [usize], values: impl Iterator<Item = Option<(u8, u64)>>) {
    for (cursor, value) in cursors.iter_mut().zip(values) {
        match value {
            Some((tag, value)) => {
                put(bytes, cursor, &[tag]);
                put(bytes, cursor, &value.to_le_bytes());
            }
            None => put(bytes, cursor, &[NULL]),
        }
    }
}

fn null_hash() -> u64 {
    hash_key(&[KEY_VERSION, NULL])
}

/// What xxh3 mixes the first eight bytes of a key of 9 to 16 with under [`KEY_HASH_SEED`], and the last eight: pairs of words of its default
/// secret.
const FLIP_LOW: u64 = (0x1f67_b3b7_a4a4_4072u64 ^ 0x78e5_c0cc_4ee6_79cb).wrapping_add(KEY_HASH_SEED);
const FLIP_HIGH: u64 = (0x2172_ffcc_7dd0_5a82u64 ^ 0x8e24_43f7_7446_08b8).wrapping_sub(KEY_HASH_SEED);

/// [`hash_key`] of a key of one number, without a buffer: xxh3's way with ten bytes, written out, since every row of an exchange takes it.
#[inline]
fn number_hash((tag, value): (u8, u64)) -> u64 {
    let low = (u64::from(KEY_VERSION) | u64::from(tag) << 8 | value << 16) ^ FLIP_LOW;
    let high = value ^ FLIP_HIGH;
    let product = u128::from(low) * u128::from(high);
    let folded = product as u64 ^ (product >> 64) as u64;
    let mixed = 10u64.wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(folded);
    let mixed = (mixed ^ mixed >> 37).wrapping_mul(0x1656_6791_9e37_79f9);
    mixed ^ mixed >> 32
}

fn number_hashes(values: impl Iterator<Item = Option<(u8, u64)>>) -> Vec<u64> {
    let null = null_hash();
    values.map(|value| value.map_or(null, number_hash)).collect()
}

fn text_hashes(values: &StringChunked) -> Vec<u64> {
    let null = null_hash();
    let mut key = Vec::with_capacity(64);
    values
        .iter()
        .map(|value| {
            let Some(text) = value else { return null };
            key.clear();
            key.extend_from_slice(&[KEY_VERSION, TEXT]);
            key.extend_from_slice(&(text.len() as u32).to_le_bytes());
            key.extend_from_slice(text.as_bytes());
            hash_key(&key)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(frame: &DataFrame, columns: &[&str]) -> Vec<u64> {
        let direct = hash_keys(frame, columns).unwrap();
        let by_bytes: Vec<u64> = encode_keys(frame, columns).unwrap().iter().map(hash_key).collect();
        assert_eq!(direct, by_bytes, "the short way of one column must equal the long way");
        direct
    }

    #[test]
    fn key_bytes_and_hashes_never_change() {
        let frame = df! {
            "n" => [Some(-1i32), None],
            "u" => [u64::MAX, 7],
            "f" => [-0.0f64, f64::NAN],
            "s" => [Some("JFK"), None],
            "b" => [Some(true), None],
        }
        .unwrap();
        let keys = encode_keys(&frame, &["n", "u", "f", "s", "b"]).unwrap();
        let expected: [&[u8]; 2] = [
            b"\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\x03\xff\xff\xff\xff\xff\xff\xff\xff\x04\0\0\0\0\0\0\0\0\x05\x03\0\0\0JFK\x01\x01",
            b"\x01\0\x02\x07\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\xf8\x7f\0\0",
        ];
        assert_eq!(keys.iter().collect::<Vec<_>>(), expected);
        assert_eq!(hashes(&frame, &["s"]), GOLDEN_TEXT);
        assert_eq!(hashes(&frame, &["n"]), GOLDEN_NUMBER);
    }

    const GOLDEN_TEXT: [u64; 2] = [13959229512856154058, 8073365449303545716];
    const GOLDEN_NUMBER: [u64; 2] = [7002287109333996141, 8073365449303545716];

    #[test]
    fn a_number_is_hashed_as_xxh3_hashes_its_bytes() {
        let mut value = 1u64;
        for _ in 0..10_000 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for (tag, value) in [(INTEGER, value), (TIME, value >> 40), (FLOAT, !value), (LARGE_UNSIGNED, u64::MAX)] {
                let mut key = vec![KEY_VERSION, tag];
                key.extend_from_slice(&value.to_le_bytes());
                assert_eq!(number_hash((tag, value)), hash_key(&key));
            }
        }
    }

    #[test]
    fn widening_a_column_moves_no_key() {
        let narrow = df! { "k" => [Some(3i8), None, Some(-5)] }.unwrap();
        for wide in [DataType::Int16, DataType::Int32, DataType::Int64] {
            let column = narrow.column("k").unwrap().cast(&wide).unwrap();
            let frame = DataFrame::new(3, vec![column]).unwrap();
            assert_eq!(hashes(&narrow, &["k"]), hashes(&frame, &["k"]));
        }
        let date = df! { "k" => [15_706i32] }.unwrap().column("k").unwrap().cast(&DataType::Date).unwrap();
        let stamp = date.cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
        let (date, stamp) = (DataFrame::new(1, vec![date]).unwrap(), DataFrame::new(1, vec![stamp]).unwrap());
        assert_eq!(hashes(&date, &["k"]), hashes(&stamp, &["k"]));
    }

    #[test]
    fn values_that_are_equal_in_sql_share_a_key_and_others_do_not() {
        let frame = df! { "f" => [0.0f64, -0.0, f64::NAN, -f64::NAN], "g" => [0.0f32, -0.0, f32::NAN, -f32::NAN] }.unwrap();
        let f = hashes(&frame, &["f"]);
        assert_eq!(f, hashes(&frame, &["g"]));
        assert_eq!((f[0], f[2]), (f[1], f[3]));
        let text = df! { "a" => ["ab", "a"], "b" => ["c", "bc"] }.unwrap();
        let both = hashes(&text, &["a", "b"]);
        assert_ne!(both[0], both[1], "a column's end is part of its key");
        assert_eq!(hashes(&text, &[]).len(), 2);
    }

    #[test]
    fn every_type_that_a_schema_can_hold_can_be_a_key() {
        let frame = df! { "n" => [1i64, 2] }.unwrap();
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::String,
            DataType::Date,
            DataType::Datetime(TimeUnit::Microseconds, None),
        ];
        for dtype in types {
            let column = frame.column("n").unwrap().cast(&dtype).unwrap();
            let one = DataFrame::new(2, vec![column]).unwrap();
            assert_eq!(hashes(&one, &["n"]).len(), 2);
        }
    }
}
