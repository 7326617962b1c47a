//! Windows of so many rows, as DuckDB numbers them.

use serde_json::{Value, json};

use super::duck::{assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{bind, run, schema_of, with_time};

const SECOND: i64 = 1_000_000;

#[test]
fn count_windows_equal_duckdbs_numbered_rows_with_lateness_at_any_batch_size() {
    let frame = random_rows(51, 1000);
    let connection = table(&frame);
    for (of, slide, delay, lateness) in [(5, 5, 1000, 0), (6, 2, 2, 0), (10, 4, 1, 3), (1, 1, 0, 0), (7, 3, 0, 1), (1000, 1000, 5, 0)] {
        let (delay, lateness) = (delay * SECOND, lateness * SECOND);
        let seen = format!(
            "WITH seen AS (SELECT *, epoch_us(t) AS tu, \
               max(epoch_us(t)) OVER (ORDER BY row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {delay} AS wm FROM t), \
             told AS (SELECT *, coalesce(tu + {lateness} < wm, false) AS late FROM seen), \
             kept AS (SELECT *, row_number() OVER (PARTITION BY s ORDER BY row) - 1 AS nr FROM told WHERE NOT late), \
             placed AS (SELECT *, unnest(generate_series(0, nr // {slide})) AS win FROM kept)"
        );
        let late = query(&connection, &format!("{seen} SELECT row FROM told WHERE late")).len();
        let answer = query(
            &connection,
            &format!(
                "{seen} SELECT ws, we, wt, s, c, total, mean, most, high, n FROM (SELECT min(tu) AS ws, max(tu) + 1 AS we, max(tu) AS wt, s, \
                   count(*) AS c, sum(n) AS total, avg(g) AS mean, max(s) AS most, quantile_cont(g, 0.9) AS high, count(DISTINCT n) AS n, \
                   max(row) AS last FROM placed WHERE nr < win * {slide} + {of} GROUP BY s, win HAVING count(*) = {of}) ORDER BY last"
            ),
        );
        let spec = json!({ "kind": "count_window", "rows": of, "slide": slide, "by": ["s"], "allowed_lateness": format!("{lateness}us"),
            "aggregate": { "c": "count(*)", "total": "sum(n)", "mean": "avg(g)", "most": "max(s)", "high": "quantile(g, 0.9)",
            "n": "count_distinct(n)" } });
        for cut in [1, 7, 64, 1000] {
            let (ports, counts) = run(spec.clone(), &with_time(&frame, "t", delay), delay, cut);
            assert_agree(&rows(ports.frame(0).as_ref()), &answer, &format!("{of} rows every {slide}, cut to {cut}"));
            assert_eq!((counts.late, counts.accepted), (late as u64, 1000 - late as u64));
        }
    }
}

#[test]
fn a_count_window_without_keys_counts_all_rows() {
    let frame = with_time(&random_rows(52, 100), "t", 1000 * SECOND);
    let (ports, _) = run(json!({ "kind": "count_window", "rows": 30, "aggregate": { "c": "count(*)" } }), &frame, 1000 * SECOND, 9);
    assert_eq!(ports.rows(0), 3, "what is left at the end is no window");
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let codes = |spec: Value| {
        let found = bind(spec, schema_of(&random_rows(1, 30))).1;
        found.items.into_iter().map(|found| (found.code.into_owned(), found.field.unwrap_or_default())).collect::<Vec<_>>()
    };
    let finding = |code: &str, field: &str| vec![(code.to_owned(), field.to_owned())];
    let spec = |rows: u32, slide: u32| json!({ "kind": "count_window", "rows": rows, "slide": slide, "aggregate": { "n": "count(*)" } });
    assert_eq!(codes(spec(10, 0)), finding("MR0326", "slide"));
    assert_eq!(codes(spec(10, 11)), finding("MR0326", "slide"));
    assert_eq!(codes(spec(1_000_001, 1_000_000)), finding("MR0324", "slide"));
}
