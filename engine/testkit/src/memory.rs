//! Sources and sinks that live in memory, and operators that misbehave on purpose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millrace_model::catalog::schema_of;
use millrace_model::id::{MAIN_PORT, QUARANTINED_PORT};
use millrace_model::types::SchemaRef;
use millrace_model::{
    Category, ChangeMode, DataType, Diagnostic, Diagnostics, Field, Inputs, KindInfo, NodeDecl, NodeId, PortInfo, Schema,
};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort};
use millrace_runtime::batch::quarantine_schema;
use millrace_runtime::connector::{
    BadRecord, Committable, ConnectorContext, Finality, Read, Sink, SinkFactory, Source, SourceFactory, SourceProgress, SourceRows,
};
use millrace_runtime::files::Files;
use millrace_runtime::operator::{Operator, OperatorContext, OperatorFactory, Output, RowCounts};
use millrace_runtime::{Batch, Clock, RunError, RunResult};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind's own fields where it has none.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct NoFields {}

const QUARANTINED: &[PortInfo] = &[PortInfo { name: QUARANTINED_PORT, summary: "Bad records." }];

pub(crate) fn info(name: &'static str, category: Category) -> KindInfo {
    let is_sink = category == Category::Sink;
    KindInfo {
        name,
        title: name,
        category,
        icon: "flask-conical",
        summary: "For tests.",
        inputs: if category == Category::Source { Inputs::None } else { Inputs::One },
        has_output: !is_sink,
        side_ports: QUARANTINED,
        key_fields: &[],
        schema: schema_of::<NoFields>,
    }
}

fn source_bound(input: &BindInput<'_>) -> Option<Bound> {
    let schema = input.discovered?.clone();
    let outputs = vec![OutputPort::append(MAIN_PORT, schema, false), OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false)];
    Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(()) })
}

/// The code of a script that fails.
const SCRIPT_FAILED: &str = "MR0598";

/// What a partition does, step by step.
#[derive(Debug, Clone)]
pub enum Script {
    Rows(DataFrame),
    Bad(BadRecord),
    /// Says nothing for so long.
    Silence(Duration),
    /// Says nothing until it may go on.
    Until(Arc<AtomicBool>),
    /// Fails as a connector does, such that trying again could help, and does not.
    Fail(&'static str),
    /// Fails so the first time that any reader comes here, then no more.
    FailOnce(&'static str, Arc<AtomicBool>),
    /// Fails for good.
    Break(&'static str),
    Panic(&'static str),
    /// Says nothing for ever.
    Forever,
}

/// Kind `memory`: plays scripts, by node, one a partition.
#[derive(Clone)]
pub struct Memory {
    info: KindInfo,
    nodes: BTreeMap<NodeId, (SchemaRef, Vec<Vec<Script>>)>,
    is_live: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { info: info("memory", Category::Source), nodes: BTreeMap::new(), is_live: false }
    }
}

impl Memory {
    pub fn with(mut self, node: &str, columns: &[(&str, DataType)], partitions: Vec<Vec<Script>>) -> Self {
        let fields = columns.iter().map(|(name, data_type)| Field::new(*name, *data_type)).collect();
        self.nodes.insert(NodeId::new(node), (Arc::new(Schema::new(fields)), partitions));
        self
    }

    /// Without progress, as a source without an end is.
    pub fn live(mut self) -> Self {
        self.is_live = true;
        self
    }
}

impl Kind for Memory {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        source_bound(input)
    }
}

#[async_trait]
impl SourceFactory for Memory {
    async fn discover(&self, node: &NodeDecl, _: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        let known = self.nodes.get(&node.id).map(|(schema, _)| schema.clone());
        known.ok_or_else(|| node.error("MR0599", "", "no script for this node"))
    }

    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let (_, partitions) = self.nodes.get(node.id()).ok_or_else(|| RunError::bug("no script"))?;
        let open = |(number, script): (usize, &Vec<Script>)| -> Box<dyn Source> {
            Box::new(MemorySource {
                name: format!("{}/{number}", node.id()),
                script: script.iter().rev().cloned().collect(),
                rest: None,
                silent_until_ns: None,
                read: 0,
                bad: 0,
                passed_over: (0, 0),
                clock: context.clock.clone(),
                is_live: self.is_live,
            })
        };
        Ok(partitions.iter().enumerate().map(open).collect())
    }

    fn max_parallelism(&self, node: &NodeDecl, _: &Files) -> Option<u32> {
        self.nodes.get(&node.id).map(|(_, partitions)| partitions.len() as u32)
    }
}

struct MemorySource {
    name: String,
    /// Last step first.
    script: Vec<Script>,
    rest: Option<DataFrame>,
    /// When the silence ends that has begun: a read that is dropped and asked again does not begin it anew.
    silent_until_ns: Option<u64>,
    read: u64,
    bad: u64,
    /// Rows and bad records that were given before, and are passed over.
    passed_over: (u64, u64),
    clock: Arc<dyn Clock>,
    is_live: bool,
}

#[async_trait]
impl Source for MemorySource {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn read(&mut self, max_rows: usize) -> RunResult<Read> {
        loop {
            if let Some(rest) = self.rest.take() {
                let over = (self.passed_over.0 as usize).min(rest.height());
                self.passed_over.0 -= over as u64;
                let rest = rest.slice(over as i64, rest.height() - over);
                if rest.height() == 0 {
                    continue;
                }
                let rows = max_rows.min(rest.height());
                let frame = rest.slice(0, rows);
                if rows < rest.height() {
                    self.rest = Some(rest.slice(rows as i64, rest.height() - rows));
                }
                let first_position = self.read;
                self.read += rows as u64;
                return Ok(Read::Rows(SourceRows { frame, first_position, ..SourceRows::default() }));
            }
            match self.script.last() {
                None => return Ok(Read::End),
                Some(Script::Rows(frame)) => self.rest = Some(frame.clone()).filter(|frame| frame.height() > 0),
                Some(Script::Bad(record)) => {
                    let bad = vec![record.clone()];
                    self.script.pop();
                    if self.passed_over.1 > 0 {
                        self.passed_over.1 -= 1;
                        continue;
                    }
                    self.bad += 1;
                    return Ok(Read::Rows(SourceRows { bad, ..SourceRows::default() }));
                }
                Some(Script::Silence(time)) => {
                    let now = self.clock.monotonic_ns();
                    let until = *self.silent_until_ns.get_or_insert(now + time.as_nanos() as u64);
                    self.clock.sleep(Duration::from_nanos(until.saturating_sub(now))).await;
                    self.silent_until_ns = None;
                }
                Some(Script::Until(may_go_on)) => {
                    while !may_go_on.load(Ordering::Relaxed) {
                        self.clock.sleep(Duration::from_millis(2)).await;
                    }
                }
                Some(Script::Fail(cause)) => return Err(RunError::connector(SCRIPT_FAILED, "read the script", cause, true)),
                Some(Script::FailOnce(cause, has_failed)) => {
                    if !has_failed.swap(true, Ordering::Relaxed) {
                        return Err(RunError::connector(SCRIPT_FAILED, "read the script", cause, true));
                    }
                }
                Some(Script::Break(cause)) => return Err(RunError::connector(SCRIPT_FAILED, "read the script", cause, false)),
                Some(Script::Panic(message)) => panic!("{message}"),
                Some(Script::Forever) => std::future::pending().await,
            }
            self.script.pop();
        }
    }

    fn position(&self) -> serde_json::Value {
        serde_json::json!([self.read, self.bad])
    }

    /// Bad records keep their place among the rows only if no row before them is passed over; tests count them.
    fn seek(&mut self, position: &serde_json::Value) -> RunResult<()> {
        let at = |place: usize| position.get(place).and_then(serde_json::Value::as_u64).unwrap_or(0);
        (self.read, self.bad) = (at(0), at(1));
        self.passed_over = (self.read, self.bad);
        Ok(())
    }

    fn progress(&self) -> Option<SourceProgress> {
        (!self.is_live).then_some(SourceProgress { done: self.read, total: self.read + self.script.len() as u64 })
    }
}

/// Kind `flood`: rows without end, as fast as they are taken. Columns `n` BIGINT and `t` TIMESTAMP, a microsecond a row.
pub struct Flood {
    info: KindInfo,
}

impl Default for Flood {
    fn default() -> Self {
        Flood { info: info("flood", Category::Source) }
    }
}

impl Kind for Flood {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        source_bound(input)
    }
}

#[async_trait]
impl SourceFactory for Flood {
    async fn discover(&self, _: &NodeDecl, _: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        Ok(Arc::new(Schema::new(vec![Field::new("n", DataType::BigInt), Field::new("t", DataType::Timestamp)])))
    }

    async fn open(&self, _: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        Ok((0..context.tasks).map(|_| -> Box<dyn Source> { Box::new(FloodSource { next: 0 }) }).collect())
    }

    fn max_parallelism(&self, _: &NodeDecl, _: &Files) -> Option<u32> {
        None
    }
}

struct FloodSource {
    next: i64,
}

#[async_trait]
impl Source for FloodSource {
    fn name(&self) -> String {
        "flood".to_owned()
    }

    async fn read(&mut self, max_rows: usize) -> RunResult<Read> {
        let numbers: Vec<i64> = (self.next..self.next + max_rows as i64).collect();
        let first_position = self.next as u64;
        self.next += max_rows as i64;
        let times = Series::new("t".into(), &numbers).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None))?;
        let frame = DataFrame::new(max_rows, vec![Column::new("n".into(), numbers), times.into()])?;
        Ok(Read::Rows(SourceRows { frame, first_position, ..SourceRows::default() }))
    }

    fn position(&self) -> serde_json::Value {
        self.next.into()
    }

    fn seek(&mut self, position: &serde_json::Value) -> RunResult<()> {
        self.next = position.as_i64().unwrap_or(0);
        Ok(())
    }
}

/// Kind `collect`: keeps what it is given, and shows it once it is committed.
#[derive(Clone)]
pub struct Collected {
    info: KindInfo,
    shared: Arc<Shared>,
    is_single: bool,
}

#[derive(Default)]
struct Shared {
    /// By node, task and epoch.
    prepared: Mutex<BTreeMap<(NodeId, u32, u64), Vec<DataFrame>>>,
    committed: Mutex<BTreeMap<NodeId, Vec<DataFrame>>>,
    aborted: AtomicUsize,
}

impl Default for Collected {
    fn default() -> Self {
        Collected { info: info("collect", Category::Sink), shared: Arc::default(), is_single: true }
    }
}

impl Collected {
    /// One sink a task instead of one for all.
    pub fn spread(mut self) -> Self {
        self.is_single = false;
        self
    }

    /// The frames that a node's sink has committed.
    pub fn frames(&self, node: &str) -> Vec<DataFrame> {
        let committed = self.shared.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.get(&NodeId::new(node)).cloned().unwrap_or_default()
    }

    pub fn rows(&self, node: &str) -> usize {
        self.frames(node).iter().map(DataFrame::height).sum()
    }

    /// Tasks of sinks that removed what they had written.
    pub fn aborted(&self) -> usize {
        self.shared.aborted.load(Ordering::Relaxed)
    }
}

impl Kind for Collected {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, _: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        let outputs = vec![OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false)];
        let distribution = if self.is_single { Distribution::Single } else { Distribution::Any };
        Some(Bound { outputs, distribution, payload: Payload::new(()) })
    }
}

#[async_trait]
impl SinkFactory for Collected {
    async fn create(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let refuses = node.decl.spec.get("refuses").and_then(serde_json::Value::as_i64);
        Ok(Box::new(CollectSink { node: node.id().clone(), task: context.task, frames: Vec::new(), shared: self.shared.clone(), refuses }))
    }

    async fn commit(&self, _: &Arc<BoundNode>, context: &ConnectorContext, ready: Vec<Committable>, _: Finality) -> RunResult<()> {
        let mut prepared = self.shared.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut committed = self.shared.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let all = committed.entry(context.node.clone()).or_default();
        for ready in ready {
            let epoch = ready.what.as_u64().unwrap_or(0);
            all.extend(prepared.remove(&(ready.node, ready.task, epoch)).unwrap_or_default());
        }
        Ok(())
    }

    async fn recover(&self, node: &Arc<BoundNode>, context: &ConnectorContext, _: &[Committable]) -> RunResult<()> {
        let mut prepared = self.shared.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.retain(|(of, _, epoch), _| of != node.id() || *epoch <= context.durability.restored_epoch);
        Ok(())
    }
}

struct CollectSink {
    node: NodeId,
    task: u32,
    frames: Vec<DataFrame>,
    shared: Arc<Shared>,
    /// Rows whose first column is this number are refused.
    refuses: Option<i64>,
}

#[async_trait]
impl Sink for CollectSink {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        let Some(refused) = self.refuses else {
            self.frames.push(batch.frame().clone());
            return Ok(Vec::new());
        };
        let Some(first) = batch.frame().columns().first() else { return Ok(Vec::new()) };
        let good: BooleanChunked = first.i64()?.iter().map(|value| Some(value != Some(refused))).collect();
        let bad = good.iter().filter(|good| *good == Some(false)).count();
        self.frames.push(batch.frame().filter_seq(&good)?);
        let record = BadRecord { reason: "refused".to_owned(), position: String::new(), raw: refused.to_string() };
        Ok(vec![record; bad])
    }

    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>> {
        let mut prepared = self.shared.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert((self.node.clone(), self.task, epoch), std::mem::take(&mut self.frames));
        Ok(Some(Committable { node: self.node.clone(), task: self.task, what: epoch.into() }))
    }

    async fn abort(&mut self) -> RunResult<()> {
        self.shared.aborted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Kind `explode`: passes rows on until its first column holds the number `at`; then it panics, or fails if `how` is `"fail"`.
pub struct Exploding {
    info: KindInfo,
}

impl Default for Exploding {
    fn default() -> Self {
        Exploding { info: info("explode", Category::Shape) }
    }
}

impl Kind for Exploding {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        let upstream = input.inputs.first()?;
        let outputs = vec![OutputPort::append(MAIN_PORT, upstream.schema.clone(), upstream.has_event_time)];
        // By key, so that rows cross an exchange before the blow.
        let key = upstream.schema.names().take(1).map(str::to_owned).collect();
        Some(Bound { outputs, distribution: Distribution::ByKey(key), payload: Payload::new(()) })
    }
}

impl OperatorFactory for Exploding {
    fn create(&self, node: &Arc<BoundNode>, _: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let at = node.decl.spec.get("at").and_then(serde_json::Value::as_i64);
        let fails = node.decl.spec.get("how").and_then(serde_json::Value::as_str) == Some("fail");
        Ok(Box::new(ExplodingOperator { at, fails, counts: RowCounts::default() }))
    }
}

struct ExplodingOperator {
    at: Option<i64>,
    fails: bool,
    counts: RowCounts,
}

impl Operator for ExplodingOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let first = batch.frame().columns().first().map(|column| column.i64().cloned()).transpose()?;
        let is_reached = self.at.is_some() && first.is_some_and(|values| values.iter().any(|value| value == self.at));
        if is_reached && self.fails {
            return Err(RunError::Value { message: "the value cannot be computed".to_owned(), sample: Vec::new() });
        }
        assert!(!is_reached, "exploded on purpose");
        self.counts.accepted += batch.rows() as u64;
        out.emit(0, batch);
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
