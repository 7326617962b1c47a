//! A folder of folders: rows go where their values say, `out/minute=12%3A34/part-RUN-EPOCH-TASK-N.parquet`.
//!
//! At most [`MOST_OPEN`] files are open in a task; where one more is needed, the one that was written to longest ago is ended, and a later
//! row of its folder begins another. All files of an epoch lie hidden in the sink's own folder until they are committed, so that a crash
//! leaves nothing to look for elsewhere.

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use millrace_engine::model::Schema;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::runtime::connector::{BadRecord, Committable, ConnectorContext, Sink};
use millrace_engine::runtime::quarantine::bad_rows;
use millrace_engine::runtime::{Batch, RunError, RunResult};
use millrace_engine::state::fault;
use polars::prelude::{DataFrame, IdxCa, IdxSize, Series};

use super::commit::{Placed, Prepared};
use super::target::{Target, write_error};
use super::{blocking, hive};
use crate::codes;
use crate::format::{self, CellColumn, RowWriter};

/// Files that a task has open at a time. Each holds some rows in memory.
const MOST_OPEN: usize = 16;

/// Files that a task may make in one epoch: beyond, the values are too many to be folders.
const MOST_FILES: usize = 10_000;

/// What goes into the files: what their folders say is left out, as others do who write such folders.
pub fn written(schema: &Schema, partition_by: &[String]) -> Schema {
    Schema::new(schema.fields.iter().filter(|field| !partition_by.contains(&field.name)).cloned().collect())
}

/// One task's files under way.
pub struct PartitionedTask {
    context: ConnectorContext,
    files: Option<EpochFiles>,
    /// Whether the task has prepared nothing yet in this run.
    is_first: bool,
    /// Durable, and not known to be committed.
    prepared: Vec<PathBuf>,
}

/// The files of the epoch under way.
struct EpochFiles {
    context: ConnectorContext,
    target: Target,
    /// Of the files.
    schema: SchemaRef,
    /// The one that was written to last comes last.
    open: Vec<Open>,
    /// Those that were ended early: their hidden names, and where they are to go.
    ended: Vec<(PathBuf, String, usize)>,
    /// How many files the epoch has so far.
    count: usize,
}

struct Open {
    folder: String,
    number: usize,
    hidden: PathBuf,
    writer: Box<dyn RowWriter>,
}

/// A folder with the rows of a frame that go there.
type Dealt = (String, Vec<IdxSize>);

impl PartitionedTask {
    pub fn new(context: ConnectorContext, target: Target, schema: SchemaRef) -> Self {
        let is_first = context.durability.restored_epoch == 0;
        let files = EpochFiles { context: context.clone(), target, schema, open: Vec::new(), ended: Vec::new(), count: 0 };
        PartitionedTask { context, files: Some(files), is_first, prepared: Vec::new() }
    }

    /// Does something with the files on a thread that may wait.
    async fn with_files<T: Send + 'static>(&mut self, work: impl FnOnce(&mut EpochFiles) -> RunResult<T> + Send + 'static) -> RunResult<T> {
        let Some(mut files) = self.files.take() else { return Err(RunError::bug("a file sink without its files")) };
        let (files, done) = blocking(move || {
            let done = work(&mut files);
            Ok((files, done))
        })
        .await?;
        self.files = Some(files);
        done
    }
}

#[async_trait]
impl Sink for PartitionedTask {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        let frame = batch.frame().clone();
        self.with_files(move |files| files.write(&frame)).await
    }

    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>> {
        let files = self.with_files(move |files| files.prepare(epoch)).await?;
        let first = std::mem::replace(&mut self.is_first, false);
        if files.is_empty() && !first {
            return Ok(None);
        }
        self.prepared.extend(files.iter().map(|placed| placed.ready.clone()));
        let what = serde_json::to_value(Prepared::Placed { files, first }).map_err(|error| RunError::bug(error.to_string()))?;
        Ok(Some(Committable { node: self.context.node.clone(), task: self.context.task, what }))
    }

    async fn abort(&mut self) -> RunResult<()> {
        let unfinished = self.files.take().map(EpochFiles::hidden).unwrap_or_default();
        // What a durable run has prepared may belong to an epoch that is complete.
        let prepared = if self.context.durability.is_durable { Vec::new() } else { std::mem::take(&mut self.prepared) };
        for path in unfinished.into_iter().chain(prepared) {
            // Committed ones have another name by now.
            let _ = self.context.files.remove(&path);
        }
        Ok(())
    }
}

impl EpochFiles {
    fn write(&mut self, frame: &DataFrame) -> RunResult<Vec<BadRecord>> {
        let (rows_of, mut bad) = self.split(frame)?;
        for (folder, rows) in rows_of {
            let rows = IdxCa::from_vec("rows".into(), rows);
            let part = if rows.len() == frame.height() { frame.clone() } else { frame.take(&rows)? };
            let path = self.target.path.clone();
            let written = self.open_for(folder)?.writer.write(&part);
            bad.extend(written.map_err(|error| write_error(&path, error))?);
        }
        Ok(bad)
    }

    /// The rows of each folder, in the order in which the folders first come, and the rows that no folder can take.
    fn split(&self, frame: &DataFrame) -> RunResult<(Vec<Dealt>, Vec<BadRecord>)> {
        let names = &self.target.partition_by;
        let series = names.iter().map(|name| Ok(frame.column(name)?.as_materialized_series().rechunk()));
        let series: Vec<Series> = series.collect::<RunResult<_>>()?;
        let columns = series.iter().map(CellColumn::new).collect::<Result<Vec<_>, _>>()?;
        let mut rows_of: Vec<Dealt> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let (mut folder, mut last, mut wrong) = (String::new(), None, Vec::new());
        for row in 0..frame.height() {
            folder.clear();
            let mut outcome = Ok(());
            for (name, column) in names.iter().zip(&columns) {
                if !folder.is_empty() {
                    folder.push('/');
                }
                outcome = outcome.and_then(|()| hive::push_name(&mut folder, name, &column.cell(row)));
            }
            if let Err(reason) = outcome {
                wrong.push((row, reason));
                continue;
            }
            // Rows of one folder mostly follow one another.
            let is_last = last.and_then(|at: usize| rows_of.get(at)).is_some_and(|(name, _)| *name == folder);
            let at = match last.filter(|_| is_last).or_else(|| known.get(&folder).copied()) {
                Some(at) => at,
                None => {
                    known.insert(folder.clone(), rows_of.len());
                    rows_of.push((folder.clone(), Vec::new()));
                    rows_of.len() - 1
                }
            };
            last = Some(at);
            if let Some((_, rows)) = rows_of.get_mut(at) {
                rows.push(row as IdxSize);
            }
        }
        Ok((rows_of, bad_rows(frame, wrong)))
    }

    /// The open file of a folder, begun if there is none.
    fn open_for(&mut self, folder: String) -> RunResult<&mut Open> {
        let open = match self.open.iter().position(|open| open.folder == folder) {
            Some(at) => self.open.remove(at),
            None => self.begin(folder)?,
        };
        self.open.push(open);
        self.open.last_mut().ok_or_else(|| RunError::bug("a file that was just opened is gone"))
    }

    fn begin(&mut self, folder: String) -> RunResult<Open> {
        if self.count >= MOST_FILES {
            let cause = format!("its `partition_by` makes more than {MOST_FILES} files between two checkpoints: the values are too many");
            return Err(RunError::connector(codes::WRITE, format!("write {}", self.target.path.display()), cause, false));
        }
        if self.open.len() >= MOST_OPEN {
            let oldest = self.open.remove(0);
            self.end(oldest)?;
        }
        let number = self.count;
        let hidden = self.target.temporary_of(self.context.run_start_us, self.context.durability, self.context.task, number);
        let failed = |error| write_error(&self.target.path, error);
        let file = self.context.files.create(&hidden).map_err(failed)?;
        let writer = format::create(file, self.target.format, &self.schema).map_err(failed)?;
        self.count += 1;
        Ok(Open { folder, number, hidden, writer })
    }

    fn end(&mut self, open: Open) -> RunResult<()> {
        open.writer.finish().and_then(|()| fault::at("sink-part")).map_err(|error| write_error(&self.target.path, error))?;
        self.ended.push((open.hidden, open.folder, open.number));
        Ok(())
    }

    /// Ends all files, and gives them the names under which they wait for their commit.
    fn prepare(&mut self, epoch: u64) -> RunResult<Vec<Placed>> {
        for open in std::mem::take(&mut self.open) {
            self.end(open)?;
        }
        self.count = 0;
        let (target, run, task) = (&self.target, self.context.run_start_us, self.context.task);
        let ready = |(hidden, folder, number): (PathBuf, String, usize)| {
            let ready = target.ready_of(run, epoch, task, number);
            self.context.files.rename(&hidden, &ready).map_err(|error| write_error(&target.path, error))?;
            Ok(Placed { ready, path: target.part_in(&folder, run, epoch, task, number) })
        };
        std::mem::take(&mut self.ended).into_iter().map(ready).collect()
    }

    /// The names of what is under way.
    fn hidden(self) -> Vec<PathBuf> {
        let ended = self.ended.into_iter().map(|(hidden, ..)| hidden);
        self.open.into_iter().map(|open| open.hidden).chain(ended).collect()
    }
}
