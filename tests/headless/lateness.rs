//! Lateness is a property of the data: the same rows are late however the run is cut.

use millrace_tests::Millrace;
use millrace_tests::flights::{Expected, MINUTE, STRICT, difference, number, oracle};

const TRUTH: Expected<'static> = Expected {
    max_delay_us: 10 * MINUTE,
    lateness_us: 0,
    filter: "true",
    aggregates: "count(*) AS departures, sum(distance)::BIGINT AS distance",
};

const FLIGHTS: i64 = 336_776;

fn project() -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("strict.millrace.toml", STRICT);
    project
}

fn late_rows_are_those_of_duckdb(project: &Millrace, flags: &[&str], rows: i64) {
    let arguments: Vec<&str> = ["run", "strict.millrace.toml", "--json"].iter().chain(flags).copied().collect();
    let summary = project.run(&arguments).succeeded().json();
    let duckdb = oracle(project, &TRUTH);
    let out = "read_parquet('out/hourly.parquet')";
    assert_eq!(difference(&duckdb, "*", out, "expected"), 0, "{flags:?}");
    assert_eq!(difference(&duckdb, "*", "read_parquet('out/late.parquet')", "expected_late"), 0, "{flags:?}");
    let windowed = number(&duckdb, &format!("SELECT sum(departures)::BIGINT FROM {out}"));
    let late = number(&duckdb, "SELECT count(*) FROM 'out/late.parquet'");
    assert_eq!(windowed + late, rows, "{flags:?}");
    assert_eq!(summary["late"], late, "{flags:?}");
}

#[test]
fn the_same_rows_are_late_at_any_parallelism_and_batch_size() {
    let project = project();
    for flags in [["--parallelism", "1", "--batch-rows", "8192"], ["--parallelism", "7", "--batch-rows", "64"]] {
        late_rows_are_those_of_duckdb(&project, &flags, FLIGHTS);
    }
}

#[test]
fn the_same_rows_are_late_when_the_year_is_replayed_at_a_pace() {
    late_rows_are_those_of_duckdb(&project(), &["--parallelism", "2", "--replay"], FLIGHTS);
}

#[test]
fn the_same_rows_are_late_one_row_a_batch() {
    let project = project();
    first_20_000(&project);
    late_rows_are_those_of_duckdb(&project, &["--parallelism", "7", "--batch-rows", "1"], 20_000);
}

fn first_20_000(project: &Millrace) {
    let (from, to) = (project.path("data/flights.parquet"), project.path("data/first.parquet"));
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let copy = format!(
        "COPY (SELECT * EXCLUDE file_row_number FROM read_parquet('{}', file_row_number = true) WHERE file_row_number < 20000
               ORDER BY file_row_number) TO '{}' (FORMAT parquet)",
        from.display(),
        to.display()
    );
    duckdb.execute_batch(&copy).unwrap();
    std::fs::rename(to, from).unwrap();
}

/// The whole matrix; `make prove` runs it.
#[test]
#[ignore = "a long proof: make prove"]
fn the_same_rows_are_late_over_the_full_matrix() {
    let project = project();
    for parallelism in ["1", "2", "7"] {
        for batch_rows in ["64", "8192"] {
            for replay in [&[][..], &["--replay"]] {
                let flags: Vec<&str> = ["--parallelism", parallelism, "--batch-rows", batch_rows].iter().chain(replay).copied().collect();
                late_rows_are_those_of_duckdb(&project, &flags, FLIGHTS);
            }
        }
    }
    first_20_000(&project);
    for parallelism in ["1", "2", "7"] {
        late_rows_are_those_of_duckdb(&project, &["--parallelism", parallelism, "--batch-rows", "1"], 20_000);
    }
}
