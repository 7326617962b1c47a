//! The channels, counters and edges of a run, made before any task.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::task::AtomicWaker;
use millrace_model::{NodeId, PortRef};
use millrace_plan::{Exchange, ExchangeKind, LogicalPlan, Member, PhysicalPlan, Placement};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::flow::channel::{ChannelGauge, Receiver, channel_seen_by};
use crate::flow::gate::Gate;
use crate::flow::partition::Partitioner;
use crate::flow::{Bounds, Outlet, Route, Sender};
use crate::registry::{Entry, Registry};
use crate::share::EdgeId;
use crate::share::edges::{FarEnds, Incoming, Outgoing};
use crate::telemetry::figures::{EdgeTelemetry, JobTelemetry, NodeTelemetry, Role};
use crate::telemetry::{EdgeProbe, TapSample, TaskMetrics};

/// The most bytes that a channel holds.
const CHANNEL_BYTES: usize = 8 * 1024 * 1024;

/// The least of a channel's bound in rows, so that tiny batches still flow.
const LEAST_CHANNEL_ROWS: usize = 1024;

/// Ends of channels, until the tasks that own them are made.
pub struct Wiring {
    /// The sending ends, by exchange and sending task.
    senders: BTreeMap<(usize, u32), Vec<Sender>>,
    /// The receiving ends, by vertex and task.
    receivers: BTreeMap<(usize, u32), Vec<(usize, Receiver)>>,
    arrivals: BTreeMap<(usize, u32), Arc<AtomicWaker>>,
    probes: BTreeMap<(PortRef, NodeId), Arc<EdgeProbe>>,
    /// The ends whose other ends are with other members.
    far: FarEnds,
}

/// Which of a run's tasks are made in this process.
pub struct Share<'a> {
    pub placement: &'a Placement,
    pub me: Member,
}

impl Share<'_> {
    pub fn is_mine(&self, vertex: usize, task: u32) -> bool {
        self.placement.member(vertex, task) == self.me
    }
}

/// Makes all counters of a plan. In a run that is changed, `before` are those up to here, whose tasks have ended: they go on.
pub fn counters(
    plan: &LogicalPlan,
    physical: &PhysicalPlan,
    registry: &Registry,
    batch_rows: usize,
    clock: &dyn Clock,
    samples: &mpsc::Sender<TapSample>,
    before: Option<&JobTelemetry>,
) -> JobTelemetry {
    let mut edges = Vec::new();
    for node in &plan.nodes {
        for edge in &node.inputs {
            let known = before.and_then(|before| before.edge(&edge.from, node.id()));
            let probe =
                known.map_or_else(|| EdgeProbe::new(edge.from.clone(), node.id().clone(), samples.clone()), |known| known.probe.clone());
            let exchange = physical.exchanges.iter().find(|it| it.from == edge.from && it.to == *node.id());
            let channels = exchange.map_or(0, |exchange| connections(exchange, physical).count());
            edges.push(EdgeTelemetry { probe, channels: (0..channels).map(|_| ChannelGauge::new(bounds(batch_rows))).collect() });
        }
    }
    JobTelemetry { nodes: node_telemetry(plan, physical, registry, clock, before), edges, plan: physical.clone() }
}

/// Makes the channels of one attempt at a run that have an end here, all empty. The counters outlive it.
pub fn wire(telemetry: &JobTelemetry, batch_rows: usize, share: &Share<'_>) -> Wiring {
    let mut wiring = Wiring {
        senders: BTreeMap::new(),
        receivers: BTreeMap::new(),
        arrivals: BTreeMap::new(),
        probes: BTreeMap::new(),
        far: FarEnds::default(),
    };
    for edge in &telemetry.edges {
        let (from, to) = (&edge.probe.from, &edge.probe.to);
        wiring.probes.insert((from.clone(), to.clone()), edge.probe.clone());
        let exchange = telemetry.plan.exchanges.iter().enumerate().find(|(_, it)| it.from == *from && it.to == *to);
        if let Some((index, exchange)) = exchange {
            for ((from, to), gauge) in connections(exchange, &telemetry.plan).zip(&edge.channels) {
                wiring.connect(index, exchange, (from, to), share, gauge, bounds(batch_rows));
            }
        }
    }
    wiring
}

fn bounds(batch_rows: usize) -> Bounds {
    Bounds { rows: (batch_rows * 2).max(LEAST_CHANNEL_ROWS), bytes: CHANNEL_BYTES }
}

/// The channels of an exchange: from which task to which.
pub fn connections(exchange: &Exchange, physical: &PhysicalPlan) -> impl Iterator<Item = (u32, u32)> {
    let tasks = |vertex: usize| physical.vertices.get(vertex).map_or(0, |vertex| vertex.parallelism);
    let (senders, receivers) = (tasks(exchange.from_vertex), tasks(exchange.to_vertex));
    let is_forward = exchange.kind == ExchangeKind::Forward;
    (0..senders).flat_map(move |from| {
        let targets = if is_forward { from..from + 1 } else { 0..receivers };
        targets.map(move |to| (from, to))
    })
}

fn node_telemetry(
    plan: &LogicalPlan,
    physical: &PhysicalPlan,
    registry: &Registry,
    clock: &dyn Clock,
    before: Option<&JobTelemetry>,
) -> BTreeMap<NodeId, NodeTelemetry> {
    let tasks = physical.tasks();
    let now = clock.monotonic_ns();
    let of = |node: &millrace_plan::BoundNode| {
        let role = match registry.get(&node.decl.kind) {
            Some(Entry::Source(_)) => Role::Source,
            Some(Entry::Sink(_)) => Role::Sink,
            Some(Entry::Operator(_)) | None => Role::Operator,
        };
        let count = tasks.get(node.id()).copied().unwrap_or(1);
        let has_event_time = node.outputs.first().map_or_else(
            || node.inputs.iter().any(|input| input.has_event_time),
            |output| output.has_event_time || node.inputs.iter().any(|input| input.has_event_time),
        );
        let known = before.and_then(|before| before.nodes.get(node.id())).filter(|known| known.role == role);
        let known = known.map_or(&[] as &[Arc<TaskMetrics>], |known| &known.tasks);
        NodeTelemetry { role, has_event_time, tasks: as_many(known, count as usize, now) }
    };
    plan.nodes.iter().map(|node| (node.id().clone(), of(node))).collect()
}

/// The counters of so many tasks. The times of those that are no more are the first one's from here on; what they have counted is in the
/// epoch that the run goes on from.
fn as_many(known: &[Arc<TaskMetrics>], count: usize, now_ns: u64) -> Vec<Arc<TaskMetrics>> {
    let (kept, gone) = known.split_at(count.min(known.len()));
    if let Some(first) = kept.first() {
        gone.iter().for_each(|task| first.take_times(task, now_ns));
    }
    let new = (kept.len()..count).map(|_| Arc::new(TaskMetrics::new(now_ns)));
    kept.iter().cloned().chain(new).collect()
}

impl Wiring {
    fn connect(
        &mut self,
        index: usize,
        exchange: &Exchange,
        (from, to): (u32, u32),
        share: &Share<'_>,
        gauge: &Arc<ChannelGauge>,
        bounds: Bounds,
    ) {
        let sends = share.placement.member(exchange.from_vertex, from);
        let receives = share.placement.member(exchange.to_vertex, to);
        let edge = EdgeId { exchange: index as u32, from, to };
        let place = (exchange.to_vertex, to);
        if receives == share.me {
            let arrival = self.arrivals.entry(place).or_default().clone();
            let (sender, receiver) = channel_seen_by(gauge.clone(), bounds, arrival);
            self.receivers.entry(place).or_default().push((exchange.input, receiver));
            if sends == share.me {
                self.senders.entry((index, from)).or_default().push(sender);
            } else {
                self.far.into.push(Incoming { from: sends, edge, sender });
            }
        } else if sends == share.me {
            let arrival = Arc::new(AtomicWaker::new());
            let (sender, receiver) = channel_seen_by(gauge.clone(), bounds, arrival.clone());
            self.senders.entry((index, from)).or_default().push(sender);
            self.far.out.push(Outgoing { to: receives, edge, receiver, arrival });
        }
    }

    /// The ends whose other ends are elsewhere. They are given once.
    pub fn far(&mut self) -> FarEnds {
        std::mem::take(&mut self.far)
    }

    /// The gate of a task. Each is given once.
    pub fn gate(&mut self, vertex: usize, task: u32) -> Gate {
        let receivers = self.receivers.remove(&(vertex, task)).unwrap_or_default();
        Gate::new(receivers, self.arrivals.remove(&(vertex, task)).unwrap_or_default())
    }

    /// A task's end of an exchange. Each is given once.
    pub fn outlet(&mut self, index: usize, exchange: &Exchange, task: u32, groups: u16) -> Option<Outlet> {
        let senders = self.senders.remove(&(index, task))?;
        let route = match &exchange.kind {
            ExchangeKind::Hash { columns } => Route::Hash(Partitioner::new(columns.clone(), groups, senders.len())),
            ExchangeKind::Rebalance => Route::Turn { next: task as usize },
            ExchangeKind::Forward | ExchangeKind::Gather => Route::Only,
        };
        Some(Outlet::new(self.probe(&exchange.from, &exchange.to)?, route, senders))
    }

    pub fn probe(&self, from: &PortRef, to: &NodeId) -> Option<Arc<EdgeProbe>> {
        self.probes.get(&(from.clone(), to.clone())).cloned()
    }
}
