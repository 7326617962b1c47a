//! Paints the board: each chart in its tile, and what the hand does there.

mod axes;
mod marks;
pub mod style;

use egui::{CursorIcon, PointerButton, Rect, Response, Sense, Ui, UiBuilder, Vec2, Vec2b};
use egui_plot::{Plot, PlotBounds};

use crate::board::{Board, Event};
use crate::chart::Chart;
use crate::config::Theme;
use crate::scale::NiceRange;

/// Pixels within which the crosshair takes a value of another x.
const REACH_PX: f64 = 8.0;
/// Pixels of a brush below which it was a click.
const LEAST_BRUSH_PX: f32 = 4.0;
const ZOOM_PER_PIXEL: f64 = 0.004;

/// Paints all charts that have a tile. Events of the user are left on the board.
pub fn board(ui: &mut Ui, board: &mut Board) {
    let theme = board.theme.clone();
    for tile in board.tiles().to_vec() {
        let Some(rect) = tile.rect() else { continue };
        let Some(chart) = board.known_mut(&tile.id) else { continue };
        let before = (chart.hover.clone(), chart.view);
        chart_in(ui, &tile.id, rect, &theme, chart);
        chart.mark_painted();
        let hover = (chart.hover != before.0).then(|| chart.hover.clone());
        let visible = (chart.view != before.1).then(|| chart.visible());
        if let Some(hover) = hover {
            board.emit(Event::Hover { id: tile.id.clone(), hover });
        }
        if let Some(visible) = visible {
            board.emit(Event::View { id: tile.id, visible });
            ui.ctx().request_repaint();
        }
    }
}

fn chart_in(ui: &mut Ui, id: &str, tile: Rect, theme: &Theme, chart: &mut Chart) {
    let bounds = chart.bounds();
    // The plot's width depends on the labels of y, which depend on what is drawn: the last frame's width serves, and is nearly always this one's.
    let width = chart.painting.plot_width.unwrap_or(tile.width());
    let columns = (width * ui.pixels_per_point()).round() as usize;
    let drawn = marks::reduce(chart, bounds, columns);
    let range = axes::y_range(chart, marks::y_extent(&drawn, bounds), tile.height());
    let y = range.ticks();
    let frame = axes::Frame::new(ui, tile, chart, theme, &y);
    chart.painting.plot_width = Some(frame.plot.width());
    if !frame.is_drawable() {
        return;
    }
    if !chart.shown().is_empty() {
        axes::paint(ui, &frame, theme, &axes::x_ticks(chart, &frame), &y, bounds, &range);
    }
    let scene = marks::Scene {
        drawn,
        mark: chart.config.mark,
        x_kind: chart.config.x_kind,
        bar_group: chart.bar_group(),
        pixel: (bounds.1 - bounds.0) / f64::from(frame.plot.width()),
        y_pixel: range.height() / f64::from(frame.plot.height()),
        bounds,
        newest: chart.shown().x_range().map(|range| range.1),
        hover: chart.hover.clone(),
        theme: theme.clone(),
    };
    let response = plot(ui, id, frame.plot, &scene, &range);
    interact(ui, &response, frame.plot, chart);
    paint_brush(ui, frame.plot, theme, chart);
}

fn plot(ui: &mut Ui, id: &str, rect: Rect, scene: &marks::Scene, range: &NiceRange) -> Response {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(id));
    let plot = Plot::new(id)
        .width(rect.width())
        .height(rect.height())
        .min_size(Vec2::ZERO)
        .show_axes(Vec2b::FALSE)
        .show_grid(Vec2b::FALSE)
        .show_background(false)
        .show_crosshair(false)
        .show_x(false)
        .show_y(false)
        .allow_zoom(Vec2b::FALSE)
        .allow_drag(Vec2b::FALSE)
        .allow_scroll(Vec2b::FALSE)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .auto_bounds(Vec2b::FALSE)
        .sense(Sense::click_and_drag());
    let response = plot.show(&mut child, |plot| {
        plot.set_plot_bounds(PlotBounds::from_min_max([scene.bounds.0, range.from], [scene.bounds.1, range.to]));
        marks::draw(plot, scene);
    });
    response.response
}

/// Brush to zoom, wheel to zoom, sideways wheel or a drag with shift or the middle button to move, double click for all.
fn interact(ui: &Ui, response: &Response, plot: Rect, chart: &mut Chart) {
    let extent = chart.extent();
    let (from, to) = chart.bounds();
    let x_at = |pixel: f32| from + f64::from((pixel - plot.left()) / plot.width()) * (to - from);
    let shift = ui.input(|input| input.modifiers.shift);
    let pointer = response.interact_pointer_pos().or(response.hover_pos());

    if response.double_clicked() {
        chart.painting.brush_from = None;
        return chart.view.reset();
    }
    if response.drag_started_by(PointerButton::Primary) && !shift {
        chart.painting.brush_from = ui.input(|input| input.pointer.press_origin()).map(|origin| x_at(origin.x));
    } else if response.dragged_by(PointerButton::Middle)
        || (response.dragged_by(PointerButton::Primary) && chart.painting.brush_from.is_none())
    {
        chart.view.pan(f64::from(-response.drag_delta().x / plot.width()), &extent);
        ui.ctx().set_cursor_icon(CursorIcon::Grabbing);
    }
    if response.drag_stopped()
        && let Some((begun, pointer)) = chart.painting.brush_from.take().zip(pointer)
    {
        let end = x_at(pointer.x.clamp(plot.left(), plot.right()));
        if ((end - begun) / (to - from)).abs() * f64::from(plot.width()) >= f64::from(LEAST_BRUSH_PX) {
            chart.view.set(begun.min(end), begun.max(end), &extent);
        }
    }
    wheel(ui, response, plot, chart);
    let hovered = response.hover_pos().filter(|_| chart.painting.brush_from.is_none());
    let reach = (to - from) * REACH_PX / f64::from(plot.width());
    chart.hover = hovered.and_then(|pointer| chart.nearest(x_at(pointer.x), reach));
    if response.hovered() {
        ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
    }
}

fn wheel(ui: &Ui, response: &Response, plot: Rect, chart: &mut Chart) {
    let Some(pointer) = response.hover_pos().filter(|_| response.contains_pointer()) else { return };
    let (scroll, pinch) = ui.input(|input| (input.smooth_scroll_delta(), f64::from(input.zoom_delta())));
    let extent = chart.extent();
    let (from, to) = chart.bounds();
    let around = from + f64::from((pointer.x - plot.left()) / plot.width()) * (to - from);
    let factor = (f64::from(scroll.y) * ZOOM_PER_PIXEL).exp() * pinch;
    if (factor - 1.0).abs() > 1e-9 {
        chart.view.zoom(factor, around, &extent);
    }
    if scroll.x != 0.0 {
        chart.view.pan(f64::from(-scroll.x / plot.width()), &extent);
    }
}

fn paint_brush(ui: &Ui, plot: Rect, theme: &Theme, chart: &Chart) {
    let Some((begun, pointer)) = chart.painting.brush_from.zip(ui.input(|input| input.pointer.latest_pos())) else { return };
    let (from, to) = chart.bounds();
    let begun = plot.left() + ((begun - from) / (to - from)) as f32 * plot.width();
    let band = Rect::from_x_y_ranges(begun.min(pointer.x)..=begun.max(pointer.x), plot.y_range()).intersect(plot);
    let painter = ui.painter_at(plot);
    painter.rect_filled(band, 0.0, theme.accent.gamma_multiply(0.14));
    for edge in [band.left(), band.right()] {
        painter.vline(edge, band.y_range(), egui::Stroke::new(1.0, theme.accent));
    }
}
