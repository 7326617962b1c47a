//! A source that cannot be as it is declared says so before the run: what, where, what was expected, what to do.

use millrace_engine::model::Diagnostics;
use serde_json::{Value, json};

use crate::support::{Project, bind, node};

fn project() -> Project {
    let project = Project::new();
    project.sample("airports.csv");
    project.sample("flights.parquet");
    project.write("data/x.bin", "something");
    project.write("not.parquet", "PAR1 this is no Parquet file PAR1");
    project.write("short.parquet", "PAR1");
    project.write("broken.jsonl", "no\nobject\n");
    project.write("latin.csv", b"caf\xe9,b\n1,2\n");
    project.write("open.csv", "a,\"b\n1,2\n");
    project.write("twice.csv", "a,b,a\n1,2,3\n");
    std::fs::create_dir(project.path("folder.csv")).unwrap();
    let nested = "SELECT [1, 2] AS l, 1 AS a";
    project.duckdb().execute_batch(&format!("COPY ({nested}) TO '{}'", project.path("nested.parquet").display())).unwrap();
    project.duckdb().execute_batch(&format!("COPY (SELECT TIME '10:00' AS t) TO '{}'", project.path("time.parquet").display())).unwrap();
    project
}

#[tokio::test]
async fn each_input_that_cannot_be_read_says_what_is_wrong_and_what_to_do() {
    let project = project();
    let cases: [(Value, &str, &str, &[&str]); 24] = [
        (
            json!({ "path": "airport.csv" }),
            "MR0501",
            "path",
            &["there is no file `airport.csv`", "did you mean `airports.csv`?", "relative paths start at"],
        ),
        (json!({ "path": "data/*.csv" }), "MR0501", "path", &["no file matches `data/*.csv`"]),
        (json!({ "path": "../outside.csv" }), "MR0502", "path", &["lies outside the project", "--allow-path"]),
        (json!({ "path": "/etc/passwd", "format": "csv" }), "MR0502", "path", &["lies outside the project"]),
        (json!({ "path": "folder.csv" }), "MR0502", "path", &["cannot be opened"]),
        (json!({ "path": "data/x.bin" }), "MR0503", "path", &["cannot be told by its extension", "set `format`"]),
        (json!({ "path": "not.parquet" }), "MR0504", "path", &["not.parquet cannot be read as parquet", "footer"]),
        (json!({ "path": "short.parquet" }), "MR0504", "path", &["4 bytes are too few"]),
        (json!({ "path": "airports.csv", "format": "parquet" }), "MR0504", "path", &["it is not a Parquet file", "PAR1 is missing"]),
        (json!({ "path": "broken.jsonl" }), "MR0504", "path", &["no line of it is a JSON object"]),
        (json!({ "path": "latin.csv" }), "MR0504", "path", &["the first line is not UTF-8"]),
        (json!({ "path": "open.csv" }), "MR0504", "path", &["the first line cannot be read: a quote is opened and never closed"]),
        (json!({ "path": "twice.csv" }), "MR0504", "path", &["its column 3 is called `a`, as one before it is"]),
        (
            json!({ "path": "airports.csv", "schema": { "nam": "VARCHAR" } }),
            "MR0505",
            "schema.nam",
            &["has no column `nam`", "did you mean `name`?"],
        ),
        (json!({ "path": "flights.parquet", "schema": { "origins": "VARCHAR" } }), "MR0505", "schema.origins", &["did you mean `origin`?"]),
        (
            json!({ "path": "airports.csv", "schema": { "name": "STRNG" } }),
            "MR0506",
            "schema.name",
            &["there is no type `STRNG`", "VARCHAR"],
        ),
        (
            json!({ "path": "flights.parquet", "schema": { "distance": "VARCHAR" } }),
            "MR0506",
            "schema.distance",
            &["a Parquet file's types are its own"],
        ),
        (json!({ "path": "nested.parquet" }), "MR0507", "path", &["column `l` of nested.parquet", "List", "as JSON"]),
        (json!({ "path": "time.parquet" }), "MR0507", "path", &["column `t` of time.parquet", "Time"]),
        (json!({ "path": "airports.csv", "delimiter": ";;" }), "MR0508", "delimiter", &["one ASCII character"]),
        (json!({ "path": "airports.csv", "delimiter": "\"" }), "MR0508", "delimiter", &["no quote"]),
        (json!({ "path": "flights.parquet", "header": false }), "MR0508", "header", &["`header` is for CSV, and this is parquet"]),
        (json!({ "path": "airports.csv", "max_record": "0B" }), "MR0508", "max_record", &["1B to 256MiB"]),
        (json!({ "path": "airports.csv", "max_record": "1GiB" }), "MR0508", "max_record", &["held whole in memory"]),
    ];
    for (spec, code, field, words) in cases {
        let error = project.discover(&node("file", spec.clone())).await.expect_err(&spec.to_string());
        assert_eq!((error.code.as_ref(), error.field.as_deref()), (code, Some(field)), "{error}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} lacks {word:?}");
        }
    }
}

fn findings(kind: &str, spec: Value) -> String {
    let schema = crate::support::schema(&[("a", millrace_engine::model::DataType::BigInt)]);
    let port = millrace_engine::plan::InputPort {
        schema: schema.clone(),
        mode: millrace_engine::model::ChangeMode::Append,
        has_event_time: false,
    };
    let found: Diagnostics = bind(&node(kind, spec), &[port], Some(&schema)).expect_err("a finding");
    found.items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sink_that_cannot_be_says_so_when_it_is_bound() {
    assert!(findings("file_sink", json!({ "path": "out/x.bin" })).contains("MR0503"));
    assert!(findings("file_sink", json!({ "path": "" })).contains("the path is empty"));
    assert!(findings("file_sink", json!({ "path": "out/.." })).contains("MR05"));
    assert!(findings("host_metrics", json!({ "every": "10ms" })).contains("at least 200ms"));
}
