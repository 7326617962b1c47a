//! Fewer points than there are pixels: at most two per pixel column, its least and its greatest value.
//!
//! A line through them covers the same pixels as a line through all, so nothing that could be seen is lost, and the cost of a frame follows the
//! width of the chart, not the length of the stream. (The idea is M4's, Jugel et al., VLDB 2014, without the first and the last value.)

use crate::store::Point;

/// A stretch of line without a gap, left to right.
pub type Segment = Vec<Point>;

/// The points of one pixel column, so far.
#[derive(Clone, Copy)]
struct Column {
    at: i64,
    least: Point,
    greatest: Point,
}

impl Column {
    fn take(&mut self, point: Point) {
        if point.y < self.least.y {
            self.least = point;
        }
        // The last of equals, so that a level stretch keeps both its ends.
        if point.y >= self.greatest.y {
            self.greatest = point;
        }
    }

    fn close(self, segment: &mut Segment) {
        let (first, second) = if self.least.x <= self.greatest.x { (self.least, self.greatest) } else { (self.greatest, self.least) };
        segment.push(first);
        if second.x > first.x {
            segment.push(second);
        }
    }
}

/// Points ascending in x, reduced to the pixel columns between `x0` and `x1`. What lies outside counts as one more column on its side.
///
/// NULL (NaN) breaks the line, unless the gap lies within one pixel column, where it could not be seen.
pub fn reduce(points: impl Iterator<Item = Point>, x0: f64, x1: f64, columns: usize) -> Vec<Segment> {
    let last = columns.max(1) as i64 - 1;
    let per_x = (last + 1) as f64 / (x1 - x0);
    let column_of = |x: f64| match x {
        _ if x < x0 => -1,
        _ if x > x1 => last + 1,
        _ => (((x - x0) * per_x) as i64).min(last),
    };
    let mut segments = Vec::new();
    let mut segment = Segment::new();
    let mut open: Option<Column> = None;
    let mut gap = false;
    for point in points {
        if !point.y.is_finite() {
            gap = true;
            continue;
        }
        let at = column_of(point.x);
        match &mut open {
            Some(column) if column.at == at => column.take(point),
            _ => {
                if let Some(column) = open.replace(Column { at, least: point, greatest: point }) {
                    column.close(&mut segment);
                    if gap {
                        segments.push(std::mem::take(&mut segment));
                    }
                }
            }
        }
        gap = false;
    }
    if let Some(column) = open {
        column.close(&mut segment);
    }
    if !segment.is_empty() {
        segments.push(segment);
    }
    segments
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    const X0: f64 = 0.0;
    const X1: f64 = 100.0;

    fn column(x: f64, columns: usize) -> i64 {
        if x < X0 {
            return -1;
        }
        if x > X1 {
            return columns as i64;
        }
        ((x * (columns as f64 / X1)) as i64).min(columns as i64 - 1)
    }

    /// For each column with values: least, greatest; by looking at every point for every column.
    fn by_brute_force(points: &[Point], columns: usize) -> Vec<(i64, f64, f64)> {
        (-1..=columns as i64)
            .filter_map(|wanted| {
                let ys: Vec<f64> =
                    points.iter().filter(|point| column(point.x, columns) == wanted && point.y.is_finite()).map(|point| point.y).collect();
                let least = ys.iter().copied().reduce(f64::min)?;
                Some((wanted, least, ys.iter().copied().reduce(f64::max)?))
            })
            .collect()
    }

    fn series() -> impl Strategy<Value = Vec<Point>> {
        btree_map(-2000i32..12_000, prop_oneof![9 => (-50i32..50).prop_map(f64::from), 1 => Just(f64::NAN)], 0..400)
            .prop_map(|points| points.into_iter().map(|(x, y)| Point { x: f64::from(x) / 100.0, y }).collect())
    }

    proptest! {
        #[test]
        fn each_pixel_column_keeps_exactly_its_least_and_greatest_value(points in series(), columns in 1usize..300) {
            let reduced = reduce(points.iter().copied(), X0, X1, columns).concat();
            prop_assert_eq!(by_brute_force(&reduced, columns), by_brute_force(&points, columns));
            for wanted in -1..=columns as i64 {
                prop_assert!(reduced.iter().filter(|point| column(point.x, columns) == wanted).count() <= 2);
            }
            prop_assert!(reduced.is_sorted_by(|a, b| a.x < b.x));
            prop_assert!(reduced.iter().all(|point| points.contains(point)));
        }

        #[test]
        fn a_line_breaks_where_a_missing_value_stands_between_two_columns(points in series(), columns in 1usize..300) {
            let segments = reduce(points.iter().copied(), X0, X1, columns);
            // Neighbours among the values that are there, and whether anything is missing between them.
            let mut breaks = 0;
            let mut previous: Option<Point> = None;
            let mut missing = false;
            for point in &points {
                if point.y.is_nan() {
                    missing = true;
                    continue;
                }
                if previous.is_some_and(|previous| missing && column(previous.x, columns) != column(point.x, columns)) {
                    breaks += 1;
                }
                (previous, missing) = (Some(*point), false);
            }
            prop_assert_eq!(segments.len(), if previous.is_some() { breaks + 1 } else { 0 });
        }

        #[test]
        fn few_points_stay_as_they_are(ys in vec(-50i32..50, 1..50)) {
            let points: Vec<Point> = ys.iter().enumerate().map(|(at, y)| Point { x: at as f64 * 2.0, y: f64::from(*y) }).collect();
            prop_assert_eq!(reduce(points.iter().copied(), X0, X1, 1000).concat(), points);
        }
    }

    #[test]
    fn a_level_stretch_keeps_both_its_ends() {
        let points: Vec<Point> = (0..5).map(|at| Point { x: f64::from(at), y: 7.0 }).collect();
        let reduced = reduce(points.into_iter(), X0, X1, 1).concat();
        assert_eq!(reduced.iter().map(|point| point.x).collect::<Vec<_>>(), [0.0, 4.0]);
    }
}
