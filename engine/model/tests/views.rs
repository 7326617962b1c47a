//! What is made of a text: its pipeline, its graph, its differences, its schema.

mod common;

use common::{EXAMPLE, catalog, checked, checked_with};
use insta::assert_snapshot;
use millrace_model::file::{changed_nodes, diff, file_schema, graph};
use millrace_model::id::NodeId;
use serde_json::json;

fn differences(old: &str, new: &str) -> String {
    let changes = diff(old, new).expect("two texts of TOML");
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sound_file_becomes_a_pipeline() {
    let checked = checked(EXAMPLE);
    assert_eq!(checked.diagnostics.items, Vec::new());
    let pipeline = checked.pipeline.expect("a pipeline");
    let hourly = pipeline.node(&NodeId::new("hourly")).expect("a node");
    assert_eq!(hourly.spec["size"], json!("1h"));
    assert_eq!(hourly.inputs[0].from.to_string(), "flown");
    assert_eq!(hourly.span("aggregate.mean_delay").map(|span| (span.line, span.column)), Some((23, 53)));
    let flights = pipeline.node(&NodeId::new("flights")).expect("a node");
    assert_eq!(flights.source.max_delay.map(|delay| delay.micros), Some(3 * 3_600_000_000));
    assert_eq!(flights.spec, json!({ "path": "data/flights.parquet" }));
    assert_eq!(pipeline.layout.len(), 1);
}

#[test]
fn a_wrong_file_is_a_pipeline_too_with_what_is_right_in_it() {
    let text = EXAMPLE.replace("where = \"dep_delay IS NOT NULL\"", "where = 3").replace("\"3h\"", "\"3\"");
    let checked = checked(&text);
    assert_eq!(checked.diagnostics.items.len(), 2);
    let pipeline = checked.pipeline.expect("a pipeline");
    assert_eq!(pipeline.nodes.len(), 6);
    assert!(pipeline.node(&NodeId::new("flights")).is_some_and(|node| node.source.event_time.is_some() && node.source.max_delay.is_none()));
}

#[test]
fn references_to_the_environment_are_read_and_their_names_told() {
    let text = EXAMPLE.replace("data/flights", "${DATA}/$${x}/${EMPTY:-a}/${NONE:-b}");
    let checked = checked(&text);
    assert_eq!(checked.diagnostics.items, Vec::new());
    assert_eq!(checked.env_names.iter().map(String::as_str).collect::<Vec<_>>(), ["DATA", "EMPTY", "NONE"]);
    let pipeline = checked.pipeline.expect("a pipeline");
    assert_eq!(pipeline.nodes[0].spec["path"], json!("/srv/data/${x}/a/b.parquet"));
}

#[test]
fn overrides_stand_in_for_values_of_the_file() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let overrides = [
        set("hourly.size", "30m"),
        set("hourly.aggregate.mean_delay", "max(x)"),
        set("hourly.by", "[\"a\", \"b\"]"),
        set("pipeline.parallelism", "3"),
    ];
    let checked = checked_with(EXAMPLE, &overrides);
    assert_eq!(checked.diagnostics.items, Vec::new());
    let pipeline = checked.pipeline.expect("a pipeline");
    let hourly = pipeline.node(&NodeId::new("hourly")).expect("a node");
    assert_eq!(hourly.spec["size"], json!("30m"));
    assert_eq!(hourly.spec["by"], json!(["a", "b"]));
    assert_eq!(hourly.spec["aggregate"]["mean_delay"], json!("max(x)"));
    assert_eq!(pipeline.settings.parallelism, Some(3));
}

#[test]
fn order_comments_and_layout_are_no_difference() {
    let mut tables: Vec<&str> = EXAMPLE.split("\n\n").collect();
    tables.swap(3, 5);
    let other = tables.join("\n\n").replace("flights = [0, 0]", "flights = [80, 8]").replace("# bounded disorder", "");
    assert_eq!(differences(EXAMPLE, &other), "");
}

#[test]
fn differences_are_told_in_words() {
    let other = EXAMPLE
        .replace("size = \"1h\"", "size = \"30m\"\noffset = \"5m\"")
        .replace("allowed_lateness = \"6h\"\n", "")
        .replace("mean_delay = \"avg(dep_delay)\", ", "n = \"count(x)\", ")
        .replace("[node.flown]\n", "[node.departed]\nrenamed_from = \"flown\"\n")
        .replace("\"flown\"\nsize", "\"departed\"\nsize")
        .replace("[node.out]", "[node.result]")
        .replace("departures by origin\"", "departures\"\nparallelism = 2");
    assert_snapshot!(differences(EXAMPLE, &other), @r#"
    pipeline.name: "departures by origin" becomes "departures"
    pipeline.parallelism: set to 2
    departed: renamed from flown, keeps its state
    hourly.size: "1h" becomes "30m"
    hourly.offset: set to "5m"
    hourly.aggregate.n: set to "count(x)"
    hourly.aggregate.mean_delay: removed, was "avg(dep_delay)"
    hourly.allowed_lateness: removed, was "6h"
    result: new node (file_sink)
    out: node removed (file_sink)
    "#);
    let changed = changed_nodes(&diff(EXAMPLE, &other).expect("two texts of TOML"));
    assert_eq!(changed.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["departed", "hourly", "out", "result"]);
}

#[test]
fn the_order_of_aggregates_is_a_difference() {
    let other = EXAMPLE.replace(
        "departures = \"count(*)\", mean_delay = \"avg(dep_delay)\"",
        "mean_delay = \"avg(dep_delay)\", departures = \"count(*)\"",
    );
    assert_snapshot!(differences(EXAMPLE, &other), @"hourly.aggregate: now in the order mean_delay, departures, p95_delay");
}

#[test]
fn a_difference_shows_references_and_not_what_they_read() {
    let other = EXAMPLE.replace("data/flights", "${SECRET}");
    assert_snapshot!(differences(EXAMPLE, &other), @r#"flights.path: "data/flights.parquet" becomes "${SECRET}.parquet""#);
}

#[test]
fn the_graph_has_every_node_with_a_place_and_every_edge() {
    let drawn = graph(EXAMPLE, &catalog()).expect("TOML");
    let nodes = drawn.nodes.iter().map(|node| {
        let [x, y] = node.position;
        format!("{} {} at {x},{y} lines {:?}: {}", node.id, node.kind, node.lines, node.key_setting)
    });
    let edges = drawn.edges.iter().map(|edge| format!("{}.{} -> {}", edge.from, edge.port, edge.to));
    assert_snapshot!(nodes.chain(edges).collect::<Vec<_>>().join("\n"), @r#"
    flights file at 0,0 lines [6, 11]: data/flights.parquet
    flown filter at 280,0 lines [13, 16]: dep_delay IS NOT NULL
    hourly tumbling_window at 560,0 lines [18, 25]: 1h
    chart dashboard at 840,0 lines [27, 30]: x = window_start, y = mean_delay, series = origin
    out file_sink at 840,120 lines [32, 35]: out/hourly.parquet
    late file_sink at 840,240 lines [37, 40]: out/late.parquet
    flights.out -> flown
    flown.out -> hourly
    hourly.out -> chart
    hourly.out -> out
    hourly.late -> late
    "#);
}

#[test]
fn the_graph_of_a_wrong_file_shows_what_stands_there() {
    let text = "[node.a]\nkind = 3\npath = \"${X}\"\n[node.b]\ninput = { left = \"a.late\", right = 3 }\n[node.j]\nkind = \"join\"\ninput = [\"b\", \"nobody\"]\n";
    let drawn = graph(text, &catalog()).expect("TOML");
    assert_eq!(drawn.nodes[0].fields["path"], json!("${X}"));
    assert_snapshot!(serde_json::to_string_pretty(&drawn.edges).expect("JSON"), @r#"
    [
      {
        "from": "a",
        "port": "late",
        "to": "b",
        "input": "left"
      },
      {
        "from": "b",
        "port": "out",
        "to": "j"
      },
      {
        "from": "nobody",
        "port": "out",
        "to": "j"
      }
    ]
    "#);
}

#[test]
fn the_schema_of_the_file_names_every_kind_with_all_its_fields() {
    let schema = file_schema(&catalog());
    let kinds: Vec<&str> = schema["$defs"].as_object().expect("kinds").keys().map(String::as_str).collect();
    assert_eq!(kinds.len(), 11);
    let fields: Vec<&str> = schema["$defs"]["file"]["properties"].as_object().expect("fields").keys().map(String::as_str).collect();
    assert_snapshot!(fields.join(" "), @"kind path format schema follow block event_time max_delay max_ahead idle_after replay time_zone on_error parallelism renamed_from");
    assert_snapshot!(serde_json::to_string_pretty(&schema["$defs"]["window_join"]).expect("JSON"), @r#"
    {
      "type": "object",
      "title": "window_join",
      "description": "A kind.",
      "properties": {
        "kind": {
          "const": "window_join"
        },
        "input": {
          "type": "object",
          "properties": {
            "left": {
              "type": "string",
              "description": "The node to read, or NODE.PORT."
            },
            "right": {
              "type": "string",
              "description": "The node to read, or NODE.PORT."
            }
          },
          "required": [
            "left",
            "right"
          ],
          "additionalProperties": false
        },
        "on": {
          "anyOf": [
            {
              "type": "array",
              "items": {
                "type": "string",
                "format": "column",
                "examples": [
                  "origin"
                ]
              }
            },
            {
              "type": "object",
              "additionalProperties": {
                "type": "string",
                "format": "column",
                "examples": [
                  "origin"
                ]
              }
            }
          ]
        },
        "size": {
          "type": [
            "string",
            "null"
          ],
          "format": "duration",
          "examples": [
            "5s"
          ]
        },
        "on_error": {
          "anyOf": [
            {
              "oneOf": [
                {
                  "type": "string",
                  "const": "quarantine",
                  "description": "The row leaves by the `quarantined` port with the reason."
                },
                {
                  "type": "string",
                  "const": "null",
                  "description": "The value becomes NULL."
                },
                {
                  "type": "string",
                  "const": "fail",
                  "description": "The pipeline fails."
                }
              ],
              "description": "What happens to a row whose value cannot be computed (overflow, division by zero, a failed cast)."
            },
            {
              "type": "null"
            }
          ],
          "description": "What happens to a row whose value cannot be computed."
        },
        "parallelism": {
          "type": [
            "integer",
            "null"
          ],
          "format": "uint32",
          "minimum": 1,
          "description": "How many tasks run this node; the pipeline's own if absent.",
          "maximum": 1024
        },
        "renamed_from": {
          "type": [
            "string",
            "null"
          ],
          "description": "The node's earlier name, whose state it takes over."
        }
      },
      "required": [
        "kind",
        "input",
        "on"
      ],
      "additionalProperties": false
    }
    "#);
}
