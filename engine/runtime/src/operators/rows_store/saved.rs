//! What operators over kept rows write of themselves in a snapshot for all keys together.

use millrace_state::snapshot::SnapshotWriter;

use crate::checkpoint::OperatorSnapshot;
use crate::error::RunResult;
use crate::operators::window::widened::other_types;

/// Writes the watermark and the types.
pub fn write_shared(watermark: i64, types: &str, writer: &mut SnapshotWriter) {
    writer.shared().i64(watermark);
    writer.shared().text(types);
}

/// Reads what [`write_shared`] wrote. Of former tasks' watermarks the least counts: where barriers overtook rows, one task may have been
/// further than another, and rows on their way to that one are still in time.
pub fn read_shared(snapshot: &OperatorSnapshot<'_>, types: &str) -> RunResult<i64> {
    let mut least: Option<i64> = None;
    for mut shared in snapshot.shared() {
        let watermark = shared.i64()?;
        least = Some(least.map_or(watermark, |least| least.min(watermark)));
        let kept = shared.text()?;
        if kept != types {
            return Err(other_types(format!("its state is of rows of types {kept}, and the input has {types} now")));
        }
    }
    Ok(least.unwrap_or(i64::MIN))
}
