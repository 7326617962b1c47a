//! The control group: what a cluster agrees on, and how it stays agreed while nodes come and go.
//!
//! ```text
//! ControlGroup::write ── leader? ── Raft ── log on disk, at most voters ── Control::apply ── answer
//!                      └ no: Ask::Write to whoever leads
//! ```
//!
//! [`control`] is *what*: a pure state machine of members, deployments, generations, epochs and commits. [`group`] is *how*: Raft (openraft) with a
//! [`log`] of our own on disk, one snapshot beside it ([`machine`]), and the other nodes behind a [`network::Transport`], which the sessions of
//! `millrace-cluster` are in earnest. An answer is given once a majority has the command on disk.
//!
//! *Not survived*: the loss of half or more of the voters for good. While as many are away nothing can be agreed on, and nothing agreed on is lost.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod answers;
pub mod config;
pub mod control;
mod elect;
mod error;
pub mod group;
mod incoming;
pub mod log;
mod look;
pub mod machine;
pub mod network;
pub mod place;
mod tend;
pub mod time;

pub use config::{NodeId, Peer, Settings};
pub use error::{ControlError, ControlResult};
pub use group::ControlGroup;
pub use look::{GroupLook, GroupNode};
pub use network::{Ask, NoAnswer, Question, Told, Transport};
pub use place::Place;
