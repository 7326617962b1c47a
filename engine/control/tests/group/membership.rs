//! Nodes that come: who gets a vote, and how one that lacks everything catches up.

use std::time::Duration;

use millrace_control::{Ask, GroupLook, Question, Settings, Told};

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
