//! The streaming engine's face: what programs that embed it, and the connectors, reach its crates by.
//!
//! [`Engine`] is the embedded engine; [`inspect::Inspector`] looks at pipelines before they run; [`cluster::connect`] reaches an engine on
//! a node. All of them speak through [`cluster::EngineClient`].

mod clashes;
pub mod engine;
pub mod inspect;
mod launcher;
mod local_run;
pub mod savepoint;
mod state_place;
mod vitals;
pub mod webhooks;

pub use engine::{Engine, EngineOptions};

pub use millrace_cluster as cluster;
pub use millrace_expr as expr;
pub use millrace_model as model;
pub use millrace_plan as plan;
pub use millrace_runtime as runtime;
pub use millrace_state as state;
pub use millrace_wire as wire;
