//! What sources of records in a format share: their fields, and how findings name them.

use std::borrow::Cow;
use std::fmt;

use millrace_engine::model::field::{ByteSize, EventTime};
use millrace_engine::model::id::{MAIN_PORT, QUARANTINED_PORT};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{DataType, Diagnostic, Field, NodeDecl, Schema};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{Bound, Distribution, OutputPort};
use millrace_engine::runtime::batch::quarantine_schema;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::codes;
use crate::format::{DiscoverError, Format, ReadOptions};

/// `schema = { column = "BIGINT" }`: types by column, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnTypes(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for ColumnTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = ColumnTypes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of columns and their types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ColumnTypes, A::Error> {
                let mut types = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    types.push(entry);
                }
                Ok(ColumnTypes(types))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for ColumnTypes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ColumnTypes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = DataType::ALL.iter().map(|data_type| data_type.name()).collect();
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string", "examples": names },
            "examples": [{ "price": "DOUBLE", "at": "TIMESTAMP" }],
        })
    }
}

/// Reads `schema`'s type names.
pub fn parse_types(node: &NodeDecl, schema: &ColumnTypes) -> Result<Vec<(String, DataType)>, Diagnostic> {
    let parse = |(column, name): &(String, String)| match DataType::parse(name) {
        Some(data_type) => Ok((column.clone(), data_type)),
        None => {
            let known = DataType::ALL.map(DataType::name);
            let error = node.error(codes::SCHEMA_TYPE, &format!("schema.{column}"), format!("there is no type `{name}`"));
            Err(error.expected(format!("one of {}", known.join(", "))).found(name.clone()).nearest_of(name, known))
        }
    };
    schema.0.iter().map(parse).collect()
}

/// The column that stays text since `event_time` says how it reads.
pub fn text_time_column(node: &NodeDecl) -> Option<String> {
    match &node.source.event_time {
        Some(EventTime::Detailed(detail)) if detail.format.is_some() => Some(detail.column.0.clone()),
        _ => None,
    }
}

/// A delimiter is one byte that cannot be taken for something else.
pub fn parse_delimiter(node: &NodeDecl, delimiter: &str) -> Result<u8, Diagnostic> {
    match delimiter.as_bytes() {
        [byte] if !matches!(byte, b'"' | b'\n' | b'\r' | 0) && byte.is_ascii() => Ok(*byte),
        _ => {
            let error = node.error(codes::BAD_OPTION, "delimiter", "a delimiter is one ASCII character, no quote and no line break");
            Err(error.expected("\",\", \";\", \"\\t\" or \"|\"").found(format!("{delimiter:?}")))
        }
    }
}

/// Largest `max_record`: a record is held whole in memory.
const MOST_RECORD_BYTES: u64 = 256 * 1024 * 1024;

/// The longest record, in bytes, where the node sets it.
pub fn parse_max_record(node: &NodeDecl, size: Option<ByteSize>) -> Result<Option<usize>, Diagnostic> {
    match size {
        Some(size) if !(1..=MOST_RECORD_BYTES).contains(&size.bytes) => {
            let error = node.error(codes::BAD_OPTION, "max_record", "a record is held whole in memory");
            Err(error.expected("1B to 256MiB").found(size.to_string()))
        }
        Some(size) => Ok(usize::try_from(size.bytes).ok()),
        None => Ok(None),
    }
}

/// Why a source's columns cannot be told, as a finding. `name` is the file's.
pub fn discover_finding(node: &NodeDecl, field: &str, name: &str, options: &ReadOptions, error: DiscoverError) -> Diagnostic {
    match error {
        DiscoverError::File { message, help } => {
            let finding = node.error(codes::BAD_FILE, field, format!("{name} cannot be read as {}: {message}", options.format.name()));
            match help {
                Some(help) => finding.help(help),
                None => finding,
            }
        }
        DiscoverError::NoSuchColumn { column, known } => {
            let field = format!("schema.{column}");
            let finding = node.error(codes::SCHEMA_COLUMN, &field, format!("{name} has no column `{column}`"));
            finding.expected(format!("one of {}", shortened(&known))).nearest_of(&column, known.iter().map(String::as_str))
        }
        DiscoverError::WrongType { column, message } => {
            node.error(codes::SCHEMA_TYPE, &format!("schema.{column}"), format!("column `{column}` of {name}: {message}"))
        }
        DiscoverError::Unsupported { column, data_type } => {
            let message = format!("column `{column}` of {name} is {data_type}, which a stream cannot carry");
            let known = DataType::ALL.map(DataType::name);
            let help = "write it as text (a nested value as JSON), or leave it out, where the file is made";
            node.error(codes::COLUMN_TYPE, field, message).expected(format!("what becomes one of {}", known.join(", "))).help(help)
        }
    }
}

const SHOWN_COLUMNS: usize = 12;

fn shortened(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN_COLUMNS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN_COLUMNS { format!("{shown}, ..") } else { shown }
}

/// A source's ports: what it found, and what it could not read.
pub fn bind_source(columns: &SchemaRef, payload: Payload) -> Bound {
    Bound {
        outputs: vec![
            OutputPort::append(MAIN_PORT, columns.clone(), false),
            OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false),
        ],
        distribution: Distribution::Any,
        payload,
    }
}

/// The columns that `schema` alone tells, for an input that can be read but once.
pub fn schema_of_types(types: &[(String, DataType)]) -> Schema {
    Schema::new(types.iter().map(|(name, data_type)| Field::new(name, *data_type)).collect())
}

/// The format of a path, or what is missing to tell it.
pub fn format_of(node: &NodeDecl, format: Option<Format>, path: &str) -> Result<Format, Diagnostic> {
    format.or_else(|| Format::of_path(std::path::Path::new(path))).ok_or_else(|| {
        let error = node.error(codes::NO_FORMAT, "path", format!("the format of `{path}` cannot be told by its extension"));
        error.expected(".csv, .tsv, .jsonl, .ndjson, .json or .parquet").help("set `format` to \"csv\", \"jsonl\" or \"parquet\"")
    })
}
