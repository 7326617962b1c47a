//! What every window writes of itself in a snapshot for all keys together.

use millrace_state::snapshot::SnapshotWriter;

use super::states::PaneShape;
use super::widened;
use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;

/// Writes the watermark and the types.
pub fn write_shared(watermark: i64, shape: &PaneShape, writer: &mut SnapshotWriter) {
    writer.shared().i64(watermark);
    writer.shared().text(&shape.types());
}

/// Reads what [`write_shared`] wrote. Of former tasks' watermarks the least counts, which rows in flight to any of them may still want; the
/// task goes on to the others by itself, before anything new comes.
pub fn read_shared(snapshot: &OperatorSnapshot<'_>, shape: &PaneShape) -> RunResult<i64> {
    let mut watermark: Option<i64> = None;
    for mut shared in snapshot.shared() {
        let of = shared.i64()?;
        watermark = Some(watermark.map_or(of, |least| least.min(of)));
        widened::check(shape, shared.text()?, true)?;
    }
    Ok(watermark.unwrap_or(i64::MIN))
}
