//! Sessions whose connections are dropped, over real sockets through a proxy: nothing is lost, nothing comes twice, and no job notices.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::*;
use millrace_cluster::data::DataPayload;
use millrace_cluster::socket::{Patience, Transport, connect_with};
use millrace_cluster::{ClientError, Contact, EngineClient, Node, NodeOptions, RunFiles, serve};
use millrace_wire::figures::RunState;
use millrace_wire::message::*;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

async fn through(proxy: &Proxy, node: &Node) -> EngineClient {
    patient(proxy, node, Patience::ASKING).await
}

async fn patient(proxy: &Proxy, node: &Node, patience: Patience) -> EngineClient {
    connect_with(&proxy.url(), &node.token().reveal(), Transport { patience, ..Transport::default() }).await.unwrap()
}

async fn node_with(patience: Patience) -> (Node, Running) {
    let (host, running) = host();
    (serve("127.0.0.1:0", host, NodeOptions { patience, ..NodeOptions::default() }).await.unwrap(), running)
}

async fn is_back(client: &EngineClient, resumes: u64) {
    until("the session is resumed", || client.resumes() >= resumes).await;
    becomes(client, "connected", |contact| *contact == Contact::Connected).await;
}

/// Runs a pipeline of input files, a dashboard and output files. Gives what came back, and the rows that the dashboard showed and missed.
async fn deployed(client: &EngineClient, input_bytes: usize, rows: u64) -> (Vec<Vec<u8>>, Vec<i64>, u64) {
    let (folder, files) = project(input_bytes);
    let job = client.deploy(deployment(&format!("count {rows}")), files, copies()).await.unwrap();
    client.watch_figures(job, Duration::from_millis(10)).await.unwrap();
    client.watch_results(job, "chart".into(), true).await.unwrap();
    let (mut seen, mut missed) = (Vec::new(), 0);
    while seen.len() as u64 + missed < rows {
        let item = timeout(PATIENCE * 3, client.next_data()).await.unwrap().unwrap();
        let DataHeader::Results { dropped, .. } = item.header else { panic!("rows") };
        missed += dropped;
        let DataPayload::Rows(batch) = item.payload else { panic!("rows") };
        seen.extend(batch.frame().column("n").unwrap().i64().unwrap().into_no_null_iter());
    }
    let ended = timeout(PATIENCE * 3, client.wait(job)).await.unwrap().unwrap();
    assert_eq!(ended.state, RunState::Finished, "{ended:?}");
    let outputs = ["pipelines/out/copy.csv", "pipelines/out/parts/part-1-0.csv", ".millrace/quarantine/1/n.jsonl", "data/in.csv"];
    (outputs.iter().map(|path| std::fs::read(folder.path().join(path)).unwrap()).collect(), seen, missed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_connections_are_cut_at_random_gives_what_a_run_without_cuts_gives() {
    let (node, running) = node().await;
    let smooth = deployed(&session(&node).await, 3_000_000, 600).await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    let cutting = async {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        loop {
            sleep(Duration::from_millis(random.random_range(60..400))).await;
            proxy.break_after(if random.random_bool(0.5) { random.random_range(1..500_000) } else { 0 });
            proxy.cut();
        }
    };
    let cut = tokio::select! {
        cut = deployed(&client, 3_000_000, 600) => cut,
        () = cutting => unreachable!(),
    };
    assert_eq!(cut.0, smooth.0);
    assert_eq!(cut.0[0].len(), cut.0[3].len());
    assert!(cut.1.is_sorted_by(|a, b| a < b), "rows come once and in order");
    assert_eq!((cut.1.len() as u64 + cut.2, smooth.1.len() as u64 + smooth.2), (600, 600));
    assert!(client.resumes() > 2, "{}", client.resumes());
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_after_so_many_bytes_of_a_file_still_carry_it_whole() {
    let (node, _) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    for lifetime in [150_001, 70_000, 300_000] {
        proxy.break_after(lifetime);
        proxy.cut();
        let (files, rows, missed) = deployed(&client, 600_000, 20).await;
        assert!(files.iter().all(|file| *file == files[3]));
        assert_eq!(rows.len() as u64 + missed, 20);
    }
    assert!(client.resumes() > 6, "{}", client.resumes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_while_the_connection_is_down_waits_and_is_carried_out_after() {
    let (node, running) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    proxy.close(true);
    proxy.cut();
    let resuming = becomes(&client, "resuming", Contact::is_resuming).await;
    assert!(matches!(&resuming, Contact::Resuming { why, .. } if !why.is_empty()), "{resuming:?}");
    let (asking, stopping) = (client.clone(), client.clone());
    let watched = tokio::spawn(async move { asking.watch_figures(job, Duration::from_millis(10)).await });
    sleep(Duration::from_millis(100)).await;
    let stopped = tokio::spawn(async move { stopping.stop(job, StopMode::Drain).await });
    sleep(Duration::from_millis(400)).await;
    assert!(!watched.is_finished() && !stopped.is_finished());
    assert_eq!(running.load(Ordering::SeqCst), 1, "the job runs on");
    proxy.close(false);
    timeout(PATIENCE, watched).await.unwrap().unwrap().unwrap();
    timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
    assert_eq!(client.wait(job).await.unwrap().state, RunState::Stopped);
    assert!(client.view(job).unwrap().borrow().figures.is_some());
    assert!(client.resumes() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_whose_connection_was_down_shows_the_newest_rows_and_counts_the_others() {
    let (node, _) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("flood"), files, RunFiles::default()).await.unwrap();
    client.watch_results(job, "chart".into(), true).await.unwrap();
    client.next_data().await.unwrap();
    proxy.close(true);
    proxy.cut();
    becomes(&client, "resuming", Contact::is_resuming).await;
    sleep(Duration::from_millis(800)).await;
    proxy.close(false);
    is_back(&client, 2).await;
    let dropped = timeout(PATIENCE, async {
        loop {
            let item = client.next_data().await.unwrap();
            if let DataHeader::Results { dropped: dropped @ 1.., .. } = item.header {
                return dropped;
            }
        }
    });
    assert!(dropped.await.unwrap() > 0);
    client.stop(job, StopMode::Abort).await.unwrap();
    client.wait(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_stalls_is_dropped_and_made_again() {
    let (node, running) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let patience = Patience { silence: Duration::from_millis(600), ping_every: Some(Duration::from_millis(100)), ..Patience::ASKING };
    let client = patient(&proxy, &node, patience).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    proxy.stall(true);
    let resuming = becomes(&client, "resuming", Contact::is_resuming).await;
    assert!(
        matches!(&resuming, Contact::Resuming { why, .. } if why.contains("nothing was heard") || why.contains("silent")),
        "{resuming:?}"
    );
    proxy.stall(false);
    is_back(&client, 2).await;
    assert_eq!(running.load(Ordering::SeqCst), 1);
    client.stop(job, StopMode::Abort).await.unwrap();
    client.wait(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_socket_that_breaks_is_resumed_alone() {
    let (node, _) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    client.ping().await.unwrap();
    // Data was dialled last. Control answers while it is away.
    proxy.close(true);
    proxy.cut_last();
    becomes(&client, "resuming", Contact::is_resuming).await;
    client.ping().await.unwrap();
    proxy.close(false);
    is_back(&client, 1).await;
    assert_eq!(client.resumes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_peer_does_not_come_back_ends_with_its_jobs_at_both_ends() {
    let (node, running) = node_with(Patience { resume: Duration::from_millis(700), ..Patience::NODE }).await;
    let proxy = Proxy::to(node.address()).await;
    let client = patient(&proxy, &node, Patience { resume: Duration::from_millis(1200), ..Patience::ASKING }).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    proxy.close(true);
    proxy.cut();
    let begun = Instant::now();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(running.load(Ordering::SeqCst), 1, "it runs on for a while");
    until("the node gives the session up", || running.load(Ordering::SeqCst) == 0).await;
    let lost = becomes(&client, "lost", Contact::is_lost).await;
    assert!(begun.elapsed() >= Duration::from_millis(1200) && begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(matches!(&lost, Contact::Lost { why, .. } if why.contains("dialling again")), "{lost:?}");
    assert!(matches!(client.wait(job).await, Err(ClientError::ContactLost { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_restarted_does_not_know_the_session_and_the_client_says_so() {
    let (first, _) = node().await;
    let proxy = Proxy::to(first.address()).await;
    let client = through(&proxy, &first).await;
    let (address, token) = (first.address().to_string(), first.token().clone());
    proxy.close(true);
    drop(first);
    becomes(&client, "resuming", Contact::is_resuming).await;
    let options = NodeOptions { token: Some(token), ..NodeOptions::default() };
    let mut again = serve(&address, host().0, options.clone()).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
        again = serve(&address, host().0, options.clone()).await;
    }
    let _again = again.unwrap();
    proxy.close(false);
    let lost = becomes(&client, "lost", Contact::is_lost).await;
    assert!(matches!(&lost, Contact::Lost { why, .. } if why.contains("the node was restarted")), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_process_is_gone_is_lost_at_once() {
    let (node, _) = node().await;
    let client = session(&node).await;
    let begun = Instant::now();
    drop(node);
    let lost = becomes(&client, "lost", Contact::is_lost).await;
    assert!(matches!(&lost, Contact::Lost { why, .. } if why.contains("nobody listens")), "{lost:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_says_so_and_its_jobs_end_at_once() {
    let (node, running) = node().await;
    let proxy = Proxy::to(node.address()).await;
    let client = through(&proxy, &node).await;
    let (_folder, files) = project(10);
    client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    proxy.cut();
    is_back(&client, 2).await;
    drop(client);
    until("the job is aborted", || running.load(Ordering::SeqCst) == 0).await;
}
