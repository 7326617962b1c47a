//! The log as Raft asks for it.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_state::store::DiskLock;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader};
use tokio::sync::{mpsc, oneshot, watch};

use super::records::{Known, Record};
use super::segments::Segments;
use super::writer::{QUEUE, Write, Writer, Written};
use crate::config::{Entry, LogId, StorageError, Types, Vote};
use crate::error::{ControlError, ControlResult};
use crate::machine::OnDisk;
use crate::place::Place;
use crate::time;

/// Entries that are read at once to be sent, in bytes of their payload: one message has to hold them as JSON.
const READ_BYTES: usize = 256 << 10;

/// A log that is open. Clones are the same log; it is closed with the last one.
#[derive(Debug, Clone)]
pub struct LogStore {
    known: Arc<Mutex<Known>>,
    /// What goes from the log has to be in the snapshot on disk; none if nobody keeps one.
    snapshots: Option<watch::Receiver<OnDisk>>,
    queue: mpsc::Sender<Write>,
}

impl LogStore {
    /// Opens the log in a folder, which has to be there, and holds the folder until all is written and nobody has the log any more. A file of the log
    /// that is longer than `segment_bytes` is not written to any more.
    ///
    /// # Errors
    /// If another process holds it, or what is there is damaged.
    pub fn open(place: &Place, segment_bytes: u64) -> ControlResult<LogStore> {
        let lock = lock(place)?;
        let (segments, known) = Segments::open(place, segment_bytes)?;
        let (queue, writes) = mpsc::channel(QUEUE);
        let writer = Writer::new(segments, lock);
        if time::is_simulated() {
            time::spawn(writer.run_beside(writes));
        } else {
            let thread = std::thread::Builder::new().name("millrace-raft-log".to_owned());
            thread.spawn(move || writer.run(writes)).map_err(ControlError::io(&place.folder))?;
        }
        Ok(LogStore { known: Arc::new(Mutex::new(known)), snapshots: None, queue })
    }

    /// The same log, of which nothing goes before it is in a snapshot on disk.
    ///
    /// Raft has entries go as soon as it hands a leader's snapshot over to be installed. A crash between would leave a node without them, and with the
    /// state of long before.
    #[must_use]
    pub fn behind(self, snapshots: watch::Receiver<OnDisk>) -> LogStore {
        LogStore { snapshots: Some(snapshots), ..self }
    }

    async fn in_snapshot(&self, upto: LogId) -> io::Result<()> {
        let Some(mut snapshots) = self.snapshots.clone() else { return Ok(()) };
        let is_known = |on_disk: &OnDisk| match on_disk {
            OnDisk::Upto(last) => last.is_some_and(|last| last.index >= upto.index),
            OnDisk::Failed => true,
        };
        self.known().waits = true;
        let known = snapshots.wait_for(is_known).await.map(|on_disk| *on_disk);
        self.known().waits = false;
        match known {
            Ok(OnDisk::Upto(_)) => Ok(()),
            Ok(OnDisk::Failed) => Err(io::Error::other("the snapshot could not be written that these entries are in")),
            Err(_) => Err(io::Error::other("the log is closed")),
        }
    }

    /// A look at what it holds.
    pub fn view(&self) -> LogView {
        LogView(self.known.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, records: Vec<Record>, written: Written) -> io::Result<()> {
        self.queue.send(Write { records, written }).await.map_err(|_| io::Error::other("the log is closed"))
    }

    /// Writes a record, and waits until it outlasts a crash.
    async fn write(&self, record: Record) -> io::Result<()> {
        let (asked, written) = oneshot::channel();
        self.send(vec![record], Written::Asked(asked)).await?;
        written.await.unwrap_or_else(|_| Err(io::Error::other("the log is closed")))
    }
}

/// A look at what a log holds, which does not hold it open.
#[derive(Debug, Clone)]
pub struct LogView(Arc<Mutex<Known>>);

impl LogView {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock(place: &Place) -> ControlResult<DiskLock> {
    let path = place.path("lock");
    let lock = place.disk.lock(&path).map_err(ControlError::io(&path))?;
    lock.ok_or_else(|| ControlError::InUse { path: place.folder.clone() })
}

fn failed(subject: ErrorSubject<u64>) -> impl FnOnce(io::Error) -> StorageError {
    move |error| StorageError::from_io_error(subject, ErrorVerb::Write, error)
}

/// About so many bytes an entry has as JSON.
fn entry_bytes(entry: &Entry) -> usize {
    use crate::control::Command;
    match &entry.payload {
        openraft::EntryPayload::Normal(Command::Deploy { source, .. } | Command::Revise { source, .. }) => source.bytes() + 256,
        _ => 256,
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.known().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let known = self.known();
        let mut bytes = 0;
        let fits = |(_, entry): &(&u64, &Entry)| {
            let before = bytes;
            bytes += entry_bytes(entry);
            // One at least.
            before < READ_BYTES
        };
        Ok(known.entries.range(start..end).take_while(fits).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let known = self.known();
        Ok(LogState { last_purged_log_id: known.head.purged, last_log_id: known.last() })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.write(Record::Vote(*vote)).await.map_err(failed(ErrorSubject::Vote))?;
        self.known().take(Record::Vote(*vote));
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.known().head.vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        // It is written with the next entries, and costs nothing if it is lost: the leader tells it again.
        self.known().take(Record::Committed(committed));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.known().head.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = Record::Entries(entries.into_iter().collect());
        let records = {
            let mut known = self.known();
            known.take(entries.clone());
            vec![Record::Committed(known.head.committed), entries]
        };
        self.send(records, Written::Entries(callback)).await.map_err(failed(ErrorSubject::Logs))
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.known().take(Record::Truncate(since.index));
        self.write(Record::Truncate(since.index)).await.map_err(failed(ErrorSubject::Logs))
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.in_snapshot(upto).await.map_err(failed(ErrorSubject::Logs))?;
        self.known().take(Record::Purge(upto));
        self.write(Record::Purge(upto)).await.map_err(failed(ErrorSubject::Logs))
    }
}
