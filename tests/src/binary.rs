//! Runs `millrace` as a user does, in a project folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The binary beside the tests. `make test` builds it first; a bare `cargo test` builds it here.
pub fn path() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let binary = folder.join("millrace");
    if !binary.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "millrace"]).status().unwrap();
        assert!(built.success(), "cargo build -p millrace");
    }
    binary
}

/// A project folder under test.
pub struct Millrace {
    pub folder: tempfile::TempDir,
}

/// How a run went.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Millrace {
    /// An empty project (its own root: a `.git` folder stands in it).
    pub fn project() -> Millrace {
        let folder = tempfile::Builder::new().prefix("millrace-test-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        Millrace { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Puts a file of the samples into the project, under the same name.
    pub fn sample(&self, name: &str) {
        let to = self.path(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples").join(name);
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(path());
        command.current_dir(self.folder.path()).env_remove("MILLRACE_TOKEN");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command().args(arguments).output().unwrap())
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Panics with all that was said unless the run ended with 0.
    pub fn succeeded(self) -> Ran {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The last line of stdout, as `run --json` prints it.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}\nstderr:\n{}", self.stderr))
    }
}
