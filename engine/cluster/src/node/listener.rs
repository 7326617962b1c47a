//! From an accepted connection to a served session.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_wire::message::PROTOCOL_VERSION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::NodeOptions;
use super::door::{Door, Verdict};
use super::token::{Token, hex, random};
use crate::host::EngineHost;
use crate::link::link;
use crate::socket::{PROTOCOL_HEADER, Pumps, SESSION_HEADER, Side, control_config, data_config};

/// Longest request head that is read.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most headers in it.
const MAX_HEADERS: usize = 64;
/// Rest after an accept that failed, as when the process has no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<TcpStream>;

/// What connections share.
pub struct Rooms {
    door: Door,
    host: EngineHost,
    options: NodeOptions,
    sessions: Arc<Semaphore>,
    /// Sessions whose data socket has yet to come.
    half_open: Mutex<BTreeMap<String, oneshot::Sender<Socket>>>,
}

impl Rooms {
    pub fn new(address: SocketAddr, token: Token, host: EngineHost, options: NodeOptions) -> Rooms {
        let sessions = Arc::new(Semaphore::new(options.max_sessions));
        Rooms { door: Door::new(address, token), host, options, sessions, half_open: Mutex::default() }
    }

    fn half_open(&self) -> MutexGuard<'_, BTreeMap<String, oneshot::Sender<Socket>>> {
        self.half_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until it is dropped; the sessions end with it.
pub async fn listen(listener: TcpListener, rooms: Rooms) {
    let rooms = Arc::new(rooms);
    let mut greetings: JoinSet<Option<Greeted>> = JoinSet::new();
    let mut waiting: VecDeque<AbortHandle> = VecDeque::new();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    waiting.retain(|greeting| !greeting.is_finished());
                    if waiting.len() >= rooms.options.max_handshakes
                        && let Some(oldest) = waiting.pop_front()
                    {
                        // A crowd of silent connections makes room for one that may speak; who speaks takes a millisecond.
                        oldest.abort();
                    }
                    let rooms = rooms.clone();
                    waiting.push_back(greetings.spawn(async move {
                        let patience = rooms.options.handshake_patience;
                        timeout(patience, greet(&rooms, stream, peer)).await.ok().flatten()
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
            Some(greeted) = greetings.join_next() => {
                if let Ok(Some(greeted)) = greeted {
                    sessions.spawn(serve(rooms.clone(), greeted));
                }
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

/// A session whose control socket stands.
struct Greeted {
    control: Socket,
    data: oneshot::Receiver<Socket>,
    id: String,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
}

/// Reads the request, and opens what it may open. Gives a session if it began one.
async fn greet(rooms: &Rooms, mut stream: TcpStream, peer: SocketAddr) -> Option<Greeted> {
    let _ = stream.set_nodelay(true);
    let (request, rest) = match read_head(&mut stream).await {
        Ok(head) => head,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection sent no request");
            refuse(&mut stream, StatusCode::BAD_REQUEST).await;
            return None;
        }
    };
    let opened = match rooms.door.judge(&request) {
        Verdict::OpenControl => open_control(rooms, &mut stream, &request, peer).await,
        Verdict::OpenData(session) => open_data(rooms, &mut stream, &request, &session).await,
        Verdict::Refuse(status, why) => Err((status, why)),
    };
    match opened {
        Ok(Opened::Control { id, data, place }) => {
            let control = upgraded(stream, rest, control_config()).await;
            Some(Greeted { control, data, id, peer, _place: place })
        }
        Ok(Opened::Data { session }) => {
            // Gone if the session ended meanwhile: then the socket closes.
            let _ = session.send(upgraded(stream, rest, data_config()).await);
            None
        }
        Err((status, why)) => {
            tracing::warn!(%peer, status = status.as_u16(), "a connection was refused: {why}");
            refuse(&mut stream, status).await;
            None
        }
    }
}

enum Opened {
    Control { id: String, data: oneshot::Receiver<Socket>, place: OwnedSemaphorePermit },
    Data { session: oneshot::Sender<Socket> },
}

type Refusal = (StatusCode, &'static str);

async fn open_control(rooms: &Rooms, stream: &mut TcpStream, request: &Request<()>, peer: SocketAddr) -> Result<Opened, Refusal> {
    let mut response = accept(request)?;
    let full = (StatusCode::SERVICE_UNAVAILABLE, "the node serves as many sessions as it may");
    let place = rooms.sessions.clone().try_acquire_owned().map_err(|_| full)?;
    let id = random::<16>().map(|bytes| hex(&bytes)).map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "there is no randomness"))?;
    let shown = HeaderValue::from_str(&id).map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the id is no header"))?;
    response.headers_mut().insert(HeaderName::from_static(SESSION_HEADER), shown);
    let (sender, data) = oneshot::channel();
    {
        let mut half_open = rooms.half_open();
        half_open.retain(|_, waiting| !waiting.is_closed());
        half_open.insert(id.clone(), sender);
    }
    tracing::debug!(%peer, "a session began");
    write_head(stream, &response).await.map_err(|_| (StatusCode::BAD_REQUEST, "it left"))?;
    Ok(Opened::Control { id, data, place })
}

async fn open_data(rooms: &Rooms, stream: &mut TcpStream, request: &Request<()>, session: &str) -> Result<Opened, Refusal> {
    let response = accept(request)?;
    let waiting = rooms.half_open().remove(session).filter(|waiting| !waiting.is_closed());
    let session = waiting.ok_or((StatusCode::NOT_FOUND, "no session waits for this data socket"))?;
    write_head(stream, &response).await.map_err(|_| (StatusCode::BAD_REQUEST, "it left"))?;
    Ok(Opened::Data { session })
}

fn accept(request: &Request<()>) -> Result<Response<()>, Refusal> {
    let mut response = create_response(request).map_err(|_| (StatusCode::BAD_REQUEST, "it is no WebSocket's request"))?;
    response.headers_mut().insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL_VERSION));
    Ok(response)
}

async fn upgraded(stream: TcpStream, rest: Vec<u8>, config: WebSocketConfig) -> Socket {
    WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await
}

async fn serve(rooms: Arc<Rooms>, greeted: Greeted) {
    let Greeted { control, data, id, peer, _place } = greeted;
    let came = timeout(rooms.options.handshake_patience, data).await;
    rooms.half_open().remove(&id);
    let Ok(Ok(data)) = came else {
        tracing::warn!(%peer, "a session ended: its data socket did not come");
        return;
    };
    let (client, host) = link();
    let side = Side::Node { out: client.answers, back: client.requests };
    let pumps = Pumps { control, data, side, data_out: client.data_in, data_in: client.data_out, patience: rooms.options.patience };
    let served = tokio::spawn({
        let engine = rooms.host.clone();
        async move { engine.serve(host).await }
    });
    let why = pumps.run().await;
    tracing::info!(%peer, "a session ended: {why}");
    // The pumps are gone, and with them the client's end: the host aborts the session's jobs.
    let _ = served.await;
}

/// Reads up to the empty line; what came after it belongs to the socket.
async fn read_head(stream: &mut TcpStream) -> io::Result<(Request<()>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some((request, length)) = parse_head(&bytes)? {
            return Ok((request, bytes.split_off(length)));
        }
        if bytes.len() >= MAX_HEAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
        let room = (MAX_HEAD_BYTES - bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request<()>, usize)>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(|error| wrong(error.to_string()))? else {
        return Ok(None);
    };
    // Before HTTP 1.1 there are no upgrades; a version that the parser knows is 1.0 or 1.1.
    if head.version != Some(1) {
        return Err(wrong("the request is not of HTTP 1.1".to_owned()));
    }
    let method = Method::from_bytes(head.method.unwrap_or_default().as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let mut request = Request::builder().method(method).uri(head.path.unwrap_or_default());
    for header in head.headers.iter() {
        request = request.header(header.name, header.value);
    }
    request.body(()).map(|request| Some((request, length))).map_err(|error| wrong(error.to_string()))
}

async fn write_head(stream: &mut TcpStream, response: &Response<()>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await?;
    stream.flush().await
}

/// An empty answer. Only who showed the token gets past the door far enough to be told the protocol.
async fn refuse(stream: &mut TcpStream, status: StatusCode) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("0"));
    headers.insert("connection", HeaderValue::from_static("close"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL_VERSION));
    }
    // The peer may be gone; then there is nobody to tell.
    let _ = write_head(stream, &response).await;
    let _ = stream.shutdown().await;
}
