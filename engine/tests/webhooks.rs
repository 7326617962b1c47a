//! Webhooks against a real HTTP server on a socket of this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::model::alert::{Condition, Figure, WebhookUrl};
use millrace_engine::model::field;
use millrace_engine::model::{AlertDecl, NodeId};
use millrace_engine::runtime::alerts::{Herald, News};
use millrace_engine::webhooks::{Patience, Webhooks};
use millrace_tests::hooks::{Answer, Server};
use serde_json::{Value, json};

/// Longer than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn alert(urls: &[String]) -> Arc<AlertDecl> {
    Arc::new(AlertDecl {
        name: "behind".to_owned(),
        figure: Figure::WatermarkLag,
        node: Some(NodeId::new("flights")),
        condition: Condition::Above { threshold: 600_000.0, until: 600_000.0 },
        hold: field::Duration::default(),
        desktop: false,
        webhooks: urls.iter().map(|url| WebhookUrl::parse(url).unwrap()).collect(),
    })
}

fn news(alert: &Arc<AlertDecl>, firing: bool, at_us: i64) -> News {
    let (value, shown) = (Some(725_000.0), "12 min 5 s".to_owned());
    News { alert: alert.clone(), firing, value, shown, since_us: 1_000_000, at_us, why: None }
}

fn quick() -> Webhooks {
    let waits = vec![Duration::from_millis(10), Duration::from_millis(20)];
    Webhooks::new(Patience { timeout: Duration::from_millis(500), waits })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_once_is_told_again_and_told_everything_in_order() {
    let server = Server::start(&[Answer::Status(500), Answer::Status(200)]);
    let alert = alert(&[format!("http://127.0.0.1:{}/hook/SECRET?key=SECRET", server.port)]);
    let webhooks = Webhooks::new(Patience { timeout: LIMIT, waits: vec![Duration::from_millis(10)] });
    let run = webhooks.of_run("departures", "run-1");
    run.tell(news(&alert, true, 2_000_000));
    run.tell(news(&alert, false, 3_000_000));
    webhooks.told(LIMIT).await;
    let asked: Vec<(String, Value)> = server.asked.try_iter().collect();
    assert_eq!(asked.len(), 3, "{asked:#?}");
    assert_eq!(asked[0], asked[1], "the same message is tried again");
    assert_eq!(asked[0].0, "POST /hook/SECRET?key=SECRET HTTP/1.1");
    assert_eq!(
        asked[1].1,
        json!({
            "version": 1, "id": "run-1/behind/firing/2000000", "pipeline": "departures", "run": "run-1", "alert": "behind",
            "state": "firing", "figure": "watermark_lag", "node": "flights", "unit": "milliseconds", "value": 725_000.0,
            "threshold": 600_000.0, "text": "behind: watermark_lag of flights above 10 min: 12 min 5 s",
            "since": "1970-01-01T00:00:01Z", "at": "1970-01-01T00:00:02Z", "why": null
        })
    );
    assert_eq!((asked[2].1["state"].as_str(), asked[2].1["since"].as_str()), (Some("resolved"), Some("1970-01-01T00:00:01Z")));
    let figures = run.figures(&alert);
    assert_eq!((figures[0].sent, figures[0].failed, figures[0].problem.as_deref()), (2, 0, None));
    assert_eq!(figures[0].to, format!("http://127.0.0.1:{}", server.port), "no more of the address is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_up_nobody_and_what_waits_too_long_is_dropped_oldest_first() {
    let (hangs, works) = (Server::start(&[Answer::Hang; 100]), Server::start(&[]));
    let alert = alert(&[format!("http://127.0.0.1:{}/", hangs.port), format!("http://127.0.0.1:{}/", works.port)]);
    let webhooks = Webhooks::new(Patience { timeout: LIMIT, waits: Vec::new() });
    let run = webhooks.of_run("departures", "run-1");
    let began = Instant::now();
    run.tell(news(&alert, true, 0));
    hangs.asked.recv_timeout(LIMIT).expect("the first message is under way");
    for at in 1..=40 {
        run.tell(news(&alert, at % 2 == 0, at));
        works.asked.recv_timeout(LIMIT).expect("the other webhook is told meanwhile");
    }
    assert!(began.elapsed() < LIMIT, "telling waits for nobody");
    let figures = run.figures(&alert);
    assert_eq!((figures[0].sent, figures[0].dropped), (0, 24), "one is under way and sixteen wait: {figures:?}");
    assert_eq!(figures[1].dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_is_given_up_after_a_few_tries_and_says_why_without_the_address() {
    let hangs = Server::start(&[Answer::Hang; 100]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let alert = alert(&[format!("http://127.0.0.1:{}/SECRET", hangs.port), format!("http://127.0.0.1:{closed}/SECRET")]);
    let webhooks = quick();
    let run = webhooks.of_run("departures", "run-1");
    run.tell(news(&alert, true, 0));
    webhooks.told(LIMIT).await;
    assert_eq!(hangs.asked.try_iter().count(), 3);
    let figures = run.figures(&alert);
    assert_eq!(figures[0].problem.as_deref(), Some("it did not answer within 0.5 s, after 3 tries"));
    assert_eq!(figures[1].problem.as_deref(), Some("it could not be reached, after 3 tries"));
    assert!(!format!("{figures:?} {alert:?}").contains("SECRET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_a_refusal_is_not_tried_again() {
    let (redirects, refuses) = (Server::start(&[Answer::Redirect]), Server::start(&[Answer::Status(403)]));
    let alert = alert(&[format!("http://127.0.0.1:{}/", redirects.port), format!("http://127.0.0.1:{}/", refuses.port)]);
    let webhooks = quick();
    let run = webhooks.of_run("departures", "run-1");
    run.tell(news(&alert, true, 0));
    webhooks.told(LIMIT).await;
    assert_eq!((redirects.asked.try_iter().count(), refuses.asked.try_iter().count()), (1, 1));
    let problems: Vec<Option<String>> = run.figures(&alert).into_iter().map(|figures| figures.problem).collect();
    let wanted = ["it answered 307, and redirects are not followed", "it answered 403"].map(|text| Some(text.to_owned()));
    assert_eq!(problems, wanted);
}
