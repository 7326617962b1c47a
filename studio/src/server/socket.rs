//! One page's WebSocket: messages as text, frames as bytes.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header::ORIGIN};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use millrace_studio_api::{MAX_REQUEST_BYTES, Platform, SUBPROTOCOL};

use super::Shared;
use super::guard::Refusal;
use crate::session::{Outgoing, Session};

/// Lets a page in that shows the token. Refusals are empty, and come before the upgrade.
pub async fn session(State(shared): State<Shared>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if let Err(refusal) = shared.guard.token(&headers) {
        tracing::warn!(%refusal, origin = ?headers.get(ORIGIN), "session refused");
        let status = if refusal == Refusal::NoToken { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        return status.into_response();
    }
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MAX_REQUEST_BYTES)
        .max_frame_size(MAX_REQUEST_BYTES)
        .max_write_buffer_size(16 << 20)
        .on_upgrade(move |socket| async move {
            if let Some(session) = shared.studio.join(Platform::Browser).await {
                serve(socket, session).await;
            }
        })
}

/// Passes what comes and goes, until one side ends.
async fn serve(socket: WebSocket, mut session: Session) {
    let (mut sink, mut stream) = socket.split();
    loop {
        tokio::select! {
            outgoing = session.next() => {
                let message = match outgoing {
                    None => break,
                    Some(Outgoing::Frame(bytes)) => Message::Binary(bytes),
                    Some(Outgoing::Message(message)) => match serde_json::to_string(&*message) {
                        Ok(text) => Message::Text(text.into()),
                        Err(error) => {
                            tracing::error!(%error, "a message could not be written");
                            continue;
                        }
                    },
                };
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            incoming = stream.next() => match incoming {
                Some(Ok(Message::Text(text))) => session.ask_json(&text).await,
                Some(Ok(Message::Binary(_))) | None | Some(Err(_)) | Some(Ok(Message::Close(_))) => break,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            },
        }
    }
    session.leave().await;
}
