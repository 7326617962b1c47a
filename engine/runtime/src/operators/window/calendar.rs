//! Windows by the clock and calendar of a time zone: local days through every change of the clock, months, parts of a day.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::shape::Window;

/// What a calendar's windows count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// So many days, counted from 1970-01-01.
    Days(i64),
    /// So many months, counted from January 1970.
    Months(i64),
}

/// Windows that begin at local midnight, or `offset` after it by the local clock.
///
/// A day is as long as it is there: 23 or 25 hours where the clock changes. A midnight that does not exist, since the clock skips it, is as
/// much later as the clock skips; of one that comes twice the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    pub zone: Tz,
    pub period: Period,
    /// In microseconds, less than a period.
    pub offset: i64,
    /// Windows of less than a day follow each other from the day's beginning, in microseconds; the day's last may be shorter.
    pub part: Option<i64>,
}

impl Calendar {
    /// The number of the period that holds a time, `part` aside.
    pub fn number_at(&self, time: i64) -> Option<i64> {
        let local = DateTime::from_timestamp_micros(time)?.with_timezone(&self.zone).naive_local();
        let mut number = self.number_of(local.checked_sub_signed(TimeDelta::microseconds(self.offset))?.date());
        // By the local clock of a day when it changes, a time can stand on the wrong side of the day's beginning.
        while self.start_of(number)? > time {
            number -= 1;
        }
        while self.start_of(number + 1)? <= time {
            number += 1;
        }
        Some(number)
    }

    /// The window of a time; `None` if it begins or ends beyond what a calendar or a TIMESTAMP holds.
    pub fn window_of(&self, time: i64) -> Option<Window> {
        let number = self.number_at(time)?;
        let (start, end) = (self.start_of(number)?, self.start_of(number + 1)?);
        let Some(part) = self.part else { return Some(Window { start, end }) };
        let first = start + (time - start) / part * part;
        Some(Window { start: first, end: end.min(first.checked_add(part)?) })
    }

    fn number_of(&self, date: NaiveDate) -> i64 {
        match self.period {
            Period::Days(days) => date.signed_duration_since(NaiveDate::default()).num_days().div_euclid(days),
            Period::Months(months) => (i64::from(date.year() - 1970) * 12 + i64::from(date.month0())).div_euclid(months),
        }
    }

    /// When a period begins.
    pub fn start_of(&self, number: i64) -> Option<i64> {
        let date = match self.period {
            Period::Days(days) => {
                let days = number.checked_mul(days)?;
                let by = Days::new(days.unsigned_abs());
                if days < 0 { NaiveDate::default().checked_sub_days(by) } else { NaiveDate::default().checked_add_days(by) }?
            }
            Period::Months(months) => {
                let months = number.checked_mul(months)?;
                NaiveDate::from_ymd_opt(i32::try_from(1970 + months.div_euclid(12)).ok()?, months.rem_euclid(12) as u32 + 1, 1)?
            }
        };
        let local = date.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::microseconds(self.offset))?;
        self.instant(local)
    }

    /// When the local clock shows a time.
    fn instant(&self, local: NaiveDateTime) -> Option<i64> {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_micros()),
            LocalResult::None => {
                // The clock of the day before tells how the time would have been called had it not been skipped.
                let before = self.zone.from_local_datetime(&local.checked_sub_days(Days::new(1))?).earliest()?;
                let shown = local.signed_duration_since(before.naive_local());
                before.checked_add_signed(shown).map(|at| at.timestamp_micros())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn window(calendar: Calendar, time: &str) -> (String, String) {
        let found = calendar.window_of(at(time)).unwrap();
        let text = |at: i64| millrace_model::Timestamp(at).to_rfc3339();
        (text(found.start), text(found.end))
    }

    fn days(zone: Tz) -> Calendar {
        Calendar { zone, period: Period::Days(1), offset: 0, part: None }
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn a_day_where_the_clock_changes_has_23_or_25_hours() {
        let calendar = days(Tz::America__New_York);
        assert_eq!(window(calendar, "2013-03-10T12:00:00Z"), pair("2013-03-10T05:00:00Z", "2013-03-11T04:00:00Z"));
        assert_eq!(window(calendar, "2013-11-03T12:00:00Z"), pair("2013-11-03T04:00:00Z", "2013-11-04T05:00:00Z"));
        assert_eq!(window(calendar, "2013-11-04T04:59:59Z"), pair("2013-11-03T04:00:00Z", "2013-11-04T05:00:00Z"));
    }

    #[test]
    fn a_midnight_that_the_clock_skips_is_as_much_later() {
        // São Paulo went from 2013-10-19 23:59:59 to 2013-10-20 01:00.
        let calendar = days(Tz::America__Sao_Paulo);
        assert_eq!(window(calendar, "2013-10-20T12:00:00Z"), pair("2013-10-20T03:00:00Z", "2013-10-21T02:00:00Z"));
        assert_eq!(window(calendar, "2013-10-20T02:59:59Z").1, "2013-10-20T03:00:00Z");
    }

    #[test]
    fn a_day_that_a_place_skipped_has_no_time() {
        // Samoa had no 30 December 2011.
        let calendar = days(Tz::Pacific__Apia);
        assert_eq!(window(calendar, "2011-12-30T09:59:59Z"), pair("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"));
        assert_eq!(window(calendar, "2011-12-30T10:00:00Z"), pair("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"));
    }

    #[test]
    fn months_are_as_long_as_they_are() {
        let calendar = |months, offset| Calendar { zone: Tz::UTC, period: Period::Months(months), offset, part: None };
        assert_eq!(window(calendar(1, 0), "2012-02-29T23:00:00Z"), pair("2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z"));
        assert_eq!(window(calendar(3, 0), "1969-12-31T23:00:00Z"), pair("1969-10-01T00:00:00Z", "1970-01-01T00:00:00Z"));
        assert_eq!(window(calendar(1, 6 * HOUR), "2012-03-01T05:00:00Z"), pair("2012-02-01T06:00:00Z", "2012-03-01T06:00:00Z"));
    }

    #[test]
    fn parts_of_a_day_follow_each_other_from_its_beginning() {
        let calendar = Calendar { part: Some(6 * HOUR), ..days(Tz::Europe__Berlin) };
        assert_eq!(window(calendar, "2013-03-31T21:00:00Z"), pair("2013-03-31T17:00:00Z", "2013-03-31T22:00:00Z"));
        assert_eq!(window(calendar, "2013-10-27T22:30:00Z"), pair("2013-10-27T22:00:00Z", "2013-10-27T23:00:00Z"));
    }

    #[test]
    fn every_time_lies_in_its_window_and_windows_leave_no_gap() {
        for zone in chrono_tz::TZ_VARIANTS.iter().step_by(23).copied() {
            for calendar in
                [days(zone), Calendar { offset: 2 * HOUR + HOUR / 2, ..days(zone) }, Calendar { part: Some(HOUR), ..days(zone) }]
            {
                let mut time = at("1880-01-01T00:00:00Z");
                while time < at("2030-01-01T00:00:00Z") {
                    let window = calendar.window_of(time).unwrap();
                    assert!(window.start <= time && time < window.end, "{zone} {time}");
                    assert_eq!(calendar.window_of(window.end - 1), Some(window), "{zone} {time}");
                    assert_eq!(calendar.window_of(window.end).unwrap().start, window.end, "{zone} {time}");
                    time += 977 * HOUR;
                }
            }
        }
    }

    #[test]
    fn beyond_the_calendar_there_is_no_window() {
        assert_eq!((days(Tz::UTC).window_of(i64::MAX), days(Tz::UTC).window_of(i64::MIN)), (None, None));
    }
}
