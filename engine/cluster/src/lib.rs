//! Sessions: how a studio or the terminal talks to an engine, be it in the same process or on a node.
//!
//! ```text
//! EngineClient ── ClientEnd ═══════════════════════════ HostEnd ── EngineHost ── RunLauncher     in process
//! EngineClient ── ClientEnd ── pumps ══ two sockets ══ pumps ── HostEnd ── EngineHost ── ..      on a node
//! ```
//!
//! Both ends are the same code either way ([`client`], [`host`]); what joins them is a [`link`] of bounded channels, and at a node a
//! pair of pumps ([`socket`]) that encode what passes. Control (requests, replies, events, figures) and data (rows, files) share
//! neither a queue nor a socket. A [`node`] is a listener that lets known peers in; who they are, and what they may do, is [`trust`].
//!
//! What is not here: a run. The program hands in a [`launch::RunLauncher`].

pub mod client;
pub mod contact;
pub mod control;
pub mod data;
pub mod error;
pub mod host;
pub mod launch;
pub mod link;
pub mod node;
mod place;
pub mod replica;
pub mod seen;
pub mod share;
pub mod socket;
pub mod trust;

pub use client::{Ended, EngineClient, FiguresSeen, JobView, RunFiles};
pub use contact::Contact;
pub use data::{DataItem, DataPayload};
pub use error::{ClientError, NodeError};
pub use host::{EngineHost, HostLimits};
pub use node::{Node, NodeOptions, serve};
pub use socket::{Credential, connect};
