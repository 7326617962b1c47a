//! How a session ends, and what its two ends say of it.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::connection::Stop;

/// Longest reason that fits a close frame, in bytes.
const MAX_REASON_BYTES: usize = 123;

/// What is said on the control socket before a session is left. A socket that ends without it was dropped, and may be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// What the peer did wrong; none if this side has simply finished.
    fault: Option<String>,
}

impl Close {
    pub const fn normal() -> Close {
        Close { fault: None }
    }

    pub fn fault(why: String) -> Close {
        Close { fault: Some(why) }
    }

    pub const fn is_fault(&self) -> bool {
        self.fault.is_some()
    }

    pub fn frame(&self) -> CloseFrame {
        let reason = self.fault.as_deref().unwrap_or_default();
        let code = if self.is_fault() { CloseCode::Protocol } else { CloseCode::Normal };
        CloseFrame { code, reason: reason[..reason.floor_char_boundary(MAX_REASON_BYTES)].into() }
    }

    /// What the peer's close means here.
    pub fn read(frame: &CloseFrame) -> Over {
        let why = match frame.code {
            CloseCode::Normal => "the peer ended the session".to_owned(),
            _ => format!("the peer ended the session: {}", frame.reason),
        };
        Over { why, close: None }
    }

    /// Why the session ended, at the side that closes.
    pub fn why_here(self) -> String {
        self.fault.unwrap_or_else(|| ENDED_HERE.to_owned())
    }
}

const ENDED_HERE: &str = "this side ended the session";

/// Why a session is over, and what to tell the peer if it does not know yet.
#[derive(Debug)]
pub struct Over {
    pub why: String,
    pub close: Option<Close>,
}

impl Over {
    /// The peer did what it may not.
    pub fn fault(why: impl ToString) -> Over {
        let why = why.to_string();
        Over { close: Some(Close::fault(why.clone())), why }
    }

    pub fn ended_here() -> Over {
        Over { why: ENDED_HERE.to_owned(), close: Some(Close::normal()) }
    }

    /// No connection is left to tell anything on.
    pub const fn cut(why: String) -> Over {
        Over { why, close: None }
    }
}

impl From<Over> for Stop {
    fn from(over: Over) -> Self {
        Stop::Over(over)
    }
}
