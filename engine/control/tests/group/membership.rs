//! Nodes that come: who gets a vote, and how one that lacks everything catches up.

use std::time::Duration;

use millrace_control::{Ask, ControlError, ControlGroup, GroupLook, Question, Settings, Told};
use tokio::time::{Instant, sleep};

use crate::hub::{Cluster, done, heard, member, peer};

const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_node_follows_and_with_the_third_both_get_a_vote() {
    let cluster = Cluster::of(1, Settings::default()).await;
    cluster.start(1).await.join(&peer(0), peer(1)).await.unwrap();
    cluster.node(0).write(member(1)).await.unwrap();
    heard(&cluster.node(1), 1).await;
    let look = cluster.node(0).look();
    assert_eq!((look.nodes.len(), look.voters(), look.survives), (2, 1, 0));
    // Its loss stops nothing.
    cluster.kill(1).await;
    assert_eq!(cluster.node(0).write(member(2)).await.unwrap(), done(1));
    cluster.start(1).await;
    cluster.start(2).await.join(&peer(1), peer(2)).await.unwrap();
    let is_whole = |look: &GroupLook| look.voters() == 3 && look.survives == 1;
    cluster.node(2).wait_for(PATIENCE, is_whole).await.unwrap();
    heard(&cluster.node(2), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_late_gets_a_snapshot_and_the_log_stays_short() {
    let settings = Settings { snapshot_after: 100, ..Settings::default() };
    let cluster = Cluster::of(1, settings).await;
    for number in 0..700 {
        cluster.node(0).write(member(number)).await.unwrap();
    }
    cluster.node(0).wait_for(PATIENCE, |look| look.applied > 700).await.unwrap();
    cluster.start(1).await.join(&peer(0), peer(1)).await.unwrap();
    for number in [0, 350, 699] {
        heard(&cluster.node(1), number).await;
    }
    assert!(cluster.folder(0).join("snapshot").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(cluster.folder(0)).unwrap().permissions().mode() & 0o777, 0o700, "others may look into it");
    }
    assert!(cluster.folder(1).join("snapshot").exists());
    // It stands on its own after a restart.
    cluster.kill(1).await;
    let node = cluster.start(1).await;
    heard(&node, 699).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_without_its_log_takes_the_place_of_the_one_it_was() {
    let cluster = Cluster::of(3, Settings::default()).await;
    cluster.node(0).write(member(1)).await.unwrap();
    let lost = (0..3).find(|number| Some(*number) != cluster.leader()).unwrap();
    let via = cluster.led().await;
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.folder(lost)).unwrap();
    cluster.start(lost).await.join(&peer(via), peer(lost)).await.unwrap();
    let is_whole = |look: &GroupLook| look.nodes.len() == 3 && look.voters() == 3;
    cluster.node(lost).wait_for(PATIENCE, is_whole).await.unwrap();
    heard(&cluster.node(lost), 1).await;
}

/// Asks again for as long as the node may still be taken for one that answers.
async fn expelled(node: &ControlGroup, name: &str) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = node.expel(name).await {
        assert!(Instant::now() < end && error.to_string().contains("answers"), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn names(look: &GroupLook) -> Vec<&str> {
    look.nodes.iter().map(|node| node.peer.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_is_gone_for_good_is_replaced_by_the_one_that_follows() {
    let cluster = Cluster::of(4, Settings::default()).await;
    let leader = cluster.led().await;
    let look = cluster.node(leader).look();
    let votes = |number: &usize| look.nodes.iter().any(|node| node.peer == peer(*number) && node.votes);
    let gone = (0..4).find(|number| *number != leader && votes(number)).unwrap();
    let follows = (0..4).find(|number| !votes(number)).unwrap();
    let asked = (0..4).find(|number| ![leader, gone].contains(number)).unwrap();
    let name = peer(gone).name;
    let refused = cluster.node(asked).expel(&name).await.unwrap_err();
    assert!(matches!(&refused, ControlError::Refused { why } if why.contains("answers")), "{refused}");
    let refused = cluster.node(asked).expel(&peer(leader).name).await.unwrap_err();
    assert!(matches!(&refused, ControlError::Refused { why } if why.contains("leads")), "{refused}");
    cluster.kill(gone).await;
    expelled(&cluster.node(asked), &name).await;
    for number in [leader, asked, follows] {
        let is_replaced = |look: &GroupLook| !names(look).contains(&name.as_str()) && look.voters() == 3 && look.survives == 1;
        let look = cluster.node(number).wait_for(PATIENCE, is_replaced).await.unwrap();
        assert!(look.nodes.iter().any(|node| node.peer == peer(follows) && node.votes), "{look:?}");
    }
    // The new voter counts: the next loss stops nothing.
    let other = (0..4).find(|number| ![leader, gone, follows].contains(number)).unwrap();
    cluster.kill(other).await;
    cluster.node(leader).write(member(9)).await.unwrap();
    let again = cluster.node(leader).expel(&name).await.unwrap_err();
    assert!(again.to_string().contains("no node"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_is_not_removed_where_the_others_are_no_majority_and_without_a_follower_two_go_on() {
    let cluster = Cluster::of(5, Settings::default()).await;
    let leader = cluster.led().await;
    let others: Vec<usize> = (0..5).filter(|number| *number != leader).collect();
    for number in &others[..3] {
        cluster.kill(*number).await;
    }
    // That nothing is heard of them any more takes its time.
    sleep(Duration::from_secs(3)).await;
    let refused = cluster.node(leader).expel(&peer(others[0]).name).await.unwrap_err();
    assert!(
        matches!(&refused, ControlError::Refused { why } if why.contains("of the 5 voters") && why.contains("3 have to agree")),
        "{refused}"
    );
    assert_eq!(cluster.node(leader).look().voters(), 5);
    cluster.start(others[0]).await;
    let leads = cluster.led().await;
    for gone in &others[1..3] {
        let end = Instant::now() + PATIENCE;
        // Who came back may not have been heard of yet.
        while let Err(error) = cluster.node(leads).expel(&peer(*gone).name).await {
            assert!(Instant::now() < end, "{error}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    let look = cluster.node(leads).wait_for(PATIENCE, |look| look.voters() == 3).await.unwrap();
    assert_eq!((look.nodes.len(), look.survives), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_meant_for_the_node_that_was_there_before_is_not_answered_by_the_new_one() {
    let cluster = Cluster::of(1, Settings::default()).await;
    let node = cluster.node(0);
    let told = node.answer(Question { to: Some(node.id() ^ 1), ask: Ask::Write(member(1)) }).await;
    assert!(matches!(&told, Told::Failed { why } if why.contains("before")), "{told:?}");
    for to in [Some(node.id()), None] {
        let told = node.answer(Question { to, ask: Ask::Write(member(1)) }).await;
        assert!(matches!(told, Told::Written(_)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_at_another_address_says_so_to_the_group() {
    let cluster = Cluster::of(3, Settings::default()).await;
    let moved = (0..3).find(|number| Some(*number) != cluster.leader()).unwrap();
    let mut own = peer(moved);
    own.name = "renamed".into();
    cluster.node(moved).announce(own.clone()).await.unwrap();
    let is_told = |look: &GroupLook| look.nodes.iter().any(|node| node.peer == own);
    cluster.node((moved + 1) % 3).wait_for(PATIENCE, is_told).await.unwrap();
}
