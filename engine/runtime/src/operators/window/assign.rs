//! Assigns rows to panes and tells which are late: a pure function of times, watermarks and the windows' shape.

use std::ops::Range;

use super::shape::{Span, Window, Windows};

/// Where a row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The window in line: the first that has not fired.
    pub next: Window,
    pub slot: Slot,
}

/// The rows of a pane that count for the same windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub pane: i64,
    /// The end of the first window that these rows count for, by their own watermarks.
    pub first_end: i64,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// Its time lies between two windows.
    Between,
    Late,
    /// In time by its own watermark, but its windows have fired: the merged watermark overtook it while its input was idle.
    LateAfterIdle,
    /// A window of it lies beyond the ends of time.
    OutOfRange,
}

/// Consecutive kept rows of one place. `rows` counts kept rows only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub place: Place,
    pub rows: Range<usize>,
}

/// What becomes of each row of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fates {
    /// By row; empty if all rows are kept.
    pub fates: Vec<Fate>,
    pub kept: usize,
}

impl Fates {
    pub fn count(&self, fate: Fate) -> usize {
        self.fates.iter().filter(|other| **other == fate).count()
    }

    #[inline]
    pub fn keep(&mut self) {
        self.kept += 1;
        if !self.fates.is_empty() {
            self.fates.push(Fate::Kept);
        }
    }

    #[cold]
    pub fn refuse(&mut self, row: usize, fate: Fate) {
        if self.fates.is_empty() {
            self.fates.resize(row, Fate::Kept);
        }
        self.fates.push(fate);
    }
}

/// A batch's rows by place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    pub runs: Vec<Run>,
    pub fates: Fates,
}

/// Assigns rows by their `times` and own `watermarks`, where all windows that close at or before `fired` have fired.
///
/// A row counts for those of its windows that close after its own watermark, and is late if there is none.
pub fn assign(windows: &Windows, times: &[i64], watermarks: &[i64], fired: i64) -> Assignment {
    let mut assignment = Assignment::default();
    // Rows of one span mostly follow each other: the divisions are done once for each run of them.
    let mut span = Span::NONE;
    let mut usual: Option<(Place, i64)> = None;
    let mut is_usual = false;
    for (row, (time, watermark)) in times.iter().zip(watermarks).enumerate() {
        if !span.holds(*time) {
            is_usual = false;
            match windows.span_of(*time) {
                Some(found) => {
                    span = found;
                    usual = usual_place(windows, span);
                }
                None => {
                    span = Span::NONE;
                    assignment.fates.refuse(row, Fate::OutOfRange);
                    continue;
                }
            }
        }
        match usual {
            Some((place, close)) if close > *watermark && close > fired => {
                if !is_usual {
                    assignment.begin(place);
                    is_usual = true;
                }
                assignment.fates.keep();
            }
            _ => {
                is_usual = false;
                match late_place(windows, span, *watermark, fired) {
                    Ok(place) => {
                        assignment.begin(place);
                        assignment.fates.keep();
                    }
                    Err(fate) => assignment.fates.refuse(row, fate),
                }
            }
        }
    }
    assignment.end_run();
    assignment
}

/// Where rows go for which no window has closed, and when the first does.
fn usual_place(windows: &Windows, span: Span) -> Option<(Place, i64)> {
    let next = windows.first_open(span, i64::MIN)?;
    Some((Place { next, slot: Slot { pane: span.pane, first_end: next.end } }, windows.close_of(next)))
}

/// Where a row goes for which some windows have closed.
#[cold]
fn late_place(windows: &Windows, span: Span, watermark: i64, fired: i64) -> Result<Place, Fate> {
    let Some(first) = windows.first_open(span, watermark) else {
        return Err(if windows.first_open(span, i64::MIN).is_some() { Fate::Late } else { Fate::Between });
    };
    let next = windows.first_open(span, watermark.max(fired)).ok_or(Fate::LateAfterIdle)?;
    Ok(Place { next, slot: Slot { pane: span.pane, first_end: first.end } })
}

impl Assignment {
    /// Keeps the next row in a place that the caller knows.
    pub fn keep(&mut self, place: Place) {
        self.begin(place);
        self.fates.keep();
    }

    fn begin(&mut self, place: Place) {
        let kept = self.fates.kept;
        if self.runs.last().is_some_and(|last| last.place == place) {
            return;
        }
        self.end_run();
        self.runs.push(Run { place, rows: kept..kept });
    }

    /// Tells the last run how far it goes; all rows are in.
    pub fn end_run(&mut self) {
        if let Some(last) = self.runs.last_mut() {
            last.rows.end = self.fates.kept;
        }
    }

    /// The runs that are left when only the kept rows with `keeps` stay.
    pub fn retain(&mut self, keeps: &[bool]) {
        let mut kept = 0;
        for run in &mut self.runs {
            let first = kept;
            kept += keeps.get(run.rows.clone()).unwrap_or_default().iter().filter(|keep| **keep).count();
            run.rows = first..kept;
        }
        self.runs.retain(|run| !run.rows.is_empty());
        self.fates.kept = kept;
    }

    /// The order of kept rows that brings each place's together, earlier rows first; the runs follow. `None` if the runs are long
    /// enough as they are.
    pub fn gather(&mut self) -> Option<Vec<u32>> {
        if self.runs.len() < 2 || self.runs.len() * 16 <= self.fates.kept {
            return None;
        }
        self.runs.sort_by_key(|run| run.place);
        let order = self.runs.iter().flat_map(|run| run.rows.start as u32..run.rows.end as u32).collect();
        let mut kept = 0;
        self.runs = std::mem::take(&mut self.runs).into_iter().fold(Vec::new(), |mut runs: Vec<Run>, run| {
            let rows = kept..kept + run.rows.len();
            kept = rows.end;
            match runs.last_mut() {
                Some(last) if last.place == run.place => last.rows.end = rows.end,
                _ => runs.push(Run { place: run.place, rows }),
            }
            runs
        });
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::Shape;
    use super::*;

    const TUMBLING: Windows = Windows { shape: Shape::Hopping { size: 10, slide: 10 }, offset: 3, allowed_lateness: 5 };
    const HOPPING: Windows = Windows { shape: Shape::Hopping { size: 10, slide: 4 }, offset: 3, allowed_lateness: 5 };

    #[test]
    fn a_window_beyond_the_ends_of_time_is_out_of_range() {
        let found = assign(&TUMBLING, &[i64::MAX, 5, i64::MIN, 6], &[i64::MIN; 4], i64::MIN);
        assert_eq!(found.fates.fates, [Fate::OutOfRange, Fate::Kept, Fate::OutOfRange, Fate::Kept]);
        assert_eq!(found.runs.len(), 1);
        assert_eq!(found.runs[0].rows, 0..2);
    }

    #[test]
    fn a_row_is_late_exactly_when_its_own_watermark_reached_the_close() {
        // The window of 4 ends at 13 and closes at 18.
        let found = assign(&TUMBLING, &[4, 4, 4], &[17, 18, 19], i64::MIN);
        assert_eq!(found.fates.fates, [Fate::Kept, Fate::Late, Fate::Late]);
        let idle = assign(&TUMBLING, &[4, 4], &[17, 18], 18);
        assert_eq!(idle.fates.fates, [Fate::LateAfterIdle, Fate::Late]);
    }

    #[test]
    fn a_row_counts_for_the_windows_that_its_own_watermark_left_open() {
        // 4 lies in the windows from -5, -1 and 3, which close at 10, 14 and 18.
        let found = assign(&HOPPING, &[4; 5], &[9, 10, 13, 14, 18], i64::MIN);
        assert_eq!(found.fates.fates, [Fate::Kept, Fate::Kept, Fate::Kept, Fate::Kept, Fate::Late]);
        let firsts: Vec<(i64, usize)> = found.runs.iter().map(|run| (run.place.slot.first_end, run.rows.len())).collect();
        assert_eq!(firsts, [(5, 1), (9, 2), (13, 1)]);
    }

    #[test]
    fn a_time_between_two_windows_is_neither_kept_nor_late() {
        let windows = Windows { shape: Shape::Hopping { size: 2, slide: 5 }, offset: 0, allowed_lateness: 0 };
        assert_eq!(assign(&windows, &[1, 2, 4, 5], &[0; 4], 0).fates.fates, [Fate::Kept, Fate::Between, Fate::Between, Fate::Kept]);
    }

    proptest! {
        #[test]
        fn runs_cover_the_kept_rows_and_gathering_moves_none_to_another_place(
            rows in proptest::collection::vec((-50i64..50, -60i64..60), 1..200), is_hopping in any::<bool>(),
        ) {
            let windows = if is_hopping { HOPPING } else { TUMBLING };
            let (times, watermarks): (Vec<i64>, Vec<i64>) = rows.into_iter().unzip();
            let mut found = assign(&windows, &times, &watermarks, i64::MIN);
            let first = |row: usize| windows.first_open(windows.span_of(times[row]).unwrap(), watermarks[row]);
            let kept: Vec<usize> = (0..times.len()).filter(|row| first(*row).is_some()).collect();
            prop_assert_eq!(found.fates.kept, kept.len());
            let order = found.gather().unwrap_or_else(|| (0..kept.len() as u32).collect());
            let mut next = 0;
            for run in &found.runs {
                prop_assert_eq!(run.rows.start, next);
                next = run.rows.end;
                let members = &order[run.rows.clone()];
                prop_assert!(members.is_sorted(), "rows of a place keep their order");
                for row in members {
                    prop_assert_eq!(first(kept[*row as usize]), Some(run.place.next));
                }
            }
            prop_assert_eq!(next, kept.len());
        }
    }
}
