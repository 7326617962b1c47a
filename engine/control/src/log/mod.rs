//! The log of Raft on disk: segments that are written at their end, read once at the start, and removed whole.
//!
//! A store of keys and values (planned: fjall) would write each entry twice and merge what is never looked up by key, for 40 crates more; what
//! Raft asks of its log is a file's own: append, forget a tail, forget a head. So a segment is a sequence of *frames* ([`frame`]), each one
//! write and one sync, of *records* ([`records`]): entries, a vote, how far it is committed, that a tail or a head does not count any more. Nothing
//! is overwritten. The state after all records is what the node knows ([`records::Known`]), and is held in memory: a snapshot bounds it.
//!
//! A crash leaves at most one frame that is not whole, at the end of the last segment, which nobody was told of: it is cut off. Anything else
//! is damage, and the node does not start. (A frame at the very end whose bytes rot later looks like one that was torn.)

mod frame;
mod records;
mod segments;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use records::Known;
pub use store::{LogStore, LogView};
