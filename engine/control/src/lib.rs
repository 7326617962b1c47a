//! The control group: what a cluster agrees on.
//!
//! [`control`] is a pure state machine of members, deployments, generations, epochs and commits.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod control;
