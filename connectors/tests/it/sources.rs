//! How sources hand out what they read.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use millrace_connectors::reader::{Chunk, ChunkReader, PositionUnit, ThreadedSource};
use millrace_engine::model::DataType;
use millrace_engine::model::field::{ColumnName, EventTime, EventTimeDetail};
use millrace_engine::runtime::RunResult;
use millrace_engine::runtime::connector::{Read, Source, SourceProgress, SourceRows};
use polars::prelude::{DataFrame, NamedFrom, Series};
use serde_json::json;

use crate::support::{Project, bind, described_schema, node, schema, source};

#[tokio::test]
async fn each_file_of_a_glob_is_a_partition_in_the_order_of_names() {
    let project = Project::new();
    for (name, text) in [
        ("d/b.csv", "a,b\n3,x\n"),
        ("d/a.csv", "a,b\n1,x\n2,y\n"),
        ("d/c.csv", "b,a\nz,4\n"),
        ("d/e/f.csv", "a,b\n5,x\n"),
        ("d/.g.csv", "a,b\n6,x\n"),
    ] {
        project.write(name, text);
    }
    let declared = node("file", json!({ "path": "d/*.csv" }));
    let (_, sources) = project.open(&declared).await.unwrap();
    assert_eq!(sources.iter().map(|source| source.name()).collect::<Vec<_>>(), ["d/a.csv", "d/b.csv", "d/c.csv"]);
    let files = project.context().files;
    assert_eq!(source("file").max_parallelism(&declared, &files), Some(3));
    assert_eq!(source("file").input_paths(&declared, &files).unwrap().len(), 3);
    let rows = project.read(json!({ "path": "d/*.csv" })).await;
    assert_eq!(rows.texts("a"), ["1", "2", "3", "4"], "columns go by their names, whatever their order");
    let rows = project.read(json!({ "path": "d/**/*.csv" })).await;
    assert_eq!(rows.texts("a"), ["1", "2", "3", "4", "5"]);
    project.write("d/a0.csv", "a\n1\n");
    let error = project.try_read(&declared).await.err().unwrap();
    assert!(error.to_string().contains("d/a0.csv: it has no column `b`"), "{error}");
    assert_eq!(error.code(), "MR0510");
}

/// Gives ten rows, counted on, for each word that comes.
struct OnDemand {
    words: Receiver<()>,
    next: i64,
}

impl ChunkReader for OnDemand {
    fn next(&mut self, _max_rows: usize) -> RunResult<Option<Chunk>> {
        if self.words.recv().is_err() {
            return Ok(None);
        }
        let values: Vec<i64> = (self.next..self.next + 10).collect();
        self.next += 10;
        let frame = DataFrame::new(values.len(), vec![Series::new("a".into(), values).into()]).unwrap();
        let rows = SourceRows { frame, first_position: self.next as u64 - 9, ..SourceRows::default() };
        Ok(Some(Chunk { rows, at: json!(self.next), bytes_done: 0 }))
    }
}

#[tokio::test]
async fn a_read_that_is_dropped_loses_no_record() {
    let (word, words) = std::sync::mpsc::sync_channel(1);
    let open = Box::new(|_| Ok(Box::new(OnDemand { words, next: 0 }) as Box<dyn ChunkReader>));
    let mut source = ThreadedSource::new("x".to_owned(), PositionUnit::Row, 10, None, open);
    let mut seen = Vec::new();
    let mut take = |read: Read| {
        let Read::Rows(rows) = read else { panic!("rows are still to come") };
        let values: Vec<i64> = rows.frame.column("a").unwrap().i64().unwrap().into_no_null_iter().collect();
        assert_eq!(rows.first_position, values[0] as u64 + 1);
        seen.extend(values);
    };
    for _ in 0..50 {
        // Polled and dropped while nothing is there, as where a barrier comes first.
        let dropped = tokio::time::timeout(Duration::ZERO, source.read(7)).await;
        assert!(dropped.is_err());
        word.send(()).unwrap();
        take(source.read(7).await.unwrap());
        take(tokio::time::timeout(Duration::ZERO, source.read(7)).await.expect("the rest is at hand").unwrap());
    }
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
    drop(word);
    assert!(matches!(source.read(7).await.unwrap(), Read::End));
    assert!(matches!(source.read(7).await.unwrap(), Read::End), "an end stays an end");
}

#[tokio::test]
async fn a_source_tells_its_position_and_how_far_it_is() {
    let mut project = Project::new();
    project.batch_rows = 4;
    project.write("x.csv", "a,b\n1,x\nbad\n2,x\n3,x\n4,x\n5,x\n6,x\n");
    let (_, mut sources) = project.open(&node("file", json!({ "path": "x.csv" }))).await.unwrap();
    let source = sources.first_mut().unwrap();
    assert_eq!(source.progress(), Some(SourceProgress { done: 0, total: 32 }));
    let Read::Rows(rows) = source.read(3).await.unwrap() else { panic!() };
    assert_eq!((rows.bad.len(), rows.frame.height(), rows.positions), (1, 2, vec![2, 4]));
    let at = |position: serde_json::Value| ["byte", "line"].map(|name| position["chunk"][name].as_u64().unwrap());
    let position = source.position();
    assert_eq!((&position["rows"], &position["bad"], at(position.clone())), (&json!(2), &json!(1), [4, 2]));
    let Read::Rows(rows) = source.read(3).await.unwrap() else { panic!() };
    assert_eq!((rows.frame.height(), source.position_text(rows.first_position)), (1, "line 5".to_owned()));
    let Read::Rows(_) = source.read(3).await.unwrap() else { panic!() };
    assert_eq!(at(source.position()), [20, 6]);
    while let Read::Rows(_) = source.read(3).await.unwrap() {}
    assert_eq!(source.progress(), Some(SourceProgress { done: 32, total: 32 }));
}

#[tokio::test]
async fn text_that_event_time_has_a_format_for_stays_text() {
    let project = Project::new();
    project.write("x.csv", "at,n\n2013-01-01 10:00:00,1\n");
    let mut declared = node("file", json!({ "path": "x.csv" }));
    assert_eq!(described_schema(&project.discover(&declared).await.unwrap()), "at TIMESTAMP, n BIGINT");
    let detail = EventTimeDetail { column: ColumnName("at".to_owned()), format: Some("%Y-%m-%d %H:%M:%S".to_owned()), unit: None };
    declared.source.event_time = Some(EventTime::Detailed(detail));
    assert_eq!(described_schema(&project.discover(&declared).await.unwrap()), "at VARCHAR, n BIGINT");
}

#[tokio::test]
async fn a_file_without_a_header_has_numbered_columns_or_those_of_the_schema() {
    let project = Project::new();
    project.write("x.csv", "1,x\n2,y\n");
    let rows = project.read(json!({ "path": "x.csv", "header": false })).await;
    assert_eq!(described_schema(&rows.schema), "column0 BIGINT, column1 VARCHAR");
    let rows = project.read(json!({ "path": "x.csv", "header": false, "schema": { "id": "INTEGER", "name": "VARCHAR" } })).await;
    assert_eq!(described_schema(&rows.schema), "id INTEGER, name VARCHAR");
    assert_eq!(rows.texts("id"), ["1", "2"]);
}

#[tokio::test]
async fn a_byte_order_mark_and_line_ends_of_either_kind_are_no_content() {
    let project = Project::new();
    project.write("x.csv", b"\xef\xbb\xbfa,b\r\n1,\"x\"\r\n\r\n2,y\n\n3,z");
    let rows = project.read(json!({ "path": "x.csv" })).await;
    assert_eq!(described_schema(&rows.schema), "a BIGINT, b VARCHAR");
    assert_eq!(rows.texts("b"), ["x", "y", "z"]);
    assert_eq!(rows.positions, [2, 4, 6]);
    project.write("t.tsv", "a\tb\n1\tx, y\n");
    assert_eq!(project.read(json!({ "path": "t.tsv" })).await.texts("b"), ["x, y"]);
}

#[tokio::test]
async fn host_metrics_come_at_their_beat_with_sane_figures() {
    let project = Project::new();
    let factory = source("host_metrics");
    assert_eq!(factory.default_event_time(), Some("time"));
    let declared = node("host_metrics", json!({ "every": "200ms" }));
    let columns = factory.discover(&declared, &project.context()).await.unwrap();
    let bound = bind(&declared, &[], Some(&columns)).unwrap();
    let mut sources = factory.open(&std::sync::Arc::new(bound), &project.context()).await.unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let Read::Rows(rows) = sources[0].read(100).await.unwrap() else { panic!() };
        let figure = |name: &str| rows.frame.column(name).unwrap().f64().unwrap().get(0).unwrap();
        assert!((0.0..=100.0).contains(&figure("cpu_percent")), "{:?}", rows.frame);
        assert!((0.0..=100.0).contains(&figure("memory_percent")) && figure("memory_used_mb") > 1.0);
        assert!(figure("load_1m") >= 0.0 && figure("network_rx_kb_s") >= 0.0 && figure("network_tx_kb_s") >= 0.0);
        let time = rows.frame.column("time").unwrap().datetime().unwrap().physical().get(0).unwrap();
        assert!(time > last);
        last = time;
    }
    let expected = [("time", DataType::Timestamp)].into_iter().chain(
        ["cpu_percent", "memory_used_mb", "memory_percent", "load_1m", "network_rx_kb_s", "network_tx_kb_s"]
            .map(|name| (name, DataType::Double)),
    );
    assert_eq!(columns, schema(&expected.collect::<Vec<_>>()));
}
