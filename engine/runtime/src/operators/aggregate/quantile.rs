//! `quantile(x, q)` and `median(x)`: exact, interpolated linearly between the two nearest values, as DuckDB's `quantile_cont`.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::lists::Lists;
use super::values::Values;
use super::{Accumulator, same};
use crate::error::RunResult;

/// All values of all groups; a window that fires selects in each group in linear time.
///
/// The state grows with the values, not with the groups; a sketch would bound it at the price of exactness.
#[derive(Debug)]
pub struct Quantile {
    quantile: f64,
    values: Lists<f64>,
    /// A group's values, to move about.
    scratch: Vec<f64>,
}

impl Quantile {
    /// `quantile` from 0 to 1.
    pub fn new(quantile: f64) -> Self {
        Quantile { quantile, values: Lists::default(), scratch: Vec::new() }
    }
}

/// The q-quantile of values in any order; they are moved about. `None` if there are none.
fn select(values: &mut [f64], quantile: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = last as f64 * quantile;
    let below = (place.floor() as usize).min(last);
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let part = place - below as f64;
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(high) if part > 0.0 => Some(low + (high - low) * part),
        _ => Some(low),
    }
}

impl Accumulator for Quantile {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, value) in groups.iter().zip(values.floats()?) {
            // One NaN, and a positive one, is the greatest by `total_cmp`.
            self.values.push(*group, if value.is_nan() { f64::NAN } else { *value });
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Quantile>(other)?;
        for (from, into) in pairs {
            for value in other.values.values(*from) {
                self.values.push(*into, *value);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.values.join(from, into);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.values.reset(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            out.u64(self.values.count(*group) as u64);
            self.values.values(*group).for_each(|value| out.f64(*value));
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(size_of::<f64>())? {
                self.values.push(*group, from.f64()?);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            self.scratch.clear();
            self.scratch.extend(self.values.values(*group));
            match select(&mut self.scratch, self.quantile) {
                Some(value) => out.push_f64(value),
                None => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.values.clear();
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.scratch.capacity() * size_of::<f64>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
