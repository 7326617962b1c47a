//! Random kills, restarts and partitions: nothing acknowledged is lost, and a term has one leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_control::control::{Command, Generation};
use millrace_control::{NodeId, Settings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::hub::{Cluster, heard, member};

/// Fast, so that many elections fit in a test.
fn settings() -> Settings {
    Settings {
        heartbeat: Duration::from_millis(20),
        election_min: Duration::from_millis(60),
        election_max: Duration::from_millis(120),
        snapshot_after: 40,
        write_patience: Duration::from_millis(700),
        tend_every: Duration::from_millis(50),
        ..Settings::default()
    }
}

/// Looks at who takes itself for the leader of which term, until told to stop.
async fn watch(cluster: Arc<Cluster>, over: Arc<AtomicBool>) -> BTreeMap<u64, NodeId> {
    let mut leaders: BTreeMap<u64, NodeId> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        for number in cluster.alive() {
            let Some(look) = cluster.get(number).map(|node| node.look()) else { continue };
            if look.leads() {
                let before = *leaders.entry(look.term).or_insert(look.id);
                assert_eq!(before, look.id, "term {} has two leaders", look.term);
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    leaders
}

/// Places that each writer writes to, one after the other and round again.
const PLACES: u64 = 200;

fn place(writer: u64, number: u64) -> String {
    format!("w{writer}-{}", number % PLACES)
}

/// Writes numbers, each higher than the one before, until told to stop; gives those that were acknowledged.
async fn write(cluster: Arc<Cluster>, seed: u64, writer: u64, over: Arc<AtomicBool>) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed + writer);
    let (mut acknowledged, mut next) = (Vec::new(), 1);
    while !over.load(Ordering::Relaxed) {
        let alive = cluster.alive();
        let Some(node) = cluster.get(alive[random.random_range(0..alive.len())]) else { continue };
        let command = Command::Join {
            name: place(writer, next),
            generation: Generation(next),
            address: "ws://127.0.0.1:1".into(),
            slots: 1,
            is_control: false,
        };
        match node.write(command).await {
            Ok(answer) if answer.is_done() => acknowledged.push(next),
            Ok(answer) => panic!("{answer:?}"),
            // Whether it came about is not known.
            Err(_) => {}
        }
        next += 1;
    }
    acknowledged
}

async fn disturb(cluster: &Cluster, random: &mut StdRng) {
    match random.random_range(0..6) {
        0 | 1 => {
            let alive = cluster.alive();
            // Two of three may be dead for a while; all that is agreed on waits then.
            if alive.len() > 1 {
                cluster.kill(alive[random.random_range(0..alive.len())]).await;
            }
        }
        2 | 3 => {
            let alive = cluster.alive();
            if let Some(dead) = (0..3).find(|number| !alive.contains(number)) {
                cluster.start(dead).await;
            }
        }
        4 => cluster.isolate(random.random_range(0..3)),
        _ => cluster.heal(),
    }
    sleep(Duration::from_millis(random.random_range(20..400))).await;
}

/// Gives how many writes were acknowledged.
async fn survives(seed: u64, disturbances: usize) -> usize {
    let cluster = Arc::new(Cluster::of(3, settings()).await);
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(cluster.clone(), over.clone()));
    let writers: Vec<_> = (0..3).map(|writer| tokio::spawn(write(cluster.clone(), seed, writer, over.clone()))).collect();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..disturbances {
        disturb(&cluster, &mut random).await;
    }
    cluster.heal();
    for number in 0..3 {
        if !cluster.alive().contains(&number) {
            cluster.start(number).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for (writer, writing) in writers.into_iter().enumerate() {
        acknowledged.extend(writing.await.unwrap().into_iter().map(|number| (writer as u64, number)));
    }
    let leaders = watching.await.unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    // Who led before it was stopped takes itself for the leader until it hears of another.
    while !cluster.node(0).write(member(u64::MAX)).await.is_ok_and(|answer| answer.is_done()) {
        assert!(Instant::now() < end, "after the faults it goes on: {:?}", cluster.node(0).look());
    }
    for node in 0..3 {
        heard(&cluster.node(node), u64::MAX).await;
        for (writer, number) in &acknowledged {
            let newest = cluster.node(node).read(|control| control.members().get(&place(*writer, *number)).map(|member| member.generation));
            assert!(newest >= Some(Generation(*number)), "{number} of {writer} was acknowledged and is lost: {newest:?}");
        }
    }
    println!("seed {seed}: {} acknowledged, {} terms had a leader", acknowledged.len(), leaders.len());
    acknowledged.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_restarts_and_partitions_nothing_acknowledged_is_lost_and_a_term_has_one_leader() {
    let mut acknowledged = 0;
    for seed in 1..=3 {
        acknowledged += survives(seed, 15).await;
    }
    assert!(acknowledged > 30, "the faults left no room");
}

/// `SEEDS=1..200` of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes"]
async fn the_same_for_many_seeds() {
    let seeds = std::env::var("SEEDS").unwrap_or_else(|_| "1..40".to_owned());
    let (from, to) = seeds.split_once("..").expect("SEEDS=FROM..TO");
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        survives(seed, 30).await;
    }
}
