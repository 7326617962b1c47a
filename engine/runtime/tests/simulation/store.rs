//! What the store of states promises, over a disk that keeps what was synced and of the rest what it likes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::NodeId;
use millrace_runtime::checkpoint::StateHome;
use millrace_state::StateError;
use millrace_state::checkpoint::{Manifest, PartEntry, Paths, RunId, TaskId};
use millrace_state::snapshot::TaskPartWriter;
use millrace_state::store::{Created, FolderStore, Store};
use millrace_testkit::sim::{Faults, SimDisk, Spell, Trouble, World};

const RUN: RunId = RunId(7);
const FOLDER: &str = "/project/.millrace/state/sim";

fn open(disk: &SimDisk, faults: Faults) -> Result<Arc<FolderStore>, StateError> {
    FolderStore::open_on(disk.begin_life(faults), Path::new(FOLDER)).map(Arc::new)
}

fn crashes_at(call: u64) -> Faults {
    Faults { crash_at: Some(call), spells: Vec::new() }
}

#[test]
fn what_was_created_outlasts_any_crash_wherever_its_folders_came_from() {
    for seed in 0..200 {
        let world = World::new(seed);
        let disk = SimDisk::new(&world);
        let fails = Spell { from: 1 + seed % 12, until: 2 + seed % 12, trouble: Trouble::SyncFails, one_in: 1 };
        if let Ok(store) = open(&disk, Faults { crash_at: None, spells: vec![fails] }) {
            // Makes the folders, and may fail to sync them.
            let _ = store.put("run-7/epoch-1/part", b"part");
        }
        let store = open(&disk, Faults::default()).unwrap();
        assert_eq!(store.create("run-7/epoch-1/manifest", b"manifest").unwrap(), Created::Now);
        drop(store);
        disk.crash();
        let store = open(&disk, Faults::default()).unwrap();
        assert_eq!(store.get("run-7/epoch-1/manifest", 100).unwrap().as_deref(), Some(&b"manifest"[..]), "seed {seed}");
    }
}

fn epoch(home: &StateHome, store: &dyn Store, number: u64) {
    let task = TaskId { node: NodeId::new("window"), task: 0 };
    let part = TaskPartWriter::default().finish();
    store.put_pieces(&Paths { run: RUN }.part(number, &task), &part.pieces).unwrap();
    let parts = vec![PartEntry { task, bytes: part.len(), checksum: part.checksum, blocks: Vec::new() }];
    let (nodes, meanings, ready) = Default::default();
    let manifest = Manifest { run: RUN, epoch: number, taken_us: 0, ending: None, key_groups: 1024, nodes, meanings, parts, ready };
    home.create_manifest(&manifest).unwrap();
}

/// Forgets a run of three epochs and is cut short at a call of the disk, or at none; then whoever looks finds the newest whole, or nothing.
fn forgotten_up_to(seed: u64, call: u64) -> bool {
    let world = World::new(seed);
    let disk = SimDisk::new(&world);
    let store = open(&disk, crashes_at(call)).unwrap();
    let home = StateHome::new(store.clone(), Duration::from_secs(1), false);
    home.begin(RUN, &[]).unwrap();
    (1..=3).for_each(|number| epoch(&home, store.as_ref(), number));
    let forgotten = home.forget_below(RUN, 3).and_then(|()| home.forget_run(RUN));
    drop((home, store));
    disk.crash();
    let store = open(&disk, Faults::default()).unwrap();
    let home = StateHome::new(store.clone(), Duration::from_secs(1), false);
    let found = home.find(None).unwrap_or_else(|error| panic!("seed {seed}, call {call}: {error}"));
    let newest = found.newest.map(|manifest| manifest.epoch);
    assert!(newest.is_none_or(|epoch| epoch == 3), "seed {seed}, call {call}: epoch {newest:?} is found alone");
    home.forget_run(RUN).unwrap();
    assert_eq!(store.list("").unwrap(), ["lock", "newest"], "seed {seed}, call {call}");
    forgotten.is_ok()
}

#[test]
fn a_run_that_is_forgotten_is_found_as_it_was_or_not_at_all() {
    // The calls of the disk before it is forgotten.
    let world = World::new(0);
    let disk = SimDisk::new(&world);
    let store = open(&disk, Faults::default()).unwrap();
    let home = StateHome::new(store.clone(), Duration::from_secs(1), false);
    home.begin(RUN, &[]).unwrap();
    (1..=3).for_each(|number| epoch(&home, store.as_ref(), number));
    let first = disk.calls().0 + 1;
    for seed in 0..40 {
        let last = (first..).find(|call| forgotten_up_to(seed * 1_000 + call, *call)).unwrap();
        assert!(last > first + 15, "it was cut short at every call: {first} to {last}");
    }
}
