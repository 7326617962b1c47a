//! What a session does, in process and over sockets: one set of expectations for both.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use millrace_cluster::data::DataPayload;
use millrace_cluster::{ClientError, Contact, EngineClient, HostLimits, NodeOptions, RunFiles, connect, serve};
use millrace_wire::figures::RunState;
use millrace_wire::message::*;

async fn runs_are_watched_and_stopped(client: &EngineClient) {
    assert_eq!(client.describe().await.unwrap().cores, 2);
    let (_folder, files) = project(10);
    let mut events = client.events();
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    client.watch_figures(job, Duration::from_millis(20)).await.unwrap();
    client.watch_results(job, "chart".into(), true).await.unwrap();
    let mut seen = 0;
    while seen < 30 {
        let item = client.next_data().await.unwrap();
        let DataPayload::Rows(batch) = item.payload else { panic!("rows") };
        assert_eq!(batch.frame().get_column_names(), ["n", "name"]);
        seen += batch.rows();
    }
    let mut view = client.view(job).unwrap();
    let early = view.wait_for(|view| view.figures.is_some()).await.unwrap().figures.clone().unwrap();
    assert!(early.age() < PATIENCE);
    view.wait_for(|view| view.figures.as_ref().is_some_and(|seen| seen.figures.elapsed_ms > early.figures.elapsed_ms)).await.unwrap();

    client.watch_results(job, "chart".into(), false).await.unwrap();
    client.tap(job, PortRef::parse("flights"), "sink".into(), true, 7).await.unwrap();
    let tapped = loop {
        let item = client.next_data().await.unwrap();
        if matches!(item.header, DataHeader::TapRows { .. }) {
            break item.payload.rows();
        }
    };
    assert_eq!(tapped, 7);
    let none = client.tap(job, PortRef::parse("flights"), "nowhere".into(), true, 7).await.unwrap_err();
    assert_eq!(none.code(), "MR0621");

    assert!(matches!(client.forget(job).await, Err(ClientError::Failed { .. })));
    client.stop(job, StopMode::Drain).await.unwrap();
    let ended = client.wait(job).await.unwrap();
    assert_eq!(ended.state, RunState::Stopped);
    client.forget(job).await.unwrap();
    assert_eq!(client.stop(job, StopMode::Drain).await.unwrap_err().code(), "MR0620");

    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(match event {
            Event::State { state, .. } => format!("{state:?}"),
            Event::Notice { notice, .. } => notice.kind,
            Event::Ended { state, .. } => format!("ended {state:?}"),
            Event::Figures { .. } | Event::Share { .. } => panic!("figures and shares are no events of a listener"),
        });
    }
    assert_eq!(told.first().map(String::as_str), Some("Starting"), "{told:?}");
    assert!(["Running", "started"].iter().all(|word| told.iter().any(|told| told == word)), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("ended Stopped"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_watched_and_stopped_in_process() {
    runs_are_watched_and_stopped(&in_process(&host().0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_watched_and_stopped_on_a_node() {
    let (node, _) = node().await;
    runs_are_watched_and_stopped(&session(&node).await).await;
}

async fn faults_are_told(client: &EngineClient) {
    let (_folder, files) = project(10);
    let rejected = client.deploy(deployment("reject"), files.clone(), RunFiles::default()).await.unwrap_err();
    assert!(matches!(&rejected, ClientError::Rejected { diagnostics } if diagnostics.items.len() == 1), "{rejected}");
    let bug = client.deploy(deployment("panic"), files.clone(), RunFiles::default()).await.unwrap_err();
    assert_eq!(bug.code(), "MR0690");
    // Neither harmed the engine.
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    client.stop(job, StopMode::Abort).await.unwrap();
    client.wait(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_wrong_or_breaks_the_engine_ends_alone() {
    faults_are_told(&in_process(&host().0)).await;
    let (node, _) = node().await;
    faults_are_told(&session(&node).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_go_to_the_node_and_only_what_the_pipeline_writes_comes_back() {
    let (node, _) = node().await;
    let client = session(&node).await;
    for bytes in [0, 10, 262_144, 3_000_000] {
        let (folder, files) = project(bytes);
        let at = |path: &str| std::fs::read(folder.path().join(path));
        let job = client.deploy(deployment("copy"), files, copies()).await.unwrap();
        let ended = client.wait(job).await.unwrap();
        let input = at("data/in.csv").unwrap();
        assert_eq!(at("pipelines/out/copy.csv").unwrap(), input);
        assert_eq!(at("pipelines/out/parts/part-1-0.csv").unwrap(), input);
        assert_eq!(at(".millrace/quarantine/1/n.jsonl").unwrap(), input);
        // The fake run writes a file that the pipeline never named: it is refused, and the run counts as failed here.
        assert!(at("pipelines/elsewhere.txt").is_err());
        assert_eq!(ended.state, RunState::Failed);
        assert_eq!(ended.cause.unwrap().diagnostic.code, "MR0633");
        let left: Vec<_> =
            std::fs::read_dir(folder.path().join("pipelines/out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "nothing unfinished stays: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_outside_the_project_is_refused_before_anything_is_sent() {
    let (node, running) = node().await;
    let client = session(&node).await;
    let (_folder, files) = project(10);
    for path in ["../../etc/passwd", "/etc/passwd"] {
        let run_files = RunFiles { inputs: vec![path.into()], outputs: Vec::new(), ..RunFiles::default() };
        let error = client.deploy(deployment("forever"), files.clone(), run_files).await.unwrap_err();
        assert_eq!(error.code(), "MR0630", "{error}");
    }
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_no_more_input_and_no_more_jobs_than_its_limits() {
    let (host, _) = host_within(HostLimits { max_input_bytes: 100, max_jobs: 1, ..HostLimits::default() });
    let node = serve("127.0.0.1:0", host, NodeOptions::default()).await.unwrap();
    let client = session(&node).await;
    let (_folder, files) = project(200);
    let error = client.deploy(deployment("copy"), files.clone(), copies()).await.unwrap_err();
    assert_eq!(error.code(), "MR0632", "{error}");
    let job = client.deploy(deployment("forever"), files.clone(), RunFiles::default()).await.unwrap();
    let error = client.deploy(deployment("forever"), files.clone(), RunFiles::default()).await.unwrap_err();
    assert_eq!(error.code(), "MR0622", "{error}");
    client.stop(job, StopMode::Abort).await.unwrap();
    client.wait(job).await.unwrap();
    client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_jobs_with_it() {
    let (node, running) = node().await;
    let client = session(&node).await;
    let (_folder, files) = project(10);
    client.deploy(deployment("forever"), files.clone(), RunFiles::default()).await.unwrap();
    assert_eq!(running.load(Ordering::SeqCst), 1);
    drop(client);
    until("the job is aborted", || running.load(Ordering::SeqCst) == 0).await;

    let (host, running) = host();
    let client = in_process(&host);
    client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    drop(client);
    until("the job is aborted", || running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_is_contact_lost_and_what_was_seen_stays() {
    let (node, _) = node().await;
    let client = session(&node).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("forever"), files, RunFiles::default()).await.unwrap();
    client.watch_figures(job, Duration::from_millis(10)).await.unwrap();
    client.view(job).unwrap().wait_for(|view| view.figures.is_some()).await.unwrap();
    let gone = Instant::now();
    drop(node);
    let mut contact = client.contact();
    contact.wait_for(Contact::is_lost).await.unwrap();
    assert!(gone.elapsed() < PATIENCE);
    assert!(matches!(client.wait(job).await, Err(ClientError::ContactLost { .. })));
    assert!(matches!(client.ping().await, Err(ClientError::ContactLost { .. })));
    assert!(client.view(job).unwrap().borrow().figures.is_some());
    while client.next_data().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_address_or_protocol_is_a_clear_error() {
    let (node, _) = node().await;
    let address = format!("ws://{}", node.address());
    for token in ["", "abc", &"0".repeat(64), "line\nbreak"] {
        let error = connect(&address, token).await.err().unwrap();
        assert!(matches!(error, ClientError::Refused { .. }), "{token:?}: {error}");
    }
    for wrong in
        ["127.0.0.1:7400", "wss://127.0.0.1:7400", "ws://127.0.0.1", "ws://192.0.2.1:7400", "ws://a.example:1", "ws://127.0.0.1:1/x", ""]
    {
        let error = connect(wrong, "x").await.err().unwrap();
        assert!(matches!(error, ClientError::Address { .. }), "{wrong}: {error}");
    }
    let error = connect("ws://127.0.0.1:1", "x").await.err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }) && error.is_retryable(), "{error}");
    let newer = millrace_cluster::socket::Transport { protocol: 3, ..Default::default() };
    let error = millrace_cluster::socket::connect_with(&address, &node.token().reveal(), newer).await.err().unwrap();
    assert!(matches!(&error, ClientError::Protocol { ours: 3, theirs, .. } if theirs == "2"), "{error}");
}

#[tokio::test]
async fn a_node_refuses_to_listen_where_others_reach_it() {
    for address in ["0.0.0.0:0", "192.0.2.7:7400", "[::]:0"] {
        let error = serve(address, host().0, NodeOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
    }
    assert_eq!(serve("nonsense", host().0, NodeOptions::default()).await.unwrap_err().code(), "MR0612");
}

use millrace_model::PortRef;
