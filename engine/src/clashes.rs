//! What two nodes of one run cannot both have: a path to write, a path that one reads and the other writes, the process' input or output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_model::{Diagnostic, NodeId, Pipeline};
use millrace_runtime::files::Files;
use millrace_runtime::registry::{Entry, Registry};

/// A sink writes where something else of the run lies.
const OVERWRITES: &str = "MR0412";

/// Two nodes want what this process has only once.
const ONLY_ONE: &str = "MR0413";

/// Everything that nodes of the pipeline would take from each other.
pub fn clashes(pipeline: &Pipeline, file: Option<&str>, registry: &Registry, files: &Files) -> Vec<Diagnostic> {
    let mut found = overwriting(pipeline, file, registry, files);
    found.extend(doubled(pipeline, registry));
    found
}

/// Sources that read what belongs to the process, of which there is one. (Two sinks of that kind mix their rows, which may be meant.)
fn doubled(pipeline: &Pipeline, registry: &Registry) -> Vec<Diagnostic> {
    let mut readers: BTreeMap<&str, &NodeId> = BTreeMap::new();
    let mut found = Vec::new();
    for node in &pipeline.nodes {
        if !matches!(registry.get(&node.kind), Some(Entry::Source(factory)) if factory.stays_here()) {
            continue;
        }
        match readers.get(node.kind.as_str()) {
            Some(first) => {
                let error = node.error(ONLY_ONE, "kind", format!("`{first}` reads it already, and what one has read the other cannot"));
                found.push(error.help(format!("connect what follows `{}` to `{first}`", node.id)));
            }
            None => {
                readers.insert(&node.kind, &node.id);
            }
        }
    }
    found
}

/// Every sink whose path is also a source's, the pipeline file's, or another sink's. Paths are one if they lead to one place, by
/// whatever dots and links.
fn overwriting(pipeline: &Pipeline, file: Option<&str>, registry: &Registry, files: &Files) -> Vec<Diagnostic> {
    let mut taken = BTreeMap::new();
    if let Some(file) = file.and_then(|file| Path::new(file).file_name()) {
        taken.insert(files.place(Path::new(file)), "the pipeline file itself".to_owned());
    }
    for node in &pipeline.nodes {
        if let Some(Entry::Source(factory)) = registry.get(&node.kind) {
            for path in factory.input_paths(node, files).unwrap_or_default() {
                taken.insert(files.place(&path), format!("what `{}` reads", node.id));
            }
        }
    }
    let mut writers: BTreeMap<PathBuf, NodeId> = BTreeMap::new();
    let mut found = Vec::new();
    for node in &pipeline.nodes {
        let Some(Entry::Sink(factory)) = registry.get(&node.kind) else { continue };
        for path in factory.output_paths(node) {
            let place = files.place(&path);
            let what = taken.get(&place).cloned().or_else(|| writers.get(&place).map(|other| format!("what `{other}` writes")));
            if let Some(what) = what {
                let error = node.error(OVERWRITES, "path", format!("`{}` would write over {what}", node.id));
                found.push(error.found(path.display().to_string()).help("give each sink a path of its own"));
            }
            writers.entry(place).or_insert_with(|| node.id.clone());
        }
    }
    found
}
