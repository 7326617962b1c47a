//! Runs that several nodes share: what `millrace_runtime::share` asks of a transport, over sessions.
//!
//! A leader is the asking side of a session with each member. Orders are requests, reports are events; elements of edges, credit for them, and
//! what a member asks of the store of the run's state travel on the data side. A session that is over ends all shares of it at both ends.

mod crew;
mod drains;
mod edges;
mod enlist;
mod leading;
mod packing;
mod store;
mod taking;

pub use crew::{Crew, Mark, RunTeam};
pub use drains::Drains;
pub use edges::LinkEdges;
pub use enlist::{Enlistment, Learned, enlist, stay_enlisted};
pub use leading::Leading;
pub use store::{LinkStore, ServedStore};
pub use taking::{Taking, Wanted, take};
