//! Rows to bytes and back. Done away from the threads that keep sessions alive.

use bytes::Bytes;
use millrace_runtime::arrow_bridge::{decode_ipc, encode_ipc};
use millrace_runtime::{Batch, RunError, RunResult};
use polars::prelude::DataFrame;

/// Rows of about this size go in one message.
const MESSAGE_BYTES: usize = 4 << 20;

/// A batch as Arrow IPC streams, cut so that each fits a message well.
pub async fn encode(batch: Batch) -> RunResult<Vec<(u64, Bytes)>> {
    blocking(move || {
        let rows = batch.rows();
        let parts = batch.bytes().div_ceil(MESSAGE_BYTES).max(1);
        let step = rows.div_ceil(parts).max(1);
        let mut encoded = Vec::with_capacity(parts);
        for start in (0..rows).step_by(step) {
            let part = batch.frame().slice(i64::try_from(start).unwrap_or(i64::MAX), step);
            encoded.push((part.height() as u64, Bytes::from(encode_ipc(&part)?)));
        }
        Ok(encoded)
    })
    .await
}

/// Checked in every offset and length before a column is made. No bytes are no rows.
pub async fn decode(bytes: Bytes) -> RunResult<Batch> {
    if bytes.is_empty() {
        return Ok(Batch::new(DataFrame::empty()));
    }
    blocking(move || decode_ipc(&bytes).map(Batch::new)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> RunResult<T> + Send + 'static) -> RunResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| RunError::bug(panic.to_string()))?
}
