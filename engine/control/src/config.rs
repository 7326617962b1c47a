//! What Raft is told of us: its types, and its times.

use std::io::Cursor;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use serde::{Deserialize, Serialize};

use crate::control::{Answer, Command};
use crate::error::{ControlError, ControlResult};

/// What tells one node of a control group from all others, for ever: drawn at its first start.
pub type NodeId = u64;

/// A node of the control group, as the others reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// As its certificate says; free to choose where there is none.
    pub name: String,
    /// Where it listens: `wss://HOST:PORT`.
    pub address: String,
}

openraft::declare_raft_types!(
    /// The types of our Raft. An entry without a command answers nothing.
    pub Types:
        D = Command,
        R = Option<Answer>,
        NodeId = NodeId,
        Node = Peer,
        AsyncRuntime = crate::time::Runtime,
);

pub type LogId = openraft::LogId<NodeId>;
pub type Vote = openraft::Vote<NodeId>;
pub type Entry = openraft::Entry<Types>;
pub type StoredMembership = openraft::StoredMembership<NodeId, Peer>;
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, Peer>;
pub type StorageError = openraft::StorageError<NodeId>;

/// How a group keeps time, and how much it keeps.
///
/// A follower that hears nothing waits out the leader's lease (`election_max`), and then a time that it draws, up to `election_min`: so a follower takes
/// over 0.4 to 0.9 s after the leader's death, and a split vote or two still leave it within 2 s.
#[derive(Debug, Clone)]
pub struct Settings {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// Entries after which the state is written whole, and the log before it goes.
    pub snapshot_after: u64,
    /// Entries that stay when the state was written whole, so that a follower that was away for a moment needs no snapshot.
    pub kept_entries: u64,
    /// Bytes of a snapshot in one message. As JSON each takes up to four.
    pub snapshot_piece: u64,
    /// A file of the log that is longer is not written to any more.
    pub segment_bytes: u64,
    /// How long a command may take, forwarding and elections included.
    pub write_patience: Duration,
    /// From one look of the leader at who may vote to the next.
    pub tend_every: Duration,
    /// How long the leader hears nothing of a node before the runs that it leads are handed to another.
    pub takeover_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(500),
            snapshot_after: 1_000,
            kept_entries: 200,
            snapshot_piece: 128 << 10,
            segment_bytes: 1 << 20,
            write_patience: Duration::from_secs(3),
            tend_every: Duration::from_millis(250),
            takeover_after: Duration::from_secs(3),
        }
    }
}

/// A segment of the log is read whole.
pub(crate) const MOST_SEGMENT_BYTES: u64 = 64 << 20;
/// A follower that lacks more is sent a snapshot.
const MOST_LAG: u64 = 1_000;
/// Entries in one message: each may be a pipeline of 1 MiB, and the transport bounds a message.
const MOST_ENTRIES: u64 = 64;
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(2);

impl Settings {
    pub(crate) fn raft(&self) -> ControlResult<Config> {
        if self.segment_bytes > MOST_SEGMENT_BYTES {
            let why = format!("segments of {} bytes, where the most is {MOST_SEGMENT_BYTES}", self.segment_bytes);
            return Err(ControlError::Settings { why });
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "millrace".to_owned(),
            heartbeat_interval: ms(self.heartbeat),
            election_timeout_min: ms(self.election_min),
            election_timeout_max: ms(self.election_max),
            // We call elections ourselves: see `elect`.
            enable_elect: false,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            max_in_snapshot_log_to_keep: self.kept_entries,
            replication_lag_threshold: MOST_LAG,
            max_payload_entries: MOST_ENTRIES,
            snapshot_max_chunk_size: self.snapshot_piece,
            install_snapshot_timeout: ms(SNAPSHOT_PATIENCE),
            ..Config::default()
        };
        config.validate().map_err(|error| ControlError::Settings { why: error.to_string() })
    }
}
