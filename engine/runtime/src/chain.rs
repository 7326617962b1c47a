//! The nodes of one task: a tree of operators that hand batches to each other by call.
//!
//! The tree itself is synchronous. What leaves the task is put in an outbox, which the task sends before it goes on, so that an
//! outbox holds what one batch or one step gives, and no more.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_expr::to_polars;
use millrace_model::id::QUARANTINED_PORT;
use millrace_model::{NodeId, Timestamp};
use millrace_plan::OutputPort;
use millrace_state::snapshot::{Counts, SnapshotWriter, TaskPartWriter};
use millrace_state::step::reached;
use millrace_wire::message::NoticeSeverity;
use polars::prelude::DataType;

use crate::batch::{Batch, is_hidden};
use crate::checkpoint::Restored;
use crate::clock::Clock;
use crate::connector::BadRecord;
use crate::error::{RunError, RunResult};
use crate::flow::{Element, Outlet};
use crate::memory::MemoryShare;
use crate::operator::{Budget, EndReason, Operator, Output, RowCounts, Step, Timer, Timers};
use crate::quarantine::{self, QuarantineFile};
use crate::telemetry::metrics::row_counts;
use crate::telemetry::{EdgeProbe, NoticeBoard, TaskMetrics};

/// How often an operator is asked what it holds, in nanoseconds.
const STATE_PERIOD_NS: u64 = 50_000_000;

/// Where the rows of a port go.
pub enum Target {
    /// Another node of the same task.
    Node { index: usize, input: usize, probe: Arc<EdgeProbe> },
    /// An outlet of the task.
    Outlet(usize),
    /// Nobody reads the `quarantined` port.
    File(Arc<QuarantineFile>),
}

/// A node in a task. The head of a source's or a sink's task has no operator: the task itself is it.
pub struct ChainNode {
    pub id: NodeId,
    pub operator: Option<Box<dyn Operator>>,
    pub metrics: Arc<TaskMetrics>,
    pub ports: Vec<ChainPort>,
    /// The node of this task that feeds it; none for the head.
    pub parent: Option<usize>,
    /// The last watermark that came in.
    received: Timestamp,
    /// The last watermark given out.
    watermark: Timestamp,
    counts: RowCounts,
    /// What was counted before the operator was made, where the run was resumed.
    counted_before: RowCounts,
    state_due_ns: u64,
    /// What its state may take.
    share: Option<Arc<MemoryShare>>,
}

pub struct ChainPort {
    pub name: String,
    /// What planning says of it; none for a port that planning does not know.
    pub output: Option<OutputPort>,
    pub targets: Vec<Target>,
}

impl ChainPort {
    /// Whether a batch is what planning promised. Debug builds ask at every batch, so that no operator has to.
    fn check(&self, node: &NodeId, batch: &Batch) -> RunResult<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let frame = batch.frame();
        let visible = frame.columns().iter().filter(|column| !is_hidden(column.name()));
        let given: Vec<(&str, &DataType)> = visible.map(|column| (column.name().as_str(), column.dtype())).collect();
        let promised = output.schema.fields.iter().map(|field| (field.name.as_str(), to_polars(field.data_type)));
        let keeps = promised.clone().count() == given.len() && promised.zip(&given).all(|(a, b)| a.0 == b.0 && a.1 == *b.1);
        let has_times = frame.width() == given.len() + if output.has_event_time { 2 } else { 0 };
        if keeps && (has_times || !output.has_event_time) {
            return Ok(());
        }
        let names: Vec<&str> = output.schema.names().collect();
        let found: Vec<String> = frame.columns().iter().map(|column| format!("{} {}", column.name(), column.dtype())).collect();
        let (port, names, found) = (&self.name, names.join(", "), found.join(", "));
        Err(RunError::bug(format!("{node}.{port} promised {names} (event time: {}) and gave {found}", output.has_event_time)))
    }
}

impl ChainNode {
    pub fn new(
        id: NodeId,
        operator: Option<Box<dyn Operator>>,
        metrics: Arc<TaskMetrics>,
        ports: Vec<ChainPort>,
        parent: Option<usize>,
    ) -> Self {
        let (never, counts) = (Timestamp::MIN, RowCounts::default());
        let counted_before = RowCounts::default();
        let (received, watermark) = (never, never);
        ChainNode { id, operator, metrics, ports, parent, received, watermark, counts, counted_before, state_due_ns: 0, share: None }
    }

    /// The same node, whose state is told to `share`.
    #[must_use]
    pub fn holding(self, share: Arc<MemoryShare>) -> Self {
        ChainNode { share: Some(share), ..self }
    }

    /// Goes on counting from what former tasks had counted.
    pub fn count_from(&mut self, counts: Counts) {
        self.metrics.begin(counts);
        self.counted_before = row_counts(counts);
    }
}

/// What a task was at when it failed or panicked.
#[derive(Debug, Clone, Default)]
pub struct CurrentWork {
    shared: Arc<Mutex<Work>>,
}

#[derive(Debug, Default)]
struct Work {
    node: Option<NodeId>,
    batch: Option<Batch>,
}

impl CurrentWork {
    pub fn begin(&self, node: &NodeId, batch: Option<&Batch>) {
        let mut work = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        work.node = Some(node.clone());
        work.batch = batch.cloned();
    }

    pub fn node(&self) -> Option<NodeId> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).node.clone()
    }

    pub fn take_batch(&self) -> Option<Batch> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).batch.take()
    }
}

/// The tree, with its outlets.
pub struct Chain {
    nodes: Vec<ChainNode>,
    outlets: Vec<Outlet>,
    outbox: Vec<(usize, Element)>,
    clock: Arc<dyn Clock>,
    notices: Arc<NoticeBoard>,
    budget: Budget,
    work: CurrentWork,
    /// Of the nodes, in their order, until the task's part takes them.
    snapshots: Vec<NodeSnapshot>,
}

/// What a node has written of itself.
struct NodeSnapshot {
    counts: Counts,
    writer: SnapshotWriter,
    is_whole: bool,
}

/// Keeps what an operator gives out until its call returns.
#[derive(Default)]
struct Emitted(Vec<(usize, Batch)>);

impl Output for Emitted {
    fn emit(&mut self, port: usize, batch: Batch) {
        if !batch.is_empty() {
            self.0.push((port, batch));
        }
    }
}

impl Chain {
    /// `nodes` stand upstream before downstream, the head first.
    pub fn new(
        nodes: Vec<ChainNode>,
        outlets: Vec<Outlet>,
        clock: Arc<dyn Clock>,
        notices: Arc<NoticeBoard>,
        budget: Budget,
        work: CurrentWork,
    ) -> Self {
        Chain { nodes, outlets, outbox: Vec::new(), clock, notices, budget, work, snapshots: Vec::new() }
    }

    pub fn head(&self) -> Option<&ChainNode> {
        self.nodes.first()
    }

    pub fn head_metrics(&self) -> RunResult<Arc<TaskMetrics>> {
        self.head().map(|head| head.metrics.clone()).ok_or_else(|| RunError::bug("a task without a node"))
    }

    /// Runs a batch through the node and all below it.
    pub fn deliver(&mut self, index: usize, input: usize, batch: Batch) -> RunResult<()> {
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        node.metrics.received(batch.counted_rows(), batch.bytes());
        let Some(operator) = node.operator.as_mut() else { return Ok(()) };
        self.work.begin(&node.id, Some(&batch));
        let mut emitted = Emitted::default();
        let busy = node.metrics.busy.run(self.clock.as_ref());
        let result = operator.on_batch(input, batch, &mut emitted);
        drop(busy);
        let published = publish(node, self.clock.as_ref());
        result.and(published)?;
        self.route_all(index, emitted)
    }

    /// Gives out a batch by a port of the head, for a source or a sink.
    pub fn emit_from_head(&mut self, port: &str, batch: Batch) -> RunResult<()> {
        let Some(place) = self.nodes.first().and_then(|head| head.ports.iter().position(|known| known.name == port)) else {
            return Ok(());
        };
        self.route(0, place, batch)
    }

    /// Gives out bad records by the head's `quarantined` port, and says so.
    pub fn quarantine_from_head(&mut self, source: &str, records: &[BadRecord]) -> RunResult<()> {
        let (Some(first), Some(head)) = (records.first(), self.nodes.first()) else { return Ok(()) };
        head.metrics.quarantined.add(records.len() as u64);
        say_bad(&self.notices, &head.id, records.len() as u64, || quarantine::describe(first));
        self.emit_from_head(QUARANTINED_PORT, quarantine::batch(source, records)?)
    }

    fn route_all(&mut self, index: usize, emitted: Emitted) -> RunResult<()> {
        for (port, batch) in emitted.0 {
            self.say_if_quarantined(index, port, &batch);
            self.route(index, port, batch)?;
        }
        Ok(())
    }

    fn route(&mut self, index: usize, port: usize, batch: Batch) -> RunResult<()> {
        let Some(node) = self.nodes.get(index) else { return Ok(()) };
        if port == 0 && node.ports.first().is_some_and(|port| port.name != QUARANTINED_PORT) {
            node.metrics.sent(batch.rows(), batch.bytes());
        }
        if cfg!(debug_assertions)
            && let Some(port) = node.ports.get(port)
        {
            port.check(&node.id, &batch)?;
        }
        let targets = node.ports.get(port).map_or(0, |port| port.targets.len());
        for target in 0..targets {
            let Some(target) = self.nodes.get(index).and_then(|node| node.ports.get(port)?.targets.get(target)) else { break };
            match target {
                Target::Node { index, input, probe } => {
                    probe.passed(&batch, self.clock.as_ref());
                    let (index, input) = (*index, *input);
                    self.deliver(index, input, batch.clone())?;
                }
                Target::Outlet(outlet) => self.outbox.push((*outlet, Element::Batch(batch.clone()))),
                Target::File(file) => file.append(&batch)?,
            }
        }
        Ok(())
    }

    fn say_if_quarantined(&self, index: usize, port: usize, batch: &Batch) {
        let Some(node) = self.nodes.get(index) else { return };
        if node.ports.get(port).is_some_and(|port| port.name == QUARANTINED_PORT) {
            let frame = batch.frame();
            let text = |name: &str| frame.column(name).ok().and_then(|c| c.str().ok()?.get(0).map(str::to_owned)).unwrap_or_default();
            let record = || BadRecord { reason: text("__reason"), position: text("__position"), raw: text("__raw") };
            say_bad(&self.notices, &node.id, batch.rows() as u64, || quarantine::describe(&record()));
        }
    }

    /// Sends what is in the outbox.
    pub async fn flush(&mut self) -> RunResult<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let metrics = self.head_metrics()?;
        for (outlet, element) in self.outbox.drain(..) {
            if let Some(outlet) = self.outlets.get_mut(outlet) {
                outlet.send(element, &metrics, self.clock.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// Sends a control element by every outlet.
    pub async fn broadcast(&mut self, element: Element) -> RunResult<()> {
        self.outbox.extend((0..self.outlets.len()).map(|outlet| (outlet, element.clone())));
        self.flush().await
    }

    /// Moves event time through the tree: every node does what is due before those below it hear of the watermark.
    pub async fn advance(&mut self, watermark: Timestamp) -> RunResult<()> {
        for index in 0..self.nodes.len() {
            let incoming = match self.nodes.get(index).and_then(|node| node.parent) {
                Some(parent) => self.nodes.get(parent).map_or(Timestamp::MIN, |parent| parent.watermark),
                None => watermark,
            };
            let Some(node) = self.nodes.get_mut(index).filter(|node| incoming > node.received) else { continue };
            node.received = incoming;
            node.metrics.set_watermark(incoming, self.clock.monotonic_ns());
            let outgoing = match node.operator.as_mut() {
                Some(operator) => {
                    self.work.begin(&node.id, None);
                    operator.on_watermark(incoming)?;
                    self.finish_steps(index).await?;
                    self.nodes.get(index).and_then(|node| node.operator.as_ref()).map_or(incoming, |it| it.output_watermark(incoming))
                }
                None => incoming,
            };
            self.give_watermark(index, outgoing);
        }
        self.flush().await
    }

    /// What the nodes want to be told of processing time, by their places.
    pub fn timers(&self) -> Vec<(usize, Timers)> {
        let of = |(index, node): (usize, &ChainNode)| node.operator.as_ref().map(|operator| (index, operator.timers()));
        self.nodes.iter().enumerate().filter_map(of).collect()
    }

    /// Tells a node that a timer has gone off. It does what is due, and so do those below it by the watermark that it then gives.
    pub async fn ring(&mut self, index: usize, timer: Timer) -> RunResult<()> {
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        let Some(operator) = node.operator.as_mut() else { return Ok(()) };
        self.work.begin(&node.id, None);
        operator.on_timer(timer)?;
        self.finish_steps(index).await?;
        self.tell_watermark(index).await
    }

    /// Lets every node give out what it has put off, upstream first: a barrier, a silence or the end is about to go on.
    pub async fn settle(&mut self) -> RunResult<()> {
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(index) else { break };
            let Some(operator) = node.operator.as_mut() else { continue };
            self.work.begin(&node.id, None);
            if operator.settle()? == Step::More {
                self.finish_steps(index).await?;
                self.tell_watermark(index).await?;
            }
        }
        Ok(())
    }

    /// Tells those below a node how far it is, where that is not for what came in.
    async fn tell_watermark(&mut self, index: usize) -> RunResult<()> {
        if let Some((received, operator)) = self.nodes.get(index).and_then(|node| Some((node.received, node.operator.as_ref()?))) {
            let outgoing = operator.output_watermark(received);
            self.give_watermark(index, outgoing);
        }
        let received = self.head().map_or(Timestamp::MIN, |head| head.received);
        self.advance(received).await
    }

    fn give_watermark(&mut self, index: usize, outgoing: Timestamp) {
        let Some(node) = self.nodes.get_mut(index).filter(|node| outgoing > node.watermark) else { return };
        node.watermark = outgoing;
        for target in node.ports.iter().flat_map(|port| &port.targets) {
            if let Target::Outlet(outlet) = target {
                self.outbox.push((*outlet, Element::Watermark(outgoing)));
            }
        }
    }

    /// Lets the node do what is due, a budget at a time; what it gives out goes on in between.
    async fn finish_steps(&mut self, index: usize) -> RunResult<()> {
        loop {
            let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
            let Some(operator) = node.operator.as_mut() else { return Ok(()) };
            let mut emitted = Emitted::default();
            let busy = node.metrics.busy.run(self.clock.as_ref());
            let step = operator.step(self.budget, &mut emitted);
            drop(busy);
            let published = publish(node, self.clock.as_ref());
            let step = step?;
            published?;
            self.route_all(index, emitted)?;
            self.flush().await?;
            if step == Step::Done {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Gives the operators back what former tasks of their nodes wrote, of these key groups.
    ///
    /// # Errors
    /// With the node that cannot read it.
    pub fn restore(&mut self, restored: &Restored, groups: Range<u16>) -> Result<(), (NodeId, RunError)> {
        for node in &mut self.nodes {
            let Some(operator) = node.operator.as_mut() else { continue };
            operator.restore(&restored.operator(&node.id), groups.clone()).map_err(|error| (node.id.clone(), error))?;
            reached("operator-restored");
        }
        Ok(())
    }

    /// Takes down what every node holds and has counted. Comes between batches. What [`Chain::is_copying`] then, [`Chain::copy_on`] goes on with.
    pub fn snapshot(&mut self, key_groups: u16, part: &mut TaskPartWriter) -> RunResult<()> {
        self.snapshots.clear();
        if let Some(head) = self.nodes.first() {
            part.watermark(head.received.micros());
        }
        for node in &mut self.nodes {
            self.work.begin(&node.id, None);
            let mut writer = SnapshotWriter::new(key_groups);
            if let Some(operator) = node.operator.as_mut() {
                let _busy = node.metrics.busy.run(self.clock.as_ref());
                operator.snapshot(&mut writer)?;
            }
            self.snapshots.push(NodeSnapshot { counts: node.metrics.counts(), writer, is_whole: node.operator.is_none() });
        }
        self.copy_on()
    }

    /// Whether a snapshot is not yet whole.
    pub fn is_copying(&self) -> bool {
        self.snapshots.iter().any(|snapshot| !snapshot.is_whole)
    }

    /// Copies a part of what the snapshot is still to be given.
    pub fn copy_on(&mut self) -> RunResult<()> {
        for (node, snapshot) in self.nodes.iter_mut().zip(&mut self.snapshots).filter(|(_, snapshot)| !snapshot.is_whole) {
            let Some(operator) = node.operator.as_mut() else { continue };
            let _busy = node.metrics.busy.run(self.clock.as_ref());
            snapshot.is_whole = operator.copy_on(&mut snapshot.writer)? == Step::Done;
            if !snapshot.is_whole {
                break;
            }
        }
        Ok(())
    }

    /// Puts the snapshot into the task's part. It is whole.
    pub fn give_snapshot(&mut self, part: &mut TaskPartWriter) {
        for (node, NodeSnapshot { counts, writer, .. }) in self.nodes.iter().zip(self.snapshots.drain(..)) {
            part.node(node.id.clone(), counts, writer);
        }
    }

    /// Ends every node, upstream first, and tells those downstream.
    pub async fn end(&mut self, reason: EndReason) -> RunResult<()> {
        self.settle().await?;
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(index) else { break };
            let mut emitted = Emitted::default();
            if let Some(operator) = node.operator.as_mut() {
                self.work.begin(&node.id, None);
                operator.on_end(reason, &mut emitted)?;
            }
            self.route_all(index, emitted)?;
            self.finish_steps(index).await?;
            if let Some(node) = self.nodes.get_mut(index) {
                node.state_due_ns = 0;
                publish(node, self.clock.as_ref())?;
                node.metrics.set_ended();
            }
        }
        self.broadcast(Element::End(reason)).await
    }
}

fn say_bad(notices: &NoticeBoard, node: &NodeId, count: u64, describe: impl FnOnce() -> String) {
    notices.say(Some(node), NoticeSeverity::Warning, "bad_records", count, describe);
}

/// Makes the operator's own counts visible, and now and then its state, which has bounds.
fn publish(node: &mut ChainNode, clock: &dyn Clock) -> RunResult<()> {
    let Some(operator) = node.operator.as_ref() else { return Ok(()) };
    let counts = operator.counts();
    if counts != node.counts {
        node.metrics.set_counts(node.counted_before.plus(counts));
        node.counts = counts;
    }
    let now = clock.monotonic_ns();
    if now >= node.state_due_ns {
        let state = operator.state_size();
        node.metrics.set_state(state, operator.spilled_bytes());
        node.state_due_ns = now + STATE_PERIOD_NS;
        if let Some(share) = &node.share {
            share.hold(state.bytes, operator.spilled_bytes());
            share.check()?;
        }
    }
    Ok(())
}
