//! Colour and marker of a series, and the one font.

use std::sync::Arc;

use egui::epaint::text::{FontData, FontDefinitions, FontFamily};
use egui::{Color32, FontId};
use egui_plot::MarkerShape;

use crate::config::Theme;

/// Markers in the order of series. Their number shares no factor with the eight colours, so that 56 series differ in one or the other.
const MARKERS: [(MarkerShape, &str); 7] = [
    (MarkerShape::Circle, "circle"),
    (MarkerShape::Up, "triangle-up"),
    (MarkerShape::Square, "square"),
    (MarkerShape::Diamond, "diamond"),
    (MarkerShape::Down, "triangle-down"),
    (MarkerShape::Left, "triangle-left"),
    (MarkerShape::Right, "triangle-right"),
];

fn marker_at(index: usize) -> (MarkerShape, &'static str) {
    MARKERS.get(index % MARKERS.len()).copied().unwrap_or((MarkerShape::Circle, "circle"))
}

pub fn marker(index: usize) -> MarkerShape {
    marker_at(index).0
}

/// The marker's name, for the legend in the page.
pub fn marker_name(index: usize) -> &'static str {
    marker_at(index).1
}

pub fn color(theme: &Theme, index: usize) -> Color32 {
    theme.series.get(index % theme.series.len().max(1)).copied().unwrap_or(theme.ink)
}

/// The font of tick labels. What it has no glyph for, the browser draws.
pub fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let mono: &[u8] = include_bytes!("../../assets/JetBrainsMono-subset.ttf");
    fonts.font_data.insert("mono".into(), Arc::new(FontData::from_static(mono)));
    for family in [FontFamily::Monospace, FontFamily::Proportional] {
        fonts.families.insert(family, vec!["mono".into()]);
    }
    fonts
}

pub fn label_font(theme: &Theme) -> FontId {
    FontId::monospace(theme.font_px)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The page's token file: legend and plot must show the same.
    const TOKENS: &str = include_str!("../../../src/theme/tokens.json");

    #[test]
    fn the_pages_token_file_names_these_markers_and_its_themes_can_be_painted() {
        let tokens: serde_json::Value = serde_json::from_str(TOKENS).unwrap();
        let series = tokens.get("series").unwrap();
        let names: Vec<&str> = MARKERS.iter().map(|(_, name)| *name).collect();
        assert_eq!(*series.get("markers").unwrap(), serde_json::json!(names));
        for theme in ["light", "dark"] {
            let mut painted = serde_json::json!({ "series": series.get(theme).unwrap() });
            for (token, of) in [("panel", "panel"), ("line", "line"), ("ink", "ink"), ("ink2", "mute"), ("accent", "accent")] {
                *painted.as_object_mut().unwrap().entry(token).or_insert(serde_json::Value::Null) =
                    tokens.get(theme).unwrap().get(of).unwrap().clone();
            }
            let read = Theme::from_json(&painted.to_string()).unwrap();
            assert_eq!(read.series.len() % MARKERS.len(), 1, "colours and markers repeat together too soon");
        }
    }
}
