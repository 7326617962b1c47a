//! Bad files, flags, pipelines and records: each gets its clear error or its place in quarantine, and nothing before it is lost.

use millrace_tests::{Millrace, Ran};

const GOOD_ROWS: &str = "t,v\n2024-01-01 00:00:01,1\n2024-01-01 00:00:02,2\n";

/// A pipeline over `in.csv` with `change` put in the place of `what`.
fn pipeline(what: &str, change: &str) -> String {
    let text = r#"millrace = 1
[node.rows]
kind = "file"
path = "in.csv"
event_time = "t"
[node.some]
kind = "filter"
input = "rows"
where = "v > 0"
[node.windows]
kind = "tumbling_window"
input = "some"
size = "1h"
aggregate = { n = "count(*)" }
[node.out]
kind = "file_sink"
input = "windows"
path = "out.csv"
"#;
    assert!(text.contains(what), "{what}");
    text.replacen(what, change, 1)
}

fn run(project: &Millrace, text: &str, flags: &[&str]) -> Ran {
    project.write("p.millrace.toml", text);
    let arguments: Vec<&str> = ["run", "p.millrace.toml"].iter().chain(flags).copied().collect();
    project.run(&arguments)
}

fn project() -> Millrace {
    let project = Millrace::project();
    project.write("in.csv", GOOD_ROWS);
    project
}

#[test]
fn a_wrong_pipeline_ends_with_78_and_names_line_node_field_and_what_to_do() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("millrace = 1", "millrace = 99", &["MR0104", "millrace = 1"]),
        ("millrace = 1\n", "", &["MR0103"]),
        ("[node.some]", "[node.Some]", &["MR0108", "Some"]),
        ("kind = \"filter\"", "kind = \"fliter\"", &["MR0110", "`filter`", ":7:"]),
        ("kind = \"filter\"\n", "", &["MR0109", "some"]),
        ("where = \"v > 0\"", "wehre = \"v > 0\"", &["MR0111", "`where`"]),
        ("where = \"v > 0\"", "where = 5", &["MR0113", "some.where"]),
        ("where = \"v > 0\"", "where = \"w > 0\"", &["there is no column `w`", "some.where", "expected: one of t, v"]),
        ("where = \"v > 0\"", "where = \"v + 1\"", &["BOOLEAN", "some.where"]),
        ("where = \"v > 0\"", "where = \"v >\"", &["some.where"]),
        ("where = \"v > 0\"", "where = \"uper('a') = 'A'\"", &["`upper`"]),
        ("input = \"rows\"", "input = \"row\"", &["MR0123", "`rows`"]),
        ("input = \"rows\"\n", "", &["MR0120", "some"]),
        ("input = \"some\"", "input = \"some.lte\"", &["MR0124"]),
        ("input = \"windows\"", "input = \"windows.lat\"", &["MR0124", "windows.late"]),
        ("size = \"1h\"", "size = \"1\"", &["unit", "windows.size"]),
        ("size = \"1h\"", "size = \"0s\"", &["windows"]),
        ("size = \"1h\"\n", "", &["MR0112", "size"]),
        ("n = \"count(*)\"", "n = \"cuont(*)\"", &["`count`"]),
        ("n = \"count(*)\"", "n = \"sum(t)\"", &["windows.aggregate.n"]),
        ("size = \"1h\"", "size = \"1h\"\nby = [\"w\"]", &["windows.by", "expected: one of"]),
        ("event_time = \"t\"", "event_time = \"time\"", &["rows.event_time"]),
        ("event_time = \"t\"\n", "", &["event_time"]),
        ("path = \"in.csv\"", "path = \"nowhere.csv\"", &["rows.path", "nowhere.csv"]),
        ("path = \"in.csv\"", "path = \"../../etc/passwd.csv\"", &["rows.path", "outside"]),
        ("path = \"in.csv\"", "path = \"in.unknown\"", &["rows"]),
        ("path = \"in.csv\"", "path = \"${NOT_SET_ANYWHERE}\"", &["MR0130", "NOT_SET_ANYWHERE"]),
        ("path = \"out.csv\"", "path = \"/out.csv\"", &["out.path", "outside the project"]),
        ("path = \"out.csv\"", "path = \"./in.csv\"", &["MR0412", "out.path", "what `rows` reads"]),
        ("path = \"out.csv\"", "path = \"p.millrace.toml\"\nformat = \"csv\"", &["MR0412", "the pipeline file itself"]),
        (
            "path = \"out.csv\"",
            "path = \"out.csv\"\n[node.again]\nkind = \"file_sink\"\ninput = \"rows\"\npath = \"x/../out.csv\"",
            &["MR0412", "again.path", "what `out` writes"],
        ),
        ("kind = \"file\"", "kind = \"file\"\ninput = \"out\"", &["MR0121", "rows"]),
        ("[node.rows]", "[nod.rows]", &["MR0105", "`node`"]),
        ("[node.rows]", "[node.rows", &["MR0101"]),
    ];
    let project = project();
    let mut wrong = Vec::new();
    for (what, change, said) in cases {
        let ran = run(&project, &pipeline(what, change), &[]);
        let missing: Vec<_> = said.iter().filter(|words| !ran.stderr.contains(**words)).collect();
        if ran.code != 78 || !missing.is_empty() || project.path("out.csv").exists() {
            wrong.push(format!("{change}: ended with {}, without {missing:?}\n{}", ran.code, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_flags_end_with_2_and_missing_files_with_78() {
    let project = project();
    let good = pipeline("millrace = 1", "millrace = 1");
    project.write("p.millrace.toml", &good);
    for (arguments, code) in [
        (&["run"][..], 2),
        (&["fly"], 2),
        (&["run", "p.millrace.toml", "--parallelism", "0"], 2),
        (&["run", "p.millrace.toml", "--parallelism", "many"], 2),
        (&["run", "p.millrace.toml", "--batch-rows", "-1"], 2),
        (&["run", "p.millrace.toml", "--set", "nothing"], 2),
        (&["run", "p.millrace.toml", "--set", "sum.where=true"], 78),
        (&["run", "p.millrace.toml", "--set", "some.wher=true"], 78),
        (&["run", "missing.millrace.toml"], 78),
        (&["validate", "missing.millrace.toml"], 78),
        (&["run", "p.millrace.toml", "--on", "ws://127.0.0.1:1"], 1),
        (&["schema", "fliter"], 2),
        (&["node", "--listen", "0.0.0.0:7400"], 1),
        (&["node", "--listen", "127.0.0.1:0", "--advertise", "ws://10.1.2.3:7400"], 2),
        (&["studio", "--listen", "0.0.0.0:7800"], 1),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.is_empty(), "{arguments:?} says why");
    }
}

#[test]
fn records_that_cannot_be_read_are_set_aside_with_reason_and_position_and_the_rest_flows() {
    let project = Millrace::project();
    let mut rows = b"t,v\n2024-01-01 00:00:01,1\n2024-01-01 00:00:02,x\n2024-01-01 00:00:03\n2024-01-01 00:00:04,4,4\n".to_vec();
    rows.extend(b"never,5\n9999-01-01 00:00:06,6\n2024-01-01 00:00:07,99999999999999999999\n,8\n2024-01-01 00:00:09,\xff\xfe\n");
    rows.extend(b"2024-01-01 00:00:10,");
    rows.extend(std::iter::repeat_n(b'1', 3 << 20));
    rows.extend(b"\n2024-01-01 00:00:11,11\n");
    project.write("in.csv", rows);
    let text = r#"millrace = 1
[node.rows]
kind = "file"
path = "in.csv"
event_time = "t"
schema = { t = "TIMESTAMP", v = "BIGINT" }
[node.out]
kind = "file_sink"
input = "rows"
path = "out.jsonl"
[node.bad]
kind = "file_sink"
input = "rows.quarantined"
path = "bad.jsonl"
"#;
    let summary = run(&project, text, &["--json"]).succeeded().json();
    assert_eq!((&summary["rows_in"], &summary["quarantined"]), (&11.into(), &9.into()));
    let good = std::fs::read_to_string(project.path("out.jsonl")).unwrap();
    assert_eq!(good.lines().count(), 2, "{good}");
    assert!(good.contains("\"v\":1") && good.contains("\"v\":11"), "{good}");
    let bad = std::fs::read_to_string(project.path("bad.jsonl")).unwrap();
    assert_eq!(bad.lines().count(), 9);
    for line in bad.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        for column in ["__reason", "__source", "__position", "__raw"] {
            assert!(row[column].is_string(), "{column} in {line:.200}");
        }
        assert!(!row["__reason"].as_str().unwrap().is_empty() && row["__raw"].as_str().unwrap().len() <= 8 * 1024);
    }
}

#[test]
fn an_event_of_the_year_9999_is_quarantined_and_one_of_1970_is_late() {
    let project = Millrace::project();
    project.write("in.csv", "t,v\n2024-01-01 10:00:00,1\n9999-12-31 00:00:00,2\n1970-01-01 00:00:00,3\n2024-01-01 10:30:00,4\n");
    let summary = run(&project, &pipeline("millrace = 1", "millrace = 1"), &["--json"]).succeeded().json();
    assert_eq!(summary["quarantined"], 1);
    assert_eq!(summary["late"], 1);
    let out = std::fs::read_to_string(project.path("out.csv")).unwrap();
    assert!(out.lines().nth(1).unwrap().ends_with(",2"), "both rows of the hour are in one window: {out}");
}

#[test]
fn a_division_by_zero_goes_where_on_error_says() {
    let derive = "kind = \"derive\"\ninput = \"rows\"\ncolumns = { share = \"1 / v\" }\n";
    let project = Millrace::project();
    project.write("in.csv", "t,v\n2024-01-01 00:00:01,1\n2024-01-01 00:00:02,0\n2024-01-01 00:00:03,2\n");
    let filter = "kind = \"filter\"\ninput = \"rows\"\nwhere = \"v > 0\"\n";
    let with = |on_error: &str| pipeline(filter, &format!("{derive}{on_error}")).replace("count(*)", "count(share)");
    let quarantined = run(&project, &with(""), &["--json"]).succeeded().json();
    assert_eq!(quarantined["nodes"]["some"]["quarantined"], 1);
    let null = run(&project, &with("on_error = \"null\"\n"), &["--json"]).succeeded().json();
    assert_eq!(null["nodes"]["some"]["quarantined"], 0);
    let failed = run(&project, &with("on_error = \"fail\"\n"), &["--json"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("some") && failed.stderr.contains("division by zero"), "{}", failed.stderr);
}

#[test]
fn a_second_run_replaces_what_the_first_wrote() {
    let project = project();
    let text = pipeline("millrace = 1", "millrace = 1");
    run(&project, &text, &[]).succeeded();
    let first = std::fs::read_to_string(project.path("out.csv")).unwrap();
    run(&project, &text, &[]).succeeded();
    assert_eq!(std::fs::read_to_string(project.path("out.csv")).unwrap(), first);
    assert_eq!(first.lines().count(), 2);
}

#[test]
fn a_sink_replaces_no_device_and_no_pipe() {
    let project = project();
    assert!(std::process::Command::new("mkfifo").arg(project.path("pipe.csv")).status().unwrap().success());
    let ran = run(&project, &pipeline("path = \"out.csv\"", "path = \"pipe.csv\""), &[]);
    assert_eq!(ran.code, 78, "{}", ran.stderr);
    assert!(ran.stderr.contains("MR0512") && ran.stderr.contains("out.path") && ran.stderr.contains("pipe"), "{}", ran.stderr);
}
