//! Alerts of real runs: from their figures to who is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_model::AlertDecl;
use millrace_model::alert::{Condition, Figure, StateName, WebhookUrl};
use millrace_model::field;
use millrace_runtime::JobOptions;
use millrace_runtime::alerts::{Herald, News};
use millrace_testkit::{Harness, Memory, node};
use millrace_wire::alerts::{AlertStanding, WebhookFigures};
use millrace_wire::figures::RunState;
use millrace_wire::message::{Notice, StopMode};
use serde_json::json;

use crate::{COLUMNS, many, one};

const LIMIT: Duration = Duration::from_secs(60);

/// Keeps what it is told; one message of each came to nothing.
#[derive(Default)]
struct Heard(Mutex<Vec<News>>);

impl Herald for Heard {
    fn tell(&self, news: News) {
        self.0.lock().unwrap().push(news);
    }

    fn figures(&self, alert: &AlertDecl) -> Vec<WebhookFigures> {
        let failed = self.0.lock().unwrap().iter().filter(|news| news.alert.name == alert.name).count() as u64;
        let of = |url: &WebhookUrl| WebhookFigures {
            to: url.shown(),
            failed,
            problem: Some("it answered 500".to_owned()),
            ..Default::default()
        };
        alert.webhooks.iter().map(of).collect()
    }
}

fn alert(name: &str, figure: Figure, condition: Condition) -> AlertDecl {
    let webhooks = vec![WebhookUrl::parse("https://hooks.example/canary").unwrap()];
    let (name, hold) = (name.to_owned(), field::Duration::default());
    AlertDecl { name, figure, node: None, condition, hold, desktop: false, webhooks }
}

const fn above(threshold: f64) -> Condition {
    Condition::Above { threshold, until: threshold }
}

fn of_alerts(notices: Vec<Notice>) -> Vec<(String, String)> {
    notices.into_iter().filter_map(|notice| Some((notice.kind, notice.alert?))).collect()
}

#[tokio::test]
async fn a_run_too_short_for_a_look_is_looked_at_when_it_ends_and_its_end_is_part_of_its_summary() {
    let mut harness = Harness::new(Memory::default().with("rows", &COLUMNS, one(many(500))));
    let heard = Arc::new(Heard::default());
    harness.herald = Some(heard.clone());
    let alerts = [
        alert("many", Figure::RowsIn, above(100.0)),
        alert("more", Figure::RowsIn, above(1e6)),
        alert("done", Figure::RunState, Condition::Is(StateName::Finished)),
    ];
    let nodes = vec![node("rows", "memory", &[], json!({ "event_time": "t" })), node("kept", "collect", &["rows"], json!({}))];
    let job = harness.start(nodes, JobOptions { alerts: alerts.into(), ..JobOptions::default() }).await;
    let mut notices = job.take_notices().unwrap();
    let outcome = job.wait().await;
    assert_eq!(outcome.state, RunState::Finished);
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        assert!(!notice.message.contains("canary"), "{notice:?}");
        told.push(notice);
    }
    let firing = |name: &str| ("alert_firing".to_owned(), name.to_owned());
    assert_eq!(of_alerts(told), [firing("many"), firing("done"), ("alert_resolved".to_owned(), "many".to_owned())]);
    let standing: Vec<(AlertStanding, u64)> = outcome.summary.alerts.iter().map(|alert| (alert.standing, alert.fired)).collect();
    assert_eq!(standing, [(AlertStanding::Quiet, 1), (AlertStanding::Quiet, 0), (AlertStanding::Firing, 1)]);
    assert_eq!(outcome.summary.alerts[0].value, Some(500.0));
    let heard = heard.0.lock().unwrap();
    let over = heard.iter().find(|news| !news.firing).unwrap();
    assert_eq!((over.in_words().as_str(), heard.len()), ("many: rows_in above 100: 500 (the run is over)", 3));
}

#[tokio::test]
async fn an_alert_fires_while_the_run_goes_on_and_says_who_could_not_be_told() {
    let mut harness = Harness::new(Memory::default());
    harness.herald = Some(Arc::new(Heard::default()));
    let nodes = vec![node("flood", "flood", &[], json!({})), node("slow", "collect", &["flood"], json!({ "rate": "100/s" }))];
    let alerts = [alert("pressed", Figure::Blocked, above(20.0))];
    let job = harness.start(nodes, JobOptions { alerts: alerts.into(), ..JobOptions::default() }).await;
    let mut notices = job.take_notices().unwrap();
    let kinds = ["alert_firing", "alert_not_told"].map(str::to_owned);
    for wanted in kinds {
        let notice = async {
            loop {
                let notice = notices.recv().await.expect("the job runs");
                if notice.kind == wanted {
                    return notice;
                }
            }
        };
        let notice = tokio::time::timeout(LIMIT, notice).await.unwrap_or_else(|_| panic!("{wanted} is told"));
        assert!(notice.message.starts_with("pressed: "), "{notice:?}");
    }
    let figures = job.figures();
    assert_eq!((figures.alerts[0].standing, figures.alerts[0].webhooks[0].failed), (AlertStanding::Firing, 1));
    assert!(figures.alerts[0].value.is_some_and(|share| share > 20.0), "{figures:?}");
    job.stop(StopMode::Abort);
    job.wait().await;
}

#[tokio::test]
async fn a_key_that_most_rows_have_shows_as_skew() {
    let harness = Harness::new(Memory::default());
    let nodes = vec![
        node("flood", "flood", &[], json!({})),
        node("keyed", "derive", &["flood"], json!({ "columns": { "same": "n * 0" } })),
        node("sums", "aggregate", &["keyed"], json!({ "by": ["same"], "aggregate": { "rows": "count(*)" } })),
        node("kept", "collect", &["sums"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions { parallelism: 4, ..JobOptions::default() }).await;
    let seen = async {
        loop {
            if let Some(skew) = job.figures().nodes.get(&"sums".into()).and_then(|sums| sums.skew) {
                return skew;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let skew = tokio::time::timeout(LIMIT, seen).await.expect("rows come");
    assert!((skew.ratio - 4.0).abs() < 0.01, "one of four tasks gets them all: {skew:?}");
    job.stop(StopMode::Abort);
    job.wait().await;
}
