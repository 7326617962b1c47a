//! The door of operators that go by event time: late rows, and those that have no place in time, leave by their ports and are counted.

use millrace_model::NodeId;
use millrace_model::field::OnError;
use polars::prelude::*;

use crate::batch::Batch;
use crate::connector::MAX_RAW_BYTES;
use crate::error::{RunError, RunResult};
use crate::json;
use crate::operator::{Output, RowCounts};
use crate::operators::window::assign::{Fate, Fates};
use crate::quarantine;

pub const OUT: usize = 0;
pub const LATE: usize = 1;
pub const QUARANTINED: usize = 2;

/// Counts what comes in, and lets go of what is not kept.
pub struct Intake {
    node: NodeId,
    on_error: OnError,
    /// Why a row with [`Fate::OutOfRange`] has no place.
    out_of_range: &'static str,
    pub counts: RowCounts,
}

impl Intake {
    pub fn new(node: NodeId, on_error: OnError, out_of_range: &'static str) -> Self {
        Intake { node, on_error, out_of_range, counts: RowCounts::default() }
    }

    /// Lets the rows go that are not kept, and gives the frame of the others, each column in one chunk.
    pub fn turn_away(&mut self, frame: DataFrame, fates: &Fates, out: &mut dyn Output) -> RunResult<DataFrame> {
        if fates.fates.is_empty() {
            return Ok(frame);
        }
        let mask = |keeps: &dyn Fn(Fate) -> bool| fates.fates.iter().map(|fate| keeps(*fate)).collect::<BooleanChunked>();
        let idle = fates.count(Fate::LateAfterIdle);
        let late = fates.count(Fate::Late) + idle;
        if late > 0 {
            out.emit(LATE, Batch::new(frame.filter_seq(&mask(&|fate| matches!(fate, Fate::Late | Fate::LateAfterIdle)))?));
            self.counts.late += late as u64;
            self.counts.late_after_idle += idle as u64;
        }
        let beyond: Vec<usize> = (0..).zip(&fates.fates).filter(|(_, fate)| **fate == Fate::OutOfRange).map(|(row, _)| row).collect();
        self.refuse(&frame, &beyond, out)?;
        let mut kept = frame.filter_seq(&mask(&|fate| fate == Fate::Kept))?;
        kept.rechunk_mut();
        Ok(kept)
    }

    /// Rows without a place leave by `quarantined`, or end the pipeline.
    fn refuse(&mut self, frame: &DataFrame, rows: &[usize], out: &mut dyn Output) -> RunResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.on_error == OnError::Fail {
            let sample = rows.iter().take(json::SAMPLE_ROWS).map(|row| json::row_text(frame, *row, MAX_RAW_BYTES)).collect();
            return Err(RunError::Value { message: self.out_of_range.to_owned(), sample });
        }
        let bad = quarantine::bad_rows(frame, rows.iter().map(|row| (*row, self.out_of_range.to_owned())));
        out.emit(QUARANTINED, quarantine::batch(self.node.as_str(), &bad)?);
        self.counts.quarantined += rows.len() as u64;
        Ok(())
    }
}
