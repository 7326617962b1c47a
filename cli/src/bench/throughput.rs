//! How many rows a second a pipeline takes, beside DuckDB over the same rows at rest.
//!
//! A rate is the slope between a run over so many rows and one over twice as many, so that start-up does not count. Engine and DuckDB are
//! asked in turn, several times, and of the times the medians count: one run that something else held up spoils no rate. What both gave is
//! compared, once for each size.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use super::bids::{self, Bids};
use super::duck::Duck;
use super::kinds::Stage;
use super::prepared::Prepared;
use super::process;
use super::runner::Runner;
use super::table::Table;
use super::workload::{Over, Variant, Workload};
use super::{From, Setting};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    pub name: &'static str,
    /// Rows of the larger run.
    pub events: u64,
    /// Where the workload may be over any number of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    pub from: From,
    pub parallelism: u32,
    pub batch_rows: u64,
    pub rows_per_second: f64,
    /// The slowest and the fastest of the slopes of single pairs of runs, but for those that tell none.
    pub rows_per_second_range: [f64; 2],
    /// Of the larger run, all threads.
    pub cpu_seconds: Option<f64>,
    /// Before DuckDB made its table.
    pub peak_rss_bytes: Option<u64>,
    pub duckdb_rows_per_second: f64,
    pub ratio: f64,
    /// Rows that the larger run gave; of results that change, those that are left.
    pub results: u64,
    #[serde(flatten)]
    pub published: Option<Published>,
}

/// Beside what another engine is said to reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Published {
    pub rows_per_second_per_core: f64,
    pub flink_rows_per_second_per_core: f64,
    pub times_flink: f64,
}

/// What was compared, and agrees.
#[derive(Debug, Clone, Serialize)]
pub struct Agreement {
    pub name: &'static str,
    pub events: u64,
    pub results: u64,
    pub agrees_with_duckdb: bool,
}

/// Compares a workload's results with DuckDB's, and measures nothing.
pub async fn check(workload: &'static Workload, setting: &Setting) -> anyhow::Result<Agreement> {
    let mut bench = Bench::new(workload, setting)?;
    bench.write_files()?;
    bench.open_duck().await?;
    let results = bench.compare().await?;
    Ok(Agreement { name: workload.name, events: bench.events(bench.rows * 2), results, agrees_with_duckdb: true })
}

/// Measures a workload.
pub async fn measure(workload: &'static Workload, setting: &Setting) -> anyhow::Result<Throughput> {
    let mut bench = Bench::new(workload, setting)?;
    bench.write_files()?;
    bench.warm_up().await?;
    let mut pairs = vec![bench.engine_pair().await?];
    let peak_rss_bytes = process::peak_rss_bytes();
    let cpu_seconds = pairs.first().and_then(|pair| pair.cpu_seconds);
    bench.open_duck().await?;
    let results = bench.compare().await?;
    let mut duck_rates = vec![bench.duck_rate()?];
    for _ in 1..setting.repeat.max(1) {
        pairs.push(bench.engine_pair().await?);
        duck_rates.push(bench.duck_rate()?);
    }
    let rows = bench.events(bench.rows);
    let (rate, duck_rate) = (median_rate(rows, &pairs)?, median(&mut duck_rates));
    let range =
        pairs.iter().filter_map(|pair| pair.rate(rows).ok()).fold([rate; 2], |[least, most], rate| [least.min(rate), most.max(rate)]);
    Ok(Throughput {
        name: workload.name,
        events: bench.events(bench.rows * 2),
        keys: (workload.over == Over::Rows).then_some(setting.keys),
        from: setting.from,
        parallelism: setting.parallelism,
        batch_rows: bench.data.prepared().batch_rows(),
        rows_per_second: rate,
        rows_per_second_range: range,
        cpu_seconds,
        peak_rss_bytes,
        duckdb_rows_per_second: duck_rate,
        ratio: rate / duck_rate,
        results,
        published: workload.flink_per_core.map(|flink| {
            let per_core = rate / f64::from(setting.parallelism);
            Published { rows_per_second_per_core: per_core, flink_rows_per_second_per_core: flink, times_flink: per_core / flink }
        }),
    })
}

/// The engine's rate alone.
pub async fn engine_rate(workload: &'static Workload, setting: &Setting) -> anyhow::Result<f64> {
    let bench = Bench::new(workload, setting)?;
    bench.warm_up().await?;
    let mut pairs = Vec::new();
    for _ in 0..setting.repeat.max(1) {
        pairs.push(bench.engine_pair().await?);
    }
    median_rate(bench.events(bench.rows), &pairs)
}

struct Bench<'a> {
    workload: &'static Workload,
    setting: &'a Setting,
    data: Data,
    runner: Runner,
    /// Of the smaller run; the larger has twice as many.
    rows: u64,
    duck: Option<Duck>,
}

/// What the rows are.
enum Data {
    Rows(Arc<Table>),
    Bids(Arc<Bids>),
}

impl Data {
    fn prepared(&self) -> Arc<dyn Prepared> {
        match self {
            Data::Rows(table) => table.clone(),
            Data::Bids(bids) => bids.clone(),
        }
    }
}

/// How long a run took, and one over twice the rows.
struct Pair {
    once: Duration,
    twice: Duration,
    /// Of the longer one.
    cpu_seconds: Option<f64>,
}

impl Pair {
    fn rate(&self, rows: u64) -> anyhow::Result<f64> {
        rate(rows, self.once, self.twice)
    }
}

/// The slope between the medians of both.
fn median_rate(rows: u64, pairs: &[Pair]) -> anyhow::Result<f64> {
    let middle = |time: fn(&Pair) -> Duration| {
        let mut times: Vec<Duration> = pairs.iter().map(time).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    rate(rows, middle(|pair| pair.once), middle(|pair| pair.twice))
}

impl<'a> Bench<'a> {
    fn new(workload: &'static Workload, setting: &'a Setting) -> anyhow::Result<Self> {
        let whole = |batch_rows: u64| batch_rows * u64::from(setting.parallelism);
        let half = |rows: u64, batch_rows: u64| (rows / 2).next_multiple_of(whole(batch_rows)).max(whole(batch_rows));
        let (data, rows) = match workload.over {
            Over::Rows => {
                let table = Table::new(setting.batch_rows, setting.keys);
                let rows = half(setting.events, table.batch_rows());
                (Data::Rows(Arc::new(table)), rows)
            }
            Over::Bids if setting.from == From::Parquet => bail!("{} has its bids in memory alone", workload.name),
            Over::Bids => {
                let rows = half(bids::bids_among(setting.events), setting.batch_rows);
                (Data::Bids(Arc::new(Bids::new(rows * 2, setting.batch_rows, setting.parallelism)?)), rows)
            }
        };
        let runner = Runner::new(Stage::new(data.prepared()), setting.parallelism, 1)?;
        Ok(Bench { workload, setting, data, runner, rows, duck: None })
    }

    /// How many events rows stand for.
    fn events(&self, rows: u64) -> u64 {
        match self.data {
            Data::Rows(_) => rows,
            Data::Bids(_) => bids::events_of(rows) as u64,
        }
    }

    fn sizes(&self) -> [u64; 2] {
        [self.rows, self.rows * 2]
    }

    /// The name of a file in the bench's folder, or of all files of a size.
    fn file(&self, rows: u64, part: &str) -> String {
        format!("rows-{rows}-{part}.parquet")
    }

    /// Writes a file a task for each size, where rows are to come from files: to each file every so many-th batch, as the partitions in
    /// memory have them, so that event time moves in all together.
    fn write_files(&self) -> anyhow::Result<()> {
        let Data::Rows(table) = &self.data else { return Ok(()) };
        if self.setting.from != From::Parquet {
            return Ok(());
        }
        let writer = Duck::new(self.setting.parallelism)?;
        for rows in self.sizes() {
            for task in 0..self.setting.parallelism {
                let path = self.runner.folder().join(self.file(rows, &task.to_string()));
                let sql = table.part_sql(rows, u64::from(task), u64::from(self.setting.parallelism));
                writer.write_parquet(&sql, &path.display().to_string())?;
            }
        }
        Ok(())
    }

    fn pipeline(&self, rows: u64, is_net: bool) -> String {
        let source = match self.setting.from {
            From::Memory => format!("kind = \"bench_rows\"\nrows = {rows}"),
            From::Parquet => format!("kind = \"file\"\npath = \"{}\"", self.file(rows, "*")),
        };
        let is_net = is_net && !self.workload.key.is_empty();
        self.workload.pipeline(&source, &Variant { keys: self.setting.keys, checkpoint_every: self.setting.checkpoint_every, is_net })
    }

    /// Takes memory and reads code, which would make the first smaller run as long as the larger one.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let [_, large] = self.sizes();
        self.runner.run(&self.pipeline(large, false)).await?;
        Ok(())
    }

    async fn engine_pair(&self) -> anyhow::Result<Pair> {
        let [small, large] = self.sizes();
        let once = self.runner.run(&self.pipeline(small, false)).await?;
        let twice = self.runner.run(&self.pipeline(large, false)).await?;
        Ok(Pair { once: once.elapsed, twice: twice.elapsed, cpu_seconds: twice.cpu_seconds })
    }

    fn duck(&self) -> anyhow::Result<&Duck> {
        self.duck.as_ref().context("DuckDB has not been opened")
    }

    /// Has DuckDB hold what it is given once.
    async fn open_duck(&mut self) -> anyhow::Result<()> {
        let duck = Duck::new(self.setting.parallelism)?;
        if let Data::Bids(_) = &self.data {
            let (file, rows) = ("bids.parquet", self.rows * 2);
            let write = format!(
                "millrace = 1\n[node.bids]\nkind = \"bench_rows\"\nrows = {rows}\nevent_time = \"date_time\"\n\
                 [node.out]\nkind = \"file_sink\"\ninput = \"bids\"\npath = \"{file}\"\n"
            );
            self.runner.run(&write).await?;
            let path = self.runner.folder().join(file);
            duck.take_bids(&path.display().to_string())?;
            std::fs::remove_file(path).context("the bids' file cannot be removed")?;
        }
        self.duck = Some(duck);
        Ok(())
    }

    /// Has DuckDB's rows be those of a size.
    fn fill(&mut self, rows: u64) -> anyhow::Result<()> {
        let all = self.runner.folder().join(self.file(rows, "*")).display().to_string();
        let is_all = rows == self.rows * 2;
        let duck = self.duck.as_mut().context("DuckDB has not been opened")?;
        match (&self.data, self.setting.from) {
            (Data::Rows(table), From::Memory) => duck.fill(table, rows),
            (Data::Rows(_), From::Parquet) => duck.read_parquet(&all),
            (Data::Bids(_), _) => duck.show_bids((!is_all).then_some(bids::event_of(rows))),
        }
    }

    /// Asks DuckDB for the first time, at both sizes; gives how many rows the larger result has. The engine's results must be the same.
    async fn compare(&mut self) -> anyhow::Result<u64> {
        let [small, large] = self.sizes();
        self.fill(small)?;
        self.check(small).await?;
        self.fill(large)?;
        self.check(large).await
    }

    async fn check(&self, rows: u64) -> anyhow::Result<u64> {
        let ours = self.runner.run(&self.pipeline(rows, true)).await?.checksum;
        let theirs = self.duck()?.checksum(self.workload, self.setting.keys)?;
        if !ours.agrees(&theirs) {
            bail!("{} over {rows} rows: the results differ\n  millrace {ours:?}\n  DuckDB   {theirs:?}", self.workload.name);
        }
        Ok(ours.rows)
    }

    /// DuckDB's rate over the larger size. It starts in a millisecond, so that no slope is needed.
    fn duck_rate(&self) -> anyhow::Result<f64> {
        let [_, large] = self.sizes();
        Ok(self.events(large) as f64 / self.duck()?.time(self.workload, self.setting.keys)?.as_secs_f64())
    }
}

/// Rows a second between a run and one of twice the rows.
fn rate(rows: u64, once: Duration, twice: Duration) -> anyhow::Result<f64> {
    match twice.checked_sub(once).filter(|more| !more.is_zero()) {
        Some(more) => Ok(rows as f64 / more.as_secs_f64()),
        None => bail!(
            "{rows} rows are too few to tell a rate: they took {:.3} s, and twice as many {:.3} s; give more --events",
            once.as_secs_f64(),
            twice.as_secs_f64()
        ),
    }
}

/// The middle of some numbers, which are in order then.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
