//! What a run wrote on a node, on its way back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use millrace_model::Diagnostic;
use millrace_wire::codes;
use millrace_wire::message::{DataHeader, JobId};
use millrace_wire::path::may_travel;

use super::files::{PART_BYTES, blocking, read_part};
use super::staging::Staging;
use crate::data::{DataItem, DataPayload, DataQueue};

/// Most files that go back.
const MAX_FILES: usize = 100_000;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 64;

/// Sends every file in the run's folder that is no input as it was put down. Gives up, without an error, if nobody listens any more.
pub async fn send(staging: &Arc<Staging>, job: JobId, queue: &Arc<DataQueue>) -> Result<(), Diagnostic> {
    let inputs = staging.input_sizes().await;
    let root = staging.files.root().to_path_buf();
    let found = blocking({
        let root = root.clone();
        move || written(&root, &inputs)
    })
    .await
    .map_err(|error| failed("the run's folder", &error))?;
    for path in found {
        if !send_file(staging, job, &path, root.join(&path), queue).await.map_err(|error| failed(&path, &error))? {
            return Ok(());
        }
    }
    Ok(())
}

fn failed(what: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::error(codes::OUTPUT, format!("the node cannot send back {what}: {error}"))
}

async fn send_file(staging: &Arc<Staging>, job: JobId, path: &str, at: PathBuf, queue: &Arc<DataQueue>) -> io::Result<bool> {
    let files = staging.files.clone();
    let mut open = Some(blocking(move || files.open(&at)).await?);
    let mut offset = 0u64;
    while let Some(file) = open.take() {
        let (file, bytes) = blocking(move || read_part(file)).await?;
        let last = bytes.len() < PART_BYTES;
        let header = DataHeader::OutputFile { job, path: path.to_owned(), offset, last };
        offset += bytes.len() as u64;
        if !queue.send(DataItem { header, payload: DataPayload::Bytes(bytes) }).await {
            return Ok(false);
        }
        open = (!last).then_some(file);
    }
    Ok(true)
}

/// Whether a sink keeps the file beside its output, to go on from: nobody goes on with a run whose folder is gone.
fn is_for_later(name: &str) -> bool {
    name.starts_with('.') && [".ready", ".done", ".tmp"].iter().any(|ending| name.ends_with(ending))
}

/// The files that the run wrote, by path relative to `root`. Links are not followed; its state goes with its folder.
fn written(root: &Path, inputs: &BTreeMap<String, u64>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((folder, inside, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is no text")))?;
            let kind = entry.file_type()?;
            if kind.is_file() && is_for_later(&name) {
                continue;
            }
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            if kind.is_dir() && path.ends_with(".millrace/state") {
                continue;
            }
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((entry.path(), path, depth + 1));
            } else if kind.is_file() && !is_untouched(&entry.metadata()?, inputs.get(&path)) {
                if found.len() == MAX_FILES || !may_travel(&path) {
                    return Err(io::Error::other(format!("`{path}` is one file too many, or has a name that cannot travel")));
                }
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_untouched(file: &std::fs::Metadata, input: Option<&u64>) -> bool {
    input.is_some_and(|bytes| *bytes == file.len() && file.modified().is_ok_and(|time| time == SystemTime::UNIX_EPOCH))
}
