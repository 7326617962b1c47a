//! Values that cannot be computed: each leaves no trace in any aggregate, or ends the pipeline, as `on_error` says.

use millrace_model::Timestamp;
use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::{Cell, rows};
use super::{Ports, fire, operator, schema_of, with_time};
use crate::batch::Batch;
use crate::error::{RunError, RunResult};
use crate::operator::RowCounts;

fn stamps(times: &[i64]) -> Column {
    Column::new("t".into(), times).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap()
}

fn input(columns: Vec<Column>) -> DataFrame {
    with_time(&DataFrame::new(columns[0].len(), columns).unwrap(), "t", 0)
}

fn all_at_once(spec: Value, frame: &DataFrame) -> RunResult<(Ports, RowCounts)> {
    let mut operator = operator(spec, schema_of(frame), 100);
    let mut ports = Ports::default();
    operator.on_batch(0, Batch::new(frame.clone()), &mut ports)?;
    fire(operator.as_mut(), Timestamp::MAX.micros(), &mut ports)?;
    Ok((ports, operator.counts()))
}

fn reasons(ports: &Ports) -> Vec<String> {
    let frame = ports.frame(2).unwrap();
    frame.column("__reason").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect()
}

/// Key `a` overflows `x` at its third row, `y` at its fourth; key `b` does not.
fn near_the_limit() -> DataFrame {
    input(vec![
        stamps(&[1, 2, 3, 4, 5, 6]),
        Column::new("k".into(), ["a", "b", "a", "a", "b", "a"]),
        Column::new("x".into(), [Some(i64::MAX - 1), Some(5), Some(1), Some(1), None, Some(-10)]),
        Column::new("y".into(), [Some(i64::MIN), Some(5), None, Some(7), None, Some(-8)]),
    ])
}

fn sums(on_error: &str) -> Value {
    json!({ "size": "1s", "by": ["k"], "on_error": on_error, "aggregate": { "n": "count(*)", "x": "sum(x)", "y": "sum(y)", "most": "max(x)" } })
}

#[test]
fn a_row_that_overflows_a_sum_is_quarantined_and_counts_for_no_aggregate() {
    let (ports, counts) = all_at_once(sums("quarantine"), &near_the_limit()).unwrap();
    // x: MAX-1 + 1 fits; then + 1 does not, and that row's y is not counted; then -10 fits, but y: MIN - 8 does not.
    let max = i128::from(i64::MAX);
    let a = vec![Cell::Text("a".into()), Cell::Whole(2), Cell::Whole(max), Cell::Whole(i128::from(i64::MIN)), Cell::Whole(max - 1)];
    let b = vec![Cell::Text("b".into()), Cell::Whole(2), Cell::Whole(5), Cell::Whole(5), Cell::Whole(5)];
    let given: Vec<Vec<Cell>> = rows(ports.frame(0).as_ref()).into_iter().map(|row| row[3..].to_vec()).collect();
    assert_eq!(given, [a, b]);
    assert_eq!(
        reasons(&ports),
        ["column x: 9223372036854775807 + 1 does not fit a BIGINT", "column y: -9223372036854775808 + -8 does not fit a BIGINT"]
    );
    assert_eq!((counts.accepted, counts.quarantined), (4, 2));
}

#[test]
fn an_overflowing_sum_is_null_where_errors_are_null() {
    let (ports, counts) = all_at_once(sums("null"), &near_the_limit()).unwrap();
    let given: Vec<Vec<Cell>> = rows(ports.frame(0).as_ref()).into_iter().map(|row| row[3..].to_vec()).collect();
    let most = Cell::Whole(i128::from(i64::MAX) - 1);
    assert_eq!(given[0], [Cell::Text("a".into()), Cell::Whole(4), Cell::Null, Cell::Null, most]);
    assert_eq!((counts.accepted, counts.quarantined), (6, 0));
}

#[test]
fn an_overflowing_sum_ends_the_pipeline_where_errors_fail() {
    let Err(RunError::Value { message, sample }) = all_at_once(sums("fail"), &near_the_limit()) else { panic!("it should fail") };
    assert_eq!(message, "column x: 9223372036854775807 + 1 does not fit a BIGINT");
    assert!(sample[0].contains("\"x\":1"), "{sample:?}");
}

#[test]
fn a_refused_row_leaves_no_sum_behind() {
    // The only x of the key stands in a row that y's sum refuses.
    let frame = input(vec![stamps(&[1, 2]), Column::new("x".into(), [None, Some(5i64)]), Column::new("y".into(), [i64::MAX, 1])]);
    let (ports, _) = all_at_once(json!({ "size": "1s", "aggregate": { "x": "sum(x)", "y": "sum(y)" } }), &frame).unwrap();
    assert_eq!(rows(ports.frame(0).as_ref())[0][3..], [Cell::Null, Cell::Whole(i128::from(i64::MAX))]);
}

#[test]
fn a_value_above_bigint_cannot_be_summed() {
    let frame = input(vec![stamps(&[1, 2, 3]), Column::new("u".into(), [1u64, u64::MAX, 3])]);
    let (ports, counts) = all_at_once(json!({ "size": "1s", "aggregate": { "total": "sum(u)", "n": "count(*)" } }), &frame).unwrap();
    assert_eq!(rows(ports.frame(0).as_ref())[0][3..], [Cell::Whole(4), Cell::Whole(2)]);
    assert_eq!(reasons(&ports), ["column total: 18446744073709551615 does not fit a BIGINT"]);
    assert_eq!(counts.quarantined, 1);
}

#[test]
fn a_row_whose_expression_fails_is_quarantined_unless_it_is_late() {
    let mut frame = input(vec![
        stamps(&[1, 5_000_000, 5_000_001, 2, 5_000_002]),
        Column::new("n".into(), [1i64, 0, 4, 0, 2]),
        Column::new("k".into(), [1i32, 1, 2, 1, 1]),
    ]);
    frame.rechunk_mut();
    let spec = json!({ "size": "1s", "by": ["k"], "aggregate": { "x": "sum(8 // n)", "n": "count(*)" } });
    let (ports, counts) = all_at_once(spec, &frame).unwrap();
    let given: Vec<Vec<Cell>> = rows(ports.frame(0).as_ref()).into_iter().map(|row| row[3..].to_vec()).collect();
    let row = |k, x, n| vec![Cell::Whole(k), Cell::Whole(x), Cell::Whole(n)];
    assert_eq!(given, [row(1, 8, 1), row(1, 4, 1), row(2, 2, 1)]);
    assert_eq!((counts.accepted, counts.late, counts.quarantined), (3, 1, 1));
    assert_eq!(ports.rows(1), 1);
    let raw = ports.frame(2).unwrap().column("__raw").unwrap().str().unwrap().get(0).unwrap().to_owned();
    assert!(raw.contains("\"n\":0"), "{raw}");
}

#[test]
fn a_window_beyond_the_ends_of_time_quarantines_its_rows() {
    let mut frame = DataFrame::new(3, vec![Column::new("n".into(), [1i64, 2, 3])]).unwrap();
    frame.with_column(Column::new("__time".into(), [i64::MIN, 7, i64::MAX])).unwrap();
    frame.with_column(Column::new("__watermark".into(), [i64::MIN; 3])).unwrap();
    let (ports, counts) = all_at_once(json!({ "size": "1h", "aggregate": { "n": "sum(n)" } }), &frame).unwrap();
    assert_eq!(rows(ports.frame(0).as_ref())[0][3..], [Cell::Whole(2)]);
    assert_eq!((counts.accepted, counts.quarantined), (1, 2));
    assert_eq!(reasons(&ports), ["its window begins or ends beyond the range of a TIMESTAMP"; 2]);
}
