//! Sums over rows that change: after a value has been taken back, the sum is what it would be had it never been there.
//!
//! Integers are summed in 128 bits. A sum of floats is kept as floats that do not overlap, whose true sum is the exact one, after Shewchuk
//! (1997): adding and taking away lose nothing, and one rounding is left, at the end. Values near the ends of the range are summed apart and
//! smaller by 2^100, so that no number of rows overflows a part; infinities and NaN are counted.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

#[derive(Debug, Clone, Copy, Default)]
struct Wide {
    sum: i128,
    count: u64,
}

/// A sum of integers, which is NULL while it does not fit a BIGINT.
#[derive(Debug, Default)]
pub struct WideSum {
    states: Vec<Wide>,
}

impl WideSum {
    /// 2^63 values of 64 bits do not overflow 128.
    fn add(&mut self, group: usize, more: Wide) {
        if let Some(state) = self.states.get_mut(group) {
            *state = Wide { sum: state.sum.wrapping_add(more.sum), count: state.count.wrapping_add(more.count) };
        }
    }
}

impl Accumulator for WideSum {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, Wide::default());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.integers()?) {
            self.add(*group as usize, Wide { sum: i128::from(*value), count: 1 });
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.integers()?) {
            self.add(*group as usize, Wide { sum: -i128::from(*value), count: 1u64.wrapping_neg() });
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (more, group) in states(&same::<WideSum>(other)?.states, pairs) {
            self.add(group, more);
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        self.add(into as usize, more);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let state = self.states.get(*group as usize).copied().unwrap_or_default();
            out.u64(state.sum as u64);
            out.i64((state.sum >> 64) as i64);
            out.u64(state.count);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        let saved = from.arrays::<8>(groups.len().saturating_mul(3))?.as_chunks::<3>().0;
        for (group, [low, high, count]) in groups.iter().zip(saved) {
            let (low, high, count) = (u64::from_le_bytes(*low), i64::from_le_bytes(*high), u64::from_le_bytes(*count));
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = Wide { sum: (i128::from(high) << 64) | i128::from(low), count };
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            let state = self.states.get(*group as usize).filter(|state| state.count > 0);
            match state.and_then(|state| i64::try_from(state.sum).ok()) {
                Some(sum) => out.push_i64(sum),
                None => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<Wide>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Values from here on are summed apart: as many as fit 2^53 below it do not overflow.
const LARGE: f64 = f64::from_bits((1023 + 970) << 52);
/// 2^100, by which the large ones are made smaller.
const SCALE: f64 = f64::from_bits((1023 + 100) << 52);

/// Floats that do not overlap, least first, whose sum is exact.
#[derive(Debug, Clone, Default)]
struct Parts(Vec<f64>);

impl Parts {
    fn add(&mut self, value: f64) {
        let mut carried = value;
        let mut kept = 0;
        for at in 0..self.0.len() {
            let Some(part) = self.0.get(at).copied() else { break };
            let (large, small) = if carried.abs() < part.abs() { (part, carried) } else { (carried, part) };
            let sum = large + small;
            let lost = small - (sum - large);
            if lost != 0.0 {
                if let Some(place) = self.0.get_mut(kept) {
                    *place = lost;
                }
                kept += 1;
            }
            carried = sum;
        }
        self.0.truncate(kept);
        if carried != 0.0 {
            self.0.push(carried);
        }
    }

    /// The exact sum, rounded once: the same whatever came and went before.
    fn value(&self) -> f64 {
        let mut rest = self.0.iter().rev().copied();
        let Some(mut sum) = rest.next() else { return 0.0 };
        for part in rest.by_ref() {
            let (before, next) = (sum, sum + part);
            sum = next;
            let lost = part - (next - before);
            if lost != 0.0 {
                // What is below decides a tie.
                let is_beyond = rest.next().is_some_and(|below| (below < 0.0) == (lost < 0.0));
                let up = sum + lost * 2.0;
                return if is_beyond && up - sum == lost * 2.0 { up } else { sum };
            }
        }
        sum
    }
}

/// An exact sum.
#[derive(Debug, Clone, Default)]
struct Exact {
    parts: Parts,
    /// Large values, by 2^100 smaller.
    large: Parts,
    infinite: u64,
    negative_infinite: u64,
    nan: u64,
    count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Add,
    Take,
}

impl Exact {
    fn change(&mut self, value: f64, way: Way) {
        let by = |count: &mut u64| *count = if way == Way::Add { count.wrapping_add(1) } else { count.wrapping_sub(1) };
        by(&mut self.count);
        let signed = if way == Way::Add { value } else { -value };
        if value.is_nan() {
            by(&mut self.nan);
        } else if value == f64::INFINITY {
            by(&mut self.infinite);
        } else if value == f64::NEG_INFINITY {
            by(&mut self.negative_infinite);
        } else if value.abs() >= LARGE {
            self.large.add(signed / SCALE);
        } else {
            self.parts.add(signed);
        }
    }

    fn merge(&mut self, other: &Exact) {
        other.parts.0.iter().for_each(|part| self.parts.add(*part));
        other.large.0.iter().for_each(|part| self.large.add(*part));
        self.infinite += other.infinite;
        self.negative_infinite += other.negative_infinite;
        self.nan += other.nan;
        self.count += other.count;
    }

    /// The sum over `by`; as IEEE says where a value is infinite or not a number.
    fn value(&self, by: f64) -> f64 {
        match (self.nan > 0, self.infinite > 0, self.negative_infinite > 0) {
            (true, _, _) | (_, true, true) => f64::NAN,
            (_, true, _) => f64::INFINITY,
            (_, _, true) => f64::NEG_INFINITY,
            _ if self.large.0.is_empty() => self.parts.value() / by,
            _ => {
                let mut all = self.large.clone();
                all.add(self.parts.value() / SCALE);
                all.value() / by * SCALE
            }
        }
    }

    fn save(&self, out: &mut Writer) {
        for parts in [&self.parts, &self.large] {
            out.u64(parts.0.len() as u64);
            parts.0.iter().for_each(|part| out.f64(*part));
        }
        [self.infinite, self.negative_infinite, self.nan, self.count].into_iter().for_each(|count| out.u64(count));
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        let parts = |from: &mut Reader<'_>| -> RunResult<Parts> {
            let count = from.count(size_of::<f64>())?;
            Ok(Parts((0..count).map(|_| Ok(from.f64()?)).collect::<RunResult<_>>()?))
        };
        let (parts, large) = (parts(from)?, parts(from)?);
        Ok(Exact { parts, large, infinite: from.u64()?, negative_infinite: from.u64()?, nan: from.u64()?, count: from.u64()? })
    }

    fn own_bytes(&self) -> usize {
        (self.parts.0.capacity() + self.large.0.capacity()) * size_of::<f64>()
    }
}

/// A sum or a mean of floats.
#[derive(Debug)]
pub struct ExactFloats {
    states: Vec<Exact>,
    is_mean: bool,
}

impl ExactFloats {
    pub fn sum() -> Self {
        ExactFloats { states: Vec::new(), is_mean: false }
    }

    pub fn mean() -> Self {
        ExactFloats { states: Vec::new(), is_mean: true }
    }

    fn change(&mut self, groups: &[u32], values: Values<'_>, way: Way) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.floats()?) {
            if let Some(state) = self.states.get_mut(*group as usize) {
                state.change(*value, way);
            }
        }
        Ok(())
    }
}

impl Accumulator for ExactFloats {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, Exact::default());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        self.change(groups, values, Way::Add)
    }

    fn retract(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        self.change(groups, values, Way::Take)
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<ExactFloats>(other)?;
        for (from, into) in pairs {
            if let (Some(more), Some(state)) = (other.states.get(*from as usize), self.states.get_mut(*into as usize)) {
                state.merge(more);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.states.get_mut(from as usize).map(std::mem::take).unwrap_or_default();
        if let Some(state) = self.states.get_mut(into as usize) {
            state.merge(&more);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.states.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            self.states.get(*group as usize).cloned().unwrap_or_default().save(out);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let read = Exact::load(from)?;
            if let Some(state) = self.states.get_mut(*group as usize) {
                *state = read;
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.states.get(*group as usize).filter(|state| state.count > 0) {
                Some(state) => out.push_f64(state.value(if self.is_mean { state.count as f64 } else { 1.0 })),
                None => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.states.clear();
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<Exact>() + self.states.iter().map(Exact::own_bytes).sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
