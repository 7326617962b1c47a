//! The worst departures of each day, and each aircraft's first, from a pipeline file, against DuckDB on the same file.

use duckdb::Connection;
use millrace_tests::Millrace;
use millrace_tests::flights::{difference, number};

const FILE: &str = r#"millrace = 1

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"
max_delay = "1h"

[node.worst]
kind = "top_n"
input = "flights"
by = ["origin"]
n = 3
order = ["dep_delay DESC"]
window = "1d"
ties = "keep"
rank = "place"

[node.once]
kind = "deduplicate"
input = "flights"
by = ["tailnum"]

[node.out_worst]
kind = "file_sink"
input = "worst"
path = "out/worst.parquet"

[node.late_worst]
kind = "file_sink"
input = "worst.late"
path = "out/worst_late.parquet"

[node.out_once]
kind = "file_sink"
input = "once"
path = "out/once.parquet"

[node.late_once]
kind = "file_sink"
input = "once.late"
path = "out/once_late.parquet"
"#;

const COLUMNS: &str = "reported, scheduled, departed, carrier, flight, tailnum, origin, dest, dep_delay, arr_delay, air_time, distance";

/// What must be in each file, by its name.
fn expected() -> [(&'static str, String); 4] {
    let day = 86_400_000_000i64;
    let worst = format!(
        "SELECT make_timestamp(ws) AS window_start, make_timestamp(ws + {day}) AS window_end, make_timestamp(ws + {day} - 1) AS window_time,
           {COLUMNS}, rank() OVER (PARTITION BY ws, origin ORDER BY dep_delay DESC) AS place
         FROM seen WHERE ws + {day} > wm QUALIFY place <= 3"
    );
    let once =
        format!("SELECT {COLUMNS} FROM seen WHERE tu >= wm QUALIFY row_number() OVER (PARTITION BY tailnum ORDER BY tu, {COLUMNS}) = 1");
    [
        ("worst", worst),
        ("worst_late", format!("SELECT {COLUMNS} FROM seen WHERE ws + {day} <= wm")),
        ("once", once),
        ("once_late", format!("SELECT {COLUMNS} FROM seen WHERE tu < wm")),
    ]
}

#[test]
fn the_worst_departures_of_each_day_and_each_aircrafts_first_equal_duckdb() {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write("kept.millrace.toml", FILE);
    let duckdb = Connection::open_in_memory().unwrap();
    let seen = "CREATE TEMP TABLE seen AS SELECT *, epoch_us(scheduled) AS tu, tu // 86400000000 * 86400000000 AS ws,
          coalesce(max(epoch_us(scheduled)) OVER (ORDER BY file_row_number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
            - 3600000000 AS wm
        FROM read_parquet('data/flights.parquet', file_row_number = true)";
    duckdb.execute_batch(&format!("SET file_search_path = '{}'; {seen}", project.folder.path().display())).unwrap();
    for (name, sql) in expected() {
        duckdb.execute_batch(&format!("CREATE TEMP TABLE {name} AS {sql}")).unwrap();
        assert!(number(&duckdb, &format!("SELECT count(*) FROM {name}")) > 400, "{name}");
    }
    assert!(number(&duckdb, "SELECT count(*) FROM worst") > 3 * 3 * 365, "some share a place");
    for (parallelism, batch_rows) in [("1", "8192"), ("2", "1000"), ("7", "77")] {
        let flags = ["run", "kept.millrace.toml", "--json", "--parallelism", parallelism, "--batch-rows", batch_rows];
        let summary = project.run(&flags).succeeded().json();
        for (name, _) in expected() {
            let out = format!("read_parquet('out/{name}.parquet')");
            assert_eq!(difference(&duckdb, "*", &out, name), 0, "{name} at {parallelism}, {batch_rows} rows a batch");
        }
        for name in ["worst", "once"] {
            let figures = &summary["nodes"][name];
            let count = |count: &str| figures[count].as_u64().unwrap();
            assert_eq!(count("rows_in"), count("accepted") + count("filtered") + count("late") + count("quarantined"), "{name}");
        }
    }
}
