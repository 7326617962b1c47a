//! Rows that were prepared before any clock starts.

use millrace_engine::model::Schema;
use polars::prelude::{DataFrame, PolarsResult};

/// Batches by number, the same every time.
pub trait Prepared: Send + Sync {
    fn schema(&self) -> Schema;

    /// Of every batch.
    fn batch_rows(&self) -> u64;

    /// A batch by its number among all.
    fn batch(&self, number: u64) -> PolarsResult<DataFrame>;

    /// Rows of a batch from one on, which happen when the caller says, as many as there are times; none where times are part of what was
    /// prepared.
    fn batch_at(&self, number: u64, from: usize, times: Vec<i64>) -> PolarsResult<Option<DataFrame>> {
        let _ = (number, from, times);
        Ok(None)
    }
}
