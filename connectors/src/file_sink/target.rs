//! Where a file sink writes, and what its files are called until they are committed.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::{RunError, RunResult};

use super::hive;
use crate::codes;
use crate::format::Format;

/// A failure to write, in the words of the file.
pub fn write_error(path: &Path, error: io::Error) -> RunError {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            codes::SINK_PATH
        }
        _ => codes::WRITE,
    };
    RunError::connector(code, format!("write {}", path.display()), error, false)
}

/// A file, or a folder of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub path: PathBuf,
    pub is_folder: bool,
    pub format: Format,
    /// Columns whose values name folders within the folder, each within the one before it.
    pub partition_by: Vec<String>,
}

impl Target {
    /// Whether rows can go there at all.
    pub fn check(&self, files: &Files) -> io::Result<()> {
        files.locate(&self.path)?;
        if self.is_folder {
            return match files.is_folder(&self.path) {
                Ok(false) => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is a file; a path without / at its end is replaced")),
                other => there_or_to_be_made(other),
            };
        }
        // A link that leads out is replaced like a file: nothing is written through it.
        if files.is_folder(&self.path).is_ok_and(|is_folder| is_folder) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; a path that ends in / receives parts"));
        }
        if files.is_special(&self.path) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device or a pipe, which a file would replace"));
        }
        match files.is_folder(self.path.parent().unwrap_or(Path::new(""))) {
            Ok(false) => Err(io::Error::new(io::ErrorKind::NotADirectory, "its folder is a file")),
            other => there_or_to_be_made(other),
        }
    }

    /// The folder that the run's files lie in, and what their hidden names begin with. They lie where the result will, so that renaming
    /// them is one step.
    fn hidden(&self, run_start_us: i64) -> (PathBuf, String) {
        if self.is_folder {
            return (self.path.clone(), format!(".part-{run_start_us}-"));
        }
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (self.path.parent().unwrap_or(Path::new("")).to_path_buf(), format!(".{name}.{run_start_us}-"))
    }

    fn hidden_path(&self, run_start_us: i64, rest: &str) -> PathBuf {
        let (folder, begin) = self.hidden(run_start_us);
        folder.join(format!("{begin}{rest}"))
    }

    /// What a task's file is called while it is being written.
    pub fn temporary(&self, run_start_us: i64, task: u32) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{task}.tmp"))
    }

    /// What it is called once it is durable, until it is visible.
    pub fn ready(&self, run_start_us: i64, epoch: u64, task: u32) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{epoch}-{task}.ready"))
    }

    /// Like [`Target::temporary`], for one of several files.
    pub fn temporary_of(&self, run_start_us: i64, task: u32, number: usize) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{task}-{number}.tmp"))
    }

    /// Like [`Target::ready`], for one of several files.
    pub fn ready_of(&self, run_start_us: i64, epoch: u64, task: u32, number: usize) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{epoch}-{task}-{number}.ready"))
    }

    /// What one of several files of a task and an epoch is called in the end, in the folder of its values.
    pub fn part_in(&self, folder: &str, epoch: u64, task: u32, number: usize) -> PathBuf {
        self.path.join(folder).join(format!("part-{epoch}-{task}-{number}.{}", self.format.name()))
    }

    /// Where parts are put together.
    pub fn assembly(&self, run_start_us: i64) -> PathBuf {
        self.hidden_path(run_start_us, "all.tmp")
    }

    /// Stands beside the result while its parts are being removed: they are not missed.
    pub fn done(&self, run_start_us: i64) -> PathBuf {
        self.hidden_path(run_start_us, "all.done")
    }

    /// What a task's file of an epoch is called in the end.
    pub fn part(&self, epoch: u64, task: u32) -> PathBuf {
        if self.is_folder { self.path.join(format!("part-{epoch}-{task}.{}", self.format.name())) } else { self.path.clone() }
    }

    /// The run's hidden files: each with its epoch if it is ready.
    pub fn hidden_files(&self, files: &Files, run_start_us: i64) -> RunResult<Vec<(PathBuf, Option<u64>)>> {
        let (folder, begin) = self.hidden(run_start_us);
        let looked = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.clone() };
        let names = match files.list(&looked) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| write_error(&self.path, error))?,
        };
        let found = names.iter().filter_map(|name| {
            let rest = name.strip_prefix(&begin)?;
            let epoch = rest.strip_suffix(".ready").and_then(|rest| rest.split_once('-')).and_then(|(epoch, _)| epoch.parse().ok());
            (epoch.is_some() || rest.ends_with(".tmp") || rest.ends_with(".done")).then(|| (folder.join(name), epoch))
        });
        Ok(found.collect())
    }

    /// The newest epoch of the parts in the folder.
    pub fn newest_part(&self, files: &Files) -> RunResult<Option<u64>> {
        Ok(self.parts(files)?.into_iter().map(|(_, epoch)| epoch).max())
    }

    /// Takes away the parts of later epochs.
    pub fn remove_parts_after(&self, files: &Files, epoch: u64) -> RunResult<()> {
        let kept = self.parts(files)?.into_iter().filter(|(_, of)| *of <= epoch).map(|(path, _)| path).collect();
        self.remove_others(files, &kept)
    }

    /// Takes away parts that are not `own`: the earlier runs'. So are folders that were theirs alone.
    pub fn remove_others(&self, files: &Files, own: &HashSet<PathBuf>) -> RunResult<()> {
        for (path, _) in self.parts(files)?.into_iter().filter(|(path, _)| !own.contains(path)) {
            files.remove(&path).map_err(|error| write_error(&path, error))?;
            let folders = path.ancestors().skip(1).take(self.partition_by.len()).take_while(|folder| **folder != self.path);
            for folder in folders {
                // One with anything in it stays.
                let _ = files.remove_folder(folder);
            }
        }
        Ok(())
    }

    /// All parts, each with its epoch: those in the folder itself, and in the folders of values.
    fn parts(&self, files: &Files) -> RunResult<Vec<(PathBuf, u64)>> {
        let mut parts = Vec::new();
        let mut folders = vec![(self.path.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let names = match files.list(&folder) {
                // A file by a folder's name, and a link that leads out, are not ours.
                Err(error) if depth > 0 || error.kind() == io::ErrorKind::NotFound => {
                    drop(error);
                    continue;
                }
                names => names.map_err(|error| write_error(&self.path, error))?,
            };
            for name in names {
                let path = folder.join(&name);
                if let Some(epoch) = part_of(&name) {
                    parts.push((path, epoch));
                } else if self.partition_by.get(depth).is_some_and(|column| hive::is_name_of(&name, column)) {
                    folders.push((path, depth + 1));
                }
            }
        }
        Ok(parts)
    }
}

/// A folder that is not there is made; one that a link places outside, or that may not be looked at, is refused.
fn there_or_to_be_made(folder: io::Result<bool>) -> io::Result<()> {
    match folder {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The epoch of `part-EPOCH-TASK.ext` or `part-EPOCH-TASK-N.ext`: nothing else in the folder is ours to remove.
fn part_of(name: &str) -> Option<u64> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (numbers, extension) = name.strip_prefix("part-")?.split_once('.')?;
    let mut numbers = numbers.split('-');
    let (epoch, task, number, more) = (numbers.next()?, numbers.next()?, numbers.next(), numbers.next());
    let are_numbers = is_number(epoch) && is_number(task) && number.is_none_or(is_number);
    if !matches!(extension, "csv" | "jsonl" | "parquet") || !are_numbers || more.is_some() {
        return None;
    }
    epoch.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_are_taken_for_parts() {
        assert_eq!((part_of("part-1-0.parquet"), part_of("part-12-34.csv")), (Some(1), Some(12)));
        assert_eq!(part_of("part-7-0-3.jsonl"), Some(7));
        for other in [
            "part-1.parquet",
            "part-1-0.txt",
            "part-a-0.csv",
            "notes.csv",
            "part-1-0.parquet.bak",
            ".part-1-0.tmp",
            "part-1-0-.csv",
            "part-1-0-2-3.csv",
        ] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }
}
