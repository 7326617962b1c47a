//! What a node holds of deployments' state, its own runs' and others', and how epochs come there.
//!
//! ```text
//! the node that leads ── Spread ── a session ── Request::Replica ── ServedStore ── Replicas ── --data/replicas/DEPLOYMENT
//! ```
//!
//! Each deployment has a folder, which is a state folder like any other ([`folders`]). The node that leads its run works in its own, and copies each
//! epoch to others before it counts ([`spread`]). Whoever goes on with it brings its folder to the epoch of the log first, and takes what it lacks from
//! who holds it ([`fetch`]). Over a session it is the store of [`crate::share`], with the ends changed: here the node that is asked has the store.

mod far;
mod fetch;
mod folders;
mod spread;

pub use far::FarReplica;
pub use fetch::{bring_to_log, epoch_of};
pub use folders::{Replicas, is_name};
pub use spread::{Copying, Spread};
