//! What an earlier release wrote is read: a manifest, and a part of each version, as they were kept.

use std::path::Path;
use std::sync::Arc;

use std::collections::BTreeMap;

use millrace_model::NodeId;
use millrace_state::block::{BlockHome, BlockWriter, Blocks};
use millrace_state::checkpoint::{Committable, Ending, Manifest, PartEntry, RunId, TaskId};
use millrace_state::snapshot::{Counts, PartitionPart, SnapshotWriter, TaskPart, TaskPartWriter};
use millrace_state::store::{FolderStore, Store};
use serde_json::json;

const PART_CHECKSUM: u64 = 0x8f9f_0000;

fn part(folder: &Path) -> (Vec<u8>, u64) {
    let store: Arc<dyn Store> = Arc::new(FolderStore::open(folder).unwrap());
    let blocks = Blocks::new(BlockHome::Kept { store, folder: "blocks".to_owned() }, "hourly-0-11".to_owned());
    let mut block = BlockWriter::default();
    block.piece(7, |out| out.text("EWR"));
    let mut part = TaskPartWriter::default();
    let mut snapshot = SnapshotWriter::new(1024);
    snapshot.shared().i64(1_370_000_000_000_000);
    snapshot.keyed(412, |out| out.text("EWR"));
    for (group, piece) in blocks.write(block).unwrap() {
        snapshot.spilled(group, &piece, |out| out.i64(-5));
    }
    part.node(NodeId::new("hourly"), Counts { rows_in: 336_776, accepted: 336_000, late: 776, ..Counts::default() }, snapshot);
    part.partition(&PartitionPart {
        name: "data/flights.parquet".to_owned(),
        position: json!({ "row_group": 3, "row": 368_640 }),
        newest_us: Some(1_370_000_000_000_000),
        given: [5, 0, 1],
        is_idle: false,
        has_ended: true,
    });
    part.watermark(1_370_000_000_000_000);
    part.in_flight(&TaskId { node: NodeId::new("hourly"), task: 1 }, 0, b"rows");
    let written = part.finish();
    let checksum = written.checksum;
    (written.into_bytes(), checksum)
}

fn manifest() -> Manifest {
    let task = TaskId { node: NodeId::new("flights"), task: 0 };
    Manifest {
        run: RunId(1_767_225_600_000_000),
        epoch: 12,
        taken_us: 1_767_225_720_000_000,
        ending: Some(Ending::Stopped),
        key_groups: 1024,
        nodes: [(NodeId::new("flights"), 17), (NodeId::new("out"), u64::MAX)].into(),
        meanings: BTreeMap::new(),
        parts: vec![PartEntry { task, bytes: 300, checksum: PART_CHECKSUM, blocks: Vec::new() }],
        ready: vec![Committable { node: NodeId::new("out"), task: 0, what: json!({ "part": "out/part-12-0.parquet" }) }],
    }
}

/// Hex, a frame a line. Written once by the release that made the version, with WRITE_FIXTURE set to the file's name, and never again.
fn fixture(name: &str, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("WRITE_FIXTURE").is_ok_and(|asked| asked == name) {
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        std::fs::write(&path, frames.iter().map(hex).collect::<String>()).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let bytes = |line: &str| (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
    text.lines().map(bytes).collect()
}

/// What a frame's header says of its payload.
fn checksum(frame: &[u8]) -> u64 {
    u64::from_le_bytes(frame[16..24].try_into().unwrap())
}

fn check_part(frame: &[u8]) -> TaskPart {
    let part = TaskPart::open(frame.to_vec(), checksum(frame), "the fixture".to_owned()).unwrap();
    let hourly = &part.nodes[0];
    assert_eq!((hourly.counts.accepted, part.shared(hourly).i64().unwrap()), (336_000, 1_370_000_000_000_000));
    assert_eq!(part.keyed(hourly, 412..413).next().unwrap().1.text().unwrap(), "EWR");
    assert_eq!((part.partitions[0].given, part.partitions[0].has_ended), ([5, 0, 1], true));
    part
}

#[test]
fn a_manifest_of_version_1_as_kept_on_disk_still_means_the_same() {
    assert_eq!(Manifest::decode(&fixture("epoch-v1.hex", &[])[0], "the fixture").unwrap(), manifest());
}

#[test]
fn a_part_of_version_1_as_kept_on_disk_still_means_the_same() {
    let part = check_part(&fixture("epoch-v1.hex", &[])[1]);
    assert_eq!(part.spilled(&part.nodes[0], 0..1024).count(), 0, "version 1 knew no blocks");
}

#[test]
fn a_part_of_version_2_as_kept_on_disk_still_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let written = part(folder.path()).0;
    let kept = fixture("part-v2.hex", std::slice::from_ref(&written)).remove(0);
    assert_eq!(kept, written);
    let part = check_part(&kept);
    let (group, place, mut head) = part.spilled(&part.nodes[0], 0..1024).next().unwrap().unwrap();
    assert_eq!((group, place.block.as_str(), place.at, place.bytes, head.i64().unwrap()), (7, "hourly-0-11-0", 0, 11, -5));
    assert_eq!(part.watermark, Some(1_370_000_000_000_000));
    let flying = &part.in_flight[0];
    assert_eq!((flying.task.task, flying.input, part.rows(flying)), (1, 0, &b"rows"[..]));
}
