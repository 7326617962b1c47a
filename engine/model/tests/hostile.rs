//! Whatever the text: no panic, no endless work, no unbounded memory.

mod common;

use common::{EXAMPLE, catalog, checked, env};
use millrace_model::file::{CheckOptions, Edit, check, copy, diff, edit, graph, render};
use proptest::prelude::*;
use serde_json::json;

/// All that can be done with a text.
fn everything(text: &str) {
    let catalog = catalog();
    let told = check(text, &CheckOptions { file: None, catalog: &catalog, env: &env, overrides: &[] });
    for finding in &told.diagnostics.items {
        let shown = render(finding, text);
        assert!(shown.len() < 20_000, "a message of {} bytes", shown.len());
    }
    let drawn = graph(text, &catalog);
    let _ = diff(EXAMPLE, text);
    let names: Vec<String> = drawn.map(|graph| graph.nodes.iter().map(|node| node.id.to_string()).collect()).unwrap_or_default();
    let _ = copy(text, &names);
    let first = names.first().cloned().unwrap_or_else(|| "flights".to_owned());
    let edits = [
        json!({ "edit": "rename_node", "from": first, "to": "renamed" }),
        json!({ "edit": "set_field", "node": first, "path": ["a", "b"], "value": [1, { "c": "d" }] }),
        json!({ "edit": "add_node", "kind": "filter", "fields": { "where": "x" }, "position": [1, 2] }),
        json!({ "edit": "duplicate", "ids": names, "offset": [8, 8] }),
        json!({ "edit": "remove_nodes", "ids": names }),
        json!({ "edit": "paste", "text": text, "at": [0, 0] }),
        json!({ "edit": "set_pipeline_field", "path": ["name"], "value": "new" }),
    ];
    for one in edits {
        let one: Edit = serde_json::from_value(one).expect("an edit");
        if let Ok(edited) = edit(text, &one, &catalog) {
            assert!(graph(&edited.text, &catalog).is_ok(), "an edit broke the text: {one:?}\n{}", edited.text);
        }
    }
}

/// As on a worker thread: little stack.
fn on_a_small_stack(text: String) {
    let run = std::thread::Builder::new().stack_size(1 << 20).spawn(move || everything(&text)).expect("a thread");
    run.join().expect("no panic");
}

#[test]
fn odd_texts_are_told_about_and_never_panic() {
    let odd = [
        "",
        "\0",
        "\u{feff}",
        "\u{feff}millrace = 1",
        "\r",
        "\r\n",
        "=",
        "[",
        "[node",
        "[node.]",
        "[[node.a]]\nkind=1\n",
        "node = [[]]",
        "node.a = 1",
        "millrace = 99999999999999999999",
        "millrace = inf",
        "a = \"\\ud800\"",
        "[node.\"\u{1F600}\"]\n",
        "[node.''.x]\n",
        "layout.x = 1\n",
        "[node.a]\ninput = [[], {}, 1]\nkind = []\n",
        "[node.a]\nkind = \"filter\"\ninput = { left = 1 }\n",
        "node = { a = { kind = \"file\" } }",
        "pipeline = 1\nlayout = 1\n[node]\n",
        "[node.a]\nkind = \"${\"\n[node.b]\nkind='${X:-${Y}}'",
        "# only a comment",
        "[node.a]\r\nkind = \"file\"\r",
        "[[node.a.b]]\nx = 1\n[[node.a.b]]\ny = 2\n[node.a]\nkind = \"file\"\n",
        "millrace = 1979-05-27\n[node.a]\nkind = 07:32:00\n",
    ];
    for text in odd {
        everything(text);
    }
}

#[test]
fn deep_and_long_texts_take_little_stack_and_time() {
    let many = |piece: &str, times: usize| piece.repeat(times);
    on_a_small_stack(format!("millrace = 1\na = {}", many("[", 500_000)));
    on_a_small_stack(format!("millrace = 1\na = {}", many("{ a = ", 100_000)));
    on_a_small_stack(format!("millrace = 1\na{} = 1\n", many(".a", 400_000)));
    on_a_small_stack(format!("millrace = 1\n[node{}]\n", many(".a", 400_000)));
    on_a_small_stack(format!("millrace = 1\n[node.a]\n{} = 1\n", many("x", 900_000)));
    on_a_small_stack(format!("millrace = 1\n[node.a]\nkind = \"{}\"\n", many("é", 400_000)));
    on_a_small_stack(format!("millrace = 1\n[node.a]\nkind = \"file\"\npath = \"{}\"\n", many("${", 400_000)));
    on_a_small_stack(format!("millrace = 1\n[node.u]\nkind = \"union\"\ninput = [{}]\n", many("\"uu\",", 100_000)));
    on_a_small_stack(many("a", 2 << 20));
    assert_eq!(checked(&many("#", 2 << 20)).diagnostics.items.first().map(|finding| finding.code.to_string()).as_deref(), Some("MR0102"));
}

#[test]
fn a_file_of_very_many_nodes_is_refused_without_long_work() {
    let nodes: String = (0..15_000).map(|at| format!("[node.a{at}]\nkind = \"filter\"\ninput = \"a{}\"\n", at + 1)).collect();
    let told = checked(&format!("millrace = 1\n{nodes}"));
    let codes: Vec<&str> = told.diagnostics.items.iter().map(|finding| finding.code.as_ref()).collect();
    assert_eq!(codes, ["MR0117"], "what else is wrong with them is nobody's question yet");
    assert!(told.pipeline.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        everything(&text);
    }

    #[test]
    fn no_toml_like_text_makes_it_panic(text in "([a-z]{1,3}|[=\\[\\]{}.,\"'#\n\r\t $0-9-]|node|kind|input|\\[node\\.a\\]\n|millrace = 1\n|\"\"\"){0,60}") {
        everything(&text);
    }

    #[test]
    fn no_damage_to_a_good_text_makes_it_panic(at in 0usize..2000, gone in 0usize..40, put in "\\PC{0,8}|[\\[\\]{}=.\"'\n]{0,6}") {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        let start = at.min(text.len());
        let end = (start + gone).min(text.len());
        text.splice(start..end, put.chars());
        everything(&text.into_iter().collect::<String>());
    }
}
