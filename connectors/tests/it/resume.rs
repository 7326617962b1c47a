//! A source goes on where it was, and notices that its input is not what it was; a sink goes back to an epoch.

use std::sync::Arc;

use millrace_engine::model::{ChangeMode, DataType};
use millrace_engine::plan::{BoundNode, InputPort};
use millrace_engine::runtime::connector::{Committable, ConnectorContext, Durability, Finality, Read, Source};
use millrace_engine::runtime::{Batch, RunError, RunResult};
use polars::prelude::{Column, DataFrame, NamedFrom, Series};
use serde_json::json;

use crate::support::{Project, RUN, bind, node, number, schema, sink};

/// All that a source gives from now on: rows as text, and bad records.
async fn rest(source: &mut dyn Source, max_rows: usize, most: usize) -> RunResult<Vec<String>> {
    let mut given = Vec::new();
    for _ in 0..most {
        let Read::Rows(rows) = source.read(max_rows).await? else { break };
        given.extend((0..rows.frame.height()).map(|row| format!("{:?}", rows.frame.get_row(row).unwrap().0)));
        given.extend(rows.bad.iter().map(|bad| format!("{}: {}", bad.position, bad.raw)));
    }
    Ok(given)
}

fn text(lines: usize) -> String {
    let line = |n: usize| match n % 7 {
        3 => "not a number,x\n".to_owned(),
        5 => "\"never closed\n".to_owned(),
        _ => format!("{n},\"a\nb{n}\"\n"),
    };
    format!("\u{feff}n,v\n{}", (0..lines).map(line).collect::<String>())
}

#[tokio::test]
async fn a_file_is_read_on_from_any_place_in_chunks_of_any_size() {
    let mut project = Project::new();
    project.write("x.csv", text(60));
    let objects = |n: usize| if n % 5 == 2 { "{\n".to_owned() } else { format!("{{\"n\": {n}}}\n") };
    project.write("x.jsonl", (0..40).map(objects).collect::<String>());
    let duckdb = project.duckdb();
    let copy = "COPY (SELECT range AS n, 'v' || range AS v FROM range(9000)) TO 'x.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)";
    duckdb.execute_batch(&copy.replace("x.parquet", &project.path("x.parquet").display().to_string())).unwrap();
    for (file, rows, reads) in [("x.csv", 4, 30), ("x.jsonl", 3, 20), ("x.parquet", 700, 14)] {
        let spec = json!({ "path": file, "schema": if file == "x.csv" { json!({ "n": "BIGINT" }) } else { json!({}) } });
        project.batch_rows = rows;
        let (_, mut whole) = project.open(&node("file", spec.clone())).await.unwrap();
        let mut all = rest(whole[0].as_mut(), rows, usize::MAX).await.unwrap();
        all.sort();
        assert!(all.len() >= 40, "{file}");
        for before in 0..reads {
            project.batch_rows = rows;
            let (_, mut first) = project.open(&node("file", spec.clone())).await.unwrap();
            let mut given = rest(first[0].as_mut(), rows - 1, before).await.unwrap();
            project.batch_rows = [rows, 5, 100, 4096][before % 4];
            let (_, mut second) = project.open(&node("file", spec.clone())).await.unwrap();
            second[0].seek(&first[0].position()).unwrap();
            assert_eq!(second[0].position(), first[0].position(), "a place is told as it was given");
            given.extend(rest(second[0].as_mut(), project.batch_rows, usize::MAX).await.unwrap());
            given.sort();
            assert_eq!(given, all, "{file} after {before} reads");
        }
    }
}

#[tokio::test]
async fn a_file_that_changed_under_its_offset_is_noticed_and_one_that_grew_is_read_on() {
    let mut project = Project::new();
    project.batch_rows = 2;
    let good = "n\n1\n2\n3\n4\n5\n6\n";
    let spec = node("file", json!({ "path": "x.csv" }));
    project.write("x.csv", good);
    let (_, mut first) = project.open(&spec).await.unwrap();
    rest(first[0].as_mut(), 2, 3).await.unwrap();
    let position = first[0].position();
    for (now, goes_on) in [(good.to_owned() + "7\n", true), (good.replace('2', "9"), false), ("n\n1\n".to_owned(), false)] {
        project.write("x.csv", &now);
        let (_, mut second) = project.open(&spec).await.unwrap();
        second[0].seek(&position).unwrap();
        match rest(second[0].as_mut(), 9, 9).await {
            Ok(given) => assert!(goes_on && given.len() == 1, "{now:?}: {given:?}"),
            Err(error) => assert!(!goes_on && error.code() == "MR0515", "{now:?}: {error}"),
        }
    }
}

fn frame(values: &[i64]) -> Batch {
    Batch::new(DataFrame::new(values.len(), vec![Column::from(Series::new("a".into(), values))]).unwrap())
}

/// A sink of a durable run, driven as the runtime drives it.
struct Durable {
    project: Project,
    bound: Arc<BoundNode>,
}

impl Durable {
    fn new(path: &str) -> Durable {
        let columns = schema(&[("a", DataType::BigInt)]);
        let port = InputPort { schema: columns, mode: ChangeMode::Append, has_event_time: false };
        Durable { project: Project::new(), bound: Arc::new(bind(&node("file_sink", json!({ "path": path })), &[port], None).unwrap()) }
    }

    fn context(&self, restored_epoch: u64) -> ConnectorContext {
        ConnectorContext { durability: Durability { is_durable: true, restored_epoch, ..Durability::default() }, ..self.project.context() }
    }

    /// Goes on from an epoch, writes an epoch for each list of values, and gives what the last one prepared. All but the last are committed.
    async fn epochs(&self, restored: u64, ready: Vec<Committable>, values: &[&[i64]]) -> RunResult<Vec<Committable>> {
        let (factory, context) = (sink("file_sink"), self.context(restored));
        if restored > 0 {
            factory.recover(&self.bound, &context, &ready).await?;
            factory.commit(&self.bound, &context, ready, Finality::Ongoing).await?;
        }
        let mut task = factory.create(&self.bound, &context).await?;
        let mut prepared = Vec::new();
        for (epoch, values) in (restored + 1..).zip(values) {
            factory.commit(&self.bound, &context, prepared, Finality::Ongoing).await?;
            if !values.is_empty() {
                task.write(&frame(values)).await?;
            }
            prepared = task.prepare(epoch).await?.into_iter().collect();
        }
        task.write(&frame(&[999])).await?;
        Ok(prepared)
    }

    async fn commit(&self, ready: &[Committable], finality: Finality) -> RunResult<()> {
        sink("file_sink").commit(&self.bound, &self.context(0), ready.to_vec(), finality).await
    }

    /// What a process is given that goes on from an epoch, and may lose the run without knowing it.
    fn owner(&self, base: u64, restored_epoch: u64, ready: &[Committable]) -> ConnectorContext {
        let durability = Durability { is_durable: true, restored_epoch, base: Some(base), ..Durability::default() };
        ConnectorContext { durability, restored: Arc::new(ready.to_vec()), ..self.project.context() }
    }

    fn hidden(&self) -> usize {
        let entries = std::fs::read_dir(self.project.path("out")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count()
    }

    fn sum(&self, files: &str) -> i64 {
        number(&self.project.duckdb(), &format!("SELECT sum(a)::BIGINT FROM '{files}'"))
    }
}

#[tokio::test]
async fn one_file_waits_in_parts_and_is_put_together_once_whatever_is_done_again() {
    for path in ["out/x.parquet", "out/x.csv", "out/x.jsonl"] {
        let sink = Durable::new(path);
        let second = sink.epochs(0, Vec::new(), &[&[1], &[], &[2, 3]]).await.unwrap();
        assert!(!sink.project.path(path).exists(), "nothing shows before the end");
        // Epoch 4 was prepared, and never was complete.
        sink.epochs(3, second.clone(), &[&[400]]).await.unwrap();
        let last = sink.epochs(3, second.clone(), &[&[40], &[50]]).await.unwrap();
        sink.commit(&last, Finality::Paused).await.unwrap();
        assert_eq!(sink.sum(path), 96, "a stop shows what there is");
        let end = sink.epochs(5, last, &[&[600]]).await.unwrap();
        for _ in 0..3 {
            sink.commit(&end, Finality::Final).await.unwrap();
            assert_eq!(sink.sum(path), 696, "{path}");
        }
    }
}

#[tokio::test]
async fn a_folder_of_a_release_before_which_named_no_run_is_gone_on_with() {
    let sink = Durable::new("out/");
    let first = sink.epochs(0, Vec::new(), &[&[1]]).await.unwrap();
    let unnamed: Vec<Committable> =
        serde_json::from_str(&serde_json::to_string(&first).unwrap().replace(&format!("part-{RUN}-"), "part-")).unwrap();
    assert_ne!(first, unnamed);
    let second = sink.epochs(1, unnamed.clone(), &[&[20]]).await.unwrap();
    sink.commit(&second, Finality::Ongoing).await.unwrap();
    assert!(sink.project.path("out/part-1-0.parquet").exists() && sink.sum("out/*.parquet") == 21);
    sink.project.write("out/part-3-0.parquet", "of an epoch that was given up");
    let error = sink.epochs(2, second, &[&[300]]).await.unwrap_err();
    assert!(error.to_string().contains("epoch 3"), "{error}");
}

#[tokio::test]
async fn a_part_that_is_missing_is_noticed_when_the_run_goes_on() {
    let sink = Durable::new("out/x.csv");
    let ready = sink.epochs(0, Vec::new(), &[&[1], &[2]]).await.unwrap();
    std::fs::remove_file(sink.project.path("out/.x.csv.1000-1-0.ready")).unwrap();
    let error = sink.epochs(2, ready, &[]).await.unwrap_err();
    assert!(error.code() == "MR0516" && error.to_string().contains("2 parts of it were written, and 1 are there"), "{error}");
}

#[tokio::test]
async fn a_folder_goes_back_to_an_epoch_but_not_below_one_that_it_has_committed() {
    let sink = Durable::new("out/");
    sink.project.write("out/part-9-0.parquet", "of an earlier run, and a release before");
    sink.project.write("out/part-20130314T094200000000Z-9-0.parquet", "of an earlier run");
    let first = sink.epochs(0, Vec::new(), &[&[1]]).await.unwrap();
    // Killed before its first commit: the earlier run's parts are no reason to refuse.
    let second = sink.epochs(1, first.clone(), &[&[20]]).await.unwrap();
    sink.commit(&second, Finality::Ongoing).await.unwrap();
    assert_eq!(sink.sum("out/*.parquet"), 21);
    let refused = |error: RunError, words: &str| {
        assert!(matches!(&error, RunError::State { code: "MR0426", .. }) && error.to_string().contains(words), "{error}");
    };
    refused(sink.epochs(1, first, &[&[20]]).await.unwrap_err(), "epoch 2");
    let third = sink.epochs(2, second.clone(), &[&[300]]).await.unwrap();
    sink.commit(&third, Finality::Ongoing).await.unwrap();
    refused(sink.epochs(2, second, &[&[300]]).await.unwrap_err(), "epoch 3");
    assert_eq!(sink.sum("out/*.parquet"), 321, "nothing was touched");
    sink.project.write("out/part-20130314T094200000000Z-1-0.parquet", "of a later run");
    refused(sink.epochs(3, third, &[&[4_000]]).await.unwrap_err(), "a later run, which began at 20130314T094200000000Z");
}

/// One has been stopped for a while, and lives: another goes on with its run meanwhile, and the first does not know it.
#[tokio::test]
async fn who_has_lost_a_run_and_still_writes_neither_adds_to_nor_takes_from_what_its_successor_shows() {
    for (path, shown) in [("out/", "out/*.parquet"), ("out/x.csv", "out/x.csv"), ("out/x.parquet", "out/x.parquet")] {
        let sink = Durable::new(path);
        let factory = crate::support::sink("file_sink");
        sink.project.write("out/part-20130314T094200000000Z-9-0.parquet", "of an earlier run");
        let first = sink.owner(0, 0, &[]);
        let mut lost = factory.create(&sink.bound, &first).await.unwrap();
        lost.write(&frame(&[1])).await.unwrap();
        let ready: Vec<Committable> = lost.prepare(1).await.unwrap().into_iter().collect();
        factory.commit(&sink.bound, &first, ready.clone(), Finality::Ongoing).await.unwrap();
        lost.write(&frame(&[10_000])).await.unwrap();
        lost.prepare(2).await.unwrap();
        let next = sink.owner(5_000, 1, &ready);
        factory.recover(&sink.bound, &next, &ready).await.unwrap();
        // Between the successor's look and its beginning, and after that.
        lost.write(&frame(&[20_000])).await.unwrap();
        lost.prepare(3).await.unwrap();
        factory.commit(&sink.bound, &next, ready.clone(), Finality::Ongoing).await.unwrap();
        let mut led = factory.create(&sink.bound, &next).await.unwrap();
        led.write(&frame(&[200])).await.unwrap();
        lost.write(&frame(&[30_000])).await.unwrap();
        lost.prepare(4).await.unwrap();
        lost.write(&frame(&[40_000])).await.unwrap();
        let second: Vec<Committable> = led.prepare(5_001).await.unwrap().into_iter().collect();
        factory.commit(&sink.bound, &next, second.clone(), Finality::Ongoing).await.unwrap();
        led.write(&frame(&[3_000])).await.unwrap();
        // The first one commits what it had entered, goes back, and gives up.
        factory.commit(&sink.bound, &first, ready.clone(), Finality::Ongoing).await.unwrap();
        let back = sink.owner(2_000, 1, &ready);
        let recovered = factory.recover(&sink.bound, &back, &ready).await;
        assert_eq!(recovered.is_err(), path == "out/", "a folder shows that somebody has gone on: {recovered:?}");
        lost.abort().await.unwrap();
        let last: Vec<Committable> = led.prepare(5_002).await.unwrap().into_iter().collect();
        factory.commit(&sink.bound, &next, last, Finality::Final).await.unwrap();
        assert_eq!(sink.sum(shown), 3_201, "{path}");
    }
}

#[tokio::test]
async fn one_file_that_a_release_before_had_begun_is_gone_on_with_where_another_may_take_it_over() {
    let sink = Durable::new("out/x.csv");
    let ready = sink.epochs(0, Vec::new(), &[&[1], &[20]]).await.unwrap();
    assert!(!serde_json::to_string(&ready).unwrap().contains("spans"), "as it was told of then");
    let (factory, next) = (crate::support::sink("file_sink"), sink.owner(5_000, 2, &ready));
    factory.recover(&sink.bound, &next, &ready).await.unwrap();
    factory.commit(&sink.bound, &next, ready, Finality::Ongoing).await.unwrap();
    assert_eq!(sink.hidden(), 2, "what was under way is gone");
    let mut task = factory.create(&sink.bound, &next).await.unwrap();
    task.write(&frame(&[300])).await.unwrap();
    sink.project.write("out/.x.csv.1000-7-0.ready", "a\n999\n");
    let last: Vec<Committable> = task.prepare(5_001).await.unwrap().into_iter().collect();
    factory.commit(&sink.bound, &next, last, Finality::Final).await.unwrap();
    assert_eq!(sink.sum("out/x.csv"), 321);
}
