//! What no honest node says: it is refused, and whoever was told it goes on.

use std::collections::{BTreeMap, BTreeSet};

use millrace_control::config::{Entry, LogId, SnapshotMeta, StoredMembership, Vote};
use millrace_control::{Ask, ControlGroup, Question, Settings, Told};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{CommittedLeaderId, EntryPayload, Membership};

use crate::hub::{Cluster, done, member, peer};

/// Somebody who has a certificate of the cluster.
const ENEMY: u64 = 7;

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: CommittedLeaderId::new(term, 0), index }
}

/// One that takes itself for the leader of a later term.
fn leads(group: &ControlGroup) -> Vote {
    Vote::new_committed(group.look().term + 1, ENEMY)
}

async fn refused(group: &ControlGroup, ask: Ask) -> String {
    match group.answer(Question { to: None, ask }).await {
        Told::Failed { why } => why,
        other => panic!("it is not refused: {other:?}"),
    }
}

async fn goes_on(group: &ControlGroup, number: u64) {
    assert!(group.is_in_group().await.unwrap());
    assert_eq!(group.write(member(number)).await.unwrap(), done(1));
}

fn snapshot(vote: Vote, data: &[u8], offset: u64) -> Ask {
    let last = log_id(vote.leader_id().term, 500);
    let voters = Membership::new(vec![BTreeSet::from([ENEMY])], BTreeMap::from([(ENEMY, peer(7))]));
    let meta =
        SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::new(Some(last), voters), snapshot_id: "s".into() };
    Ask::Snapshot(InstallSnapshotRequest { vote, meta, offset, data: data.to_vec(), done: true })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_read_is_refused_and_its_receiver_goes_on() {
    let cluster = Cluster::of(1, Settings::default()).await;
    let group = cluster.node(0);
    for garbage in [&b"garbage"[..], b"", b"{}", b"[1, 2]", b"{\"members\":{},\"deployments\":7}"] {
        let why = refused(&group, snapshot(leads(&group), garbage, 0)).await;
        assert!(why.contains("a snapshot that cannot be read"), "{why}");
    }
    goes_on(&group, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_a_snapshot_that_begins_far_behind_its_end_takes_no_memory() {
    let cluster = Cluster::of(1, Settings::default()).await;
    let group = cluster.node(0);
    let told = group.answer(Question { to: None, ask: snapshot(leads(&group), b"x", 1 << 60) }).await;
    assert!(matches!(told, Told::Snapshot(Err(_))), "{told:?}");
    goes_on(&group, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_agreed_on_cannot_be_replaced_and_terms_cannot_be_used_up() {
    let cluster = Cluster::of(1, Settings::default()).await;
    let group = cluster.node(0);
    goes_on(&group, 1).await;
    let vote = leads(&group);
    let append = |vote, before: Option<LogId>, entries: Vec<LogId>, commit| {
        let entries = entries.into_iter().map(|log_id| Entry { log_id, payload: EntryPayload::Blank }).collect();
        Ask::Append(AppendEntriesRequest { vote, prev_log_id: before, entries, leader_commit: commit })
    };
    let term = vote.leader_id().term;
    let asks = [
        append(vote, None, vec![log_id(term, 0)], None),
        append(vote, Some(log_id(term, 1)), vec![log_id(term, 2)], None),
        append(vote, None, vec![log_id(term, 5)], None),
        append(vote, Some(log_id(0, u64::MAX)), Vec::new(), None),
        append(vote, Some(log_id(term, 9)), Vec::new(), Some(log_id(0, 800))),
        append(Vote::new_committed(u64::MAX, ENEMY), None, Vec::new(), None),
        append(Vote::new(term, ENEMY), None, Vec::new(), None),
        append(Vote::new_committed(term, group.id()), None, Vec::new(), None),
        Ask::Vote(VoteRequest { vote: Vote::new(u64::MAX, ENEMY), last_log_id: None }),
    ];
    for ask in asks {
        let said = format!("{ask:?}");
        let why = refused(&group, ask).await;
        assert!(why.starts_with("this is refused: "), "{said}: {why}");
    }
    goes_on(&group, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_has_one_leader_and_what_is_in_a_snapshot_stays_agreed_on() {
    let settings = Settings { snapshot_after: 20, kept_entries: 0, ..Settings::default() };
    let cluster = Cluster::of(1, settings).await;
    let group = cluster.node(0);
    for number in 0..100 {
        group.write(member(number)).await.unwrap();
    }
    group.wait_for(std::time::Duration::from_secs(15), |look| look.applied > 100).await.unwrap();
    while !cluster.folder(0).join("snapshot").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let term = group.look().term;
    let append = |vote, before: Option<LogId>, commit| {
        Ask::Append(AppendEntriesRequest { vote, prev_log_id: before, entries: Vec::new(), leader_commit: commit })
    };
    let second = Vote::new_committed(term, ENEMY);
    let early = log_id(term + 1, 3);
    for ask in [append(second, None, None), snapshot(second, b"x", 0), append(leads(&group), Some(early), Some(early))] {
        let said = format!("{ask:?}");
        let why = refused(&group, ask).await;
        assert!(why.starts_with("this is refused: "), "{said}: {why}");
    }
    goes_on(&group, 1_000).await;
}
