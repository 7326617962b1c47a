//! What can go wrong between a client and an engine.

use std::net::SocketAddr;
use std::sync::Arc;

use millrace_model::{Blame, Diagnostic, Diagnostics};
use millrace_wire::codes;
use thiserror::Error;

use crate::trust::{Refusal, TrustError};

/// An error as the asking side sees it.
#[derive(Debug, Clone, Error)]
pub enum ClientError {
    #[error("{address} is no address of a node: {why}")]
    Address { address: String, why: &'static str },
    #[error("no node answers at {address}: {why}")]
    Unreachable { address: String, why: String },
    #[error("the node at {address} refused the token; copy the one that it printed when it started (MILLRACE_TOKEN or --token-file)")]
    Refused { address: String },
    #[error("at {address}: {} [{}]", .refusal, .refusal.code())]
    NotAdmitted { address: String, refusal: Refusal },
    #[error("{0}")]
    Trust(Arc<TrustError>),
    #[error("the node at {address} serves as many sessions as it may; try again later")]
    Full { address: String },
    #[error("the node at {address} speaks protocol {theirs}, and this program speaks {ours}; install the same release on both")]
    Protocol { address: String, ours: u16, theirs: String },
    #[error("contact lost: {why}")]
    ContactLost { why: String },
    #[error("the pipeline cannot run")]
    Rejected { diagnostics: Diagnostics },
    #[error("{diagnostic}")]
    Failed { diagnostic: Box<Diagnostic> },
    #[error("the engine answered something else than was asked")]
    UnexpectedReply,
}

impl ClientError {
    pub fn code(&self) -> &str {
        match self {
            ClientError::Address { .. } => codes::ADDRESS,
            ClientError::Unreachable { .. } | ClientError::ContactLost { .. } => codes::CONTACT,
            ClientError::Refused { .. } => codes::REFUSED,
            ClientError::NotAdmitted { refusal, .. } => refusal.code(),
            ClientError::Trust(error) => error.code(),
            ClientError::Full { .. } => codes::LIMIT,
            ClientError::Protocol { .. } => codes::VERSION,
            ClientError::Rejected { diagnostics } => {
                diagnostics.items.iter().find(|found| found.is_error()).map_or("", |found| &found.code)
            }
            ClientError::Failed { diagnostic } => &diagnostic.code,
            ClientError::UnexpectedReply => codes::BUG,
        }
    }

    pub fn blame(&self) -> Blame {
        match self {
            ClientError::Address { .. } | ClientError::Refused { .. } | ClientError::Rejected { .. } => Blame::User,
            ClientError::NotAdmitted { .. } => Blame::User,
            ClientError::Trust(error) => error.blame(),
            ClientError::UnexpectedReply => Blame::Bug,
            _ => Blame::Environment,
        }
    }

    pub const fn is_retryable(&self) -> bool {
        matches!(self, ClientError::Unreachable { .. } | ClientError::Full { .. } | ClientError::ContactLost { .. })
    }

    /// As it is passed on to somebody else.
    pub(crate) fn diagnostic(&self) -> Diagnostic {
        match self {
            ClientError::Failed { diagnostic } => (**diagnostic).clone(),
            other => Diagnostic { code: other.code().to_owned().into(), ..Diagnostic::error(codes::CONTACT, other.to_string()) },
        }
    }

    pub(crate) fn failed(diagnostic: Diagnostic) -> Self {
        ClientError::Failed { diagnostic: Box::new(diagnostic) }
    }
}

/// Why a node does not listen.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error("{address} is no address to listen at; write one like 127.0.0.1:7400")]
    Address { address: String },
    #[error(
        "{address} can be reached from other machines, and without --data a node has no certificate to speak TLS with; give it a folder \
         (--data DIR), or listen at 127.0.0.1"
    )]
    BeyondLoopback { address: SocketAddr },
    #[error("cannot listen at {address}: {cause}")]
    Bind { address: SocketAddr, cause: std::io::Error },
    #[error("the system gives no randomness to make a token of: {cause}")]
    Randomness { cause: String },
}

impl NodeError {
    pub const fn code(&self) -> &'static str {
        match self {
            NodeError::Address { .. } | NodeError::BeyondLoopback { .. } => codes::ADDRESS,
            NodeError::Bind { .. } | NodeError::Randomness { .. } => codes::CONTACT,
        }
    }

    pub const fn blame(&self) -> Blame {
        match self {
            NodeError::Address { .. } | NodeError::BeyondLoopback { .. } => Blame::User,
            NodeError::Bind { .. } | NodeError::Randomness { .. } => Blame::Environment,
        }
    }

    pub const fn is_retryable(&self) -> bool {
        matches!(self, NodeError::Bind { .. })
    }
}
