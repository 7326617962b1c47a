//! The accumulators of every aggregate of a window, one state of each for every group.

use std::ops::Range;

use millrace_expr::{AggregateFunction, Parameter};
use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, Writer};

use crate::error::{RunError, RunResult};
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::retract::retracting;
use crate::operators::aggregate::sum::{Added, CheckedSum};
use crate::operators::aggregate::values::Argument;
use crate::operators::aggregate::{Accumulator, accumulator, distinct_accumulator};

/// One aggregate as its states hold it.
#[derive(Debug, Clone)]
pub struct AggregateShape {
    pub function: AggregateFunction,
    /// Of the argument; any for `count(*)`.
    pub argument: Type,
    /// Of what rows are sorted by, where an expression tells it.
    pub by: Option<Type>,
    pub parameter: Parameter,
    /// Whether a value counts once in a group.
    pub distinct: bool,
}

/// What all states of an operator have in common.
#[derive(Debug, Clone, Default)]
pub struct PaneShape {
    pub keys: Vec<Type>,
    /// What the input calls them.
    pub key_names: Vec<String>,
    pub aggregates: Vec<AggregateShape>,
    /// What stands beside the states in a snapshot, in a word; nothing where a result is told once.
    pub beside: &'static str,
}

impl PaneShape {
    /// The types that states are made of, in words: a snapshot of others cannot be read.
    pub fn types(&self) -> String {
        let aggregates = self.aggregates.iter().flat_map(|one| [one.argument].into_iter().chain(one.by));
        let names = self.keys.iter().copied().chain(aggregates).map(|of| of.name());
        names.chain(Some(self.beside).filter(|beside| !beside.is_empty())).collect::<Vec<_>>().join(", ")
    }
}

/// What a sum does with the row that overflows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverflow {
    /// The row counts for no aggregate and is told.
    Refuse,
    /// The sum is NULL from then on.
    GiveUp,
}

/// A row that a sum or a list refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub row: usize,
    /// Of the aggregates.
    pub aggregate: usize,
    pub reason: String,
}

/// Memory that updates work in, kept between batches.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The group of each row.
    pub groups: Vec<u32>,
    present: Vec<u32>,
}

pub struct States {
    accumulators: Vec<Box<dyn Accumulator>>,
    /// Whether any is a [`CheckedSum`].
    has_checked: bool,
    /// Whether any can be full.
    has_bounded: bool,
}

impl States {
    pub fn new(shape: &PaneShape) -> Self {
        let make = |one: &AggregateShape| match one.distinct {
            true => distinct_accumulator(one.function, one.argument, &one.parameter),
            false => accumulator(one.function, one.argument, &one.parameter),
        };
        States::of(shape.aggregates.iter().map(make).collect())
    }

    /// States that can take back what they were given.
    pub fn retracting(shape: &PaneShape) -> RunResult<Self> {
        let make = |one: &AggregateShape| retracting(one).map_err(RunError::bug);
        Ok(States::of(shape.aggregates.iter().map(make).collect::<RunResult<_>>()?))
    }

    fn of(mut accumulators: Vec<Box<dyn Accumulator>>) -> Self {
        let has_checked = accumulators.iter_mut().any(|accumulator| accumulator.as_checked().is_some());
        let has_bounded = accumulators.iter_mut().any(|accumulator| accumulator.as_bounded().is_some());
        States { accumulators, has_checked, has_bounded }
    }

    /// Makes room for groups 0 to `groups` - 1; new ones are empty.
    pub fn resize(&mut self, groups: usize) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.resize(groups));
    }

    /// Adds `rows`, whose groups stand in `scratch`. `arguments` has one for each aggregate, and takes its rows in order. Gives the rows
    /// that a sum or a list refused.
    pub fn update(
        &mut self,
        rows: Range<usize>,
        arguments: &mut [Argument<'_>],
        on_overflow: OnOverflow,
        scratch: &mut Scratch,
    ) -> RunResult<Vec<Refusal>> {
        if self.has_bounded && !self.fits(&rows, arguments, scratch)? {
            return self.update_by_row(rows, arguments, on_overflow, scratch);
        }
        if self.has_checked && self.add_checked(&rows, arguments, scratch)? == Added::Wrapped {
            return self.update_by_row(rows, arguments, on_overflow, scratch);
        }
        for (accumulator, argument) in self.accumulators.iter_mut().zip(arguments) {
            if accumulator.as_checked().is_some() {
                argument.skip(&rows);
                continue;
            }
            let (groups, values) = argument.peek(&rows, &scratch.groups, &mut scratch.present);
            accumulator.update(groups, values)?;
            argument.skip(&rows);
        }
        Ok(Vec::new())
    }

    /// Takes `rows` back, which were added before; the rest is as with [`States::update`].
    pub fn retract(&mut self, rows: Range<usize>, arguments: &mut [Argument<'_>], scratch: &mut Scratch) -> RunResult<()> {
        for (accumulator, argument) in self.accumulators.iter_mut().zip(arguments) {
            let (groups, values) = argument.peek(&rows, &scratch.groups, &mut scratch.present);
            accumulator.retract(groups, values)?;
            argument.skip(&rows);
        }
        Ok(())
    }

    /// Adds to the checked sums alone; if any overflows, none of them has changed.
    fn add_checked(&mut self, rows: &Range<usize>, arguments: &[Argument<'_>], scratch: &mut Scratch) -> RunResult<Added> {
        let mut added = Added::Exactly;
        let mut tried = 0;
        for (at, (sum, argument)) in checked(&mut self.accumulators, arguments) {
            let (groups, values) = argument.peek(rows, &scratch.groups, &mut scratch.present);
            tried = at + 1;
            if sum.try_update(groups, values.integers()?) == Added::Wrapped {
                added = Added::Wrapped;
                break;
            }
        }
        if added == Added::Wrapped {
            for (_, (sum, argument)) in checked(&mut self.accumulators, arguments).take_while(|(at, _)| *at < tried) {
                let (groups, values) = argument.peek(rows, &scratch.groups, &mut scratch.present);
                sum.revert(groups, values.integers()?);
            }
        }
        Ok(added)
    }

    /// Whether all lists have room.
    fn fits(&mut self, rows: &Range<usize>, arguments: &[Argument<'_>], scratch: &mut Scratch) -> RunResult<bool> {
        for (accumulator, argument) in self.accumulators.iter_mut().zip(arguments) {
            if let Some(list) = accumulator.as_bounded() {
                let (groups, values) = argument.peek(rows, &scratch.groups, &mut scratch.present);
                if !list.fits(groups, values)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Why the lists cannot take a row more.
    fn excess(&mut self, row: usize, group: u32, arguments: &[Argument<'_>], on_overflow: OnOverflow) -> RunResult<Option<Refusal>> {
        let mut refusal = None;
        for (aggregate, (accumulator, argument)) in self.accumulators.iter_mut().zip(arguments).enumerate() {
            let Some(list) = accumulator.as_bounded() else { continue };
            let (one, mut present) = ([group], Vec::new());
            let (groups, values) = argument.peek(&(row..row + 1), &one, &mut present);
            if groups.is_empty() {
                continue;
            }
            if let Some(reason) = list.excess(group, values)? {
                refusal = refusal.or(Some(Refusal { row, aggregate, reason }));
                if on_overflow == OnOverflow::GiveUp {
                    list.give_up(group);
                }
            }
        }
        Ok(refusal)
    }

    /// The slow way, taken by batches in which a sum overflows or a list is full: row by row, each asked before any aggregate changes.
    #[cold]
    fn update_by_row(
        &mut self,
        rows: Range<usize>,
        arguments: &mut [Argument<'_>],
        on_overflow: OnOverflow,
        scratch: &mut Scratch,
    ) -> RunResult<Vec<Refusal>> {
        let mut refused = Vec::new();
        let all = std::mem::take(&mut scratch.groups);
        for (row, group) in rows.zip(all.iter().copied()) {
            let (one, group_alone) = (row..row + 1, [group]);
            let mut refusal = if self.has_bounded { self.excess(row, group, arguments, on_overflow)? } else { None };
            for (aggregate, (sum, argument)) in checked(&mut self.accumulators, arguments) {
                let (_, values) = argument.peek(&one, &group_alone, &mut scratch.present);
                let Some(value) = values.integers()?.first().copied() else { continue };
                if let Some(before) = sum.overflow(group, value) {
                    let reason = format!("{before} + {value} does not fit a BIGINT");
                    refusal = refusal.or(Some(Refusal { row, aggregate, reason }));
                    if on_overflow == OnOverflow::GiveUp {
                        sum.give_up(group);
                    }
                }
            }
            let is_refused = refusal.is_some() && on_overflow == OnOverflow::Refuse;
            for (accumulator, argument) in self.accumulators.iter_mut().zip(arguments.iter_mut()) {
                let (groups, values) = argument.peek(&one, &group_alone, &mut scratch.present);
                let gave_up = accumulator.as_checked().is_some_and(|sum| sum.gave_up(group));
                if !is_refused && !gave_up && !groups.is_empty() {
                    accumulator.update(groups, values)?;
                }
                argument.skip(&one);
            }
            refused.extend(refusal.filter(|_| is_refused));
        }
        scratch.groups = all;
        Ok(refused)
    }

    /// Adds groups of `other`, of the same shape: of each pair its first to the second here.
    pub fn merge(&mut self, other: &States, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (accumulator, more) in self.accumulators.iter_mut().zip(&other.accumulators) {
            accumulator.merge(more.as_ref(), pairs)?;
        }
        Ok(())
    }

    /// Adds one group to another and empties it.
    pub fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.accumulators.iter_mut().try_for_each(|accumulator| accumulator.fold(from, into))
    }

    /// Empties one group, so that its number can serve another.
    pub fn reset(&mut self, group: u32) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.reset(group));
    }

    /// Gives out some groups, a column of each aggregate.
    pub fn give(&mut self, groups: &[u32], aggregates: &mut [Cells]) {
        for (accumulator, out) in self.accumulators.iter_mut().zip(aggregates) {
            accumulator.finish(groups, out);
        }
    }

    /// Writes the states of some groups, in this order.
    pub fn save(&self, groups: &[u32], out: &mut Writer) {
        self.accumulators.iter().for_each(|accumulator| out.within(|out| accumulator.save(groups, out)));
    }

    /// Reads what [`States::save`] wrote into as many groups, for which there is room, and which are empty.
    pub fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for accumulator in &mut self.accumulators {
            // Written before aggregates were added at the end, as the types that were read first have told: the new ones are empty.
            if from.remaining() == 0 {
                break;
            }
            let mut states = from.within()?;
            accumulator.load(groups, &mut states)?;
            states.finish()?;
        }
        Ok(())
    }

    /// How many numbers each state is as a row of a partial result; none if one of them cannot be.
    pub fn words(&self) -> Option<usize> {
        self.accumulators.iter().map(|accumulator| Some(accumulator.words()).filter(|words| *words > 0)).sum()
    }

    /// Adds the states of some groups to columns, as many as [`States::words`] says.
    pub fn give_words(&self, groups: &[u32], mut out: &mut [Vec<i64>]) {
        for accumulator in &self.accumulators {
            let Some((own, rest)) = out.split_at_mut_checked(accumulator.words()) else { return };
            accumulator.give_words(groups, own);
            out = rest;
        }
    }

    /// Adds what [`States::give_words`] gave, each row to its group.
    pub fn take_words(&mut self, groups: &[u32], mut words: &[&[i64]]) {
        for accumulator in &mut self.accumulators {
            let Some((own, rest)) = words.split_at_checked(accumulator.words()) else { return };
            accumulator.take_words(groups, own);
            words = rest;
        }
    }

    pub fn clear(&mut self) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.clear());
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.accumulators.iter().map(|accumulator| accumulator.bytes()).sum()
    }
}

/// The checked sums among the accumulators, with their places and arguments.
fn checked<'a, 'b>(
    accumulators: &'a mut [Box<dyn Accumulator>],
    arguments: &'a [Argument<'b>],
) -> impl Iterator<Item = (usize, (&'a mut CheckedSum, &'a Argument<'b>))> {
    let pairs = accumulators.iter_mut().zip(arguments).enumerate();
    pairs.filter_map(|(at, (accumulator, argument))| accumulator.as_checked().map(|sum| (at, (sum, argument))))
}
