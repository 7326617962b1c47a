//! Lines, bars and markers, as items of the plot.

use egui_plot::{Bar, BarChart, Line, LineStyle, PlotPoint, PlotPoints, PlotUi, Points, VLine};

use super::style;
use crate::chart::{Chart, Hover};
use crate::columns::{self, Segment};
use crate::config::{AxisKind, Mark, Theme};

const LINE_WIDTH: f32 = 1.4;
/// Pixels from one marker on a line to the next: enough to tell lines apart without their colours, few enough to stay lines.
const MARKER_EVERY: f64 = 190.0;
/// Pixels below which the bars of several series would run into each other.
const LEAST_BAR: f64 = 2.0;

/// A visible series, reduced to what the screen can show.
pub struct Drawn {
    /// Its place in the order of colours and markers.
    pub style: usize,
    pub name: String,
    pub segments: Vec<Segment>,
}

/// The visible series over these bounds, at most two points per pixel column.
pub fn reduce(chart: &Chart, (from, to): (f64, f64), columns: usize) -> Vec<Drawn> {
    let before = match chart.config.mark {
        Mark::Bar => chart.extent().bar.1.max(chart.extent().bar.0),
        Mark::Line => 0.0,
    };
    let mut drawn: Vec<Drawn> = chart
        .visible_series()
        .map(|series| Drawn {
            style: chart.style_of(&series.name),
            name: series.name.clone(),
            segments: columns::reduce(series.between(from - before, to), from, to, columns),
        })
        .collect();
    drawn.sort_by_key(|series| series.style);
    drawn
}

/// The least and greatest y on show, neighbours beyond the edges aside.
pub fn y_extent(drawn: &[Drawn], (from, to): (f64, f64)) -> Option<(f64, f64)> {
    let points = || drawn.iter().flat_map(|series| series.segments.iter().flatten());
    let within = points().filter(|point| (from..=to).contains(&point.x)).map(|point| (point.y, point.y));
    let hull = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    // Zoomed between two points: the line that crosses is still on show.
    within.reduce(hull).or_else(|| points().map(|point| (point.y, point.y)).reduce(hull))
}

/// What a plot is drawn from.
pub struct Scene {
    pub drawn: Vec<Drawn>,
    pub mark: Mark,
    pub x_kind: AxisKind,
    pub bar_group: f64,
    /// x per pixel, y per pixel.
    pub pixel: f64,
    pub y_pixel: f64,
    pub bounds: (f64, f64),
    pub newest: Option<f64>,
    pub hover: Option<Hover>,
    pub theme: Theme,
}

pub fn draw(plot: &mut PlotUi<'_>, scene: &Scene) {
    match scene.mark {
        Mark::Line => lines(plot, scene),
        Mark::Bar => bars(plot, scene),
    }
    if let Some(newest) = scene.newest.filter(|_| scene.mark == Mark::Line && scene.x_kind == AxisKind::Time) {
        let now = VLine::new("now", newest).color(scene.theme.accent).width(0.8).style(LineStyle::Dotted { spacing: 4.0 });
        plot.vline(now.allow_hover(false));
    }
    if let Some(hover) = &scene.hover {
        crosshair(plot, scene, hover);
    }
}

fn lines(plot: &mut PlotUi<'_>, scene: &Scene) {
    for series in &scene.drawn {
        let color = style::color(&scene.theme, series.style);
        for (index, segment) in series.segments.iter().enumerate() {
            let line = Line::new("", points_of(segment)).id((series.style, index)).color(color).width(LINE_WIDTH).allow_band(false);
            plot.line(line.allow_hover(false));
        }
        // A value alone between two gaps is no line: a dot shows it.
        let alone: Vec<PlotPoint> = series
            .segments
            .iter()
            .filter_map(|segment| match segment.as_slice() {
                [point] => Some(PlotPoint::new(point.x, point.y)),
                _ => None,
            })
            .collect();
        dots(plot, (series.style, "alone"), alone, color, egui_plot::MarkerShape::Circle, 1.6);
    }
    marked(plot, scene, 0.0);
}

/// The markers of all series, each with a ring of ground and after all lines, so that none is lost in a thicket.
fn marked(plot: &mut PlotUi<'_>, scene: &Scene, offset: f64) {
    for series in &scene.drawn {
        let (mut at, shape) = (markers(scene, series), style::marker(series.style));
        at.iter_mut().for_each(|point| point.x += offset);
        dots(plot, (series.style, "rings"), at.clone(), scene.theme.panel, shape, 4.8);
        dots(plot, (series.style, "markers"), at, style::color(&scene.theme, series.style), shape, 3.4);
    }
}

/// Markers along a line, each series' a little further on, so that lines close to each other do not cover them; the newest value has one.
fn markers(scene: &Scene, series: &Drawn) -> Vec<PlotPoint> {
    let (from, to) = scene.bounds;
    let mut next = from + scene.pixel * MARKER_EVERY * (0.25 + (series.style % 8) as f64 / 8.0);
    let mut markers = Vec::new();
    for point in series.segments.iter().flatten().filter(|point| (from..=to).contains(&point.x)) {
        if point.x >= next {
            markers.push(PlotPoint::new(point.x, point.y));
            next = point.x + scene.pixel * MARKER_EVERY;
        }
    }
    let newest = series.segments.last().and_then(|segment| segment.last()).filter(|point| (from..=to).contains(&point.x));
    if let Some(point) = newest {
        markers.push(PlotPoint::new(point.x, point.y));
    }
    markers
}

fn bars(plot: &mut PlotUi<'_>, scene: &Scene) {
    let width = scene.bar_group / scene.drawn.len().max(1) as f64;
    if scene.drawn.len() > 1 && width < LEAST_BAR * scene.pixel {
        return steps(plot, scene);
    }
    let width = width.max(scene.pixel);
    // On a time axis x is the start of a window, and the bars stand within it.
    let first = if scene.x_kind == AxisKind::Time { scene.bar_group * 0.125 } else { -scene.bar_group / 2.0 };
    for (place, series) in scene.drawn.iter().enumerate() {
        let color = style::color(&scene.theme, series.style);
        let offset = first + width * (place as f64 + 0.5);
        // A hair of ground between neighbours, where there is room for it.
        let drawn_width = if width > 4.0 * scene.pixel { width - scene.pixel } else { width };
        let bars = series.segments.iter().flatten();
        let bars =
            bars.map(|point| Bar::new(point.x + offset, point.y).width(drawn_width).fill(color).stroke(egui::Stroke::NONE)).collect();
        plot.bar_chart(BarChart::new("", bars).id(series.style).color(color).allow_hover(false));
        if width >= 8.0 * scene.pixel {
            bar_markers(plot, scene, series, offset, (width / scene.pixel * 0.3).min(3.2) as f32);
        }
    }
}

/// Too many bars for the pixels: each series as the outline of what its bars would be, so that none covers or tints another.
fn steps(plot: &mut PlotUi<'_>, scene: &Scene) {
    let width = scene.bar_group / 0.8;
    let first = if scene.x_kind == AxisKind::Time { 0.0 } else { -width / 2.0 };
    for series in &scene.drawn {
        let points = outline(&series.segments, first, width, (width / 2.0).max(2.0 * scene.pixel));
        let line = Line::new("", PlotPoints::Owned(points)).id((series.style, "steps"));
        plot.line(line.color(style::color(&scene.theme, series.style)).width(LINE_WIDTH).allow_band(false).allow_hover(false));
    }
    marked(plot, scene, first + width / 2.0);
}

/// The tops of bars side by side as one line, down on the ground where there are none for more than `gap`.
fn outline(segments: &[Segment], first: f64, width: f64, gap: f64) -> Vec<PlotPoint> {
    let mut points = Vec::new();
    let mut end: Option<f64> = None;
    for point in segments.iter().flatten() {
        let left = point.x + first;
        if end.is_none_or(|end| left - end > gap) {
            points.extend(end.map(|end| PlotPoint::new(end, 0.0)));
            points.push(PlotPoint::new(left, 0.0));
        }
        points.extend([PlotPoint::new(left, point.y), PlotPoint::new(left + width, point.y)]);
        end = Some(left + width);
    }
    points.extend(end.map(|end| PlotPoint::new(end, 0.0)));
    points
}

/// The series' marker on each of its bars: cut out of the bar near its end, or beyond the end of a bar too short for that.
fn bar_markers(plot: &mut PlotUi<'_>, scene: &Scene, series: &Drawn, offset: f64, radius: f32) {
    let (mut inside, mut beyond) = (Vec::new(), Vec::new());
    for point in series.segments.iter().flatten() {
        let outwards = scene.y_pixel * if point.y < 0.0 { -7.0 } else { 7.0 };
        let tall = point.y.abs() > 2.0 * outwards.abs();
        let at = PlotPoint::new(point.x + offset, if tall { point.y - outwards } else { point.y + outwards });
        if tall { inside.push(at) } else { beyond.push(at) }
    }
    let marker = style::marker(series.style);
    dots(plot, (series.style, "inside"), inside, scene.theme.panel, marker, radius);
    dots(plot, (series.style, "beyond"), beyond, style::color(&scene.theme, series.style), marker, radius);
}

fn crosshair(plot: &mut PlotUi<'_>, scene: &Scene, hover: &Hover) {
    let shift = if scene.mark == Mark::Bar && scene.x_kind == AxisKind::Time { scene.bar_group * 0.625 } else { 0.0 };
    plot.vline(VLine::new("crosshair", hover.x + shift).color(scene.theme.ink2).width(1.0).allow_hover(false));
    if scene.mark == Mark::Bar {
        return;
    }
    for value in &hover.values {
        let Some((y, series)) = value.y.zip(scene.drawn.iter().find(|series| series.name == value.series)) else { continue };
        let at = vec![PlotPoint::new(value.x, y)];
        dots(plot, (series.style, "hover ring"), at.clone(), scene.theme.panel, style::marker(series.style), 6.0);
        dots(plot, (series.style, "hover"), at, style::color(&scene.theme, series.style), style::marker(series.style), 4.5);
    }
}

fn dots(
    plot: &mut PlotUi<'_>,
    id: impl std::hash::Hash,
    at: Vec<PlotPoint>,
    color: egui::Color32,
    shape: egui_plot::MarkerShape,
    radius: f32,
) {
    if !at.is_empty() {
        let points = Points::new("", PlotPoints::Owned(at)).id(id).color(color).shape(shape).radius(radius).filled(true);
        plot.points(points.allow_hover(false));
    }
}

fn points_of(segment: &Segment) -> PlotPoints<'static> {
    PlotPoints::Owned(segment.iter().map(|point| PlotPoint::new(point.x, point.y)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Point;

    #[test]
    fn bars_side_by_side_are_one_line_that_goes_down_where_there_are_none() {
        let bars = [(0.0, 3.0), (1.0, 5.0), (4.0, 2.0)].map(|(x, y)| Point { x, y }).to_vec();
        let points: Vec<(f64, f64)> = outline(&[bars], 0.0, 1.0, 0.5).iter().map(|point| (point.x, point.y)).collect();
        let first = [(0.0, 0.0), (0.0, 3.0), (1.0, 3.0), (1.0, 5.0), (2.0, 5.0), (2.0, 0.0)];
        let second = [(4.0, 0.0), (4.0, 2.0), (5.0, 2.0), (5.0, 0.0)];
        assert_eq!(points, [first.as_slice(), second.as_slice()].concat());
        assert!(outline(&[], 0.0, 1.0, 0.5).is_empty());
    }
}
