//! `stdin`: reads CSV or JSON Lines from standard input, and gives rows on as soon as they are there.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::ByteSize;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl, PortInfo};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Kind};
use millrace_engine::runtime::connector::{ConnectorContext, Source, SourceFactory};
use millrace_engine::runtime::guarantee::{Promise, Replay};
use millrace_engine::runtime::{RunError, RunResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::format::{Format, ReadOptions, csv, jsonl};
use crate::input::{self, ColumnTypes};
use crate::reader::{ChunkReader, PositionUnit, ThreadedSource, changed};

mod shared;

use shared::{SharedInput, peek};

/// A format that is read line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// Comma-separated values, with a header.
    Csv,
    /// JSON Lines: an object per line.
    #[default]
    Jsonl,
}

impl LineFormat {
    pub const fn format(self) -> Format {
        match self {
            LineFormat::Csv => Format::Csv,
            LineFormat::Jsonl => Format::Jsonl,
        }
    }
}

/// The fields of `stdin`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdinSpec {
    /// The format; `jsonl` if absent.
    #[serde(default)]
    pub format: Option<LineFormat>,
    /// Types of columns, under DuckDB's names. The other columns' are found by looking at the first lines; with JSON Lines and a `schema`
    /// nothing is looked at, and the columns are these.
    #[serde(default)]
    pub schema: Option<ColumnTypes>,
    /// CSV: what stands between fields. `,` if absent.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// The longest record that is read; longer ones are quarantined. `1MiB` if absent.
    #[serde(default)]
    pub max_record: Option<ByteSize>,
}

/// What binding keeps for running.
struct StdinPlan {
    options: ReadOptions,
    schema: SchemaRef,
}

/// The kind `stdin`.
pub struct Stdin;

const NAME: &str = "standard input";

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "stdin",
        title: "Standard input",
        category: Category::Source,
        icon: "terminal",
        summary: "Reads rows that are piped into the process: CSV or JSON Lines.",
        inputs: Inputs::None,
        has_output: true,
        side_ports: &[PortInfo { name: "quarantined", summary: "Records that could not be read, with the reason and the place." }],
        key_fields: &["format"],
        schema: schema_of::<StdinSpec>,
    })
}

fn options(node: &NodeDecl, spec: &StdinSpec) -> Result<ReadOptions, Diagnostic> {
    let mut options = ReadOptions::new(spec.format.unwrap_or_default().format());
    options.types = input::parse_types(node, &spec.schema.clone().unwrap_or_default())?;
    options.keep_text = input::text_time_column(node);
    if let Some(delimiter) = &spec.delimiter {
        options.delimiter = input::parse_delimiter(node, delimiter)?;
    }
    options.max_record = input::parse_max_record(node, spec.max_record)?.unwrap_or(options.max_record);
    Ok(options)
}

impl Kind for Stdin {
    fn info(&self) -> &KindInfo {
        info()
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: StdinSpec = input.spec(found)?;
        let schema = input.discovered?;
        let options = options(input.node, &spec).map_err(|finding| found.push(finding)).ok()?;
        Some(input::bind_source(schema, Payload::new(StdinPlan { options, schema: schema.clone() })))
    }
}

#[async_trait]
impl SourceFactory for Stdin {
    fn stays_here(&self) -> bool {
        true
    }

    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::Never, needs: "a pipe cannot be read again" }
    }

    async fn discover(&self, node: &NodeDecl, _context: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        let spec: StdinSpec =
            serde_json::from_value(node.spec.clone()).map_err(|error| node.error(codes::BAD_OPTION, "", error.to_string()))?;
        let options = options(node, &spec)?;
        if options.format == Format::Jsonl && !options.types.is_empty() {
            return Ok(Arc::new(input::schema_of_types(&options.types)));
        }
        // A header tells the names, and a line of values the types.
        let lines = if options.format == Format::Csv { 2 } else { 1 };
        let sample = peek(lines, options.max_record).await.map_err(|error| {
            let finding = node.error(codes::NOT_FOUND, "", format!("standard input cannot be read: {error}"));
            finding.help("pipe rows in: `cat rows.jsonl | millrace run FILE`")
        })?;
        let mut sample = sample.as_slice();
        let found = match options.format {
            Format::Csv => csv::discover_in(&mut sample, &options),
            _ => jsonl::discover_in(&mut sample, &options),
        };
        let found = found.and_then(|schema| crate::format::with_types(schema, &options));
        found.map(Arc::new).map_err(|error| input::discover_finding(node, "", NAME, &options, error))
    }

    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let plan = node.payload.get::<StdinPlan>().ok_or_else(|| RunError::bug("standard input without its plan"))?;
        let (schema, options) = (plan.schema.clone(), plan.options.clone());
        let open = Box::new(move |at: Option<serde_json::Value>| {
            if at.is_some() {
                return Err(changed(NAME, "what was read from a pipe cannot be read again"));
            }
            let input = SharedInput::take()?;
            let reader: Box<dyn ChunkReader> = match options.format {
                Format::Csv => Box::new(csv::reader(input, NAME, &schema, &options, &[])?.eager()),
                _ => Box::new(jsonl::reader(input, NAME, &schema, &options)?.eager()),
            };
            Ok(reader)
        });
        Ok(vec![Box::new(ThreadedSource::new(NAME.to_owned(), PositionUnit::Line, context.batch_rows, None, open))])
    }
}
