//! Named savepoints: copies of epochs that nobody collects, taken on request, and how a run goes back to one.
//!
//! Whoever wants one of a running pipeline leaves a request in the folder of its state; the process that holds the folder takes an epoch,
//! copies it under the name, and takes the request away. All here blocks, and runs on threads that may.

use std::sync::Arc;

use millrace_model::{NodeId, Timestamp};
use millrace_state::checkpoint::{Manifest, PartEntry, Paths, RunId, SavepointName};
use millrace_state::snapshot::MAX_PART_BYTES;
use millrace_state::store::Store;
use millrace_state::{StateError, StateResult};

use super::codes;
use super::home::{epochs_of, forget_epoch, newest_epoch, read_manifest};
use crate::error::{RunError, RunResult};
use crate::guarantee::Visibility;

/// The most bytes of a note: a run's number, or why a savepoint was refused.
const MAX_NOTE_BYTES: u64 = 4 << 10;

/// A savepoint that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Savepoint {
    pub name: SavepointName,
    pub run: RunId,
    pub epoch: u64,
    pub taken: Timestamp,
    /// Of all parts.
    pub bytes: u64,
}

/// The savepoints of one pipeline.
#[derive(Clone)]
pub struct Savepoints {
    store: Arc<dyn Store>,
}

impl Savepoints {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Savepoints { store }
    }

    /// All that are whole, by name.
    pub fn list(&self) -> StateResult<Vec<Savepoint>> {
        let names = self.store.list(SavepointName::all())?;
        let mut found = Vec::new();
        for name in names.iter().filter_map(|name| SavepointName::new(name)) {
            if let Some(manifest) = self.manifest(&name)? {
                found.push(about(name, &manifest));
            }
        }
        Ok(found)
    }

    /// One of them; none if there is none of that name.
    pub fn get(&self, name: &SavepointName) -> StateResult<Option<Savepoint>> {
        Ok(self.manifest(name)?.map(|manifest| about(name.clone(), &manifest)))
    }

    fn manifest(&self, name: &SavepointName) -> StateResult<Option<Manifest>> {
        read_manifest(self.store.as_ref(), &name.manifest())
    }

    /// Asks the process that holds the folder for one.
    pub fn ask(&self, name: &SavepointName) -> StateResult<()> {
        self.store.remove(&name.refusal())?;
        self.store.put(&name.request(), &[])
    }

    /// What is asked for.
    pub fn asked(&self) -> StateResult<Vec<SavepointName>> {
        let mut asked = Vec::new();
        for name in self.store.list(SavepointName::requests())?.iter().filter_map(|name| SavepointName::new(name)) {
            if self.store.get(&name.request(), MAX_NOTE_BYTES)?.is_some() {
                asked.push(name);
            }
        }
        Ok(asked)
    }

    /// Takes a request away, with whatever was answered.
    pub fn withdraw(&self, name: &SavepointName) -> StateResult<()> {
        self.store.remove(&name.request())?;
        self.store.remove(&name.refusal())?;
        self.store.remove_folder(&name.request_folder())
    }

    /// Answers that a savepoint was not taken.
    pub fn refuse(&self, name: &SavepointName, why: &str) -> StateResult<()> {
        self.store.put(&name.refusal(), why.as_bytes())?;
        self.store.remove(&name.request())
    }

    /// Why it was not taken, if that was answered.
    pub fn refusal(&self, name: &SavepointName) -> StateResult<Option<String>> {
        let why = self.store.get(&name.refusal(), MAX_NOTE_BYTES)?;
        Ok(why.map(|why| String::from_utf8_lossy(&why).into_owned()))
    }

    /// Copies a complete epoch, its manifest last: what is there without it is no savepoint.
    pub fn keep(&self, run: RunId, epoch: u64, name: &SavepointName) -> StateResult<Savepoint> {
        if self.manifest(name)?.is_some() {
            return Err(StateError::damaged(name.folder(), "there is a savepoint of that name already"));
        }
        let from = Paths { run };
        let path = from.manifest(epoch);
        let manifest = read_manifest(self.store.as_ref(), &path)?.ok_or_else(|| StateError::damaged(&path, "it is missing"))?;
        for entry in &manifest.parts {
            self.copy(entry, &from.part(epoch, &entry.task), &name.part(&entry.task))?;
        }
        for block in manifest.blocks() {
            self.copy_block(&from.block(block), &name.block(block))?;
        }
        self.store.put(&name.manifest(), &manifest.encode()?)?;
        Ok(about(name.clone(), &manifest))
    }

    /// Copies the newest epoch of the newest run that has one: of a run that is under way in no process.
    pub fn keep_newest(&self, name: &SavepointName) -> StateResult<Option<Savepoint>> {
        let mut runs: Vec<RunId> = self.store.list("")?.iter().filter_map(|name| Paths::run_of(name)).collect();
        runs.sort_unstable();
        for run in runs.into_iter().rev() {
            if let Some(epoch) = newest_epoch(self.store.as_ref(), run)? {
                return self.keep(run, epoch, name).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes a savepoint away.
    pub fn remove(&self, name: &SavepointName) -> StateResult<()> {
        self.store.remove(&name.manifest())?;
        for file in self.store.list(&name.folder())? {
            self.store.remove(&format!("{}/{file}", name.folder()))?;
        }
        self.store.remove_folder(&name.folder())
    }

    /// The newest epoch of a run that a savepoint holds; 0 if none does.
    pub fn newest_of(&self, run: RunId) -> StateResult<u64> {
        Ok(self.list()?.iter().filter(|savepoint| savepoint.run == run).map(|savepoint| savepoint.epoch).max().unwrap_or(0))
    }

    /// The newest epoch that a run has now; none if it is over.
    pub fn newest_epoch(&self, run: RunId) -> StateResult<Option<u64>> {
        newest_epoch(self.store.as_ref(), run)
    }

    /// The run that began last.
    pub fn newest_run(&self) -> StateResult<Option<RunId>> {
        let note = self.store.get(Paths::newest_run(), MAX_NOTE_BYTES)?;
        Ok(note.and_then(|note| String::from_utf8_lossy(&note).trim().parse().ok().map(RunId)))
    }

    /// Makes a savepoint its run's newest epoch again: its parts, its manifest, and only then everything later goes, the newest last, so
    /// that whatever comes in between is either still as it was or already gone back.
    ///
    /// `take_over` is told of it before anything later goes.
    pub fn bring_back(&self, name: &SavepointName, take_over: impl FnOnce(RunId, u64) -> StateResult<u64>) -> StateResult<RunId> {
        let manifest = self.manifest(name)?.ok_or_else(|| StateError::damaged(name.manifest(), "it is missing"))?;
        let (to, epoch) = (Paths { run: manifest.run }, manifest.epoch);
        for entry in &manifest.parts {
            self.copy(entry, &name.part(&entry.task), &to.part(epoch, &entry.task))?;
        }
        for block in manifest.blocks() {
            self.copy_block(&name.block(block), &to.block(block))?;
        }
        self.store.put(&to.begun(), &[])?;
        self.store.put(&to.manifest(epoch), &manifest.encode()?)?;
        take_over(manifest.run, epoch)?;
        for later in epochs_of(self.store.as_ref(), manifest.run)?.into_iter().filter(|later| *later > epoch) {
            forget_epoch(self.store.as_ref(), manifest.run, later)?;
        }
        Ok(manifest.run)
    }

    /// What left memory is a part of the epoch.
    fn copy_block(&self, from: &str, to: &str) -> StateResult<()> {
        let bytes = self.store.get(from, MAX_PART_BYTES)?.ok_or_else(|| StateError::damaged(from, "it is missing"))?;
        self.store.put(to, &bytes)
    }

    fn copy(&self, entry: &PartEntry, from: &str, to: &str) -> StateResult<()> {
        let bytes = self.store.get(from, entry.bytes.min(MAX_PART_BYTES))?.ok_or_else(|| StateError::damaged(from, "it is missing"))?;
        self.store.put(to, &bytes)
    }
}

fn about(name: SavepointName, manifest: &Manifest) -> Savepoint {
    let bytes = manifest.parts.iter().map(|part| part.bytes).sum();
    Savepoint { name, run: manifest.run, epoch: manifest.epoch, taken: Timestamp(manifest.taken_us), bytes }
}

/// Sees that going back to a savepoint takes nothing back and shows nothing twice, unless that is allowed.
///
/// # Errors
/// If it does, with what; and if what the sinks had is gone, whatever is allowed.
pub fn may_go_back(savepoints: &Savepoints, savepoint: &Savepoint, sinks: &[(NodeId, Visibility)], is_allowed: bool) -> RunResult<()> {
    let losses = losses(savepoints, savepoint, sinks)?;
    if losses.is_empty() || is_allowed {
        return Ok(());
    }
    let Savepoint { name, epoch, .. } = savepoint;
    let message = format!("savepoint `{name}` is of epoch {epoch}, and sinks have shown rows since: {}", losses.join("; "));
    let help = "if that is meant, allow it, with --allow-rewind";
    Err(RunError::State { code: codes::COMMITTED_LATER, message, help, retryable: false })
}

/// What going back to a savepoint does to rows that sinks have shown since: for the person who must decide. Nothing, if nothing came after.
///
/// # Errors
/// If a later run has replaced what the sinks had: no allowance brings it back.
pub fn losses(savepoints: &Savepoints, savepoint: &Savepoint, sinks: &[(NodeId, Visibility)]) -> RunResult<Vec<String>> {
    let shows_epochs = sinks.iter().any(|(_, visibility)| *visibility == Visibility::WithEpoch);
    let newest_run = savepoints.newest_run()?;
    if shows_epochs && newest_run.is_some_and(|newest| newest != savepoint.run) {
        let message = format!("savepoint `{}` is of a run whose outputs a later run has replaced", savepoint.name);
        let help = "run without --from; or write to other files, and run the savepoint's pipeline as it was";
        return Err(RunError::State { code: codes::REPLACED, message, help, retryable: false });
    }
    let until = match savepoints.newest_epoch(savepoint.run)? {
        Some(newest) if newest <= savepoint.epoch => return Ok(Vec::new()),
        Some(newest) => format!("of epochs {} to {newest}", savepoint.epoch + 1),
        None => format!("after epoch {}", savepoint.epoch),
    };
    let of_sink = |(node, visibility): &(NodeId, Visibility)| match visibility {
        Visibility::WithEpoch => format!("`{node}`: rows {until} are taken back, and made anew"),
        Visibility::AsTheyCome => format!("`{node}`: rows {until} come a second time"),
    };
    Ok(sinks.iter().map(of_sink).collect())
}
