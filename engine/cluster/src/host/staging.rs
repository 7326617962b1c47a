//! A run's own folder on a node: it acts as the project's root, holds the inputs that the asking side sends, and goes with the job.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use millrace_model::Diagnostic;
use millrace_runtime::files::Files;
use millrace_wire::codes;
use millrace_wire::message::InputFile;
use millrace_wire::path::may_travel;
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};

use super::HostLimits;

pub struct Staging {
    pub files: Arc<Files>,
    /// Removed when this is dropped.
    pub folder: TempDir,
    inputs: Mutex<BTreeMap<String, Input>>,
    progress: watch::Sender<Progress>,
}

struct Input {
    expected: u64,
    received: u64,
    file: Option<File>,
    complete: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Progress {
    /// Bytes and files so far: it moves while parts come.
    Waiting(u64, usize),
    Complete,
    Failed(Box<Diagnostic>),
}

impl Staging {
    /// Makes the folder, if the announced inputs are within the limits.
    pub async fn prepare(
        limits: &HostLimits,
        under: Option<PathBuf>,
        folder: &str,
        announced: &[InputFile],
    ) -> Result<Staging, Diagnostic> {
        check(limits, folder, announced)?;
        let inside = PathBuf::from(folder);
        let made = tokio::task::spawn_blocking(move || make(under, &inside)).await;
        let (folder, files) = made
            .map_err(|panic| Diagnostic::error(codes::BUG, panic.to_string()))?
            .map_err(|error| Diagnostic::error(codes::STAGING, format!("the node cannot make a folder for the run: {error}")))?;
        let inputs: BTreeMap<String, Input> = announced
            .iter()
            .map(|input| (input.path.clone(), Input { expected: input.bytes, received: 0, file: None, complete: false }))
            .collect();
        let state = if inputs.is_empty() { Progress::Complete } else { Progress::Waiting(0, 0) };
        Ok(Staging { files: Arc::new(files), folder, inputs: Mutex::new(inputs), progress: watch::Sender::new(state) })
    }

    /// The paths still to come.
    pub fn wanted(&self) -> Vec<String> {
        self.inputs.try_lock().map(|inputs| inputs.keys().cloned().collect()).unwrap_or_default()
    }

    /// Takes the next part of an input. What is wrong with it is told when the job is to start.
    pub async fn part(&self, path: &str, offset: u64, last: bool, bytes: Bytes) {
        if matches!(*self.progress.borrow(), Progress::Failed(_)) {
            return;
        }
        match self.write(path, offset, last, bytes).await {
            Ok(progress) => {
                self.progress.send_replace(progress);
            }
            Err(diagnostic) => self.fail(diagnostic),
        }
    }

    async fn write(&self, path: &str, offset: u64, last: bool, bytes: Bytes) -> Result<Progress, Diagnostic> {
        let mut inputs = self.inputs.lock().await;
        let Some(input) = inputs.get_mut(path).filter(|input| !input.complete) else {
            return Err(Diagnostic::error(codes::STAGING, format!("`{path}` was not announced, or came twice")));
        };
        let end = offset.checked_add(bytes.len() as u64);
        if offset != input.received || end.is_none_or(|end| end > input.expected || (last && end != input.expected)) {
            let message = format!("a part of `{path}` does not fit: {} bytes at {offset}, after {}", bytes.len(), input.received);
            return Err(Diagnostic::error(codes::STAGING, message).expected(format!("{} bytes in all, in order", input.expected)));
        }
        let (files, open, at) = (self.files.clone(), input.file.take(), self.folder.path().join(path));
        let length = bytes.len() as u64;
        let written = tokio::task::spawn_blocking(move || append(&files, open, &at, &bytes)).await;
        let file = written
            .map_err(|panic| Diagnostic::error(codes::BUG, panic.to_string()))?
            .map_err(|error| Diagnostic::error(codes::STAGING, format!("the node cannot write `{path}`: {error}")))?;
        input.received += length;
        input.complete = last;
        input.file = (!last).then_some(file);
        let complete = inputs.values().filter(|input| input.complete).count();
        if complete == inputs.len() {
            return Ok(Progress::Complete);
        }
        Ok(Progress::Waiting(inputs.values().map(|input| input.received).sum(), complete))
    }

    fn fail(&self, diagnostic: Diagnostic) {
        self.progress.send_replace(Progress::Failed(Box::new(diagnostic)));
    }

    /// Waits no longer for inputs.
    pub fn cancel(&self) {
        if matches!(*self.progress.borrow(), Progress::Waiting(..)) {
            self.fail(Diagnostic::error(codes::STAGING, "the job was stopped while its inputs were being sent"));
        }
    }

    /// Waits until every announced input is there; fails if nothing comes for `patience`.
    pub async fn complete(&self, patience: Duration) -> Result<(), Diagnostic> {
        let mut progress = self.progress.subscribe();
        loop {
            match &*progress.borrow_and_update() {
                Progress::Complete => return Ok(()),
                Progress::Failed(diagnostic) => return Err((**diagnostic).clone()),
                Progress::Waiting(..) => {}
            }
            if tokio::time::timeout(patience, progress.changed()).await.is_err() {
                let message = format!("the input files stopped coming {} s ago", patience.as_secs());
                return Err(Diagnostic::error(codes::STAGING, message));
            }
        }
    }

    /// The inputs as they were put down, to know them from what the run writes.
    pub async fn input_sizes(&self) -> BTreeMap<String, u64> {
        self.inputs.lock().await.iter().map(|(path, input)| (path.clone(), input.expected)).collect()
    }
}

fn check(limits: &HostLimits, folder: &str, announced: &[InputFile]) -> Result<(), Diagnostic> {
    if !folder.is_empty() && !may_travel(folder) {
        return Err(bad_path(folder));
    }
    if announced.len() > limits.max_input_files {
        let found = Diagnostic::error(codes::TOO_MUCH_INPUT, "the pipeline has more input files than the node takes");
        return Err(found.expected(format!("at most {}", limits.max_input_files)).found(announced.len().to_string()));
    }
    let mut total = 0u64;
    for input in announced {
        if !may_travel(&input.path) {
            return Err(bad_path(&input.path));
        }
        total = total.saturating_add(input.bytes);
    }
    if total > limits.max_input_bytes {
        let found = Diagnostic::error(codes::TOO_MUCH_INPUT, "the input files are larger than the node takes");
        return Err(found.expected(format!("at most {} bytes in all", limits.max_input_bytes)).found(format!("{total} bytes")));
    }
    Ok(())
}

fn bad_path(path: &str) -> Diagnostic {
    Diagnostic::error(codes::BAD_PATH, format!("the path {path:?} may not travel")).expected("relative to the project, without `..`")
}

fn make(under: Option<PathBuf>, inside: &Path) -> std::io::Result<(TempDir, Files)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("millrace-run-");
    let folder = match under {
        Some(under) => builder.tempdir_in(under)?,
        None => builder.tempdir()?,
    };
    // A path in a message, and the root that paths are compared with, must be the same however the temporary folder is linked.
    let root = folder.path().canonicalize()?;
    std::fs::create_dir_all(root.join(inside))?;
    let files = Files::rooted(&root, &root.join(inside))?;
    Ok((folder, files))
}

fn append(files: &Files, open: Option<File>, at: &Path, bytes: &[u8]) -> std::io::Result<File> {
    let mut file = match open {
        Some(file) => file,
        None => files.create(at)?,
    };
    file.write_all(bytes)?;
    // What the run writes over an input has another time, and goes back.
    file.set_modified(SystemTime::UNIX_EPOCH)?;
    Ok(file)
}
