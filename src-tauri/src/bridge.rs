//! Between the page and the studio: one session, carried by a command and a channel.

use std::sync::{Mutex, PoisonError};

use millrace_studio::{Outgoing, Session, StudioHandle};
use millrace_studio_api::{Platform, frame::message_frame};
use tauri::ipc::{Channel, InvokeResponseBody};
use tauri::{AppHandle, Manager, State};
use tokio::sync::mpsc;

use crate::Opening;

/// Requests that may wait for the studio; after that the page waits.
const MAX_WAITING: usize = 256;

/// The studio, and the page's line to it.
pub struct Bridge {
    studio: StudioHandle,
    requests: Mutex<Option<mpsc::Sender<String>>>,
}

impl Bridge {
    pub fn new(studio: StudioHandle) -> Bridge {
        Bridge { studio, requests: Mutex::default() }
    }
}

/// Opens what the command line named.
pub fn open(app: &AppHandle, opening: Opening) {
    let (Some(path), Some(bridge)) = (opening.path, app.try_state::<Bridge>()) else { return };
    let studio = bridge.studio.clone();
    tauri::async_runtime::spawn(async move { studio.open(path, opening.run).await });
}

/// Opens the page's session. A page that was reloaded takes over from the one before.
#[tauri::command]
pub async fn subscribe(bridge: State<'_, Bridge>, channel: Channel<InvokeResponseBody>) -> Result<(), String> {
    let session = bridge.studio.join(Platform::Desktop).await.ok_or("the studio has ended")?;
    let (sender, requests) = mpsc::channel(MAX_WAITING);
    *bridge.requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    tauri::async_runtime::spawn(carry(session, requests, channel));
    Ok(())
}

/// Passes what comes and goes, until the page is gone or another took over.
async fn carry(mut session: Session, mut requests: mpsc::Receiver<String>, channel: Channel<InvokeResponseBody>) {
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(text) => session.ask_json(&text).await,
                None => break,
            },
            outgoing = session.next() => {
                let bytes = match outgoing {
                    None => break,
                    Some(Outgoing::Frame(bytes)) => bytes.to_vec(),
                    Some(Outgoing::Message(message)) => match message_frame(&message) {
                        Ok(bytes) => bytes,
                        Err(error) => {
                            tracing::error!(%error, "a message could not be written");
                            continue;
                        }
                    },
                };
                if channel.send(InvokeResponseBody::Raw(bytes)).is_err() {
                    break;
                }
            }
        }
    }
    session.leave().await;
}

/// One request, as JSON. Its answer comes over the channel.
#[tauri::command]
pub async fn request(bridge: State<'_, Bridge>, message: String) -> Result<(), String> {
    let sender = bridge.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let sender = sender.ok_or("no session is open")?;
    sender.send(message).await.map_err(|_| "the session is over".to_owned())
}
