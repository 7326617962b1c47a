//! How many tasks each node of a run wants, from true processing rates: the model of DS2 (Kalavri et al., OSDI 2018).
//!
//! ```text
//! JobTelemetry ── once a second ──▶ Look ── rates ──▶ Flow ── model ──▶ Advice ── scaler ──▶ figures, a notice, a rescale
//! ```
//! What a task does in a second of *work* tells how many tasks a rate needs, however long it waits for its input or for room downstream; so one look
//! is enough where a rule on rates that are seen would climb step by step. All of it is pure but for whoever carries it out
//! (`telemetry/autoscaler`): [`graph`] says what can have tasks of its own, [`rates`] makes rates of two looks, [`model`] says what is wanted and why,
//! and [`scaler`] when it may be said and done.

pub mod graph;
pub mod model;
pub mod rates;
pub mod scaler;
#[cfg(test)]
mod simulated;

pub use graph::Graph;
pub use rates::Look;
pub use scaler::{Moment, Scaler};
