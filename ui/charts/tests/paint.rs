//! The board painted without a browser: what ends up as shapes, and what the hand does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use egui::{Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Shape, pos2, vec2};
use millrace_charts::board::{self, Board};
use millrace_charts::chart::{Hover, Visible};
use millrace_charts::config::{AxisKind, ChartConfig, Mark, SeriesConfig, Tile};
use millrace_charts::paint;
use millrace_studio_api::chart_frame::ChartFrame;

const HOUR: f64 = 3_600_000.0;
const SIZE: egui::Vec2 = vec2(640.0, 320.0);

struct Page {
    context: egui::Context,
    board: Board,
    time: f64,
}

impl Page {
    /// A page with one chart over the whole canvas.
    fn new(config: ChartConfig) -> Page {
        let context = egui::Context::default();
        context.set_fonts(paint::style::fonts());
        let mut board = Board::default();
        board.chart("delays").unwrap().set_config(config);
        board.set_layout(vec![Tile { id: "delays".into(), x: 0.0, y: 0.0, w: SIZE.x, h: SIZE.y }]);
        Page { context, board, time: 0.0 }
    }

    fn push(&mut self, series: &[&str], points: &[(f64, f64, u16)]) {
        let frame = ChartFrame {
            series: series.iter().map(|name| (*name).to_owned()).collect(),
            x: points.iter().map(|point| point.0).collect(),
            y: points.iter().map(|point| point.1).collect(),
            series_of: points.iter().map(|point| point.2).collect(),
            newest_stamp_us: Some(42),
            ..ChartFrame::default()
        };
        self.board.chart("delays").unwrap().push(&frame);
    }

    /// One frame with these events.
    fn frame(&mut self, events: Vec<Event>) -> Vec<Shape> {
        self.time += 0.1;
        let input =
            RawInput { screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)), time: Some(self.time), events, ..RawInput::default() };
        let mut output = self.context.run_ui(input, |ui| paint::board(ui, &mut self.board));
        output.textures_delta.clear();
        output.shapes.into_iter().map(|clipped| clipped.shape).collect()
    }

    fn button(&mut self, pos: Pos2, pressed: bool) {
        let event = Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE };
        self.frame(vec![Event::PointerMoved(pos), event]);
    }

    fn views(&mut self) -> Vec<Visible> {
        let events = self.board.take_events().into_iter();
        events.filter_map(|event| if let board::Event::View { visible, .. } = event { Some(visible) } else { None }).collect()
    }

    fn hovers(&mut self) -> Vec<Option<Hover>> {
        let events = self.board.take_events().into_iter();
        events.filter_map(|event| if let board::Event::Hover { hover, .. } = event { Some(hover) } else { None }).collect()
    }
}

fn with_hours(count: u32) -> Page {
    let mut page = Page::new(ChartConfig::default());
    let points: Vec<(f64, f64, u16)> =
        (0..count).flat_map(|at| [(f64::from(at) * HOUR, f64::from(at % 7), 0), (f64::from(at) * HOUR, 3.0, 1)]).collect();
    for chunk in points.chunks(60_000) {
        page.push(&["EWR", "JFK"], chunk);
    }
    page.frame(vec![]);
    page
}

fn line_points(shapes: &[Shape]) -> usize {
    shapes
        .iter()
        .map(|shape| match shape {
            Shape::Path(path) if !path.closed => path.points.len(),
            Shape::Band(band) => 2 * band.points.len(),
            Shape::Vec(shapes) => line_points(shapes),
            _ => 0,
        })
        .sum()
}

#[test]
fn a_hundred_thousand_points_are_painted_as_two_per_pixel_at_most() {
    let mut page = with_hours(50_000);
    let painted = line_points(&page.frame(vec![]));
    assert!(painted > 600, "{painted}");
    assert!(painted <= 2 * 2 * (SIZE.x as usize + 2), "{painted}");
    assert_eq!(page.board.known("delays").unwrap().painted_stamp_us(), Some(42));
}

#[test]
fn a_brush_zooms_to_what_it_covers_and_a_double_click_shows_all_again() {
    let mut page = with_hours(100);
    page.button(pos2(200.0, 100.0), true);
    page.frame(vec![Event::PointerMoved(pos2(300.0, 120.0))]);
    page.button(pos2(300.0, 120.0), false);
    let views = page.views();
    let view = views.last().unwrap();
    assert!(view.zoomed && !view.follow);
    let width = (view.x1 - view.x0) / HOUR;
    assert!((14.0..19.0).contains(&width), "{width} hours of 100 in 100 of 600 pixels");
    for pressed in [true, false, true, false] {
        page.button(pos2(250.0, 100.0), pressed);
    }
    let view = page.views().pop().unwrap();
    assert!(!view.zoomed && view.follow);
}

#[test]
fn the_wheel_zooms_towards_the_newest_while_following() {
    let mut page = with_hours(100);
    page.frame(vec![Event::PointerMoved(pos2(300.0, 100.0))]);
    page.frame(vec![Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 120.0),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    }]);
    for _ in 0..20 {
        page.frame(vec![]);
    }
    let view = page.views().pop().unwrap();
    assert!(view.zoomed && view.follow);
    assert!(view.x0 > 5.0 * HOUR && view.x1 > 99.0 * HOUR, "{view:?}");
}

#[test]
fn the_pointer_reads_the_values_in_the_order_of_the_legend_and_leaves_again() {
    let mut page = with_hours(8);
    let series = ["JFK", "EWR"].map(|name| SeriesConfig { name: name.into(), visible: true });
    page.board.chart("delays").unwrap().set_config(ChartConfig { series: series.to_vec(), ..ChartConfig::default() });
    page.frame(vec![Event::PointerMoved(pos2(330.0, 100.0))]);
    page.frame(vec![]);
    let hover = page.hovers().pop().unwrap().unwrap();
    assert_eq!(hover.x % HOUR, 0.0);
    let values: Vec<_> = hover.values.iter().map(|value| (value.series.as_str(), value.y)).collect();
    assert_eq!(values, [("JFK", Some(3.0)), ("EWR", Some(hover.x / HOUR))]);
    page.frame(vec![Event::PointerGone]);
    page.frame(vec![]);
    assert_eq!(page.hovers().pop().unwrap(), None);
}

#[test]
fn a_chart_that_is_taken_away_is_hovered_no_more() {
    let mut page = with_hours(8);
    page.frame(vec![Event::PointerMoved(pos2(330.0, 100.0))]);
    page.frame(vec![]);
    page.hovers();
    page.board.set_layout(vec![]);
    assert_eq!(page.hovers(), [None]);
}

#[test]
fn bars_lines_gaps_names_and_nothing_at_all_can_be_painted() {
    for mark in [Mark::Line, Mark::Bar] {
        for kind in [AxisKind::Time, AxisKind::Number, AxisKind::Category] {
            let mut page = Page::new(ChartConfig { mark, x_kind: kind, ..ChartConfig::default() });
            page.frame(vec![]);
            page.push(&["a"], &[(0.0, f64::NAN, 0)]);
            page.frame(vec![]);
            page.push(
                &["a", "b"],
                &[(0.0, 1.0, 0), (1.0, f64::NAN, 0), (2.0, -1e300, 0), (1.0, 1e300, 1), (1e300, 0.0, 1), (-1e300, 5.0, 0)],
            );
            for shape in page.frame(vec![Event::PointerMoved(pos2(300.0, 100.0))]) {
                assert!(!shape.visual_bounding_rect().any_nan(), "{mark:?} over {kind:?}");
            }
            page.frame(vec![]);
        }
    }
}

#[test]
fn a_tile_too_small_for_a_plot_is_left_empty() {
    let mut page = with_hours(8);
    page.board.set_layout(vec![Tile { id: "delays".into(), x: 0.0, y: 0.0, w: 30.0, h: 30.0 }]);
    assert_eq!(line_points(&page.frame(vec![])), 0);
}
