//! How windows lie on the axis of time: pure arithmetic on microseconds.
//!
//! A *pane* is a span of time whose rows share all their windows (Li et al., "No pane, no gain", 2005): a row touches one pane, and a
//! window is merged from its panes when it fires.

use super::calendar::Calendar;

/// Most panes that a window may be merged from.
pub const MOST_PANES: i64 = 10_000;

/// How windows follow each other; lengths in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Windows of `size`, one beginning every `slide`. Tumbling, if both are the same.
    Hopping { size: i64, slide: i64 },
    /// Windows that begin every `size` and grow by `step` until they are `size` long. `step` divides `size`.
    Cumulating { size: i64, step: i64 },
    /// Tumbling windows of a time zone.
    Calendar(Calendar),
    /// Windows of so many periods of a time zone, one beginning with each.
    CalendarHopping { slide: Calendar, count: i64 },
    /// Windows that begin with each period of a time zone and grow by shorter ones until they are as long. A period ends with a step.
    CalendarCumulating { whole: Calendar, step: Calendar },
}

/// Windows aligned to the epoch plus `offset`; a calendar has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub shape: Shape,
    pub offset: i64,
    pub allowed_lateness: i64,
}

/// A window: the times from `start` to before `end`. Of two windows over one pane the lesser closes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}

/// Times that share all their windows, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
    /// What names the pane of these times: their start, or that of the windows that grow over them.
    pub pane: i64,
}

impl Span {
    /// Holds no time.
    pub const NONE: Span = Span { start: 0, end: 0, pane: 0 };

    #[inline]
    pub fn holds(&self, time: i64) -> bool {
        self.start <= time && time < self.end
    }
}

fn floor_to(value: i128, step: i64) -> i128 {
    value - value.rem_euclid(i128::from(step.max(1)))
}

fn ceil_to(value: i128, step: i64) -> i128 {
    floor_to(value + i128::from(step.max(1)) - 1, step)
}

fn window(start: i128, end: i128) -> Option<Window> {
    Some(Window { start: i64::try_from(start).ok()?, end: i64::try_from(end).ok()? })
}

/// The window of `count` periods from one on; none if that one holds no time, since a place skipped the day.
fn window_from(slide: &Calendar, count: i64, number: i64) -> Option<Window> {
    let window = Window { start: slide.start_of(number)?, end: slide.start_of(number + count)? };
    (window.start < slide.start_of(number + 1)?).then_some(window)
}

/// The period of a time, if all windows over it lie within what a TIMESTAMP holds.
fn hopping_span(slide: &Calendar, count: i64, time: i64) -> Option<Span> {
    let number = slide.number_at(time)?;
    slide.start_of(number - count + 1)?;
    slide.start_of(number + count)?;
    let (start, end) = (slide.start_of(number)?, slide.start_of(number + 1)?);
    Some(Span { start, end, pane: start })
}

/// The greatest common divisor of two lengths above 0.
pub fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Windows {
    /// The span of a time; `None` if one of its windows begins or ends beyond what a TIMESTAMP holds.
    pub fn span_of(&self, time: i64) -> Option<Span> {
        match self.shape {
            Shape::Calendar(calendar) => {
                return calendar.window_of(time).map(|window| Span { start: window.start, end: window.end, pane: window.start });
            }
            Shape::CalendarHopping { slide, count } => return hopping_span(&slide, count, time),
            Shape::CalendarCumulating { whole, step } => {
                let (all, part) = (whole.window_of(time)?, step.window_of(time)?);
                return Some(Span { start: part.start.max(all.start), end: part.end.min(all.end), pane: all.start });
            }
            Shape::Hopping { .. } | Shape::Cumulating { .. } => {}
        }
        let (time, offset) = (i128::from(time), i128::from(self.offset));
        let width = match self.shape {
            Shape::Hopping { size, slide } => gcd(size.max(1), slide.max(1)),
            Shape::Cumulating { step, .. } => step,
            Shape::Calendar(_) | Shape::CalendarHopping { .. } | Shape::CalendarCumulating { .. } => return None,
        };
        let start = floor_to(time - offset, width) + offset;
        let (first, last, pane) = match self.shape {
            Shape::Hopping { size, .. } => (start + i128::from(width - size), start + i128::from(size), start),
            Shape::Cumulating { size, .. } => {
                let base = floor_to(time - offset, size) + offset;
                (base, base + i128::from(size), base)
            }
            Shape::Calendar(_) | Shape::CalendarHopping { .. } | Shape::CalendarCumulating { .. } => return None,
        };
        window(first, last)?;
        Some(Span {
            start: i64::try_from(start).ok()?,
            end: i64::try_from(start + i128::from(width)).ok()?,
            pane: i64::try_from(pane).ok()?,
        })
    }

    /// The first window over a span that is still open at the watermark `after`.
    pub fn first_open(&self, span: Span, after: i64) -> Option<Window> {
        // The least end that closes after it.
        let least_end = i128::from(after) - i128::from(self.allowed_lateness) + 1;
        let offset = i128::from(self.offset);
        match self.shape {
            Shape::Hopping { size, slide } => {
                let least = least_end.max(i128::from(span.end)) - i128::from(size);
                let start = ceil_to(least - offset, slide) + offset;
                if start > i128::from(span.start) { None } else { window(start, start + i128::from(size)) }
            }
            Shape::Cumulating { size, step } => {
                let base = i128::from(span.pane);
                let end = base + ceil_to(least_end.max(i128::from(span.end)) - base, step);
                if end > base + i128::from(size) { None } else { window(base, end) }
            }
            Shape::Calendar(_) => {
                let only = Window { start: span.start, end: span.end };
                (self.close_of(only) > after).then_some(only)
            }
            Shape::CalendarHopping { slide, count } => {
                let number = slide.number_at(span.start)?;
                let mut all = (number - count + 1..=number).filter_map(|number| window_from(&slide, count, number));
                all.find(|window| self.close_of(*window) > after)
            }
            Shape::CalendarCumulating { .. } => {
                let first = Window { start: span.pane, end: span.end };
                std::iter::successors(Some(first), |window| self.next(*window, span.pane)).find(|window| self.close_of(*window) > after)
            }
        }
    }

    /// The window over a pane that closes next after `window`.
    pub fn next(&self, window: Window, pane: i64) -> Option<Window> {
        match self.shape {
            Shape::Hopping { slide, .. } => {
                let start = window.start.checked_add(slide).filter(|start| *start <= pane)?;
                Some(Window { start, end: window.end.checked_add(slide)? })
            }
            Shape::Cumulating { size, step } => {
                let end = window.end.checked_add(step)?;
                (end <= window.start.checked_add(size)?).then_some(Window { start: window.start, end })
            }
            Shape::Calendar(_) => None,
            Shape::CalendarHopping { slide, count } => {
                let (from, to) = (slide.number_at(window.start)? + 1, slide.number_at(pane)?);
                (from..=to).find_map(|number| window_from(&slide, count, number))
            }
            Shape::CalendarCumulating { whole, step } => {
                let all = whole.window_of(window.start)?;
                (window.end < all.end).then_some(Window { start: window.start, end: step.window_of(window.end)?.end.min(all.end) })
            }
        }
    }

    /// How many windows over a pane there are from `window` on.
    pub fn count_from(&self, window: Window, pane: i64) -> u64 {
        let (more, step) = match self.shape {
            Shape::Hopping { slide, .. } => (pane.saturating_sub(window.start), slide),
            Shape::Cumulating { size, step } => (window.start.saturating_add(size).saturating_sub(window.end), step),
            Shape::Calendar(_) => (0, 1),
            Shape::CalendarHopping { slide, .. } => {
                (slide.number_at(pane).zip(slide.number_at(window.start)).map_or(0, |(last, first)| last - first), 1)
            }
            Shape::CalendarCumulating { .. } => {
                (std::iter::successors(self.next(window, pane), |window| self.next(*window, pane)).count() as i64, 1)
            }
        };
        1 + (more.max(0) / step.max(1)).unsigned_abs()
    }

    /// The last window over a pane, where `window` is one of them.
    pub fn last(&self, window: Window, pane: i64) -> Option<Window> {
        match self.shape {
            Shape::Hopping { slide, .. } => {
                let more = i64::try_from(self.count_from(window, pane)).ok()?.checked_sub(1)?;
                let by = more.checked_mul(slide)?;
                Some(Window { start: window.start.checked_add(by)?, end: window.end.checked_add(by)? })
            }
            Shape::Cumulating { size, .. } => Some(Window { start: window.start, end: window.start.checked_add(size)? }),
            Shape::Calendar(_) => Some(window),
            Shape::CalendarHopping { slide, count } => window_from(&slide, count, slide.number_at(pane)?),
            Shape::CalendarCumulating { whole, .. } => Some(Window { start: window.start, end: whole.window_of(window.start)?.end }),
        }
    }

    /// Whether all windows over a pane lie over its fellows in the window that fires, so that they can go on as one.
    pub fn carries_on(&self) -> bool {
        matches!(self.shape, Shape::Cumulating { .. } | Shape::CalendarCumulating { .. })
    }

    /// From this watermark on the window takes no row. At the end of time it closes with the end of input.
    pub fn close_of(&self, window: Window) -> i64 {
        window.end.saturating_add(self.allowed_lateness)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All windows that hold a time, by looking at every one that could.
    fn every_window(windows: &Windows, time: i64) -> Vec<Window> {
        let (size, steps, every) = match windows.shape {
            Shape::Hopping { size, slide } => (size, vec![size], slide),
            Shape::Cumulating { size, step } => (size, (1..=size / step).map(|count| count * step).collect(), size),
            _ => unreachable!("calendars are asked elsewhere"),
        };
        let first = (time - size - windows.offset).div_euclid(every) * every + windows.offset;
        let starts = (0..).map(|number| first + number * every).take_while(|start| *start <= time);
        let all = starts.flat_map(|start| steps.iter().map(move |length| Window { start, end: start + length }));
        all.filter(|window| window.start <= time && time < window.end).collect()
    }

    fn shapes() -> impl Strategy<Value = Windows> {
        let hopping = (1i64..30, 1i64..30).prop_map(|(size, slide)| Shape::Hopping { size, slide });
        let cumulating = (1i64..10, 1i64..10).prop_map(|(steps, step)| Shape::Cumulating { size: steps * step, step });
        (prop_oneof![hopping, cumulating], 0i64..40, 0i64..10).prop_map(|(shape, offset, allowed_lateness)| Windows {
            shape,
            offset,
            allowed_lateness,
        })
    }

    proptest! {
        #[test]
        fn walking_the_windows_of_a_span_finds_those_that_hold_each_of_its_times(
            windows in shapes(), time in -200i64..200, after in -250i64..250,
        ) {
            let span = windows.span_of(time).unwrap();
            prop_assert!(span.holds(time));
            for time in [span.start, time, span.end - 1] {
                let expected: Vec<Window> =
                    every_window(&windows, time).into_iter().filter(|window| windows.close_of(*window) > after).collect();
                let mut found = Vec::new();
                let mut at = windows.first_open(span, after);
                while let Some(window) = at {
                    found.push(window);
                    at = windows.next(window, span.pane);
                }
                prop_assert_eq!(found.first().map_or(0, |first| windows.count_from(*first, span.pane)), found.len() as u64);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn windows_are_aligned_to_the_epoch_and_the_offset() {
        let windows = Windows { shape: Shape::Hopping { size: 10, slide: 10 }, offset: 3, allowed_lateness: 5 };
        let window_of = |time| windows.first_open(windows.span_of(time).unwrap(), i64::MIN);
        assert_eq!(window_of(3), Some(Window { start: 3, end: 13 }));
        assert_eq!(window_of(2), Some(Window { start: -7, end: 3 }));
        assert_eq!(window_of(-8), Some(Window { start: -17, end: -7 }));
    }

    #[test]
    fn a_time_whose_windows_reach_beyond_the_ends_of_time_has_no_span() {
        let windows = Windows { shape: Shape::Hopping { size: 10, slide: 5 }, offset: 0, allowed_lateness: 0 };
        assert_eq!((windows.span_of(i64::MAX), windows.span_of(i64::MIN)), (None, None));
        assert!(windows.span_of(i64::MAX - 20).is_some());
    }
}
