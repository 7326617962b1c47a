//! The terminal's commands: what they print, and how they end.

use millrace_tests::Millrace;
use millrace_tests::flights::DEPARTURES;

fn project() -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("departures.millrace.toml", DEPARTURES);
    project
}

#[test]
fn a_good_file_is_valid_and_a_diff_tells_changes_but_not_layout() {
    let project = project();
    let ran = project.run(&["validate", "departures.millrace.toml"]).succeeded();
    assert!(ran.stdout.contains("good, 6 nodes"), "{}", ran.stdout);
    let moved = format!("{DEPARTURES}\n[layout]\nflights = [4, 5]\n");
    project.write("moved.millrace.toml", &moved);
    assert_eq!(project.run(&["diff", "departures.millrace.toml", "moved.millrace.toml"]).succeeded().stdout, "");
    project.write("changed.millrace.toml", moved.replace("IS NOT NULL", "> 15"));
    let ran = project.run(&["diff", "departures.millrace.toml", "changed.millrace.toml"]).succeeded();
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("flown.where"), "{}", ran.stdout);
}

#[test]
fn the_schema_names_every_kind_and_one_kind_alone() {
    let project = Millrace::project();
    let whole: serde_json::Value = serde_json::from_str(&project.run(&["schema"]).succeeded().stdout).unwrap();
    let kinds =
        ["file", "host_metrics", "nexmark", "stdin", "filter", "select", "derive", "tumbling_window", "dashboard", "file_sink", "stdout"];
    for kind in kinds {
        assert!(whole["$defs"][kind]["properties"].is_object(), "{kind}");
    }
    let one: serde_json::Value = serde_json::from_str(&project.run(&["schema", "filter"]).succeeded().stdout).unwrap();
    assert!(one["properties"]["where"].is_object());
}

#[test]
fn set_puts_a_value_over_the_files_for_one_run() {
    let project = project();
    let flags = ["run", "departures.millrace.toml", "--json", "--set", "flown.where=dep_delay > 60", "--set", "hourly.size=1d"];
    let summary = project.run(&flags).succeeded().json();
    assert!(summary["filtered"].as_u64().unwrap() > 300_000, "{summary}");
    assert!(summary["nodes"]["hourly"]["rows_out"].as_u64().unwrap() <= 3 * 366, "{summary}");
    assert!(std::fs::read_to_string(project.path("departures.millrace.toml")).unwrap().contains("IS NOT NULL"));
}

#[test]
fn rows_of_standard_output_stand_alone_and_the_summary_beside_them() {
    let project = Millrace::project();
    project.write(
        "p.millrace.toml",
        "millrace = 1\n[node.in]\nkind = \"stdin\"\nformat = \"csv\"\nschema = { a = \"BIGINT\", b = \"VARCHAR\" }\n\
         [node.double]\nkind = \"derive\"\ninput = \"in\"\ncolumns = { twice = \"a * 2\" }\n\
         [node.out]\nkind = \"stdout\"\ninput = \"double\"\nformat = \"jsonl\"\n",
    );
    let mut command = project.command();
    command.args(["run", "p.millrace.toml", "--json"]).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a,b\n1,x\n2,\"y, z\"\n").unwrap();
    let ran = millrace_tests::Ran::from(child.wait_with_output().unwrap()).succeeded();
    let rows: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, [serde_json::json!({ "a": 1, "b": "x", "twice": 2 }), serde_json::json!({ "a": 2, "b": "y, z", "twice": 4 })]);
    let summary: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["rows_in"], &summary["rows_out"]), (&2.into(), &2.into()));
}

#[test]
fn ctrl_c_commits_rows_in_flight_fires_no_window_and_ends_with_130() {
    let project = project();
    let mut command = project.command();
    command.args(["run", "departures.millrace.toml", "--replay", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let asked = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let ran = millrace_tests::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    let summary = ran.json();
    assert!(summary["rows_in"].as_u64().unwrap() > 0 && summary["rows_in"].as_u64().unwrap() < 336_776, "{summary}");
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let out = format!("SELECT count(*) FROM '{}'", project.path("out/hourly.parquet").display());
    let rows: u64 = duckdb.query_row(&out, [], |row| row.get(0)).unwrap();
    assert_eq!(summary["nodes"]["out"]["accepted"].as_u64().unwrap(), rows, "what was accepted is in the file");
}

/// A command line of a shell in the project's folder, where `millrace` is the one under test.
fn shell(project: &Millrace, line: &str) -> millrace_tests::Ran {
    let mut command = std::process::Command::new("sh");
    let line = line.replace("millrace ", &format!("{} ", millrace_tests::binary::path().display()));
    command.args(["-c", &line]).current_dir(project.path(""));
    millrace_tests::Ran::from(command.output().unwrap())
}

const TWO_BRANCHES: &str = "millrace = 1\n[node.rows]\nkind = \"file\"\npath = \"data/flights.parquet\"\n\
     [node.seen]\nkind = \"stdout\"\ninput = \"rows\"\n[node.kept]\nkind = \"file_sink\"\ninput = \"rows\"\npath = \"kept.parquet\"\n";

#[test]
fn a_reader_that_goes_away_ends_its_own_branch_and_no_other() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("two.millrace.toml", TWO_BRANCHES);
    let ran = shell(&project, "millrace run two.millrace.toml | head -n 1").succeeded();
    assert_eq!(ran.stdout.lines().count(), 1);
    let query = format!("SELECT count(*) FROM '{}'", project.path("kept.parquet").display());
    let kept: i64 = duckdb::Connection::open_in_memory().unwrap().query_row(&query, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 336_776, "the other branch has every row");
}

#[test]
fn output_that_is_closed_or_full_is_told_and_no_panic() {
    let project = project();
    for line in ["millrace schema | true", "millrace validate departures.millrace.toml 2>/dev/full >/dev/null"] {
        let ran = shell(&project, line);
        assert!(ran.code == 0 && !ran.stderr.contains("panicked"), "{line}: {} {}", ran.code, ran.stderr);
    }
    let full = shell(&project, "millrace schema > /dev/full");
    assert_eq!(full.code, 1);
    assert!(full.stderr.contains("cannot write to standard output"), "{}", full.stderr);
}

#[test]
fn standard_input_and_output_stay_with_the_process_that_has_them() {
    let (project, node) = (Millrace::project(), millrace_tests::node::Node::start());
    project.sample("data/flights.parquet");
    project.write("two.millrace.toml", TWO_BRANCHES);
    let ran = millrace_tests::Ran::from(
        project.command().args(["run", "two.millrace.toml", "--on", &node.address]).env("MILLRACE_TOKEN", &node.token).output().unwrap(),
    );
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("MR0634") && ran.stderr.contains("seen"), "{}", ran.stderr);
    assert!(!project.path("kept.parquet").exists());
}

#[test]
fn standard_input_has_one_reader_which_is_told_while_the_file_is_checked() {
    let project = Millrace::project();
    let reads = |name: &str| format!("[node.{name}]\nkind = \"stdin\"\n[node.of_{name}]\nkind = \"stdout\"\ninput = \"{name}\"\n");
    project.write("two.millrace.toml", format!("millrace = 1\n{}{}", reads("first"), reads("second")));
    let ran = shell(&project, "echo '{\"n\": 1}' | millrace validate two.millrace.toml");
    assert_eq!(ran.code, 78, "{}{}", ran.stdout, ran.stderr);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains("MR0413") && told.contains("second") && told.contains("`first`"), "{told}");
}

#[test]
fn an_allowed_folder_that_is_not_there_is_named() {
    let project = Millrace::project();
    project.write("p.millrace.toml", "millrace = 1\n[node.a]\nkind = \"stdin\"\n[node.b]\nkind = \"stdout\"\ninput = \"a\"\n");
    let ran = project.run(&["validate", "p.millrace.toml", "--allow-path", "/not/there"]);
    assert_ne!(ran.code, 0);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("/not/there"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn validate_tells_what_a_crash_does_to_each_source_and_sink() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("kept.millrace.toml", DEPARTURES.replace("[pipeline]\n", "[pipeline]\ncheckpoint_every = \"10s\"\n"));
    project.write("not-kept.millrace.toml", DEPARTURES);
    let told = |file: &str| {
        let told = project.run(&["validate", file, "--json", "--guarantees"]).succeeded().json();
        assert_eq!(told["findings"], serde_json::json!([]), "{file}");
        let all = told["guarantees"].as_array().unwrap().clone();
        all.into_iter().map(|it| format!("{} {} {}", it["source"], it["sink"], it["delivery"]).replace('"', "")).collect::<Vec<_>>()
    };
    let mut kept = told("kept.millrace.toml");
    kept.sort();
    assert_eq!(kept, ["flights chart at_least_once", "flights late exactly_once", "flights out exactly_once"]);
    assert!(told("not-kept.millrace.toml").iter().all(|it| it.ends_with("begins_anew")));
}
