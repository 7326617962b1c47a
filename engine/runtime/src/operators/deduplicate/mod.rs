//! `deduplicate`: one row of each key.
//!
//! ```toml
//! [node.once]
//! kind = "deduplicate"
//! input = "orders"
//! by = ["order_id"]
//! keep = "first"
//! within = "1h"
//! ```
//!
//! # Which row stays
//!
//! Rows of a key are put in order: by event time, or by `order`, which reads as SQL's ORDER BY (ascending unless `DESC` is said, NULL last
//! unless `NULLS FIRST` is, NaN greater than any number, text by its bytes); rows that are equal in it by their other columns in the
//! input's order, ascending, then by event time. `keep = "first"` keeps the first of that order, `keep = "last"` the last. So nothing hangs
//! on which row came first: the result is that of `QUALIFY row_number() OVER (PARTITION BY by ORDER BY ..) = 1`. NULL is a key like
//! another.
//!
//! | | rows with an event time | with `order` | rows without either |
//! |---|---|---|---|
//! | `first` | append, final once the watermark has passed | upsert by key | append, in order of arrival |
//! | `last` | upsert by key | upsert by key | upsert by key, in order of arrival |
//!
//! **Append**: a row by event time comes out, sorted by time, when the watermark has passed it. Then no earlier row can come: a row whose
//! time is before its own watermark is late, and leaves by `late` as it came; the same rows are late at any batch size and parallelism.
//!
//! **Upsert**: each batch gives, of every key whose row is another now, the new one, with `+I` or `+U` in `__op`. Which steps there are on
//! the way hangs on how batches were cut; what they come to does not. Here no row is late: one that comes late may still be the last.
//!
//! **Arrival**: rows that say nothing of their time are taken as they come. Of a source read in one partition that is its order; of several
//! it hangs on which was faster, and so does the result.
//!
//! # `within`
//!
//! Goes with `keep = "first"` and event time. Rows of a key are gone through in order: the first stays, and rows less than `within` after
//! it are its duplicates; the first row at `within` or later stays again, and so on. A duplicate does not move the bound. What is told
//! apart are the rows in time alone: late rows neither stay nor make duplicates.
//!
//! # State
//!
//! A key of 8 bytes takes some 60, and its row where one is kept. With `within` a key is forgotten when the watermark is `within` past its
//! row. **Without it every key is remembered for ever: state grows with the keys.** Beyond the process' budget it goes to
//! disk ([`super::resting`]); the pipeline's quota stops it.
//!
//! # Law of rows
//!
//! Where rows are final, those that come out are accepted and their duplicates are filtered: `rows = accepted + filtered + late`. A row
//! that waits for the watermark is counted when that has passed it; until then it is a row of the state. Of an upsert every row takes part
//! and is accepted. Nothing is quarantined.
//!
//! The input must be append: of a key whose row is taken back the next one is not known any more.
//!
//! By event time values come out as they came, but for `-0.0`, which comes out as `0.0`, and every NaN as one.

mod arrival;
mod best;
mod bind;
mod changes;
mod earliest;

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::id::LATE_PORT;
use millrace_model::{Category, Diagnostics, Inputs, KindInfo, PortInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind};

use self::arrival::{Arrival, Stays};
use self::best::Best;
use self::bind::{DeduplicatePlan, Mode};
pub use self::bind::{DeduplicateSpec, Keep};
use self::earliest::Earliest;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};

/// One row of each key; see the module's page.
///
/// ```
/// use millrace_runtime::operators::deduplicate::{DeduplicateSpec, Keep};
///
/// let spec: DeduplicateSpec = serde_json::from_str(r#"{ "by": ["order_id"], "within": "1h" }"#)?;
/// assert_eq!((spec.keep, spec.within.map(|within| within.to_string())), (Keep::First, Some("1h".to_owned())));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Deduplicate {
    info: KindInfo,
}

impl Default for Deduplicate {
    fn default() -> Self {
        let info = KindInfo {
            name: "deduplicate",
            title: "Deduplicate",
            category: Category::Window,
            icon: "copy-minus",
            summary: "Keeps one row of each key, the first or the last.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[PortInfo { name: LATE_PORT, summary: "Rows that came after the watermark had passed them, as they came." }],
            key_fields: &["by", "keep"],
            schema: schema_of::<DeduplicateSpec>,
        };
        Deduplicate { info }
    }
}

impl Kind for Deduplicate {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        bind::bind(input, found)
    }
}

impl OperatorFactory for Deduplicate {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let plan: &DeduplicatePlan = node.payload.get().ok_or_else(|| RunError::bug("a deduplicate was bound by another kind"))?;
        let plan = Arc::new(plan.clone());
        Ok(match plan.mode.clone() {
            Mode::FirstToCome => Box::new(Arrival::new(plan, Stays::First)),
            Mode::LastToCome => Box::new(Arrival::new(plan, Stays::Last)),
            Mode::Earliest { order, within } => Box::new(Earliest::new(plan, order, within, context)),
            Mode::Best { order } => Box::new(Best::new(plan, order)),
        })
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
