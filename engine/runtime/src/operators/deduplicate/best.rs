//! The row of each key that comes first in an order, of all so far.
//!
//! Each key has a lead, that of its best row so far: a number that sorts as the first column of the order does. A batch's rows are held
//! against it in one pass, which leaves, of each key, those that share the least lead; only these are read and compared in full.

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
use crate::operators::rows_store::{RowOrder, RowsStore, read_shared, write_shared};

/// No row, or no change.
const NONE: u32 = u32::MAX;

pub struct Best {
    plan: Arc<DeduplicatePlan>,
    order: RowOrder,
    groups: Groups,
    rows: RowsStore,
    /// By group, the lead of its row.
    leads: Vec<u64>,
    /// By group, its row; `NONE` for a moment where the key is new.
    held: Vec<u32>,
    /// By group, its place among the changes of the batch at hand.
    changed: Vec<u32>,
    found: Vec<u32>,
    counts: RowCounts,
}

/// A key's new row, by its place among the rows looked at.
struct Change {
    group: u32,
    row: IdxSize,
    op: RowOp,
}

impl Best {
    pub fn new(plan: Arc<DeduplicatePlan>, order: RowOrder) -> Self {
        Best {
            groups: Groups::new(&plan.key_types()),
            rows: plan.layout.store(),
            plan,
            order,
            leads: Vec::new(),
            held: Vec::new(),
            changed: Vec::new(),
            found: Vec::new(),
            counts: RowCounts::default(),
        }
    }

    fn resize(&mut self) {
        self.leads.resize(self.groups.len(), u64::MAX);
        self.held.resize(self.groups.len(), NONE);
        self.changed.resize(self.groups.len(), NONE);
    }

    /// The rows that may be their key's best, with their groups.
    fn near(&mut self, leads: &[u64]) -> (Vec<IdxSize>, Vec<u32>) {
        for (group, lead) in self.found.iter().zip(leads) {
            if let Some(least) = self.leads.get_mut(*group as usize) {
                *least = (*least).min(*lead);
            }
        }
        let rows = (0..).zip(&self.found).zip(leads);
        let near = rows.filter(|((_, group), lead)| self.leads.get(**group as usize) == Some(lead));
        near.map(|((row, group), _)| (row, *group)).unzip()
    }

    /// Puts a row in its key's place if it comes before the one there.
    fn offer(&mut self, from: &RowsStore, row: u32, group: u32, changes: &mut Vec<Change>) -> RunResult<()> {
        let (Some(held), Some(changed)) = (self.held.get_mut(group as usize), self.changed.get_mut(group as usize)) else { return Ok(()) };
        let op = match *held {
            NONE => {
                *held = self.rows.push(from, row)?;
                RowOp::Insert
            }
            held if self.order.compare(from, row, &self.rows, held).is_lt() => {
                self.rows.replace(held, from, row);
                RowOp::UpdateAfter
            }
            _ => return Ok(()),
        };
        match changes.get_mut(*changed as usize) {
            // What the key was before the batch decides what its row does.
            Some(change) => change.row = row,
            None => {
                *changed = changes.len() as u32;
                changes.push(Change { group, row, op });
            }
        }
        Ok(())
    }
}

impl Operator for Best {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.counts.accepted += batch.rows() as u64;
        find(&mut self.groups, &self.plan.keys, batch.frame(), &mut self.found)?;
        self.resize();
        let leads = self.order.leads(&self.plan.layout, batch.frame().columns())?;
        let (rows, groups) = self.near(&leads);
        if rows.is_empty() {
            return Ok(());
        }
        let is_whole = rows.len() == batch.rows();
        let near = if is_whole { batch.into_frame() } else { gather(batch.frame(), &rows)? };
        let candidates = self.plan.layout.read(&near)?;
        let mut changes = Vec::new();
        for (row, group) in (0..).zip(groups) {
            self.offer(&candidates, row, group, &mut changes)?;
        }
        for change in &changes {
            if let Some(changed) = self.changed.get_mut(change.group as usize) {
                *changed = NONE;
            }
        }
        if !changes.is_empty() {
            let (rows, ops): (Vec<IdxSize>, Vec<RowOp>) = changes.iter().map(|change| (change.row, change.op)).unzip();
            let is_whole = rows.len() == near.height() && rows.is_sorted();
            let changed = if is_whole { near } else { gather(&near, &rows)? };
            out.emit(OUT, with_ops(changed, &ops)?);
        }
        Ok(())
    }

    fn outlook(&self) -> Outlook {
        Outlook::NOTHING_DUE
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        write_shared(i64::MIN, &self.plan.types(), writer);
        let keys = SavedKeys::new(&self.groups, &self.plan.key_types(), writer.key_groups())?;
        for (key_group, groups) in keys.by_key_group() {
            let rows: Vec<u32> = groups.iter().map(|group| self.held.get(*group as usize).copied().unwrap_or(NONE)).collect();
            writer.keyed(key_group, |out| {
                keys.write(&groups, out);
                self.rows.save(&rows, out);
            });
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        read_shared(snapshot, &self.plan.types())?;
        for (_, mut record) in snapshot.keyed(groups) {
            let groups = load_keys(&mut self.groups, &self.plan.key_types(), &mut record)?;
            self.resize();
            let rows = self.rows.load(&mut record)?;
            record.finish()?;
            if rows.len() != groups.len() {
                return Err(record.damaged("it has not one row for each key").into());
            }
            for (group, row) in groups.into_iter().zip(rows) {
                if let (Some(held), Some(lead)) = (self.held.get_mut(group as usize), self.leads.get_mut(group as usize)) {
                    (*held, *lead) = (row, self.order.lead(&self.rows, row));
                }
            }
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }

    fn state_size(&self) -> StateSize {
        let own = self.leads.capacity() * 8 + self.held.capacity() * 4 + self.changed.capacity() * 4 + self.found.capacity() * 4;
        let bytes = self.groups.bytes() + self.rows.bytes() + own;
        StateSize { rows: self.rows.len() as u64, bytes: bytes as u64, ..StateSize::default() }
    }
}
