//! Where rows wait beside the database until they are committed, and what those files are called.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_engine::model::NodeId;
use millrace_engine::runtime::connector::Durability;
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::{RunError, RunResult};
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::hidden::{What, unfinished, what_is};

/// What a task has prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    pub epoch: u64,
    /// A durable part; none if the task had no rows.
    pub part: Option<PathBuf>,
    /// Whether it is the task's first of the run.
    pub first: bool,
}

/// The hidden files of one sink's run.
#[derive(Clone)]
pub struct Staging {
    pub database: PathBuf,
    pub node: NodeId,
    pub run: i64,
    pub files: Arc<Files>,
    pub durability: Durability,
}

impl Staging {
    pub fn failed(&self, error: io::Error) -> RunError {
        RunError::connector(codes::WRITE, format!("write rows beside {}", self.database.display()), error, false)
    }

    fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new(""))
    }

    /// What the names of this run's files begin with. A node's name has no dot.
    fn prefix(&self) -> String {
        let name = self.database.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        format!(".{name}.{}.{}.", self.run, self.node)
    }

    /// What a task's part is called while it is being written.
    pub fn temporary(&self, task: u32) -> PathBuf {
        self.folder().join(format!("{}{}", self.prefix(), unfinished(self.durability, &task.to_string())))
    }

    /// What it is called once it is durable.
    pub fn ready(&self, epoch: u64, task: u32) -> PathBuf {
        self.folder().join(format!("{}{epoch}-{task}.ready", self.prefix()))
    }

    pub fn create(&self, path: &Path) -> RunResult<File> {
        self.files.create(path).map_err(|error| self.failed(error))
    }

    /// Removes files that may be gone already.
    pub fn remove(&self, path: &Path) -> RunResult<()> {
        match self.files.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// The run's files.
    pub fn all(&self) -> RunResult<Vec<(PathBuf, What)>> {
        let folder = self.folder();
        let looked = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let names = match self.files.list(looked) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| self.failed(error))?,
        };
        let prefix = self.prefix();
        let found = names.iter().filter_map(|name| Some((folder.join(name), what_is(name.strip_prefix(&prefix)?)?)));
        Ok(found.filter(|(_, what)| *what != What::Done).collect())
    }
}
