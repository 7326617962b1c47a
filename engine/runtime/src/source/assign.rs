//! Gives each row of a partition its event time and its own watermark.
//!
//! A row's own watermark is the largest event time before it in its partition, less `max_delay`. It depends on the rows alone, so
//! that the same rows are late wherever batches are cut, at any speed and parallelism.

use millrace_model::Timestamp;
use millrace_model::field::SourceFields;
use millrace_model::time::MICROS_PER_DAY;
use polars::prelude::*;

use crate::batch::{Batch, TIME_COLUMN, WATERMARK_COLUMN};
use crate::connector::BadRecord;
use crate::error::RunResult;
use crate::quarantine::bad_rows;
use crate::source::time_reader::TimeReader;

/// How far ahead of the run's start a time may be, unless the source says otherwise.
const DEFAULT_MAX_AHEAD_US: i64 = MICROS_PER_DAY;

/// One partition's event time.
#[derive(Debug, Clone)]
pub struct TimeAssigner {
    reader: TimeReader,
    max_delay_us: i64,
    max_ahead_us: i64,
    /// The largest event time so far.
    newest: Option<i64>,
}

impl TimeAssigner {
    /// None for a source without `event_time`.
    pub fn new(source: &SourceFields) -> RunResult<Option<TimeAssigner>> {
        let Some(reader) = TimeReader::of_event_time(source)? else { return Ok(None) };
        Ok(Some(TimeAssigner {
            reader,
            max_delay_us: source.max_delay.map_or(0, |delay| delay.micros),
            max_ahead_us: source.max_ahead.map_or(DEFAULT_MAX_AHEAD_US, |ahead| ahead.micros),
            newest: None,
        }))
    }

    /// The partition's watermark after all rows so far.
    pub fn watermark(&self) -> Timestamp {
        self.newest.map_or(Timestamp::MIN, |newest| Timestamp(newest.saturating_sub(self.max_delay_us)))
    }

    /// The largest event time so far, microseconds since 1970.
    pub const fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Goes on from the largest event time that there was.
    pub const fn go_on_from(&mut self, newest: Option<i64>) {
        self.newest = newest;
    }

    /// The watermark after a row, by its hidden columns.
    pub fn watermark_after(&self, time: i64, own_watermark: i64) -> Timestamp {
        Timestamp(own_watermark.max(time.saturating_sub(self.max_delay_us)))
    }

    /// Adds the hidden columns. A row without a time, or with one further ahead of `now_us` than allowed, comes back as bad.
    ///
    /// `position` says in words where a row of the frame stood.
    pub fn assign(&mut self, frame: DataFrame, position: &dyn Fn(usize) -> String, now_us: i64) -> RunResult<(Batch, Vec<BadRecord>)> {
        let limit = now_us.saturating_add(self.max_ahead_us);
        if let Some(times) = self.reader.as_they_stand(&frame)?
            && let Some(watermarks) = self.watermarks(times.i64()?.cont_slice()?, limit)
        {
            return Ok((with_times(frame, times, watermarks)?, Vec::new()));
        }
        let read = self.reader.read(&frame)?;
        let mut times = Vec::with_capacity(read.len());
        let mut watermarks = Vec::with_capacity(read.len());
        let mut bad: Vec<(usize, String)> = Vec::new();
        for (row, time) in read.into_iter().enumerate() {
            match time {
                Some(time) if time <= limit => {
                    watermarks.push(self.watermark().micros());
                    times.push(time);
                    self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
                }
                Some(time) => bad.push((row, self.too_far(time, now_us))),
                None => bad.push((row, self.reader.reason(&frame, row))),
            }
        }
        let records = place(position, &frame, &bad);
        let kept = if bad.is_empty() { frame } else { without(&frame, &bad)? };
        let times = Int64Chunked::from_vec(PlSmallStr::EMPTY, times).into_series();
        Ok((with_times(kept, times, watermarks)?, records))
    }

    /// The own watermarks of rows whose times are as good as can be; none, and nothing is changed, if one is too far ahead.
    ///
    /// The common case, in one plain loop: the greatest time before each row, less the delay.
    fn watermarks(&mut self, times: &[i64], limit: i64) -> Option<Vec<i64>> {
        let mut watermarks = Vec::with_capacity(times.len());
        let mut rest = times.iter();
        // Before the first row there is no watermark, whatever the delay.
        let mut newest = match self.newest {
            Some(newest) => newest,
            None => {
                let first = *rest.next()?;
                watermarks.push(i64::MIN);
                first
            }
        };
        let max_delay_us = self.max_delay_us;
        watermarks.extend(rest.map(|time| {
            let own = newest.saturating_sub(max_delay_us);
            newest = newest.max(*time);
            own
        }));
        // If none is beyond the limit, the greatest is not either.
        if newest > limit {
            return None;
        }
        self.newest = Some(newest);
        Some(watermarks)
    }

    fn too_far(&self, time: i64, now_us: i64) -> String {
        let (time, now) = (Timestamp(time).to_text(), Timestamp(now_us).to_text());
        let ahead = millrace_model::field::Duration::from_micros(self.max_ahead_us);
        format!("the event time {time} is more than max_ahead ({ahead}) ahead of {now}")
    }
}

/// The frame with the hidden columns behind its own.
fn with_times(mut frame: DataFrame, times: Series, watermarks: Vec<i64>) -> RunResult<Batch> {
    frame.with_column(times.with_name(TIME_COLUMN.into()).into_column())?;
    frame.with_column(Int64Chunked::from_vec(WATERMARK_COLUMN.into(), watermarks).into_series().into_column())?;
    Ok(Batch::new(frame))
}

fn place(position: &dyn Fn(usize) -> String, frame: &DataFrame, bad: &[(usize, String)]) -> Vec<BadRecord> {
    let mut records = bad_rows(frame, bad.iter().cloned());
    for (record, (row, _)) in records.iter_mut().zip(bad) {
        record.position = position(*row);
    }
    records
}

fn without(frame: &DataFrame, bad: &[(usize, String)]) -> RunResult<DataFrame> {
    let mut keep = vec![true; frame.height()];
    for (row, _) in bad {
        if let Some(keep) = keep.get_mut(*row) {
            *keep = false;
        }
    }
    let keep: BooleanChunked = keep.into_iter().map(Some).collect();
    Ok(frame.filter_seq(&keep)?)
}

#[cfg(test)]
mod tests {
    use millrace_model::field::{ColumnName, Duration, EventTime};
    use proptest::prelude::*;

    use super::*;

    fn assigner(max_delay_us: i64) -> TimeAssigner {
        let source = SourceFields {
            event_time: Some(EventTime::Column(ColumnName("t".to_owned()))),
            max_delay: Some(Duration::from_micros(max_delay_us)),
            max_ahead: Some(Duration::from_micros(50)),
            ..SourceFields::default()
        };
        TimeAssigner::new(&source).unwrap().unwrap()
    }

    fn columns(batch: &Batch) -> (Vec<i64>, Vec<i64>) {
        (batch.times().unwrap().to_vec(), batch.watermarks().unwrap().to_vec())
    }

    proptest! {
        #[test]
        fn times_as_they_stand_and_times_that_are_read_give_the_same(
            batches in proptest::collection::vec(proptest::collection::vec(-100i64..120, 0..20), 1..6), delay in 0i64..30,
        ) {
            let (mut plain, mut read) = (assigner(delay), assigner(delay));
            let position = |row: usize| row.to_string();
            for times in batches {
                let numbers = Series::new("t".into(), &times);
                let stamps = numbers.cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
                // Milliseconds would be another time: nanoseconds are the same, and need reading.
                let nanoseconds = numbers.cast(&DataType::Datetime(TimeUnit::Nanoseconds, None)).unwrap();
                let nanoseconds = (nanoseconds.to_physical_repr().into_owned() * 1_000).cast(nanoseconds.dtype()).unwrap();
                let frame = |column: Series| DataFrame::new(times.len(), vec![column.into_column()]).unwrap();
                let (a, bad_a) = plain.assign(frame(stamps), &position, 20).unwrap();
                let (b, bad_b) = read.assign(frame(nanoseconds), &position, 20).unwrap();
                prop_assert_eq!(columns(&a), columns(&b));
                prop_assert_eq!(bad_a.len(), bad_b.len());
                prop_assert_eq!(plain.newest(), read.newest());
            }
        }
    }
}
