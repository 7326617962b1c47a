//! The studio for a browser: the page and one WebSocket, on this machine's loopback.

mod assets;
mod guard;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rand::RngCore;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::studio::StudioHandle;
use guard::Guard;

/// Why the studio cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error("{address} is not an address of this machine's loopback: the studio is for this computer only")]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on {address}: {cause}")]
    Bind { address: SocketAddr, cause: std::io::Error },
    #[error("the studio's server ended: {0}")]
    Ended(std::io::Error),
}

/// A studio that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
    studio: StudioHandle,
}

#[derive(Clone)]
struct Shared {
    studio: StudioHandle,
    guard: Arc<Guard>,
}

impl Server {
    /// Binds to a loopback address; port 0 takes a free one. A new token is drawn each time.
    pub async fn bind(address: SocketAddr, studio: StudioHandle) -> Result<Server, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address).await.map_err(|cause| ServeError::Bind { address, cause })?;
        let address = listener.local_addr().map_err(|cause| ServeError::Bind { address, cause })?;
        Ok(Server { listener, address, token: draw_token(), studio })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser. The token stands behind `#`, so that no server log ever holds it.
    pub fn url(&self) -> String {
        format!("http://{}/#token={}", self.address, self.token)
    }

    /// Serves until `shutdown` is done.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let shared = Shared { studio: self.studio, guard: Arc::new(Guard::new(self.address, self.token)) };
        let routes = Router::new()
            .route("/api/session", get(socket::session))
            .fallback(assets::serve)
            .layer(middleware::from_fn_with_state(shared.clone(), guarded))
            .with_state(shared);
        axum::serve(self.listener, routes).with_graceful_shutdown(shutdown).await.map_err(ServeError::Ended)
    }
}

/// 32 random bytes as hex.
pub fn draw_token() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every request passes here first, whatever it asks for.
async fn guarded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if let Err(refusal) = shared.guard.host_and_origin(request.headers()) {
        tracing::warn!(%refusal, path = request.uri().path(), "refused");
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The page runs its own scripts and the charts' WebAssembly, and talks to this studio only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     font-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
