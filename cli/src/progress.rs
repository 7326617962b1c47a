//! A line on the terminal while a run lives, nothing in a pipe; and what the run had to get over, in either.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millrace_engine::cluster::EngineClient;
use millrace_engine::inspect::Inspection;
use millrace_engine::model::{NodeId, Timestamp};
use millrace_engine::wire::figures::JobFigures;
use millrace_engine::wire::message::{Event, JobId};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinHandle;

use crate::output::complain;
use crate::run::grouped;

/// Notices that tell what a run had to get over, what it goes on without, its alerts, and what it changes by itself.
const TOLD: [&str; 9] = [
    "restarted",
    "checkpoint_failed",
    "checkpoint_slow",
    "state_changed",
    "alert_firing",
    "alert_resolved",
    "alert_not_told",
    "autoscaled",
    "autoscale_refused",
];

/// What comes after the end of a run is not waited for any longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

const EVERY: Duration = Duration::from_millis(250);

/// The line, and the task that keeps it.
pub struct Progress {
    line: Option<(ProgressBar, JoinHandle<()>)>,
    told: JoinHandle<()>,
}

impl Progress {
    pub fn start(client: &EngineClient, events: Receiver<Event>, job: JobId, inspection: &Inspection) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { line: None, told: tokio::spawn(tell(events, job, None)) };
        }
        let nodes = inspection.pipeline.iter().flat_map(|pipeline| &pipeline.nodes);
        let sources: Vec<NodeId> = nodes.filter(|node| node.inputs.is_empty()).map(|node| node.id.clone()).collect();
        let bar = ProgressBar::with_draw_target(Some(1_000), ProgressDrawTarget::stderr_with_hz(4));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let told = tokio::spawn(tell(events, job, Some(bar.clone())));
        let task = tokio::spawn(keep(client.clone(), job, sources, bar.clone()));
        Progress { line: Some((bar, task)), told }
    }

    pub async fn finish(self) {
        let _ = tokio::time::timeout(LAST_WORDS, self.told).await;
        if let Some((bar, task)) = self.line {
            task.abort();
            bar.finish_and_clear();
        }
    }
}

/// Tells notices as they come, above the line if there is one, until the run is over.
async fn tell(mut events: Receiver<Event>, job: JobId, line: Option<ProgressBar>) {
    loop {
        let notice = match events.recv().await {
            Ok(Event::Notice { job: of, notice }) if of == job && TOLD.contains(&notice.kind.as_str()) => notice,
            Ok(Event::Ended { job: of, .. }) if of == job => return,
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let times = if notice.count > 1 { format!(" ({} times)", notice.count) } else { String::new() };
        let text = format!("{}: {}{times}", notice.kind, notice.message);
        match &line {
            Some(line) => line.suspend(|| complain(&text)),
            None => complain(&text),
        }
    }
}

async fn keep(client: EngineClient, job: JobId, sources: Vec<NodeId>, bar: ProgressBar) {
    if client.watch_figures(job, EVERY).await.is_err() {
        return;
    }
    let Some(mut view) = client.view(job) else { return };
    let mut before: Option<(u64, u64)> = None;
    while view.changed().await.is_ok() {
        let Some(seen) = view.borrow_and_update().figures.clone() else { continue };
        let rows = rows_in(&seen.figures, &sources);
        bar.set_message(line(&seen.figures, &sources, before));
        bar.tick();
        if before.is_none_or(|(_, at)| at < seen.figures.elapsed_ms) {
            before = Some((rows, seen.figures.elapsed_ms));
        }
    }
}

fn rows_in(figures: &JobFigures, sources: &[NodeId]) -> u64 {
    sources.iter().filter_map(|source| figures.nodes.get(source)).map(|source| source.rows_in).sum()
}

/// `812,000 rows/s  watermark 2013-06-03 04:10  late 1,203  62 %`
fn line(figures: &JobFigures, sources: &[NodeId], before: Option<(u64, u64)>) -> String {
    let (rows_before, at_before) = before.unwrap_or_default();
    let seconds = figures.elapsed_ms.saturating_sub(at_before).max(1) as f64 / 1e3;
    let per_second = rows_in(figures, sources).saturating_sub(rows_before) as f64 / seconds;
    let of = || sources.iter().filter_map(|source| figures.nodes.get(source));
    let mut parts = vec![format!("{} rows/s", grouped(per_second as u64))];
    let watermark = of().filter_map(|source| source.watermark).min();
    if let Some(watermark) = watermark.filter(|watermark| *watermark != Timestamp::MIN && *watermark != Timestamp::MAX) {
        parts.push(format!("watermark {}", watermark.to_rfc3339().get(..16).unwrap_or_default().replace('T', " ")));
    }
    parts.push(format!("late {}", grouped(figures.nodes.values().map(|node| node.late).sum())));
    let shares: Vec<f64> = of().filter_map(|source| source.progress).map(|part| part.done as f64 / part.total.max(1) as f64).collect();
    if !shares.is_empty() && shares.len() == sources.len() {
        parts.push(format!("{:.0} %", shares.iter().sum::<f64>() / shares.len() as f64 * 100.0));
    }
    parts.join("   ")
}
