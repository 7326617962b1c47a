//! What a sink leaves behind, and when.

use std::sync::Arc;

use millrace_engine::model::{ChangeMode, DataType};
use millrace_engine::plan::{Distribution, InputPort};
use millrace_engine::runtime::Batch;
use millrace_engine::runtime::connector::Finality;
use polars::prelude::{Column, DataFrame, NamedFrom, Series};
use serde_json::json;

use crate::support::{Project, RUN, bind, described, difference, empty, node, number, schema, sink};

fn frame(values: &[i64]) -> DataFrame {
    let hidden = Series::new("__time".into(), values);
    DataFrame::new(values.len(), vec![Column::from(Series::new("a".into(), values)), hidden.into()]).unwrap()
}

fn names(project: &Project, folder: &str) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(project.path(folder)).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_second_run_replaces_the_file_at_its_commit_and_hidden_columns_stay_hidden() {
    let project = Project::new();
    let columns = schema(&[("a", DataType::BigInt)]);
    for (run, values) in [(1, vec![1, 2, 3]), (2, vec![7])] {
        for format in ["parquet", "csv", "jsonl"] {
            let path = format!("out/x.{format}");
            project.try_write(json!({ "path": path }), &frame(&values), &columns).await.unwrap();
            let duckdb = project.duckdb();
            assert_eq!(number(&duckdb, &format!("SELECT count(*) FROM '{path}'")), values.len() as i64, "run {run}");
            assert_eq!(described(&duckdb, &format!("'{path}'")), "a BIGINT");
        }
    }
    assert_eq!(names(&project, "out"), ["x.csv", "x.jsonl", "x.parquet"]);
}

#[tokio::test]
async fn nothing_shows_before_the_commit_and_nothing_stays_after_an_abort() {
    let project = Project::new();
    project.write("out/x.csv", "a\n1\n");
    let columns = schema(&[("a", DataType::BigInt)]);
    let port = InputPort { schema: columns, mode: ChangeMode::Append, has_event_time: false };
    let bound = Arc::new(bind(&node("file_sink", json!({ "path": "out/x.csv" })), &[port], None).unwrap());
    assert_eq!(bound.distribution, Distribution::Single);
    for prepares in [false, true] {
        let mut task = sink("file_sink").create(&bound, &project.context()).await.unwrap();
        task.write(&Batch::new(frame(&[5]))).await.unwrap();
        if prepares {
            task.prepare(1).await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(project.path("out/x.csv")).unwrap(), "a\n1\n");
        task.abort().await.unwrap();
        assert_eq!(names(&project, "out"), ["x.csv"]);
    }
}

#[tokio::test]
async fn a_run_without_rows_leaves_a_sound_file_without_rows() {
    let project = Project::new();
    let columns = schema(&[("a", DataType::BigInt), ("t", DataType::Timestamp)]);
    for path in ["x.parquet", "x.csv", "x.jsonl", "parts/"] {
        project.try_write(json!({ "path": path }), &empty(&columns), &columns).await.unwrap();
    }
    let duckdb = project.duckdb();
    assert_eq!(described(&duckdb, "'x.parquet'"), "a BIGINT, t TIMESTAMP");
    assert_eq!(number(&duckdb, "SELECT count(*) FROM 'x.parquet'"), 0);
    assert_eq!(std::fs::read_to_string(project.path("x.csv")).unwrap(), "a,t\n");
    assert_eq!(std::fs::read_to_string(project.path("x.jsonl")).unwrap(), "");
    assert_eq!(names(&project, "parts"), [format!("part-{RUN}-1-0.parquet")]);
}

#[tokio::test]
async fn a_folder_receives_a_part_per_task_and_a_second_run_takes_the_first_ones_away() {
    let project = Project::new();
    let columns = schema(&[("a", DataType::BigInt)]);
    let port = InputPort { schema: columns, mode: ChangeMode::Append, has_event_time: false };
    let bound = Arc::new(bind(&node("file_sink", json!({ "path": "out/", "format": "csv" })), &[port], None).unwrap());
    assert_eq!(bound.distribution, Distribution::Any);
    let factory = sink("file_sink");
    project.write("out/notes.csv", "mine");
    for tasks in [3u32, 2] {
        for epoch in [1, 2] {
            // Epochs of one run share their tasks; here each stands for a run's first and only one, but for the second below.
            let mut ready = Vec::new();
            for task in 0..tasks {
                let context = millrace_engine::runtime::connector::ConnectorContext { task, tasks, ..project.context() };
                let mut writer = factory.create(&bound, &context).await.unwrap();
                writer.write(&Batch::new(frame(&[i64::from(task)]))).await.unwrap();
                ready.extend(writer.prepare(epoch).await.unwrap());
            }
            factory.commit(&bound, &project.context(), ready, Finality::Final).await.unwrap();
            let parts: Vec<String> = (0..tasks).map(|task| format!("part-{RUN}-{epoch}-{task}.csv")).collect();
            let mut expected = vec!["notes.csv".to_owned()];
            expected.extend(parts);
            assert_eq!(names(&project, "out"), expected);
        }
    }
}

#[tokio::test]
async fn a_run_of_several_epochs_keeps_all_its_parts() {
    let project = Project::new();
    let columns = schema(&[("a", DataType::BigInt)]);
    let port = InputPort { schema: columns, mode: ChangeMode::Append, has_event_time: false };
    let bound = Arc::new(bind(&node("file_sink", json!({ "path": "out/" })), &[port], None).unwrap());
    let factory = sink("file_sink");
    let mut task = factory.create(&bound, &project.context()).await.unwrap();
    for epoch in 1..=3 {
        task.write(&Batch::new(frame(&[epoch as i64, 10]))).await.unwrap();
        let ready = task.prepare(epoch).await.unwrap();
        factory
            .commit(&bound, &project.context(), ready.into_iter().collect(), if epoch == 3 { Finality::Final } else { Finality::Ongoing })
            .await
            .unwrap();
    }
    assert_eq!(names(&project, "out"), [1, 2, 3].map(|epoch| format!("part-{RUN}-{epoch}-0.parquet")));
    let duckdb = project.duckdb();
    assert_eq!(difference(&duckdb, "'out/*.parquet'", "(VALUES (1), (10), (2), (10), (3), (10)) v(a)"), 0);
}

#[tokio::test]
async fn a_part_that_is_begun_before_the_last_is_committed_leaves_that_whole() {
    let project = Project::new();
    let columns = schema(&[("a", DataType::BigInt)]);
    let port = InputPort { schema: columns, mode: ChangeMode::Append, has_event_time: false };
    let bound = Arc::new(bind(&node("file_sink", json!({ "path": "out/" })), &[port], None).unwrap());
    let factory = sink("file_sink");
    let mut task = factory.create(&bound, &project.context()).await.unwrap();
    let mut ready = Vec::new();
    for epoch in 1..=3 {
        task.write(&Batch::new(frame(&[epoch as i64]))).await.unwrap();
        ready.extend(task.prepare(epoch).await.unwrap());
    }
    factory.commit(&bound, &project.context(), ready, Finality::Final).await.unwrap();
    let duckdb = project.duckdb();
    assert_eq!(difference(&duckdb, "'out/*.parquet'", "(VALUES (1), (2), (3)) v(a)"), 0);
    assert_eq!(names(&project, "out").len(), 3);
}

#[tokio::test]
async fn a_path_that_is_a_folder_and_a_folder_that_is_a_file_are_refused_before_a_row() {
    let project = Project::new();
    std::fs::create_dir(project.path("x.csv")).unwrap();
    project.write("y", "");
    let columns = schema(&[("a", DataType::BigInt)]);
    for (path, words) in [("x.csv", "it is a folder; a path that ends in / receives parts"), ("y/", "it is a file")] {
        let error = project.try_write(json!({ "path": path }), &empty(&columns), &columns).await.unwrap_err();
        assert!(error.code() == "MR0512" && error.to_string().contains(words), "{error}");
    }
}
