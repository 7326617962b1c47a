//! The fields of `top_n`.

use millrace_model::field::{ColumnName, Duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

use crate::operators::ordering::OrderText;

/// The fields of a `top_n`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopNSpec {
    /// The columns whose values each get rows of their own.
    #[serde(default)]
    pub by: Vec<ColumnName>,
    /// How many rows of each key are kept.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n: u64,
    /// Which rows come first, as in SQL: `price DESC`, `ts`, `x ASC NULLS FIRST`.
    #[schemars(length(min = 1))]
    pub order: Vec<OrderText>,
    /// The length of the windows that rows are ranked in, or `input` for those that the input's rows carry; all rows together if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<TopWindow>,
    /// How long after its end a window still takes rows; its result waits as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// What becomes of rows that share the last place.
    #[serde(default)]
    pub ties: Ties,
    /// The name of a column for each row's place, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<String>,
}

/// What becomes of rows that are equal in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// No more than `n` rows: of equal ones those whose other columns are less come first.
    #[default]
    Drop,
    /// All rows that share the last place.
    Keep,
}

/// The windows that rows are ranked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopWindow {
    /// Windows of this length, one after another.
    Tumbling(Duration),
    /// Those that the input's rows carry.
    Input,
}

const INPUT: &str = "input";

impl Serialize for TopWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TopWindow::Tumbling(size) => size.serialize(serializer),
            TopWindow::Input => serializer.serialize_str(INPUT),
        }
    }
}

impl<'de> Deserialize<'de> for TopWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim() == INPUT {
            return Ok(TopWindow::Input);
        }
        let read = Duration::parse(&text).map(TopWindow::Tumbling);
        read.map_err(|error| serde::de::Error::custom(format!("neither `{INPUT}` nor a length: {error}")))
    }
}

impl JsonSchema for TopWindow {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TopWindow".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["1h", INPUT] })
    }
}
