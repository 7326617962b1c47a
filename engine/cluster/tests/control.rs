//! A control group over real sessions.

mod common;

use std::time::Duration;

use common::group::{Member, three};
use common::*;
use millrace_cluster::control::RunLedger;
use millrace_cluster::node::Token;
use millrace_cluster::seen::{Seen, share};
use millrace_runtime::ledger::Ledger;
use millrace_state::checkpoint::RunId;
use millrace_wire::figures::RunState;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_become_a_group_by_their_sessions_and_a_survivor_tells_of_the_new_leader_within_two_seconds() {
    let token = Token::random().unwrap();
    let mut members = three(&token).await;
    let leader = members[0].leader().unwrap();
    let at = members.iter().position(|member| member.control.name() == leader).unwrap();
    let survivor = (at + 1) % 3;
    let client = session_by(&members[survivor], &token).await;
    let killed = Instant::now();
    members[at].kill().await;
    loop {
        let control = client.cluster(0).await.unwrap().unwrap().control.unwrap();
        if control.leader().is_some_and(|node| node.name != leader) {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(2), "{control:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The fault timeline tells it too.
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let timeline = client.cluster(0).await.unwrap().unwrap().timeline.unwrap_or_default();
        if timeline.incidents.iter().any(|incident| incident.root.kind == "leader_changed" && incident.root.message.contains(&leader)) {
            break;
        }
        assert!(Instant::now() < end, "{timeline:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn session_by(member: &Member, token: &Token) -> millrace_cluster::EngineClient {
    millrace_cluster::connect(&member.address, &token.reveal()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_led_by_the_node_that_claimed_it_last_and_epochs_of_the_one_before_are_refused() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let lead = async |member: usize| RunLedger::lead(&members[member].control, "s3://state/p".into(), "text", &[], false).await.unwrap();
    let run = RunId(7);
    let first = lead(0).await;
    first.complete(run, 1).await.unwrap();
    first.committed(run, 1).await;
    first.complete(run, 2).await.unwrap();
    // It did not come to commit that. Another node goes on from there.
    let second = lead(1).await;
    let fenced = first.complete(run, 3).await.unwrap_err();
    assert!(fenced.why.contains("node b"), "{fenced:?}");
    second.complete(run, 2).await.unwrap();
    second.committed(run, 2).await;
    second.complete(run, 3).await.unwrap();
    second.ended(RunState::Stopped, None).await;
    // The one before does not stop it either.
    first.ended(RunState::Finished, None).await;
    let third = lead(2).await;
    third.complete(run, 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_most_of_a_group_is_gone_an_epoch_waits() {
    let token = Token::random().unwrap();
    let mut members = three(&token).await;
    let ledger = RunLedger::lead(&members[0].control, "p".into(), "text", &[], false).await.unwrap();
    members[1].kill().await;
    ledger.complete(RunId(7), 1).await.unwrap();
    members[2].kill().await;
    let waiting = timeout(Duration::from_secs(4), ledger.complete(RunId(7), 2)).await;
    assert!(waiting.is_err(), "{waiting:?}");
}

/// What a node's timeline tells, in words.
fn timeline(seen: &Seen) -> Vec<String> {
    let incidents = seen.look(&description(), u64::MAX).timeline.unwrap_or_default().incidents;
    incidents.into_iter().map(|incident| format!("{}: {}", incident.root.kind, incident.root.message)).collect()
}

fn sharing(member: &Member) -> JoinHandle<()> {
    let (seen, control) = (member.seen.clone(), member.control.clone());
    tokio::spawn(async move { share(&seen, &control).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_saw_outlives_it_at_those_that_heard_of_it_and_at_those_that_they_tell() {
    let token = Token::random().unwrap();
    let mut members = three(&token).await;
    let told = |member: &Member| {
        timeline(&member.seen).iter().any(|line| line.starts_with("node_lost: nobody listens") && line.ends_with("told by a"))
    };
    members[0].seen.told("node_lost", "ws://127.0.0.1:1", "nobody listens there any more");
    // The third hears nothing of the first.
    let (first, second) = (sharing(&members[0]), sharing(&members[1]));
    let end = Instant::now() + Duration::from_secs(30);
    while !told(&members[1]) {
        assert!(Instant::now() < end, "{:?}", timeline(&members[1].seen));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.abort();
    members[0].kill().await;
    assert!(!told(&members[2]));
    let third = sharing(&members[2]);
    while !told(&members[2]) {
        assert!(Instant::now() < end, "{:?}", timeline(&members[2].seen));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.abort();
    third.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_of_a_group_is_refused_and_harms_nobody() {
    let token = Token::random().unwrap();
    let member = Member::start("a", &token, None).await;
    until("it leads", || member.leader().is_some()).await;
    let client = session_by(&member, &token).await;
    let deep = (0..100).fold(json!(null), |inner, _| json!([inner]));
    let questions = [
        json!(null),
        json!({ "ask": "dance" }),
        json!({ "ask": "vote", "with": {} }),
        json!({ "ask": "append", "with": { "vote": 7 } }),
        json!({ "ask": "write", "with": { "change": "lead", "name": "p", "generation": -1 } }),
        json!({ "with": deep }),
    ];
    for question in questions {
        let error = client.consensus(question.clone()).await.unwrap_err();
        assert_eq!(error.code(), "MR0601", "{question}");
    }
    RunLedger::lead(&member.control, "p".into(), "text", &[], false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_group_says_so_to_whoever_asks_as_one_of_it() {
    let (node, _) = node().await;
    let token = node.token().clone();
    let address = format!("ws://{}", node.address());
    let mut alone = Member::start("b", &token, Some(&address)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(alone.control.look().nodes.is_empty());
    let client = session(&node).await;
    assert_eq!(client.cluster(0).await.unwrap().unwrap().control, None);
    assert!(!client.describe().await.unwrap().control);
    alone.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_release_to_come_is_refused_to_whoever_asks_and_the_group_goes_on() {
    let token = Token::random().unwrap();
    let members = three(&token).await;
    let client = session_by(&members[1], &token).await;
    let unknown = json!({ "ask": { "ask": "write", "with": { "change": "fly", "name": "p", "generation": 1 } } });
    let known = json!({ "ask": { "ask": "write", "with": { "change": "remove", "name": "p", "generation": 1 } } });
    for _ in 0..3 {
        let refused = client.consensus(unknown.clone()).await.unwrap_err();
        assert!(refused.code() == "MR0601" && refused.to_string().contains("fly"), "{refused}");
    }
    // What it knows it answers, in the same words.
    client.consensus(known).await.unwrap();
    let ledger = RunLedger::lead(&members[1].control, "p".into(), "text", &[], false).await.unwrap();
    ledger.complete(RunId(7), 1).await.unwrap();
    assert!(members.iter().all(|member| member.leader().is_some()));
}
