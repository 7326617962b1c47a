//! Finds the group of each row's key.
//!
//! One open-addressing table of 64-bit slots with linear probing; a slot is the upper half of the hash beside the group's number, so that
//! a probe touches one cache line. A batch is looked up in two passes without a branch on the keys: first by hash alone, then the keys of
//! all rows are compared column by column; a row whose hash led it to another's group (about one in 2^32) is looked up again by its key.

use std::cmp::Ordering;
use std::ops::Range;

use millrace_model::DataType as Type;
use millrace_state::snapshot::Writer;

use super::cells::Cells;
use super::keys::{BatchKeys, StoredKeys};
use crate::error::{RunError, RunResult};

const FIRST_SLOTS: usize = 64;
/// A table of so many slots or more does not stay in a core's own cache.
const FAR_SLOTS: usize = 1 << 16;
/// Few enough that the first is still in the cache when the last has come.
const TOUCHED_TOGETHER: usize = 64;
const MOST_GROUPS: usize = u32::MAX as usize - 1;
const TAG: u64 = 0xffff_ffff_0000_0000;

/// Groups by key, numbered from 0 in the order in which their keys came.
pub struct Groups {
    /// 0 if free, else the hash's upper half and the group's number plus one. A power of two of them.
    slots: Vec<u64>,
    /// By group.
    hashes: Vec<u64>,
    keys: StoredKeys,
    /// Rows of the batch at hand that opened a group.
    opened: Vec<usize>,
}

/// A table of free slots, each written: memory that the system gives out as zero is first read by a probe and then written, which costs a
/// second page fault and, for every other thread, a flush of what it knows of the page.
#[expect(clippy::slow_vector_initialization, reason = "what the lint asks for is what is avoided here")]
fn free_slots(slots: usize) -> Vec<u64> {
    let mut free = Vec::with_capacity(slots);
    free.resize(slots, 0);
    free
}

/// Where a probe ended.
enum Probe {
    Group(u32),
    Free(usize),
}

impl Groups {
    pub fn new(types: &[Type]) -> Self {
        Groups { slots: vec![0; FIRST_SLOTS], hashes: Vec::new(), keys: StoredKeys::new(types), opened: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Tells the group of each of `rows` in `found` (as long as `rows`), opening those that are new.
    pub fn find(&mut self, batch: &BatchKeys, rows: Range<usize>, found: &mut [u32]) -> RunResult<()> {
        if self.keys.is_single() {
            if self.is_empty() {
                self.hashes.push(0);
            }
            found.fill(0);
            return Ok(());
        }
        if self.len() + rows.len() > MOST_GROUPS {
            return Err(RunError::Limit { message: format!("a window holds {} keys, the most there can be", self.len()) });
        }
        self.opened.clear();
        let hashes = batch.hashes().get(rows.clone()).unwrap_or_default();
        let together = hashes.chunks(TOUCHED_TOGETHER).zip(found.chunks_mut(TOUCHED_TOGETHER));
        for (first, (hashes, found)) in (rows.start..).step_by(TOUCHED_TOGETHER).zip(together) {
            self.touch(hashes);
            for ((row, hash), found) in (first..).zip(hashes).zip(found) {
                *found = match self.probe(*hash, |_| true) {
                    Probe::Group(group) => group,
                    Probe::Free(at) => {
                        self.opened.push(row);
                        self.open(at, *hash)
                    }
                };
            }
        }
        for row in &self.opened {
            self.keys.push(batch, *row);
        }
        for row in self.keys.differing(batch, rows.clone(), found) {
            if let (Some(found), Some(hash)) = (found.get_mut(row - rows.start), batch.hashes().get(row)) {
                *found = self.find_by_key(batch, row, *hash);
            }
        }
        Ok(())
    }

    /// Pairs each of `other`'s groups with the one here, opening those that are new.
    pub fn absorb(&mut self, other: &Groups) -> RunResult<Vec<(u32, u32)>> {
        self.absorb_some(other, 0..other.len())
    }

    /// The same for some of them.
    pub fn absorb_some(&mut self, other: &Groups, some: Range<usize>) -> RunResult<Vec<(u32, u32)>> {
        if self.keys.is_single() {
            if self.is_empty() && !some.is_empty() {
                self.hashes.push(0);
            }
            return Ok(some.map(|group| (group as u32, 0)).collect());
        }
        if self.len() + some.len() > MOST_GROUPS {
            return Err(RunError::Limit { message: format!("a window holds {} keys, the most there can be", self.len()) });
        }
        let mut pairs = Vec::with_capacity(some.len());
        let hashes = other.hashes.get(some.clone()).unwrap_or_default();
        for (first, hashes) in some.step_by(TOUCHED_TOGETHER).zip(hashes.chunks(TOUCHED_TOGETHER)) {
            self.touch(hashes);
            for (theirs, hash) in (first..).zip(hashes) {
                let group = match self.probe(*hash, |ours| self.keys.is_same(ours as usize, &other.keys, theirs)) {
                    Probe::Group(group) => group,
                    Probe::Free(at) => {
                        self.keys.push_from(&other.keys, theirs);
                        self.open(at, *hash)
                    }
                };
                pairs.push((theirs as u32, group));
            }
        }
        Ok(pairs)
    }

    /// A table of some of the groups, numbered from 0 in this order.
    pub fn pick(&self, groups: &[u32]) -> Groups {
        let mut picked = Groups { slots: vec![0; FIRST_SLOTS], hashes: Vec::new(), keys: self.keys.empty(), opened: Vec::new() };
        for group in groups {
            let hash = self.hashes.get(*group as usize).copied().unwrap_or(0);
            picked.keys.push_from(&self.keys, *group as usize);
            if let Probe::Free(at) = picked.probe(hash, |_| false) {
                picked.open(at, hash);
            }
        }
        picked
    }

    /// How two groups' keys sort.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        self.keys.compare(a as usize, b as usize)
    }

    /// Has the places of some hashes come into the cache. Loads that hang on nothing wait for memory together, and a probe's would wait one by
    /// one: whether it ends at its first slot is a branch that cannot be foretold.
    #[inline]
    fn touch(&self, hashes: &[u64]) {
        if self.slots.len() < FAR_SLOTS {
            return;
        }
        let mask = self.slots.len() - 1;
        let touched = hashes.iter().fold(0, |touched, hash| touched | self.slots.get(*hash as usize & mask).copied().unwrap_or(0));
        std::hint::black_box(touched);
    }

    /// Walks from the hash's place to a group with this hash's tag that `is_it`, or to a free slot.
    #[inline]
    fn probe(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Probe {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at).copied().unwrap_or(0);
            if slot == 0 {
                return Probe::Free(at);
            }
            let group = (slot as u32).wrapping_sub(1);
            if (slot ^ hash) & TAG == 0 && is_it(group) {
                return Probe::Group(group);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn find_by_key(&mut self, batch: &BatchKeys, row: usize, hash: u64) -> u32 {
        match self.probe(hash, |group| self.keys.equals(group as usize, batch, row)) {
            Probe::Group(group) => group,
            Probe::Free(at) => {
                self.keys.push(batch, row);
                self.open(at, hash)
            }
        }
    }

    fn open(&mut self, at: usize, hash: u64) -> u32 {
        let group = self.hashes.len() as u32;
        self.hashes.push(hash);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = hash & TAG | u64::from(group + 1);
        }
        // Half full at most, so that probes stay short.
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        group
    }

    /// Makes room for so many groups more, so that the table grows once and not by doubling.
    pub fn reserve(&mut self, more: usize) {
        self.hashes.reserve(more);
        self.keys.reserve(more);
        let slots = (self.len().saturating_add(more).saturating_mul(2) + 1).next_power_of_two();
        if slots > self.slots.len() {
            self.grow_to(slots);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.grow_to(self.slots.len() * 2);
    }

    fn grow_to(&mut self, slots: usize) {
        self.slots = free_slots(slots);
        let mask = self.slots.len() - 1;
        for (group, hash) in self.hashes.iter().enumerate() {
            let mut at = *hash as usize & mask;
            while self.slots.get(at).is_some_and(|slot| *slot != 0) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = hash & TAG | (group as u64 + 1);
            }
        }
    }

    /// The groups in the order of their keys; see [`StoredKeys::sorted`].
    pub fn sorted(&self) -> Vec<u32> {
        self.keys.sorted(self.len())
    }

    /// Gives out some groups' keys, a column into each of `out`.
    pub fn give(&self, groups: &[u32], out: &mut [Cells]) {
        self.keys.give(groups, out);
    }

    /// Writes some groups' keys, as [`super::saved::load_keys`] reads them.
    pub fn save(&self, groups: &[u32], out: &mut Writer) {
        self.keys.save(groups, out);
    }

    /// Forgets all groups. The memory is kept, unless it is many times what this use needed: clearing it would then cost more than
    /// taking new.
    pub fn clear(&mut self) {
        if self.slots.len() > FIRST_SLOTS && self.len() * 16 < self.slots.len() {
            self.slots = vec![0; FIRST_SLOTS];
        } else {
            self.slots.fill(0);
        }
        self.hashes.clear();
        self.keys.clear();
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * 8 + self.hashes.capacity() * 8 + self.keys.bytes()
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    fn find(groups: &mut Groups, columns: &[Column]) -> Vec<u32> {
        let rows = columns[0].len();
        let keys = BatchKeys::new(columns, rows).unwrap();
        let mut found = vec![u32::MAX; rows];
        groups.find(&keys, 0..rows, &mut found).unwrap();
        found
    }

    #[test]
    fn equal_keys_share_a_group_and_null_is_a_key_like_another() {
        let mut groups = Groups::new(&[Type::Double, Type::Varchar]);
        let numbers = Column::new("n".into(), [Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(-f64::NAN), None, Some(0.0)]);
        let long = "longer than twelve bytes";
        let texts = Column::new("t".into(), [Some("a"), Some("a"), Some(""), None, None, Some(""), Some(long)]);
        assert_eq!(find(&mut groups, &[numbers.clone(), texts.clone()]), [0, 0, 1, 2, 2, 1, 3]);
        assert_eq!(find(&mut groups, &[numbers, texts]), [0, 0, 1, 2, 2, 1, 3], "a second look opens nothing");
        assert_eq!(groups.sorted(), [0, 3, 2, 1], "0 by text, then NaN, then NULL");
    }

    #[test]
    fn keys_that_share_a_hash_stay_apart() {
        let mut groups = Groups::new(&[Type::BigInt]);
        let column = Column::new("n".into(), [7i64, 8, 7, 9, 8]);
        let mut keys = BatchKeys::new([&column], 5).unwrap();
        keys.force_hash(0x1234_5678_9abc_def0);
        let mut found = vec![0; 5];
        groups.find(&keys, 0..5, &mut found).unwrap();
        assert_eq!(found, [0, 1, 0, 2, 1]);
        groups.find(&keys, 1..4, &mut found[..3]).unwrap();
        assert_eq!(found[..3], [1, 0, 2]);
    }

    #[test]
    fn text_sorts_by_its_bytes_whatever_its_length() {
        let texts =
            ["", "\0", "a", "a\0", "ab", "abcdefghijkl", "abcdefghijkl\0", "abcdefghijklm", "abcdefghijklz", "abcdefghijm", "é", "z"];
        let mut sorted = texts.to_vec();
        sorted.sort_unstable();
        let column = Column::new("t".into(), texts.iter().rev().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mut groups = Groups::new(&[Type::Varchar]);
        find(&mut groups, std::slice::from_ref(&column));
        let order = groups.sorted();
        let mut out = vec![Cells::new(Type::Varchar, 0)];
        groups.give(&order, &mut out);
        let given = out.remove(0).finish("t").unwrap();
        assert_eq!(given.str().unwrap().iter().flatten().collect::<Vec<_>>(), sorted);
    }
}
