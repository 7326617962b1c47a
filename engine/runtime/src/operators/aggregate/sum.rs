//! `sum(x)`: of integers checked, as BIGINT; of floats compensated, as DOUBLE.

use std::any::Any;

use hashbrown::HashSet;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

/// A sum of integers that never wraps: a value that does not fit is told before it is added, and the node's `on_error` says what
/// becomes of it.
///
/// Sums are tried in bulk and wrapping; only if one overflowed is the batch taken back ([`CheckedSum::revert`], exact since
/// wrapping addition has an inverse) and added value by value.
#[derive(Debug, Default)]
pub struct CheckedSum {
    states: Vec<Sum>,
    /// Groups whose sum is NULL because it overflowed under `on_error = "null"`, or in a merge, where no row is left to refuse.
    overflowed: HashSet<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: i64,
    count: u64,
}

/// Whether a bulk addition may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Exactly,
    /// Something overflowed: take it back.
    Wrapped,
}

impl CheckedSum {
    /// Adds all values, wrapping.
    pub fn try_update(&mut self, groups: &[u32], values: &[i64]) -> Added {
        let mut wrapped = false;
        for (group, value) in groups.iter().zip(values) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                let (sum, over) = state.sum.overflowing_add(*value);
                *state = Sum { sum, count: state.count + 1 };
                wrapped |= over;
            }
        }
        if wrapped { Added::Wrapped } else { Added::Exactly }
    }

    /// Takes back what [`CheckedSum::try_update`] added.
    pub fn revert(&mut self, groups: &[u32], values: &[i64]) {
        for (group, value) in groups.iter().zip(values) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = Sum { sum: state.sum.wrapping_sub(*value), count: state.count.wrapping_sub(1) };
            }
        }
    }

    /// The sum so far, if adding `value` overflows it.
    pub fn overflow(&self, group: u32, value: i64) -> Option<i64> {
        let sum = self.states.get(group as usize)?.sum;
        sum.checked_add(value).is_none().then_some(sum)
    }

    pub fn gave_up(&self, group: u32) -> bool {
        self.overflowed.contains(&group)
    }

    /// The group's sum is NULL from now on.
    pub fn give_up(&mut self, group: u32) {
        self.overflowed.insert(group);
        // At zero it does not overflow at every further row.
        if let Some(state) = self.states.get_mut(group as usize) {
            state.sum = 0;
        }
    }
}

impl Accumulator for CheckedSum {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, Sum::default());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        let values = values.integers()?;
        if self.try_update(groups, values) == Added::Exactly {
            return Ok(());
        }
        self.revert(groups, values);
        for (group, value) in groups.iter().zip(values) {
            if self.overflow(*group, *value).is_some() {
                self.give_up(*group);
            } else {
                self.try_update(&[*group], &[*value]);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<CheckedSum>(other)?;
        for (from, group) in pairs {
            let more = other.states.get(*from as usize).copied().unwrap_or_default();
            if self.overflow(*group, more.sum).is_some() || other.overflowed.contains(from) {
                self.give_up(*group);
            } else if let Some(state) = self.states.get_mut(*group as usize) {
                *state = Sum { sum: state.sum.wrapping_add(more.sum), count: state.count + more.count };
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if self.overflowed.remove(&from) || self.overflow(into, more.sum).is_some() {
            self.give_up(into);
        } else if let Some(state) = self.states.get_mut(into as usize) {
            *state = Sum { sum: state.sum.wrapping_add(more.sum), count: state.count + more.count };
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
        self.overflowed.remove(&group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let state = self.states.get(*group as usize).copied().unwrap_or_default();
            out.i64(state.sum);
            out.u64(state.count);
            out.flag(self.overflowed.contains(group));
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let read = Sum { sum: from.i64()?, count: from.u64()? };
            if from.flag()? {
                self.overflowed.insert(*group);
            }
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = read;
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.states.get(*group as usize) {
                Some(state) if state.count > 0 && !self.overflowed.contains(group) => out.push_i64(state.sum),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
        self.overflowed.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<Sum>() + self.overflowed.capacity() * size_of::<u32>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_checked(&mut self) -> Option<&mut CheckedSum> {
        Some(self)
    }
}

/// A running sum with what rounding lost of it, after Neumaier (1974): the error does not grow with the number of values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    #[inline]
    pub fn add(&mut self, value: f64) {
        let next = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - next) + value } else { (value - next) + self.sum };
        self.sum = next;
    }

    pub fn save(self, out: &mut Writer) {
        out.f64(self.sum);
        out.f64(self.lost);
    }

    pub fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok(Compensated { sum: from.f64()?, lost: from.f64()? })
    }

    #[inline]
    pub fn merge(&mut self, other: Compensated) {
        self.add(other.sum);
        self.lost += other.lost;
    }

    /// The sum; what IEEE says where it is infinite or not a number.
    pub fn value(self) -> f64 {
        let exact = self.sum + self.lost;
        if self.sum.is_finite() { exact } else { self.sum }
    }
}

/// A sum of floats.
#[derive(Debug, Default)]
pub struct FloatSum {
    sums: Vec<Compensated>,
    seen: Vec<bool>,
}

impl Accumulator for FloatSum {
    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, Compensated::default());
        self.seen.resize(groups, false);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.floats()?) {
            if let (Some(sum), Some(seen)) = (self.sums.get_mut(*group as usize), self.seen.get_mut(*group as usize)) {
                sum.add(*value);
                *seen = true;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<FloatSum>(other)?;
        for ((more, group), (more_seen, _)) in states(&other.sums, pairs).zip(states(&other.seen, pairs)) {
            if let (Some(sum), Some(seen)) = (self.sums.get_mut(group), self.seen.get_mut(group)) {
                sum.merge(more);
                *seen |= more_seen;
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.sums.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        let more_seen = self.seen.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if let (Some(sum), Some(seen)) = (self.sums.get_mut(into as usize), self.seen.get_mut(into as usize)) {
            sum.merge(more);
            *seen |= more_seen;
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.sums.get_mut(group as usize).map(std::mem::take);
        self.seen.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            out.flag(self.seen.get(*group as usize).copied().unwrap_or_default());
            self.sums.get(*group as usize).copied().unwrap_or_default().save(out);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let (is_seen, read) = (from.flag()?, Compensated::load(from)?);
            if let (Some(sum), Some(seen)) = (self.sums.get_mut(*group as usize), self.seen.get_mut(*group as usize)) {
                (*sum, *seen) = (read, is_seen);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match (self.sums.get(*group as usize), self.seen.get(*group as usize)) {
                (Some(sum), Some(true)) => out.push_f64(sum.value()),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Compensated>() + self.seen.capacity()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
