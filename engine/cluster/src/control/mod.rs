//! A node's part in its control group: Raft over the sessions that stand.
//!
//! [`millrace_control`] agrees; this carries ([`ways`]), lets in and is let in ([`node`]), and enters what becomes of runs ([`ledger`]). What nodes
//! say to each other is a request like another ([`millrace_wire::message::Request::Consensus`]), which a node alone may ask; nothing of it passes by
//! the data side, so that rows never stand before a heartbeat.

mod deployments;
mod leading;
mod ledger;
mod node;
mod ways;

pub use leading::{Leading, Turn};
pub use ledger::{Led, RunLedger};
pub use millrace_control::{ControlError, Peer, Settings};
pub use node::{ControlNode, Happened};
pub use ways::{Credentials, Ways};

/// The code of what is wrong with a control group.
pub const fn code(error: &ControlError) -> &'static str {
    use millrace_wire::codes;
    match error {
        ControlError::NoQuorum { .. } => codes::NO_MAJORITY,
        ControlError::NotInGroup => codes::NO_CONTROL,
        ControlError::Io { .. } | ControlError::InUse { .. } | ControlError::Damaged { .. } | ControlError::Ended { .. } => {
            codes::CONTROL_LOG
        }
        ControlError::Refused { .. } => codes::VOTER,
        ControlError::Settings { .. } => codes::BUG,
    }
}
