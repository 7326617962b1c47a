//! `count_distinct(x)`: exact, in one set of (group, value) for all groups. Values that only share a hash stay apart.

use std::any::Any;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::keys::fold;
use super::lists::Lists;
use super::values::Values;
use super::{Accumulator, same};
use crate::error::RunResult;

const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Different words of each group; see [`super::words`].
#[derive(Debug, Default)]
pub struct WordSets {
    members: Lists<u64>,
    set: HashTable<(u32, u64)>,
}

#[inline]
fn hash_word((group, word): (u32, u64)) -> u64 {
    fold(word ^ u64::from(group).wrapping_mul(SALT), SALT)
}

impl WordSets {
    pub fn resize(&mut self, groups: usize) {
        self.members.resize(groups);
    }

    /// Adds a word, and says whether it is new to the group.
    #[inline]
    pub fn add(&mut self, group: u32, word: u64) -> bool {
        let entry = (group, word);
        match self.set.entry(hash_word(entry), |old| *old == entry, |old| hash_word(*old)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(entry);
                self.members.push(group, word);
                true
            }
        }
    }

    pub fn count(&self, group: u32) -> usize {
        self.members.count(group)
    }

    /// A group's words, in the order in which they came.
    pub fn members(&self, group: u32) -> impl Iterator<Item = u64> {
        self.members.values(group).copied()
    }

    pub fn reset(&mut self, group: u32) {
        for word in self.members.values(group) {
            let entry = (group, *word);
            if let Ok(found) = self.set.find_entry(hash_word(entry), |old| *old == entry) {
                found.remove();
            }
        }
        self.members.reset(group);
    }

    /// Moves a group's words to another, and gives those that were new there.
    pub fn fold(&mut self, from: u32, into: u32) -> Vec<u64> {
        let words: Vec<u64> = self.members(from).collect();
        self.reset(from);
        words.into_iter().filter(|word| self.add(into, *word)).collect()
    }

    /// Writes the words of some groups.
    pub fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            out.u64(self.count(*group) as u64);
            self.members(*group).for_each(|word| out.u64(word));
        }
    }

    /// Adds what [`WordSets::save`] wrote to as many groups.
    pub fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(size_of::<u64>())? {
                self.add(*group, from.u64()?);
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.members.clear();
        self.set.clear();
    }

    pub fn bytes(&self) -> usize {
        self.members.bytes() + self.set.allocation_size()
    }
}

#[derive(Debug, Default)]
pub struct DistinctWords {
    sets: WordSets,
}

impl Accumulator for DistinctWords {
    fn resize(&mut self, groups: usize) {
        self.sets.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, word) in groups.iter().zip(values.words()?) {
            self.sets.add(*group, *word);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            for word in other.sets.members(*from) {
                self.sets.add(*into, word);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.sets.fold(from, into);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.sets.reset(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        self.sets.save(groups, out);
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        self.sets.load(groups, from)
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            out.push_i64(self.sets.count(*group) as i64);
        }
    }

    fn clear(&mut self) {
        self.sets.clear();
    }

    fn bytes(&self) -> usize {
        self.sets.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A text in the sets' one buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    group: u32,
    length: u32,
    start: usize,
    hash: u64,
}

/// Different texts of each group.
#[derive(Debug, Default)]
pub struct TextSets {
    members: Lists<Seen>,
    set: HashTable<Seen>,
    texts: Vec<u8>,
    /// Bytes of `texts` that no group has any more.
    dead_bytes: usize,
}

/// Texts that nobody has are swept once they are this many bytes, and half of all.
const SWEEP_BYTES: usize = 1 << 16;

impl TextSets {
    pub fn resize(&mut self, groups: usize) {
        self.members.resize(groups);
    }

    /// Adds a text, and says whether it is new to the group.
    pub fn add(&mut self, group: u32, text: &[u8]) -> bool {
        let hash = xxh3_64_with_seed(text, u64::from(group));
        let texts = &self.texts;
        let equal = |seen: &Seen| seen.group == group && texts.get(seen.start..seen.start + seen.length as usize) == Some(text);
        match self.set.entry(hash, equal, |seen| seen.hash) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                let seen = Seen { group, length: text.len() as u32, start: self.texts.len(), hash };
                place.insert(seen);
                self.members.push(group, seen);
                self.texts.extend_from_slice(text);
                true
            }
        }
    }

    pub fn count(&self, group: u32) -> usize {
        self.members.count(group)
    }

    /// A group's texts, in the order in which they came.
    pub fn members(&self, group: u32) -> impl Iterator<Item = &[u8]> {
        self.members.values(group).filter_map(|seen| self.texts.get(seen.start..seen.start + seen.length as usize))
    }

    pub fn reset(&mut self, group: u32) {
        for seen in self.members.values(group) {
            if let Ok(found) = self.set.find_entry(seen.hash, |other| other == seen) {
                found.remove();
            }
            self.dead_bytes += seen.length as usize;
        }
        self.members.reset(group);
        if self.dead_bytes > SWEEP_BYTES && self.dead_bytes * 2 > self.texts.len() {
            self.sweep();
        }
    }

    /// Moves a group's texts to another, and gives those that were new there.
    pub fn fold(&mut self, from: u32, into: u32) -> Vec<Vec<u8>> {
        let texts: Vec<Vec<u8>> = self.members(from).map(<[u8]>::to_vec).collect();
        self.reset(from);
        texts.into_iter().filter(|text| self.add(into, text)).collect()
    }

    fn sweep(&mut self) {
        let old = std::mem::take(self);
        self.resize(old.members.groups());
        for group in 0..old.members.groups() as u32 {
            for text in old.members(group) {
                self.add(group, text);
            }
        }
    }

    /// Writes the texts of some groups.
    pub fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            out.u64(self.count(*group) as u64);
            self.members(*group).for_each(|text| out.sized(text));
        }
    }

    /// Adds what [`TextSets::save`] wrote to as many groups.
    pub fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(size_of::<u64>())? {
                self.add(*group, from.sized()?);
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.members.clear();
        self.set.clear();
        self.texts.clear();
        self.dead_bytes = 0;
    }

    pub fn bytes(&self) -> usize {
        self.members.bytes() + self.set.allocation_size() + self.texts.capacity()
    }
}

#[derive(Debug, Default)]
pub struct DistinctText {
    sets: TextSets,
}

impl Accumulator for DistinctText {
    fn resize(&mut self, groups: usize) {
        self.sets.resize(groups);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, text) in groups.iter().zip(values.text()?) {
            self.sets.add(*group, text.as_bytes());
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            for text in other.sets.members(*from) {
                self.sets.add(*into, text);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        self.sets.fold(from, into);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.sets.reset(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        self.sets.save(groups, out);
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        self.sets.load(groups, from)
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            out.push_i64(self.sets.count(*group) as i64);
        }
    }

    fn clear(&mut self) {
        self.sets.clear();
    }

    fn bytes(&self) -> usize {
        self.sets.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
