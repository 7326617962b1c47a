//! What a run keeps so that it can go on: snapshots of its tasks, the epochs they belong to, and where both lie.
//!
//! [`checkpoint`] decides: a state machine without I/O says when an epoch begins, when it is complete, when its sinks may commit and what
//! may be forgotten. [`snapshot`] is the bytes of one task at one epoch. [`store`] is where bytes lie; all paths come from one place.
//!
//! State that does not fit in memory lies in [`block`]s, to which snapshots refer.
//!
//! A cluster of one is the only cluster yet: the entry that makes an epoch complete is a manifest that is created if absent. What is in
//! memory is written whole at every epoch; an increment of changed pages would replace the parts and nothing else here.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod block;
pub mod checkpoint;
mod error;
pub mod fault;
pub mod frame;
pub mod planted;
pub mod snapshot;
pub mod step;
pub mod store;

pub use error::{StateError, StateResult, Trouble};
