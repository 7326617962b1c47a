//! From a pipeline as declared to the tasks that run it.
//!
//! Two steps, both pure: [`bind`] types every node against the schemas that flow into it and finds all that is wrong; [`physical`]
//! cuts the bound graph into chains, and the chains into tasks joined by exchanges.

pub mod bind;
pub mod bound;
pub mod change_mode;
pub mod codes;
pub mod event_time;
pub mod key_group;
pub mod kind;
pub mod physical;
pub mod placement;

pub use bind::{Kinds, bind, bind_known};
pub use bound::{BoundEdge, BoundNode, LogicalPlan, OutputPort};
pub use kind::{BindInput, Bound, Distribution, InputPort, Kind};
pub use physical::{Exchange, ExchangeKind, NodeFacts, PhysicalPlan, Vertex, physical};
pub use placement::{LEADER, Member, Placement};
