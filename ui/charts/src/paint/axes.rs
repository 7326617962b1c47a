//! Grid, tick labels, and where the plot lies between them.

use egui::{Align2, Painter, Rect, Stroke, Ui, pos2};

use super::style;
use crate::chart::Chart;
use crate::config::{AxisKind, Mark, Theme};
use crate::scale::{self, NiceRange, Tick};

const GAP: f32 = 8.0;
const LEAST_LABEL_CHARS: usize = 3;
const MOST_LABEL_CHARS: usize = 12;

/// The plot within its tile, and the size of a label's character.
pub struct Frame {
    pub tile: Rect,
    pub plot: Rect,
    char_width: f32,
}

impl Frame {
    /// Leaves room for the labels of y, as many characters as the widest has had so far.
    pub fn new(ui: &Ui, tile: Rect, chart: &mut Chart, theme: &Theme, y: &[Tick]) -> Frame {
        let font = style::label_font(theme);
        let char_width = ui.fonts_mut(|fonts| fonts.glyph_width(&font, '0'));
        let widest = y.iter().map(|tick| tick.label.chars().count()).max().unwrap_or(0).clamp(LEAST_LABEL_CHARS, MOST_LABEL_CHARS);
        chart.painting.label_chars = chart.painting.label_chars.max(widest);
        let left = chart.painting.label_chars as f32 * char_width + GAP;
        let half_line = theme.font_px * 0.75;
        let plot = Rect::from_min_max(
            pos2(tile.left() + left, tile.top() + half_line),
            pos2(tile.right() - half_line, tile.bottom() - theme.font_px * 1.4 - GAP),
        );
        Frame { tile, plot: plot.round_to_pixels(ui), char_width }
    }

    pub fn is_drawable(&self) -> bool {
        self.plot.width() >= 20.0 && self.plot.height() >= 16.0
    }
}

trait RoundToPixels {
    fn round_to_pixels(self, ui: &Ui) -> Self;
}

impl RoundToPixels for Rect {
    fn round_to_pixels(self, ui: &Ui) -> Rect {
        let per_point = ui.pixels_per_point();
        let round = |at: f32| (at * per_point).round() / per_point;
        Rect::from_min_max(pos2(round(self.min.x), round(self.min.y)), pos2(round(self.max.x), round(self.max.y)))
    }
}

/// The y axis for these values. It stays as it was while they fit in it and fill half of it, so that it does not jump with each value.
pub fn y_range(chart: &mut Chart, values: Option<(f64, f64)>, height: f32) -> NiceRange {
    let steps = ((height / 42.0) as usize).clamp(2, 8);
    let Some((least, greatest)) = values else { return chart.painting.y.unwrap_or(scale::nice_range(0.0, 1.0, steps)) };
    let (least, greatest) = match chart.config.mark {
        Mark::Bar => (least.min(0.0), greatest.max(0.0)),
        Mark::Line => (least, greatest),
    };
    let wanted = scale::nice_range(least, greatest, steps);
    let kept = chart.painting.y.filter(|kept| {
        let ticks = (kept.height() / kept.step).round() as usize;
        kept.from <= least && greatest <= kept.to && kept.height() <= 2.0 * wanted.height() && (ticks <= 2 * steps) && (ticks >= steps / 2)
    });
    let range = kept.unwrap_or(wanted);
    chart.painting.y = Some(range);
    range
}

pub fn x_ticks(chart: &Chart, frame: &Frame) -> Vec<Tick> {
    let (from, to) = chart.bounds();
    let width = frame.plot.width();
    match chart.config.x_kind {
        AxisKind::Time => scale::time_ticks(from, to, ((width / (frame.char_width * 11.0)) as usize).clamp(2, 12)),
        AxisKind::Number => scale::number_ticks(from, to, ((width / (frame.char_width * 10.0)) as usize).clamp(2, 12)),
        AxisKind::Category => {
            let longest = chart.categories().iter().map(|name| name.chars().count()).max().unwrap_or(1).min(14);
            let room = frame.char_width * (longest as f32 + 2.0);
            scale::category_ticks(from, to, chart.categories(), ((width / room) as usize).max(1))
        }
    }
}

/// A hairline for each tick of y, and the labels of both axes.
pub fn paint(ui: &Ui, frame: &Frame, theme: &Theme, x: &[Tick], y: &[Tick], bounds: (f64, f64), range: &NiceRange) {
    let painter = ui.painter_at(frame.tile);
    let plot = frame.plot;
    let hairline = Stroke::new(1.0 / ui.pixels_per_point(), theme.line);
    let font = style::label_font(theme);
    for tick in y {
        let share = ((tick.at - range.from) / range.height()) as f32;
        let at = pixel_centre(ui, plot.bottom() - share * plot.height());
        painter.hline(plot.x_range(), at, hairline);
        painter.text(pos2(plot.left() - GAP, at), Align2::RIGHT_CENTER, &tick.label, font.clone(), theme.ink2);
    }
    x_labels(&painter, frame, theme, x, bounds);
}

/// Labels under their ticks, kept within the tile; one that would touch the one before it is left out.
fn x_labels(painter: &Painter, frame: &Frame, theme: &Theme, ticks: &[Tick], (from, to): (f64, f64)) {
    let plot = frame.plot;
    let font = style::label_font(theme);
    let mut free_from = f32::NEG_INFINITY;
    for tick in ticks {
        let centre = plot.left() + ((tick.at - from) / (to - from)) as f32 * plot.width();
        let width = tick.label.chars().count() as f32 * frame.char_width;
        let left = (centre - width / 2.0).max(plot.left()).min(frame.tile.right() - width);
        if left < free_from {
            continue;
        }
        painter.text(pos2(left, plot.bottom() + GAP), Align2::LEFT_TOP, &tick.label, font.clone(), theme.ink2);
        free_from = left + width + frame.char_width * 2.0;
    }
}

/// The middle of the pixel there: a hairline across it is sharp.
fn pixel_centre(ui: &Ui, at: f32) -> f32 {
    let per_point = ui.pixels_per_point();
    ((at * per_point).floor() + 0.5) / per_point
}
