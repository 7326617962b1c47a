//! A snapshot that is written while rows go on coming is of the moment at which it was asked for.

use millrace_model::NodeId;
use millrace_state::checkpoint::{Manifest, RunId, TaskId};
use millrace_state::snapshot::{SnapshotWriter, TaskPart, TaskPartWriter};
use polars::prelude::*;
use serde_json::{Value, json};

use super::duck::rows;
use super::oracle::random_rows;
use super::{Ports, fire, operator, schema_of, with_time};
use crate::batch::Batch;
use crate::checkpoint::Restored;
use crate::operator::{Operator, Step};

const KEY_GROUPS: u16 = 64;

/// What a run goes on from that has this snapshot.
fn restored(writer: SnapshotWriter) -> Restored {
    let mut part = TaskPartWriter::default();
    part.node(NodeId::new("w"), Default::default(), writer);
    let part = part.finish();
    let checksum = part.checksum;
    let part = TaskPart::open(part.into_bytes(), checksum, "a part".to_owned()).unwrap();
    let (nodes, meanings, parts, ready) = Default::default();
    let manifest = Manifest { run: RunId(0), epoch: 1, taken_us: 0, ending: None, key_groups: KEY_GROUPS, nodes, meanings, parts, ready };
    Restored::new(manifest, vec![(TaskId { node: NodeId::new("w"), task: 0 }, part)])
}

/// All that comes out of an operator which goes on from a snapshot, in an order of its own.
fn all_of(spec: &Value, frame: &DataFrame, writer: SnapshotWriter) -> Vec<String> {
    let mut operator = operator(spec.clone(), schema_of(frame), 100);
    operator.restore(&restored(writer).operator(&NodeId::new("w")), 0..KEY_GROUPS).unwrap();
    let mut ports = Ports::default();
    fire(operator.as_mut(), i64::MAX, &mut ports).unwrap();
    let mut all: Vec<String> = rows(ports.frame(0).as_ref()).iter().map(|row| format!("{row:?}")).collect();
    all.sort();
    all
}

/// Takes some rows in.
fn feed(operator: &mut dyn Operator, frame: &DataFrame, from: usize, rows: usize, ports: &mut Ports) {
    let mut slice = frame.slice(from as i64, rows);
    slice.rechunk_mut();
    if slice.height() > 0 {
        operator.on_batch(0, Batch::new(slice), ports).unwrap();
    }
}

#[test]
fn a_snapshot_is_of_its_moment_whatever_comes_while_it_is_written() {
    let aggregate = json!({
        "rows": "count(*)", "total": "sum(n)", "mean": "avg(n)", "least": "min(s)", "most": "max(n)", "kinds": "count_distinct(s)",
        "all": "string_agg(s, ',')", "middle": "median(n)",
    });
    let specs = [
        json!({ "size": "10s", "by": ["b"] }),
        json!({ "size": "1000d", "by": ["n", "s"] }),
        json!({ "size": "100d", "by": [] }),
        json!({ "kind": "hopping_window", "size": "50s", "slide": "10s", "by": ["n"] }),
        json!({ "kind": "cumulate_window", "size": "60s", "step": "10s", "by": ["s"] }),
    ];
    for mut spec in specs {
        spec["aggregate"] = aggregate.clone();
        spec["allowed_lateness"] = "30s".into();
        for seed in 0..12 {
            let frame = with_time(&random_rows(seed, 600), "t", 3 * 10_000_000);
            let begin = || operator(spec.clone(), schema_of(&frame), 3);
            let (mut ports, cut) = (Ports::default(), 150 + 20 * seed as usize);
            let (mut still, mut moving) = (begin(), begin());
            let snapshots = [&mut still, &mut moving].map(|operator| {
                feed(operator.as_mut(), &frame, 0, cut, &mut ports);
                let mut writer = SnapshotWriter::new(KEY_GROUPS);
                operator.snapshot(&mut writer).unwrap();
                writer
            });
            let [mut at_once, mut meanwhile] = snapshots;
            while still.copy_on(&mut at_once).unwrap() == Step::More {}
            let mut from = cut;
            while moving.copy_on(&mut meanwhile).unwrap() == Step::More {
                feed(moving.as_mut(), &frame, from, 1 + from % 40, &mut ports);
                from += 1 + from % 40;
                // Windows may fire under it.
                if from.is_multiple_of(5) {
                    let watermark = frame.column("__time").unwrap().i64().unwrap().get(from.min(599)).unwrap();
                    fire(moving.as_mut(), watermark, &mut ports).unwrap();
                }
            }
            let expected = all_of(&spec, &frame, at_once);
            assert!(!expected.is_empty());
            assert_eq!(all_of(&spec, &frame, meanwhile), expected, "{spec} seed {seed}");
        }
    }
}
