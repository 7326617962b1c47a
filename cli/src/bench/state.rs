//! What much state costs: to checkpoint, to restore, and to hold where memory is too small for it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millrace_engine::model::NodeId;
use millrace_engine::model::field;
use millrace_engine::wire::figures::{EpochFigures, EpochOutcome, JobFigures, NodeFigures};
use millrace_engine::wire::message::JobId;
use serde::Serialize;

use super::Setting;
use super::checksum::Checksum;
use super::kinds::{Seen, Stage};
use super::process;
use super::runner::Runner;
use super::spread::Spread;

/// What a key takes of the window's state, about: its place in the table, hash, key, count, greatest value and mean, with room to grow.
const BYTES_PER_KEY: u64 = 80;
/// How often figures are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a state may take to fill, or a restored run to move.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often every key comes while state does not fit in memory.
const ROUNDS: u64 = 2;

/// Windows of a day by key, which no run of a bench closes before its end.
fn pipeline(name: &str, rows: u64, every: Option<field::Duration>) -> String {
    let every = every.map_or_else(String::new, |every| format!("checkpoint_every = \"{every}\"\n"));
    format!(
        "millrace = 1\n\n[pipeline]\nname = \"bench {name}\"\n{every}\n[node.rows]\nkind = \"bench_rows\"\nrows = {rows}\nevent_time = \"t\"\n\n\
         [node.work]\nkind = \"tumbling_window\"\ninput = \"rows\"\nsize = \"1d\"\nby = [\"k\"]\n\
         aggregate = {{ n = \"count(*)\", most = \"max(v)\", mean = \"avg(v)\" }}\n\n[node.out]\nkind = \"bench_sink\"\ninput = \"work\"\n"
    )
}

/// More rows than any run of a bench takes, and fewer than close the window.
const ENDLESS: u64 = 100_000_000_000;

fn runner(setting: &Setting, budget: Option<u64>) -> anyhow::Result<(Runner, u64)> {
    let keys = (setting.state_bytes / BYTES_PER_KEY).max(1);
    let spread = Arc::new(Spread::new(setting.batch_rows, keys));
    Ok((Runner::with_budget(Stage::new(spread), setting.parallelism, budget)?, keys))
}

/// A run that is watched.
struct Watched<'a> {
    runner: &'a Runner,
    job: JobId,
    seen: Arc<Seen>,
}

impl<'a> Watched<'a> {
    async fn start(runner: &'a Runner, text: &str, look: Duration) -> anyhow::Result<Watched<'a>> {
        let (job, seen) = runner.start(text).await?;
        runner.client().watch_figures(job, look).await?;
        Ok(Watched { runner, job, seen })
    }

    /// Waits until the figures are as they should be, and gives them.
    async fn until<T>(&self, what: &str, is_there: impl Fn(&JobFigures) -> Option<T>) -> anyhow::Result<T> {
        let mut view = self.runner.client().view(self.job).context("the run is not known")?;
        let wait = async {
            loop {
                let now = view.borrow_and_update().clone();
                if let Some(found) = now.figures.as_ref().and_then(|seen| is_there(&seen.figures)) {
                    return Ok(found);
                }
                if let Some(ended) = now.ended {
                    let cause = ended.cause.as_ref().map_or_else(String::new, |cause| format!(": {}", cause.diagnostic));
                    bail!("the run ended before {what}{cause}");
                }
                view.changed().await.context("the engine is gone")?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.with_context(|| format!("after {} s, not yet: {what}", PATIENCE.as_secs()))?
    }

    /// Waits until every key has its state.
    async fn filled(&self, keys: u64) -> anyhow::Result<NodeFigures> {
        self.until("all keys had come", |figures| work(figures).filter(|work| work.state_rows >= keys && work.rows_in > keys)).await
    }
}

fn work(figures: &JobFigures) -> Option<NodeFigures> {
    figures.nodes.get(&NodeId::new("work")).cloned()
}

fn is_complete(epoch: &EpochFigures) -> bool {
    epoch.outcome == EpochOutcome::Complete
}

/// What epochs cost a stream with much state.
#[derive(Debug, Clone, Serialize)]
pub struct Checkpoint {
    pub name: &'static str,
    pub keys: u64,
    pub parallelism: u32,
    /// As the engine says it.
    pub state_bytes: u64,
    pub checkpoint_every: String,
    pub rows_per_second: f64,
    pub rows_per_second_without: f64,
    /// Before the run with epochs, and after it.
    pub rows_per_second_without_range: [f64; 2],
    /// How much is lost, in hundredths.
    pub cost_percent: f64,
    pub cpu_seconds: Option<f64>,
    pub peak_rss_bytes: Option<u64>,
    /// The longest time in which a source could not hand out its next batch.
    pub longest_wait_ms: f64,
    pub longest_wait_without_ms: f64,
    pub epochs: usize,
    /// Of the largest epoch, on disk.
    pub epoch_bytes: u64,
    /// From the barriers until every task had handed over what it holds, and until it was at rest; the longest.
    pub handed_over_ms: f64,
    pub at_rest_ms: f64,
}

/// The rate while a state is full, and the longest wait.
struct Steady {
    rate: f64,
    longest_wait: Duration,
    state_bytes: u64,
    cpu_seconds: Option<f64>,
    epochs: Vec<EpochFigures>,
}

/// Fills a state, then measures for so long; from the beginning of an epoch on, if there are epochs.
async fn steady(setting: &Setting, name: &str, every: Option<field::Duration>) -> anyhow::Result<(u64, Steady)> {
    let (runner, keys) = runner(setting, None)?;
    let run = Watched::start(&runner, &pipeline(name, ENDLESS, every), LOOK).await?;
    let state_bytes = run.filled(keys).await?.state_bytes;
    let newest = |figures: &JobFigures| figures.epochs.last().map_or(0, |epoch| epoch.epoch);
    let first = match every {
        None => 0,
        Some(_) => {
            let now = run.until("figures", |figures| Some(newest(figures))).await?;
            // The one under way may have begun before all keys were there.
            run.until("an epoch of the full state had begun", |figures| Some(newest(figures)).filter(|epoch| *epoch > now)).await?
        }
    };
    let look = |figures: &JobFigures| work(figures).map(|work| (work.rows_in, figures.elapsed_ms));
    let (rows_before, begun_ms) = run.until("figures", look).await?;
    run.seen.take_longest_wait();
    let cpu = process::cpu_seconds();
    let long_enough = |figures: &JobFigures| {
        let measured = Duration::from_millis(figures.elapsed_ms.saturating_sub(begun_ms));
        let of_it = figures.epochs.iter().filter(|epoch| epoch.epoch >= first && is_complete(epoch));
        let is_long = measured >= setting.seconds && (every.is_none() || of_it.count() > 0);
        look(figures).filter(|_| is_long).map(|now| (now, figures.epochs.clone()))
    };
    let ((rows, ended_ms), epochs) = run.until("enough was measured", long_enough).await?;
    let cpu_seconds = process::cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    let longest_wait = run.seen.take_longest_wait();
    runner.abort(run.job).await?;
    let rate = (rows - rows_before) as f64 / ((ended_ms - begun_ms) as f64 / 1e3);
    let epochs = epochs.into_iter().filter(|epoch| epoch.epoch >= first && is_complete(epoch)).collect();
    Ok((keys, Steady { rate, longest_wait, state_bytes, cpu_seconds, epochs }))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The same stream without epochs and with them.
pub async fn checkpoint(setting: &Setting) -> anyhow::Result<Checkpoint> {
    let every = setting.checkpoint_every.unwrap_or(field::Duration::from_secs(10));
    let (_, without) = steady(setting, "checkpoint, without", None).await?;
    let (keys, with) = steady(setting, "checkpoint", Some(every)).await?;
    // Before and after: what a process is given of memory hangs on what it had before, and tables of this size are as fast as that lets them.
    let (_, after) = steady(setting, "checkpoint, without", None).await?;
    let rate_without = f64::midpoint(without.rate, after.rate);
    let longest = |time: fn(&EpochFigures) -> u64| with.epochs.iter().map(time).max().unwrap_or(0) as f64 / 1e3;
    Ok(Checkpoint {
        name: "checkpoint",
        keys,
        parallelism: setting.parallelism,
        state_bytes: with.state_bytes,
        checkpoint_every: every.to_string(),
        rows_per_second: with.rate,
        rows_per_second_without: rate_without,
        rows_per_second_without_range: [without.rate.min(after.rate), without.rate.max(after.rate)],
        cost_percent: (1.0 - with.rate / rate_without) * 100.0,
        cpu_seconds: with.cpu_seconds,
        peak_rss_bytes: process::peak_rss_bytes(),
        longest_wait_ms: milliseconds(with.longest_wait),
        longest_wait_without_ms: milliseconds(without.longest_wait.max(after.longest_wait)),
        epochs: with.epochs.len(),
        epoch_bytes: with.epochs.iter().map(|epoch| epoch.bytes).max().unwrap_or(0),
        handed_over_ms: longest(|epoch| epoch.aligning_us),
        at_rest_ms: longest(|epoch| epoch.aligning_us + epoch.writing_us),
    })
}

/// How soon a run goes on that has much state.
#[derive(Debug, Clone, Serialize)]
pub struct Restore {
    pub name: &'static str,
    pub keys: u64,
    pub parallelism: u32,
    pub state_bytes: u64,
    /// On disk.
    pub epoch_bytes: u64,
    /// From the start of an engine to the first row that the window takes.
    pub seconds: f64,
    pub cpu_seconds: Option<f64>,
    pub peak_rss_bytes: Option<u64>,
}

/// Has an epoch of a full state, takes the run and its engine away, and times another that goes on.
pub async fn restore(setting: &Setting) -> anyhow::Result<Restore> {
    let (runner, keys) = runner(setting, None)?;
    let every = setting.checkpoint_every.unwrap_or(field::Duration::from_secs(2));
    let text = pipeline("restore", ENDLESS, Some(every));
    let run = Watched::start(&runner, &text, LOOK).await?;
    let state_bytes = run.filled(keys).await?.state_bytes;
    let newest = |figures: &JobFigures| figures.epochs.last().map_or(0, |epoch| epoch.epoch);
    let now = run.until("figures", |figures| Some(newest(figures))).await?;
    let full = |figures: &JobFigures| figures.epochs.iter().rev().find(|epoch| epoch.epoch > now && is_complete(epoch)).cloned();
    let epoch = run.until("an epoch of the full state was complete", full).await?;
    runner.abort(run.job).await?;
    let (began, cpu) = (Instant::now(), process::cpu_seconds());
    let runner = runner.anew()?;
    let run = Watched::start(&runner, &text, Duration::from_millis(1)).await?;
    // Counts go on from those of the epoch.
    let counted =
        run.until("the run had its counts again", |figures| work(figures).map(|work| work.rows_in).filter(|rows| *rows > 0)).await?;
    run.until("a row had come", |figures| work(figures).filter(|work| work.rows_in > counted)).await?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_seconds = process::cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    let restored = run.until("its state", |figures| work(figures).filter(|work| work.state_rows > 0)).await?.state_rows;
    runner.abort(run.job).await?;
    if restored != keys {
        bail!("{restored} keys came back of {keys}");
    }
    Ok(Restore {
        name: "restore",
        keys,
        parallelism: setting.parallelism,
        state_bytes,
        epoch_bytes: epoch.bytes,
        seconds,
        cpu_seconds,
        peak_rss_bytes: process::peak_rss_bytes(),
    })
}

/// How fast a stream is whose state does not fit in memory.
#[derive(Debug, Clone, Serialize)]
pub struct Spill {
    pub name: &'static str,
    pub keys: u64,
    pub events: u64,
    pub parallelism: u32,
    /// In memory, as the engine says it of the run that may hold all.
    pub state_bytes: u64,
    pub budget_bytes: u64,
    pub rows_per_second: f64,
    pub rows_per_second_in_memory: f64,
    pub ratio: f64,
    pub cpu_seconds: Option<f64>,
    /// Of the run that had the budget.
    pub peak_rss_bytes: Option<u64>,
    /// The most that lay on disk.
    pub disk_bytes: u64,
}

struct Whole {
    elapsed: Duration,
    cpu_seconds: Option<f64>,
    checksum: Checksum,
    state_bytes: u64,
    disk_bytes: u64,
}

/// Runs from the first row until every window is out.
async fn whole(setting: &Setting, budget: Option<u64>) -> anyhow::Result<(u64, u64, Whole)> {
    let (runner, keys) = runner(setting, budget)?;
    let rows = (keys * ROUNDS).next_multiple_of(setting.batch_rows * u64::from(setting.parallelism));
    let (began, cpu) = (Instant::now(), process::cpu_seconds());
    let run = Watched::start(&runner, &pipeline("spill", rows, None), Duration::from_millis(200)).await?;
    let (mut state_bytes, mut disk_bytes) = (0, 0);
    let mut view = runner.client().view(run.job).context("the run is not known")?;
    while view.borrow().ended.is_none() {
        let now = view.borrow_and_update().figures.as_ref().and_then(|seen| work(&seen.figures));
        state_bytes = now.map_or(0, |work| work.state_bytes).max(state_bytes);
        disk_bytes = bytes_below(&runner.folder().join(".millrace")).max(disk_bytes);
        view.changed().await.context("the engine is gone")?;
    }
    let elapsed = began.elapsed();
    runner.finish(run.job).await?;
    let cpu_seconds = process::cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    Ok((keys, rows, Whole { elapsed, cpu_seconds, checksum: run.seen.checksum(), state_bytes, disk_bytes }))
}

/// The same rows under a budget, and without one.
pub async fn spill(setting: &Setting) -> anyhow::Result<Spill> {
    let needed = setting.state_bytes.saturating_mul(3) / 2;
    if let Some(there) = process::available_bytes().filter(|there| *there < needed) {
        bail!("for comparison all state is held in memory, which needs {needed} bytes, and {there} are free: give less --state-bytes");
    }
    let (keys, events, on_disk) = whole(setting, Some(setting.budget)).await?;
    let peak_rss_bytes = process::peak_rss_bytes();
    let (_, _, in_memory) = whole(setting, Some(u64::MAX / 2)).await?;
    if !on_disk.checksum.agrees(&in_memory.checksum) {
        bail!("the results differ\n  on disk   {:?}\n  in memory {:?}", on_disk.checksum, in_memory.checksum);
    }
    if on_disk.checksum.rows != keys {
        bail!("{} results came of {keys} keys", on_disk.checksum.rows);
    }
    let rate = |run: &Whole| events as f64 / run.elapsed.as_secs_f64();
    Ok(Spill {
        name: "spill",
        keys,
        events,
        parallelism: setting.parallelism,
        state_bytes: in_memory.state_bytes,
        budget_bytes: setting.budget,
        rows_per_second: rate(&on_disk),
        rows_per_second_in_memory: rate(&in_memory),
        ratio: rate(&on_disk) / rate(&in_memory),
        cpu_seconds: on_disk.cpu_seconds,
        peak_rss_bytes,
        disk_bytes: on_disk.disk_bytes,
    })
}

/// What all files below a folder take. What goes away meanwhile counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() })
        })
        .sum()
}
