//! A store over objects.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use millrace_state::store::{Created, Store};
use millrace_state::{StateError, StateResult, Trouble};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, Result, WriteMultipart};
use tokio::runtime::Handle;

use crate::trouble::state_error;

/// What goes in one request; what is larger goes in several.
const PIECE_BYTES: u64 = 8 << 20;

/// How many of them are under way at once.
const PIECES_AT_ONCE: usize = 4;

/// Objects below a prefix.
#[derive(Debug, Clone)]
pub struct Bucket {
    objects: Arc<dyn ObjectStore>,
    below: Path,
    /// Stands before paths in errors.
    name: String,
    runtime: Handle,
}

/// What there is of an object.
enum Got {
    Nothing,
    /// Its length, where something else was asked for.
    OtherLength(u64),
    Bytes(Vec<u8>),
}

impl Bucket {
    /// `below` is the prefix, `name` what errors call it; the client runs on `runtime`.
    pub fn new(objects: Arc<dyn ObjectStore>, below: &[String], name: String, runtime: Handle) -> Bucket {
        Bucket { objects, below: below.iter().map(String::as_str).collect(), name, runtime }
    }

    /// Sees that the store keeps what was created once: else two runs would go on with one state and not know.
    ///
    /// # Errors
    /// If it does not, or if the bucket cannot be used.
    pub fn check(&self) -> StateResult<()> {
        const PROBE: &str = "conditional-create";
        let again = match self.create(PROBE, b"")? {
            Created::Before => Created::Before,
            Created::Now => self.create(PROBE, b"")?,
        };
        if again == Created::Now {
            let cause = "it overwrites what is there although it is told not to (If-None-Match)";
            return Err(StateError::remote(self.name.clone(), Trouble::NoConditionalCreate, cause));
        }
        self.remove(PROBE)
    }

    fn at(&self, path: &str) -> StateResult<Path> {
        let is_name = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\\');
        if path.split('/').all(is_name) {
            return Ok(self.below.parts().chain(Path::from(path).parts()).collect());
        }
        Err(StateError::remote(path, Trouble::BadAddress, "it leads out of the prefix of states"))
    }

    /// Waits for the client, which works on the runtime's threads and not on this one.
    fn wait<T: Send + 'static>(&self, path: &str, work: impl Future<Output = Result<T>> + Send + 'static) -> StateResult<T> {
        let (tell, told) = sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody hears it if whoever asked is gone, which does not happen: it waits.
            let _ = tell.send(work.await);
        });
        let path = || format!("{}/{path}", self.name);
        match told.recv() {
            Ok(done) => done.map_err(|error| state_error(path(), &error)),
            Err(_) => Err(StateError::remote(path(), Trouble::Away, "the process is coming to its end")),
        }
    }

    fn put_as(&self, path: &str, bytes: &[u8], mode: PutMode) -> StateResult<Created> {
        let (at, objects, bytes) = (self.at(path)?, self.objects.clone(), Bytes::copy_from_slice(bytes));
        self.wait(path, async move {
            match objects.put_opts(&at, PutPayload::from_bytes(bytes), PutOptions::from(mode)).await {
                Ok(_) => Ok(Created::Now),
                Err(Error::AlreadyExists { .. }) => Ok(Created::Before),
                Err(other) => Err(other),
            }
        })
    }
}

/// In several requests, which become one object with the last.
async fn put_in_pieces(objects: &dyn ObjectStore, at: &Path, bytes: Bytes) -> Result<()> {
    let mut upload = WriteMultipart::new_with_chunk_size(objects.put_multipart(at).await?, PIECE_BYTES as usize);
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Err(error) = upload.wait_for_capacity(PIECES_AT_ONCE).await {
            // Pieces that stay behind cost, until the bucket's own rules remove them.
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.put(rest.split_to(rest.len().min(PIECE_BYTES as usize)));
    }
    upload.finish().await.map(|_| ())
}

/// A range of an object as it is now; an error if it changes meanwhile.
async fn get_in_pieces(objects: &dyn ObjectStore, at: &Path, range: Range<u64>, version: Option<String>) -> Result<Vec<u8>> {
    let pieces = range.clone().step_by(PIECE_BYTES as usize).map(|start| {
        let piece = start..range.end.min(start + PIECE_BYTES);
        let options = GetOptions { range: Some(GetRange::Bounded(piece)), if_match: version.clone(), ..GetOptions::default() };
        async move { objects.get_opts(at, options).await?.bytes().await }
    });
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
    let mut got = stream::iter(pieces).buffered(PIECES_AT_ONCE);
    while let Some(piece) = got.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn get_all(objects: &dyn ObjectStore, at: &Path, most_bytes: u64) -> Result<Got> {
    let found = match objects.get(at).await {
        Err(Error::NotFound { .. }) => return Ok(Got::Nothing),
        other => other?,
    };
    let length = found.meta.size;
    if length > most_bytes {
        return Ok(Got::OtherLength(length));
    }
    if length <= PIECE_BYTES {
        return Ok(Got::Bytes(found.bytes().await?.to_vec()));
    }
    let version = found.meta.e_tag.clone();
    drop(found);
    get_in_pieces(objects, at, 0..length, version).await.map(Got::Bytes)
}

async fn get_some(objects: &dyn ObjectStore, at: &Path, start: u64, bytes: u64) -> Result<Got> {
    let about = match objects.head(at).await {
        Err(Error::NotFound { .. }) => return Ok(Got::Nothing),
        other => other?,
    };
    match start.checked_add(bytes).filter(|end| *end <= about.size) {
        Some(end) => get_in_pieces(objects, at, start..end, about.e_tag).await.map(Got::Bytes),
        None => Ok(Got::OtherLength(about.size)),
    }
}

impl Store for Bucket {
    fn put(&self, path: &str, bytes: &[u8]) -> StateResult<()> {
        if bytes.len() as u64 <= PIECE_BYTES {
            return self.put_as(path, bytes, PutMode::Overwrite).map(|_| ());
        }
        let (at, objects, bytes) = (self.at(path)?, self.objects.clone(), Bytes::copy_from_slice(bytes));
        self.wait(path, async move { put_in_pieces(objects.as_ref(), &at, bytes).await })
    }

    fn create(&self, path: &str, bytes: &[u8]) -> StateResult<Created> {
        self.put_as(path, bytes, PutMode::Create)
    }

    fn get(&self, path: &str, most_bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let (at, objects) = (self.at(path)?, self.objects.clone());
        match self.wait(path, async move { get_all(objects.as_ref(), &at, most_bytes).await })? {
            Got::Nothing => Ok(None),
            Got::Bytes(bytes) => Ok(Some(bytes)),
            Got::OtherLength(length) => Err(StateError::damaged(path, format!("it has {length} bytes, and {most_bytes} at most"))),
        }
    }

    fn get_range(&self, path: &str, at: u64, bytes: u64) -> StateResult<Option<Vec<u8>>> {
        let (place, objects) = (self.at(path)?, self.objects.clone());
        let cut = |length| StateError::damaged(path, format!("it has {length} bytes, and {bytes} at byte {at} are asked for"));
        match self.wait(path, async move { get_some(objects.as_ref(), &place, at, bytes).await })? {
            Got::Nothing => Ok(None),
            Got::Bytes(got) if got.len() as u64 == bytes => Ok(Some(got)),
            Got::Bytes(got) => Err(cut(got.len() as u64)),
            Got::OtherLength(length) => Err(cut(length)),
        }
    }

    fn list(&self, path: &str) -> StateResult<Vec<String>> {
        let (at, objects) = (if path.is_empty() { self.below.clone() } else { self.at(path)? }, self.objects.clone());
        let listed = self.wait(path, async move { objects.list_with_delimiter(Some(&at)).await })?;
        let places = listed.common_prefixes.iter().chain(listed.objects.iter().map(|object| &object.location));
        let mut names: Vec<String> = places.filter_map(|place| place.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &str) -> StateResult<()> {
        let (at, objects) = (self.at(path)?, self.objects.clone());
        self.wait(path, async move {
            match objects.delete(&at).await {
                Err(Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        })
    }

    /// There are no folders: one is gone with the last object in it.
    fn remove_folder(&self, _path: &str) -> StateResult<()> {
        Ok(())
    }

    fn is_shared(&self) -> bool {
        true
    }
}
