//! Binds what operators over keyed and sorted rows have in common: `by`, and `order`.

use std::borrow::Cow;

use millrace_expr::{OrderTerm, parse_order};
use millrace_model::field::ColumnName;
use millrace_model::{DataType, Diagnostics, Schema};
use millrace_plan::{BindInput, Distribution, codes};
use schemars::{JsonSchema, Schema as JsonSchemaText, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A column that rows are sorted by, with its direction: `price DESC`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderText(pub String);

impl JsonSchema for OrderText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OrderText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> JsonSchemaText {
        json_schema!({ "type": "string", "format": "expression", "examples": ["price DESC"] })
    }
}

/// The key columns, without those that are wrong, which are told.
pub fn bind_keys(input: &BindInput<'_>, by: &[ColumnName], schema: &Schema, found: &mut Diagnostics) -> Vec<(String, DataType)> {
    let mut keys: Vec<(String, DataType)> = Vec::new();
    for (at, column) in by.iter().enumerate() {
        let (name, field) = (&column.0, format!("by.{at}"));
        match schema.field(name) {
            None => {
                let finding = input.error(codes::UNKNOWN_KEY, &field, format!("the input has no column `{name}`"));
                let columns: Vec<&str> = schema.names().collect();
                found.push(finding.expected(format!("one of {}", columns.join(", "))).nearest_of(name, columns));
            }
            Some(_) if keys.iter().any(|(other, _)| other == name) => {
                found.push(input.error(codes::DOUBLE_COLUMN, &field, format!("`{name}` is named twice")));
            }
            Some(known) => keys.push((name.clone(), known.data_type)),
        }
    }
    keys
}

/// The terms of the order, without those that are wrong, which are told.
pub fn bind_order(input: &BindInput<'_>, order: &[OrderText], schema: &Schema, found: &mut Diagnostics) -> Vec<OrderTerm> {
    let mut terms: Vec<OrderTerm> = Vec::new();
    for (at, text) in order.iter().enumerate() {
        let field = format!("order.{at}");
        match parse_order(&text.0, schema) {
            Err(errors) => errors.into_iter().for_each(|error| found.push(error.into_diagnostic(input.node, &field, &text.0))),
            Ok(term) if terms.iter().any(|other| other.column == term.column) => {
                let finding = input.error(codes::DOUBLE_COLUMN, &field, format!("`{}` is named twice", term.column));
                found.push(finding.help("rows that are equal in it the first time are so the second"));
            }
            Ok(term) => terms.push(term),
        }
    }
    terms
}

/// Where rows of one key meet.
pub fn distribution(keys: &[(String, DataType)]) -> Distribution {
    match keys.is_empty() {
        true => Distribution::Single,
        false => Distribution::ByKey(keys.iter().map(|(name, _)| name.clone()).collect()),
    }
}
