//! Checkpoints, after Chandy and Lamport (1985) as Carbone et al. (2015) aligned them.
//!
//! An epoch begins with a barrier at every source. A task that has it from all its inputs snapshots what it holds, sinks prepare what they
//! were given, and each acknowledges. When all have, the epoch's manifest is created, if nobody else did: whoever creates it owns the
//! epoch. Only then do sinks commit. After a crash the newest manifest says from where all go on together, and what sinks have to commit
//! again; what came after never was.
//!
//! Nobody leaves before the last epoch: a source that has read everything stays and passes barriers on, so that every epoch has a part of
//! every task.

mod coordinator;
mod manifest;
mod paths;

pub use coordinator::{Cause, Coordinator, Decision, Settings};
pub use manifest::{Committable, Ending, MAX_MANIFEST_BYTES, Manifest, Meaning, PartEntry, TaskId};
pub use paths::{Paths, RunId, SavepointName};

#[cfg(test)]
mod tests;
