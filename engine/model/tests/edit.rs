//! Edits change the lines that they mean, and nothing beside them.

mod common;

use common::{COMMENTED, EXAMPLE, catalog, checked};
use insta::assert_snapshot;
use millrace_model::file::{Edit, Edited, copy, edit, edit_all};
use serde_json::json;

fn make(text: &str, edit_json: serde_json::Value) -> Edited {
    let one: Edit = serde_json::from_value(edit_json).expect("an edit");
    edit(text, &one, &catalog()).expect("an edit that can be made")
}

fn refused(text: &str, edit_json: serde_json::Value) -> String {
    let one: Edit = serde_json::from_value(edit_json).expect("an edit");
    edit(text, &one, &catalog()).expect_err("an edit that cannot be made").to_string()
}

/// The lines that an edit took away and put in.
fn lines(text: &str, edit_json: serde_json::Value) -> String {
    let edited = make(text, edit_json);
    let diff = similar::TextDiff::from_lines(text, &edited.text);
    let changes = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    changes.map(|change| format!("{}{}", change.tag(), change.value())).collect::<String>().trim_end().to_owned()
}

#[test]
fn an_edit_that_changes_nothing_leaves_every_byte() {
    let edits = [
        json!({ "edit": "set_field", "node": "flights", "path": ["path"], "value": "data/flights.parquet" }),
        json!({ "edit": "set_field", "node": "flights", "path": ["replay"], "value": { "by": "reported", "speed": "60x" } }),
        json!({ "edit": "set_field", "node": "hourly", "path": ["by"], "value": ["origin", "carrier"] }),
        json!({ "edit": "set_field", "node": "hourly", "path": ["offset"], "value": null }),
        json!({ "edit": "set_field", "node": "hourly", "path": ["emit", "every"], "value": null }),
        json!({ "edit": "set_pipeline_field", "path": ["name"], "value": "departures" }),
        json!({ "edit": "set_pipeline_field", "path": ["parallelism"] }),
        json!({ "edit": "rename_node", "from": "flown", "to": "flown" }),
        json!({ "edit": "connect", "from": "flights", "to": "flown" }),
        json!({ "edit": "connect", "from": "flights.quarantined", "to": "both" }),
        json!({ "edit": "connect", "from": "both", "to": "joined", "input": "right" }),
        json!({ "edit": "disconnect", "from": "hourly.late", "to": "flown" }),
        json!({ "edit": "move_nodes", "positions": { "flown": [280.2, -0.4] } }),
        json!({ "edit": "remove_nodes", "ids": [] }),
    ];
    let crlf = COMMENTED.replace('\n', "\r\n");
    let variants = [COMMENTED.to_owned(), crlf, format!("\u{feff}{COMMENTED}"), COMMENTED.trim_end().to_owned()];
    for text in &variants {
        for one in &edits {
            let edited = make(text, one.clone());
            assert_eq!(edited.text, *text, "{one}");
            assert_eq!(edited.changed_lines, Vec::new(), "{one}");
        }
    }
}

#[test]
fn a_file_with_other_line_ends_keeps_them_in_all_lines() {
    let text = COMMENTED.replace('\n', "\r\n");
    let edited = make(&text, json!({ "edit": "set_field", "node": "flights", "path": ["max_ahead"], "value": "1d" }));
    assert_eq!(edited.text.matches('\n').count(), edited.text.matches("\r\n").count());
    assert_eq!(edited.text.replace("max_ahead = \"1d\"\r\n", ""), text);
}

#[test]
fn a_text_without_a_last_line_end_gets_one_only_if_something_follows() {
    let text = "millrace = 1\n[node.a]\nkind = \"host_metrics\"";
    assert_eq!(make(text, json!({ "edit": "set_field", "node": "a", "path": ["kind"], "value": "file" })).text.lines().count(), 3);
    let edited = make(text, json!({ "edit": "set_field", "node": "a", "path": ["max_delay"], "value": "1s" }));
    assert_eq!(edited.text, "millrace = 1\n[node.a]\nkind = \"host_metrics\"\nmax_delay = \"1s\"\n");
}

#[test]
fn dotted_names_that_stand_apart_stay_where_they_are() {
    let text =
        "millrace = 1\nnode.a.kind = \"host_metrics\"\nnode.o.kind = \"stdout\"\nnode.a.max_delay = \"1s\" # x\nnode.o.input = \"a\"\n";
    let edit = json!({ "edit": "set_field", "node": "a", "path": ["max_delay"], "value": "2s" });
    assert_eq!(make(text, edit).text, text.replace("1s", "2s"));
}

#[test]
fn a_field_is_set_on_its_line() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["path"], "value": "b.csv" })), @r#"
    -path   =   "data/flights.parquet"
    +path   =   "b.csv"
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["replay", "speed"], "value": "7x" })), @r#"
    -replay = {by="reported",   speed = "60x"} # fast
    +replay = {by="reported",   speed = "7x"} # fast
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "mean_delay"], "value": "avg(x)" })), @r#"
    -mean_delay = "avg(dep_delay)"
    +mean_delay = "avg(x)"
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flown", "path": ["where"], "value": "a > 1\nAND b" })), @r#"
    -where = '''
    -dep_delay IS NOT NULL
    -  AND "tail" <> 'x' # no comment
    -'''
    +where = """
    +a > 1
    +AND b"""
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_pipeline_field", "path": ["name"], "value": "it's \"new\"" })), @r#"
    -name = 'departures'   # literal
    +name = """it's "new""""   # literal
    "#);
}

#[test]
fn a_new_field_stands_at_the_end_of_its_table() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["format"], "value": "csv" })), @r#"+format = "csv""#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["event_time", "column"], "value": "t" })), @r#"+event_time = { column = "t" }"#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "n"], "value": "count(x)" })), @r#"+n = "count(x)""#);
    assert_snapshot!(lines(EXAMPLE, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "n"], "value": "count(x)" })), @r#"
    -aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
    +aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)", n = "count(x)" }
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_pipeline_field", "path": ["parallelism"], "value": 4 })), @"+parallelism = 4");
    assert_snapshot!(lines("millrace = 1\n[node.a]\n", json!({ "edit": "set_pipeline_field", "path": ["name"], "value": "x" })), @r#"
    +
    +[pipeline]
    +name = "x"
    "#);
}

#[test]
fn a_field_is_removed_with_the_comment_that_is_its_own() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["path"] })), @r#"
    -  # indented comment
    -path   =   "data/flights.parquet"
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["replay", "speed"] })), @r#"
    -replay = {by="reported",   speed = "60x"} # fast
    +replay = {by="reported"} # fast
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "departures"] })), @r#"
    -# all
    -departures = "count(*)"   # rows
    "#);
    assert_snapshot!(lines(EXAMPLE, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "p95_delay"] })), @r#"
    -aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
    +aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)" }
    "#);
    assert_snapshot!(lines(EXAMPLE, json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate", "departures"] })), @r#"
    -aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
    +aggregate = { mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
    "#);
}

#[test]
fn a_list_changes_in_the_entries_that_differ() {
    let by = |value: serde_json::Value| json!({ "edit": "set_field", "node": "hourly", "path": ["by"], "value": value });
    assert_snapshot!(lines(COMMENTED, by(json!(["origin", "carrier", "dest"]))), @r#"+  "dest","#);
    assert_snapshot!(lines(COMMENTED, by(json!(["dest", "origin", "carrier"]))), @r#"+  "dest","#);
    assert_snapshot!(lines(COMMENTED, by(json!(["carrier"]))), @r#"-  "origin",   # the airport"#);
    assert_snapshot!(lines(COMMENTED, by(json!(["origin", "tail"]))), @r#"
    -  "carrier",  # the airline
    +  "tail",  # the airline
    "#);
    assert_snapshot!(lines(COMMENTED, by(json!(["origin"]))), @r#"-  "carrier",  # the airline"#);
    assert_snapshot!(lines(COMMENTED, by(json!(["origin", "x", "carrier"]))), @r#"+  "x","#);
    let between = make(COMMENTED, by(json!(["origin", "x", "carrier"]))).text;
    assert!(between.contains("\"origin\",   # the airport\n  \"x\",\n  \"carrier\",  # the airline\n"), "{between}");
    let bare = COMMENTED.replace("  # the airline", " # the airline").replace("\"carrier\",", "\"carrier\"");
    assert_snapshot!(lines(&bare, by(json!(["origin", "carrier", "dest"]))), @r#"
    -  "carrier" # the airline
    +  "carrier", # the airline
    +  "dest"
    "#);
    assert_snapshot!(lines(&bare, by(json!(["origin"]))), @r#"
    -  "origin",   # the airport
    -  "carrier" # the airline
    +  "origin"   # the airport
    "#);
    assert_snapshot!(lines(EXAMPLE, by(json!(["origin", "dest"]))), @r#"
    -by = ["origin"]
    +by = ["origin", "dest"]
    "#);
    assert_snapshot!(lines(EXAMPLE, by(json!([]))), @r#"
    -by = ["origin"]
    +by = []
    "#);
}

#[test]
fn a_whole_table_changes_in_the_entries_that_differ_and_takes_the_new_order() {
    let set = |value: serde_json::Value| json!({ "edit": "set_field", "node": "hourly", "path": ["aggregate"], "value": value });
    assert_snapshot!(lines(COMMENTED, set(json!({ "departures": "count(*)", "late": "avg(dep_delay)" }))), @r#"
    -mean_delay = "avg(dep_delay)"
    +late = "avg(dep_delay)"
    "#);
    assert_snapshot!(lines(COMMENTED, set(json!({ "mean_delay": "avg(dep_delay)", "departures": "count(*)" }))), @r#"
    +mean_delay = "avg(dep_delay)"
    -mean_delay = "avg(dep_delay)"
    "#);
    let reordered = make(COMMENTED, set(json!({ "mean_delay": "avg(dep_delay)", "departures": "count(*)" }))).text;
    assert!(reordered.contains("\nmean_delay = \"avg(dep_delay)\"\n# all\ndepartures = \"count(*)\"   # rows\n"), "{reordered}");
    assert_snapshot!(lines(EXAMPLE, set(json!({ "mean_delay": "avg(dep_delay)", "departures": "count(*)" }))), @r#"
    -aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
    +aggregate = { mean_delay = "avg(dep_delay)", departures = "count(*)" }
    "#);
}

#[test]
fn a_node_is_added_after_the_others() {
    let add = json!({
        "edit": "add_node", "kind": "filter", "fields": { "where": "a = 'b'" }, "inputs": [{ "from": "hourly.late" }], "position": [840, 120.4]
    });
    let edited = make(COMMENTED, add.clone());
    assert_eq!(edited.new_nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["filter"]);
    assert_eq!(edited.changed_lines.len(), 2);
    assert_snapshot!(lines(COMMENTED, add), @r#"
    +[node.filter]
    +kind = "filter"
    +input = "hourly.late"
    +where = "a = 'b'"
    +
    +filter = [840, 120]
    "#);
    assert_snapshot!(make("millrace = 1\n", json!({ "edit": "add_node", "kind": "file", "fields": { "path": "a.csv", "schema": { "a b": "DATE" }, "follow": true } })).text, @r#"
    millrace = 1

    [node.file]
    kind = "file"
    path = "a.csv"
    schema = { "a b" = "DATE" }
    follow = true
    "#);
    assert_snapshot!(make("millrace = 1\n[layout]\nx = [1, 2]\n", json!({ "edit": "add_node", "id": "a", "kind": "file" })).text, @r#"
    millrace = 1

    [node.a]
    kind = "file"
    [layout]
    x = [1, 2]
    "#);
    assert_snapshot!(make("", json!({ "edit": "add_node", "id": "a", "kind": "host_metrics", "position": [0, 0] })).text, @r#"
    [node.a]
    kind = "host_metrics"

    [layout]
    a = [0, 0]
    "#);
}

#[test]
fn removed_nodes_take_their_edges_and_positions_with_them_and_leave_the_sections_comments() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "remove_nodes", "ids": ["flown"] })), @r#"
    -# Flown only.
    -[node.flown]
    -kind = "filter"
    -input = "flights"   # the source
    -where = '''
    -dep_delay IS NOT NULL
    -  AND "tail" <> 'x' # no comment
    -'''
    -
    -input = "flown"
    -input = ["flown", "flights.quarantined"]  # two
    +input = ["flights.quarantined"]  # two
    -input = { left = "flown", right = "both" }   # named
    +input = { right = "both" }   # named
    -flown = [ 280, 0 ]   # right of it
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "remove_nodes", "ids": ["flights"] })), @r#"
    -# The year 2013.
    -[node.flights]   # from the BTS
    -kind = "file"
    -  # indented comment
    -path   =   "data/flights.parquet"
    -
    -max_delay = "3h" # bounded
    -replay = {by="reported",   speed = "60x"} # fast
    -
    -input = "flights"   # the source
    -input = ["flown", "flights.quarantined"]  # two
    +input = ["flown"]  # two
    -flights = [0, 0]
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "remove_nodes", "ids": ["both", "hourly", "joined"] })), @r#"
    -[node.hourly]
    -kind = "tumbling_window"
    -input = "flown"
    -size = "1h"
    -by = [
    -  "origin",   # the airport
    -  "carrier",  # the airline
    -]
    -
    -# What is counted.
    -[node.hourly.aggregate]
    -# all
    -departures = "count(*)"   # rows
    -mean_delay = "avg(dep_delay)"
    -
    -
    -[node.both]
    -kind = "union"
    -input = ["flown", "flights.quarantined"]  # two
    -
    -[node.joined]
    -kind = "window_join"
    -input = { left = "flown", right = "both" }   # named
    -on = ["origin"]
    "#);
}

#[test]
fn the_last_node_and_the_last_field_can_go() {
    let text = "millrace = 1\n\n[node.a]\nkind = \"x\"\n";
    assert_eq!(make(text, json!({ "edit": "remove_nodes", "ids": ["a"] })).text, "millrace = 1\n");
    assert_eq!(make(text, json!({ "edit": "set_field", "node": "a", "path": ["kind"] })).text, "millrace = 1\n\n[node.a]\n");
    let within = "millrace = 1\n[node.a.aggregate]\nn = \"count(*)\"\n";
    assert_eq!(make(within, json!({ "edit": "set_field", "node": "a", "path": ["aggregate", "n"] })).text, "millrace = 1\n\n[node.a]\n");
}

#[test]
fn a_renamed_node_is_followed_by_what_refers_to_it() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "rename_node", "from": "flights", "to": "departures" })), @r#"
    -[node.flights]   # from the BTS
    +[node.departures]   # from the BTS
    -input = "flights"   # the source
    +input = "departures"   # the source
    -input = ["flown", "flights.quarantined"]  # two
    +input = ["flown", "departures.quarantined"]  # two
    -flights = [0, 0]
    +departures = [0, 0]
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "rename_node", "from": "hourly", "to": "by_hour", "keep_state": true })), @r#"
    -[node.hourly]
    +[node.by_hour]
    +renamed_from = "hourly"
    -[node.hourly.aggregate]
    +[node.by_hour.aggregate]
    "#);
    let there_and_back = make(COMMENTED, json!({ "edit": "rename_node", "from": "hourly", "to": "x", "keep_state": true })).text;
    assert_eq!(make(&there_and_back, json!({ "edit": "rename_node", "from": "x", "to": "hourly", "keep_state": true })).text, COMMENTED);
}

#[test]
fn an_input_takes_the_shape_that_the_kind_wants() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "connect", "from": "flights.quarantined", "to": "flown" })), @r#"
    -input = "flights"   # the source
    +input = "flights.quarantined"   # the source
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "connect", "from": "hourly.late", "to": "both" })), @r#"
    -input = ["flown", "flights.quarantined"]  # two
    +input = ["flown", "flights.quarantined", "hourly.late"]  # two
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "connect", "from": "hourly", "to": "joined", "input": "left" })), @r#"
    -input = { left = "flown", right = "both" }   # named
    +input = { left = "hourly", right = "both" }   # named
    "#);
    let bare = "millrace = 1\n[node.a]\nkind = \"host_metrics\"\n[node.j]\nkind = \"window_join\"\n[node.u]\nkind = \"union\"\n";
    assert_snapshot!(lines(bare, json!({ "edit": "connect", "from": "a", "to": "j", "input": "right" })), @r#"+input = { right = "a" }"#);
    assert_snapshot!(lines(bare, json!({ "edit": "connect", "from": "a", "to": "j" })), @r#"+input = { left = "a" }"#);
    assert_snapshot!(lines(bare, json!({ "edit": "connect", "from": "a", "to": "u" })), @r#"+input = ["a"]"#);
}

#[test]
fn an_edge_is_taken_away_and_the_input_with_the_last_one() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "disconnect", "from": "flights", "to": "flown" })), @r#"-input = "flights"   # the source"#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "disconnect", "from": "flown", "to": "both" })), @r#"
    -input = ["flown", "flights.quarantined"]  # two
    +input = ["flights.quarantined"]  # two
    "#);
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "disconnect", "from": "both", "to": "joined", "input": "right" })), @r#"
    -input = { left = "flown", right = "both" }   # named
    +input = { left = "flown" }   # named
    "#);
}

#[test]
fn moved_nodes_change_the_layout_and_nothing_else() {
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "move_nodes", "positions": { "flown": [300.6, 8], "hourly": [560, 0] } })), @r#"
    -flown = [ 280, 0 ]   # right of it
    +flown = [ 301, 8 ]   # right of it
    +hourly = [560, 0]
    "#);
    assert_snapshot!(lines("millrace = 1\n[node.a]\nkind = \"x\"\n", json!({ "edit": "move_nodes", "positions": { "a": [1, 2] } })), @r#"
    +
    +[layout]
    +a = [1, 2]
    "#);
}

#[test]
fn copied_nodes_are_pasted_under_free_names_with_their_edges_among_each_other() {
    let fragment = copy(COMMENTED, &["flown".to_owned(), "hourly".to_owned()]).expect("a fragment");
    assert_snapshot!(fragment, @r#"
    # Flown only.
    [node.flown]
    kind = "filter"
    input = "flights"   # the source
    where = '''
    dep_delay IS NOT NULL
      AND "tail" <> 'x' # no comment
    '''

    [node.hourly]
    kind = "tumbling_window"
    input = "flown"
    size = "1h"
    by = [
      "origin",   # the airport
      "carrier",  # the airline
    ]

    # What is counted.
    [node.hourly.aggregate]
    # all
    departures = "count(*)"   # rows
    mean_delay = "avg(dep_delay)"

    [layout]
    flown = [280, 0]
    hourly = [560, 0]
    "#);
    let paste = |text: &str| make(text, json!({ "edit": "paste", "text": fragment, "at": [100, 200] }));
    assert_snapshot!(lines(COMMENTED, json!({ "edit": "paste", "text": fragment, "offset": [24, 24] })), @r#"
    +# Flown only.
    +[node.flown_2]
    +kind = "filter"
    +input = "flights"   # the source
    +where = '''
    +dep_delay IS NOT NULL
    +  AND "tail" <> 'x' # no comment
    +'''
    +
    +[node.hourly_2]
    +kind = "tumbling_window"
    +input = "flown_2"
    +size = "1h"
    +by = [
    +  "origin",   # the airport
    +  "carrier",  # the airline
    +]
    +
    +# What is counted.
    +[node.hourly_2.aggregate]
    +# all
    +departures = "count(*)"   # rows
    +mean_delay = "avg(dep_delay)"
    +
    +flown_2 = [304, 24]
    +hourly_2 = [584, 24]
    "#);
    let elsewhere = paste("millrace = 1\n");
    assert_snapshot!(elsewhere.text, @r#"
    millrace = 1

    # Flown only.
    [node.flown]
    kind = "filter"
    where = '''
    dep_delay IS NOT NULL
      AND "tail" <> 'x' # no comment
    '''

    [node.hourly]
    kind = "tumbling_window"
    input = "flown"
    size = "1h"
    by = [
      "origin",   # the airport
      "carrier",  # the airline
    ]

    # What is counted.
    [node.hourly.aggregate]
    # all
    departures = "count(*)"   # rows
    mean_delay = "avg(dep_delay)"

    [layout]
    flown = [100, 200]
    hourly = [380, 200]
    "#);
    let twice = paste(&elsewhere.text);
    assert_eq!(twice.new_nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["flown_2", "hourly_2"]);
}

#[test]
fn duplicated_nodes_stand_beside_themselves() {
    assert_snapshot!(lines(EXAMPLE, json!({ "edit": "duplicate", "ids": ["late"], "offset": [24, 96] })), @r#"
    +[node.late_2]
    +kind = "file_sink"
    +input = "hourly.late"             # a named output port
    +path = "out/late.parquet"
    +
    +late_2 = [864, 336]
    "#);
}

#[test]
fn an_edit_that_has_no_place_is_refused_in_words() {
    assert_snapshot!(refused("millrace = \n", json!({ "edit": "remove_nodes", "ids": ["a"] })), @r#"
    1:12: error[MR0101]: this is not TOML: a value is missing
      help: a field is written: name = value
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "remove_nodes", "ids": ["flihgts"] })), @r#"
    error[MR0123]: there is no node `flihgts`
      did you mean `flights`?
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "rename_node", "from": "flown", "to": "flights" })), @r#"
    error[MR0118]: there is a node `flights` already
      help: choose another name
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "rename_node", "from": "flown", "to": "Flown!" })), @r#"
    error[MR0108]: `Flown!` cannot be a node's name
      expected: letters a-z, digits, _ and -, at most 64
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "connect", "from": "flown", "to": "flights" })), @"error[MR0121]: `flights` is a source and reads no other node");
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "connect", "from": "hourly", "to": "joined" })), @r#"
    error[MR0140]: every input of `joined` is taken
      help: say which input is to be replaced
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "connect", "from": "hourly", "to": "joined", "input": "lft" })), @r#"
    error[MR0140]: `joined` has no input `lft`
      expected: left, right
      did you mean `left`?
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": ["path", "x"], "value": 1 })), @r#"
    error[MR0140]: `path` is not a table, so that nothing can be set in it
      found: "data/flights.parquet"
    "#);
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "set_field", "node": "flights", "path": [], "value": 1 })), @"error[MR0140]: the edit names no field");
    assert_snapshot!(refused(COMMENTED, json!({ "edit": "paste", "text": "hello", "offset": [0, 0] })), @r#"
    error[MR0140]: there are no nodes on the clipboard
      expected: [node.NAME] tables, as copied from a pipeline
    "#);
}

#[test]
fn several_edits_are_made_together_or_not_at_all() {
    let edits: Vec<Edit> = serde_json::from_value(json!([
        { "edit": "add_node", "kind": "stdout", "inputs": [{ "from": "hourly" }] },
        { "edit": "set_field", "node": "stdout", "path": ["rate"], "value": "5/s" },
        { "edit": "remove_nodes", "ids": ["late", "out"] },
    ]))
    .expect("edits");
    let edited = edit_all(EXAMPLE, &edits, &catalog()).expect("edits that can be made");
    assert_eq!(checked(&edited.text).diagnostics.items, Vec::new());
    let mut broken = edits;
    broken.push(Edit::RemoveNodes { ids: vec!["nobody".to_owned()] });
    assert!(edit_all(EXAMPLE, &broken, &catalog()).is_err());
}
