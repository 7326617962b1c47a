//! `top_n` of windows: final at close.

use std::collections::BTreeMap;
use std::ops::Range;

use millrace_model::Timestamp;
use millrace_state::snapshot::SnapshotWriter;
use polars::prelude::*;

use super::bind::{TopMode, TopPlan};
use super::ranking::{Candidates, Ranking, RankingShape};
use crate::batch::{Batch, TIME_COLUMN, WATERMARK_COLUMN};
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::flow::partition::gather;
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step};
use crate::operators::intake::{Intake, OUT};
use crate::operators::window::assign::{Assignment, Fate, Place, Slot, assign};
use crate::operators::window::rows::WINDOW_COLUMNS;
use crate::operators::window::shape::{Window, Windows};

/// Emptied rankings kept for those that come next, so that their tables need not grow again.
const SPARE_RANKINGS: usize = 2;

pub struct WindowedTop {
    batch_rows: usize,
    shape: RankingShape,
    windows: Windows,
    /// Whether the rows carry their windows.
    is_carried: bool,
    rank: Option<String>,
    intake: Intake,
    /// By when they close: windows of one end by their start.
    open: BTreeMap<(i64, i64), Ranking>,
    firing: Option<Firing>,
    spare: Vec<Ranking>,
    /// Every window that closes at or before it has fired, or does before the next batch.
    watermark: i64,
}

struct Firing {
    window: Window,
    ranking: Ranking,
    /// All rows with their ranks, in the order in which they go out.
    ids: Vec<u32>,
    ranks: Vec<i64>,
    given: usize,
}

impl WindowedTop {
    pub fn new(plan: &TopPlan, windows: Windows, context: &OperatorContext) -> Self {
        let is_carried = matches!(plan.mode, TopMode::Carried(_));
        let reason = match is_carried {
            true => "it carries no window: window_start or window_end is NULL, or the end is not after the start",
            false => "its window begins or ends beyond the range of a TIMESTAMP",
        };
        WindowedTop {
            batch_rows: context.batch_rows.max(1),
            shape: plan.shape.clone(),
            windows,
            is_carried,
            rank: plan.rank.clone(),
            intake: Intake::new(context.node.clone(), plan.on_error, reason),
            open: BTreeMap::new(),
            firing: None,
            spare: Vec::new(),
            watermark: i64::MIN,
        }
    }

    fn assign(&self, batch: &Batch) -> RunResult<Assignment> {
        let watermarks = batch.watermarks()?;
        if !self.is_carried {
            return Ok(assign(&self.windows, batch.times()?, watermarks, self.watermark));
        }
        let (starts, ends) = (micros(batch.frame(), "window_start")?, micros(batch.frame(), "window_end")?);
        let mut assignment = Assignment::default();
        for (row, ((start, end), watermark)) in starts.iter().zip(ends.iter()).zip(watermarks).enumerate() {
            match self.carried(start, end, *watermark) {
                Ok(window) => assignment.keep(Place { next: window, slot: Slot { pane: window.start, first_end: window.end } }),
                Err(fate) => assignment.fates.refuse(row, fate),
            }
        }
        assignment.end_run();
        Ok(assignment)
    }

    fn carried(&self, start: Option<i64>, end: Option<i64>, watermark: i64) -> Result<Window, Fate> {
        let (Some(start), Some(end)) = (start, end) else { return Err(Fate::OutOfRange) };
        let window = Window { start, end };
        match self.windows.close_of(window) {
            _ if end <= start => Err(Fate::OutOfRange),
            close if close <= watermark => Err(Fate::Late),
            close if close <= self.watermark => Err(Fate::LateAfterIdle),
            _ => Ok(window),
        }
    }

    fn begin_firing(&mut self) -> Option<Firing> {
        let first = self.open.first_entry()?;
        let (end, start) = *first.key();
        let window = Window { start, end };
        if self.windows.close_of(window) > self.watermark {
            return None;
        }
        let ranking = first.remove();
        let (mut ids, mut ranks) = (Vec::new(), Vec::new());
        for group in ranking.sorted() {
            let list = ranking.push_sorted(&self.shape, group, &mut ids);
            if self.rank.is_some() {
                ranking.ranks(&self.shape, ids.get(list).unwrap_or_default(), &mut ranks);
            }
        }
        Some(Firing { window, ranking, ids, ranks, given: 0 })
    }

    /// Up to `limit` more rows of the window that fires.
    fn give(&self, firing: &mut Firing, limit: usize) -> RunResult<Batch> {
        let range = firing.given..firing.ids.len().min(firing.given + limit);
        firing.given = range.end;
        let ids = firing.ids.get(range.clone()).unwrap_or_default();
        let Window { start, end } = firing.window;
        let mut columns = Vec::with_capacity(self.shape.layout.width() + 6);
        if !self.is_carried {
            for (name, at) in WINDOW_COLUMNS.into_iter().zip([start, end, end - 1]) {
                let stamps = Int64Chunked::from_vec(name.into(), vec![at; ids.len()]).into_datetime(TimeUnit::Microseconds, None);
                columns.push(stamps.into_series().into_column());
            }
        }
        columns.extend(self.shape.layout.give(&firing.ranking.rows, ids)?);
        if let Some(name) = &self.rank {
            let ranks = firing.ranks.get(range).unwrap_or_default();
            columns.push(Int64Chunked::from_vec(name.as_str().into(), ranks.to_vec()).into_series().into_column());
        }
        for (name, at) in [(TIME_COLUMN, end - 1), (WATERMARK_COLUMN, i64::MIN)] {
            columns.push(Int64Chunked::from_vec(name.into(), vec![at; ids.len()]).into_series().into_column());
        }
        Ok(Batch::new(DataFrame::new(ids.len(), columns)?))
    }

    fn recycle(&mut self, mut ranking: Ranking) {
        if self.spare.len() < SPARE_RANKINGS {
            ranking.clear();
            self.spare.push(ranking);
        }
    }

    fn rankings(&self) -> impl Iterator<Item = &Ranking> {
        self.open.values().chain(self.firing.iter().map(|firing| &firing.ranking))
    }
}

/// A TIMESTAMP column's microseconds.
fn micros(frame: &DataFrame, name: &str) -> RunResult<Int64Chunked> {
    Ok(frame.column(name)?.to_physical_repr().as_materialized_series().i64()?.clone())
}

impl Operator for WindowedTop {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut assignment = self.assign(&batch)?;
        let mut frame = self.intake.turn_away(batch.into_frame(), &assignment.fates, out)?;
        if let Some(order) = assignment.gather() {
            frame = gather(&frame, &order)?;
        }
        if frame.height() == 0 {
            return Ok(());
        }
        let candidates = Candidates::new(&self.shape, &frame)?;
        for run in &assignment.runs {
            let Window { start, end } = run.place.next;
            let ranking = self.open.entry((end, start));
            let ranking = ranking.or_insert_with(|| self.spare.pop().unwrap_or_else(|| Ranking::new(&self.shape)));
            ranking.add(&self.shape, &candidates, run.rows.clone(), None)?;
        }
        self.intake.counts.accepted += frame.height() as u64;
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        Ok(())
    }

    fn step(&mut self, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut left = budget.rows.max(1);
        while left > 0 {
            let Some(mut firing) = self.firing.take().or_else(|| self.begin_firing()) else { return Ok(Step::Done) };
            let batch = self.give(&mut firing, left.min(self.batch_rows))?;
            left -= batch.rows().max(1).min(left);
            if !batch.is_empty() {
                out.emit(OUT, batch);
            }
            match firing.given < firing.ids.len() {
                true => self.firing = Some(firing),
                false => self.recycle(firing.ranking),
            }
        }
        Ok(Step::More)
    }

    /// As of all windows: no later result has a time before it.
    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        input.saturating_add(-self.windows.allowed_lateness)
    }

    fn outlook(&self) -> Outlook {
        let close = |(end, start): (i64, i64)| Timestamp(self.windows.close_of(Window { start, end }));
        let mut open = self.open.keys().copied();
        Outlook { due: open.next().map(close), ..Outlook::NOTHING_DUE }
    }

    fn on_end(&mut self, reason: EndReason, _: &mut dyn Output) -> RunResult<()> {
        if reason == EndReason::Finished && !(self.open.is_empty() && self.firing.is_none()) {
            return Err(RunError::bug("the input finished before the greatest watermark closed all windows"));
        }
        self.open.clear();
        self.firing = None;
        Ok(())
    }

    /// A record a window and key group.
    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if self.firing.is_some() {
            return Err(RunError::bug("a top_n was asked for its state before it had given out what is due"));
        }
        self.shape.write_shared(self.watermark, writer);
        for ((end, start), ranking) in &self.open {
            let head = [*start, *end];
            ranking.save(&self.shape, &|out| head.iter().for_each(|part| out.i64(*part)), writer)?;
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        self.watermark = self.watermark.max(self.shape.read_shared(snapshot)?);
        for (_, mut record) in snapshot.keyed(groups) {
            let (start, end) = (record.i64()?, record.i64()?);
            let ranking = self.open.entry((end, start)).or_insert_with(|| Ranking::new(&self.shape));
            ranking.load(&self.shape, &mut record)?;
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        StateSize {
            rows: self.rankings().map(|ranking| ranking.rows.len() as u64).sum(),
            bytes: self.rankings().chain(&self.spare).map(|ranking| ranking.bytes() as u64).sum(),
            open_windows: self.rankings().count() as u64,
            next_window_end: self.open.keys().next().map(|(end, _)| Timestamp(*end)),
        }
    }
}
