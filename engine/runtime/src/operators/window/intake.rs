//! What every window does with a batch before its rows reach a state: lets late ones and those that cannot be computed go.

use millrace_model::field::OnError;
use millrace_model::{DataType as Type, NodeId};
use polars::prelude::*;

use super::assign::{Fate, Fates};
use super::bind::Aggregation;
use super::inputs::{Inputs, Readied};
use super::rows::RowShape;
use super::states::{AggregateShape, OnOverflow, PaneShape, Refusal};
use crate::batch::Batch;
use crate::connector::MAX_RAW_BYTES;
use crate::error::{RunError, RunResult};
use crate::json;
use crate::operator::{OperatorContext, Output, RowCounts};
use crate::quarantine;

pub const OUT: usize = 0;
const LATE: usize = 1;
const QUARANTINED: usize = 2;

/// Keeps the law of rows: each is accepted, filtered, late or quarantined, and counted so.
pub struct Intake {
    node: NodeId,
    on_error: OnError,
    inputs: Inputs,
    quarantined: usize,
    pub rows: RowShape,
    pub counts: RowCounts,
}

/// A batch's rows that count, with what the window reads of them.
pub struct Taken {
    pub frame: DataFrame,
    pub readied: Readied,
    /// Of the kept rows those that could be computed; `None` if all could.
    pub keeps: Option<Vec<bool>>,
}

impl Intake {
    pub fn new(plan: &Aggregation, context: &OperatorContext) -> Self {
        Intake {
            node: context.node.clone(),
            on_error: plan.on_error,
            inputs: Inputs::new(plan),
            quarantined: QUARANTINED,
            rows: plan.rows.clone(),
            counts: RowCounts::default(),
        }
    }

    /// For a node that knows no late rows, whose bad ones leave by this port.
    #[must_use]
    pub fn quarantining_by(mut self, port: usize) -> Self {
        self.quarantined = port;
        self
    }

    /// What a state over this aggregation holds.
    pub fn pane_shape(plan: &Aggregation) -> PaneShape {
        let argument_type =
            |call: &millrace_expr::AggregateCall| call.argument.as_ref().map_or(Type::BigInt, |argument| argument.data_type);
        let aggregates = plan.calls.iter().map(|call| AggregateShape {
            function: call.function,
            argument: argument_type(call),
            by: call.by.as_ref().map(|by| by.data_type),
            parameter: call.parameter.clone(),
            distinct: call.distinct,
        });
        let keys = plan.rows.keys.iter().map(|(name, data_type)| (name.to_string(), *data_type));
        let (key_names, keys) = keys.unzip();
        PaneShape { keys, key_names, aggregates: aggregates.collect(), beside: "" }
    }

    pub fn on_overflow(&self) -> OnOverflow {
        if self.on_error == OnError::Null { OnOverflow::GiveUp } else { OnOverflow::Refuse }
    }

    /// Takes the rows that are kept and can be computed; `None` if none is kept. A row that is late and cannot be computed is late.
    pub fn take(&mut self, frame: DataFrame, fates: &Fates, out: &mut dyn Output) -> RunResult<Option<Taken>> {
        let frame = self.turn_away(frame, fates, out)?;
        if fates.kept == 0 {
            return Ok(None);
        }
        let (mut readied, failed) = self.inputs.evaluate(&frame)?;
        if failed.is_empty() || self.on_error == OnError::Null {
            return Ok(Some(Taken { frame, readied, keeps: None }));
        }
        let mut keeps = vec![true; frame.height()];
        for (row, _) in &failed {
            if let Some(keep) = keeps.get_mut(*row) {
                *keep = false;
            }
        }
        self.refuse(&frame, failed, out)?;
        let mask: BooleanChunked = keeps.iter().copied().collect();
        readied.filter(&mask)?;
        Ok(Some(Taken { frame: frame.filter(&mask)?, readied, keeps: Some(keeps) }))
    }

    /// What was read of rows that were taken before and leave now: those that could not be computed then cannot be now either, and had no
    /// part in anything. Gives the others.
    pub fn take_again(&self, frame: DataFrame) -> RunResult<Taken> {
        let (mut readied, failed) = self.inputs.evaluate(&frame)?;
        if failed.is_empty() || self.on_error == OnError::Null {
            return Ok(Taken { frame, readied, keeps: None });
        }
        let mut keeps = vec![true; frame.height()];
        failed.iter().for_each(|(row, _)| keeps.get_mut(*row).into_iter().for_each(|keep| *keep = false));
        let mask: BooleanChunked = keeps.iter().copied().collect();
        readied.filter(&mask)?;
        Ok(Taken { frame: frame.filter(&mask)?, readied, keeps: Some(keeps) })
    }

    /// Lets the rows go that no window takes, and gives the frame of those that are kept.
    fn turn_away(&mut self, frame: DataFrame, fates: &Fates, out: &mut dyn Output) -> RunResult<DataFrame> {
        if fates.fates.is_empty() {
            return Ok(frame);
        }
        let mask = |keeps: &dyn Fn(Fate) -> bool| fates.fates.iter().map(|fate| keeps(*fate)).collect::<BooleanChunked>();
        let idle = fates.count(Fate::LateAfterIdle);
        let late = fates.count(Fate::Late) + idle;
        if late > 0 {
            out.emit(LATE, Batch::new(frame.filter(&mask(&|fate| matches!(fate, Fate::Late | Fate::LateAfterIdle)))?));
            self.counts.late += late as u64;
            self.counts.late_after_idle += idle as u64;
        }
        self.counts.filtered += fates.count(Fate::Between) as u64;
        let beyond = fates.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::OutOfRange);
        let beyond: Vec<(usize, String)> =
            beyond.map(|(row, _)| (row, "its window begins or ends beyond the range of a TIMESTAMP".to_owned())).collect();
        self.refuse(&frame, beyond, out)?;
        Ok(frame.filter(&mask(&|fate| fate == Fate::Kept))?)
    }

    /// Counts the rows that were added, less those that a sum or a list refused; these leave by `quarantined`. `place` tells a row's place in `frame`.
    pub fn added(&mut self, frame: &DataFrame, refused: &[Refusal], place: impl Fn(usize) -> usize, out: &mut dyn Output) -> RunResult<()> {
        self.counts.accepted += (frame.height() - refused.len()) as u64;
        let refused = refused.iter().map(|refusal| (place(refusal.row), self.reason(refusal))).collect();
        self.refuse(frame, refused, out)
    }

    fn reason(&self, refusal: &Refusal) -> String {
        let name = self.rows.aggregates.get(refusal.aggregate).map_or("", |(name, _)| name.as_str());
        format!("column {name}: {}", refusal.reason)
    }

    /// Rows that cannot be computed leave by `quarantined`, or end the pipeline.
    fn refuse(&mut self, frame: &DataFrame, rows: Vec<(usize, String)>, out: &mut dyn Output) -> RunResult<()> {
        let Some((_, reason)) = rows.first() else { return Ok(()) };
        if self.on_error == OnError::Fail {
            let sample = rows.iter().take(json::SAMPLE_ROWS).map(|(row, _)| json::row_text(frame, *row, MAX_RAW_BYTES)).collect();
            return Err(RunError::Value { message: reason.clone(), sample });
        }
        let count = rows.len();
        out.emit(self.quarantined, quarantine::batch(self.node.as_str(), &quarantine::bad_rows(frame, rows))?);
        self.counts.quarantined += count as u64;
        Ok(())
    }
}
