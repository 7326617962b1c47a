//! Makes a run's tasks: opens sources, creates operators and sinks, joins them by the wiring.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_model::NodeId;
use millrace_model::id::QUARANTINED_PORT;
use millrace_plan::key_group::groups_of;
use millrace_plan::{BoundNode, Distribution, Exchange, ExchangeKind, LEADER, LogicalPlan, PhysicalPlan, Vertex};
use millrace_state::block::{BlockHome, Blocks, Scratch};
use millrace_state::checkpoint::{RunId, TaskId};
use millrace_state::snapshot::{Counts, PartitionPart};
use polars::prelude::DataFrame;
use tokio::sync::{mpsc, watch};

use crate::arrow_bridge::decode_ipc;
use crate::batch::Batch;
use crate::chain::{Chain, ChainNode, ChainPort, CurrentWork, Target};
use crate::checkpoint::Restored;
use crate::connector::{Committable, ConnectorContext, Durability, Sink};
use crate::error::{RunError, RunResult};
use crate::flow::partition::Partitioner;
use crate::flow::{Combining, InFlight, Outlet};
use crate::job::poison::Precautions;
use crate::job::wiring::{Share, Wiring};
use crate::job::{HostContext, JobOptions};
use crate::memory::{MemoryShare, PipelineState, SpillSpace};
use crate::operator::{Budget, Operator, OperatorContext, OperatorFactory};
use crate::operators::resting::{Cut, Resting};
use crate::quarantine::QuarantineFile;
use crate::registry::{Entry, Registry};
use crate::source::{Pacer, Partition, ReplayOrigin, ReplayOrigins, TimeAssigner};
use crate::task::barrier::BARRIERS_AHEAD;
use crate::task::boundary::panic_text;
use crate::task::rate::RateLimiter;
use crate::task::sink_task::Decision;
use crate::task::{
    Acknowledger, BarrierCommand, Barriers, Boundary, Caution, CautiousReading, OperatorTask, Resumed, SinkTask, SourceTask, StopReceiver,
    TaskReport,
};
use crate::telemetry::{JobTelemetry, NoticeBoard, TapSample};

/// What every task of an attempt shares. A run that is changed while it is under way goes on with another.
pub struct Shared {
    pub state: Arc<PipelineState>,
    pub plan: LogicalPlan,
    pub physical: PhysicalPlan,
    pub registry: Registry,
    pub options: JobOptions,
    pub host: HostContext,
    pub telemetry: Arc<JobTelemetry>,
    pub notices: Arc<NoticeBoard>,
    /// The newest epoch of the run that a savepoint holds.
    pub kept_epoch: Arc<AtomicU64>,
    /// Where samples of edges go.
    pub samples: mpsc::Sender<TapSample>,
    pub replays: Arc<ReplayOrigins>,
}

impl Shared {
    /// Where state goes that does not fit in memory: with the run, if that is kept.
    fn blocks(&self, attempt: &Attempt) -> BlockHome {
        match self.host.state.as_ref().filter(|_| attempt.is_durable) {
            Some(home) => home.blocks(RunId(attempt.run_start_us)),
            None => {
                let folder = self.host.files.folder().join(".millrace").join("spill").join(&self.host.run);
                BlockHome::Scratch(Arc::new(Scratch::new(folder)))
            }
        }
    }

    /// Where a node's records go that nobody takes.
    pub fn quarantine_file(&self, node: &NodeId) -> QuarantineFile {
        QuarantineFile::new(self.host.files.clone(), &self.host.run, node.clone(), self.notices.clone())
    }

    /// What a task of a connector is given.
    pub fn connector(&self, attempt: &Attempt, node: &NodeId, task: u32, tasks: u32) -> ConnectorContext {
        let mut context = self.host.connector(node, task, tasks, self.options.batch_rows, attempt.run_start_us);
        context.durability = Durability { kept_epoch: self.kept_epoch.load(Ordering::Relaxed), ..attempt.durability() };
        context.restored = Arc::new(attempt.restored_of(node));
        context
    }
}

/// One attempt at a run: it begins, or goes on from an epoch.
#[derive(Clone)]
pub struct Attempt {
    /// When the run first began, microseconds since 1970.
    pub run_start_us: i64,
    pub is_durable: bool,
    /// Whether it goes back below what sinks have committed.
    pub may_rewind: bool,
    pub restored: Option<Arc<Restored>>,
    /// Its own epochs come after this number: that of the one it goes on from, or higher.
    pub after: u64,
    /// Whether another process may go on with the run while this one still lives.
    pub may_be_lost: bool,
    pub precautions: Precautions,
    /// Whether it is the first that a change of the run is waited for in.
    pub is_change: bool,
}

impl Attempt {
    /// One that begins with nothing.
    pub fn begins(run_start_us: i64, is_durable: bool) -> Attempt {
        let precautions = Precautions::default();
        let (may_rewind, may_be_lost, is_change) = Default::default();
        Attempt { run_start_us, is_durable, may_rewind, restored: None, after: 0, may_be_lost, precautions, is_change }
    }

    pub fn durability(&self) -> Durability {
        let restored_epoch = self.restored.as_ref().map_or(0, |restored| restored.manifest.epoch);
        let base = self.may_be_lost.then_some(self.after);
        Durability { is_durable: self.is_durable, restored_epoch, may_rewind: self.may_rewind, kept_epoch: 0, base }
    }

    /// What the epoch that it goes on from has of a sink.
    pub fn restored_of(&self, node: &NodeId) -> Vec<Committable> {
        let ready = self.restored.iter().flat_map(|restored| &restored.manifest.ready);
        ready.filter(|ready| ready.node == *node).cloned().collect()
    }
}

/// The ends by which tasks speak with their job.
#[derive(Clone)]
pub struct Lines {
    pub stop: StopReceiver,
    pub reports: mpsc::Sender<TaskReport>,
    pub decision: watch::Receiver<Decision>,
    /// The newest epoch whose barriers do not wait for each other.
    pub hasten: watch::Receiver<u64>,
    /// How far sources may read; none if as far as they like.
    pub caution: watch::Receiver<Option<Caution>>,
}

/// A task that is ready to run.
pub enum ReadyTask {
    Source(Boundary, Box<SourceTask>),
    Operator(Boundary, Box<OperatorTask>),
    Sink(Boundary, Box<SinkTask>, Box<dyn Sink>),
}

impl ReadyTask {
    /// The node at its head.
    fn node(&self) -> NodeId {
        match self {
            ReadyTask::Source(boundary, _) | ReadyTask::Operator(boundary, _) | ReadyTask::Sink(boundary, ..) => boundary.node.clone(),
        }
    }

    const fn chain_mut(&mut self) -> &mut Chain {
        match self {
            ReadyTask::Source(_, task) => &mut task.chain,
            ReadyTask::Operator(_, task) => &mut task.chain,
            ReadyTask::Sink(_, task, _) => &mut task.chain,
        }
    }

    pub async fn run(self) -> TaskReport {
        match self {
            ReadyTask::Source(boundary, task) => boundary.contain(task.run()).await,
            ReadyTask::Operator(boundary, task) => boundary.contain(task.run()).await,
            ReadyTask::Sink(boundary, task, sink) => crate::task::sink_task::run(sink, *task, boundary).await,
        }
    }
}

/// What making the tasks has come to, kept so that sinks already made can be undone.
#[derive(Default)]
pub struct Made {
    pub tasks: Vec<ReadyTask>,
    /// Who is to acknowledge an epoch.
    pub names: Vec<TaskId>,
    /// Tells sources to send barriers.
    pub commands: Vec<mpsc::Sender<BarrierCommand>>,
    /// Records that nobody takes.
    pub quarantine: BTreeMap<NodeId, Arc<QuarantineFile>>,
}

struct Setup<'a> {
    shared: &'a Shared,
    share: Share<'a>,
    attempt: &'a Attempt,
    wiring: Wiring,
    lines: Lines,
    blocks: BlockHome,
    made: &'a mut Made,
}

/// Makes the tasks of a share, upstream before downstream. An error comes with the node that it belongs to.
pub async fn make(
    shared: &Shared,
    attempt: &Attempt,
    share: Share<'_>,
    wiring: Wiring,
    lines: Lines,
    made: &mut Made,
    work: &CurrentWork,
) -> RunResult<()> {
    let mut setup = Setup { shared, share, attempt, wiring, lines, blocks: shared.blocks(attempt), made };
    for (index, vertex) in shared.physical.vertices.iter().enumerate() {
        setup.vertex(index, vertex, work).await?;
    }
    restore(shared, attempt, made, work).await
}

/// Gives the operators of all tasks their state back, of each task beside the others.
async fn restore(shared: &Shared, attempt: &Attempt, made: &mut Made, work: &CurrentWork) -> RunResult<()> {
    let Some(restored) = &attempt.restored else { return Ok(()) };
    let mut under_way = Vec::with_capacity(made.tasks.len());
    for (mut task, number) in std::mem::take(&mut made.tasks).into_iter().zip(&made.names) {
        let (restored, key_groups, number) = (restored.clone(), shared.physical.key_groups, number.task);
        let node = task.node();
        let parallelism = shared.physical.vertices.iter().find(|it| it.nodes.first() == Some(&node)).map_or(1, |it| it.parallelism);
        let groups = groups_of(number, key_groups, parallelism);
        let restoring = shared.host.data.blocking(move || {
            let done = task.chain_mut().restore(&restored, groups);
            (task, done)
        });
        under_way.push((node, restoring));
    }
    let mut result = Ok(());
    for (node, restoring) in under_way {
        match restoring.await {
            Ok((task, done)) => {
                made.tasks.push(task);
                if let Err((node, error)) = done {
                    work.begin(&node, None);
                    result = Err(error);
                }
            }
            Err(panic) => {
                work.begin(&node, None);
                let said = panic.try_into_panic().map_or_else(|error| error.to_string(), |panic| panic_text(panic.as_ref()));
                result = Err(RunError::bug(format!("restoring panicked: {said}")));
            }
        }
    }
    result
}

impl Setup<'_> {
    async fn vertex(&mut self, index: usize, vertex: &Vertex, work: &CurrentWork) -> RunResult<()> {
        let mine: Vec<u32> = (0..vertex.parallelism).filter(|task| self.share.is_mine(index, *task)).collect();
        let Some(head) = vertex.nodes.first().filter(|_| !mine.is_empty()) else { return Ok(()) };
        work.begin(head, None);
        let node = self.bound(head)?;
        match self.entry(&node)? {
            Entry::Source(factory) => {
                let context = self.connector(head, 0, vertex.parallelism);
                let opened = factory.open(&node, &context).await?;
                let origin = self.shared.replays.of(head);
                let mut lanes: Vec<Vec<(Partition, Option<PartitionPart>)>> = (0..vertex.parallelism).map(|_| Vec::new()).collect();
                for (number, source) in opened.into_iter().enumerate() {
                    let mut partition = self.partition(&node, source, &origin)?;
                    let from = self.attempt.restored.as_ref().and_then(|from| from.partition(head, partition.name())).cloned();
                    if let Some(from) = &from {
                        partition.restore(from)?;
                        if let Some(aside) = self.attempt.precautions.aside.iter().find(|aside| aside.is_next(head, from)) {
                            partition.set_aside(aside.stretch.rows, aside.why.clone());
                        }
                    }
                    if let Some(lane) = lanes.get_mut(number % vertex.parallelism.max(1) as usize) {
                        lane.push((partition, from));
                    }
                }
                for task in mine {
                    let partitions = lanes.get_mut(task as usize).map(std::mem::take).unwrap_or_default();
                    self.source_task(index, vertex, task, &node, partitions)?;
                }
            }
            Entry::Operator(_) => {
                for task in mine {
                    self.operator_task(index, vertex, task)?;
                }
            }
            Entry::Sink(factory) => {
                for task in mine {
                    let context = self.connector(head, task, vertex.parallelism);
                    let sink = factory.create(&node, &context).await?;
                    self.sink_task(index, vertex, task, &node, sink)?;
                }
            }
        }
        Ok(())
    }

    fn partition(&self, node: &BoundNode, source: Box<dyn crate::connector::Source>, origin: &Arc<ReplayOrigin>) -> RunResult<Partition> {
        let fields = &node.decl.source;
        let pacer = if self.shared.options.replay { Pacer::new(fields, origin.clone())? } else { None };
        let clock = self.shared.host.clock.clone();
        Ok(Partition::new(source, TimeAssigner::new(fields)?, pacer, clock, self.attempt.run_start_us))
    }

    fn source_task(
        &mut self,
        index: usize,
        vertex: &Vertex,
        task: u32,
        node: &BoundNode,
        partitions: Vec<(Partition, Option<PartitionPart>)>,
    ) -> RunResult<()> {
        let (chain, boundary) = self.chain(index, vertex, task)?;
        // A source has no inputs itself, and tells its watermark from its partitions.
        let resumed = self.resumed(index, vertex, task)?.into_iter().filter(|resumed| resumed.place > 0).collect();
        let (commands, barriers) = mpsc::channel(BARRIERS_AHEAD);
        let place = self.made.commands.len() as u64;
        let trail = self.attempt.precautions.trail.clone();
        let cautious = CautiousReading::new(self.lines.caution.clone(), trail, place, self.source_tasks());
        self.made.commands.push(commands);
        let acknowledger = self.acknowledger(&boundary, task);
        let task = SourceTask {
            partitions,
            idle_after: node.decl.source.idle_after.map(|time| Duration::from_micros(time.micros.max(0) as u64)),
            batch_rows: self.shared.options.batch_rows,
            metrics: chain.head_metrics()?,
            chain,
            clock: self.shared.host.clock.clone(),
            work: boundary.work.clone(),
            stop: self.lines.stop.clone(),
            commands: barriers,
            acknowledger,
            cautious,
            tells_first: self.attempt.is_change,
            resumed,
        };
        self.made.tasks.push(ReadyTask::Source(boundary, Box::new(task)));
        Ok(())
    }

    /// How many tasks have a source at their head.
    fn source_tasks(&self) -> u64 {
        let is_source = |vertex: &&Vertex| {
            let head = vertex.nodes.first().and_then(|head| self.shared.plan.node(head));
            head.is_some_and(|node| matches!(self.shared.registry.get(&node.decl.kind), Some(Entry::Source(_))))
        };
        self.shared.physical.vertices.iter().filter(is_source).map(|vertex| u64::from(vertex.parallelism)).sum()
    }

    fn operator_task(&mut self, index: usize, vertex: &Vertex, task: u32) -> RunResult<()> {
        let (chain, boundary) = self.chain(index, vertex, task)?;
        let (gate, clock) = (self.wiring.gate(index, task), self.shared.host.clock.clone());
        let barriers = self.barriers(&boundary, task);
        let resumed = self.resumed(index, vertex, task)?;
        let task = OperatorTask { gate, metrics: chain.head_metrics()?, chain, clock, barriers, resumed };
        self.made.tasks.push(ReadyTask::Operator(boundary, Box::new(task)));
        Ok(())
    }

    fn sink_task(&mut self, index: usize, vertex: &Vertex, task: u32, node: &BoundNode, sink: Box<dyn Sink>) -> RunResult<()> {
        let (chain, boundary) = self.chain(index, vertex, task)?;
        // A rate is the node's: its tasks share it.
        let rate = node.decl.sink.rate.map(|mut rate| {
            rate.rows_per_second /= f64::from(vertex.parallelism.max(1));
            RateLimiter::new(rate)
        });
        let barriers = self.barriers(&boundary, task);
        let resumed = self.resumed(index, vertex, task)?;
        let task = SinkTask {
            gate: self.wiring.gate(index, task),
            metrics: chain.head_metrics()?,
            chain,
            clock: self.shared.host.clock.clone(),
            work: boundary.work.clone(),
            rate,
            is_unread: false,
            stop: self.lines.stop.clone(),
            barriers,
            resumed,
            decision: self.lines.decision.clone(),
        };
        self.made.tasks.push(ReadyTask::Sink(boundary, Box::new(task), sink));
        Ok(())
    }

    /// Names the task to the job, which waits for it at every epoch.
    fn acknowledger(&mut self, boundary: &Boundary, task: u32) -> Acknowledger {
        let task = TaskId { node: boundary.node.clone(), task };
        self.made.names.push(task.clone());
        let (reports, is_durable) = (self.lines.reports.clone(), self.attempt.is_durable);
        Acknowledger::new(task, reports, self.shared.physical.key_groups, is_durable)
    }

    fn barriers(&mut self, boundary: &Boundary, task: u32) -> Barriers {
        Barriers::new(self.acknowledger(boundary, task), self.lines.hasten.clone())
    }

    /// What a task goes on from: the rows that were in flight to former tasks with any of its nodes at their head, as far as they belong to
    /// this one, by key group where rows are spread so, else by the number of the task. Other tasks may be other chains: a node that has no
    /// inputs of its own now had them then, and its rows are those that have come the furthest.
    fn resumed(&self, index: usize, vertex: &Vertex, task: u32) -> RunResult<Vec<Resumed>> {
        let mut resumed = Vec::new();
        for (place, node) in vertex.nodes.iter().enumerate().rev() {
            resumed.extend(self.resumed_at(index, place, node, task, vertex.parallelism)?);
        }
        Ok(resumed)
    }

    fn resumed_at(&self, vertex: usize, place: usize, node: &NodeId, task: u32, tasks: u32) -> RunResult<Vec<Resumed>> {
        let Some(restored) = &self.attempt.restored else { return Ok(Vec::new()) };
        let mut resumed = Vec::new();
        for former in restored.tasks(node) {
            let mut rows = Vec::new();
            for (input, bytes) in former.in_flight() {
                let (input, batch) = (input as usize, Batch::new(self.as_now(node, input as usize, decode_ipc(bytes)?)?));
                let exchanges = &self.shared.physical.exchanges;
                let exchange = exchanges.iter().find(|it| it.to_vertex == vertex && it.to == *node && it.input == input);
                match exchange.map(|exchange| &exchange.kind) {
                    Some(ExchangeKind::Hash { columns }) => {
                        let mut partitioner = Partitioner::new(columns.clone(), self.shared.physical.key_groups, tasks as usize);
                        let parts = partitioner.split(&batch)?.into_iter();
                        rows.extend(parts.filter(|(to, _)| *to == task as usize).map(|(_, batch)| InFlight { input, batch }));
                    }
                    _ if former.number % tasks.max(1) == task => rows.push(InFlight { input, batch }),
                    _ => {}
                }
            }
            // Within a chain the watermark is the head's to tell, and what the node knows of it is in its own state.
            let watermark = (place == 0).then(|| former.watermark());
            resumed.push(Resumed { place, watermark, rows });
        }
        Ok(resumed)
    }

    /// Rows that were in flight, in the types that their input has now: what was widened since is cast.
    fn as_now(&self, node: &NodeId, input: usize, mut rows: DataFrame) -> RunResult<DataFrame> {
        let Some(port) = self.shared.plan.node(node).and_then(|node| node.inputs.get(input)) else { return Ok(rows) };
        for field in &port.schema.fields {
            let wanted = millrace_expr::to_polars(field.data_type);
            let Some(column) = rows.column(&field.name).ok().filter(|column| *column.dtype() != wanted) else { continue };
            let cast = column.strict_cast(&wanted)?;
            rows.with_column(cast)?;
        }
        Ok(rows)
    }

    /// The nodes of one task, with their operators and the task's outlets.
    fn chain(&mut self, index: usize, vertex: &Vertex, task: u32) -> RunResult<(Chain, Boundary)> {
        let mut outlets: Vec<Outlet> = Vec::new();
        let mut nodes = Vec::with_capacity(vertex.nodes.len());
        let work = CurrentWork::default();
        for id in &vertex.nodes {
            let node = self.bound(id)?;
            let ports = self.ports(index, vertex, task, &node, &mut outlets)?;
            let mut operator = match self.entry(&node)? {
                Entry::Operator(factory) => Some(self.operator(&factory, &node, task, vertex.parallelism)?),
                Entry::Source(_) | Entry::Sink(_) => None,
            };
            let share = Arc::new(self.shared.state.share());
            if let Some(operator) = operator.as_deref_mut() {
                operator.spill_to(self.spill_space(id, task, share.clone()));
            }
            // What its node's tasks had counted the first of them goes on from.
            let restored = self.attempt.restored.as_ref().filter(|_| task == 0);
            let counts = restored.map_or_else(Counts::default, |restored| restored.counts(id));
            let metrics = self.shared.telemetry.nodes.get(id).and_then(|node| node.tasks.get(task as usize)).cloned();
            let metrics = metrics.ok_or_else(|| RunError::bug(format!("no counters for {id}")))?;
            let parent = vertex.chained.iter().find(|edge| edge.to == *id).and_then(|edge| position(vertex, &edge.from.node));
            let mut node = ChainNode::new(id.clone(), operator, metrics, ports, parent).holding(share);
            node.count_from(counts);
            nodes.push(node);
        }
        let head = vertex.nodes.first().cloned().unwrap_or_else(|| NodeId::new("?"));
        let (clock, notices) = (self.shared.host.clock.clone(), self.shared.notices.clone());
        let budget = Budget { rows: self.shared.options.batch_rows };
        let boundary = Boundary { node: head, work: work.clone(), stop: self.lines.stop.clone() };
        Ok((Chain::new(nodes, outlets, clock, notices, budget, work), boundary))
    }

    /// An operator, such that its state may rest on disk if it is divided by key.
    fn operator(&self, factory: &Arc<dyn OperatorFactory>, node: &Arc<BoundNode>, task: u32, tasks: u32) -> RunResult<Box<dyn Operator>> {
        let context = self.operator_context(node.id(), task, tasks);
        match &node.distribution {
            Distribution::ByKey(columns) if factory.may_rest(node) => {
                let cut = Cut { columns: columns.clone(), groups: groups_of(task, self.shared.physical.key_groups, tasks) };
                let (factory, node) = (factory.clone(), node.clone());
                Ok(Box::new(Resting::new(Box::new(move || factory.create(&node, &context)), cut)?))
            }
            _ => factory.create(node, &context),
        }
    }

    fn spill_space(&self, node: &NodeId, task: u32, share: Arc<MemoryShare>) -> SpillSpace {
        let prefix = format!("{node}-{task}-{}", self.attempt.after);
        let blocks = Arc::new(Blocks::new(self.blocks.clone(), prefix));
        SpillSpace { share, blocks, key_groups: self.shared.physical.key_groups }
    }

    fn ports(
        &mut self,
        index: usize,
        vertex: &Vertex,
        task: u32,
        node: &BoundNode,
        outlets: &mut Vec<Outlet>,
    ) -> RunResult<Vec<ChainPort>> {
        let mut ports: Vec<ChainPort> = node
            .outputs
            .iter()
            .map(|output| ChainPort { name: output.name.clone(), output: Some(output.clone()), targets: Vec::new() })
            .collect();
        if !ports.iter().any(|port| port.name == QUARANTINED_PORT) {
            ports.push(ChainPort { name: QUARANTINED_PORT.to_owned(), output: None, targets: Vec::new() });
        }
        for port in &mut ports {
            let is_of_port = |from: &millrace_model::PortRef| from.node == *node.id() && from.port == port.name;
            for edge in vertex.chained.iter().filter(|edge| is_of_port(&edge.from)) {
                if let (Some(index), Some(probe)) = (position(vertex, &edge.to), self.wiring.probe(&edge.from, &edge.to)) {
                    port.targets.push(Target::Node { index, input: edge.input, probe });
                }
            }
            let exchanges = self.shared.physical.exchanges.iter().enumerate();
            for (number, exchange) in exchanges.filter(|(_, it)| it.from_vertex == index && is_of_port(&it.from)) {
                if let Some(outlet) = self.wiring.outlet(number, exchange, task, self.shared.physical.key_groups) {
                    port.targets.push(Target::Outlet(outlets.len()));
                    outlets.push(match self.combining(exchange)? {
                        Some(combining) => outlet.combining(combining),
                        None => outlet,
                    });
                }
            }
            if port.name == QUARANTINED_PORT && port.targets.is_empty() {
                port.targets.push(Target::File(self.quarantine_file(node.id())));
            }
        }
        Ok(ports)
    }

    /// What aggregates rows before an exchange: where several tasks send or receive, and no source can fall idle.
    fn combining(&self, exchange: &Exchange) -> RunResult<Option<Combining>> {
        let tasks = |vertex: usize| self.shared.physical.vertices.get(vertex).map_or(1, |vertex| vertex.parallelism);
        let is_spread = tasks(exchange.from_vertex) > 1 || tasks(exchange.to_vertex) > 1;
        let may_be_idle = self.shared.plan.nodes.iter().any(|node| node.decl.source.idle_after.is_some());
        let is_by_key = matches!(exchange.kind, ExchangeKind::Hash { .. } | ExchangeKind::Gather);
        if !is_spread || may_be_idle || !is_by_key {
            return Ok(None);
        }
        let node = self.bound(&exchange.to)?;
        let Entry::Operator(factory) = self.entry(&node)? else { return Ok(None) };
        Ok(factory.combiner(&node)?.map(|combiner| Combining::new(combiner, self.shared.options.batch_rows)))
    }

    fn quarantine_file(&mut self, node: &NodeId) -> Arc<QuarantineFile> {
        let shared = self.shared;
        let is_leader = self.share.me == LEADER;
        let make = || {
            Arc::new(if is_leader {
                shared.quarantine_file(node)
            } else {
                QuarantineFile::at_the_leader(node.clone(), shared.notices.clone())
            })
        };
        self.made.quarantine.entry(node.clone()).or_insert_with(make).clone()
    }

    fn operator_context(&self, node: &NodeId, task: u32, tasks: u32) -> OperatorContext {
        OperatorContext { node: node.clone(), task, tasks, batch_rows: self.shared.options.batch_rows }
    }

    fn connector(&self, node: &NodeId, task: u32, tasks: u32) -> ConnectorContext {
        self.shared.connector(self.attempt, node, task, tasks)
    }

    fn bound(&self, id: &NodeId) -> RunResult<Arc<BoundNode>> {
        let node = self.shared.plan.node(id).cloned();
        node.map(Arc::new).ok_or_else(|| RunError::bug(format!("node {id} is not in the plan")))
    }

    fn entry(&self, node: &BoundNode) -> RunResult<Entry> {
        let kind = &node.decl.kind;
        self.shared.registry.get(kind).cloned().ok_or_else(|| RunError::bug(format!("kind {kind} is not in the registry")))
    }
}

fn position(vertex: &Vertex, node: &NodeId) -> Option<usize> {
    vertex.nodes.iter().position(|known| known == node)
}
