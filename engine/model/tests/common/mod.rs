//! Kinds in the likeness of the real ones, so that the file is tested without an engine.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::collections::BTreeMap;

use millrace_model::catalog::schema_of;
use millrace_model::field::{AggregateText, ByteSize, ColumnName, Duration, ExprText, PathText};
use millrace_model::file::{CheckOptions, Checked, Override, check, render};
use millrace_model::{Catalog, Category, Inputs, KindInfo, PortInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSpec {
    /// The file, or a glob.
    path: PathText,
    format: Option<Format>,
    schema: Option<BTreeMap<String, String>>,
    follow: Option<bool>,
    block: Option<ByteSize>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Csv,
    Jsonl,
    Parquet,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct FilterSpec {
    r#where: ExprText,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct SelectSpec {
    columns: Vec<ExprText>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct WindowSpec {
    size: Duration,
    offset: Option<Duration>,
    #[serde(default)]
    by: Vec<ColumnName>,
    aggregate: BTreeMap<String, AggregateText>,
    allowed_lateness: Option<Duration>,
    emit: Option<Emit>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Emit {
    When(When),
    Every(Every),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum When {
    /// One final row.
    OnClose,
    /// Corrections too.
    OnUpdate,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Every {
    every: Duration,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct TopSpec {
    #[schemars(range(min = 1, max = 1000))]
    n: u32,
    order: Vec<String>,
    share: Option<f64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct JoinSpec {
    on: On,
    size: Option<Duration>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum On {
    Same(Vec<ColumnName>),
    Pairs(BTreeMap<String, ColumnName>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct SinkSpec {
    path: PathText,
    format: Option<Format>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct DashboardSpec {
    plot: Plot,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plot {
    x: ColumnName,
    y: ColumnName,
    series: Option<ColumnName>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

const QUARANTINED: PortInfo = PortInfo { name: "quarantined", summary: "Records that could not be read." };
const LATE: PortInfo = PortInfo { name: "late", summary: "Rows that came too late." };

fn kind(name: &'static str, category: Category, inputs: Inputs, schema: fn() -> serde_json::Value) -> KindInfo {
    let side_ports: &'static [PortInfo] = match category {
        Category::Window => &[LATE, QUARANTINED],
        Category::Source | Category::Shape => &[QUARANTINED],
        Category::Sink => &[],
    };
    let key_fields: &'static [&'static str] = &["where", "path", "columns", "size", "plot", "n"];
    let has_output = category != Category::Sink;
    KindInfo { name, title: name, category, icon: "box", summary: "A kind.", inputs, has_output, side_ports, key_fields, schema }
}

pub fn catalog() -> Catalog {
    Catalog::new([
        kind("file", Category::Source, Inputs::None, schema_of::<FileSpec>),
        kind("host_metrics", Category::Source, Inputs::None, schema_of::<Nothing>),
        kind("filter", Category::Shape, Inputs::One, schema_of::<FilterSpec>),
        kind("select", Category::Shape, Inputs::One, schema_of::<SelectSpec>),
        kind("top_n", Category::Shape, Inputs::One, schema_of::<TopSpec>),
        kind("union", Category::Shape, Inputs::Many, schema_of::<Nothing>),
        kind("tumbling_window", Category::Window, Inputs::One, schema_of::<WindowSpec>),
        kind("window_join", Category::Window, Inputs::Named(&["left", "right"]), schema_of::<JoinSpec>),
        kind("file_sink", Category::Sink, Inputs::One, schema_of::<SinkSpec>),
        kind("dashboard", Category::Sink, Inputs::One, schema_of::<DashboardSpec>),
        kind("stdout", Category::Sink, Inputs::One, schema_of::<Nothing>),
    ])
}

pub fn env(name: &str) -> Option<String> {
    match name {
        "DATA" => Some("/srv/data".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "LONG_SECRET" => Some(format!("7swordfish.{}\"\\\n", "swordfish ".repeat(20))),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

pub fn checked_with(text: &str, overrides: &[Override]) -> Checked {
    let catalog = catalog();
    check(text, &CheckOptions { file: Some("p.millrace.toml".to_owned()), catalog: &catalog, env: &env, overrides })
}

pub fn checked(text: &str) -> Checked {
    checked_with(text, &[])
}

/// Every finding of a text as the terminal shows it.
pub fn told(text: &str) -> String {
    told_with(text, &[])
}

pub fn told_with(text: &str, overrides: &[Override]) -> String {
    let checked = checked_with(text, overrides);
    if checked.diagnostics.is_empty() {
        return "nothing".to_owned();
    }
    checked.diagnostics.items.iter().map(|finding| render(finding, text)).collect::<Vec<_>>().join("\n\n")
}

pub const EXAMPLE: &str = r#"millrace = 1                      # the file format

[pipeline]
name = "departures by origin"

[node.flights]
kind = "file"
path = "data/flights.parquet"
event_time = "scheduled"          # the column; or { column, format, unit }
max_delay = "3h"                  # bounded disorder
replay = { by = "reported", speed = "86400x" }  # in the studio, and with `run --replay`; else as fast as it can

[node.flown]
kind = "filter"
input = "flights"
where = "dep_delay IS NOT NULL"

[node.hourly]
kind = "tumbling_window"
input = "flown"
size = "1h"
by = ["origin"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", p95_delay = "quantile(dep_delay, 0.95)" }
allowed_lateness = "6h"
emit = "on_close"                 # on_close | on_update | { every = "5s" }

[node.chart]
kind = "dashboard"
input = "hourly"
plot = { x = "window_start", y = "mean_delay", series = "origin" }

[node.out]
kind = "file_sink"
input = "hourly"
path = "out/hourly.parquet"       # a file: renamed into place at the final epoch

[node.late]
kind = "file_sink"
input = "hourly.late"             # a named output port
path = "out/late.parquet"

[layout]
flights = [0, 0]
"#;

/// A file as people write it: comments of every kind, odd spacing, tables in an order of their own.
pub const COMMENTED: &str = r#"# Departures, by hour.

millrace = 1   # the format

[pipeline]   # settings
name = 'departures'   # literal

# ---- sources ----

# The year 2013.
[node.flights]   # from the BTS
kind = "file"
  # indented comment
path   =   "data/flights.parquet"

max_delay = "3h" # bounded
replay = {by="reported",   speed = "60x"} # fast

# ---- shape ----

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

# ---- sinks ----

[node.both]
kind = "union"
input = ["flown", "flights.quarantined"]  # two

[node.joined]
kind = "window_join"
input = { left = "flown", right = "both" }   # named
on = ["origin"]

[layout]   # places
flights = [0, 0]
flown = [ 280, 0 ]   # right of it
# the end
"#;
