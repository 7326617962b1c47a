//! A run's files on their way to a node.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::{Diagnostic, NodeId};
use millrace_runtime::files::Files;
use millrace_wire::codes;
use millrace_wire::message::{DataHeader, InputFile, JobId};
use millrace_wire::path::may_travel;

use crate::data::{DataItem, DataPayload, DataQueue};
use crate::host::files::{blocking, read_part};

/// What a pipeline reads and writes, as its connectors say: relative to the pipeline file's folder. A path that ends with `/` is a
/// folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFiles {
    pub inputs: Vec<PathBuf>,
    pub outputs: Vec<PathBuf>,
    /// Nodes that read or write what belongs to this process, such as its standard input.
    pub stay_here: Vec<NodeId>,
}

/// The same, as it travels: relative to the project's root.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    pub folder: String,
    pub inputs: Vec<InputFile>,
    pub outputs: Vec<String>,
}

/// Finds the files. A path outside the project is refused: it would not be found on the node.
pub async fn announce(files: &Arc<Files>, run_files: &RunFiles) -> Result<Announced, Diagnostic> {
    stays_here(run_files)?;
    let (files, run_files) = (files.clone(), run_files.clone());
    tokio::task::spawn_blocking(move || find(&files, &run_files)).await.map_err(|panic| Diagnostic::error(codes::BUG, panic.to_string()))?
}

/// Sees that nothing of a pipeline belongs to this process alone.
///
/// # Errors
/// What does.
pub fn stays_here(run_files: &RunFiles) -> Result<(), Diagnostic> {
    if let Some(node) = run_files.stay_here.first() {
        let mut finding =
            Diagnostic::error(codes::STAYS_HERE, "it reads or writes this process' own input or output, which a node elsewhere has not");
        finding.node = Some(node.clone());
        return Err(finding.help("run it here, or use a `file` or a `file_sink`: files travel to the node and back"));
    }
    Ok(())
}

fn find(files: &Files, run_files: &RunFiles) -> Result<Announced, Diagnostic> {
    let mut announced = Announced { folder: inside(files, files.folder())?, ..Announced::default() };
    for path in &run_files.inputs {
        let travels = inside(files, path)?;
        let length = files.open(path).and_then(|file| file.metadata()).map_err(|error| unreadable(&travels, &error))?.len();
        if announced.inputs.iter().all(|input| input.path != travels) {
            announced.inputs.push(InputFile { path: travels, bytes: length });
        }
    }
    for path in &run_files.outputs {
        let mut travels = inside(files, path)?;
        if path.to_string_lossy().ends_with('/') {
            travels.push('/');
        }
        announced.outputs.push(travels);
    }
    Ok(announced)
}

fn unreadable(path: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::error(codes::STAGING, format!("cannot read the input `{path}`: {error}"))
}

/// The path as it travels; empty for the root itself.
fn inside(files: &Files, path: &Path) -> Result<String, Diagnostic> {
    let refused = |why: String| Diagnostic::error(codes::BAD_PATH, why);
    let inside = files.in_project(path).map_err(|error| refused(error.to_string()))?;
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    let travels = parts.ok_or_else(|| refused(format!("the path {} is no UTF-8", path.display())))?.join("/");
    if travels.is_empty() || may_travel(&travels) {
        return Ok(travels);
    }
    Err(refused(format!("the path {travels:?} may not travel")))
}

/// Sends an input as it was announced. False: nobody takes it any more.
pub async fn send(queue: &Arc<DataQueue>, files: &Arc<Files>, job: JobId, input: &InputFile) -> Result<bool, Diagnostic> {
    let failed = |error: io::Error| unreadable(&input.path, &error);
    let (opener, at) = (files.clone(), files.root().join(&input.path));
    let mut file = blocking(move || opener.open(&at)).await.map_err(failed)?;
    let mut offset = 0u64;
    loop {
        let (same, mut bytes) = blocking(move || read_part(file)).await.map_err(failed)?;
        file = same;
        let left = input.bytes - offset;
        if (bytes.len() as u64) < left && bytes.is_empty() {
            let message = format!("the input `{}` became shorter while it was sent", input.path);
            return Err(Diagnostic::error(codes::STAGING, message));
        }
        // A file that grows is sent as long as it was when the run was asked for.
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let header = DataHeader::InputFile { job, path: input.path.clone(), offset, last: bytes.len() as u64 == left };
        offset += bytes.len() as u64;
        if !queue.send(DataItem { header, payload: DataPayload::Bytes(bytes) }).await {
            return Ok(false);
        }
        if offset == input.bytes {
            return Ok(true);
        }
    }
}
