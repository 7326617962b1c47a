//! `derive`: adds computed columns to those that are there.
//!
//! ```toml
//! [node.with_speed]
//! kind = "derive"
//! input = "flights"
//! columns = { hours = "air_time / 60.0", is_late = "dep_delay > 15" }
//! ```
//!
//! Each is computed from the input's columns; none sees another of the same table. Rows that change go on as what they are, as `select` does it.
//!
//! The law of its rows: `rows_in = accepted + quarantined`; the accepted leave by `out`, in order.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use millrace_expr::parse_scalar;
use millrace_model::catalog::schema_of;
use millrace_model::field::ExprText;
use millrace_model::id::QUARANTINED_PORT;
use millrace_model::{Category, ChangeMode, Diagnostics, Inputs, KindInfo, PortInfo, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort, change_mode, codes};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::batch::quarantine_schema;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};
use crate::operators::changes::op_field;
use crate::operators::project::{ProjectOperator, Projection, fields};
use crate::operators::row_errors::RowErrors;

/// Adds computed columns to those that are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeriveSpec {
    /// Expressions over the input's columns, by the name of the column they make.
    pub columns: NamedExprs,
}

/// Expressions by name, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedExprs(pub Vec<(String, ExprText)>);

impl Serialize for NamedExprs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

impl<'de> Deserialize<'de> for NamedExprs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = NamedExprs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of expressions by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedExprs, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(NamedExprs(all))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for NamedExprs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NamedExprs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        let expr = generator.subschema_for::<ExprText>();
        json_schema!({ "type": "object", "additionalProperties": expr, "minProperties": 1 })
    }
}

pub struct Derive {
    info: KindInfo,
}

impl Default for Derive {
    fn default() -> Self {
        let info = KindInfo {
            name: "derive",
            title: "Derive",
            category: Category::Shape,
            icon: "square-function",
            summary: "Adds computed columns to those that are there.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[PortInfo { name: QUARANTINED_PORT, summary: "Rows with a value that cannot be computed, with the reason." }],
            key_fields: &["columns"],
            schema: schema_of::<DeriveSpec>,
        };
        Derive { info }
    }
}

impl Kind for Derive {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: DeriveSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        let content = change_mode::content(&upstream.schema, &upstream.mode);
        let mut columns = Vec::with_capacity(spec.columns.0.len());
        for (name, text) in &spec.columns.0 {
            let field = format!("columns.{name}");
            if upstream.schema.field(name).is_some() {
                let message = format!("the input has a column `{name}` already");
                found.push(input.error(codes::DOUBLE_COLUMN, &field, message).help("give it another name, or replace it with `select`"));
            }
            match parse_scalar(&text.0, &content) {
                Ok(typed) => columns.push((name.clone(), typed)),
                Err(errors) => errors.into_iter().for_each(|error| found.push(error.into_diagnostic(input.node, &field, &text.0))),
            }
        }
        let is_new = |(name, _): &&(String, _)| upstream.schema.field(name).is_none();
        if columns.len() < spec.columns.0.len() || columns.iter().filter(is_new).count() < columns.len() {
            return None;
        }
        let mut all = content.fields.clone();
        all.extend(fields(&columns, upstream, input.node.common.on_error));
        all.extend(op_field(&upstream.mode));
        let outputs = vec![
            OutputPort::passing(upstream, Arc::new(Schema::new(all))),
            OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false),
        ];
        Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(Projection::new(&columns, true)) })
    }
}

impl OperatorFactory for Derive {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let projection = node.payload.get::<Projection>().ok_or_else(|| RunError::bug("a derive without its columns"))?.clone();
        let errors = RowErrors::new(context.node.clone(), node.decl.common.on_error);
        Ok(Box::new(ProjectOperator::new(projection, errors, node)))
    }
}
