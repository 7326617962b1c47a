//! The runtime as a whole: jobs of real tasks on real threads, asked the same as models of them and as DuckDB.

mod aggregates;
mod alerts;
mod autoscale;
mod changelog;
mod changelogs;
mod channels;
mod checkpoints;
mod deduplicate;
mod emission;
mod failures;
mod flow;
mod gates;
mod lateness;
mod ledger;
mod poison;
mod quarantine;
mod replaced;
mod replay;
mod rescale;
mod resting;
mod shared;
mod spill;
mod stop;
mod telemetry;
mod top_n;
mod unaligned;
mod unions;
mod window_checkpoints;
mod windows;

use millrace_model::DataType;
use millrace_testkit::Script;
use polars::prelude::*;

/// Columns `k` BIGINT, `v` VARCHAR, `t` TIMESTAMP.
const COLUMNS: [(&str, DataType); 3] = [("k", DataType::BigInt), ("v", DataType::Varchar), ("t", DataType::Timestamp)];

/// Rows of [`COLUMNS`]: a key, a text, a time in microseconds.
fn rows(rows: &[(i64, &str, i64)]) -> DataFrame {
    let keys: Vec<i64> = rows.iter().map(|(key, _, _)| *key).collect();
    let texts: Vec<&str> = rows.iter().map(|(_, text, _)| *text).collect();
    let times: Vec<i64> = rows.iter().map(|(_, _, time)| *time).collect();
    frame(keys, texts, times)
}

fn frame(keys: Vec<i64>, texts: Vec<&str>, times: Vec<i64>) -> DataFrame {
    let height = keys.len();
    let times = Series::new("t".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    DataFrame::new(height, vec![Column::new("k".into(), keys), Column::new("v".into(), texts), times.into()]).unwrap()
}

/// `count` rows, a second apart, over 37 keys.
fn many(count: i64) -> DataFrame {
    let keys: Vec<i64> = (0..count).map(|n| n % 37).collect();
    let texts: Vec<&str> = (0..count).map(|n| ["a", "b", "c"][(n % 3) as usize]).collect();
    frame(keys, texts, (0..count).map(|n| n * 1_000_000).collect())
}

fn one(frame: DataFrame) -> Vec<Vec<Script>> {
    vec![vec![Script::Rows(frame)]]
}
