//! How many rows a second a pipeline takes, beside DuckDB over the same rows at rest.
//!
//! A rate is the slope between a run over so many rows and one over twice as many, so that start-up does not count. Engine and DuckDB are
//! asked in turn, several times, and of the rates the median counts. What both gave is compared, once for each size.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use super::duck::Duck;
use super::kinds::Stage;
use super::process;
use super::runner::Runner;
use super::table::Table;
use super::workload::Workload;
use super::{From, Setting};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    pub name: &'static str,
    /// Rows of the larger run.
    pub events: u64,
    pub keys: u64,
    pub from: From,
    pub parallelism: u32,
    pub batch_rows: u64,
    pub rows_per_second: f64,
    /// The slowest and the fastest of the slopes.
    pub rows_per_second_range: [f64; 2],
    /// Of the larger run, all threads.
    pub cpu_seconds: Option<f64>,
    /// Before DuckDB made its table.
    pub peak_rss_bytes: Option<u64>,
    pub duckdb_rows_per_second: f64,
    pub ratio: f64,
    /// Rows that the larger run gave.
    pub results: u64,
}

/// Measures a workload.
pub async fn measure(workload: &'static Workload, setting: &Setting) -> anyhow::Result<Throughput> {
    let mut bench = Bench::new(workload, setting)?;
    bench.write_files()?;
    let mut slopes = vec![bench.engine_slope().await?];
    let peak_rss_bytes = process::peak_rss_bytes();
    let cpu_seconds = slopes.first().and_then(|slope| slope.cpu_seconds);
    bench.duck = Some(Duck::new(setting.parallelism)?);
    let (theirs, results) = bench.compare().await?;
    let mut duck_rates = vec![theirs];
    for _ in 1..setting.repeat.max(1) {
        slopes.push(bench.engine_slope().await?);
        duck_rates.push(bench.duck_rate()?);
    }
    let mut rates: Vec<f64> = slopes.iter().map(|slope| slope.rate).collect();
    let (rate, duck_rate) = (median(&mut rates), median(&mut duck_rates));
    Ok(Throughput {
        name: workload.name,
        events: bench.rows * 2,
        keys: setting.keys,
        from: setting.from,
        parallelism: setting.parallelism,
        batch_rows: bench.table.batch_rows(),
        rows_per_second: rate,
        rows_per_second_range: [rates.first().copied().unwrap_or(rate), rates.last().copied().unwrap_or(rate)],
        cpu_seconds,
        peak_rss_bytes,
        duckdb_rows_per_second: duck_rate,
        ratio: rate / duck_rate,
        results,
    })
}

/// The engine's rate alone.
pub async fn engine_rate(workload: &'static Workload, setting: &Setting) -> anyhow::Result<f64> {
    let bench = Bench::new(workload, setting)?;
    let mut rates = Vec::new();
    for _ in 0..setting.repeat.max(1) {
        rates.push(bench.engine_slope().await?.rate);
    }
    Ok(median(&mut rates))
}

struct Bench<'a> {
    workload: &'static Workload,
    setting: &'a Setting,
    table: Arc<Table>,
    runner: Runner,
    /// Of the smaller run; the larger has twice as many.
    rows: u64,
    duck: Option<Duck>,
}

struct Slope {
    rate: f64,
    cpu_seconds: Option<f64>,
}

impl<'a> Bench<'a> {
    fn new(workload: &'static Workload, setting: &'a Setting) -> anyhow::Result<Self> {
        let table = Arc::new(Table::new(setting.batch_rows, setting.keys));
        let whole = table.batch_rows() * u64::from(setting.parallelism);
        let rows = (setting.events / 2).next_multiple_of(whole).max(whole);
        let runner = Runner::new(Stage::new(table.clone()), setting.parallelism, 1)?;
        Ok(Bench { workload, setting, table, runner, rows, duck: None })
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
        if self.setting.from != From::Parquet {
            return Ok(());
        }
        let writer = Duck::new(self.setting.parallelism)?;
        for rows in self.sizes() {
            for task in 0..self.setting.parallelism {
                let path = self.runner.folder().join(self.file(rows, &task.to_string()));
                let sql = self.table.part_sql(rows, u64::from(task), u64::from(self.setting.parallelism));
                writer.write_parquet(&sql, &path.display().to_string())?;
            }
        }
        Ok(())
    }

    fn pipeline(&self, rows: u64) -> String {
        let source = match self.setting.from {
            From::Memory => format!("kind = \"bench_rows\"\nrows = {rows}"),
            From::Parquet => format!("kind = \"file\"\npath = \"{}\"", self.file(rows, "*")),
        };
        self.workload.pipeline(&source, self.setting.keys)
    }

    async fn engine_slope(&self) -> anyhow::Result<Slope> {
        let [small, large] = self.sizes();
        let once = self.runner.run(&self.pipeline(small)).await?;
        let twice = self.runner.run(&self.pipeline(large)).await?;
        Ok(Slope { rate: rate(self.rows, once.elapsed, twice.elapsed)?, cpu_seconds: twice.cpu_seconds })
    }

    fn duck(&self) -> anyhow::Result<&Duck> {
        self.duck.as_ref().context("DuckDB has not been opened")
    }

    /// Has DuckDB's `rows` be the rows of a size.
    fn fill(&mut self, rows: u64) -> anyhow::Result<()> {
        let (table, all) = (self.table.clone(), self.runner.folder().join(self.file(rows, "*")).display().to_string());
        let duck = self.duck.as_mut().context("DuckDB has not been opened")?;
        match self.setting.from {
            From::Memory => duck.fill(&table, rows),
            From::Parquet => duck.read_parquet(&all),
        }
    }

    /// Makes DuckDB's table and asks it for the first time, at both sizes; gives its rate and how many rows the larger result has. The
    /// engine's results must be the same.
    async fn compare(&mut self) -> anyhow::Result<(f64, u64)> {
        let [small, large] = self.sizes();
        self.fill(small)?;
        self.check(small).await?;
        self.fill(large)?;
        let results = self.check(large).await?;
        Ok((self.duck_rate()?, results))
    }

    async fn check(&self, rows: u64) -> anyhow::Result<u64> {
        let ours = self.runner.run(&self.pipeline(rows)).await?.checksum;
        let theirs = self.duck()?.checksum(self.workload, self.setting.keys)?;
        if !ours.agrees(&theirs) {
            bail!("{} over {rows} rows: the results differ\n  millrace {ours:?}\n  DuckDB   {theirs:?}", self.workload.name);
        }
        Ok(ours.rows)
    }

    /// DuckDB's rate over the larger size. It starts in a millisecond, so that no slope is needed.
    fn duck_rate(&self) -> anyhow::Result<f64> {
        let [_, large] = self.sizes();
        Ok(large as f64 / self.duck()?.time(self.workload, self.setting.keys)?.as_secs_f64())
    }
}

/// Rows a second between a run and one of twice the rows.
fn rate(rows: u64, once: Duration, twice: Duration) -> anyhow::Result<f64> {
    match twice.checked_sub(once).filter(|more| !more.is_zero()) {
        Some(more) => Ok(rows as f64 / more.as_secs_f64()),
        None => bail!("{rows} rows are too few to tell a rate: twice as many took no longer; give more --events"),
    }
}

/// The middle of some numbers, which are in order then.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
