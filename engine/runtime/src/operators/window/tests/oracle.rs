//! Every aggregate, over every type it takes, grouped by every type, equals DuckDB's.

use polars::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::duck::{assert_agree, query, rows, table};
use super::{run, with_time};

/// A window of 10 s, in microseconds.
const SIZE: i64 = 10_000_000;

fn maybe<T>(random: &mut StdRng, value: T) -> Option<T> {
    random.random_bool(0.85).then_some(value)
}

fn pick<T: Copy>(random: &mut StdRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}

/// Rows of all types with NULLs and the ends of their ranges, over about 12 windows on both sides of 1970, out of order.
pub fn random_rows(seed: u64, count: usize) -> DataFrame {
    let random = &mut StdRng::seed_from_u64(seed);
    let texts = ["", "a", "JFK", "LGA", "exactly12byt", "thirteen byte", "thirteen byts", "a text of more than twelve bytes", "é"];
    let floats = [0.0, -0.0, 1.5, -2.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, f64::MIN_POSITIVE];
    let mut time = -6 * SIZE;
    let mut columns: (Vec<i64>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>) = Default::default();
    let mut more: (Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>) = Default::default();
    for _ in 0..count {
        time += random.random_range(0..2 * 12 * SIZE / count as i64);
        columns.0.push(time - random.random_range(0..3 * SIZE));
        let text = pick(random, &texts);
        columns.1.push(maybe(random, text));
        let number = if random.random_bool(0.01) { i32::MAX } else { random.random_range(-100..100) };
        columns.2.push(maybe(random, number));
        let large = pick(random, &[i64::MAX / 4, i64::MIN / 4, 7, -7]) / 1000;
        columns.3.push(maybe(random, large));
        let float = pick(random, &floats);
        columns.4.push(maybe(random, float));
        let finite: f64 = random.random_range(-1e6..1e6);
        columns.5.push(maybe(random, finite));
        let flag = random.random_bool(0.5);
        more.0.push(maybe(random, flag));
        let day = random.random_range(-3..3);
        more.1.push(maybe(random, day));
        let unsigned = pick(random, &[0u64, 1, u64::MAX, u64::MAX - 1]);
        more.2.push(maybe(random, unsigned));
        let stamp = random.random_range(-3..3i64);
        more.3.push(maybe(random, stamp));
        let small = pick(random, &[0.1f32, -0.0, f32::NAN]);
        more.4.push(maybe(random, small));
    }
    let mut frame = df! {
        "t" => columns.0, "s" => columns.1, "n" => columns.2, "b" => columns.3, "f" => columns.4, "g" => columns.5,
        "flag" => more.0, "d" => more.1, "u" => more.2, "seen" => more.3, "h" => more.4,
    }
    .unwrap();
    for (name, dtype) in [
        ("t", DataType::Datetime(TimeUnit::Microseconds, None)),
        ("seen", DataType::Datetime(TimeUnit::Microseconds, None)),
        ("d", DataType::Date),
    ] {
        let column = frame.column(name).unwrap().cast(&dtype).unwrap();
        frame.with_column(column).unwrap();
    }
    frame
}

/// Holds a window over `frame` to DuckDB's GROUP BY; `aggregates` as we write them and as DuckDB does.
fn compare(frame: &DataFrame, by: &[&str], aggregates: &[(&str, &str)], cut: usize) {
    let delay = 100 * SIZE;
    let input = with_time(frame, "t", delay);
    let names: Map<String, Value> = aggregates.iter().enumerate().map(|(at, (ours, _))| (format!("a{at}"), json!(ours))).collect();
    let (ports, counts) = run(json!({ "size": "10s", "by": by, "aggregate": names }), &input, delay, cut);
    assert_eq!((counts.accepted, counts.late, counts.quarantined), (frame.height() as u64, 0, 0));
    // Adding zero makes -0.0 the 0.0 that it equals.
    let key = |name: &&str| if ["f", "g", "h"].contains(name) { format!(", {name} + 0") } else { format!(", {name}") };
    let keys: String = by.iter().map(key).collect();
    let theirs: String = aggregates.iter().map(|(_, theirs)| format!(", {theirs}")).collect();
    let start = format!("epoch_us(t) - ((epoch_us(t) % {SIZE}) + {SIZE}) % {SIZE}");
    let order: String = (0..by.len()).map(|key| format!(", {} ASC NULLS LAST", key + 4)).collect();
    let group: String = (0..by.len()).map(|key| format!(", {}", key + 4)).collect();
    let sql =
        format!("SELECT {start} AS ws, {start} + {SIZE}, {start} + {SIZE} - 1 {keys} {theirs} FROM t GROUP BY 1{group} ORDER BY 1{order}",);
    let answer = query(&table(frame), &sql);
    assert!(answer.len() > 10);
    let ours = ports.frame(0);
    assert_agree(&rows(ours.as_ref()), &answer, &format!("by {by:?}: {aggregates:?}"));
}

const EVERY_AGGREGATE: &[(&str, &str)] = &[
    ("count(*)", "count(*)"),
    ("count(n)", "count(n)"),
    ("count(s)", "count(s)"),
    ("sum(n)", "sum(n)"),
    ("sum(b)", "sum(b)"),
    ("sum(g)", "sum(g)"),
    ("avg(n)", "avg(n)"),
    ("avg(b)", "avg(b)"),
    ("avg(u)", "avg(u)"),
    ("avg(g)", "avg(g)"),
    ("min(n)", "min(n)"),
    ("max(b)", "max(b)"),
    ("min(u)", "min(u)"),
    ("max(u)", "max(u)"),
    ("min(f)", "min(f)"),
    ("max(f)", "max(f)"),
    ("min(h)", "min(h)"),
    ("min(s)", "min(s)"),
    ("max(s)", "max(s)"),
    ("min(flag)", "min(flag)"),
    ("max(flag)", "max(flag)"),
    ("min(d)", "min(d)"),
    ("max(d)", "max(d)"),
    ("max(seen)", "max(seen)"),
    ("stddev(n)", "stddev(n)"),
    ("stddev(g)", "stddev(g)"),
    ("quantile(n, 0.5)", "quantile_cont(n, 0.5)"),
    ("quantile(g, 0.95)", "quantile_cont(g, 0.95)"),
    ("quantile(g, 0)", "quantile_cont(g, 0)"),
    ("quantile(g, 1.0)", "quantile_cont(g, 1.0)"),
    ("count_distinct(n)", "count(DISTINCT n)"),
    ("count_distinct(s)", "count(DISTINCT s)"),
    ("count_distinct(f)", "count(DISTINCT f)"),
    ("count(DISTINCT seen)", "count(DISTINCT seen)"),
    ("count_distinct(flag)", "count(DISTINCT flag)"),
    ("sum(n // 2 - 1)", "sum(n // 2 - 1)"),
    ("max(upper(s))", "max(upper(s))"),
    ("variance(n)", "var_samp(n)"),
    ("variance(g)", "var_samp(g)"),
    ("median(n)", "median(n)"),
    ("median(g)", "median(g)"),
    ("first(n)", "arg_min(n, (t, n)) FILTER (WHERE n IS NOT NULL)"),
    ("last(n)", "arg_max(n, (t, n)) FILTER (WHERE n IS NOT NULL)"),
    ("first(s)", "arg_min(s, (t, s)) FILTER (WHERE s IS NOT NULL)"),
    ("last(s)", "arg_max(s, (t, s)) FILTER (WHERE s IS NOT NULL)"),
    ("arg_min(s, n)", "arg_min(s, (n, s)) FILTER (WHERE n IS NOT NULL AND s IS NOT NULL)"),
    ("arg_max(s, b)", "arg_max(s, (b, s)) FILTER (WHERE b IS NOT NULL AND s IS NOT NULL)"),
    ("arg_max(n, g)", "arg_max(n, g)"),
    ("arg_min(d, seen)", "arg_min(d, (seen, d)) FILTER (WHERE d IS NOT NULL AND seen IS NOT NULL)"),
    ("bool_and(flag)", "bool_and(flag)"),
    ("bool_or(flag)", "bool_or(flag)"),
    ("bool_or(n > 90)", "bool_or(n > 90)"),
    ("count(*) FILTER (WHERE n > 0)", "count(*) FILTER (WHERE n > 0)"),
    ("sum(n) FILTER (WHERE flag)", "sum(n) FILTER (WHERE flag)"),
    ("max(s) FILTER (WHERE n > 0 OR flag)", "max(s) FILTER (WHERE n > 0 OR flag)"),
    ("count(DISTINCT s) FILTER (WHERE flag)", "count(DISTINCT s) FILTER (WHERE flag)"),
    ("arg_max(n, g) FILTER (WHERE flag)", "arg_max(n, g) FILTER (WHERE flag)"),
    ("sum(DISTINCT n)", "sum(DISTINCT n)"),
    ("avg(DISTINCT n)", "avg(DISTINCT n)"),
    ("avg(DISTINCT u)", "avg(DISTINCT u)"),
    ("stddev(DISTINCT n)", "stddev(DISTINCT n)"),
    ("median(DISTINCT n)", "median(DISTINCT n)"),
    ("sum(DISTINCT g)", "sum(DISTINCT g)"),
    ("min(DISTINCT n)", "min(n)"),
    ("string_agg(s, '|')", "string_agg(s, '|' ORDER BY t, s)"),
    ("string_agg(s)", "string_agg(s, ',' ORDER BY t, s)"),
    ("string_agg(s, '') FILTER (WHERE flag)", "string_agg(s, '' ORDER BY t, s) FILTER (WHERE flag)"),
    ("array_agg(n)", "'[' || string_agg(n::VARCHAR, ',' ORDER BY t, n) || ']'"),
    ("array_agg(flag) FILTER (WHERE n > 0)", "'[' || (string_agg(flag::VARCHAR, ',' ORDER BY t, flag) FILTER (WHERE n > 0)) || ']'"),
    ("array_agg(u)", "'[' || string_agg(u::VARCHAR, ',' ORDER BY t, u) || ']'"),
    ("array_agg(d)", "'[' || string_agg('\"' || d::VARCHAR || '\"', ',' ORDER BY t, d) || ']'"),
    ("array_agg(s)", "'[' || string_agg('\"' || s || '\"', ',' ORDER BY t, s) || ']'"),
    ("approx_count_distinct(n)", "count(DISTINCT n)"),
    ("approx_count_distinct(s) FILTER (WHERE flag)", "count(DISTINCT s) FILTER (WHERE flag)"),
    ("approx_count_distinct(f)", "count(DISTINCT f)"),
];

#[test]
fn every_aggregate_equals_duckdbs() {
    compare(&random_rows(1, 2000), &["s"], EVERY_AGGREGATE, 64);
    compare(&random_rows(2, 300), &["s", "n"], EVERY_AGGREGATE, 1000);
    compare(&random_rows(3, 1000), &[], EVERY_AGGREGATE, 7);
}

#[test]
fn the_mode_is_the_least_of_the_most_frequent_values() {
    let frame = random_rows(6, 1500);
    let delay = 100 * SIZE;
    for column in ["s", "n", "flag", "d", "seen"] {
        let mode = format!("mode({column})");
        let (ports, _) = run(json!({ "size": "10s", "aggregate": { "m": mode } }), &with_time(&frame, "t", delay), delay, 64);
        let start = format!("epoch_us(t) - ((epoch_us(t) % {SIZE}) + {SIZE}) % {SIZE}");
        let sql = format!(
            "WITH counted AS (SELECT {start} AS ws, {column} AS x, count(*) AS c FROM t WHERE {column} IS NOT NULL GROUP BY ALL) \
             SELECT ws, ws + {SIZE}, ws + {SIZE} - 1, min(x) FROM counted AS one \
             WHERE c = (SELECT max(c) FROM counted AS all_of_it WHERE all_of_it.ws = one.ws) GROUP BY ws ORDER BY ws"
        );
        assert_agree(&rows(ports.frame(0).as_ref()), &query(&table(&frame), &sql), &mode);
    }
}

#[test]
fn every_type_can_be_a_key() {
    let frame = random_rows(4, 1500);
    for key in ["s", "n", "b", "f", "flag", "d", "u", "seen", "h"] {
        compare(&frame, &[key], &[("count(*)", "count(*)"), ("sum(n)", "sum(n)")], 100);
    }
    compare(&frame, &["s", "f", "flag", "d"], &[("count(*)", "count(*)"), ("max(n)", "max(n)")], 100);
}

#[test]
fn sums_of_what_is_not_finite_mean_what_duckdb_means() {
    compare(&random_rows(5, 200), &["s", "flag"], &[("sum(f)", "sum(f)"), ("avg(f)", "avg(f)")], 50);
}
