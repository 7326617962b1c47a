//! The fault timeline in a file, so that it outlives its node.
//!
//! It is bounded, and written whole about once a second while it changes: what a node that is killed had seen in its last second is lost. A file
//! that cannot be read is put aside, and the timeline begins anew.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_wire::cluster::{Incident, TimelinePage};
use serde::{Deserialize, Serialize};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use super::Seen;

const EVERY: Duration = Duration::from_secs(1);
/// More than a timeline of the longest messages takes.
const MOST_BYTES: u64 = 64 << 20;
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Page {
    version: u32,
    incidents: Vec<Incident>,
    /// What other control nodes have told. Absent in what the release before wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<TimelinePage>,
}

/// A timeline that is kept until this is dropped.
#[derive(Debug)]
pub struct Keeping {
    seen: Seen,
    path: PathBuf,
    writing: AbortHandle,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

impl Keeping {
    /// Writes what has changed since it was last written.
    pub async fn finish(self) {
        self.writing.abort();
        save(&self.seen, &self.path, 0).await;
    }
}

impl Seen {
    /// Takes up the timeline in a file, if there is one, and keeps it there from now on.
    ///
    /// # Errors
    /// If the file is there and can be neither read nor put aside.
    pub async fn keep_in(&self, path: PathBuf) -> io::Result<Keeping> {
        let reading = path.clone();
        let Page { incidents, others, .. } = spawn_blocking(move || read(&reading)).await.map_err(io::Error::other)??;
        {
            let mut state = self.state();
            state.timeline.take_up(incidents);
            // Its own is what stands there.
            state.others.take("", others);
        }
        let (seen, kept_in) = (self.clone(), path.clone());
        let writing = tokio::spawn(async move {
            let mut saved = seen.state().revision();
            loop {
                sleep(EVERY).await;
                saved = save(&seen, &kept_in, saved).await;
            }
        });
        Ok(Keeping { seen: self.clone(), path, writing: writing.abort_handle() })
    }
}

/// Writes the timeline if it has changed. Gives the revision that is in the file then.
async fn save(seen: &Seen, path: &Path, saved: u64) -> u64 {
    let (revision, page) = {
        let state = seen.state();
        let revision = state.revision();
        if revision == saved {
            return saved;
        }
        (revision, Page { version: VERSION, incidents: state.own(), others: state.others.pages() })
    };
    let to = path.to_owned();
    let written = spawn_blocking(move || write(&to, &page)).await;
    match written.map_err(io::Error::other).and_then(|written| written) {
        Ok(()) => revision,
        Err(error) => {
            // A disk that is full may have room again.
            tracing::warn!(%error, path = %path.display(), "the fault timeline could not be kept");
            saved
        }
    }
}

fn write(path: &Path, page: &Page) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(page)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn read(path: &Path) -> io::Result<Page> {
    let empty = || Page { version: VERSION, incidents: Vec::new(), others: Vec::new() };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    match serde_json::from_slice::<Page>(&bytes) {
        Ok(page) if page.version == VERSION => Ok(page),
        read => {
            let why = read.map_or_else(|error| error.to_string(), |page| format!("it is of version {}", page.version));
            let aside = path.with_extension("damaged.json");
            fs::rename(path, &aside)?;
            tracing::warn!(why, aside = %aside.display(), "the fault timeline cannot be read, and is put aside");
            Ok(empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_plan::Member;
    use millrace_wire::message::{EngineDescription, JobId, Notice, NoticeSeverity};

    use super::*;

    fn told(seen: &Seen) -> Vec<Incident> {
        let own = EngineDescription {
            version: "1".into(),
            protocol: 2,
            cores: 1,
            memory_bytes: 1,
            health: None,
            control: false,
            changes: true,
            shared: Vec::new(),
            admits: false,
            drain: None,
        };
        seen.look(&own, u64::MAX).timeline.unwrap().incidents
    }

    fn restarted(seen: &Seen) {
        let message = "a disk failed; begins again".to_owned();
        let (node, severity, kind) = (None, NoticeSeverity::Warning, "restarted".to_owned());
        seen.noticed(JobId(1), &Notice { at_us: super::super::now_us(), node, severity, alert: None, kind, count: 1, message });
    }

    #[tokio::test]
    async fn a_timeline_goes_on_where_the_node_before_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.json");
        let before = Seen::default();
        let keeping = before.keep_in(path.clone()).await.unwrap();
        before.joined(Member(1), "ws://127.0.0.1:1", 2);
        restarted(&before);
        keeping.finish().await;
        let after = Seen::default();
        let keeping = after.keep_in(path).await.unwrap();
        let (old, new) = (told(&before), told(&after));
        assert_eq!(new.iter().map(|it| &it.root.message).collect::<Vec<_>>(), old.iter().map(|it| &it.root.message).collect::<Vec<_>>());
        // Runs are numbered anew by each node: what befalls the first one now is a story of its own.
        restarted(&after);
        let ids: Vec<u64> = told(&after).iter().map(|incident| incident.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        drop(keeping);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.json");
        fs::write(&path, b"{\"version\":1,\"incid").unwrap();
        let seen = Seen::default();
        seen.keep_in(path.clone()).await.unwrap().finish().await;
        assert!(told(&seen).is_empty() && folder.path().join("timeline.damaged.json").exists());
        restarted(&seen);
        seen.keep_in(path.clone()).await.unwrap().finish().await;
        assert_eq!(read(&path).unwrap().incidents.len(), 1);
    }
}
