//! `mode(x)`: the most frequent value, exact; of several the least.

use std::any::Any;

use hashbrown::HashMap;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same};
use crate::error::RunResult;

/// How often each value of each group came: a map for each group that has one, so that a session's goes with it.
#[derive(Debug, Default)]
struct Counts<K> {
    groups: Vec<HashMap<K, u64>>,
    /// What a group has that there is not.
    none: HashMap<K, u64>,
    /// Of all groups.
    values: usize,
}

impl<K: std::hash::Hash + Eq + Ord + Clone> Counts<K> {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, HashMap::new);
    }

    fn add(&mut self, group: u32, value: K, count: u64) {
        if let Some(counts) = self.groups.get_mut(group as usize) {
            let before = counts.len();
            *counts.entry(value).or_default() += count;
            self.values += counts.len() - before;
        }
    }

    fn take(&mut self, group: u32) -> HashMap<K, u64> {
        let counts = self.groups.get_mut(group as usize).map(std::mem::take).unwrap_or_default();
        self.values -= counts.len();
        counts
    }

    fn of(&self, group: u32) -> &HashMap<K, u64> {
        self.groups.get(group as usize).unwrap_or(&self.none)
    }

    fn merge(&mut self, other: &Counts<K>, pairs: &[(u32, u32)]) {
        for (from, into) in pairs {
            for (value, count) in other.groups.get(*from as usize).into_iter().flatten() {
                self.add(*into, value.clone(), *count);
            }
        }
    }

    fn move_to(&mut self, from: u32, into: u32) {
        for (value, count) in self.take(from) {
            self.add(into, value, count);
        }
    }

    fn mode(&self, group: u32) -> Option<&K> {
        let counts = self.groups.get(group as usize)?;
        counts.iter().max_by(|(a, count_a), (b, count_b)| count_a.cmp(count_b).then_with(|| b.cmp(a))).map(|(value, _)| value)
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.values = 0;
    }

    fn bytes(&self) -> usize {
        // A map holds an eighth more places than values, at least, and a byte beside each.
        self.groups.capacity() * size_of::<HashMap<K, u64>>() + self.values * (size_of::<(K, u64)>() + 1) * 8 / 7
    }
}

/// See [`super::words`].
#[derive(Debug, Default)]
pub struct ModeWords {
    counts: Counts<u64>,
}

impl Accumulator for ModeWords {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, word) in groups.iter().zip(values.words()?) {
            self.counts.add(*group, *word, 1);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        self.counts.merge(&same::<Self>(other)?.counts, pairs);
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.counts.move_to(from, into);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.counts.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let counts = self.counts.of(*group);
            out.u64(counts.len() as u64);
            for (word, count) in counts {
                out.u64(*word);
                out.u64(*count);
            }
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(2 * size_of::<u64>())? {
                let (word, count) = (from.u64()?, from.u64()?);
                self.counts.add(*group, word, count);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.counts.mode(*group) {
                Some(word) => out.push_word(*word),
                None => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.counts.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Default)]
pub struct ModeText {
    counts: Counts<Box<str>>,
    text_bytes: usize,
}

impl ModeText {
    fn add(&mut self, group: u32, text: &str, more: u64) {
        // Looked up first: a text that is there is not copied.
        if let Some(count) = self.counts.groups.get_mut(group as usize).and_then(|counts| counts.get_mut(text)) {
            *count += more;
            return;
        }
        self.text_bytes += text.len();
        self.counts.add(group, Box::from(text), more);
    }

    fn take(&mut self, group: u32) -> HashMap<Box<str>, u64> {
        let counts = self.counts.take(group);
        self.text_bytes -= counts.keys().map(|text| text.len()).sum::<usize>();
        counts
    }
}

impl Accumulator for ModeText {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, text) in groups.iter().zip(values.text()?) {
            self.add(*group, text, 1);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            for (text, count) in other.counts.groups.get(*from as usize).into_iter().flatten() {
                self.add(*into, text, *count);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        for (text, count) in self.take(from) {
            self.add(into, &text, count);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let counts = self.counts.of(*group);
            out.u64(counts.len() as u64);
            for (text, count) in counts {
                out.text(text);
                out.u64(*count);
            }
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(2 * size_of::<u64>())? {
                let (text, count) = (from.text()?, from.u64()?);
                self.add(*group, text, count);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.counts.mode(*group) {
                Some(text) => out.push_text(text),
                None => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.text_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.counts.bytes() + self.text_bytes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
