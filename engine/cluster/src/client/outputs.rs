//! Files that come back from a node: written beside their place, and renamed into it once whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use millrace_model::Diagnostic;
use millrace_runtime::files::Files;
use millrace_wire::codes;
use millrace_wire::message::{Failure, JobId};
use millrace_wire::path::may_travel;

use crate::host::files::blocking;

/// Where the engine keeps records that nobody took.
const QUARANTINE: &str = ".millrace/quarantine/";
/// Files that come at once; a node sends one after the other.
const MAX_OPEN: usize = 4;

/// One job's.
pub struct Outputs {
    job: JobId,
    files: Arc<Files>,
    /// What may come, relative to the project's root; one that ends with `/` is a folder.
    expected: Vec<String>,
    open: BTreeMap<String, (File, u64)>,
    fault: Option<Diagnostic>,
}

impl Outputs {
    pub fn new(job: JobId, files: Arc<Files>, expected: Vec<String>) -> Outputs {
        Outputs { job, files, expected, open: BTreeMap::new(), fault: None }
    }

    /// A node writes only where the pipeline does.
    fn is_expected(&self, path: &str) -> bool {
        let within = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| !rest.is_empty());
        let quarantined = |(before, after): (&str, &str)| (before.is_empty() || before.ends_with('/')) && !after.is_empty();
        may_travel(path)
            && (self.expected.iter().any(|place| place == path || (place.ends_with('/') && within(place)))
                || path.split_once(QUARANTINE).is_some_and(quarantined))
    }

    /// Takes the next part of a file. The first fault is kept; other files still come to their places.
    pub async fn part(&mut self, path: &str, offset: u64, last: bool, bytes: Bytes) {
        if let Err(diagnostic) = self.write(path, offset, last, bytes).await {
            self.fault.get_or_insert(diagnostic);
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.files.root().join(path)
    }

    fn beside(&self, path: &str) -> PathBuf {
        let place = self.place(path);
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        place.with_file_name(format!(".{name}.{}-{}.part", std::process::id(), self.job.0))
    }

    async fn write(&mut self, path: &str, offset: u64, last: bool, bytes: Bytes) -> Result<(), Diagnostic> {
        if !self.is_expected(path) {
            let message = format!("the node sent `{path}`, which the pipeline does not write; it was not put in place");
            return Err(Diagnostic::error(codes::OUTPUT, message));
        }
        let open = self.open.remove(path);
        let received = open.as_ref().map_or(0, |(_, received)| *received);
        if offset != received || (open.is_none() && self.open.len() >= MAX_OPEN) {
            let message = format!("a part of `{path}` came out of order: {offset} after {received}");
            return Err(Diagnostic::error(codes::OUTPUT, message));
        }
        let (files, place, beside) = (self.files.clone(), self.place(path), self.beside(path));
        let length = bytes.len() as u64;
        let written = blocking(move || {
            let mut file = match open {
                Some((file, _)) => file,
                None => files.create(&beside)?,
            };
            file.write_all(&bytes)?;
            if last {
                file.sync_all()?;
                files.rename(&beside, &place)?;
            }
            Ok(file)
        });
        let file = written.await.map_err(|error: io::Error| Diagnostic::error(codes::OUTPUT, format!("cannot write `{path}`: {error}")))?;
        if !last {
            self.open.insert(path.to_owned(), (file, received + length));
        }
        Ok(())
    }

    /// No more comes. Gives what went wrong.
    pub async fn close(&mut self) -> Option<Failure> {
        if let Some(path) = self.open.keys().next().cloned() {
            self.fault.get_or_insert_with(|| Diagnostic::error(codes::OUTPUT, format!("`{path}` came only in part")));
        }
        let diagnostic = self.fault.take()?;
        self.remove_unfinished();
        Some(Failure { diagnostic, retryable: true, sample: Vec::new() })
    }

    fn remove_unfinished(&mut self) {
        for path in std::mem::take(&mut self.open).into_keys() {
            // Nothing is lost if it stays: it has a name that no pipeline reads.
            let _ = self.files.remove(&self.beside(&path));
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.remove_unfinished();
    }
}
