//! What the page says in JSON: how a chart looks, where it lies, the theme.

use egui::Color32;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    #[default]
    Line,
    Bar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisKind {
    /// x is milliseconds since 1970, written in UTC.
    #[default]
    Time,
    Number,
    /// x counts names, which come with the points.
    Category,
}

/// A chart. What is left out has its default.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChartConfig {
    pub mark: Mark,
    pub x_kind: AxisKind,
    /// In the order of their colours and markers; others that come with points follow.
    pub series: Vec<SeriesConfig>,
    /// How much of x is shown, up to the newest, while nothing else is chosen (milliseconds on a time axis); all, if left out.
    pub span: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesConfig {
    pub name: String,
    #[serde(default = "yes")]
    pub visible: bool,
}

fn yes() -> bool {
    true
}

/// Where a chart lies on the canvas, in CSS pixels from its top left corner: the plot with the labels of its axes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tile {
    pub id: String,
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

impl Tile {
    /// None where it has no area to paint on.
    pub fn rect(&self) -> Option<egui::Rect> {
        let rect = egui::Rect::from_min_size(egui::pos2(self.x, self.y), egui::vec2(self.w, self.h));
        (rect.is_finite() && self.w >= 24.0 && self.h >= 24.0).then_some(rect)
    }
}

/// The page's tokens, `#RRGGBB` or `#RRGGBBAA`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    panel: String,
    line: String,
    ink: String,
    ink2: String,
    accent: String,
    series: Vec<String>,
    #[serde(default = "font_px")]
    font_px: f32,
}

fn font_px() -> f32 {
    11.0
}

/// Colours and sizes of all charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    pub panel: Color32,
    /// Hairlines.
    pub line: Color32,
    pub ink: Color32,
    /// Labels of ticks.
    pub ink2: Color32,
    pub accent: Color32,
    /// Never empty.
    pub series: Vec<Color32>,
    pub font_px: f32,
}

impl Default for Theme {
    /// The light theme, until the page says otherwise; series after Okabe and Ito.
    fn default() -> Theme {
        let rgb = Color32::from_rgb;
        Theme {
            panel: rgb(0xff, 0xff, 0xff),
            line: rgb(0xdf, 0xe3, 0xe8),
            ink: rgb(0x1b, 0x24, 0x30),
            ink2: rgb(0x56, 0x62, 0x73),
            accent: rgb(0x0b, 0x72, 0x85),
            series: vec![rgb(0x00, 0x72, 0xb2), rgb(0xd5, 0x5e, 0x00), rgb(0x00, 0x9e, 0x73), rgb(0xcc, 0x79, 0xa7)],
            font_px: font_px(),
        }
    }
}

impl Theme {
    /// # Errors
    /// Says in words what is wrong with the JSON or with which colour.
    pub fn from_json(json: &str) -> Result<Theme, String> {
        let tokens: Tokens = serde_json::from_str(json).map_err(|error| format!("theme: {error}"))?;
        let series = tokens.series.iter().map(|text| color("series", text)).collect::<Result<Vec<_>, _>>()?;
        if series.is_empty() {
            return Err("theme: series needs one colour at least".into());
        }
        if !(6.0..=32.0).contains(&tokens.font_px) {
            return Err(format!("theme: font_px is {}, expected 6 to 32", tokens.font_px));
        }
        Ok(Theme {
            panel: color("panel", &tokens.panel)?,
            line: color("line", &tokens.line)?,
            ink: color("ink", &tokens.ink)?,
            ink2: color("ink2", &tokens.ink2)?,
            accent: color("accent", &tokens.accent)?,
            series,
            font_px: tokens.font_px,
        })
    }
}

fn color(token: &str, text: &str) -> Result<Color32, String> {
    let wrong = || format!("theme: {token} is '{text}', expected #RRGGBB or #RRGGBBAA");
    let digits = text.trim().strip_prefix('#').filter(|digits| digits.is_ascii()).ok_or_else(wrong)?;
    let value = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
    let [red, green, blue, alpha] = match digits.len() {
        6 => ((value << 8) | 0xff).to_be_bytes(),
        8 => value.to_be_bytes(),
        _ => return Err(wrong()),
    };
    Ok(Color32::from_rgba_unmultiplied(red, green, blue, alpha))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LIGHT: &str =
        r##"{"panel":"#FFFFFF","line":"#DFE3E8","ink":"#1B2430","ink2":"#566273","accent":"#0B7285","series":["#0072B2"]}"##;

    #[test]
    fn the_pages_tokens_are_a_theme() {
        let theme = Theme::from_json(LIGHT).unwrap();
        assert_eq!((theme.accent, theme.font_px), (Color32::from_rgb(0x0b, 0x72, 0x85), 11.0));
    }

    #[test]
    fn a_wrong_colour_is_named() {
        for wrong in ["#0B728", "0B7285", "#ZZZZZZ", "#ä72"] {
            let error = Theme::from_json(&LIGHT.replace("#0B7285", wrong)).unwrap_err();
            assert!(error.contains("accent") && error.contains(wrong), "{error}");
        }
        assert!(Theme::from_json(&LIGHT.replace("\"#0072B2\"", "")).unwrap_err().contains("series"));
    }

    #[test]
    fn a_tile_without_area_is_not_painted() {
        let tile = |w, h| Tile { id: "a".into(), x: 0.0, y: 0.0, w, h }.rect();
        assert!(tile(100.0, 100.0).is_some());
        assert!(tile(0.0, 100.0).is_none() && tile(f32::NAN, 100.0).is_none() && tile(-50.0, -50.0).is_none());
    }

    #[test]
    fn a_chart_needs_to_say_little() {
        let config: ChartConfig = serde_json::from_str(r#"{"mark":"bar","series":[{"name":"EWR"}]}"#).unwrap();
        assert_eq!((config.mark, config.x_kind), (Mark::Bar, AxisKind::Time));
        assert!(config.series.iter().all(|series| series.visible));
    }
}
