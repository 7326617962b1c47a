//! The folders of this node, and who may write there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_state::store::{Created, FolderStore, Gate, Gated, Store};
use millrace_state::{StateError, StateResult};
use millrace_wire::message::MAX_DEPLOYMENT_NAME;

/// How long nothing goes that somebody has read.
const READ_LEASE: Duration = Duration::from_secs(60);

/// The replicas of one node. Held by its process for as long as this is there; what is here blocks.
#[derive(Debug)]
pub struct Replicas {
    folder: PathBuf,
    open: Mutex<BTreeMap<String, Arc<Held>>>,
}

/// One deployment's folder.
#[derive(Debug)]
struct Held {
    store: Arc<FolderStore>,
    writer: Mutex<Writer>,
    reads: Reads,
}

/// Whoever may write, of the newest generation that was heard of.
#[derive(Debug, Default)]
struct Writer {
    generation: u64,
    gate: Gate,
}

/// When something in a folder was last read, by folder.
type Reads = Arc<Mutex<BTreeMap<String, Instant>>>;

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replicas {
    pub fn within(data: &Path) -> Replicas {
        Replicas { folder: data.join("replicas"), open: Mutex::default() }
    }

    fn held(&self, deployment: &str) -> StateResult<Arc<Held>> {
        if !is_name(deployment) {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a deployment");
            return Err(StateError::io(deployment, why));
        }
        let mut open = lock(&self.open);
        if let Some(held) = open.get(deployment) {
            return Ok(held.clone());
        }
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| close(&self.folder))
            .map_err(|error| StateError::io(self.folder.display().to_string(), error))?;
        let store = Arc::new(FolderStore::open(&self.folder.join(deployment))?);
        let held = Arc::new(Held { store, writer: Mutex::default(), reads: Reads::default() });
        open.insert(deployment.to_owned(), held.clone());
        Ok(held)
    }

    /// The deployment's state, to take from it.
    pub fn reader(&self, deployment: &str) -> StateResult<Arc<dyn Store>> {
        let held = self.held(deployment)?;
        Ok(Arc::new(Reading { store: held.store.clone(), reads: held.reads.clone() }))
    }

    /// The deployment's state, for whoever leads its run in a generation: nothing of who had it before passes any more.
    ///
    /// # Errors
    /// If a later generation has it.
    pub fn writer(&self, deployment: &str, generation: u64) -> StateResult<Arc<dyn Store>> {
        let held = self.held(deployment)?;
        let gate = held.give(deployment, generation)?;
        let store = Arc::new(Writing { store: held.store.clone(), reads: held.reads.clone() });
        Ok(Arc::new(Gated::new(store, gate)))
    }

    /// The same for this node's own run. Others go on from copies of it, and so the numbers of epochs are claimed as in a store that all share.
    pub fn leader(&self, deployment: &str, generation: u64) -> StateResult<Arc<dyn Store>> {
        let held = self.held(deployment)?;
        let gate = held.give(deployment, generation)?;
        Ok(Arc::new(Gated::new(Arc::new(Claimed(held.store.clone())), gate)))
    }

    /// The deployments that have a folder here.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_name(name)).collect()
    }

    /// Removes what is held of a deployment that is no more.
    pub fn forget(&self, deployment: &str) -> StateResult<()> {
        let held = self.held(deployment)?;
        // Within the lock, so that who comes meanwhile opens it anew.
        let mut open = lock(&self.open);
        lock(&held.writer).gate.shut();
        open.remove(deployment);
        let folder = self.folder.join(deployment);
        std::fs::remove_dir_all(&folder).map_err(|error| StateError::io(folder.display().to_string(), error))
    }
}

impl Held {
    fn give(&self, deployment: &str, generation: u64) -> StateResult<Gate> {
        let mut writer = lock(&self.writer);
        if generation < writer.generation {
            let why = format!("generation {} writes there, and this is {generation}", writer.generation);
            return Err(StateError::io(deployment, io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        // What is under way comes to its end first.
        writer.gate.shut();
        *writer = Writer { generation, gate: Gate::default() };
        Ok(writer.gate.clone())
    }
}

/// Rows of runs are in there: its user's alone.
#[cfg(unix)]
fn close(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn close(_: &Path) -> io::Result<()> {
    // A user's folders are theirs by default there.
    Ok(())
}

/// Whether it names a folder on any system: letters, digits, `-`, `_` and dots within.
pub fn is_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !name.is_empty() && name.len() <= MAX_DEPLOYMENT_NAME && name.chars().all(is_plain) && !name.starts_with('.')
}

fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}

/// Of who takes something. It notes what is read.
struct Reading {
    store: Arc<FolderStore>,
    reads: Reads,
}

impl Reading {
    fn note(&self, folder: String) {
        let mut reads = lock(&self.reads);
        reads.retain(|_, at| at.elapsed() < READ_LEASE);
        reads.insert(folder, Instant::now());
    }
}

fn only_read<T>(path: &str) -> StateResult<T> {
    Err(StateError::io(path, io::Error::new(io::ErrorKind::PermissionDenied, "it was opened to be read")))
}

impl Store for Reading {
    fn put(&self, path: &str, _: &[u8]) -> StateResult<()> {
        only_read(path)
    }

    fn create(&self, path: &str, _: &[u8]) -> StateResult<Created> {
        only_read(path)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.note(folder_of(path));
        self.store.get(path, most_bytes)
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.note(folder_of(path));
        self.store.get_range(path, at, bytes)
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        self.note(path.to_owned());
        self.store.list(path)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        only_read(path)
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        only_read(path)
    }
}

/// Of who leads the run elsewhere. What was read lately stays: whoever leads finds it there the next time.
struct Writing {
    store: Arc<FolderStore>,
    reads: Reads,
}

impl Writing {
    fn is_read(&self, folder: &str) -> bool {
        lock(&self.reads).get(folder).is_some_and(|at| at.elapsed() < READ_LEASE)
    }
}

impl Store for Writing {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.store.put(path, bytes)
    }

    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        self.store.put_pieces(path, pieces)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        self.store.create(path, bytes)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.store.get(path, most_bytes)
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.store.get_range(path, at, bytes)
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        self.store.list(path)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        if self.is_read(&folder_of(path)) { Ok(()) } else { self.store.remove(path) }
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        self.store.settle(path)
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        // Something in it is being read, if it is not.
        if self.store.list(path)?.is_empty() { self.store.remove_folder(path) } else { Ok(()) }
    }
}

/// Of this node's own run.
struct Claimed(Arc<FolderStore>);

impl Store for Claimed {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.0.put(path, bytes)
    }

    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        self.0.put_pieces(path, pieces)
    }

    fn put_for_now(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.0.put_for_now(path, bytes)
    }

    fn put_until_kept(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.0.put_until_kept(path, bytes)
    }

    fn keep(&self, path: &str) -> StateResult<()> {
        self.0.keep(path)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        self.0.create(path, bytes)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.0.get(path, most_bytes)
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.0.get_range(path, at, bytes)
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        self.0.list(path)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        self.0.remove(path)
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        self.0.settle(path)
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        self.0.remove_folder(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_generation_puts_nothing_down_any_more_and_a_name_leads_nowhere_else() {
        let data = tempfile::tempdir().unwrap();
        let replicas = Replicas::within(data.path());
        let first = replicas.writer("p", 2).unwrap();
        first.put("run-7/begun", b"").unwrap();
        let own = replicas.leader("p", 4).unwrap();
        assert!(first.put("run-7/epoch-1/manifest", b"late").is_err(), "who had it is shut out");
        assert!(replicas.writer("p", 3).is_err() && own.is_shared());
        own.put("run-7/epoch-1/manifest", b"mine").unwrap();
        // Who reads shuts nobody out, and changes nothing.
        let reader = replicas.reader("p").unwrap();
        assert_eq!(reader.get("run-7/epoch-1/manifest", 9).unwrap().unwrap(), b"mine");
        assert!(reader.put("x", b"").is_err() && reader.remove("run-7/begun").is_err());
        own.put("run-7/begun", b"").unwrap();
        for name in ["", ".", "..", "../x", "a/b", "a b", &"x".repeat(99)] {
            assert!(replicas.writer(name, 1).is_err(), "{name:?}");
        }
        assert_eq!(replicas.names(), ["p"]);
        replicas.forget("p").unwrap();
        assert!(replicas.names().is_empty() && own.put("run-7/begun", b"").is_err());
    }

    #[test]
    fn what_somebody_reads_stays_until_it_is_read_no_more() {
        let data = tempfile::tempdir().unwrap();
        let replicas = Replicas::within(data.path());
        let writer = replicas.writer("p", 2).unwrap();
        for epoch in [1, 2] {
            writer.put(&format!("run-7/epoch-{epoch}/manifest"), b"m").unwrap();
        }
        let reader = replicas.reader("p").unwrap();
        assert!(reader.get("run-7/epoch-1/manifest", 9).unwrap().is_some());
        for epoch in [1, 2] {
            writer.remove(&format!("run-7/epoch-{epoch}/manifest")).unwrap();
            writer.remove_folder(&format!("run-7/epoch-{epoch}")).unwrap();
        }
        assert_eq!(writer.list("run-7").unwrap(), ["epoch-1"]);
    }
}
