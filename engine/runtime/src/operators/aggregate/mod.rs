//! Aggregates over groups of rows: find each row's group in one table, then update typed columns of accumulators, one tight loop an aggregate.
//!
//! [`groups`] finds groups by key, [`keys`] holds the keys, [`values`] readies the arguments; each family of aggregates is a file. All
//! state is in columns indexed by group, so that a group costs no allocation and a window's state is freed at once.
//!
//! Every accumulator merges in place with another of its kind, since sessions grow together and partial aggregates meet after an exchange.

pub mod approx;
pub mod cells;
pub mod count;
pub mod counted;
pub mod ddsketch;
pub mod distinct;
pub mod distinct_of;
pub mod exact_sum;
pub mod extreme;
pub mod frequent;
pub mod gather;
pub mod groups;
pub mod hyperloglog;
pub mod json_text;
pub mod keys;
pub mod lists;
pub mod mean;
pub mod mode;
pub mod pick;
pub mod quantile;
pub mod retract;
pub mod saved;
pub mod stddev;
pub mod sum;
pub mod values;
pub mod words;

use std::any::Any;

use millrace_expr::{AggregateFunction, Parameter};
use millrace_model::DataType;
use millrace_state::snapshot::{Reader, Writer};

use self::cells::Cells;
use self::values::{Form, Values};
use crate::error::{RunError, RunResult};

/// The states of one aggregate, one for each group. NULLs never get here: SQL's aggregates ignore them.
pub trait Accumulator: Send + Sync {
    /// Makes room for groups 0 to `groups` - 1; new ones are empty.
    fn resize(&mut self, groups: usize);

    /// Adds each value to its group.
    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()>;

    /// Takes each value back, which was added before. Only accumulators of [`retract::retracting`] can.
    fn retract(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        let _ = (groups, values);
        Err(RunError::bug("an aggregate was to take back a value, and cannot"))
    }

    /// Adds groups of `other`: of each pair its first to the second here.
    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()>;

    /// Adds one group to another and empties it.
    fn fold(&mut self, from: u32, into: u32) -> RunResult<()>;

    /// Empties one group, so that its number can serve another.
    fn reset(&mut self, group: u32);

    /// Gives the results so far of some groups, in this order.
    fn finish(&mut self, groups: &[u32], out: &mut Cells);

    /// Writes the states of some groups, in this order.
    fn save(&self, groups: &[u32], out: &mut Writer);

    /// Reads what [`Accumulator::save`] wrote into as many groups, for which there is room, and which are empty.
    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()>;

    /// Forgets all groups and keeps the memory.
    fn clear(&mut self);

    /// Memory held, in bytes.
    fn bytes(&self) -> usize;

    /// How many numbers a state is as a row of a partial result; 0 if it cannot be one. Merging such states must give what adding their
    /// values gives, to the last bit and in any order, and must refuse none.
    fn words(&self) -> usize {
        0
    }

    /// Adds the states of some groups to columns, one for each number.
    fn give_words(&self, groups: &[u32], out: &mut [Vec<i64>]) {
        let _ = (groups, out);
    }

    /// Adds states of [`Accumulator::give_words`], each to its group.
    fn take_words(&mut self, groups: &[u32], words: &[&[i64]]) {
        let _ = (groups, words);
    }

    fn as_any(&self) -> &dyn Any;

    /// Sums that can overflow, which are updated before all others since they may refuse a row.
    fn as_checked(&mut self) -> Option<&mut sum::CheckedSum> {
        None
    }

    /// Lists that can be full, which are asked before any aggregate changes since they may refuse a row.
    fn as_bounded(&mut self) -> Option<&mut dyn Bounded> {
        None
    }
}

/// An aggregate that takes so much of a group and no more.
pub trait Bounded {
    /// Whether all of this could be added.
    fn fits(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<bool>;

    /// Why the group cannot take this one value more.
    fn excess(&self, group: u32, values: Values<'_>) -> RunResult<Option<String>>;

    /// The group's result is NULL from now on.
    fn give_up(&mut self, group: u32);
}

/// Makes the accumulator of an aggregate of values that each count once in a group.
pub fn distinct_accumulator(function: AggregateFunction, argument: DataType, parameter: &Parameter) -> Box<dyn Accumulator> {
    match function {
        AggregateFunction::StringAgg | AggregateFunction::ArrayAgg => gather::gathered(argument, parameter, true),
        _ => Box::new(distinct_of::DistinctOf::new(Form::of(function, argument), accumulator(function, argument, parameter))),
    }
}

/// Makes the accumulator of an aggregate over an argument of this type (any, for `count(*)`).
pub fn accumulator(function: AggregateFunction, argument: DataType, parameter: &Parameter) -> Box<dyn Accumulator> {
    match (function, Form::of(function, argument)) {
        (AggregateFunction::CountRows | AggregateFunction::Count, _) => Box::<count::Count>::default(),
        (AggregateFunction::Sum, Form::Integers) => Box::<sum::CheckedSum>::default(),
        (AggregateFunction::Sum, _) => Box::<sum::FloatSum>::default(),
        (AggregateFunction::Avg, Form::Floats) => Box::<mean::FloatMean>::default(),
        (AggregateFunction::Avg, _) => Box::<mean::IntegerMean>::default(),
        (AggregateFunction::Min, Form::Text) => Box::<extreme::TextExtreme<false>>::default(),
        (AggregateFunction::Min | AggregateFunction::BoolAnd, _) => Box::<extreme::Extreme<false>>::default(),
        (AggregateFunction::Max, Form::Text) => Box::<extreme::TextExtreme<true>>::default(),
        (AggregateFunction::Max | AggregateFunction::BoolOr, _) => Box::<extreme::Extreme<true>>::default(),
        (AggregateFunction::Stddev, _) => Box::<stddev::Deviation<true>>::default(),
        (AggregateFunction::Variance, _) => Box::<stddev::Deviation<false>>::default(),
        (AggregateFunction::Mode, Form::Text) => Box::<mode::ModeText>::default(),
        (AggregateFunction::Mode, _) => Box::<mode::ModeWords>::default(),
        (AggregateFunction::First | AggregateFunction::ArgMin, Form::TextPairs) => Box::<pick::PickText<false>>::default(),
        (AggregateFunction::First | AggregateFunction::ArgMin, _) => Box::<pick::Pick<false>>::default(),
        (AggregateFunction::Last | AggregateFunction::ArgMax, Form::TextPairs) => Box::<pick::PickText<true>>::default(),
        (AggregateFunction::Last | AggregateFunction::ArgMax, _) => Box::<pick::Pick<true>>::default(),
        (AggregateFunction::Quantile | AggregateFunction::Median, _) => Box::new(quantile::Quantile::new(parameter.quantile())),
        (AggregateFunction::CountDistinct, Form::Text) => Box::<distinct::DistinctText>::default(),
        (AggregateFunction::CountDistinct, _) => Box::<distinct::DistinctWords>::default(),
        (AggregateFunction::StringAgg | AggregateFunction::ArrayAgg, _) => gather::gathered(argument, parameter, false),
        (AggregateFunction::ApproxCountDistinct, _) => Box::new(approx::Sketches::<hyperloglog::HyperLogLog>::new(())),
        (AggregateFunction::ApproxQuantile, _) => Box::new(approx::Sketches::<ddsketch::DdSketch>::new(parameter.quantile())),
        (AggregateFunction::ApproxTopK, form) => {
            let rules = frequent::TopRules { most: if let Parameter::Most(most) = parameter { *most } else { 1 }, of: argument };
            match form {
                Form::Text => Box::new(approx::Sketches::<frequent::Frequent<Box<str>>>::new(rules)),
                _ => Box::new(approx::Sketches::<frequent::Frequent<u64>>::new(rules)),
            }
        }
    }
}

/// The other accumulator of a merge as the kind that it must be.
fn same<T: 'static>(other: &dyn Accumulator) -> RunResult<&T> {
    other.as_any().downcast_ref().ok_or_else(|| RunError::bug("accumulators of two aggregates were merged"))
}

/// The states of `other` that a merge takes, with the groups they are added to.
fn states<'a, T: Copy>(other: &'a [T], pairs: &'a [(u32, u32)]) -> impl Iterator<Item = (T, usize)> + 'a {
    pairs.iter().filter_map(|(from, into)| other.get(*from as usize).map(|state| (*state, *into as usize)))
}

#[cfg(test)]
mod tests;
