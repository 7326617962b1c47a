//! The departures of 2013: pipelines over them, and what DuckDB says must come out.

use duckdb::Connection;

use crate::Millrace;

/// The example of the pipeline file's page.
pub const DEPARTURES: &str = r#"millrace = 1

[pipeline]
name = "departures by origin"

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "3h"
replay = { by = "reported", speed = "86400x" }

[node.flown]
kind = "filter"
input = "flights"
where = "dep_delay IS NOT NULL"

[node.hourly]
kind = "tumbling_window"
input = "flown"
size = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
allowed_lateness = "6h"
emit = "on_close"

[node.chart]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }

[node.out]
kind = "file_sink"
input = "hourly"
path = "out/hourly.parquet"

[node.late]
kind = "file_sink"
input = "hourly.late"
path = "out/late.parquet"
"#;

/// Windows of 1 h over all rows, 10 minutes of disorder allowed, no lateness, no filter.
pub const STRICT: &str = r#"millrace = 1

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "10m"
replay = { by = "reported", speed = "10000000x" }

[node.hourly]
kind = "tumbling_window"
input = "flights"
size = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }

[node.out]
kind = "file_sink"
input = "hourly"
path = "out/hourly.parquet"

[node.late]
kind = "file_sink"
input = "hourly.late"
path = "out/late.parquet"
"#;

/// What must come out of windows of one hour, as DuckDB tells it from the same file.
pub struct Expected<'a> {
    pub max_delay_us: i64,
    pub lateness_us: i64,
    /// What stands before the window, as SQL.
    pub filter: &'a str,
    /// The aggregates, as SQL with names.
    pub aggregates: &'a str,
}

pub const MINUTE: i64 = 60_000_000;
pub const HOUR: i64 = 60 * MINUTE;

/// Every row of the file with its own watermark, then whether it is late for its hour.
const TAGGED: &str = "
CREATE TEMP TABLE tagged AS
WITH numbered AS (SELECT *, epoch_us(scheduled) AS t FROM read_parquet('data/flights.parquet', file_row_number = true)),
marked AS (SELECT *, max(t) OVER (ORDER BY file_row_number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {max_delay} AS watermark
           FROM numbered)
SELECT *, t // 3600000000 * 3600000000 AS start, coalesce(start + 3600000000 + {lateness} <= watermark, false) AS is_late
FROM marked WHERE {filter}";

/// DuckDB, looking at a project's folder, with the truth in the tables `expected` and `expected_late`.
pub fn oracle(project: &Millrace, truth: &Expected<'_>) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&format!("SET file_search_path = '{}'", project.folder.path().display())).unwrap();
    let tagged = TAGGED
        .replace("{max_delay}", &truth.max_delay_us.to_string())
        .replace("{lateness}", &truth.lateness_us.to_string())
        .replace("{filter}", truth.filter);
    let expected = format!(
        "CREATE TEMP TABLE expected AS SELECT make_timestamp(start) AS window_start, make_timestamp(start + 3600000000) AS window_end,
           make_timestamp(start + 3599999999) AS window_time, origin, {} FROM tagged WHERE NOT is_late GROUP BY ALL;
         CREATE TEMP TABLE expected_late AS SELECT reported, scheduled, departed, carrier, flight, tailnum, origin, dest, dep_delay, arr_delay,
           air_time, distance FROM tagged WHERE is_late;",
        truth.aggregates
    );
    connection.execute_batch(&tagged).unwrap();
    connection.execute_batch(&expected).unwrap();
    connection
}

/// How many rows a query gives, or the number that it counts.
pub fn number(connection: &Connection, query: &str) -> i64 {
    connection.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}\n{query}"))
}

/// Rows of either side that the other lacks, over the columns that must be exact.
pub fn difference(connection: &Connection, columns: &str, left: &str, right: &str) -> i64 {
    rows_apart(connection, &format!("SELECT {columns} FROM {left}"), &format!("SELECT {columns} FROM {right}"))
}

/// Rows that one of two queries gives and the other does not, each as often as it is missing. Counted in one pass: `EXCEPT ALL` would number
/// all rows of both sides, twice.
pub fn rows_apart(connection: &Connection, left: &str, right: &str) -> i64 {
    let query = format!(
        "SELECT coalesce(sum(abs(__apart)), 0)::BIGINT FROM (
           SELECT * EXCLUDE (__side), sum(__side) AS __apart FROM (SELECT *, 1 AS __side FROM ({left}) UNION ALL SELECT *, -1 FROM ({right}))
           GROUP BY ALL HAVING sum(__side) <> 0)"
    );
    number(connection, &query)
}

/// Rows, joined on window and origin, whose float column is apart by more than 1e-9 of its size, or NULL on one side only.
pub fn float_difference(connection: &Connection, column: &str, actual: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM {actual} a JOIN expected e USING (window_start, origin)
         WHERE (a.{column} IS NULL) <> (e.{column} IS NULL)
            OR abs(a.{column} - e.{column}) > 1e-9 * greatest(abs(e.{column}), 1e-300)"
    );
    number(connection, &query)
}
