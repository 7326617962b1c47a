//! One task's rows, from its input to a durable part.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use millrace_engine::runtime::connector::{BadRecord, Committable, ConnectorContext, MAX_RAW_BYTES, Sink};
use millrace_engine::runtime::{Batch, RunError, RunResult};
use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray};

use super::blocking;
use super::staging::{Prepared, Staging};
use super::table::Table;
use crate::format::{self, Format, RowWriter, jsonl};
use crate::text::reader::raw_text;

pub struct DuckdbSinkTask {
    staging: Staging,
    table: Table,
    /// Columns that must not be NULL, by a table that was there before.
    required: BTreeSet<String>,
    task: u32,
    is_durable: bool,
    writer: Option<Box<dyn RowWriter>>,
    /// Durable, and not known to be committed.
    prepared: Vec<PathBuf>,
    /// Whether the task has prepared nothing yet in this run.
    is_first: bool,
    rows: u64,
}

impl DuckdbSinkTask {
    pub fn new(staging: Staging, table: Table, required: BTreeSet<String>, context: &ConnectorContext) -> Self {
        let durability = context.durability;
        DuckdbSinkTask {
            staging,
            table,
            required,
            task: context.task,
            is_durable: durability.is_durable,
            writer: None,
            prepared: Vec::new(),
            is_first: durability.restored_epoch == 0,
            rows: 0,
        }
    }

    /// Takes the rows out that the table would refuse.
    fn set_aside(&mut self, frame: &DataFrame) -> RunResult<(DataFrame, Vec<BadRecord>)> {
        let first = self.rows + 1;
        self.rows += frame.height() as u64;
        let mut wrong: Vec<Option<&str>> = vec![None; frame.height()];
        for name in &self.required {
            let column = frame.column(name)?;
            if column.null_count() > 0 {
                for (row, is_null) in column.is_null().iter().enumerate() {
                    if let Some(slot) = wrong.get_mut(row).filter(|_| is_null == Some(true)) {
                        slot.get_or_insert(name);
                    }
                }
            }
        }
        if wrong.iter().all(Option::is_none) {
            return Ok((frame.clone(), Vec::new()));
        }
        let mut bad = Vec::new();
        for (row, name) in wrong.iter().enumerate().filter_map(|(row, name)| Some((row, (*name)?))) {
            let reason = format!("column {name}: NULL, and the table says NOT NULL");
            let raw = raw_text(&jsonl::row_beginning(frame, row, MAX_RAW_BYTES)?);
            bad.push(BadRecord { reason, position: format!("row {}", first + row as u64), raw });
        }
        let good: Vec<bool> = wrong.iter().map(Option::is_none).collect();
        Ok((frame.filter(&BooleanChunked::from_slice("good".into(), &good))?, bad))
    }

    /// Ends the part under way, and gives it the name under which it waits for its commit.
    async fn end_part(&mut self, epoch: u64) -> RunResult<Option<PathBuf>> {
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let (staging, temporary, ready) = (self.staging.clone(), self.staging.temporary(self.task), self.staging.ready(epoch, self.task));
        let to = ready.clone();
        blocking(move || writer.finish().and_then(|()| staging.files.rename(&temporary, &to)).map_err(|error| staging.failed(error)))
            .await?;
        self.prepared.push(ready.clone());
        Ok(Some(ready))
    }
}

#[async_trait]
impl Sink for DuckdbSinkTask {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        let (frame, bad) = self.set_aside(batch.frame())?;
        if frame.height() == 0 {
            return Ok(bad);
        }
        let (staging, schema, temporary) = (self.staging.clone(), self.table.edge.clone(), self.staging.temporary(self.task));
        let writer = self.writer.take();
        let write = move || {
            let mut writer = match writer {
                Some(writer) => writer,
                None => format::create(staging.create(&temporary)?, Format::Parquet, &schema).map_err(|error| staging.failed(error))?,
            };
            writer.write(&frame).map_err(|error| staging.failed(error))?;
            Ok(writer)
        };
        self.writer = Some(blocking(write).await?);
        Ok(bad)
    }

    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>> {
        let part = self.end_part(epoch).await?;
        let prepared = Prepared { epoch, part, first: std::mem::replace(&mut self.is_first, false) };
        let what = serde_json::to_value(prepared).map_err(|error| RunError::bug(error.to_string()))?;
        Ok(Some(Committable { node: self.staging.node.clone(), task: self.task, what }))
    }

    async fn abort(&mut self) -> RunResult<()> {
        self.writer = None;
        // What a durable run has prepared may belong to an epoch that is complete.
        let prepared = if self.is_durable { Vec::new() } else { std::mem::take(&mut self.prepared) };
        for path in prepared.into_iter().chain([self.staging.temporary(self.task)]) {
            self.staging.remove(&path)?;
        }
        Ok(())
    }
}
