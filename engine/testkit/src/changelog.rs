//! Kind `changelog`: rows that say of themselves what they change.

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::id::MAIN_PORT;
use millrace_model::{Category, ChangeMode, DataType, Diagnostics, Field, Inputs, KindInfo, OP_COLUMN, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort};
use millrace_runtime::batch::is_hidden;
use millrace_runtime::operator::{Operator, OperatorContext, OperatorFactory, Output, RowCounts};
use millrace_runtime::{Batch, RunResult};
use polars::prelude::{Column, DataFrame};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The column of the input that becomes `__op`.
pub const OP_TEXT: &str = "op";

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct ChangelogSpec {
    /// Rows replace each other by these columns; they take each other back if absent.
    #[serde(default)]
    key: Option<Vec<String>>,
}

/// Makes of the input's column `op` what each row does. The rows are believed.
pub struct Changelog {
    info: KindInfo,
}

impl Default for Changelog {
    fn default() -> Self {
        let info = KindInfo {
            name: "changelog",
            title: "changelog",
            category: Category::Shape,
            icon: "flask-conical",
            summary: "For tests.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[],
            key_fields: &[],
            schema: schema_of::<ChangelogSpec>,
        };
        Changelog { info }
    }
}

impl Kind for Changelog {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: ChangelogSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        let mut fields: Vec<Field> = upstream.schema.fields.iter().filter(|field| field.name != OP_TEXT).cloned().collect();
        fields.push(Field::required(OP_COLUMN, DataType::Varchar));
        let mode = spec.key.map_or(ChangeMode::Retract, |key| ChangeMode::Upsert { key });
        let schema = Arc::new(Schema::new(fields));
        let main = OutputPort { name: MAIN_PORT.to_owned(), schema, mode, has_event_time: upstream.has_event_time };
        Some(Bound { outputs: vec![main], distribution: Distribution::Any, payload: Payload::new(()) })
    }
}

impl OperatorFactory for Changelog {
    fn create(&self, _: &Arc<BoundNode>, _: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        Ok(Box::new(ChangelogOperator { counts: RowCounts::default() }))
    }
}

struct ChangelogOperator {
    counts: RowCounts,
}

impl Operator for ChangelogOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        let frame = batch.frame();
        let (hidden, mut columns): (Vec<Column>, Vec<Column>) =
            frame.columns().iter().filter(|column| column.name() != OP_TEXT).cloned().partition(|column| is_hidden(column.name()));
        columns.push(frame.column(OP_TEXT)?.clone().with_name(OP_COLUMN.into()));
        columns.extend(hidden);
        self.counts.accepted += batch.rows() as u64;
        out.emit(0, Batch::new(DataFrame::new(frame.height(), columns)?));
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
