//! Columns that are filled value by value from text, and hold nothing of a record that turns out bad.

use std::borrow::Cow;
use std::fmt::Display;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use millrace_engine::expr::time_text::{parse_date, parse_timestamp};
use millrace_engine::model::{DataType, Schema};
use millrace_engine::runtime::{RunError, RunResult};
use polars::prelude::*;
use polars_arrow::array::{BooleanArray, MutableBinaryViewArray};
use polars_arrow::bitmap::{Bitmap, MutableBitmap};

/// Longest piece of a value that is shown in a reason.
const SHOWN_CHARS: usize = 60;

/// Why a value does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    NotOfType,
    OutOfRange,
}

enum Values {
    Boolean(Vec<bool>),
    TinyInt(Vec<i8>),
    SmallInt(Vec<i16>),
    Integer(Vec<i32>),
    BigInt(Vec<i64>),
    UTinyInt(Vec<u8>),
    USmallInt(Vec<u16>),
    UInteger(Vec<u32>),
    UBigInt(Vec<u64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Varchar(MutableBinaryViewArray<str>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
}

/// Does the same to the vector of a fixed-width column, whatever its type. Text has no vector.
macro_rules! on_fixed {
    ($values:expr, $vector:ident => $do:expr, $text:ident => $else:expr) => {
        match $values {
            Values::Boolean($vector) => $do,
            Values::TinyInt($vector) => $do,
            Values::SmallInt($vector) => $do,
            Values::Integer($vector) | Values::Date($vector) => $do,
            Values::BigInt($vector) | Values::Timestamp($vector) => $do,
            Values::UTinyInt($vector) => $do,
            Values::USmallInt($vector) => $do,
            Values::UInteger($vector) => $do,
            Values::UBigInt($vector) => $do,
            Values::Float($vector) => $do,
            Values::Double($vector) => $do,
            Values::Varchar($text) => $else,
        }
    };
}

struct ColumnBuilder {
    name: PlSmallStr,
    data_type: DataType,
    values: Values,
    /// Of fixed-width columns; text keeps its own.
    validity: MutableBitmap,
}

/// A batch of rows under way.
pub struct Columns {
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl Columns {
    pub fn new(schema: &Schema) -> Self {
        let columns = schema.fields.iter().map(|field| ColumnBuilder::new(&field.name, field.data_type)).collect();
        Columns { columns, rows: 0 }
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a row, of which `value` gives each column's text. If one does not fit, no column keeps anything of the row.
    ///
    /// # Errors
    /// The reason in words: `column dep_delay: "x" is not an INTEGER`.
    pub fn push<'a>(&mut self, value: impl Fn(usize) -> Option<Cow<'a, str>>) -> Result<(), String> {
        // Text cannot fail, and cannot be taken back: it comes last.
        for text in [false, true] {
            for index in 0..self.columns.len() {
                let Some(column) = self.columns.get_mut(index).filter(|column| (column.data_type == DataType::Varchar) == text) else {
                    continue;
                };
                let value = value(index);
                if let Err(misfit) = column.push(value.as_deref()) {
                    let reason = column.reason(value.as_deref().unwrap_or_default(), misfit);
                    let rows = self.rows;
                    self.columns.iter_mut().for_each(|column| column.truncate(rows));
                    return Err(reason);
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Gives the rows out, and begins anew.
    pub fn finish(&mut self) -> RunResult<DataFrame> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<RunResult<Vec<Column>>>()?;
        Ok(DataFrame::new(rows, columns)?)
    }
}

impl ColumnBuilder {
    fn new(name: &str, data_type: DataType) -> Self {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::TinyInt => Values::TinyInt(Vec::new()),
            DataType::SmallInt => Values::SmallInt(Vec::new()),
            DataType::Integer => Values::Integer(Vec::new()),
            DataType::BigInt => Values::BigInt(Vec::new()),
            DataType::UTinyInt => Values::UTinyInt(Vec::new()),
            DataType::USmallInt => Values::USmallInt(Vec::new()),
            DataType::UInteger => Values::UInteger(Vec::new()),
            DataType::UBigInt => Values::UBigInt(Vec::new()),
            DataType::Float => Values::Float(Vec::new()),
            DataType::Double => Values::Double(Vec::new()),
            DataType::Varchar => Values::Varchar(MutableBinaryViewArray::new()),
            DataType::Date => Values::Date(Vec::new()),
            DataType::Timestamp => Values::Timestamp(Vec::new()),
        };
        ColumnBuilder { name: name.into(), data_type, values, validity: MutableBitmap::new() }
    }

    fn push(&mut self, value: Option<&str>) -> Result<(), Misfit> {
        let Some(text) = value else {
            on_fixed!(&mut self.values, vector => vector.push(Default::default()), texts => {
                texts.push_null();
                return Ok(());
            });
            self.validity.push(false);
            return Ok(());
        };
        match &mut self.values {
            Values::Varchar(texts) => {
                texts.push_value(text);
                return Ok(());
            }
            Values::Boolean(vector) => vector.push(boolean(text)?),
            Values::TinyInt(vector) => vector.push(whole(text)?),
            Values::SmallInt(vector) => vector.push(whole(text)?),
            Values::Integer(vector) => vector.push(whole(text)?),
            Values::BigInt(vector) => vector.push(whole(text)?),
            Values::UTinyInt(vector) => vector.push(whole(text)?),
            Values::USmallInt(vector) => vector.push(whole(text)?),
            Values::UInteger(vector) => vector.push(whole(text)?),
            Values::UBigInt(vector) => vector.push(whole(text)?),
            Values::Float(vector) => vector.push(float(text)?),
            Values::Double(vector) => vector.push(float(text)?),
            Values::Date(vector) => vector.push(parse_date(text).ok_or(Misfit::NotOfType)?),
            Values::Timestamp(vector) => vector.push(parse_timestamp(text).ok_or(Misfit::NotOfType)?),
        }
        self.validity.push(true);
        Ok(())
    }

    /// Forgets what came after `rows`. Text never has more.
    fn truncate(&mut self, rows: usize) {
        on_fixed!(&mut self.values, vector => vector.truncate(rows), _texts => return);
        while self.validity.len() > rows {
            self.validity.pop();
        }
    }

    fn reason(&self, value: &str, misfit: Misfit) -> String {
        let shown: String = value.chars().take(SHOWN_CHARS).collect();
        let dots = if shown.len() < value.len() { ".." } else { "" };
        let article = if matches!(
            self.data_type,
            DataType::Integer | DataType::UTinyInt | DataType::USmallInt | DataType::UInteger | DataType::UBigInt
        ) {
            "an"
        } else {
            "a"
        };
        match misfit {
            Misfit::NotOfType => format!("column {}: {shown:?}{dots} is not {article} {}", self.name, self.data_type),
            Misfit::OutOfRange => format!("column {}: {shown:?}{dots} is out of range for {article} {}", self.name, self.data_type),
        }
    }

    fn finish(&mut self) -> RunResult<Column> {
        let fresh = ColumnBuilder::new(self.name.as_str(), self.data_type);
        let done = std::mem::replace(self, fresh);
        let validity: Option<Bitmap> = (done.validity.unset_bits() > 0).then(|| done.validity.into());
        let name = done.name;
        let series = match done.values {
            Values::Boolean(vector) => {
                let bits = MutableBitmap::from_iter(vector);
                BooleanChunked::with_chunk(name, BooleanArray::new(ArrowDataType::Boolean, bits.into(), validity)).into_series()
            }
            Values::TinyInt(vector) => Int8Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::SmallInt(vector) => Int16Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::Integer(vector) => Int32Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::BigInt(vector) => Int64Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::UTinyInt(vector) => UInt8Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::USmallInt(vector) => UInt16Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::UInteger(vector) => UInt32Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::UBigInt(vector) => UInt64Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::Float(vector) => Float32Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::Double(vector) => Float64Chunked::from_vec_validity(name, vector, validity).into_series(),
            Values::Varchar(texts) => StringChunked::with_chunk(name, texts.freeze()).into_series(),
            Values::Date(vector) => Int32Chunked::from_vec_validity(name, vector, validity).into_date().into_series(),
            Values::Timestamp(vector) => {
                Int64Chunked::from_vec_validity(name, vector, validity).into_datetime(TimeUnit::Microseconds, None).into_series()
            }
        };
        if series.is_empty() && !matches!(series.dtype(), polars::prelude::DataType::Null) || series.n_chunks() == 1 {
            return Ok(series.into());
        }
        Err(RunError::bug("a column came out in pieces"))
    }
}

fn boolean(text: &str) -> Result<bool, Misfit> {
    let text = text.trim();
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || is("t") || is("1") || is("yes") || is("y") {
        Ok(true)
    } else if is("false") || is("f") || is("0") || is("no") || is("n") {
        Ok(false)
    } else {
        Err(Misfit::NotOfType)
    }
}

fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, Misfit> {
    text.trim().parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Misfit::OutOfRange,
        // An unsigned type takes a minus for a stray letter.
        _ if text.trim().strip_prefix('-').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) => {
            Misfit::OutOfRange
        }
        _ => Misfit::NotOfType,
    })
}

/// A finite text never becomes infinite: what is too large is out of range, as in DuckDB.
fn float<T: FromStr + Display + Into<f64> + Copy>(text: &str) -> Result<T, Misfit> {
    let value: T = text.trim().parse().map_err(|_| Misfit::NotOfType)?;
    let widened: f64 = value.into();
    if widened.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) { Err(Misfit::OutOfRange) } else { Ok(value) }
}
