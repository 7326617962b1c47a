//! The exit codes of `millrace`, a contract with those who script it.

/// Done.
pub const DONE: u8 = 0;
/// The pipeline failed, or a node could not be reached.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The file or its environment is invalid.
pub const INVALID: u8 = 78;
/// Interrupted, and ended in good order.
pub const INTERRUPTED: u8 = 130;
