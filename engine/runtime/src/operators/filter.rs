//! `filter`: keeps the rows for which a condition is true.
//!
//! ```toml
//! [node.flown]
//! kind = "filter"
//! input = "flights"
//! where = "dep_delay IS NOT NULL AND origin <> 'LGA'"
//! ```
//!
//! NULL counts as not true, as in SQL.
//!
//! Rows that change go on as what they are, with `__op`. Where they replace each other by a key, the condition may read the columns of the
//! key alone: by another, a row could go on and the one that replaces it not.
//!
//! The law of its rows: `rows_in = accepted + filtered + quarantined`; the accepted leave by `out`, unchanged and in order.

use std::sync::Arc;

use millrace_expr::compile::CompiledExpr;
use millrace_expr::{compile, parse_predicate};
use millrace_model::catalog::schema_of;
use millrace_model::field::ExprText;
use millrace_model::id::QUARANTINED_PORT;
use millrace_model::{Category, ChangeMode, Diagnostics, Inputs, KindInfo, PortInfo};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort, change_mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, quarantine_schema};
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory, Output, RowCounts};
use crate::operators::changes::check_condition;
use crate::operators::row_errors::RowErrors;

/// Keeps the rows for which a condition is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FilterSpec {
    /// A condition over the input's columns; rows for which it is false or NULL are left out.
    #[serde(rename = "where")]
    pub condition: ExprText,
}

pub struct Filter {
    info: KindInfo,
}

impl Default for Filter {
    fn default() -> Self {
        let info = KindInfo {
            name: "filter",
            title: "Filter",
            category: Category::Shape,
            icon: "funnel",
            summary: "Keeps the rows for which a condition is true.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[PortInfo { name: QUARANTINED_PORT, summary: "Rows whose condition cannot be computed, with the reason." }],
            key_fields: &["where"],
            schema: schema_of::<FilterSpec>,
        };
        Filter { info }
    }
}

impl Kind for Filter {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: FilterSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        let text = &spec.condition.0;
        let condition = parse_predicate(text, &change_mode::content(&upstream.schema, &upstream.mode));
        let payload = match condition {
            Ok(condition) => {
                check_condition(input, &upstream.mode, &condition).into_iter().for_each(|finding| found.push(finding));
                Payload::new(compile(&condition))
            }
            Err(errors) => {
                errors.into_iter().for_each(|error| found.push(error.into_diagnostic(input.node, "where", text)));
                // The columns are known all the same: what stands downstream is still checked.
                Payload::new(())
            }
        };
        let outputs =
            vec![OutputPort::passing(upstream, upstream.schema.clone()), OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false)];
        Some(Bound { outputs, distribution: Distribution::Any, payload })
    }
}

impl OperatorFactory for Filter {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let condition = node.payload.get::<CompiledExpr>().ok_or_else(|| RunError::bug("a filter without its condition"))?;
        let errors = RowErrors::new(context.node.clone(), node.decl.common.on_error);
        Ok(Box::new(FilterOperator { condition: condition.clone(), errors, counts: RowCounts::default() }))
    }
}

struct FilterOperator {
    condition: CompiledExpr,
    errors: RowErrors,
    counts: RowCounts,
}

impl Operator for FilterOperator {
    fn on_batch(&mut self, _input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let rows = batch.rows();
        let (mut keep, failures) = self.condition.evaluate_predicate(batch.frame())?;
        let mut bad = 0;
        if let Some(failures) = failures
            && let Some(rows) = self.errors.settle(batch.frame(), &[("", failures)], None)?
        {
            keep = &keep & &rows.good;
            bad = rows.count;
            out.emit(1, rows.quarantined);
        }
        let kept = keep.sum().unwrap_or(0) as usize;
        self.counts.accepted += kept as u64;
        self.counts.quarantined += bad as u64;
        self.counts.filtered += (rows - kept - bad) as u64;
        if kept == rows {
            out.emit(0, batch);
        } else if kept > 0 {
            out.emit(0, Batch::new(batch.frame().filter_seq(&keep)?));
        }
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
