//! Who goes on with a run, where no lock keeps two processes apart: on a store that is shared.
//!
//! A process claims a run, by creating the next `claim-N`, before it looks for the epoch to go on from; and whoever makes an epoch complete
//! looks after that, and before sinks commit, whether another has claimed the run since. So either the one sees the claim and commits
//! nothing, or the other finds the epoch: a shared store gives what it has to everybody as soon as it has said so.
//!
//! Before it touches anything else, the process says in `from-N` which epoch it goes on from. What one that has lost the run may still
//! complete is no epoch from then on. And its own epochs begin well above all numbers that the other may come to, so that parts and blocks
//! of the two, in the store and at the sinks, never share a name.
//!
//! Where each process has a copy of the state for itself, and sees no other's claims, they are numbered from its generation on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_state::checkpoint::{Paths, RunId};
use millrace_state::frame::{self, FrameKind};
use millrace_state::step::reached;
use millrace_state::store::{Created, Store};
use millrace_state::{StateError, StateResult};

use super::home::{StateHome, epochs_of};

const FROM: FrameKind = FrameKind { magic: *b"MRFR", version: 1, oldest: 1, name: "note of where a run was taken over" };

/// The most bytes of a claim, or of such a note.
const MAX_BYTES: u64 = 4 << 10;

/// A process that has lost a run gives up many epochs less than these before it learns of it.
const GAP: u64 = 1000;

/// Claims that a generation may come to, where each process numbers them in a copy of its own.
const APART: u64 = 100;

/// The runs that this process has claimed or begun, by the number of its claim.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<BTreeMap<RunId, u64>>>);

impl Claims {
    fn set(&self, run: RunId, claim: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(run, claim);
    }

    fn of(&self, run: RunId) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).copied()
    }
}

/// Where a run was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From {
    epoch: u64,
    /// The new owner's epochs come after this number.
    base: u64,
}

impl From {
    /// Whether an epoch is one of the new owner's, or the one that it went on from.
    pub(super) const fn knows(&self, epoch: u64) -> bool {
        epoch == self.epoch || epoch > self.base
    }

    fn encode(self) -> Vec<u8> {
        frame::enclose(FROM, format!("{} {}", self.epoch, self.base).as_bytes())
    }

    fn decode(bytes: &[u8], what: &str) -> StateResult<From> {
        let (_, text) = frame::open(FROM, bytes, what)?;
        let numbers = std::str::from_utf8(text).ok().and_then(|text| text.split_once(' '));
        let read = numbers.and_then(|(epoch, base)| Some(From { epoch: epoch.parse().ok()?, base: base.parse().ok()? }));
        read.ok_or_else(|| StateError::damaged(what, "it does not hold two numbers"))
    }
}

/// Where a run was last taken over, of the names in its folder; none if whoever began it still has it.
pub(super) fn newest_from(store: &dyn Store, run: RunId, names: &[String]) -> StateResult<Option<From>> {
    let Some(claim) = names.iter().filter_map(|name| Paths::from_of(name)).max() else { return Ok(None) };
    let path = Paths { run }.from(claim);
    let bytes = store.get(&path, MAX_BYTES)?.ok_or_else(|| StateError::damaged(&path, "it is missing"))?;
    From::decode(&bytes, &path).map(Some)
}

/// Creates what only this process can have made. An answer that was lost, and a request that was made again, are seen through.
pub(super) fn create_own(store: &dyn Store, path: &str, bytes: &[u8]) -> StateResult<Created> {
    match store.create(path, bytes)? {
        Created::Before if store.is_shared() && store.get(path, bytes.len() as u64).is_ok_and(|it| it.as_deref() == Some(bytes)) => {
            Ok(Created::Now)
        }
        created => Ok(created),
    }
}

impl StateHome {
    /// Claims every run that there is, before it is looked at.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process does so at this moment.
    pub fn claim_all(&self) -> StateResult<()> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let runs: Vec<RunId> = self.store.list("")?.iter().filter_map(|name| Paths::run_of(name)).collect();
        runs.into_iter().try_for_each(|run| self.claim(run).map(|_| ()))
    }

    fn claim(&self, run: RunId) -> StateResult<u64> {
        let names = self.store.list(&Paths { run }.run())?;
        let claim = newest_claim(&names).max(self.generation.saturating_mul(APART)) + 1;
        let path = Paths { run }.claim(claim);
        // Nobody else writes these bytes at this moment.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let who = format!("{}-{now}", std::process::id());
        if create_own(self.store.as_ref(), &path, who.as_bytes())? == Created::Before {
            return Err(StateError::InUse { path: Paths { run }.run() });
        }
        self.claims.set(run, claim);
        reached("run-claimed");
        Ok(claim)
    }

    /// Says that the run goes on from an epoch, and gives the number after which its own begin.
    pub fn take_over(&self, run: RunId, epoch: u64) -> StateResult<u64> {
        if !self.store.is_shared() {
            return Ok(epoch);
        }
        let claim = match self.claims.of(run) {
            Some(claim) => claim,
            None => self.claim(run)?,
        };
        let names = self.store.list(&Paths { run }.run())?;
        let before = newest_from(self.store.as_ref(), run, &names)?.map_or(0, |from| from.base);
        let top = epochs_of(self.store.as_ref(), run)?.into_iter().max().unwrap_or(0).max(before).max(epoch);
        let from = From { epoch, base: (top / GAP + 1 + claim) * GAP };
        self.store.put(&Paths { run }.from(claim), &from.encode())?;
        if !self.is_mine(run)? {
            return Err(StateError::InUse { path: Paths { run }.run() });
        }
        reached("taken-over");
        for name in names {
            let is_older = |number: Option<u64>| number.is_some_and(|number| number < claim);
            if is_older(Paths::claim_of(&name)) || is_older(Paths::from_of(&name)) {
                self.store.remove(&format!("{}/{name}", Paths { run }.run()))?;
            }
        }
        Ok(from.base)
    }

    /// Says that a run begins; `known` are those that were there before, and are claimed.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process has begun one meanwhile.
    pub fn begin(&self, run: RunId, known: &[RunId]) -> StateResult<()> {
        self.store.put(&Paths { run }.begun(), &[])?;
        self.claims.set(run, 0);
        if self.store.is_shared() {
            let mut others = self.store.list("")?.into_iter().filter_map(|name| Paths::run_of(&name));
            if others.any(|other| other != run && !known.contains(&other)) {
                self.store.remove(&Paths { run }.begun())?;
                return Err(StateError::InUse { path: Paths { run }.run() });
            }
        }
        self.store.put(Paths::newest_run(), run.to_string().as_bytes())
    }

    /// Whether no other process has claimed the run, or seen it to its end.
    pub(super) fn is_mine(&self, run: RunId) -> StateResult<bool> {
        if !self.store.is_shared() {
            return Ok(true);
        }
        let names = self.store.list(&Paths { run }.run())?;
        Ok(names.iter().any(|name| Paths::is_begun(name)) && self.claims.of(run) == Some(newest_claim(&names)))
    }
}

/// The number of the newest claim of the names in a run's folder; 0 for whoever began it.
fn newest_claim(names: &[String]) -> u64 {
    names.iter().filter_map(|name| Paths::claim_of(name)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millrace_state::checkpoint::Manifest;
    use millrace_state::store::FolderStore;

    use super::*;

    const RUN: RunId = RunId(7);

    /// A folder that is taken for shared.
    struct Shared(FolderStore);

    impl Store for Shared {
        fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
            self.0.put(path, bytes)
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
        fn remove_folder(&self, path: &str) -> StateResult<()> {
            self.0.remove_folder(path)
        }
        fn is_shared(&self) -> bool {
            true
        }
    }

    fn store() -> (Arc<dyn Store>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(Shared(FolderStore::open(folder.path()).unwrap())), folder)
    }

    fn process(store: &Arc<dyn Store>) -> StateHome {
        StateHome::new(store.clone(), Duration::from_secs(1), false)
    }

    /// Makes an epoch complete, and says whether sinks may commit it.
    fn completes(process: &StateHome, epoch: u64) -> bool {
        let (nodes, meanings, parts, ready) = Default::default();
        let taken_us = i64::from(std::process::id());
        let manifest = Manifest { run: RUN, epoch, taken_us, ending: None, key_groups: 1024, nodes, meanings, parts, ready };
        process.create_manifest(&manifest).unwrap() == Created::Now
    }

    /// Goes on with the run, and says from which epoch, and after which number its own come.
    fn goes_on(process: &StateHome) -> Option<(u64, u64)> {
        process.claim_all().unwrap();
        let newest = process.find(None).unwrap().newest?;
        Some((newest.epoch, process.take_over(newest.run, newest.epoch).unwrap()))
    }

    #[test]
    fn who_has_lost_a_run_commits_nothing_and_leaves_no_epoch() {
        let (store, _folder) = store();
        let (first, second, third) = (process(&store), process(&store), process(&store));
        first.begin(RUN, &[]).unwrap();
        assert!(completes(&first, 1) && completes(&first, 2));
        let (from, after) = goes_on(&second).unwrap();
        assert!(from == 2 && after >= 1000, "{after}");
        assert!(!completes(&first, 3), "it is there, and is not the run's");
        let (from, later) = goes_on(&third).unwrap();
        assert!(from == 2 && later > after, "the second had come to nothing, and the first had lost the run by then");
        assert!(!completes(&second, after + 1) && completes(&third, later + 1));
        assert_eq!(goes_on(&second).unwrap().0, later + 1);
    }

    #[test]
    fn an_epoch_that_was_complete_before_the_claim_is_gone_on_from() {
        let (store, _folder) = store();
        let (first, second) = (process(&store), process(&store));
        first.begin(RUN, &[]).unwrap();
        assert!(completes(&first, 1));
        second.claim_all().unwrap();
        // Made complete between the claim and the look: the one commits nothing, the other goes on from it.
        assert!(!completes(&first, 2));
        assert_eq!(second.find(None).unwrap().newest.unwrap().epoch, 2);
    }

    #[test]
    fn who_comes_back_after_the_end_of_its_run_commits_nothing_and_is_not_gone_on_from() {
        let (store, _folder) = store();
        let (first, second, third) = (process(&store), process(&store), process(&store));
        first.begin(RUN, &[]).unwrap();
        assert!(completes(&first, 1));
        goes_on(&second).unwrap();
        second.forget_run(RUN).unwrap();
        assert_eq!(store.list("").unwrap(), ["lock", "newest"], "nothing is left of it");
        assert!(!completes(&first, 2));
        third.claim_all().unwrap();
        let found = third.find(None).unwrap();
        assert!(found.newest.is_none() && found.given_up == [RUN]);
    }

    #[test]
    fn of_two_that_begin_at_once_not_both_do() {
        let (store, _folder) = store();
        let (first, second) = (process(&store), process(&store));
        // Neither has seen the other.
        first.begin(RUN, &[]).unwrap();
        assert!(matches!(second.begin(RunId(8), &[]), Err(StateError::InUse { .. })));
        assert!(completes(&first, 1));
    }

    #[test]
    fn a_note_of_where_a_run_was_taken_over_is_read_whole_or_not_at_all() {
        let (store, _folder) = store();
        let (first, second) = (process(&store), process(&store));
        first.begin(RUN, &[]).unwrap();
        assert!(completes(&first, 1));
        goes_on(&second).unwrap();
        let path = Paths { run: RUN }.from(1);
        let mut bytes = store.get(&path, 100).unwrap().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        store.put(&path, &bytes).unwrap();
        first.claim_all().unwrap();
        assert!(matches!(first.find(None), Err(StateError::Damaged { .. })));
    }
}
