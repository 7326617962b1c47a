//! The most frequent values, in bounded memory.
//!
//! The summary of Misra and Gries (1982) as Anderson et al. keep it ("A high-performance algorithm for identifying frequent items in data
//! streams", 2017), which merges (Agarwal et al., "Mergeable summaries", 2012): counts by value; when there are twice as many as the capacity
//! c, the (c+1)-th greatest count is taken off every one, and what is left without a count goes.
//!
//! Error: exact while a group has at most 2c different values, and then whatever the order. Beyond, a count is too low by at most n / c, where
//! n is how many values the group has had: every value that came more often than n / c times is there. Which of two values that came about
//! equally often is named first can then hang on the order of rows of several partitions. c is 512, and 4k where that is more.

use std::hash::Hash;

use hashbrown::HashMap;
use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, Writer};

use super::approx::{One, Sketch};
use super::cells::Cells;
use super::json_text;
use crate::error::RunResult;

const LEAST_CAPACITY: usize = 512;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct TopRules {
    pub most: u32,
    /// Of the values.
    pub of: Type,
}

impl TopRules {
    fn capacity(&self) -> usize {
        LEAST_CAPACITY.max(4 * self.most as usize)
    }
}

/// A value that is counted.
pub trait Counted: Hash + Eq + Ord + Clone + Send + Sync + 'static {
    fn find<'a>(counts: &'a mut HashMap<Self, u64>, value: One<'_>) -> Option<&'a mut u64>;
    fn of(value: One<'_>) -> Self;
    fn bytes(&self) -> usize;
    fn push(&self, of: Type, out: &mut String);
    fn save(&self, out: &mut Writer);
    fn load(from: &mut Reader<'_>) -> RunResult<Self>;
}

impl Counted for u64 {
    fn find<'a>(counts: &'a mut HashMap<u64, u64>, value: One<'_>) -> Option<&'a mut u64> {
        counts.get_mut(&u64::of(value))
    }

    fn of(value: One<'_>) -> u64 {
        if let One::Word(word) = value { word } else { 0 }
    }

    fn bytes(&self) -> usize {
        0
    }

    fn push(&self, of: Type, out: &mut String) {
        json_text::push_word(*self, of, out);
    }

    fn save(&self, out: &mut Writer) {
        out.u64(*self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<u64> {
        Ok(from.u64()?)
    }
}

impl Counted for Box<str> {
    fn find<'a>(counts: &'a mut HashMap<Box<str>, u64>, value: One<'_>) -> Option<&'a mut u64> {
        if let One::Text(text) = value { counts.get_mut(text) } else { None }
    }

    fn of(value: One<'_>) -> Box<str> {
        if let One::Text(text) = value { Box::from(text) } else { Box::default() }
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn push(&self, _: Type, out: &mut String) {
        json_text::push_text(self, out);
    }

    fn save(&self, out: &mut Writer) {
        out.text(self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Box<str>> {
        Ok(Box::from(from.text()?))
    }
}

#[derive(Debug, Clone)]
pub struct Frequent<V> {
    counts: HashMap<V, u64>,
    /// Of the values, beside the map.
    value_bytes: usize,
}

impl<V: Counted> Frequent<V> {
    fn raise(&mut self, value: &V, count: u64) {
        match self.counts.get_mut(value) {
            Some(there) => *there += count,
            None => {
                self.value_bytes += value.bytes();
                self.counts.insert(value.clone(), count);
            }
        }
    }

    fn prune(&mut self, rules: &TopRules) {
        let capacity = rules.capacity();
        if self.counts.len() <= 2 * capacity {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, taken, _) = counts.select_nth_unstable_by(capacity, |a, b| b.cmp(a));
        let taken = *taken;
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(taken);
            *count > 0
        });
        self.value_bytes = self.counts.keys().map(Counted::bytes).sum();
    }

    /// The most frequent values, of those that came as often the least first.
    fn top(&self, most: usize) -> Vec<&V> {
        let mut all: Vec<(&V, &u64)> = self.counts.iter().collect();
        all.sort_unstable_by(|(a, count_a), (b, count_b)| count_b.cmp(count_a).then_with(|| a.cmp(b)));
        all.truncate(most);
        all.into_iter().map(|(value, _)| value).collect()
    }
}

impl<V: Counted> Sketch for Frequent<V> {
    type Rules = TopRules;

    fn new(_: &TopRules) -> Self {
        Frequent { counts: HashMap::new(), value_bytes: 0 }
    }

    fn add(&mut self, rules: &TopRules, value: One<'_>) {
        if let Some(count) = V::find(&mut self.counts, value) {
            *count += 1;
            return;
        }
        self.raise(&V::of(value), 1);
        self.prune(rules);
    }

    fn merge(&mut self, rules: &TopRules, other: &Self) {
        other.counts.iter().for_each(|(value, count)| self.raise(value, *count));
        self.prune(rules);
    }

    fn finish(&mut self, rules: &TopRules, out: &mut Cells) {
        let mut text = String::from("[");
        for value in self.top(rules.most as usize) {
            if text.len() > 1 {
                text.push(',');
            }
            value.push(rules.of, &mut text);
        }
        text.push(']');
        out.push_text(&text);
    }

    fn nothing(out: &mut Cells) {
        out.push_null();
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.counts.len() as u64);
        for (value, count) in &self.counts {
            value.save(out);
            out.u64(*count);
        }
    }

    fn load(rules: &TopRules, from: &mut Reader<'_>) -> RunResult<Self> {
        let mut loaded = Frequent::new(rules);
        for _ in 0..from.count(2 * size_of::<u64>())? {
            let value = V::load(from)?;
            loaded.raise(&value, from.u64()?);
        }
        Ok(loaded)
    }

    fn bytes(&self) -> usize {
        // A map holds an eighth more places than values, at least, and a byte beside each.
        self.counts.capacity() * (size_of::<(V, u64)>() + 1) * 8 / 7 + self.value_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: TopRules = TopRules { most: 3, of: Type::UBigInt };

    fn of(values: impl Iterator<Item = u64>) -> Frequent<u64> {
        let mut sketch = Frequent::new(&RULES);
        values.for_each(|value| sketch.add(&RULES, One::Word(value)));
        sketch
    }

    #[test]
    fn few_values_are_counted_exactly_in_any_order_and_of_any_parts() {
        let values: Vec<u64> = (0..50_000u64).map(|row| row * row % 1_021).collect();
        let whole = of(values.iter().copied());
        let mut merged = of(values[20_000..].iter().copied());
        merged.merge(&RULES, &of(values[..20_000].iter().copied()));
        assert_eq!((merged.counts.clone(), merged.top(3)), (whole.counts.clone(), whole.top(3)));
    }

    #[test]
    fn of_many_values_the_frequent_are_found_and_no_count_is_off_by_more_than_the_bound() {
        // Ten values come often, 200,000 others once or twice.
        let rows = 400_000u64;
        let value = |row: u64| if row.is_multiple_of(4) { row / 4 % 10 } else { 1_000 + row.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 200_000 };
        let sketch = of((0..rows).map(value));
        let (mut left, right) = (of((0..rows / 2).map(value)), of((rows / 2..rows).map(value)));
        left.merge(&RULES, &right);
        for sketch in [sketch, left] {
            assert!(sketch.counts.len() <= 2 * LEAST_CAPACITY);
            for frequent in 0..10 {
                let count = sketch.counts.get(&frequent).copied().unwrap_or(0);
                assert!(count <= 10_000 && count + rows / LEAST_CAPACITY as u64 >= 10_000, "{frequent}: {count}");
            }
            assert!(sketch.top(10).iter().all(|value| **value < 10));
        }
    }
}
