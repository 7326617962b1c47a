//! Aggregates that gather values, and those that estimate: what they hold at most, and how near they come to DuckDB's exact answers.

use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::{Cell, assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{bind, run, schema_of, with_time};

const SECOND: i64 = 1_000_000;

/// One window over everything.
fn whole(frame: &DataFrame, aggregate: Value, on_error: &str) -> (Vec<Cell>, crate::operator::RowCounts) {
    let spec = json!({ "size": "100000d", "offset": "50000d", "on_error": on_error, "aggregate": aggregate });
    let (ports, counts) = run(spec, &with_time(frame, "t", 1_000_000 * SECOND), 1_000_000 * SECOND, 1000);
    let all = rows(ports.frame(0).as_ref());
    assert_eq!(all.len(), 1);
    (all[0][3..].to_vec(), counts)
}

/// Many values: skewed, with ties and some NULLs.
fn many(count: i64) -> DataFrame {
    let mix = |row: i64| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    let times: Vec<i64> = (0..count).map(|row| row * 1000 - (mix(row) % 100_000) as i64).collect();
    let spread: Vec<f64> = (0..count).map(|row| (mix(row) % 1_000_000) as f64).map(|value| value * value / 1e6 - 1000.0).collect();
    let keys: Vec<Option<i64>> = (0..count).map(|row| (row % 97 != 0).then_some((mix(row) % 60_000) as i64)).collect();
    // A tenth of the rows have one of twenty texts, each a little more often than the next; the others are nearly all different.
    let texts: Vec<String> = (0..count)
        .map(|row| match row % 10 {
            0 => format!("often {:02}", (0..20).find(|text| (row / 10) % 210 < (text + 1) * (40 - text) / 2).unwrap_or(19)),
            _ => format!("seldom {}", mix(row) % 100_000),
        })
        .collect();
    let mut frame = df! { "t" => times, "x" => spread, "k" => keys, "s" => texts }.unwrap();
    let stamps = frame.column("t").unwrap().cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    frame.with_column(stamps).unwrap();
    frame
}

fn float(cell: &Cell) -> f64 {
    match cell {
        Cell::Float(value) => *value,
        Cell::Whole(value) => *value as f64,
        other => panic!("{other:?} is no number"),
    }
}

#[test]
fn estimates_stay_within_their_bounds_of_duckdbs_exact_answers() {
    let frame = many(100_000);
    let connection = table(&frame);
    let aggregate = json!({
        "k": "approx_count_distinct(k)", "s": "approx_count_distinct(s)", "few": "approx_count_distinct(k) FILTER (WHERE k < 3000)",
        "q01": "approx_quantile(x, 0.01)", "q5": "approx_quantile(x, 0.5)", "q99": "approx_quantile(x, 0.99)", "q1": "approx_quantile(x, 1)",
        "some": "approx_quantile(x, 0.9) FILTER (WHERE k > 30000)",
    });
    let (ours, _) = whole(&frame, aggregate, "quarantine");
    let at = |quantile: f64, filter: &str| {
        format!("(SELECT list_sort(list(x) FILTER ({filter}))[1 + floor((count(x) FILTER ({filter}) - 1) * {quantile})::BIGINT] FROM t)")
    };
    let all = "WHERE true";
    let sql = format!(
        "SELECT count(DISTINCT k), count(DISTINCT s), count(DISTINCT k) FILTER (WHERE k < 3000), {}, {}, {}, {}, {} FROM t",
        at(0.01, all),
        at(0.5, all),
        at(0.99, all),
        at(1.0, all),
        at(0.9, "WHERE k > 30000"),
    );
    let exact = query(&connection, &sql).remove(0);
    // Four standard errors of the registers; a list of hashes is all but exact; a quantile is within 1 %.
    let most = [0.033, 0.033, 0.001, 0.01, 0.01, 0.01, 0.01, 0.01];
    for ((ours, exact), most) in ours.iter().zip(&exact).zip(most) {
        let (ours, exact) = (float(ours), float(exact));
        assert!((ours - exact).abs() <= most * exact.abs() * (1.0 + 1e-9), "{ours} for {exact}");
    }
}

#[test]
fn the_most_frequent_values_are_duckdbs_in_its_order() {
    let frame = many(100_000);
    let connection = table(&frame);
    let top = |column: &str, most: usize| {
        let counted =
            format!("SELECT {column} AS x, count(*) AS n FROM t WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT {most}");
        query(&connection, &counted)
    };
    // Far more different values than are kept: what comes more often than a 512th of the rows is found all the same.
    let (ours, _) = whole(&frame, json!({ "top": "approx_top_k(s, 10)", "first": "approx_top_k(s, 1)" }), "quarantine");
    let names: Vec<String> = top("s", 10).into_iter().map(|row| format!("{:?}", row[0]).replace("Text(", "").replace(')', "")).collect();
    let Cell::Text(found) = &ours[0] else { panic!("{ours:?}") };
    let found: Vec<String> = serde_json::from_str::<Vec<String>>(found).unwrap().iter().map(|text| format!("{text:?}")).collect();
    assert_eq!(found.len(), 10);
    assert_eq!(found[..3], names[..3], "the counts of these differ by more than the error");
    assert!(found.iter().all(|name| name.contains("often")), "{found:?}");
    assert_eq!(ours[1], Cell::Text(format!("[{}]", names[0])));
    // Few different values are counted exactly.
    let few = random_rows(71, 5000);
    let (ours, _) = whole(&few, json!({ "n": "approx_top_k(n, 7)", "flag": "approx_top_k(flag, 3)" }), "quarantine");
    let connection = table(&few);
    let list = |column: &str, most: usize| {
        let sql = format!(
            "SELECT '[' || string_agg(x::VARCHAR, ',' ORDER BY n DESC, x) || ']' FROM (SELECT {column} AS x, count(*) AS n FROM t \
             WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT {most})"
        );
        query(&connection, &sql).remove(0).remove(0)
    };
    assert_eq!(ours, [list("n", 7), list("flag", 3)]);
}

#[test]
fn texts_that_count_once_stand_at_their_first_time() {
    let frame = random_rows(72, 800);
    let sql = "SELECT string_agg(s, '|' ORDER BY first, s), '[' || string_agg('\"' || s || '\"', ',' ORDER BY first, s) || ']' \
               FROM (SELECT s, min(t) AS first FROM t WHERE s IS NOT NULL GROUP BY s)";
    let (ours, _) = whole(&frame, json!({ "a": "string_agg(DISTINCT s, '|')", "b": "array_agg(DISTINCT s)" }), "quarantine");
    assert_agree(&[ours], &query(&table(&frame), sql), "DISTINCT");
}

/// Key `a` has 20 texts of 100 KB, `b` one.
fn long_texts() -> DataFrame {
    let count = 21;
    let times: Vec<i64> = (0..count).collect();
    let keys: Vec<&str> = (0..count).map(|row| if row == 5 { "b" } else { "a" }).collect();
    let mut frame = df! { "t" => times, "k" => keys, "s" => vec!["x".repeat(100_000); count as usize] }.unwrap();
    let stamps = frame.column("t").unwrap().cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    frame.with_column(stamps).unwrap();
    frame
}

#[test]
fn a_list_that_is_full_refuses_rows_or_is_null_as_on_error_says() {
    let lists = |on_error: &str, cut: usize| {
        let aggregate = json!({ "n": "count(*)", "l": "string_agg(s, ',')" });
        let spec = json!({ "size": "1s", "by": ["k"], "on_error": on_error, "aggregate": aggregate });
        let (ports, counts) = run(spec, &with_time(&long_texts(), "t", 100), 100, cut);
        let length = |cell: &Cell| if let Cell::Text(text) = cell { Some(text.len()) } else { None };
        let all = rows(ports.frame(0).as_ref()).into_iter().map(|row| (row[3].clone(), row[4].clone(), length(&row[5])));
        (all.collect::<Vec<_>>(), counts, ports)
    };
    let key = |key: &str| Cell::Text(key.into());
    for cut in [1, 7, 100] {
        let (lengths, counts, ports) = lists("quarantine", cut);
        assert_eq!(lengths, [(key("a"), Cell::Whole(10), Some(10 * 100_001 - 1)), (key("b"), Cell::Whole(1), Some(100_000))]);
        assert_eq!((counts.accepted, counts.quarantined), (11, 10));
        let reasons = ports.frame(2).unwrap();
        let reason = reasons.column("__reason").unwrap().str().unwrap().get(0).unwrap().to_owned();
        assert_eq!(reason, "column l: 1000010 bytes have been gathered, and 100001 more are over the 1048576 there may be");
        let (lengths, counts, _) = lists("null", cut);
        assert_eq!(lengths, [(key("a"), Cell::Whole(20), None), (key("b"), Cell::Whole(1), Some(100_000))]);
        assert_eq!((counts.accepted, counts.quarantined), (21, 0));
    }
}

#[test]
fn an_array_has_ten_thousand_values_at_most() {
    let frame = random_rows(73, 12_000);
    let (ours, counts) = whole(&frame, json!({ "n": "count(*)", "a": "array_agg(n)" }), "null");
    assert_eq!((ours, counts.accepted), (vec![Cell::Whole(12_000), Cell::Null], 12_000));
    let (ours, counts) = whole(&frame, json!({ "n": "count(n)", "a": "array_agg(n)" }), "quarantine");
    assert_eq!(ours[0], Cell::Whole(10_000));
    assert!(counts.quarantined > 0 && counts.accepted + counts.quarantined == 12_000);
}

#[test]
fn calls_that_make_no_sense_are_refused_with_the_reason() {
    let schema = || schema_of(&random_rows(1, 30));
    let found = |call: &str| {
        let (_, found) = bind(json!({ "size": "1h", "aggregate": { "x": call } }), schema());
        found.items.into_iter().map(|found| (found.code.to_string(), format!("{} {:?}", found.message, found.help))).collect::<Vec<_>>()
    };
    for (call, word) in [
        ("approx_quantile(DISTINCT n, 0.5)", "which values it has seen"),
        ("approx_top_k(DISTINCT n, 3)", "all as frequent"),
        ("approx_top_k(n, 0)", "written out"),
        ("approx_top_k(n, 1001)", "written out"),
        ("approx_top_k(n)", "does not take these arguments"),
        ("approx_quantile(n, 1.5)", "written out"),
        ("string_agg(n, ',')", "CAST(x AS VARCHAR"),
        ("string_agg(s, s)", "written out"),
        ("approx_quantile(s, 0.5)", "wants numbers"),
    ] {
        let found = found(call);
        assert!(found.len() == 1 && found[0].1.contains(word), "{call}: {found:?}");
    }
    assert_eq!(found("approx_count_distinct(DISTINCT n)"), []);
}
