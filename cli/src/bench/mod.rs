//! `millrace bench`: how fast the engine is on this machine, beside DuckDB over the same rows at rest.
//!
//! The engine is the real one: embedded, its pipelines read from text, its tasks, channels and exchanges as in any run. Only the source and
//! the sink are the bench's own ([`kinds`]), so that neither a disk nor a format is measured unless asked for.

mod bids;
mod checksum;
mod duck;
mod edge;
mod failover;
mod fleet;
mod kinds;
mod live;
mod nexmark;
mod prepared;
mod process;
mod rescale;
mod runner;
mod spread;
mod state;
mod table;
mod tell;
mod throughput;
mod workload;

use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use millrace_engine::model::field;
use serde::Serialize;

use crate::arguments::size;
use crate::exit;
use crate::output::{complain, say};
use tell::tell;
use workload::Over;

/// Benches that are not a workload.
const OTHERS: [(&str, &str); 10] = [
    ("latency", "how late results are at half the highest rate of `tumble`, or at --pace"),
    ("start", "from the deployment of a pipeline to its first row"),
    ("idle", "processor and memory of one pipeline to which nothing comes, and of a thousand"),
    ("checkpoint", "the rate with --state-bytes of state and an epoch every --checkpoint-every, beside that without epochs"),
    ("restore", "from the start of an engine to the first row of a run with --state-bytes in its epoch"),
    ("failover", "from the kill of a node that takes part in a run to the next row, with --state-bytes of state; --repeat says how often"),
    ("edge", "bytes a second on an edge between two processes, beside a bare WebSocket, and how long a small batch is on its way"),
    (
        "fleet",
        "what a leader has to do for --nodes that run --events tasks, all of them simulated: to place them, and to read their figures",
    ),
    ("rescale", "how long a run with --state-bytes of state pauses that goes on in twice as many tasks, or half; --repeat says how often"),
    ("spill", "the rate with --state-bytes of state under a --budget, beside that in memory"),
];

#[derive(Debug, Args)]
pub struct BenchArguments {
    /// What to measure; see --list
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Says what can be measured
    #[arg(long)]
    pub list: bool,
    /// Rows of the larger of the two runs, for Nexmark its events, for `idle` the pipelines, for `fleet` the tasks; 40,000,000, for Nexmark 10,000,000,
    /// for `idle` 1000, for `fleet` 10,000 if absent
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
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
    /// How often a rate is measured, of which the median counts, a node killed or a run rescaled; 3, for `failover` 30, for `rescale` 10 if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeat: Option<u32>,
    /// For `latency`: rows a second, instead of half the highest rate
    #[arg(long, value_name = "ROWS")]
    pub pace: Option<f64>,
    /// Compares the results with DuckDB's, and measures nothing
    #[arg(long)]
    pub check: bool,
    /// How often an epoch begins; none does if absent, but for `checkpoint` (10s), `restore`, `failover` and `rescale` (2s)
    #[arg(long, value_name = "DURATION", value_parser = field::Duration::parse)]
    pub checkpoint_every: Option<field::Duration>,
    /// About how much state there is; 1GB, for `spill` 8GB, for `failover` and `rescale` 100MB if absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub state_bytes: Option<u64>,
    /// For `spill`: how much of it memory may hold; an eighth if absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub budget: Option<u64>,
    /// How long `latency`, `idle`, `checkpoint`, `edge` and `fleet` look, each time (`edge` a quarter of it, each way, `fleet` half); 10, for `checkpoint` 30 if absent
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: Option<u64>,
    /// For `fleet`: how many nodes are simulated
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub nodes: u32,
    /// The other process of `edge`
    #[arg(long, hide = true)]
    pub far: bool,
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
    checkpoint_every: Option<field::Duration>,
    state_bytes: u64,
    budget: u64,
    seconds: Duration,
    nodes: u32,
}

impl Setting {
    /// What was not said is as the bench of this name has it.
    fn of(name: &str, arguments: &BenchArguments) -> Setting {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        let events = match workload::find(name).map(|workload| workload.over) {
            Some(Over::Bids) => 10_000_000,
            Some(Over::Rows) => 40_000_000,
            None if name == "idle" => 1_000,
            None if name == "fleet" => 10_000,
            None => 40_000_000,
        };
        let state_bytes = arguments.state_bytes.unwrap_or(match name {
            "spill" => 8_000_000_000,
            "failover" | "rescale" => 100_000_000,
            _ => 1_000_000_000,
        });
        Setting {
            events: arguments.events.unwrap_or(events),
            parallelism: arguments.parallelism.unwrap_or_else(cores),
            keys: arguments.keys,
            batch_rows: arguments.batch_rows.next_multiple_of(table::ROWS_PER_STEP),
            from: arguments.from,
            repeat: arguments.repeat.unwrap_or(match name {
                "failover" => 30,
                "rescale" => 10,
                _ => 3,
            }),
            pace: arguments.pace,
            checkpoint_every: arguments.checkpoint_every,
            state_bytes,
            budget: arguments.budget.unwrap_or(state_bytes / 8),
            seconds: Duration::from_secs(arguments.seconds.unwrap_or(if name == "checkpoint" { 30 } else { 10 })),
            nodes: arguments.nodes,
        }
    }
}

/// Measures, and says what came of it. Gives the exit code.
pub async fn bench(arguments: BenchArguments) -> anyhow::Result<u8> {
    let Some(name) = arguments.name.as_deref().filter(|_| !arguments.list) else {
        list()?;
        return Ok(exit::DONE);
    };
    if arguments.pace.is_some_and(|pace| !(pace.is_finite() && pace >= 1.0)) {
        bail!("--pace is at least one row a second");
    }
    let (setting, json) = (Setting::of(name, &arguments), arguments.json);
    match (name, workload::find(name)) {
        (_, Some(workload)) if arguments.check => tell(&throughput::check(workload, &setting).await?, json),
        (_, Some(workload)) => tell(&throughput::measure(workload, &setting).await?, json),
        ("latency", _) => tell(&live::latency(&setting).await?, json),
        ("start", _) => tell(&live::start(&setting).await?, json),
        ("idle", _) => tell(&live::idle(&setting).await?, json),
        ("checkpoint", _) => tell(&state::checkpoint(&setting).await?, json),
        ("restore", _) => tell(&state::restore(&setting).await?, json),
        ("failover", _) => tell(&failover::failover(&setting).await?, json),
        ("edge", _) if arguments.far => edge::far().await,
        ("edge", _) => tell(&edge::edge(&setting).await?, json),
        ("fleet", _) => tell(&fleet::fleet(&setting).await?, json),
        ("rescale", _) => tell(&rescale::rescale(&setting).await?, json),
        ("spill", _) => tell(&state::spill(&setting).await?, json),
        _ => {
            complain(format_args!("error: there is no bench `{name}`; `millrace bench --list` names them"));
            return Ok(exit::USAGE);
        }
    }?;
    Ok(exit::DONE)
}

fn list() -> anyhow::Result<()> {
    let workloads = workload::all().map(|workload| (workload.name, workload.what));
    workloads.chain(OTHERS).try_for_each(|(name, what)| say(format_args!("{name:13}{what}")))
}
