//! `file`: reads CSV, JSON Lines and Parquet.
//!
//! Every file that `path` names is a partition. Columns are found by looking at the first file; a record that does not fit them leaves
//! by the `quarantined` port, and what stands around it flows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::{ByteSize, PathText};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl, PortInfo};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Kind};
use millrace_engine::runtime::connector::{ConnectorContext, Source, SourceFactory};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::guarantee::{Promise, Replay};
use millrace_engine::runtime::{RunError, RunResult};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes;
use crate::format::{self, Format, ReadOptions};
use crate::input::{self, ColumnTypes};
use crate::reader::ThreadedSource;

mod paths;

/// The fields of `file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// The file to read, or a glob like `data/*.csv`: then each file is a partition, in the order of their names.
    pub path: PathText,
    /// The file's format; by the path's extension if absent.
    #[serde(default)]
    pub format: Option<Format>,
    /// Types of columns, under DuckDB's names. The other columns' are found by looking at the file.
    #[serde(default)]
    pub schema: Option<ColumnTypes>,
    /// CSV: what stands between fields. `,` if absent, a tab in a `.tsv` file.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// CSV: whether the first line names the columns. `true` if absent.
    #[serde(default)]
    pub header: Option<bool>,
    /// CSV: what stands for NULL, where it is not in quotes. Nothing at all, if absent.
    #[serde(default)]
    pub null: Option<String>,
    /// The longest record that is read, and the longest text in Parquet; longer ones are quarantined. `1MiB` if absent.
    #[serde(default)]
    pub max_record: Option<ByteSize>,
}

/// What binding keeps for running.
struct FilePlan {
    path: String,
    options: ReadOptions,
    schema: SchemaRef,
}

/// The kind `file`.
pub struct FileSource;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "file",
        title: "File",
        category: Category::Source,
        icon: "file-input",
        summary: "Reads rows from a file or several: CSV, JSON Lines, Parquet.",
        inputs: Inputs::None,
        has_output: true,
        side_ports: &[PortInfo { name: "quarantined", summary: "Records that could not be read, with the reason and the place." }],
        key_fields: &["path"],
        schema: schema_of::<FileSpec>,
    })
}

fn spec_of(node: &NodeDecl) -> Result<FileSpec, Diagnostic> {
    serde_json::from_value(node.spec.clone()).map_err(|error| node.error(codes::BAD_OPTION, "", error.to_string()))
}

fn options(node: &NodeDecl, spec: &FileSpec) -> Result<ReadOptions, Diagnostic> {
    let format = input::format_of(node, spec.format, &spec.path.0)?;
    let mut options = ReadOptions::new(format);
    let csv_only = [("delimiter", spec.delimiter.is_some()), ("header", spec.header.is_some()), ("null", spec.null.is_some())];
    if let Some((field, _)) = csv_only.iter().find(|(_, set)| *set && format != Format::Csv) {
        let error = node.error(codes::BAD_OPTION, field, format!("`{field}` is for CSV, and this is {}", format.name()));
        return Err(error.help("leave it out"));
    }
    options.types = input::parse_types(node, &spec.schema.clone().unwrap_or_default())?;
    options.keep_text = input::text_time_column(node);
    options.header = spec.header.unwrap_or(true);
    options.null = spec.null.clone().unwrap_or_default();
    options.delimiter = match &spec.delimiter {
        Some(delimiter) => input::parse_delimiter(node, delimiter)?,
        None if spec.path.0.to_ascii_lowercase().ends_with(".tsv") => b'\t',
        None => b',',
    };
    options.max_record = input::parse_max_record(node, spec.max_record)?.unwrap_or(options.max_record);
    Ok(options)
}

/// The files of a path, of which there is at least one.
fn files_of(node: &NodeDecl, path: &str, files: &Files) -> Result<Vec<PathBuf>, Diagnostic> {
    let found = paths::expand(path, files).map_err(|error| open_finding(node, path, &error, files))?;
    if found.is_empty() {
        let error = node.error(codes::NOT_FOUND, "path", format!("no file matches `{path}`"));
        return Err(error.help(format!("relative paths start at {}", files.folder().display())));
    }
    Ok(found)
}

fn open_finding(node: &NodeDecl, path: &str, error: &io::Error, files: &Files) -> Diagnostic {
    if error.kind() == io::ErrorKind::NotFound {
        let finding = node.error(codes::NOT_FOUND, "path", format!("there is no file `{path}`"));
        let near = nearest_file(path, files);
        let mut finding = finding.help(format!("relative paths start at {}", files.folder().display()));
        finding.nearest = near;
        return finding;
    }
    node.error(codes::CANNOT_OPEN, "path", format!("`{path}` cannot be opened: {error}"))
}

/// A file of the same folder whose name is near to what was asked for.
fn nearest_file(path: &str, files: &Files) -> Option<String> {
    let path = Path::new(path);
    let folder = path.parent().unwrap_or(Path::new(""));
    let names = files.list(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let name = path.file_name()?.to_str()?;
    let near = millrace_engine::model::diagnostic::nearest(name, names.iter().map(String::as_str))?;
    Some(folder.join(near).display().to_string())
}

impl Kind for FileSource {
    fn info(&self) -> &KindInfo {
        info()
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: FileSpec = input.spec(found)?;
        let schema = input.discovered?;
        match options(input.node, &spec) {
            Ok(options) => {
                let plan = FilePlan { path: spec.path.0, options, schema: schema.clone() };
                Some(input::bind_source(schema, Payload::new(plan)))
            }
            Err(finding) => {
                found.push(finding);
                None
            }
        }
    }
}

#[async_trait]
impl SourceFactory for FileSource {
    async fn discover(&self, node: &NodeDecl, context: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        let (owned, files) = (node.clone(), context.files.clone());
        let looked = tokio::task::spawn_blocking(move || discover(&owned, &files)).await;
        looked.unwrap_or_else(|_| Err(node.error(codes::BAD_FILE, "path", "the file could not be made sense of")))
    }

    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let plan = node.payload.get::<FilePlan>().ok_or_else(|| RunError::bug("a file source without its plan"))?;
        let paths = paths::expand(&plan.path, &context.files)
            .map_err(|error| RunError::connector(codes::READ, format!("look for {}", plan.path), error, true))?;
        paths.into_iter().map(|path| open_partition(plan, path, context)).collect()
    }

    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::FromOffset, needs: "what was read of the files is there unchanged, else the run ends and says so" }
    }

    fn input_paths(&self, node: &NodeDecl, files: &Files) -> Result<Vec<PathBuf>, Diagnostic> {
        files_of(node, &spec_of(node)?.path.0, files)
    }

    fn max_parallelism(&self, node: &NodeDecl, files: &Files) -> Option<u32> {
        let found = files_of(node, &spec_of(node).ok()?.path.0, files).ok()?;
        u32::try_from(found.len()).ok()
    }
}

fn discover(node: &NodeDecl, files: &Files) -> Result<SchemaRef, Diagnostic> {
    let spec = spec_of(node)?;
    let options = options(node, &spec)?;
    let found = files_of(node, &spec.path.0, files)?;
    let first = found.first().map(|path| path.display().to_string()).unwrap_or_default();
    let file = files.open(Path::new(&first)).map_err(|error| open_finding(node, &first, &error, files))?;
    let schema = format::discover(file, &options).map_err(|error| input::discover_finding(node, "path", &first, &options, error))?;
    Ok(Arc::new(schema))
}

fn open_partition(plan: &FilePlan, path: PathBuf, context: &ConnectorContext) -> RunResult<Box<dyn Source>> {
    let name = path.display().to_string();
    let failed = |error: io::Error| RunError::connector(codes::READ, format!("open {}", path.display()), error, false);
    let file = context.files.open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // Opened anew by its reader: many partitions need not hold many files open.
    drop(file);
    let (files, schema, options) = (context.files.clone(), plan.schema.clone(), plan.options.clone());
    let (unit, reader_name) = (plan.options.format.position_unit(), name.clone());
    let open = Box::new(move |at: Option<serde_json::Value>| {
        let file = files.open(&path).map_err(|error| crate::reader::read_error(&reader_name, error))?;
        format::open(file, &reader_name, &schema, &options, at.as_ref())
    });
    Ok(Box::new(ThreadedSource::new(name, unit, context.batch_rows, Some(bytes), open)))
}
