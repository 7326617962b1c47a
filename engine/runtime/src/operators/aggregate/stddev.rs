//! `stddev(x)` and `variance(x)`: of the sample, after Welford (1962); merged after Chan, Golub and LeVeque (1979).

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

/// Moments of the values so far. An infinite value or NaN makes the deviation NaN.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
}

impl Moments {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    fn merge(&mut self, other: Moments) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = other;
            return;
        }
        let count = self.count + other.count;
        let between = other.mean - self.mean;
        self.squares += other.squares + between * between * (self.count * other.count / count);
        self.mean += between * (other.count / count);
        self.count = count;
    }
}

/// The standard deviation (`ROOT`), or its square, the variance.
#[derive(Debug, Default)]
pub struct Deviation<const ROOT: bool> {
    states: Vec<Moments>,
}

impl<const ROOT: bool> Accumulator for Deviation<ROOT> {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, Moments::default());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.floats()?) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                state.add(*value);
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (more, group) in states(&same::<Self>(other)?.states, pairs) {
            if let Some(state) = self.states.get_mut(group) {
                state.merge(more);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if let Some(state) = self.states.get_mut(into as usize) {
            state.merge(more);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let state = self.states.get(*group as usize).copied().unwrap_or_default();
            out.f64(state.count);
            out.f64(state.mean);
            out.f64(state.squares);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let read = Moments { count: from.f64()?, mean: from.f64()?, squares: from.f64()? };
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = read;
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.states.get(*group as usize) {
                Some(state) if state.count > 1.0 => {
                    let variance = state.squares / (state.count - 1.0);
                    out.push_f64(if ROOT { variance.sqrt() } else { variance });
                }
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<Moments>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
