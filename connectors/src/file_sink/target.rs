//! Where a file sink writes, and what its files are called until they are committed.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use millrace_engine::model::time::{MICROS_PER_SECOND, Timestamp};
use millrace_engine::runtime::connector::Durability;
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::{RunError, RunResult};

use super::hive;
use crate::codes;
use crate::format::Format;
use crate::hidden::{What, unfinished, what_is};

/// A failure to write, in the words of the file.
pub fn write_error(path: &Path, error: io::Error) -> RunError {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            codes::SINK_PATH
        }
        _ => codes::WRITE,
    };
    // What the system refused may pass: a disk that is full, one that fails. What a format says of its rows stays.
    let may_pass = code == codes::WRITE && error.raw_os_error().is_some();
    RunError::connector(code, format!("write {}", path.display()), error, may_pass)
}

/// A file, or a folder of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub path: PathBuf,
    pub is_folder: bool,
    pub format: Format,
    /// Columns whose values name folders within the folder, each within the one before it.
    pub partition_by: Vec<String>,
    /// All columns of the rows: an earlier run's folders of values are named after some of them.
    pub columns: Vec<String>,
}

/// Whose parts lie in a folder.
pub struct Held {
    /// The newest epoch of the run's.
    pub named: Option<u64>,
    /// The newest of those that say no run.
    pub unnamed: Option<u64>,
    /// Another run that has some.
    pub other_run: Option<String>,
}

/// One of a run's hidden files.
pub struct Hidden {
    pub path: PathBuf,
    pub what: What,
}

/// A part of the folder.
struct Part {
    path: PathBuf,
    /// The run's name; a release before gave none.
    run: Option<String>,
    epoch: u64,
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
    pub fn temporary(&self, run_start_us: i64, durability: Durability, task: u32) -> PathBuf {
        self.hidden_path(run_start_us, &unfinished(durability, &task.to_string()))
    }

    /// What it is called once it is durable, until it is visible.
    pub fn ready(&self, run_start_us: i64, epoch: u64, task: u32) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{epoch}-{task}.ready"))
    }

    /// Like [`Target::temporary`], for one of several files.
    pub fn temporary_of(&self, run_start_us: i64, durability: Durability, task: u32, number: usize) -> PathBuf {
        self.hidden_path(run_start_us, &unfinished(durability, &format!("{task}-{number}")))
    }

    /// Like [`Target::ready`], for one of several files.
    pub fn ready_of(&self, run_start_us: i64, epoch: u64, task: u32, number: usize) -> PathBuf {
        self.hidden_path(run_start_us, &format!("{epoch}-{task}-{number}.ready"))
    }

    /// What one of several files of a task and an epoch is called in the end, in the folder of its values.
    pub fn part_in(&self, folder: &str, run_start_us: i64, epoch: u64, task: u32, number: usize) -> PathBuf {
        self.path.join(folder).join(format!("part-{}-{epoch}-{task}-{number}.{}", run_name(run_start_us), self.format.name()))
    }

    /// Where parts are put together.
    pub fn assembly(&self, run_start_us: i64, durability: Durability) -> PathBuf {
        self.hidden_path(run_start_us, &unfinished(durability, "all"))
    }

    /// Stands beside the result while its parts are being removed: they are not missed.
    pub fn done(&self, run_start_us: i64) -> PathBuf {
        self.hidden_path(run_start_us, "all.done")
    }

    /// What a task's file of an epoch is called in the end.
    pub fn part(&self, run_start_us: i64, epoch: u64, task: u32) -> PathBuf {
        if !self.is_folder {
            return self.path.clone();
        }
        self.path.join(format!("part-{}-{epoch}-{task}.{}", run_name(run_start_us), self.format.name()))
    }

    /// The run's hidden files.
    pub fn hidden_files(&self, files: &Files, run_start_us: i64) -> RunResult<Vec<Hidden>> {
        let (folder, begin) = self.hidden(run_start_us);
        let looked = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.clone() };
        let names = match files.list(&looked) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| write_error(&self.path, error))?,
        };
        let found = names.iter().filter_map(|name| Some(Hidden { path: folder.join(name), what: what_is(name.strip_prefix(&begin)?)? }));
        Ok(found.collect())
    }

    /// Whose parts lie in the folder. Those without a run's name are taken for the run's.
    pub fn held(&self, files: &Files, run_start_us: i64) -> RunResult<Held> {
        let own = run_name(run_start_us);
        let (mine, others): (Vec<Part>, Vec<Part>) =
            self.parts(files)?.into_iter().partition(|part| part.run.as_ref().is_none_or(|run| *run == own));
        let newest = |is_named: bool| mine.iter().filter(|part| part.run.is_some() == is_named).map(|part| part.epoch).max();
        Ok(Held { named: newest(true), unnamed: newest(false), other_run: others.into_iter().find_map(|part| part.run) })
    }

    /// Takes away the run's parts of epochs that are given up; among them those without a run's name, if they can only be the run's.
    pub fn remove_left_over(&self, files: &Files, run_start_us: i64, is_alone: bool, durability: Durability) -> RunResult<()> {
        let own = run_name(run_start_us);
        let is_own = |part: &Part| part.run.as_ref().map_or(is_alone, |run| *run == own);
        self.remove(files, self.parts(files)?.into_iter().filter(|part| is_own(part) && durability.is_left_over(part.epoch)))
    }

    /// Takes away parts that are not `own`: the earlier runs'. So are folders that were theirs alone. What is the run's and of later epochs stays where
    /// another process may have gone on with it meanwhile.
    pub fn remove_others(&self, files: &Files, run_start_us: i64, durability: Durability, own: &HashSet<PathBuf>) -> RunResult<()> {
        let run = run_name(run_start_us);
        let epochs = own.iter().filter_map(|path| part_of(path.file_name()?.to_str()?)).map(|(_, epoch)| epoch);
        let newest = epochs.max().unwrap_or(0);
        let is_later = |part: &Part| durability.base.is_some() && part.run.as_ref() == Some(&run) && part.epoch > newest;
        let is_other = |part: &Part| !own.contains(&part.path) && !is_later(part);
        self.remove(files, self.parts(files)?.into_iter().filter(is_other))
    }

    fn remove(&self, files: &Files, parts: impl Iterator<Item = Part>) -> RunResult<()> {
        for Part { path, .. } in parts {
            files.remove(&path).map_err(|error| write_error(&path, error))?;
            for folder in path.ancestors().skip(1).take_while(|folder| **folder != self.path) {
                // One with anything in it stays.
                let _ = files.remove_folder(folder);
            }
        }
        Ok(())
    }

    /// All parts: those in the folder itself, and in the folders of values, this run's or an earlier one's of other columns.
    fn parts(&self, files: &Files) -> RunResult<Vec<Part>> {
        let mut parts = Vec::new();
        // Each with the columns that no folder above it is named after.
        let mut folders = vec![(self.path.clone(), self.columns.iter().collect::<Vec<_>>())];
        while let Some((folder, columns)) = folders.pop() {
            let names = match files.list(&folder) {
                // A file by a folder's name, and a link that leads out, are not ours.
                Err(error) if folder != self.path || error.kind() == io::ErrorKind::NotFound => {
                    drop(error);
                    continue;
                }
                names => names.map_err(|error| write_error(&self.path, error))?,
            };
            for name in names {
                let path = folder.join(&name);
                if let Some((run, epoch)) = part_of(&name) {
                    parts.push(Part { path, run: run.map(str::to_owned), epoch });
                } else if let Some(column) = columns.iter().find(|column| hive::is_name_of(&name, column)) {
                    let below = columns.iter().filter(|other| *other != column).copied().collect();
                    folders.push((path, below));
                }
            }
        }
        Ok(parts)
    }
}

/// A run's name in the names of its parts: when it began, `20130314T094200000000Z`, so that a list of names is one of times.
fn run_name(run_start_us: i64) -> String {
    let second = Timestamp(run_start_us.div_euclid(MICROS_PER_SECOND) * MICROS_PER_SECOND).to_rfc3339();
    let digits: String = second.chars().filter(|letter| !matches!(letter, '-' | ':' | 'Z')).collect();
    format!("{digits}{:06}Z", run_start_us.rem_euclid(MICROS_PER_SECOND))
}

fn is_run_name(text: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let halves = text.strip_suffix('Z').and_then(|text| text.split_once('T'));
    halves.is_some_and(|(day, time)| day.len() == 8 && time.len() == 12 && is_digits(day) && is_digits(time))
}

/// A folder that is not there is made; one that a link places outside, or that may not be looked at, is refused.
fn there_or_to_be_made(folder: io::Result<bool>) -> io::Result<()> {
    match folder {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Run and epoch of `part-RUN-EPOCH-TASK.ext` or `part-RUN-EPOCH-TASK-N.ext`, or the same without a run, as a release before named them:
/// nothing else in the folder is ours to remove.
fn part_of(name: &str) -> Option<(Option<&str>, u64)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (stem, extension) = name.strip_prefix("part-")?.split_once('.')?;
    let (run, numbers) = match stem.split_once('-').filter(|(run, _)| is_run_name(run)) {
        Some((run, numbers)) => (Some(run), numbers),
        None => (None, stem),
    };
    let mut numbers = numbers.split('-');
    let (epoch, task, number, more) = (numbers.next()?, numbers.next()?, numbers.next(), numbers.next());
    let are_numbers = is_number(epoch) && is_number(task) && number.is_none_or(is_number);
    if !matches!(extension, "csv" | "jsonl" | "parquet") || !are_numbers || more.is_some() {
        return None;
    }
    Some((run, epoch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_are_taken_for_parts() {
        const RUN: &str = "20130314T094200000007Z";
        assert_eq!(run_name(1_363_254_120_000_007), RUN);
        assert_eq!(part_of(&format!("part-{RUN}-12-34.csv")), Some((Some(RUN), 12)));
        assert_eq!(part_of(&format!("part-{RUN}-7-0-3.jsonl")), Some((Some(RUN), 7)));
        assert_eq!((part_of("part-1-0.parquet"), part_of("part-12-34.csv")), (Some((None, 1)), Some((None, 12))));
        assert_eq!(part_of("part-7-0-3.jsonl"), Some((None, 7)));
        for other in [
            "part-1.parquet",
            "part-1-0.txt",
            "part-a-0.csv",
            "notes.csv",
            "part-1-0.parquet.bak",
            ".part-1-0.tmp",
            "part-1-0-.csv",
            "part-1-0-2-3.csv",
            "part-20130314T094200000007Z-1.csv",
            "part-20130314T094200000007Z-1-0-2-3.csv",
            "part-20130314T0942Z-1-0.csv",
            "part-20130314T094200000007-1-0.csv",
        ] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }
}
