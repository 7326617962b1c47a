//! What only a stream can be asked: watermarks, idleness, steps, stopping.

use millrace_model::Timestamp;
use polars::prelude::*;
use serde_json::json;

use super::duck::{Cell, rows};
use super::oracle::random_rows;
use super::{Ports, fire, operator, run, schema_of, with_time};
use crate::batch::Batch;
use crate::operator::{Budget, EndReason, Step};

const SECOND: i64 = 1_000_000;

fn rows_at(times: &[i64], watermark: i64) -> Batch {
    let frame = df! { "k" => vec!["a"; times.len()], "__time" => times, "__watermark" => vec![watermark; times.len()] }.unwrap();
    Batch::new(frame)
}

fn counter(lateness: &str) -> Box<dyn crate::operator::Operator> {
    let schema = schema_of(rows_at(&[0], 0).frame());
    operator(json!({ "size": "10s", "by": ["k"], "allowed_lateness": lateness, "aggregate": { "n": "count(*)" } }), schema, 100)
}

#[test]
fn a_window_fires_when_the_watermark_reaches_its_end_and_the_lateness() {
    let mut operator = counter("5s");
    let mut ports = Ports::default();
    operator.on_batch(0, rows_at(&[SECOND, 2 * SECOND, 11 * SECOND], i64::MIN), &mut ports).unwrap();
    assert_eq!(operator.state_size().open_windows, 2);
    assert_eq!(operator.state_size().next_window_end, Some(Timestamp(10 * SECOND)));
    assert!(operator.state_size().bytes > 0);
    fire(operator.as_mut(), 15 * SECOND - 1, &mut ports).unwrap();
    assert_eq!(ports.rows(0), 0);
    fire(operator.as_mut(), 15 * SECOND, &mut ports).unwrap();
    assert_eq!(ports.rows(0), 1);
    let row = ports.frame(0).unwrap();
    assert_eq!(
        rows(Some(&row))[0],
        [0, 10 * SECOND, 10 * SECOND - 1]
            .map(|at| Cell::Whole(at.into()))
            .into_iter()
            .chain([Cell::Text("a".into()), Cell::Whole(2)])
            .collect::<Vec<_>>()
    );
    let batch = &ports.batches[0][0];
    assert_eq!((batch.times().unwrap(), batch.watermarks().unwrap()), (&[10 * SECOND - 1][..], &[i64::MIN][..]));
    assert_eq!(operator.output_watermark(Timestamp(15 * SECOND)), Timestamp(10 * SECOND));
    assert_eq!(operator.output_watermark(Timestamp::MAX), Timestamp::MAX);
    assert_eq!(operator.output_watermark(Timestamp::MIN), Timestamp::MIN);
}

#[test]
fn a_row_whose_window_fired_while_its_input_was_idle_is_late_and_counted_apart() {
    let mut operator = counter("0s");
    let mut ports = Ports::default();
    fire(operator.as_mut(), 20 * SECOND, &mut ports).unwrap();
    // One late by itself, one by idleness, one in time.
    operator.on_batch(0, rows_at(&[SECOND], 10 * SECOND), &mut ports).unwrap();
    operator.on_batch(0, rows_at(&[SECOND, 20 * SECOND], 5 * SECOND), &mut ports).unwrap();
    let counts = operator.counts();
    assert_eq!((counts.accepted, counts.late, counts.late_after_idle), (1, 2, 1));
    assert_eq!(ports.rows(1), 2);
}

#[test]
fn a_step_gives_out_no_more_than_its_budget() {
    let frame = with_time(&random_rows(21, 500), "t", 0);
    let mut operator = operator(json!({ "size": "100s", "by": ["b", "n"], "aggregate": { "c": "count(*)" } }), schema_of(&frame), 16);
    let mut ports = Ports::default();
    let mut on_time = frame.clone();
    on_time.with_column(Column::new("__watermark".into(), vec![i64::MIN; frame.height()])).unwrap();
    operator.on_batch(0, Batch::new(on_time), &mut ports).unwrap();
    let groups = operator.state_size().rows as usize;
    operator.on_watermark(Timestamp::MAX).unwrap();
    let mut steps = 0;
    loop {
        let before = ports.rows(0);
        let step = operator.step(Budget { rows: 40 }, &mut ports).unwrap();
        assert!(ports.rows(0) - before <= 40);
        steps += 1;
        if step == Step::Done {
            break;
        }
    }
    assert_eq!(ports.rows(0), groups);
    assert!(steps >= groups / 40 && ports.batches[0].iter().all(|batch| batch.rows() <= 16));
}

#[test]
fn a_stopped_input_fires_no_window() {
    let mut operator = counter("0s");
    let mut ports = Ports::default();
    operator.on_batch(0, rows_at(&[SECOND], i64::MIN), &mut ports).unwrap();
    operator.on_end(EndReason::Stopped, &mut ports).unwrap();
    assert_eq!(operator.step(Budget { rows: 10 }, &mut ports).unwrap(), Step::Done);
    assert_eq!((ports.rows(0), operator.state_size().rows), (0, 0));
}

#[test]
fn a_window_over_a_windows_output_sees_every_row_at_any_cut() {
    let frame = with_time(&random_rows(22, 2000), "t", SECOND);
    let small = json!({ "size": "10s", "by": ["s"], "allowed_lateness": "3s", "aggregate": { "c": "count(*)", "m": "max(b)" } });
    let large = json!({ "size": "25s", "offset": "3s", "by": ["s"], "aggregate": { "c": "sum(c)", "m": "max(m)", "w": "count(*)" } });
    let mut first: Option<DataFrame> = None;
    for cut in [13, 2000] {
        let mut upper = operator(small.clone(), schema_of(&frame), 32);
        let (ports, _) = run(small.clone(), &frame, SECOND, cut);
        let total = ports.rows(0);
        let mut lower = operator(large.clone(), schema_of(&ports.frame(0).unwrap()), 32);
        let mut out = Ports::default();
        let mut greatest = i64::MIN;
        let mut give = |upper: &mut dyn crate::operator::Operator, watermark: i64| {
            let mut between = Ports::default();
            fire(upper, watermark, &mut between).unwrap();
            for batch in between.batches[0].drain(..) {
                lower.on_batch(0, batch, &mut out).unwrap();
            }
            fire(lower.as_mut(), upper.output_watermark(Timestamp(watermark)).micros(), &mut out).unwrap();
        };
        for start in (0..frame.height()).step_by(cut) {
            let batch = Batch::new(frame.slice(start as i64, cut));
            greatest = batch.times().unwrap().iter().copied().fold(greatest, i64::max);
            upper.on_batch(0, batch, &mut Ports::default()).unwrap();
            give(upper.as_mut(), greatest - SECOND);
        }
        give(upper.as_mut(), i64::MAX);
        assert_eq!((lower.counts().accepted, lower.counts().late), (total as u64, 0));
        let frame = out.frame(0);
        if let (Some(first), Some(frame)) = (&first, &frame) {
            assert!(first.equals_missing(frame));
        }
        first = first.or(frame);
    }
}
