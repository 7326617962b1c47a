//! `arg_min(x, y)`, `arg_max(x, y)`, and by event time `first(x)`, `last(x)`: the value of the row that sorts first or last.
//!
//! Of rows that sort alike the least value is first and the greatest last, so that the answer is the same in whatever order they came.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

/// What a row is sorted by, then its value; see [`super::words`].
type Pair = (u64, u64);

/// The word of the last (`LAST`) or first row of each group.
#[derive(Debug, Default)]
pub struct Pick<const LAST: bool> {
    best: Vec<Option<Pair>>,
}

impl<const LAST: bool> Pick<LAST> {
    #[inline]
    fn offer(&mut self, group: usize, pair: Pair) {
        if let Some(best) = self.best.get_mut(group) {
            *best = Some(match *best {
                None => pair,
                Some(best) if LAST => best.max(pair),
                Some(best) => best.min(pair),
            });
        }
    }
}

impl<const LAST: bool> Accumulator for Pick<LAST> {
    fn resize(&mut self, groups: usize) {
        self.best.resize(groups, None);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, pair) in groups.iter().zip(values.pairs()?) {
            self.offer(*group as usize, *pair);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        for (best, group) in states(&same::<Self>(other)?.best, pairs) {
            if let Some(pair) = best {
                self.offer(group, pair);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        if let Some(pair) = self.best.get_mut(from as usize).and_then(Option::take) {
            self.offer(into as usize, pair);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.best.get_mut(group as usize).map(Option::take);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let best = self.best.get(*group as usize).copied().flatten();
            let (by, word) = best.unwrap_or_default();
            out.flag(best.is_some());
            out.u64(by);
            out.u64(word);
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let (is_there, pair) = (from.flag()?, (from.u64()?, from.u64()?));
            if is_there {
                self.offer(*group as usize, pair);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.best.get(*group as usize) {
                Some(Some((_, word))) => out.push_word(*word),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.best.clear();
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<Pair>>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The text of the last (`LAST`) or first row of each group.
#[derive(Debug, Default)]
pub struct PickText<const LAST: bool> {
    best: Vec<Option<(u64, Box<str>)>>,
    text_bytes: usize,
}

impl<const LAST: bool> PickText<LAST> {
    fn offer(&mut self, group: usize, by: u64, text: &str) {
        let Some(best) = self.best.get_mut(group) else { return };
        let better = match best {
            None => true,
            Some((best_by, best)) if LAST => (by, text) > (*best_by, best),
            Some((best_by, best)) => (by, text) < (*best_by, best),
        };
        if better {
            self.text_bytes = self.text_bytes + text.len() - best.as_ref().map_or(0, |(_, best)| best.len());
            *best = Some((by, Box::from(text)));
        }
    }

    fn take(&mut self, group: u32) -> Option<(u64, Box<str>)> {
        let best = self.best.get_mut(group as usize)?.take()?;
        self.text_bytes -= best.1.len();
        Some(best)
    }
}

impl<const LAST: bool> Accumulator for PickText<LAST> {
    fn resize(&mut self, groups: usize) {
        self.best.resize(groups, None);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, (by, text)) in groups.iter().zip(values.text_pairs()?) {
            self.offer(*group as usize, *by, text);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            if let Some(Some((by, text))) = other.best.get(*from as usize) {
                self.offer(*into as usize, *by, text);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        if let Some((by, text)) = self.take(from) {
            self.offer(into as usize, by, &text);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let best = self.best.get(*group as usize).and_then(Option::as_ref);
            out.flag(best.is_some());
            out.u64(best.map_or(0, |(by, _)| *by));
            out.text(best.map_or("", |(_, text)| text));
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let (is_there, by, text) = (from.flag()?, from.u64()?, from.text()?);
            if is_there {
                self.offer(*group as usize, by, text);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.best.get(*group as usize) {
                Some(Some((_, text))) => out.push_text(text),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.best.clear();
        self.text_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<(u64, Box<str>)>>() + self.text_bytes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
