//! What can be wrong with bytes from a socket.

use millrace_model::Blame;
use thiserror::Error;

use crate::codes;
use crate::frame::FrameKind;

pub type WireResult<T> = Result<T, WireError>;

/// Every error drops the peer: after it, nothing that the peer sends can be trusted to mean what it says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("a frame of {found} bytes is shorter than its header of {expected}")]
    TooShort { found: usize, expected: usize },
    #[error("these bytes do not begin a Millrace frame")]
    NotAFrame,
    #[error("the frame has version {found}, and this release reads version {expected}")]
    Version { found: u8, expected: u8 },
    #[error("there is no kind of frame {found}")]
    UnknownKind { found: u8 },
    #[error("the frame has flags that nobody defined: {found:#010b}")]
    UnknownFlags { found: u8 },
    #[error("the frame's reserved bytes are not zero")]
    Reserved,
    #[error("a {kind} frame stands where only {expected} frames may")]
    WrongKind { kind: FrameKind, expected: FrameKind },
    #[error("a {kind} frame says it holds {said} bytes; at most {most} may stand in one")]
    FrameTooLong { kind: FrameKind, said: u64, most: usize },
    #[error("the frame says it holds {said} bytes, and {found} came")]
    Length { said: u64, found: usize },
    #[error("the frame's checksum does not fit its bytes")]
    Checksum,
    #[error("frame {found} came where frame {expected} was due: frames were replayed, doubled, lost or reordered")]
    Sequence { expected: u64, found: u64 },
    #[error(
        "the peer wants frame {wants} next, and there are those from {from} up to before {to}: it was never sent that, or had it already"
    )]
    Acknowledged { wants: u64, from: u64, to: u64 },
    #[error("the peer sent {messages} messages of {bytes} bytes without an acknowledgement, where {most} bytes may wait")]
    Window { bytes: usize, messages: usize, most: usize },
    #[error("a fragment does not fit the message before it: {why}")]
    Fragment { why: &'static str },
    #[error("a message of {found} bytes or more is longer than {most}")]
    MessageTooLong { found: usize, most: usize },
    #[error("the frame's header section is wrong: {why}")]
    HeaderSection { why: &'static str },
    #[error("the {what} cannot be read: {why}")]
    Json { what: &'static str, why: String },
}

impl WireError {
    /// The stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            WireError::Version { .. } => codes::VERSION,
            WireError::FrameTooLong { .. } | WireError::MessageTooLong { .. } | WireError::Window { .. } => codes::LIMIT,
            _ => codes::BAD_FRAME,
        }
    }

    /// Bytes from a peer are the environment's; none of these is mended by sending the same again.
    pub const fn blame(&self) -> Blame {
        Blame::Environment
    }

    pub const fn is_retryable(&self) -> bool {
        false
    }
}
