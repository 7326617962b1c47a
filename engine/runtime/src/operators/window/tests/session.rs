//! Sessions: by DuckDB where nothing is late, by a plain model where rows are.

use std::collections::BTreeMap;

use polars::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::duck::{Cell, assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{Ports, fire, operator, run, schema_of, with_time};
use crate::batch::Batch;

const SECOND: i64 = 1_000_000;

#[test]
fn sessions_equal_duckdbs_gaps_and_islands() {
    let frame = random_rows(41, 1500);
    let delay = 1000 * SECOND;
    let input = with_time(&frame, "t", delay);
    for (by, gap) in [(vec!["s", "flag"], 2 * SECOND), (vec!["n"], SECOND), (vec![], SECOND / 4), (vec!["s"], 500 * SECOND)] {
        let keys: String = by.iter().map(|key| format!(", {key}")).collect();
        let partition = if by.is_empty() { String::new() } else { format!("PARTITION BY {}", by.join(", ")) };
        let order: String = by.iter().map(|key| format!(", {key} NULLS LAST")).collect();
        let sql = format!(
            "WITH told AS (SELECT *, epoch_us(t) AS tu FROM t), \
             gaps AS (SELECT *, coalesce(tu - lag(tu) OVER ({partition} ORDER BY tu) >= {gap}, true)::INT AS opens FROM told), \
             islands AS (SELECT *, sum(opens) OVER ({partition} ORDER BY tu ROWS UNBOUNDED PRECEDING) AS island FROM gaps) \
             SELECT min(tu) AS ws, max(tu) + {gap} AS we, max(tu) + {gap} - 1 {keys}, count(*), sum(n), avg(g), max(s), min(f), stddev(g), \
               quantile_cont(g, 0.9), count(DISTINCT n), count(DISTINCT s) \
             FROM islands GROUP BY island {keys} ORDER BY we, ws {order}"
        );
        let answer = query(&table(&frame), &sql);
        let spec = json!({ "kind": "session_window", "gap": format!("{gap}us"), "by": by, "aggregate": {
            "rows": "count(*)", "total": "sum(n)", "mean": "avg(g)", "most": "max(s)", "least": "min(f)", "spread": "stddev(g)",
            "high": "quantile(g, 0.9)", "numbers": "count_distinct(n)", "texts": "count_distinct(s)",
        } });
        for cut in [1, 7, 1500] {
            let (ports, counts) = run(spec.clone(), &input, delay, cut);
            assert_eq!((counts.accepted, counts.late), (1500, 0));
            assert_agree(&rows(ports.frame(0).as_ref()), &answer, &format!("by {by:?}, a gap of {gap}, cut to {cut}"));
        }
    }
}

/// First row, last row, how many.
type Session = (i64, i64, i64);

/// The rule, row by row: late alone, or joined to every session of its key that is near and closes after the row's own watermark.
fn model(rows: &[(&str, i64, i64)], gap: i64, lateness: i64) -> (Vec<(i64, i64, String, i64)>, usize) {
    let mut open: BTreeMap<&str, Vec<Session>> = BTreeMap::new();
    let mut late = 0;
    for (key, time, watermark) in rows {
        if time + gap + lateness <= *watermark {
            late += 1;
            continue;
        }
        let sessions = open.entry(key).or_default();
        let joins = |session: &Session| *time < session.1 + gap && session.0 < time + gap && session.1 + gap + lateness > *watermark;
        let near: Vec<Session> = sessions.iter().copied().filter(joins).collect();
        sessions.retain(|session| !joins(session));
        sessions.push(near.iter().fold((*time, *time, 1), |all, more| (all.0.min(more.0), all.1.max(more.1), all.2 + more.2)));
    }
    let mut all: Vec<(i64, i64, String, i64)> = open
        .into_iter()
        .flat_map(|(key, sessions)| sessions.into_iter().map(move |(first, last, count)| (last + gap, first, key.to_owned(), count)))
        .collect();
    all.sort();
    (all, late)
}

#[test]
fn late_rows_and_overlapping_sessions_are_those_of_the_rule_at_any_batch_size() {
    for seed in 0..20 {
        let random = &mut StdRng::seed_from_u64(seed);
        let (gap, lateness, delay) = (random.random_range(1..20), random.random_range(0..10), random.random_range(0..30));
        let keys: Vec<&str> = (0..600).map(|_| ["a", "b", "c"][random.random_range(0..3)]).collect();
        let times: Vec<i64> = (0..600).map(|row| row * 2 - random.random_range(0..60)).collect();
        let stamps = Column::new("t".into(), &times).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
        let frame = with_time(&DataFrame::new(600, vec![Column::new("k".into(), &keys), stamps]).unwrap(), "t", delay);
        let batch = Batch::new(frame.clone());
        let told: Vec<(&str, i64, i64)> =
            (0..600).map(|row| (keys[row], times[row], batch.watermarks().unwrap()[row].max(-1_000_000))).collect();
        let (expected, late) = model(&told, gap, lateness);
        let cell = |(end, start, key, count): (i64, i64, String, i64)| {
            let [start, end, time, count] = [start, end, end - 1, count].map(|value| Cell::Whole(value.into()));
            vec![start, end, time, Cell::Text(key), count]
        };
        let expected: Vec<Vec<Cell>> = expected.into_iter().map(cell).collect();
        let spec = json!({ "kind": "session_window", "gap": format!("{gap}us"), "allowed_lateness": format!("{lateness}us"), "by": ["k"],
            "aggregate": { "n": "count(*)" } });
        for cut in [1, 7, 600] {
            let (ports, counts) = run(spec.clone(), &frame, delay, cut);
            assert_agree(&rows(ports.frame(0).as_ref()), &expected, &format!("seed {seed}, cut to {cut}"));
            assert_eq!((counts.late, counts.accepted), (late as u64, 600 - late as u64));
        }
    }
}

fn rows_at(times: &[i64], watermark: i64) -> Batch {
    let frame = df! { "k" => vec!["a"; times.len()], "__time" => times, "__watermark" => vec![watermark; times.len()] }.unwrap();
    Batch::new(frame)
}

fn given(ports: &Ports) -> Vec<(Cell, Cell, Cell)> {
    rows(ports.frame(0).as_ref()).into_iter().map(|row| (row[0].clone(), row[1].clone(), row[4].clone())).collect()
}

fn whole(start: i64, end: i64, count: i64) -> (Cell, Cell, Cell) {
    (Cell::Whole(start.into()), Cell::Whole(end.into()), Cell::Whole(count.into()))
}

#[test]
fn rows_exactly_a_gap_apart_are_two_sessions_and_a_row_between_them_makes_one() {
    let spec = json!({ "kind": "session_window", "gap": "10us", "by": ["k"], "aggregate": { "n": "count(*)" } });
    let schema = || schema_of(rows_at(&[0], 0).frame());
    let mut apart = operator(spec.clone(), schema(), 100);
    let mut ports = Ports::default();
    apart.on_batch(0, rows_at(&[0, 10], i64::MIN), &mut ports).unwrap();
    assert_eq!(apart.state_size().open_windows, 2);
    fire(apart.as_mut(), i64::MAX, &mut ports).unwrap();
    assert_eq!(given(&ports), [whole(0, 10, 1), whole(10, 20, 1)]);
    let mut joined = operator(spec, schema(), 100);
    let mut ports = Ports::default();
    joined.on_batch(0, rows_at(&[0, 10], i64::MIN), &mut ports).unwrap();
    joined.on_batch(0, rows_at(&[5], i64::MIN), &mut ports).unwrap();
    assert_eq!(joined.state_size().open_windows, 1);
    fire(joined.as_mut(), 19, &mut ports).unwrap();
    assert_eq!(ports.rows(0), 0);
    fire(joined.as_mut(), 20, &mut ports).unwrap();
    assert_eq!(given(&ports), [whole(0, 20, 3)]);
}

#[test]
fn a_row_whose_session_would_have_closed_while_its_input_was_idle_is_counted_apart() {
    let spec = json!({ "kind": "session_window", "gap": "10us", "by": ["k"], "aggregate": { "n": "count(*)" } });
    let mut operator = operator(spec, schema_of(rows_at(&[0], 0).frame()), 100);
    let mut ports = Ports::default();
    fire(operator.as_mut(), 30, &mut ports).unwrap();
    operator.on_batch(0, rows_at(&[5, 25], 5), &mut ports).unwrap();
    operator.on_batch(0, rows_at(&[5], 15), &mut ports).unwrap();
    let counts = operator.counts();
    assert_eq!((counts.accepted, counts.late, counts.late_after_idle), (1, 2, 1));
}

#[test]
fn keys_without_a_session_are_forgotten() {
    let spec = json!({ "kind": "session_window", "gap": "10us", "by": ["k"], "aggregate": { "n": "count_distinct(k)" } });
    let frame = |from: i64| {
        let keys: Vec<i64> = (from..from + 500).collect();
        df! { "k" => &keys, "__time" => &keys, "__watermark" => vec![i64::MIN; 500] }.unwrap()
    };
    let mut operator = operator(spec, schema_of(&frame(0)), 100);
    let mut ports = Ports::default();
    let mut most = 0;
    for round in 0..100 {
        operator.on_batch(0, Batch::new(frame(round * 500)), &mut ports).unwrap();
        fire(operator.as_mut(), round * 500 + 400, &mut ports).unwrap();
        most = most.max(operator.state_size().bytes);
    }
    fire(operator.as_mut(), i64::MAX, &mut ports).unwrap();
    assert_eq!(ports.rows(0), 50_000);
    assert!(most < 1_000_000, "{most} bytes for some hundred sessions");
}
