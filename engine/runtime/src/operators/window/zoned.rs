//! Windows of a time zone's clock and calendar: which lengths fit each other there.

use chrono_tz::Tz;
use millrace_model::Diagnostics;
use millrace_model::field::{Duration, TimeZoneName, WindowSize};
use millrace_model::time::MICROS_PER_DAY;
use millrace_plan::{BindInput, codes};

use super::bind::positive;
use super::calendar::{Calendar, Period};
use super::shape::{MOST_PANES, Shape, gcd};

/// No month is shorter.
pub const LEAST_MONTH: i64 = 28 * MICROS_PER_DAY;

/// Reads a node's `time_zone`, UTC if there is none, and tells if it is none that is known.
pub fn zone_of(input: &BindInput<'_>, name: Option<&TimeZoneName>, found: &mut Diagnostics) -> Tz {
    let Some(name) = name else { return Tz::UTC };
    name.0.trim().parse().unwrap_or_else(|_| {
        let finding = input.error(codes::UNKNOWN_ZONE, "time_zone", format!("`{}` is not a time zone", name.0));
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        found.push(finding.expected("a name such as `America/New_York`").nearest_of(&name.0, names));
        Tz::UTC
    })
}

/// Months of a window that are above 0; none are told, and 1.
pub fn some_months(input: &BindInput<'_>, field: &str, months: u32, found: &mut Diagnostics) -> i64 {
    if months == 0 {
        found.push(input.error(codes::WINDOW_SIZE, field, "a window has a length").expected("1mo or more").found("0mo"));
    }
    i64::from(months.max(1))
}

/// An offset within a month, told if not every month has that day.
pub fn within_month(input: &BindInput<'_>, offset: i64, found: &mut Diagnostics) -> i64 {
    if offset >= LEAST_MONTH {
        found.push(input.error(codes::WINDOW_ZONE, "offset", "a month does not always have that day").expected("less than 28d"));
    }
    offset % LEAST_MONTH
}

/// A window's lengths on the clock of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    pub size: WindowSize,
    /// Of the part that it moves or grows by.
    pub part: WindowSize,
    pub zone: Tz,
    pub offset: i64,
}

/// Overlapping windows, with the offset that their shape wants.
pub fn hopping(input: &BindInput<'_>, lengths: Lengths, found: &mut Diagnostics) -> (Shape, i64) {
    let Lengths { size, part: slide, zone, offset } = lengths;
    let (period, count) = match (size, slide) {
        (WindowSize::Fixed(size), WindowSize::Fixed(slide)) => {
            let (size, slide) = (positive(input, "size", size, found), positive(input, "slide", slide, found));
            if zone == Tz::UTC {
                return (Shape::Hopping { size, slide }, offset.rem_euclid(slide));
            }
            if slide % MICROS_PER_DAY != 0 {
                let message =
                    format!("windows that begin every {} are not the same on each day of {}", Duration::from_micros(slide), zone.name());
                let finding = input.error(codes::WINDOW_ZONE, "slide", message).expected("whole days or months");
                found.push(
                    finding.help("parts of a day have no place of their own where the clock changes; without `time_zone` any slide goes"),
                );
            }
            let days = (slide / MICROS_PER_DAY).max(1);
            (Period::Days(days), whole_parts(input, size, days * MICROS_PER_DAY, lengths, found))
        }
        (WindowSize::Months(size), WindowSize::Months(slide)) => {
            let (size, slide) = (some_months(input, "size", size, found), some_months(input, "slide", slide, found));
            (Period::Months(slide), whole_parts(input, size, slide, lengths, found))
        }
        _ => {
            let message = format!("{size} is not a number of slides of {slide}: months are not alike");
            found.push(input.error(codes::WINDOW_ZONE, "slide", message).expected("both in months, or both in days"));
            (Period::Days(1), 1)
        }
    };
    let offset = match period {
        Period::Days(days) => offset.rem_euclid(days * MICROS_PER_DAY),
        Period::Months(_) => within_month(input, offset, found),
    };
    (Shape::CalendarHopping { slide: Calendar { zone, period, offset, part: None }, count }, 0)
}

/// How many slides a window of the calendar has.
fn whole_parts(input: &BindInput<'_>, size: i64, slide: i64, lengths: Lengths, found: &mut Diagnostics) -> i64 {
    if size % slide != 0 {
        let message = format!("windows of {} do not end with a slide of {}", lengths.size, lengths.part);
        found.push(input.error(codes::WINDOW_ZONE, "size", message).expected("a whole number of slides"));
    }
    (size / slide).clamp(1, MOST_PANES)
}

/// Tells if windows would be merged from too many panes.
pub fn check_panes(input: &BindInput<'_>, size: i64, slide: i64, found: &mut Diagnostics) {
    let pane = gcd(size, slide);
    if size / pane > MOST_PANES {
        let message = format!("each window would be merged from {} panes of {}", size / pane, Duration::from_micros(pane));
        let finding = input.error(codes::WINDOW_PANES, "slide", message).expected(format!("at most {MOST_PANES} panes a window"));
        found.push(finding.help("a longer `slide`, or one that divides `size`, makes longer panes"));
    }
}

/// Growing windows, with the offset that their shape wants.
pub fn cumulating(input: &BindInput<'_>, lengths: Lengths, found: &mut Diagnostics) -> (Shape, i64) {
    let Lengths { size, part: step, zone, offset } = lengths;
    if let (WindowSize::Fixed(size), WindowSize::Fixed(step), Tz::UTC) = (size, step, zone) {
        let (whole, part) = (positive(input, "size", size, found), positive(input, "step", step, found));
        if whole % part != 0 {
            refuse_step(input, lengths, found);
        }
        return (Shape::Cumulating { size: whole, step: part }, offset.rem_euclid(whole));
    }
    let whole = period(input, "size", lengths.size, lengths, found);
    let part = period(input, "step", lengths.part, lengths, found);
    let fits = match (whole.part.ok_or(whole.period), part.part.ok_or(part.period)) {
        (_, Err(Period::Months(step))) => matches!(whole, Calendar { period: Period::Months(size), part: None, .. } if size % step == 0),
        (Ok(size), Ok(step)) => size % step == 0,
        (Err(_), Ok(_)) => true,
        (Err(Period::Days(size)), Err(Period::Days(step))) => size % step == 0,
        (Err(Period::Months(_)), Err(Period::Days(step))) => step == 1,
        (Ok(_), Err(Period::Days(_))) => false,
    };
    if !fits {
        refuse_step(input, lengths, found);
    }
    // Steps begin where the whole does, by the clock of the day.
    let offset = match (whole.part, part.part, part.period) {
        (Some(_), ..) => whole.offset,
        (None, None, Period::Months(_)) => whole.offset,
        (None, Some(_), _) => whole.offset % MICROS_PER_DAY,
        (None, None, Period::Days(days)) => whole.offset % (days * MICROS_PER_DAY),
    };
    (Shape::CalendarCumulating { whole, step: Calendar { offset, ..part } }, 0)
}

fn refuse_step(input: &BindInput<'_>, lengths: Lengths, found: &mut Diagnostics) {
    let message = format!("windows that grow by {} do not end at {}", lengths.part, lengths.size);
    let finding = input.error(codes::WINDOW_STEP, "step", message).expected(format!("a part of {}", lengths.size));
    found.push(finding.found(lengths.part.to_string()));
}

/// A length as a period of the calendar, from `offset` on: whole days, months, or a part of each day.
fn period(input: &BindInput<'_>, field: &str, length: WindowSize, lengths: Lengths, found: &mut Diagnostics) -> Calendar {
    let Lengths { zone, offset, .. } = lengths;
    match length {
        WindowSize::Fixed(length) => days_of(input, field, length, zone, offset, found),
        WindowSize::Months(months) => {
            let period = Period::Months(some_months(input, field, months, found));
            Calendar { zone, period, offset: within_month(input, offset, found), part: None }
        }
    }
}

/// Windows of whole local days, or of equal parts of one.
pub fn days_of(input: &BindInput<'_>, field: &str, size: Duration, zone: Tz, offset: i64, found: &mut Diagnostics) -> Calendar {
    let micros = positive(input, field, size, found);
    if micros % MICROS_PER_DAY == 0 {
        return Calendar { zone, period: Period::Days(micros / MICROS_PER_DAY), offset: offset.rem_euclid(micros), part: None };
    }
    if MICROS_PER_DAY % micros != 0 && size.micros > 0 {
        let finding = input.error(codes::WINDOW_ZONE, field, format!("windows of {size} do not begin with the days of {}", zone.name()));
        found.push(finding.expected("a part of a day, whole days or months").help("without `time_zone` windows may have any length"));
    }
    Calendar { zone, period: Period::Days(1), offset: offset.rem_euclid(micros), part: Some(micros) }
}
