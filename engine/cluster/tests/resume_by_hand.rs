//! Peers that speak the protocol by hand and resume sessions as they like, or know nothing of it: what is not theirs they do not get, what they
//! lie about ends their own session, and the release before is served as it was.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use futures_util::{SinkExt, StreamExt};
use millrace_cluster::socket::{CONTROL_PATH, DATA_PATH, Transport, connect_with};
use millrace_cluster::{Contact, Node, RunFiles};
use millrace_wire::message::*;
use millrace_wire::{Decoded, Decoder, Encoder, Frame, FrameKind};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

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
            let text =
                |(name, value): (&tokio_tungstenite::tungstenite::http::HeaderName, &tokio_tungstenite::tungstenite::http::HeaderValue)| {
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

/// Whether a node that has answered all below `next` may want this: the last of them too, until it knows that its answer is on its way. What
/// comes again is known then.
const fn is_next(wants: u64, next: u64) -> bool {
    wants == next || wants + 1 == next
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
    assert!(is_next(wants, 2), "{wants}");
    for sequence in 0..2 {
        assert_eq!(next_frame(&mut session.control).await.unwrap().sequence, sequence);
    }
    // A repeat is ignored: only what is new is answered.
    send(&mut session.control, ping_frame(0)).await;
    send(&mut session.control, ping_frame(1)).await;
    assert_eq!(session.ask(2).await, Some(Reply::Pong { sent_us: 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn lying_numbers_end_the_session_and_of_nobody_else() {
    let (node, _) = node().await;
    let standing = common::session(&node).await;
    let acknowledged = |wants| Frame::acknowledgement(wants).encode().unwrap();
    let lies: Vec<(&str, Vec<Bytes>)> = vec![
        ("a gap", vec![ping_frame(2)]),
        ("an acknowledgement of what was never sent", vec![acknowledged(2)]),
        ("one beyond all numbers", vec![acknowledged(u64::MAX)]),
        ("one that goes back", vec![acknowledged(1), acknowledged(0)]),
        (
            "data on the control socket",
            vec![Encoder::new(FrameKind::Data).data(&DataHeader::EndOfJob { job: JobId(1) }, &Bytes::new()).unwrap().remove(0).to_bytes()],
        ),
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
    assert!(is_next(wants, 1), "{wants}");
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
    assert!(is_next(wants, 2 + served as u64), "the ping was taken once or not at all: {wants}");
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
    // Pings without end are answered until what is kept of the answers is full; the node still serves others. They come in two lots, since
    // the node bears no more of them unread than a peer may send that is acknowledged nothing.
    let mut answers = 0;
    for lot in [1..500, 500..900] {
        for sequence in lot {
            send(&mut session.control, ping_frame(sequence)).await;
        }
        while let Ok(Some(Ok(message))) = timeout(Duration::from_millis(700), session.control.next()).await {
            answers += usize::from(matches!(&message, Message::Binary(bytes) if Frame::decode(bytes).unwrap().kind == FrameKind::Control));
        }
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
            control.send(Message::Binary(frame.to_bytes())).await.unwrap();
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
                    control.send(Message::Binary(frame.to_bytes())).await.unwrap();
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
