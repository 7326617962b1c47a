//! `file_sink`: writes CSV, JSON Lines and Parquet.
//!
//! Files are written under hidden names where the result is to stand. A path that ends in `/` receives a file `part-RUN-EPOCH-TASK.ext` of
//! each task per epoch that has rows (RUN is when the run began); a run's first commit takes the earlier runs' parts away. A path to a file is replaced at once when the run
//! is done: who looks sees the earlier run's file or this one's, whole. In a run with checkpoints its rows wait beside it meanwhile, a
//! hidden part for each epoch, and are put together at the end of input: a stream without an end belongs in a folder. Nothing is visible
//! before its commit; what a run without checkpoints prepared is removed if it fails, what one with them prepared is, if it is not resumed
//! from there.
//!
//! Rows are added and never changed. What a node gives out that changes its rows (an `aggregate`, a `top_n`) is therefore refused, unless
//! `changelog = true`: then its changes are the rows of the file, in order, and `__op` says what each does. For results by key, the newest
//! row of a key counts, and none if that is a `-D`; in DuckDB, for a file of one task,
//! `SELECT * FROM (SELECT * FROM 'out.parquet' QUALIFY row_number() OVER (PARTITION BY key ORDER BY file_row_number DESC) = 1) WHERE __op <> '-D'`.
//!
//!
//! With `partition_by` a folder's rows go into folders within it, by the values of these columns and named as Hive names them:
//! `out/minute=12%3A34/part-RUN-EPOCH-TASK-N.parquet`. Values are escaped, so that none leads elsewhere; a row whose value makes too long a
//! name is quarantined.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::{ColumnName, PathText};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, ChangeMode, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Distribution, Kind, change_mode};
use millrace_engine::runtime::Batch;
use millrace_engine::runtime::connector::{BadRecord, Committable, ConnectorContext, Finality, Sink, SinkFactory};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::guarantee::{Promise, Visibility};
use millrace_engine::runtime::{RunError, RunResult};
use millrace_engine::state::fault;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes;
use crate::format::{self, Format, RowWriter};
use crate::input;

mod commit;
mod hive;
mod partitioned;
mod target;

use commit::{OneFile, Prepared, Span, commit_file, commit_folder, ready_parts, recover};
use partitioned::PartitionedTask;
use target::{Target, write_error};

/// The fields of `file_sink`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSinkSpec {
    /// The file to write, replaced at once when the run is done; or a folder, ending in `/`, that receives a file of each task per epoch.
    pub path: PathText,
    /// The format; by the path's extension if absent, `parquet` for a folder.
    #[serde(default)]
    pub format: Option<Format>,
    /// Whether rows that change are written as changes, with `__op`; refused if not.
    #[serde(default)]
    pub changelog: bool,
    /// For a folder: columns whose values name folders within it, `out/minute=12%3A34/`, and are left out of the files themselves.
    #[serde(default)]
    pub partition_by: Vec<ColumnName>,
}

/// What binding keeps for running.
struct SinkPlan {
    target: Target,
    schema: SchemaRef,
}

/// The kind `file_sink`.
pub struct FileSink;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "file_sink",
        title: "File",
        category: Category::Sink,
        icon: "file-output",
        summary: "Writes rows to a file or a folder: CSV, JSON Lines, Parquet.",
        inputs: Inputs::One,
        has_output: false,
        side_ports: &[],
        key_fields: &["path"],
        schema: schema_of::<FileSinkSpec>,
    })
}

fn target_of(node: &NodeDecl, spec: &FileSinkSpec) -> Result<Target, Diagnostic> {
    let path = &spec.path.0;
    if path.trim().is_empty() {
        return Err(node.error(codes::SINK_PATH, "path", "the path is empty").expected("a file, or a folder ending in /"));
    }
    let partition_by: Vec<String> = spec.partition_by.iter().map(|column| column.0.clone()).collect();
    if path.ends_with('/') {
        return Ok(Target {
            path: PathBuf::from(path),
            is_folder: true,
            format: spec.format.unwrap_or(Format::Parquet),
            partition_by,
            columns: Vec::new(),
        });
    }
    if !partition_by.is_empty() {
        let error = node.error(codes::BAD_OPTION, "partition_by", format!("`{path}` is one file, and folders of values go into a folder"));
        return Err(error.expected("a path that ends in /").found(path.clone()));
    }
    let format = input::format_of(node, spec.format, path)?;
    if Path::new(path).file_name().is_none() {
        let error = node.error(codes::SINK_PATH, "path", format!("`{path}` names no file"));
        return Err(error.expected("a file, or a folder ending in /"));
    }
    Ok(Target { path: PathBuf::from(path), is_folder: false, format, partition_by, columns: Vec::new() })
}

impl Kind for FileSink {
    fn info(&self) -> &KindInfo {
        info()
    }

    /// What its own field decides, binding refuses.
    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: FileSinkSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        if upstream.mode.has_op() && !spec.changelog {
            let from = input.node.inputs.first().map(|input| &input.from);
            let help = "set `changelog = true` to write the changes as rows, which `__op` tells apart";
            found.push(change_mode::refusal(input.node, from, &upstream.mode, help));
        }
        let mut target = target_of(input.node, &spec).map_err(|finding| found.push(finding)).ok()?;
        target.columns = upstream.schema.names().map(str::to_owned).collect();
        let distribution = if target.is_folder { Distribution::Any } else { Distribution::Single };
        let schema = written(input.node, &upstream.schema, &target, found)?;
        let payload = Payload::new(SinkPlan { target, schema });
        Some(Bound { outputs: Vec::new(), distribution, payload })
    }
}

/// The columns that the files hold: all, but for those that name their folders.
fn written(node: &NodeDecl, columns: &SchemaRef, target: &Target, found: &mut Diagnostics) -> Option<SchemaRef> {
    let by = &target.partition_by;
    let field = |at: usize| format!("partition_by.{at}");
    for (at, name) in by.iter().enumerate() {
        if columns.field(name).is_none() {
            let error = node.error(codes::NO_COLUMN, &field(at), format!("there is no column `{name}`"));
            found.push(error.nearest_of(name, columns.names()));
            return None;
        }
        if by.iter().take(at).any(|before| before == name) {
            found.push(node.error(codes::BAD_OPTION, &field(at), format!("`{name}` stands there twice")));
            return None;
        }
    }
    let written = partitioned::written(columns, by);
    if written.fields.is_empty() && !by.is_empty() {
        found.push(node.error(codes::BAD_OPTION, "partition_by", "no column is left to be written into the files"));
        return None;
    }
    Some(Arc::new(written))
}

fn plan_of(node: &BoundNode) -> RunResult<&SinkPlan> {
    node.payload.get::<SinkPlan>().ok_or_else(|| RunError::bug("a file sink without its plan"))
}

#[async_trait]
impl SinkFactory for FileSink {
    fn takes_other_columns(&self, node: &NodeDecl) -> bool {
        let spec = serde_json::from_value::<FileSinkSpec>(node.spec.clone());
        // Each part of a folder is a file of its own.
        spec.is_ok_and(|spec| spec.path.0.ends_with('/'))
    }

    fn visibility(&self) -> Promise<Visibility> {
        Promise { what: Visibility::WithEpoch, needs: "nobody else changes the sink's files" }
    }

    fn check(&self, node: &NodeDecl, files: &Files) -> Result<(), Diagnostic> {
        // What binding finds wrong is told there.
        let Some(spec) = serde_json::from_value::<FileSinkSpec>(node.spec.clone()).ok() else { return Ok(()) };
        let Ok(target) = target_of(node, &spec) else { return Ok(()) };
        target.check(files).map_err(|error| node.error(codes::SINK_PATH, "path", format!("cannot write `{}`: {error}", spec.path.0)))
    }

    async fn create(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let plan = plan_of(node)?;
        plan.target.check(&context.files).map_err(|error| write_error(&plan.target.path, error))?;
        if !plan.target.partition_by.is_empty() {
            return Ok(Box::new(PartitionedTask::new(context.clone(), plan.target.clone(), plan.schema.clone())));
        }
        let is_resumed = context.durability.restored_epoch > 0;
        let parts = match plan.target.is_folder {
            false if is_resumed => restored_parts(&plan.target, context)?,
            _ => OneFile::default(),
        };
        let mut sink = FileSinkTask {
            context: context.clone(),
            target: plan.target.clone(),
            schema: plan.schema.clone(),
            writer: None,
            temporary: None,
            prepared: Vec::new(),
            parts,
            has_span: false,
            is_first: !is_resumed,
        };
        // A path that cannot be written to shows at once, and a run without rows still gives a sound file.
        if !is_resumed {
            sink.begin()?;
        }
        Ok(Box::new(sink))
    }

    async fn recover(&self, node: &Arc<BoundNode>, context: &ConnectorContext, ready: &[Committable]) -> RunResult<()> {
        let (target, context, prepared) = (plan_of(node)?.target.clone(), context.clone(), prepared(ready.to_vec())?);
        blocking(move || recover(&target, &context, &prepared)).await
    }

    async fn commit(
        &self,
        node: &Arc<BoundNode>,
        context: &ConnectorContext,
        ready: Vec<Committable>,
        finality: Finality,
    ) -> RunResult<()> {
        let plan = plan_of(node)?;
        let (target, schema, context, prepared) = (plan.target.clone(), plan.schema.clone(), context.clone(), prepared(ready)?);
        blocking(move || match target.is_folder {
            true => commit_folder(&target, &context, &prepared),
            false => commit_file(&target, &schema, &context, &prepared, finality),
        })
        .await
    }

    fn output_paths(&self, node: &NodeDecl) -> Vec<PathBuf> {
        let spec: Option<FileSinkSpec> = serde_json::from_value(node.spec.clone()).ok();
        spec.map(|spec| PathBuf::from(spec.path.0)).into_iter().collect()
    }
}

/// The parts of the one file that a run goes on from.
fn restored_parts(target: &Target, context: &ConnectorContext) -> RunResult<OneFile> {
    let before = prepared(context.restored.to_vec())?;
    let mut parts = match OneFile::of(&before) {
        Some(parts) => parts.clone(),
        // Nothing was told of it: whatever there is.
        None => {
            let count = ready_parts(target, &context.files, context.run_start_us, &OneFile::default())?.len();
            OneFile { count, spans: Vec::new() }
        }
    };
    if context.durability.base.is_some() && parts.spans.is_empty() {
        parts.spans.push(Span { first: 0, last: context.durability.restored_epoch });
    }
    Ok(parts)
}

fn prepared(ready: Vec<Committable>) -> RunResult<Vec<Prepared>> {
    let read = |ready: Committable| serde_json::from_value(ready.what).map_err(|error| RunError::bug(error.to_string()));
    ready.into_iter().map(read).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> RunResult<T> + Send + 'static) -> RunResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(RunError::bug(format!("a file writer broke down: {error}"))))
}

/// One task's file under way.
struct FileSinkTask {
    context: ConnectorContext,
    target: Target,
    schema: SchemaRef,
    writer: Option<Box<dyn RowWriter>>,
    temporary: Option<PathBuf>,
    /// Durable, and not known to be committed.
    prepared: Vec<PathBuf>,
    /// Of the one file, since the run began.
    parts: OneFile,
    /// Whether those that this task has written are told of.
    has_span: bool,
    /// Whether the task has prepared nothing yet in this run.
    is_first: bool,
}

impl FileSinkTask {
    fn begin(&mut self) -> RunResult<()> {
        let path = self.target.temporary(self.context.run_start_us, self.context.durability, self.context.task);
        let file = self.context.files.create(&path).map_err(|error| write_error(&self.target.path, error))?;
        self.temporary = Some(path);
        let writer = format::create(file, self.target.format, &self.schema).map_err(|error| write_error(&self.target.path, error))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn remove(&mut self) {
        // What a durable run has prepared may belong to an epoch that is complete.
        let prepared = if self.context.durability.is_durable { Vec::new() } else { std::mem::take(&mut self.prepared) };
        for path in self.temporary.take().into_iter().chain(prepared) {
            // Committed ones have another name by now.
            let _ = self.context.files.remove(&path);
        }
    }

    /// Ends the file under way, and gives it the name under which it waits for its commit.
    async fn end_part(&mut self, epoch: u64) -> RunResult<Option<PathBuf>> {
        let (Some(writer), Some(temporary)) = (self.writer.take(), self.temporary.clone()) else { return Ok(None) };
        let ready = self.target.ready(self.context.run_start_us, epoch, self.context.task);
        let (path, files, to) = (self.target.path.clone(), self.context.files.clone(), ready.clone());
        let end = move || {
            let ended = writer.finish().and_then(|()| fault::at("sink-part")).and_then(|()| files.rename(&temporary, &to));
            ended.map_err(|error| write_error(&path, error))
        };
        blocking(end).await?;
        self.temporary = None;
        self.prepared.push(ready.clone());
        self.count(epoch);
        Ok(Some(ready))
    }

    fn count(&mut self, epoch: u64) {
        self.parts.count += 1;
        if self.context.durability.base.is_none() && self.parts.spans.is_empty() {
            return;
        }
        match self.parts.spans.last_mut().filter(|_| self.has_span) {
            Some(span) => span.last = epoch,
            None => self.parts.spans.push(Span { first: epoch, last: epoch }),
        }
        self.has_span = true;
    }
}

#[async_trait]
impl Sink for FileSinkTask {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        if self.writer.is_none() {
            self.begin()?;
        }
        let Some(mut writer) = self.writer.take() else { return Err(RunError::bug("a file sink without its file")) };
        let frame = batch.frame().clone();
        let path = self.target.path.clone();
        let (writer, bad) = blocking(move || {
            let bad = writer.write(&frame).map_err(|error| write_error(&path, error))?;
            Ok((writer, bad))
        })
        .await?;
        self.writer = Some(writer);
        Ok(bad)
    }

    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>> {
        let ready = self.end_part(epoch).await?;
        let first = std::mem::replace(&mut self.is_first, false);
        let prepared = match (self.target.is_folder, ready) {
            (true, None) => return Ok(None),
            (true, Some(ready)) => {
                Prepared::Part { ready, path: self.target.part(self.context.run_start_us, epoch, self.context.task), first }
            }
            (false, _) => Prepared::Parts(self.parts.clone()),
        };
        let what = serde_json::to_value(prepared).map_err(|error| RunError::bug(error.to_string()))?;
        Ok(Some(Committable { node: self.context.node.clone(), task: self.context.task, what }))
    }

    async fn abort(&mut self) -> RunResult<()> {
        self.writer = None;
        self.remove();
        Ok(())
    }
}
