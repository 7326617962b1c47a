//! Merging partial aggregates gives what one pass over all rows gives.

use millrace_expr::{AggregateFunction, Parameter};
use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, Writer};
use polars::prelude::*;
use proptest::prelude::*;

use super::cells::Cells;
use super::values::{Argument, Form};
use super::{Accumulator, accumulator};

const GROUPS: usize = 5;

/// Each function with an argument type, and the type of its result.
const CALLS: [(AggregateFunction, Type, Type); 27] = [
    (AggregateFunction::CountRows, Type::BigInt, Type::BigInt),
    (AggregateFunction::Count, Type::Double, Type::BigInt),
    (AggregateFunction::Sum, Type::BigInt, Type::BigInt),
    (AggregateFunction::Sum, Type::Double, Type::Double),
    (AggregateFunction::Avg, Type::Integer, Type::Double),
    (AggregateFunction::Avg, Type::UBigInt, Type::Double),
    (AggregateFunction::Avg, Type::Double, Type::Double),
    (AggregateFunction::Min, Type::Double, Type::Double),
    (AggregateFunction::Max, Type::Varchar, Type::Varchar),
    (AggregateFunction::Min, Type::Varchar, Type::Varchar),
    (AggregateFunction::Stddev, Type::Double, Type::Double),
    (AggregateFunction::Quantile, Type::Double, Type::Double),
    (AggregateFunction::Variance, Type::Double, Type::Double),
    (AggregateFunction::Mode, Type::Integer, Type::Integer),
    (AggregateFunction::Mode, Type::Varchar, Type::Varchar),
    (AggregateFunction::ArgMax, Type::Integer, Type::Integer),
    (AggregateFunction::First, Type::Varchar, Type::Varchar),
    (AggregateFunction::CountDistinct, Type::BigInt, Type::BigInt),
    (AggregateFunction::CountDistinct, Type::Varchar, Type::BigInt),
    (AggregateFunction::StringAgg, Type::Varchar, Type::Varchar),
    (AggregateFunction::ArrayAgg, Type::Varchar, Type::Varchar),
    (AggregateFunction::ArrayAgg, Type::Double, Type::Varchar),
    (AggregateFunction::ApproxCountDistinct, Type::BigInt, Type::BigInt),
    (AggregateFunction::ApproxCountDistinct, Type::Varchar, Type::BigInt),
    (AggregateFunction::ApproxQuantile, Type::Double, Type::Double),
    (AggregateFunction::ApproxTopK, Type::Integer, Type::Varchar),
    (AggregateFunction::ApproxTopK, Type::Varchar, Type::Varchar),
];

fn parameter(function: AggregateFunction) -> Parameter {
    match function {
        AggregateFunction::StringAgg => Parameter::Separator(", ".to_owned()),
        AggregateFunction::ApproxTopK => Parameter::Most(2),
        _ => Parameter::Quantile(0.7),
    }
}

type Row = (u32, Option<u16>);

/// An accumulator fed with some rows, in two batches.
fn fed(function: AggregateFunction, argument: Type, rows: &[Row]) -> Box<dyn Accumulator> {
    let mut state = accumulator(function, argument, &parameter(function));
    state.resize(GROUPS);
    let form = Form::of(function, argument);
    let (first, second) = rows.split_at(rows.len() / 2);
    for part in [first, second] {
        let numbers = Series::new("x".into(), part.iter().map(|(_, value)| value.map(i64::from)).collect::<Vec<_>>());
        let series = form.normalise(&numbers.cast(&millrace_expr::to_polars(argument)).unwrap()).unwrap();
        let groups: Vec<u32> = part.iter().map(|(group, _)| *group).collect();
        let by = Series::new("y".into(), part.iter().map(|(_, value)| value.map(|value| i64::from(value % 7))).collect::<Vec<_>>());
        let argument = match form {
            _ if function == AggregateFunction::CountRows => Argument::every_row(),
            Form::Pairs | Form::TextPairs => Argument::sorted(form, &series, &by).unwrap(),
            _ => Argument::new(form, &series).unwrap(),
        };
        let mut scratch = Vec::new();
        let (groups, values) = argument.peek(&(0..part.len()), &groups, &mut scratch);
        state.update(groups, values).unwrap();
    }
    state
}

fn pairs(into: &[u32]) -> Vec<(u32, u32)> {
    (0..).zip(into.iter().copied()).collect()
}

fn results(state: &mut dyn Accumulator, result: Type) -> Series {
    let mut cells = Cells::new(result, GROUPS);
    // In two pieces, as a window gives them out, and not in the order of the groups.
    state.finish(&[4, 1], &mut cells);
    state.finish(&[0, 2, 3], &mut cells);
    cells.finish("x").unwrap().as_materialized_series().clone()
}

fn assert_same(merged: &Series, whole: &Series) {
    if whole.dtype() != &DataType::Float64 {
        assert!(merged.equals_missing(whole), "{merged:?} is not {whole:?}");
        return;
    }
    for (merged, whole) in merged.f64().unwrap().iter().zip(whole.f64().unwrap().iter()) {
        let close = match (merged, whole) {
            (Some(merged), Some(whole)) => (merged - whole).abs() <= 1e-9 * whole.abs().max(1e-300),
            (merged, whole) => merged == whole,
        };
        assert!(close, "{merged:?} is not {whole:?}");
    }
}

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    // Group 4 is often empty, and now and then a group has NULLs alone.
    proptest::collection::vec((0..GROUPS as u32, proptest::option::of(0u16..200)), 0..60)
}

proptest! {
    #[test]
    fn merging_equals_a_single_pass(left in some_rows(), right in some_rows(), moved in 0..GROUPS as u32) {
        // The right side numbers its groups otherwise.
        let into: Vec<u32> = (0..GROUPS as u32).map(|group| (group + moved) % GROUPS as u32).collect();
        let mapped = right.iter().map(|(group, value)| (into[*group as usize], *value));
        let all: Vec<Row> = left.iter().copied().chain(mapped).collect();
        for (function, argument, result) in CALLS {
            let mut merged = fed(function, argument, &left);
            merged.merge(fed(function, argument, &right).as_ref(), &pairs(&into)).unwrap();
            let mut whole = fed(function, argument, &all);
            assert_same(&results(merged.as_mut(), result), &results(whole.as_mut(), result));
        }
    }
}

proptest! {
    #[test]
    fn folding_a_group_into_another_equals_a_single_pass(rows in some_rows(), more in some_rows(), from in 0..GROUPS as u32, by in 1..GROUPS as u32) {
        let into = (from + by) % GROUPS as u32;
        let mapped = rows.iter().map(|(group, value)| (if *group == from { into } else { *group }, *value));
        let all: Vec<Row> = mapped.chain(more.iter().copied()).collect();
        for (function, argument, result) in CALLS {
            let mut folded = fed(function, argument, &rows);
            folded.fold(from, into).unwrap();
            // The emptied group serves again.
            folded.merge(fed(function, argument, &more).as_ref(), &pairs(&[0, 1, 2, 3, 4])).unwrap();
            let mut whole = fed(function, argument, &all);
            assert_same(&results(folded.as_mut(), result), &results(whole.as_mut(), result));
            folded.reset(into);
            let others: Vec<Row> = all.iter().copied().filter(|(group, _)| *group != into).collect();
            assert_same(&results(folded.as_mut(), result), &results(fed(function, argument, &others).as_mut(), result));
        }
    }
}

proptest! {
    #[test]
    fn states_that_were_written_go_on_in_other_groups(rows in some_rows(), more in some_rows(), moved in 0..GROUPS as u32) {
        let into: Vec<u32> = (0..GROUPS as u32).map(|group| (group + moved) % GROUPS as u32).collect();
        let mapped = rows.iter().map(|(group, value)| (into[*group as usize], *value));
        let all: Vec<Row> = mapped.chain(more.iter().copied()).collect();
        for (function, argument, result) in CALLS {
            let mut out = Writer::default();
            fed(function, argument, &rows).save(&[3, 0, 1, 4, 2], &mut out);
            let mut loaded = accumulator(function, argument, &parameter(function));
            loaded.resize(GROUPS);
            let mut from = Reader::new(out.as_bytes(), "a state");
            loaded.load(&[3, 0, 1, 4, 2].map(|group: usize| into[group]), &mut from).unwrap();
            from.finish().unwrap();
            loaded.merge(fed(function, argument, &more).as_ref(), &pairs(&[0, 1, 2, 3, 4])).unwrap();
            assert_same(&results(loaded.as_mut(), result), &results(fed(function, argument, &all).as_mut(), result));
        }
    }
}

#[test]
fn a_cleared_accumulator_starts_afresh() {
    for (function, argument, result) in CALLS {
        let mut used = fed(function, argument, &[(0, Some(3)), (1, None), (3, Some(9))]);
        assert_eq!(results(used.as_mut(), result).len(), GROUPS);
        used.clear();
        used.resize(GROUPS);
        let mut fresh = accumulator(function, argument, &parameter(function));
        fresh.resize(GROUPS);
        assert_same(&results(used.as_mut(), result), &results(fresh.as_mut(), result));
    }
}

#[test]
fn accumulators_of_two_kinds_do_not_merge() {
    let mut sum = fed(AggregateFunction::Sum, Type::Double, &[]);
    assert!(sum.merge(fed(AggregateFunction::Avg, Type::Double, &[]).as_ref(), &[]).is_err());
}

#[test]
fn a_sum_that_overflows_in_a_merge_is_null() {
    let series = Series::new("x".into(), [i64::MAX]);
    let half = || {
        let mut sum = accumulator(AggregateFunction::Sum, Type::BigInt, &Parameter::None);
        sum.resize(GROUPS);
        let argument = Argument::new(Form::Integers, &series).unwrap();
        sum.update(&[2], argument.peek(&(0..1), &[2], &mut Vec::new()).1).unwrap();
        sum
    };
    let mut merged = half();
    merged.merge(half().as_ref(), &pairs(&[0, 1, 2, 3, 4])).unwrap();
    assert_eq!(results(merged.as_mut(), Type::BigInt).null_count(), GROUPS);
}

#[test]
fn numbers_that_count_once_do_so_over_merges_and_folds() {
    let calls = [(AggregateFunction::Sum, Type::BigInt, Type::BigInt), (AggregateFunction::Avg, Type::Double, Type::Double)];
    for (function, argument, result) in calls {
        let half = |values: &[i64]| {
            let mut state = super::distinct_accumulator(function, argument, &Parameter::None);
            state.resize(GROUPS);
            let numbers = Series::new("x".into(), values).cast(&millrace_expr::to_polars(argument)).unwrap();
            let groups: Vec<u32> = (0..values.len() as u32).map(|row| row % 2).collect();
            let argument = Argument::new(Form::of(function, argument), &numbers).unwrap();
            state.update(&groups, argument.peek(&(0..values.len()), &groups, &mut Vec::new()).1).unwrap();
            state
        };
        let mut state = half(&[1, 5, 1, 6, 2, 5]);
        state.merge(half(&[2, 7, 3, 5]).as_ref(), &pairs(&[0, 1, 2, 3, 4])).unwrap();
        // Group 0 has 1, 2, 3 and group 1 has 5, 6, 7.
        state.fold(0, 1).unwrap();
        let given = results(state.as_mut(), result).cast(&DataType::Float64).unwrap();
        let expected = if function == AggregateFunction::Sum { 24.0 } else { 4.0 };
        assert_eq!(given.f64().unwrap().iter().collect::<Vec<_>>(), [None, Some(expected), None, None, None]);
    }
}
