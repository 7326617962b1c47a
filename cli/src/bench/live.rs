//! What a pipeline is like while it lives: how late its results are, how soon it starts, what it costs when nothing comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::Setting;
use super::kinds::Stage;
use super::prepared::Prepared;
use super::process;
use super::runner::Runner;
use super::table::Table;
use super::throughput;
use super::workload::{self, Variant};

/// Results of the first windows are left out: memory is taken then, and code read.
const WARM_UP: f64 = 0.2;
/// Starts that are timed.
const STARTS: usize = 50;
/// Pipelines that idle together.
const IDLE_PIPELINES: u64 = 1_000;
/// Rows in a batch while latency counts.
const LATENCY_BATCH_ROWS: u64 = 4096;

/// How late results are at half the highest rate.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub name: &'static str,
    pub rows_per_second: f64,
    pub keys: u64,
    pub parallelism: u32,
    pub results: usize,
    pub cpu_seconds: Option<f64>,
    pub peak_rss_bytes: Option<u64>,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Sends rows at a steady pace through windows of 100 ms, and notes for every result how long after the row that closed its window was
/// to be sent it reached the sink.
pub async fn latency(setting: &Setting) -> anyhow::Result<Latency> {
    let highest = match setting.pace {
        Some(_) => None,
        None => {
            let tumble = workload::find("tumble").context("the bench `tumble` is not there")?;
            Some(throughput::engine_rate(tumble, setting).await?)
        }
    };
    let pace = setting.pace.or(highest.map(|rate| rate / 2.0)).unwrap_or(1e6);
    let table = Arc::new(Table::new(LATENCY_BATCH_ROWS, setting.keys));
    let rows = ((pace * setting.seconds.as_secs_f64()) as u64).next_multiple_of(table.batch_rows() * u64::from(setting.parallelism));
    let runner = Runner::new(Stage::new(table), setting.parallelism, 1)?;
    let cpu = process::cpu_seconds();
    let (job, seen) = runner
        .start(&format!(
            "millrace = 1\n\n[pipeline]\nname = \"bench latency\"\n\n[node.rows]\nkind = \"bench_rows\"\nrows = {rows}\npace = {pace:.1}\n\
             event_time = \"t\"\n\n[node.work]\nkind = \"tumbling_window\"\ninput = \"rows\"\nsize = \"100ms\"\nby = [\"k\"]\n\
             aggregate = {{ n = \"count(*)\", most = \"max(v)\", mean = \"avg(v)\" }}\n\n\
             [node.out]\nkind = \"bench_sink\"\ninput = \"work\"\nlatency = true\n"
        ))
        .await?;
    runner.finish(job).await?;
    let cpu_seconds = process::cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    let noted = seen.latencies();
    let mut late: Vec<u64> = noted.iter().skip((noted.len() as f64 * WARM_UP) as usize).copied().collect();
    late.sort_unstable();
    let part = |part: f64| {
        late.get(((late.len() as f64 * part) as usize).min(late.len().saturating_sub(1))).map_or(f64::NAN, |ns| *ns as f64 / 1e6)
    };
    Ok(Latency {
        name: "latency",
        rows_per_second: pace,
        keys: setting.keys,
        parallelism: setting.parallelism,
        results: late.len(),
        cpu_seconds,
        peak_rss_bytes: process::peak_rss_bytes(),
        p50_ms: part(0.5),
        p90_ms: part(0.9),
        p99_ms: part(0.99),
        max_ms: part(1.0),
    })
}

/// How soon a pipeline's first row is there.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    pub name: &'static str,
    pub starts: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub max_ms: f64,
}

/// From the deployment of a text to the first row at a sink, its pipeline typed and its tasks made in between.
pub async fn start(setting: &Setting) -> anyhow::Result<Start> {
    let runner = Runner::new(Stage::new(Arc::new(Table::new(LATENCY_BATCH_ROWS, setting.keys))), setting.parallelism, 1)?;
    let work = workload::find("projection").context("the bench `projection` is not there")?;
    let rows = LATENCY_BATCH_ROWS * u64::from(setting.parallelism);
    let variant = Variant { keys: setting.keys, ..Variant::default() };
    let text = work.pipeline(&format!("kind = \"bench_rows\"\nrows = {rows}"), &variant);
    let mut took = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let launched = Instant::now();
        let (job, seen) = runner.start(&text).await?;
        runner.finish(job).await?;
        let first = seen.first_row().context("no row reached the sink")?;
        took.push(first.saturating_duration_since(launched).as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let part = |part: f64| took.get(((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
    Ok(Start { name: "start", starts: took.len(), p50_ms: part(0.5), p90_ms: part(0.9), max_ms: part(1.0) })
}

/// What pipelines cost to which nothing comes.
#[derive(Debug, Clone, Serialize)]
pub struct Idle {
    pub name: &'static str,
    pub pipelines: u64,
    pub parallelism: u32,
    /// Of one pipeline: the part of a core that the whole process takes.
    pub one_cpu_percent: Option<f64>,
    /// Of all.
    pub all_cpu_percent: Option<f64>,
    /// What all take beyond the process without them.
    pub all_bytes: Option<u64>,
}

/// One idle pipeline, then many.
pub async fn idle(setting: &Setting) -> anyhow::Result<Idle> {
    let pipelines = setting.events.clamp(1, IDLE_PIPELINES);
    let runner = Runner::new(Stage::new(Arc::new(Table::new(1, 1))), setting.parallelism, pipelines as usize)?;
    let work = workload::find("tumble").context("the bench `tumble` is not there")?;
    // A row a day: nothing comes.
    let variant = Variant { keys: setting.keys, ..Variant::default() };
    let text = work.pipeline("kind = \"bench_rows\"\nrows = 1000000000\npace = 0.00001", &variant);
    let before = process::rss_bytes();
    let mut jobs = vec![runner.start(&text).await?.0];
    let one_cpu_percent = cpu_percent_over(setting.seconds).await;
    for _ in 1..pipelines {
        jobs.push(runner.start(&text).await?.0);
    }
    let all_cpu_percent = cpu_percent_over(setting.seconds).await;
    let all_bytes = process::rss_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    for job in jobs {
        runner.abort(job).await?;
    }
    Ok(Idle { name: "idle", pipelines, parallelism: setting.parallelism, one_cpu_percent, all_cpu_percent, all_bytes })
}

async fn cpu_percent_over(time: Duration) -> Option<f64> {
    let (before, began) = (process::cpu_seconds()?, Instant::now());
    tokio::time::sleep(time).await;
    Some((process::cpu_seconds()? - before) / began.elapsed().as_secs_f64() * 100.0)
}
