//! A complete epoch in more than one store: copied, looked over, and gone back to.
//!
//! All here works on stores alone, wherever they are, and blocks. A manifest is copied last and removed first: what is there without one is nothing.

use std::collections::BTreeSet;
use std::thread;

use millrace_state::checkpoint::{MAX_MANIFEST_BYTES, Manifest, Paths, RunId};
use millrace_state::snapshot::{MAX_PART_BYTES, TaskPart};
use millrace_state::store::Store;
use millrace_state::{StateError, StateResult};

use super::home::{epochs_of, forget_epoch, read_manifest};

/// An epoch of a run.
pub type EpochOf = (RunId, u64);

/// Copies an epoch from one store to another, unless it is whole there, and removes what none of the epochs in `live` needs. That nobody else puts
/// anything there meanwhile is the caller's to see to.
///
/// # Errors
/// If either store fails, or the epoch is not whole where it is taken from.
pub fn copy_epoch(from: &dyn Store, to: &dyn Store, (run, epoch): EpochOf, live: &[EpochOf]) -> StateResult<()> {
    let paths = Paths { run };
    let path = paths.manifest(epoch);
    let bytes = from.get(&path, MAX_MANIFEST_BYTES)?.ok_or_else(|| missing(&path))?;
    let manifest = Manifest::decode(&bytes, &path)?;
    let live: Vec<EpochOf> = live.iter().copied().chain([(run, epoch)]).collect();
    let there = to.get(&path, MAX_MANIFEST_BYTES)?;
    forget_others(to, &live)?;
    if there.as_deref() == Some(&bytes) {
        return Ok(());
    }
    if there.is_some() {
        // Whatever stands there under the number is not this epoch.
        to.remove(&path)?;
    }
    let mut blocks: Vec<&str> = manifest.blocks().into_iter().collect();
    if !blocks.is_empty() {
        let there: BTreeSet<String> = to.list(&paths.blocks())?.into_iter().collect();
        blocks.retain(|block| !there.contains(*block));
    }
    each(&blocks, |block| copy(from, to, &paths.block(block), MAX_PART_BYTES))?;
    each(&manifest.parts, |entry| copy(from, to, &paths.part(epoch, &entry.task), entry.bytes.min(MAX_PART_BYTES)))?;
    to.put(&paths.begun(), &[])?;
    to.put(&path, &bytes)
}

/// Files that are under way at once: each waits for the other end, and for a disk.
const AT_ONCE: usize = 8;

/// Does something with each of these, some beside others.
///
/// # Errors
/// One of those that there were.
fn each<T: Sync>(of: &[T], work: impl Fn(&T) -> StateResult<()> + Sync) -> StateResult<()> {
    let lanes = of.len().min(AT_ONCE);
    if lanes < 2 {
        return of.iter().try_for_each(work);
    }
    let lane = |number: usize| of.iter().skip(number).step_by(lanes).try_for_each(&work);
    let lane = &lane;
    thread::scope(|scope| {
        let running: Vec<_> = (0..lanes).map(|number| scope.spawn(move || lane(number))).collect();
        let done = running.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(panicked())));
        // All of them have ended before the first error is told.
        done.collect::<Vec<_>>().into_iter().collect()
    })
}

fn panicked() -> StateError {
    StateError::damaged("an epoch", "copying it panicked")
}

fn copy(from: &dyn Store, to: &dyn Store, path: &str, most_bytes: u64) -> StateResult<()> {
    let bytes = from.get(path, most_bytes)?.ok_or_else(|| missing(path))?;
    to.put(path, &bytes)
}

/// Removes the epochs, the blocks and the runs that none of these needs.
fn forget_others(store: &dyn Store, live: &[EpochOf]) -> StateResult<()> {
    for run in runs_of(store)? {
        let paths = Paths { run };
        let of_run: Vec<u64> = live.iter().filter(|(of, _)| *of == run).map(|(_, epoch)| *epoch).collect();
        for epoch in epochs_of(store, run)?.into_iter().filter(|epoch| !of_run.contains(epoch)) {
            // The manifest first: what is left of an epoch without it is nothing.
            store.remove(&paths.manifest(epoch))?;
            let folder = paths.epoch(epoch);
            each(&store.list(&folder)?, |name| store.remove(&format!("{folder}/{name}")))?;
            store.remove_folder(&folder)?;
        }
        let mut blocks = store.list(&paths.blocks())?;
        for epoch in &of_run {
            if blocks.is_empty() {
                break;
            }
            if let Some(manifest) = read_manifest(store, &paths.manifest(*epoch))? {
                let needed = manifest.blocks();
                blocks.retain(|block| !needed.contains(block.as_str()));
            }
        }
        each(&blocks, |block| store.remove(&paths.block(block)))?;
        if of_run.is_empty() {
            store.remove_folder(&paths.blocks())?;
            for name in store.list(&paths.run())? {
                store.remove(&format!("{}/{name}", paths.run()))?;
            }
            store.remove_folder(&paths.run())?;
        }
    }
    Ok(())
}

fn runs_of(store: &dyn Store) -> StateResult<Vec<RunId>> {
    Ok(store.list("")?.iter().filter_map(|name| Paths::run_of(name)).collect())
}

/// Sees that an epoch is there, each of its bytes as its manifest says.
///
/// # Errors
/// What of it is missing or damaged.
pub fn look_over(store: &dyn Store, (run, epoch): EpochOf) -> StateResult<()> {
    let paths = Paths { run };
    let path = paths.manifest(epoch);
    let manifest = read_manifest(store, &path)?.ok_or_else(|| missing(&path))?;
    if (manifest.run, manifest.epoch) != (run, epoch) {
        return Err(StateError::damaged(path, format!("it is of epoch {} of run {}", manifest.epoch, manifest.run)));
    }
    for entry in &manifest.parts {
        let path = paths.part(epoch, &entry.task);
        let bytes = store.get(&path, entry.bytes.min(MAX_PART_BYTES))?.ok_or_else(|| missing(&path))?;
        TaskPart::open(bytes, entry.checksum, path)?;
    }
    let there: BTreeSet<String> = store.list(&paths.blocks())?.into_iter().collect();
    match manifest.blocks().into_iter().find(|block| !there.contains(*block)) {
        Some(block) => Err(missing(&paths.block(block))),
        None => Ok(()),
    }
}

/// Takes away the manifests of all epochs but one and those before it in its run: what a run goes on from is that one then, and what its sinks had made
/// ready for others is given up as that of any run is. None: of all, since none was ever complete. What this store noted of who had claimed its runs goes
/// too: it knows nothing of those that went on from other copies.
pub fn cut_to(store: &dyn Store, newest: Option<EpochOf>) -> StateResult<()> {
    for run in runs_of(store)? {
        let is_kept = |epoch: u64| newest.is_some_and(|(of, newest)| of == run && epoch <= newest);
        for epoch in epochs_of(store, run)?.into_iter().filter(|epoch| !is_kept(*epoch)) {
            forget_epoch(store, run, epoch)?;
        }
        let is_note = |name: &String| Paths::from_of(name).is_some() || Paths::claim_of(name).is_some();
        for note in store.list(&Paths { run }.run())?.iter().filter(|name| is_note(name)) {
            store.remove(&format!("{}/{note}", Paths { run }.run()))?;
        }
    }
    Ok(())
}

fn missing(path: &str) -> StateError {
    StateError::damaged(path, "it is missing")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use millrace_model::NodeId;
    use millrace_state::checkpoint::{PartEntry, TaskId};
    use millrace_state::snapshot::TaskPartWriter;
    use millrace_state::store::FolderStore;

    use super::*;
    use crate::checkpoint::StateHome;

    const RUN: RunId = RunId(7);

    fn store() -> (Arc<FolderStore>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(FolderStore::open(folder.path()).unwrap()), folder)
    }

    fn task() -> TaskId {
        TaskId { node: NodeId::new("window"), task: 0 }
    }

    /// Makes an epoch complete, as a run does.
    fn complete(store: &Arc<FolderStore>, run: RunId, epoch: u64, blocks: &[&str]) {
        let home = StateHome::new(store.clone(), Duration::from_secs(1), false);
        for block in blocks {
            store.put(&Paths { run }.block(block), format!("rows of {block}").as_bytes()).unwrap();
        }
        let mut part = TaskPartWriter::default();
        part.watermark(epoch as i64);
        let part = home.write_part(run, epoch, task(), part).unwrap();
        let part = PartEntry { blocks: blocks.iter().map(|&block| block.to_owned()).collect(), ..part };
        let (nodes, meanings, ready) = Default::default();
        let manifest = Manifest { run, epoch, taken_us: 0, ending: None, key_groups: 1024, nodes, meanings, parts: vec![part], ready };
        home.create_manifest(&manifest).unwrap();
    }

    fn newest(store: &Arc<FolderStore>) -> Option<EpochOf> {
        let found = StateHome::new(store.clone(), Duration::from_secs(1), false).find(None).unwrap();
        found.newest.map(|manifest| (manifest.run, manifest.epoch))
    }

    #[test]
    fn a_copy_is_a_store_that_a_run_goes_on_from_and_holds_what_live_epochs_need_and_no_more() {
        let ((leader, _a), (holder, _b)) = (store(), store());
        complete(&leader, RUN, 1, &["x", "y"]);
        copy_epoch(leader.as_ref(), holder.as_ref(), (RUN, 1), &[]).unwrap();
        complete(&leader, RUN, 2, &["y", "z"]);
        copy_epoch(leader.as_ref(), holder.as_ref(), (RUN, 2), &[(RUN, 1)]).unwrap();
        assert_eq!((newest(&holder), holder.list(&Paths { run: RUN }.blocks()).unwrap().len()), (Some((RUN, 2)), 3));
        [1, 2].into_iter().for_each(|epoch| look_over(holder.as_ref(), (RUN, epoch)).unwrap());
        complete(&leader, RUN, 3, &["z"]);
        copy_epoch(leader.as_ref(), holder.as_ref(), (RUN, 3), &[(RUN, 2)]).unwrap();
        assert_eq!(holder.list(&Paths { run: RUN }.blocks()).unwrap(), ["y", "z"]);
        // Another run takes its place, and it goes once that has an epoch which is live alone.
        complete(&leader, RunId(9), 1, &[]);
        copy_epoch(leader.as_ref(), holder.as_ref(), (RunId(9), 1), &[(RUN, 3)]).unwrap();
        look_over(holder.as_ref(), (RUN, 3)).unwrap();
        copy_epoch(leader.as_ref(), holder.as_ref(), (RunId(9), 1), &[]).unwrap();
        assert!(!holder.list("").unwrap().contains(&Paths { run: RUN }.run()));
    }

    #[test]
    fn what_is_damaged_or_missing_is_found_and_an_epoch_of_the_same_number_is_replaced() {
        let ((leader, _a), (holder, _b), (other, _c)) = (store(), store(), store());
        complete(&leader, RUN, 1, &["x"]);
        copy_epoch(leader.as_ref(), holder.as_ref(), (RUN, 1), &[]).unwrap();
        let part = Paths { run: RUN }.part(1, &task());
        holder.put(&part, b"rubbish").unwrap();
        assert!(look_over(holder.as_ref(), (RUN, 1)).is_err());
        holder.remove(&Paths { run: RUN }.manifest(1)).unwrap();
        copy_epoch(leader.as_ref(), holder.as_ref(), (RUN, 1), &[]).unwrap();
        look_over(holder.as_ref(), (RUN, 1)).unwrap();
        holder.remove(&Paths { run: RUN }.block("x")).unwrap();
        assert!(look_over(holder.as_ref(), (RUN, 1)).unwrap_err().to_string().contains("missing"));
        // Who is taken from has to have it whole.
        assert!(copy_epoch(holder.as_ref(), other.as_ref(), (RUN, 1), &[]).is_err());
        assert_eq!(newest(&other), None, "half a copy is none");
    }

    #[test]
    fn a_run_goes_on_from_the_epoch_of_the_log_and_from_no_other() {
        let (store, _folder) = store();
        [3, 4, 5].into_iter().for_each(|epoch| complete(&store, RUN, epoch, &[]));
        complete(&store, RunId(9), 1, &[]);
        cut_to(store.as_ref(), Some((RUN, 4))).unwrap();
        assert_eq!(newest(&store), Some((RUN, 4)));
        look_over(store.as_ref(), (RUN, 3)).unwrap();
        cut_to(store.as_ref(), None).unwrap();
        assert_eq!(newest(&store), None);
    }
}
