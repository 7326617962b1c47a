//! One partition as the source task reads it: rows with their times, at their pace.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::Timestamp;
use millrace_state::snapshot::PartitionPart;
use serde_json::Value;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::connector::{BadRecord, MAX_RAW_BYTES, Read, Source, SourceProgress, SourceRows};
use crate::error::RunResult;
use crate::json;
use crate::source::assign::TimeAssigner;
use crate::source::pace::Pacer;

/// The least time that a replay sleeps, so that a fast one wakes two hundred times a second and not at every row.
const LEAST_SLEEP: Duration = Duration::from_millis(5);

pub struct Partition {
    source: Box<dyn Source>,
    name: String,
    assigner: Option<TimeAssigner>,
    pacer: Option<Pacer>,
    /// Rows that were read and are not due yet.
    waiting: Option<Waiting>,
    /// What follows the position that the source was sent to, and had been given out before.
    skips: Given,
    /// Rows after those that are to be set aside, and why.
    aside: Option<(u64, String)>,
    clock: Arc<dyn Clock>,
    run_start_us: i64,
}

struct Waiting {
    batch: Batch,
    due_ns: Vec<u64>,
    /// Rows that have left.
    gone: usize,
    /// From where, and in which event time, these rows are read again.
    before: Value,
    newest_before: Option<i64>,
    /// What of the same reading has left already, beside `gone`.
    given: Given,
}

/// How much of what follows a position was given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Given {
    rows: usize,
    /// Records that could not be read.
    bad: usize,
    /// Rows without a usable event time.
    untimed: usize,
}

impl Given {
    const fn plus(self, other: Given) -> Given {
        Given { rows: self.rows + other.rows, bad: self.bad + other.bad, untimed: self.untimed + other.untimed }
    }

    fn counts(self) -> [u64; 3] {
        [self.rows as u64, self.bad as u64, self.untimed as u64]
    }
}

/// Takes the first of `records` away, as many as are left to be passed over.
fn skip(records: &mut Vec<BadRecord>, left: &mut usize) {
    let skipped = records.len().min(*left);
    records.drain(..skipped);
    *left -= skipped;
}

/// The number by which the source calls a row's place.
fn position_of(rows: &SourceRows, row: usize) -> u64 {
    rows.positions.get(row).copied().unwrap_or(rows.first_position + row as u64)
}

/// What came of one look at a partition.
#[derive(Debug)]
pub enum Arrived {
    Rows {
        batch: Option<Batch>,
        bad: Vec<BadRecord>,
        /// The partition's watermark after these rows; none if it has no event time.
        watermark: Option<Timestamp>,
    },
    End,
}

impl Partition {
    pub fn new(
        source: Box<dyn Source>,
        assigner: Option<TimeAssigner>,
        pacer: Option<Pacer>,
        clock: Arc<dyn Clock>,
        run_start_us: i64,
    ) -> Self {
        let name = source.name();
        Partition { source, name, assigner, pacer, waiting: None, skips: Given::default(), aside: None, clock, run_start_us }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The watermark after all rows so far; none without event time.
    pub fn watermark(&self) -> Option<Timestamp> {
        self.assigner.as_ref().map(TimeAssigner::watermark)
    }

    /// From where the partition goes on after what it has given out.
    pub fn part(&self, is_idle: bool, has_ended: bool) -> PartitionPart {
        let (position, newest_us, given) = match &self.waiting {
            Some(waiting) => {
                let rows = Given { rows: waiting.gone, ..Given::default() };
                (waiting.before.clone(), waiting.newest_before, waiting.given.plus(rows))
            }
            None => (self.source.position(), self.assigner.as_ref().and_then(TimeAssigner::newest), self.skips),
        };
        PartitionPart { name: self.name.clone(), position, newest_us, given: given.counts(), is_idle, has_ended }
    }

    /// Goes on from there.
    pub fn restore(&mut self, part: &PartitionPart) -> RunResult<()> {
        if !part.has_ended {
            self.source.seek(&part.position)?;
        }
        if let Some(assigner) = &mut self.assigner {
            assigner.go_on_from(part.newest_us);
        }
        let [rows, bad, untimed] = part.given.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        self.skips = Given { rows, bad, untimed };
        Ok(())
    }

    /// The next rows leave as bad records, as if they had never been good: event time does not hear of them.
    pub fn set_aside(&mut self, rows: u64, why: String) {
        self.aside = Some((rows, why));
    }

    pub fn progress(&self) -> Option<SourceProgress> {
        self.source.progress()
    }

    /// The next rows. Dropping the future loses none.
    pub async fn next(&mut self, max_rows: usize) -> RunResult<Arrived> {
        loop {
            if let Some(wait) = self.time_to_wait() {
                self.clock.sleep(wait).await;
            }
            if let Some(arrived) = self.take_due(max_rows)? {
                return Ok(arrived);
            }
            if self.waiting.is_some() {
                continue;
            }
            // From here on nothing waits, so that rows that were read are never in a dropped future.
            let before = if self.pacer.is_some() { self.source.position() } else { Value::Null };
            match self.source.read(max_rows).await? {
                Read::End => return Ok(Arrived::End),
                Read::Rows(rows) => {
                    let arrived = self.arrive(rows, before)?;
                    if let Some(arrived) = arrived {
                        return Ok(arrived);
                    }
                }
            }
        }
    }

    /// `before` is where these rows were read from.
    fn arrive(&mut self, mut rows: SourceRows, before: Value) -> RunResult<Option<Arrived>> {
        let mut bad = std::mem::take(&mut rows.bad);
        rows.frame.rechunk_mut();
        let newest_before = self.assigner.as_ref().and_then(TimeAssigner::newest);
        let (skips_before, now_us) = (self.skips, self.now_us());
        skip(&mut bad, &mut self.skips.bad);
        let already_bad = bad.len();
        let aside = self.take_aside(&mut rows, &mut bad)?;
        let frame = std::mem::take(&mut rows.frame);
        let mut untimed = Vec::new();
        let batch = match &mut self.assigner {
            Some(assigner) if frame.height() > 0 => {
                let source = &self.source;
                let position = |row: usize| source.position_text(position_of(&rows, row));
                let (batch, without_time) = assigner.assign(frame, &position, now_us)?;
                untimed = without_time;
                batch
            }
            _ => Batch::new(frame),
        };
        skip(&mut untimed, &mut self.skips.untimed);
        let given_bad = aside.plus(Given { rows: 0, bad: already_bad, untimed: untimed.len() });
        bad.extend(untimed);
        let batch = self.skip_rows(batch);
        let batch = Some(batch).filter(|batch| !batch.is_empty());
        match (&mut self.pacer, batch) {
            (Some(pacer), Some(batch)) => {
                let due_ns = pacer.schedule(&batch, self.clock.as_ref())?;
                // What was passed over now is passed over again when these rows are read again.
                let given = skips_before.plus(given_bad);
                self.waiting = Some(Waiting { batch, due_ns, gone: 0, before, newest_before, given });
                let watermark = None;
                Ok((!bad.is_empty()).then_some(Arrived::Rows { batch: None, bad, watermark }))
            }
            (_, batch) => {
                let watermark = self.assigner.as_ref().map(TimeAssigner::watermark);
                Ok(Some(Arrived::Rows { batch, bad, watermark }))
            }
        }
    }

    /// What event times are measured against: of a live source the clock at reading, of a bounded one the run's start, so that it can be
    /// repeated.
    fn now_us(&self) -> i64 {
        if self.source.progress().is_some() { self.run_start_us } else { self.clock.wall_us() }
    }

    /// Takes rows off the front that are to be set aside, one by one, since what comes before them may have been given out before. Says
    /// what went.
    fn take_aside(&mut self, rows: &mut SourceRows, bad: &mut Vec<BadRecord>) -> RunResult<Given> {
        let (mut given, mut row, now_us) = (Given::default(), 0, self.now_us());
        while let Some((left, why)) = self.aside.as_mut().filter(|_| row < rows.frame.height()) {
            if *left == 0 {
                self.aside = None;
                break;
            }
            let one = rows.frame.slice(row as i64, 1);
            let position = self.source.position_text(position_of(rows, row));
            let mut assigner = self.assigner.clone();
            let untimed = match &mut assigner {
                Some(assigner) => assigner.assign(one.clone(), &|_| position.clone(), now_us)?.1,
                None => Vec::new(),
            };
            match (untimed.is_empty(), self.skips.rows) {
                (false, _) if self.skips.untimed > 0 => self.skips.untimed -= 1,
                (false, _) => {
                    given.untimed += untimed.len();
                    bad.extend(untimed);
                }
                (true, 1..) => {
                    self.skips.rows -= 1;
                    self.assigner = assigner;
                }
                (true, 0) => {
                    *left -= 1;
                    given.rows += 1;
                    bad.push(BadRecord { reason: why.clone(), position, raw: json::row_text(&one, 0, MAX_RAW_BYTES) });
                }
            }
            row += 1;
        }
        rows.frame = rows.frame.slice(row as i64, rows.frame.height() - row);
        rows.first_position += row as u64;
        rows.positions.drain(..row.min(rows.positions.len()));
        Ok(given)
    }

    /// The rows that had not been given out before.
    fn skip_rows(&mut self, batch: Batch) -> Batch {
        if self.skips.rows == 0 {
            return batch;
        }
        let skipped = batch.rows().min(self.skips.rows);
        self.skips.rows -= skipped;
        Batch::new(batch.frame().slice(skipped as i64, batch.rows() - skipped))
    }

    /// How long the next waiting row is not due yet.
    fn time_to_wait(&self) -> Option<Duration> {
        let waiting = self.waiting.as_ref()?;
        let due = waiting.due_ns.get(waiting.gone)?;
        let left = due.checked_sub(self.clock.monotonic_ns()).filter(|left| *left > 0)?;
        Some(Duration::from_nanos(left).max(LEAST_SLEEP))
    }

    /// The waiting rows that are due, in order.
    fn take_due(&mut self, max_rows: usize) -> RunResult<Option<Arrived>> {
        let Some(waiting) = self.waiting.as_mut() else { return Ok(None) };
        let now = self.clock.monotonic_ns();
        let rows = waiting.due_ns.iter().skip(waiting.gone).take(max_rows).take_while(|due| **due <= now).count();
        if rows == 0 && waiting.gone < waiting.due_ns.len() {
            return Ok(None);
        }
        let batch = Batch::new(waiting.batch.frame().slice(waiting.gone as i64, rows));
        waiting.gone += rows;
        if waiting.gone >= waiting.due_ns.len() {
            self.waiting = None;
        }
        let watermark = match &self.assigner {
            Some(assigner) => match (batch.times()?.last(), batch.watermarks()?.last()) {
                (Some(time), Some(own)) => Some(assigner.watermark_after(*time, *own)),
                _ => None,
            },
            None => None,
        };
        Ok(Some(Arrived::Rows { batch: Some(batch).filter(|batch| !batch.is_empty()), bad: Vec::new(), watermark }))
    }
}
