//! `duckdb_sink`: keeps a table of a DuckDB database.
//!
//! ```toml
//! [node.out]
//! kind = "duckdb_sink"
//! input = "hourly"
//! database = "out/flights.duckdb"
//! table = "hourly"
//! mode = "upsert"                  # "append" (default) takes rows that are new and final, and nothing else
//! key = ["window_start", "origin"] # by default the key of the input's updates
//! ```
//!
//! The law of its rows: accepted = rows that reach the table (`append`), or change it (`upsert`: the last change of a key in an epoch is the
//! one that counts); quarantined = rows with a NULL where the table that was there before says NOT NULL.
//!
//! **Once each.** Rows wait in a hidden Parquet part beside the database. A commit applies those of an epoch in one transaction, together
//! with the epoch's number in the table `__millrace_epochs`, so that a commit that is done again, after a crash wherever it was, finds the
//! number there and does nothing.
//!
//! **A table is one sink's.** It is made if it is not there. The first commit of a run that begins afresh takes the earlier run's rows away
//! in the same transaction: who looks sees the earlier run's table or this one's. A table with rows that no run put there is refused, and so
//! is one that another sink keeps. Of a table that was there before, columns of our names must have our types; others get their default.
//!
//! **Upserts.** `+I` and `+U` rows replace the row of their key, `-D` rows remove it. A `-U` row, which retracting inputs give, removes it
//! too unless a later row of the epoch brings the key again: an update that moves a row to another key leaves nothing behind. NULL is a key
//! like another. Rows of one key come from one task in the order in which they were made; rows of an append input, which have no such order
//! across partitions, had better pass a `deduplicate` first.
//!
//! **Limits.** DuckDB lets one process write: the database is open only while an epoch is committed, so that others can read it in between,
//! and one that another process holds is waited for a while, then a failure that may pass. DuckDB opens it by its path, and its log
//! `NAME.wal` beside it: every link on the way is followed and refused if it leads out, yet who can swap folders of the project for links
//! between that look and the opening is not kept out. A hard link to a file elsewhere is that file. A run on a node cannot keep a table
//! here and is refused.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::{ColumnName, PathText};
use millrace_engine::model::{Category, ChangeMode, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl, OP_COLUMN};
use millrace_engine::plan::codes::CHANGE_MODE;
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Distribution, Kind};
use millrace_engine::runtime::connector::{Committable, ConnectorContext, Finality, Sink, SinkFactory};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::guarantee::{Promise, Visibility};
use millrace_engine::runtime::{RunError, RunResult};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes;

mod apply;
mod database;
mod staging;
mod table;
mod task;

use apply::Applying;
use staging::{Prepared, Staging};
use table::{ROW_NUMBER, Table};
use task::DuckdbSinkTask;

/// The fields of `duckdb_sink`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuckdbSinkSpec {
    /// The database's file, made if it is not there.
    pub database: PathText,
    /// The table, made if it is not there. It belongs to this sink: a run that begins afresh replaces its rows.
    pub table: String,
    /// `append` adds every row; `upsert` replaces and removes rows by their key, and takes inputs that change.
    #[serde(default)]
    pub mode: Mode,
    /// The columns that tell rows apart, for `upsert`; by default the key of the input's updates.
    #[serde(default)]
    pub key: Vec<ColumnName>,
}

/// What a row does to the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is added.
    #[default]
    Append,
    /// It replaces the row of its key, or removes it.
    Upsert,
}

/// What binding keeps for running.
#[derive(Debug, Clone)]
struct SinkPlan {
    database: PathBuf,
    table: Table,
}

/// The kind `duckdb_sink`.
pub struct DuckdbSink;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "duckdb_sink",
        title: "DuckDB",
        category: Category::Sink,
        icon: "database",
        summary: "Keeps a table of a DuckDB database: adds rows, or replaces them by their key.",
        inputs: Inputs::One,
        has_output: false,
        side_ports: &[],
        key_fields: &["table"],
        schema: schema_of::<DuckdbSinkSpec>,
    })
}

/// The columns that tell rows apart; none for `append`. None if that cannot be told.
fn key_of(input: &BindInput<'_>, spec: &DuckdbSinkSpec, mode: &ChangeMode, found: &mut Diagnostics) -> Option<Vec<String>> {
    let own: Vec<String> = spec.key.iter().map(|column| column.0.clone()).collect();
    if spec.mode == Mode::Append {
        if !own.is_empty() {
            found.push(
                input.error(codes::SINK_KEY, "key", "rows that are added have no key").help("take `key` out, or set mode = \"upsert\""),
            );
        }
        if mode.has_op() {
            let message = "`duckdb_sink` with mode = \"append\" cannot take rows that change earlier ones";
            let help = match mode {
                ChangeMode::Retract => "set mode = \"upsert\", and `key` to the columns that tell rows apart",
                _ => "set mode = \"upsert\"",
            };
            found.push(input.error(CHANGE_MODE, "mode", message).expected("\"upsert\"").found(mode.word()).help(help));
        }
        return Some(Vec::new());
    }
    match mode {
        ChangeMode::Upsert { key } if own.is_empty() => Some(key.clone()),
        ChangeMode::Upsert { key } if key.iter().collect::<BTreeSet<_>>() != own.iter().collect() => {
            let message =
                format!("the input's updates are by {}: by another key they would miss the rows that they replace", key.join(", "));
            found.push(input.error(codes::SINK_KEY, "key", message).found(own.join(", ")).help("leave `key` out"));
            None
        }
        _ if own.is_empty() => {
            let message = format!("mode = \"upsert\" needs a key: the input ({}) has none of its own", mode.word());
            found.push(input.error(codes::SINK_KEY, "", message).expected("key = [\"COLUMN\", ..], the columns that tell rows apart"));
            None
        }
        _ => Some(own),
    }
}

impl Kind for DuckdbSink {
    fn info(&self) -> &KindInfo {
        info()
    }

    /// `mode` decides, when the node is bound.
    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: DuckdbSinkSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        check_names(input, &spec, found);
        let key = key_of(input, &spec, &upstream.mode, found)?;
        for column in key.iter().filter(|column| column.as_str() == OP_COLUMN || upstream.schema.field(column).is_none()) {
            let known: Vec<&str> = upstream.schema.names().filter(|name| *name != OP_COLUMN).collect();
            found.push(input.error(codes::SINK_KEY, "key", format!("the input has no column `{column}`")).expected(known.join(", ")));
        }
        let distribution = if key.is_empty() { Distribution::Any } else { Distribution::ByKey(key.clone()) };
        let table = Table { name: spec.table, edge: upstream.schema.clone(), has_op: upstream.mode.has_op(), key };
        let payload = Payload::new(SinkPlan { database: PathBuf::from(&spec.database.0), table });
        Some(Bound { outputs: Vec::new(), distribution, payload })
    }
}

/// DuckDB's names know no case.
fn check_names(input: &BindInput<'_>, spec: &DuckdbSinkSpec, found: &mut Diagnostics) {
    if spec.table.trim().is_empty() || spec.table.starts_with("__millrace") || spec.table.contains('\0') {
        found.push(input.error(codes::SINK_TABLE, "table", "no table can be called so").expected("a name").found(spec.table.clone()));
    }
    let mut seen = BTreeSet::new();
    for name in input.inputs.iter().flat_map(|port| port.schema.names()) {
        if !seen.insert(name.to_lowercase()) {
            let message = format!("DuckDB takes no two columns whose names differ in case alone: `{name}`");
            found.push(input.error(codes::SINK_TABLE, "input", message).help("rename one in a `select`"));
        }
        if spec.mode == Mode::Upsert && name.eq_ignore_ascii_case(ROW_NUMBER) {
            let message = format!("mode = \"upsert\" takes no column `{name}`: DuckDB tells the order of rows by that name");
            found.push(input.error(codes::SINK_TABLE, "input", message).help("rename it in a `select`"));
        }
    }
}

fn plan_of(node: &BoundNode) -> RunResult<&SinkPlan> {
    node.payload.get::<SinkPlan>().ok_or_else(|| RunError::bug("a DuckDB sink without its plan"))
}

fn staging(node: &BoundNode, context: &ConnectorContext) -> RunResult<Staging> {
    let database = plan_of(node)?.database.clone();
    Ok(Staging {
        database,
        node: context.node.clone(),
        run: context.run_start_us,
        files: context.files.clone(),
        durability: context.durability,
    })
}

fn applying(node: &BoundNode, context: &ConnectorContext, ready: &[Committable]) -> RunResult<Applying> {
    let read = |ready: &Committable| serde_json::from_value(ready.what.clone()).map_err(|error| RunError::bug(error.to_string()));
    let prepared = ready.iter().map(read).collect::<RunResult<Vec<Prepared>>>()?;
    Ok(Applying { staging: staging(node, context)?, table: plan_of(node)?.table.clone(), prepared })
}

#[async_trait]
impl SinkFactory for DuckdbSink {
    fn visibility(&self) -> Promise<Visibility> {
        Promise { what: Visibility::WithEpoch, needs: "nobody else writes the table" }
    }

    fn check(&self, node: &NodeDecl, files: &Files) -> Result<(), Diagnostic> {
        // What binding finds wrong is told there.
        let Some(spec) = serde_json::from_value::<DuckdbSinkSpec>(node.spec.clone()).ok() else { return Ok(()) };
        let path = &spec.database.0;
        database::check(files, &PathBuf::from(path))
            .map_err(|error| node.error(codes::SINK_PATH, "database", format!("cannot keep a database in `{path}`: {error}")))
    }

    async fn create(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let (staging, table) = (staging(node, context)?, plan_of(node)?.table.clone());
        let (looked, of) = (staging.clone(), table.clone());
        // What cannot be written to shows at once.
        let required = blocking(move || apply::look(&looked, &of)).await?;
        Ok(Box::new(DuckdbSinkTask::new(staging, table, required, context)))
    }

    async fn recover(&self, node: &Arc<BoundNode>, context: &ConnectorContext, ready: &[Committable]) -> RunResult<()> {
        let (applying, restored) = (applying(node, context, ready)?, context.durability.restored_epoch);
        blocking(move || applying.recover(restored)).await
    }

    async fn commit(&self, node: &Arc<BoundNode>, context: &ConnectorContext, ready: Vec<Committable>, _: Finality) -> RunResult<()> {
        let applying = applying(node, context, &ready)?;
        blocking(move || applying.commit()).await
    }

    /// A table cannot be taken home from elsewhere: the database may hold others.
    fn stays_here(&self) -> bool {
        true
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> RunResult<T> + Send + 'static) -> RunResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(RunError::bug(format!("a DuckDB writer broke down: {error}"))))
}
