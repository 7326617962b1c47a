//! Functions of times, over microseconds since 1970 in UTC.

use millrace_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MILLI, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_from_days};
use polars::prelude::{ChunkCast, Float64Type, Int32Chunked, Int32Type, Int64Chunked, Int64Type, IntoSeries, PolarsResult, Series};

use super::{Checked, unary};
use crate::ir::{Interval, TimePart};
use crate::time_text::{days_from_civil, days_in_month};

/// The time so many units after 1970.
pub(crate) fn from_epoch(counts: &Int64Chunked, micros_per_unit: i64) -> Checked<Int64Chunked> {
    unary::<Int64Type, Int64Type>(counts, |count| {
        count.checked_mul(micros_per_unit).filter(|micros| is_finite(*micros)).map_or((0, true), |micros| (micros, false))
    })
}

/// The ends of the range are DuckDB's infinities.
fn is_finite(micros: i64) -> bool {
    micros.unsigned_abs() < i64::MAX as u64
}

/// Dates moved by days.
pub(crate) fn add_days(dates: &Int32Chunked, days: &Int64Chunked) -> PolarsResult<Checked<Int32Chunked>> {
    // The ends of the range are DuckDB's infinities.
    const INFINITE: i64 = i32::MAX as i64;
    let dates = dates.cast(&polars::prelude::DataType::Int64)?;
    Ok(super::binary::<Int64Type, Int32Type>(dates.i64()?, days, |date, days| {
        let moved = date.checked_add(days).filter(|moved| moved.abs() != INFINITE).and_then(|moved| i32::try_from(moved).ok());
        moved.map_or((0, true), |moved| (moved, false))
    }))
}

/// Months move by the calendar (the 31st becomes the last day of a shorter month), the rest by the clock.
pub(crate) fn add_interval(times: &Int64Chunked, interval: Interval) -> PolarsResult<Checked<Int64Chunked>> {
    Ok(unary::<Int64Type, Int64Type>(times, |micros| {
        let moved = if interval.months == 0 { Some(micros) } else { add_months(micros, interval.months) };
        moved
            .and_then(|moved| moved.checked_add(interval.micros))
            .filter(|moved| is_finite(*moved))
            .map_or((0, true), |moved| (moved, false))
    }))
}

fn add_months(micros: i64, months: i32) -> Option<i64> {
    let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
    let count = year.checked_mul(12)?.checked_add(i64::from(month) - 1)?.checked_add(i64::from(months))?;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) as u32 + 1);
    let days = days_from_civil(year, month, day.min(days_in_month(year, month)))?;
    days.checked_mul(MICROS_PER_DAY)?.checked_add(micros.rem_euclid(MICROS_PER_DAY))
}

/// The beginning of the part that a time lies in.
pub(crate) fn trunc(times: &Int64Chunked, part: TimePart) -> Checked<Int64Chunked> {
    match fixed_length(part) {
        Some(length) => unary::<Int64Type, Int64Type>(times, |micros| {
            micros.checked_sub(micros.rem_euclid(length)).map_or((0, true), |start| (start, false))
        }),
        None => unary::<Int64Type, Int64Type>(times, |micros| calendar_start(micros, part).map_or((0, true), |start| (start, false))),
    }
}

/// Microseconds of a part that is always as long.
fn fixed_length(part: TimePart) -> Option<i64> {
    match part {
        TimePart::Microsecond | TimePart::EpochUs => Some(1),
        TimePart::Millisecond | TimePart::EpochMs => Some(MICROS_PER_MILLI),
        TimePart::Second | TimePart::Epoch => Some(MICROS_PER_SECOND),
        TimePart::Minute => Some(MICROS_PER_MINUTE),
        TimePart::Hour => Some(MICROS_PER_HOUR),
        TimePart::Day | TimePart::DayOfWeek | TimePart::IsoDayOfWeek | TimePart::DayOfYear => Some(MICROS_PER_DAY),
        _ => None,
    }
}

fn calendar_start(micros: i64, part: TimePart) -> Option<i64> {
    let days = micros.div_euclid(MICROS_PER_DAY);
    if part == TimePart::Week {
        return (days - weekday_from_monday(days)).checked_mul(MICROS_PER_DAY);
    }
    let (year, month, _) = civil_from_days(days);
    let (year, month) = match part {
        TimePart::Month => (year, month),
        TimePart::Quarter => (year, (month - 1) / 3 * 3 + 1),
        // Towards the year 0, on both sides of it.
        TimePart::Decade => (year / 10 * 10, 1),
        TimePart::Century => (year / 100 * 100, 1),
        TimePart::Millennium => (year / 1000 * 1000, 1),
        _ => (year, 1),
    };
    days_from_civil(year, month, 1)?.checked_mul(MICROS_PER_DAY)
}

/// Monday 0, Sunday 6. 1970-01-01 was a Thursday.
fn weekday_from_monday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// A part of each time, as a number.
pub(crate) fn part(times: &Int64Chunked, part: TimePart) -> PolarsResult<Series> {
    if part == TimePart::Epoch {
        let (seconds, _) = unary::<Int64Type, Float64Type>(times, |micros| (micros as f64 / MICROS_PER_SECOND as f64, false));
        return Ok(seconds.into_series());
    }
    Ok(unary::<Int64Type, Int64Type>(times, |micros| (part_of(micros, part), false)).0.into_series())
}

fn part_of(micros: i64, part: TimePart) -> i64 {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let within = micros.rem_euclid(MICROS_PER_DAY);
    let century = |year: i64, length: i64| if year > 0 { (year - 1) / length + 1 } else { year / length - 1 };
    match part {
        TimePart::Microsecond => within % MICROS_PER_MINUTE,
        TimePart::Millisecond => within % MICROS_PER_MINUTE / MICROS_PER_MILLI,
        TimePart::Second => within / MICROS_PER_SECOND % 60,
        TimePart::Minute => within / MICROS_PER_MINUTE % 60,
        TimePart::Hour => within / MICROS_PER_HOUR,
        TimePart::Day => i64::from(civil_from_days(days).2),
        TimePart::DayOfWeek => (days + 4).rem_euclid(7),
        TimePart::IsoDayOfWeek => weekday_from_monday(days) + 1,
        TimePart::DayOfYear => day_of_year(days),
        TimePart::Week => iso_week(days),
        TimePart::Month => i64::from(civil_from_days(days).1),
        TimePart::Quarter => (i64::from(civil_from_days(days).1) - 1) / 3 + 1,
        TimePart::Year => civil_from_days(days).0,
        TimePart::Decade => civil_from_days(days).0 / 10,
        TimePart::Century => century(civil_from_days(days).0, 100),
        TimePart::Millennium => century(civil_from_days(days).0, 1000),
        TimePart::Epoch => micros.div_euclid(MICROS_PER_SECOND),
        TimePart::EpochMs => micros / MICROS_PER_MILLI,
        TimePart::EpochUs => micros,
    }
}

fn day_of_year(days: i64) -> i64 {
    let (year, _, _) = civil_from_days(days);
    days - days_from_civil(year, 1, 1).unwrap_or(days) + 1
}

/// The week of the year that its Thursday lies in.
fn iso_week(days: i64) -> i64 {
    let thursday = days - weekday_from_monday(days) + 3;
    (day_of_year(thursday) - 1) / 7 + 1
}
