//! When an alert fires and when it is over. Pure: readings and a clock in, turns out.
//!
//! ```text
//!            holds              held for `for`
//!   quiet ─────────▶ pending ───────────────────▶ firing ◀──────┐ holds again
//!     ▲                │ does not hold              │           │
//!     └────────────────┘                            ▼           │
//!     ▲                                           ceasing ──────┘
//!     └──────── did not hold for `for` ─────────────┘
//! ```
//! Once it fires it holds until the figure is back at `until`. So a figure that hovers about the threshold is told once, and one that touches
//! the good side for a moment does not end it.

use millrace_model::AlertDecl;
use millrace_model::alert::{Condition, StateName};
use millrace_wire::alerts::AlertStanding;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    Number(f64),
    State(StateName),
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Fires,
    Resolves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Quiet,
    Pending {
        since_ns: u64,
    },
    Firing,
    Ceasing {
        since_ns: u64,
    },
}

/// One alert's state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    phase: Phase,
}

impl Machine {
    pub const fn standing(&self) -> AlertStanding {
        match self.phase {
            Phase::Quiet => AlertStanding::Quiet,
            Phase::Pending { .. } => AlertStanding::Pending,
            Phase::Firing | Phase::Ceasing { .. } => AlertStanding::Firing,
        }
    }

    /// Takes in what was measured; none if it could not be, which holds nothing. `now_ns` never goes back.
    pub fn step(&mut self, alert: &AlertDecl, reading: Option<Reading>, now_ns: u64) -> Option<Turn> {
        let hold_ns = u64::try_from(alert.hold.micros).unwrap_or(0).saturating_mul(1_000);
        let has_passed = |since_ns: u64| now_ns.saturating_sub(since_ns) >= hold_ns;
        let is_firing = self.standing() == AlertStanding::Firing;
        let (next, turn) = match (self.phase, holds(alert.condition, reading, is_firing)) {
            (Phase::Quiet, true) if hold_ns == 0 => (Phase::Firing, Some(Turn::Fires)),
            (Phase::Quiet, true) => (Phase::Pending { since_ns: now_ns }, None),
            (Phase::Pending { since_ns }, true) if has_passed(since_ns) => (Phase::Firing, Some(Turn::Fires)),
            (Phase::Pending { since_ns }, true) => (Phase::Pending { since_ns }, None),
            (Phase::Quiet | Phase::Pending { .. }, false) => (Phase::Quiet, None),
            (Phase::Firing | Phase::Ceasing { .. }, true) => (Phase::Firing, None),
            (Phase::Firing, false) if hold_ns == 0 => (Phase::Quiet, Some(Turn::Resolves)),
            (Phase::Firing, false) => (Phase::Ceasing { since_ns: now_ns }, None),
            (Phase::Ceasing { since_ns }, false) if has_passed(since_ns) => (Phase::Quiet, Some(Turn::Resolves)),
            (Phase::Ceasing { since_ns }, false) => (Phase::Ceasing { since_ns }, None),
        };
        self.phase = next;
        turn
    }

    /// The run is over, or the alert is gone. What fires is resolved; but for an alert on how the run ended, which fires now, whatever `for` says, and
    /// stays: nothing comes after it.
    pub fn end(&mut self, alert: &AlertDecl, reading: Option<Reading>) -> Option<Turn> {
        let is_firing = self.standing() == AlertStanding::Firing;
        let stays = matches!(alert.condition, Condition::Is(_)) && holds(alert.condition, reading, is_firing);
        self.phase = if stays { Phase::Firing } else { Phase::Quiet };
        match (is_firing, stays) {
            (true, false) => Some(Turn::Resolves),
            (false, true) => Some(Turn::Fires),
            _ => None,
        }
    }
}

fn holds(condition: Condition, reading: Option<Reading>, is_firing: bool) -> bool {
    match (condition, reading) {
        (Condition::Above { until, .. }, Some(Reading::Number(value))) if is_firing => value > until,
        (Condition::Above { threshold, .. }, Some(Reading::Number(value))) => value > threshold,
        (Condition::Below { until, .. }, Some(Reading::Number(value))) if is_firing => value < until,
        (Condition::Below { threshold, .. }, Some(Reading::Number(value))) => value < threshold,
        (Condition::Is(wanted), Some(Reading::State(state))) => wanted == state,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::alert::Figure;
    use millrace_model::field::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn alert(condition: Condition, hold_s: i64) -> AlertDecl {
        let (name, hold) = ("a".to_owned(), Duration::from_secs(hold_s));
        AlertDecl { name, figure: Figure::Late, node: None, condition, hold, desktop: false, webhooks: Vec::new() }
    }

    fn above(threshold: f64, until: f64, hold_s: i64) -> AlertDecl {
        alert(Condition::Above { threshold, until }, hold_s)
    }

    /// What is told at each reading, a second apart: `F`ires, `R`esolves, or nothing.
    fn told(alert: &AlertDecl, readings: &[f64]) -> String {
        let mut machine = Machine::default();
        let step = |(at, value): (usize, &f64)| match machine.step(alert, Some(Reading::Number(*value)), at as u64 * SECOND) {
            Some(Turn::Fires) => 'F',
            Some(Turn::Resolves) => 'R',
            None => '.',
        };
        readings.iter().enumerate().map(step).collect()
    }

    #[test]
    fn it_fires_once_above_its_threshold_and_resolves_once_below() {
        assert_eq!(told(&above(10.0, 10.0, 0), &[9.0, 10.0, 11.0, 12.0, 10.0, 3.0, 11.0]), "..F.R.F");
        let below = alert(Condition::Below { threshold: 10.0, until: 10.0 }, 0);
        assert_eq!(told(&below, &[10.0, 9.0, 1.0, 10.0]), ".F.R");
    }

    #[test]
    fn what_must_hold_for_a_while_does_not_fire_before() {
        assert_eq!(told(&above(10.0, 10.0, 3), &[11.0, 11.0, 11.0, 11.0, 11.0]), "...F.");
        assert_eq!(told(&above(10.0, 10.0, 3), &[11.0, 11.0, 1.0, 11.0, 11.0, 11.0, 11.0]), "......F", "it begins anew");
    }

    #[test]
    fn what_fires_must_be_over_for_as_long_before_it_resolves() {
        assert_eq!(told(&above(10.0, 10.0, 2), &[11.0, 11.0, 11.0, 1.0, 11.0, 1.0, 1.0, 1.0]), "..F....R");
    }

    #[test]
    fn a_figure_that_hovers_about_the_threshold_is_told_once() {
        assert_eq!(told(&above(10.0, 5.0, 0), &[11.0, 9.0, 11.0, 6.0, 12.0, 5.0, 9.0]), "F....R.");
        let below = alert(Condition::Below { threshold: 5.0, until: 10.0 }, 0);
        assert_eq!(told(&below, &[4.0, 6.0, 9.0, 10.0, 6.0]), "F..R.");
    }

    #[test]
    fn what_cannot_be_measured_holds_nothing() {
        let alert = above(10.0, 10.0, 0);
        let mut machine = Machine::default();
        assert_eq!(machine.step(&alert, None, 0), None);
        assert_eq!(machine.step(&alert, Some(Reading::Number(11.0)), 1), Some(Turn::Fires));
        assert_eq!(machine.step(&alert, None, 2), Some(Turn::Resolves));
        assert_eq!(machine.step(&alert, Some(Reading::Number(f64::NAN)), 3), None);
    }

    #[test]
    fn at_the_runs_end_what_fires_is_resolved_and_how_it_ended_is_told() {
        let mut machine = Machine::default();
        let late = above(10.0, 10.0, 0);
        machine.step(&late, Some(Reading::Number(11.0)), 0);
        assert_eq!(machine.end(&late, Some(Reading::Number(11.0))), Some(Turn::Resolves));
        assert_eq!(machine.standing(), AlertStanding::Quiet);

        let failed = alert(Condition::Is(StateName::Failed), 60);
        let mut machine = Machine::default();
        assert_eq!(machine.step(&failed, Some(Reading::State(StateName::Running)), 0), None);
        assert_eq!(machine.end(&failed, Some(Reading::State(StateName::Failed))), Some(Turn::Fires));
        assert_eq!(machine.end(&failed, Some(Reading::State(StateName::Failed))), None);
        assert_eq!(machine.standing(), AlertStanding::Firing);
    }

    #[test]
    fn what_was_pending_at_the_end_was_never_told() {
        let alert = above(10.0, 10.0, 5);
        let mut machine = Machine::default();
        machine.step(&alert, Some(Reading::Number(11.0)), 0);
        assert_eq!(machine.standing(), AlertStanding::Pending);
        assert_eq!(machine.end(&alert, Some(Reading::Number(11.0))), None);
    }
}
