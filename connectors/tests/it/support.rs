//! A folder to work in, kinds driven as the runtime drives them, and DuckDB beside.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duckdb::Connection;
use millrace_connectors::all;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{ChangeMode, DataType, Diagnostic, Diagnostics, Field, NodeDecl, NodeId, Schema};
use millrace_engine::plan::{BindInput, BoundNode, InputPort};
use millrace_engine::runtime::clock::SystemClock;
use millrace_engine::runtime::connector::{
    BadRecord, ConnectorContext, Durability, Finality, Read, ResultSink, SinkFactory, Source, SourceFactory,
};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::registry::{Entry, Registry};
use millrace_engine::runtime::{Batch, RunResult};
use polars::prelude::DataFrame;
use serde_json::Value;

struct NoResults;

impl ResultSink for NoResults {
    fn publish(&self, _node: &NodeId, _batch: Batch) {}
}

/// A project of its own.
pub struct Project {
    pub folder: tempfile::TempDir,
    pub batch_rows: usize,
}

/// What a source gave.
pub struct Rows {
    pub schema: SchemaRef,
    pub frame: DataFrame,
    pub bad: Vec<BadRecord>,
    /// Where each good record stood.
    pub positions: Vec<u64>,
}

impl Rows {
    /// A column's values as text, NULL as `NULL`.
    pub fn texts(&self, column: &str) -> Vec<String> {
        let series = self.frame.column(column).unwrap().as_materialized_series().clone();
        series.iter().map(|value| if value.is_null() { "NULL".to_owned() } else { value.str_value().into_owned() }).collect()
    }

    pub fn reasons(&self) -> Vec<String> {
        self.bad.iter().map(|bad| format!("{}: {}", bad.position, bad.reason)).collect()
    }
}

pub fn node(kind: &str, spec: Value) -> NodeDecl {
    NodeDecl {
        id: NodeId::new("n"),
        kind: kind.to_owned(),
        inputs: Vec::new(),
        spec,
        common: Default::default(),
        source: Default::default(),
        sink: Default::default(),
        spans: Default::default(),
    }
}

fn registry() -> Registry {
    Registry::default().with(all())
}

pub fn source(kind: &str) -> Arc<dyn SourceFactory> {
    match registry().get(kind).unwrap() {
        Entry::Source(factory) => factory.clone(),
        _ => panic!("{kind} is no source"),
    }
}

pub fn sink(kind: &str) -> Arc<dyn SinkFactory> {
    match registry().get(kind).unwrap() {
        Entry::Sink(factory) => factory.clone(),
        _ => panic!("{kind} is no sink"),
    }
}

impl Project {
    pub fn new() -> Self {
        // A `.git` makes it a root, so that the folder above is outside.
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        Project { folder, batch_rows: 1_000 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn sample(&self, name: &str) -> PathBuf {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(name);
        std::fs::copy(sample, self.path(name)).unwrap();
        self.path(name)
    }

    pub fn context(&self) -> ConnectorContext {
        ConnectorContext {
            node: NodeId::new("n"),
            task: 0,
            tasks: 1,
            batch_rows: self.batch_rows,
            files: Arc::new(Files::for_folder(self.folder.path(), &[]).unwrap()),
            clock: Arc::new(SystemClock::default()),
            run_start_us: 1_000,
            durability: Durability::default(),
            restored: Arc::default(),
            results: Arc::new(NoResults),
        }
    }

    pub fn duckdb(&self) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("SET file_search_path = '{}'", self.folder.path().display())).unwrap();
        connection
    }

    pub async fn discover(&self, node: &NodeDecl) -> Result<SchemaRef, Diagnostic> {
        source(&node.kind).discover(node, &self.context()).await
    }

    pub async fn open(&self, node: &NodeDecl) -> RunResult<(SchemaRef, Vec<Box<dyn Source>>)> {
        let factory = source(&node.kind);
        let schema = factory.discover(node, &self.context()).await.unwrap_or_else(|error| panic!("{error}"));
        let bound = bind(node, &[], Some(&schema)).unwrap_or_else(|found| panic!("{found:?}"));
        Ok((schema, factory.open(&Arc::new(bound), &self.context()).await?))
    }

    /// Reads a source to its end.
    pub async fn try_read(&self, node: &NodeDecl) -> RunResult<Rows> {
        let (schema, sources) = self.open(node).await?;
        let mut rows = Rows { frame: empty(&schema), schema, bad: Vec::new(), positions: Vec::new() };
        for mut source in sources {
            while let Read::Rows(read) = source.read(self.batch_rows).await? {
                assert!(read.frame.height() + read.bad.len() <= self.batch_rows);
                assert!(!read.frame.should_rechunk() || read.frame.height() == 0);
                rows.positions
                    .extend((0..read.frame.height()).map(|at| read.positions.get(at).copied().unwrap_or(read.first_position + at as u64)));
                rows.frame.vstack_mut(&read.frame).unwrap();
                rows.bad.extend(read.bad);
            }
        }
        Ok(rows)
    }

    pub async fn read(&self, spec: Value) -> Rows {
        self.try_read(&node("file", spec)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Writes a frame by a sink in batches, and commits.
    pub async fn try_write(&self, spec: Value, frame: &DataFrame, schema: &SchemaRef) -> RunResult<()> {
        let node = node("file_sink", spec);
        let port = InputPort { schema: schema.clone(), mode: ChangeMode::Append, has_event_time: false };
        let bound = Arc::new(bind(&node, &[port], None).unwrap_or_else(|found| panic!("{found:?}")));
        let factory = sink("file_sink");
        let mut task = factory.create(&bound, &self.context()).await?;
        for begin in (0..frame.height()).step_by(self.batch_rows) {
            let batch = Batch::new(frame.slice(begin as i64, self.batch_rows));
            assert!(task.write(&batch).await?.is_empty());
        }
        let ready: Vec<_> = task.prepare(1).await?.into_iter().collect();
        factory.commit(&bound, &self.context(), ready.clone(), Finality::Final).await?;
        // After a crash in between it is done again.
        factory.commit(&bound, &self.context(), ready, Finality::Final).await
    }

    pub async fn write_by_sink(&self, spec: Value, rows: &Rows) {
        self.try_write(spec, &rows.frame, &rows.schema).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

pub fn bind(node: &NodeDecl, inputs: &[InputPort], discovered: Option<&SchemaRef>) -> Result<BoundNode, Diagnostics> {
    let registry = registry();
    let kind = registry.get(&node.kind).unwrap().kind();
    let mut found = Diagnostics::default();
    let bound = kind.bind(&BindInput { node, inputs, discovered }, &mut found);
    match bound {
        Some(bound) if !found.has_errors() => Ok(BoundNode {
            decl: node.clone(),
            inputs: Vec::new(),
            outputs: bound.outputs,
            distribution: bound.distribution,
            payload: bound.payload,
        }),
        _ => Err(found),
    }
}

pub fn empty(schema: &Schema) -> DataFrame {
    let columns = schema
        .fields
        .iter()
        .map(|field| polars::prelude::Column::new_empty(field.name.as_str().into(), &millrace_engine::expr::to_polars(field.data_type)));
    DataFrame::new(0, columns.collect()).unwrap()
}

pub fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|(name, data_type)| Field::new(*name, *data_type)).collect()))
}

/// The name that parts have of the run of [`Project::context`].
pub const RUN: &str = "19700101T000000001000Z";

/// Runs `test`, whose path is `name`, in a process of its own: what a process holds is the sum of what its tests hold.
pub fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "MILLRACE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let this = std::env::current_exe().unwrap();
    let outcome = std::process::Command::new(this).args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// Most memory that the process ever held, in bytes.
pub fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// The number that a query gives.
pub fn number(connection: &Connection, query: &str) -> i64 {
    connection.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}\n{query}"))
}

/// Rows of either side that the other lacks.
pub fn difference(connection: &Connection, left: &str, right: &str) -> i64 {
    let query = format!("SELECT count(*) FROM ((FROM {left} EXCEPT ALL FROM {right}) UNION ALL (FROM {right} EXCEPT ALL FROM {left}))");
    number(connection, &query)
}

/// Names and types of a query's columns: `a BIGINT, b VARCHAR`.
pub fn described(connection: &Connection, from: &str) -> String {
    let mut query = connection.prepare(&format!("DESCRIBE FROM {from}")).unwrap_or_else(|error| panic!("{error}"));
    let columns = query.query_map([], |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    columns.map(Result::unwrap).collect::<Vec<_>>().join(", ")
}

pub fn described_schema(schema: &Schema) -> String {
    schema.fields.iter().map(|field| format!("{} {}", field.name, field.data_type)).collect::<Vec<_>>().join(", ")
}
