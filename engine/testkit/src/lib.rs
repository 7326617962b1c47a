//! What tests are made of: a clock to turn by hand, sources and sinks in memory, a small harness, and DuckDB as the one who knows.

pub mod changelog;
pub mod clock;
pub mod harness;
pub mod memory;
pub mod oracle;
pub mod sim;
pub mod table;
pub mod team;
pub mod toiling;

pub use clock::ManualClock;
pub use harness::{Harness, node};
pub use memory::{Collected, Exploding, Flood, Memory, Script};
pub use oracle::Oracle;
pub use table::{Cell, Table};
pub use team::TestTeam;
pub use toiling::Toiling;
