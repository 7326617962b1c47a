//! A bad record leaves with its reason and its place, and everything around it flows.

use serde_json::json;

use crate::support::{self, Project, peak_memory};

const TYPES: &str = "a,b,c,d\n";

async fn csv(lines: &[u8]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let project = Project::new();
    let mut text = TYPES.as_bytes().to_vec();
    text.extend_from_slice(b"1,2.5,2013-01-01,first\n");
    text.extend_from_slice(lines);
    text.extend_from_slice(b"\n9,9.5,2013-12-31,last\n");
    project.write("x.csv", text);
    let schema = json!({ "a": "TINYINT", "b": "DOUBLE", "c": "DATE", "d": "VARCHAR" });
    let rows = project.read(json!({ "path": "x.csv", "schema": schema, "max_record": "100B" })).await;
    (rows.texts("d"), rows.reasons(), rows.bad.iter().map(|bad| bad.raw.clone()).collect())
}

#[tokio::test]
async fn a_bad_csv_record_is_named_and_its_neighbours_flow() {
    let long = "x".repeat(120);
    let too_long = format!("5,1.0,2013-01-01,{long}");
    let cases: [(&[u8], &str); 16] = [
        (b"x,1.0,2013-01-01,bad", "line 3: column a: \"x\" is not a TINYINT"),
        (b"300,1.0,2013-01-01,bad", "line 3: column a: \"300\" is out of range for a TINYINT"),
        (b"99999999999999999999999,1.0,2013-01-01,bad", "line 3: column a: \"99999999999999999999999\" is out of range for a TINYINT"),
        (b"1.5,1.0,2013-01-01,bad", "line 3: column a: \"1.5\" is not a TINYINT"),
        (b"1,one,2013-01-01,bad", "line 3: column b: \"one\" is not a DOUBLE"),
        (b"1,1e999,2013-01-01,bad", "line 3: column b: \"1e999\" is out of range for a DOUBLE"),
        (b"1,1.0,2013-02-29,bad", "line 3: column c: \"2013-02-29\" is not a DATE"),
        (b"1,1.0,2013-01-01", "line 3: missing fields: 4 expected, 3 found"),
        (b"1,1.0,2013-01-01,bad,more", "line 3: too many fields: 4 expected, 5 found"),
        (b"1,1.0,2013-01-01,b\0d", "line 3: a NUL byte"),
        (b"1,1.0,2013-01-01,b\xffd", "line 3: invalid UTF-8 at byte 19 of the record"),
        (b"1,1.0,2013-01-01,\xed\xa0\x80", "line 3: invalid UTF-8 at byte 18 of the record"),
        (b"1,1.0,2013-01-01,\"b\"d", "line 3: something stands between a closing quote and the next field"),
        (b"1,1.0,2013-01-01,\"bad", "line 3: a quote is opened and never closed"),
        (b"x,1.0,2013-01-01,\"two\nlines\"", "line 3: column a: \"x\" is not a TINYINT"),
        (too_long.as_bytes(), "line 3: the record is longer than 100 bytes"),
    ];
    for (line, reason) in cases {
        let (kept, reasons, raw) = csv(line).await;
        assert_eq!(kept, ["first", "last"], "{reason}");
        assert_eq!(reasons, [reason]);
        assert_eq!(raw, [String::from_utf8_lossy(line)]);
    }
}

#[tokio::test]
async fn a_quote_that_is_never_closed_costs_its_own_line_alone() {
    let project = Project::new();
    let lines: String =
        (0..5_000).map(|line| if line % 1_000 == 500 { format!("{line},\"open\n") } else { format!("{line},text\n") }).collect();
    project.write("x.csv", format!("a,b\n{lines}"));
    let rows = project.read(json!({ "path": "x.csv", "max_record": "200B" })).await;
    // A later opening quote closes an earlier one, if the record is not too long by then.
    assert_eq!(rows.frame.height(), 4_995);
    assert_eq!(
        rows.bad.iter().map(|bad| bad.position.as_str()).collect::<Vec<_>>(),
        ["line 502", "line 1502", "line 2502", "line 3502", "line 4502"]
    );
}

#[tokio::test]
async fn a_bad_json_line_is_named_and_its_neighbours_flow() {
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(70), "]".repeat(70));
    let long = format!("{{\"a\": 1, \"d\": \"{}\"}}", "x".repeat(200));
    let cases: [(&[u8], &str); 18] = [
        (b"{\"a\": \"x\"}", "line 2: column a: \"x\" is not a TINYINT"),
        (b"{\"a\": 128}", "line 2: column a: \"128\" is out of range for a TINYINT"),
        (b"{\"a\": 999999999999999999999}", "line 2: column a: \"999999999999999999999\" is out of range for a TINYINT"),
        (b"{\"f\": 1e999}", "line 2: column f: \"1e999\" is out of range for a DOUBLE"),
        (b"{\"d\": \"\0\"}", "line 2: a NUL byte"),
        (b"{\"d\": \"\xed\xa0\x80\"}", "line 2: invalid UTF-8 at byte 8 of the record"),
        (b"{\"a\": 1.5}", "line 2: column a: \"1.5\" is not a TINYINT"),
        (b"{\"a\": [1]}", "line 2: column a: \"[1]\" is not a TINYINT"),
        (b"{\"a\": {}}", "line 2: column a: \"{}\" is not a TINYINT"),
        (b"{\"b\": \"2013-13-01\"}", "line 2: column b: \"2013-13-01\" is not a TIMESTAMP"),
        (b"{\"b\": true}", "line 2: column b: \"true\" is not a TIMESTAMP"),
        (b"{\"a\": 1", "line 2: broken JSON at byte 8: the object does not end"),
        (b"{\"a\": 1}}", "line 2: broken JSON at byte 9: something stands after the object"),
        (b"not json", "line 2: a line must hold a JSON object"),
        (b"[1, 2]", "line 2: a line must hold a JSON object"),
        (b"{\"d\": \"\xff\"}", "line 2: invalid UTF-8 at byte 8 of the record"),
        (deep.as_bytes(), "line 2: nested more than 64 deep at byte 70"),
        (long.as_bytes(), "line 2: the record is longer than 180 bytes"),
    ];
    for (line, reason) in cases {
        let project = Project::new();
        let mut text = b"{\"a\": 1, \"f\": 1, \"b\": \"2013-01-01 10:00:00\", \"d\": \"first\"}\n".to_vec();
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n{\"d\": \"last\"}");
        project.write("x.jsonl", text);
        let rows = project
            .read(json!({ "path": "x.jsonl", "schema": { "a": "TINYINT", "b": "TIMESTAMP", "f": "DOUBLE" }, "max_record": "180B" }))
            .await;
        assert_eq!(rows.texts("d"), ["first", "last"], "{reason}");
        assert_eq!(rows.reasons(), [reason]);
        assert_eq!(rows.bad[0].raw, String::from_utf8_lossy(line));
    }
}

#[test]
fn a_line_of_a_gigabyte_is_passed_over_within_bounds() {
    support::alone("bad_records::a_line_of_a_gigabyte_is_passed_over_within_bounds", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(reads_past_a_line_of_a_gigabyte());
    });
}

async fn reads_past_a_line_of_a_gigabyte() {
    use std::io::{Seek, SeekFrom, Write};

    const MIB: usize = 1024 * 1024;
    let mut project = Project::new();
    project.batch_rows = 100;
    let mut file = std::fs::File::create(project.path("x.jsonl")).unwrap();
    file.write_all(b"{\"a\": 1}\n{\"a\": \"").unwrap();
    // A hole in the file reads as zeros, and takes no room on the disk.
    file.seek(SeekFrom::Current(1024 * MIB as i64)).unwrap();
    file.write_all(b"\"}\n{\"a\": 2}\n").unwrap();
    drop(file);
    let before = peak_memory();
    let rows = project.read(json!({ "path": "x.jsonl", "schema": { "a": "BIGINT" } })).await;
    assert_eq!(rows.texts("a"), ["1", "2"]);
    assert_eq!(rows.reasons(), ["line 2: the record is longer than 1048576 bytes"]);
    assert_eq!(rows.positions, [1, 3]);
    assert!(rows.bad[0].raw.len() <= 4 * 1024);
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
}

#[tokio::test]
async fn a_text_too_long_in_parquet_is_quarantined_with_its_row() {
    let project = Project::new();
    let table = "SELECT range AS id, CASE WHEN range = 3 THEN repeat('x', 5000) ELSE 'short' END AS text FROM range(6)";
    project.duckdb().execute_batch(&format!("COPY ({table}) TO '{}'", project.path("x.parquet").display())).unwrap();
    let rows = project.read(json!({ "path": "x.parquet", "max_record": "1KiB" })).await;
    assert_eq!(rows.texts("id"), ["0", "1", "2", "4", "5"]);
    assert_eq!(rows.positions, [1, 2, 3, 5, 6]);
    assert_eq!(rows.reasons(), ["row 4: column text: a text of 5000 bytes, longer than 1024"]);
    assert!(rows.bad[0].raw.starts_with("{\"id\":3,\"text\":\"xxx") && rows.bad[0].raw.len() <= 4 * 1024);
}
