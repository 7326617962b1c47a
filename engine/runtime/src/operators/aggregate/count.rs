//! `count(*)` and `count(x)`.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

#[derive(Debug, Default)]
pub struct Count {
    counts: Vec<i64>,
}

impl Accumulator for Count {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn update(&mut self, groups: &[u32], _: Values<'_>) -> RunResult<()> {
        for group in groups {
            if let Some(count) = self.counts.get_mut(*group as usize) {
                *count += 1;
            }
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], _: Values<'_>) -> RunResult<()> {
        for group in groups {
            if let Some(count) = self.counts.get_mut(*group as usize) {
                *count -= 1;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (more, group) in states(&same::<Count>(other)?.counts, pairs) {
            if let Some(count) = self.counts.get_mut(group) {
                *count += more;
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.counts.get_mut(from as usize).map_or(0, std::mem::take);
        if let Some(count) = self.counts.get_mut(into as usize) {
            *count += more;
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.counts.get_mut(group as usize).map(std::mem::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let state = self.counts.get(*group as usize).copied().unwrap_or_default();
            out.i64(state);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for (group, count) in groups.iter().zip(from.arrays::<8>(groups.len())?) {
            if let Some(state) = self.counts.get_mut(*group as usize) {
                *state = i64::from_le_bytes(*count);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            out.push_i64(self.counts.get(*group as usize).copied().unwrap_or(0));
        }
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }

    fn words(&self) -> usize {
        1
    }

    fn give_words(&self, groups: &[u32], out: &mut [Vec<i64>]) {
        let [counts] = out else { return };
        counts.extend(groups.iter().map(|group| self.counts.get(*group as usize).copied().unwrap_or(0)));
    }

    fn take_words(&mut self, groups: &[u32], words: &[&[i64]]) {
        let [counts] = words else { return };
        for (group, more) in groups.iter().zip(*counts) {
            if let Some(count) = self.counts.get_mut(*group as usize) {
                *count += more;
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
