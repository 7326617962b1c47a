//! Makes prepared files visible, and goes back to an epoch. Whatever is done here can be done again.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use millrace_engine::model::types::SchemaRef;
use millrace_engine::runtime::checkpoint::codes::COMMITTED_LATER;
use millrace_engine::runtime::connector::{ConnectorContext, Finality};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::{RunError, RunResult};
use millrace_engine::state::fault;
use millrace_engine::state::step::reached;
use serde::{Deserialize, Serialize};

use super::target::{Hidden, Target, write_error};
use crate::codes;
use crate::format;
use crate::hidden::What;

/// What a task has prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// A part of a folder, durable under a hidden name.
    Part {
        ready: PathBuf,
        path: PathBuf,
        /// Whether it is its task's first of the run.
        first: bool,
    },
    /// Parts of folders of values.
    Placed {
        files: Vec<Placed>,
        /// Whether they are their task's first of the run.
        first: bool,
    },
    /// Parts of the one file.
    Parts(OneFile),
}

/// The parts of the one file, all told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneFile {
    /// How many there are.
    pub count: usize,
    /// The epochs that they are of, where others may lie about: of a process that has lost the run and does not know it. None: all that are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
}

/// Epochs from one to another, both within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub first: u64,
    pub last: u64,
}

impl OneFile {
    fn knows(&self, epoch: u64) -> bool {
        self.spans.is_empty() || self.spans.iter().any(|span| (span.first..=span.last).contains(&epoch))
    }

    /// The one that was put together so far, of those that were prepared.
    pub fn of(prepared: &[Prepared]) -> Option<&OneFile> {
        let of = prepared.iter().filter_map(|prepared| if let Prepared::Parts(parts) = prepared { Some(parts) } else { None });
        of.max_by_key(|parts| parts.count)
    }
}

/// A part of a folder: durable under a hidden name, and where it is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub ready: PathBuf,
    pub path: PathBuf,
}

impl Prepared {
    /// Whether it is its task's first of the run, into a folder.
    const fn is_first(&self) -> bool {
        matches!(self, Prepared::Part { first: true, .. } | Prepared::Placed { first: true, .. })
    }

    /// The folder's parts, by hidden and by visible name.
    fn parts(&self) -> Vec<(&PathBuf, &PathBuf)> {
        match self {
            Prepared::Part { ready, path, .. } => vec![(ready, path)],
            Prepared::Placed { files, .. } => files.iter().map(|placed| (&placed.ready, &placed.path)).collect(),
            Prepared::Parts(_) => Vec::new(),
        }
    }
}

/// Renames a folder's parts. What was renamed before is passed over.
pub fn commit_folder(target: &Target, context: &ConnectorContext, prepared: &[Prepared]) -> RunResult<()> {
    let files = &context.files;
    let mut own = HashSet::new();
    for (ready, path) in prepared.iter().flat_map(Prepared::parts) {
        rename(files, ready, path).and_then(|()| fault::at("sink-commit")).map_err(|error| write_error(path, error))?;
        reached("part-renamed");
        own.insert(path.clone());
    }
    if prepared.iter().any(Prepared::is_first) {
        target.remove_others(files, context.run_start_us, context.durability, &own)?;
    }
    Ok(())
}

/// Renames what is not renamed yet, into a folder that is made if it is not there.
fn rename(files: &Files, ready: &Path, path: &Path) -> io::Result<()> {
    let missing = match files.rename(ready, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        done => return done,
    };
    if files.exists(path) {
        // Renamed it may be, and not yet so for good.
        return files.sync_folder_of(path);
    }
    let Some(folder) = path.parent().filter(|_| files.exists(ready)) else { return Err(missing) };
    files.make_folder(folder)?;
    files.rename(ready, path)
}

/// Sees that all parts of the one file are there, and at the end of the run puts them together in its place.
pub fn commit_file(
    target: &Target,
    schema: &SchemaRef,
    context: &ConnectorContext,
    prepared: &[Prepared],
    finality: Finality,
) -> RunResult<()> {
    let Some(whole) = OneFile::of(prepared) else { return Ok(()) };
    let count = whole.count;
    let (files, run, kept) = (&context.files, context.run_start_us, context.durability.kept_epoch);
    let failed = |error| write_error(&target.path, error);
    let parts = ready_parts(target, files, run, whole)?;
    let done = target.done(run);
    if finality == Finality::Final && (files.exists(&done) || parts.is_empty() && files.exists(&target.path)) {
        return remove_parts(target, files, run, kept);
    }
    if parts.len() != count {
        let cause = format!("{count} parts of it were written, and {} are there; run with --fresh to make it anew", parts.len());
        return Err(RunError::connector(codes::PARTS_MISSING, format!("write {}", target.path.display()), cause, false));
    }
    match (finality, parts.as_slice()) {
        (Finality::Ongoing, _) => Ok(()),
        (Finality::Final, [only]) if kept == 0 => files.rename(only, &target.path).map_err(failed),
        (Finality::Paused | Finality::Final, _) => {
            let assembly = target.assembly(run, context.durability);
            let opened = parts.iter().map(|part| files.open(part)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let to = files.create(&assembly).map_err(failed)?;
            format::concatenate(opened, to, target.format, schema).map_err(failed)?;
            reached("parts-together");
            files.rename(&assembly, &target.path).and_then(|()| fault::at("sink-assembly")).map_err(failed)?;
            reached("file-renamed");
            if finality == Finality::Final {
                files.create(&done).and_then(|file| file.sync_all()).map_err(failed)?;
                remove_parts(target, files, run, kept)?;
            }
            Ok(())
        }
    }
}

/// The parts of the one file that there are, in the order of their epochs.
pub fn ready_parts(target: &Target, files: &Files, run: i64, of: &OneFile) -> RunResult<Vec<PathBuf>> {
    Ok(parts_by_epoch(target, files, run)?.into_iter().filter(|(epoch, _)| of.knows(*epoch)).map(|(_, path)| path).collect())
}

fn parts_by_epoch(target: &Target, files: &Files, run: i64) -> RunResult<Vec<(u64, PathBuf)>> {
    let ready = |hidden: Hidden| if let What::Ready(epoch) = hidden.what { Some((epoch, hidden.path)) } else { None };
    let mut parts: Vec<(u64, PathBuf)> = target.hidden_files(files, run)?.into_iter().filter_map(ready).collect();
    parts.sort();
    Ok(parts)
}

/// Removes what is in the file now, but for what a savepoint goes on from. The mark that says so goes last, and stays with the rest.
fn remove_parts(target: &Target, files: &Files, run: i64, kept: u64) -> RunResult<()> {
    for (_, part) in parts_by_epoch(target, files, run)?.into_iter().filter(|(epoch, _)| *epoch > kept) {
        files.remove(&part).map_err(|error| write_error(&part, error))?;
        reached("part-removed");
    }
    if kept > 0 {
        return Ok(());
    }
    let done = target.done(run);
    if files.exists(&done) {
        files.remove(&done).map_err(|error| write_error(&done, error))?;
    }
    Ok(())
}

/// Removes what the run has written after the epoch that it goes on from.
pub fn recover(target: &Target, context: &ConnectorContext, prepared: &[Prepared]) -> RunResult<()> {
    let (restored, run) = (context.durability.restored_epoch, context.run_start_us);
    if target.is_folder && restored > 0 {
        // Until the run's first commit the folder also holds an earlier run's parts.
        let is_alone = !prepared.iter().any(Prepared::is_first);
        if context.durability.may_rewind {
            target.remove_left_over(&context.files, run, is_alone, context.durability)?;
        }
        holds_nothing_later(target, context, is_alone)?;
    }
    for Hidden { path, .. } in target.hidden_files(&context.files, run)?.into_iter().filter(|it| it.what.is_left_over(context.durability)) {
        match context.files.remove(&path) {
            // Whoever had the run before may live, and has removed it itself.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(write_error(&path, error)),
            _ => {}
        }
    }
    // Before the state forgets that there was such a run: nobody else knows these names. Also where nothing is left to remove, since the sync of
    // an earlier try may have failed.
    let beside = target.done(run);
    match context.files.sync_folder_of(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(write_error(&beside, error)),
        _ => Ok(()),
    }
}

/// Sees that a folder has no rows but of the epochs up to the one that the run goes on from.
fn holds_nothing_later(target: &Target, context: &ConnectorContext, is_alone: bool) -> RunResult<()> {
    let restored = context.durability.restored_epoch;
    let held = target.held(&context.files, context.run_start_us)?;
    let newest = held.named.max(held.unnamed.filter(|_| is_alone)).filter(|newest| *newest > restored);
    let what = match (newest, held.other_run.filter(|_| is_alone)) {
        (Some(newest), _) => format!("rows of epoch {newest}, and the run would go on from epoch {restored}: they would come twice"),
        (None, Some(other)) => format!("rows of a later run, which began at {other}: what this one wrote there is gone"),
        (None, None) => return Ok(()),
    };
    let message = format!("{} holds {what}", target.path.display());
    let help = "bring back the state that belongs to the folder, or run with --fresh: the folder is then made anew";
    Err(RunError::State { code: COMMITTED_LATER, message, help, retryable: false })
}
