//! `top_n` of all rows so far: a changelog that takes rows back.

use std::ops::Range;

use millrace_model::{OP_COLUMN, RowOp};
use millrace_state::snapshot::SnapshotWriter;
use polars::prelude::*;

use super::bind::TopPlan;
use super::ranking::{Candidates, Changed, Ranking, RankingShape};
use crate::batch::{Batch, WATERMARK_COLUMN};
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::operator::{Operator, OperatorContext, Outlook, Output, RowCounts, StateSize};
use crate::operators::intake::OUT;

pub struct UpdatingTop {
    batch_rows: usize,
    shape: RankingShape,
    rank: Option<String>,
    ranking: Ranking,
    counts: RowCounts,
}

/// Rows of the changelog on their way out.
#[derive(Default)]
struct Changes {
    ids: Vec<u32>,
    ranks: Vec<i64>,
    ops: Vec<RowOp>,
}

impl Changes {
    fn push(&mut self, id: u32, rank: i64, op: RowOp) {
        self.ids.push(id);
        self.ranks.push(rank);
        self.ops.push(op);
    }
}

impl UpdatingTop {
    pub fn new(plan: &TopPlan, context: &OperatorContext) -> Self {
        UpdatingTop {
            batch_rows: context.batch_rows.max(1),
            shape: plan.shape.clone(),
            rank: plan.rank.clone(),
            ranking: Ranking::new(&plan.shape),
            counts: RowCounts::default(),
        }
    }

    /// What a batch came to, key by key: first what is taken back, then what is new.
    fn changes(&self, changed: &Changed) -> Changes {
        let mut changes = Changes::default();
        for (group, before) in changed.groups.iter().zip(&changed.before) {
            let before = changed.ids_before.get(before.clone()).unwrap_or_default();
            let after = self.ranking.list(*group);
            match self.rank {
                Some(_) => self.changes_of_ranks(before, after, &mut changes),
                None => changes_of_rows(before, after, &mut changes),
            }
        }
        changes
    }

    /// Place by place: another row, or the same with another rank.
    fn changes_of_ranks(&self, before: &[u32], after: &[u32], changes: &mut Changes) {
        let ranked = |list: &[u32]| {
            let mut ranks = Vec::with_capacity(list.len());
            self.ranking.ranks(&self.shape, list, &mut ranks);
            list.iter().copied().zip(ranks).collect::<Vec<_>>()
        };
        let (before, after) = (ranked(before), ranked(after));
        for (at, (id, rank)) in before.iter().enumerate() {
            match after.get(at) {
                Some(now) if *now == (*id, *rank) => {}
                Some(_) => changes.push(*id, *rank, RowOp::UpdateBefore),
                None => changes.push(*id, *rank, RowOp::Delete),
            }
        }
        for (at, (id, rank)) in after.iter().enumerate() {
            match before.get(at) {
                Some(then) if *then == (*id, *rank) => {}
                Some(_) => changes.push(*id, *rank, RowOp::UpdateAfter),
                None => changes.push(*id, *rank, RowOp::Insert),
            }
        }
    }

    fn emit(&self, changes: &Changes, out: &mut dyn Output) -> RunResult<()> {
        for start in (0..changes.ids.len()).step_by(self.batch_rows) {
            let range = start..changes.ids.len().min(start + self.batch_rows);
            let ids = changes.ids.get(range.clone()).unwrap_or_default();
            let mut columns = self.shape.layout.give(&self.ranking.rows, ids)?;
            if let Some(name) = &self.rank {
                let ranks = changes.ranks.get(range.clone()).unwrap_or_default();
                columns.push(Int64Chunked::from_vec(name.as_str().into(), ranks.to_vec()).into_series().into_column());
            }
            let ops = changes.ops.get(range).unwrap_or_default();
            columns.push(Column::new(OP_COLUMN.into(), ops.iter().map(|op| op.word()).collect::<Vec<_>>()));
            if let Some(times) = self.shape.layout.give_times(&self.ranking.rows, ids)? {
                columns.push(times);
                columns.push(Int64Chunked::from_vec(WATERMARK_COLUMN.into(), vec![i64::MIN; ids.len()]).into_series().into_column());
            }
            out.emit(OUT, Batch::new(DataFrame::new(ids.len(), columns)?));
        }
        Ok(())
    }
}

/// Row by row: those that are out, those that are new. Both lists stand in the same order, but numbers have none: few are compared.
fn changes_of_rows(before: &[u32], after: &[u32], changes: &mut Changes) {
    let sorted = |list: &[u32]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let (was, is) = (sorted(before), sorted(after));
    for id in before.iter().filter(|id| is.binary_search(id).is_err()) {
        changes.push(*id, 0, RowOp::Delete);
    }
    for id in after.iter().filter(|id| was.binary_search(id).is_err()) {
        changes.push(*id, 0, RowOp::Insert);
    }
}

impl Operator for UpdatingTop {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let candidates = Candidates::new(&self.shape, batch.frame())?;
        let mut changed = Changed::default();
        self.ranking.add(&self.shape, &candidates, 0..batch.rows(), Some(&mut changed))?;
        self.counts.accepted += batch.rows() as u64;
        self.emit(&self.changes(&changed), out)?;
        self.ranking.free(&changed.out);
        Ok(())
    }

    fn outlook(&self) -> Outlook {
        Outlook::NOTHING_DUE
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        self.shape.write_shared(i64::MIN, writer);
        self.ranking.save(&self.shape, &|_| {}, writer)
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.shape.read_shared(snapshot)?;
        for (_, mut record) in snapshot.keyed(groups) {
            self.ranking.load(&self.shape, &mut record)?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize { rows: self.ranking.rows.len() as u64, bytes: self.ranking.bytes() as u64, ..StateSize::default() }
    }
}
