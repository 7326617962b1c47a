//! How long a run pauses that is rescaled while it is under way.
//!
//! The pipeline is that of `failover`, in this process: state that was filled as fast as rows come, then rows by the clock, a thousand a second,
//! which are shown. The run goes from some tasks to twice as many, and back.

use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_engine::model::{NodeId, field};
use millrace_engine::runtime::data_runtime::DataPriority;
use millrace_engine::wire::change::Scale;
use millrace_engine::wire::figures::JobFigures;
use serde::Serialize;

use super::Setting;
use super::failover::{BYTES_PER_KEY, PATIENCE, Run, part, pipeline, shown};
use super::process;
use super::runner::Folder;
use crate::check::engine;

/// How long a run pauses.
#[derive(Debug, Clone, Serialize)]
pub struct Rescale {
    pub name: &'static str,
    pub state_bytes: u64,
    /// Of the newest epoch, on disk.
    pub epoch_bytes: u64,
    /// Tasks of each node, before and after; then the other way round.
    pub tasks: [u32; 2],
    pub times: usize,
    /// From the barrier behind which nothing was read any more to the first row after it.
    pub pause_p50_ms: f64,
    pub pause_p95_ms: f64,
    pub pause_max_ms: f64,
    /// The longest that no row was shown, where one is due every millisecond.
    pub gap_p50_ms: f64,
    pub gap_p95_ms: f64,
    /// Of the machine, for a minute, before the first and after the last.
    pub load: [Option<f64>; 2],
}

/// What one change cost, in milliseconds.
struct Cost {
    pause: f64,
    gap: f64,
}

impl Run {
    async fn rescaled(&mut self, parallelism: u32) -> anyhow::Result<Cost> {
        let client = self.client.clone();
        let mut scaling = Box::pin(client.scale(self.job, Scale { parallelism: Some(parallelism), ..Scale::default() }));
        let (mut pause, mut last, mut gap) = (None, Instant::now(), Duration::ZERO);
        loop {
            tokio::select! {
                changed = &mut scaling, if pause.is_none() => pause = Some(changed?.pause_us as f64 / 1e3),
                shown = shown(&client) => {
                    self.newest = self.newest.max(shown?);
                    gap = gap.max(last.elapsed());
                    last = Instant::now();
                    if let Some(pause) = pause {
                        return Ok(Cost { pause, gap: gap.as_secs_f64() * 1e3 });
                    }
                }
            }
        }
    }
}

/// Rescales a run again and again, and times each.
pub async fn rescale(setting: &Setting) -> anyhow::Result<Rescale> {
    let load_before = process::load();
    let every = setting.checkpoint_every.unwrap_or(field::Duration::from_secs(2));
    let period = Duration::from_micros(u64::try_from(every.micros).unwrap_or(0));
    let keys = (setting.state_bytes / BYTES_PER_KEY).max(1);
    let folder = Folder::new()?;
    let engine = engine(Vec::new(), DataPriority::Equal, None)?;
    let tasks = [setting.parallelism, setting.parallelism * 2];
    let mut run = Run::start(engine.session(), pipeline(keys, every), folder.path(), setting.parallelism).await?;
    let full =
        |figures: &JobFigures| figures.nodes.get(&NodeId::new("work")).filter(|work| work.state_rows >= keys).map(|work| work.state_bytes);
    let state_bytes = run.until("all keys had come", full).await?;
    let (mut costs, mut epoch_bytes) = (Vec::new(), 0);
    for n in 0..setting.repeat as usize {
        epoch_bytes = run.epoch().await?;
        // All tenths of the time between two epochs, in another order.
        run.rest(period * (n * 7 % 10) as u32 / 10).await?;
        let [few, many] = tasks;
        let to = if n % 2 == 0 { many } else { few };
        costs.push(tokio::time::timeout(PATIENCE, run.rescaled(to)).await.context("the run does not go on")??);
    }
    let sorted = |of: fn(&Cost) -> f64| {
        let mut times: Vec<f64> = costs.iter().map(of).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (pauses, gaps) = (sorted(|cost| cost.pause), sorted(|cost| cost.gap));
    Ok(Rescale {
        name: "rescale",
        state_bytes,
        epoch_bytes,
        tasks,
        times: costs.len(),
        pause_p50_ms: part(&pauses, 0.5),
        pause_p95_ms: part(&pauses, 0.95),
        pause_max_ms: part(&pauses, 1.0),
        gap_p50_ms: part(&gaps, 0.5),
        gap_p95_ms: part(&gaps, 0.95),
        load: [load_before, process::load()],
    })
}
