//! Rows that say nothing of their time: the first or the last of a key to arrive.

use std::ops::Range;
use std::sync::Arc;

use millrace_model::RowOp;
use millrace_state::snapshot::SnapshotWriter;
use polars::prelude::*;

use super::bind::DeduplicatePlan;
use super::changes::{find, with_ops};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::flow::partition::gather;
use crate::operator::{Operator, Outlook, Output, RowCounts, StateSize};
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};
use crate::operators::intake::OUT;
use crate::operators::rows_store::{read_shared, write_shared};

/// Which of a key's rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    First,
    Last,
}

/// Holds nothing but the keys that were seen.
pub struct Arrival {
    plan: Arc<DeduplicatePlan>,
    stays: Stays,
    groups: Groups,
    found: Vec<u32>,
    counts: RowCounts,
}

impl Arrival {
    pub fn new(plan: Arc<DeduplicatePlan>, stays: Stays) -> Self {
        let groups = Groups::new(&plan.key_types());
        Arrival { plan, stays, groups, found: Vec::new(), counts: RowCounts::default() }
    }

    /// The rows whose keys are new, the first of each.
    fn firsts(&self, known: usize) -> Vec<IdxSize> {
        let mut is_seen = vec![false; self.groups.len() - known];
        let mut rows = Vec::new();
        for (row, group) in (0..).zip(&self.found) {
            if let Some(is_seen) = (*group as usize).checked_sub(known).and_then(|at| is_seen.get_mut(at)).filter(|is_seen| !**is_seen) {
                *is_seen = true;
                rows.push(row);
            }
        }
        rows
    }

    /// The last row of each key in the batch, by where it stands, and what it does.
    fn lasts(&self, known: usize) -> (Vec<IdxSize>, Vec<RowOp>) {
        let mut seen = hashbrown::HashSet::with_capacity(self.found.len());
        let mut rows: Vec<(IdxSize, RowOp)> = Vec::new();
        for (row, group) in (0..self.found.len() as IdxSize).zip(&self.found).rev() {
            if seen.insert(*group) {
                rows.push((row, if *group as usize >= known { RowOp::Insert } else { RowOp::UpdateAfter }));
            }
        }
        rows.into_iter().rev().unzip()
    }
}

impl Operator for Arrival {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let known = self.groups.len();
        find(&mut self.groups, &self.plan.keys, batch.frame(), &mut self.found)?;
        if self.stays == Stays::Last {
            self.counts.accepted += batch.rows() as u64;
            let (rows, ops) = self.lasts(known);
            out.emit(OUT, with_ops(gather(batch.frame(), &rows)?, &ops)?);
            return Ok(());
        }
        let rows = self.firsts(known);
        self.counts.accepted += rows.len() as u64;
        self.counts.filtered += (batch.rows() - rows.len()) as u64;
        match rows.len() {
            0 => {}
            all if all == batch.rows() => out.emit(OUT, batch),
            _ => out.emit(OUT, Batch::new(gather(batch.frame(), &rows)?)),
        }
        Ok(())
    }

    fn outlook(&self) -> Outlook {
        Outlook::NOTHING_DUE
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        write_shared(i64::MIN, &self.plan.types(), writer);
        let keys = SavedKeys::new(&self.groups, &self.plan.key_types(), writer.key_groups())?;
        keys.by_key_group().for_each(|(key_group, groups)| writer.keyed(key_group, |out| keys.write(&groups, out)));
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        read_shared(snapshot, &self.plan.types())?;
        for (_, mut record) in snapshot.keyed(groups) {
            load_keys(&mut self.groups, &self.plan.key_types(), &mut record)?;
            record.finish()?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize { rows: self.groups.len() as u64, bytes: self.groups.bytes() as u64, ..StateSize::default() }
    }
}
