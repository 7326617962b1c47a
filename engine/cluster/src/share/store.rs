//! A store at the other end of a session: that of a run's state, as a member reaches it at its leader, and that of a replica, as a leader does at who
//! holds it.
//!
//! Calls block, as a store's do, and belong on threads that may. What is large travels in pieces, so that nothing of another kind waits long
//! behind it. When the session is over every call fails, which is what keeps a member that was given up from writing anything any more.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use millrace_state::snapshot::MAX_PART_BYTES;
use millrace_state::store::{Created, Store};
use millrace_state::{StateError, StateResult};
use millrace_wire::message::{DataHeader, ShareId, StoreAnswer, StoreAsk};
use tokio::runtime::Handle;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::data::{DataItem, DataPayload, DataQueue};

/// How much travels at once.
const PIECE_BYTES: usize = 1 << 20;

/// The calls under way of who asks.
pub struct LinkStore {
    share: ShareId,
    /// Whether what is put goes with its checksum.
    is_checked: bool,
    out: Arc<DataQueue>,
    runtime: Handle,
    next: AtomicU64,
    /// Pieces that have gone or come, whatever of.
    moved: Arc<AtomicU64>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    waiting: BTreeMap<u64, Call>,
    is_over: bool,
}

struct Call {
    bytes: BytesMut,
    answered: SyncSender<(StoreAnswer, BytesMut)>,
}

impl LinkStore {
    /// `out` goes to the leader; what it answers is told by [`LinkStore::answered`].
    pub fn new(share: ShareId, out: Arc<DataQueue>, runtime: Handle) -> Arc<LinkStore> {
        Arc::new(LinkStore::of(share, false, out, runtime))
    }

    fn of(share: ShareId, is_checked: bool, out: Arc<DataQueue>, runtime: Handle) -> LinkStore {
        LinkStore { share, is_checked, out, runtime, next: AtomicU64::new(1), moved: Arc::default(), calls: Mutex::default() }
    }

    /// The same, whose other end puts nothing down that is not what was sent.
    pub fn checked(share: ShareId, out: Arc<DataQueue>, runtime: Handle) -> Arc<LinkStore> {
        Arc::new(LinkStore::of(share, true, out, runtime))
    }

    fn put_ask(&self, path: &str, pieces: &[&[u8]]) -> StoreAsk {
        let path = path.to_owned();
        if !self.is_checked {
            return StoreAsk::Put { path };
        }
        let mut hasher = Xxh3Default::new();
        pieces.iter().for_each(|piece| hasher.update(piece));
        StoreAsk::PutWhole { path, checksum: hasher.digest() }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of an answer has come.
    pub fn answered(&self, call: u64, answer: StoreAnswer, bytes: &[u8], last: bool) {
        self.moved.fetch_add(1, Ordering::Relaxed);
        let mut calls = self.calls();
        let Some(of) = calls.waiting.get_mut(&call) else { return };
        of.bytes.extend_from_slice(bytes);
        if last && let Some(of) = calls.waiting.remove(&call) {
            // Room for one, and there is one.
            let _ = of.answered.try_send((answer, of.bytes));
        }
    }

    /// Grows with whatever goes or comes.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Whether a call waits for its answer.
    pub fn is_asked(&self) -> bool {
        !self.calls().waiting.is_empty()
    }

    /// Whether every call fails from now on.
    pub fn is_over(&self) -> bool {
        self.calls().is_over
    }

    /// The session is over, or whoever asks has had enough.
    pub fn close(&self) {
        let mut calls = self.calls();
        calls.is_over = true;
        calls.waiting.clear();
    }

    fn ask(&self, ask: StoreAsk, pieces: &[&[u8]]) -> StateResult<(StoreAnswer, BytesMut)> {
        let path = ask.path().to_owned();
        let lost = || StateError::io(path.clone(), io::Error::new(io::ErrorKind::ConnectionAborted, "the run's leader is gone"));
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = sync_channel(1);
        {
            let mut calls = self.calls();
            if calls.is_over {
                return Err(lost());
            }
            calls.waiting.insert(call, Call { bytes: BytesMut::new(), answered });
        }
        self.send(call, ask, pieces);
        match answer.recv() {
            Ok((StoreAnswer::Failed { why, retryable: true }, _)) => Err(StateError::io(path, io::Error::other(why))),
            Ok((StoreAnswer::Failed { why, .. }, _)) => Err(StateError::damaged(path, why)),
            Ok(answered) => Ok(answered),
            Err(_) => Err(lost()),
        }
    }

    /// Sends a call piece by piece, from a task of its own: who asks may be on a thread that must not wait for futures.
    fn send(&self, call: u64, ask: StoreAsk, pieces: &[&[u8]]) {
        let mut pieces: Vec<Bytes> = pieces.iter().flat_map(|piece| piece.chunks(PIECE_BYTES)).map(Bytes::copy_from_slice).collect();
        if pieces.is_empty() {
            pieces.push(Bytes::new());
        }
        let (share, out, most, moved) = (self.share, self.out.clone(), pieces.len(), self.moved.clone());
        self.runtime.spawn(async move {
            for (number, piece) in pieces.into_iter().enumerate() {
                let header = DataHeader::StoreCall { share, call, ask: ask.clone(), last: number + 1 == most };
                // A leader that is gone is told of by the session, which ends all calls.
                if !out.send(DataItem { header, payload: DataPayload::Bytes(piece) }).await {
                    return;
                }
                moved.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    fn done(&self, ask: StoreAsk, bytes: &[u8]) -> StateResult<()> {
        self.ask(ask, &[bytes]).map(|_| ())
    }

    fn bytes(&self, ask: StoreAsk) -> StateResult<Option<Vec<u8>>> {
        match self.ask(ask, &[])? {
            (StoreAnswer::Bytes, bytes) => Ok(Some(bytes.into())),
            _ => Ok(None),
        }
    }
}

impl Store for LinkStore {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.done(self.put_ask(path, &[bytes]), bytes)
    }

    fn put_pieces(&self, path: &str, pieces: &[Vec<u8>]) -> StateResult<()> {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        self.ask(self.put_ask(path, &pieces), &pieces).map(|_| ())
    }

    fn put_until_kept(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        self.done(StoreAsk::PutUntilKept { path: path.to_owned() }, bytes)
    }

    fn keep(&self, path: &str) -> StateResult<()> {
        self.done(StoreAsk::Keep { path: path.to_owned() }, &[])
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        match self.ask(StoreAsk::Create { path: path.to_owned() }, &[bytes])? {
            (StoreAnswer::Created { now: true }, _) => Ok(Created::Now),
            _ => Ok(Created::Before),
        }
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.bytes(StoreAsk::Get { path: path.to_owned(), most_bytes })
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        self.bytes(StoreAsk::GetRange { path: path.to_owned(), at, bytes })
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        match self.ask(StoreAsk::List { path: path.to_owned() }, &[])? {
            (StoreAnswer::Names { names }, _) => Ok(names),
            _ => Ok(Vec::new()),
        }
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        self.done(StoreAsk::Remove { path: path.to_owned() }, &[])
    }

    fn settle(&self, path: &str) -> StateResult<()> {
        self.done(StoreAsk::Settle { path: path.to_owned() }, &[])
    }

    fn remove_folder(&self, path: &str) -> StateResult<()> {
        self.done(StoreAsk::RemoveFolder { path: path.to_owned() }, &[])
    }
}

/// The side that has the store: carries out what the other asks, within a folder.
pub struct ServedStore {
    share: ShareId,
    store: Arc<dyn Store>,
    /// What every path begins with; empty for the store's own folder.
    within: String,
    out: Arc<DataQueue>,
    /// The most bytes of one call.
    most_bytes: u64,
    /// Calls whose bytes have not all come.
    coming: Mutex<BTreeMap<u64, Vec<u8>>>,
}

/// Calls of one member whose bytes may be coming at once.
const MOST_COMING: usize = 4096;

/// Largest file that a node takes a copy of, in bytes.
const MOST_COPIED_BYTES: u64 = 4 << 30;

impl ServedStore {
    pub fn new(share: ShareId, store: Arc<dyn Store>, within: String, out: Arc<DataQueue>) -> Arc<ServedStore> {
        Arc::new(ServedStore { share, store, within, out, most_bytes: MAX_PART_BYTES, coming: Mutex::default() })
    }

    /// The whole of a store, for another node's copies: each call is held in memory until it is whole.
    pub fn of_replica(share: ShareId, store: Arc<dyn Store>, out: Arc<DataQueue>) -> Arc<ServedStore> {
        let (within, most_bytes) = (String::new(), MOST_COPIED_BYTES);
        Arc::new(ServedStore { share, store, within, out, most_bytes, coming: Mutex::default() })
    }

    /// A piece of a call has come. The call is carried out, beside what else there is to do, when its last one has. False if it is more than a
    /// member sends: the share is over then, rather than that the member waits for an answer for ever.
    pub fn called(self: &Arc<Self>, call: u64, ask: StoreAsk, bytes: &[u8], last: bool) -> bool {
        let whole = {
            let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
            let held: u64 = coming.get(&call).map_or(0, |held| held.len() as u64);
            if held + bytes.len() as u64 > self.most_bytes || (coming.len() >= MOST_COMING && !coming.contains_key(&call)) {
                return false;
            }
            coming.entry(call).or_default().extend_from_slice(bytes);
            if !last {
                return true;
            }
            coming.remove(&call).unwrap_or_default()
        };
        let serving = self.clone();
        tokio::spawn(async move {
            let carrying = serving.clone();
            let carried = tokio::task::spawn_blocking(move || carrying.carry_out(&ask, &whole)).await;
            let (answer, bytes) = carried.unwrap_or_else(|panic| failed(&panic.to_string(), true));
            serving.answer(call, answer, &bytes).await;
        });
        true
    }

    async fn answer(&self, call: u64, answer: StoreAnswer, bytes: &[u8]) {
        let mut pieces = bytes.chunks(PIECE_BYTES).peekable();
        loop {
            let piece = Bytes::copy_from_slice(pieces.next().unwrap_or_default());
            let last = pieces.peek().is_none();
            let header = DataHeader::StoreAnswer { share: self.share, call, answer: answer.clone(), last };
            // A member that is gone waits for nothing.
            if !self.out.send(DataItem { header, payload: DataPayload::Bytes(piece) }).await || last {
                return;
            }
        }
    }

    fn carry_out(&self, ask: &StoreAsk, bytes: &[u8]) -> (StoreAnswer, Vec<u8>) {
        if !is_within(ask.path(), &self.within) {
            return failed("it is not of this run", false);
        }
        let store = &self.store;
        let done = |()| (StoreAnswer::Done, Vec::new());
        let found = |bytes: Option<Vec<u8>>| bytes.map_or((StoreAnswer::Nothing, Vec::new()), |bytes| (StoreAnswer::Bytes, bytes));
        let carried = match ask {
            StoreAsk::Put { path } => store.put(path, bytes).map(done),
            StoreAsk::PutWhole { path, checksum } if xxh3_64(bytes) == *checksum => store.put(path, bytes).map(done),
            // It may come whole when it is sent again.
            StoreAsk::PutWhole { path, .. } => {
                return failed(&format!("{path} came otherwise than it was sent, and was not put down"), true);
            }
            StoreAsk::PutUntilKept { path } => store.put_until_kept(path, bytes).map(done),
            StoreAsk::Keep { path } => store.keep(path).map(done),
            StoreAsk::Create { path } => store.create(path, bytes).map(|it| (StoreAnswer::Created { now: it == Created::Now }, Vec::new())),
            StoreAsk::Get { path, most_bytes } => store.get(path, *most_bytes).map(found),
            StoreAsk::GetRange { path, at, bytes } => store.get_range(path, *at, *bytes).map(found),
            StoreAsk::List { path } => store.list(path).map(|names| (StoreAnswer::Names { names }, Vec::new())),
            StoreAsk::Remove { path } => store.remove(path).map(done),
            StoreAsk::RemoveFolder { path } => store.remove_folder(path).map(done),
            StoreAsk::Settle { path } => store.settle(path).map(done),
        };
        carried.unwrap_or_else(|error| failed(&error.to_string(), error.is_retryable()))
    }
}

fn failed(why: &str, retryable: bool) -> (StoreAnswer, Vec<u8>) {
    (StoreAnswer::Failed { why: why.to_owned(), retryable }, Vec::new())
}

/// Whether a path is the folder or lies below it, by names alone.
fn is_within(path: &str, folder: &str) -> bool {
    if folder.is_empty() && path.is_empty() {
        return true;
    }
    let below = path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.is_empty() || rest.starts_with('/'));
    below && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use millrace_state::store::FolderStore;

    use super::*;

    /// Takes the next answer that goes out.
    async fn answer(out: &DataQueue) -> StoreAnswer {
        match out.take().await.unwrap().header {
            DataHeader::StoreAnswer { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_piece_that_is_not_what_was_sent_is_not_put_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open(folder.path()).unwrap());
        let out = Arc::new(DataQueue::new(16, 1 << 20));
        let served = ServedStore::new(ShareId(1), store.clone(), String::new(), out.clone());
        let ask = |checksum| StoreAsk::PutWhole { path: "run-1/epoch-2/window-0.part".to_owned(), checksum };
        let checksum = xxh3_64(b"one two");
        assert!(served.called(1, ask(checksum), b"one ", false));
        assert!(served.called(1, ask(checksum), b"tw\0", true));
        assert!(matches!(answer(&out).await, StoreAnswer::Failed { retryable: true, .. }));
        assert!(store.list("").unwrap().iter().all(|name| name == "lock"), "nothing of it is there");
        assert!(served.called(2, ask(checksum), b"one two", true));
        assert_eq!(answer(&out).await, StoreAnswer::Done);
        assert_eq!(store.get("run-1/epoch-2/window-0.part", 99).unwrap().unwrap(), b"one two");
        for path in ["../x", "/x", "a//b", "a/../b"] {
            assert!(served.called(3, StoreAsk::Put { path: path.to_owned() }, b"", true));
            assert!(matches!(answer(&out).await, StoreAnswer::Failed { retryable: false, .. }), "{path}");
        }
    }

    #[test]
    fn a_path_lies_within_a_folder_by_its_names() {
        assert!(["run-1", "run-1/x"].iter().all(|path| is_within(path, "run-1") && is_within(path, "")));
        assert!(is_within("", "") && !is_within("", "run-1"));
        assert!(["run-12", "run-1/../x", "run-1//x", "/run-1"].iter().all(|path| !is_within(path, "run-1")));
        assert!(["..", "a/..", "/a", "a/"].iter().all(|path| !is_within(path, "")));
    }
}
