//! The binary on real flights, against DuckDB on the same file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod alerts;
mod authority;
mod autoscale;
mod bad_inputs;
mod bench;
mod changes;
mod cli;
mod cluster;
mod control;
mod departures;
mod drain;
mod estimates;
mod extremes;
mod kept_rows;
mod lateness;
mod rescale;
mod seen;
mod takeover;
mod trust;
mod upgrade;
mod windows;
