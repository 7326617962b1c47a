//! A disk of a process's own, which can be full for a while.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::within;

const SCRIPT: &str = r#"mount -t tmpfs -o size=256m tmpfs "$1" || exit; shift; exec "$@""#;

/// The disk that a process has at a folder; nobody else sees it there.
pub struct Disk(PathBuf);

impl Disk {
    /// Whether this machine lets anybody mount one.
    pub fn can_be() -> bool {
        let folder = tempfile::tempdir().unwrap();
        let tried =
            Command::new("unshare").args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(folder.path()).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    }

    /// The command with a disk of its own at `folder`. It goes with the process.
    pub fn under(command: &Command, folder: &Path) -> Command {
        within(command, ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", folder.to_str().unwrap()])
    }

    pub fn of(process: u32, folder: &Path) -> Disk {
        Disk(Path::new(&format!("/proc/{process}/root")).join(folder.strip_prefix("/").unwrap()))
    }

    /// Its root, as seen from here.
    pub fn root(&self) -> &Path {
        &self.0
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("full")
    }

    /// Takes all the room that there is, and whatever comes free. Whether there came to be none.
    pub fn fill(&self) -> bool {
        let file = File::options().create(true).append(true).open(self.ballast());
        let Ok(mut file) = file else { return false };
        let piece = vec![0; 1 << 20];
        // The disk is far smaller than that.
        (0..1 << 12).any(|_| file.write_all(&piece).is_err())
    }

    pub fn empty(&self) {
        let _ = fs::remove_file(self.ballast());
    }
}
