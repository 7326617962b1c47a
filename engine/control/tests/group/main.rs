//! Control groups of several nodes in one process: elections, partitions, kills and restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod elections;
mod figures;
mod hostile;
mod hub;
mod losses;
mod membership;
mod storage;
