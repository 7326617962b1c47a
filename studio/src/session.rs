//! One screen's line to the studio, whatever carries it.

use std::sync::Arc;

use bytes::Bytes;
use millrace_studio_api::frame::WINDOW;
use millrace_studio_api::{ApiError, ClientMessage, MAX_REQUEST_BYTES, Outcome, Platform, ServerMessage};
use tokio::sync::mpsc;

use crate::studio::Command;

/// Messages that may wait for a screen. One that lets more pile up is let go; it joins anew and is told everything.
const MAX_WAITING: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What goes to a screen.
#[derive(Debug, Clone)]
pub enum Outgoing {
    Message(Arc<ServerMessage>),
    Frame(Bytes),
}

/// The screen's end.
pub struct Session {
    id: SessionId,
    commands: mpsc::Sender<Command>,
    outgoing: mpsc::Receiver<Outgoing>,
}

/// The studio's end.
#[derive(Debug)]
pub struct Outbox {
    pub platform: Platform,
    sender: mpsc::Sender<Outgoing>,
    /// Frames sent and not acknowledged.
    under_way: u32,
    /// Whether the screen was let go because it did not read.
    lost: bool,
}

/// Both ends of a line.
pub fn line(id: SessionId, platform: Platform, commands: mpsc::Sender<Command>) -> (Session, Outbox) {
    let (sender, outgoing) = mpsc::channel(MAX_WAITING);
    (Session { id, commands, outgoing }, Outbox { platform, sender, under_way: 0, lost: false })
}

impl Session {
    /// What to send next; none once the studio has let this screen go. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Outgoing> {
        self.outgoing.recv().await
    }

    /// Passes a request on as it came. One that cannot be read is answered with an error.
    pub async fn ask_json(&self, text: &str) {
        let asked = if text.len() > MAX_REQUEST_BYTES {
            Err("the request is too long".to_owned())
        } else {
            serde_json::from_str::<ClientMessage>(text).map_err(|error| error.to_string())
        };
        let command = match asked {
            Ok(message) => Command::Ask { session: self.id, message },
            Err(problem) => Command::Unreadable { session: self.id, problem },
        };
        let _ = self.commands.send(command).await;
    }

    pub async fn leave(self) {
        let _ = self.commands.send(Command::Leave { session: self.id }).await;
    }
}

impl Outbox {
    pub fn is_lost(&self) -> bool {
        self.lost || self.sender.is_closed()
    }

    pub fn message(&mut self, message: Arc<ServerMessage>) {
        self.push(Outgoing::Message(message));
    }

    pub fn reply(&mut self, id: u32, outcome: Outcome) {
        if id != 0 {
            self.message(Arc::new(ServerMessage::Reply { id, outcome }));
        }
    }

    fn push(&mut self, outgoing: Outgoing) {
        if self.sender.try_send(outgoing).is_err() {
            self.lost = true;
        }
    }

    /// Whether another frame may be under way.
    pub fn has_room(&self) -> bool {
        self.under_way < WINDOW
    }

    /// Sends a frame if the screen keeps up. False: the frame was not sent.
    pub fn frame(&mut self, frame: Bytes) -> bool {
        if !self.has_room() {
            return false;
        }
        self.under_way += 1;
        self.push(Outgoing::Frame(frame));
        true
    }

    pub fn acknowledge(&mut self, frames: u32) {
        self.under_way = self.under_way.saturating_sub(frames);
    }
}

/// An error for a reply.
pub fn api_error(code: &str, message: impl Into<String>) -> ApiError {
    ApiError { code: code.to_owned(), message: message.into(), findings: Vec::new() }
}
