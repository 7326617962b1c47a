//! What the whole-system tests share: the binary under test, and DuckDB to ask the truth of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod binary;
pub mod chance;
pub mod flights;
pub mod hooks;
pub mod node;
pub mod s3;

pub use binary::{Millrace, Ran};
pub use chance::Chance;
