//! Runs tasks: batches through operators, watermarks, end of input, figures.
//!
//! The traits that operators and connectors fulfil stand in [`operator`] and [`connector`]; what they are given to work with is in
//! [`batch`], [`files`], [`key`] and [`quarantine`]. [`prepare`](prepare::prepare) types a pipeline against the world, and
//! [`launch`](job::launch) runs it: its tasks on a [`DataRuntime`], its control on the caller's runtime.

pub mod alerts;
pub mod arrow_bridge;
mod autoscale;
pub mod batch;
mod chain;
pub mod checkpoint;
pub mod clock;
pub mod connector;
pub mod data_runtime;
pub mod error;
pub mod files;
pub mod flow;
pub mod guarantee;
pub mod job;
pub mod json;
pub mod key;
pub mod ledger;
pub mod memory;
pub mod operator;
pub mod operators;
pub mod prepare;
pub mod quarantine;
pub mod registry;
pub mod share;
pub mod sinks;
pub mod source;
mod task;
pub mod telemetry;

pub use batch::Batch;
pub use clock::{Clock, SystemClock};
pub use data_runtime::{DataPriority, DataRuntime, Turns};
pub use error::{RunError, RunResult};
pub use job::{HostContext, JobHandle, JobOptions, JobOutcome, launch};
pub use prepare::prepare;
