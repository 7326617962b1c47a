//! A disk that outlives the lives of a process, and fails as it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_state::store::{AppendFile, Disk, DiskLock, ReadFile};

use super::tree::Tree;
use super::{Halt, World};

/// How calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Any call fails, some of them after they had their effect.
    Broken,
    /// What needs room fails.
    Full,
    /// No sync of bytes or names succeeds.
    SyncFails,
    /// Syncs of the state's files say that they succeeded, and did nothing.
    SyncLies,
}

/// A time of trouble, counted in calls of the life.
#[derive(Debug, Clone, Copy)]
pub struct Spell {
    pub from: u64,
    pub until: u64,
    pub trouble: Trouble,
    /// Of the calls that it is about, one in so many.
    pub one_in: u64,
}

/// What befalls a life.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The power goes before this call, from 1 on.
    pub crash_at: Option<u64>,
    pub spells: Vec<Spell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Lock,
    MakeFolder,
    Create,
    Write,
    Append,
    Cut,
    Sync,
    SyncFolder,
    Open,
    Link,
    Rename,
    List,
    RemoveFile,
    RemoveFolder,
}

/// Whose lives a disk sees.
#[derive(Default)]
enum Owner {
    /// There is one process, and its lives are the world's.
    #[default]
    World,
    /// One of several.
    Process {
        /// The lives so far; the last one is under way unless it is over.
        lives: u32,
        is_over: bool,
        /// Told when the power goes before a call.
        crashed: Option<Box<dyn FnOnce() + Send>>,
    },
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Owner::World => "World",
            Owner::Process { .. } => "Process",
        })
    }
}

#[derive(Debug, Default)]
struct State {
    owner: Owner,
    tree: Tree,
    locks: BTreeMap<PathBuf, u32>,
    faults: Faults,
    /// In this life.
    calls: u64,
    failed: u64,
    /// In all lives.
    failed_ever: u64,
    lied: u64,
}

/// What is at rest. Each life has a handle of its own on it.
#[derive(Debug, Clone)]
pub struct SimDisk {
    world: World,
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    pub fn new(world: &World) -> SimDisk {
        SimDisk { world: world.clone(), state: Arc::default() }
    }

    /// The disk of one process of several, whose lives are its own.
    pub fn of_process(world: &World) -> SimDisk {
        let owner = Owner::Process { lives: 0, is_over: true, crashed: None };
        SimDisk { world: world.clone(), state: Arc::new(Mutex::new(State { owner, ..State::default() })) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk as the next life of its process sees it. `crashed` is told if the power goes before a call, as the faults say.
    pub fn begin_process(&self, faults: Faults, on_crash: impl FnOnce() + Send + 'static) -> Arc<LifeDisk> {
        let on_crash: Box<dyn FnOnce() + Send> = Box::new(on_crash);
        let mut state = self.lock();
        (state.faults, state.calls, state.failed) = (faults, 0, 0);
        state.locks.clear();
        let life = match &mut state.owner {
            Owner::World => 0,
            Owner::Process { lives, is_over, crashed } => {
                (*is_over, *crashed) = (false, Some(on_crash));
                *lives += 1;
                *lives
            }
        };
        drop(state);
        Arc::new(LifeDisk { disk: self.clone(), life })
    }

    /// The life of its process is over: no call of it has an effect any more.
    pub fn end_process(&self) {
        if let Owner::Process { is_over, crashed, .. } = &mut self.lock().owner {
            *is_over = true;
            *crashed = None;
        }
    }

    /// The disk as a life sees it that begins now.
    pub fn begin_life(&self, faults: Faults) -> Arc<LifeDisk> {
        let life = self.world.begin_life();
        self.world.say(format_args!("begins: {faults:?}"));
        let mut state = self.lock();
        (state.faults, state.calls, state.failed) = (faults, 0, 0);
        state.locks.clear();
        Arc::new(LifeDisk { disk: self.clone(), life })
    }

    /// The power has gone.
    pub fn crash(&self) {
        let mut state = self.lock();
        let became = self.world.chance(|chance| state.tree.crash(chance));
        self.world.say(format_args!("the power goes: {became}"));
    }

    /// Calls of this life so far, and those that failed or lied.
    pub fn calls(&self) -> (u64, u64) {
        let state = self.lock();
        (state.calls, state.failed)
    }

    /// From now on calls fail so, counted from here on.
    pub fn trouble(&self, faults: Faults) {
        let mut state = self.lock();
        let calls = state.calls;
        let later = |spell: Spell| Spell { from: spell.from + calls, until: spell.until + calls, ..spell };
        let spells = faults.spells.into_iter().map(later).collect();
        state.faults = Faults { crash_at: faults.crash_at.map(|at| at + calls), spells };
    }

    /// No call fails any more.
    pub fn calm(&self) {
        self.lock().faults = Faults::default();
    }

    /// Calls that failed or lied, in all lives.
    pub fn failed_ever(&self) -> u64 {
        self.lock().failed_ever
    }

    /// Syncs that did nothing, in all lives.
    pub fn lied(&self) -> u64 {
        self.lock().lied
    }

    /// All files and empty folders, for whoever judges.
    pub fn all(&self) -> Vec<PathBuf> {
        self.lock().tree.all()
    }

    /// A file's bytes, for whoever judges.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.lock().tree.read(path)
    }
}

/// The disk as one life sees it: once that is over, no call has an effect.
#[derive(Debug, Clone)]
pub struct LifeDisk {
    disk: SimDisk,
    life: u32,
}

/// As Linux numbers them.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn gone() -> io::Error {
    io::Error::other("this life is over")
}

impl State {
    fn is_alive(&self, world: &World, life: u32) -> bool {
        match self.owner {
            Owner::World => world.is_alive(life),
            Owner::Process { lives, is_over, .. } => lives == life && !is_over,
        }
    }

    /// The life of a process is over; gives whom to tell.
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let Owner::Process { is_over, crashed, .. } = &mut self.owner else { return None };
        *is_over = true;
        crashed.take()
    }

    fn trouble(&self, call: Call, path: &Path, world: &World) -> Option<Trouble> {
        let concerns = |trouble: Trouble| match trouble {
            Trouble::Broken => true,
            Trouble::Full => matches!(call, Call::MakeFolder | Call::Create | Call::Write | Call::Append | Call::Link | Call::Rename),
            Trouble::SyncFails => matches!(call, Call::Sync | Call::SyncFolder | Call::Cut),
            Trouble::SyncLies => matches!(call, Call::Sync | Call::SyncFolder) && path.starts_with("/state"),
        };
        let spells = self.faults.spells.iter().filter(|spell| (spell.from..spell.until).contains(&self.calls) && concerns(spell.trouble));
        spells.into_iter().find(|spell| world.chance(|chance| chance.one_in(spell.one_in))).map(|spell| spell.trouble)
    }
}

impl LifeDisk {
    fn call<T>(&self, call: Call, path: &Path, effect: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T>
    where
        T: Default,
    {
        let world = &self.disk.world;
        let mut state = self.disk.lock();
        if !state.is_alive(world, self.life) {
            return Err(gone());
        }
        state.calls += 1;
        if state.faults.crash_at == Some(state.calls) {
            world.say(format_args!("{call:?} {} is not reached", path.display()));
            let crashed = state.end();
            drop(state);
            match crashed {
                Some(crashed) => crashed(),
                None => world.halt(Halt::Crashed),
            }
            return Err(gone());
        }
        let trouble = state.trouble(call, path, world);
        let result = match trouble {
            None => effect(&mut state.tree),
            Some(Trouble::SyncLies) => Ok(T::default()),
            Some(Trouble::Full) => Err(io::Error::from_raw_os_error(ENOSPC)),
            Some(trouble) => {
                if trouble == Trouble::Broken && world.chance(|chance| chance.one_in(4)) {
                    let _ = effect(&mut state.tree);
                }
                Err(io::Error::from_raw_os_error(EIO))
            }
        };
        state.failed += u64::from(trouble.is_some());
        state.failed_ever += u64::from(trouble.is_some());
        state.lied += u64::from(trouble == Some(Trouble::SyncLies));
        let became = match (&trouble, &result) {
            (Some(trouble), _) => format!(": {trouble:?}"),
            (None, Err(error)) => format!(": {:?}", error.kind()),
            (None, Ok(_)) => String::new(),
        };
        world.say(format_args!("{call:?} {}{became}", path.display()));
        result
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.call(Call::Create, path, |tree| tree.create(path))?;
        self.disk.world.say(format_args!("{} bytes, {:016x}", bytes.len(), fingerprint(bytes)));
        self.call(Call::Write, path, |tree| tree.write(path, bytes))
    }
}

/// FNV-1a, so that logs tell bytes apart.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A file that is written at its end.
#[derive(Debug)]
struct SimEnd {
    disk: LifeDisk,
    path: PathBuf,
}

impl AppendFile for SimEnd {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.disk.world.say(format_args!("{} bytes, {:016x}", bytes.len(), fingerprint(bytes)));
        self.disk.call(Call::Append, &self.path, |tree| tree.append(&self.path, bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.call(Call::Sync, &self.path, |tree| tree.sync(&self.path))
    }
}

#[derive(Debug)]
struct SimFile(Cursor<Vec<u8>>);

impl Read for SimFile {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

impl Seek for SimFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl ReadFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.get_ref().len() as u64)
    }
}

struct Held {
    disk: SimDisk,
    life: u32,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.locks.get(&self.path) == Some(&self.life) {
            state.locks.remove(&self.path);
        }
    }
}

impl Disk for LifeDisk {
    fn process(&self) -> u32 {
        self.life
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        self.call(Call::Lock, path, |tree| if tree.read(path).is_ok() { Ok(()) } else { tree.create(path) })?;
        let mut state = self.disk.lock();
        if state.locks.contains_key(path) {
            return Ok(None);
        }
        state.locks.insert(path.to_path_buf(), self.life);
        Ok(Some(Box::new(Held { disk: self.disk.clone(), life: self.life, path: path.to_path_buf() })))
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.disk.lock().tree.is_folder(path)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Call::MakeFolder, folder, |tree| tree.make_folder(folder))
    }

    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !self.is_folder(folder)).collect();
        missing.into_iter().rev().try_for_each(|folder| match self.make_folder(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.put(path, bytes)
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.put(path, bytes)?;
        self.call(Call::Sync, path, |tree| tree.sync(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let bytes = self.call(Call::Open, path, |tree| tree.read(path))?;
        Ok(Box::new(SimFile(Cursor::new(bytes))))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.call(Call::Append, path, |tree| tree.append(path, &[]))?;
        Ok(Box::new(SimEnd { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.call(Call::Cut, path, |tree| tree.cut(path, bytes))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Link, to, |tree| tree.hard_link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, to, |tree| tree.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Call::SyncFolder, folder, |tree| tree.sync_folder(folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.call(Call::List, folder, |tree| tree.list(folder))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Call::RemoveFile, path, |tree| tree.remove_file(path))
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Call::RemoveFolder, folder, |tree| tree.remove_folder(folder))
    }
}
