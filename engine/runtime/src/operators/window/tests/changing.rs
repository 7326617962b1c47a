//! Windows whose results change: what is told last is what a window that tells once would have told.

use std::collections::BTreeMap;

use millrace_model::{ChangeMode, Timestamp};
use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::{Cell, assert_agree, query, rows, table};
use super::oracle::random_rows;
use super::{Ports, bind, fire, operator, run, schema_of, with_time};
use crate::batch::Batch;
use crate::operator::{Budget, Step, Timer};

const SECOND: i64 = 1_000_000;

fn aggregate() -> Value {
    json!({
        "c": "count(*)", "total": "sum(n)", "mean": "avg(g)", "most": "max(s)", "spread": "stddev(g)", "high": "quantile(g, 0.9)",
        "numbers": "count_distinct(n)", "texts": "string_agg(s, ',')", "about": "approx_count_distinct(n)", "near": "approx_quantile(g, 0.5)",
    })
}

/// The last row of each key, where `key` of a row's first columns tell them apart; the first of a key inserts, the others update.
fn net(all: &[Vec<Cell>], key: std::ops::Range<usize>) -> Vec<Vec<Cell>> {
    let mut last: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for row in all {
        let (op, row) = row.split_last().unwrap();
        let before = last.insert(format!("{:?}", &row[key.clone()]), row.to_vec());
        let expected = if before.is_some() { "+U" } else { "+I" };
        assert_eq!(op, &Cell::Text(expected.into()), "{row:?}");
    }
    sorted(last.into_values().collect())
}

fn sorted(mut all: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    all.sort_by_key(|row| format!("{row:?}"));
    all
}

const WINDOWS: [(&str, &str); 5] = [
    (r#"{ "kind": "tumbling_window", "size": "10s" }"#, "tumbling"),
    (r#"{ "kind": "tumbling_window", "size": "1d", "time_zone": "America/New_York" }"#, "local days"),
    (r#"{ "kind": "hopping_window", "size": "10s", "slide": "3s" }"#, "hopping"),
    (r#"{ "kind": "hopping_window", "size": "2s", "slide": "5s" }"#, "with gaps"),
    (r#"{ "kind": "cumulate_window", "size": "12s", "step": "4s" }"#, "cumulating"),
];

#[test]
fn the_last_results_and_the_late_rows_are_those_of_a_window_that_tells_once() {
    let frame = random_rows(81, 400);
    for (window, name) in WINDOWS {
        for (delay, lateness) in [(5 * SECOND, 0), (SECOND, 4 * SECOND), (0, 30 * SECOND)] {
            let input = with_time(&frame, "t", delay);
            let mut spec: Value = serde_json::from_str(window).unwrap();
            spec["by"] = json!(["s"]);
            spec["allowed_lateness"] = json!(format!("{lateness}us"));
            spec["aggregate"] = aggregate();
            let (once, counted) = run(spec.clone(), &input, delay, 64);
            let expected = sorted(rows(once.frame(0).as_ref()));
            for emit in [json!("on_update"), json!({ "rows": 3 }), json!({ "every": "1s", "rows": 1 }), json!({ "rows": 1000 })] {
                for cut in [3, 250] {
                    spec["emit"] = emit.clone();
                    let (ports, counts) = run(spec.clone(), &input, delay, cut);
                    assert_agree(&net(&rows(ports.frame(0).as_ref()), 0..4), &expected, &format!("{name}, {emit}, cut to {cut}"));
                    assert_eq!(counts, counted);
                    assert_agree(&rows(ports.frame(1).as_ref()), &rows(once.frame(1).as_ref()), "late rows");
                }
            }
        }
    }
}

/// What is left of a changelog of sessions: a key that is there is updated or deleted, one that is not is inserted.
fn net_of_sessions(all: &[Vec<Cell>], keys: usize) -> (Vec<Vec<Cell>>, usize) {
    let mut there: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    let mut deleted = 0;
    for row in all {
        let (op, row) = row.split_last().unwrap();
        let key = format!("{:?}", &row[..keys]);
        match op {
            Cell::Text(op) if op == "-D" => {
                assert!(there.remove(&key).is_some(), "{row:?} was there");
                deleted += 1;
            }
            op => {
                let expected = if there.insert(key, row.to_vec()).is_some() { "+U" } else { "+I" };
                assert_eq!(op, &Cell::Text(expected.into()), "{row:?}");
            }
        }
    }
    (sorted(there.into_values().collect()), deleted)
}

#[test]
fn sessions_that_are_left_are_those_of_a_window_that_tells_once() {
    let frame = random_rows(84, 1000);
    for (gap, delay, lateness) in [(SECOND, 5 * SECOND, 0), (2 * SECOND, SECOND, 4 * SECOND), (3 * SECOND / 2, 0, 30 * SECOND)] {
        let input = with_time(&frame, "t", delay);
        let mut spec = json!({ "kind": "session_window", "gap": format!("{gap}us"), "by": ["s"], "allowed_lateness": format!("{lateness}us"),
            "aggregate": aggregate() });
        let (once, counted) = run(spec.clone(), &input, delay, 64);
        let expected = sorted(rows(once.frame(0).as_ref()));
        for emit in [json!("on_update"), json!({ "rows": 3 }), json!({ "every": "1s", "rows": 1 })] {
            for cut in [1, 7, 250] {
                spec["emit"] = emit.clone();
                let (ports, counts) = run(spec.clone(), &input, delay, cut);
                let (left, deleted) = net_of_sessions(&rows(ports.frame(0).as_ref()), 4);
                assert_agree(&left, &expected, &format!("a gap of {gap}, {emit}, cut to {cut}"));
                assert_eq!(counts, counted);
                assert!(deleted > 0 || emit["rows"] != json!(1), "sessions that are told at every row are told anew");
                assert_agree(&rows(ports.frame(1).as_ref()), &rows(once.frame(1).as_ref()), "late rows");
            }
        }
    }
}

#[test]
fn a_row_that_joins_two_sessions_that_are_out_deletes_both() {
    let spec = json!({ "kind": "session_window", "gap": "10us", "allowed_lateness": "100us", "by": ["k"], "emit": "on_update",
        "aggregate": { "n": "count(*)" } });
    let mut sessions = operator(spec, schema_of(rows_at(&[0], 0).frame()), 100);
    let mut ports = Ports::default();
    sessions.on_batch(0, rows_at(&[0, 15], i64::MIN), &mut ports).unwrap();
    fire(sessions.as_mut(), 30, &mut ports).unwrap();
    assert_eq!(told(&mut ports), [row(1, "+I"), row(1, "+I")]);
    sessions.on_batch(0, rows_at(&[8], 30), &mut ports).unwrap();
    let all = rows(ports.frame(0).as_ref());
    let short: Vec<(Cell, Cell, Cell)> = all.iter().map(|row| (row[0].clone(), row[4].clone(), row[5].clone())).collect();
    let text = |op: &str| Cell::Text(op.into());
    assert_eq!(
        short,
        [(Cell::Whole(0), Cell::Null, text("-D")), (Cell::Whole(15), Cell::Null, text("-D")), (Cell::Whole(0), Cell::Whole(3), text("+I")),]
    );
    assert!(ports.batches[0].iter().all(|batch| batch.times().unwrap() == [24, 24, 24]), "what is deleted is no earlier than what is told");
    fire(sessions.as_mut(), 200, &mut ports).unwrap();
    assert_eq!((sessions.state_size().rows, ports.rows(0)), (0, 3));
}

#[test]
fn a_session_that_had_ended_and_grows_is_told_again_at_its_new_end() {
    let spec = json!({ "kind": "session_window", "gap": "10us", "allowed_lateness": "100us", "by": ["k"], "emit": "on_update",
        "aggregate": { "n": "count(*)" } });
    let mut sessions = operator(spec, schema_of(rows_at(&[0], 0).frame()), 100);
    let mut ports = Ports::default();
    let short = |ports: &mut Ports| {
        let all = rows(ports.frame(0).as_ref());
        *ports = Ports::default();
        all.into_iter().map(|row| (row[1].clone(), row[5].clone())).collect::<Vec<_>>()
    };
    let change = |end: i128, op: &str| (Cell::Whole(end), Cell::Text(op.into()));
    sessions.on_batch(0, rows_at(&[0], i64::MIN), &mut ports).unwrap();
    fire(sessions.as_mut(), 12, &mut ports).unwrap();
    assert_eq!(short(&mut ports), [change(10, "+I")]);
    sessions.on_batch(0, rows_at(&[9], 12), &mut ports).unwrap();
    assert_eq!(short(&mut ports), [change(10, "-D"), change(19, "+I")], "what was told as ended is not what it is");
    sessions.on_batch(0, rows_at(&[15], 12), &mut ports).unwrap();
    fire(sessions.as_mut(), 24, &mut ports).unwrap();
    assert_eq!(short(&mut ports), []);
    fire(sessions.as_mut(), 25, &mut ports).unwrap();
    assert_eq!(short(&mut ports), [change(19, "-D"), change(25, "+I")]);
    fire(sessions.as_mut(), i64::MAX, &mut ports).unwrap();
    assert_eq!((short(&mut ports), sessions.state_size().rows), (vec![], 0));
}

#[test]
fn results_that_discard_add_up_to_those_of_a_window_that_tells_once() {
    let frame = random_rows(82, 1000);
    for (window, name) in WINDOWS {
        let input = with_time(&frame, "t", SECOND);
        let mut spec: Value = serde_json::from_str(window).unwrap();
        spec["by"] = json!(["s"]);
        spec["allowed_lateness"] = json!("4s");
        spec["aggregate"] = json!({ "c": "count(*)", "total": "sum(n)" });
        let sums = |all: Vec<Vec<Cell>>| {
            let mut sums: BTreeMap<String, (i128, i128)> = BTreeMap::new();
            let whole = |cell: &Cell| if let Cell::Whole(value) = cell { *value } else { 0 };
            for row in all {
                let sum = sums.entry(format!("{:?}", &row[..4])).or_default();
                *sum = (sum.0 + whole(&row[4]), sum.1 + whole(&row[5]));
            }
            sums
        };
        let expected = sums(rows(run(spec.clone(), &input, SECOND, 64).0.frame(0).as_ref()));
        for cut in [1, 7, 1000] {
            spec["emit"] = json!({ "rows": 4, "mode": "discarding" });
            let (ports, _) = run(spec.clone(), &input, SECOND, cut);
            let given = rows(ports.frame(0).as_ref());
            assert!(given.iter().all(|row| matches!(row[4], Cell::Whole(1..=4))), "at most four rows each");
            assert_eq!(sums(given), expected, "{name}, cut to {cut}");
        }
    }
}

#[test]
fn a_global_window_tells_of_every_so_many_rows_as_duckdb_numbers_them_at_any_batch_size() {
    let frame = random_rows(83, 1000);
    let connection = table(&frame);
    let input = with_time(&frame, "t", SECOND);
    let numbered = "WITH told AS (SELECT *, row_number() OVER (PARTITION BY s ORDER BY row) AS nr, count(*) OVER (PARTITION BY s) AS own, \
                    epoch_us(t) AS tu FROM t)";
    let so_far = "OVER (PARTITION BY s ORDER BY row)";
    let accumulated = query(
        &connection,
        &format!(
            "{numbered}, running AS (SELECT *, min(tu) {so_far} AS least, max(tu) {so_far} AS greatest, count(*) {so_far} AS c, \
             sum(n) {so_far} AS total FROM told) SELECT least, greatest + 1, greatest, s, c, total, CASE WHEN nr <= 7 THEN '+I' ELSE '+U' END \
             FROM running WHERE nr % 7 = 0 OR nr = own ORDER BY nr % 7 <> 0, CASE WHEN nr % 7 = 0 THEN row END, s NULLS LAST"
        ),
    );
    let discarded = query(
        &connection,
        &format!(
            "{numbered} SELECT min(tu), max(tu) + 1, max(tu), s, count(*), sum(n) FROM told GROUP BY s, (nr - 1) // 7 \
             ORDER BY count(*) < 7, CASE WHEN count(*) = 7 THEN max(row) END, s NULLS LAST"
        ),
    );
    let once = query(
        &connection,
        "SELECT epoch_us(min(t)), epoch_us(max(t)) + 1, epoch_us(max(t)), s, count(*), sum(n) FROM t GROUP BY s ORDER BY s NULLS LAST",
    );
    let spec =
        |emit: Value| json!({ "kind": "global_window", "by": ["s"], "emit": emit, "aggregate": { "c": "count(*)", "total": "sum(n)" } });
    for cut in [1, 7, 64, 1000] {
        let given = |emit: Value| {
            let (ports, counts) = run(spec(emit), &input, SECOND, cut);
            assert_eq!((counts.accepted, counts.late), (1000, 0));
            rows(ports.frame(0).as_ref())
        };
        assert_agree(&given(json!({ "rows": 7 })), &accumulated, &format!("accumulating, cut to {cut}"));
        assert_agree(&given(json!({ "rows": 7, "mode": "discarding" })), &discarded, &format!("discarding, cut to {cut}"));
        assert_agree(&given(json!("on_close")), &once, "at the end");
    }
}

fn rows_at(times: &[i64], watermark: i64) -> Batch {
    let frame = df! { "k" => vec!["a"; times.len()], "__time" => times, "__watermark" => vec![watermark; times.len()] }.unwrap();
    Batch::new(frame)
}

/// Counts and ops of what came out, and forgets it.
fn told(ports: &mut Ports) -> Vec<(i128, String)> {
    let all = rows(ports.frame(0).as_ref());
    *ports = Ports::default();
    let one = |row: Vec<Cell>| match &row[4..] {
        [Cell::Whole(count), Cell::Text(op)] => (*count, op.clone()),
        [Cell::Whole(count)] => (*count, String::new()),
        other => panic!("{other:?}"),
    };
    all.into_iter().map(one).collect()
}

fn ring_for(operator: &mut dyn crate::operator::Operator, timer: Timer, ports: &mut Ports) {
    operator.on_timer(timer).unwrap();
    while operator.step(Budget { rows: 1 }, ports).unwrap() == Step::More {}
}

fn counter(emit: Value, more: Value) -> Box<dyn crate::operator::Operator> {
    let mut spec = json!({ "size": "10s", "by": ["k"], "allowed_lateness": "5s", "emit": emit, "aggregate": { "n": "count(*)" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    operator(spec, schema_of(rows_at(&[0], 0).frame()), 100)
}

fn row(count: i128, op: &str) -> (i128, String) {
    (count, op.to_owned())
}

#[test]
fn a_result_comes_at_the_end_and_a_correction_with_each_batch_until_the_lateness_has_passed() {
    let mut operator = counter(json!("on_update"), json!({}));
    let mut ports = Ports::default();
    operator.on_batch(0, rows_at(&[SECOND, 2 * SECOND], i64::MIN), &mut ports).unwrap();
    fire(operator.as_mut(), 10 * SECOND - 1, &mut ports).unwrap();
    assert_eq!(told(&mut ports), []);
    fire(operator.as_mut(), 10 * SECOND, &mut ports).unwrap();
    assert_eq!(told(&mut ports), [row(2, "+I")]);
    assert_eq!(operator.output_watermark(Timestamp(10 * SECOND)), Timestamp(5 * SECOND), "its corrections may still come");
    operator.on_batch(0, rows_at(&[3 * SECOND, 4 * SECOND, 11 * SECOND], 10 * SECOND), &mut ports).unwrap();
    assert_eq!(told(&mut ports), [row(4, "+U")], "one for both rows, and none of the window that is not over");
    fire(operator.as_mut(), 14 * SECOND, &mut ports).unwrap();
    assert_eq!((told(&mut ports), operator.state_size().open_windows), (vec![], 2));
    fire(operator.as_mut(), 15 * SECOND, &mut ports).unwrap();
    assert_eq!((told(&mut ports), operator.state_size().open_windows), (vec![], 1));
    operator.on_batch(0, rows_at(&[5 * SECOND], 15 * SECOND), &mut ports).unwrap();
    assert_eq!(operator.counts().late, 1);
}

#[test]
fn an_interval_tells_of_what_has_had_rows_and_of_nothing_else() {
    let mut operator = counter(json!({ "every": "5s" }), json!({}));
    assert_eq!(operator.timers().every, Some(std::time::Duration::from_secs(5)));
    let mut ports = Ports::default();
    let ring = |operator: &mut dyn crate::operator::Operator, ports: &mut Ports| {
        ring_for(operator, Timer::Every, ports);
        told(ports)
    };
    assert_eq!(ring(operator.as_mut(), &mut ports), []);
    operator.on_batch(0, rows_at(&[SECOND, 12 * SECOND], i64::MIN), &mut ports).unwrap();
    assert_eq!(ring(operator.as_mut(), &mut ports), [row(1, "+I"), row(1, "+I")]);
    assert_eq!(ring(operator.as_mut(), &mut ports), []);
    operator.on_batch(0, rows_at(&[13 * SECOND], i64::MIN), &mut ports).unwrap();
    assert_eq!(ring(operator.as_mut(), &mut ports), [row(2, "+U")]);
    fire(operator.as_mut(), i64::MAX, &mut ports).unwrap();
    assert_eq!(told(&mut ports), [], "what was told last is what the windows are");
}

#[test]
fn what_is_open_closes_after_idleness_and_what_comes_later_is_counted_apart() {
    for emit in [json!("on_close"), json!("on_update")] {
        let mut operator = counter(emit.clone(), json!({ "close_after_idle": "30s" }));
        assert_eq!(operator.timers().after_idle, Some(std::time::Duration::from_secs(30)));
        let mut ports = Ports::default();
        operator.on_batch(0, rows_at(&[SECOND, 12 * SECOND], i64::MIN), &mut ports).unwrap();
        ring_for(operator.as_mut(), Timer::AfterIdle, &mut ports);
        assert_eq!(told(&mut ports).len(), 2, "{emit}");
        assert_eq!(operator.state_size().open_windows, 0);
        assert_eq!(operator.output_watermark(Timestamp(7 * SECOND)), Timestamp(20 * SECOND), "no result of these windows can follow");
        operator.on_batch(0, rows_at(&[19 * SECOND, 20 * SECOND], 9 * SECOND), &mut ports).unwrap();
        let counts = operator.counts();
        assert_eq!((counts.accepted, counts.late, counts.late_after_idle), (3, 1, 1), "{emit}");
        ring_for(operator.as_mut(), Timer::AfterIdle, &mut ports);
        assert_eq!(told(&mut ports).len(), 1);
    }
    let spec = json!({ "kind": "session_window", "gap": "10s", "by": ["k"], "close_after_idle": "30s", "aggregate": { "n": "count(*)" } });
    let mut sessions = operator(spec, schema_of(rows_at(&[0], 0).frame()), 100);
    let mut ports = Ports::default();
    sessions.on_batch(0, rows_at(&[SECOND, 5 * SECOND], i64::MIN), &mut ports).unwrap();
    ring_for(sessions.as_mut(), Timer::AfterIdle, &mut ports);
    assert_eq!(told(&mut ports), [row(2, "")]);
    sessions.on_batch(0, rows_at(&[4 * SECOND, 6 * SECOND], SECOND), &mut ports).unwrap();
    assert_eq!((sessions.counts().late_after_idle, sessions.state_size().open_windows), (1, 1), "the second is a session of its own");
}

#[test]
fn a_sum_that_overflows_in_one_of_several_windows_refuses_the_row_in_all_of_them() {
    let stamps = Column::new("t".into(), [1i64, 2, 3, 4]).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let frame = DataFrame::new(4, vec![stamps, Column::new("x".into(), [i64::MAX, 1, -5, 7])]).unwrap();
    let spec = json!({ "kind": "hopping_window", "size": "10s", "slide": "5s", "emit": "on_update",
        "aggregate": { "n": "count(*)", "x": "sum(x)" } });
    for cut in [1, 4] {
        let (ports, counts) = run(spec.clone(), &with_time(&frame, "t", 0), 0, cut);
        let last = net(&rows(ports.frame(0).as_ref()), 0..3);
        assert!(last.iter().all(|row| row[3..] == [Cell::Whole(2), Cell::Whole(i128::from(i64::MAX) - 5)]), "{last:?}");
        assert_eq!((last.len(), counts.accepted, counts.quarantined), (2, 2, 2));
    }
}

/// Codes and fields of what is wrong with an emission.
fn findings(spec: Value) -> Vec<(String, String)> {
    let found = bind(spec, schema_of(&random_rows(1, 30))).1;
    found.items.into_iter().map(|found| (found.code.to_string(), found.field.unwrap_or_default())).collect()
}

#[test]
fn the_mode_of_the_results_is_told_and_what_makes_no_sense_is_refused() {
    let spec = |kind: &str, emit: Value| json!({ "kind": kind, "size": "1h", "by": ["s"], "emit": emit, "aggregate": { "n": "count(*)" } });
    let mode = |spec: Value| bind(spec, schema_of(&random_rows(1, 30))).0.unwrap().outputs[0].clone();
    let port = mode(spec("tumbling_window", json!("on_update")));
    assert_eq!(port.mode, ChangeMode::Upsert { key: ["window_start", "window_end", "s"].map(str::to_owned).to_vec() });
    assert_eq!(port.schema.names().last(), Some("__op"));
    let port = mode(spec("tumbling_window", json!({ "every": "1s", "mode": "discarding" })));
    assert_eq!((port.mode, port.schema.names().last()), (ChangeMode::Append, Some("n")));
    let global = |emit: Value| json!({ "kind": "global_window", "by": ["s"], "emit": emit, "aggregate": { "n": "count(*)" } });
    assert_eq!(mode(global(json!({ "rows": 5 }))).mode, ChangeMode::Upsert { key: vec!["s".to_owned()] });
    assert_eq!(mode(global(json!("on_close"))).mode, ChangeMode::Append);
    let finding = |code: &str, field: &str| vec![(code.to_owned(), field.to_owned())];
    assert_eq!(findings(spec("tumbling_window", json!({ "mode": "discarding" }))), finding("MR0340", "emit"));
    assert_eq!(findings(spec("tumbling_window", json!({ "every": "0s" }))), finding("MR0340", "emit.every"));
    assert_eq!(findings(spec("tumbling_window", json!({ "rows": 0 }))), finding("MR0340", "emit.rows"));
    assert_eq!(findings(global(json!("on_update"))), finding("MR0340", "emit"));
    let own = |kind: &str, field: &str, value: Value| {
        let mut spec = json!({ "kind": kind, "aggregate": { "n": "count(*)" } });
        spec[if kind == "count_window" { "rows" } else { "gap" }] = if kind == "count_window" { json!(5) } else { json!("5s") };
        if kind == "global_window" {
            spec.as_object_mut().unwrap().remove("gap");
        }
        spec[field] = value;
        spec
    };
    assert_eq!(findings(own("count_window", "emit", json!("on_update"))), finding("MR0340", "emit"));
    assert_eq!(findings(own("count_window", "close_after_idle", json!("5s"))), finding("MR0341", "close_after_idle"));
    assert_eq!(findings(own("global_window", "close_after_idle", json!("5s"))), finding("MR0341", "close_after_idle"));
    assert_eq!(findings(own("session_window", "emit", json!({ "rows": 5, "mode": "discarding" }))), finding("MR0340", "emit.mode"));
    assert_eq!(findings(own("session_window", "close_after_idle", json!("0s"))), finding("MR0341", "close_after_idle"));
}
