//! Where ticks stand and what is written at them: numbers, times (UTC), names.

/// A tick: where, and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub label: String,
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `rough`.
pub fn nice_step(rough: f64) -> f64 {
    if !(rough.is_finite() && rough > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// From one whole step to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NiceRange {
    pub from: f64,
    pub to: f64,
    pub step: f64,
}

impl NiceRange {
    pub fn ticks(&self) -> Vec<Tick> {
        ticks_every(self.step, self.from, self.to)
    }

    pub fn height(&self) -> f64 {
        self.to - self.from
    }
}

/// A range of whole steps around the values, of about so many steps. Zero is in it where it is near.
pub fn nice_range(least: f64, greatest: f64, steps: usize) -> NiceRange {
    let near_zero = |near: f64, far: f64| near > 0.0 && near <= 0.6 * far;
    let least = if near_zero(least, greatest) { 0.0 } else { least };
    let greatest = if near_zero(-greatest, -least) { 0.0 } else { greatest };
    let (least, greatest) = if greatest > least {
        (least, greatest)
    } else {
        let room = (least.abs() * 0.1).max(0.5);
        (least - room, greatest + room)
    };
    // A step or two more where that wastes less of the height.
    let steps = steps.max(1);
    let range = |steps: usize| {
        let step = nice_step((greatest - least) / steps as f64);
        NiceRange { from: (least / step + 1e-9).floor() * step, to: (greatest / step - 1e-9).ceil() * step, step }
    };
    (steps + 1..=steps + 2).map(range).fold(range(steps), |best, other| if other.height() < best.height() * 0.999 { other } else { best })
}

/// Ticks of an axis of numbers, at most about `count`.
pub fn number_ticks(from: f64, to: f64, count: usize) -> Vec<Tick> {
    ticks_every(nice_step((to - from) / count.max(1) as f64), from, to)
}

/// No more than this, whatever range and step are.
const MOST_TICKS: usize = 50;

fn ticks_every(step: f64, from: f64, to: f64) -> Vec<Tick> {
    let first = (from / step - 1e-9).ceil();
    let mut ticks = Vec::new();
    for index in 0..MOST_TICKS {
        let at = (first + index as f64) * step;
        if at > to + step * 1e-9 {
            break;
        }
        // Not -0, and not 0.30000000000000004.
        let at = if at.abs() < step * 1e-9 { 0.0 } else { at };
        ticks.push(Tick { at, label: number(at, step) });
    }
    ticks
}

/// A number as short as its step allows: `1.25`, `12k`, `3.5M`; a true minus sign.
pub fn number(value: f64, step: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    if value == 0.0 {
        return "0".into();
    }
    let (unit, suffix) = match value.abs().max(step) {
        size if size >= 1e15 || (size > 0.0 && size < 1e-6) => return format!("{value:.2e}").replace('-', "\u{2212}"),
        size if size >= 1e12 => (1e12, "T"),
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / unit).log10() + 1e-9).ceil().clamp(0.0, 9.0) as usize;
    let mut text = format!("{:.decimals$}", value / unit);
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    let text = text.strip_prefix('-').map_or(text.clone(), |digits| if digits == "0" { "0".into() } else { format!("\u{2212}{digits}") });
    format!("{text}{suffix}")
}

/// A value as it stands beside a series: four significant digits, or all of an integer.
pub fn value(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return number_in_groups(value);
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    text.replace('-', "\u{2212}")
}

fn number_in_groups(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("\u{2212}{text}") } else { text }
}

// ---- time ------------------------------------------------------------------------------------------------------------------

const SECOND: f64 = 1e3;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
/// 0000-01-01 and 9999-12-31 in milliseconds since 1970: beyond them no calendar.
const CALENDAR: (f64, f64) = (-62_167_219_200_000.0, 253_402_300_799_999.0);

/// Steps shorter than a month, in milliseconds.
const STEPS: [f64; 30] = [
    0.001,
    0.01,
    0.1,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    500.0,
    SECOND,
    2.0 * SECOND,
    5.0 * SECOND,
    10.0 * SECOND,
    15.0 * SECOND,
    30.0 * SECOND,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
];
const MONTH_STEPS: [i64; 11] = [1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000];

/// A moment on the calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Microseconds since midnight.
    of_day: i64,
}

/// Milliseconds since 1970 on the calendar (the algorithm is Howard Hinnant's, "chrono-compatible low-level date algorithms").
fn moment(ms: f64) -> Moment {
    let us = (ms.clamp(CALENDAR.0, CALENDAR.1) * 1e3).round() as i64;
    let days = us.div_euclid(86_400_000_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Moment {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        of_day: us.rem_euclid(86_400_000_000),
    }
}

/// The first of a month, counted from January of year 0, in milliseconds since 1970.
fn first_of_month(months: i64) -> f64 {
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) as f64 * DAY
}

impl Moment {
    fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn clock(self, step: f64) -> String {
        let seconds = self.of_day / 1_000_000;
        let (hour, minute, second, us) = (seconds / 3600, seconds / 60 % 60, seconds % 60, self.of_day % 1_000_000);
        match step {
            _ if step >= MINUTE => format!("{hour:02}:{minute:02}"),
            _ if step >= SECOND => format!("{hour:02}:{minute:02}:{second:02}"),
            _ if step >= 1.0 => format!("{minute:02}:{second:02}.{:03}", us / 1000),
            _ => format!("{second:02}.{us:06}"),
        }
    }
}

/// A moment in full, as short as it is exact: `2013-03-14 09:42`.
pub fn time(ms: f64) -> String {
    let at = moment(ms);
    let step = match at.of_day {
        us if us % 1000 != 0 => return format!("{} {}", at.date(), with_fraction(at, 6)),
        us if us % 1_000_000 != 0 => return format!("{} {}", at.date(), with_fraction(at, 3)),
        us if us % 60_000_000 != 0 => SECOND,
        _ => MINUTE,
    };
    format!("{} {}", at.date(), at.clock(step))
}

fn with_fraction(at: Moment, digits: usize) -> String {
    let fraction = format!("{:06}", at.of_day % 1_000_000);
    format!("{}.{}", at.clock(SECOND), fraction.get(..digits).unwrap_or_default())
}

/// Ticks of a time axis, at most `count`. Midnights are written as dates, the first of January as the year.
pub fn time_ticks(from: f64, to: f64, count: usize) -> Vec<Tick> {
    let (from, to) = (from.clamp(CALENDAR.0, CALENDAR.1), to.clamp(CALENDAR.0, CALENDAR.1));
    let rough = (to - from) / count.max(1) as f64;
    let Some(step) = STEPS.into_iter().find(|step| *step >= rough) else { return month_ticks(from, to, rough) };
    let first = (from / step).ceil();
    let mut ticks: Vec<Tick> = (0..=count + 1)
        .map(|index| (first + index as f64) * step)
        .take_while(|at| *at <= to)
        .map(|at| Tick { at, label: time_label(moment(at), step) })
        .collect();
    // With no midnight in view, the first tick says which day it is.
    if step < DAY
        && !ticks.iter().any(|tick| moment(tick.at).of_day == 0)
        && let Some(tick) = ticks.first_mut()
    {
        let at = moment(tick.at);
        tick.label = format!("{:02}-{:02} {}", at.month, at.day, tick.label);
    }
    ticks
}

fn time_label(at: Moment, step: f64) -> String {
    match at {
        Moment { of_day: 0, month: 1, day: 1, year } => year.to_string(),
        Moment { of_day: 0, month, day, .. } => format!("{month:02}-{day:02}"),
        _ => at.clock(step),
    }
}

fn month_ticks(from: f64, to: f64, rough: f64) -> Vec<Tick> {
    // Steps of days that do not divide a month would drift against it: after two days comes the week's half, then the month.
    let days = [5.0, 10.0].into_iter().find(|days| days * DAY >= rough);
    let months = MONTH_STEPS.into_iter().find(|months| *months as f64 * 30.0 * DAY >= rough).unwrap_or(12_000);
    let start = moment(from);
    let month_of = |at: Moment| at.year * 12 + at.month - 1;
    let step = if days.is_some() { 1 } else { months };
    let mut ticks = Vec::new();
    let mut month = month_of(start).div_euclid(step) * step;
    while ticks.len() < 400 && first_of_month(month) <= to {
        let first = first_of_month(month);
        let offsets: &[f64] = match days {
            Some(5.0) => &[0.0, 5.0, 10.0, 15.0, 20.0, 25.0],
            Some(_) => &[0.0, 10.0, 20.0],
            None => &[0.0],
        };
        for at in offsets.iter().map(|days| first + days * DAY).filter(|at| (from..=to).contains(at)) {
            let on = moment(at);
            let label = match (days, on) {
                (_, Moment { month: 1, day: 1, year, .. }) => year.to_string(),
                (Some(_), Moment { month, day, .. }) => format!("{month:02}-{day:02}"),
                (None, Moment { year, month, .. }) => format!("{year}-{month:02}"),
            };
            ticks.push(Tick { at, label });
        }
        month += step;
    }
    ticks
}

/// Ticks of an axis of names: each, or every so many where there is no room.
pub fn category_ticks(from: f64, to: f64, names: &[String], count: usize) -> Vec<Tick> {
    let every = (((to - from) / count.max(1) as f64).ceil() as usize).max(1);
    let in_view = |index: &usize| (from..=to).contains(&(*index as f64));
    (0..names.len())
        .step_by(every)
        .filter(in_view)
        .filter_map(|index| Some(Tick { at: index as f64, label: shortened(names.get(index)?, 14) }))
        .collect()
}

/// At most so many characters, the last an ellipsis where something is left out.
pub fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2013-03-14 00:00 UTC.
    const PI_DAY: f64 = 1_363_219_200_000.0;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn range(least: f64, greatest: f64) -> (f64, f64) {
        let range = nice_range(least, greatest, 4);
        (range.from, range.to)
    }

    #[test]
    fn a_range_of_delays_starts_at_zero_and_ends_at_a_whole_step() {
        assert_eq!(range(2.0, 28.4), (0.0, 30.0));
        assert_eq!(labels(&number_ticks(0.0, 40.0, 4)), ["0", "10", "20", "30", "40"]);
        assert_eq!(range(-3.0, 28.4), (-10.0, 30.0));
        assert_eq!(range(95.2, 99.1), (95.0, 100.0));
        assert_eq!(range(-5.0, 78.0), (-20.0, 80.0));
    }

    #[test]
    fn one_value_alone_gets_a_range_around_it() {
        let (from, to) = range(5.0, 5.0);
        assert!(from < 5.0 && 5.0 < to);
        let (from, to) = range(0.0, 0.0);
        assert!(from < 0.0 && 0.0 < to);
    }

    #[test]
    fn numbers_are_as_short_as_their_step_allows() {
        assert_eq!(number(0.30000000000000004, 0.1), "0.3");
        assert_eq!(number(-1500.0, 500.0), "\u{2212}1500");
        assert_eq!(number(12_500.0, 500.0), "12.5k");
        assert_eq!(number(3e9, 1e9), "3G");
        assert_eq!(number(-0.0, 1.0), "0");
    }

    #[test]
    fn values_are_written_in_full_where_they_are_whole() {
        assert_eq!(value(336_776.0), "336,776");
        assert_eq!(value(-4.0), "\u{2212}4");
        assert_eq!(value(14.23456), "14.23");
        assert_eq!(value(0.001_234_56), "0.001235");
    }

    #[test]
    fn days_are_written_as_dates_and_hours_as_clock_times() {
        let week = time_ticks(PI_DAY - 6.0 * DAY, PI_DAY + 0.2 * DAY, 8);
        assert_eq!(labels(&week), ["03-08", "03-09", "03-10", "03-11", "03-12", "03-13", "03-14"]);
        let night = time_ticks(PI_DAY - 6.0 * HOUR, PI_DAY + 6.0 * HOUR, 4);
        assert_eq!(labels(&night), ["18:00", "21:00", "03-14", "03:00", "06:00"]);
        let morning = time_ticks(PI_DAY + 9.0 * HOUR, PI_DAY + 9.0 * HOUR + 2.0 * MINUTE, 4);
        assert_eq!(labels(&morning), ["03-14 09:00:00", "09:00:30", "09:01:00", "09:01:30", "09:02:00"]);
    }

    #[test]
    fn a_year_is_cut_into_months() {
        let year = time_ticks(PI_DAY - 72.0 * DAY, PI_DAY + 290.0 * DAY, 6);
        assert_eq!(labels(&year), ["2013", "2013-04", "2013-07", "2013-10"]);
        let month = time_ticks(PI_DAY, PI_DAY + 40.0 * DAY, 6);
        assert_eq!(labels(&month), ["03-21", "04-01", "04-11", "04-21"]);
    }

    #[test]
    fn moments_are_written_as_short_as_they_are_exact() {
        assert_eq!(time(PI_DAY + 9.7 * HOUR), "2013-03-14 09:42");
        assert_eq!(time(PI_DAY + 1.5 * SECOND), "2013-03-14 00:00:01.500");
        assert_eq!(time(-1.0), "1969-12-31 23:59:59.999");
        assert_eq!(time(951_782_400_000.0), "2000-02-29 00:00");
    }

    #[test]
    fn names_are_thinned_where_there_is_no_room() {
        let names: Vec<String> = (0..10).map(|index| format!("airport number {index}")).collect();
        let ticks = category_ticks(-0.5, 9.5, &names, 5);
        assert_eq!(ticks.iter().map(|tick| tick.at).collect::<Vec<_>>(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert!(ticks.iter().all(|tick| tick.label.chars().count() <= 14));
    }

    proptest! {
        #[test]
        fn any_axis_gets_a_bounded_number_of_ticks_in_view(from in any::<f64>(), width in any::<f64>(), count in 1usize..12) {
            let to = from + width.abs();
            let names = vec![String::from("x"); 5];
            for ticks in [number_ticks(from, to, count), time_ticks(from, to, count), category_ticks(from, to, &names, count)] {
                prop_assert!(ticks.len() <= 400);
            }
            prop_assert!(!time(from).is_empty());
        }

        #[test]
        fn a_month_begins_on_its_first(months in 0i64..119_000) {
            let at = moment(first_of_month(months));
            prop_assert_eq!((at.year * 12 + at.month - 1, at.day, at.of_day), (months, 1, 0));
        }

        #[test]
        fn a_nice_range_holds_the_values(least in -1e6f64..1e6, height in 0f64..1e6, steps in 1usize..8) {
            let range = nice_range(least, least + height, steps);
            let slack = range.height() * 1e-6;
            prop_assert!(range.from <= least + slack && least + height <= range.to + slack);
            prop_assert!((2..=12).contains(&range.ticks().len()));
        }
    }
}
