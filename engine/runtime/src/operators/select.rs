//! `select`: the columns that go on, named or computed.
//!
//! ```toml
//! [node.short]
//! kind = "select"
//! input = "flights"
//! columns = ["origin", "dep_delay * 60 AS delay_s"]
//! ```
//!
//! The event time survives, whether or not its column is named. So does `__op`, where rows change. Where they replace each other by a key, the
//! key's columns must be among those that go on, under whatever name; a row that cannot be computed then leaves by `quarantined`, and takes
//! the one that it replaces with it: a `-D` goes on in its place.
//!
//! The law of its rows: `rows_in = accepted + quarantined`; the accepted leave by `out`, in order.

use std::sync::Arc;

use millrace_expr::parse_column;
use millrace_model::catalog::schema_of;
use millrace_model::field::ExprText;
use millrace_model::id::QUARANTINED_PORT;
use millrace_model::{Category, ChangeMode, Diagnostics, Inputs, KindInfo, PortInfo, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort, change_mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::quarantine_schema;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};
use crate::operators::changes::{mode_of, op_field};
use crate::operators::project::{ProjectOperator, Projection, fields};
use crate::operators::row_errors::RowErrors;

/// Names or computes the columns that go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelectSpec {
    /// Columns of the input, or expressions with a name: `dep_delay * 60 AS delay_s`.
    #[schemars(length(min = 1))]
    pub columns: Vec<ExprText>,
}

pub struct Select {
    info: KindInfo,
}

impl Default for Select {
    fn default() -> Self {
        let info = KindInfo {
            name: "select",
            title: "Select",
            category: Category::Shape,
            icon: "columns-3",
            summary: "Names or computes the columns that go on.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[PortInfo { name: QUARANTINED_PORT, summary: "Rows with a value that cannot be computed, with the reason." }],
            key_fields: &["columns"],
            schema: schema_of::<SelectSpec>,
        };
        Select { info }
    }
}

impl Kind for Select {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: SelectSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        let content = change_mode::content(&upstream.schema, &upstream.mode);
        let mut columns = Vec::with_capacity(spec.columns.len());
        for (index, text) in spec.columns.iter().enumerate() {
            match parse_column(&text.0, &content) {
                Ok(column) => columns.push(column),
                Err(errors) => {
                    let field = format!("columns.{index}");
                    errors.into_iter().for_each(|error| found.push(error.into_diagnostic(input.node, &field, &text.0)));
                }
            }
        }
        if columns.len() < spec.columns.len() {
            return None;
        }
        let mode = mode_of(input, &upstream.mode, &columns).map_err(|finding| found.push(finding)).ok()?;
        let mut all = fields(&columns, upstream, input.node.common.on_error);
        all.extend(op_field(&mode));
        let outputs = vec![
            OutputPort { mode, ..OutputPort::passing(upstream, Arc::new(Schema::new(all))) },
            OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false),
        ];
        Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(Projection::new(&columns, false)) })
    }
}

impl OperatorFactory for Select {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let projection = node.payload.get::<Projection>().ok_or_else(|| RunError::bug("a select without its columns"))?.clone();
        let errors = RowErrors::new(context.node.clone(), node.decl.common.on_error);
        Ok(Box::new(ProjectOperator::new(projection, errors, node)))
    }
}
