//! What strangers, broken peers and floods do to a node, over real sockets. Whatever they do, a session that stands is served.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::*;
use futures_util::{SinkExt, StreamExt};
use millrace_cluster::socket::{CONTROL_PATH, DATA_PATH, Patience, Transport, connect_with};
use millrace_cluster::{Contact, Node, NodeOptions, RunFiles, serve};
use millrace_wire::frame::HEADER_BYTES;
use millrace_wire::message::*;
use millrace_wire::{Decoded, Decoder, Encoder, Frame, FrameKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Sends a request's head; gives the status and everything after the answer's head.
async fn ask(node: &Node, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    let mut head = format!("GET {CONTROL_PATH} HTTP/1.1\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.as_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_an_empty_refusal_before_the_upgrade() {
    let (node, _) = node().await;
    let host = node.address().to_string();
    let (good, other) = (format!("Bearer {}", node.token().reveal()), format!("Bearer {}", "0".repeat(64)));
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let cases: [(&[(&str, &str)], u16); 9] = [
        (&[("Host", &host)], 401),
        (&[("Host", &host), ("Authorization", "Bearer x")], 401),
        (&[("Host", &host), ("Authorization", &other)], 403),
        (&[("Host", &host), ("Authorization", &good), ("Origin", "http://evil.example")], 403),
        (&[("Host", &host), ("Authorization", &good), ("Origin", "null")], 403),
        (&[("Host", &host), ("Authorization", &good), ("Origin", &format!("http://{host}"))], 403),
        (&[("Host", "evil.example"), ("Authorization", &good)], 403),
        (&[("Authorization", &good)], 403),
        (&[("Host", &host), ("Authorization", &good)], 426),
    ];
    for (headers, expected) in cases {
        let all: Vec<(&str, &str)> = headers.iter().chain(&upgrade).copied().collect();
        let (status, body) = ask(&node, &all).await;
        assert_eq!((status, body.len()), (expected, 0), "{headers:?}");
        // A plain request, which a browser sends without asking, gets no more.
        assert_eq!(ask(&node, headers).await.0, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_socket_needs_a_session_that_waits_for_it() {
    let (node, _) = node().await;
    let standing = session(&node).await;
    for id in ["", "0", &"a".repeat(32)] {
        assert!(dial(&node, DATA_PATH, Some(id)).await.is_err());
    }
    let (mut control, id) = dial(&node, CONTROL_PATH, None).await.unwrap();
    drop(dial(&node, DATA_PATH, Some(&id)).await.unwrap());
    assert!(dial(&node, DATA_PATH, Some(&id)).await.is_err(), "an id serves once");
    assert!(is_dropped(&mut control).await, "a session without its data socket ends");
    standing.ping().await.unwrap();
}

type Socket = WebSocketStream<TcpStream>;

/// A client of our own making, which sends what it likes.
async fn dial(node: &Node, path: &str, session: Option<&str>) -> Result<(Socket, String), String> {
    let uri = format!("ws://{}{path}", node.address()).parse().unwrap();
    let mut request = ClientRequestBuilder::new(uri)
        .with_header("Authorization", format!("Bearer {}", node.token().reveal()))
        .with_header("x-millrace-protocol", "1");
    if let Some(session) = session {
        request = request.with_header("x-millrace-session", session);
    }
    let stream = TcpStream::connect(node.address()).await.unwrap();
    let config = WebSocketConfig::default().max_write_buffer_size(64 << 20);
    let dialled = client_async_with_config(request.into_client_request().unwrap(), stream, Some(config)).await;
    let (socket, response) = dialled.map_err(|error| error.to_string())?;
    let id = response.headers().get("x-millrace-session").map(|id| id.to_str().unwrap().to_owned());
    Ok((socket, id.unwrap_or_default()))
}

async fn open(node: &Node) -> (Socket, Socket) {
    let (control, id) = dial(node, CONTROL_PATH, None).await.unwrap();
    let (data, _) = dial(node, DATA_PATH, Some(&id)).await.unwrap();
    (control, data)
}

async fn is_dropped(socket: &mut Socket) -> bool {
    timeout(PATIENCE, async { while let Some(Ok(_)) = socket.next().await {} }).await.is_ok()
}

fn ping_frame(sequence: u64) -> Bytes {
    let mut encoder = Encoder::new(FrameKind::Control);
    let ping = Control::Request { id: RequestId(1), request: Request::Ping { sent_us: 5 } };
    (0..=sequence).map(|_| encoder.control(&ping).unwrap().remove(0)).last().unwrap().to_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_drop_the_peer_and_nobody_else() {
    let (node, _) = node().await;
    let standing = session(&node).await;
    let with = |at: usize, value: u8| {
        let mut bytes = ping_frame(0).to_vec();
        bytes[at] = value;
        Bytes::from(bytes)
    };
    let unknown = Frame {
        kind: FrameKind::Control,
        first: true,
        last: true,
        header_section: 0,
        message: 0,
        sequence: 0,
        payload: Bytes::from_static(br#"{"control":"request","id":1,"request":{"ask":"format_disk"}}"#),
    };
    let mut long = ping_frame(0).to_vec();
    long[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    let data = Encoder::new(FrameKind::Data).data(&DataHeader::EndOfJob { job: JobId(1) }, &Bytes::new()).unwrap().remove(0).to_bytes();
    let bad: Vec<(&str, Vec<Bytes>)> = vec![
        ("an unknown version", vec![with(2, 9)]),
        ("an unknown kind", vec![with(3, 9)]),
        ("a flipped bit", vec![with(HEADER_BYTES + 3, 0)]),
        ("no frame at all", vec![Bytes::from_static(b"hello")]),
        ("an unknown tag", vec![unknown.encode().unwrap()]),
        ("a length of 4 GiB", vec![Bytes::from(long)]),
        ("a doubled frame", vec![ping_frame(0), ping_frame(0)]),
        ("a lost frame", vec![ping_frame(0), ping_frame(2)]),
        ("data on the control socket", vec![data]),
    ];
    for (what, frames) in bad {
        let (mut control, _data) = open(&node).await;
        for frame in frames {
            control.send(Message::Binary(frame)).await.unwrap();
        }
        assert!(is_dropped(&mut control).await, "{what}");
        standing.ping().await.unwrap();
    }
    let (mut control, _data) = open(&node).await;
    control.send(Message::Text("hello".into())).await.unwrap();
    assert!(is_dropped(&mut control).await, "text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_length_of_four_gigabytes_and_then_silence_is_refused_at_once() {
    let (node, _) = node().await;
    let standing = session(&node).await;
    for path in [CONTROL_PATH, DATA_PATH] {
        let (control, data) = open(&node).await;
        let (mut lying, other) = if path == CONTROL_PATH { (control, data) } else { (data, control) };
        // FIN and binary, masked, a length of 64 bits, the mask, and nothing more.
        let mut head = vec![0x82, 0xff];
        head.extend_from_slice(&(4u64 << 30).to_be_bytes());
        head.extend_from_slice(&[1, 2, 3, 4]);
        let begun = Instant::now();
        lying.get_mut().write_all(&head).await.unwrap();
        assert!(is_dropped(&mut lying).await && begun.elapsed() < PATIENCE, "{path}");
        drop(other);
    }
    standing.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_without_end_and_floods_of_pings_end_the_peer() {
    let (node, _) = node().await;
    let standing = session(&node).await;

    // Fragments of a WebSocket's own, each within the limits.
    let (mut control, _data) = open(&node).await;
    let mut fragments = vec![0x02, 0x80, 0, 0, 0, 0];
    let mut next = vec![0x00, 0xfe];
    next.extend_from_slice(&60_000u16.to_be_bytes());
    next.extend_from_slice(&[0; 4]);
    next.resize(next.len() + 60_000, 0);
    fragments.extend(next.repeat(20));
    let _ = control.get_mut().write_all(&fragments).await;
    assert!(is_dropped(&mut control).await, "fragments");

    for which in 0..2 {
        let (control, data) = open(&node).await;
        let (mut flooding, _other) = if which == 0 { (control, data) } else { (data, control) };
        for _ in 0..5000 {
            if flooding.feed(Message::Ping(Bytes::new())).await.is_err() {
                break;
            }
        }
        let _ = flooding.flush().await;
        assert!(is_dropped(&mut flooding).await, "pings");
    }
    assert!(standing.ping().await.unwrap() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_dawdle_are_ended_and_a_crowd_of_them_keeps_nobody_out() {
    let (host, _) = host();
    let options = NodeOptions { handshake_patience: Duration::from_millis(1500), max_handshakes: 16, ..NodeOptions::default() };
    let node = serve("127.0.0.1:0", host, options).await.unwrap();
    let standing = session(&node).await;
    let mut slow = TcpStream::connect(node.address()).await.unwrap();
    slow.write_all(b"GET /control HTTP/1.1\r\nHost: ").await.unwrap();
    let begun = Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(TcpStream::connect(node.address()).await.unwrap());
    }
    standing.ping().await.unwrap();
    session(&node).await.ping().await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, slow.read_to_end(&mut rest)).await.unwrap();
    assert!(begun.elapsed() < PATIENCE);
    let mut long = TcpStream::connect(node.address()).await.unwrap();
    let _ = long.write_all(&[b"GET /control HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 40_000]].concat()).await;
    let _ = timeout(PATIENCE, long.read_to_end(&mut rest)).await.expect("a head too long is refused at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_too_many_is_told_so() {
    let (host, _) = host();
    let node = serve("127.0.0.1:0", host, NodeOptions { max_sessions: 2, ..NodeOptions::default() }).await.unwrap();
    let (first, _second) = (session(&node).await, session(&node).await);
    let address = format!("ws://{}", node.address());
    let error = millrace_cluster::connect(&address, &node.token().reveal()).await.err().unwrap();
    assert!(matches!(error, millrace_cluster::ClientError::Full { .. }), "{error}");
    drop(first);
    for _ in 0..100 {
        if millrace_cluster::connect(&address, &node.token().reveal()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a place that was given back is not taken");
}

/// Sends a request and waits for its reply.
async fn request(control: &mut Socket, encoder: &mut Encoder, decoder: &mut Decoder, request: Request) -> Reply {
    for frame in encoder.control(&Control::Request { id: RequestId(1), request }).unwrap() {
        control.send(Message::Binary(frame.to_bytes())).await.unwrap();
    }
    loop {
        let Message::Binary(frame) = timeout(PATIENCE, control.next()).await.unwrap().unwrap().unwrap() else { continue };
        if let Some(Decoded::Control(message)) = decoder.take(&frame).unwrap()
            && let Control::Reply { reply, .. } = *message
        {
            return reply;
        }
    }
}

fn stage(path: &str, bytes: u64, folder: &str) -> Request {
    let inputs = vec![InputFile { path: path.to_owned(), bytes }];
    Request::Stage { deployment: deployment("copy"), folder: folder.to_owned(), inputs }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_lead_out_lie_or_come_doubled_start_nothing() {
    let (node, running) = node().await;
    let (mut control, mut data) = open(&node).await;
    let (mut encoder, mut decoder, mut parts) =
        (Encoder::new(FrameKind::Control), Decoder::new(FrameKind::Control), Encoder::new(FrameKind::Data));
    for (path, folder) in [("../secret", ""), ("/etc/passwd", ""), ("a/../../b", ""), ("a\\..\\b", ""), ("ok", "../up"), ("ok", "/abs")] {
        let reply = request(&mut control, &mut encoder, &mut decoder, stage(path, 4, folder)).await;
        assert!(matches!(&reply, Reply::Failed { diagnostic } if diagnostic.code == "MR0630"), "{path} {folder}: {reply:?}");
    }
    let reply = request(&mut control, &mut encoder, &mut decoder, stage("big", u64::MAX, "")).await;
    assert!(matches!(&reply, Reply::Failed { diagnostic } if diagnostic.code == "MR0632"), "{reply:?}");

    let lies: [&[(&str, u64, bool, &str)]; 5] = [
        &[("data/in.csv", 2, true, "ab")],
        &[("data/in.csv", 0, false, "ab"), ("data/in.csv", 0, false, "ab")],
        &[("data/in.csv", 0, true, "abcdefgh")],
        &[("data/in.csv", 0, true, "ab")],
        &[("data/other.csv", 0, true, "abcd")],
    ];
    for lie in lies {
        let Reply::Staged { job, wanted } = request(&mut control, &mut encoder, &mut decoder, stage("data/in.csv", 4, "")).await else {
            panic!()
        };
        assert_eq!(wanted, ["data/in.csv"]);
        for (path, offset, last, text) in lie {
            let header = DataHeader::InputFile { job, path: (*path).to_owned(), offset: *offset, last: *last };
            for frame in parts.data(&header, &Bytes::copy_from_slice(text.as_bytes())).unwrap() {
                data.send(Message::Binary(frame.to_bytes())).await.unwrap();
            }
        }
        let reply = request(&mut control, &mut encoder, &mut decoder, Request::Start { job }).await;
        assert!(matches!(&reply, Reply::Failed { diagnostic } if diagnostic.code == "MR0631"), "{lie:?}: {reply:?}");
    }
    assert_eq!(running.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// A node of our own making: lets anyone in, and then does what the test says.
async fn false_node() -> (String, tokio::task::JoinHandle<(Socket, Socket)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let opening = tokio::spawn(async move {
        let mut sockets = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            #[allow(clippy::result_large_err)]
            let shown = |_: &tokio_tungstenite::tungstenite::handshake::server::Request,
                         mut response: tokio_tungstenite::tungstenite::handshake::server::Response| {
                response.headers_mut().insert("x-millrace-protocol", "1".parse().unwrap());
                response.headers_mut().insert("x-millrace-session", "s".parse().unwrap());
                Ok(response)
            };
            sockets.push(tokio_tungstenite::accept_hdr_async(stream, shown).await.unwrap());
        }
        let data = sockets.pop().unwrap();
        (sockets.pop().unwrap(), data)
    });
    (address, opening)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_is_contact_lost() {
    let (address, opening) = false_node().await;
    let patience = Patience { silence: Duration::from_millis(800), ..Patience::ASKING };
    let client = connect_with(&address, "x", Transport { patience, ..Transport::default() }).await.unwrap();
    // The sockets stay open, and nobody answers.
    let _sockets = opening.await.unwrap();
    let begun = Instant::now();
    let mut contact = client.contact();
    contact.wait_for(Contact::is_lost).await.unwrap();
    assert!(begun.elapsed() < PATIENCE);
    let Contact::Lost { why, .. } = contact.borrow().clone() else { panic!() };
    // Of the two connections either may be the first to notice.
    assert!(why.contains("nothing was heard") || why.contains("was silent"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_lying_offsets_end_the_session_with_a_reason_and_no_panic() {
    let bytes = millrace_runtime::arrow_bridge::encode_ipc(batch_of(50).frame()).unwrap();
    let header = DataHeader::Results { job: JobId(1), node: "chart".into(), dropped: 0, newest_us: 1 };
    let mut wrong = vec![bytes[..bytes.len() / 2].to_vec(), vec![0xff; 64]];
    // Every place in turn gets a value no honest writer would put there; whatever decodes must still be rows.
    wrong.extend((0..bytes.len()).step_by(41).map(|at| {
        let mut lie = bytes.clone();
        lie[at] = 0xff;
        lie
    }));
    for (which, lie) in wrong.into_iter().enumerate() {
        let (address, opening) = false_node().await;
        let client = connect_with(&address, "x", Transport::default()).await.unwrap();
        let (_control, mut data) = opening.await.unwrap();
        for frame in Encoder::new(FrameKind::Data).data(&header, &Bytes::from(lie)).unwrap() {
            data.send(Message::Binary(frame.to_bytes())).await.unwrap();
        }
        let mut contact = client.contact();
        let told = timeout(PATIENCE, async {
            tokio::select! {
                item = client.next_data() => item.map(|item| item.payload.rows()),
                _ = contact.wait_for(Contact::is_lost) => None,
            }
        });
        let rows = told.await.unwrap();
        assert!(which > 1 || rows.is_none(), "bytes that are no rows were taken for {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_slow_gets_the_newest_rows_and_the_count_of_the_others_while_control_answers() {
    let (host, _) = host();
    let node = serve("127.0.0.1:0", host, NodeOptions::default()).await.unwrap();
    let client = session(&node).await;
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("flood"), files, RunFiles::default()).await.unwrap();
    client.watch_results(job, "chart".into(), true).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // Nobody has read a row; a stop still answers at once.
    let asked = Instant::now();
    client.ping().await.unwrap();
    client.stop(job, StopMode::Abort).await.unwrap();
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    client.wait(job).await.unwrap();
    let item = client.next_data().await.unwrap();
    assert!(matches!(item.header, DataHeader::Results { dropped, .. } if dropped > 0), "{:?}", item.header);
}
