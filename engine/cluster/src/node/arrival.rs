//! What a connection shows of itself before its first request.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::door::Approach;
use crate::socket::Wire;
use crate::trust::{Admitted, Guard};

/// The first byte of a TLS handshake, which no request begins with.
const HANDSHAKE: u8 = 0x16;

pub struct Arrived {
    pub stream: Wire,
    pub approach: Approach,
}

/// Shakes hands with who speaks TLS, and lets others go on as they are: the door looks where they come from. None: it was refused, or wanted no
/// session.
pub async fn arrive(guard: Option<&Arc<Guard>>, stream: TcpStream, from: SocketAddr) -> Option<Arrived> {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let read = stream.peek(&mut first).await.ok()?;
    match guard {
        Some(guard) if read > 0 && first == [HANDSHAKE] => {
            let Admitted { stream, who } = guard.admit(stream, from).await?;
            Some(Arrived { stream: Wire::Tls(Box::new(TlsStream::Server(stream))), approach: Approach::Member(who) })
        }
        _ => Some(Arrived { stream: Wire::Plain(stream), approach: Approach::Plain(from) }),
    }
}
