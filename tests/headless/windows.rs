//! Every kind of window from a pipeline file, on real flights, against DuckDB on the same file.

use duckdb::Connection;
use millrace_tests::Millrace;
use millrace_tests::flights::{difference, number};

const FILE: &str = r#"millrace = 1

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "1h"

[node.hopping]
kind = "hopping_window"
input = "flights"
size = "6h"
slide = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }

[node.cumulated]
kind = "cumulate_window"
input = "flights"
size = "1d"
step = "6h"
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }

[node.sessions]
kind = "session_window"
input = "flights"
gap = "20m"
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }
allowed_lateness = "3d"

[node.counted]
kind = "count_window"
input = "flights"
rows = 100
slide = 50
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }

[node.out_hopping]
kind = "file_sink"
input = "hopping"
path = "out/hopping.parquet"

[node.out_cumulated]
kind = "file_sink"
input = "cumulated"
path = "out/cumulated.parquet"

[node.out_sessions]
kind = "file_sink"
input = "sessions"
path = "out/sessions.parquet"

[node.out_counted]
kind = "file_sink"
input = "counted"
path = "out/counted.parquet"
"#;

const SEEN: &str = "CREATE TEMP TABLE seen AS SELECT *, epoch_us(scheduled) AS tu, max(epoch_us(scheduled))
    OVER (ORDER BY file_row_number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - 3600000000 AS wm
  FROM read_parquet('data/flights.parquet', file_row_number = true)";

const RESULTS: &str = "count(*) AS departures, sum(distance)::BIGINT AS distance";

const WINDOW: &str = "make_timestamp(ws) AS window_start, make_timestamp(we) AS window_end, make_timestamp(we - 1) AS window_time, origin";

/// What must be in each file, by its name.
fn expected() -> [(&'static str, String); 4] {
    let counts = "ws <= tu AND tu < we AND coalesce(we > wm, true)";
    let hopping = format!(
        "SELECT {WINDOW}, {RESULTS} FROM (SELECT *, ws + 21600000000 AS we FROM (SELECT *, unnest(generate_series(
           tu // 3600000000 * 3600000000 - 21600000000, tu, 3600000000)) AS ws FROM seen)) WHERE {counts} GROUP BY ws, we, origin"
    );
    let cumulated = format!(
        "SELECT {WINDOW}, {RESULTS} FROM (SELECT *, ws + length AS we FROM (SELECT *, tu // 86400000000 * 86400000000 AS ws,
           unnest(generate_series(21600000000, 86400000000, 21600000000)) AS length FROM seen)) WHERE {counts} GROUP BY ws, we, origin"
    );
    let sessions = format!(
        "WITH gaps AS (SELECT *, coalesce(tu - lag(tu) OVER in_time >= 1200000000, true)::INT AS opens FROM seen
             WINDOW in_time AS (PARTITION BY origin ORDER BY tu, file_row_number)),
           islands AS (SELECT *, sum(opens) OVER so_far AS island FROM gaps
             WINDOW so_far AS (PARTITION BY origin ORDER BY tu, file_row_number ROWS UNBOUNDED PRECEDING))
         SELECT {WINDOW}, departures, distance FROM (SELECT min(tu) AS ws, max(tu) + 1200000000 AS we, origin, {RESULTS}
           FROM islands GROUP BY origin, island)"
    );
    let counted = format!(
        "WITH kept AS (SELECT *, row_number() OVER (PARTITION BY origin ORDER BY file_row_number) - 1 AS nr FROM seen
           WHERE NOT coalesce(tu < wm, false)),
           placed AS (SELECT *, unnest(generate_series(0, nr // 50)) AS win FROM kept)
         SELECT {WINDOW}, departures, distance FROM (SELECT min(tu) AS ws, max(tu) + 1 AS we, origin, {RESULTS} FROM placed
           WHERE nr < win * 50 + 100 GROUP BY origin, win HAVING count(*) = 100)"
    );
    [("hopping", hopping), ("cumulated", cumulated), ("sessions", sessions), ("counted", counted)]
}

#[test]
fn every_kind_of_window_equals_duckdb_at_parallelism_1_2_and_7() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("windows.millrace.toml", FILE);
    let duckdb = Connection::open_in_memory().unwrap();
    duckdb.execute_batch(&format!("SET file_search_path = '{}'; {SEEN}", project.folder.path().display())).unwrap();
    for (name, sql) in expected() {
        duckdb.execute_batch(&format!("CREATE TEMP TABLE {name} AS {sql}")).unwrap();
        assert!(number(&duckdb, &format!("SELECT count(*) FROM {name}")) > 1000, "{name}");
    }
    for (parallelism, batch_rows) in [("1", "8192"), ("2", "1000"), ("7", "77")] {
        let flags = ["run", "windows.millrace.toml", "--json", "--parallelism", parallelism, "--batch-rows", batch_rows];
        let summary = project.run(&flags).succeeded().json();
        for (name, _) in expected() {
            let out = format!("read_parquet('out/{name}.parquet')");
            assert_eq!(difference(&duckdb, "*", &out, name), 0, "{name} at {parallelism}, {batch_rows} rows a batch");
            let figures = &summary["nodes"][name];
            let sum: u64 = ["accepted", "filtered", "late", "quarantined"].iter().map(|count| figures[count].as_u64().unwrap()).sum();
            assert_eq!(figures["rows_in"].as_u64().unwrap(), sum, "{name} keeps the law of rows");
        }
    }
}
