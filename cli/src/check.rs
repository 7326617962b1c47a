//! Commands that look at pipelines and run nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use millrace_engine::inspect::{Inspection, Inspector};
use millrace_engine::model::Diagnostics;
use millrace_engine::model::file::{self, MAX_TEXT_BYTES, Override, parse_override, render};
use millrace_engine::runtime::data_runtime::DataPriority;
use millrace_engine::wire::message::{Deployment, RunOptions};
use millrace_engine::{Engine, EngineOptions};
use serde_json::json;

use crate::arguments::{DiffArguments, SchemaArguments, ValidateArguments};
use crate::exit;
use crate::output::{complain, say};

/// A pipeline file as read.
pub struct Pipeline {
    pub path: PathBuf,
    pub text: String,
}

impl Pipeline {
    /// Reads a file; what is wrong is said, and gives the exit code.
    pub fn read(path: &Path) -> Result<Pipeline, u8> {
        let refuse = |problem: String| {
            complain(format_args!("error[MR0408]: {} cannot be read: {problem}", path.display()));
            exit::INVALID
        };
        let about = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
        if !about.is_file() {
            return Err(refuse("it is not a file".to_owned()));
        }
        if about.len() > MAX_TEXT_BYTES as u64 {
            return Err(refuse(format!("it is too large to be a pipeline ({} bytes; at most {MAX_TEXT_BYTES})", about.len())));
        }
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let text =
            String::from_utf8(bytes).map_err(|error| refuse(format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
        Ok(Pipeline { path: path.to_path_buf(), text })
    }

    /// The folder that relative paths start at.
    pub fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub async fn inspect(&self, inspector: &Inspector, overrides: &[Override]) -> Inspection {
        inspector.inspect(&self.text, Some(self.name()), &self.folder(), overrides).await
    }
}

/// An engine with all connectors, for a node that shares folders with others.
pub fn sharing(shared: Vec<PathBuf>, state_memory: Option<u64>) -> anyhow::Result<Engine> {
    let connectors = millrace_connectors::all();
    Engine::new(EngineOptions { connectors, shared, state_memory, ..EngineOptions::default() }).context("the engine cannot start")
}

/// An engine with all connectors.
pub fn engine(allowed: Vec<PathBuf>, data_priority: DataPriority, state_memory: Option<u64>) -> anyhow::Result<Engine> {
    let options =
        EngineOptions { connectors: millrace_connectors::all(), allowed, data_priority, state_memory, ..EngineOptions::default() };
    Engine::new(options).context("the engine cannot start")
}

/// `--set`, each as node.field and value.
pub fn overrides(set: &[String]) -> Result<Vec<Override>, u8> {
    let mut overrides = Vec::new();
    let mut good = true;
    for text in set {
        match parse_override(text) {
            Ok(over) => overrides.push(over),
            Err(finding) => {
                complain(format_args!("{finding}"));
                good = false;
            }
        }
    }
    if good { Ok(overrides) } else { Err(exit::USAGE) }
}

/// A pipeline that can run, with what it was checked by.
pub struct Sound {
    pub pipeline: Pipeline,
    pub overrides: Vec<Override>,
    pub engine: Engine,
    pub inspection: Inspection,
}

impl Sound {
    /// Reads and checks a file that is to run elsewhere; what is wrong is said, and gives the exit code.
    pub async fn read(path: &Path, set: &[String]) -> anyhow::Result<Result<Sound, u8>> {
        let read = Pipeline::read(path).and_then(|pipeline| Ok((pipeline, overrides(set)?)));
        let (pipeline, overrides) = match read {
            Ok(read) => read,
            Err(code) => return Ok(Err(code)),
        };
        let engine = engine(Vec::new(), DataPriority::Equal, None)?;
        let inspection = pipeline.inspect(engine.inspector(), &overrides).await;
        show(&inspection.diagnostics, &pipeline.text);
        if inspection.diagnostics.has_errors() {
            return Ok(Err(exit::INVALID));
        }
        Ok(Ok(Sound { pipeline, overrides, engine, inspection }))
    }

    pub fn deployment(&self, options: RunOptions) -> Deployment {
        let options = RunOptions { overrides: self.overrides.clone(), ..options };
        Deployment { name: self.pipeline.name(), text: self.pipeline.text.clone(), env: self.inspection.environment(), options }
    }
}

/// Every finding with its source line, on standard error.
pub fn show(diagnostics: &Diagnostics, text: &str) {
    for finding in &diagnostics.items {
        complain(format_args!("{}\n", render(finding, text)));
    }
}

pub async fn validate(arguments: ValidateArguments) -> anyhow::Result<u8> {
    let pipeline = match Pipeline::read(&arguments.file) {
        Ok(pipeline) => pipeline,
        Err(code) => return Ok(code),
    };
    let overrides = match overrides(&arguments.set) {
        Ok(overrides) => overrides,
        Err(code) => return Ok(code),
    };
    let engine = engine(arguments.allow_path, DataPriority::Equal, None)?;
    let inspector: &Arc<Inspector> = engine.inspector();
    let inspection = pipeline.inspect(inspector, &overrides).await;
    let errors = inspection.diagnostics.items.iter().filter(|finding| finding.is_error()).count();
    let warnings = inspection.diagnostics.items.len() - errors;
    if arguments.json {
        // What reads the findings alone goes on reading them alone.
        let told = match arguments.guarantees {
            true => json!({ "findings": inspection.diagnostics, "guarantees": inspection.guarantees }),
            false => json!(inspection.diagnostics),
        };
        say(format_args!("{told}"))?;
    } else {
        show(&inspection.diagnostics, &pipeline.text);
        let nodes = inspection.pipeline.as_ref().map_or(0, |pipeline| pipeline.nodes.len());
        match errors {
            0 => say(format_args!("{}: good, {nodes} nodes{}", pipeline.name(), counted(warnings, ", ", "warning")))?,
            _ => complain(format_args!("{}:{}{}", pipeline.name(), counted(errors, " ", "error"), counted(warnings, ", ", "warning"))),
        }
    }
    Ok(if errors == 0 { exit::DONE } else { exit::INVALID })
}

fn counted(count: usize, before: &str, word: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("{before}1 {word}"),
        _ => format!("{before}{count} {word}s"),
    }
}

pub fn schema(arguments: &SchemaArguments) -> anyhow::Result<u8> {
    let engine = engine(Vec::new(), DataPriority::Equal, None)?;
    let catalog = engine.inspector().catalog();
    let schema = match &arguments.kind {
        None => file::file_schema(catalog),
        Some(name) => match catalog.get(name) {
            Some(kind) => file::kind_schema(kind),
            None => {
                let nearest = millrace_engine::model::diagnostic::nearest(name, catalog.names());
                let meant = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
                complain(format_args!(
                    "error: there is no kind `{name}`{meant}\n  known: {}",
                    catalog.names().collect::<Vec<_>>().join(", ")
                ));
                return Ok(exit::USAGE);
            }
        },
    };
    say(format_args!("{}", serde_json::to_string_pretty(&schema)?))?;
    Ok(exit::DONE)
}

pub fn diff(arguments: &DiffArguments) -> anyhow::Result<u8> {
    let (old, new) = match (Pipeline::read(&arguments.old), Pipeline::read(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(code), _) | (_, Err(code)) => return Ok(code),
    };
    for pipeline in [&old, &new] {
        // A text that is no TOML has nothing to compare: said with its own file's name.
        if let Err(found) = file::diff(&pipeline.text, &pipeline.text) {
            complain(format_args!("{}:", pipeline.name()));
            show(&found, &pipeline.text);
            return Ok(exit::INVALID);
        }
    }
    let changes = file::diff(&old.text, &new.text).unwrap_or_default();
    if arguments.json {
        say(format_args!("{}", serde_json::to_string(&changes)?))?;
    } else {
        changes.iter().try_for_each(say)?;
    }
    Ok(exit::DONE)
}
