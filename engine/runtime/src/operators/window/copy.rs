//! The state of a pane as it was at a barrier, copied while rows go on coming.
//!
//! At the barrier nothing is copied. Then its groups are written from first to last, some between two batches; a group that rows change
//! before its turn is written just before they do. So each is written once and as it was, a batch never waits for more than some groups of
//! its own, and no second table is kept. It is copy on write by the group instead of by the page.

use std::sync::Arc;

use millrace_model::DataType as Type;
use millrace_plan::key_group::key_group;
use millrace_state::snapshot::Records;
use polars::prelude::{Column, DataFrame};

use super::states::{PaneShape, States};
use crate::error::RunResult;
use crate::key::hash_keys;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;

/// What stands before each record: the window that takes the pane next, and its slot.
pub type Place = [i64; 4];

/// A copy under way.
pub struct PaneCopy {
    place: Place,
    shape: Arc<PaneShape>,
    key_groups: u16,
    /// Groups before it are written.
    upto: usize,
    /// Groups that there were at the barrier.
    total: usize,
    /// Beyond `upto`, a bit for each group: whether it is written.
    early: Vec<u64>,
    records: Records,
}

impl PaneCopy {
    pub fn new(place: Place, shape: Arc<PaneShape>, key_groups: u16, total: usize) -> PaneCopy {
        PaneCopy { place, shape, key_groups, upto: 0, total, early: vec![0; total.div_ceil(64)], records: Records::default() }
    }

    pub const fn is_whole(&self) -> bool {
        self.upto >= self.total
    }

    pub fn into_records(self) -> Records {
        self.records
    }

    /// Writes the next groups. Says how many.
    pub fn go_on(&mut self, groups: &Groups, states: &States, placed: &mut Placed, most: usize) -> RunResult<usize> {
        let from = self.upto;
        self.upto = self.total.min(from.saturating_add(most));
        let list: Vec<u32> = (from..self.upto).filter(|group| !self.is_early(*group)).map(|group| group as u32).collect();
        placed.reach(groups, &self.shape.keys, self.key_groups, self.upto)?;
        self.write(groups, states, placed, list)?;
        Ok(self.upto - from)
    }

    /// Writes those of `touched` whose turn has not come. Their states are about to change.
    pub fn keep(&mut self, groups: &Groups, states: &States, placed: &Placed, touched: impl Iterator<Item = u32>) -> RunResult<()> {
        if self.is_whole() {
            return Ok(());
        }
        let mut list = Vec::new();
        for group in touched {
            let at = group as usize;
            if at >= self.upto && at < self.total && !self.is_early(at) {
                if let Some(bits) = self.early.get_mut(at / 64) {
                    *bits |= 1 << (at % 64);
                }
                list.push(group);
            }
        }
        self.write(groups, states, placed, list)
    }

    fn is_early(&self, group: usize) -> bool {
        self.early.get(group / 64).is_some_and(|bits| bits >> (group % 64) & 1 == 1)
    }

    fn write(&mut self, groups: &Groups, states: &States, placed: &Placed, list: Vec<u32>) -> RunResult<()> {
        if list.is_empty() {
            return Ok(());
        }
        let key_groups = placed.of(groups, &self.shape.keys, self.key_groups, &list)?;
        for (key_group, run) in in_key_groups(&list, &key_groups, self.key_groups) {
            self.records.keyed(key_group, |out| {
                self.place.iter().for_each(|part| out.i64(*part));
                groups.save(&run, out);
                states.save(&run, out);
            });
        }
        Ok(())
    }
}

/// The key groups of a table's first groups, which never change: told once, not at every barrier.
#[derive(Default)]
pub struct Placed {
    key_groups: Vec<u16>,
}

impl Placed {
    /// Tells the key groups of all groups before `upto`.
    fn reach(&mut self, groups: &Groups, types: &[Type], key_groups: u16, upto: usize) -> RunResult<()> {
        let known = self.key_groups.len();
        if known < upto {
            let new: Vec<u32> = (known as u32..upto as u32).collect();
            self.key_groups.extend(tell(groups, types, key_groups, &new)?);
        }
        Ok(())
    }

    fn of(&self, groups: &Groups, types: &[Type], key_groups: u16, list: &[u32]) -> RunResult<Vec<u16>> {
        let known: Option<Vec<u16>> = list.iter().map(|group| self.key_groups.get(*group as usize).copied()).collect();
        known.map_or_else(|| tell(groups, types, key_groups, list), Ok)
    }

    pub fn clear(&mut self) {
        self.key_groups.clear();
    }

    pub const fn bytes(&self) -> usize {
        self.key_groups.capacity() * 2
    }
}

/// The key groups of some groups, by the canonical bytes of their keys.
fn tell(groups: &Groups, types: &[Type], key_groups: u16, list: &[u32]) -> RunResult<Vec<u16>> {
    let mut cells: Vec<Cells> = types.iter().map(|data_type| Cells::new(*data_type, list.len())).collect();
    groups.give(list, &mut cells);
    let names: Vec<String> = (0..types.len()).map(|at| format!("k{at}")).collect();
    let columns: Vec<Column> = cells.into_iter().zip(&names).map(|(cells, name)| cells.finish(name)).collect::<RunResult<_>>()?;
    let frame = DataFrame::new(list.len(), columns)?;
    let hashes = hash_keys(&frame, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(hashes.into_iter().map(|hash| key_group(hash, key_groups)).collect())
}

/// The groups of each key group that has any, by counting.
fn in_key_groups(list: &[u32], key_groups: &[u16], all: u16) -> Vec<(u16, Vec<u32>)> {
    let mut counts = vec![0u32; usize::from(all)];
    for key_group in key_groups {
        if let Some(count) = counts.get_mut(usize::from(*key_group)) {
            *count += 1;
        }
    }
    let mut places = vec![usize::MAX; usize::from(all)];
    let mut runs = Vec::new();
    for ((key_group, count), place) in (0..all).zip(&counts).zip(&mut places).filter(|((_, count), _)| **count > 0) {
        *place = runs.len();
        runs.push((key_group, Vec::with_capacity(*count as usize)));
    }
    for (group, key_group) in list.iter().zip(key_groups) {
        if let Some((_, run)) = places.get(usize::from(*key_group)).and_then(|place| runs.get_mut(*place)) {
            run.push(*group);
        }
    }
    runs
}
