//! From the engine's counters to what the screens show: rates, shares, and sentences.

use std::collections::BTreeMap;

use millrace_engine::model::autoscale as wire_mode;
use millrace_engine::model::{NodeDecl, NodeId, Pipeline, Timestamp};
use millrace_engine::wire::alerts::{self as wire, AlertFigures, WebhookFigures};
use millrace_engine::wire::autoscale::{Advice, AutoscaleFigures};
use millrace_engine::wire::change::ChangeFigures;
use millrace_engine::wire::figures::{EdgeFigures as Edge, EpochFigures, EpochOutcome, EpochPhase, JobFigures, NodeFigures as Node};
use millrace_studio_api::{
    Alert, AlertStanding, Autoscale, AutoscaleMode, Bottleneck, Checkpoint, CheckpointOutcome, EdgeFigures, Figures, NodeFigures,
    RunChange, Skew, TaskAdvice, WaitedFor, Webhook,
};

/// Makes rates out of two looks at a run.
#[derive(Debug, Default)]
pub struct Rates {
    before: Option<JobFigures>,
}

/// What the machine is doing, beside the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    pub cpu_percent: f64,
    pub memory_bytes: f64,
}

impl Rates {
    /// The figures of a look, with rates since the look before. `pipeline` is what runs.
    pub fn look(&mut self, run: u32, at_ms: f64, now: &JobFigures, pipeline: &Pipeline, machine: Machine) -> Figures {
        let before = self.before.replace(now.clone());
        let before = before.filter(|before| before.elapsed_ms < now.elapsed_ms);
        let seconds = before.as_ref().map_or(now.elapsed_ms as f64, |before| (now.elapsed_ms - before.elapsed_ms) as f64) / 1e3;
        let seconds = seconds.max(1e-3);
        let earlier = |id: &NodeId| before.as_ref().and_then(|before| before.nodes.get(id)).cloned().unwrap_or_default();
        let sources: Vec<&NodeDecl> = pipeline.nodes.iter().filter(|node| node.inputs.is_empty()).collect();
        let source_figures = || sources.iter().filter_map(|source| now.nodes.get(&source.id).map(|figures| (*source, figures)));
        let nodes: BTreeMap<String, NodeFigures> = now
            .nodes
            .iter()
            .map(|(id, figures)| (id.to_string(), node_figures(figures, &earlier(id), seconds, waits_for_node(id, now, pipeline))))
            .collect();
        let edges = now.edges.iter().map(|edge| {
            let past = before.as_ref().and_then(|before| before.edges.iter().find(|other| other.from == edge.from && other.to == edge.to));
            edge_figures(edge, past, seconds, now)
        });
        Figures {
            run,
            at_ms,
            rows_per_s: source_figures().map(|(source, figures)| rate(figures.rows_in, earlier(&source.id).rows_in, seconds)).sum(),
            cpu_percent: machine.cpu_percent,
            memory_bytes: machine.memory_bytes,
            event_clock_ms: source_figures().filter_map(|(_, figures)| figures.newest_event_time).max().and_then(millis),
            watermark_ms: source_figures().filter_map(|(_, figures)| figures.watermark).min().and_then(millis),
            waits_for: waits_for(now, pipeline),
            edges: edges.collect(),
            bottleneck: bottleneck(now, pipeline),
            late: now.nodes.values().map(|node| node.late).sum::<u64>() as f64,
            quarantined: now.nodes.values().map(|node| node.quarantined).sum::<u64>() as f64,
            checkpoints: now.epochs.iter().map(checkpoint).collect(),
            parallelism: now.parallelism,
            change: now.change.as_ref().map(change),
            progress: share_done(source_figures().map(|(_, figures)| figures)),
            alerts: now.alerts.iter().map(alert).collect(),
            autoscale: now.autoscale.as_ref().map(autoscale),
            nodes,
        }
    }
}

/// A time that is one: the ends of time are none.
fn millis(time: Timestamp) -> Option<f64> {
    (time != Timestamp::MIN && time != Timestamp::MAX).then(|| time.micros() as f64 / 1e3)
}

fn rate(now: u64, before: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}

/// The share of its tasks' time, in percent.
fn share(now: u64, before: u64, seconds: f64, tasks: u32) -> f64 {
    let time = seconds * 1e9 * f64::from(tasks.max(1));
    (now.saturating_sub(before) as f64 / time * 100.0).clamp(0.0, 100.0)
}

fn share_done<'a>(sources: impl Iterator<Item = &'a Node>) -> Option<f64> {
    let mut parts = Vec::new();
    for source in sources {
        let progress = source.progress?;
        parts.push(if progress.total == 0 { 1.0 } else { progress.done as f64 / progress.total as f64 });
    }
    if parts.is_empty() { None } else { Some((parts.iter().sum::<f64>() / parts.len() as f64).clamp(0.0, 1.0)) }
}

fn node_figures(now: &Node, before: &Node, seconds: f64, waits_for: Option<String>) -> NodeFigures {
    let lag = match (now.newest_event_time, now.watermark) {
        (Some(newest), Some(watermark)) => millis(newest).zip(millis(watermark)).map(|(newest, watermark)| (newest - watermark).max(0.0)),
        _ => None,
    };
    NodeFigures {
        read: now.rows_in as f64,
        accepted: now.accepted as f64,
        filtered: now.filtered as f64,
        late: now.late as f64,
        late_after_idle: now.late_after_idle as f64,
        quarantined: now.quarantined as f64,
        rows_out: now.rows_out as f64,
        in_per_s: rate(now.rows_in, before.rows_in, seconds),
        out_per_s: rate(now.rows_out, before.rows_out, seconds),
        busy_percent: share(now.busy_ns, before.busy_ns, seconds, now.tasks),
        blocked_percent: share(now.blocked_ns, before.blocked_ns, seconds, now.tasks),
        tasks: now.tasks,
        watermark_ms: now.watermark.and_then(millis),
        lag_ms: lag,
        watermark_still_ms: now.watermark_still_ms.map(|still| still as f64),
        open_windows: now.open_windows as f64,
        next_window_end_ms: now.next_window_end.and_then(millis),
        state_rows: now.state_rows as f64,
        state_bytes: now.state_bytes as f64,
        state_disk_bytes: now.state_disk_bytes as f64,
        waits_for,
        progress: now.progress.filter(|progress| progress.total > 0).map(|progress| progress.done as f64 / progress.total as f64),
        skew: now.skew.map(|skew| Skew { ratio: skew.ratio, task: skew.task }),
    }
}

fn alert(of: &AlertFigures) -> Alert {
    Alert {
        name: of.name.clone(),
        figure: of.figure.clone(),
        node: of.node.as_ref().map(ToString::to_string),
        rule: of.rule.clone(),
        standing: match of.standing {
            wire::AlertStanding::Quiet => AlertStanding::Quiet,
            wire::AlertStanding::Pending => AlertStanding::Pending,
            wire::AlertStanding::Firing => AlertStanding::Firing,
        },
        since_ms: of.since_us as f64 / 1e3,
        value: of.shown.clone(),
        fired: of.fired as f64,
        desktop: of.desktop,
        webhooks: of.webhooks.iter().map(webhook).collect(),
    }
}

fn webhook(of: &WebhookFigures) -> Webhook {
    Webhook { to: of.to.clone(), sent: of.sent as f64, lost: (of.failed + of.dropped) as f64, problem: of.problem.clone() }
}

fn autoscale(of: &AutoscaleFigures) -> Autoscale {
    Autoscale {
        mode: match of.mode {
            wire_mode::AutoscaleMode::Off => AutoscaleMode::Off,
            wire_mode::AutoscaleMode::Advise => AutoscaleMode::Advise,
            wire_mode::AutoscaleMode::On => AutoscaleMode::On,
        },
        advice: of.advice.iter().map(advice).collect(),
        waits: of.waits.clone(),
        decided: of.decided.as_ref().map(|decided| match &decided.outcome {
            Some(outcome) => format!("{}: {outcome}", decided.what),
            None => format!("{}: under way", decided.what),
        }),
    }
}

fn advice(of: &Advice) -> TaskAdvice {
    TaskAdvice {
        node: of.node.to_string(),
        with: of.with.iter().map(ToString::to_string).collect(),
        tasks: of.tasks,
        wanted: of.wanted,
        cause: of.cause.clone(),
        bound: of.bound.clone(),
        asks: of.asks.iter().map(|(node, tasks)| (node.to_string(), *tasks)).collect(),
    }
}

fn change(of: &ChangeFigures) -> RunChange {
    RunChange { what: of.what.clone(), epoch: of.epoch.map(|epoch| epoch as f64), pause_ms: of.pause_us.map(|us| us as f64 / 1e3) }
}

fn checkpoint(epoch: &EpochFigures) -> Checkpoint {
    let (outcome, cause) = match &epoch.outcome {
        EpochOutcome::UnderWay { phase: EpochPhase::Aligning } => (CheckpointOutcome::Aligning, None),
        EpochOutcome::UnderWay { phase: EpochPhase::Writing } => (CheckpointOutcome::Writing, None),
        EpochOutcome::UnderWay { phase: EpochPhase::Manifest } => (CheckpointOutcome::Manifest, None),
        EpochOutcome::UnderWay { phase: EpochPhase::Commit } => (CheckpointOutcome::Commit, None),
        EpochOutcome::Complete => (CheckpointOutcome::Complete, None),
        EpochOutcome::Failed { cause } => (CheckpointOutcome::Failed, Some(cause.clone())),
        EpochOutcome::Superseded => (CheckpointOutcome::Superseded, None),
    };
    let ms = |us: u64| us as f64 / 1e3;
    Checkpoint {
        epoch: epoch.epoch as f64,
        at_ms: epoch.began_us as f64 / 1e3,
        aligning_ms: ms(epoch.aligning_us),
        writing_ms: ms(epoch.writing_us),
        manifest_ms: ms(epoch.manifest_us),
        commit_ms: ms(epoch.commit_us),
        bytes: epoch.bytes as f64,
        waited_for: epoch.waited_for.as_ref().map(|slowest| WaitedFor {
            node: slowest.node.to_string(),
            task: slowest.task,
            after_ms: ms(slowest.after_us),
        }),
        outcome,
        cause,
    }
}

fn edge_figures(now: &Edge, before: Option<&Edge>, seconds: f64, job: &JobFigures) -> EdgeFigures {
    let from = job.nodes.get(&now.from.node);
    let lag = from.and_then(|node| node.newest_event_time.and_then(millis).zip(node.watermark.and_then(millis)));
    EdgeFigures {
        from: now.from.node.to_string(),
        port: now.from.port.clone(),
        to: now.to.to_string(),
        rows: now.rows as f64,
        rows_per_s: rate(now.rows, before.map_or(0, |edge| edge.rows), seconds),
        bytes_per_s: rate(now.bytes, before.map_or(0, |edge| edge.bytes), seconds),
        lag_ms: lag.map(|(newest, watermark)| (newest - watermark).max(0.0)),
        waiting_percent: share(now.blocked_ns, before.map_or(0, |edge| edge.blocked_ns), seconds, from.map_or(1, |node| node.tasks)),
        queued_rows: now.queued_rows as f64,
    }
}

fn bottleneck(now: &JobFigures, pipeline: &Pipeline) -> Option<Bottleneck> {
    let id = now.bottleneck.as_ref()?;
    let busy_percent = now.bottleneck_busy.unwrap_or(0.0) * 100.0;
    let rate = pipeline.node(id).and_then(|node| node.sink.rate);
    let reason = match rate {
        Some(rate) => format!("takes no more than {rate}; the nodes before it wait"),
        None => format!("is busy {busy_percent:.0} % of the time; the nodes before it wait"),
    };
    Some(Bottleneck { node: id.to_string(), busy_percent, reason })
}

/// How finely the times of a sentence are written: as finely as a window's bounds ask for.
#[derive(Debug, Clone, Copy)]
enum Grain {
    Minutes,
    Seconds,
    All,
}

impl Grain {
    fn of(bounds: &[Timestamp]) -> Grain {
        let are_whole = |micros: i64| bounds.iter().all(|bound| bound.micros().rem_euclid(micros) == 0);
        if are_whole(60_000_000) {
            Grain::Minutes
        } else if are_whole(1_000_000) {
            Grain::Seconds
        } else {
            Grain::All
        }
    }
}

/// `09:42`, `09:42:06` or `09:42:06.5`, with the day where it is not the other's. What is finer is cut off.
fn clock(time: Timestamp, beside: Timestamp, grain: Grain) -> String {
    let (text, other) = (time.to_rfc3339(), beside.to_rfc3339());
    let part = |text: &str, range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    let hour = match grain {
        Grain::Minutes => part(&text, 11..16),
        Grain::Seconds => part(&text, 11..19),
        Grain::All => part(&text, 11..text.len().saturating_sub(1)),
    };
    if part(&text, 0..10) == part(&other, 0..10) { hour } else { format!("{} {hour}", part(&text, 5..10)) }
}

/// The source that holds a node's watermark back: the one with the least watermark among those it reads from.
fn holder<'a>(id: &NodeId, now: &JobFigures, pipeline: &'a Pipeline) -> Option<&'a NodeDecl> {
    let mut seen = vec![id.clone()];
    let mut at = 0;
    while let Some(next) = seen.get(at).cloned() {
        at += 1;
        for input in pipeline.node(&next).map(|node| node.inputs.as_slice()).unwrap_or_default() {
            if !seen.contains(&input.from.node) {
                seen.push(input.from.node.clone());
            }
        }
    }
    let sources = seen.iter().filter_map(|id| pipeline.node(id)).filter(|node| node.inputs.is_empty());
    sources.min_by_key(|source| now.nodes.get(&source.id).and_then(|node| node.watermark).unwrap_or(Timestamp::MIN))
}

/// `window 09:00-10:00 closes when the watermark reaches 16:00; now 09:42, held by flights (max_delay 3h)`.
fn waits_for_node(id: &NodeId, now: &JobFigures, pipeline: &Pipeline) -> Option<String> {
    let node = now.nodes.get(id)?;
    let end = node.next_window_end?;
    let decl = pipeline.node(id)?;
    let duration = |name: &str| {
        let text = decl.spec.get(name).and_then(serde_json::Value::as_str);
        text.and_then(|text| millrace_engine::model::field::Duration::parse(text).ok()).map_or(0, |duration| duration.micros)
    };
    let start = end.saturating_add(-duration("size"));
    let closes = end.saturating_add(duration("allowed_lateness"));
    let source = holder(id, now, pipeline)?;
    let watermark = now.nodes.get(&source.id).and_then(|node| node.watermark).filter(|watermark| millis(*watermark).is_some());
    let held = match source.source.max_delay {
        Some(delay) if delay.micros > 0 => format!("held by {} (max_delay {delay})", source.id),
        _ => format!("held by {}", source.id),
    };
    Some(window_waits(start, end, closes, watermark, &held))
}

/// What a window waits for, and where the watermark is.
fn window_waits(start: Timestamp, end: Timestamp, closes: Timestamp, watermark: Option<Timestamp>, held: &str) -> String {
    let grain = Grain::of(&[start, end, closes]);
    let at = |time| clock(time, end, grain);
    let window = format!("window {}–{}", at(start), at(end));
    match watermark {
        // The watermark is on its way through the pipeline, or the window's rows are.
        Some(watermark) if watermark >= closes => format!("{window} is closing: the watermark is at {}", at(watermark)),
        Some(watermark) => format!("{window} closes when the watermark reaches {}; now {}, {held}", at(closes), at(watermark)),
        None => format!("{window} closes when the watermark reaches {}; there is none yet, {held}", at(closes)),
    }
}

/// What the window that closes first waits for.
fn waits_for(now: &JobFigures, pipeline: &Pipeline) -> Option<String> {
    let first = now.nodes.iter().filter_map(|(id, node)| node.next_window_end.map(|end| (end, id))).min()?;
    waits_for_node(first.1, now, pipeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    const NINE: i64 = 9 * HOUR;

    fn waits(window: (i64, i64), closes: i64, watermark: i64) -> String {
        window_waits(Timestamp(window.0), Timestamp(window.1), Timestamp(closes), Some(Timestamp(watermark)), "held by flights")
    }

    #[test]
    fn a_window_of_hours_is_told_in_minutes() {
        let text = waits((NINE, NINE + HOUR), NINE + 7 * HOUR, NINE + 42 * 60 * SECOND + 1);
        assert_eq!(text, "window 09:00–10:00 closes when the watermark reaches 16:00; now 09:42, held by flights");
    }

    #[test]
    fn a_window_of_seconds_or_less_is_told_as_finely_as_its_bounds_ask_for() {
        let text = waits((NINE, NINE + 2 * SECOND), NINE + 2 * SECOND, NINE + 900_000);
        assert_eq!(text, "window 09:00:00–09:00:02 closes when the watermark reaches 09:00:02; now 09:00:00, held by flights");
        let text = waits((NINE, NINE + SECOND / 2), NINE + SECOND / 2, NINE + 250_000);
        assert!(
            text.starts_with("window 09:00:00–09:00:00.500 closes when the watermark reaches 09:00:00.500; now 09:00:00.250"),
            "{text}"
        );
    }

    #[test]
    fn a_window_whose_time_has_come_waits_for_nothing() {
        let text = waits((NINE, NINE + HOUR), NINE + 7 * HOUR, NINE + 7 * HOUR);
        assert_eq!(text, "window 09:00–10:00 is closing: the watermark is at 16:00");
    }

    #[test]
    fn another_day_is_named() {
        let text = waits((15 * HOUR, 16 * HOUR), 25 * HOUR, 17 * HOUR);
        assert!(text.contains("reaches 01-02 01:00; now 17:00"), "{text}");
    }
}
