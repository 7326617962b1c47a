//! Alerts: which figure of a run is watched, when it is worth a word, and who is told.
//!
//! ```toml
//! [alert.behind]
//! figure = "watermark_lag"
//! node = "flights"                  # of the whole pipeline if absent
//! above = "10m"                     # in the figure's own unit
//! until = "8m"                      # it is over once the figure is back here; `above` itself if absent
//! for = "30s"                       # and it must hold so long, either way
//! notify = ["desktop", "https://hooks.example/${HOOK}"]
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::{ByteSize, Duration, Rate};
use crate::id::NodeId;

/// Most alerts that a pipeline may have.
pub const MAX_ALERTS: usize = 100;

/// Most that one alert may tell.
pub const MAX_NOTIFIED: usize = 8;

/// Rates and shares of time are of the last so many seconds, or of the run as long as that is shorter.
pub const WINDOW_SECONDS: u64 = 5;

/// A figure that can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Rows that reached the node; of the pipeline: records read by all sources.
    RowsIn,
    /// Rows that left by the main port; of the pipeline: rows accepted by all sinks.
    RowsOut,
    Filtered,
    Late,
    Quarantined,
    RowsInPerS,
    RowsOutPerS,
    LatePerS,
    QuarantinedPerS,
    /// How far the watermark is behind the newest event time.
    WatermarkLag,
    /// How long the watermark has stood still; of the pipeline: that of the source that has waited longest.
    WatermarkStill,
    /// Share of its tasks' time at work; of the pipeline: of its busiest node.
    Busy,
    /// Share of its tasks' time waiting for room downstream (backpressure); of the pipeline: of the node that waits most.
    Blocked,
    /// Share of its tasks' time waiting for input; of the pipeline: of the node that waits most.
    Idle,
    /// Rows of the task that gets most, over the mean of the node's tasks: 1 is even; of the pipeline: of its most uneven node.
    Skew,
    /// Rows that wait before the node.
    QueuedRows,
    OpenWindows,
    StateRows,
    /// State in memory.
    StateBytes,
    /// State on disk.
    StateDiskBytes,
    /// Since a checkpoint was complete, or since the run began.
    CheckpointAge,
    /// How long the newest complete checkpoint took.
    CheckpointDuration,
    CheckpointBytes,
    /// Checkpoints that failed since the last complete one.
    CheckpointFailures,
    /// How often the run went back to a checkpoint after a failure.
    Restarts,
    /// What the run is: `is`, not `above` or `below`.
    RunState,
}

/// What a figure is counted in. Thresholds are held and told in this unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count,
    PerSecond,
    Percent,
    Ratio,
    Milliseconds,
    Bytes,
    State,
}

impl Figure {
    pub const ALL: [Figure; 26] = [
        Figure::RowsIn,
        Figure::RowsOut,
        Figure::Filtered,
        Figure::Late,
        Figure::Quarantined,
        Figure::RowsInPerS,
        Figure::RowsOutPerS,
        Figure::LatePerS,
        Figure::QuarantinedPerS,
        Figure::WatermarkLag,
        Figure::WatermarkStill,
        Figure::Busy,
        Figure::Blocked,
        Figure::Idle,
        Figure::Skew,
        Figure::QueuedRows,
        Figure::OpenWindows,
        Figure::StateRows,
        Figure::StateBytes,
        Figure::StateDiskBytes,
        Figure::CheckpointAge,
        Figure::CheckpointDuration,
        Figure::CheckpointBytes,
        Figure::CheckpointFailures,
        Figure::Restarts,
        Figure::RunState,
    ];

    /// As the file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Figure::RowsIn => "rows_in",
            Figure::RowsOut => "rows_out",
            Figure::Filtered => "filtered",
            Figure::Late => "late",
            Figure::Quarantined => "quarantined",
            Figure::RowsInPerS => "rows_in_per_s",
            Figure::RowsOutPerS => "rows_out_per_s",
            Figure::LatePerS => "late_per_s",
            Figure::QuarantinedPerS => "quarantined_per_s",
            Figure::WatermarkLag => "watermark_lag",
            Figure::WatermarkStill => "watermark_still",
            Figure::Busy => "busy",
            Figure::Blocked => "blocked",
            Figure::Idle => "idle",
            Figure::Skew => "skew",
            Figure::QueuedRows => "queued_rows",
            Figure::OpenWindows => "open_windows",
            Figure::StateRows => "state_rows",
            Figure::StateBytes => "state_bytes",
            Figure::StateDiskBytes => "state_disk_bytes",
            Figure::CheckpointAge => "checkpoint_age",
            Figure::CheckpointDuration => "checkpoint_duration",
            Figure::CheckpointBytes => "checkpoint_bytes",
            Figure::CheckpointFailures => "checkpoint_failures",
            Figure::Restarts => "restarts",
            Figure::RunState => "run_state",
        }
    }

    pub const fn unit(self) -> Unit {
        match self {
            Figure::RowsIn
            | Figure::RowsOut
            | Figure::Filtered
            | Figure::Late
            | Figure::Quarantined
            | Figure::QueuedRows
            | Figure::OpenWindows
            | Figure::StateRows
            | Figure::CheckpointFailures
            | Figure::Restarts => Unit::Count,
            Figure::RowsInPerS | Figure::RowsOutPerS | Figure::LatePerS | Figure::QuarantinedPerS => Unit::PerSecond,
            Figure::Busy | Figure::Blocked | Figure::Idle => Unit::Percent,
            Figure::Skew => Unit::Ratio,
            Figure::WatermarkLag | Figure::WatermarkStill | Figure::CheckpointAge | Figure::CheckpointDuration => Unit::Milliseconds,
            Figure::StateBytes | Figure::StateDiskBytes | Figure::CheckpointBytes => Unit::Bytes,
            Figure::RunState => Unit::State,
        }
    }

    /// Whether it is one of the run as a whole, and of no node.
    pub const fn is_of_run_alone(self) -> bool {
        self.is_of_checkpoints() || matches!(self, Figure::Restarts | Figure::RunState)
    }

    /// Whether only a run with checkpoints has it.
    pub const fn is_of_checkpoints(self) -> bool {
        matches!(self, Figure::CheckpointAge | Figure::CheckpointDuration | Figure::CheckpointBytes | Figure::CheckpointFailures)
    }
}

impl Unit {
    /// How a threshold is written.
    pub const fn example(self) -> &'static str {
        match self {
            Unit::Count => "a number such as 100",
            Unit::PerSecond => "a rate such as \"100/s\"",
            Unit::Percent => "a share such as \"80%\"",
            Unit::Ratio => "a number such as 2.5",
            Unit::Milliseconds => "a duration such as \"10m\"",
            Unit::Bytes => "a size such as \"64MiB\"",
            Unit::State => "`is` with a state of the run",
        }
    }

    /// As the webhook's `unit` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::PerSecond => "per_second",
            Unit::Percent => "percent",
            Unit::Ratio => "ratio",
            Unit::Milliseconds => "milliseconds",
            Unit::Bytes => "bytes",
            Unit::State => "state",
        }
    }

    /// Reads a threshold as the file writes it. None if it is not of this unit.
    pub fn read(self, value: &Value) -> Option<f64> {
        let number = || value.as_f64();
        let text = || value.as_str().map(str::trim);
        let read = match self {
            Unit::Count | Unit::Ratio => number()?,
            // A rate of none is one that an alert may ask about.
            Unit::PerSecond if text()? == "0/s" => 0.0,
            Unit::PerSecond => Rate::parse(text()?).ok()?.rows_per_second,
            Unit::Percent => text()?.strip_suffix('%')?.trim().parse().ok()?,
            Unit::Milliseconds => Duration::parse(text()?).ok()?.micros as f64 / 1e3,
            Unit::Bytes => ByteSize::parse(text()?).ok()?.bytes as f64,
            Unit::State => return None,
        };
        let is_in_range = match self {
            Unit::Percent => (0.0..=100.0).contains(&read),
            _ => read.is_finite() && read >= 0.0,
        };
        is_in_range.then_some(read)
    }

    /// A value for people: `12 min 5 s`, `1,203`, `81 %`.
    pub fn words(self, value: f64) -> String {
        match self {
            Unit::Count => grouped(value),
            Unit::PerSecond => format!("{}/s", if value < 10.0 { trimmed(value, 1) } else { grouped(value) }),
            Unit::Percent => format!("{} %", trimmed(value, 0)),
            Unit::Ratio => format!("{}x", trimmed(value, 1)),
            Unit::Milliseconds => span_in_words(value),
            Unit::Bytes => size_in_words(value),
            Unit::State => String::new(),
        }
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// `1,203`
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn span_in_words(ms: f64) -> String {
    let seconds = (ms / 1e3).round();
    let pair = |big: f64, unit: f64, names: (&str, &str)| {
        let (whole, rest) = ((seconds / big).floor(), (seconds % big / unit).floor());
        if rest > 0.0 { format!("{whole:.0} {} {rest:.0} {}", names.0, names.1) } else { format!("{whole:.0} {}", names.0) }
    };
    match seconds {
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ if ms < 10_000.0 => format!("{} s", trimmed(ms / 1e3, 1)),
        _ if seconds < 60.0 => format!("{seconds:.0} s"),
        _ if seconds < 3_600.0 => pair(60.0, 1.0, ("min", "s")),
        _ if seconds < 86_400.0 => pair(3_600.0, 60.0, ("h", "min")),
        _ => pair(86_400.0, 3_600.0, ("d", "h")),
    }
}

fn size_in_words(bytes: f64) -> String {
    let units = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{} {name}", trimmed(bytes / unit, 1)),
        None => format!("{bytes:.0} B"),
    }
}

/// What a run may be, as `is` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Starting,
    Running,
    Draining,
    Finished,
    Stopped,
    Failed,
}

impl StateName {
    pub const fn name(self) -> &'static str {
        match self {
            StateName::Starting => "starting",
            StateName::Running => "running",
            StateName::Draining => "draining",
            StateName::Finished => "finished",
            StateName::Stopped => "stopped",
            StateName::Failed => "failed",
        }
    }
}

/// The fields of an `[alert.NAME]` table, as the file and its forms know them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertFields {
    /// What is watched.
    pub figure: Figure,
    /// The node whose figure it is; the whole pipeline's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// It fires above this, in the figure's own unit: 100, "100/s", "80%", "10m", "64MiB".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Threshold>,
    /// It fires below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<Threshold>,
    /// It fires while the run is this; for `run_state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<StateName>,
    /// It is over once the figure is back here, so that one which hovers about the threshold is told once; the threshold itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Threshold>,
    /// How long it must hold before it fires, and how long it must be over before it resolves; at once if absent.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Who is told beside the studio and the terminal: "desktop", or the address of a webhook (http or https).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub notify: Vec<String>,
}

/// A number, or a text with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    Number(f64),
    Text(String),
}

/// An alert, read and sound.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDecl {
    /// `[a-z0-9_-]`, as a node's.
    pub name: String,
    pub figure: Figure,
    pub node: Option<NodeId>,
    pub condition: Condition,
    /// How long it must hold, or be over.
    pub hold: Duration,
    pub desktop: bool,
    pub webhooks: Vec<WebhookUrl>,
}

/// When an alert holds. Thresholds are in the figure's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    Above { threshold: f64, until: f64 },
    Below { threshold: f64, until: f64 },
    Is(StateName),
}

impl Condition {
    pub const fn threshold(self) -> Option<f64> {
        match self {
            Condition::Above { threshold, .. } | Condition::Below { threshold, .. } => Some(threshold),
            Condition::Is(_) => None,
        }
    }
}

impl AlertDecl {
    /// `watermark_lag of flights above 10 min`
    pub fn in_words(&self) -> String {
        let of = self.node.as_ref().map_or_else(String::new, |node| format!(" of {node}"));
        let unit = self.figure.unit();
        let condition = match self.condition {
            Condition::Above { threshold, .. } => format!("above {}", unit.words(threshold)),
            Condition::Below { threshold, .. } => format!("below {}", unit.words(threshold)),
            Condition::Is(state) => format!("is {}", state.name()),
        };
        format!("{}{of} {condition}", self.figure.name())
    }
}

/// The address of a webhook. It may hold a secret: only [`WebhookUrl::shown`] may be seen, and only whoever calls it may read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// Longest address, in bytes.
    pub const MAX_BYTES: usize = 2_048;

    /// Takes `http://HOST..` or `https://HOST..`. What is wrong is said without the address.
    pub fn parse(text: &str) -> Result<WebhookUrl, &'static str> {
        let (scheme, _) = text.split_once("://").ok_or("it is no address")?;
        if !matches!(scheme, "http" | "https") {
            return Err("only http and https can be called");
        }
        if text.len() > Self::MAX_BYTES {
            return Err("the address is too long");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("the address has spaces or control characters in it");
        }
        if host(text).is_empty() {
            return Err("the address names no host");
        }
        Ok(WebhookUrl(text.to_owned()))
    }

    /// The whole address, for whoever calls it.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: what may be shown.
    pub fn shown(&self) -> String {
        let scheme = self.0.split_once("://").map_or("", |(scheme, _)| scheme);
        format!("{scheme}://{}", host(&self.0))
    }
}

/// Host and port, without a user's name and password.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_is_named_as_the_file_writes_it() {
        for figure in Figure::ALL {
            assert_eq!(serde_json::to_value(figure).unwrap(), json!(figure.name()));
        }
    }

    #[test]
    fn a_threshold_is_read_in_its_figures_unit_and_no_other() {
        assert_eq!(Unit::Milliseconds.read(&json!("10m")), Some(600_000.0));
        assert_eq!(Unit::PerSecond.read(&json!("100/s")), Some(100.0));
        assert_eq!(Unit::PerSecond.read(&json!("0/s")), Some(0.0));
        assert_eq!(Unit::Percent.read(&json!("80 %")), Some(80.0));
        assert_eq!(Unit::Bytes.read(&json!("2MiB")), Some(2_097_152.0));
        assert_eq!(Unit::Count.read(&json!(100)), Some(100.0));
        for (unit, wrong) in [
            (Unit::Milliseconds, json!(10)),
            (Unit::Percent, json!("180%")),
            (Unit::Percent, json!(80)),
            (Unit::Count, json!("many")),
            (Unit::Count, json!(-1)),
            (Unit::Bytes, json!("5 apples")),
            (Unit::State, json!("failed")),
        ] {
            assert_eq!(unit.read(&wrong), None, "{unit:?} {wrong}");
        }
    }

    #[test]
    fn values_are_told_in_words_with_their_unit() {
        let told = [
            Unit::Milliseconds.words(250.0),
            Unit::Milliseconds.words(4_200.0),
            Unit::Milliseconds.words(725_000.0),
            Unit::Milliseconds.words(7_200_000.0),
            Unit::Count.words(1_203.0),
            Unit::PerSecond.words(0.5),
            Unit::PerSecond.words(12_345.6),
            Unit::Percent.words(81.4),
            Unit::Bytes.words(67_108_864.0),
            Unit::Ratio.words(2.52),
        ];
        assert_eq!(told, ["250 ms", "4.2 s", "12 min 5 s", "2 h", "1,203", "0.5/s", "12,346/s", "81 %", "64 MiB", "2.5x"]);
    }

    #[test]
    fn of_a_webhooks_address_only_scheme_and_host_are_shown() {
        let url = WebhookUrl::parse("https://user:pass@hooks.example:8443/services/T0/SECRET?key=SECRET#x").unwrap();
        assert_eq!(url.shown(), "https://hooks.example:8443");
        assert_eq!(format!("{url:?}"), "https://hooks.example:8443");
        for wrong in ["ftp://a/b", "hooks.example/x", "http://", "https:///x", "http://a b/", "http://a\n/", "file:///etc/passwd"] {
            assert!(WebhookUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
