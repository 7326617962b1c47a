//! All charts of the page: one canvas, tiled.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chart::{Chart, Hover, Visible};
use crate::config::{Theme, Tile};

/// Charts that a page may have.
const MAX_CHARTS: usize = 256;
/// Frames whose cost is remembered.
const FRAMES_SEEN: usize = 600;

#[derive(Default)]
pub struct Board {
    pub theme: Theme,
    tiles: Vec<Tile>,
    charts: BTreeMap<String, Chart>,
    pub costs: FrameCosts,
    events: Vec<Event>,
}

/// What happened under the user's hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The pointer stands on other values, or on none.
    Hover { id: String, hover: Option<Hover> },
    /// The user zoomed, moved or reset the chart.
    View { id: String, visible: Visible },
}

impl Board {
    /// The chart of that name, made if it is new.
    ///
    /// # Errors
    /// There are too many charts.
    pub fn chart(&mut self, id: &str) -> Result<&mut Chart, String> {
        if !self.charts.contains_key(id) && self.charts.len() >= MAX_CHARTS {
            return Err(format!("there are {MAX_CHARTS} charts already; remove some first"));
        }
        Ok(self.charts.entry(id.to_owned()).or_default())
    }

    pub fn known(&self, id: &str) -> Option<&Chart> {
        self.charts.get(id)
    }

    pub fn known_mut(&mut self, id: &str) -> Option<&mut Chart> {
        self.charts.get_mut(id)
    }

    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Says where charts lie. On one that is not painted the pointer stands no more.
    pub fn set_layout(&mut self, tiles: Vec<Tile>) {
        for (id, chart) in &mut self.charts {
            if !tiles.iter().any(|tile| tile.id == *id) && chart.hover.take().is_some() {
                self.events.push(Event::Hover { id: id.clone(), hover: None });
            }
        }
        self.tiles = tiles;
    }

    pub fn remove(&mut self, id: &str) {
        self.charts.remove(id);
        self.tiles.retain(|tile| tile.id != id);
    }

    pub fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// What the last frames cost the page's main thread.
#[derive(Debug, Default)]
pub struct FrameCosts {
    frames: u64,
    latest: std::collections::VecDeque<f32>,
    push_ms: f64,
    pushes: u64,
}

/// Milliseconds of script per frame over the last frames (making and painting), and per frame of points taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrameStats {
    pub frames: u64,
    pub mean_ms: f32,
    pub p99_ms: f32,
    pub max_ms: f32,
    pub pushes: u64,
    pub push_mean_ms: f64,
}

impl FrameCosts {
    pub fn frame(&mut self, ms: f32) {
        self.frames += 1;
        if self.latest.len() == FRAMES_SEEN {
            self.latest.pop_front();
        }
        self.latest.push_back(ms);
    }

    pub fn push(&mut self, ms: f64) {
        self.pushes += 1;
        self.push_ms += ms;
    }

    pub fn reset(&mut self) {
        *self = FrameCosts::default();
    }

    pub fn stats(&self) -> FrameStats {
        let mut sorted: Vec<f32> = self.latest.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let at = |share: f64| sorted.get(((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0.0);
        FrameStats {
            frames: self.frames,
            mean_ms: sorted.iter().sum::<f32>() / sorted.len().max(1) as f32,
            p99_ms: at(0.99),
            max_ms: at(1.0),
            pushes: self.pushes,
            push_mean_ms: self.push_ms / self.pushes.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_charts_of_a_page_are_bounded() {
        let mut board = Board::default();
        for id in 0..MAX_CHARTS {
            board.chart(&id.to_string()).unwrap();
        }
        assert!(board.chart("7").is_ok());
        assert!(board.chart("one more").is_err_and(|error| error.contains("256")));
        board.remove("7");
        assert!(board.chart("one more").is_ok());
    }

    #[test]
    fn the_cost_of_frames_is_told_over_the_latest() {
        let mut costs = FrameCosts::default();
        (0..1000u16).for_each(|ms| costs.frame(f32::from(ms)));
        let stats = costs.stats();
        assert_eq!((stats.frames, stats.max_ms, stats.p99_ms), (1000, 999.0, 993.0));
        assert_eq!(FrameCosts::default().stats().mean_ms, 0.0);
    }
}
