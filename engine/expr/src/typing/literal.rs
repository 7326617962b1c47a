//! Values written out: numbers, texts, dates, intervals.

use millrace_model::DataType;
use millrace_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MILLI, MICROS_PER_MINUTE, MICROS_PER_SECOND};

use super::Typer;
use crate::error::{self, ExprError, Place};
use crate::ir::{Interval, Ir, Literal, Node};
use crate::kernels::cast_text;
use crate::time_text::{parse_date_part, parse_timestamp};
use crate::types::integer_range;

impl Typer<'_> {
    /// A number in the smallest type that DuckDB gives it: INTEGER, BIGINT; digits with a point take FLOAT or DOUBLE.
    pub(super) fn number(&mut self, digits: &str, place: Place) -> Option<Ir> {
        if let Ok(number) = digits.parse::<i128>() {
            // DuckDB reads the digits before the minus: -2147483648 is a BIGINT.
            let fits = |data_type: &DataType| {
                let (least, most) = integer_range(*data_type);
                (least..=most).contains(&number) && (number.abs() <= most || *data_type == DataType::BigInt)
            };
            let of = [DataType::Integer, DataType::BigInt, DataType::UBigInt].into_iter().find(fits);
            return match of {
                Some(data_type) => Some(Ir::new(Node::Literal(Literal::Integer(number)), data_type)),
                None => {
                    let error = ExprError::new(error::BAD_LITERAL, format!("{digits} is too large for BIGINT"), place);
                    self.fail(error.help(format!("write it as DOUBLE: {digits}e0")))
                }
            };
        }
        let exponent = digits.contains(['e', 'E']);
        match digits.parse::<f64>() {
            Ok(number) if exponent => Some(Ir::new(Node::Literal(Literal::Double(number)), DataType::Double)),
            Ok(number) => Some(Ir::new(Node::Literal(Literal::Decimal(number)), DataType::Double)),
            Err(_) => self.fail(ExprError::new(error::BAD_LITERAL, format!("`{digits}` is not a number"), place)),
        }
    }

    /// A text written out, as the type that it is used as.
    pub(super) fn text_as(&mut self, text: &str, to: DataType, place: Place) -> Option<Ir> {
        let literal = match to {
            DataType::Varchar => Some(Literal::Text(text.to_owned())),
            DataType::Boolean => cast_text::text_to_boolean(text).map(Literal::Boolean),
            DataType::Date => parse_date_part(text).map(|days| Literal::Integer(i128::from(days))),
            DataType::Timestamp => parse_timestamp(text).map(|micros| Literal::Integer(i128::from(micros))),
            DataType::Float | DataType::Double => cast_text::text_to_double(text).map(Literal::Double),
            _ => cast_text::text_to_integer(text, integer_range(to)).map(Literal::Integer),
        };
        match literal {
            Some(literal) => Some(Ir::new(Node::Literal(literal), to)),
            None => {
                let shown: String = text.chars().take(60).collect();
                let error = ExprError::new(error::BAD_LITERAL, format!("'{shown}' does not read as a {to}"), place);
                self.fail(match to {
                    DataType::Timestamp => error.expected("such as '2013-01-01 10:17:00'"),
                    DataType::Date => error.expected("such as '2013-01-01'"),
                    _ => error,
                })
            }
        }
    }

    /// `INTERVAL '1 day 2 hours'`, `INTERVAL 5 MINUTE`.
    pub(super) fn interval(&mut self, words: &str, unit: Option<&str>, sign: i32, place: Place) -> Option<Interval> {
        let read = match unit {
            Some(unit) => add(Interval { months: 0, micros: 0 }, words.trim(), unit),
            None => read_interval(words),
        };
        let read =
            read.and_then(|read| Some(Interval { months: read.months.checked_mul(sign)?, micros: read.micros.checked_mul(sign.into())? }));
        match read {
            Some(interval) => Some(interval),
            None => {
                let error = ExprError::new(error::BAD_LITERAL, "this interval cannot be read", place);
                self.fail(error.expected("such as INTERVAL '5 minutes' or INTERVAL 5 MINUTE"))
            }
        }
    }
}

/// `1 day 2 hours`, `01:02:03`, `-5` (seconds).
fn read_interval(text: &str) -> Option<Interval> {
    let mut sum = Interval { months: 0, micros: 0 };
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            sum.micros = sum.micros.checked_add(clock(word)?)?;
            continue;
        }
        // `5min` is `5 min`.
        let digits = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, glued) = word.split_at_checked(digits)?;
        let unit = if glued.is_empty() { words.next() } else { Some(glued) };
        sum = add(sum, number, unit.unwrap_or("second"))?;
    }
    Some(sum)
}

/// `[-]hours:minutes[:seconds]`
fn clock(word: &str) -> Option<i64> {
    let (sign, word) = word.strip_prefix('-').map_or((1, word), |rest| (-1, rest));
    let mut parts = word.split(':');
    let whole = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).map(i64::from);
    let (hours, minutes) = (whole(parts.next())?, whole(parts.next())?);
    let seconds: f64 = parts.next().map_or(Some(0.0), |part| part.parse().ok())?;
    if parts.next().is_some() || minutes > 59 || !(0.0..60.0).contains(&seconds) {
        return None;
    }
    Some(sign * (hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE + (seconds * 1e6).round() as i64))
}

enum Unit {
    Months(i32),
    Micros(i64),
}

fn unit_of(name: &str) -> Option<Unit> {
    let name = name.to_ascii_lowercase();
    let singular = name.strip_suffix('s').filter(|unit| unit.len() > 1).unwrap_or(&name);
    Some(match singular {
        "month" | "mon" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" | "yr" | "y" => Unit::Months(12),
        "decade" => Unit::Months(120),
        "century" | "centurie" => Unit::Months(1_200),
        "millennium" | "millennia" => Unit::Months(12_000),
        "microsecond" | "us" | "usec" => Unit::Micros(1),
        "millisecond" | "ms" | "msec" => Unit::Micros(MICROS_PER_MILLI),
        "second" | "sec" | "s" => Unit::Micros(MICROS_PER_SECOND),
        "minute" | "min" | "m" => Unit::Micros(MICROS_PER_MINUTE),
        "hour" | "hr" | "h" => Unit::Micros(MICROS_PER_HOUR),
        "day" | "d" => Unit::Micros(MICROS_PER_DAY),
        "week" | "w" => Unit::Micros(7 * MICROS_PER_DAY),
        _ => return None,
    })
}

/// Whether the word is a unit of time, as it stands behind an INTERVAL.
pub(crate) fn is_interval_unit(word: &str) -> bool {
    word.len() > 2 && unit_of(word).is_some()
}

fn add(sum: Interval, number: &str, unit: &str) -> Option<Interval> {
    match unit_of(unit)? {
        Unit::Months(months) => {
            let count: i32 = number.parse().ok()?;
            Some(Interval { months: sum.months.checked_add(count.checked_mul(months)?)?, ..sum })
        }
        Unit::Micros(scale) => {
            let micros = match number.parse::<i64>() {
                Ok(whole) => whole.checked_mul(scale)?,
                Err(_) => {
                    let micros = number.parse::<f64>().ok()? * scale as f64;
                    if micros.abs() < 9e18 { micros.round() as i64 } else { return None }
                }
            };
            Some(Interval { micros: sum.micros.checked_add(micros)?, ..sum })
        }
    }
}
