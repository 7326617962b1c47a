//! Who asked what of this node, when, and what came of it: JSON Lines, appended to, for people and for what reads logs. No secret is ever in it:
//! its fields are names, roles, kinds of requests and codes.
//!
//! A log that has grown to [`MOST_BYTES`] is kept as `NAME.1`, the one before as `NAME.2` and so on up to [`KEPT`]; the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use millrace_model::Timestamp;
use serde::Serialize;

use super::error::TrustError;
use crate::socket::Rate;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    Done,
    /// It was refused or failed, with this code.
    Refused(&'a str),
}

/// Something that was asked.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The name in the certificate of who asks; none if it has shown none.
    pub who: Option<&'a str>,
    pub role: Option<&'a str>,
    pub from: Option<SocketAddr>,
    /// `connect`, `enrol`, `start`..
    pub what: &'a str,
    /// What it is about: a pipeline's name, a certificate's.
    pub about: Option<&'a str>,
    pub outcome: Outcome<'a>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    /// `done`, or a code.
    outcome: &'a str,
}

/// The log of a node.
#[derive(Debug)]
pub struct Audit {
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    /// Of the file, as far as this process knows.
    bytes: u64,
    /// Of lines about who has shown nothing: a crowd of them does not fill the disk.
    strangers: Rate,
}

/// Lines about strangers in a second; more are not written.
const MAX_STRANGERS: u32 = 10;

/// How long a log grows before the next is begun: some 50,000 lines.
const MOST_BYTES: u64 = 8 << 20;

/// Full logs that are kept beside the one that is written.
const KEPT: u32 = 4;

impl Audit {
    /// Goes on with the log at a path, or begins it.
    pub fn open(path: &Path) -> Result<Audit, TrustError> {
        let opened = open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(TrustError::folder(path))?;
        Ok(Audit { log: Mutex::new(Log { path: path.to_owned(), file, bytes, strangers: Rate::new(MAX_STRANGERS) }) })
    }

    /// Writes a line, whole or not at all. A log that cannot be written stops nothing: the node's own log says so.
    pub fn tell(&self, entry: Entry<'_>) {
        let Entry { who, role, from, what, about, outcome } = entry;
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Refused(code) => code,
        };
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let at = Timestamp(i64::try_from(at).unwrap_or(i64::MAX)).to_rfc3339();
        let line = Line { at, who, role, from: from.map(|from| from.to_string()), what, about, outcome };
        let written = serde_json::to_string(&line).map_err(std::io::Error::from).and_then(|line| {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if who.is_none() && !log.strangers.count() {
                return Ok(());
            }
            log.write(&format!("{line}\n"))
        });
        if let Err(error) = written {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
}

impl Log {
    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > MOST_BYTES {
            // If that fails this one goes on: a long log is better than none.
            match self.begin_next() {
                Ok(file) => (self.file, self.bytes) = (file, 0),
                Err(error) => tracing::warn!(%error, "the next audit log cannot be begun"),
            }
        }
        // One write of a file that is appended to: lines of two processes do not mix.
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn begin_next(&self) -> io::Result<File> {
        for number in (1..KEPT).rev() {
            match fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))?;
        open(&self.path)
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_full_log_is_kept_beside_the_next_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(&path).unwrap();
        let about = "x".repeat(MOST_BYTES as usize / 4);
        for number in 0..20 {
            let about = format!("{number} {about}");
            let entry = Entry { who: Some("ada"), role: None, from: None, what: "start", about: Some(&about), outcome: Outcome::Done };
            audit.tell(entry);
        }
        let logs: Vec<Vec<String>> = (1..=KEPT).rev().map(|number| lines(&numbered(&path, number))).chain([lines(&path)]).collect();
        // Three to a log: six of twenty were in two that have gone.
        assert_eq!(logs.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3, 3, 2]);
        let kept = logs.concat();
        assert!(kept.iter().zip(6..).all(|(line, number)| line.contains(&format!("\"about\":\"{number} "))), "in their order");
        assert!(!numbered(&path, KEPT + 1).exists());
    }

    #[test]
    fn a_log_goes_on_where_the_process_before_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, vec![b' '; MOST_BYTES as usize]).unwrap();
        let entry = Entry { who: Some("ada"), role: None, from: None, what: "start", about: None, outcome: Outcome::Done };
        Audit::open(&path).unwrap().tell(entry);
        assert_eq!((lines(&path).len(), lines(&numbered(&path, 1)).len()), (1, 1));
    }
}
