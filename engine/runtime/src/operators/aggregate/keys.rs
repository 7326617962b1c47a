//! Keys: those of a batch, ready to be looked up, and those of the groups that there are, in typed columns.
//!
//! The hash here serves the table of one task and is never stored. Which key group a key belongs to is told by
//! [`crate::key::hash_keys`] alone.

use std::cmp::Ordering;
use std::ops::Range;

use millrace_model::DataType as Type;
use millrace_state::snapshot::Writer;
use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::cells::Cells;
use super::words;
use crate::error::RunResult;

const SEED: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25;
const NULL_HASH: u64 = 0x1319_8a2e_0370_7344;

/// Multiplies to 128 bits and folds the halves: every bit of the result depends on every bit of `a`.
#[inline]
pub fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A text in 128 bits: of up to 12 bytes, all of it; of more, its length, first four bytes and hash.
type Brief = u128;

const INLINE_BYTES: u32 = 12;
/// No text has it: its prefix is not UTF-8.
const NULL_BRIEF: Brief = Brief::MAX;

#[inline]
fn is_long(brief: Brief) -> bool {
    brief as u32 > INLINE_BYTES && brief != NULL_BRIEF
}

fn brief(text: &[u8]) -> Brief {
    let mut bytes = [0u8; 16];
    let (length, rest) = bytes.split_at_mut(4);
    length.copy_from_slice(&(text.len() as u32).to_le_bytes());
    if text.len() <= INLINE_BYTES as usize {
        if let Some(place) = rest.get_mut(..text.len()) {
            place.copy_from_slice(text);
        }
    } else {
        let (prefix, hash) = rest.split_at_mut(4);
        prefix.copy_from_slice(text.get(..4).unwrap_or_default());
        hash.copy_from_slice(&xxh3_64(text).to_le_bytes());
    }
    Brief::from_le_bytes(bytes)
}

/// One key column of a batch.
pub enum KeyColumn {
    /// See [`words`]; 0 where NULL.
    Words {
        words: Vec<u64>,
        valid: Option<Vec<bool>>,
    },
    Text {
        briefs: Vec<Brief>,
        texts: StringChunked,
    },
}

impl KeyColumn {
    pub fn new(column: &Column) -> RunResult<Self> {
        let series = column.as_materialized_series().rechunk();
        if series.dtype() == &DataType::String {
            return Ok(KeyColumn::text(series.str()?.clone()));
        }
        Ok(KeyColumn::words(words::encode(&series)?, words::validity(&series).map(|bits| bits.iter().collect())))
    }

    /// Of words, and where they are one; whatever stands where the key is NULL.
    pub fn words(mut words: Vec<u64>, valid: Option<Vec<bool>>) -> Self {
        if let Some(valid) = &valid {
            words.iter_mut().zip(valid).filter(|(_, valid)| !**valid).for_each(|(word, _)| *word = 0);
        }
        KeyColumn::Words { words, valid }
    }

    fn text(texts: StringChunked) -> Self {
        let mut briefs = Vec::with_capacity(texts.len());
        for array in texts.downcast_iter() {
            // Polars keeps a short text within its view, which is our brief.
            briefs.extend(array.views().iter().enumerate().map(|(row, view)| {
                if view.is_inline() { view.as_u128() } else { array.get(row).map_or(NULL_BRIEF, |text| brief(text.as_bytes())) }
            }));
        }
        if texts.null_count() > 0 {
            for (brief, text) in briefs.iter_mut().zip(texts.iter()) {
                if text.is_none() {
                    *brief = NULL_BRIEF;
                }
            }
        }
        KeyColumn::Text { briefs, texts }
    }

    fn add_hashes(&self, hashes: &mut [u64]) {
        match self {
            KeyColumn::Words { words, valid: None } => {
                hashes.iter_mut().zip(words).for_each(|(hash, word)| *hash = fold(*hash ^ word, MULTIPLIER));
            }
            KeyColumn::Words { words, valid: Some(valid) } => {
                for ((hash, word), valid) in hashes.iter_mut().zip(words).zip(valid) {
                    *hash = fold(*hash ^ if *valid { *word } else { NULL_HASH }, MULTIPLIER);
                }
            }
            KeyColumn::Text { briefs, .. } => {
                for (hash, brief) in hashes.iter_mut().zip(briefs) {
                    *hash = fold(*hash ^ *brief as u64 ^ SEED, (*brief >> 64) as u64 ^ MULTIPLIER);
                }
            }
        }
    }
}

/// The keys of a batch's rows, with their hashes.
pub struct BatchKeys {
    columns: Vec<KeyColumn>,
    hashes: Vec<u64>,
}

impl BatchKeys {
    /// The keys in these columns, all of one length. No columns are one key that every row shares.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a Column>, rows: usize) -> RunResult<Self> {
        Ok(BatchKeys::of(columns.into_iter().map(KeyColumn::new).collect::<RunResult<_>>()?, rows))
    }

    /// The keys of columns that are ready, all of one length.
    pub fn of(columns: Vec<KeyColumn>, rows: usize) -> Self {
        let mut hashes = vec![SEED; rows];
        for column in &columns {
            column.add_hashes(&mut hashes);
        }
        BatchKeys { columns, hashes }
    }

    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Lets every key collide.
    #[cfg(test)]
    pub fn force_hash(&mut self, hash: u64) {
        self.hashes.fill(hash);
    }
}

/// One key column of all groups.
enum StoredColumn {
    Words {
        words: Vec<u64>,
        /// Empty until a key is NULL.
        valid: Vec<bool>,
    },
    Text {
        briefs: Vec<Brief>,
        /// Where each long text begins; its length is in its brief.
        starts: Vec<usize>,
        long: Vec<u8>,
    },
}

impl StoredColumn {
    fn new(data_type: Type) -> Self {
        match data_type {
            Type::Varchar => StoredColumn::Text { briefs: Vec::new(), starts: Vec::new(), long: Vec::new() },
            _ => StoredColumn::Words { words: Vec::new(), valid: Vec::new() },
        }
    }

    fn push(&mut self, from: &KeyColumn, row: usize) {
        match (self, from) {
            (StoredColumn::Words { words, valid }, KeyColumn::Words { words: new, valid: new_valid }) => {
                let is_valid = new_valid.as_ref().is_none_or(|valid| valid.get(row).copied().unwrap_or(false));
                if !is_valid {
                    valid.resize(words.len(), true);
                }
                if !is_valid || !valid.is_empty() {
                    valid.push(is_valid);
                }
                words.push(new.get(row).copied().unwrap_or(0));
            }
            (StoredColumn::Text { briefs, starts, long }, KeyColumn::Text { briefs: new, texts }) => {
                let brief = new.get(row).copied().unwrap_or(NULL_BRIEF);
                briefs.push(brief);
                starts.push(long.len());
                if is_long(brief) {
                    long.extend_from_slice(texts.get(row).unwrap_or_default().as_bytes());
                }
            }
            _ => {}
        }
    }

    /// Whether a group's key is the row's. NULL is a key like another.
    fn equals(&self, group: usize, other: &KeyColumn, row: usize) -> bool {
        match (self, other) {
            (StoredColumn::Words { words, valid }, KeyColumn::Words { words: new, valid: new_valid }) => {
                let is_valid = valid.get(group).copied().unwrap_or(true);
                let new_is_valid = new_valid.as_ref().is_none_or(|valid| valid.get(row).copied().unwrap_or(false));
                words.get(group) == new.get(row) && is_valid == new_is_valid
            }
            (StoredColumn::Text { briefs, .. }, KeyColumn::Text { briefs: new, texts }) => {
                let (Some(brief), Some(new)) = (briefs.get(group), new.get(row)) else { return false };
                brief == new && (!is_long(*brief) || Some(self.long_text(group)) == texts.get(row).map(str::as_bytes))
            }
            _ => false,
        }
    }

    /// Adds another column's key of the same type.
    fn push_from(&mut self, other: &StoredColumn, group: usize) {
        match (self, other) {
            (StoredColumn::Words { words, valid }, StoredColumn::Words { words: more, valid: more_valid }) => {
                let is_valid = more_valid.get(group).copied().unwrap_or(true);
                if !is_valid {
                    valid.resize(words.len(), true);
                }
                if !is_valid || !valid.is_empty() {
                    valid.push(is_valid);
                }
                words.push(more.get(group).copied().unwrap_or(0));
            }
            (StoredColumn::Text { briefs, starts, long }, StoredColumn::Text { briefs: more, .. }) => {
                briefs.push(more.get(group).copied().unwrap_or(NULL_BRIEF));
                starts.push(long.len());
                long.extend_from_slice(other.long_text(group));
            }
            _ => {}
        }
    }

    fn is_same(&self, group: usize, other: &StoredColumn, theirs: usize) -> bool {
        match (self, other) {
            (StoredColumn::Words { words, valid }, StoredColumn::Words { words: more, valid: more_valid }) => {
                words.get(group) == more.get(theirs)
                    && valid.get(group).copied().unwrap_or(true) == more_valid.get(theirs).copied().unwrap_or(true)
            }
            (StoredColumn::Text { briefs, .. }, StoredColumn::Text { briefs: more, .. }) => {
                briefs.get(group) == more.get(theirs) && self.long_text(group) == other.long_text(theirs)
            }
            _ => false,
        }
    }

    /// The text of a key that is too long for its brief; empty for all others.
    fn long_text(&self, group: usize) -> &[u8] {
        let StoredColumn::Text { briefs, starts, long } = self else { return &[] };
        let (Some(brief), Some(start)) = (briefs.get(group).filter(|brief| is_long(**brief)), starts.get(group)) else { return &[] };
        long.get(*start..*start + *brief as u32 as usize).unwrap_or_default()
    }

    fn reserve(&mut self, more: usize) {
        match self {
            StoredColumn::Words { words, .. } => words.reserve(more),
            StoredColumn::Text { briefs, starts, .. } => {
                briefs.reserve(more);
                starts.reserve(more);
            }
        }
    }

    /// Adds the rows whose key is not that of their group; `groups` are those of `rows`.
    fn differing(&self, other: &KeyColumn, rows: Range<usize>, groups: &[u32], found: &mut Vec<usize>) {
        match (self, other) {
            (StoredColumn::Words { words, valid }, KeyColumn::Words { words: new, valid: None }) if valid.is_empty() => {
                let new = new.get(rows.clone()).unwrap_or_default();
                for ((row, group), new) in rows.zip(groups).zip(new) {
                    if words.get(*group as usize) != Some(new) {
                        found.push(row);
                    }
                }
            }
            _ => {
                for (row, group) in rows.zip(groups) {
                    if !self.equals(*group as usize, other, row) {
                        found.push(row);
                    }
                }
            }
        }
    }

    /// A number that sorts as the key does, but that two long texts may share. NULL comes last.
    fn rank(&self, group: usize) -> u128 {
        match self {
            StoredColumn::Words { words, valid } => {
                if !valid.is_empty() && valid.get(group) == Some(&false) {
                    return u128::MAX;
                }
                words.get(group).copied().map_or(u128::MAX, u128::from)
            }
            StoredColumn::Text { briefs, .. } => {
                let Some(brief) = briefs.get(group).filter(|brief| **brief != NULL_BRIEF) else { return u128::MAX };
                if !is_long(*brief) {
                    // Its bytes as a big number, then its length: of two that differ only in trailing zero bytes the shorter is less.
                    return (*brief >> 32).swap_bytes() | u128::from(*brief as u32);
                }
                let first =
                    self.long_text(group).iter().take(INLINE_BYTES as usize).fold(0u128, |rank, byte| rank << 8 | u128::from(*byte));
                first << 32 | u128::from(INLINE_BYTES + 1)
            }
        }
    }

    fn compare_equal_ranks(&self, a: usize, b: usize) -> Ordering {
        match self {
            StoredColumn::Words { .. } => Ordering::Equal,
            StoredColumn::Text { briefs, .. } if briefs.get(a).is_some_and(|brief| is_long(*brief)) => {
                self.long_text(a).cmp(self.long_text(b))
            }
            StoredColumn::Text { .. } => Ordering::Equal,
        }
    }

    fn give(&self, group: usize, out: &mut Cells) {
        match self {
            StoredColumn::Words { words, valid } => match words.get(group) {
                Some(word) if valid.get(group).copied().unwrap_or(true) => out.push_word(*word),
                _ => out.push_null(),
            },
            StoredColumn::Text { .. } => self.with_text(group, |text| match text {
                Some(text) => out.push_text(text),
                None => out.push_null(),
            }),
        }
    }

    /// Hands over the text of a group's key; none if it is NULL.
    fn with_text(&self, group: usize, take: impl FnOnce(Option<&str>)) {
        let StoredColumn::Text { briefs, .. } = self else { return take(None) };
        let brief = briefs.get(group).copied().unwrap_or(NULL_BRIEF);
        let short = brief.to_le_bytes();
        let bytes = match brief {
            NULL_BRIEF => None,
            brief if is_long(brief) => Some(self.long_text(group)),
            brief => short.get(4..4 + brief as u32 as usize),
        };
        take(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()));
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        match self {
            StoredColumn::Words { words, valid } => {
                for group in groups {
                    let group = *group as usize;
                    let is_valid = valid.get(group).copied().unwrap_or(true);
                    out.flag(is_valid);
                    out.u64(if is_valid { words.get(group).copied().unwrap_or(0) } else { 0 });
                }
            }
            StoredColumn::Text { .. } => {
                for group in groups {
                    self.with_text(*group as usize, |text| {
                        out.flag(text.is_some());
                        out.text(text.unwrap_or_default());
                    });
                }
            }
        }
    }

    fn clear(&mut self) {
        match self {
            StoredColumn::Words { words, valid } => {
                words.clear();
                valid.clear();
            }
            StoredColumn::Text { briefs, starts, long } => {
                briefs.clear();
                starts.clear();
                long.clear();
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            StoredColumn::Words { words, valid } => words.capacity() * 8 + valid.capacity(),
            StoredColumn::Text { briefs, starts, long } => briefs.capacity() * 16 + starts.capacity() * 8 + long.capacity(),
        }
    }
}

/// The keys of all groups, in typed columns.
pub struct StoredKeys {
    columns: Vec<StoredColumn>,
}

impl StoredKeys {
    pub fn new(types: &[Type]) -> Self {
        StoredKeys { columns: types.iter().map(|data_type| StoredColumn::new(*data_type)).collect() }
    }

    /// No keys, of the same types.
    pub fn empty(&self) -> Self {
        let column = |column: &StoredColumn| match column {
            StoredColumn::Words { .. } => StoredColumn::Words { words: Vec::new(), valid: Vec::new() },
            StoredColumn::Text { .. } => StoredColumn::Text { briefs: Vec::new(), starts: Vec::new(), long: Vec::new() },
        };
        StoredKeys { columns: self.columns.iter().map(column).collect() }
    }

    /// How two groups' keys sort; see [`StoredKeys::sorted`].
    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        let equal = Ordering::Equal;
        self.columns.iter().fold(equal, |order, column| {
            order.then_with(|| column.rank(a).cmp(&column.rank(b))).then_with(|| column.compare_equal_ranks(a, b))
        })
    }

    /// Whether there is but one key.
    pub fn is_single(&self) -> bool {
        self.columns.is_empty()
    }

    pub fn push(&mut self, batch: &BatchKeys, row: usize) {
        for (column, new) in self.columns.iter_mut().zip(&batch.columns) {
            column.push(new, row);
        }
    }

    /// Makes room for so many keys more; what long texts take is not known before.
    pub fn reserve(&mut self, more: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(more));
    }

    pub fn equals(&self, group: usize, batch: &BatchKeys, row: usize) -> bool {
        self.columns.iter().zip(&batch.columns).all(|(column, other)| column.equals(group, other, row))
    }

    /// Adds another table's key, of the same types.
    pub fn push_from(&mut self, other: &StoredKeys, group: usize) {
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            column.push_from(more, group);
        }
    }

    pub fn is_same(&self, group: usize, other: &StoredKeys, theirs: usize) -> bool {
        self.columns.iter().zip(&other.columns).all(|(column, more)| column.is_same(group, more, theirs))
    }

    /// The rows whose key is not that of the group they were given, in order.
    pub fn differing(&self, batch: &BatchKeys, rows: Range<usize>, groups: &[u32]) -> Vec<usize> {
        let mut found = Vec::new();
        for (column, other) in self.columns.iter().zip(&batch.columns) {
            column.differing(other, rows.clone(), groups, &mut found);
        }
        if self.columns.len() > 1 && !found.is_empty() {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// The groups in the order of their keys: column by column, NULL last, NaN greatest, text by its bytes.
    pub fn sorted(&self, groups: usize) -> Vec<u32> {
        let Some((first, rest)) = self.columns.split_first() else { return (0..groups as u32).collect() };
        if let (StoredColumn::Words { words, valid }, []) = (first, rest)
            && valid.is_empty()
        {
            // Half the memory to move about.
            let mut ranked: Vec<(u64, u32)> = words.iter().copied().zip(0..).collect();
            ranked.sort_unstable();
            return ranked.into_iter().map(|(_, group)| group).collect();
        }
        let mut ranked: Vec<(u128, u32)> = (0..groups).map(|group| (first.rank(group), group as u32)).collect();
        ranked.sort_unstable_by(|(rank_a, a), (rank_b, b)| {
            rank_a.cmp(rank_b).then_with(|| {
                let (a, b) = (*a as usize, *b as usize);
                rest.iter().fold(first.compare_equal_ranks(a, b), |order, column| {
                    order.then_with(|| column.rank(a).cmp(&column.rank(b))).then_with(|| column.compare_equal_ranks(a, b))
                })
            })
        });
        ranked.into_iter().map(|(_, group)| group).collect()
    }

    /// Gives out some groups' keys, a column into each of `out`.
    pub fn give(&self, groups: &[u32], out: &mut [Cells]) {
        for (column, out) in self.columns.iter().zip(out) {
            for group in groups {
                column.give(*group as usize, out);
            }
        }
    }

    /// Writes some groups' keys, as [`super::saved::load_keys`] reads them.
    pub fn save(&self, groups: &[u32], out: &mut Writer) {
        out.u64(groups.len() as u64);
        self.columns.iter().for_each(|column| column.save(groups, out));
    }

    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(StoredColumn::clear);
    }

    pub fn bytes(&self) -> usize {
        self.columns.iter().map(StoredColumn::bytes).sum()
    }
}
