//! What the specs of all windows have in common.

use std::borrow::Cow;
use std::fmt;

use millrace_model::field::{AggregateText, ColumnName, Duration};
use millrace_model::{PortInfo, id};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The ports of a window besides its main one.
pub const SIDE_PORTS: &[PortInfo] = &[
    PortInfo { name: id::LATE_PORT, summary: "Rows that came after their window had closed, as they came." },
    PortInfo { name: id::QUARANTINED_PORT, summary: "Rows that could not be computed, with the reason." },
];

/// The fields that every window has, as its spec gives them to binding.
#[derive(Debug, Clone)]
pub struct Common {
    pub by: Vec<ColumnName>,
    pub aggregate: Aggregates,
}

/// Aggregates by the name of their output column, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aggregates(pub Vec<(String, AggregateText)>);

impl Serialize for Aggregates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, text) in &self.0 {
            map.serialize_entry(name, text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Aggregates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Aggregates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of aggregates by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Aggregates, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Aggregates(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Aggregates {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Aggregates".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "format": "aggregates",
            "additionalProperties": AggregateText::json_schema(generator),
            "minProperties": 1,
            "examples": [{ "departures": "count(*)" }],
        })
    }
}

/// When a window gives out its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Emit {
    When(When),
    Early(Early),
}

impl Default for Emit {
    fn default() -> Self {
        Emit::When(When::OnClose)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// One final row a key, when the window closes.
    OnClose,
    /// A row a key when the window ends, and again whenever a row that comes within `allowed_lateness` changes it.
    OnUpdate,
}

/// Results before the window ends, whichever comes first; when it ends and after that as `on_update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Early {
    /// So often by the clock, of every key that has had rows since its last result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// After so many rows of a key in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rows: Option<u32>,
    /// What a result covers; all of the window's rows if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<EmitMode>,
}

/// What a result covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmitMode {
    /// All rows so far: each result replaces the one before.
    Accumulating,
    /// The rows since the last result: results add up.
    Discarding,
}
