//! A node: an engine that listens. Nobody gets past the door without the token, or from elsewhere without a certificate of its cluster
//! ([`crate::trust`]), and browsers not even with it ([`door`]).

mod arrival;
mod door;
mod head;
mod listener;
mod sessions;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::NodeError;
use crate::host::EngineHost;
use crate::socket::{HANDSHAKE_PATIENCE, Patience};
use crate::trust::Guard;

pub(crate) use door::{Approach, Refused};
pub(crate) use sessions::Peer;
pub use token::Token;
pub(crate) use token::{hex, random};

/// How a node listens.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// A new one is made if absent.
    pub token: Option<Token>,
    /// Who is of the node's cluster; a node without knows no TLS, and listens to its own machine alone.
    pub guard: Option<Arc<Guard>>,
    /// The host and port under which others reach this node, where that is not where it listens (a forwarded port): `127.0.0.1:7400`.
    pub advertised: Option<String>,
    /// Sessions at once. One more is told so.
    pub max_sessions: usize,
    /// Connections that have not yet shown a token. One more ends the oldest of them.
    pub max_handshakes: usize,
    pub handshake_patience: Duration,
    pub patience: Patience,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            token: None,
            guard: None,
            advertised: None,
            max_sessions: 32,
            max_handshakes: 64,
            handshake_patience: HANDSHAKE_PATIENCE,
            patience: Patience::NODE,
        }
    }
}

/// A node that listens. It ends when this is dropped.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    token: Token,
    listening: JoinHandle<()>,
}

/// Listens at `listen` (`127.0.0.1:7400`; port 0 takes a free one), and serves `host` to those who know the token, or have a certificate of
/// the guard's cluster. Runs on the caller's tokio runtime.
///
/// # Errors
/// An address that other machines reach is refused without a guard: there is no TLS then.
pub async fn serve(listen: &str, host: EngineHost, options: NodeOptions) -> Result<Node, NodeError> {
    let wanted: Vec<SocketAddr> = match tokio::net::lookup_host(listen).await {
        Ok(found) => found.collect(),
        Err(_) => Vec::new(),
    };
    if options.guard.is_none()
        && let Some(beyond) = wanted.iter().find(|address| !address.ip().is_loopback())
    {
        return Err(NodeError::BeyondLoopback { address: *beyond });
    }
    let Some(first) = wanted.first().copied() else {
        return Err(NodeError::Address { address: listen.to_owned() });
    };
    let token = match options.token.clone() {
        Some(token) => token,
        None => Token::random()?,
    };
    let bind = |cause| NodeError::Bind { address: first, cause };
    let listener = TcpListener::bind(first).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let listening = tokio::spawn(listener::listen(listener, listener::Rooms::new(address, token.clone(), host, options)));
    Ok(Node { address, token, listening })
}

impl Node {
    /// Where it listens, with the port it got.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients must show.
    pub const fn token(&self) -> &Token {
        &self.token
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
