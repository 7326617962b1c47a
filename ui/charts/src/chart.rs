//! One chart: its points, its view, and what is known of it outside.

use std::fmt::Write as _;

use millrace_studio_api::chart_frame::{ChartFrame, MAX_CATEGORIES};
use serde::Serialize;

use crate::config::{AxisKind, ChartConfig, Mark};
use crate::scale::{self, NiceRange};
use crate::store::{MAX_SERIES, Point, Series, Store};
use crate::view::{Extent, View};

/// Points that a chart keeps, all series together: 3 MB, and more than two per pixel of any screen.
pub const CAPACITY: usize = 200_000;

pub struct Chart {
    pub config: ChartConfig,
    pub view: View,
    store: Store,
    /// What a paused chart shows, while the store goes on.
    frozen: Option<Store>,
    categories: Vec<String>,
    stream: Option<u32>,
    received_stamp_us: Option<i64>,
    painted_stamp_us: Option<i64>,
    painted_newest_x: Option<f64>,
    pub hover: Option<Hover>,
    pub painting: Painting,
}

/// What painting remembers from one frame to the next.
#[derive(Debug, Clone, Default)]
pub struct Painting {
    /// The y axis keeps its range until the values ask for another.
    pub y: Option<NiceRange>,
    /// Characters of the y axis' labels; only grows, so that nothing moves because a number did.
    pub label_chars: usize,
    pub plot_width: Option<f32>,
    /// Where a brush began, on x.
    pub brush_from: Option<f64>,
}

/// The values nearest to the pointer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hover {
    pub x: f64,
    pub x_text: String,
    pub values: Vec<HoverValue>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoverValue {
    pub series: String,
    pub x: f64,
    /// Null where the value is NULL.
    pub y: Option<f64>,
    pub y_text: String,
}

/// What the chart shows now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Visible {
    pub x0: f64,
    pub x1: f64,
    pub x0_text: String,
    pub x1_text: String,
    pub zoomed: bool,
    pub follow: bool,
    pub paused: bool,
    pub points: usize,
    /// Points let go because the buffer is bounded, and points that had no place on the chart.
    pub evicted: u64,
    pub refused: u64,
}

/// A row of the table beside the chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row<'a> {
    pub x: f64,
    pub x_text: String,
    pub series: &'a str,
    pub y: Option<f64>,
    pub y_text: String,
}

impl Default for Chart {
    fn default() -> Chart {
        Chart {
            config: ChartConfig::default(),
            view: View::default(),
            store: Store::new(CAPACITY),
            frozen: None,
            categories: Vec::new(),
            stream: None,
            received_stamp_us: None,
            painted_stamp_us: None,
            painted_newest_x: None,
            hover: None,
            painting: Painting::default(),
        }
    }
}

impl Chart {
    /// How the chart looks from now on. Another axis begins with another view.
    pub fn set_config(&mut self, config: ChartConfig) {
        if config.x_kind != self.config.x_kind {
            self.view.reset();
        }
        if (config.mark, config.x_kind) != (self.config.mark, self.config.x_kind) {
            self.painting = Painting::default();
        }
        self.config = config;
    }

    /// Takes a frame's points and says how many there were.
    pub fn push(&mut self, frame: &ChartFrame) -> usize {
        if frame.replaces || self.stream.is_some_and(|stream| stream != frame.stream) {
            self.clear();
        }
        self.stream = Some(frame.stream);
        self.received_stamp_us = self.received_stamp_us.max(frame.newest_stamp_us);
        let places: Vec<Option<usize>> = frame.series.iter().map(|name| self.store.series_index(name)).collect();
        let names: Vec<Option<usize>> = frame.categories.iter().map(|name| self.category_index(name)).collect();
        let mut by_series: Vec<Vec<Point>> = vec![Vec::new(); places.len()];
        for ((x, y), series) in frame.x.iter().zip(&frame.y).zip(&frame.series_of) {
            let x = if names.is_empty() { Some(*x) } else { names.get(*x as usize).copied().flatten().map(|at| at as f64) };
            if let Some(points) = by_series.get_mut(usize::from(*series)) {
                points.push(Point { x: x.unwrap_or(f64::NAN), y: *y });
            }
        }
        for (place, mut points) in places.into_iter().zip(by_series) {
            match place {
                Some(series) => self.store.extend(series, &mut points),
                None => self.store.refuse(points.len() as u64),
            }
        }
        frame.x.len()
    }

    fn category_index(&mut self, name: &str) -> Option<usize> {
        self.categories.iter().position(|known| known == name).or_else(|| {
            (self.categories.len() < MAX_CATEGORIES).then(|| {
                self.categories.push(name.to_owned());
                self.categories.len() - 1
            })
        })
    }

    /// Forgets all points; a paused chart goes on showing what it showed.
    pub fn clear(&mut self) {
        self.store.clear();
        if self.frozen.is_none() {
            self.categories.clear();
        }
        self.received_stamp_us = None;
        self.painted_stamp_us = None;
        self.painted_newest_x = None;
        self.painting.y = None;
    }

    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// A paused chart shows what it had when it was paused, at any zoom, and goes on taking points.
    pub fn set_paused(&mut self, paused: bool) {
        match (paused, self.frozen.is_some()) {
            (true, false) => self.frozen = Some(self.store.clone()),
            (false, true) => self.frozen = None,
            _ => {}
        }
    }

    /// The points on show.
    pub fn shown(&self) -> &Store {
        self.frozen.as_ref().unwrap_or(&self.store)
    }

    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    pub fn bounds(&self) -> (f64, f64) {
        self.view.bounds(&self.extent())
    }

    pub fn set_follow(&mut self, follow: bool) {
        let extent = self.extent();
        self.view.set_follow(follow, &extent);
    }

    /// How wide all bars of one x are together.
    pub fn bar_group(&self) -> f64 {
        let alone = self.alone();
        self.shown().least_gap().unwrap_or(alone / 2.0) * 0.8
    }

    fn alone(&self) -> f64 {
        if self.config.x_kind == AxisKind::Time { 60_000.0 } else { 1.0 }
    }

    pub fn extent(&self) -> Extent {
        let data = self.shown().x_range();
        let least = match self.config.x_kind {
            AxisKind::Time => 1.0,
            AxisKind::Number => data.map_or(1e-9, |(first, newest)| ((newest - first) * 1e-6).max(1e-12)),
            AxisKind::Category => 1.0,
        };
        let bar = match (self.config.mark, self.config.x_kind) {
            (Mark::Line, AxisKind::Category) => (0.25, 0.25),
            (Mark::Line, _) => (0.0, 0.0),
            // A window's x is its start: its bar stands on the window.
            (Mark::Bar, AxisKind::Time) => (0.0, self.bar_group() / 0.8),
            (Mark::Bar, _) => (self.bar_group() * 0.7, self.bar_group() * 0.7),
        };
        Extent { data, span: self.config.span.filter(|span| *span > 0.0), least, alone: self.alone(), bar }
    }

    /// Where the series stands in the order of colours and markers.
    pub fn style_of(&self, name: &str) -> usize {
        let configured = self.config.series.iter().position(|series| series.name == name);
        configured.unwrap_or_else(|| {
            let others = self.shown().series().iter().filter(|series| !self.config.series.iter().any(|known| known.name == series.name));
            self.config.series.len() + others.take_while(|series| series.name != name).count()
        })
    }

    pub fn is_visible(&self, name: &str) -> bool {
        self.config.series.iter().find(|series| series.name == name).is_none_or(|series| series.visible)
    }

    /// Shows these series and hides all others that the configuration or the points name.
    pub fn set_visible_series(&mut self, names: &[String]) {
        for series in self.store.series() {
            if self.config.series.len() < MAX_SERIES && !self.config.series.iter().any(|known| known.name == series.name) {
                self.config.series.push(crate::config::SeriesConfig { name: series.name.clone(), visible: true });
            }
        }
        for series in &mut self.config.series {
            series.visible = names.contains(&series.name);
        }
    }

    pub fn visible_series(&self) -> impl Iterator<Item = &Series> {
        self.shown().series().iter().filter(|series| self.is_visible(&series.name))
    }

    /// The values nearest to an x, of the series that have one no further than `reach` from it.
    pub fn nearest(&self, x: f64, reach: f64) -> Option<Hover> {
        let nearest = |x: f64| self.visible_series().filter_map(move |series| Some((series, series.nearest(x)?)));
        let at = nearest(x).map(|(_, point)| point.x).min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs()))?;
        let mut values: Vec<HoverValue> = nearest(at)
            .filter(|(_, point)| (point.x - at).abs() <= reach)
            .map(|(series, point)| HoverValue {
                series: series.name.clone(),
                x: point.x,
                y: point.y.is_finite().then_some(point.y),
                y_text: value_text(point.y),
            })
            .collect();
        values.sort_by_key(|value| self.style_of(&value.series));
        Some(Hover { x: at, x_text: self.x_text(at), values })
    }

    pub fn x_text(&self, x: f64) -> String {
        match self.config.x_kind {
            AxisKind::Time => scale::time(x),
            AxisKind::Number => scale::value(x),
            AxisKind::Category => {
                let name = (x.round() >= 0.0).then(|| self.categories.get(x.round() as usize)).flatten();
                name.cloned().unwrap_or_default()
            }
        }
    }

    pub fn visible(&self) -> Visible {
        let (x0, x1) = self.bounds();
        Visible {
            x0,
            x1,
            x0_text: self.x_text(x0),
            x1_text: self.x_text(x1),
            zoomed: self.view.is_zoomed(),
            follow: self.view.follows(),
            paused: self.is_paused(),
            points: self.store.len(),
            evicted: self.store.evicted(),
            refused: self.store.refused(),
        }
    }

    fn visible_points(&self) -> impl DoubleEndedIterator<Item = (&str, Point)> {
        let (x0, x1) = self.bounds();
        let mut points: Vec<(&str, Point)> = self
            .visible_series()
            .flat_map(|series| series.between(x0, x1).map(|point| (series.name.as_str(), point)))
            .filter(|(_, point)| (x0..=x1).contains(&point.x))
            .collect();
        points.sort_by(|a, b| a.1.x.total_cmp(&b.1.x));
        points.into_iter()
    }

    /// What is visible as rows, newest first.
    pub fn visible_rows(&self, limit: usize) -> Vec<Row<'_>> {
        let row = |(series, point): (_, Point)| Row {
            x: point.x,
            x_text: self.x_text(point.x),
            series,
            y: point.y.is_finite().then_some(point.y),
            y_text: value_text(point.y),
        };
        self.visible_points().rev().take(limit).map(row).collect()
    }

    /// What is visible as CSV, oldest first, with x as it is read by people and y in full.
    pub fn visible_csv(&self) -> String {
        let mut csv = String::from("x,series,y\r\n");
        for (series, point) in self.visible_points() {
            let y = if point.y.is_finite() { point.y.to_string() } else { String::new() };
            let _ = write!(csv, "{},{},{y}\r\n", csv_field(&self.x_text(point.x)), csv_field(series));
        }
        csv
    }

    /// The frame that was just painted shows all that had come, unless the chart is paused.
    pub fn mark_painted(&mut self) {
        if self.frozen.is_none() {
            self.painted_stamp_us = self.received_stamp_us;
            self.painted_newest_x = self.store.x_range().map(|(_, newest)| newest);
        }
    }

    /// The newest source stamp that is on the screen, microseconds since 1970.
    pub fn painted_stamp_us(&self) -> Option<i64> {
        self.painted_stamp_us
    }

    /// The newest x that is on the screen: rows that carry the time they were made tell by it how long their way was.
    pub fn painted_newest_x(&self) -> Option<f64> {
        self.painted_newest_x
    }
}

fn value_text(value: f64) -> String {
    if value.is_finite() { scale::value(value) } else { "NULL".into() }
}

/// Quoted where CSV asks for it, and where a spreadsheet would take the text for a formula.
fn csv_field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t']);
    if formula || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn frame(points: &[(f64, f64, u16)]) -> ChartFrame {
        ChartFrame {
            series: vec!["EWR".into(), "JFK".into()],
            x: points.iter().map(|point| point.0).collect(),
            y: points.iter().map(|point| point.1).collect(),
            series_of: points.iter().map(|point| point.2).collect(),
            ..ChartFrame::default()
        }
    }

    #[test]
    fn a_later_value_of_the_same_window_takes_the_place_of_the_earlier() {
        let mut chart = Chart::default();
        chart.push(&frame(&[(0.0, 1.0, 0), (60.0, 2.0, 0)]));
        chart.push(&frame(&[(0.0, 9.0, 0)]));
        assert_eq!(chart.nearest(1.0, 1.0).unwrap().values[0].y, Some(9.0));
        assert_eq!(chart.shown().len(), 2);
    }

    #[test]
    fn points_of_another_run_do_not_mix_with_those_that_stand() {
        let mut chart = Chart::default();
        chart.push(&frame(&[(0.0, 1.0, 0)]));
        chart.push(&ChartFrame { stream: 2, ..frame(&[(5.0, 2.0, 1)]) });
        assert_eq!(chart.shown().x_range(), Some((5.0, 5.0)));
        chart.push(&ChartFrame { stream: 2, replaces: true, ..frame(&[(7.0, 2.0, 1)]) });
        assert_eq!(chart.shown().x_range(), Some((7.0, 7.0)));
    }

    #[test]
    fn a_paused_chart_shows_what_it_had_and_goes_on_taking_points() {
        let mut chart = Chart::default();
        chart.push(&ChartFrame { newest_stamp_us: Some(1), ..frame(&[(0.0, 1.0, 0)]) });
        chart.mark_painted();
        chart.set_paused(true);
        let shown = chart.bounds();
        chart.push(&ChartFrame { newest_stamp_us: Some(2), ..frame(&[(1e6, 2.0, 0)]) });
        chart.mark_painted();
        assert_eq!((chart.bounds(), chart.painted_stamp_us()), (shown, Some(1)));
        assert_eq!(chart.visible().points, 2);
        chart.set_paused(false);
        chart.mark_painted();
        assert_eq!((chart.shown().len(), chart.painted_stamp_us()), (2, Some(2)));
    }

    #[test]
    fn hovering_names_the_values_at_the_nearest_x_in_the_order_of_the_legend() {
        let mut chart = Chart::default();
        let series = ["JFK", "EWR"].map(|name| crate::config::SeriesConfig { name: name.into(), visible: true });
        chart.set_config(ChartConfig { series: series.to_vec(), ..ChartConfig::default() });
        chart.push(&frame(&[(0.0, 1.0, 0), (0.0, f64::NAN, 1), (100.0, 3.5, 0), (200.0, 4.0, 1)]));
        let hover = chart.nearest(10.0, 5.0).unwrap();
        assert_eq!(hover.x_text, "1970-01-01 00:00");
        assert_eq!(
            hover.values.iter().map(|value| (value.series.as_str(), value.y)).collect::<Vec<_>>(),
            [("JFK", None), ("EWR", Some(1.0))]
        );
        assert_eq!(chart.nearest(110.0, 5.0).unwrap().values.len(), 1);
        chart.set_visible_series(&["JFK".into()]);
        assert_eq!(chart.nearest(90.0, 5.0).unwrap().x, 0.0);
    }

    #[test]
    fn names_on_the_axis_are_known_across_frames() {
        let mut chart = Chart::default();
        chart.set_config(ChartConfig { x_kind: AxisKind::Category, mark: Mark::Bar, ..ChartConfig::default() });
        let named = |names: &[&str], points: &[(f64, f64, u16)]| ChartFrame {
            categories: names.iter().map(|name| (*name).into()).collect(),
            ..frame(points)
        };
        chart.push(&named(&["UA", "B6"], &[(0.0, 1.0, 0), (1.0, 2.0, 0), (9.0, 5.0, 0)]));
        chart.push(&named(&["B6", "DL"], &[(0.0, 7.0, 0), (1.0, 3.0, 0)]));
        assert_eq!(chart.visible_csv(), "x,series,y\r\nUA,EWR,1\r\nB6,EWR,7\r\nDL,EWR,3\r\n");
        assert_eq!(chart.visible().refused, 1);
    }

    #[test]
    fn a_name_cannot_become_a_formula_in_a_spreadsheet() {
        assert_eq!(csv_field("=1+1"), "\"'=1+1\"");
        assert_eq!(csv_field("a\"b,c"), "\"a\"\"b,c\"");
    }

    #[test]
    fn rows_beside_the_chart_are_what_is_visible_newest_first() {
        let mut chart = Chart::default();
        chart.push(&frame(&[(0.0, 1.0, 0), (1000.0, 2.0, 1), (2000.0, 3.0, 0)]));
        let extent = chart.extent();
        chart.view.set(500.0, 2500.0, &extent);
        let rows = chart.visible_rows(10);
        assert_eq!(rows.iter().map(|row| (row.series, row.y)).collect::<Vec<_>>(), [("EWR", Some(3.0)), ("JFK", Some(2.0))]);
        assert_eq!(chart.visible_rows(1).len(), 1);
    }
}
