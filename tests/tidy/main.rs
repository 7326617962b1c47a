//! The house keeps its plan: who may depend on whom, what stands at the top, which rooms are pure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn manifest(folder: &str) -> DocumentMut {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Names under `[dependencies]` (tests and benches may look further).
fn dependencies(folder: &str) -> Vec<String> {
    manifest(folder)["dependencies"].as_table().map(|table| table.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

/// Every room with the rooms that it may know. What is not listed here is not allowed.
fn allowed() -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    BTreeMap::from([
        ("millrace-model", ("engine/model", vec![])),
        ("millrace-expr", ("engine/expr", vec!["millrace-model"])),
        ("millrace-plan", ("engine/plan", vec!["millrace-model", "millrace-expr"])),
        ("millrace-wire", ("engine/wire", vec!["millrace-model"])),
        ("millrace-state", ("engine/state", vec!["millrace-model"])),
        ("millrace-objects", ("engine/objects", vec!["millrace-state"])),
        (
            "millrace-runtime",
            ("engine/runtime", vec!["millrace-model", "millrace-expr", "millrace-plan", "millrace-wire", "millrace-state"]),
        ),
        // Consensus knows no run: what it holds of one is what a run enters.
        ("millrace-control", ("engine/control", vec!["millrace-state"])),
        // A member of a run reaches the leader's store over a session.
        (
            "millrace-cluster",
            (
                "engine/cluster",
                vec!["millrace-model", "millrace-plan", "millrace-wire", "millrace-state", "millrace-runtime", "millrace-control"],
            ),
        ),
        (
            "millrace-engine",
            (
                "engine",
                vec![
                    "millrace-model",
                    "millrace-expr",
                    "millrace-plan",
                    "millrace-wire",
                    "millrace-state",
                    "millrace-objects",
                    "millrace-runtime",
                    "millrace-cluster",
                ],
            ),
        ),
        ("millrace-testkit", ("engine/testkit", vec!["millrace-model", "millrace-plan", "millrace-runtime", "millrace-state"])),
        ("millrace-connectors", ("connectors", vec!["millrace-engine"])),
        ("millrace-studio-api", ("studio/api", vec![])),
        ("millrace-studio", ("studio", vec!["millrace-engine", "millrace-studio-api"])),
        ("millrace", ("cli", vec!["millrace-engine", "millrace-connectors", "millrace-studio"])),
        ("millrace-desktop", ("src-tauri", vec!["millrace-engine", "millrace-connectors", "millrace-studio", "millrace-studio-api"])),
    ])
}

#[test]
fn rooms_depend_only_inward() {
    for (name, (folder, may)) in allowed() {
        for dependency in dependencies(folder).iter().filter(|dependency| dependency.starts_with("millrace")) {
            assert!(may.contains(&dependency.as_str()), "{name} ({folder}) may not depend on {dependency}");
        }
    }
}

#[test]
fn pure_rooms_bring_no_runtime_and_the_file_and_wire_bring_no_polars() {
    let io = ["tokio", "tokio-tungstenite", "axum", "sysinfo", "cap-std", "tracing"];
    for folder in ["engine/model", "engine/expr", "engine/plan", "engine/wire", "studio/api"] {
        for banned in io {
            assert!(!dependencies(folder).iter().any(|name| name == banned), "{folder} is pure: no {banned}");
        }
    }
    for folder in ["engine/model", "engine/wire", "studio/api"] {
        assert!(!dependencies(folder).iter().any(|name| name.starts_with("polars")), "{folder} knows no Polars");
    }
}

#[test]
fn pure_rooms_read_no_clock_and_touch_no_disk() {
    let banned = ["std::fs", "std::net", "std::thread::spawn", "SystemTime::now", "Instant::now", "std::env::var"];
    for folder in ["engine/model/src", "engine/expr/src", "engine/plan/src", "engine/wire/src"] {
        for file in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in banned {
                assert!(!code.contains(word), "{}: a pure room does not use {word}", file.display());
            }
        }
    }
}

#[test]
fn the_top_level_holds_what_the_plan_names() {
    let planned = [
        "src-tauri",
        "ui",
        "engine",
        "connectors",
        "studio",
        "cli",
        "tests",
        "examples",
        "fuzz",
        "docs",
        "scripts",
        "tools",
        "Cargo.toml",
        "Cargo.lock",
        "package.json",
        "package-lock.json",
        "Makefile",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
    ];
    // What git tracks: a developer's own files at the top are nobody's business.
    let tracked = std::process::Command::new("git").args(["ls-tree", "--name-only", "HEAD"]).current_dir(root()).output().unwrap();
    for name in String::from_utf8(tracked.stdout).unwrap().lines().filter(|name| !name.starts_with('.')) {
        assert!(planned.contains(&name), "{name} is not in the plan of the top level (tests/tidy)");
    }
    for name in ["src-tauri", "ui", "engine", "connectors", "tests", "Cargo.toml", "package.json"] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}

#[test]
fn every_workspace_member_is_a_room_of_the_plan() {
    let members = manifest("")["workspace"]["members"].as_array().unwrap().clone();
    let rooms: Vec<&str> = allowed().into_values().map(|(folder, _)| folder).collect();
    for member in members.iter().map(|member| member.as_str().unwrap()).filter(|member| *member != "tests") {
        assert!(rooms.contains(&member), "{member} has no place in the direction of dependence");
    }
}

/// Each code stands once in the sources: whoever else gives it names the constant, so that no two meanings share a number.
#[test]
fn every_error_code_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["engine", "connectors", "studio", "cli", "src-tauri"] {
        for file in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let file = file.strip_prefix(root()).unwrap();
            if file.iter().any(|part| part == "tests") {
                continue;
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (at, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for number in line.split("MR0").skip(1).filter_map(|rest| rest.get(..3)) {
                    if number.bytes().all(|digit| digit.is_ascii_digit()) {
                        places.entry(format!("MR0{number}")).or_default().push(format!("{}:{}", file.display(), at + 1));
                    }
                }
            }
        }
    }
    assert!(places.len() > 50, "the codes are no longer found where this looks: {places:?}");
    for (code, places) in places {
        assert_eq!(places.len(), 1, "{code} is given in several places: {places:#?}");
    }
}

#[test]
fn nothing_unfinished_is_left_behind() {
    for folder in ["engine", "connectors", "studio", "cli", "src-tauri", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for word in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME")] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !["target", "node_modules"].iter().any(|skip| path.ends_with(skip)) {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
