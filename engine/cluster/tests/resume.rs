//! Sessions whose connections are dropped, over real sockets through a proxy: nothing is lost, nothing comes twice, and no job notices.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::proxy::Proxy;
use common::*;
use futures_util::{SinkExt, StreamExt};
use millrace_cluster::data::DataPayload;
use millrace_cluster::socket::{CONTROL_PATH, DATA_PATH, Patience, Transport, connect_with};
use millrace_cluster::{ClientError, Contact, EngineClient, Node, NodeOptions, RunFiles, serve};
use millrace_wire::figures::RunState;
use millrace_wire::message::*;
use millrace_wire::{Decoded, Decoder, Encoder, Frame, FrameKind};
use rand::{Rng, SeedableRng};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

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

async fn becomes(client: &EngineClient, what: &str, check: impl FnMut(&Contact) -> bool) -> Contact {
    let mut contact = client.contact();
    timeout(PATIENCE, contact.wait_for(check)).await.unwrap_or_else(|_| panic!("contact is not {what}")).unwrap().clone()
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
    assert!(matches!(&resuming, Contact::Resuming { why, .. } if why.contains("nothing was heard") || why.contains("silent")), "{resuming:?}");
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

type Socket = WebSocketStream<TcpStream>;

/// A client of our own making, which says what it likes.
async fn dial(node: &Node, path: &str, protocol: &str, headers: &[(&str, &str)]) -> Result<(Socket, Vec<(String, String)>), u16> {
    let uri = format!("ws://{}{path}", node.address()).parse().unwrap();
    let mut request = ClientRequestBuilder::new(uri)
        .with_header("Authorization", format!("Bearer {}", node.token().reveal()))
        .with_header("x-millrace-protocol", protocol);
    for (name, value) in headers {
        request = request.with_header(*name, *value);
    }
    let stream = TcpStream::connect(node.address()).await.unwrap();
    match client_async(request.into_client_request().unwrap(), stream).await {
        Ok((socket, response)) => {
            let text = |(name, value): (&tokio_tungstenite::tungstenite::http::HeaderName, &tokio_tungstenite::tungstenite::http::HeaderValue)| {
                (name.to_string(), value.to_str().unwrap().to_owned())
            };
            Ok((socket, response.headers().iter().map(text).collect()))
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn named(headers: &[(String, String)], name: &str) -> Option<String> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// A session that is spoken by hand.
struct ByHand {
    control: Socket,
    _data: Socket,
    id: String,
    key: String,
}

async fn by_hand(node: &Node) -> ByHand {
    let (control, headers) = dial(node, CONTROL_PATH, "2", &[]).await.unwrap();
    let (id, key) = (named(&headers, "x-millrace-session").unwrap(), named(&headers, "x-millrace-resume").unwrap());
    assert_eq!((key.len(), named(&headers, "x-millrace-protocol").as_deref()), (64, Some("2")));
    let (data, _) = dial(node, DATA_PATH, "2", &[("x-millrace-session", &id)]).await.unwrap();
    let mut held = ByHand { control, _data: data, id, key };
    // Its answer shows that the session stands.
    assert!(matches!(held.ask(0).await, Some(Reply::Pong { .. })));
    held
}

async fn send(socket: &mut Socket, bytes: Bytes) {
    let _ = socket.send(Message::Binary(bytes)).await;
}

/// The next frame that is no acknowledgement. None: the socket ended.
async fn next_frame(socket: &mut Socket) -> Option<Frame> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("neither a frame nor an end") {
            Some(Ok(Message::Binary(bytes))) => {
                let frame = Frame::decode(&bytes).unwrap();
                if frame.kind != FrameKind::Acknowledgement {
                    return Some(frame);
                }
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

impl ByHand {
    /// Sends the ping of this number and gives the reply to it.
    async fn ask(&mut self, sequence: u64) -> Option<Reply> {
        send(&mut self.control, ping_frame(sequence)).await;
        next_frame(&mut self.control).await.map(|frame| reply_of(&frame))
    }

    async fn again(&self, node: &Node, path: &str, wants: u64) -> Result<(Socket, u64), u16> {
        let claim = format!("{} {} {wants}", self.id, self.key);
        let mut headers = vec![("x-millrace-resume", claim.as_str())];
        if path == DATA_PATH {
            headers.push(("x-millrace-session", &self.id));
        }
        let (socket, headers) = dial(node, path, "2", &headers).await?;
        Ok((socket, named(&headers, "x-millrace-wants").unwrap().parse().unwrap()))
    }
}

fn reply_of(frame: &Frame) -> Reply {
    let control: Control = serde_json::from_slice(&frame.payload).unwrap();
    let Control::Reply { reply, .. } = control else { panic!("{control:?}") };
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_sent_again_and_what_comes_again_is_not_done_again() {
    let (node, _) = node().await;
    let mut session = by_hand(&node).await;
    assert!(session.ask(1).await.is_some());
    // Both replies came, and were never acknowledged: the node has to send them again to who says that it has none.
    let (control, wants) = session.again(&node, CONTROL_PATH, 0).await.unwrap();
    session.control = control;
    assert_eq!(wants, 2);
    for sequence in 0..2 {
        assert_eq!(next_frame(&mut session.control).await.unwrap().sequence, sequence);
    }
    // A repeat is ignored: only what is new is answered.
    send(&mut session.control, ping_frame(0)).await;
    send(&mut session.control, ping_frame(1)).await;
    assert_eq!(session.ask(2).await, Some(Reply::Pong { sent_us: 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn lying_numbers_end_the_session_and_nobody_else_s() {
    let (node, _) = node().await;
    let standing = common::session(&node).await;
    let acknowledged = |wants| Frame::acknowledgement(wants).encode().unwrap();
    let lies: Vec<(&str, Vec<Bytes>)> = vec![
        ("a gap", vec![ping_frame(2)]),
        ("an acknowledgement of what was never sent", vec![acknowledged(2)]),
        ("one beyond all numbers", vec![acknowledged(u64::MAX)]),
        ("one that goes back", vec![acknowledged(1), acknowledged(0)]),
        ("data on the control socket", vec![Encoder::new(FrameKind::Data).data(&DataHeader::EndOfJob { job: JobId(1) }, b"").unwrap().remove(0)]),
    ];
    for (what, frames) in lies {
        let mut session = by_hand(&node).await;
        for frame in frames {
            send(&mut session.control, frame).await;
        }
        assert_eq!(next_frame(&mut session.control).await, None, "{what}");
        let mut gone = session.again(&node, CONTROL_PATH, 1).await.map(|_| ());
        for _ in 0..100 {
            if gone != Err(404) {
                sleep(Duration::from_millis(20)).await;
                gone = session.again(&node, CONTROL_PATH, 1).await.map(|_| ());
            }
        }
        assert_eq!(gone, Err(404), "{what}");
        standing.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_was_spoilt_on_its_way_costs_the_connection_and_not_the_session() {
    let (node, _) = node().await;
    let mut session = by_hand(&node).await;
    let mut spoilt = ping_frame(1).to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    send(&mut session.control, Bytes::from(spoilt)).await;
    assert_eq!(next_frame(&mut session.control).await, None);
    let (control, wants) = session.again(&node, CONTROL_PATH, 1).await.unwrap();
    session.control = control;
    assert_eq!(wants, 1);
    assert_eq!(session.ask(1).await, Some(Reply::Pong { sent_us: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_key_cannot_take_a_session_up() {
    let (node, _) = node().await;
    let (mut one, other) = (by_hand(&node).await, by_hand(&node).await);
    let key = one.key.clone();
    let claims = [
        (format!("{} {} 1", one.id, other.key), 404),
        (format!("{} {} 1", one.id, "0".repeat(64)), 404),
        (format!("{} {} 1", "0".repeat(32), key), 404),
        (format!("{} {} 7", one.id, key), 409),
        (format!("{} {} {}", one.id, key, u64::MAX), 409),
        (format!("{} {} 99999999999999999999999", one.id, key), 400),
        (format!("{} {} -1", one.id, key), 400),
        (one.id.clone(), 400),
        (String::new(), 400),
    ];
    for (claim, expected) in claims {
        let status = dial(&node, CONTROL_PATH, "2", &[("x-millrace-resume", &claim)]).await.map(|_| ()).unwrap_err();
        assert_eq!(status, expected, "{claim}");
    }
    // A peer of the release before has no key, and cannot use one.
    let claim = format!("{} {key} 1", one.id);
    assert_eq!(dial(&node, CONTROL_PATH, "1", &[("x-millrace-resume", &claim)]).await.map(|_| ()), Err(400));
    assert!(one.ask(1).await.is_some(), "the session has not noticed");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_wants_what_it_had_acknowledged_is_refused() {
    let (node, _) = node().await;
    let mut session = by_hand(&node).await;
    assert!(session.ask(1).await.is_some());
    send(&mut session.control, Frame::acknowledgement(2).encode().unwrap()).await;
    assert!(session.ask(2).await.is_some());
    assert_eq!(session.again(&node, CONTROL_PATH, 1).await.map(|_| ()), Err(409));
    assert!(session.ask(3).await.is_some(), "the connection that stands is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_resume_at_once_the_later_wins_and_the_older_connection_is_closed() {
    let (node, _) = node().await;
    let mut session = by_hand(&node).await;
    let (mut first, _) = session.again(&node, CONTROL_PATH, 1).await.unwrap();
    assert_eq!(next_frame(&mut session.control).await, None, "the connection that stood is closed");
    let (second, _) = session.again(&node, CONTROL_PATH, 1).await.unwrap();
    assert_eq!(next_frame(&mut first).await, None, "and so is the one before the last");
    session.control = second;
    assert_eq!(session.ask(1).await, Some(Reply::Pong { sent_us: 1 }));
    let (a, b) = tokio::join!(session.again(&node, CONTROL_PATH, 2), session.again(&node, CONTROL_PATH, 2));
    let mut served = 0;
    for (mut control, _) in [a, b].into_iter().flatten() {
        send(&mut control, ping_frame(2)).await;
        served += usize::from(next_frame(&mut control).await.is_some());
    }
    assert!(served <= 1, "no more than one connection is served");
    let (control, wants) = session.again(&node, CONTROL_PATH, 2).await.unwrap();
    session.control = control;
    assert_eq!(wants, 2 + served as u64, "the ping was taken once or not at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resumes_is_sent_away_and_the_others_are_served() {
    let (node, _) = node().await;
    let standing = common::session(&node).await;
    let mut session = by_hand(&node).await;
    let mut refused = 0;
    for _ in 0..120 {
        refused += u32::from(session.again(&node, CONTROL_PATH, 1).await.map(|_| ()) == Err(503));
    }
    assert!(refused > 0, "nobody was sent away");
    standing.ping().await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    session.control = session.again(&node, CONTROL_PATH, 1).await.unwrap().0;
    assert!(session.ask(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_acknowledges_nothing_is_sent_no_more_than_is_kept_for_it() {
    let (node, _) = node().await;
    let mut session = by_hand(&node).await;
    let (_folder, files) = project(10);
    let client = common::session(&node).await;
    let job = client.deploy(deployment("flood"), files, RunFiles::default()).await.unwrap();
    // Pings without end are answered until what is kept of the answers is full; the node still serves others.
    for sequence in 1..900 {
        send(&mut session.control, ping_frame(sequence)).await;
    }
    let mut answers = 0;
    while let Ok(Some(Ok(message))) = timeout(Duration::from_millis(700), session.control.next()).await {
        answers += usize::from(matches!(&message, Message::Binary(bytes) if Frame::decode(bytes).unwrap().kind == FrameKind::Control));
    }
    assert!((400..=520).contains(&answers), "{answers}");
    client.ping().await.unwrap();
    client.stop(job, StopMode::Abort).await.unwrap();
    // Who acknowledges at last gets the rest.
    send(&mut session.control, Frame::acknowledgement(answers as u64 + 1).encode().unwrap()).await;
    assert!(next_frame(&mut session.control).await.is_some());
}

fn ping_frame(sequence: u64) -> Bytes {
    let ping = Control::Request { id: RequestId(1), request: Request::Ping { sent_us: sequence } };
    let payload = Bytes::from(serde_json::to_vec(&ping).unwrap());
    Frame { kind: FrameKind::Control, first: true, last: true, header_section: 0, message: sequence, sequence, payload }.encode().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_protocol_1_is_served_as_it_was_and_its_session_ends_with_its_connections() {
    let (node, running) = node().await;
    let (mut control, headers) = dial(&node, CONTROL_PATH, "1", &[]).await.unwrap();
    assert_eq!(named(&headers, "x-millrace-protocol").as_deref(), Some("1"));
    assert_eq!(named(&headers, "x-millrace-resume"), None, "it would not know what to do with a key");
    let id = named(&headers, "x-millrace-session").unwrap();
    let (mut data, _) = dial(&node, DATA_PATH, "1", &[("x-millrace-session", &id)]).await.unwrap();
    let (mut encoder, mut decoder) = (Encoder::new(FrameKind::Control), Decoder::new(FrameKind::Control));
    let mut ask = async |request: Request| {
        for frame in encoder.control(&Control::Request { id: RequestId(1), request }).unwrap() {
            control.send(Message::Binary(frame)).await.unwrap();
        }
        loop {
            // As the release before reads: any frame that is no control frame is an error.
            let Message::Binary(frame) = timeout(PATIENCE, control.next()).await.unwrap().unwrap().unwrap() else { continue };
            if let Some(Decoded::Control(message)) = decoder.take(&frame).unwrap()
                && let Control::Reply { reply, .. } = *message
            {
                return reply;
            }
        }
    };
    let stage = Request::Stage { deployment: deployment("forever"), folder: String::new(), inputs: Vec::new() };
    let Reply::Staged { job, .. } = ask(stage).await else { panic!() };
    assert!(matches!(ask(Request::Start { job }).await, Reply::Started { .. }));
    ask(Request::WatchResults { job, node: "chart".into(), on: true }).await;
    let mut rows = Decoder::new(FrameKind::Data);
    for _ in 0..200 {
        let Message::Binary(frame) = timeout(PATIENCE, data.next()).await.unwrap().unwrap().unwrap() else { continue };
        rows.take(&frame).unwrap();
        if running.load(Ordering::SeqCst) == 0 {
            panic!("the job ended");
        }
    }
    drop(data);
    until("the job is aborted with the connection", || running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_protocol_1_is_spoken_to_in_protocol_1_and_lost_with_its_connection() {
    let (address, opening) = old_node().await;
    let client = connect_with(&address, "x", Transport::default()).await.unwrap();
    let (mut control, data) = opening.await.unwrap();
    // As the release before reads and answers.
    let answering = tokio::spawn(async move {
        let (mut decoder, mut encoder) = (Decoder::new(FrameKind::Control), Encoder::new(FrameKind::Control));
        while let Some(Ok(message)) = control.next().await {
            let Message::Binary(frame) = message else { continue };
            if let Some(Decoded::Control(message)) = decoder.take(&frame).unwrap()
                && let Control::Request { id, request: Request::Ping { sent_us } } = *message
            {
                for frame in encoder.control(&Control::Reply { id, reply: Reply::Pong { sent_us } }).unwrap() {
                    control.send(Message::Binary(frame)).await.unwrap();
                }
            }
        }
    });
    for _ in 0..100 {
        client.ping().await.unwrap();
    }
    drop(data);
    let lost = becomes(&client, "lost", Contact::is_lost).await;
    assert!(lost.is_lost());
    assert_eq!(client.resumes(), 0);
    answering.abort();
}

/// A node of the release before: it knows protocol 1 and refuses any other.
async fn old_node() -> (String, tokio::task::JoinHandle<(Socket, Socket)>) {
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Asked, Response};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let opening = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while sockets.len() < 2 {
            let (stream, _) = listener.accept().await.unwrap();
            #[allow(clippy::result_large_err)]
            let judge = |asked: &Asked, mut response: Response| {
                let says = asked.headers().get("x-millrace-protocol").unwrap().to_str().unwrap().to_owned();
                if says != "1" {
                    let mut refusal = ErrorResponse::new(None);
                    *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::UPGRADE_REQUIRED;
                    refusal.headers_mut().insert("x-millrace-protocol", "1".parse().unwrap());
                    return Err(refusal);
                }
                response.headers_mut().insert("x-millrace-protocol", "1".parse().unwrap());
                response.headers_mut().insert("x-millrace-session", "s".parse().unwrap());
                Ok(response)
            };
            if let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, judge).await {
                sockets.push(socket);
            }
        }
        let data = sockets.pop().unwrap();
        (sockets.pop().unwrap(), data)
    });
    (address, opening)
}
