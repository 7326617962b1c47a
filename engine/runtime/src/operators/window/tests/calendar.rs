//! Windows of local days and months, as DuckDB's calendar has them.

use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::{Cell, assert_agree, query, rows, table};
use super::{bind, run, schema_of, with_time};

const HOUR: i64 = 3_600_000_000;

/// A row every 67 minutes from October 2012 to December 2013, three hours out of order.
fn frame() -> DataFrame {
    let start = 1_349_049_600_000_000;
    let times: Vec<i64> = (0..10_000).map(|row| start + row * 67 * HOUR / 60 - (row * 7919 % 180) * HOUR / 60).collect();
    let stamps = Column::new("t".into(), times).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    DataFrame::new(10_000, vec![stamps, Column::new("n".into(), (0..10_000i64).collect::<Vec<_>>())]).unwrap()
}

/// Holds tumbling windows to SQL: `local` is the beginning of each row's window by the clock of the zone, `next` that of the window after it.
/// DuckDB's own zones need an extension, so the changes of New York's clock in these years are written out.
fn compare(spec: &Value, local: &str, next: &str) {
    let frame = frame();
    let clock = |time: &str, sign: &str| {
        format!(
            "({time} {sign} CASE WHEN ({time} >= TIMESTAMP '2012-03-11 06:30' AND {time} < TIMESTAMP '2012-11-04 04:00') OR ({time} >= TIMESTAMP '2013-03-10 06:30' AND \
             {time} < TIMESTAMP '2013-11-03 04:00') OR ({time} >= TIMESTAMP '2014-03-09 06:30' AND \
             {time} < TIMESTAMP '2014-11-02 04:00') THEN INTERVAL 4 HOUR ELSE INTERVAL 5 HOUR END)"
        )
    };
    // By UTC the clock goes back at 06:00 and forward at 07:00; no midnight lies between, so that days may be told by bounds near enough.
    let exact = "(t - CASE WHEN t < TIMESTAMP '2012-11-04 06:00' OR (t >= TIMESTAMP '2013-03-10 07:00' AND \
                 t < TIMESTAMP '2013-11-03 06:00') THEN INTERVAL 4 HOUR ELSE INTERVAL 5 HOUR END)";
    let sql = format!(
        "WITH told AS (SELECT *, {exact} AS here FROM t), placed AS (SELECT *, {local} AS ls, {next} AS le FROM told), \
         back AS (SELECT *, epoch_us({}) AS ws, epoch_us({}) AS we FROM placed) \
         SELECT ws, we, we - 1, count(*), sum(n) FROM back GROUP BY ws, we ORDER BY ws",
        clock("ls", "+"),
        clock("le", "+"),
    );
    let answer = query(&table(&frame), &sql);
    let mut spec = spec.clone();
    spec["time_zone"] = json!("America/New_York");
    spec["aggregate"] = json!({ "n": "count(*)", "total": "sum(n)" });
    for cut in [100, 10_000] {
        let (ports, counts) = run(spec.clone(), &with_time(&frame, "t", 4 * HOUR), 4 * HOUR, cut);
        assert_eq!((counts.accepted, counts.late), (10_000, 0));
        assert_agree(&rows(ports.frame(0).as_ref()), &answer, &spec.to_string());
    }
}

#[test]
fn local_days_and_months_equal_duckdbs_calendar_through_the_changes_of_the_clock() {
    compare(&json!({ "size": "1d" }), "date_trunc('day', here)", "date_trunc('day', here) + INTERVAL 1 DAY");
    compare(&json!({ "size": "1mo" }), "date_trunc('month', here)", "date_trunc('month', here) + INTERVAL 1 MONTH");
    compare(&json!({ "size": "3mo" }), "date_trunc('quarter', here)", "date_trunc('quarter', here) + INTERVAL 3 MONTH");
    compare(&json!({ "size": "1y" }), "date_trunc('year', here)", "date_trunc('year', here) + INTERVAL 1 YEAR");
}

#[test]
fn months_without_a_zone_are_those_of_utc() {
    let frame = frame();
    let (ports, _) = run(json!({ "size": "1mo", "aggregate": { "n": "count(*)" } }), &with_time(&frame, "t", 4 * HOUR), 4 * HOUR, 500);
    let sql = "SELECT epoch_us(date_trunc('month', t)) AS ws, epoch_us(date_trunc('month', t) + INTERVAL 1 MONTH), \
               epoch_us(date_trunc('month', t) + INTERVAL 1 MONTH) - 1, count(*) FROM t GROUP BY ALL ORDER BY ws";
    assert_agree(&rows(ports.frame(0).as_ref()), &query(&table(&frame), sql), "months of UTC");
}

/// Holds windows of days that overlap or grow to SQL: `windows` lists `ls` and `le`, by the clock of the zone, for the local time `here`.
fn compare_many(spec: &Value, windows: &str) {
    let frame = frame();
    let clock = |time: &str| {
        format!(
            "({time} + CASE WHEN ({time} >= TIMESTAMP '2012-03-11 06:30' AND {time} < TIMESTAMP '2012-11-04 04:00') OR \
             ({time} >= TIMESTAMP '2013-03-10 06:30' AND {time} < TIMESTAMP '2013-11-03 04:00') OR ({time} >= TIMESTAMP '2014-03-09 06:30' AND \
             {time} < TIMESTAMP '2014-11-02 04:00') THEN INTERVAL 4 HOUR ELSE INTERVAL 5 HOUR END)"
        )
    };
    let exact = "(t - CASE WHEN t < TIMESTAMP '2012-11-04 06:00' OR (t >= TIMESTAMP '2013-03-10 07:00' AND \
                 t < TIMESTAMP '2013-11-03 06:00') THEN INTERVAL 4 HOUR ELSE INTERVAL 5 HOUR END)";
    let sql = format!(
        "WITH told AS (SELECT *, {exact} AS here FROM t), placed AS ({windows}), \
         back AS (SELECT *, epoch_us({}) AS ws, epoch_us({}) AS we FROM placed WHERE ls <= here AND here < le) \
         SELECT ws, we, we - 1, count(*), sum(n) FROM back GROUP BY ws, we ORDER BY ws, we",
        clock("ls"),
        clock("le"),
    );
    let answer = query(&table(&frame), &sql);
    assert!(answer.len() > 10, "{}", answer.len());
    let mut spec = spec.clone();
    spec["time_zone"] = json!("America/New_York");
    spec["aggregate"] = json!({ "n": "count(*)", "total": "sum(n)" });
    for cut in [100, 10_000] {
        let (ports, counts) = run(spec.clone(), &with_time(&frame, "t", 4 * HOUR), 4 * HOUR, cut);
        assert_eq!((counts.accepted, counts.late), (10_000, 0));
        let mut ours = rows(ports.frame(0).as_ref());
        ours.sort_by_key(|row| {
            format!("{:?}", row.iter().take(2).map(|cell| if let Cell::Whole(at) = cell { at + (1 << 70) } else { 0 }).collect::<Vec<_>>())
        });
        assert_agree(&ours, &answer, &spec.to_string());
    }
}

#[test]
fn local_days_and_months_that_overlap_equal_duckdbs_calendar() {
    let spread = |unit: &str, count: i64| {
        format!(
            "SELECT *, ls + INTERVAL {count} {unit} AS le FROM (SELECT *, unnest(generate_series(date_trunc('{unit}', here) - \
             INTERVAL {} {unit}, date_trunc('{unit}', here), INTERVAL 1 {unit})) AS ls FROM told)",
            count - 1
        )
    };
    compare_many(&json!({ "kind": "hopping_window", "size": "7d", "slide": "1d" }), &spread("day", 7));
    compare_many(&json!({ "kind": "hopping_window", "size": "3mo", "slide": "1mo" }), &spread("month", 3));
}

#[test]
fn local_days_and_months_that_grow_equal_duckdbs_calendar() {
    let grow = |unit: &str, step: &str| {
        format!(
            "SELECT * FROM (SELECT *, unnest(generate_series(ls + INTERVAL 1 {step}, ls + INTERVAL 1 {unit}, INTERVAL 1 {step})) AS le FROM \
             (SELECT *, date_trunc('{unit}', here) AS ls FROM told))"
        )
    };
    compare_many(&json!({ "kind": "cumulate_window", "size": "1mo", "step": "1d" }), &grow("month", "day"));
    compare_many(&json!({ "kind": "cumulate_window", "size": "1y", "step": "1mo" }), &grow("year", "month"));
}

#[test]
fn parts_of_local_days_grow_by_the_hour_through_every_change_of_the_clock() {
    let frame = frame();
    let spec =
        json!({ "kind": "cumulate_window", "size": "1d", "step": "1h", "time_zone": "America/New_York", "aggregate": { "n": "count(*)" } });
    let (ports, _) = run(spec, &with_time(&frame, "t", 4 * HOUR), 4 * HOUR, 500);
    let all = rows(ports.frame(0).as_ref());
    let times: Vec<(i64, i64, i128)> = all
        .iter()
        .map(|row| match (&row[0], &row[1], &row[3]) {
            (Cell::Whole(start), Cell::Whole(end), Cell::Whole(count)) => (*start as i64, *end as i64, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    let days = run(
        json!({ "size": "1d", "time_zone": "America/New_York", "aggregate": { "n": "count(*)" } }),
        &with_time(&frame, "t", 4 * HOUR),
        4 * HOUR,
        500,
    );
    let lasts: Vec<Vec<Cell>> = times
        .chunk_by(|a, b| a.0 == b.0)
        .map(|day| {
            assert!(day.iter().all(|(start, end, _)| (end - start) % HOUR == 0) && day.is_sorted());
            let (start, end, count) = *day.last().unwrap();
            vec![Cell::Whole(start.into()), Cell::Whole(end.into()), Cell::Whole((end - 1).into()), Cell::Whole(count)]
        })
        .collect();
    assert_agree(&lasts, &rows(days.0.frame(0).as_ref()), "a day's last window is the day");
    // 2013-03-10 has 23 hours, 2013-11-03 has 25.
    let lengths: Vec<i64> = times.chunk_by(|a, b| a.0 == b.0).map(|day| (day[day.len() - 1].1 - day[0].0) / HOUR).collect();
    assert!(lengths.contains(&23) && lengths.contains(&25) && lengths.iter().filter(|hours| **hours != 24).count() <= 3, "{lengths:?}");
}

#[test]
fn lengths_that_do_not_fit_each_other_in_a_calendar_are_refused() {
    let found = |kind: &str, size: &str, part: &str, zone: bool| {
        let mut spec = json!({ "kind": kind, "size": size, "aggregate": { "n": "count(*)" } });
        spec[if kind == "hopping_window" { "slide" } else { "step" }] = json!(part);
        if zone {
            spec["time_zone"] = json!("Europe/Berlin");
        }
        let found = bind(spec, schema_of(&frame())).1;
        found.items.into_iter().map(|found| format!("{} {}", found.code, found.field.unwrap_or_default())).collect::<Vec<_>>()
    };
    for (kind, size, part) in [
        ("hopping_window", "7d", "1d"),
        ("hopping_window", "3mo", "1mo"),
        ("cumulate_window", "1d", "1h"),
        ("cumulate_window", "6h", "1h"),
        ("cumulate_window", "7d", "15m"),
        ("cumulate_window", "1mo", "1d"),
        ("cumulate_window", "1mo", "6h"),
        ("cumulate_window", "1y", "3mo"),
    ] {
        assert_eq!(found(kind, size, part, true), Vec::<String>::new(), "{kind} {size} {part}");
    }
    assert_eq!(found("hopping_window", "1mo", "1mo", false), Vec::<String>::new());
    for (kind, size, part, expected) in [
        ("hopping_window", "1d", "1h", "MR0323 slide"),
        ("hopping_window", "7d", "2d", "MR0323 size"),
        ("hopping_window", "1mo", "1d", "MR0323 slide"),
        ("cumulate_window", "7d", "2d", "MR0325 step"),
        ("cumulate_window", "1mo", "2d", "MR0325 step"),
        ("cumulate_window", "1mo", "2mo", "MR0325 step"),
        ("cumulate_window", "1h", "1d", "MR0325 step"),
        ("cumulate_window", "6h", "4h", "MR0325 step"),
    ] {
        assert_eq!(found(kind, size, part, true), [expected], "{kind} {size} {part}");
    }
}

#[test]
fn an_hour_of_the_local_day_is_never_counted_twice() {
    // The clock shows 01:00 to 02:00 twice on 2013-11-03: two windows.
    let frame = frame();
    let spec = json!({ "size": "1h", "time_zone": "America/New_York", "aggregate": { "n": "count(*)" } });
    let (ports, _) = run(spec, &with_time(&frame, "t", 4 * HOUR), 4 * HOUR, 500);
    let all = rows(ports.frame(0).as_ref());
    let length = |row: &Vec<Cell>| match (&row[0], &row[1]) {
        (Cell::Whole(start), Cell::Whole(end)) => end - start,
        _ => 0,
    };
    assert!(all.iter().all(|row| length(row) == i128::from(HOUR)));
}
