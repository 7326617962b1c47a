//! Results that change, from a pipeline file, on real flights, against DuckDB on the same file.

use duckdb::Connection;
use millrace_tests::Millrace;
use millrace_tests::flights::{difference, number};

const FILE: &str = r#"millrace = 1

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "1h"

[node.carriers]
kind = "aggregate"
input = "flights"
by = ["carrier"]
aggregate = { flights = "count(*)", flown = "count(dep_delay)", distance = "sum(distance)", mean_delay = "avg(dep_delay)", most = "max(dep_delay)" }

[node.sizes]
kind = "aggregate"
input = "carriers"
by = ["flights"]
aggregate = { carriers = "count(*)", longest = "max(distance)" }

[node.long]
kind = "filter"
input = "flights"
where = "distance > 2000"

[node.short]
kind = "filter"
input = "flights"
where = "distance <= 2000"

[node.all]
kind = "union"
input = ["long", "short"]

[node.daily]
kind = "tumbling_window"
input = "all"
size = "1d"
by = ["origin"]
aggregate = { departures = "count(*)" }
allowed_lateness = "3d"

[node.out_carriers]
kind = "file_sink"
input = "carriers"
path = "out/carriers.parquet"
changelog = true

[node.out_sizes]
kind = "file_sink"
input = "sizes"
path = "out/sizes.csv"
changelog = true

[node.out_daily]
kind = "file_sink"
input = "daily"
path = "out/daily.parquet"

[node.chart]
kind = "dashboard"
input = "carriers"
plot = { x = "carrier", y = "flights", mark = "bar" }
"#;

/// The rows that a file of changes comes to: the newest of each key, unless it says that there is none.
fn net(file: &str, key: &str) -> String {
    format!(
        "(FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY place DESC) AS nr FROM
           (SELECT *, row_number() OVER () AS place FROM {file})) WHERE nr = 1 AND __op <> '-D')"
    )
}

#[test]
fn what_the_changes_come_to_equals_duckdbs_group_by_at_parallelism_1_2_and_7() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("changes.millrace.toml", FILE);
    let duckdb = Connection::open_in_memory().unwrap();
    duckdb.execute_batch(&format!("SET threads = 1; SET file_search_path = '{}'", project.folder.path().display())).unwrap();
    let carriers = "SELECT carrier, count(*) AS flights, count(dep_delay) AS flown, sum(distance)::BIGINT AS distance,
                      avg(dep_delay) AS mean_delay, max(dep_delay) AS most FROM 'data/flights.parquet' GROUP BY carrier";
    let sizes = format!("SELECT flights, count(*) AS carriers, max(distance) AS longest FROM ({carriers}) GROUP BY flights");
    duckdb
        .execute_batch(&format!(
            "CREATE TABLE carriers AS {carriers}; CREATE TABLE sizes AS {sizes};
             CREATE TABLE daily AS SELECT time_bucket(INTERVAL 1 DAY, scheduled) AS window_start, origin, count(*) AS departures
               FROM 'data/flights.parquet' GROUP BY ALL"
        ))
        .unwrap();
    for parallelism in ["1", "2", "7"] {
        let summary = project.run(&["run", "changes.millrace.toml", "--parallelism", parallelism, "--json"]).succeeded().json();
        let nodes = &summary["nodes"];
        assert_eq!(nodes["carriers"]["accepted"], nodes["flights"]["rows_out"]);
        assert_eq!((&nodes["carriers"]["late"], &nodes["daily"]["late"]), (&0.into(), &0.into()));
        let carriers = net("'out/carriers.parquet'", "carrier");
        let sizes = net("'out/sizes.csv'", "flights");
        let compared = [
            ("carriers", "carrier, flights, flown, distance, round(mean_delay, 6), most", carriers.as_str()),
            ("sizes", "flights, carriers, longest", sizes.as_str()),
            ("daily", "window_start, origin, departures", "'out/daily.parquet'"),
        ];
        for (table, columns, ours) in compared {
            assert!(number(&duckdb, &format!("SELECT count(*) FROM {table}")) > 10);
            assert_eq!(difference(&duckdb, columns, table, ours), 0, "{table} at {parallelism}");
        }
        assert!(number(&duckdb, "SELECT count(*) FROM 'out/sizes.csv' WHERE __op = '-D'") > 0, "carriers leave a size behind");
    }
}

#[test]
fn a_file_takes_changes_only_where_it_is_told_to() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("changes.millrace.toml", FILE.replacen("changelog = true\n", "", 1));
    let ran = project.run(&["validate", "changes.millrace.toml"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.contains("MR0301") && ran.stderr.contains("changelog = true"), "{}", ran.stderr);
}
