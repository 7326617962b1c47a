//! Whatever another node of a control group says, and in whatever order: a node answers it, refuses it, and goes on.

#![no_main]

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use millrace_control::config::{Entry, LogId, SnapshotMeta, StoredMembership, Vote};
use millrace_control::control::{Command, Generation, Source};
use millrace_control::time::{Boxed, StandIn, within};
use millrace_control::{Ask, ControlGroup, NoAnswer, Peer, Place, Question, Settings, Told, Transport};
use millrace_state::store::{AppendFile, Disk, DiskLock, ReadFile};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{CommittedLeaderId, EntryPayload, Membership};
use tokio::task::AbortHandle;

/// A number as an enemy draws it: small, so that it meets what is there, or at a bound.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Number(u8);

impl Number {
    fn get(self) -> u64 {
        match self.0 {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            253 => 1 << 62,
            252 => u64::from(u32::MAX),
            small => u64::from(small % 24),
        }
    }
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Id {
    term: Number,
    index: Number,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct By {
    term: Number,
    /// 0: the node itself.
    node: u8,
    committed: bool,
}

#[derive(Debug, Arbitrary)]
enum Load {
    Blank,
    Command(Number),
    Group { voters: Vec<u8>, others: Vec<u8>, nodes: Vec<u8> },
}

#[derive(Debug, Arbitrary)]
enum Asked<'a> {
    Text(&'a str),
    Vote {
        by: By,
        last: Option<Id>,
    },
    /// Entries of any numbers.
    Append {
        by: By,
        before: Option<Id>,
        entries: Vec<(Id, Load)>,
        commit: Option<Id>,
    },
    /// Entries that follow one another.
    Follow {
        by: By,
        before: Option<Id>,
        loads: Vec<Load>,
        commit: Option<Id>,
    },
    Snapshot {
        by: By,
        last: Option<Id>,
        members: (Option<Id>, Load),
        name: u8,
        offset: Number,
        bytes: &'a [u8],
        done: bool,
    },
    /// One that can be read.
    State {
        by: By,
        last: Option<Id>,
        members: (Option<Id>, Load),
    },
    Write(Number),
    Admit {
        id: u8,
        name: u8,
    },
    Wait(u16),
}

fn log_id(id: Id) -> LogId {
    LogId { leader_id: CommittedLeaderId::new(id.term.get(), 0), index: id.index.get() }
}

fn vote(by: By, own: u64) -> Vote {
    let node = if by.node == 0 { own } else { u64::from(by.node) };
    if by.committed { Vote::new_committed(by.term.get(), node) } else { Vote::new(by.term.get(), node) }
}

fn peer(number: u8) -> Peer {
    Peer { name: format!("n{number}"), address: format!("n{number}") }
}

fn membership(load: &Load, own: u64) -> Membership<u64, Peer> {
    let Load::Group { voters, others, nodes } = load else { return Membership::new(Vec::new(), ()) };
    let id = |node: &u8| if *node == 0 { own } else { u64::from(*node) };
    let configs: Vec<Vec<u64>> =
        [voters, others].into_iter().filter(|some| !some.is_empty()).map(|some| some.iter().map(id).collect()).collect();
    // Read as it comes from the wire, where nobody has looked at it.
    let nodes: BTreeMap<u64, Peer> = nodes.iter().map(|node| (id(node), peer(*node))).collect();
    let text = serde_json::json!({ "configs": configs, "nodes": nodes });
    serde_json::from_value(text).unwrap_or_else(|_| Membership::new(Vec::new(), ()))
}

fn command(number: Number) -> Command {
    let (name, generation) = (format!("p{}", number.0 % 4), Generation(number.get()));
    match number.0 % 3 {
        0 => Command::Deploy { name, generation, source: Source::default() },
        1 => Command::Remove { name, generation },
        _ => Command::Join { name, generation, address: String::new(), slots: 1, is_control: false },
    }
}

fn entry(id: LogId, load: &Load, own: u64) -> Entry {
    let payload = match load {
        Load::Blank => EntryPayload::Blank,
        Load::Command(number) => EntryPayload::Normal(command(*number)),
        group => EntryPayload::Membership(membership(group, own)),
    };
    Entry { log_id: id, payload }
}

fn ask(asked: &Asked<'_>, own: u64) -> Option<Ask> {
    let meta = |last: &Option<Id>, members: &(Option<Id>, Load), name: u8| SnapshotMeta {
        last_log_id: last.map(log_id),
        last_membership: StoredMembership::new(members.0.map(log_id), membership(&members.1, own)),
        snapshot_id: name.to_string(),
    };
    Some(match asked {
        Asked::Text(text) => serde_json::from_str(text).ok()?,
        Asked::Vote { by, last } => Ask::Vote(VoteRequest { vote: vote(*by, own), last_log_id: last.map(log_id) }),
        Asked::Append { by, before, entries, commit } => Ask::Append(AppendEntriesRequest {
            vote: vote(*by, own),
            prev_log_id: before.map(log_id),
            entries: entries.iter().map(|(id, load)| entry(log_id(*id), load, own)).collect(),
            leader_commit: commit.map(log_id),
        }),
        Asked::Follow { by, before, loads, commit } => {
            let first = before.map_or(0, |before| before.index.get().saturating_add(1));
            let id = |at: u64| LogId { leader_id: CommittedLeaderId::new(by.term.get(), 0), index: at };
            Ask::Append(AppendEntriesRequest {
                vote: vote(By { committed: true, ..*by }, own),
                prev_log_id: before.map(log_id),
                entries: (first..).zip(loads).map(|(at, load)| entry(id(at), load, own)).collect(),
                leader_commit: commit.map(log_id),
            })
        }
        Asked::Snapshot { by, last, members, name, offset, bytes, done } => Ask::Snapshot(InstallSnapshotRequest {
            vote: vote(*by, own),
            meta: meta(last, members, *name),
            offset: offset.get(),
            data: bytes.to_vec(),
            done: *done,
        }),
        Asked::State { by, last, members } => Ask::Snapshot(InstallSnapshotRequest {
            vote: vote(By { committed: true, ..*by }, own),
            meta: meta(last, members, 0),
            offset: 0,
            data: serde_json::to_vec(&millrace_control::control::Control::default()).expect("it can be written"),
            done: true,
        }),
        Asked::Write(number) => Ask::Write(command(*number)),
        Asked::Admit { id, name } => Ask::Admit { id: u64::from(*id).max(1), peer: peer(*name) },
        Asked::Wait(_) => return None,
    })
}

/// Nobody else is there.
struct Alone;

#[async_trait::async_trait]
impl Transport for Alone {
    async fn ask(&self, peer: &Peer, _: Question, _: Duration) -> Result<Told, NoAnswer> {
        Err(NoAnswer { address: peer.address.clone(), why: "nobody is there".to_owned() })
    }
}

/// Time that passes when there is nothing else to do.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Hands>>);

#[derive(Default)]
struct Hands {
    now: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

impl Clock {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().expect("nobody panics with it")
    }

    fn idle(&self) {
        let first = {
            let mut hands = self.hands();
            let first = hands.sleepers.pop_first();
            if let Some(((at, _), _)) = &first {
                hands.now = hands.now.max(*at);
            }
            first
        };
        first.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl StandIn for Clock {
    fn now(&self) -> Duration {
        self.hands().now
    }

    fn sleep(&self, time: Duration) -> Boxed {
        let (clock, until) = (self.clone(), self.now() + time);
        Box::pin(std::future::poll_fn(move |context| {
            let mut hands = clock.hands();
            if hands.now >= until {
                return Poll::Ready(());
            }
            hands.next += 1;
            let place = (until, hands.next);
            hands.sleepers.insert(place, context.waker().clone());
            Poll::Pending
        }))
    }

    fn spawn(&self, task: Boxed) -> AbortHandle {
        tokio::spawn(task).abort_handle()
    }

    fn delay(&self) -> Boxed {
        self.sleep(Duration::from_micros(100))
    }

    fn draw(&self) -> u64 {
        let mut hands = self.hands();
        hands.next += 1;
        hands.next.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>);

impl Files {
    fn all(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<u8>>> {
        self.0.lock().expect("nobody panics with it")
    }
}

#[derive(Debug)]
struct OneFile(Cursor<Vec<u8>>);

impl io::Read for OneFile {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

impl io::Seek for OneFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl ReadFile for OneFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.get_ref().len() as u64)
    }
}

#[derive(Debug)]
struct End(Files, PathBuf);

impl AppendFile for End {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.all().entry(self.1.clone()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Files {
    fn process(&self) -> u32 {
        1
    }

    fn lock(&self, _: &Path) -> io::Result<Option<DiskLock>> {
        Ok(Some(Box::new(())))
    }

    fn is_folder(&self, _: &Path) -> bool {
        true
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn make_folders(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.all().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let bytes = self.all().get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(OneFile(Cursor::new(bytes))))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.all().entry(path.to_owned()).or_default();
        Ok(Box::new(End(self.clone(), path.to_owned())))
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.all().entry(path.to_owned()).or_default().truncate(bytes as usize);
        Ok(())
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut all = self.all();
        let bytes = all.remove(from).ok_or(io::ErrorKind::NotFound)?;
        all.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let all = self.all();
        let names = all.keys().filter_map(|path| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.all().remove(path);
        Ok(())
    }

    fn remove_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

async fn answer(is_founded: bool, steps: &[Asked<'_>], clock: &Clock) {
    let settings = Settings { snapshot_after: 6, kept_entries: 2, segment_bytes: 1 << 10, ..Settings::default() };
    let files = Files::default();
    let place = Place::new(Arc::new(files.clone()), Path::new("/n"));
    let group = ControlGroup::open_on(place.clone(), Arc::new(Alone), settings.clone()).await.expect("an empty folder can be opened");
    if is_founded {
        group.found(peer(0)).await.expect("a group of one can be founded");
    }
    for step in steps {
        if let Asked::Wait(ms) = step {
            clock.sleep(Duration::from_millis((*ms).into())).await;
        }
        let Some(ask) = ask(step, group.id()) else { continue };
        // As it travels.
        let Ok(Ok(ask)) = serde_json::to_string(&ask).map(|text| serde_json::from_str::<Ask>(&text)) else { continue };
        group.answer(Question { to: None, ask }).await;
        group.is_in_group().await.expect("it goes on");
    }
    group.write(command(Number(2))).await.ok();
    group.is_in_group().await.expect("it goes on");
    group.shut_down().await;
    // What it has on disk it reads again.
    let again = ControlGroup::open_on(place, Arc::new(Alone), settings).await.expect("what was written can be read");
    again.is_in_group().await.expect("it goes on");
    again.shut_down().await;
}

fuzz_target!(|input: (bool, Vec<Asked<'_>>)| {
    let (is_founded, steps) = input;
    let clock = Clock::default();
    let idle = clock.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || idle.idle()).build().expect("a runtime");
    runtime.block_on(within(Arc::new(clock.clone()), answer(is_founded, &steps, &clock)));
});
