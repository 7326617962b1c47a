//! What stands around a chart: its title, axes, legend. The points travel in chart frames.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A `dashboard` node's chart, sent when it changes and at 2 Hz while rows come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ChartInfo {
    pub node: String,
    pub title: String,
    pub mark: ChartMark,
    pub x: ChartAxis,
    pub y: ChartAxis,
    /// In the order of their colours and markers; a chart frame counts series by this order.
    pub series: Vec<ChartSeries>,
    /// Rows held, and rows let go because the buffer is bounded.
    pub rows: f64,
    pub dropped_rows: f64,
    /// Why there is nothing to show yet, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waits_for: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ChartMark {
    Line,
    Bar,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ChartAxis {
    pub column: String,
    pub kind: AxisKind,
    /// `minutes`, `%`; empty where it is not known.
    pub unit: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AxisKind {
    Time,
    Number,
    Category,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ChartSeries {
    /// The value of the series column; the y column's name where there is one series.
    pub name: String,
    /// The newest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub latest: Option<f64>,
}
