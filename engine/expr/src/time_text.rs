//! Dates and times as text, read and written as DuckDB does.

use millrace_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_from_days};

/// Days since 1970-01-01 of a civil date, if there is such a day. After Howard Hinnant's `days_from_civil`.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) || year.abs() > 5_900_000 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let mp = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    Some(era * 146_097 + doe - 719_468)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Reads from the front of a text, byte by byte.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn number(&mut self, most_digits: usize) -> Option<u32> {
        let digits = self.rest.iter().take(most_digits).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at_checked(digits)?;
        if digits == 0 {
            return None;
        }
        self.rest = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !wanted(*first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }

    fn spaces(&mut self) {
        while self.take(|byte| byte == b' ').is_some() {}
    }

    /// `2013-01-01`, `2013/1/1`, `0044-03-15 (BC)`.
    fn date(&mut self) -> Option<i64> {
        let negative = self.take(|byte| byte == b'-').is_some();
        let year = i64::from(self.number(7)?);
        let separator = self.take(|byte| matches!(byte, b'-' | b'/' | b'\\' | b' '))?;
        let month = self.number(2)?;
        self.take(|byte| byte == separator)?;
        let day = self.number(2)?;
        let before_christ = self.rest.strip_prefix(b" (BC)");
        if let Some(rest) = before_christ {
            self.rest = rest;
        }
        let year = if negative { -year } else { year };
        days_from_civil(if before_christ.is_some() { 1 - year } else { year }, month, day)
    }

    /// `10:17`, `10:17:00`, `10:17:00.123456`, in microseconds. More decimals are cut off.
    fn time(&mut self) -> Option<i64> {
        let hour = i64::from(self.number(9)?);
        self.take(|byte| byte == b':')?;
        let minute = i64::from(self.number(2)?);
        let (mut second, mut fraction) = (0, 0);
        if self.take(|byte| byte == b':').is_some() {
            second = i64::from(self.number(2)?);
            if self.take(|byte| byte == b'.').is_some() {
                let before = self.rest.len();
                fraction = i64::from(self.number(6).unwrap_or(0));
                fraction *= 10i64.pow(6 - (before - self.rest.len()).min(6) as u32);
                while self.take(|byte| byte.is_ascii_digit()).is_some() {}
            }
        }
        let whole_day = hour == 24 && minute == 0 && second == 0 && fraction == 0;
        if (hour > 23 && !whole_day) || minute > 59 || second > 59 {
            return None;
        }
        Some(hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + second * MICROS_PER_SECOND + fraction)
    }

    /// `Z`, ` UTC`, `+02`, `-05:30`: microseconds to take away.
    fn offset(&mut self) -> Option<i64> {
        if self.take(|byte| matches!(byte, b'Z' | b'z')).is_some() {
            return Some(0);
        }
        if let Some((zone, rest)) = self.rest.split_at_checked(4)
            && zone.eq_ignore_ascii_case(b" UTC")
        {
            self.rest = rest;
            return Some(0);
        }
        let Some(sign) = self.take(|byte| matches!(byte, b'+' | b'-')) else { return Some(0) };
        let hours = i64::from(self.number(2)?);
        self.take(|byte| byte == b':');
        let minutes = i64::from(self.number(2).unwrap_or(0));
        if hours > 18 || minutes > 59 {
            return None;
        }
        let size = hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE;
        Some(if sign == b'+' { size } else { -size })
    }
}

/// Reads `2013-01-01 10:17:00.5`, with `T` or a space, perhaps an offset; or a date alone. Microseconds since 1970, UTC.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("epoch") {
        return Some(0);
    }
    let mut cursor = Cursor { rest: text.as_bytes() };
    let days = cursor.date()?;
    let mut micros = days.checked_mul(MICROS_PER_DAY)?;
    if cursor.rest.is_empty() {
        return Some(micros);
    }
    if cursor.take(|byte| matches!(byte, b'T' | b't')).is_none() {
        cursor.take(|byte| byte == b' ')?;
        cursor.spaces();
    }
    micros = micros.checked_add(cursor.time()?)?;
    let offset = cursor.offset()?;
    if cursor.rest.is_empty() { micros.checked_sub(offset) } else { None }
}

/// Reads `2013-01-01` or `2013/01/01`; a time after it is cut off, as DuckDB does. Days since 1970.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut cursor = Cursor { rest: text.trim().as_bytes() };
    let days = cursor.date()?;
    let valid = cursor.rest.is_empty() || parse_timestamp(text).is_some();
    if valid { i32::try_from(days).ok() } else { None }
}

/// As [`parse_date`], and whatever stands behind the date is passed over if no digit does: DuckDB's cast.
pub(crate) fn parse_date_part(text: &str) -> Option<i32> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("epoch") {
        return Some(0);
    }
    let mut cursor = Cursor { rest: text.as_bytes() };
    let days = cursor.date()?;
    if cursor.rest.first().is_some_and(u8::is_ascii_digit) { None } else { i32::try_from(days).ok() }
}

/// `2013-01-01`.
pub fn format_date(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    if year > 0 { format!("{year:04}-{month:02}-{day:02}") } else { format!("{:04}-{month:02}-{day:02} (BC)", 1 - year) }
}

/// `2013-01-01 10:17:00`, with microseconds where there are any (trailing zeros cut).
pub fn format_timestamp(micros: i64) -> String {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let within = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (within / MICROS_PER_SECOND, within % MICROS_PER_SECOND);
    let mut text = format!("{} {:02}:{:02}:{:02}", format_date(days), seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_time_reads_as_itself() {
        for micros in [0, 1, -1, 1_356_998_400_000_000, -62_135_596_800_000_000, 253_402_300_799_999_999] {
            assert_eq!(parse_timestamp(&format_timestamp(micros)), Some(micros));
        }
    }

    #[test]
    fn only_real_dates_and_times_are_read() {
        assert_eq!(parse_timestamp("2013-01-01T10:00:00Z"), Some(1_357_034_400_000_000));
        assert_eq!(parse_timestamp("2013-01-01 10:00:00+02"), Some(1_357_027_200_000_000));
        assert_eq!(parse_timestamp("2013-02-29"), None);
        assert_eq!(parse_timestamp("2013-01-01 25:00"), None);
        assert_eq!(parse_timestamp("2013-01-01 10"), None);
        assert_eq!(parse_timestamp("NaT"), None);
        assert_eq!(parse_date("2013/01/02"), Some(15_707));
        assert_eq!(parse_date("2013-01-02x"), None);
    }
}
