//! Inputs at the edges: each has one outcome, which docs/BAD-INPUT.md says and these tests see.

use std::fmt::Write as _;

use millrace_tests::{Millrace, Ran};
use serde_json::Value;

/// Windows of an hour over `in.csv`, with every row that leaves by a side port in a file of its own.
fn pipeline(source: &str, window: &str) -> String {
    format!(
        r#"millrace = 1
[node.rows]
kind = "file"
path = "in.csv"
event_time = "t"
{source}
[node.windows]
kind = "tumbling_window"
input = "rows"
size = "1h"
{window}
[node.out]
kind = "file_sink"
input = "windows"
path = "out.jsonl"
[node.late]
kind = "file_sink"
input = "windows.late"
path = "late.jsonl"
[node.bad]
kind = "file_sink"
input = "windows.quarantined"
path = "bad.jsonl"
"#
    )
}

const COUNT: &str = "aggregate = { n = \"count(*)\" }";

fn run(project: &Millrace, text: &str) -> Ran {
    project.write("p.millrace.toml", text);
    project.run(&["run", "p.millrace.toml", "--json"])
}

fn lines(project: &Millrace, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// At every node `read = accepted + filtered + late + quarantined`.
fn keeps_the_law_of_rows(summary: &Value) {
    for (node, figures) in summary["nodes"].as_object().unwrap() {
        let of = |name: &str| figures[name].as_u64().unwrap();
        assert_eq!(of("rows_in"), of("accepted") + of("filtered") + of("late") + of("quarantined"), "{node}: {figures}");
    }
}

fn csv(rows: impl IntoIterator<Item = (u64, String)>) -> String {
    let mut text = String::from("t,v\n");
    for (second, value) in rows {
        writeln!(text, "2024-01-01 {:02}:{:02}:{:02},{value}", second / 3600, second / 60 % 60, second % 60).unwrap();
    }
    text
}

#[test]
fn a_sum_that_overflows_sets_the_row_aside_that_did_it_and_the_sum_stays_exact() {
    let project = Millrace::project();
    let most = i64::MAX;
    project.write("in.csv", csv([(1, most.to_string()), (2, "1".to_owned()), (3, "-5".to_owned())]));
    let summary = run(&project, &pipeline("", "aggregate = { s = \"sum(v)\", n = \"count(*)\" }")).succeeded().json();
    keeps_the_law_of_rows(&summary);
    assert_eq!(summary["quarantined"], 1);
    let bad = lines(&project, "bad.jsonl");
    assert!(bad[0]["__reason"].as_str().unwrap().contains("does not fit a BIGINT"), "{bad:?}");
    assert_eq!((&lines(&project, "out.jsonl")[0]["s"], &lines(&project, "out.jsonl")[0]["n"]), (&(most - 5).into(), &2.into()));
}

#[test]
fn nan_is_one_key_and_greater_than_every_number() {
    let project = Millrace::project();
    project.write("in.csv", csv([(1, "nan".to_owned()), (2, "1.5".to_owned()), (3, "nan".to_owned()), (4, "inf".to_owned())]));
    let source = "schema = { t = \"TIMESTAMP\", v = \"DOUBLE\" }";
    project.write("p.millrace.toml", pipeline(source, "by = [\"v\"]\naggregate = { n = \"count(*)\" }"));
    keeps_the_law_of_rows(&project.run(&["run", "p.millrace.toml", "--json", "--parallelism", "1"]).succeeded().json());
    let counts: Vec<u64> = lines(&project, "out.jsonl").iter().map(|row| row["n"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 1, 2], "1.5, then infinity, then the one NaN");
}

#[test]
fn if_all_rows_are_late_no_window_comes_out_of_them_and_all_are_kept_aside() {
    let project = Millrace::project();
    let rows = (0..500).map(|n| (n % 3000, n.to_string()));
    project.write("in.csv", format!("t,v\n2024-06-01 00:00:00,0\n{}", csv(rows).trim_start_matches("t,v\n")));
    let summary = run(&project, &pipeline("max_delay = \"1m\"", COUNT)).succeeded().json();
    keeps_the_law_of_rows(&summary);
    assert_eq!((&summary["late"], lines(&project, "late.jsonl").len()), (&500.into(), 500));
    assert_eq!(lines(&project, "out.jsonl").len(), 1);
}

#[test]
fn if_all_rows_are_filtered_or_none_are_there_the_output_is_sound_and_empty() {
    let project = Millrace::project();
    let text = pipeline("", COUNT).replace("input = \"rows\"", "input = \"some\"");
    let text = format!("{text}[node.some]\nkind = \"filter\"\ninput = \"rows\"\nwhere = \"v > 1000000\"\n");
    for (rows, read) in [(csv((0..100).map(|n| (n, n.to_string()))), 100), ("t,v\n".to_owned(), 0)] {
        project.write("in.csv", rows);
        let text = text.replace("event_time = \"t\"", "event_time = \"t\"\nschema = { t = \"TIMESTAMP\", v = \"BIGINT\" }");
        let summary = run(&project, &text).succeeded().json();
        keeps_the_law_of_rows(&summary);
        assert_eq!((&summary["rows_in"], &summary["filtered"], &summary["rows_out"]), (&read.into(), &read.into(), &0.into()));
        assert_eq!(lines(&project, "out.jsonl").len(), 0);
    }
}

#[test]
fn a_schema_that_changes_in_mid_file_costs_the_rows_that_do_not_fit_it() {
    let project = Millrace::project();
    let mut text = String::new();
    for n in 0..100 {
        writeln!(text, "{{\"t\": \"2024-01-01 00:00:{:02}\", \"v\": {n}}}", n % 60).unwrap();
    }
    text.push_str("{\"t\": \"2024-01-01 00:10:00\", \"v\": \"now a text\"}\n");
    text.push_str("{\"t\": \"2024-01-01 00:10:01\", \"v\": 1, \"w\": 2}\n{\"t\": \"2024-01-01 00:10:02\"}\n{\"t\": \"2024-01-01 00:10:03\", \"v\": 3}\n");
    project.write("in.jsonl", text);
    let source = "schema = { t = \"TIMESTAMP\", v = \"BIGINT\" }";
    let summary = run(&project, &pipeline(source, "aggregate = { n = \"count(*)\", v = \"count(v)\" }").replace("in.csv", "in.jsonl"));
    let summary = summary.succeeded().json();
    keeps_the_law_of_rows(&summary);
    assert_eq!((&summary["rows_in"], &summary["quarantined"]), (&104.into(), &1.into()));
    let out = lines(&project, "out.jsonl");
    assert_eq!((&out[0]["n"], &out[0]["v"]), (&103.into(), &102.into()), "a member more is passed over, a missing one is NULL");
}

#[test]
fn texts_of_ten_megabytes_go_through_where_a_record_may_be_that_long_and_are_set_aside_elsewhere() {
    let project = Millrace::project();
    let long = "x".repeat(10 << 20);
    project.write("in.csv", csv([(1, long.clone()), (2, "short".to_owned())]));
    let count = "aggregate = { n = \"count(*)\", longest = \"max(length(v))\" }";
    let refused = run(&project, &pipeline("schema = { t = \"TIMESTAMP\", v = \"VARCHAR\" }", count)).succeeded().json();
    keeps_the_law_of_rows(&refused);
    assert_eq!(refused["quarantined"], 1);
    let source = "schema = { t = \"TIMESTAMP\", v = \"VARCHAR\" }\nmax_record = \"16MiB\"";
    let taken = run(&project, &pipeline(source, count)).succeeded().json();
    assert_eq!(taken["quarantined"], 0);
    assert_eq!(lines(&project, "out.jsonl")[0]["longest"], 10 << 20);
}

#[test]
fn one_key_with_all_the_rows_is_counted_exactly_at_any_parallelism() {
    let project = Millrace::project();
    project.write("in.csv", csv((0..400_000u64).map(|n| (n % 3600, "1".to_owned()))));
    project.write("p.millrace.toml", pipeline("max_delay = \"1d\"", "by = [\"v\"]\naggregate = { n = \"count(*)\", s = \"sum(v)\" }"));
    for parallelism in ["1", "4"] {
        let ran = project.run(&["run", "p.millrace.toml", "--json", "--parallelism", parallelism]).succeeded();
        keeps_the_law_of_rows(&ran.json());
        let out = lines(&project, "out.jsonl");
        assert_eq!((out.len(), &out[0]["n"], &out[0]["s"]), (1, &400_000.into(), &400_000.into()));
    }
}

#[test]
fn more_keys_than_the_quota_allows_end_the_run_with_what_to_do_and_leave_no_half_output() {
    let project = Millrace::project();
    project.write("in.csv", csv((0..200_000u64).map(|n| (n % 3600, n.to_string()))));
    let text = pipeline("max_delay = \"1d\"", "by = [\"v\"]\naggregate = { n = \"count(*)\" }");
    let text = text.replace("millrace = 1\n", "millrace = 1\n[pipeline]\nmax_state = \"1MiB\"\n");
    let ran = run(&project, &text);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("MR0403") && ran.stderr.contains("windows") && ran.stderr.contains("max_state"), "{}", ran.stderr);
    assert!(!project.path("out.jsonl").exists());
}

#[test]
fn state_beyond_the_memory_budget_goes_to_disk_with_the_same_results() {
    let project = Millrace::project();
    project.write("in.csv", csv((0..300_000u64).map(|n| (n % 3600, (n % 150_000).to_string()))));
    project.write("p.millrace.toml", pipeline("max_delay = \"1d\"", "by = [\"v\"]\naggregate = { n = \"count(*)\", s = \"sum(v)\" }"));
    let sorted = |flags: &[&str]| {
        let arguments = [&["run", "p.millrace.toml", "--json"], flags].concat();
        keeps_the_law_of_rows(&project.run(&arguments).succeeded().json());
        let mut rows: Vec<String> = lines(&project, "out.jsonl").iter().map(Value::to_string).collect();
        rows.sort_unstable();
        rows
    };
    let (in_memory, on_disk) = (sorted(&[]), sorted(&["--state-memory", "1MiB"]));
    assert_eq!(in_memory.len(), 150_000);
    assert!(in_memory == on_disk);
    assert!(std::fs::read_dir(project.path(".millrace/spill")).unwrap().next().is_none(), "something went there, and nothing is left");
}
