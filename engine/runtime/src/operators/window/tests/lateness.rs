//! The late rows are those that the SQL of the pipeline file's page says, whatever the batches.

use polars::prelude::*;
use serde_json::json;

use super::duck::{assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{run, with_time};

const SECOND: i64 = 1_000_000;

#[test]
fn the_late_rows_are_those_of_the_sql_at_any_batch_size() {
    let frame = random_rows(11, 1200);
    for (size, offset, delay, lateness) in [(10, 0, 5, 0), (10, 3, 1, 4), (7, 0, 0, 0), (60, 59, 2, 1)] {
        let spec = json!({
            "size": format!("{size}s"), "offset": format!("{offset}s"), "allowed_lateness": format!("{lateness}s"), "by": ["s"],
            "aggregate": { "rows": "count(*)", "total": "sum(n)", "mean": "avg(g)", "high": "quantile(g, 0.9)" },
        });
        let (size, offset, delay, lateness) = (size * SECOND, offset * SECOND, delay * SECOND, lateness * SECOND);
        let seen = format!(
            "WITH seen AS (SELECT *, epoch_us(t) - (((epoch_us(t) - {offset}) % {size}) + {size}) % {size} AS ws, \
             max(epoch_us(t)) OVER (ORDER BY row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {delay} AS wm FROM t), \
             told AS (SELECT *, coalesce(ws + {size} + {lateness} <= wm, false) AS late FROM seen)"
        );
        let connection = table(&frame);
        let columns = frame.get_column_names().iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
        let late = query(&connection, &format!("{seen} SELECT {columns} FROM told WHERE late ORDER BY row"));
        let windows = query(
            &connection,
            &format!(
                "{seen} SELECT ws, ws + {size}, ws + {size} - 1, s, count(*), sum(n), avg(g), quantile_cont(g, 0.9) FROM told \
                 WHERE NOT late GROUP BY ws, s ORDER BY ws, s NULLS LAST"
            ),
        );
        let input = with_time(&frame, "t", delay);
        let mut first: Option<DataFrame> = None;
        for cut in [1, 7, 64, 1200] {
            let (ports, counts) = run(spec.clone(), &input, delay, cut);
            let out = ports.frame(0);
            assert_agree(&rows(ports.frame(1).as_ref()), &late, "late rows");
            assert_agree(&rows(out.as_ref()), &windows, "windows");
            assert_eq!((counts.late, counts.accepted), (late.len() as u64, (frame.height() - late.len()) as u64));
            assert_eq!((counts.late_after_idle, counts.quarantined), (0, 0));
            if let (Some(first), Some(out)) = (&first, &out) {
                assert!(first.equals_missing(out), "the same rows in the same order, to the bit, at any cut");
            }
            first = first.or(out);
        }
        assert!(size > 30 * SECOND || !late.is_empty(), "the data has late rows for windows of {size}");
    }
}

#[test]
fn a_late_row_leaves_by_the_late_port_as_it_came() {
    let frame = with_time(&random_rows(12, 500), "t", SECOND);
    let (ports, counts) = run(json!({ "size": "10s", "aggregate": { "n": "count(*)" } }), &frame, SECOND, 100);
    let late = ports.frame(1).unwrap();
    assert_eq!(late.get_column_names(), frame.get_column_names());
    assert_eq!(late.dtypes(), frame.dtypes());
    assert_eq!(late.height() as u64, counts.late);
}
