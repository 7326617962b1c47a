//! `sum(DISTINCT x)`, `avg(DISTINCT x)` and their like: an aggregate of numbers that each count once.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::distinct::WordSets;
use super::values::{Form, Values};
use super::words;
use super::{Accumulator, same};
use crate::error::{RunError, RunResult};

/// Lets each number of a group through to the aggregate within once.
///
/// A sum of integers that overflows here is NULL whatever `on_error` says: which row did it depends on which came first.
pub struct DistinctOf {
    form: Form,
    sets: WordSets,
    within: Box<dyn Accumulator>,
    /// Numbers that are new, with their groups.
    groups: Vec<u32>,
    words: Vec<u64>,
}

impl DistinctOf {
    /// `within` takes values of `form`, which are numbers.
    pub fn new(form: Form, within: Box<dyn Accumulator>) -> Self {
        DistinctOf { form, sets: WordSets::default(), within, groups: Vec::new(), words: Vec::new() }
    }

    #[inline]
    fn offer(&mut self, group: u32, word: u64) {
        if self.sets.add(group, word) {
            self.groups.push(group);
            self.words.push(word);
        }
    }

    /// Gives what is new to the aggregate within.
    fn pass_on(&mut self) -> RunResult<()> {
        let (groups, words) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.words));
        match self.form {
            Form::Integers => {
                let values: Vec<i64> = words.iter().map(|word| words::to_i64(*word)).collect();
                self.within.update(&groups, Values::Integers(&values))?;
            }
            Form::Unsigned => self.within.update(&groups, Values::Unsigned(&words))?,
            _ => {
                let values: Vec<f64> = words.iter().map(|word| words::to_f64(*word)).collect();
                self.within.update(&groups, Values::Floats(&values))?;
            }
        }
        (self.groups, self.words) = (groups, words);
        self.groups.clear();
        self.words.clear();
        Ok(())
    }
}

impl Accumulator for DistinctOf {
    fn resize(&mut self, groups: usize) {
        self.sets.resize(groups);
        self.within.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        match values {
            Values::Integers(values) => groups.iter().zip(values).for_each(|(group, value)| self.offer(*group, words::of_i64(*value))),
            Values::Unsigned(values) => groups.iter().zip(values).for_each(|(group, value)| self.offer(*group, *value)),
            Values::Floats(values) => groups.iter().zip(values).for_each(|(group, value)| self.offer(*group, words::of_f64(*value))),
            _ => return Err(RunError::bug("an aggregate of distinct numbers was given other values")),
        }
        self.pass_on()
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            for word in other.sets.members(*from) {
                self.offer(*into, word);
            }
        }
        self.pass_on()
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.within.reset(from);
        self.words = self.sets.fold(from, into);
        self.groups = vec![into; self.words.len()];
        self.pass_on()
    }

    fn reset(&mut self, group: u32) {
        self.sets.reset(group);
        self.within.reset(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        self.sets.save(groups, out);
        self.within.save(groups, out);
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        self.sets.load(groups, from)?;
        self.within.load(groups, from)
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        self.within.finish(groups, out);
    }

    fn clear(&mut self) {
        self.sets.clear();
        self.within.clear();
    }

    fn bytes(&self) -> usize {
        self.sets.bytes() + self.within.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
