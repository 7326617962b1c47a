//! Webhooks: what alerts tell the outside, without ever holding up a run.
//!
//! Each webhook of each alert of a run has a [`line`]: a short queue that drops its oldest message, and a task that posts them one after the other, in
//! order, and ends when there are none. [`post`] makes one request of a message. The message is JSON; `docs/ALERTS.md` says what is in it.
//!
//! An address may hold a secret: it is read by [`post`] alone, and what is told of it is scheme and host.

mod line;
mod post;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_model::alert::Condition;
use millrace_model::{AlertDecl, Timestamp};
use millrace_runtime::alerts::{Herald, News};
use millrace_wire::alerts::WebhookFigures;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use line::Line;
use post::Poster;

/// The version of the message. A field may join it; one that goes, or means something else, makes it the next.
const VERSION: u32 = 1;

/// Requests under way at a time, of all runs together.
const MOST_REQUESTS: usize = 32;

/// How long is waited, and how often is tried again.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For one try, until its answer is there.
    pub timeout: Duration,
    /// Before each further try.
    pub waits: Vec<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        let waits = [500, 2_000, 5_000].map(Duration::from_millis).to_vec();
        Patience { timeout: Duration::from_secs(5), waits }
    }
}

/// Tells webhooks, for all runs of an engine. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    shared: Arc<Shared>,
}

struct Shared {
    poster: Poster,
    patience: Patience,
    requests: Semaphore,
    /// Messages that are neither told nor given up.
    waiting: watch::Sender<usize>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Webhooks::new(Patience::default())
    }
}

impl Webhooks {
    pub fn new(patience: Patience) -> Webhooks {
        let (poster, requests, waiting) = (Poster::new(patience.timeout), Semaphore::new(MOST_REQUESTS), watch::Sender::new(0));
        Webhooks { shared: Arc::new(Shared { poster, patience, requests, waiting }) }
    }

    /// For one run, of a pipeline of this name.
    pub fn of_run(&self, pipeline: &str, run: &str) -> RunWebhooks {
        RunWebhooks { shared: self.shared.clone(), pipeline: pipeline.to_owned(), run: run.to_owned(), lines: Mutex::default() }
    }

    /// Waits until nothing waits any more; no longer than `patience`.
    pub async fn told(&self, patience: Duration) {
        let mut waiting = self.shared.waiting.subscribe();
        let _ = tokio::time::timeout(patience, waiting.wait_for(|waiting| *waiting == 0)).await;
    }
}

/// The webhooks of one run.
pub struct RunWebhooks {
    shared: Arc<Shared>,
    pipeline: String,
    run: String,
    /// By alert, and the webhook's place in it.
    lines: Mutex<BTreeMap<(String, usize), Arc<Line>>>,
}

impl Herald for RunWebhooks {
    fn tell(&self, news: News) {
        let body = match serde_json::to_vec(&Message::new(&self.pipeline, &self.run, &news)) {
            Ok(body) => bytes_of(body),
            Err(error) => {
                debug_assert!(false, "a message is always JSON: {error}");
                return;
            }
        };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, url) in news.alert.webhooks.iter().enumerate() {
            let line = lines.entry((news.alert.name.clone(), at)).or_insert_with(|| Arc::new(Line::new(url.clone())));
            // A run that was changed may have another address by that name.
            if *line.url() != *url {
                *line = Arc::new(Line::new(url.clone()));
            }
            line.put(body.clone(), &self.shared);
        }
    }

    fn figures(&self, alert: &AlertDecl) -> Vec<WebhookFigures> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(at, url): (usize, &millrace_model::alert::WebhookUrl)| {
            let line = lines.get(&(alert.name.clone(), at)).filter(|line| line.url() == url);
            line.map_or_else(|| WebhookFigures { to: url.shown(), ..WebhookFigures::default() }, |line| line.figures())
        };
        alert.webhooks.iter().enumerate().map(of).collect()
    }
}

type Body = Arc<[u8]>;

fn bytes_of(body: Vec<u8>) -> Body {
    body.into()
}

/// What is posted.
#[derive(Debug, Serialize)]
struct Message<'a> {
    version: u32,
    /// The same however often it is tried: who is told twice may pass over the second.
    id: String,
    pipeline: &'a str,
    run: &'a str,
    alert: &'a str,
    state: &'static str,
    figure: &'static str,
    node: Option<&'a str>,
    unit: &'static str,
    /// A number in that unit, a state of the run, or null where it could not be measured.
    value: Value,
    threshold: Value,
    /// The rule and the value in words.
    text: String,
    since: String,
    at: String,
    /// Why it is over, where not by its figure.
    why: Option<&'static str>,
}

impl<'a> Message<'a> {
    fn new(pipeline: &'a str, run: &'a str, news: &'a News) -> Message<'a> {
        let alert = &news.alert;
        let state = if news.firing { "firing" } else { "resolved" };
        let (value, threshold) = match alert.condition {
            Condition::Is(wanted) => (Value::from(news.shown.as_str()), Value::from(wanted.name())),
            condition => (Value::from(news.value), Value::from(condition.threshold())),
        };
        Message {
            version: VERSION,
            id: format!("{run}/{}/{state}/{}", alert.name, news.at_us),
            pipeline,
            run,
            alert: &alert.name,
            state,
            figure: alert.figure.name(),
            node: alert.node.as_ref().map(millrace_model::NodeId::as_str),
            unit: alert.figure.unit().name(),
            value,
            threshold,
            text: news.in_words(),
            since: Timestamp(news.since_us).to_rfc3339(),
            at: Timestamp(news.at_us).to_rfc3339(),
            why: news.why,
        }
    }
}
