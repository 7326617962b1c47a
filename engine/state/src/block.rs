//! Blocks: state that left memory. A block is written once, read by pieces, and removed when nobody holds a piece of it.
//!
//! A piece belongs to one key group, so that a task at another parallelism reads the pieces of its own groups out of the blocks of all
//! former tasks. Since a block never changes, a checkpoint does not copy it: the snapshot names its pieces, the manifest its blocks, and
//! what was spilled once is never written again (the increment of an epoch is what spilled or changed since).
//!
//! Who removes a block: the operator that made it, as long as no snapshot has named it; after that whoever forgets the last epoch that does.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{StateError, StateResult};
use crate::fault;
use crate::snapshot::Writer;
use crate::step::reached;
use crate::store::{FolderStore, Store};

/// The most bytes of one piece: what a read takes memory for at once.
const MAX_PIECE_BYTES: u64 = 4 << 30;

/// Where a piece lies, as a snapshot says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PiecePlace {
    pub block: String,
    pub at: u64,
    pub bytes: u64,
    pub checksum: u64,
}

/// A piece of a block that is there.
#[derive(Debug, Clone)]
pub struct Piece {
    block: Arc<Block>,
    at: u64,
    bytes: u64,
    checksum: u64,
}

impl Piece {
    /// Its length in the block.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it lies, for a snapshot: from now on the block is no longer its operator's to remove.
    pub fn keep(&self) -> PiecePlace {
        self.block.is_kept.store(true, Ordering::Relaxed);
        PiecePlace { block: self.block.name.clone(), at: self.at, bytes: self.bytes, checksum: self.checksum }
    }
}

/// Removed with its last piece, unless a snapshot has named it.
struct Block {
    name: String,
    path: String,
    store: Arc<dyn Store>,
    is_kept: AtomicBool,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("name", &self.name).field("is_kept", &self.is_kept).finish_non_exhaustive()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // What cannot be removed goes with its run.
        if !self.is_kept.load(Ordering::Relaxed) {
            let _ = self.store.remove(&self.path);
        }
    }
}

/// Pieces on their way into one block.
#[derive(Debug, Default)]
pub struct BlockWriter {
    out: Writer,
    ends: Vec<(u16, usize)>,
}

impl BlockWriter {
    /// Adds a piece of one key group.
    pub fn piece(&mut self, group: u16, write: impl FnOnce(&mut Writer)) {
        write(&mut self.out);
        self.ends.push((group, self.out.len()));
    }

    /// The bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// A folder that no run goes on from, made when something is first put there and removed in the end.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    store: Mutex<Option<Arc<FolderStore>>>,
}

impl Scratch {
    /// Names the folder; what runs that are gone have left beside it is removed when it is first used.
    pub const fn new(folder: PathBuf) -> Scratch {
        Scratch { folder, store: Mutex::new(None) }
    }

    fn store(&self) -> StateResult<Arc<dyn Store>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = store.as_ref() {
            return Ok(store.clone());
        }
        if let Some(beside) = self.folder.parent() {
            sweep(beside);
        }
        Ok(store.insert(Arc::new(FolderStore::open(&self.folder)?)).clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let store = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
        if store.take().is_some() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Removes the folders that no process holds any more.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if FolderStore::is_free(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a run's blocks lie.
#[derive(Clone)]
pub enum BlockHome {
    /// With the epochs that refer to them.
    Kept { store: Arc<dyn Store>, folder: String },
    /// For as long as the run lasts.
    Scratch(Arc<Scratch>),
}

impl BlockHome {
    fn store(&self) -> StateResult<Arc<dyn Store>> {
        match self {
            BlockHome::Kept { store, .. } => Ok(store.clone()),
            BlockHome::Scratch(scratch) => scratch.store(),
        }
    }

    fn path(&self, name: &str) -> String {
        match self {
            BlockHome::Kept { folder, .. } => format!("{folder}/{name}"),
            BlockHome::Scratch(_) => name.to_owned(),
        }
    }
}

/// The blocks of one operator in one task.
pub struct Blocks {
    home: BlockHome,
    /// Of the names of those it makes; no other attempt's.
    prefix: String,
    next: AtomicU64,
    /// Blocks of snapshots, each once however many pieces are read of it.
    opened: Mutex<BTreeMap<String, Weak<Block>>>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Blocks {
    pub fn new(home: BlockHome, prefix: String) -> Blocks {
        Blocks { home, prefix, next: AtomicU64::new(0), opened: Mutex::default() }
    }

    /// Puts pieces into a new block. In a run that is kept they are durable when this returns. Blocks the thread.
    pub fn write(&self, writer: BlockWriter) -> StateResult<Vec<(u16, Piece)>> {
        let name = format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let (store, path) = (self.home.store()?, self.home.path(&name));
        let bytes = writer.out.as_bytes();
        match self.home {
            BlockHome::Kept { .. } => store.put_until_kept(&path, bytes)?,
            BlockHome::Scratch(_) => store.put_for_now(&path, bytes)?,
        }
        fault::at("block").map_err(|error| StateError::io(&path, error))?;
        reached("block-written");
        let block = Arc::new(Block { name, path, store, is_kept: AtomicBool::new(false) });
        let mut pieces = Vec::with_capacity(writer.ends.len());
        let mut start = 0;
        for (group, end) in writer.ends {
            let checksum = xxh3_64(bytes.get(start..end).unwrap_or_default());
            pieces.push((group, Piece { block: block.clone(), at: start as u64, bytes: (end - start) as u64, checksum }));
            start = end;
        }
        Ok(pieces)
    }

    /// A piece that a snapshot names.
    pub fn open(&self, place: &PiecePlace) -> StateResult<Piece> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let block = match opened.get(&place.block).and_then(Weak::upgrade) {
            Some(block) => block,
            None => {
                let (name, path) = (place.block.clone(), self.home.path(&place.block));
                let block = Arc::new(Block { name, path, store: self.home.store()?, is_kept: AtomicBool::new(true) });
                opened.insert(place.block.clone(), Arc::downgrade(&block));
                block
            }
        };
        Ok(Piece { block, at: place.at, bytes: place.bytes, checksum: place.checksum })
    }
}

/// Reads a piece, and checks that it is what was written. Blocks the thread.
pub fn read(piece: &Piece) -> StateResult<Vec<u8>> {
    let Block { store, path, .. } = piece.block.as_ref();
    if piece.bytes > MAX_PIECE_BYTES {
        return Err(StateError::damaged(path, format!("a piece of it has {} bytes, and {MAX_PIECE_BYTES} at most", piece.bytes)));
    }
    let bytes = store.get_range(path, piece.at, piece.bytes)?.ok_or_else(|| StateError::damaged(path, "it is missing"))?;
    if xxh3_64(&bytes) != piece.checksum {
        return Err(StateError::damaged(path, format!("the checksum of the piece at byte {} does not fit", piece.at)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(blocks: &Blocks) -> Vec<(u16, Piece)> {
        let mut writer = BlockWriter::default();
        writer.piece(3, |out| out.text("three"));
        writer.piece(700, |out| out.u64(7));
        blocks.write(writer).unwrap()
    }

    #[test]
    fn a_block_goes_with_its_last_piece_unless_a_snapshot_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(FolderStore::open(folder.path()).unwrap());
        let home = BlockHome::Kept { store: store.clone(), folder: "blocks".to_owned() };
        let blocks = Blocks::new(home, "w-0-0".to_owned());
        let (mut dropped, kept) = (write(&blocks), write(&blocks));
        assert_eq!(read(&kept[1].1).unwrap(), 7u64.to_le_bytes());
        dropped.pop();
        assert_eq!(store.list("blocks").unwrap().len(), 2, "a piece of it is held");
        dropped.clear();
        assert_eq!(store.list("blocks").unwrap(), ["w-0-0-1"]);
        let place = kept[0].1.keep();
        drop(kept);
        assert_eq!(store.list("blocks").unwrap(), ["w-0-0-1"], "an epoch may refer to it");
        let again = blocks.open(&place).unwrap();
        assert_eq!(read(&again).unwrap().len(), 13);
        let wrong = blocks.open(&PiecePlace { at: 1, ..place.clone() }).unwrap();
        assert!(read(&wrong).unwrap_err().to_string().contains("checksum"));
        let beyond = blocks.open(&PiecePlace { at: 1 << 40, ..place }).unwrap();
        assert!(read(&beyond).is_err());
    }

    #[test]
    fn a_scratch_folder_is_made_when_needed_and_goes_in_the_end_with_what_dead_runs_left() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("dead");
        drop(FolderStore::open(&left).unwrap());
        let scratch = Arc::new(Scratch::new(folder.path().join("mine")));
        let blocks = Blocks::new(BlockHome::Scratch(scratch.clone()), "w-0-0".to_owned());
        assert!(left.is_dir() && !folder.path().join("mine").exists());
        let pieces = write(&blocks);
        assert!(!left.is_dir() && folder.path().join("mine").is_dir());
        assert_eq!(read(&pieces[0].1).unwrap().len(), 13);
        drop((pieces, blocks, scratch));
        assert!(!folder.path().join("mine").exists());
    }
}
