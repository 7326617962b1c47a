//! Aggregates over rows that change, where single values count: a group keeps each of its values once, in order, with how often it is there.
//!
//! The state grows with the different values, not with the rows. The least, the greatest and their number are at hand; the most frequent, a
//! quantile and a deviation are found in one walk over them.

use std::any::Any;
use std::collections::BTreeMap;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same, words};
use crate::error::{RunError, RunResult};

/// What is asked of a group's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    Least,
    Greatest,
    /// How many different ones.
    HowMany,
    /// Of several the least.
    MostFrequent,
    /// Interpolated linearly, as [`super::quantile`] does.
    Quantile(f64),
    Deviation,
    Variance,
}

/// A value as it is kept, in the order in which values sort.
pub trait Member: Ord + Clone + Send + Sync + 'static {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>>;

    fn give(&self, out: &mut Cells);

    fn number(&self) -> f64 {
        f64::NAN
    }

    fn save(&self, out: &mut Writer);

    fn load(from: &mut Reader<'_>) -> RunResult<Self>;

    /// Memory held besides the value itself.
    fn own_bytes(&self) -> usize {
        0
    }
}

impl Member for u64 {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>> {
        Ok(values.words()?.to_vec())
    }

    fn give(&self, out: &mut Cells) {
        out.push_word(*self);
    }

    fn save(&self, out: &mut Writer) {
        out.u64(*self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok(from.u64()?)
    }
}

/// A float as the word that sorts as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(u64);

impl Member for Number {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>> {
        Ok(values.floats()?.iter().map(|value| Number(words::of_f64(*value))).collect())
    }

    fn give(&self, out: &mut Cells) {
        out.push_word(self.0);
    }

    fn number(&self) -> f64 {
        words::to_f64(self.0)
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.0);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok(Number(from.u64()?))
    }
}

impl Member for Box<str> {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>> {
        Ok(values.text()?.iter().map(|text| Box::from(*text)).collect())
    }

    fn give(&self, out: &mut Cells) {
        out.push_text(self);
    }

    fn save(&self, out: &mut Writer) {
        out.text(self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok(from.text()?.into())
    }

    fn own_bytes(&self) -> usize {
        self.len()
    }
}

impl Member for (u64, u64) {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>> {
        Ok(values.pairs()?.to_vec())
    }

    fn give(&self, out: &mut Cells) {
        out.push_word(self.1);
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.0);
        out.u64(self.1);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok((from.u64()?, from.u64()?))
    }
}

impl Member for (u64, Box<str>) {
    fn read(values: Values<'_>) -> RunResult<Vec<Self>> {
        Ok(values.text_pairs()?.iter().map(|(by, text)| (*by, Box::from(*text))).collect())
    }

    fn give(&self, out: &mut Cells) {
        out.push_text(&self.1);
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.0);
        out.text(&self.1);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Self> {
        Ok((from.u64()?, from.text()?.into()))
    }

    fn own_bytes(&self) -> usize {
        self.1.len()
    }
}

/// A group's values, each with how often it is there.
type Set<M> = BTreeMap<M, u64>;

/// A tree's node is about two thirds full, and has pointers.
const TREE_OVERHEAD: usize = 2;

pub struct Counted<M> {
    wanted: Wanted,
    sets: Vec<Set<M>>,
    /// Different values of all groups, and what they hold besides themselves.
    members: usize,
    own_bytes: usize,
}

impl<M: Member> Counted<M> {
    pub fn new(wanted: Wanted) -> Self {
        Counted { wanted, sets: Vec::new(), members: 0, own_bytes: 0 }
    }

    fn add(&mut self, group: u32, member: M, count: u64) {
        let Some(set) = self.sets.get_mut(group as usize) else { return };
        let own = member.own_bytes();
        let there = set.entry(member).or_insert(0);
        if *there == 0 {
            self.members += 1;
            self.own_bytes += own;
        }
        *there += count;
    }

    fn take(&mut self, group: u32, member: &M) -> RunResult<()> {
        let Some(there) = self.sets.get_mut(group as usize).and_then(|set| set.get_mut(member)) else {
            return Err(RunError::bug("a value was taken back that was never there"));
        };
        *there -= 1;
        if *there == 0 {
            self.sets.get_mut(group as usize).and_then(|set| set.remove(member));
            self.members -= 1;
            self.own_bytes -= member.own_bytes();
        }
        Ok(())
    }

    fn empty(&mut self, group: u32) -> Set<M> {
        let set = self.sets.get_mut(group as usize).map(std::mem::take).unwrap_or_default();
        self.members -= set.len();
        self.own_bytes -= set.keys().map(Member::own_bytes).sum::<usize>();
        set
    }
}

fn give<M: Member>(set: &Set<M>, wanted: Wanted, out: &mut Cells) {
    let member = match wanted {
        Wanted::Least => set.keys().next(),
        Wanted::Greatest => set.keys().next_back(),
        // The first of those that are there most often.
        Wanted::MostFrequent => set.iter().rev().max_by_key(|(_, count)| **count).map(|(member, _)| member),
        Wanted::HowMany => return out.push_i64(set.len() as i64),
        Wanted::Quantile(quantile) => return push(select(set, quantile), out),
        Wanted::Deviation => return push(variance(set).map(f64::sqrt), out),
        Wanted::Variance => return push(variance(set), out),
    };
    match member {
        Some(member) => member.give(out),
        None => out.push_null(),
    }
}

fn push(value: Option<f64>, out: &mut Cells) {
    match value {
        Some(value) => out.push_f64(value),
        None => out.push_null(),
    }
}

fn select<M: Member>(set: &Set<M>, quantile: f64) -> Option<f64> {
    let last = set.values().sum::<u64>().checked_sub(1)?;
    let place = last as f64 * quantile;
    let below = (place.floor() as u64).min(last);
    let part = place - below as f64;
    let mut before = 0;
    let mut low = None;
    for (member, count) in set {
        before += count;
        match low {
            None if before > below + 1 => return Some(member.number()),
            None if before == below + 1 => low = Some(member.number()),
            Some(low) => return Some(if part > 0.0 { low + (member.number() - low) * part } else { low }),
            None => {}
        }
    }
    low
}

/// Of the sample, after Welford (1962), each value with its weight; nothing for fewer than two.
fn variance<M: Member>(set: &Set<M>) -> Option<f64> {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (member, times) in set {
        let (value, times) = (member.number(), *times as f64);
        count += times;
        let before = value - mean;
        mean += before * times / count;
        squares += times * before * (value - mean);
    }
    (count > 1.0).then(|| squares / (count - 1.0))
}

impl<M: Member> Accumulator for Counted<M> {
    fn resize(&mut self, groups: usize) {
        self.sets.resize(groups, Set::new());
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, member) in groups.iter().zip(M::read(values)?) {
            self.add(*group, member, 1);
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, member) in groups.iter().zip(M::read(values)?) {
            self.take(*group, &member)?;
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            for (member, count) in other.sets.get(*from as usize).into_iter().flatten() {
                self.add(*into, member.clone(), *count);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        for (member, count) in self.empty(from) {
            self.add(into, member, count);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.empty(group);
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.sets.get(*group as usize) {
                Some(set) => give(set, self.wanted, out),
                None => out.push_null(),
            }
        }
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let set = self.sets.get(*group as usize);
            out.u64(set.map_or(0, Set::len) as u64);
            for (member, count) in set.into_iter().flatten() {
                member.save(out);
                out.u64(*count);
            }
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            for _ in 0..from.count(2 * size_of::<u64>())? {
                let (member, count) = (M::load(from)?, from.u64()?);
                self.add(*group, member, count);
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.sets.clear();
        (self.members, self.own_bytes) = (0, 0);
    }

    fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set<M>>() + self.members * size_of::<(M, u64)>() * TREE_OVERHEAD + self.own_bytes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
