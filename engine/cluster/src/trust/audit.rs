//! Who asked what of this node, when, and what came of it: JSON Lines, appended to, for people and for what reads logs. No secret is ever in it:
//! its fields are names, roles, kinds of requests and codes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
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
    file: File,
    /// Of lines about who has shown nothing: a crowd of them does not fill the disk.
    strangers: Rate,
}

/// Lines about strangers in a second; more are not written.
const MAX_STRANGERS: u32 = 10;

impl Audit {
    /// Goes on with the log at a path, or begins it.
    pub fn open(path: &Path) -> Result<Audit, TrustError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(TrustError::folder(path))?;
        Ok(Audit { log: Mutex::new(Log { file, strangers: Rate::new(MAX_STRANGERS) }) })
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
            // One write of a file that is appended to: lines of two processes do not mix.
            log.file.write_all(format!("{line}\n").as_bytes())
        });
        if let Err(error) = written {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
}
