//! Looks at a run four times a second, and says what a person should know.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millrace_model::{NodeId, Timestamp};
use millrace_wire::message::NoticeSeverity;

use crate::alerts::Herald;
use crate::job::JobProgress;
use crate::telemetry::alarm::Alarm;
use crate::telemetry::autoscaler::Autoscaler;
use crate::telemetry::bottleneck::{Bottleneck, VertexLook, find};
use crate::telemetry::figures::{NodeTelemetry, Role};
use crate::telemetry::skew::SkewWatch;
use crate::telemetry::{JobTelemetry, NoticeBoard};

const PERIOD: Duration = Duration::from_millis(250);

/// Alerts, and how rows are spread, are looked at twice a second.
const TICKS_OF_ALERTS: u64 = 2;

/// Numbers of tasks are looked at once a second.
const TICKS_OF_SCALING: u64 = 4;

/// A watermark that stands still for less is not worth a word.
const STALL_MS: u64 = 2_000;

/// A stall is one only beyond so many times the source's usual gap.
const USUAL_GAPS: u64 = 3;

/// A sink is called slow once it has held the others back for so long.
const SLOW_NS: u64 = 2_000_000_000;

/// What is said again of a cause that lasts, no more often than this.
const REPEAT_NS: u64 = 10_000_000_000;

/// Part of the time that senders wait from which on a vertex is pressed.
const PRESSED_SHARE: f64 = 0.1;

pub struct Monitor {
    progress: Arc<JobProgress>,
    notices: Arc<NoticeBoard>,
    /// What the last look was at.
    of: Arc<JobTelemetry>,
    last: Look,
    sources: BTreeMap<NodeId, SourceWatch>,
    late: BTreeMap<NodeId, u64>,
    /// The sink that holds the others back, since when, and when that was last said.
    slow: Option<(NodeId, u64, Option<u64>)>,
    skew: SkewWatch,
    alarm: Alarm,
    autoscaler: Autoscaler,
    ticks: u64,
}

/// Totals at one moment.
#[derive(Default)]
struct Look {
    at_ns: u64,
    /// By node and task: busy with being held, blocked, idle.
    tasks: BTreeMap<(NodeId, usize), [u64; 3]>,
    /// By edge and channel: time its sender was blocked.
    channels: BTreeMap<(usize, usize), u64>,
}

#[derive(Default)]
struct SourceWatch {
    /// The longest gap between two moves of the watermark that counts as usual, fading.
    usual_gap_ms: u64,
    last_still_ms: u64,
    said_ns: Option<u64>,
}

impl Monitor {
    pub fn new(progress: Arc<JobProgress>, notices: Arc<NoticeBoard>, herald: Option<Arc<dyn Herald>>) -> Self {
        let (of, last) = (progress.telemetry(), Look::default());
        let alarm = Alarm::new(progress.clone(), notices.clone(), herald);
        let autoscaler = Autoscaler::new(progress.clone(), notices.clone());
        let (sources, late, skew) = (BTreeMap::new(), BTreeMap::new(), SkewWatch::default());
        Monitor { progress, notices, of, last, sources, late, slow: None, skew, alarm, autoscaler, ticks: 0 }
    }

    /// Ends with the run.
    pub async fn run(mut self) {
        let mut state = self.progress.state.subscribe();
        let progress = self.progress.clone();
        loop {
            tokio::select! {
                biased;
                over = state.wait_for(|state| state.is_over()) => {
                    drop(over);
                    self.tick();
                    self.alarm.end();
                    self.notices.flush(true);
                    return;
                }
                () = progress.clock.sleep(PERIOD) => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        let now = self.progress.clock.monotonic_ns();
        let telemetry = self.progress.telemetry();
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_OF_ALERTS) {
            *self.progress.skews.lock().unwrap_or_else(PoisonError::into_inner) = self.skew.look(&telemetry, now);
            self.alarm.look();
        }
        if self.ticks.is_multiple_of(TICKS_OF_SCALING) {
            self.autoscaler.look();
        }
        let look = Look::now(&telemetry, now);
        if !Arc::ptr_eq(&std::mem::replace(&mut self.of, telemetry.clone()), &telemetry) {
            // Of other tasks than at the last look: nothing can be said of the time between.
            self.last = look;
            return;
        }
        let bottleneck = find(&look.since(&self.last, &telemetry));
        *self.progress.bottleneck.lock().unwrap_or_else(PoisonError::into_inner) = bottleneck.clone();
        self.watch_sources(&telemetry, &look, now);
        self.watch_slow_sink(bottleneck, &telemetry, now);
        self.watch_late(&telemetry);
        self.last = look;
        self.notices.flush(false);
    }

    fn watch_late(&mut self, telemetry: &JobTelemetry) {
        for (id, node) in &telemetry.nodes {
            let late: u64 = node.tasks.iter().map(|task| task.late.get()).sum();
            let before = self.late.insert(id.clone(), late).unwrap_or(0);
            if late > before {
                let more = late - before;
                self.notices.say(Some(id), NoticeSeverity::Warning, "late_rows", more, || {
                    "rows came after their last window had closed; they leave by the `late` port".to_owned()
                });
            }
        }
    }

    fn watch_sources(&mut self, telemetry: &JobTelemetry, look: &Look, now: u64) {
        let windows: u64 = telemetry.nodes.values().flat_map(|node| &node.tasks).map(|task| task.open_windows.get()).sum();
        for (id, node) in telemetry.nodes.iter().filter(|(_, node)| node.role == Role::Source && node.has_event_time) {
            let figures = node.figures(now);
            let Some(still_ms) = figures.watermark_still_ms else { continue };
            let watch = self.sources.entry(id.clone()).or_default();
            if still_ms < watch.last_still_ms {
                watch.usual_gap_ms = watch.last_still_ms.max(watch.usual_gap_ms * 7 / 8);
                watch.said_ns = None;
            }
            watch.last_still_ms = still_ms;
            let is_long = still_ms > STALL_MS.max(watch.usual_gap_ms.saturating_mul(USUAL_GAPS));
            let is_repeat = watch.said_ns.is_some_and(|said| now.saturating_sub(said) < REPEAT_NS);
            if is_long && windows > 0 && !is_repeat && look.waits_for_input(&self.last, id, node) {
                watch.said_ns = Some(now);
                let watermark = figures.watermark.map_or_else(|| "its beginning".to_owned(), Timestamp::to_text);
                self.notices.say(Some(id), NoticeSeverity::Warning, "stalled_input", 1, || {
                    let seconds = still_ms / 1_000;
                    let waiting = if windows == 1 { "1 open window waits".to_owned() } else { format!("{windows} open windows wait") };
                    format!("no rows for {seconds} s; it holds the watermark at {watermark}, and {waiting} for it")
                });
            }
        }
    }

    fn watch_slow_sink(&mut self, bottleneck: Option<Bottleneck>, telemetry: &JobTelemetry, now: u64) {
        let is_sink = |node: &NodeId| telemetry.nodes.get(node).is_some_and(|it| it.role == Role::Sink);
        let Some(slow) = bottleneck.filter(|it| is_sink(&it.node)) else {
            self.slow = None;
            return;
        };
        let (since, said) = match &self.slow {
            Some((node, since, said)) if *node == slow.node => (*since, *said),
            _ => (now, None),
        };
        let is_due = said.is_none_or(|said| now.saturating_sub(said) >= REPEAT_NS);
        let says = now.saturating_sub(since) >= SLOW_NS && is_due;
        if says {
            self.notices.say(Some(&slow.node), NoticeSeverity::Warning, "slow_sink", 1, || {
                let busy = (slow.busy * 100.0).round();
                format!("takes rows more slowly than they come: it is at work {busy} % of the time, and those before it wait")
            });
        }
        self.slow = Some((slow.node, since, if says { Some(now) } else { said }));
    }
}

impl Look {
    fn now(telemetry: &JobTelemetry, at_ns: u64) -> Look {
        let mut look = Look { at_ns, ..Look::default() };
        for (id, node) in &telemetry.nodes {
            for (index, task) in node.tasks.iter().enumerate() {
                let busy = task.busy.total_ns(at_ns) + task.held.total_ns(at_ns);
                look.tasks.insert((id.clone(), index), [busy, task.blocked.total_ns(at_ns), task.idle.total_ns(at_ns)]);
            }
        }
        for (edge, figures) in telemetry.edges.iter().enumerate() {
            for (index, channel) in figures.channels.iter().enumerate() {
                look.channels.insert((edge, index), channel.blocked.total_ns(at_ns));
            }
        }
        look
    }

    /// The largest share of time that a task of the node spent in one of its ways since `before`.
    fn share(&self, before: &Look, node: &NodeId, tasks: usize, way: usize) -> f64 {
        let passed = self.at_ns.saturating_sub(before.at_ns).max(1) as f64;
        let of = |look: &Look, task: usize| look.tasks.get(&(node.clone(), task)).and_then(|ways| ways.get(way)).copied().unwrap_or(0);
        (0..tasks).map(|task| of(self, task).saturating_sub(of(before, task)) as f64 / passed).fold(0.0, f64::max)
    }

    fn waits_for_input(&self, before: &Look, id: &NodeId, node: &NodeTelemetry) -> bool {
        self.share(before, id, node.tasks.len(), 2) > 0.5
    }

    fn since(&self, before: &Look, telemetry: &JobTelemetry) -> Vec<VertexLook> {
        let plan = &telemetry.plan;
        let tasks = plan.tasks();
        let count = |node: &NodeId| tasks.get(node).copied().unwrap_or(0) as usize;
        let look = |vertex: &millrace_plan::Vertex| {
            let nodes: Vec<(NodeId, f64)> =
                vertex.nodes.iter().map(|node| (node.clone(), self.share(before, node, count(node), 0).min(1.0))).collect();
            let blocked = vertex.nodes.first().map_or(0.0, |head| self.share(before, head, count(head), 1));
            let is_busy_sink =
                nodes.first().is_some_and(|(node, busy)| *busy > 0.9 && telemetry.nodes.get(node).is_some_and(|it| it.role == Role::Sink));
            let is_pressed = vertex.nodes.first().is_some_and(|head| self.is_pressed(before, telemetry, head, is_busy_sink));
            VertexLook { nodes, blocked, is_pressed }
        };
        plan.vertices.iter().map(look).collect()
    }

    /// Whether senders wait for room at `head`, or its queue is half full; for a sink that is always at work, not empty.
    fn is_pressed(&self, before: &Look, telemetry: &JobTelemetry, head: &NodeId, is_busy_sink: bool) -> bool {
        let passed = self.at_ns.saturating_sub(before.at_ns).max(1) as f64;
        let full = if is_busy_sink { f64::MIN_POSITIVE } else { 0.5 };
        telemetry.edges.iter().enumerate().filter(|(_, edge)| edge.probe.to == *head).any(|(edge, figures)| {
            figures.channels.iter().enumerate().any(|(index, channel)| {
                let place = (edge, index);
                let of = |look: &Look| look.channels.get(&place).copied().unwrap_or(0);
                of(self).saturating_sub(of(before)) as f64 / passed > PRESSED_SHARE || channel.fill() >= full
            })
        })
    }
}
