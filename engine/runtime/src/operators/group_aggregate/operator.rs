//! The operator of `aggregate`.

use std::ops::Range;

use millrace_model::{OP_COLUMN, RowOp, Timestamp};
use millrace_state::snapshot::SnapshotWriter;
use polars::prelude::*;

use super::latest::{Latest, LatestPlan};
use super::table::{Holding, Rows, Table};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::operator::{Budget, EndReason, Operator, OperatorContext, Outlook, Output, RowCounts, StateSize, Step};
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::window::assign::Fates;
use crate::operators::window::bind::Aggregation;
use crate::operators::window::intake::{Intake, Taken};
use crate::operators::window::states::{PaneShape, Refusal};
use crate::operators::window::widened;

/// The port of rows that could not be computed: none are late here.
const QUARANTINED: usize = 1;

/// What an `aggregate` is made from.
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    pub aggregation: Aggregation,
    pub source: Source,
    /// In microseconds.
    pub ttl: Option<i64>,
    pub has_event_time: bool,
}

/// What its rows mean.
#[derive(Debug, Clone)]
pub enum Source {
    Append,
    Retract,
    Upsert(LatestPlan),
}

pub fn create(plan: &AggregatePlan, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
    let shape = Intake::pane_shape(&plan.aggregation);
    let (holding, latest) = match &plan.source {
        Source::Append => (Holding::New, None),
        Source::Retract => (Holding::Changing, None),
        Source::Upsert(latest) => (Holding::Changing, Some(Latest::new(latest))),
    };
    Ok(Box::new(AggregateOperator {
        batch_rows: context.batch_rows.max(1),
        intake: Intake::new(&plan.aggregation, context).quarantining_by(QUARANTINED),
        table: Table::new(holding, shape.clone())?,
        holding,
        latest,
        shape,
        ttl: plan.ttl,
        has_event_time: plan.has_event_time,
        watermark: i64::MIN,
    }))
}

struct AggregateOperator {
    batch_rows: usize,
    intake: Intake,
    table: Table,
    holding: Holding,
    latest: Option<Latest>,
    shape: PaneShape,
    ttl: Option<i64>,
    has_event_time: bool,
    watermark: i64,
}

/// The records of a snapshot: of a key's results, and of rows that may be replaced.
const KEYS: u8 = 0;
const LATEST: u8 = 1;

/// Which rows count from now on, and which no more.
fn adds(frame: &DataFrame) -> RunResult<BooleanChunked> {
    let ops = frame.column(OP_COLUMN)?.str()?;
    let mut adds = Vec::with_capacity(ops.len());
    for op in ops.iter() {
        let op = op.and_then(RowOp::from_word).ok_or_else(|| RunError::bug(format!("a row says {op:?} of itself")))?;
        adds.push(op.adds());
    }
    Ok(adds.into_iter().map(Some).collect())
}

impl AggregateOperator {
    /// Rows that are new: each in its turn, since a sum may refuse one, and a key may have been forgotten before it.
    fn take_new(&mut self, frame: DataFrame, out: &mut dyn Output) -> RunResult<()> {
        let Some(taken) = self.take(frame, out)? else { return Ok(()) };
        let Taken { mut frame, readied, .. } = taken;
        frame.rechunk_mut();
        let batch = Batch::new(frame);
        let found = self.table.find(&BatchKeys::new(readied.keys(), batch.rows())?, batch.rows())?;
        let times = if self.has_event_time { batch.times()? } else { &[] };
        let mut rows = Rows { keys: &found, times, arguments: &mut readied.arguments()? };
        let mut refused = Vec::new();
        let mut begun = 0;
        let watermarks = if self.ttl.is_some() { batch.watermarks()? } else { &[] };
        for (row, key) in found.iter().enumerate() {
            if let (Some(ttl), Some(own)) = (self.ttl, watermarks.get(row))
                && self.table.is_forgotten(*key, (*own).max(self.watermark), ttl)
            {
                refused.extend(self.add(begun..row, &mut rows)?);
                begun = row;
                self.table.forget(*key);
            }
            self.table.note(*key, times.get(row));
        }
        refused.extend(self.add(begun..found.len(), &mut rows)?);
        self.intake.added(batch.frame(), &refused, |row| row, out)
    }

    fn add(&mut self, range: Range<usize>, rows: &mut Rows<'_, '_>) -> RunResult<Vec<Refusal>> {
        self.table.add(range, rows, self.intake.on_overflow())
    }

    /// Lets those go that cannot be computed.
    fn take(&mut self, frame: DataFrame, out: &mut dyn Output) -> RunResult<Option<Taken>> {
        let fates = Fates { kept: frame.height(), ..Fates::default() };
        self.intake.take(frame, &fates, out)
    }

    /// Rows that take earlier ones back, among others. First all are added: none is taken back that is not there.
    fn take_changes(&mut self, frame: DataFrame, out: &mut dyn Output) -> RunResult<()> {
        let adds = adds(&frame)?;
        let Some(taken) = self.take(frame.drop(OP_COLUMN)?, out)? else { return Ok(()) };
        let adds = match &taken.keeps {
            Some(keeps) => adds.filter(&keeps.iter().copied().map(Some).collect())?,
            None => adds,
        };
        let part = |mask: &BooleanChunked| -> RunResult<Taken> {
            let mut readied = taken.readied.clone();
            readied.filter(mask)?;
            Ok(Taken { frame: taken.frame.filter(mask)?, readied, keeps: None })
        };
        self.change(part(&adds)?, Holding::New)?;
        self.change(part(&!&adds)?, Holding::Changing)?;
        self.intake.added(&taken.frame, &[], |row| row, out)
    }

    /// Rows that replace the earlier one of their key.
    fn take_upserts(&mut self, frame: DataFrame, out: &mut dyn Output) -> RunResult<()> {
        let adds = adds(&frame)?;
        let gone = frame.height() - adds.sum().unwrap_or(0) as usize;
        let Some(latest) = &mut self.latest else { return Err(RunError::bug("upserts without the rows that they replace")) };
        let replaced = latest.replace(&frame, &adds)?;
        if let Some(taken) = self.take(frame.filter(&adds)?.drop(OP_COLUMN)?, out)? {
            self.intake.added(&taken.frame, &[], |row| row, out)?;
            self.change(taken, Holding::New)?;
        }
        if let Some(replaced) = replaced {
            let taken = self.intake.take_again(replaced)?;
            self.change(taken, Holding::Changing)?;
        }
        self.intake.counts.accepted += gone as u64;
        Ok(())
    }

    /// Adds rows, or takes them back.
    fn change(&mut self, taken: Taken, way: Holding) -> RunResult<()> {
        let Taken { mut frame, readied, .. } = taken;
        frame.rechunk_mut();
        let batch = Batch::new(frame);
        let found = self.table.find(&BatchKeys::new(readied.keys(), batch.rows())?, batch.rows())?;
        let times = if self.has_event_time { batch.times()? } else { &[] };
        let mut rows = Rows { keys: &found, times, arguments: &mut readied.arguments()? };
        if way == Holding::Changing {
            return self.table.retract(&mut rows);
        }
        found.iter().enumerate().for_each(|(row, key)| self.table.note(*key, times.get(row)));
        self.add(0..found.len(), &mut rows).map(drop)
    }

    /// What a snapshot says of itself after its types: another's cannot be read.
    fn way(&self) -> String {
        let latest = self.latest.as_ref().map_or_else(String::new, |latest| format!("; rows of {}", latest.types()));
        format!(", {:?}{latest}", self.holding)
    }
}

impl Operator for AggregateOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let frame = batch.into_frame();
        match (self.holding, &self.latest) {
            (Holding::New, _) => self.take_new(frame, out)?,
            (Holding::Changing, None) => self.take_changes(frame, out)?,
            (Holding::Changing, Some(_)) => self.take_upserts(frame, out)?,
        }
        if let Some(ttl) = self.ttl {
            self.table.remember(ttl);
        }
        self.table.give(&self.intake.rows, self.has_event_time, self.batch_rows, out)
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark.micros());
        Ok(())
    }

    /// Forgets what is due.
    fn step(&mut self, budget: Budget, _: &mut dyn Output) -> RunResult<Step> {
        let Some(ttl) = self.ttl else { return Ok(Step::Done) };
        Ok(if self.table.forget_due(self.watermark, ttl, budget.rows.max(1))? { Step::Done } else { Step::More })
    }

    fn outlook(&self) -> Outlook {
        // A key that nothing asks for is forgotten when the next row brings its state back: rows find it forgotten by their own watermark.
        Outlook::NOTHING_DUE
    }

    fn on_end(&mut self, _: EndReason, _: &mut dyn Output) -> RunResult<()> {
        self.table.clear();
        self.latest.iter_mut().for_each(Latest::clear);
        Ok(())
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        writer.shared().i64(self.watermark);
        writer.shared().text(&format!("{}{}", self.shape.types(), self.way()));
        self.table.save(KEYS, writer)?;
        self.latest.as_ref().map_or(Ok(()), |latest| latest.save(LATEST, writer))
    }

    fn restore(&mut self, snapshot: &OperatorSnapshot<'_>, groups: Range<u16>) -> RunResult<()> {
        // The least of former tasks' watermarks: rows in flight to any of them may still want what the others had forgotten.
        let mut least: Option<i64> = None;
        for mut shared in snapshot.shared() {
            let watermark = shared.i64()?;
            least = Some(least.map_or(watermark, |least| least.min(watermark)));
            let (kept, way) = (shared.text()?, self.way());
            let Some(types) = kept.strip_suffix(way.as_str()) else {
                let now = format!("{}{way}", self.shape.types());
                return Err(widened::other_types(format!("its state is of columns of types {kept}, and now they are {now}")));
            };
            widened::check(&self.shape, types, false)?;
        }
        self.watermark = self.watermark.max(least.unwrap_or(i64::MIN));
        for (_, mut record) in snapshot.keyed(groups) {
            match (record.u8()?, &mut self.latest) {
                (KEYS, _) => self.table.load(&mut record, self.ttl)?,
                (LATEST, Some(latest)) => latest.load(&mut record)?,
                (tag, _) => return Err(record.damaged(format!("a record of kind {tag} does not belong here")).into()),
            }
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.intake.counts
    }

    fn state_size(&self) -> StateSize {
        let latest = self.latest.as_ref();
        StateSize {
            rows: (self.table.len() + latest.map_or(0, Latest::len)) as u64,
            bytes: (self.table.bytes() + latest.map_or(0, Latest::bytes)) as u64,
            ..StateSize::default()
        }
    }
}
