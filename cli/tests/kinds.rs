//! Every kind of node has an example that runs, and a page in `docs/kinds` that says what its `Spec` says.
//!
//! `UPDATE_DOCS=1` writes the pages anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use millrace_engine::model::catalog::{Catalog, Inputs, KindInfo, schema_of};
use millrace_engine::model::field::{CommonFields, SinkFields, SourceFields};
use millrace_engine::model::{Category, id};
use millrace_engine::runtime::operators;
use millrace_engine::runtime::registry::Registry;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn catalog() -> Catalog {
    Registry::default().with(operators::all()).with(millrace_connectors::all()).catalog()
}

fn example(kind: &str) -> String {
    let path = root().join("examples/kinds").join(format!("{kind}.millrace.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("the kind `{kind}` has no example: {}: {error}", path.display()))
}

/// A project with an example and the samples' data.
fn project(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".git")).unwrap();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    for entry in std::fs::read_dir(root().join("examples/data")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join("data").join(entry.file_name())).unwrap();
    }
    std::fs::write(folder.path().join("example.millrace.toml"), example(kind)).unwrap();
    folder
}

/// The sources that have no end, which are stopped, and the one that is fed.
const ENDLESS: [&str; 1] = ["host_metrics"];
const FED: [&str; 1] = ["stdin"];

#[test]
fn every_kind_has_an_example_that_runs() {
    for kind in catalog().iter() {
        let folder = project(kind.name);
        assert!(example(kind.name).contains(&format!("kind = \"{}\"", kind.name)), "the example of {} shows it", kind.name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.current_dir(folder.path()).args(["run", "example.millrace.toml", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        if FED.contains(&kind.name) {
            input.write_all(b"{\"n\": 1}\n{\"n\": 2}\n").unwrap();
        }
        drop(input);
        let mut expected = 0;
        if ENDLESS.contains(&kind.name) {
            std::thread::sleep(Duration::from_secs(2));
            let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            assert!(interrupted.success());
            expected = 130;
        }
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{}: {errors}", kind.name);
        let both = format!("{errors}{}", String::from_utf8_lossy(&output.stdout));
        let summary = both.lines().rfind(|line| line.starts_with("{\"rows_in\"")).unwrap_or_else(|| panic!("{}: {both}", kind.name));
        let summary: Value = serde_json::from_str(summary).unwrap();
        assert!(summary["rows_out"].as_u64().unwrap() > 0, "the example of {} gives rows: {summary}", kind.name);
    }
}

#[test]
fn the_page_of_every_kind_says_what_its_spec_says() {
    let folder = root().join("docs/kinds");
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let catalog = catalog();
    let pages = catalog.iter().map(|kind| (format!("{}.md", kind.name), page(kind))).chain([("README.md".to_owned(), index(&catalog))]);
    for (name, page) in pages {
        let path = folder.join(name);
        if update {
            std::fs::write(&path, &page).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == page, "{} is not what the kind says now: UPDATE_DOCS=1 writes it anew", path.display());
    }
}

fn index(catalog: &Catalog) -> String {
    let mut out = String::from("# Kinds of node\n\nEach page is made from what the kind itself says; the examples run in `make test`.\n");
    let categories = [
        (Category::Source, "Sources"),
        (Category::Shape, "Rows one by one"),
        (Category::Window, "Windows and state"),
        (Category::Sink, "Sinks"),
    ];
    for (category, title) in categories {
        write!(out, "\n## {title}\n\n| kind | |\n|---|---|\n").unwrap();
        for kind in catalog.iter().filter(|kind| kind.category == category) {
            writeln!(out, "| [`{0}`]({0}.md) | {1} |", kind.name, kind.summary).unwrap();
        }
    }
    out
}

fn page(kind: &KindInfo) -> String {
    let mut out = format!("# {} (`{}`)\n\n{}\n", kind.title, kind.name, kind.summary);
    let text = example(kind.name);
    let (comment, pipeline): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("# "));
    let words: Vec<&str> = comment.iter().filter_map(|line| line.strip_prefix("# ")).collect();
    write!(out, "\n{}\n\n```toml\n{}\n```\n", words.join(" "), pipeline.join("\n").trim()).unwrap();
    let inputs = match kind.inputs {
        Inputs::None => "No input: it is a source.".to_owned(),
        Inputs::One => "One input: `input = \"node\"`.".to_owned(),
        Inputs::Many => "Some inputs: `input = [\"a\", \"b\"]`.".to_owned(),
        Inputs::Named(names) => format!("Inputs by name: {}.", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    write!(out, "\n## Inputs and outputs\n\n{inputs}\n").unwrap();
    if kind.has_output || !kind.side_ports.is_empty() {
        out.push_str("\n| output | |\n|---|---|\n");
    }
    if kind.has_output {
        writeln!(out, "| `{}` | Its rows. |", id::MAIN_PORT).unwrap();
    }
    for port in kind.side_ports {
        writeln!(out, "| `{}` | {} |", port.name, port.summary).unwrap();
    }
    out.push_str("\n## Fields\n");
    fields(&mut out, "", &(kind.schema)());
    match kind.category {
        Category::Source => fields(&mut out, "Every source has:", &schema_of::<SourceFields>()),
        Category::Sink => fields(&mut out, "Every sink has:", &schema_of::<SinkFields>()),
        Category::Shape | Category::Window => {}
    }
    fields(&mut out, "Every node has:", &schema_of::<CommonFields>());
    out
}

fn fields(out: &mut String, title: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    if !title.is_empty() {
        write!(out, "\n{title}\n").unwrap();
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    out.push_str("\n| field | type | | |\n|---|---|---|---|\n");
    for (name, field) in properties {
        let about = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let need = if required.contains(&name.as_str()) { "needed" } else { "" };
        writeln!(out, "| `{name}` | {} | {need} | {about} |", type_of(field)).unwrap();
    }
}

/// A field's type in a word or two: its format, its choices, or what JSON calls it.
fn type_of(field: &Value) -> String {
    if let Some(format) = field["format"].as_str().filter(|format| !format.contains("int")) {
        return format.replace('-', " ");
    }
    let choices: Vec<String> = ["enum", "oneOf", "anyOf"]
        .iter()
        .flat_map(|key| field[*key].as_array().into_iter().flatten())
        .filter(|choice| choice["type"] != "null" && !choice.is_null())
        .map(|choice| match (choice, choice.get("const")) {
            (Value::String(text), _) | (_, Some(Value::String(text))) => format!("`{text}`"),
            (choice, _) => type_of(choice),
        })
        .collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    match &field["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(&field["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    }
}

#[test]
fn the_page_of_aggregates_names_every_call() {
    let page = std::fs::read_to_string(root().join("docs/AGGREGATES.md")).unwrap();
    for aggregate in millrace_engine::expr::aggregate::aggregates() {
        for call in aggregate.signature.split_inclusive("), ") {
            let call = call.trim_end_matches(", ");
            assert!(page.contains(&format!("`{call}`")), "docs/AGGREGATES.md does not tell of {call}");
        }
    }
}
