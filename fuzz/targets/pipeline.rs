//! Any text as a pipeline file: it is read or refused, drawn or refused, and each finding can be shown where it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_model::Catalog;
use millrace_model::file::{self, CheckOptions};

fuzz_target!(|text: &str| {
    let catalog = Catalog::new([]);
    let options = CheckOptions { file: None, catalog: &catalog, env: &|_| None, overrides: &[] };
    let checked = file::check(text, &options);
    for found in &checked.diagnostics.items {
        let _ = file::render(found, text);
    }
    if let Ok(graph) = file::graph(text, &catalog) {
        assert!(graph.nodes.len() <= file::MAX_NODES);
        assert!(file::diff(text, text).is_ok_and(|changes| changes.is_empty()), "a text differs from itself");
    }
});
