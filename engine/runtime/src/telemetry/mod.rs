//! What a run tells of itself: counters, taps, notices, and what holds it back.
//!
//! Tasks write atomics of their own and never wait for a reader; everything else is worked out on the control side.

mod alarm;
mod autoscaler;
pub mod bottleneck;
pub mod edge;
pub mod epochs;
pub mod figures;
pub mod metrics;
pub mod mirror;
pub mod monitor;
pub mod notices;
pub mod skew;
pub mod stopwatch;

pub use edge::{EdgeProbe, TapSample};
pub use epochs::EpochHistory;
pub use figures::JobTelemetry;
pub use metrics::TaskMetrics;
pub use notices::NoticeBoard;
pub use stopwatch::Stopwatch;
