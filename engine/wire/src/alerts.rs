//! What becomes of a run's alerts. Times are microseconds since 1970; values are in the figure's unit, of which `unit` tells the name.

use millrace_model::NodeId;
use serde::{Deserialize, Serialize};

/// One alert of a run, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFigures {
    pub name: String,
    /// As the file writes it: `watermark_lag`.
    pub figure: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The whole rule in words: `watermark_lag of flights above 10 min`.
    pub rule: String,
    pub standing: AlertStanding,
    /// Since when it stands so.
    pub since_us: i64,
    /// What was measured last; none of what could not be, and of a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The same in words, a state too: `12 min 5 s`, `failed`; empty if it could not be measured.
    #[serde(default)]
    pub shown: String,
    /// `count`, `per_second`, `percent`, `ratio`, `milliseconds`, `bytes` or `state`.
    pub unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How often it has fired since the run began.
    pub fired: u64,
    /// Whether whoever shows the run is to tell it on the desktop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub desktop: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookFigures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStanding {
    /// Its condition does not hold.
    Quiet,
    /// It holds, and not for long enough yet.
    Pending,
    Firing,
}

/// What became of what a webhook was to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFigures {
    /// Scheme and host; the rest of an address may be a secret.
    pub to: String,
    /// Taken by who was called.
    pub sent: u64,
    /// Given up after several tries.
    pub failed: u64,
    /// Dropped since too many waited.
    pub dropped: u64,
    /// Why the newest try failed; none if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
