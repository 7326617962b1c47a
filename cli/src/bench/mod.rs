//! `millrace bench`: how fast the engine is on this machine, beside DuckDB over the same rows at rest.
//!
//! The engine is the real one: embedded, its pipelines read from text, its tasks, channels and exchanges as in any run. Only the source and
//! the sink are the bench's own ([`kinds`]), so that neither a disk nor a format is measured unless asked for.

mod checksum;
mod duck;
mod kinds;
mod live;
mod process;
mod runner;
mod table;
mod throughput;
mod workload;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit;
use crate::output::{complain, say};
use crate::run::grouped;
use live::{Idle, Latency, Start};
use throughput::Throughput;
use workload::WORKLOADS;

/// Benches that are not a workload.
const OTHERS: [(&str, &str); 3] = [
    ("latency", "how late results are at half the highest rate of `tumble`, or at --pace"),
    ("start", "from the deployment of a pipeline to its first row"),
    ("idle", "processor and memory of one pipeline to which nothing comes, and of a thousand"),
];

#[derive(Debug, Args)]
pub struct BenchArguments {
    /// What to measure; see --list
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Says what can be measured
    #[arg(long)]
    pub list: bool,
    /// Rows of the larger of the two runs; for `idle` the pipelines
    #[arg(long, value_name = "N", default_value_t = 40_000_000)]
    pub events: u64,
    /// Tasks per node, and DuckDB's threads; the number of cores if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub parallelism: Option<u32>,
    /// How many keys there are
    #[arg(long, value_name = "K", default_value_t = workload::KEYS, value_parser = clap::value_parser!(u64).range(1..=2_000_000_000))]
    pub keys: u64,
    /// Rows in a batch; rounded up to a multiple of 4096
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch_rows: u64,
    /// Where rows come from
    #[arg(long, value_enum, default_value_t = From::Memory)]
    pub from: From,
    /// How often a rate is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeat: u32,
    /// For `latency`: rows a second, instead of half the highest rate
    #[arg(long, value_name = "ROWS")]
    pub pace: Option<f64>,
    /// Prints what was measured as JSON
    #[arg(long)]
    pub json: bool,
}

/// Where rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Batches that were made before the clock started.
    Memory,
    /// A Parquet file for each task, in the system's cache.
    Parquet,
}

/// How to measure.
pub struct Setting {
    events: u64,
    parallelism: u32,
    keys: u64,
    batch_rows: u64,
    from: From,
    repeat: u32,
    pace: Option<f64>,
}

/// Measures, and says what came of it. Gives the exit code.
pub async fn bench(arguments: BenchArguments) -> anyhow::Result<u8> {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let Some(name) = arguments.name.filter(|_| !arguments.list) else {
        list()?;
        return Ok(exit::DONE);
    };
    if arguments.pace.is_some_and(|pace| !(pace.is_finite() && pace >= 1.0)) {
        bail!("--pace is at least one row a second");
    }
    let setting = Setting {
        events: arguments.events,
        parallelism: arguments.parallelism.unwrap_or_else(cores),
        keys: arguments.keys,
        batch_rows: arguments.batch_rows,
        from: arguments.from,
        repeat: arguments.repeat,
        pace: arguments.pace,
    };
    match (name.as_str(), workload::find(&name)) {
        (_, Some(workload)) => tell(&throughput::measure(workload, &setting).await?, arguments.json, throughput_lines),
        ("latency", _) => tell(&live::latency(&setting).await?, arguments.json, latency_lines),
        ("start", _) => tell(&live::start(&setting).await?, arguments.json, start_lines),
        ("idle", _) => tell(&live::idle(&setting).await?, arguments.json, idle_lines),
        _ => {
            complain(format_args!("error: there is no bench `{name}`; `millrace bench --list` names them"));
            return Ok(exit::USAGE);
        }
    }?;
    Ok(exit::DONE)
}

fn list() -> anyhow::Result<()> {
    let workloads = WORKLOADS.iter().map(|workload| (workload.name, workload.what));
    workloads.chain(OTHERS).try_for_each(|(name, what)| say(format_args!("{name:12}{what}")))
}

fn tell<T: Serialize>(measured: &T, json: bool, lines: impl Fn(&T) -> Vec<[String; 2]>) -> anyhow::Result<()> {
    if json {
        return say(serde_json::to_string(measured)?);
    }
    lines(measured).iter().try_for_each(|[what, value]| say(format_args!("{what:24}{value}")))
}

fn line(what: &str, value: String) -> [String; 2] {
    [what.to_owned(), value]
}

fn millions(rate: f64) -> String {
    format!("{:.1} M rows/s", rate / 1e6)
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "not told by this system".to_owned(), |bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)))
}

fn unless_untold(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "not told by this system".to_owned(), |value| format!("{value:.2} {unit}"))
}

fn throughput_lines(measured: &Throughput) -> Vec<[String; 2]> {
    let Throughput { name, events, keys, parallelism, results, .. } = measured;
    let [least, most] = measured.rows_per_second_range;
    vec![
        line(name, format!("{} rows, {} keys, {parallelism} tasks, {} results", grouped(*events), grouped(*keys), grouped(*results))),
        line("Millrace", format!("{} ({:.1} to {:.1})", millions(measured.rows_per_second), least / 1e6, most / 1e6)),
        line("DuckDB at rest", millions(measured.duckdb_rows_per_second)),
        line("ratio", format!("{:.2}", measured.ratio)),
        line("processor", unless_untold(measured.cpu_seconds, "s")),
        line("peak memory", mebibytes(measured.peak_rss_bytes)),
    ]
}

fn latency_lines(measured: &Latency) -> Vec<[String; 2]> {
    vec![
        line("latency", format!("{} results at {}", grouped(measured.results as u64), millions(measured.rows_per_second))),
        line("p50", format!("{:.2} ms", measured.p50_ms)),
        line("p90", format!("{:.2} ms", measured.p90_ms)),
        line("p99", format!("{:.2} ms", measured.p99_ms)),
        line("max", format!("{:.2} ms", measured.max_ms)),
        line("processor", unless_untold(measured.cpu_seconds, "s")),
        line("peak memory", mebibytes(measured.peak_rss_bytes)),
    ]
}

fn start_lines(measured: &Start) -> Vec<[String; 2]> {
    vec![
        line("start", format!("{} starts, to the first row", measured.starts)),
        line("p50", format!("{:.2} ms", measured.p50_ms)),
        line("p90", format!("{:.2} ms", measured.p90_ms)),
        line("max", format!("{:.2} ms", measured.max_ms)),
    ]
}

fn idle_lines(measured: &Idle) -> Vec<[String; 2]> {
    vec![
        line("one idle pipeline", unless_untold(measured.one_cpu_percent, "% of a core")),
        line(&format!("{} idle pipelines", grouped(measured.pipelines)), unless_untold(measured.all_cpu_percent, "% of a core")),
        line("their memory", mebibytes(measured.all_bytes)),
    ]
}
