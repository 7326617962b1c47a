//! The kinds of node, as the palette, the forms and completion need them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// Everything that the editor knows before a file is open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Catalog {
    pub kinds: Vec<KindInfo>,
    /// JSON Schema of the fields that every node has.
    #[ts(type = "unknown")]
    pub common_schema: Value,
    /// JSON Schema of the time fields that every source has.
    #[ts(type = "unknown")]
    pub source_schema: Value,
    /// JSON Schema of the fields that every sink has.
    #[ts(type = "unknown")]
    pub sink_schema: Value,
    /// JSON Schema of the `[pipeline]` table.
    #[ts(type = "unknown")]
    pub pipeline_schema: Value,
    /// JSON Schema of an `[alert.NAME]` table.
    #[ts(type = "unknown")]
    pub alert_schema: Value,
    /// Figures that are of the whole run, and of no node.
    pub run_figures: Vec<String>,
    pub functions: Vec<FunctionInfo>,
    /// Names of data types, for casts and schemas: `VARCHAR`.
    pub types: Vec<String>,
}

/// One kind of node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct KindInfo {
    /// As in the file: `tumbling_window`.
    pub name: String,
    /// As on the palette: `Tumbling window`.
    pub title: String,
    /// `source`, `shape`, `window` or `sink`.
    pub category: String,
    /// A Lucide icon's name.
    pub icon: String,
    pub summary: String,
    pub inputs: InputsInfo,
    /// Whether it has the main output port.
    pub has_output: bool,
    /// Output ports besides the main one.
    pub side_ports: Vec<PortInfo>,
    /// Fields that the node's second line shows, the first that is set.
    pub key_fields: Vec<String>,
    /// JSON Schema of the kind's own fields.
    #[ts(type = "unknown")]
    pub schema: Value,
}

/// How many inputs a kind takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "take")]
pub enum InputsInfo {
    None,
    One,
    Many,
    Named { names: Vec<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PortInfo {
    pub name: String,
    pub summary: String,
}

/// A function of the expression language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FunctionInfo {
    pub name: String,
    /// `round(x DOUBLE, digits INTEGER) -> DOUBLE`
    pub signature: String,
    pub summary: String,
    /// Whether it belongs in `aggregate` and nowhere else.
    pub is_aggregate: bool,
}
