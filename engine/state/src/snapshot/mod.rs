//! The bytes of one task at one epoch.
//!
//! A part holds, for each node of the task, its counters, what its operator holds for all keys together, and records that belong to one key
//! group each; then the partitions that the task reads. At another parallelism a task reads the records of its own key groups out of the
//! parts of all former tasks.

mod apart;
mod part;
mod reader;
mod writer;

pub use apart::{Apart, write_piece};
pub use part::{Counts, InFlightRows, KeyedRecord, NodePart, PartitionPart, TaskPart, TaskPartWriter, WrittenPart};
pub use reader::Reader;
pub use writer::{Records, SnapshotWriter, Writer};

/// The most bytes that one task's part has.
pub const MAX_PART_BYTES: u64 = 64 << 30;
