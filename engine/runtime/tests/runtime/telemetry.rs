use std::sync::Arc;
use std::time::Duration;

use millrace_model::PortRef;
use millrace_runtime::connector::BadRecord;
use millrace_runtime::telemetry::NoticeBoard;
use millrace_runtime::telemetry::notices::NOTICE_QUEUE;
use millrace_runtime::{Clock, JobOptions};
use millrace_testkit::{Harness, ManualClock, Memory, Script, node};
use millrace_wire::message::{NoticeSeverity, StopMode};
use serde_json::json;

use crate::{COLUMNS, many};

#[test]
fn a_kind_of_notice_is_said_at_once_then_every_two_seconds_with_its_count() {
    let clock = ManualClock::default();
    let (board, mut reader) = NoticeBoard::new(Arc::new(clock.clone()));
    for count in 1..=3 {
        clock.advance(Duration::from_millis(500));
        board.say(Some(&"flights".into()), NoticeSeverity::Warning, "bad_records", count, || format!("record {count}"));
    }
    let first = reader.try_recv().unwrap();
    assert_eq!((first.count, first.message.as_str()), (1, "record 1"));
    board.flush(false);
    assert!(reader.try_recv().is_err());
    let third_us = clock.wall_us();
    clock.advance(Duration::from_secs(3));
    board.flush(false);
    let second = reader.try_recv().unwrap();
    assert_eq!((second.count, second.message.as_str()), (5, "record 2"));
    assert_eq!(second.at_us, third_us, "the message is of the first, the time of the last");
}

#[test]
fn notices_that_nobody_takes_are_counted_and_not_kept() {
    let (board, mut reader) = NoticeBoard::new(Arc::new(ManualClock::default()));
    for index in 0..NOTICE_QUEUE + 10 {
        board.say(Some(&format!("n{index}").as_str().into()), NoticeSeverity::Info, "late_rows", 1, String::new);
    }
    while reader.try_recv().is_ok() {}
    board.say(None, NoticeSeverity::Info, "started", 1, || "on".to_owned());
    assert!(reader.try_recv().unwrap().message.contains("10 notices before this were dropped"));
}

#[tokio::test]
async fn a_sink_that_keeps_to_its_rate_is_named_as_what_holds_the_others_back() {
    let harness = Harness::new(Memory::default());
    let nodes = vec![
        node("flood", "flood", &[], json!({})),
        node("even", "filter", &["flood"], json!({ "where": "n % 2 = 0" })),
        node("slow", "collect", &["even"], json!({ "rate": "100/s" })),
    ];
    let job = harness.start(nodes, JobOptions { parallelism: 2, ..JobOptions::default() }).await;
    let mut notices = job.take_notices().unwrap();
    let slow = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let notice = notices.recv().await.expect("the job runs");
            if notice.kind == "slow_sink" {
                return notice;
            }
        }
    });
    let slow = slow.await.expect("named within five seconds");
    assert_eq!(slow.node.as_ref().map(|node| node.as_str()), Some("slow"));
    let figures = job.figures();
    assert_eq!(figures.bottleneck.as_ref().map(|node| node.as_str()), Some("slow"));
    assert!(figures.bottleneck_busy.is_some_and(|busy| busy > 0.8));
    let edge = figures.edges.iter().find(|edge| edge.to.as_str() == "slow").unwrap();
    assert!(edge.queued_rows > 0 && edge.blocked_ns > 0);
    job.stop(StopMode::Abort);
    job.wait().await;
}

#[tokio::test]
async fn a_tapped_edge_gives_small_samples_and_an_untapped_one_none() {
    let harness = Harness::new(Memory::default());
    let nodes = vec![
        node("flood", "flood", &[], json!({})),
        node("even", "filter", &["flood"], json!({ "where": "n % 2 = 0" })),
        node("shown", "dashboard", &["even"], json!({ "rate": "100000/s" })),
    ];
    let job = harness.start(nodes, JobOptions::default()).await;
    let mut taps = job.take_taps().unwrap();
    assert!(!job.tap(&PortRef::parse("nobody"), &"shown".into(), true, 5));
    assert!(job.tap(&PortRef::parse("flood"), &"even".into(), true, 5), "an edge within a task");
    let sample = tokio::time::timeout(Duration::from_secs(2), taps.recv()).await.unwrap().unwrap();
    assert_eq!((sample.from.to_string().as_str(), sample.batch.rows()), ("flood", 5));
    job.tap(&PortRef::parse("flood"), &"even".into(), false, 0);
    job.tap(&PortRef::parse("even"), &"shown".into(), true, 3);
    let sample = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            let sample = taps.recv().await.unwrap();
            if sample.to.as_str() == "shown" {
                return sample;
            }
        }
    });
    assert_eq!(sample.await.unwrap().batch.rows(), 3);
    job.stop(StopMode::Drain);
    job.wait().await;
}

#[tokio::test]
async fn bad_records_are_told_with_their_count_and_the_first_of_them() {
    let bad =
        |line: usize| Script::Bad(BadRecord { reason: "not a number".to_owned(), position: format!("line {line}"), raw: "x,y".to_owned() });
    let script = vec![Script::Rows(many(5)), bad(6), bad(7), bad(8)];
    let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![script]));
    let nodes = vec![node("rows", "memory", &[], json!({ "event_time": "t" })), node("kept", "collect", &["rows"], json!({}))];
    let job = harness.start(nodes, JobOptions::default()).await;
    let mut notices = job.take_notices().unwrap();
    job.wait().await;
    let mut count = 0;
    let mut first = None;
    while let Ok(notice) = notices.try_recv() {
        if notice.kind == "bad_records" {
            count += notice.count;
            first = first.or(Some(notice.message));
        }
    }
    assert_eq!((count, first.as_deref()), (3, Some("not a number at line 6: \"x,y\"")));
}

#[tokio::test]
async fn a_source_that_falls_silent_while_windows_wait_is_named_with_its_watermark() {
    let clock = ManualClock::default();
    let script = vec![Script::Rows(many(100)), Script::Forever];
    let harness = Harness::new(Memory::default().with("flights", &COLUMNS, vec![script])).with_clock(Arc::new(clock.clone()));
    let nodes = vec![
        node("flights", "memory", &[], json!({ "event_time": "t" })),
        node("hourly", "tumbling_window", &["flights"], json!({ "size": "1h", "by": ["v"], "aggregate": { "n": "count(*)" } })),
        node("shown", "dashboard", &["hourly"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions::default()).await;
    let mut notices = job.take_notices().unwrap();
    let mut said = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        clock.advance(Duration::from_millis(250));
        while let Ok(notice) = notices.try_recv() {
            said.push((notice.kind, notice.node.map(|node| node.to_string()), notice.message));
        }
    }
    let stalled: Vec<_> = said.iter().filter(|(kind, _, _)| kind == "stalled_input").collect();
    assert_eq!(stalled.len(), 1, "{said:?}");
    assert_eq!(stalled[0].1.as_deref(), Some("flights"));
    assert!(stalled[0].2.contains("1970-01-01 00:01:39 UTC"), "{}", stalled[0].2);
    job.stop(StopMode::Abort);
    job.wait().await;
}
