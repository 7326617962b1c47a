//! The sinks that the engine brings itself.

pub mod dashboard;
