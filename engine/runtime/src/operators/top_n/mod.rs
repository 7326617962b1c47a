//! `top_n`: the first rows of each key by an order, in windows or of all so far.
//!
//! ```toml
//! [node.worst]
//! kind = "top_n"
//! input = "flown"
//! by = ["origin"]
//! n = 3
//! order = ["dep_delay DESC"]
//! window = "1d"
//! ties = "keep"
//! rank = "place"
//! ```
//!
//! # Which rows come first
//!
//! `order` reads as SQL's ORDER BY: ascending unless `DESC` is said, NULL last unless `NULLS FIRST` is, NaN greater than any number, text
//! by its bytes. Rows that are equal in it follow each other by their other columns in the input's order, ascending; rows that are equal in
//! all are interchangeable. So nothing hangs on which row came first, and the result is that of `QUALIFY row_number() OVER (PARTITION BY by
//! ORDER BY order, the other columns) <= n`. With `ties = "keep"` every row is given that is equal to the nth in `order`: `QUALIFY rank()
//! OVER (PARTITION BY by ORDER BY order) <= n`. `rank` names a column for that number.
//!
//! # With `window`
//!
//! `window = "10s"` ranks within tumbling windows over event time, and puts `window_start`, `window_end`, `window_time` in front of the
//! input's columns. `window = "input"` ranks within the windows that the rows of a window upstream carry in `window_start` and
//! `window_end`, and gives the input's columns. Both append final rows when the window closes, by window, then by key, then in order.
//! Lateness is a row's own, as of every window ([`super::window`]): it is late if its window's end plus `allowed_lateness` is not after its
//! own watermark, and leaves by `late` as it came.
//!
//! # Without
//!
//! The first rows of all so far are kept, and every change of them is told in `__op`: a changelog that takes rows back, for a `dashboard`
//! or another operator that understands it. What a batch changes is told at once and net: first what is taken back (`-D`, with `rank` also
//! `-U`), then what is new (`+I`, `+U`). Which steps there are on the way hangs on how batches were cut; what they come to does not. State
//! is `n` rows a key (and those that share the last place): it grows with the keys.
//!
//! The input must be append: rows once turned away are not kept, so that none could take the place of one that is taken back.
//!
//! Law of rows: every row that is in time takes part and is accepted, whether it is among the first or not. Others leave by `late` as they
//! came, or by `quarantined`: because their window would lie beyond what a TIMESTAMP holds, or, with `window = "input"`, because they carry
//! none. So of each batch `rows = accepted + late + quarantined`; without `window` all are accepted.
//!
//! With `by`, state beyond the process' budget goes to disk ([`super::resting`]); the pipeline's quota stops it. A row that gets in moves those behind it, so that a large `n`
//! costs time where most rows get in.
//!
//! Values come out as they came, but for `-0.0`, which comes out as `0.0`, and every NaN as one.

mod bind;
mod lists;
mod ranking;
mod spec;
mod updating;
mod windowed;

use std::sync::Arc;

use millrace_model::catalog::schema_of;
use millrace_model::id::{LATE_PORT, QUARANTINED_PORT};
use millrace_model::{Category, Diagnostics, Inputs, KindInfo, PortInfo};
use millrace_plan::{BindInput, Bound, BoundNode, Kind};

use self::bind::{TopMode, TopPlan};
pub use self::spec::{Ties, TopNSpec, TopWindow};
use self::updating::UpdatingTop;
use self::windowed::WindowedTop;
use crate::error::{RunError, RunResult};
use crate::operator::{Operator, OperatorContext, OperatorFactory};

/// The first rows of each key by an order; see the module's page.
///
/// ```
/// use millrace_runtime::operators::top_n::{Ties, TopNSpec, TopWindow};
///
/// let fields = r#"{ "by": ["origin"], "n": 3, "order": ["dep_delay DESC"], "window": "1d", "ties": "keep" }"#;
/// let spec: TopNSpec = serde_json::from_str(fields)?;
/// assert!(matches!(spec.window, Some(TopWindow::Tumbling(day)) if day.to_string() == "1d"));
/// assert_eq!((spec.ties, spec.rank), (Ties::Keep, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct TopN {
    info: KindInfo,
}

impl Default for TopN {
    fn default() -> Self {
        let info = KindInfo {
            name: "top_n",
            title: "Top N",
            category: Category::Window,
            icon: "list-ordered",
            summary: "Keeps the first rows of each key by an order, in windows or of all so far.",
            inputs: Inputs::One,
            has_output: true,
            side_ports: &[
                PortInfo { name: LATE_PORT, summary: "Rows that came after their window had closed, as they came." },
                PortInfo { name: QUARANTINED_PORT, summary: "Rows that are in no window, with the reason." },
            ],
            key_fields: &["order", "n", "by"],
            schema: schema_of::<TopNSpec>,
        };
        TopN { info }
    }
}

impl Kind for TopN {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        bind::bind(input, found)
    }
}

impl OperatorFactory for TopN {
    fn create(&self, node: &Arc<BoundNode>, context: &OperatorContext) -> RunResult<Box<dyn Operator>> {
        let plan: &TopPlan = node.payload.get().ok_or_else(|| RunError::bug("a top_n was bound by another kind"))?;
        Ok(match plan.mode {
            TopMode::Tumbling(windows) | TopMode::Carried(windows) => Box::new(WindowedTop::new(plan, windows, context)),
            TopMode::Updating { .. } => Box::new(UpdatingTop::new(plan, context)),
        })
    }

    fn may_rest(&self, _: &BoundNode) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
