//! To a node.

use std::net::IpAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::pump::{Patience, Pumps, Side};
use super::{CONTROL_PATH, DATA_PATH, HANDSHAKE_PATIENCE, PROTOCOL_HEADER, SESSION_HEADER, control_config, data_config};
use crate::client::{Disk, EngineClient};
use crate::error::ClientError;
use crate::link::link;
use millrace_wire::message::PROTOCOL_VERSION;

/// How to speak to a node.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    pub patience: Patience,
    /// The protocol to claim; what this release speaks, but for tests.
    pub protocol: u16,
}

impl Default for Transport {
    fn default() -> Self {
        Transport { patience: Patience::ASKING, protocol: PROTOCOL_VERSION }
    }
}

/// Opens a session with the node at `address` (`ws://127.0.0.1:7400`), by the token that it printed.
pub async fn connect(address: &str, token: &str) -> Result<EngineClient, ClientError> {
    connect_with(address, token, Transport::default()).await
}

pub async fn connect_with(address: &str, token: &str, transport: Transport) -> Result<EngineClient, ClientError> {
    let dial = Dial { address, authority: authority(address)?, token, protocol: transport.protocol };
    let (control, response) = dial.open(CONTROL_PATH, None, control_config()).await?;
    let session = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let session = session.ok_or_else(|| dial.unreachable("it is no node of Millrace"))?;
    let (data, _) = dial.open(DATA_PATH, Some(&session), data_config()).await?;
    let (client_end, host_end) = link();
    let why_lost = client_end.why_lost.clone();
    let side = Side::Asking { out: host_end.requests, back: host_end.answers };
    let pumps = Pumps { control, data, side, data_out: host_end.data_in, data_in: host_end.data_out, patience: transport.patience };
    tokio::spawn(async move {
        // Told before the link's end is dropped, so that whoever sees the end finds the reason.
        pumps.run_and_tell(&why_lost).await;
    });
    Ok(EngineClient::new(client_end, Disk::Apart))
}

/// The part of the address that is dialled: `127.0.0.1:7400`.
fn authority(address: &str) -> Result<String, ClientError> {
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

struct Dial<'a> {
    address: &'a str,
    authority: String,
    token: &'a str,
    protocol: u16,
}

type Opened = (WebSocketStream<TcpStream>, Response);

impl Dial<'_> {
    fn unreachable(&self, why: impl ToString) -> ClientError {
        ClientError::Unreachable { address: self.address.to_owned(), why: why.to_string() }
    }

    async fn open(&self, path: &str, session: Option<&str>, config: WebSocketConfig) -> Result<Opened, ClientError> {
        let uri: Uri = format!("ws://{}{path}", self.authority).parse().map_err(|error| self.unreachable(error))?;
        let mut request = ClientRequestBuilder::new(uri)
            .with_header("Authorization", format!("Bearer {}", self.token.trim()))
            .with_header(PROTOCOL_HEADER, self.protocol.to_string());
        if let Some(session) = session {
            request = request.with_header(SESSION_HEADER, session);
        }
        // The token may hold what no header can: then it is not the node's.
        let request = request.into_client_request().map_err(|_| ClientError::Refused { address: self.address.to_owned() })?;
        let dialled = timeout(HANDSHAKE_PATIENCE, async {
            let stream = TcpStream::connect(&self.authority).await.map_err(Error::Io)?;
            stream.set_nodelay(true).map_err(Error::Io)?;
            client_async_with_config(request, stream, Some(config)).await
        });
        match dialled.await {
            Ok(Ok((socket, response))) => {
                self.check_protocol(&response)?;
                Ok((socket, response))
            }
            Ok(Err(Error::Http(response))) => Err(self.refusal(&response)),
            Ok(Err(Error::Io(error))) => Err(self.unreachable(error)),
            Ok(Err(error)) => Err(self.unreachable(format!("it does not answer as a node does ({error})"))),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs()))),
        }
    }

    fn check_protocol<T>(&self, response: &tokio_tungstenite::tungstenite::http::Response<T>) -> Result<(), ClientError> {
        let theirs = response.headers().get(PROTOCOL_HEADER).and_then(|version| version.to_str().ok());
        if theirs.is_some_and(|theirs| theirs == self.protocol.to_string()) {
            return Ok(());
        }
        // Shown to a person: no more of it than a version has.
        let theirs = theirs.unwrap_or("unknown").chars().take(20).collect();
        Err(ClientError::Protocol { address: self.address.to_owned(), ours: self.protocol, theirs })
    }

    fn refusal<T>(&self, response: &tokio_tungstenite::tungstenite::http::Response<T>) -> ClientError {
        let address = self.address.to_owned();
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ClientError::Refused { address },
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Full { address },
            StatusCode::UPGRADE_REQUIRED => match self.check_protocol(response) {
                Err(mismatch) => mismatch,
                Ok(()) => self.unreachable("it is no node of Millrace"),
            },
            status => self.unreachable(format!("it answers {status}, which no node does")),
        }
    }
}
