//! To a node.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_wire::FrameKind;
use millrace_wire::message::{NEWEST_PROTOCOL, PROTOCOL_VERSION, is_spoken};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::{Request, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{
    CONTROL_PATH, DATA_PATH, HANDSHAKE_PATIENCE, PROTOCOL_HEADER, Patience, Pumps, RESUME_HEADER, Redial, Redialled, Resumption,
    SESSION_HEADER, Side, WANTS_HEADER, control_config, data_config,
};
use crate::client::{Disk, EngineClient};
use crate::error::ClientError;
use crate::link::link;

/// How to speak to a node.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    pub patience: Patience,
    /// The protocol to claim; what this release speaks, but for tests.
    pub protocol: u16,
}

impl Default for Transport {
    fn default() -> Self {
        Transport { patience: Patience::ASKING, protocol: NEWEST_PROTOCOL }
    }
}

/// Opens a session with the node at `address` (`ws://127.0.0.1:7400`), by the token that it printed.
pub async fn connect(address: &str, token: &str) -> Result<EngineClient, ClientError> {
    connect_with(address, token, Transport::default()).await
}

pub async fn connect_with(address: &str, token: &str, transport: Transport) -> Result<EngineClient, ClientError> {
    let authority = authority(address)?;
    let mut dial = Dial { address: address.to_owned(), authority, token: token.trim().to_owned(), protocol: transport.protocol };
    let (control, response) = match dial.open(CONTROL_PATH, &[], control_config()).await {
        // The release before does not know what this one speaks, and says what it does.
        Err(ClientError::Protocol { theirs, .. }) if dial.can_speak(&theirs) => {
            dial.protocol = theirs.parse().unwrap_or(dial.protocol);
            dial.open(CONTROL_PATH, &[], control_config()).await?
        }
        opened => opened?,
    };
    dial.protocol = dial.agreed(&response)?;
    let named = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let session = named(SESSION_HEADER).ok_or_else(|| dial.unreachable("it is no node of Millrace"))?;
    let (data, _) = dial.open(DATA_PATH, &[(SESSION_HEADER, &session)], data_config()).await?;
    let resumption = match named(RESUME_HEADER) {
        Some(key) if dial.protocol > PROTOCOL_VERSION => Resumption::Dial(Arc::new(Again { dial, session, key })),
        _ => Resumption::None,
    };
    let (client_end, host_end) = link();
    let (why_lost, standing) = (client_end.why_lost.clone(), client_end.standing.clone());
    let side = Side::Asking { out: host_end.requests, back: host_end.answers };
    let (data_out, data_in) = (host_end.data_in, host_end.data_out);
    let pumps = Pumps { control, data, side, data_out, data_in, patience: transport.patience, resumption, standing };
    tokio::spawn(async move {
        // Told before the link's end is dropped, so that whoever sees the end finds the reason.
        pumps.run_and_tell(&why_lost).await;
    });
    Ok(EngineClient::new(client_end, Disk::Apart))
}

/// The part of an address (`ws://127.0.0.1:7400`) that is dialled: `127.0.0.1:7400`.
///
/// # Errors
/// If it is no address of a node, or one that this release does not dial.
pub fn authority(address: &str) -> Result<String, ClientError> {
    let wrong = |why| ClientError::Address { address: address.to_owned(), why };
    let uri: Uri = address.parse().map_err(|_| wrong("write one like ws://127.0.0.1:7400"))?;
    match uri.scheme_str() {
        Some("ws") => {}
        Some("wss") => return Err(wrong("this release has no TLS; write ws://127.0.0.1:PORT and forward the port over SSH")),
        _ => return Err(wrong("write one like ws://127.0.0.1:7400")),
    }
    let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
        return Err(wrong("it has no port; write one like ws://127.0.0.1:7400"));
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(wrong("a host and a port is all there may be"));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if host != "localhost" && !bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        // The token would cross the network for all to read.
        return Err(wrong("without TLS a token may not leave this machine; forward the node's port over SSH and use ws://127.0.0.1:PORT"));
    }
    Ok(format!("{host}:{port}"))
}

#[derive(Debug)]
struct Dial {
    address: String,
    authority: String,
    token: String,
    protocol: u16,
}

type Opened = (WebSocketStream<TcpStream>, Response);

impl Dial {
    fn unreachable(&self, why: impl ToString) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), why: why.to_string() }
    }

    fn request(&self, path: &str, headers: &[(&str, &str)]) -> Result<Request<()>, ClientError> {
        let uri: Uri = format!("ws://{}{path}", self.authority).parse().map_err(|error| self.unreachable(error))?;
        let mut request = ClientRequestBuilder::new(uri)
            .with_header("Authorization", format!("Bearer {}", self.token))
            .with_header(PROTOCOL_HEADER, self.protocol.to_string());
        for (name, value) in headers {
            request = request.with_header(*name, *value);
        }
        // The token may hold what no header can: then it is not the node's.
        request.into_client_request().map_err(|_| ClientError::Refused { address: self.address.clone() })
    }

    async fn dial(&self, path: &str, headers: &[(&str, &str)], config: WebSocketConfig) -> Result<Result<Opened, Error>, ClientError> {
        let request = self.request(path, headers)?;
        let dialled = timeout(HANDSHAKE_PATIENCE, async {
            let stream = TcpStream::connect(&self.authority).await.map_err(Error::Io)?;
            stream.set_nodelay(true).map_err(Error::Io)?;
            client_async_with_config(request, stream, Some(config)).await
        });
        dialled.await.map_err(|_| self.unreachable(format!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs())))
    }

    async fn open(&self, path: &str, headers: &[(&str, &str)], config: WebSocketConfig) -> Result<Opened, ClientError> {
        match self.dial(path, headers, config).await? {
            Ok((socket, response)) => {
                self.agreed(&response)?;
                Ok((socket, response))
            }
            Err(Error::Http(response)) => Err(self.refusal(&response)),
            Err(Error::Io(error)) => Err(self.unreachable(error)),
            Err(error) => Err(self.unreachable(format!("it does not answer as a node does ({error})"))),
        }
    }

    /// The protocol that the node means to speak: what was claimed, or an older one that this release speaks, too.
    fn agreed<T>(&self, response: &tokio_tungstenite::tungstenite::http::Response<T>) -> Result<u16, ClientError> {
        let theirs = response.headers().get(PROTOCOL_HEADER).and_then(|version| version.to_str().ok());
        match theirs.and_then(|theirs| theirs.parse().ok()) {
            Some(agreed) if agreed == self.protocol || (agreed < self.protocol && is_spoken(agreed)) => Ok(agreed),
            _ => Err(self.mismatch(theirs)),
        }
    }

    fn mismatch(&self, theirs: Option<&str>) -> ClientError {
        // Shown to a person: no more of it than a version has.
        let theirs = theirs.unwrap_or("unknown").chars().take(20).collect();
        ClientError::Protocol { address: self.address.clone(), ours: self.protocol, theirs }
    }

    /// Whether an older protocol that a node says it speaks is one that may be spoken in place of the one that was claimed.
    fn can_speak(&self, theirs: &str) -> bool {
        is_spoken(self.protocol) && theirs.parse().is_ok_and(|theirs| is_spoken(theirs) && theirs < self.protocol)
    }

    fn refusal<T>(&self, response: &tokio_tungstenite::tungstenite::http::Response<T>) -> ClientError {
        let address = self.address.clone();
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ClientError::Refused { address },
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Full { address },
            StatusCode::UPGRADE_REQUIRED => match response.headers().get(PROTOCOL_HEADER).and_then(|version| version.to_str().ok()) {
                Some(theirs) if theirs != self.protocol.to_string() => self.mismatch(Some(theirs)),
                None => self.mismatch(None),
                Some(_) => self.unreachable("it is no node of Millrace"),
            },
            status => self.unreachable(format!("it answers {status}, which no node does")),
        }
    }
}

/// What it takes to dial a session's sockets again.
struct Again {
    dial: Dial,
    session: String,
    key: String,
}

impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Again").field("session", &self.session).finish_non_exhaustive()
    }
}

#[async_trait]
impl Redial<TcpStream> for Again {
    async fn dial(&self, kind: FrameKind, wants: u64) -> Redialled<TcpStream> {
        let resume = format!("{} {} {wants}", self.session, self.key);
        let resume = (RESUME_HEADER, resume.as_str());
        // The control socket's first request names no session, and neither does this one: the header does.
        let dialled = if kind == FrameKind::Data {
            self.dial.dial(DATA_PATH, &[resume, (SESSION_HEADER, &self.session)], data_config()).await
        } else {
            self.dial.dial(CONTROL_PATH, &[resume], control_config()).await
        };
        match dialled {
            Ok(Ok((socket, response))) => {
                let wants = response.headers().get(WANTS_HEADER).and_then(|wants| wants.to_str().ok()?.parse().ok());
                match wants {
                    Some(wants) => Redialled::Connected(Box::new(socket), wants),
                    None => Redialled::Gone("what answers there now is not the node that this session is with".to_owned()),
                }
            }
            // Every address that may be dialled without TLS is of this machine.
            Ok(Err(Error::Io(error))) if error.kind() == ErrorKind::ConnectionRefused => Redialled::NobodyListens(error.to_string()),
            Ok(Err(Error::Http(response))) => refused(response.status()),
            Ok(Err(error)) => Redialled::Later(error.to_string()),
            Err(error) => Redialled::Later(error.to_string()),
        }
    }
}

fn refused(status: StatusCode) -> Redialled<TcpStream> {
    match status {
        StatusCode::NOT_FOUND => Redialled::Gone("the node was restarted, or has given the session up: it does not know it".to_owned()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::UPGRADE_REQUIRED => {
            Redialled::Gone("the node was restarted: it does not let this side in any more".to_owned())
        }
        StatusCode::CONFLICT => Redialled::Gone("the node cannot go on with the session from what this side has".to_owned()),
        status => Redialled::Later(format!("the node answers {status}")),
    }
}
