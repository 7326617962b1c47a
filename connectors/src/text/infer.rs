//! Tells a column's type from a sample of its values.

use millrace_engine::expr::time_text::{parse_date, parse_timestamp};
use millrace_engine::model::DataType;

/// Most rows of a sample.
pub const SAMPLE_ROWS: usize = 1_000;
/// Most bytes of a sample.
pub const SAMPLE_BYTES: usize = 1024 * 1024;

/// What a column's values so far could all be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    boolean: bool,
    whole: bool,
    number: bool,
    date: bool,
    timestamp: bool,
    /// Whether there was a value that tells anything: not NULL, not `nan`.
    told: bool,
    only_text: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Guess { boolean: true, whole: true, number: true, date: true, timestamp: true, told: false, only_text: false }
    }
}

impl Guess {
    /// Takes a value written without quotes that mean anything: a CSV field.
    pub fn see_text(&mut self, text: &str) {
        self.boolean &= text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
        self.see_number(text);
        self.see_time(text);
    }

    /// Takes a JSON number.
    pub fn see_number(&mut self, text: &str) {
        let text = text.trim();
        let whole = self.whole && text.parse::<i64>().is_ok();
        let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
        self.number &= whole || text.parse::<f64>().is_ok_and(|value| value.is_finite() || !has_digit);
        self.whole = whole;
        self.told |= has_digit || !self.number;
    }

    /// Takes a JSON text: no number, even if it reads as one.
    pub fn see_json_text(&mut self, text: &str) {
        (self.boolean, self.whole, self.number) = (false, false, false);
        self.see_time(text);
    }

    /// Takes a JSON boolean.
    pub fn see_json_boolean(&mut self) {
        (self.whole, self.number, self.date, self.timestamp) = (false, false, false, false);
        self.told = true;
    }

    /// Takes a JSON number.
    pub fn see_json_number(&mut self, text: &str) {
        (self.boolean, self.date, self.timestamp) = (false, false, false);
        self.see_number(text);
    }

    /// Takes what is only text: a JSON object or array.
    pub const fn see_document(&mut self) {
        self.only_text = true;
        self.told = true;
    }

    fn see_time(&mut self, text: &str) {
        self.told |= !self.number;
        if !self.timestamp {
            return;
        }
        self.timestamp = parse_timestamp(text).is_some();
        self.date &= self.timestamp && !text.contains(':') && parse_date(text).is_some();
    }

    pub const fn data_type(&self) -> DataType {
        match self {
            Guess { only_text: true, .. } | Guess { told: false, .. } => DataType::Varchar,
            Guess { boolean: true, .. } => DataType::Boolean,
            Guess { whole: true, .. } => DataType::BigInt,
            Guess { number: true, .. } => DataType::Double,
            Guess { date: true, .. } => DataType::Date,
            Guess { timestamp: true, .. } => DataType::Timestamp,
            _ => DataType::Varchar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> DataType {
        let mut guess = Guess::default();
        values.iter().for_each(|value| guess.see_text(value));
        guess.data_type()
    }

    #[test]
    fn a_column_has_the_narrowest_type_that_holds_all_its_sample() {
        assert_eq!(of(&["1", "-2", "+3"]), DataType::BigInt);
        assert_eq!(of(&["1", "2.5", "nan"]), DataType::Double);
        assert_eq!(of(&["1", "9223372036854775808"]), DataType::Double);
        assert_eq!(of(&["true", "FALSE"]), DataType::Boolean);
        assert_eq!(of(&["2013-01-01", "2013-12-31"]), DataType::Date);
        assert_eq!(of(&["2013-01-01", "2013-01-01 10:17:00"]), DataType::Timestamp);
        assert_eq!(of(&["2013-01-01T10:17:00.5Z"]), DataType::Timestamp);
        assert_eq!(of(&["1", "x"]), DataType::Varchar);
        assert_eq!(of(&["true", "1"]), DataType::Varchar);
        assert_eq!(of(&["nan", "inf"]), DataType::Varchar);
        assert_eq!(of(&["1e999"]), DataType::Varchar);
        assert_eq!(of(&["2013-01-01", "5"]), DataType::Varchar);
        assert_eq!(of(&[]), DataType::Varchar);
    }
}
