//! What a figure is now, of a node or of the whole run. Pure: two looks in, a reading out.

use std::collections::BTreeMap;

use millrace_model::alert::{Figure, StateName};
use millrace_model::{NodeId, Timestamp};
use millrace_wire::figures::{EpochFigures, EpochOutcome, NodeFigures, RunState};

use super::machine::Reading;
use crate::telemetry::figures::Role;

/// One look at a run.
#[derive(Debug, Clone)]
pub struct Look {
    pub at_ns: u64,
    pub state: RunState,
    pub nodes: BTreeMap<NodeId, NodeLook>,
    pub restarts: u64,
    /// Oldest first.
    pub epochs: Vec<EpochFigures>,
    /// Whether the run takes checkpoints.
    pub is_kept: bool,
    /// When a checkpoint was last complete, or the run began, as the monotonic clock has it.
    pub complete_ns: u64,
}

/// One node at that look.
#[derive(Debug, Clone)]
pub struct NodeLook {
    pub role: Role,
    pub figures: NodeFigures,
    /// Rows that wait before it.
    pub queued_rows: u64,
}

/// The figure, of the node or of the whole run. None if it is not there: no event time, no checkpoint yet, no such node any more.
pub fn measure(figure: Figure, node: Option<&NodeId>, now: &Look, before: &Look) -> Option<Reading> {
    if figure == Figure::RunState {
        return Some(Reading::State(state_name(now.state)));
    }
    if figure.is_of_run_alone() {
        return of_run(figure, now).map(Reading::Number);
    }
    let span_ns = now.at_ns.saturating_sub(before.at_ns);
    let of = |id: &NodeId, look: &NodeLook| of_node(figure, look, before.nodes.get(id), span_ns);
    match node {
        Some(id) => now.nodes.get(id).and_then(|look| of(id, look)),
        None => {
            let all = now.nodes.iter().filter(|(_, look)| counts_for_all(figure, look.role)).filter_map(|(id, look)| of(id, look));
            if is_sum(figure) { Some(all.sum()) } else { all.reduce(f64::max) }
        }
    }
    .map(Reading::Number)
}

/// Whose figure the pipeline's is made of.
const fn counts_for_all(figure: Figure, role: Role) -> bool {
    match figure {
        Figure::RowsIn | Figure::RowsInPerS | Figure::WatermarkLag | Figure::WatermarkStill => matches!(role, Role::Source),
        Figure::RowsOut | Figure::RowsOutPerS => matches!(role, Role::Sink),
        _ => true,
    }
}

/// Whether the pipeline's is the sum of its nodes', rather than the greatest.
const fn is_sum(figure: Figure) -> bool {
    !matches!(figure, Figure::WatermarkLag | Figure::WatermarkStill | Figure::Busy | Figure::Blocked | Figure::Idle | Figure::Skew)
}

fn of_node(figure: Figure, now: &NodeLook, before: Option<&NodeLook>, span_ns: u64) -> Option<f64> {
    let figures = &now.figures;
    let rows_out = |look: &NodeLook| if look.role == Role::Sink { look.figures.accepted } else { look.figures.rows_out };
    let rate = |of: &dyn Fn(&NodeLook) -> u64| {
        let grown = of(now).saturating_sub(before.map_or(0, of));
        (span_ns > 0).then(|| grown as f64 / (span_ns as f64 / 1e9))
    };
    let share = |of: fn(&NodeFigures) -> u64| {
        let grown = of(figures).saturating_sub(before.map_or(0, |before| of(&before.figures)));
        let time = span_ns as f64 * f64::from(figures.tasks.max(1));
        (span_ns > 0).then(|| (grown as f64 / time * 100.0).clamp(0.0, 100.0))
    };
    Some(match figure {
        Figure::RowsIn => figures.rows_in as f64,
        Figure::RowsOut => rows_out(now) as f64,
        Figure::Filtered => figures.filtered as f64,
        Figure::Late => figures.late as f64,
        Figure::Quarantined => figures.quarantined as f64,
        Figure::RowsInPerS => rate(&|look| look.figures.rows_in)?,
        Figure::RowsOutPerS => rate(&rows_out)?,
        Figure::LatePerS => rate(&|look| look.figures.late)?,
        Figure::QuarantinedPerS => rate(&|look| look.figures.quarantined)?,
        Figure::WatermarkLag => lag_ms(figures)?,
        Figure::WatermarkStill => figures.watermark_still_ms? as f64,
        Figure::Busy => share(|figures| figures.busy_ns)?,
        Figure::Blocked => share(|figures| figures.blocked_ns)?,
        Figure::Idle => share(|figures| figures.idle_ns)?,
        Figure::Skew => figures.skew?.ratio,
        Figure::QueuedRows => now.queued_rows as f64,
        Figure::OpenWindows => figures.open_windows as f64,
        Figure::StateRows => figures.state_rows as f64,
        Figure::StateBytes => figures.state_bytes as f64,
        Figure::StateDiskBytes => figures.state_disk_bytes as f64,
        Figure::CheckpointAge
        | Figure::CheckpointDuration
        | Figure::CheckpointBytes
        | Figure::CheckpointFailures
        | Figure::Restarts
        | Figure::RunState => return None,
    })
}

/// Newest event time less watermark. At the end of input nothing is behind.
fn lag_ms(figures: &NodeFigures) -> Option<f64> {
    let (newest, watermark) = (figures.newest_event_time?, figures.watermark?);
    if watermark == Timestamp::MIN || newest == Timestamp::MIN {
        return None;
    }
    if watermark == Timestamp::MAX {
        return Some(0.0);
    }
    Some((newest.micros().saturating_sub(watermark.micros()) as f64 / 1e3).max(0.0))
}

fn of_run(figure: Figure, now: &Look) -> Option<f64> {
    if figure == Figure::Restarts {
        return Some(now.restarts as f64);
    }
    if !now.is_kept {
        return None;
    }
    let newest = now.epochs.iter().rev().find(|epoch| epoch.outcome == EpochOutcome::Complete);
    match figure {
        Figure::CheckpointAge => Some(now.at_ns.saturating_sub(now.complete_ns) as f64 / 1e6),
        Figure::CheckpointDuration => newest.map(|it| (it.aligning_us + it.writing_us + it.manifest_us + it.commit_us) as f64 / 1e3),
        Figure::CheckpointBytes => newest.map(|epoch| epoch.bytes as f64),
        _ => {
            let since = now.epochs.iter().rev().take_while(|epoch| epoch.outcome != EpochOutcome::Complete);
            Some(since.filter(|epoch| matches!(epoch.outcome, EpochOutcome::Failed { .. })).count() as f64)
        }
    }
}

const fn state_name(state: RunState) -> StateName {
    match state {
        RunState::Starting => StateName::Starting,
        RunState::Running => StateName::Running,
        RunState::Draining => StateName::Draining,
        RunState::Finished => StateName::Finished,
        RunState::Stopped => StateName::Stopped,
        RunState::Failed => StateName::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn node(role: Role, figures: NodeFigures) -> NodeLook {
        NodeLook { role, figures: NodeFigures { tasks: 2, ..figures }, queued_rows: 7 }
    }

    fn look(at_ns: u64, rows: u64) -> Look {
        let at = |us: i64| Some(Timestamp(us));
        let source = NodeFigures {
            rows_in: rows,
            rows_out: rows,
            watermark: at(5_000_000),
            newest_event_time: at(9_000_000),
            busy_ns: rows * 1_000_000,
            ..NodeFigures::default()
        };
        let sink = NodeFigures { rows_in: rows, accepted: rows / 2, late: 3, ..NodeFigures::default() };
        let nodes = [("a", node(Role::Source, source)), ("z", node(Role::Sink, sink))];
        let nodes = nodes.into_iter().map(|(id, look)| (NodeId::new(id), look)).collect();
        Look { at_ns, state: RunState::Running, nodes, restarts: 1, epochs: Vec::new(), is_kept: true, complete_ns: SECOND }
    }

    fn number(figure: Figure, node: Option<&str>) -> Option<f64> {
        let (before, now) = (look(SECOND, 1_000), look(5 * SECOND, 3_000));
        match measure(figure, node.map(NodeId::new).as_ref(), &now, &before) {
            Some(Reading::Number(number)) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn counts_are_of_the_run_and_rates_and_shares_of_the_time_between_two_looks() {
        assert_eq!(number(Figure::RowsIn, None), Some(3_000.0), "of the sources alone");
        assert_eq!(number(Figure::RowsOut, None), Some(1_500.0), "what sinks have accepted");
        assert_eq!(number(Figure::RowsInPerS, Some("z")), Some(500.0));
        assert_eq!(number(Figure::Late, None), Some(3.0));
        assert_eq!(number(Figure::Busy, None), Some(25.0), "two seconds of two tasks in four");
        assert_eq!(number(Figure::QueuedRows, None), Some(14.0));
    }

    #[test]
    fn a_watermark_is_behind_the_newest_event_and_a_node_without_one_has_no_lag() {
        assert_eq!(number(Figure::WatermarkLag, None), Some(4_000.0));
        assert_eq!(number(Figure::WatermarkLag, Some("z")), None);
        assert_eq!(number(Figure::Late, Some("gone")), None);
    }

    #[test]
    fn a_checkpoint_is_as_old_as_it_is_complete_and_failures_count_since_then() {
        let epoch = |outcome| EpochFigures {
            epoch: 1,
            began_us: 0,
            aligning_us: 1_000,
            writing_us: 2_000,
            manifest_us: 0,
            commit_us: 500,
            bytes: 90,
            waited_for: None,
            outcome,
        };
        let failed = || epoch(EpochOutcome::Failed { cause: "disk full".to_owned() });
        let mut now = look(5 * SECOND, 0);
        let of = |figure, now: &Look| of_run(figure, now);
        assert_eq!((of(Figure::CheckpointAge, &now), of(Figure::CheckpointDuration, &now)), (Some(4_000.0), None));
        now.epochs = vec![failed(), epoch(EpochOutcome::Complete), failed(), epoch(EpochOutcome::Superseded), failed()];
        assert_eq!((of(Figure::CheckpointFailures, &now), of(Figure::CheckpointDuration, &now)), (Some(2.0), Some(3.5)));
        assert_eq!((of(Figure::CheckpointBytes, &now), of(Figure::Restarts, &now)), (Some(90.0), Some(1.0)));
        now.is_kept = false;
        assert_eq!((of(Figure::CheckpointAge, &now), of(Figure::Restarts, &now)), (None, Some(1.0)));
    }
}
