//! From an accepted connection to a served session.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_wire::FrameKind;
use millrace_wire::message::{PROTOCOL_VERSION, is_spoken};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::NodeOptions;
use super::arrival::{Arrived, arrive};
use super::door::{Approach, Door, Refused, Verdict};
use super::head::{read_head, refuse, write_head};
use super::sessions::{Claim, Peer, Sessions};
use super::token::{Token, hex, random};
use crate::host::{Caller, EngineHost};
use crate::link::link;
use crate::socket::{
    Arrival, NotResumed, PROTOCOL_HEADER, Pumps, RESUME_HEADER, Resumption, SESSION_HEADER, Side, WANTS_HEADER, Wire, control_config,
    data_config,
};

/// Rest after an accept that failed, as when the process has no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<Wire>;

/// What connections share.
pub struct Rooms {
    door: Door,
    host: EngineHost,
    options: NodeOptions,
    sessions: Arc<Semaphore>,
    /// Sessions whose data socket has yet to come.
    half_open: Mutex<BTreeMap<String, HalfOpen>>,
    /// Sessions that may be taken up again.
    held: Sessions<Wire>,
}

/// A session whose data socket has yet to come, from who began it.
struct HalfOpen {
    peer: Peer,
    data: oneshot::Sender<Socket>,
}

impl Rooms {
    pub fn new(address: SocketAddr, token: Token, host: EngineHost, options: NodeOptions) -> Rooms {
        let sessions = Arc::new(Semaphore::new(options.max_sessions));
        let door = Door::new(address, token).known_as(options.advertised.clone());
        Rooms { door, host, options, sessions, half_open: Mutex::default(), held: Sessions::default() }
    }

    fn half_open(&self) -> MutexGuard<'_, BTreeMap<String, HalfOpen>> {
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
    caller: Caller,
    _place: OwnedSemaphorePermit,
}

/// Reads the request, and opens what it may open. Gives a session if it began one.
async fn greet(rooms: &Rooms, stream: TcpStream, from: SocketAddr) -> Option<Greeted> {
    let Arrived { mut stream, approach } = arrive(rooms.options.guard.as_ref(), stream, from).await?;
    let caller = Caller::at(&approach, from, rooms.options.guard.clone());
    let (mut request, rest) = match read_head(&mut stream).await {
        Ok(head) => head,
        Err(error) => {
            tracing::debug!(%from, %error, "a connection sent no request");
            refuse(&mut stream, Refused::with(StatusCode::BAD_REQUEST, "it sends no request")).await;
            return None;
        }
    };
    match open(rooms, &mut stream, &mut request, &approach).await {
        Ok(Opened::Control { id, key, data, place }) => {
            let control = upgraded(stream, rest, control_config()).await;
            caller.connected(None);
            Some(Greeted { control, data, id, key, caller, _place: place })
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
        Err(refused) => {
            tracing::warn!(%from, status = refused.status.as_u16(), code = refused.code(), "a connection was refused: {}", refused.why);
            caller.connected(Some(refused));
            refuse(&mut stream, refused).await;
            None
        }
    }
}

async fn open(rooms: &Rooms, stream: &mut Wire, request: &mut Request<()>, approach: &Approach) -> Result<Opened, Refused> {
    let (protocol, peer) = (agree(request), Peer::of(approach));
    match rooms.door.judge(approach, request) {
        Verdict::Refuse(refused) => Err(refused),
        Verdict::OpenControl if is_again(request) => open_again(rooms, stream, request, protocol, &peer, FrameKind::Control).await,
        Verdict::OpenData(_) if is_again(request) => open_again(rooms, stream, request, protocol, &peer, FrameKind::Data).await,
        Verdict::OpenControl => open_control(rooms, stream, request, protocol, peer).await,
        Verdict::OpenData(session) => open_data(rooms, stream, request, protocol, &peer, &session).await,
    }
}

enum Opened {
    Control { id: String, key: Option<Token>, data: oneshot::Receiver<Socket>, place: OwnedSemaphorePermit },
    Data { session: oneshot::Sender<Socket> },
    Again { line: oneshot::Sender<Socket>, kind: FrameKind },
}

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
    stream: &mut Wire,
    request: &Request<()>,
    protocol: u16,
    peer: &Peer,
    kind: FrameKind,
) -> Result<Opened, Refused> {
    let mut response = accept(request, protocol)?;
    let claim = only(request, RESUME_HEADER).and_then(Claim::parse).filter(|_| protocol > PROTOCOL_VERSION);
    let claim = claim.ok_or(Refused::with(StatusCode::BAD_REQUEST, "what it would resume cannot be read"))?;
    let unknown = Refused::with(StatusCode::NOT_FOUND, "there is no such session to resume, or it is another's");
    let line = rooms.held.find(&claim, peer, kind).ok_or(unknown)?;
    let ((answer, answered), (sender, socket)) = (oneshot::channel(), oneshot::channel());
    let busy = Refused::with(StatusCode::SERVICE_UNAVAILABLE, "it resumes a session too often");
    line.try_send(Arrival { wants: claim.wants, answer, socket }).map_err(|refused| match refused {
        TrySendError::Full(_) => busy,
        TrySendError::Closed(_) => unknown,
    })?;
    let wants = match answered.await {
        Ok(Ok(wants)) => wants,
        Ok(Err(NotResumed::Impossible)) => {
            return Err(Refused::with(StatusCode::CONFLICT, "it wants frames that are gone or were never sent"));
        }
        Ok(Err(NotResumed::TooOften)) => return Err(busy),
        Err(_) => return Err(unknown),
    };
    response.headers_mut().insert(HeaderName::from_static(WANTS_HEADER), HeaderValue::from(wants));
    reply(stream, &response).await?;
    Ok(Opened::Again { line: sender, kind })
}

async fn open_control(rooms: &Rooms, stream: &mut Wire, request: &Request<()>, protocol: u16, peer: Peer) -> Result<Opened, Refused> {
    let mut response = accept(request, protocol)?;
    let full = Refused::with(StatusCode::SERVICE_UNAVAILABLE, "the node serves as many sessions as it may");
    let place = rooms.sessions.clone().try_acquire_owned().map_err(|_| full)?;
    let no_randomness = Refused::with(StatusCode::INTERNAL_SERVER_ERROR, "there is no randomness");
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
        half_open.retain(|_, waiting| !waiting.data.is_closed());
        half_open.insert(id.clone(), HalfOpen { peer, data: sender });
    }
    reply(stream, &response).await?;
    Ok(Opened::Control { id, key, data, place })
}

fn header(digits: &str) -> Result<HeaderValue, Refused> {
    HeaderValue::from_str(digits).map_err(|_| Refused::with(StatusCode::INTERNAL_SERVER_ERROR, "digits are no header"))
}

async fn open_data(
    rooms: &Rooms,
    stream: &mut Wire,
    request: &Request<()>,
    protocol: u16,
    peer: &Peer,
    session: &str,
) -> Result<Opened, Refused> {
    let response = accept(request, protocol)?;
    let waiting = {
        let mut half_open = rooms.half_open();
        // Who did not begin it takes nobody's place.
        let is_its = half_open.get(session).is_some_and(|waiting| waiting.peer == *peer && !waiting.data.is_closed());
        is_its.then(|| half_open.remove(session)).flatten()
    };
    let waiting = waiting.ok_or(Refused::with(StatusCode::NOT_FOUND, "no session waits for this data socket"))?;
    reply(stream, &response).await?;
    Ok(Opened::Data { session: waiting.data })
}

fn accept(request: &Request<()>, protocol: u16) -> Result<Response<()>, Refused> {
    let response = create_response(request).map_err(|_| Refused::with(StatusCode::BAD_REQUEST, "it is no WebSocket's request"));
    let mut response = response?;
    response.headers_mut().insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(protocol));
    Ok(response)
}

async fn reply(stream: &mut Wire, response: &Response<()>) -> Result<(), Refused> {
    write_head(stream, response).await.map_err(|_| Refused::with(StatusCode::BAD_REQUEST, "it left"))
}

async fn upgraded(stream: Wire, rest: Vec<u8>, config: WebSocketConfig) -> Socket {
    WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await
}

async fn serve(rooms: Arc<Rooms>, greeted: Greeted) {
    let Greeted { control, data, id, key, caller, _place } = greeted;
    let from = caller.from();
    let came = timeout(rooms.options.handshake_patience, data).await;
    rooms.half_open().remove(&id);
    let Ok(Ok(data)) = came else {
        tracing::warn!(from, "a session ended: its data socket did not come");
        return;
    };
    let (client, host) = link();
    let side = Side::Node { out: client.answers, back: client.requests };
    let (_holding, resumption) = match key {
        Some(key) => {
            let (holding, arriving) = rooms.held.hold(id, key, caller.peer());
            (Some(holding), Resumption::Arrivals { control: arriving.control, data: arriving.data })
        }
        None => (None, Resumption::None),
    };
    let (standing, patience) = (client.standing.clone(), rooms.options.patience);
    let pumps =
        Pumps { control, data, side, data_out: client.data_in, data_in: client.data_out, patience, resumption, standing: standing.clone() };
    let served = tokio::spawn({
        let (engine, caller) = (rooms.host.clone(), caller.clone());
        async move { engine.serve_for(host, caller).await }
    });
    let why = tokio::select! {
        why = pumps.run() => why,
        // Its connections go at once, and the door lets none of it in again.
        () = caller.revoked() => "its certificate was revoked".to_owned(),
    };
    tracing::info!(from, resumes = standing.resumes(), "a session ended: {why}");
    // The pumps are gone, and with them the client's end: the host aborts the session's jobs.
    let _ = served.await;
}
