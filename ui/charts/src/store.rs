//! What a chart holds: points by series, ordered by x, bounded.
//!
//! Points may come in any order. One with the series and x of an earlier one takes its place (a window's correction is an upsert). Beyond
//! [`Store::capacity`] the points with the smallest x go first, of whichever series, and are counted.

use std::collections::VecDeque;

/// Series of a chart: as many as a frame may name.
pub const MAX_SERIES: usize = millrace_studio_api::chart_frame::MAX_SERIES;
const GAPS_SEEN: usize = 2048;

/// One value of a series. `y` is NaN where the value is NULL: a gap in the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A series of points, ascending in x, each x once.
#[derive(Debug, Clone, Default)]
pub struct Series {
    pub name: String,
    points: VecDeque<Point>,
}

#[derive(Debug, Clone)]
pub struct Store {
    series: Vec<Series>,
    points: usize,
    capacity: usize,
    evicted: u64,
    refused: u64,
}

impl Store {
    /// An empty store for so many points, all series together.
    pub fn new(capacity: usize) -> Store {
        Store { series: Vec::new(), points: 0, capacity, evicted: 0, refused: 0 }
    }

    /// Forgets points and series, and starts counting anew.
    pub fn clear(&mut self) {
        *self = Store::new(self.capacity);
    }

    pub fn series(&self) -> &[Series] {
        &self.series
    }

    pub fn len(&self) -> usize {
        self.points
    }

    pub fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// Points let go because the store is bounded.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Points not taken: their x is no place on an axis (NaN, infinite), or there are too many series or names.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The place of the series with that name, made if it is new; none where there are [`MAX_SERIES`] already.
    pub fn series_index(&mut self, name: &str) -> Option<usize> {
        self.series.iter().position(|series| series.name == name).or_else(|| {
            (self.series.len() < MAX_SERIES).then(|| {
                self.series.push(Series { name: name.to_owned(), points: VecDeque::new() });
                self.series.len() - 1
            })
        })
    }

    /// Counts points that have no place here.
    pub fn refuse(&mut self, points: u64) {
        self.refused += points;
    }

    /// The least and greatest x of all series.
    pub fn x_range(&self) -> Option<(f64, f64)> {
        self.series.iter().filter_map(Series::x_range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The least distance between neighbours of a series: how wide a bar can be. Looks at the newest points only, some thousand of each.
    pub fn least_gap(&self) -> Option<f64> {
        let gaps = self.series.iter().filter_map(|series| {
            let newest = series.points.len().saturating_sub(GAPS_SEEN);
            let later = series.points.range(newest..).skip(1);
            series.points.range(newest..).zip(later).map(|(a, b)| b.x - a.x).reduce(f64::min)
        });
        gaps.reduce(f64::min)
    }

    /// Adds points to a series, in the order in which they came. `points` is left empty.
    pub fn extend(&mut self, series: usize, points: &mut Vec<Point>) {
        let Some(series) = self.series.get_mut(series) else { return points.clear() };
        let came = points.len();
        points.retain(|point| point.x.is_finite());
        self.refused += (came - points.len()) as u64;
        let before = series.points.len();
        series.merge(points);
        self.points = self.points - before + series.points.len();
        self.evict();
    }

    fn evict(&mut self) {
        while self.points > self.capacity {
            let oldest = self.series.iter_mut().filter(|series| !series.points.is_empty()).min_by(|a, b| {
                let first = |series: &Series| series.points.front().map_or(f64::INFINITY, |point| point.x);
                first(a).total_cmp(&first(b))
            });
            if oldest.and_then(|series| series.points.pop_front()).is_none() {
                return;
            }
            self.points -= 1;
            self.evicted += 1;
        }
    }
}

impl Series {
    pub fn points(&self) -> &VecDeque<Point> {
        &self.points
    }

    /// The smallest and the greatest x.
    pub fn x_range(&self) -> Option<(f64, f64)> {
        Some((self.points.front()?.x, self.points.back()?.x))
    }

    /// The points between two x, with one neighbour on either side so that lines run on to the edge.
    pub fn between(&self, x0: f64, x1: f64) -> impl Iterator<Item = Point> + '_ {
        let from = self.points.partition_point(|point| point.x < x0).saturating_sub(1);
        let to = (self.points.partition_point(|point| point.x <= x1) + 1).min(self.points.len());
        self.points.range(from..to.max(from)).copied()
    }

    /// The point whose x is nearest, the earlier of two as near.
    pub fn nearest(&self, x: f64) -> Option<Point> {
        let after = self.points.partition_point(|point| point.x < x);
        let next = self.points.get(after).copied();
        let previous = after.checked_sub(1).and_then(|before| self.points.get(before)).copied();
        match (previous, next) {
            (Some(previous), Some(next)) => Some(if x - previous.x <= next.x - x { previous } else { next }),
            (previous, next) => previous.or(next),
        }
    }

    /// Merges new points in: only what lies behind the first of them is moved, which in a stream is little or nothing.
    fn merge(&mut self, new: &mut Vec<Point>) {
        // Stable, so that of two with one x the later stays the later.
        if !new.is_sorted_by(|a, b| a.x <= b.x) {
            new.sort_by(|a, b| a.x.total_cmp(&b.x));
        }
        let Some(first) = new.first() else { return };
        let kept = self.points.partition_point(|point| point.x < first.x);
        let tail = self.points.split_off(kept);
        let mut tail = tail.into_iter().peekable();
        self.points.reserve(new.len() + tail.len());
        for point in new.drain(..) {
            while let Some(old) = tail.next_if(|old| old.x < point.x) {
                self.points.push_back(old);
            }
            tail.next_if(|old| old.x == point.x);
            match self.points.back_mut() {
                Some(last) if last.x == point.x => *last = point,
                _ => self.points.push_back(point),
            }
        }
        self.points.extend(tail);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The same, as a sorted map of (x, series): slow and plain.
    #[derive(Default)]
    struct Model {
        points: BTreeMap<(i64, usize), f64>,
        evicted: u64,
    }

    impl Model {
        fn extend(&mut self, series: usize, points: &[Point], capacity: usize) {
            for point in points {
                self.points.insert((point.x as i64, series), point.y);
            }
            while self.points.len() > capacity {
                self.points.pop_first();
                self.evicted += 1;
            }
        }

        fn series(&self, series: usize) -> Vec<(f64, f64)> {
            self.points.iter().filter(|((_, of), _)| *of == series).map(|((x, _), y)| (*x as f64, *y)).collect()
        }
    }

    proptest! {
        #[test]
        fn a_store_holds_what_a_sorted_map_holds(
            capacity in 1usize..60,
            frames in vec((0usize..3, vec((-30i64..30, 0i32..100), 0..20)), 0..20),
        ) {
            let (mut store, mut model) = (Store::new(capacity), Model::default());
            for name in ["a", "b", "c"] {
                store.series_index(name);
            }
            for (series, points) in frames {
                let mut points: Vec<Point> = points.iter().map(|(x, y)| Point { x: *x as f64, y: f64::from(*y) }).collect();
                model.extend(series, &points, capacity);
                store.extend(series, &mut points);
                prop_assert!(points.is_empty());
            }
            for series in 0..3 {
                let held: Vec<(f64, f64)> = store.series()[series].points().iter().map(|point| (point.x, point.y)).collect();
                prop_assert_eq!(held, model.series(series));
            }
            prop_assert_eq!((store.len(), store.evicted()), (model.points.len(), model.evicted));
        }

        #[test]
        fn the_nearest_point_is_the_nearest_of_all(xs in vec(-1000i32..1000, 1..50), x in -1100i32..1100) {
            let mut store = Store::new(1000);
            store.series_index("a");
            store.extend(0, &mut xs.iter().map(|x| Point { x: f64::from(*x), y: 0.0 }).collect());
            let nearest = store.series()[0].nearest(f64::from(x)).unwrap().x;
            let least = xs.iter().map(|other| (other - x).abs()).min().unwrap();
            prop_assert_eq!((nearest - f64::from(x)).abs(), f64::from(least));
        }
    }

    #[test]
    fn a_point_without_a_place_on_the_axis_is_refused_and_counted() {
        let mut store = Store::new(10);
        let series = store.series_index("a").unwrap();
        let place = |x| Point { x, y: 1.0 };
        store.extend(series, &mut vec![place(f64::NAN), place(1.0), place(f64::INFINITY), place(f64::NEG_INFINITY)]);
        assert_eq!((store.len(), store.refused()), (1, 3));
    }

    #[test]
    fn bars_are_as_wide_as_the_nearest_neighbours_allow() {
        let mut store = Store::new(100);
        assert_eq!(store.least_gap(), None);
        for (name, xs) in [("a", [0.0, 10.0, 20.0]), ("b", [5.0, 9.0, 30.0])] {
            let series = store.series_index(name).unwrap();
            store.extend(series, &mut xs.map(|x| Point { x, y: 0.0 }).to_vec());
        }
        assert_eq!(store.least_gap(), Some(4.0));
        assert_eq!(store.x_range(), Some((0.0, 30.0)));
    }

    #[test]
    fn points_between_come_with_a_neighbour_on_either_side() {
        let mut store = Store::new(100);
        store.series_index("a");
        store.extend(0, &mut (0..10).map(|x| Point { x: f64::from(x), y: 0.0 }).collect());
        let between = |x0, x1| store.series()[0].between(x0, x1).map(|point| point.x).collect::<Vec<_>>();
        assert_eq!(between(2.5, 4.0), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(between(-9.0, 0.0), [0.0, 1.0]);
        assert_eq!(between(9.5, 20.0), [9.0]);
    }
}
