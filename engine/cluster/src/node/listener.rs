//! From an accepted connection to a served session.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_wire::FrameKind;
use millrace_wire::message::{NEWEST_PROTOCOL, PROTOCOL_VERSION, is_spoken};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::NodeOptions;
use super::door::{Door, Verdict};
use super::sessions::{Claim, Peer, Sessions};
use super::token::{Token, hex, random};
use crate::host::EngineHost;
use crate::link::link;
use crate::socket::{
    Arrival, NotResumed, PROTOCOL_HEADER, Pumps, RESUME_HEADER, Resumption, SESSION_HEADER, Side, WANTS_HEADER, control_config, data_config,
};

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
    /// Sessions that may be taken up again.
    held: Sessions<TcpStream>,
}

impl Rooms {
    pub fn new(address: SocketAddr, token: Token, host: EngineHost, options: NodeOptions) -> Rooms {
        let sessions = Arc::new(Semaphore::new(options.max_sessions));
        let door = Door::new(address, token).known_as(options.advertised.clone());
        Rooms { door, host, options, sessions, half_open: Mutex::default(), held: Sessions::default() }
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
    /// What the session can be taken up with; none if the peer speaks a protocol without that.
    key: Option<Token>,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
}

/// Reads the request, and opens what it may open. Gives a session if it began one.
async fn greet(rooms: &Rooms, mut stream: TcpStream, peer: SocketAddr) -> Option<Greeted> {
    let _ = stream.set_nodelay(true);
    let (mut request, rest) = match read_head(&mut stream).await {
        Ok(head) => head,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection sent no request");
            refuse(&mut stream, StatusCode::BAD_REQUEST).await;
            return None;
        }
    };
    let protocol = agree(&mut request);
    let opened = match rooms.door.judge(&request) {
        Verdict::Refuse(status, why) => Err((status, why)),
        Verdict::OpenControl if is_again(&request) => open_again(rooms, &mut stream, &request, protocol, FrameKind::Control).await,
        Verdict::OpenData(_) if is_again(&request) => open_again(rooms, &mut stream, &request, protocol, FrameKind::Data).await,
        Verdict::OpenControl => open_control(rooms, &mut stream, &request, protocol, peer).await,
        Verdict::OpenData(session) => open_data(rooms, &mut stream, &request, protocol, &session).await,
    };
    match opened {
        Ok(Opened::Control { id, key, data, place }) => {
            let control = upgraded(stream, rest, control_config()).await;
            Some(Greeted { control, data, id, key, peer, _place: place })
        }
        Ok(Opened::Data { session }) => {
            // Gone if the session ended meanwhile: then the socket closes.
            let _ = session.send(upgraded(stream, rest, data_config()).await);
            None
        }
        Ok(Opened::Again { line, kind }) => {
            let config = if kind == FrameKind::Data { data_config() } else { control_config() };
            // Gone if a later one came meanwhile.
            let _ = line.send(upgraded(stream, rest, config).await);
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
    Control { id: String, key: Option<Token>, data: oneshot::Receiver<Socket>, place: OwnedSemaphorePermit },
    Data { session: oneshot::Sender<Socket> },
    Again { line: oneshot::Sender<Socket>, kind: FrameKind },
}

type Refusal = (StatusCode, &'static str);

/// The protocol to speak with a peer. The door knows the oldest one alone, so a request that claims a newer one which is spoken here passes it as
/// that; any other is left for the door to refuse.
fn agree(request: &mut Request<()>) -> u16 {
    let claimed = only(request, PROTOCOL_HEADER).and_then(|claimed| Some((claimed.parse::<u16>().ok()?, claimed)));
    match claimed {
        Some((protocol, text)) if is_spoken(protocol) && text == protocol.to_string() => {
            request.headers_mut().insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL_VERSION));
            protocol
        }
        _ => PROTOCOL_VERSION,
    }
}

/// The value of a header that stands once.
fn only<'a>(request: &'a Request<()>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whether a request is for a socket of a session that stands.
fn is_again(request: &Request<()>) -> bool {
    request.headers().contains_key(RESUME_HEADER)
}

/// A socket of a session is dialled again. Its line looks whether it can go on, and closes the connection that it had.
async fn open_again(
    rooms: &Rooms,
    stream: &mut TcpStream,
    request: &Request<()>,
    protocol: u16,
    kind: FrameKind,
) -> Result<Opened, Refusal> {
    let mut response = accept(request, protocol)?;
    let claim = only(request, RESUME_HEADER).and_then(Claim::parse).filter(|_| protocol > PROTOCOL_VERSION);
    let claim = claim.ok_or((StatusCode::BAD_REQUEST, "what it would resume cannot be read"))?;
    let unknown = (StatusCode::NOT_FOUND, "there is no such session to resume, or it is another's");
    let line = rooms.held.find(&claim, &Peer::TokenHolder, kind).ok_or(unknown)?;
    let ((answer, answered), (sender, socket)) = (oneshot::channel(), oneshot::channel());
    let busy = (StatusCode::SERVICE_UNAVAILABLE, "it resumes a session too often");
    line.try_send(Arrival { wants: claim.wants, answer, socket }).map_err(|refused| match refused {
        TrySendError::Full(_) => busy,
        TrySendError::Closed(_) => unknown,
    })?;
    let wants = match answered.await {
        Ok(Ok(wants)) => wants,
        Ok(Err(NotResumed::Impossible)) => return Err((StatusCode::CONFLICT, "it wants frames that are gone or were never sent")),
        Ok(Err(NotResumed::TooOften)) => return Err(busy),
        Err(_) => return Err(unknown),
    };
    response.headers_mut().insert(HeaderName::from_static(WANTS_HEADER), HeaderValue::from(wants));
    write_head(stream, &response).await.map_err(|_| (StatusCode::BAD_REQUEST, "it left"))?;
    Ok(Opened::Again { line: sender, kind })
}

async fn open_control(
    rooms: &Rooms,
    stream: &mut TcpStream,
    request: &Request<()>,
    protocol: u16,
    peer: SocketAddr,
) -> Result<Opened, Refusal> {
    let mut response = accept(request, protocol)?;
    let full = (StatusCode::SERVICE_UNAVAILABLE, "the node serves as many sessions as it may");
    let place = rooms.sessions.clone().try_acquire_owned().map_err(|_| full)?;
    let no_randomness = (StatusCode::INTERNAL_SERVER_ERROR, "there is no randomness");
    let id = random::<16>().map(|bytes| hex(&bytes)).map_err(|_| no_randomness)?;
    response.headers_mut().insert(HeaderName::from_static(SESSION_HEADER), header(&id)?);
    let mut key = None;
    if protocol > PROTOCOL_VERSION {
        let made = Token::random().map_err(|_| no_randomness)?;
        response.headers_mut().insert(HeaderName::from_static(RESUME_HEADER), header(&made.reveal())?);
        key = Some(made);
    }
    let (sender, data) = oneshot::channel();
    {
        let mut half_open = rooms.half_open();
        half_open.retain(|_, waiting| !waiting.is_closed());
        half_open.insert(id.clone(), sender);
    }
    tracing::debug!(%peer, "a session began");
    write_head(stream, &response).await.map_err(|_| (StatusCode::BAD_REQUEST, "it left"))?;
    Ok(Opened::Control { id, key, data, place })
}

fn header(digits: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(digits).map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "digits are no header"))
}

async fn open_data(rooms: &Rooms, stream: &mut TcpStream, request: &Request<()>, protocol: u16, session: &str) -> Result<Opened, Refusal> {
    let response = accept(request, protocol)?;
    let waiting = rooms.half_open().remove(session).filter(|waiting| !waiting.is_closed());
    let session = waiting.ok_or((StatusCode::NOT_FOUND, "no session waits for this data socket"))?;
    write_head(stream, &response).await.map_err(|_| (StatusCode::BAD_REQUEST, "it left"))?;
    Ok(Opened::Data { session })
}

fn accept(request: &Request<()>, protocol: u16) -> Result<Response<()>, Refusal> {
    let mut response = create_response(request).map_err(|_| (StatusCode::BAD_REQUEST, "it is no WebSocket's request"))?;
    response.headers_mut().insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(protocol));
    Ok(response)
}

async fn upgraded(stream: TcpStream, rest: Vec<u8>, config: WebSocketConfig) -> Socket {
    WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await
}

async fn serve(rooms: Arc<Rooms>, greeted: Greeted) {
    let Greeted { control, data, id, key, peer, _place } = greeted;
    let came = timeout(rooms.options.handshake_patience, data).await;
    rooms.half_open().remove(&id);
    let Ok(Ok(data)) = came else {
        tracing::warn!(%peer, "a session ended: its data socket did not come");
        return;
    };
    let (client, host) = link();
    let side = Side::Node { out: client.answers, back: client.requests };
    let (_holding, resumption) = match key {
        Some(key) => {
            let (holding, arriving) = rooms.held.hold(id, key, Peer::TokenHolder);
            (Some(holding), Resumption::Arrivals { control: arriving.control, data: arriving.data })
        }
        None => (None, Resumption::None),
    };
    let (standing, patience) = (client.standing.clone(), rooms.options.patience);
    let pumps =
        Pumps { control, data, side, data_out: client.data_in, data_in: client.data_out, patience, resumption, standing: standing.clone() };
    let served = tokio::spawn({
        let engine = rooms.host.clone();
        async move { engine.serve(host).await }
    });
    let why = pumps.run().await;
    tracing::info!(%peer, resumes = standing.resumes(), "a session ended: {why}");
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
        headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(NEWEST_PROTOCOL));
    }
    // The peer may be gone; then there is nobody to tell.
    let _ = write_head(stream, &response).await;
    let _ = stream.shutdown().await;
}
