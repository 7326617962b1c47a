//! What a group costs and how long it is without a leader. Measured, not asserted.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_control::Settings;
use millrace_control::control::{Claim, Command, EpochId, Generation, Source};
use tokio::time::Instant;

use crate::hub::{Cluster, done};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; measures"]
async fn how_long_a_group_is_without_a_leader() {
    let mut times: Vec<Duration> = Vec::new();
    let cluster = Cluster::of(3, Settings::default()).await;
    for _ in 0..20 {
        let leader = cluster.led().await;
        let killed = Instant::now();
        cluster.kill(leader).await;
        cluster.led().await;
        times.push(killed.elapsed());
        let node = cluster.start(leader).await;
        let follows = node.wait_for(Duration::from_secs(10), |look| look.leader.is_some() && look.leader != Some(look.id)).await;
        let looks: Vec<_> = cluster.alive().into_iter().map(|number| cluster.node(number).look()).collect();
        assert!(follows.is_ok(), "the one that came back does not follow: {looks:#?}");
        // Until it hears of the new one it waits as for the old one.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    times.sort();
    println!("from kill to new leader: p50 {:?}, max {:?}, all {times:?}", times[10], times[19]);
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a minute; measures"]
async fn how_many_entries_a_second_and_how_many_bytes() {
    let cluster = Cluster::of(3, Settings { snapshot_after: 1_000_000, ..Settings::default() }).await;
    let leader = cluster.led().await;
    let node = cluster.node(leader);
    let deploy = Command::Deploy { name: "departures-2013.toml".into(), generation: Generation(0), source: Source::default() };
    assert_eq!(node.write(deploy).await.unwrap(), done(1));
    let claim = Claim { node: "first".into(), nonce: 1, ..Claim::default() };
    node.write(Command::Lead { name: "departures-2013.toml".into(), generation: Generation(1), claim }).await.unwrap();
    let (before, begin) = (folder_bytes(&cluster.folder(leader)), Instant::now());
    const EPOCHS: u64 = 500;
    for number in 1..=EPOCHS {
        let epoch = EpochId { run: 1_790_000_000_000_000, number };
        let (name, generation) = ("departures-2013.toml".to_owned(), Generation(2));
        assert_eq!(
            node.write(Command::Complete { name: name.clone(), generation, epoch, holders: BTreeSet::new() }).await.unwrap(),
            done(2)
        );
        assert_eq!(node.write(Command::Commit { name, generation, epoch }).await.unwrap(), done(2));
    }
    let (passed, bytes) = (begin.elapsed(), folder_bytes(&cluster.folder(leader)) - before);
    let a_month = bytes / EPOCHS * (30 * 24 * 3600 / 10);
    println!("one after the other: {:.0} entries/s, {} bytes an epoch", 2.0 * EPOCHS as f64 / passed.as_secs_f64(), bytes / EPOCHS);
    println!("an epoch every 10 s for a month: {:.0} MB written", a_month as f64 / 1e6);

    let begin = Instant::now();
    let writers: Vec<_> = (0..64u64)
        .map(|writer| {
            let node = node.clone();
            tokio::spawn(async move {
                for number in 0..40 {
                    node.write(crate::hub::member(writer * 100 + number)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    println!("64 at a time: {:.0} entries/s", 64.0 * 40.0 / begin.elapsed().as_secs_f64());
}
