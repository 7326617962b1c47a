//! Which stretch of x a chart shows, and how it moves with the data and the hand.

/// Room after the newest point, as a share of what is shown, so that the newest does not stick to the edge.
const ROOM_AFTER: f64 = 0.012;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// What the hand chose; none shows all there is (or the newest `span`).
    window: Option<(f64, f64)>,
    follow: bool,
}

impl Default for View {
    fn default() -> View {
        View { window: None, follow: true }
    }
}

/// What the view is shown on: the data's extent and the axis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// The least and greatest x.
    pub data: Option<(f64, f64)>,
    /// How much the chart shows while nothing else is chosen; all, if none.
    pub span: Option<f64>,
    /// The least that can be zoomed to.
    pub least: f64,
    /// What is shown around a point that is alone on the axis.
    pub alone: f64,
    /// Room that bars take before and after their x.
    pub bar: (f64, f64),
}

impl View {
    pub fn is_zoomed(&self) -> bool {
        self.window.is_some()
    }

    pub fn follows(&self) -> bool {
        self.follow
    }

    /// The least and greatest x on the screen; always a proper range.
    pub fn bounds(&self, extent: &Extent) -> (f64, f64) {
        let Some((first, newest)) = extent.data else { return self.window.unwrap_or((0.0, 1.0)) };
        match self.window {
            Some((from, to)) if !self.follow => (from, to),
            Some((from, to)) => ending_at(newest + extent.bar.1, to - from),
            None => match extent.span {
                Some(span) if newest - first > span => ending_at(newest + extent.bar.1, span),
                _ => {
                    let alone = if newest > first { extent.least } else { extent.alone };
                    let (from, to) = widened(first - extent.bar.0, newest + extent.bar.1, alone);
                    (from, to + (to - from) * ROOM_AFTER)
                }
            },
        }
    }

    /// Shows exactly this. Goes on following if the newest is in it.
    pub fn set(&mut self, from: f64, to: f64, extent: &Extent) {
        if !(from.is_finite() && to.is_finite()) {
            return;
        }
        let (from, to) = widened(from.min(to), from.max(to), extent.least);
        if let Some((first, newest)) = extent.data {
            let all = (newest - first).max(extent.alone) * 1.5;
            if to - from > all && extent.span.is_none() {
                return self.reset();
            }
            self.follow = self.follow && (from..=to).contains(&newest);
        }
        self.window = Some((from, to));
    }

    /// Zooms by a factor (above 1: nearer) around an x, which keeps its place; while following, the newest keeps its place instead.
    pub fn zoom(&mut self, factor: f64, around: f64, extent: &Extent) {
        let (from, to) = self.bounds(extent);
        if !(factor.is_finite() && factor > 0.0) {
            return;
        }
        let around = match extent.data {
            Some((_, newest)) if self.follow && (from..=to).contains(&newest) => newest,
            _ => around,
        };
        self.set(around - (around - from) / factor, around + (to - around) / factor, extent);
    }

    /// Moves by a share of what is shown; to the right if positive.
    pub fn pan(&mut self, share: f64, extent: &Extent) {
        let (from, to) = self.bounds(extent);
        let by = (to - from) * share;
        if by.is_finite() && by != 0.0 {
            self.follow = by > 0.0 && self.follow;
            self.set(from + by, to + by, extent);
        }
    }

    /// Following keeps the newest in view; not following keeps what is shown now.
    pub fn set_follow(&mut self, follow: bool, extent: &Extent) {
        if !follow && self.follow {
            self.window = Some(self.bounds(extent));
        }
        self.follow = follow;
    }

    /// Back to all there is, following.
    pub fn reset(&mut self) {
        *self = View::default();
    }
}

fn ending_at(newest: f64, width: f64) -> (f64, f64) {
    let to = newest + width * ROOM_AFTER;
    (to - width, to)
}

fn widened(from: f64, to: f64, least: f64) -> (f64, f64) {
    // Beyond 2^53 a step of `least` would be lost in rounding.
    let least = least.max(from.abs().max(to.abs()) * 1e-12);
    if to - from >= least {
        return (from, to);
    }
    let middle = from + (to - from) / 2.0;
    (middle - least / 2.0, middle + least / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { data: Some((0.0, 100.0)), span: None, least: 1.0, alone: 1.0, bar: (0.0, 0.0) };

    fn grown(newest: f64) -> Extent {
        Extent { data: Some((0.0, newest)), ..EXTENT }
    }

    #[test]
    fn at_first_all_is_shown_with_a_little_room_after_the_newest() {
        let (from, to) = View::default().bounds(&EXTENT);
        assert_eq!(from, 0.0);
        assert!(to > 100.0 && to < 102.0);
    }

    #[test]
    fn one_point_alone_gets_a_proper_range() {
        let (from, to) = View::default().bounds(&Extent { data: Some((5.0, 5.0)), ..EXTENT });
        assert!(from < 5.0 && 5.0 < to);
        let (from, to) = View::default().bounds(&Extent { data: Some((1e18, 1e18)), ..EXTENT });
        assert!(from < 1e18 && 1e18 < to);
    }

    #[test]
    fn a_view_with_the_newest_in_it_moves_with_the_newest() {
        let mut view = View::default();
        view.set(80.0, 101.0, &EXTENT);
        let (from, to) = view.bounds(&grown(200.0));
        assert!((to - from - 21.0).abs() < 1e-9);
        assert!(from < 200.0 && 200.0 < to);
    }

    #[test]
    fn a_view_of_the_past_stays() {
        let mut view = View::default();
        view.set(10.0, 20.0, &EXTENT);
        assert!(!view.follows());
        assert_eq!(view.bounds(&grown(200.0)), (10.0, 20.0));
        view.set_follow(true, &grown(200.0));
        assert!(view.bounds(&grown(200.0)).1 > 200.0);
    }

    #[test]
    fn not_following_keeps_what_is_shown() {
        let mut view = View::default();
        let shown = view.bounds(&EXTENT);
        view.set_follow(false, &EXTENT);
        assert_eq!(view.bounds(&grown(200.0)), shown);
        view.reset();
        assert!(view.bounds(&grown(200.0)).1 > 200.0);
    }

    #[test]
    fn zooming_keeps_the_place_under_the_pointer_and_ends_at_the_whole() {
        let mut view = View::default();
        view.set_follow(false, &EXTENT);
        view.zoom(2.0, 50.0, &EXTENT);
        let (from, to) = view.bounds(&EXTENT);
        assert!((50.0 - from - 25.0).abs() < 1.0 && (to - 50.0 - 25.0).abs() < 1.0);
        view.zoom(0.01, 50.0, &EXTENT);
        assert!(!view.is_zoomed() && view.follows());
    }

    #[test]
    fn panning_back_stops_following() {
        let mut view = View::default();
        view.set(50.0, 101.0, &EXTENT);
        let shown = view.bounds(&EXTENT);
        view.pan(-0.5, &EXTENT);
        assert!(!view.follows());
        assert!((shown.0 - view.bounds(&EXTENT).0 - 25.5).abs() < 1e-9);
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut view = View::default();
        view.set(f64::NAN, 5.0, &EXTENT);
        view.zoom(0.0, 50.0, &EXTENT);
        view.pan(f64::INFINITY, &EXTENT);
        assert_eq!(view, View::default());
    }

    #[test]
    fn a_span_shows_the_newest_stretch_only() {
        let extent = Extent { span: Some(10.0), ..EXTENT };
        let (from, to) = View::default().bounds(&extent);
        assert!((to - from - 10.0).abs() < 1e-9 && to > 100.0);
    }
}
