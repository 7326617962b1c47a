//! `min(x)` and `max(x)` of every type. NaN is greatest, text compares by its bytes.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, states};
use crate::error::RunResult;

/// The greatest (`MAX`) or least word of each group; see [`super::words`].
#[derive(Debug, Default)]
pub struct Extreme<const MAX: bool> {
    words: Vec<u64>,
    seen: Vec<bool>,
}

impl<const MAX: bool> Extreme<MAX> {
    /// Gives way to every value.
    const WORST: u64 = if MAX { 0 } else { u64::MAX };

    #[inline]
    fn offer(&mut self, group: usize, word: u64) {
        if let (Some(best), Some(seen)) = (self.words.get_mut(group), self.seen.get_mut(group)) {
            *best = if MAX { word.max(*best) } else { word.min(*best) };
            *seen = true;
        }
    }
}

impl<const MAX: bool> Accumulator for Extreme<MAX> {
    fn resize(&mut self, groups: usize) {
        self.words.resize(groups, Self::WORST);
        self.seen.resize(groups, false);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, word) in groups.iter().zip(values.words()?) {
            self.offer(*group as usize, *word);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for ((word, group), (seen, _)) in states(&other.words, pairs).zip(states(&other.seen, pairs)) {
            if seen {
                self.offer(group, word);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        if let (Some(word), Some(true)) = (self.words.get(from as usize).copied(), self.seen.get(from as usize)) {
            self.offer(into as usize, word);
        }
        self.reset(from);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        if let (Some(best), Some(seen)) = (self.words.get_mut(group as usize), self.seen.get_mut(group as usize)) {
            (*best, *seen) = (Self::WORST, false);
        }
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            out.flag(self.seen.get(*group as usize).copied().unwrap_or_default());
            out.u64(self.words.get(*group as usize).copied().unwrap_or(Self::WORST));
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for (group, [is_seen, word @ ..]) in groups.iter().zip(from.arrays::<9>(groups.len())?) {
            if from.as_flag(*is_seen)? {
                self.offer(*group as usize, u64::from_le_bytes(*word));
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match (self.words.get(*group as usize), self.seen.get(*group as usize)) {
                (Some(word), Some(true)) => out.push_word(*word),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.words.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.seen.capacity()
    }

    fn words(&self) -> usize {
        2
    }

    fn give_words(&self, groups: &[u32], out: &mut [Vec<i64>]) {
        let [words, seen] = out else { return };
        for group in groups {
            words.push(self.words.get(*group as usize).copied().unwrap_or(Self::WORST) as i64);
            seen.push(i64::from(self.seen.get(*group as usize).copied().unwrap_or_default()));
        }
    }

    fn take_words(&mut self, groups: &[u32], words: &[&[i64]]) {
        let [words, seen] = words else { return };
        for ((group, word), seen) in groups.iter().zip(*words).zip(*seen) {
            if *seen != 0 {
                self.offer(*group as usize, *word as u64);
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The greatest (`MAX`) or least text of each group.
#[derive(Debug, Default)]
pub struct TextExtreme<const MAX: bool> {
    texts: Vec<Option<Box<str>>>,
    text_bytes: usize,
}

impl<const MAX: bool> TextExtreme<MAX> {
    fn take(&mut self, group: u32) -> Option<Box<str>> {
        let text = self.texts.get_mut(group as usize)?.take()?;
        self.text_bytes -= text.len();
        Some(text)
    }

    fn offer(&mut self, group: usize, text: &str) {
        let Some(best) = self.texts.get_mut(group) else { return };
        let better = match best.as_deref() {
            None => true,
            Some(best) if MAX => text > best,
            Some(best) => text < best,
        };
        if better {
            self.text_bytes = self.text_bytes + text.len() - best.as_deref().map_or(0, str::len);
            *best = Some(Box::from(text));
        }
    }
}

impl<const MAX: bool> Accumulator for TextExtreme<MAX> {
    fn resize(&mut self, groups: usize) {
        self.texts.resize(groups, None);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, text) in groups.iter().zip(values.text()?) {
            self.offer(*group as usize, text);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            if let Some(Some(text)) = other.texts.get(*from as usize) {
                self.offer(*into as usize, text);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        if let Some(text) = self.take(from) {
            self.offer(into as usize, &text);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let text = self.texts.get(*group as usize).and_then(Option::as_deref);
            out.flag(text.is_some());
            out.text(text.unwrap_or_default());
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            let (is_seen, text) = (from.flag()?, from.text()?);
            if is_seen {
                self.offer(*group as usize, text);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.texts.get(*group as usize) {
                Some(Some(text)) => out.push_text(text),
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.text_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.texts.capacity() * size_of::<Option<Box<str>>>() + self.text_bytes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
