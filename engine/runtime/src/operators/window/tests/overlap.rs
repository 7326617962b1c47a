//! Windows that overlap: every row in each of its windows that its own watermark left open, as SQL says it.

use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::{assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{bind, run, schema_of, with_time};

const SECOND: i64 = 1_000_000;

/// A row for each window of each row of `t`: `ws` and `we`, and whether it `counts` there. `windows` is SQL that lists them for the time `tu`.
fn placed(windows: &str, delay: i64, lateness: i64) -> String {
    format!(
        "WITH seen AS (SELECT *, epoch_us(t) AS tu, \
           max(epoch_us(t)) OVER (ORDER BY row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {delay} AS wm FROM t), \
         spread AS ({windows}), \
         placed AS (SELECT *, coalesce(we + {lateness} > wm, true) AS counts FROM spread WHERE ws <= tu AND tu < we)"
    )
}

fn floor(value: &str, offset: i64, step: i64) -> String {
    format!("({value} - ((({value} - {offset}) % {step}) + {step}) % {step})")
}

/// Holds a window over disordered rows to the SQL, at several cuts.
fn compare(spec: &Value, windows: &str, delay: i64, lateness: i64) {
    let frame = random_rows(31, 1000);
    let connection = table(&frame);
    let placed = placed(windows, delay, lateness);
    let columns = frame.get_column_names().iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    let late = query(
        &connection,
        &format!("{placed} SELECT {columns} FROM placed GROUP BY row, {columns} HAVING NOT bool_or(counts) ORDER BY row"),
    );
    let answer = query(
        &connection,
        &format!(
            "{placed} SELECT ws, we, we - 1, s, count(*), sum(n), avg(g), max(s), stddev(g), quantile_cont(g, 0.9), count(DISTINCT n), \
             count(DISTINCT s) FROM placed WHERE counts GROUP BY ws, we, s ORDER BY ws, we, s NULLS LAST"
        ),
    );
    let between = query(&connection, &format!("{placed} SELECT row FROM seen EXCEPT SELECT row FROM placed")).len();
    assert!(answer.len() > 100);
    let input = with_time(&frame, "t", delay);
    let mut spec = spec.clone();
    spec["by"] = json!(["s"]);
    spec["allowed_lateness"] = json!(format!("{lateness}us"));
    spec["aggregate"] = json!({
        "rows": "count(*)", "total": "sum(n)", "mean": "avg(g)", "most": "max(s)", "spread": "stddev(g)", "high": "quantile(g, 0.9)",
        "numbers": "count_distinct(n)", "texts": "count_distinct(s)",
    });
    let mut first: Option<DataFrame> = None;
    for cut in [1, 7, 64, 1000] {
        let (ports, counts) = run(spec.clone(), &input, delay, cut);
        let out = ports.frame(0);
        assert_agree(&rows(ports.frame(1).as_ref()), &late, "late rows");
        assert_agree(&rows(out.as_ref()), &answer, &format!("{spec} cut to {cut}"));
        assert_eq!((counts.late, counts.filtered), (late.len() as u64, between as u64));
        assert_eq!(counts.accepted, (frame.height() - late.len() - between) as u64);
        if let (Some(first), Some(out)) = (&first, &out) {
            assert!(first.equals_missing(out), "the same rows in the same order, to the bit, at any cut");
        }
        first = first.or(out);
    }
}

#[test]
fn hopping_windows_equal_duckdbs_answer_with_lateness_at_any_batch_size() {
    for (size, slide, offset, delay, lateness) in
        [(10, 2, 0, 5, 0), (10, 4, 3, 1, 4), (9, 6, 1, 0, 0), (10, 10, 0, 3, 2), (3, 5, 2, 4, 0), (60, 7, 5, 0, 1)]
    {
        let spec =
            json!({ "kind": "hopping_window", "size": format!("{size}s"), "slide": format!("{slide}s"), "offset": format!("{offset}s") });
        let (size, slide, offset) = (size * SECOND, slide * SECOND, offset * SECOND);
        let last = floor("tu", offset, slide);
        let windows = format!(
            "SELECT *, ws + {size} AS we FROM (SELECT *, unnest(generate_series({last} - {slide} * ({size} // {slide} + 1), {last}, {slide})) \
             AS ws FROM seen)"
        );
        compare(&spec, &windows, delay * SECOND, lateness * SECOND);
    }
}

#[test]
fn cumulating_windows_equal_duckdbs_answer_with_lateness_at_any_batch_size() {
    for (size, step, offset, delay, lateness) in [(10, 2, 0, 5, 0), (12, 4, 3, 1, 4), (60, 1, 0, 0, 0), (10, 10, 1, 3, 2)] {
        let spec =
            json!({ "kind": "cumulate_window", "size": format!("{size}s"), "step": format!("{step}s"), "offset": format!("{offset}s") });
        let (size, step, offset) = (size * SECOND, step * SECOND, offset * SECOND);
        let start = floor("tu", offset, size);
        let windows = format!(
            "SELECT *, {start} AS ws, ws + step AS we FROM (SELECT *, unnest(generate_series({step}, {size}, {step})) AS step FROM seen)"
        );
        compare(&spec, &windows, delay * SECOND, lateness * SECOND);
    }
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let schema = || schema_of(&random_rows(1, 30));
    let codes = |spec: Value| bind(spec, schema()).1.items.into_iter().map(|found| found.code.into_owned()).collect::<Vec<_>>();
    let aggregate = json!({ "n": "count(*)" });
    assert_eq!(codes(json!({ "kind": "hopping_window", "size": "1d", "slide": "1ms", "aggregate": aggregate })), ["MR0324"]);
    assert_eq!(codes(json!({ "kind": "hopping_window", "size": "1d", "slide": "0s", "aggregate": aggregate })), ["MR0321", "MR0324"]);
    assert_eq!(codes(json!({ "kind": "cumulate_window", "size": "1h", "step": "7m", "aggregate": aggregate })), ["MR0325"]);
}
