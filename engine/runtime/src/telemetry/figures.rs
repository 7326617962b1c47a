//! The counters of a run, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_model::{NodeId, PortRef, Timestamp};
use millrace_plan::PhysicalPlan;
use millrace_wire::figures::{EdgeFigures, NodeFigures, NodeSummary, Progress, Summary};
use std::sync::atomic::Ordering;

use crate::flow::channel::ChannelGauge;
use crate::telemetry::edge::EdgeProbe;
use crate::telemetry::metrics::TaskMetrics;

/// All counters of a run.
pub struct JobTelemetry {
    pub nodes: BTreeMap<NodeId, NodeTelemetry>,
    pub edges: Vec<EdgeTelemetry>,
    pub plan: PhysicalPlan,
}

pub struct NodeTelemetry {
    pub role: Role,
    /// Whether its rows carry event times.
    pub has_event_time: bool,
    /// One per task.
    pub tasks: Vec<Arc<TaskMetrics>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Source,
    Operator,
    Sink,
}

pub struct EdgeTelemetry {
    pub probe: Arc<EdgeProbe>,
    /// One per channel; none for an edge within a task.
    pub channels: Vec<Arc<ChannelGauge>>,
}

impl JobTelemetry {
    pub fn node_figures(&self, now_ns: u64) -> BTreeMap<NodeId, NodeFigures> {
        self.nodes.iter().map(|(id, node)| (id.clone(), node.figures(now_ns))).collect()
    }

    pub fn edge_figures(&self, now_ns: u64) -> Vec<EdgeFigures> {
        self.edges.iter().map(|edge| edge.figures(now_ns)).collect()
    }

    pub fn edge(&self, from: &PortRef, to: &NodeId) -> Option<&EdgeTelemetry> {
        self.edges.iter().find(|edge| edge.probe.from == *from && edge.probe.to == *to)
    }

    pub fn summary(&self, elapsed_ms: u64) -> Summary {
        let figures = self.node_figures(0);
        let of_role = |role: Role| {
            let nodes = &self.nodes;
            figures.iter().filter(move |(id, _)| nodes.get(*id).is_some_and(|node| node.role == role)).map(|(_, node)| node)
        };
        Summary {
            rows_in: of_role(Role::Source).map(|node| node.rows_in).sum(),
            rows_out: of_role(Role::Sink).map(|node| node.accepted).sum(),
            filtered: figures.values().map(|node| node.filtered).sum(),
            late: figures.values().map(|node| node.late).sum(),
            quarantined: figures.values().map(|node| node.quarantined).sum(),
            elapsed_ms,
            nodes: figures.iter().map(|(id, node)| (id.clone(), node_summary(node))).collect(),
            alerts: Vec::new(),
        }
    }
}

fn node_summary(node: &NodeFigures) -> NodeSummary {
    NodeSummary {
        rows_in: node.rows_in,
        accepted: node.accepted,
        rows_out: node.rows_out,
        filtered: node.filtered,
        late: node.late,
        quarantined: node.quarantined,
    }
}

impl NodeTelemetry {
    pub fn figures(&self, now_ns: u64) -> NodeFigures {
        let sum = |of: &dyn Fn(&TaskMetrics) -> u64| self.tasks.iter().map(|task| of(task)).sum::<u64>();
        let slowest = self.tasks.iter().min_by_key(|task| task.watermark());
        let watermark = slowest.map(|task| task.watermark()).filter(|watermark| *watermark != Timestamp::MIN);
        let stands = slowest.filter(|task| self.has_event_time && !task.has_ended() && task.watermark() != Timestamp::MAX);
        let total = sum(&|task| task.progress_total.get());
        NodeFigures {
            rows_in: sum(&|task| task.rows_in.get()),
            accepted: sum(&|task| task.accepted.get()),
            rows_out: sum(&|task| task.rows_out.get()),
            filtered: sum(&|task| task.filtered.get()),
            late: sum(&|task| task.late.get()),
            late_after_idle: sum(&|task| task.late_after_idle.get()),
            quarantined: sum(&|task| task.quarantined.get()),
            bytes_in: sum(&|task| task.bytes_in.get()),
            bytes_out: sum(&|task| task.bytes_out.get()),
            // A sink that keeps to its rate is at work as far as those upstream can tell.
            busy_ns: sum(&|task| task.busy.total_ns(now_ns) + task.held.total_ns(now_ns)),
            blocked_ns: sum(&|task| task.blocked.total_ns(now_ns)),
            idle_ns: sum(&|task| task.idle.total_ns(now_ns)),
            tasks: self.tasks.len() as u32,
            watermark,
            newest_event_time: self.tasks.iter().filter_map(|task| task.newest_event_time()).max(),
            watermark_still_ms: stands.map(|task| now_ns.saturating_sub(task.watermark_at_ns()) / 1_000_000),
            state_rows: sum(&|task| task.state_rows.get()),
            state_bytes: sum(&|task| task.state_bytes.get()),
            state_disk_bytes: sum(&|task| task.state_disk_bytes.get()),
            open_windows: sum(&|task| task.open_windows.get()),
            next_window_end: self.tasks.iter().filter_map(|task| task.next_window_end()).min(),
            progress: (total > 0).then(|| Progress { done: sum(&|task| task.progress_done.get()), total }),
            // Of the last seconds: whoever looks from time to time adds it.
            skew: None,
        }
    }
}

impl EdgeTelemetry {
    pub fn figures(&self, now_ns: u64) -> EdgeFigures {
        let queued = |of: fn(&ChannelGauge) -> u64| self.channels.iter().map(|channel| of(channel)).sum();
        EdgeFigures {
            from: self.probe.from.clone(),
            to: self.probe.to.clone(),
            rows: self.probe.rows.get(),
            bytes: self.probe.bytes.get(),
            batches: self.probe.batches.get(),
            queued_rows: queued(|channel| channel.queued_rows.load(Ordering::Relaxed)),
            queued_bytes: queued(|channel| channel.queued_bytes.load(Ordering::Relaxed)),
            blocked_ns: self.channels.iter().map(|channel| channel.blocked.total_ns(now_ns)).sum(),
        }
    }
}
