//! The agreed state as Raft asks for it, and its snapshots on disk.
//!
//! What commands do is kept in memory; after a restart it is the newest snapshot and the log behind it. A snapshot is one file that replaces the one
//! before at once and whole.

use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_state::frame::{self, FrameKind};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::{Entry, LogId, SnapshotMeta, StorageError, StoredMembership, Types};
use crate::control::{Answer, Control};
use crate::error::{ControlError, ControlResult};
use crate::place::Place;
use crate::time;

const KIND: FrameKind = FrameKind { magic: *b"MRCS", version: 1, oldest: 1, name: "snapshot of a control group" };

const FILE: &str = "snapshot";

/// Longest snapshot: as many texts of pipelines as can be held, twice as long as JSON, and as much again for the rest.
const MOST_BYTES: u64 = 4 << 30;

/// The state after the entries that were applied.
#[derive(Debug, Clone, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
    control: Control,
}

/// A snapshot as it lies on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    meta: SnapshotMeta,
    control: Control,
}

/// How far the snapshot on disk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisk {
    Upto(Option<LogId>),
    /// The next one could not be written: none will be.
    Failed,
}

/// The agreed state of one node. Clones are the same.
#[derive(Debug, Clone)]
pub struct Machine {
    applied: Arc<Mutex<Applied>>,
    kept: Arc<tokio::sync::Mutex<Option<Kept>>>,
    on_disk: Arc<watch::Sender<OnDisk>>,
    place: Place,
}

impl Machine {
    /// Opens what a folder holds of it.
    pub fn open(place: &Place) -> ControlResult<Machine> {
        let bytes = place.read(FILE, MOST_BYTES)?;
        let kept = bytes.map(|bytes| read(&bytes).map_err(|how| ControlError::damaged(&place.path(FILE), how))).transpose()?;
        let applied = kept.clone().map(Kept::applied).unwrap_or_default();
        let on_disk = Arc::new(watch::Sender::new(OnDisk::Upto(applied.last)));
        Ok(Machine { applied: Arc::new(Mutex::new(applied)), kept: Arc::new(kept.into()), on_disk, place: place.clone() })
    }

    /// Tells how far the snapshot on disk goes.
    pub fn on_disk(&self) -> watch::Receiver<OnDisk> {
        self.on_disk.subscribe()
    }

    fn applied(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state as this node has applied it, which may be behind the leader's. Not to be held on to: entries wait meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Control) -> T) -> T {
        look(&self.applied().control)
    }

    /// The same, with the last entry that was applied.
    pub fn look_at<T>(&self, look: impl FnOnce(Option<LogId>, &Control) -> T) -> T {
        let applied = self.applied();
        look(applied.last, &applied.control)
    }

    async fn keep(&self, kept: Kept) -> Result<(), StorageError> {
        let failed = |error: io::Error| StorageError::from_io_error(ErrorSubject::Snapshot(None), ErrorVerb::Write, error);
        let mut current = self.kept.lock().await;
        // One that was begun before a newer one came from the leader.
        if current.as_ref().is_some_and(|current| current.meta.last_log_id > kept.meta.last_log_id) {
            return Ok(());
        }
        let (place, writing) = (self.place.clone(), kept.clone());
        let written = time::blocking(move || place.replace(FILE, &frame::enclose(KIND, &serde_json::to_vec(&writing)?))).await;
        let written = written.and_then(|written| written);
        self.on_disk.send_replace(if written.is_ok() { OnDisk::Upto(kept.meta.last_log_id) } else { OnDisk::Failed });
        written.map_err(failed)?;
        *current = Some(kept);
        Ok(())
    }
}

impl Kept {
    fn applied(self) -> Applied {
        Applied { last: self.meta.last_log_id, membership: self.meta.last_membership, control: self.control }
    }

    fn snapshot(&self) -> Result<Snapshot<Types>, StorageError> {
        let bytes = serde_json::to_vec(&self.control)
            .map_err(|error| StorageError::from_io_error(ErrorSubject::Snapshot(None), ErrorVerb::Read, error.into()))?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(Cursor::new(bytes)) })
    }
}

fn read(bytes: &[u8]) -> Result<Kept, String> {
    let (_, payload) = frame::open(KIND, bytes, "the snapshot").map_err(|error| error.to_string())?;
    serde_json::from_slice(payload).map_err(|error| error.to_string())
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Building;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.applied();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Option<Answer>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied();
        let answers = entries.into_iter().map(|entry| {
            applied.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(command) => Some(applied.control.apply(command)),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    None
                }
            }
        });
        Ok(answers.collect())
    }

    async fn get_snapshot_builder(&mut self) -> Building {
        Building { applied: self.applied().clone(), machine: self.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<Cursor<Vec<u8>>>) -> Result<(), StorageError> {
        let control = serde_json::from_slice(snapshot.get_ref())
            .map_err(|error| StorageError::from_io_error(ErrorSubject::Snapshot(Some(meta.signature())), ErrorVerb::Read, error.into()))?;
        let kept = Kept { meta: meta.clone(), control };
        self.keep(kept.clone()).await?;
        *self.applied() = kept.applied();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        self.kept.lock().await.as_ref().map(Kept::snapshot).transpose()
    }
}

/// The state at one moment, on its way to disk.
#[derive(Debug)]
pub struct Building {
    applied: Applied,
    machine: Machine,
}

impl RaftSnapshotBuilder<Types> for Building {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let Applied { last, membership, control } = self.applied.clone();
        let snapshot_id = last.map_or_else(|| "0".to_owned(), |last| format!("{}-{}", last.leader_id, last.index));
        let kept = Kept { meta: SnapshotMeta { last_log_id: last, last_membership: membership, snapshot_id }, control };
        self.machine.keep(kept.clone()).await?;
        kept.snapshot()
    }
}
