//! `string_agg(x, sep)` and `array_agg(x)`: the values of a group themselves, by event time, of one time by value, so that nothing hangs on
//! the order in which rows came.
//!
//! A group gathers at most [`MOST_LIST_BYTES`], of which a value takes its length as text, what stands between two, and no less than 16; an
//! array has [`MOST_LIST_VALUES`] at most. The row that would be too much is a value error. Where two groups meet (windows of several panes,
//! sessions that join) no row is left to refuse: there the result is NULL.

use std::any::Any;
use std::hash::Hash;

use hashbrown::{HashMap, HashSet};
use millrace_expr::{MOST_LIST_BYTES, MOST_LIST_VALUES, Parameter};
use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::json_text;
use super::values::Values;
use super::{Accumulator, Bounded, same};
use crate::error::RunResult;

/// What a value takes at least: its place in a list is not free.
const LEAST_VALUE_BYTES: usize = 16;

/// How a list is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// Texts with this between them.
    Joined(String),
    /// A JSON array of values of this type.
    Array(Type),
}

/// A value that is gathered.
pub trait Member: Ord + Hash + Clone + Send + Sync + 'static {
    /// As [`super::values::Values`] has them, each with what it is sorted by.
    type Given<'a>: Copy;
    fn given<'a>(values: Values<'a>) -> RunResult<&'a [(u64, Self::Given<'a>)]>;
    fn of(given: Self::Given<'_>) -> Self;
    /// Bytes of a value's text.
    fn length(given: Self::Given<'_>) -> usize;
    fn as_given(&self) -> Self::Given<'_>;
    fn push(&self, shape: &Type, out: &mut String);
    fn push_plain(&self, out: &mut String);
    fn save(&self, out: &mut Writer);
    fn load(from: &mut Reader<'_>) -> RunResult<Self>;
}

impl Member for u64 {
    type Given<'a> = u64;

    fn given<'a>(values: Values<'a>) -> RunResult<&'a [(u64, u64)]> {
        values.pairs()
    }

    fn of(given: u64) -> u64 {
        given
    }

    fn length(_: u64) -> usize {
        LEAST_VALUE_BYTES
    }

    fn as_given(&self) -> u64 {
        *self
    }

    fn push(&self, of: &Type, out: &mut String) {
        json_text::push_word(*self, *of, out);
    }

    fn push_plain(&self, _: &mut String) {}

    fn save(&self, out: &mut Writer) {
        out.u64(*self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<u64> {
        Ok(from.u64()?)
    }
}

impl Member for Box<str> {
    type Given<'a> = &'a str;

    fn given<'a>(values: Values<'a>) -> RunResult<&'a [(u64, &'a str)]> {
        values.text_pairs()
    }

    fn of(given: &str) -> Box<str> {
        Box::from(given)
    }

    fn length(given: &str) -> usize {
        given.len()
    }

    fn as_given(&self) -> &str {
        self
    }

    fn push(&self, _: &Type, out: &mut String) {
        json_text::push_text(self, out);
    }

    fn push_plain(&self, out: &mut String) {
        out.push_str(self);
    }

    fn save(&self, out: &mut Writer) {
        out.text(self);
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Box<str>> {
        Ok(Box::from(from.text()?))
    }
}

/// A group's values, each with what it is sorted by.
#[derive(Debug, Clone)]
struct List<V> {
    values: Vec<(u64, V)>,
    bytes: usize,
    /// It was too much: the result is NULL, whatever comes.
    gave_up: bool,
}

impl<V> Default for List<V> {
    fn default() -> Self {
        List { values: Vec::new(), bytes: 0, gave_up: false }
    }
}

/// The lists of all groups.
pub struct Gathered<V: Member> {
    shape: Shape,
    /// Whether a value counts once, at its first time.
    is_distinct: bool,
    lists: Vec<List<V>>,
    /// No list has more bytes or values.
    largest: (usize, usize),
    /// Values and bytes of all lists.
    held: (usize, usize),
}

/// Makes the accumulator of `string_agg` or `array_agg` over an argument of this type.
pub fn gathered(argument: Type, parameter: &Parameter, is_distinct: bool) -> Box<dyn Accumulator> {
    let shape = match parameter {
        Parameter::Separator(separator) => Shape::Joined(separator.clone()),
        _ => Shape::Array(argument),
    };
    if argument == Type::Varchar {
        Box::new(Gathered::<Box<str>>::new(shape, is_distinct))
    } else {
        Box::new(Gathered::<u64>::new(shape, is_distinct))
    }
}

impl<V: Member> Gathered<V> {
    fn new(shape: Shape, is_distinct: bool) -> Self {
        Gathered { shape, is_distinct, lists: Vec::new(), largest: (0, 0), held: (0, 0) }
    }

    fn most_values(&self) -> usize {
        if matches!(self.shape, Shape::Array(_)) { MOST_LIST_VALUES } else { usize::MAX }
    }

    fn cost(&self, value: V::Given<'_>) -> usize {
        let between = match &self.shape {
            Shape::Joined(separator) => separator.len(),
            // Two quotes and a comma.
            Shape::Array(_) => 3,
        };
        (V::length(value) + between).max(LEAST_VALUE_BYTES)
    }

    /// Adds a value, or gives up if it is too much.
    fn push(&mut self, group: u32, by: u64, value: V::Given<'_>) {
        let (cost, most) = (self.cost(value), self.most_values());
        let Some(list) = self.lists.get_mut(group as usize).filter(|list| !list.gave_up) else { return };
        if list.bytes + cost > MOST_LIST_BYTES || list.values.len() >= most {
            self.give_up(group);
            return;
        }
        list.values.push((by, V::of(value)));
        list.bytes += cost;
        self.largest = (self.largest.0.max(list.bytes), self.largest.1.max(list.values.len()));
        self.held = (self.held.0 + 1, self.held.1 + cost);
    }

    fn take(&mut self, group: u32) -> List<V> {
        let taken = self.lists.get_mut(group as usize).map(std::mem::take).unwrap_or_default();
        self.held = (self.held.0 - taken.values.len(), self.held.1 - taken.bytes);
        taken
    }

    fn absorb(&mut self, group: u32, more: &List<V>) {
        if more.gave_up {
            self.give_up(group);
        }
        for (by, value) in &more.values {
            self.push(group, *by, value.as_given());
        }
    }

    fn text(list: &List<V>, shape: &Shape, is_distinct: bool) -> String {
        let mut seen = HashSet::new();
        let mut out = String::from(if matches!(shape, Shape::Array(_)) { "[" } else { "" });
        let mut is_first = true;
        for (_, value) in &list.values {
            if is_distinct && !seen.insert(value) {
                continue;
            }
            match shape {
                Shape::Joined(separator) => {
                    out.push_str(if is_first { "" } else { separator });
                    value.push_plain(&mut out);
                }
                Shape::Array(of) => {
                    out.push_str(if is_first { "" } else { "," });
                    value.push(of, &mut out);
                }
            }
            is_first = false;
        }
        if matches!(shape, Shape::Array(_)) {
            out.push(']');
        }
        out
    }
}

impl<V: Member> Bounded for Gathered<V> {
    fn fits(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<bool> {
        let values = V::given(values)?;
        let all: usize = values.iter().map(|(_, value)| self.cost(*value)).sum();
        if self.largest.0 + all <= MOST_LIST_BYTES && self.largest.1.saturating_add(values.len()) <= self.most_values() {
            return Ok(true);
        }
        let mut more: HashMap<u32, (usize, usize)> = HashMap::new();
        for (group, (_, value)) in groups.iter().zip(values) {
            let cost = self.cost(*value);
            let so_far = more.entry(*group).or_default();
            *so_far = (so_far.0 + cost, so_far.1 + 1);
        }
        let fits = |(group, (bytes, count)): (&u32, &(usize, usize))| {
            let list = self.lists.get(*group as usize);
            list.is_none_or(|list| {
                list.gave_up || (list.bytes + bytes <= MOST_LIST_BYTES && list.values.len() + count <= self.most_values())
            })
        };
        Ok(more.iter().all(fits))
    }

    fn excess(&self, group: u32, values: Values<'_>) -> RunResult<Option<String>> {
        let (Some((_, value)), Some(list)) = (V::given(values)?.first(), self.lists.get(group as usize)) else { return Ok(None) };
        let reason = if list.gave_up {
            None
        } else if list.values.len() >= self.most_values() {
            Some(format!("{} values have been gathered, the most there may be", list.values.len()))
        } else if list.bytes + self.cost(*value) > MOST_LIST_BYTES {
            Some(format!(
                "{} bytes have been gathered, and {} more are over the {MOST_LIST_BYTES} there may be",
                list.bytes,
                self.cost(*value)
            ))
        } else {
            None
        };
        Ok(reason)
    }

    fn give_up(&mut self, group: u32) {
        self.take(group);
        if let Some(list) = self.lists.get_mut(group as usize) {
            list.gave_up = true;
        }
    }
}

impl<V: Member> Accumulator for Gathered<V> {
    fn resize(&mut self, groups: usize) {
        self.lists.resize_with(groups, List::default);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        for (group, (by, value)) in groups.iter().zip(V::given(values)?) {
            self.push(*group, *by, *value);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            if let Some(more) = other.lists.get(*from as usize) {
                self.absorb(*into, more);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        let more = self.take(from);
        self.absorb(into, &more);
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let list = self.lists.get(*group as usize);
            out.flag(list.is_some_and(|list| list.gave_up));
            out.u64(list.map_or(0, |list| list.values.len() as u64));
            for (by, value) in list.into_iter().flat_map(|list| &list.values) {
                out.u64(*by);
                value.save(out);
            }
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            if from.flag()? {
                self.give_up(*group);
            }
            for _ in 0..from.count(2 * size_of::<u64>())? {
                let (by, value) = (from.u64()?, V::load(from)?);
                self.push(*group, by, value.as_given());
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.lists.get_mut(*group as usize) {
                Some(list) if !list.values.is_empty() => {
                    list.values.sort_unstable();
                    out.push_text(&Self::text(list, &self.shape, self.is_distinct));
                }
                _ => out.push_null(),
            }
        }
    }

    fn clear(&mut self) {
        self.lists.clear();
        (self.largest, self.held) = ((0, 0), (0, 0));
    }

    fn bytes(&self) -> usize {
        self.lists.capacity() * size_of::<List<V>>() + self.held.0 * size_of::<(u64, V)>() + self.held.1
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_bounded(&mut self) -> Option<&mut dyn Bounded> {
        Some(self)
    }
}
