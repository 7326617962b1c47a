//! What stands on disk as an epoch: a part or a manifest is read or refused, whatever its bytes, also where its checksum is right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_state::checkpoint::Manifest;
use millrace_state::frame::{self, HEADER_BYTES};
use millrace_state::snapshot::TaskPart;
use xxhash_rust::xxh3::xxh3_64;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some((header, payload)) = bytes.split_at_mut_checked(HEADER_BYTES) {
        // Length and checksum as they should be: what is behind them is what is looked for.
        header[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        header[16..24].copy_from_slice(&xxh3_64(payload).to_le_bytes());
    } else {
        assert!(Manifest::decode(&bytes, "a manifest").is_err());
        return;
    }
    if let Ok(manifest) = Manifest::decode(&bytes, "a manifest") {
        manifest.encode().expect("what was read can be written");
    }
    let checksum = frame::checksum(&bytes);
    if let Ok(part) = TaskPart::open(bytes, checksum, "a part".to_owned()) {
        for node in &part.nodes {
            let _ = part.shared(node).text();
            part.keyed(node, 0..u16::MAX).for_each(|(_, mut record)| while record.u64().is_ok() {});
            part.spilled(node, 0..u16::MAX).for_each(|piece| drop(piece));
        }
        part.in_flight.iter().for_each(|rows| drop(part.rows(rows).len()));
    }
});
