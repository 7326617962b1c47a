//! Rows 5 and 17 of the attacks, in text: whatever stands in a file is read as what it is, or set aside with the reason, within bounds.

use std::io::Write;

use millrace_engine::runtime::connector::Read;
use serde_json::json;

use crate::support::{Project, difference, node};

#[tokio::test]
async fn markup_in_values_and_names_stays_the_text_that_it_is() {
    const NASTY: [&str; 5] = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "${HOME}", "'; DROP TABLE t; --", "=1+1"];
    let project = Project::new();
    let mut text = "\"<b>name</b>\",n\n".to_owned();
    for (number, value) in NASTY.iter().enumerate() {
        text += &format!("\"{value}\",{number}\n");
    }
    project.write("x.csv", format!("{text}<i>bad</i>,<u>no number</u>\n"));
    let spec = json!({ "path": "x.csv", "schema": { "n": "INTEGER" } });
    let rows = project.read(spec).await;
    assert_eq!(rows.texts("<b>name</b>"), NASTY);
    assert_eq!(rows.reasons(), ["line 7: column n: \"<u>no number</u>\" is not an INTEGER"]);
    assert_eq!(rows.bad[0].raw, "<i>bad</i>,<u>no number</u>");
    let duckdb = project.duckdb();
    project.write_by_sink(json!({ "path": "y.parquet" }), &rows).await;
    for to in ["y.csv", "y.jsonl"] {
        project.write_by_sink(json!({ "path": to }), &rows).await;
        assert_eq!(difference(&duckdb, &format!("'{to}'"), "'y.parquet'"), 0, "{to}");
        assert_eq!(project.read(json!({ "path": to })).await.texts("<b>name</b>"), NASTY, "{to}");
    }
}

#[tokio::test]
async fn what_is_no_text_is_refused_before_the_run() {
    let project = Project::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a,b\n1,2\n").unwrap();
    let utf16 = |order: fn(u16) -> [u8; 2], mark: &str| format!("{mark}a,b\n1,2\n").encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("gzip.csv", gzip.finish().unwrap(), "not UTF-8"),
        ("little.csv", utf16(u16::to_le_bytes, "\u{feff}"), "not UTF-8"),
        ("big.csv", utf16(u16::to_be_bytes, "\u{feff}"), "not UTF-8"),
        ("unmarked.csv", utf16(u16::to_le_bytes, ""), "holds a NUL byte"),
        ("zeros.csv", vec![0; 2 << 20], "does not end within"),
        ("zeros.jsonl", vec![0; 2 << 20], "no line of it ends within"),
    ];
    for (name, bytes, words) in cases {
        project.write(name, bytes);
        let error = project.discover(&node("file", json!({ "path": name }))).await.expect_err(name);
        assert!(error.code == "MR0504" && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn columns_beyond_number_or_measure_are_refused_before_the_run() {
    let project = Project::new();
    let names: Vec<String> = (0..=10_000).map(|index| format!("c{index}")).collect();
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
    let long = "x".repeat(1_025);
    let cases = [
        ("many.csv", format!("{}\n", names.join(",")), "it has 10001 columns; at most 10000 are read"),
        ("many.jsonl", format!("{{{}}}\n", members.join(",")), "more than 10000 members"),
        ("twice.jsonl", format!("{{{}\"a\":0}}\n", "\"a\":0,".repeat(10_000)), "more than 10000 members"),
        ("spread.jsonl", format!("{{{}}}\n{{{}}}\n", members[..9_000].join(","), members[9_000..].join(",")), "it has 10001 columns"),
        ("long.csv", format!("a,{long}\n1,2\n"), "the name of its column 2 has 1025 bytes"),
        ("long.jsonl", format!("{{\"{long}\":1}}\n"), "the name of its column 1 has 1025 bytes"),
    ];
    for (name, text, words) in cases {
        project.write(name, text);
        let error = project.discover(&node("file", json!({ "path": name }))).await.expect_err(name);
        let text = error.to_string();
        assert!(error.code == "MR0504" && text.contains(words) && text.len() < 400, "{text}");
    }
}

/// Two bytes a row, ten thousand NULLs each: by its bytes alone a chunk would never end.
#[tokio::test]
async fn short_lines_of_very_many_columns_come_in_small_batches() {
    let mut project = Project::new();
    project.batch_rows = 8_192;
    let members: Vec<String> = (0..10_000).map(|index| format!("\"c{index}\":0")).collect();
    project.write("x.jsonl", format!("{{{}}}\n{}", members.join(","), "{}\n".repeat(300)));
    let (_, mut sources) = project.open(&node("file", json!({ "path": "x.jsonl" }))).await.unwrap();
    let mut rows = 0;
    while let Read::Rows(read) = sources[0].read(project.batch_rows).await.unwrap() {
        assert!(read.frame.height() * read.frame.width() <= 1 << 20, "{:?}", read.frame.shape());
        rows += read.frame.height();
    }
    assert_eq!(rows, 301);
}

#[tokio::test]
async fn json_of_any_depth_costs_its_own_line_alone() {
    let project = Project::new();
    let nest = |open: &str, close: &str, depth: usize| format!("{{\"a\":{}1{}}}\n", open.repeat(depth), close.repeat(depth));
    let deep = [nest("[", "]", 400_000), nest("{\"a\":", "}", 150_000), nest("[", "", 400_000), nest("{\"a\":", "", 150_000)];
    project.write("x.jsonl", format!("{{\"a\":1}}\n{}{{\"a\":2}}\n", deep.concat()));
    let rows = project.read(json!({ "path": "x.jsonl" })).await;
    assert_eq!(rows.texts("a"), ["1", "2"]);
    assert_eq!(rows.positions, [1, 6]);
    for (reason, line) in rows.reasons().iter().zip(2..=5) {
        assert!(reason.starts_with(&format!("line {line}: nested more than 64 deep")), "{reason}");
    }
    assert!(rows.bad.len() == 4 && rows.bad.iter().all(|bad| bad.raw.len() <= 4 * 1024));
}
