//! Who leads, and what a node that does not any more can do.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_control::control::{Claim, Command, EpochId, Generation, Source};
use millrace_control::{ControlError, Settings};
use tokio::time::Instant;

use crate::hub::{Cluster, done, heard, member};

const TWO_SECONDS: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_takes_over_within_two_seconds_of_its_leaders_death_and_has_all_that_was_acknowledged() {
    let cluster = Cluster::of(3, Settings::default()).await;
    assert_eq!(cluster.node(2).write(member(1)).await.unwrap(), done(1), "a follower forwards");
    let leader = cluster.led().await;
    let killed = Instant::now();
    cluster.kill(leader).await;
    let next = cluster.led().await;
    assert!(killed.elapsed() < TWO_SECONDS, "after {:?}", killed.elapsed());
    assert_ne!(next, leader);
    assert_eq!(cluster.node(next).write(member(2)).await.unwrap(), done(1));
    heard(&cluster.node(next), 1).await;
    // The one that died comes back, and hears of what it missed.
    heard(&cluster.start(leader).await, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_can_complete_nothing_and_what_it_had_begun_is_undone() {
    let cluster = Cluster::of(3, Settings { write_patience: Duration::from_millis(1500), ..Settings::default() }).await;
    let old = cluster.led().await;
    let deploy = Command::Deploy { name: "p".into(), generation: Generation(0), source: Source::default() };
    assert_eq!(cluster.node(old).write(deploy).await.unwrap(), done(1));
    let lead = |generation, node: &str| Command::Lead {
        name: "p".into(),
        generation: Generation(generation),
        claim: Claim { node: node.into(), nonce: generation, ..Claim::default() },
    };
    let complete = |generation, number| Command::Complete {
        name: "p".into(),
        generation: Generation(generation),
        epoch: EpochId { run: 1, number },
        holders: BTreeSet::new(),
    };
    assert_eq!(cluster.node(old).write(lead(1, "old")).await.unwrap(), done(2));
    assert_eq!(cluster.node(old).write(complete(2, 1)).await.unwrap(), done(2));

    cluster.isolate(old);
    let refused = cluster.node(old).write(complete(2, 2)).await;
    assert!(matches!(refused, Err(ControlError::NoQuorum { .. })), "{refused:?}");
    let new = cluster.alive().into_iter().find(|number| *number != old && cluster.node(*number).look().leads());
    let new = new.expect("the others elect one of them meanwhile");
    assert_eq!(cluster.node(new).write(lead(2, "new")).await.unwrap(), done(3));
    assert_eq!(cluster.node(old).look().has_majority, Some(false));

    cluster.heal();
    // It follows now, and what it asks under its old generation is stale.
    let stale = cluster.node(old).write(complete(2, 2)).await.unwrap();
    assert_eq!(stale, millrace_control::control::Answer::Stale { generation: Generation(3) });
    let newest = cluster.node(new).read(|control| control.deployments().get("p").and_then(|deployment| deployment.complete));
    assert_eq!(newest, Some(EpochId { run: 1, number: 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hears_all_and_is_heard_by_nobody_does_not_stop_the_others() {
    let cluster = Cluster::of(3, Settings::default()).await;
    let leader = cluster.led().await;
    let deaf: Vec<usize> = (0..3).filter(|number| *number != leader).collect();
    // The others cannot reach one of them, which is no leader, and it cannot reach one of them.
    cluster.cut(leader, deaf[0]);
    for number in 0..20 {
        cluster.node(leader).write(member(number)).await.unwrap();
    }
    heard(&cluster.node(deaf[1]), 19).await;
    cluster.heal();
    heard(&cluster.node(deaf[0]), 19).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_stopped_at_once_have_after_a_restart_all_that_was_acknowledged() {
    let cluster = Cluster::of(3, Settings::default()).await;
    for number in 0..30 {
        cluster.node((number % 3) as usize).write(member(number)).await.unwrap();
    }
    for number in 0..3 {
        cluster.kill(number).await;
    }
    for number in 0..3 {
        cluster.start(number).await;
    }
    cluster.led().await;
    for node in 0..3 {
        for number in 0..30 {
            heard(&cluster.node(node), number).await;
        }
    }
}
