//! A simulation of the world around an engine: one thread, a clock, a disk that fails and forgets, and a seed that decides everything.
//!
//! The engine is the real one. Its tasks, and its work that blocks, take turns on one thread as [`World`] draws them; time passes only
//! when the world says so; below the store of states, and below the sink, lies a [`SimDisk`]. A crash is a [`World::run`] that returns
//! early: nothing of that life reaches the disk any more, and the disk keeps what was synced and a drawn part of what was not.

mod chance;
mod disk;
mod sink;
mod tree;
mod world;

pub use chance::Chance;
pub use disk::{Faults, LifeDisk, SimDisk, Spell, Trouble};
pub use sink::{SimSink, visible_rows};
pub use world::{Halt, World};
