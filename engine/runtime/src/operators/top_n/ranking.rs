//! The first n rows of every key, in order.
//!
//! A batch is looked at in two passes: the first holds each row's lead (a number that sorts as the first column of the order does) against
//! its key's cut-off, the lead of the key's nth row, which turns away nearly all rows in the long run; the second reads what is left
//! and puts it in its place.

use std::ops::Range;

use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, SnapshotWriter, Writer};
use polars::prelude::*;

use super::lists::IdLists;
use super::spec::Ties;
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::flow::partition::gather;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::rows_store::{RowLayout, RowOrder, RowsStore, read_shared, write_shared};

/// What is ranked, and how.
#[derive(Debug, Clone)]
pub struct RankingShape {
    pub keys: Vec<(String, Type)>,
    pub layout: RowLayout,
    pub order: RowOrder,
    pub n: usize,
    pub ties: Ties,
}

impl RankingShape {
    pub fn key_types(&self) -> Vec<Type> {
        self.keys.iter().map(|(_, data_type)| *data_type).collect()
    }

    /// The keys of a frame's rows.
    pub fn batch_keys(&self, frame: &DataFrame) -> RunResult<BatchKeys> {
        let columns = self.keys.iter().map(|(name, _)| Ok(frame.column(name)?)).collect::<RunResult<Vec<_>>>()?;
        BatchKeys::new(columns, frame.height())
    }
}

/// A batch whose rows are to be ranked.
pub struct Candidates<'a> {
    pub frame: &'a DataFrame,
    pub keys: BatchKeys,
    pub leads: Vec<u64>,
}

impl<'a> Candidates<'a> {
    pub fn new(shape: &RankingShape, frame: &'a DataFrame) -> RunResult<Self> {
        Ok(Candidates { keys: shape.batch_keys(frame)?, leads: shape.order.leads(&shape.layout, frame.columns())?, frame })
    }
}

/// What adding rows came to, for those who tell of it.
#[derive(Default)]
pub struct Changed {
    /// Keys whose rows are not what they were, each once, in the order in which it came to that.
    pub groups: Vec<u32>,
    /// Where the rows that those keys had before stand in `ids_before`.
    pub before: Vec<Range<usize>>,
    pub ids_before: Vec<u32>,
    /// Rows that are out; they can still be read until they are freed.
    pub out: Vec<u32>,
}

pub struct Ranking {
    groups: Groups,
    lists: IdLists,
    /// A row with a greater lead is none of its key's first n.
    cutoffs: Vec<u64>,
    pub rows: RowsStore,
    found: Vec<u32>,
    /// By group, whether it is among the changed ones.
    is_changed: Vec<bool>,
}

impl Ranking {
    pub fn new(shape: &RankingShape) -> Self {
        Ranking {
            groups: Groups::new(&shape.key_types()),
            lists: IdLists::default(),
            cutoffs: Vec::new(),
            rows: shape.layout.store(),
            found: Vec::new(),
            is_changed: Vec::new(),
        }
    }

    fn resize(&mut self) {
        self.lists.resize(self.groups.len());
        self.cutoffs.resize(self.groups.len(), u64::MAX);
        self.is_changed.resize(self.groups.len(), false);
    }

    /// Ranks some of a batch's rows with those that are there. Rows that are out by it are let go, unless `changed` takes them.
    pub fn add(
        &mut self,
        shape: &RankingShape,
        batch: &Candidates<'_>,
        rows: Range<usize>,
        mut changed: Option<&mut Changed>,
    ) -> RunResult<()> {
        self.found.clear();
        self.found.resize(rows.len(), 0);
        self.groups.find(&batch.keys, rows.clone(), &mut self.found)?;
        self.resize();
        let (mut near, mut groups) = (Vec::new(), Vec::new());
        for ((row, group), lead) in rows.clone().zip(&self.found).zip(batch.leads.get(rows).unwrap_or_default()) {
            if self.cutoffs.get(*group as usize).is_some_and(|cutoff| lead <= cutoff) {
                near.push(row as IdxSize);
                groups.push(*group);
            }
        }
        if near.is_empty() {
            return Ok(());
        }
        let is_whole = near.len() == batch.frame.height();
        let candidates = if is_whole { shape.layout.read(batch.frame)? } else { shape.layout.read(&gather(batch.frame, &near)?)? };
        for (row, group) in (0..).zip(groups) {
            self.place(shape, &candidates, row, group, changed.as_deref_mut())?;
        }
        for group in changed.iter().flat_map(|changed| &changed.groups) {
            if let Some(is_changed) = self.is_changed.get_mut(*group as usize) {
                *is_changed = false;
            }
        }
        Ok(())
    }

    /// Puts a row into its key's list, unless it is none of the first. Where ties are kept, rows that share a place stand as they came: all of
    /// them are taken or none, and in a place that many share it would cost each of them a move of the others.
    fn place(&mut self, shape: &RankingShape, from: &RowsStore, row: u32, group: u32, mut changed: Option<&mut Changed>) -> RunResult<()> {
        let list = self.lists.get(group);
        let at = list.partition_point(|id| match shape.ties {
            Ties::Keep => shape.order.compare_places(&self.rows, *id, from, row).is_le(),
            Ties::Drop => shape.order.compare(&self.rows, *id, from, row).is_le(),
        });
        if at >= shape.n && !self.shares_last_place(shape, list, from, row) {
            return Ok(());
        }
        if let Some(changed) = changed.as_deref_mut() {
            self.remember(group, changed);
        }
        let id = self.rows.push(from, row)?;
        self.lists.insert(group, at, id);
        while let Some(out) = self.take_surplus(shape, group) {
            match changed.as_deref_mut() {
                Some(changed) => changed.out.push(out),
                None => self.rows.free(out),
            }
        }
        Ok(())
    }

    /// Notes a key's rows before the first change of them.
    fn remember(&mut self, group: u32, changed: &mut Changed) {
        if let Some(is_changed) = self.is_changed.get_mut(group as usize).filter(|is_changed| !**is_changed) {
            *is_changed = true;
            let start = changed.ids_before.len();
            changed.ids_before.extend_from_slice(self.lists.get(group));
            changed.before.push(start..changed.ids_before.len());
            changed.groups.push(group);
        }
    }

    fn shares_last_place(&self, shape: &RankingShape, list: &[u32], from: &RowsStore, row: u32) -> bool {
        let Some(last) = shape.n.checked_sub(1).and_then(|last| list.get(last)).filter(|_| shape.ties == Ties::Keep) else { return false };
        shape.order.compare_places(&self.rows, *last, from, row).is_eq()
    }

    /// Takes away the last row behind the nth place, if there is any; if not, the cut-off is set.
    fn take_surplus(&mut self, shape: &RankingShape, group: u32) -> Option<u32> {
        let list = self.lists.get(group);
        let nth = shape.n.checked_sub(1).and_then(|nth| list.get(nth).copied())?;
        let last = list.get(shape.n..).and_then(|behind| behind.last().copied());
        let shares = |last: u32| shape.ties == Ties::Keep && shape.order.compare_places(&self.rows, nth, &self.rows, last).is_eq();
        if last.is_some_and(|last| !shares(last)) {
            return self.lists.pop(group);
        }
        if let Some(cutoff) = self.cutoffs.get_mut(group as usize) {
            *cutoff = shape.order.lead(&self.rows, nth);
        }
        None
    }

    /// Lets go of rows that are out.
    pub fn free(&mut self, out: &[u32]) {
        out.iter().for_each(|id| self.rows.free(*id));
    }

    /// A key's rows, first to last; those that share a place stand as they came where ties are kept.
    pub fn list(&self, group: u32) -> &[u32] {
        self.lists.get(group)
    }

    /// Adds a key's rows to `ids`, first to last, those that share a place by their other columns.
    pub fn push_sorted(&self, shape: &RankingShape, group: u32, ids: &mut Vec<u32>) -> Range<usize> {
        let start = ids.len();
        ids.extend_from_slice(self.lists.get(group));
        if let Some(list) = ids.get_mut(start..).filter(|_| shape.ties == Ties::Keep) {
            list.sort_by(|a, b| shape.order.compare(&self.rows, *a, &self.rows, *b));
        }
        start..ids.len()
    }

    /// The keys in their order.
    pub fn sorted(&self) -> Vec<u32> {
        self.groups.sorted()
    }

    /// The place of each row of a key's list: rows that share one have the same where ties are kept.
    pub fn ranks(&self, shape: &RankingShape, list: &[u32], ranks: &mut Vec<i64>) {
        for (at, id) in list.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| list.get(before)).filter(|_| shape.ties == Ties::Keep);
            let shares = before.is_some_and(|before| shape.order.compare_places(&self.rows, *before, &self.rows, *id).is_eq());
            let rank = if shares { ranks.last().copied().unwrap_or(1) } else { at as i64 + 1 };
            ranks.push(rank);
        }
    }

    /// Writes all rows, a record for each key group that has any: `head`, the keys, how many rows each has, the rows.
    pub fn save(&self, shape: &RankingShape, head: &dyn Fn(&mut Writer), writer: &mut SnapshotWriter) -> RunResult<()> {
        let keys = SavedKeys::new(&self.groups, &shape.key_types(), writer.key_groups())?;
        for (key_group, groups) in keys.by_key_group() {
            let ids: Vec<u32> = groups.iter().flat_map(|group| self.lists.get(*group)).copied().collect();
            writer.keyed(key_group, |out| {
                head(out);
                keys.write(&groups, out);
                groups.iter().for_each(|group| out.u64(self.lists.get(*group).len() as u64));
                self.rows.save(&ids, out);
            });
        }
        Ok(())
    }

    /// Adds keys that [`Ranking::save`] wrote, which are not here yet; `from` stands behind the head.
    pub fn load(&mut self, shape: &RankingShape, from: &mut Reader<'_>) -> RunResult<()> {
        let groups = load_keys(&mut self.groups, &shape.key_types(), from)?;
        self.resize();
        let lengths = groups.iter().map(|_| from.u64()).collect::<Result<Vec<_>, _>>()?;
        let ids = self.rows.load(from)?;
        let mut ids = ids.into_iter();
        for (group, length) in groups.into_iter().zip(lengths) {
            for at in 0..length {
                let id = ids.next().ok_or_else(|| from.damaged("it has fewer rows than it says"))?;
                self.lists.insert(group, at as usize, id);
            }
            while self.take_surplus(shape, group).is_some() {}
        }
        Ok(from.finish()?)
    }

    /// Forgets all and keeps the memory.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.lists.clear();
        self.cutoffs.clear();
        self.is_changed.clear();
        self.rows.clear();
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let own = self.cutoffs.capacity() * 8 + self.found.capacity() * 4 + self.is_changed.capacity();
        self.groups.bytes() + self.lists.bytes() + self.rows.bytes() + own
    }
}

impl RankingShape {
    fn types(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().map(|(_, data_type)| data_type.name()).collect();
        format!("{}; by {}", self.layout.types(), keys.join(", "))
    }

    /// Writes what all keys share: the watermark and the types.
    pub fn write_shared(&self, watermark: i64, writer: &mut SnapshotWriter) {
        write_shared(watermark, &self.types(), writer);
    }

    pub fn read_shared(&self, snapshot: &OperatorSnapshot<'_>) -> RunResult<i64> {
        read_shared(snapshot, &self.types())
    }
}
