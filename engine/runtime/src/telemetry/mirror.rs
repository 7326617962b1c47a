//! What tasks elsewhere have counted, as it travels, and shown among the counters of the run.

use millrace_model::{NodeId, Timestamp};
use millrace_plan::{Member, Placement};
use serde::{Deserialize, Serialize};

use crate::operator::{RowCounts, StateSize};
use crate::telemetry::figures::JobTelemetry;
use crate::telemetry::metrics::TaskMetrics;

/// The counters of a process's tasks at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mirror {
    tasks: Vec<TaskSeen>,
    /// Rows, bytes and batches that passed each edge, in the order of the run's edges.
    edges: Vec<[u64; 3]>,
}

/// One node's counters in one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TaskSeen {
    node: NodeId,
    task: u32,
    /// Rows in, out; bytes in, out.
    flow: [u64; 4],
    /// Accepted, filtered, late, late after idleness, quarantined.
    counts: [u64; 5],
    /// Busy, blocked, idle, in nanoseconds.
    times: [u64; 3],
    /// State: rows, bytes in memory, bytes on disk, open windows.
    state: [u64; 4],
    next_window_end: Option<Timestamp>,
    newest_event_time: Option<Timestamp>,
    watermark: Timestamp,
    has_ended: bool,
}

impl TaskSeen {
    fn of(node: &NodeId, task: u32, metrics: &TaskMetrics, now_ns: u64) -> TaskSeen {
        TaskSeen {
            node: node.clone(),
            task,
            flow: [&metrics.rows_in, &metrics.rows_out, &metrics.bytes_in, &metrics.bytes_out].map(|it| it.get()),
            counts: [&metrics.accepted, &metrics.filtered, &metrics.late, &metrics.late_after_idle, &metrics.quarantined]
                .map(|it| it.get()),
            times: [&metrics.busy, &metrics.blocked, &metrics.idle].map(|it| it.total_ns(now_ns)),
            state: [&metrics.state_rows, &metrics.state_bytes, &metrics.state_disk_bytes, &metrics.open_windows].map(|it| it.get()),
            next_window_end: metrics.next_window_end(),
            newest_event_time: metrics.newest_event_time(),
            watermark: metrics.watermark(),
            has_ended: metrics.has_ended(),
        }
    }

    fn show(&self, metrics: &TaskMetrics, now_ns: u64) {
        let [rows_in, rows_out, bytes_in, bytes_out] = self.flow;
        metrics.rows_in.set(rows_in);
        metrics.rows_out.set(rows_out);
        metrics.bytes_in.set(bytes_in);
        metrics.bytes_out.set(bytes_out);
        let [accepted, filtered, late, late_after_idle, quarantined] = self.counts;
        metrics.set_counts(RowCounts { accepted, filtered, late, late_after_idle, quarantined });
        for (watch, total) in [&metrics.busy, &metrics.blocked, &metrics.idle].into_iter().zip(self.times) {
            watch.set_total(total);
        }
        let [rows, bytes, disk_bytes, open_windows] = self.state;
        metrics.set_state(StateSize { rows, bytes, open_windows, next_window_end: self.next_window_end }, disk_bytes);
        if let Some(newest) = self.newest_event_time {
            metrics.saw_event_time(newest.micros());
        }
        metrics.set_watermark(self.watermark, now_ns);
        if self.has_ended {
            metrics.set_ended();
        }
    }
}

impl JobTelemetry {
    /// What the tasks of one member have counted, and what has passed the edges here.
    pub fn mirror(&self, placement: &Placement, me: Member, now_ns: u64) -> Mirror {
        let mut tasks = Vec::new();
        for (vertex, of) in self.plan.vertices.iter().enumerate() {
            for task in (0..of.parallelism).filter(|task| placement.member(vertex, *task) == me) {
                for node in &of.nodes {
                    let metrics = self.nodes.get(node).and_then(|telemetry| telemetry.tasks.get(task as usize));
                    tasks.extend(metrics.map(|metrics| TaskSeen::of(node, task, metrics, now_ns)));
                }
            }
        }
        let edges = self.edges.iter().map(|edge| [&edge.probe.rows, &edge.probe.bytes, &edge.probe.batches].map(|it| it.get()));
        Mirror { tasks, edges: edges.collect() }
    }

    /// Shows what a member has counted: its tasks' counters as they are, and what has passed its edges since `before`, which was its last.
    pub fn show(&self, mirror: &Mirror, before: &Mirror, now_ns: u64) {
        for seen in &mirror.tasks {
            if let Some(metrics) = self.nodes.get(&seen.node).and_then(|node| node.tasks.get(seen.task as usize)) {
                seen.show(metrics, now_ns);
            }
        }
        for (at, (edge, now)) in self.edges.iter().zip(&mirror.edges).enumerate() {
            let before = before.edges.get(at).copied().unwrap_or_default();
            let counters = [&edge.probe.rows, &edge.probe.bytes, &edge.probe.batches];
            for ((counter, now), before) in counters.into_iter().zip(now).zip(before) {
                counter.add(now.saturating_sub(before));
            }
        }
    }
}
