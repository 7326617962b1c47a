//! An operator that takes its time.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::id::MAIN_PORT;
use millrace_model::{Category, Diagnostics, KindInfo};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort};
use millrace_runtime::operator::{Operator, OperatorContext, OperatorFactory, Output, RowCounts};
use millrace_runtime::{Batch, RunResult};

use crate::memory::info;

/// Kind `toil`: passes rows on, after so many microseconds of work for each (`us`), however fast the machine is and whatever else it does.
pub struct Toiling {
    info: KindInfo,
}

impl Default for Toiling {
    fn default() -> Self {
        Toiling { info: info("toil", Category::Shape) }
    }
}

impl Kind for Toiling {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        let upstream = input.inputs.first()?;
        let outputs = vec![OutputPort::append(MAIN_PORT, upstream.schema.clone(), upstream.has_event_time)];
        Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(()) })
    }
}

impl OperatorFactory for Toiling {
    fn create(&self, node: &Arc<BoundNode>, _: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let micros = node.decl.spec.get("us").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok(Box::new(ToilingOperator { a_row: Duration::from_micros(micros), counts: RowCounts::default() }))
    }
}

struct ToilingOperator {
    a_row: Duration,
    counts: RowCounts,
}

impl Operator for ToilingOperator {
    fn on_batch(&mut self, _: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        // It stands for work: the thread is taken, and the core is not.
        std::thread::sleep(self.a_row * u32::try_from(batch.rows()).unwrap_or(u32::MAX));
        self.counts.accepted += batch.rows() as u64;
        out.emit(0, batch);
        Ok(())
    }

    fn counts(&self) -> RowCounts {
        self.counts
    }
}
