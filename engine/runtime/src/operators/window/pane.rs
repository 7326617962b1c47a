//! The state of one window, or of a part of it: its keys, and for each an accumulator of every aggregate.

use std::ops::Range;
use std::sync::Arc;

use millrace_state::snapshot::{Reader, Records, Writer};

use super::copy::{PaneCopy, Place, Placed};
use super::states::{OnOverflow, PaneShape, Refusal, Scratch, States};
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys_of};
use crate::operators::aggregate::values::Argument;

pub struct Pane {
    groups: Groups,
    states: States,
    placed: Placed,
    /// What a snapshot has yet to be given of it.
    copy: Option<Box<PaneCopy>>,
}

impl Pane {
    pub fn new(shape: &PaneShape) -> Self {
        Pane { groups: Groups::new(&shape.keys), states: States::new(shape), placed: Placed::default(), copy: None }
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Adds `rows`, which are all of this pane; see [`States::update`].
    pub fn update(
        &mut self,
        keys: &BatchKeys,
        rows: Range<usize>,
        arguments: &mut [Argument<'_>],
        on_overflow: OnOverflow,
        scratch: &mut Scratch,
    ) -> RunResult<Vec<Refusal>> {
        scratch.groups.clear();
        scratch.groups.resize(rows.len(), 0);
        self.groups.find(keys, rows.clone(), &mut scratch.groups)?;
        self.states.resize(self.groups.len());
        self.keep(scratch.groups.iter().copied())?;
        self.states.update(rows, arguments, on_overflow, scratch)
    }

    /// Before some groups change: what a snapshot has yet to be given of them.
    fn keep(&mut self, touched: impl Iterator<Item = u32>) -> RunResult<()> {
        match &mut self.copy {
            Some(copy) => copy.keep(&self.groups, &self.states, &self.placed, touched),
            None => Ok(()),
        }
    }

    /// Begins to copy what it holds now: records as [`Pane::load`] reads them, `place` before each.
    pub fn begin_copy(&mut self, place: Place, shape: &Arc<PaneShape>, key_groups: u16) {
        self.copy = Some(Box::new(PaneCopy::new(place, shape.clone(), key_groups, self.len())));
    }

    /// Copies up to `groups` more groups. Says how many, and gives the copy once it is whole.
    pub fn copy_on(&mut self, groups: usize) -> RunResult<(usize, Option<Records>)> {
        let Some(mut copy) = self.copy.take() else { return Ok((0, None)) };
        let copied = copy.go_on(&self.groups, &self.states, &mut self.placed, groups)?;
        if copy.is_whole() {
            return Ok((copied, Some(copy.into_records())));
        }
        self.copy = Some(copy);
        Ok((copied, None))
    }

    /// Gives out all groups as rows of a partial result: the keys' columns, then numbers for each aggregate's state.
    pub fn give_words(&self, keys: &mut [Cells], words: &mut [Vec<i64>]) {
        let all: Vec<u32> = (0..self.len() as u32).collect();
        self.groups.give(&all, keys);
        self.states.give_words(&all, words);
    }

    /// Adds `rows` of a partial result, with the numbers of these rows alone.
    pub fn take_words(&mut self, keys: &BatchKeys, rows: Range<usize>, words: &[&[i64]], scratch: &mut Scratch) -> RunResult<()> {
        scratch.groups.clear();
        scratch.groups.resize(rows.len(), 0);
        self.groups.find(keys, rows, &mut scratch.groups)?;
        self.states.resize(self.groups.len());
        self.keep(scratch.groups.iter().copied())?;
        self.states.take_words(&scratch.groups, words);
        Ok(())
    }

    /// Adds all that another pane of the same shape holds.
    pub fn merge(&mut self, other: &Pane) -> RunResult<()> {
        self.merge_some(other, 0..other.len())
    }

    /// Adds some of the groups of another pane of the same shape.
    pub fn merge_some(&mut self, other: &Pane, groups: Range<usize>) -> RunResult<()> {
        let pairs = self.groups.absorb_some(&other.groups, groups)?;
        self.states.resize(self.groups.len());
        self.keep(pairs.iter().map(|(_, ours)| *ours))?;
        self.states.merge(&other.states, &pairs)
    }

    /// The groups in the order of their keys.
    pub fn sorted(&self) -> Vec<u32> {
        self.groups.sorted()
    }

    /// Gives out some groups: the keys' columns, then the aggregates'.
    pub fn give(&mut self, groups: &[u32], keys: &mut [Cells], aggregates: &mut [Cells]) {
        self.groups.give(groups, keys);
        self.states.give(groups, aggregates);
    }

    /// Hands over each key group that has any groups, with what writes their keys and states.
    pub fn each_key_group(&self, shape: &PaneShape, key_groups: u16, mut take: impl FnMut(u16, &dyn Fn(&mut Writer))) -> RunResult<()> {
        let keys = SavedKeys::new(&self.groups, &shape.keys, key_groups)?;
        for (key_group, groups) in keys.by_key_group() {
            take(key_group, &|out| {
                keys.write(&groups, out);
                self.states.save(&groups, out);
            });
        }
        Ok(())
    }

    /// Adds groups that were written by key group, each record once; `from` stands behind the head.
    pub fn load(&mut self, shape: &PaneShape, from: &mut Reader<'_>) -> RunResult<()> {
        self.load_all(shape, std::slice::from_mut(from))
    }

    /// Makes room for the groups of these records.
    pub fn reserve_for(&mut self, records: &[Reader<'_>]) -> RunResult<()> {
        let counts = records.iter().map(|from| Ok(from.clone().count(1)?));
        self.groups.reserve(counts.sum::<RunResult<usize>>()?);
        Ok(())
    }

    /// The same of many records. Of two that have the same key, the states are merged: a release before wrote panes in two parts.
    pub fn load_all(&mut self, shape: &PaneShape, records: &mut [Reader<'_>]) -> RunResult<()> {
        let before = self.len();
        let found = load_keys_of(&mut self.groups, &shape.keys, records)?;
        self.states.resize(self.groups.len());
        let is_new = self.len() - before == found.iter().map(Vec::len).sum::<usize>();
        for (groups, from) in found.iter().zip(records) {
            if is_new {
                self.states.load(groups, from)?;
            } else {
                let mut part = States::new(shape);
                part.resize(groups.len());
                part.load(&(0..groups.len() as u32).collect::<Vec<u32>>(), from)?;
                let pairs: Vec<(u32, u32)> = (0..).zip(groups.iter().copied()).collect();
                self.states.merge(&part, &pairs)?;
            }
            from.finish()?;
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.groups.clear();
        self.states.clear();
        self.placed.clear();
        self.copy = None;
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.groups.bytes() + self.states.bytes() + self.placed.bytes()
    }
}
