//! Records that could not be used: as rows of the `quarantined` port, or in a capped file where nobody reads that port.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_model::NodeId;
use millrace_wire::message::NoticeSeverity;
use polars::prelude::*;
use serde_json::json;

use crate::batch::Batch;
use crate::connector::{BadRecord, MAX_RAW_BYTES};
use crate::error::{RunError, RunResult};
use crate::files::Files;
use crate::json;
use crate::telemetry::NoticeBoard;

/// The most that a quarantine file takes, in bytes.
pub const QUARANTINE_FILE_BYTES: u64 = 10 * 1024 * 1024;

/// Bad records as rows of [`crate::batch::quarantine_schema`].
pub fn batch(source: &str, records: &[BadRecord]) -> RunResult<Batch> {
    fn column<'a>(name: &'static str, values: impl Iterator<Item = &'a str>) -> Column {
        Column::new(name.into(), values.collect::<Vec<&str>>())
    }
    let columns = vec![
        column("__reason", records.iter().map(|record| record.reason.as_str())),
        column("__source", records.iter().map(|_| source)),
        column("__position", records.iter().map(|record| record.position.as_str())),
        column("__raw", records.iter().map(|record| record.raw.as_str())),
    ];
    Ok(Batch::new(DataFrame::new(records.len(), columns)?))
}

/// The rows of `frame` at `rows`, each with its reason, as bad records without a position.
pub fn bad_rows(frame: &DataFrame, rows: impl IntoIterator<Item = (usize, String)>) -> Vec<BadRecord> {
    rows.into_iter()
        .map(|(row, reason)| BadRecord { reason, position: String::new(), raw: json::row_text(frame, row, MAX_RAW_BYTES) })
        .collect()
}

/// `.millrace/quarantine/RUN/NODE.jsonl` under the project's root: made at the first record, full at [`QUARANTINE_FILE_BYTES`]. At a member
/// of a shared run: its lines, until they are taken to the leader.
pub struct QuarantineFile {
    place: Place,
    node: NodeId,
    notices: Arc<NoticeBoard>,
    state: Mutex<State>,
}

enum Place {
    Here { files: Arc<Files>, path: PathBuf },
    AtTheLeader,
}

#[derive(Default)]
struct State {
    writer: Option<BufWriter<std::fs::File>>,
    /// What the leader has not been given yet.
    lines: Vec<String>,
    written: u64,
    is_full: bool,
}

impl QuarantineFile {
    pub fn new(files: Arc<Files>, run: &str, node: NodeId, notices: Arc<NoticeBoard>) -> Self {
        let path = files.root().join(".millrace").join("quarantine").join(run).join(format!("{node}.jsonl"));
        QuarantineFile { place: Place::Here { files, path }, node, notices, state: Mutex::default() }
    }

    /// One whose lines go to the leader's file.
    pub fn at_the_leader(node: NodeId, notices: Arc<NoticeBoard>) -> Self {
        QuarantineFile { place: Place::AtTheLeader, node, notices, state: Mutex::default() }
    }

    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the rows of a quarantine batch. What no longer fits is left out, said once, and counted all the same by the node.
    pub fn append(&self, batch: &Batch) -> RunResult<()> {
        self.append_lines((0..batch.rows()).map(|row| json::row(batch.frame(), row).to_string()))
    }

    /// The same of rows that are JSON already.
    pub fn append_lines(&self, lines: impl Iterator<Item = String>) -> RunResult<()> {
        let mut state = self.state();
        if state.is_full {
            return Ok(());
        }
        self.write(&mut state, lines)
            .map_err(|error| RunError::connector("MR0410", format!("write the records kept aside to {}", self.shown()), error, true))
    }

    /// Takes the lines that the leader has not been given yet.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.state().lines)
    }

    fn shown(&self) -> String {
        match &self.place {
            Place::Here { path, .. } => path.display().to_string(),
            Place::AtTheLeader => format!("the leader's {}.jsonl", self.node),
        }
    }

    fn write(&self, state: &mut State, lines: impl Iterator<Item = String>) -> io::Result<()> {
        for line in lines {
            state.written += line.len() as u64 + 1;
            if state.written > QUARANTINE_FILE_BYTES {
                state.is_full = true;
                self.say_full();
                break;
            }
            let Place::Here { files, path } = &self.place else {
                state.lines.push(line);
                continue;
            };
            let writer = match &mut state.writer {
                Some(writer) => writer,
                none => none.insert(BufWriter::new(files.create(path)?)),
            };
            writeln!(writer, "{line}")?;
        }
        state.writer.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    fn say_full(&self) {
        let limit = QUARANTINE_FILE_BYTES >> 20;
        let name = self.shown();
        self.notices.say(Some(&self.node), NoticeSeverity::Warning, "quarantine_full", 1, || {
            format!(
                "{name} holds {limit} MiB of bad records and takes no more; they are still counted. Wire the `quarantined` port to keep all"
            )
        });
    }
}

/// A sample of a bad record for a notice: reason, position and the record's beginning.
pub fn describe(record: &BadRecord) -> String {
    let mut raw = record.raw.clone();
    json::cut(&mut raw, 120);
    // JSON within quotes would have every quote of its own escaped; anything else needs them to show where it ends.
    let shown = if raw.starts_with('{') && !raw.contains(char::is_control) { raw } else { json!(raw).to_string() };
    if record.position.is_empty() {
        format!("{}: {shown}", record.reason)
    } else {
        format!("{} at {}: {shown}", record.reason, record.position)
    }
}
