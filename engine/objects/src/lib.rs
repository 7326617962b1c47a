//! State in an object store: S3, and what speaks like it.
//!
//! [`Bucket`] is a [`Store`](millrace_state::store::Store) over objects, [`open`] finds the bucket that an address names, with the key of
//! the environment. [`Remote`] keeps beside it, on this machine, what no other machine needs yet.
//!
//! Calls block, as a store's do, but not by driving the client: that runs on the runtime whose handle a bucket has.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod address;
mod bucket;
mod remote;
mod s3;
mod trouble;

pub use address::Address;
pub use bucket::Bucket;
pub use remote::Remote;
pub use s3::{Environment, open};
