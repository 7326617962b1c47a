//! How a run is kept, and how it goes on: between the decisions of [`millrace_state::checkpoint`] and the tasks.

mod change;
mod claims;
pub mod codes;
mod home;
mod identity;
mod replica;
mod restored;
mod savepoints;

pub use change::{Carry, Holds, Now, carry, meaning};
pub use home::{Allowances, Found, StateHome};
pub use identity::{identities, meanings};
pub use replica::{EpochOf, copy_epoch, cut_to, look_over};
pub use restored::{FormerTask, OperatorSnapshot, Restored};
pub use savepoints::{Savepoint, Savepoints, losses, may_go_back};
