//! Records that could not be used: as rows of the `quarantined` port, or in a capped file where nobody reads that port.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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

/// `.millrace/quarantine/RUN/NODE.jsonl` under the project's root: made at the first record, full at [`QUARANTINE_FILE_BYTES`].
pub struct QuarantineFile {
    files: Arc<Files>,
    run: String,
    node: NodeId,
    notices: Arc<NoticeBoard>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    writer: Option<BufWriter<std::fs::File>>,
    written: u64,
    is_full: bool,
}

impl QuarantineFile {
    pub fn new(files: Arc<Files>, run: &str, node: NodeId, notices: Arc<NoticeBoard>) -> Self {
        QuarantineFile { files, run: run.to_owned(), node, notices, state: Mutex::default() }
    }

    fn path(&self) -> PathBuf {
        self.files.root().join(".millrace").join("quarantine").join(&self.run).join(format!("{}.jsonl", self.node))
    }

    /// Appends the rows of a quarantine batch. What no longer fits is left out, said once, and counted all the same by the node.
    pub fn append(&self, batch: &Batch) -> RunResult<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_full {
            return Ok(());
        }
        self.write(&mut state, batch).map_err(|error| {
            RunError::connector("MR0410", format!("write the records kept aside to {}", self.path().display()), error, true)
        })
    }

    fn write(&self, state: &mut State, batch: &Batch) -> io::Result<()> {
        let State { writer, written, is_full } = state;
        let writer = match writer {
            Some(writer) => writer,
            none => none.insert(BufWriter::new(self.files.create(&self.path())?)),
        };
        for row in 0..batch.rows() {
            let line = json::row(batch.frame(), row).to_string();
            *written += line.len() as u64 + 1;
            if *written > QUARANTINE_FILE_BYTES {
                *is_full = true;
                self.say_full();
                break;
            }
            writeln!(writer, "{line}")?;
        }
        writer.flush()
    }

    fn say_full(&self) {
        let limit = QUARANTINE_FILE_BYTES >> 20;
        let path = self.path();
        self.notices.say(Some(&self.node), NoticeSeverity::Warning, "quarantine_full", 1, || {
            let name = path.display();
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
    let shown = json!(raw);
    if record.position.is_empty() {
        format!("{}: {shown}", record.reason)
    } else {
        format!("{} at {}: {shown}", record.reason, record.position)
    }
}
