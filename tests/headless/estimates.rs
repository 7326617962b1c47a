//! Aggregates that gather and that estimate, and results that discard, on real flights: against DuckDB's exact answers on the same file.

use duckdb::Connection;
use millrace_tests::Millrace;
use millrace_tests::flights::{difference, number};

const FILE: &str = r#"millrace = 1

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "1d"

[node.months]
kind = "tumbling_window"
input = "flights"
size = "1mo"
by = ["origin"]

[node.months.aggregate]
planes = "approx_count_distinct(tailnum)"
flights = "approx_count_distinct(flight) FILTER (WHERE carrier = 'UA')"
late = "approx_quantile(dep_delay, 0.95)"
early = "approx_quantile(dep_delay, 0.05)"
most = "approx_top_k(dest, 5)"
carriers = "string_agg(DISTINCT carrier, ' ')"
far = "array_agg(distance) FILTER (WHERE dest = 'HNL')"

[node.thousands]
kind = "global_window"
input = "flights"
by = ["origin"]
aggregate = { departures = "count(*)", distance = "sum(distance)" }
emit = { rows = 1000, mode = "discarding" }

[node.out_months]
kind = "file_sink"
input = "months"
path = "out/months.parquet"

[node.out_thousands]
kind = "file_sink"
input = "thousands"
path = "out/thousands.parquet"
"#;

const EXACT: &str = "
CREATE TEMP TABLE rows AS SELECT *, date_trunc('month', scheduled) AS month, epoch_us(scheduled) AS tu
  FROM read_parquet('data/flights.parquet', file_row_number = true);
CREATE TEMP TABLE top AS SELECT origin, month, '[' || string_agg('\"' || dest || '\"', ',' ORDER BY n DESC, dest) || ']' AS most
  FROM (SELECT origin, month, dest, count(*) AS n FROM rows GROUP BY origin, month, dest
        QUALIFY row_number() OVER (PARTITION BY origin, month ORDER BY n DESC, dest) <= 5) GROUP BY ALL;
CREATE TEMP TABLE names AS SELECT origin, month, string_agg(carrier, ' ' ORDER BY first, carrier) AS carriers
  FROM (SELECT origin, month, carrier, min(tu) AS first FROM rows GROUP BY ALL) GROUP BY ALL;
CREATE TEMP TABLE exact AS SELECT month AS window_start, month + INTERVAL 1 MONTH AS window_end, month + INTERVAL 1 MONTH - INTERVAL 1 MICROSECOND
    AS window_time, origin, count(DISTINCT tailnum) AS planes, count(DISTINCT flight) FILTER (WHERE carrier = 'UA') AS flights,
    list_sort(list(dep_delay) FILTER (WHERE dep_delay IS NOT NULL))[1 + floor((count(dep_delay) - 1) * 0.95)::BIGINT] AS late,
    list_sort(list(dep_delay) FILTER (WHERE dep_delay IS NOT NULL))[1 + floor((count(dep_delay) - 1) * 0.05)::BIGINT] AS early, most, carriers,
    '[' || (string_agg(distance::VARCHAR, ',' ORDER BY tu, distance) FILTER (WHERE dest = 'HNL')) || ']' AS far
  FROM rows JOIN top USING (origin, month) JOIN names USING (origin, month) GROUP BY origin, month, most, carriers;
CREATE TEMP TABLE thousands AS SELECT make_timestamp(min(tu)) AS window_start, make_timestamp(max(tu) + 1) AS window_end,
    make_timestamp(max(tu)) AS window_time, origin, count(*) AS departures, sum(distance)::BIGINT AS distance
  FROM (SELECT *, (row_number() OVER (PARTITION BY origin ORDER BY file_row_number) - 1) // 1000 AS nr FROM rows) GROUP BY origin, nr;";

#[test]
fn estimates_are_within_their_bounds_and_the_rest_equals_duckdb_at_parallelism_1_and_3() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("estimates.millrace.toml", FILE);
    let duckdb = Connection::open_in_memory().unwrap();
    duckdb.execute_batch(&format!("SET file_search_path = '{}'; {EXACT}", project.folder.path().display())).unwrap();
    for (parallelism, batch_rows) in [("1", "8192"), ("3", "500")] {
        let flags = ["run", "estimates.millrace.toml", "--json", "--parallelism", parallelism, "--batch-rows", batch_rows];
        project.run(&flags).succeeded();
        let months = "read_parquet('out/months.parquet')";
        let same = "window_start, window_end, window_time, origin, most, carriers, far";
        assert_eq!(difference(&duckdb, same, months, "exact"), 0, "at parallelism {parallelism}");
        assert_eq!(difference(&duckdb, "*", "read_parquet('out/thousands.parquet')", "thousands"), 0, "at parallelism {parallelism}");
        let joined = number(&duckdb, &format!("SELECT count(*) FROM {months} AS m JOIN exact AS e USING (window_start, origin)"));
        assert!(joined >= 36, "{joined} months of three airports");
        // Up to 4,096 different values are counted all but exactly; a quantile is within 1 %.
        let wrong = format!(
            "SELECT count(*) FROM {months} AS m JOIN exact AS e USING (window_start, origin) WHERE abs(m.planes - e.planes) > 1
               OR abs(m.flights - e.flights) > 1 OR abs(m.late - e.late) > 0.01000001 * abs(e.late)
               OR abs(m.early - e.early) > 0.01000001 * abs(e.early)"
        );
        assert_eq!(number(&duckdb, &wrong), 0, "at parallelism {parallelism}");
    }
}
