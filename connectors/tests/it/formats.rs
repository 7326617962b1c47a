//! What others write we read, and what we write others read: DuckDB on the other side.

use millrace_engine::model::DataType;
use serde_json::json;

use crate::support::{Project, described, described_schema, difference, number};

/// Every type, NULLs, and the ends of each range.
const ALL_TYPES: &str = "
CREATE TABLE t (a BOOLEAN, b TINYINT, c SMALLINT, d INTEGER, e BIGINT, f UTINYINT, g USMALLINT, h UINTEGER, i UBIGINT, j FLOAT, k DOUBLE,
                l VARCHAR, m DATE, n TIMESTAMP);
INSERT INTO t VALUES
 (true, -128, -32768, -2147483648, -9223372036854775808, 0, 0, 0, 0, -1.5, -1.7976931348623157e308, 'plain', '1970-01-01', '1969-12-31 23:59:59.999999'),
 (false, 127, 32767, 2147483647, 9223372036854775807, 255, 65535, 4294967295, 18446744073709551615, 3.4e38, 5e-324, 'a \"quote\", a comma', '9999-12-31', '2013-01-01 10:17:00'),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (true, 1, 2, 3, 4, 5, 6, 7, 8, 0.1, 0.1, E'two\\nlines, \\ttab, \\\\ backslash, äöü 😀, and more than twelve bytes', '2013-02-28', '2013-06-30 00:00:00.5'),
 (true, 1, 2, 3, 4, 5, 6, 7, 8, 1e-40, 123456789.123456789, ' spaces ', '0001-01-01', '1600-02-29 12:00:00.000001');";

fn types() -> serde_json::Value {
    let names = "abcdefghijklmn".chars().map(|name| name.to_string());
    names.zip(DataType::ALL).map(|(name, data_type)| (name, json!(data_type.name()))).collect::<serde_json::Map<_, _>>().into()
}

fn reading(format: &str, path: &str) -> String {
    match format {
        "csv" => {
            let columns = types()
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, data_type)| format!("'{name}': '{}'", data_type.as_str().unwrap()))
                .collect::<Vec<_>>();
            format!("read_csv('{path}', header = true, delim = ',', quote = '\"', escape = '\"', columns = {{{}}})", columns.join(", "))
        }
        "jsonl" => {
            let columns = types()
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, data_type)| format!("{name}: '{}'", data_type.as_str().unwrap()))
                .collect::<Vec<_>>();
            format!("read_json('{path}', format = 'newline_delimited', columns = {{{}}})", columns.join(", "))
        }
        _ => format!("read_parquet('{path}')"),
    }
}

#[tokio::test]
async fn every_type_goes_from_duckdb_through_us_to_duckdb_unchanged_in_each_format() {
    let project = Project::new();
    let duckdb = project.duckdb();
    duckdb.execute_batch(ALL_TYPES).unwrap();
    for (format, options) in [("csv", "FORMAT csv, HEADER"), ("jsonl", "FORMAT json"), ("parquet", "FORMAT parquet")] {
        let from = project.path(&format!("from.{format}"));
        duckdb.execute_batch(&format!("COPY t TO '{}' ({options})", from.display())).unwrap();
        let rows = project.read(json!({ "path": format!("from.{format}"), "schema": types() })).await;
        assert_eq!(rows.reasons(), [""; 0], "{format}");
        assert_eq!(described_schema(&rows.schema), described(&duckdb, "t"), "{format}");
        for to in ["csv", "jsonl", "parquet"] {
            let name = format!("{format}-to.{to}");
            project.write_by_sink(json!({ "path": name }), &rows).await;
            let ours = reading(to, &project.path(&name).display().to_string());
            assert_eq!(difference(&duckdb, &ours, "t"), 0, "{format} to {to}");
            // And back by ourselves.
            let again = project.read(json!({ "path": name, "schema": types() })).await;
            assert!(again.frame.equals_missing(&rows.frame), "{format} to {to}: {:?} {:?}", again.frame, rows.frame);
        }
        assert_eq!(
            described(&duckdb, &reading("parquet", &project.path(&format!("{format}-to.parquet")).display().to_string())),
            described(&duckdb, "t")
        );
    }
}

#[tokio::test]
async fn parquet_of_each_compression_version_and_encoding_is_read() {
    let project = Project::new();
    let duckdb = project.duckdb();
    duckdb.execute_batch(ALL_TYPES).unwrap();
    // Enough rows for dictionaries, delta encodings and several pages.
    duckdb
        .execute_batch(
            "CREATE TABLE many AS SELECT range AS whole, range % 7 AS few, (range * 7919 % 1000003)::DOUBLE / 3 AS number,
               'text ' || (range % 1000) AS text, 'prefix-' || lpad(range::VARCHAR, 9, '0') AS rising, range % 3 = 0 AS flag,
               TIMESTAMP '2013-01-01' + INTERVAL (range) SECOND AS at, DATE '2013-01-01' + (range % 365)::INTEGER AS day,
               CASE WHEN range % 5 = 0 THEN NULL ELSE range::INTEGER END AS sparse FROM range(30000)",
        )
        .unwrap();
    for table in ["t", "many"] {
        for codec in ["uncompressed", "snappy", "gzip", "zstd", "lz4_raw"] {
            for version in ["v1", "v2"] {
                let name = format!("{table}-{codec}-{version}.parquet");
                let options = format!("FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 10000");
                duckdb.execute_batch(&format!("COPY {table} TO '{}' ({options})", project.path(&name).display())).unwrap();
                let rows = project.read(json!({ "path": name })).await;
                project.write_by_sink(json!({ "path": "back.parquet" }), &rows).await;
                assert_eq!(difference(&duckdb, "'back.parquet'", table), 0, "{name}");
                assert_eq!(described(&duckdb, "'back.parquet'"), described(&duckdb, table), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn types_that_only_parquet_has_become_ours() {
    let project = Project::new();
    let duckdb = project.duckdb();
    let table = "SELECT 12.345::DECIMAL(9, 3) AS a, -0.01::DECIMAL(30, 2) AS b, TIMESTAMP_S '2013-01-01 10:00:00' AS c,
                   TIMESTAMP_MS '2013-01-01 10:00:00.123' AS d, TIMESTAMP_NS '2013-01-01 10:00:00.123456' AS e,
                   TIMESTAMPTZ '2013-01-01 10:00:00+02' AS f, '{\"a\": 1}'::JSON AS g";
    duckdb.execute_batch(&format!("COPY ({table}) TO '{}' (FORMAT parquet)", project.path("x.parquet").display())).unwrap();
    let rows = project.read(json!({ "path": "x.parquet" })).await;
    assert_eq!(described_schema(&rows.schema), "a DOUBLE, b DOUBLE, c TIMESTAMP, d TIMESTAMP, e TIMESTAMP, f TIMESTAMP, g VARCHAR");
    project.write_by_sink(json!({ "path": "back.parquet" }), &rows).await;
    let expected = "(SELECT 12.345::DOUBLE, -0.01::DOUBLE, TIMESTAMP '2013-01-01 10:00:00', TIMESTAMP '2013-01-01 10:00:00.123',
                      TIMESTAMP '2013-01-01 10:00:00.123456', TIMESTAMP '2013-01-01 08:00:00', '{\"a\": 1}')";
    assert_eq!(difference(&duckdb, "'back.parquet'", expected), 0);
}

#[tokio::test]
async fn nanoseconds_are_quarantined_unless_the_schema_asks_for_microseconds() {
    let project = Project::new();
    let table = "SELECT range AS id, TIMESTAMP_NS '2013-01-01 10:00:00.123456' + INTERVAL (0) SECOND AS at FROM range(1)
                 UNION ALL SELECT 1, TIMESTAMP_NS '2013-01-01 10:00:00.123456789' UNION ALL SELECT 2, TIMESTAMP_NS '1969-12-31 23:59:59.999999999'";
    let copy = format!("COPY ({table}) TO '{}' (FORMAT parquet)", project.path("x.parquet").display());
    project.duckdb().execute_batch(&copy).unwrap();
    let rows = project.read(json!({ "path": "x.parquet" })).await;
    assert_eq!(rows.texts("id"), ["0"]);
    assert_eq!(rows.bad.len(), 2);
    assert!(rows.reasons()[0].starts_with("row 2: column at: 1357034400123456789 ns is no whole microsecond"), "{:?}", rows.reasons());
    let rows = project.read(json!({ "path": "x.parquet", "schema": { "at": "TIMESTAMP" } })).await;
    assert_eq!(rows.texts("at"), ["2013-01-01 10:00:00.123456", "2013-01-01 10:00:00.123456", "1969-12-31 23:59:59.999999"]);
}

#[tokio::test]
async fn the_year_of_flights_goes_through_every_format_unchanged() {
    let mut project = Project::new();
    project.batch_rows = 8_192;
    project.sample("flights.parquet");
    let duckdb = project.duckdb();
    let rows = project.read(json!({ "path": "flights.parquet" })).await;
    assert_eq!(rows.frame.height(), 336_776);
    assert_eq!(rows.positions.last(), Some(&336_776));
    assert_eq!(described_schema(&rows.schema), described(&duckdb, "'flights.parquet'"));
    for to in ["flights.csv", "flights.jsonl", "again.parquet"] {
        project.write_by_sink(json!({ "path": to }), &rows).await;
        let again = project.read(json!({ "path": to, "schema": { "tailnum": "VARCHAR" } })).await;
        assert_eq!(again.bad, [], "{to}");
        assert!(again.frame.equals_missing(&rows.frame), "{to}");
        // DuckDB finds the types of our text by itself.
        assert_eq!(difference(&duckdb, &format!("'{to}'"), "'flights.parquet'"), 0, "{to}");
        let (theirs, types) = (described(&duckdb, &format!("'{to}'")), described(&duckdb, "'flights.parquet'"));
        if to.ends_with(".parquet") {
            assert_eq!(theirs, types);
        } else {
            // Text does not tell how wide a number is; of JSON numbers above and below zero DuckDB makes a HUGEINT.
            assert_eq!(theirs.replace("HUGEINT", "BIGINT"), types.replace("INTEGER", "BIGINT"), "{to}");
        }
    }
}

#[tokio::test]
async fn a_csv_file_has_the_columns_that_duckdb_finds() {
    let project = Project::new();
    let duckdb = project.duckdb();
    for name in ["airports.csv", "airlines.csv"] {
        project.sample(name);
        let rows = project.read(json!({ "path": name })).await;
        assert_eq!(described_schema(&rows.schema), described(&duckdb, &format!("'{name}'")), "{name}");
        project.write_by_sink(json!({ "path": "back.parquet" }), &rows).await;
        assert_eq!(difference(&duckdb, "'back.parquet'", &format!("'{name}'")), 0, "{name}");
    }
}

#[tokio::test]
async fn numbers_that_are_not_finite_survive_every_format() {
    let project = Project::new();
    let duckdb = project.duckdb();
    duckdb
        .execute_batch(&format!(
            "COPY (SELECT unnest(['nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::DOUBLE, '-0'::DOUBLE]) AS x, 'nan'::FLOAT AS y) TO '{}' (FORMAT parquet)",
            project.path("x.parquet").display()
        ))
        .unwrap();
    let rows = project.read(json!({ "path": "x.parquet" })).await;
    for to in ["y.csv", "y.jsonl", "y.parquet"] {
        project.write_by_sink(json!({ "path": to }), &rows).await;
        let again = project
            .read(json!({ "path": to, "schema": if to == "y.parquet" { json!({}) } else { json!({ "x": "DOUBLE", "y": "FLOAT" }) } }))
            .await;
        assert_eq!(again.texts("x"), ["NaN", "inf", "-inf", "-0.0"], "{to}");
        assert!(again.frame.equals_missing(&rows.frame), "{to}");
    }
    let read = "read_json('y.jsonl', format = 'newline_delimited', columns = {x: 'DOUBLE', y: 'FLOAT'})";
    assert_eq!(difference(&duckdb, read, "'x.parquet'"), 0);
    assert_eq!(difference(&duckdb, "read_csv('y.csv', columns = {'x': 'DOUBLE', 'y': 'FLOAT'})", "'x.parquet'"), 0);
}

#[tokio::test]
async fn a_csv_null_is_nothing_and_an_empty_text_is_two_quotes() {
    let project = Project::new();
    project.write("x.csv", "a,b\n1,\n2,\"\"\n3,x\n");
    let rows = project.read(json!({ "path": "x.csv" })).await;
    assert_eq!(rows.texts("b"), ["NULL", "", "x"]);
    project.write_by_sink(json!({ "path": "y.csv" }), &rows).await;
    assert_eq!(std::fs::read_to_string(project.path("y.csv")).unwrap(), "a,b\n1,\n2,\"\"\n3,x\n");
    project.write("z.csv", "a;b\n1;NA\n2;\n");
    let rows = project.read(json!({ "path": "z.csv", "delimiter": ";", "null": "NA" })).await;
    assert_eq!(rows.texts("b"), ["NULL", ""]);
    assert_eq!(described_schema(&rows.schema), "a BIGINT, b VARCHAR");
}

#[tokio::test]
async fn json_lines_have_the_members_of_the_sample_as_columns() {
    let project = Project::new();
    project.write(
        "x.jsonl",
        "{\"a\": 1, \"s\": \"x\"}\n\n{\"a\": 2.5, \"d\": \"2013-01-01\", \"t\": \"2013-01-01T10:00:00Z\", \"n\": {\"deep\": [1, \"ä\"]}}\r\n{\"b\": true, \"m\": 1, \"s\": null}\n{\"m\": \"text\"}",
    );
    let rows = project.read(json!({ "path": "x.jsonl" })).await;
    assert_eq!(described_schema(&rows.schema), "a DOUBLE, s VARCHAR, d DATE, t TIMESTAMP, n VARCHAR, b BOOLEAN, m VARCHAR");
    assert_eq!(rows.texts("a"), ["1.0", "2.5", "NULL", "NULL"]);
    assert_eq!(rows.texts("n"), ["NULL", "{\"deep\": [1, \"ä\"]}", "NULL", "NULL"]);
    assert_eq!(rows.texts("m"), ["NULL", "NULL", "1", "text"]);
    assert_eq!(rows.positions, [1, 3, 4, 5]);
    let duckdb = project.duckdb();
    assert_eq!(number(&duckdb, "SELECT count(*) FROM 'x.jsonl'"), 4);
}

#[tokio::test]
async fn an_empty_file_and_a_file_of_a_header_have_no_rows() {
    let project = Project::new();
    project.write("empty.csv", "");
    project.write("empty.jsonl", "\n\n");
    project.write("header.csv", "a,b\n");
    project.duckdb().execute_batch(&format!("COPY (SELECT 1 AS a WHERE false) TO '{}'", project.path("none.parquet").display())).unwrap();
    for (path, columns) in [("empty.csv", ""), ("empty.jsonl", ""), ("header.csv", "a VARCHAR, b VARCHAR"), ("none.parquet", "a INTEGER")] {
        let rows = project.read(json!({ "path": path })).await;
        assert_eq!((rows.frame.height(), rows.bad.len(), described_schema(&rows.schema).as_str()), (0, 0, columns), "{path}");
    }
    let rows = project.read(json!({ "path": "empty.csv", "schema": { "a": "BIGINT" } })).await;
    assert_eq!(described_schema(&rows.schema), "a BIGINT");
}
