//! The example of the pipeline file's page.

use millrace_tests::flights::{DEPARTURES, Expected, HOUR, difference, float_difference, number, oracle};
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};

const TRUTH: Expected<'static> = Expected {
    max_delay_us: 3 * HOUR,
    lateness_us: 6 * HOUR,
    filter: "dep_delay IS NOT NULL",
    aggregates: "count(*) AS departures, avg(dep_delay) AS mean_delay, quantile_cont(dep_delay, 0.95) AS p95_delay",
};

fn project() -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("departures.millrace.toml", DEPARTURES);
    project
}

fn equals_duckdb(project: &Millrace, ran: Ran) {
    let summary = ran.succeeded().json();
    let duckdb = oracle(project, &TRUTH);
    let out = "read_parquet('out/hourly.parquet')";
    assert_eq!(difference(&duckdb, "window_start, window_end, window_time, origin, departures", out, "expected"), 0);
    assert_eq!(float_difference(&duckdb, "mean_delay", out), 0);
    assert_eq!(float_difference(&duckdb, "p95_delay", out), 0);
    assert_eq!(difference(&duckdb, "*", "read_parquet('out/late.parquet')", "expected_late"), 0);
    assert_eq!(summary["rows_in"], 336_776);
    assert_eq!(summary["filtered"], number(&duckdb, "SELECT count(*) FROM 'data/flights.parquet' WHERE dep_delay IS NULL"));
    assert_eq!(summary["late"], number(&duckdb, "SELECT count(*) FROM expected_late"));
    assert_eq!(summary["quarantined"], 0);
    let windows = number(&duckdb, "SELECT count(*) FROM expected");
    assert_eq!(summary["nodes"]["hourly"]["rows_out"], windows);
    assert_eq!(summary["nodes"]["out"]["accepted"], windows);
    for (node, figures) in summary["nodes"].as_object().unwrap() {
        let sum: u64 = ["accepted", "filtered", "late", "quarantined"].iter().map(|name| figures[name].as_u64().unwrap()).sum();
        assert_eq!(figures["rows_in"].as_u64().unwrap(), sum, "{node} keeps the law of rows");
    }
}

fn columns(project: &Millrace, file: &str) -> Vec<String> {
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let mut query = duckdb.prepare(&format!("DESCRIBE SELECT * FROM '{}'", project.path(file).display())).unwrap();
    let names = query.query_map([], |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    names.map(Result::unwrap).collect()
}

#[test]
fn hourly_departures_equal_duckdb_at_parallelism_1_2_and_7() {
    for parallelism in ["1", "2", "7"] {
        let project = project();
        let ran = project.run(&["run", "departures.millrace.toml", "--parallelism", parallelism, "--json"]);
        equals_duckdb(&project, ran);
    }
}

#[test]
fn hourly_departures_on_a_node_equal_duckdb_at_parallelism_1_2_and_7() {
    let node = Node::start();
    for parallelism in ["1", "2", "7"] {
        let project = project();
        let mut command = project.command();
        command.args(["run", "departures.millrace.toml", "--parallelism", parallelism, "--json", "--on", &node.address]);
        let ran = Ran::from(command.env("MILLRACE_TOKEN", &node.token).output().unwrap());
        equals_duckdb(&project, ran);
    }
}

#[test]
fn a_window_gives_its_bounds_then_the_keys_then_the_aggregates_and_late_rows_keep_the_inputs_columns() {
    let project = project();
    project.run(&["run", "departures.millrace.toml"]).succeeded();
    assert_eq!(
        columns(&project, "out/hourly.parquet"),
        [
            "window_start TIMESTAMP",
            "window_end TIMESTAMP",
            "window_time TIMESTAMP",
            "origin VARCHAR",
            "departures BIGINT",
            "mean_delay DOUBLE",
            "p95_delay DOUBLE"
        ]
    );
    assert_eq!(columns(&project, "out/late.parquet"), columns(&project, "data/flights.parquet"));
}
