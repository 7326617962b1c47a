//! `avg(x)`: of integers exact until the one division, of floats compensated.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::sum::Compensated;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::{RunError, RunResult};

/// A 128-bit sum in two halves, so that a state is 24 bytes and not 32.
#[derive(Debug, Clone, Copy, Default)]
struct WideMean {
    low: u64,
    high: i64,
    count: u64,
}

impl WideMean {
    #[inline]
    fn add(&mut self, value: i128, count: u64) {
        // 2^63 values of 64 bits do not overflow 128.
        let sum = self.sum().wrapping_add(value);
        self.low = sum as u64;
        self.high = (sum >> 64) as i64;
        self.count += count;
    }

    fn subtract(&mut self, value: i128) {
        *self = WideMean { count: self.count.saturating_sub(1), ..*self };
        self.add(-value, 0);
    }

    #[inline]
    fn sum(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }
}

#[derive(Debug, Default)]
pub struct IntegerMean {
    states: Vec<WideMean>,
}

impl IntegerMean {
    fn add(&mut self, groups: &[u32], values: impl Iterator<Item = i128>) {
        for (group, value) in groups.iter().zip(values) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                state.add(value, 1);
            }
        }
    }

    fn subtract(&mut self, groups: &[u32], values: impl Iterator<Item = i128>) {
        for (group, value) in groups.iter().zip(values) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                state.subtract(value);
            }
        }
    }
}

impl Accumulator for IntegerMean {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, WideMean::default());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        match values {
            Values::Integers(values) => self.add(groups, values.iter().map(|value| i128::from(*value))),
            Values::Unsigned(values) => self.add(groups, values.iter().map(|value| i128::from(*value))),
            _ => return Err(RunError::bug("a mean of integers was given other values")),
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        match values {
            Values::Integers(values) => self.subtract(groups, values.iter().map(|value| i128::from(*value))),
            Values::Unsigned(values) => self.subtract(groups, values.iter().map(|value| i128::from(*value))),
            _ => return Err(RunError::bug("a mean of integers was given other values")),
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (more, group) in states(&same::<IntegerMean>(other)?.states, pairs) {
            if let Some(state) = self.states.get_mut(group) {
                state.add(more.sum(), more.count);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if let Some(state) = self.states.get_mut(into as usize) {
            state.add(more.sum(), more.count);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let state = self.states.get(*group as usize).copied().unwrap_or_default();
            out.u64(state.low);
            out.i64(state.high);
            out.u64(state.count);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        let saved = from.arrays::<8>(groups.len().saturating_mul(3))?.as_chunks::<3>().0;
        for (group, [low, high, count]) in groups.iter().zip(saved) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = WideMean { low: u64::from_le_bytes(*low), high: i64::from_le_bytes(*high), count: u64::from_le_bytes(*count) };
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.states.get(*group as usize) {
                Some(state) if state.count > 0 => out.push_f64(state.sum() as f64 / state.count as f64),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<WideMean>()
    }

    fn words(&self) -> usize {
        3
    }

    fn give_words(&self, groups: &[u32], out: &mut [Vec<i64>]) {
        let [low, high, count] = out else { return };
        for group in groups {
            let state = self.states.get(*group as usize).copied().unwrap_or_default();
            low.push(state.low as i64);
            high.push(state.high);
            count.push(state.count as i64);
        }
    }

    fn take_words(&mut self, groups: &[u32], words: &[&[i64]]) {
        let [low, high, count] = words else { return };
        for (((group, low), high), count) in groups.iter().zip(*low).zip(*high).zip(*count) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                let more = WideMean { low: *low as u64, high: *high, count: *count as u64 };
                state.add(more.sum(), more.count);
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Default)]
pub struct FloatMean {
    states: Vec<(Compensated, u64)>,
}

impl Accumulator for FloatMean {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, (Compensated::default(), 0));
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.floats()?) {
            if let Some((sum, count)) = self.states.get_mut(*group as usize) {
                sum.add(*value);
                *count += 1;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for ((more, more_count), group) in states(&same::<FloatMean>(other)?.states, pairs) {
            if let Some((sum, count)) = self.states.get_mut(group) {
                sum.merge(more);
                *count += more_count;
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let (more, more_count) = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if let Some((sum, count)) = self.states.get_mut(into as usize) {
            sum.merge(more);
            *count += more_count;
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let (sum, count) = self.states.get(*group as usize).copied().unwrap_or_default();
            sum.save(out);
            out.u64(count);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let read = (Compensated::load(from)?, from.u64()?);
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = read;
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.states.get(*group as usize) {
                Some((sum, count)) if *count > 0 => out.push_f64(sum.value() / *count as f64),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<(Compensated, u64)>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
