//! What `emit` and `close_after_idle` ask of a window, checked and in the units that operators work in.

use millrace_model::Diagnostics;
use millrace_model::field::Duration;
use millrace_plan::{BindInput, codes};

use super::spec::{Early, Emit, EmitMode, When};

/// Timers tick no finer, in microseconds.
const LEAST_INTERVAL: i64 = 1_000;

/// When a window gives out results besides the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emission {
    /// One final row a key.
    Final,
    /// Results that change.
    Changing(Triggers),
}

/// What makes a window give out a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triggers {
    /// By processing time.
    pub every: Option<std::time::Duration>,
    /// Rows of a key in a window since its last result.
    pub rows: Option<u64>,
    pub mode: EmitMode,
}

impl Emission {
    /// Reads a node's `emit`, and tells what is wrong with it.
    pub fn of(input: &BindInput<'_>, emit: Emit, found: &mut Diagnostics) -> Emission {
        match emit {
            Emit::When(When::OnClose) => Emission::Final,
            Emit::When(When::OnUpdate) => Emission::Changing(Triggers { every: None, rows: None, mode: EmitMode::Accumulating }),
            Emit::Early(early) => Emission::Changing(triggers(input, early, found)),
        }
    }

    /// Refuses all but `on_close`, for a window where it makes no sense.
    pub fn only_final(input: &BindInput<'_>, emit: Emit, reason: &str, found: &mut Diagnostics) {
        if emit != Emit::default() {
            found.push(input.error(codes::WINDOW_EMIT, "emit", reason).expected("on_close"));
        }
    }
}

fn triggers(input: &BindInput<'_>, early: Early, found: &mut Diagnostics) -> Triggers {
    if early.every.is_none() && early.rows.is_none() {
        let finding = input.error(codes::WINDOW_EMIT, "emit", "this does not say when results come out");
        found.push(
            finding
                .expected("`every`, `rows` or both")
                .help("such as { every = \"5s\", rows = 1000 }; without early results: \"on_update\""),
        );
    }
    if let Some(every) = early.every.filter(|every| every.micros < LEAST_INTERVAL) {
        found.push(
            input
                .error(codes::WINDOW_EMIT, "emit.every", "an interval of the clock is no shorter than it ticks")
                .expected("1ms or more")
                .found(every.to_string()),
        );
    }
    if early.rows == Some(0) {
        found.push(input.error(codes::WINDOW_EMIT, "emit.rows", "a result covers rows").expected("1 or more").found("0"));
    }
    Triggers {
        every: early.every.map(|every| span(every).max(std::time::Duration::from_millis(1))),
        rows: early.rows.map(|rows| u64::from(rows.max(1))),
        mode: early.mode.unwrap_or(EmitMode::Accumulating),
    }
}

/// Reads a node's `close_after_idle`, and tells what is wrong with it.
pub fn close_after_idle(input: &BindInput<'_>, wait: Option<Duration>, found: &mut Diagnostics) -> Option<std::time::Duration> {
    let wait = wait?;
    if wait.micros <= 0 {
        let finding = input.error(codes::WINDOW_IDLE, "close_after_idle", "a silence has a length");
        found.push(finding.expected("more than 0").found(wait.to_string()));
    }
    Some(span(wait))
}

/// Refuses `close_after_idle`, for a window where it makes no sense.
pub fn never_idle(input: &BindInput<'_>, wait: Option<Duration>, reason: &str, found: &mut Diagnostics) {
    if wait.is_some() {
        found.push(input.error(codes::WINDOW_IDLE, "close_after_idle", reason).help("leave it out"));
    }
}

fn span(time: Duration) -> std::time::Duration {
    std::time::Duration::from_micros(time.micros.max(0).unsigned_abs())
}
