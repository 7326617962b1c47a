//! The two kinds that only benches have: a source that hands out rows prepared in memory, and a sink that checksums them.
//!
//! Neither can be written in a pipeline file that anything else runs: the engine of the bench alone knows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::id::MAIN_PORT;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, ChangeMode, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl, PortInfo};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort};
use millrace_engine::runtime::batch::quarantine_schema;
use millrace_engine::runtime::connector::{
    BadRecord, Committable, ConnectorContext, Finality, Read, Sink, SinkFactory, Source, SourceFactory, SourceProgress, SourceRows,
};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::guarantee::{Promise, Replay};
use millrace_engine::runtime::registry::Entry;
use millrace_engine::runtime::{Batch, RunError, RunResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::checksum::{Checksum, Net};
use super::prepared::Prepared;

/// What the sinks of a run have seen, and when its rows began.
#[derive(Default)]
pub struct Seen {
    checksum: Mutex<Checksum>,
    /// When the first row was to be sent.
    origin: OnceLock<Instant>,
    first_row: OnceLock<Instant>,
    /// By result: how long after the row that closed its window was to be sent, in nanoseconds.
    latencies: Mutex<Vec<u64>>,
    /// The longest time in which a source was not asked for a batch, in nanoseconds.
    longest_wait: AtomicU64,
}

impl Seen {
    pub fn checksum(&self) -> Checksum {
        self.checksum.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the first row reached a sink.
    pub fn first_row(&self) -> Option<Instant> {
        self.first_row.get().copied()
    }

    /// The longest time in which a source was not asked for a batch since this was last asked.
    pub fn take_longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest_wait.swap(0, Ordering::Relaxed))
    }

    pub fn latencies(&self) -> Vec<u64> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the bench's kinds of one engine share: the rows, and who watches the run at hand.
pub struct Stage {
    rows: Arc<dyn Prepared>,
    seen: Mutex<Arc<Seen>>,
}

impl Stage {
    pub fn new(rows: Arc<dyn Prepared>) -> Arc<Stage> {
        Arc::new(Stage { rows, seen: Mutex::default() })
    }

    pub fn rows(&self) -> &dyn Prepared {
        self.rows.as_ref()
    }

    /// Begins a run: what was seen of the one before is let go.
    pub fn begin(&self) -> Arc<Seen> {
        let seen = Arc::new(Seen::default());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen.clone();
        seen
    }

    fn seen(&self) -> Arc<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn entries(self: &Arc<Self>) -> [Entry; 2] {
        [Entry::Source(Arc::new(BenchRows::new(self.clone()))), Entry::Sink(Arc::new(BenchSink::new(self.clone())))]
    }
}

/// The fields of `bench_rows`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct RowsSpec {
    /// How many, of all partitions together; whole batches.
    rows: u64,
    /// Rows a second that are due; as fast as they are taken if absent. Event time is the time at which a row is due then.
    #[serde(default)]
    pace: Option<f64>,
}

/// The fields of `bench_sink`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct SinkSpec {
    /// Whether to note for each result how late it came after what closed its window.
    #[serde(default)]
    latency: bool,
    /// Of rows that replace each other by key, these columns: what is left counts in the end. Every change counts if absent.
    #[serde(default)]
    net_by: Vec<String>,
}

fn info(name: &'static str, category: Category, schema: fn() -> serde_json::Value) -> KindInfo {
    let is_sink = category == Category::Sink;
    const BAD: &[PortInfo] = &[PortInfo { name: "quarantined", summary: "Rows whose time cannot be." }];
    KindInfo {
        name,
        title: name,
        category,
        icon: "gauge",
        summary: "For benches.",
        inputs: if is_sink { Inputs::One } else { Inputs::None },
        has_output: !is_sink,
        side_ports: if is_sink { &[] } else { BAD },
        key_fields: &[],
        schema,
    }
}

/// Kind `bench_rows`.
struct BenchRows {
    info: KindInfo,
    stage: Arc<Stage>,
}

impl BenchRows {
    fn new(stage: Arc<Stage>) -> Self {
        BenchRows { info: info("bench_rows", Category::Source, schema_of::<RowsSpec>), stage }
    }
}

impl Kind for BenchRows {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: RowsSpec = input.spec(found)?;
        let schema = input.discovered?.clone();
        let outputs = vec![OutputPort::append(MAIN_PORT, schema, false), OutputPort::append("quarantined", quarantine_schema(), false)];
        Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(spec) })
    }
}

#[async_trait]
impl SourceFactory for BenchRows {
    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::FromOffset, needs: "" }
    }

    async fn discover(&self, _: &NodeDecl, _: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        Ok(Arc::new(self.stage.rows.schema()))
    }

    /// Partition i of n hands out every nth batch, so that event time moves in all of them together.
    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let spec: &RowsSpec = node.payload.get().ok_or_else(|| RunError::bug("bench rows without their plan"))?;
        let (rows, tasks) = (&self.stage.rows, u64::from(context.tasks.max(1)));
        let open = |number: u64| -> RunResult<Box<dyn Source>> {
            let hand = Hand { rows: rows.clone(), number, partitions: tasks, next: number, end: spec.rows / rows.batch_rows() };
            Ok(match spec.pace {
                None => Box::new(Whole { hand, seen: self.stage.seen(), given_at: None }),
                Some(pace) => Box::new(Paced::new(hand, pace / tasks as f64, self.stage.seen())?),
            })
        };
        (0..tasks).map(open).collect()
    }

    fn max_parallelism(&self, _: &NodeDecl, _: &Files) -> Option<u32> {
        None
    }
}

/// Which batches of the table a partition has yet to give.
struct Hand {
    rows: Arc<dyn Prepared>,
    number: u64,
    partitions: u64,
    next: u64,
    end: u64,
}

impl Hand {
    fn progress(&self) -> SourceProgress {
        SourceProgress { done: self.next.min(self.end), total: self.end }
    }

    fn seek(&mut self, position: &serde_json::Value) {
        self.next = position.as_u64().unwrap_or(self.number);
    }

    fn position(&self) -> serde_json::Value {
        self.next.into()
    }
}

/// Hands out batches as fast as they are taken.
struct Whole {
    hand: Hand,
    seen: Arc<Seen>,
    given_at: Option<Instant>,
}

#[async_trait]
impl Source for Whole {
    fn name(&self) -> String {
        format!("rows {}", self.hand.number)
    }

    async fn read(&mut self, _: usize) -> RunResult<Read> {
        let hand = &mut self.hand;
        if hand.next >= hand.end {
            return Ok(Read::End);
        }
        if let Some(given_at) = self.given_at {
            let wait = u64::try_from(given_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.seen.longest_wait.fetch_max(wait, Ordering::Relaxed);
        }
        let frame = hand.rows.batch(hand.next)?;
        let first_position = hand.next * hand.rows.batch_rows();
        hand.next += hand.partitions;
        self.given_at = Some(Instant::now());
        Ok(Read::Rows(SourceRows { frame, first_position, ..SourceRows::default() }))
    }

    fn position(&self) -> serde_json::Value {
        self.hand.position()
    }

    fn seek(&mut self, position: &serde_json::Value) -> RunResult<()> {
        self.hand.seek(position);
        Ok(())
    }

    fn progress(&self) -> Option<SourceProgress> {
        Some(self.hand.progress())
    }
}

const LEAST_WAIT: Duration = Duration::from_micros(500);
const MOST_WAIT: Duration = Duration::from_secs(3_600);
/// How long a live source lets rows gather before it hands them out.
const LINGER: Duration = Duration::from_micros(250);

/// Wakes a source as a network would: the runtime's own timer is no finer than a millisecond, and rows that wait for it would count as late.
struct Metronome {
    beat: Arc<Notify>,
}

impl Metronome {
    fn start() -> RunResult<Metronome> {
        let beat = Arc::new(Notify::new());
        let listened = Arc::downgrade(&beat);
        let tick = move || {
            while let Some(beat) = listened.upgrade() {
                beat.notify_one();
                drop(beat);
                std::thread::sleep(LINGER);
            }
        };
        let started = std::thread::Builder::new().name("bench-metronome".to_owned()).spawn(tick);
        started.map_err(|error| RunError::bug(format!("a thread cannot be started: {error}")))?;
        Ok(Metronome { beat })
    }
}

/// Hands out rows when they are due, whether or not those before were taken: a row that waits for the engine has waited all the same
/// (no coordinated omission). A row's event time is the moment at which it is due, in microseconds after the first.
struct Paced {
    hand: Hand,
    rows_per_second: f64,
    seen: Arc<Seen>,
    /// Where more than a row comes between two beats.
    metronome: Option<Metronome>,
    /// Rows given of this partition.
    given: u64,
    /// Rows given of the batch at hand.
    within: u64,
}

impl Paced {
    fn new(hand: Hand, rows_per_second: f64, seen: Arc<Seen>) -> RunResult<Self> {
        let is_fast = rows_per_second * LINGER.as_secs_f64() >= 1.0;
        let metronome = if is_fast { Some(Metronome::start()?) } else { None };
        Ok(Paced { hand, rows_per_second, seen, metronome, given: 0, within: 0 })
    }

    /// How many rows of this partition are due after so long.
    fn due(&self, after: Duration) -> u64 {
        (after.as_secs_f64() * self.rows_per_second) as u64
    }

    /// How long the next row is not due yet after so long; not less than a timer can tell, so that rows gather meanwhile.
    fn wait(&self, after: Duration) -> Duration {
        let next = Duration::try_from_secs_f64((self.given + 1) as f64 / self.rows_per_second).unwrap_or(Duration::MAX);
        next.saturating_sub(after).clamp(LEAST_WAIT, MOST_WAIT)
    }
}

#[async_trait]
impl Source for Paced {
    fn name(&self) -> String {
        format!("paced rows {}", self.hand.number)
    }

    async fn read(&mut self, max_rows: usize) -> RunResult<Read> {
        if self.hand.next >= self.hand.end {
            return Ok(Read::End);
        }
        let origin = *self.seen.origin.get_or_init(Instant::now);
        let gathered = ((self.rows_per_second * LINGER.as_secs_f64()) as u64).clamp(1, max_rows.max(1) as u64);
        let due = loop {
            let after = origin.elapsed();
            let due = self.due(after);
            if due >= self.given + gathered {
                break due - self.given;
            }
            match &self.metronome {
                Some(metronome) => metronome.beat.notified().await,
                None => tokio::time::sleep(self.wait(after)).await,
            }
        };
        let rows = due.min(max_rows as u64).min(self.hand.rows.batch_rows() - self.within);
        let at = |row: u64| (row as f64 * 1e6 / self.rows_per_second) as i64;
        let times = (self.given..self.given + rows).map(at).collect();
        let frame = self.hand.rows.batch_at(self.hand.next, self.within as usize, times)?;
        let frame = frame.ok_or_else(|| RunError::bug("rows with times of their own were to be paced"))?;
        let first_position = self.given;
        self.given += rows;
        self.within += rows;
        if self.within == self.hand.rows.batch_rows() {
            (self.within, self.hand.next) = (0, self.hand.next + self.hand.partitions);
        }
        Ok(Read::Rows(SourceRows { frame, first_position, ..SourceRows::default() }))
    }

    fn position(&self) -> serde_json::Value {
        self.hand.position()
    }

    fn seek(&mut self, position: &serde_json::Value) -> RunResult<()> {
        self.hand.seek(position);
        Ok(())
    }

    fn progress(&self) -> Option<SourceProgress> {
        Some(self.hand.progress())
    }
}

/// Kind `bench_sink`.
struct BenchSink {
    info: KindInfo,
    stage: Arc<Stage>,
}

impl BenchSink {
    fn new(stage: Arc<Stage>) -> Self {
        BenchSink { info: info("bench_sink", Category::Sink, schema_of::<SinkSpec>), stage }
    }
}

impl Kind for BenchSink {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: SinkSpec = input.spec(found)?;
        Some(Bound { outputs: Vec::new(), distribution: Distribution::Any, payload: Payload::new(spec) })
    }
}

#[async_trait]
impl SinkFactory for BenchSink {
    async fn create(&self, node: &Arc<BoundNode>, _: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let spec: &SinkSpec = node.payload.get().ok_or_else(|| RunError::bug("a bench's sink without its plan"))?;
        let net = (!spec.net_by.is_empty()).then(|| Net::new(&spec.net_by));
        let (seen, notes_latency) = (self.stage.seen(), spec.latency);
        Ok(Box::new(Checked { seen, notes_latency, own: Checksum::default(), net, latencies: Vec::new() }))
    }

    async fn commit(&self, _: &Arc<BoundNode>, _: &ConnectorContext, _: Vec<Committable>, _: Finality) -> RunResult<()> {
        Ok(())
    }
}

struct Checked {
    seen: Arc<Seen>,
    notes_latency: bool,
    own: Checksum,
    net: Option<Net>,
    latencies: Vec<u64>,
}

impl Checked {
    /// A window's result is due when the row is that has its end as event time: that row moves the watermark to the end.
    fn note_latency(&mut self, batch: &Batch) -> RunResult<()> {
        let Some(after) = self.seen.origin.get().map(Instant::elapsed) else { return Ok(()) };
        let after = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
        let ends = batch.frame().column("window_end")?.as_materialized_series().to_physical_repr();
        let late = |end: i64| after.saturating_sub(end.saturating_mul(1_000)).max(0).unsigned_abs();
        self.latencies.extend(ends.i64()?.iter().flatten().map(late));
        Ok(())
    }
}

#[async_trait]
impl Sink for Checked {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        self.seen.first_row.get_or_init(Instant::now);
        if self.notes_latency {
            self.note_latency(batch)?;
        }
        match &mut self.net {
            Some(net) => net.add(batch.frame(), &mut self.own)?,
            None => self.own.add(batch.frame())?,
        }
        Ok(Vec::new())
    }

    async fn prepare(&mut self, _: u64) -> RunResult<Option<Committable>> {
        self.seen.checksum.lock().unwrap_or_else(PoisonError::into_inner).merge(&std::mem::take(&mut self.own));
        self.seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.latencies);
        Ok(None)
    }

    async fn abort(&mut self) -> RunResult<()> {
        Ok(())
    }
}
