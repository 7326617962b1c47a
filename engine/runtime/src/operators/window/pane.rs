//! The state of one window, or of a part of it: its keys, and for each an accumulator of every aggregate.

use std::ops::Range;

use millrace_state::snapshot::{Reader, SnapshotWriter, Writer};

use super::states::{OnOverflow, PaneShape, Refusal, Scratch, States};
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::aggregate::values::Argument;

pub struct Pane {
    groups: Groups,
    states: States,
}

impl Pane {
    pub fn new(shape: &PaneShape) -> Self {
        Pane { groups: Groups::new(&shape.keys), states: States::new(shape) }
    }

    /// Whether it may refuse a row for what it holds already: a sum that would overflow, a list that is full. Such a pane cannot take rows
    /// in two parts that are merged later.
    pub const fn may_refuse(&self) -> bool {
        self.states.may_refuse()
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
        self.states.update(rows, arguments, on_overflow, scratch)
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

    /// Writes all groups, a record for each key group that has any: `head`, the keys, the states.
    pub fn save(&self, shape: &PaneShape, head: &dyn Fn(&mut Writer), writer: &mut SnapshotWriter) -> RunResult<()> {
        self.each_key_group(shape, writer.key_groups(), |key_group, write| {
            writer.keyed(key_group, |out| {
                head(out);
                write(out);
            });
        })
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

    /// Adds groups that [`Pane::save`] wrote; `from` stands behind the head.
    pub fn load(&mut self, shape: &PaneShape, from: &mut Reader<'_>) -> RunResult<()> {
        let groups = load_keys(&mut self.groups, &shape.keys, from)?;
        self.states.resize(self.groups.len());
        self.states.load(&groups, from)?;
        Ok(from.finish()?)
    }

    pub fn clear(&mut self) {
        self.groups.clear();
        self.states.clear();
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.groups.bytes() + self.states.bytes()
    }
}
