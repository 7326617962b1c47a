//! Approximate aggregates: a sketch for each group, in bounded memory.

use std::any::Any;

use millrace_state::snapshot::{Reader, Writer};

use super::cells::Cells;
use super::values::Values;
use super::{Accumulator, same};
use crate::error::{RunError, RunResult};

/// One value that a sketch is shown.
#[derive(Debug, Clone, Copy)]
pub enum One<'a> {
    /// See [`super::words`].
    Word(u64),
    Float(f64),
    Text(&'a str),
}

/// A summary of values that takes bounded memory, and adds up with another.
pub trait Sketch: Send + Sync + Sized + 'static {
    /// What the aggregate's call says: a quantile, how many values are wanted.
    type Rules: Send + Sync + 'static;

    fn new(rules: &Self::Rules) -> Self;

    fn add(&mut self, rules: &Self::Rules, value: One<'_>);

    fn merge(&mut self, rules: &Self::Rules, other: &Self);

    /// Gives the result so far.
    fn finish(&mut self, rules: &Self::Rules, out: &mut Cells);

    /// Gives the result of no values at all.
    fn nothing(out: &mut Cells);

    fn save(&self, out: &mut Writer);

    fn load(rules: &Self::Rules, from: &mut Reader<'_>) -> RunResult<Self>;

    /// Memory held besides itself, in bytes; asked for at every change.
    fn bytes(&self) -> usize;
}

/// The sketches of all groups; a group without values has none.
pub struct Sketches<S: Sketch> {
    rules: S::Rules,
    groups: Vec<Option<Box<S>>>,
    /// Memory that the sketches hold, in bytes: asked for often, so kept.
    held: usize,
}

impl<S: Sketch> Sketches<S> {
    pub fn new(rules: S::Rules) -> Self {
        Sketches { rules, groups: Vec::new(), held: 0 }
    }

    fn offer(&mut self, group: u32, value: One<'_>) {
        self.change(group, |sketch, rules| sketch.add(rules, value));
    }

    /// Changes a group's sketch, which is made if there is none.
    fn change(&mut self, group: u32, change: impl FnOnce(&mut S, &S::Rules)) {
        let Some(place) = self.groups.get_mut(group as usize) else { return };
        let before = place.as_deref().map_or(0, held);
        let sketch = place.get_or_insert_with(|| Box::new(S::new(&self.rules)));
        change(sketch, &self.rules);
        self.held = self.held + held(sketch.as_ref()) - before;
    }

    fn of(&self, group: u32) -> Option<&S> {
        self.groups.get(group as usize)?.as_deref()
    }

    fn take(&mut self, group: u32) -> Option<Box<S>> {
        let taken = self.groups.get_mut(group as usize)?.take()?;
        self.held -= held(taken.as_ref());
        Some(taken)
    }

    fn absorb(&mut self, group: u32, more: &S) {
        self.change(group, |sketch, rules| sketch.merge(rules, more));
    }
}

fn held<S: Sketch>(sketch: &S) -> usize {
    size_of::<S>() + sketch.bytes()
}

impl<S: Sketch> Accumulator for Sketches<S> {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, || None);
    }

    fn update(&mut self, groups: &[u32], values: Values<'_>) -> RunResult<()> {
        match values {
            Values::Words(words) => groups.iter().zip(words).for_each(|(group, word)| self.offer(*group, One::Word(*word))),
            Values::Floats(floats) => groups.iter().zip(floats).for_each(|(group, value)| self.offer(*group, One::Float(*value))),
            Values::Text(texts) => groups.iter().zip(texts).for_each(|(group, text)| self.offer(*group, One::Text(text))),
            _ => return Err(RunError::bug("a sketch was given other values")),
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Accumulator, pairs: &[(u32, u32)]) -> RunResult<()> {
        let other = same::<Self>(other)?;
        for (from, into) in pairs {
            if let Some(more) = other.of(*from) {
                self.absorb(*into, more);
            }
        }
        Ok(())
    }

    fn fold(&mut self, from: u32, into: u32) -> RunResult<()> {
        if let Some(more) = self.take(from) {
            self.absorb(into, &more);
        }
        Ok(())
    }

    fn reset(&mut self, group: u32) {
        self.take(group);
    }

    fn save(&self, groups: &[u32], out: &mut Writer) {
        for group in groups {
            let sketch = self.of(*group);
            out.flag(sketch.is_some());
            if let Some(sketch) = sketch {
                sketch.save(out);
            }
        }
    }

    fn load(&mut self, groups: &[u32], from: &mut Reader<'_>) -> RunResult<()> {
        for group in groups {
            if from.flag()? {
                let loaded = S::load(&self.rules, from)?;
                self.change(*group, |sketch, _| *sketch = loaded);
            }
        }
        Ok(())
    }

    fn finish(&mut self, groups: &[u32], out: &mut Cells) {
        for group in groups {
            match self.of(*group) {
                Some(_) => self.change(*group, |sketch, rules| sketch.finish(rules, out)),
                None => S::nothing(out),
            }
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.held = 0;
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<Box<S>>>() + self.held
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
