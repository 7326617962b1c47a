//! What tasks elsewhere have counted, as it travels, and shown among the counters of the run.

use millrace_model::{NodeId, Timestamp};
use millrace_plan::{Member, Placement};
use serde::{Deserialize, Serialize};

use crate::operator::{RowCounts, StateSize};
use crate::telemetry::figures::JobTelemetry;
use crate::telemetry::metrics::TaskMetrics;

/// The counters of a process's tasks at one moment. It travels as JSON, several times a second and for each task of a run, so that names stand in
/// it once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mirror {
    nodes: Vec<(NodeId, Vec<TaskSeen>)>,
    /// Rows, bytes and batches that passed each edge, in the order of the run's edges.
    edges: Vec<[u64; 3]>,
}

/// One node's counters in one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TaskSeen(u32, Counters, Times);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counters(
    /// Rows in, out; bytes in, out.
    [u64; 4],
    /// Accepted, filtered, late, late after idleness, quarantined.
    [u64; 5],
    /// Busy, blocked, idle, in nanoseconds.
    [u64; 3],
    /// State: rows, bytes in memory, bytes on disk, open windows.
    [u64; 4],
);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Times {
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    next_window_end: Option<Timestamp>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    newest_event_time: Option<Timestamp>,
    #[serde(rename = "w")]
    watermark: Timestamp,
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    has_ended: bool,
}

impl TaskSeen {
    fn of(task: u32, metrics: &TaskMetrics, now_ns: u64) -> TaskSeen {
        let counters = Counters(
            [&metrics.rows_in, &metrics.rows_out, &metrics.bytes_in, &metrics.bytes_out].map(|it| it.get()),
            [&metrics.accepted, &metrics.filtered, &metrics.late, &metrics.late_after_idle, &metrics.quarantined].map(|it| it.get()),
            [&metrics.busy, &metrics.blocked, &metrics.idle].map(|it| it.total_ns(now_ns)),
            [&metrics.state_rows, &metrics.state_bytes, &metrics.state_disk_bytes, &metrics.open_windows].map(|it| it.get()),
        );
        let times = Times {
            next_window_end: metrics.next_window_end(),
            newest_event_time: metrics.newest_event_time(),
            watermark: metrics.watermark(),
            has_ended: metrics.has_ended(),
        };
        TaskSeen(task, counters, times)
    }

    fn show(&self, metrics: &TaskMetrics, now_ns: u64) {
        let TaskSeen(_, Counters(flow, counts, stood, state), times) = self;
        let [rows_in, rows_out, bytes_in, bytes_out] = *flow;
        metrics.rows_in.set(rows_in);
        metrics.rows_out.set(rows_out);
        metrics.bytes_in.set(bytes_in);
        metrics.bytes_out.set(bytes_out);
        let [accepted, filtered, late, late_after_idle, quarantined] = *counts;
        metrics.set_counts(RowCounts { accepted, filtered, late, late_after_idle, quarantined });
        for (watch, total) in [&metrics.busy, &metrics.blocked, &metrics.idle].into_iter().zip(*stood) {
            watch.set_total(total);
        }
        let [rows, bytes, disk_bytes, open_windows] = *state;
        metrics.set_state(StateSize { rows, bytes, open_windows, next_window_end: times.next_window_end }, disk_bytes);
        if let Some(newest) = times.newest_event_time {
            metrics.saw_event_time(newest.micros());
        }
        metrics.set_watermark(times.watermark, now_ns);
        if times.has_ended {
            metrics.set_ended();
        }
    }
}

impl JobTelemetry {
    /// What the tasks of one member have counted, and what has passed the edges here.
    pub fn mirror(&self, placement: &Placement, me: Member, now_ns: u64) -> Mirror {
        let mut nodes = Vec::new();
        for (vertex, of) in self.plan.vertices.iter().enumerate() {
            let mine: Vec<u32> = (0..of.parallelism).filter(|task| placement.member(vertex, *task) == me).collect();
            for (node, telemetry) in of.nodes.iter().filter_map(|node| Some((node, self.nodes.get(node)?))) {
                let of_task = |task: &u32| Some(TaskSeen::of(*task, telemetry.tasks.get(*task as usize)?, now_ns));
                let tasks: Vec<TaskSeen> = mine.iter().filter_map(of_task).collect();
                if !tasks.is_empty() {
                    nodes.push((node.clone(), tasks));
                }
            }
        }
        let edges = self.edges.iter().map(|edge| [&edge.probe.rows, &edge.probe.bytes, &edge.probe.batches].map(|it| it.get()));
        Mirror { nodes, edges: edges.collect() }
    }

    /// Shows what a member has counted: its tasks' counters as they are, and what has passed its edges since `before`, which was its last.
    pub fn show(&self, mirror: &Mirror, before: &Mirror, now_ns: u64) {
        for (node, tasks) in &mirror.nodes {
            let Some(here) = self.nodes.get(node) else { continue };
            for seen in tasks {
                if let Some(metrics) = here.tasks.get(seen.0 as usize) {
                    seen.show(metrics, now_ns);
                }
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
