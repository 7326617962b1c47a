//! What the runtime adds to a connector's bare reading: event time, lateness, pace, watermarks, idleness.

pub mod assign;
pub mod pace;
pub mod partition;
pub mod time_reader;

pub use assign::TimeAssigner;
pub use pace::{Pacer, ReplayOrigin, ReplayOrigins};
pub use partition::{Arrived, Partition};
pub use time_reader::TimeReader;
