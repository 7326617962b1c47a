//! What dashboards hold: points for the charts, rows for their tables. Bounded; the oldest rows go first, and are counted.

use std::collections::{BTreeMap, VecDeque};

use millrace_engine::expr::as_text;
use millrace_engine::model::{DataType, NodeDecl, Schema};
use millrace_studio_api::chart_frame::{MAX_NAME_BYTES, MAX_POINTS, MAX_SERIES};
use millrace_studio_api::{AxisKind, ChartAxis, ChartFrame, ChartInfo, ChartMark, ChartSeries, RowsPage};
use polars::prelude::{Column, DataFrame, DataType as PlDataType};
use serde::Deserialize;

use super::rows;

/// Most rows that a chart holds.
const MAX_ROWS: usize = 200_000;

/// A dashboard's `plot` field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Plot {
    x: String,
    y: String,
    #[serde(default)]
    series: Option<String>,
    #[serde(default)]
    mark: Option<String>,
}

/// One dashboard's rows.
pub struct ChartBuffer {
    node: String,
    plot: Plot,
    x: ChartAxis,
    y: ChartAxis,
    stream: u32,
    sequence: u64,
    frames: VecDeque<DataFrame>,
    points: VecDeque<Point>,
    /// How many points came before the first that is held.
    before: u64,
    dropped: u64,
    series: Vec<String>,
    series_index: BTreeMap<String, u16>,
    latest: Vec<Option<f64>>,
    categories: Vec<String>,
    category_index: BTreeMap<String, u32>,
    newest_stamp_us: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
    series: u16,
}

impl ChartBuffer {
    /// An empty chart of a dashboard. `stream` tells its points from those of another run.
    pub fn new(node: &NodeDecl, input: &Schema, stream: u32) -> Option<ChartBuffer> {
        let plot: Plot = serde_json::from_value(node.spec.get("plot")?.clone()).ok()?;
        let axis = |column: &str| ChartAxis { column: column.to_owned(), kind: axis_kind(input, column), unit: unit(column).to_owned() };
        Some(ChartBuffer {
            node: node.id.to_string(),
            x: axis(&plot.x),
            y: axis(&plot.y),
            plot,
            stream,
            sequence: 0,
            frames: VecDeque::new(),
            points: VecDeque::new(),
            before: 0,
            dropped: 0,
            series: Vec::new(),
            series_index: BTreeMap::new(),
            latest: Vec::new(),
            categories: Vec::new(),
            category_index: BTreeMap::new(),
            newest_stamp_us: None,
        })
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// Whether both show the same columns in the same way.
    pub fn draws_as(&self, other: &ChartBuffer) -> bool {
        (&self.plot, &self.x, &self.y) == (&other.plot, &other.x, &other.y)
    }

    /// Where the points end: what a reader that has everything has come to.
    pub fn end(&self) -> u64 {
        self.before + self.points.len() as u64
    }

    /// Adds rows as they came. `dropped` rows before them were let go on the way.
    pub fn push(&mut self, frame: DataFrame, dropped: u64, newest_stamp_us: i64) {
        self.dropped += dropped;
        self.newest_stamp_us = Some(newest_stamp_us);
        let xs = self.xs(&frame);
        let ys = frame.column(&self.plot.y).ok().map(numbers).unwrap_or_else(|| vec![f64::NAN; frame.height()]);
        let names = self.plot.series.as_ref().and_then(|series| frame.column(series).ok());
        let names = names.and_then(|column| as_text(column.as_materialized_series()).ok());
        for (row, (x, y)) in xs.into_iter().zip(ys).enumerate() {
            let series = match (&self.plot.series, &names) {
                (Some(_), Some(names)) => self.series_of(names.get(row).unwrap_or("NULL")),
                _ => self.series_of(&self.plot.y.clone()),
            };
            if let Some(latest) = self.latest.get_mut(usize::from(series)) {
                *latest = y.is_finite().then_some(y);
            }
            self.points.push_back(Point { x, y, series });
        }
        self.frames.push_back(frame);
        while self.points.len() > MAX_ROWS {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.points.drain(..oldest.height().min(self.points.len()));
            self.before += oldest.height() as u64;
            self.dropped += oldest.height() as u64;
        }
    }

    fn xs(&mut self, frame: &DataFrame) -> Vec<f64> {
        let Ok(column) = frame.column(&self.plot.x) else { return vec![f64::NAN; frame.height()] };
        if self.x.kind != AxisKind::Category {
            return numbers(column);
        }
        let Ok(names) = as_text(column.as_materialized_series()) else { return vec![f64::NAN; frame.height()] };
        names.iter().map(|name| f64::from(self.category_of(name.unwrap_or("NULL")))).collect()
    }

    fn category_of(&mut self, name: &str) -> u32 {
        if let Some(at) = self.category_index.get(name) {
            return *at;
        }
        let at = self.categories.len() as u32;
        if self.categories.len() < millrace_studio_api::chart_frame::MAX_CATEGORIES {
            self.categories.push(shortened(name));
            self.category_index.insert(name.to_owned(), at);
            return at;
        }
        at - 1
    }

    /// The series of a name; beyond what a chart can show, the last one gathers the rest.
    fn series_of(&mut self, name: &str) -> u16 {
        if let Some(at) = self.series_index.get(name) {
            return *at;
        }
        let at = self.series.len();
        if at < MAX_SERIES {
            self.series.push(if at == MAX_SERIES - 1 { "others".to_owned() } else { shortened(name) });
            self.latest.push(None);
        }
        let at = at.min(MAX_SERIES - 1) as u16;
        if self.series_index.len() < 16 * MAX_SERIES {
            self.series_index.insert(name.to_owned(), at);
        }
        at
    }

    /// The points from `from` on, at most one frame of them, and where they end. A reader that has fallen behind what is held, or
    /// begins, is told to replace what it has.
    pub fn frame_from(&mut self, from: Option<u64>) -> Option<(ChartFrame, u64)> {
        let replaces = from.is_none_or(|from| from < self.before);
        let start = if replaces { self.before } else { from.unwrap_or(self.before) };
        let skip = (start - self.before) as usize;
        if skip >= self.points.len() && !replaces {
            return None;
        }
        let taken: Vec<Point> = self.points.iter().skip(skip).take(MAX_POINTS).copied().collect();
        self.sequence += 1;
        let end = start + taken.len() as u64;
        let frame = ChartFrame {
            replaces,
            stream: self.stream,
            sequence: self.sequence,
            newest_stamp_us: self.newest_stamp_us.filter(|_| end == self.end()),
            series: self.series.clone(),
            categories: self.categories.clone(),
            x: taken.iter().map(|point| point.x).collect(),
            y: taken.iter().map(|point| point.y).collect(),
            series_of: taken.iter().map(|point| point.series).collect(),
        };
        Some((frame, end))
    }

    /// What stands around the chart.
    pub fn info(&self, waits_for: Option<String>) -> ChartInfo {
        let series = self.series.iter().zip(&self.latest).map(|(name, latest)| ChartSeries { name: name.clone(), latest: *latest });
        ChartInfo {
            node: self.node.clone(),
            title: self.title(),
            mark: if self.plot.mark.as_deref() == Some("bar") { ChartMark::Bar } else { ChartMark::Line },
            x: self.x.clone(),
            y: self.y.clone(),
            series: series.collect(),
            rows: self.points.len() as f64,
            dropped_rows: self.dropped as f64,
            waits_for,
        }
    }

    /// `mean delay by origin`, with a capital.
    fn title(&self) -> String {
        let words = |column: &str| column.replace('_', " ");
        let mut title = words(&self.plot.y);
        if let Some(series) = &self.plot.series {
            title = format!("{title} by {}", words(series));
        }
        let mut letters = title.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// Rows counted from the newest backwards, cut by x.
    pub fn page(&self, x_from: Option<f64>, x_to: Option<f64>, offset: usize, limit: usize) -> RowsPage {
        let inside = |x: f64| x_from.is_none_or(|from| x >= from) && x_to.is_none_or(|to| x <= to);
        let chosen: Vec<usize> = self.points.iter().enumerate().filter(|(_, point)| inside(point.x)).map(|(at, _)| at).collect();
        let end = chosen.len().saturating_sub(offset);
        let wanted = chosen.get(end.saturating_sub(limit)..end).unwrap_or_default();
        let mut page =
            RowsPage { columns: self.frames.back().map(rows::columns).unwrap_or_default(), rows: Vec::new(), total: chosen.len() as f64 };
        let mut start = 0;
        for frame in &self.frames {
            let stop = start + frame.height();
            let from = wanted.partition_point(|at| *at < start);
            let to = wanted.partition_point(|at| *at < stop);
            if from < to {
                let texts = rows::texts(frame);
                page.rows.extend(wanted.get(from..to).unwrap_or_default().iter().filter_map(|at| texts.get(at - start).cloned()));
            }
            start = stop;
        }
        page
    }
}

fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}

/// Times as milliseconds, NULL as NaN.
fn numbers(column: &Column) -> Vec<f64> {
    let series = column.as_materialized_series();
    let scale = match column.dtype() {
        PlDataType::Datetime(..) => 1e-3,
        PlDataType::Date => 86_400_000.0,
        _ => 1.0,
    };
    let cast = series.to_physical_repr().cast(&PlDataType::Float64);
    match cast.as_ref().map(|cast| cast.f64()) {
        Ok(Ok(values)) => values.iter().map(|value| value.map_or(f64::NAN, |value| value * scale)).collect(),
        _ => vec![f64::NAN; series.len()],
    }
}

fn axis_kind(schema: &Schema, column: &str) -> AxisKind {
    match schema.field(column).map(|field| field.data_type) {
        Some(data_type) if data_type.is_temporal() => AxisKind::Time,
        Some(data_type) if data_type.is_numeric() => AxisKind::Number,
        Some(DataType::Varchar | DataType::Boolean) => AxisKind::Category,
        _ => AxisKind::Number,
    }
}

/// The unit that a column's name tells, by its last word.
fn unit(column: &str) -> &'static str {
    match column.rsplit('_').next().unwrap_or_default() {
        "percent" | "pct" => "%",
        "ms" => "ms",
        "s" | "seconds" => "s",
        "min" | "minutes" => "min",
        "bytes" => "B",
        "kb" => "KB",
        "mb" => "MB",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    fn buffer() -> ChartBuffer {
        let schema = Schema::new(vec![
            millrace_engine::model::Field::new("t", DataType::BigInt),
            millrace_engine::model::Field::new("v", DataType::Double),
            millrace_engine::model::Field::new("origin", DataType::Varchar),
        ]);
        let spec = serde_json::json!({ "plot": { "x": "t", "y": "v", "series": "origin" } });
        let node = NodeDecl {
            id: "chart".into(),
            kind: "dashboard".to_owned(),
            inputs: Vec::new(),
            spec,
            common: Default::default(),
            source: Default::default(),
            sink: Default::default(),
            spans: Default::default(),
        };
        ChartBuffer::new(&node, &schema, 1).unwrap()
    }

    fn rows(from: i64, count: i64) -> DataFrame {
        let t: Vec<i64> = (from..from + count).collect();
        let v: Vec<Option<f64>> = t.iter().map(|t| (t % 7 != 0).then_some(*t as f64)).collect();
        let origin: Vec<&str> = t.iter().map(|t| if t % 2 == 0 { "JFK" } else { "EWR" }).collect();
        df!("t" => t, "v" => v, "origin" => origin).unwrap()
    }

    #[test]
    fn a_reader_gets_all_that_is_held_then_only_what_comes() {
        let mut chart = buffer();
        chart.push(rows(0, 10), 0, 5);
        let (frame, end) = chart.frame_from(None).unwrap();
        assert!(frame.replaces);
        assert_eq!((frame.x.len(), end, frame.newest_stamp_us), (10, 10, Some(5)));
        assert_eq!(frame.series, ["JFK", "EWR"]);
        assert!(frame.y[0].is_nan());
        assert!(chart.frame_from(Some(end)).is_none());
        chart.push(rows(10, 3), 0, 6);
        let (frame, end) = chart.frame_from(Some(end)).unwrap();
        assert!(!frame.replaces);
        assert_eq!((frame.x, end), (vec![10.0, 11.0, 12.0], 13));
    }

    #[test]
    fn the_oldest_rows_go_first_and_a_reader_left_behind_starts_anew() {
        let mut chart = buffer();
        for block in 0..5 {
            chart.push(rows(block * 50_000, 50_000), 0, 1);
        }
        assert_eq!(chart.info(None).dropped_rows, 50_000.0);
        let (frame, _) = chart.frame_from(Some(10)).unwrap();
        assert!(frame.replaces);
        assert_eq!(frame.x[0], 50_000.0);
    }

    #[test]
    fn a_page_counts_from_the_newest_row_backwards() {
        let mut chart = buffer();
        chart.push(rows(0, 10), 0, 1);
        chart.push(rows(10, 10), 0, 1);
        let page = chart.page(None, None, 0, 3);
        let t: Vec<Option<String>> = page.rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(t, ["17", "18", "19"].map(|t| Some(t.to_owned())));
        let page = chart.page(Some(5.0), Some(12.0), 2, 4);
        let t: Vec<Option<String>> = page.rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(t, ["7", "8", "9", "10"].map(|t| Some(t.to_owned())));
        assert_eq!(page.total, 8.0);
    }
}
