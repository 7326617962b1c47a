//! Alerts of a run: from its figures to who is told.
//!
//! ```text
//! JobProgress ── twice a second ──▶ Look ── measure ──▶ Reading ── machine ──▶ Turn ──▶ notices, and whoever is a Herald
//! ```
//! What an alert reads are the figures that are shown, its rates and shares of the last five seconds. [`machine`] is pure and holds what `for` and
//! `until` mean; [`watch`] keeps the figures between two looks. A run that has no alerts pays nothing.

mod machine;
mod measure;
mod watch;

use std::sync::Arc;

use millrace_model::AlertDecl;
use millrace_wire::alerts::WebhookFigures;

pub use measure::{Look, NodeLook};
pub use watch::AlertWatch;

/// Who is told of alerts beside those who watch the run: webhooks.
pub trait Herald: Send + Sync + 'static {
    /// Takes what is to be told, and returns at once: it never holds up the run.
    fn tell(&self, news: News);

    /// What became of what this alert told so far, in the order of its webhooks.
    fn figures(&self, alert: &AlertDecl) -> Vec<WebhookFigures>;
}

/// An alert that fires, or is over.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    pub alert: Arc<AlertDecl>,
    pub firing: bool,
    /// What was measured, in the figure's unit; none of a state, and where it could not be.
    pub value: Option<f64>,
    /// The same in words.
    pub shown: String,
    /// When it began to fire, microseconds since 1970.
    pub since_us: i64,
    pub at_us: i64,
    /// Why it is over, where not by its figure.
    pub why: Option<&'static str>,
}

impl News {
    /// `behind: watermark_lag of flights above 10 min: 12 min 5 s`
    pub fn in_words(&self) -> String {
        let News { alert, shown, .. } = self;
        let value = if shown.is_empty() { String::new() } else { format!(": {shown}") };
        match self.why {
            Some(why) => format!("{}: {}{value} ({why})", alert.name, alert.in_words()),
            None => format!("{}: {}{value}", alert.name, alert.in_words()),
        }
    }
}
