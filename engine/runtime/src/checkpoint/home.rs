//! Where a pipeline's runs are kept. All here blocks, and runs on threads that may.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_state::block::BlockHome;
use millrace_state::checkpoint::{MAX_MANIFEST_BYTES, Manifest, PartEntry, Paths, RunId, SavepointName, TaskId};
use millrace_state::fault;
use millrace_state::planted::{self, Bug};
use millrace_state::snapshot::{MAX_PART_BYTES, TaskPart, TaskPartWriter};
use millrace_state::step::reached;
use millrace_state::store::{Created, Gate, Gated, Store};
use millrace_state::{StateError, StateResult};

use super::claims::{Claims, create_own, newest_from};
use super::savepoints::Savepoints;

/// A pipeline's state, held by one run at a time.
#[derive(Clone)]
pub struct StateHome {
    pub(super) store: Arc<dyn Store>,
    pub(super) claims: Claims,
    /// From one epoch's begin to the next one's.
    pub every: Duration,
    /// Whether an unfinished run is given up instead of resumed.
    pub is_fresh: bool,
    /// The savepoint to go back to first.
    pub from: Option<SavepointName>,
    pub allows: Allowances,
    /// Where others go on with the run from copies of its state: what is higher for each of them, so that no two number their epochs alike.
    pub generation: u64,
}

/// What a run may do that loses something, since whoever started it said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Go back below an epoch that sinks have committed.
    pub rewind: bool,
    /// Go on without the state that a changed pipeline cannot keep.
    pub state_loss: bool,
}

impl fmt::Debug for StateHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateHome").field("every", &self.every).field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}

/// What there is to go on from.
#[derive(Debug, Default)]
pub struct Found {
    /// Of the newest complete epoch of the newest run that has one.
    pub newest: Option<Manifest>,
    /// Runs that nobody goes on with.
    pub given_up: Vec<RunId>,
}

impl StateHome {
    pub fn new(store: Arc<dyn Store>, every: Duration, is_fresh: bool) -> Self {
        StateHome { store, claims: Claims::default(), every, is_fresh, from: None, allows: Allowances::default(), generation: 0 }
    }

    /// Whether other processes may go on with what is in its store.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Where it lies.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    pub fn savepoints(&self) -> Savepoints {
        Savepoints::new(self.store.clone())
    }

    /// The same home for somebody who may be given up: nothing passes the gate once it is shut.
    #[must_use]
    pub fn behind(&self, gate: &Gate) -> Self {
        StateHome { store: Arc::new(Gated::new(self.store.clone(), gate.clone())), ..self.clone() }
    }

    /// The same home for the next attempt of a run that has begun: it resumes.
    pub fn resuming(&self) -> Self {
        StateHome { is_fresh: false, from: None, allows: Allowances { rewind: false, ..self.allows }, ..self.clone() }
    }

    /// Looks for what to go on from: in `only` that run, where it is set.
    ///
    /// # Errors
    /// If the newest epoch is complete and cannot be read. An earlier one is no substitute: sinks may have committed this one.
    pub fn find(&self, only: Option<RunId>) -> StateResult<Found> {
        let mut runs: Vec<RunId> = self.store.list("")?.iter().filter_map(|name| Paths::run_of(name)).collect();
        runs.sort_unstable();
        let mut found = Found::default();
        for run in runs.into_iter().rev() {
            let is_other = only.is_some_and(|only| only != run);
            let newest = if self.is_fresh || is_other || found.newest.is_some() { None } else { newest_epoch(self.store.as_ref(), run)? };
            match newest {
                Some(epoch) => found.newest = Some(self.newest(run, epoch)?),
                None => found.given_up.push(run),
            }
        }
        Ok(found)
    }

    /// The manifest of an epoch; none if it is not complete.
    fn manifest(&self, run: RunId, epoch: u64) -> StateResult<Option<Manifest>> {
        let path = Paths { run }.manifest(epoch);
        let Some(manifest) = read_manifest(self.store.as_ref(), &path)? else { return Ok(None) };
        if (manifest.run, manifest.epoch) != (run, epoch) {
            return Err(StateError::damaged(path, format!("it is of epoch {} of run {}", manifest.epoch, manifest.run)));
        }
        Ok(Some(manifest))
    }

    /// The manifest of an epoch that is known to be complete.
    pub fn complete(&self, run: RunId, epoch: u64) -> StateResult<Manifest> {
        self.manifest(run, epoch)?.ok_or_else(|| missing(&Paths { run }.manifest(epoch)))
    }

    fn newest(&self, run: RunId, epoch: u64) -> StateResult<Manifest> {
        // A manifest whose sync had failed is there, and a power cut would take it away after sinks have committed what it says.
        self.store.settle(&Paths { run }.epoch(epoch))?;
        self.complete(run, epoch)
    }

    /// Reads what one task had written down in an epoch.
    pub fn read_part(&self, run: RunId, epoch: u64, entry: &PartEntry) -> StateResult<TaskPart> {
        let path = Paths { run }.part(epoch, &entry.task);
        let bytes = self.store.get(&path, entry.bytes.min(MAX_PART_BYTES))?.ok_or_else(|| missing(&path))?;
        let part = TaskPart::open(bytes, entry.checksum, path)?;
        reached("part-restored");
        Ok(part)
    }

    /// Puts a task's part to rest.
    pub fn write_part(&self, run: RunId, epoch: u64, task: TaskId, part: TaskPartWriter) -> StateResult<PartEntry> {
        reached("part-taken");
        let part = part.finish();
        for block in &part.blocks {
            self.store.keep(&Paths { run }.block(block))?;
        }
        reached("blocks-kept");
        let path = Paths { run }.part(epoch, &task);
        self.store.put_pieces(&path, &part.pieces)?;
        fault::at("part").map_err(|error| StateError::io(path, error))?;
        reached("part-written");
        Ok(PartEntry { task, bytes: part.len(), checksum: part.checksum, blocks: part.blocks })
    }

    /// Makes an epoch complete, unless another process has, or has claimed the run: that one goes on from this epoch, or knows it not to be one.
    pub fn create_manifest(&self, manifest: &Manifest) -> StateResult<Created> {
        reached("all-parts-written");
        let path = Paths { run: manifest.run }.manifest(manifest.epoch);
        let created = create_own(self.store.as_ref(), &path, &manifest.encode()?)?;
        fault::at("manifest").map_err(|error| StateError::io(path, error))?;
        reached("manifest-created");
        Ok(if self.is_mine(manifest.run)? { created } else { Created::Before })
    }

    /// Forgets the epochs below one that sinks have committed, and what was never complete. Nothing goes if that one is gone itself: what
    /// is needed of those below is not known here, and whoever forgot it has seen to them.
    pub fn forget_below(&self, run: RunId, epoch: u64) -> StateResult<()> {
        if planted::has(Bug::CollectedTooEarly) {
            self.collect_parts_of(run, epoch)?;
        }
        let mut gone = BTreeSet::new();
        let has_blocks = !self.store.list(&Paths { run }.blocks())?.is_empty();
        let Some(kept) = self.manifest(run, epoch)? else { return Ok(()) };
        for old in epochs_of(self.store.as_ref(), run)?.into_iter().filter(|old| *old < epoch) {
            reached("forgetting");
            if has_blocks && let Some(manifest) = self.manifest(run, old)? {
                gone.extend(manifest.blocks().into_iter().map(str::to_owned));
            }
            forget_epoch(self.store.as_ref(), run, old)?;
        }
        let kept = kept.blocks();
        gone.retain(|block| !kept.contains(block.as_str()));
        self.forget_blocks(run, gone)
    }

    /// Forgets the blocks that the epoch does not refer to, before anything goes on from it: what made them is gone.
    pub fn forget_stray_blocks(&self, manifest: &Manifest) -> StateResult<()> {
        let (run, kept) = (manifest.run, manifest.blocks());
        let there = self.store.list(&Paths { run }.blocks())?;
        self.forget_blocks(run, there.into_iter().filter(|block| !kept.contains(block.as_str())))
    }

    fn forget_blocks(&self, run: RunId, blocks: impl IntoIterator<Item = String>) -> StateResult<()> {
        for block in blocks {
            reached("block-forgotten");
            self.store.remove(&Paths { run }.block(&block))?;
        }
        Ok(())
    }

    /// Where a run's blocks lie.
    pub fn blocks(&self, run: RunId) -> BlockHome {
        BlockHome::Kept { store: self.store.clone(), folder: Paths { run }.blocks() }
    }

    /// What [`Bug::CollectedTooEarly`] does.
    #[cold]
    fn collect_parts_of(&self, run: RunId, epoch: u64) -> StateResult<()> {
        let folder = Paths { run }.epoch(epoch);
        let mut parts = self.store.list(&folder)?.into_iter().filter(|name| !Paths::is_manifest(name));
        parts.try_for_each(|part| self.store.remove(&format!("{folder}/{part}")))
    }

    /// Forgets a run that is finished or given up. The newest epoch goes last, when no crash brings an older one back, so that nobody ever
    /// finds that alone; and its manifest goes before what it names.
    pub fn forget_run(&self, run: RunId) -> StateResult<()> {
        reached("run-over");
        let paths = Paths { run };
        let epochs = epochs_of(self.store.as_ref(), run)?;
        for epoch in &epochs {
            if epochs.last() == Some(epoch) {
                self.store.settle(&paths.run())?;
                self.store.remove(&paths.manifest(*epoch))?;
                self.store.settle(&paths.epoch(*epoch))?;
            }
            forget_epoch(self.store.as_ref(), run, *epoch)?;
            reached("epoch-forgotten");
        }
        self.forget_blocks(run, self.store.list(&paths.blocks())?)?;
        self.store.remove_folder(&paths.blocks())?;
        // What a process that was killed had not finished there goes too. In their order: on a shared store a run has no `begun` any more
        // before its claims go, so that who comes back to it always sees that it has lost it.
        for name in self.store.list(&paths.run())? {
            self.store.remove(&format!("{}/{name}", paths.run()))?;
        }
        self.store.remove_folder(&paths.run())
    }
}

/// The epochs of a run, complete or not.
pub(super) fn epochs_of(store: &dyn Store, run: RunId) -> StateResult<Vec<u64>> {
    Ok(numbers(&store.list(&Paths { run }.run())?))
}

fn numbers(names: &[String]) -> Vec<u64> {
    let mut epochs: Vec<u64> = names.iter().filter_map(|name| Paths::epoch_of(name)).collect();
    epochs.sort_unstable();
    epochs
}

fn missing(path: &str) -> StateError {
    StateError::damaged(path, "it is missing")
}

/// The newest epoch of a run that has a manifest.
pub(super) fn newest_epoch(store: &dyn Store, run: RunId) -> StateResult<Option<u64>> {
    let names = store.list(&Paths { run }.run())?;
    // On a shared store a process that has lost a run may leave something of it after its end.
    if store.is_shared() && !names.iter().any(|name| Paths::is_begun(name)) {
        return Ok(None);
    }
    let from = newest_from(store, run, &names)?;
    let mut epochs = numbers(&names);
    epochs.retain(|epoch| from.is_none_or(|from| from.knows(*epoch)));
    for epoch in epochs.into_iter().rev() {
        if store.list(&Paths { run }.epoch(epoch))?.iter().any(|name| Paths::is_manifest(name)) {
            return Ok(Some(epoch));
        }
    }
    Ok(None)
}

/// The manifest at a path; none if nothing is there.
pub(super) fn read_manifest(store: &dyn Store, path: &str) -> StateResult<Option<Manifest>> {
    let bytes = store.get(path, MAX_MANIFEST_BYTES)?;
    bytes.map(|bytes| Manifest::decode(&bytes, path)).transpose()
}

/// The manifest first: what is left of an epoch without it is nothing.
pub(super) fn forget_epoch(store: &dyn Store, run: RunId, epoch: u64) -> StateResult<()> {
    let (paths, folder) = (Paths { run }, Paths { run }.epoch(epoch));
    store.remove(&paths.manifest(epoch))?;
    for name in store.list(&folder)? {
        store.remove(&format!("{folder}/{name}"))?;
    }
    store.remove_folder(&folder)
}

#[cfg(test)]
mod tests {
    use millrace_model::NodeId;
    use millrace_state::store::FolderStore;

    use super::*;

    const RUN: RunId = RunId(7);

    fn epoch(number: u64, blocks: &[&str]) -> Manifest {
        let task = TaskId { node: NodeId::new("window"), task: 0 };
        let part = PartEntry { task, bytes: 0, checksum: 0, blocks: blocks.iter().map(|&block| block.to_owned()).collect() };
        let (nodes, meanings, ready) = Default::default();
        Manifest { run: RUN, epoch: number, taken_us: 0, ending: None, key_groups: 1024, nodes, meanings, parts: vec![part], ready }
    }

    fn home_of(epochs: &[(u64, &[&str])]) -> (StateHome, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let home = StateHome::new(Arc::new(FolderStore::open(folder.path()).unwrap()), Duration::from_secs(1), false);
        for (number, blocks) in epochs {
            blocks.iter().for_each(|block| home.store.put(&Paths { run: RUN }.block(block), b"rows").unwrap());
            home.create_manifest(&epoch(*number, blocks)).unwrap();
        }
        (home, folder)
    }

    fn blocks_of(home: &StateHome) -> Vec<String> {
        home.store.list(&Paths { run: RUN }.blocks()).unwrap()
    }

    #[test]
    fn a_block_goes_with_the_last_epoch_that_refers_to_it() {
        let (home, _folder) = home_of(&[(1, &["a", "b"]), (2, &["a"]), (3, &["c"])]);
        home.forget_below(RUN, 2).unwrap();
        assert_eq!(blocks_of(&home), ["a", "c"]);
        home.forget_below(RUN, 3).unwrap();
        assert_eq!(blocks_of(&home), ["c"]);
    }

    #[test]
    fn who_comes_late_to_forget_takes_nothing_that_a_later_epoch_needs() {
        let (home, _folder) = home_of(&[(2, &["a"]), (3, &["a"]), (4, &["a"])]);
        // Another, further on, has come between.
        forget_epoch(home.store.as_ref(), RUN, 3).unwrap();
        home.forget_below(RUN, 3).unwrap();
        assert_eq!(blocks_of(&home), ["a"]);
    }
}
