//! Folders of values: `partition_by` of a file sink, read back by DuckDB, committed again, gone back to an epoch.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{ChangeMode, DataType, Diagnostics};
use millrace_engine::plan::{BoundNode, InputPort};
use millrace_engine::runtime::connector::{Committable, ConnectorContext, Durability, Finality};
use millrace_engine::runtime::{Batch, RunResult};
use polars::prelude::{Column, DataFrame, NamedFrom, Series, TimeUnit};
use serde_json::{Value, json};

use crate::support::{Project, RUN, bind, difference, node, number, schema, sink};

fn columns() -> SchemaRef {
    schema(&[("k", DataType::Varchar), ("at", DataType::Timestamp), ("n", DataType::BigInt)])
}

fn frame(rows: &[(Option<&str>, i64, i64)]) -> Batch {
    let texts: Vec<Option<&str>> = rows.iter().map(|row| row.0).collect();
    let times: Vec<i64> = rows.iter().map(|row| row.1).collect();
    let numbers: Vec<i64> = rows.iter().map(|row| row.2).collect();
    let at = Series::new("at".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let columns = vec![Column::from(Series::new("k".into(), texts)), at.into(), Series::new("n".into(), numbers).into()];
    Batch::new(DataFrame::new(rows.len(), columns).unwrap())
}

fn bound(spec: Value) -> Result<Arc<BoundNode>, Diagnostics> {
    let port = InputPort { schema: columns(), mode: ChangeMode::Append, has_event_time: false };
    bind(&node("file_sink", spec), &[port], None).map(Arc::new)
}

struct Sink {
    project: Project,
    bound: Arc<BoundNode>,
}

impl Sink {
    fn new(spec: Value) -> Sink {
        Sink { project: Project::new(), bound: bound(spec).unwrap() }
    }

    fn context(&self, restored_epoch: u64) -> ConnectorContext {
        ConnectorContext { durability: Durability { is_durable: true, restored_epoch, ..Durability::default() }, ..self.project.context() }
    }

    /// Writes the batches as one epoch, commits it twice, and gives how many rows were bad.
    async fn run(&self, batches: &[Batch]) -> RunResult<usize> {
        let factory = sink("file_sink");
        let mut task = factory.create(&self.bound, &self.project.context()).await?;
        let mut bad = 0;
        for batch in batches {
            bad += task.write(batch).await?.len();
        }
        let ready: Vec<_> = task.prepare(1).await?.into_iter().collect();
        for _ in 0..2 {
            factory.commit(&self.bound, &self.project.context(), ready.clone(), Finality::Final).await?;
        }
        Ok(bad)
    }

    async fn commit(&self, ready: &[Committable]) {
        sink("file_sink").commit(&self.bound, &self.context(0), ready.to_vec(), Finality::Ongoing).await.unwrap();
    }

    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.project.path("out"), &mut found);
        let root = self.project.path("out");
        let mut names: Vec<String> = found.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
        names.sort();
        names
    }
}

/// Every file, and every folder that has none.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    if paths.is_empty() {
        found.push(folder.to_path_buf());
    }
    for path in paths {
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

const HIVE: &str = "read_parquet('out/**/*.parquet', hive_partitioning = true, hive_types = {'k': VARCHAR})";

#[tokio::test]
async fn duckdb_reads_every_value_back_as_it_was() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    let odd = [
        "plain",
        "..",
        "../../secret",
        "/etc/passwd",
        "a/b\\c",
        "a=b",
        "50 %",
        "%2F",
        "ü \n\t",
        "12:34",
        "NULL",
        "null",
        ".",
        "__HIVE_DEFAULT_PARTITION__",
        "",
    ];
    let rows: Vec<(Option<&str>, i64, i64)> =
        odd.iter().map(|text| Some(*text)).chain([None]).enumerate().map(|(n, text)| (text, 0, n as i64)).collect();
    assert_eq!(sink.run(&[frame(&rows), frame(&rows)]).await.unwrap(), 0);
    let duckdb = sink.project.duckdb();
    for (text, _, n) in &rows {
        let query = format!("SELECT count(*) FROM {HIVE} WHERE n = {n} AND k IS NOT DISTINCT FROM ?");
        let found: i64 = duckdb.query_row(&query, [text], |row| row.get(0)).unwrap();
        assert_eq!(found, 2, "{text:?} in {:?}", sink.files());
    }
    assert_eq!(number(&duckdb, &format!("SELECT count(*) FROM {HIVE}")), 32);
    let columns = number(&duckdb, "SELECT count(*) FROM (DESCRIBE FROM 'out/k=plain/*.parquet') WHERE column_name = 'k'");
    assert_eq!(columns, 1, "DuckDB takes it from the folder's name");
    let bare =
        "SELECT count(*) FROM (DESCRIBE FROM read_parquet('out/k=plain/*.parquet', hive_partitioning = false)) WHERE column_name = 'k'";
    assert_eq!(number(&duckdb, bare), 0, "the file itself does not have it");
}

#[tokio::test]
async fn several_columns_make_folders_in_folders_in_any_format() {
    for format in ["parquet", "csv", "jsonl"] {
        let sink = Sink::new(json!({ "path": "out/", "format": format, "partition_by": ["at", "k"] }));
        sink.run(&[frame(&[(Some("a"), 0, 1), (Some("b"), 60_000_000, 2), (Some("a"), 60_000_000, 3)])]).await.unwrap();
        let minute = "at=1970-01-01%2000%3A01%3A00";
        let expected = [
            format!("at=1970-01-01%2000%3A00%3A00/k=a/part-{RUN}-1-0-0.{format}"),
            format!("{minute}/k=a/part-{RUN}-1-0-2.{format}"),
            format!("{minute}/k=b/part-{RUN}-1-0-1.{format}"),
        ];
        assert_eq!(sink.files(), expected);
        let read = match format {
            "parquet" => "read_parquet('out/**/*.parquet', hive_partitioning = true)",
            "csv" => "read_csv('out/**/*.csv', hive_partitioning = true)",
            _ => "read_json('out/**/*.jsonl', hive_partitioning = true)",
        };
        let sum = format!("SELECT sum(n)::BIGINT FROM {read} WHERE \"at\" = TIMESTAMP '1970-01-01 00:01:00' AND k = 'a'");
        assert_eq!(number(&sink.project.duckdb(), &sum), 3, "{format}");
    }
}

#[tokio::test]
async fn more_values_than_files_may_be_open_lose_no_row() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    let texts: Vec<String> = (0..50).map(|n| format!("v{n}")).collect();
    let batch = |from: i64| {
        let rows: Vec<(Option<&str>, i64, i64)> = (0..1_000).map(|n| (Some(texts[(n * 7 % 50) as usize].as_str()), 0, from + n)).collect();
        frame(&rows)
    };
    sink.run(&[batch(0), batch(1_000), batch(2_000)]).await.unwrap();
    let expected = "(SELECT 'v' || (n % 1000 * 7 % 50)::VARCHAR AS k, n FROM range(3000) r(n))";
    let got = format!("(SELECT k, n FROM {HIVE})");
    assert_eq!(difference(&sink.project.duckdb(), &got, expected), 0);
    assert_eq!(sink.files().len(), 150, "a folder's file was ended and another begun");
    assert!(sink.files().iter().all(|name| name.starts_with("k=v")), "nothing hidden is left");
}

#[tokio::test]
async fn values_that_are_too_long_are_bad_and_too_many_are_a_failure() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    let long = "/".repeat(100);
    assert_eq!(sink.run(&[frame(&[(Some(&long), 0, 1), (Some("a"), 0, 2)])]).await.unwrap(), 1);
    assert_eq!(sink.files(), [format!("k=a/part-{RUN}-1-0-0.parquet")]);
    let sink = Sink::new(json!({ "path": "out/", "format": "csv", "partition_by": ["n"] }));
    let mut task = crate::support::sink("file_sink").create(&sink.bound, &sink.project.context()).await.unwrap();
    let rows: Vec<(Option<&str>, i64, i64)> = (0..10_001).map(|n| (None, 0, n)).collect();
    let error = task.write(&frame(&rows)).await.unwrap_err();
    assert!(error.to_string().contains("more than 10000 files"), "{error}");
    task.abort().await.unwrap();
    assert_eq!(sink.files(), [""], "nothing stays");
}

#[tokio::test]
async fn a_second_run_takes_the_first_ones_parts_and_folders_away_and_no_others() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["at", "k"] }));
    sink.run(&[frame(&[(Some("a"), 0, 1), (Some("b"), 0, 2)])]).await.unwrap();
    sink.project.write("out/part-1-0.parquet", "of a run without folders");
    sink.project.write("out/n=1/k=a/part-1-0-0.parquet", "of a release before, by other columns");
    sink.project.write("out/n=2/part-20130314T094200000000Z-9-0-0.parquet", "of a run by another column");
    sink.project.write("out/at=1970-01-01%2000%3A00%3A00/notes.txt", "mine");
    sink.project.write("out/other=1/part-1-0-0.parquet", "another's");
    sink.run(&[frame(&[(Some("c"), 60_000_000, 3)])]).await.unwrap();
    let expected = [
        "at=1970-01-01%2000%3A00%3A00/notes.txt",
        &format!("at=1970-01-01%2000%3A01%3A00/k=c/part-{RUN}-1-0-0.parquet"),
        "other=1/part-1-0-0.parquet",
    ];
    assert_eq!(sink.files(), expected);
    sink.run(&[]).await.unwrap();
    assert_eq!(sink.files(), [expected[0], expected[2]], "a run without rows leaves none");
}

#[tokio::test]
async fn a_run_without_folders_of_values_takes_an_earlier_ones_away() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    sink.run(&[frame(&[(Some("a"), 0, 1), (Some("b"), 0, 2)])]).await.unwrap();
    let flat = Sink { project: sink.project, bound: bound(json!({ "path": "out/" })).unwrap() };
    flat.run(&[frame(&[(Some("c"), 0, 3)])]).await.unwrap();
    assert_eq!(flat.files(), [format!("part-{RUN}-1-0.parquet")]);
}

#[tokio::test]
async fn it_goes_back_to_an_epoch_and_commits_again_what_was_half_committed() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    let factory = crate::support::sink("file_sink");
    let (a, b) = (frame(&[(Some("a"), 0, 1), (Some("b"), 0, 20)]), frame(&[(Some("b"), 0, 300), (Some("c"), 0, 4_000)]));
    let mut task = factory.create(&sink.bound, &sink.context(0)).await.unwrap();
    task.write(&a).await.unwrap();
    let first: Vec<_> = task.prepare(1).await.unwrap().into_iter().collect();
    sink.commit(&first).await;
    task.write(&b).await.unwrap();
    let second: Vec<_> = task.prepare(2).await.unwrap().into_iter().collect();
    // Epoch 3 was prepared and never complete; something of epoch 4 is under way.
    task.write(&b).await.unwrap();
    task.prepare(3).await.unwrap();
    task.write(&a).await.unwrap();
    drop(task);
    // Of the second commit one file was renamed before the crash.
    std::fs::rename(sink.project.path("out/.part-1000-2-0-0.ready"), sink.project.path(&format!("out/k=b/part-{RUN}-2-0-0.parquet")))
        .unwrap();
    factory.recover(&sink.bound, &sink.context(2), &second).await.unwrap();
    sink.commit(&second).await;
    let sum = |sink: &Sink| number(&sink.project.duckdb(), &format!("SELECT sum(n)::BIGINT FROM {HIVE}"));
    assert_eq!(sum(&sink), 4_321);
    assert_eq!(sink.files().len(), 4, "nothing hidden is left: {:?}", sink.files());
    let mut task = factory.create(&sink.bound, &sink.context(2)).await.unwrap();
    assert!(task.prepare(3).await.unwrap().is_none(), "an epoch without rows, of a run that goes on");
    task.write(&a).await.unwrap();
    let fourth: Vec<_> = task.prepare(4).await.unwrap().into_iter().collect();
    sink.commit(&fourth).await;
    assert_eq!(sum(&sink), 4_342);
    let error = factory.recover(&sink.bound, &sink.context(2), &second).await.unwrap_err();
    assert_eq!(error.code(), "MR0426", "epoch 4 was committed");
}

#[tokio::test]
async fn an_abort_removes_what_was_written_and_what_was_prepared() {
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    for prepares in [false, true] {
        let mut task = crate::support::sink("file_sink").create(&sink.bound, &sink.project.context()).await.unwrap();
        task.write(&frame(&[(Some("a"), 0, 1), (Some("b"), 0, 2)])).await.unwrap();
        if prepares {
            task.prepare(1).await.unwrap();
        }
        task.abort().await.unwrap();
        assert_eq!(sink.files(), [""]);
    }
}

#[tokio::test]
async fn a_link_that_is_planted_where_a_folder_of_values_goes_is_not_followed_out() {
    let outside = tempfile::tempdir().unwrap();
    let sink = Sink::new(json!({ "path": "out/", "partition_by": ["k"] }));
    sink.project.write("out/notes.txt", "mine");
    symlink(outside.path(), sink.project.path("out/k=a")).unwrap();
    std::fs::write(outside.path().join("part-1-0.parquet"), "not the sink's to remove").unwrap();
    assert!(sink.run(&[frame(&[(Some("a"), 0, 1)])]).await.is_err());
    let names: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["part-1-0.parquet"], "nothing came, and nothing was taken");
    sink.run(&[frame(&[(Some("b"), 0, 1)])]).await.unwrap();
    assert!(outside.path().join("part-1-0.parquet").exists());
}

#[test]
fn what_cannot_be_folders_is_told_before_the_run() {
    for (spec, words) in [
        (json!({ "path": "out.csv", "partition_by": ["k"] }), "a path that ends in /"),
        (json!({ "path": "out/", "partition_by": ["key"] }), "no column `key`"),
        (json!({ "path": "out/", "partition_by": ["k", "k"] }), "stands there twice"),
        (json!({ "path": "out/", "partition_by": ["k", "n", "at"] }), "no column is left"),
    ] {
        let Err(found) = bound(spec.clone()) else { panic!("{spec}") };
        let said = format!("{found:?}");
        assert!(said.contains(words) && said.contains("partition_by"), "{said}");
    }
}
