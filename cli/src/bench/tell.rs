//! Says what was measured, in lines or as JSON.

use serde::Serialize;

use super::edge::Edge;
use super::failover::{Failover, Times};
use super::fleet::Fleet;
use super::live::{Idle, Latency, Start};
use super::rescale::Rescale;
use super::state::{Checkpoint, Restore, Spill};
use super::throughput::{Agreement, Throughput};
use crate::output::say;
use crate::run::grouped;

/// What can be said in lines.
pub trait Lines {
    fn lines(&self) -> Vec<[String; 2]>;
}

pub fn tell<T: Serialize + Lines>(measured: &T, json: bool) -> anyhow::Result<()> {
    if json {
        return say(serde_json::to_string(measured)?);
    }
    measured.lines().iter().try_for_each(|[what, value]| say(format_args!("{what:24}{value}")))
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

fn milliseconds(time: f64) -> String {
    format!("{time:.2} ms")
}

impl Lines for Throughput {
    fn lines(&self) -> Vec<[String; 2]> {
        let Throughput { name, events, keys, parallelism, results, .. } = self;
        let [least, most] = self.rows_per_second_range;
        let keys = keys.map_or_else(String::new, |keys| format!(", {} keys", grouped(keys)));
        let mut lines = vec![
            line(name, format!("{} rows{keys}, {parallelism} tasks, {} results", grouped(*events), grouped(*results))),
            line("Millrace", format!("{} ({:.1} to {:.1})", millions(self.rows_per_second), least / 1e6, most / 1e6)),
            line("DuckDB at rest", millions(self.duckdb_rows_per_second)),
            line("ratio", format!("{:.2}", self.ratio)),
        ];
        if let Some(published) = &self.published {
            let beside = published.flink_rows_per_second_per_core / 1e6;
            let value = format!(
                "{}, {:.0} times Flink's published {beside:.3}",
                millions(published.rows_per_second_per_core),
                published.times_flink
            );
            lines.push(line("per core", value));
        }
        lines.push(line("processor", unless_untold(self.cpu_seconds, "s")));
        lines.push(line("peak memory", mebibytes(self.peak_rss_bytes)));
        lines
    }
}

impl Lines for Agreement {
    fn lines(&self) -> Vec<[String; 2]> {
        vec![line(self.name, format!("{} rows, {} results: equal to DuckDB's", grouped(self.events), grouped(self.results)))]
    }
}

impl Lines for Latency {
    fn lines(&self) -> Vec<[String; 2]> {
        vec![
            line("latency", format!("{} results at {}", grouped(self.results as u64), millions(self.rows_per_second))),
            line("p50", milliseconds(self.p50_ms)),
            line("p90", milliseconds(self.p90_ms)),
            line("p99", milliseconds(self.p99_ms)),
            line("max", milliseconds(self.max_ms)),
            line("processor", unless_untold(self.cpu_seconds, "s")),
            line("peak memory", mebibytes(self.peak_rss_bytes)),
        ]
    }
}

impl Lines for Start {
    fn lines(&self) -> Vec<[String; 2]> {
        vec![
            line("start", format!("{} starts, to the first row", self.starts)),
            line("p50", milliseconds(self.p50_ms)),
            line("p90", milliseconds(self.p90_ms)),
            line("max", milliseconds(self.max_ms)),
        ]
    }
}

impl Lines for Idle {
    fn lines(&self) -> Vec<[String; 2]> {
        vec![
            line("one idle pipeline", unless_untold(self.one_cpu_percent, "% of a core")),
            line(&format!("{} idle pipelines", grouped(self.pipelines)), unless_untold(self.all_cpu_percent, "% of a core")),
            line("their memory", mebibytes(self.all_bytes)),
        ]
    }
}

impl Lines for Checkpoint {
    fn lines(&self) -> Vec<[String; 2]> {
        let state = mebibytes(Some(self.state_bytes));
        let epochs = format!("{} every {}, {} on disk", self.epochs, self.checkpoint_every, mebibytes(Some(self.epoch_bytes)));
        vec![
            line("checkpoint", format!("{state} of state, {} keys, {} tasks", grouped(self.keys), self.parallelism)),
            line("epochs", epochs),
            line("with epochs", millions(self.rows_per_second)),
            line("without", millions(self.rows_per_second_without)),
            line("cost", format!("{:.1} %", self.cost_percent)),
            line("longest wait", format!("{}, without {}", milliseconds(self.longest_wait_ms), milliseconds(self.longest_wait_without_ms))),
            line("handed over, at rest", format!("{}, {}", milliseconds(self.handed_over_ms), milliseconds(self.at_rest_ms))),
            line("processor", unless_untold(self.cpu_seconds, "s")),
            line("peak memory", mebibytes(self.peak_rss_bytes)),
        ]
    }
}

impl Lines for Restore {
    fn lines(&self) -> Vec<[String; 2]> {
        let state = mebibytes(Some(self.state_bytes));
        vec![
            line("restore", format!("{state} of state, {} keys, {} tasks", grouped(self.keys), self.parallelism)),
            line("the epoch", format!("{} on disk", mebibytes(Some(self.epoch_bytes)))),
            line("to the first row", format!("{:.2} s", self.seconds)),
            line("processor", unless_untold(self.cpu_seconds, "s")),
            line("peak memory", mebibytes(self.peak_rss_bytes)),
        ]
    }
}

impl Lines for Failover {
    fn lines(&self) -> Vec<[String; 2]> {
        let state = format!("{} of state, {} on disk", mebibytes(Some(self.state_bytes)), mebibytes(Some(self.epoch_bytes)));
        let load = self.load.map(|load| unless_untold(load, "")).map(|load| load.trim_end().to_owned()).join(", afterwards ");
        let mut lines = vec![line("failover", format!("{} members, {state}, an epoch every {}", self.members, self.checkpoint_every))];
        for (what, times) in [("killed", Some(&self.killed)), ("silent", self.silent.as_ref())] {
            let Some(times) = times else { continue };
            let Times { losses, p50_ms, p95_ms, max_ms, .. } = times;
            let all =
                format!("{losses} times: p50 {}, p95 {}, max {}", milliseconds(*p50_ms), milliseconds(*p95_ms), milliseconds(*max_ms));
            lines.push(line(&format!("{what}, to a row"), all));
            let new = format!("p50 {}, p95 {}", milliseconds(times.new_row_p50_ms), milliseconds(times.new_row_p95_ms));
            lines.push(line(&format!("{what}, to a new row"), new));
        }
        lines.push(line("load of the machine", load));
        lines
    }
}

impl Lines for Edge {
    fn lines(&self) -> Vec<[String; 2]> {
        let rate = |bytes: f64, of: &str, part: f64| format!("{:.2} GB/s, {part:.2} of {of}", bytes / 1e9);
        let bare = |bytes: f64| format!("{:.2} GB/s", bytes / 1e9);
        vec![
            line("bare WebSocket", bare(self.bare_bytes_per_second)),
            line("one edge", rate(self.edge_bytes_per_second, "that", self.edge_of_bare)),
            line(&format!("{} edges", grouped(u64::from(self.edges))), rate(self.edges_bytes_per_second, "one", self.edges_of_one)),
            line("bare WebSocket, TLS", bare(self.bare_tls_bytes_per_second)),
            line("one edge, TLS", rate(self.edge_tls_bytes_per_second, "that", self.edge_of_bare_tls)),
            line("a small batch", format!("p50 {}, p99 {}", milliseconds(self.one_way_p50_ms), milliseconds(self.one_way_p99_ms))),
            line("a small batch, TLS", format!("p99 {}", milliseconds(self.one_way_tls_p99_ms))),
            line(
                "rows over a slow network",
                format!("{} through {}", bare(self.edge_slow_bytes_per_second), bare(self.slow_way_bytes_per_second)),
            ),
        ]
    }
}

impl Lines for Fleet {
    fn lines(&self) -> Vec<[String; 2]> {
        let lines = self.sizes.iter().flat_map(|size| {
            let what = format!("{} nodes, {} tasks", size.nodes, grouped(u64::from(size.tasks)));
            let told = format!(
                "{}, of it to place {}, {} told",
                milliseconds(size.schedule_ms),
                milliseconds(size.place_ms),
                mebibytes(Some(size.told_bytes))
            );
            let figures =
                format!("{:.2} % of a core, {} a second", size.figures_cpu_percent, mebibytes(Some(size.reported_bytes_per_second as u64)));
            vec![
                line(&what, format!("to schedule {told}")),
                line("", format!("figures {figures}")),
                line("", format!("sessions {}", unless_untold(size.sessions_cpu_percent, "% of a core, both ends"))),
            ]
        });
        lines.collect()
    }
}

impl Lines for Rescale {
    fn lines(&self) -> Vec<[String; 2]> {
        let state = format!("{} of state, {} on disk", mebibytes(Some(self.state_bytes)), mebibytes(Some(self.epoch_bytes)));
        let load = self.load.map(|load| unless_untold(load, "")).map(|load| load.trim_end().to_owned()).join(", afterwards ");
        let [few, many] = self.tasks;
        let [p50, p95, max] = [self.pause_p50_ms, self.pause_p95_ms, self.pause_max_ms].map(milliseconds);
        vec![
            line("rescale", format!("{} times from {few} tasks to {many} and back, {state}", self.times)),
            line("pause", format!("p50 {p50}, p95 {p95}, max {max}")),
            line("no row shown", format!("p50 {}, p95 {}", milliseconds(self.gap_p50_ms), milliseconds(self.gap_p95_ms))),
            line("load of the machine", load),
        ]
    }
}

impl Lines for Spill {
    fn lines(&self) -> Vec<[String; 2]> {
        let (state, budget) = (mebibytes(Some(self.state_bytes)), mebibytes(Some(self.budget_bytes)));
        vec![
            line("spill", format!("{state} of state under {budget}, {} rows, {} keys", grouped(self.events), grouped(self.keys))),
            line("with the budget", millions(self.rows_per_second)),
            line("in memory", millions(self.rows_per_second_in_memory)),
            line("ratio", format!("{:.2}", self.ratio)),
            line("most on disk", mebibytes(Some(self.disk_bytes))),
            line("processor", unless_untold(self.cpu_seconds, "s")),
            line("peak memory", mebibytes(self.peak_rss_bytes)),
        ]
    }
}
