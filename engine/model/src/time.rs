//! Event time: microseconds since 1970-01-01T00:00:00Z, in UTC.

use serde::{Deserialize, Serialize};

pub const MICROS_PER_MILLI: i64 = 1_000;
pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// A point in event time, or a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before every row: no watermark yet, nothing can be late.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every row: the end of input.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Adds microseconds; the ends of time stay where they are.
    pub const fn saturating_add(self, micros: i64) -> Timestamp {
        match self {
            Timestamp::MIN => Timestamp::MIN,
            Timestamp::MAX => Timestamp::MAX,
            Timestamp(at) => Timestamp(at.saturating_add(micros)),
        }
    }

    /// `2013-03-14T09:42:00Z`, with as many decimals as it needs (proleptic Gregorian, UTC).
    pub fn to_rfc3339(self) -> String {
        format_rfc3339(self.0)
    }

    /// `2013-03-14 09:42:00.9 UTC`: as people are told it.
    pub fn to_text(self) -> String {
        let text = self.to_rfc3339().replace('T', " ");
        let text = text.trim_end_matches('Z');
        let text = if text.contains('.') { text.trim_end_matches('0') } else { text };
        format!("{text} UTC")
    }
}

/// Civil date of a day number since 1970-01-01, after Howard Hinnant's `civil_from_days`.
pub const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn format_rfc3339(micros: i64) -> String {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let within = micros.rem_euclid(MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    let (seconds, fraction) = (within / MICROS_PER_SECOND, within % MICROS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction % MICROS_PER_MILLI != 0 {
        text.push_str(&format!(".{fraction:06}"));
    } else if fraction != 0 {
        text.push_str(&format!(".{:03}", fraction / MICROS_PER_MILLI));
    }
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_rfc_3339_with_only_the_decimals_it_needs() {
        assert_eq!(Timestamp(0).to_rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_363_254_120_000_000).to_rfc3339(), "2013-03-14T09:42:00Z");
        assert_eq!(Timestamp(-1).to_rfc3339(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(1_500_000).to_rfc3339(), "1970-01-01T00:00:01.500Z");
        assert_eq!(Timestamp(1_500_000).to_text(), "1970-01-01 00:00:01.5 UTC");
        assert_eq!(Timestamp(10_000_000).to_text(), "1970-01-01 00:00:10 UTC");
    }
}
