//! Accumulators for rows that change: each takes back, exactly, any value that it was given.
//!
//! Sums of integers are kept in 128 bits, sums of floats without rounding ([`super::exact_sum`]), and where the result hangs on single values
//! the group keeps them all, each once with its count ([`super::counted`]). After a value has been taken back, nothing tells that it was
//! ever there. A sum of integers that does not fit a BIGINT is NULL while it does not, whatever `on_error` says: a row that was refused for it
//! would have to be known again when it is taken back.

use millrace_expr::{AggregateFunction as F, Parameter};

use super::Accumulator;
use super::count::Count;
use super::counted::{Counted, Number, Wanted};
use super::exact_sum::{ExactFloats, WideSum};
use super::mean::IntegerMean;
use super::values::Form;
use crate::operators::window::states::AggregateShape;

/// Makes the accumulator of an aggregate that can take values back; the reason where there is none.
pub fn retracting(one: &AggregateShape) -> Result<Box<dyn Accumulator>, &'static str> {
    if one.distinct {
        return Err("which of its values came once and which came again is not kept");
    }
    let form = Form::of(one.function, one.argument);
    Ok(match (one.function, form) {
        (F::CountRows | F::Count, _) => Box::<Count>::default(),
        (F::Sum, Form::Integers) => Box::<WideSum>::default(),
        (F::Sum, _) => Box::new(ExactFloats::sum()),
        (F::Avg, Form::Floats) => Box::new(ExactFloats::mean()),
        (F::Avg, _) => Box::<IntegerMean>::default(),
        (F::Min | F::BoolAnd, form) => counted(form, Wanted::Least),
        (F::Max | F::BoolOr, form) => counted(form, Wanted::Greatest),
        (F::CountDistinct, form) => counted(form, Wanted::HowMany),
        (F::Mode, form) => counted(form, Wanted::MostFrequent),
        (F::ArgMin, form) => counted(form, Wanted::Least),
        (F::ArgMax, form) => counted(form, Wanted::Greatest),
        (F::Median | F::Quantile, form) => match one.parameter {
            Parameter::Quantile(q) => counted(form, Wanted::Quantile(q)),
            _ => counted(form, Wanted::Quantile(0.5)),
        },
        (F::Stddev, form) => counted(form, Wanted::Deviation),
        (F::Variance, form) => counted(form, Wanted::Variance),
        (F::First | F::Last, _) => return Err("it hangs on when a row happened, and a change carries the time of the change"),
        _ => return Err("it does not keep the single values"),
    })
}

fn counted(form: Form, wanted: Wanted) -> Box<dyn Accumulator> {
    match form {
        Form::Text => Box::new(Counted::<Box<str>>::new(wanted)),
        Form::Pairs => Box::new(Counted::<(u64, u64)>::new(wanted)),
        Form::TextPairs => Box::new(Counted::<(u64, Box<str>)>::new(wanted)),
        Form::Floats => Box::new(Counted::<Number>::new(wanted)),
        _ => Box::new(Counted::<u64>::new(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::DataType as Type;
    use millrace_state::snapshot::{Reader, Writer};
    use proptest::prelude::*;

    use super::super::cells::Cells;
    use super::super::values::Values;
    use super::*;

    fn of(function: F, argument: Type) -> Box<dyn Accumulator> {
        retracting(&AggregateShape { function, argument, by: None, parameter: Parameter::Quantile(0.3), distinct: false }).unwrap()
    }

    fn result(state: &mut dyn Accumulator, result: Type) -> Option<f64> {
        let mut cells = Cells::new(result, 1);
        state.finish(&[0], &mut cells);
        let column = cells.finish("r").unwrap().cast(&polars::prelude::DataType::Float64).unwrap();
        column.f64().unwrap().get(0)
    }

    const FLOATS: [F; 8] = [F::Sum, F::Avg, F::Median, F::Quantile, F::Stddev, F::Variance, F::CountDistinct, F::Min];

    /// Values of every size, whose naive sum loses the small ones.
    fn float() -> impl Strategy<Value = f64> {
        let odd =
            proptest::sample::select(vec![1e308, -1e308, 1e-300, 0.1, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, -0.0, 1e17]);
        prop_oneof![odd, -1e3..1e3f64]
    }

    proptest! {
        /// As if they had never been there: bit for bit, through a snapshot and a merge.
        #[test]
        fn what_is_taken_back_leaves_no_trace(kept in proptest::collection::vec(float(), 0..20), gone in proptest::collection::vec(float(), 0..20)) {
            for function in FLOATS {
                let words: (Vec<u64>, Vec<u64>) =
                    (kept.iter().map(|v| super::super::words::of_f64(*v)).collect(), gone.iter().map(|v| super::super::words::of_f64(*v)).collect());
                let is_words = matches!(function, F::Min | F::CountDistinct);
                let change = |state: &mut dyn Accumulator, which: bool, retract: bool| {
                    let (floats, words) = if which { (&kept, &words.0) } else { (&gone, &words.1) };
                    let values = if is_words { Values::Words(words) } else { Values::Floats(floats) };
                    let groups = vec![0; floats.len()];
                    if retract { state.retract(&groups, values) } else { state.update(&groups, values) }.unwrap();
                };
                let result_type = if function == F::CountDistinct { Type::BigInt } else { Type::Double };
                let (mut plain, mut changed) = (of(function, Type::Double), of(function, Type::Double));
                plain.resize(1);
                changed.resize(1);
                change(plain.as_mut(), true, false);
                change(changed.as_mut(), false, false);
                change(changed.as_mut(), true, false);
                let mut saved = Writer::default();
                changed.save(&[0], &mut saved);
                let bytes = saved.into_bytes();
                let mut restored = of(function, Type::Double);
                restored.resize(1);
                restored.load(&[0], &mut Reader::new(&bytes, "a test")).unwrap();
                let mut merged = of(function, Type::Double);
                merged.resize(1);
                merged.merge(restored.as_ref(), &[(0, 0)]).unwrap();
                change(merged.as_mut(), false, true);
                let (plain, merged) = (result(plain.as_mut(), result_type), result(merged.as_mut(), result_type));
                prop_assert_eq!(plain.map(f64::to_bits), merged.map(f64::to_bits), "{:?}: {:?} and {:?}", function, plain, merged);
            }
        }
    }

    #[test]
    fn a_sum_of_floats_is_the_exact_one_rounded_once() {
        let sum = |values: &[f64]| {
            let mut state = of(F::Sum, Type::Double);
            state.resize(1);
            state.update(&vec![0; values.len()], Values::Floats(values)).unwrap();
            result(state.as_mut(), Type::Double).unwrap()
        };
        assert_eq!(sum(&[1e17, 0.1, -1e17]), 0.1);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[1e308, 1e308]), f64::INFINITY);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
