//! One task's part of an epoch.

use std::collections::BTreeSet;
use std::ops::Range;

use millrace_model::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::Reader;
use super::writer::{SnapshotWriter, Writer};
use crate::block::PiecePlace;
use crate::checkpoint::TaskId;
use crate::error::StateResult;
use crate::frame::{self, FrameKind};

const KIND: FrameKind = FrameKind { magic: *b"MRSP", version: 2, oldest: 1, name: "part of a snapshot" };

/// From this version on a node's share ends with the pieces of blocks that it refers to, and the part with the rows that were in flight.
const WITH_PIECES: u16 = 2;

/// A node's counters: a resumed run goes on counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub rows_in: u64,
    pub accepted: u64,
    pub rows_out: u64,
    pub filtered: u64,
    pub late: u64,
    pub late_after_idle: u64,
    pub quarantined: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Counts {
    fn fields(&self) -> [u64; 9] {
        [
            self.rows_in,
            self.accepted,
            self.rows_out,
            self.filtered,
            self.late,
            self.late_after_idle,
            self.quarantined,
            self.bytes_in,
            self.bytes_out,
        ]
    }

    fn read(reader: &mut Reader<'_>) -> StateResult<Counts> {
        Ok(Counts {
            rows_in: reader.u64()?,
            accepted: reader.u64()?,
            rows_out: reader.u64()?,
            filtered: reader.u64()?,
            late: reader.u64()?,
            late_after_idle: reader.u64()?,
            quarantined: reader.u64()?,
            bytes_in: reader.u64()?,
            bytes_out: reader.u64()?,
        })
    }

    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            rows_in: self.rows_in.saturating_add(other.rows_in),
            accepted: self.accepted.saturating_add(other.accepted),
            rows_out: self.rows_out.saturating_add(other.rows_out),
            filtered: self.filtered.saturating_add(other.filtered),
            late: self.late.saturating_add(other.late),
            late_after_idle: self.late_after_idle.saturating_add(other.late_after_idle),
            quarantined: self.quarantined.saturating_add(other.quarantined),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
        }
    }
}

/// A source's partition: from where it is read on, and what its rows have told of event time.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionPart {
    /// As the source calls it.
    pub name: String,
    /// In the source's own words.
    pub position: Value,
    /// The largest event time so far, microseconds since 1970.
    pub newest_us: Option<i64>,
    /// Of what follows `position`, how much had been given out: rows, records that could not be read, rows without a time.
    pub given: [u64; 3],
    pub is_idle: bool,
    pub has_ended: bool,
}

impl PartitionPart {
    fn write(&self, out: &mut Writer) {
        out.text(&self.name);
        out.text(&self.position.to_string());
        out.optional_i64(self.newest_us);
        self.given.iter().for_each(|count| out.u64(*count));
        out.flag(self.is_idle);
        out.flag(self.has_ended);
    }

    fn read(reader: &mut Reader<'_>) -> StateResult<PartitionPart> {
        let name = reader.text()?.to_owned();
        let position = serde_json::from_str(reader.text()?).map_err(|error| reader.damaged(format!("a position is no JSON: {error}")))?;
        let newest_us = reader.optional_i64()?;
        let given = [reader.u64()?, reader.u64()?, reader.u64()?];
        Ok(PartitionPart { name, position, newest_us, given, is_idle: reader.flag()?, has_ended: reader.flag()? })
    }
}

/// Writes a part: what changes is written at once, the rest by [`TaskPartWriter::finish`].
#[derive(Debug, Default)]
pub struct TaskPartWriter {
    nodes: Vec<(NodeId, Counts, SnapshotWriter)>,
    partitions: Writer,
    partition_count: u64,
    watermark: Option<i64>,
    in_flight: Writer,
    in_flight_count: u64,
}

impl TaskPartWriter {
    pub fn node(&mut self, id: NodeId, counts: Counts, snapshot: SnapshotWriter) {
        self.nodes.push((id, counts, snapshot));
    }

    pub fn partition(&mut self, partition: &PartitionPart) {
        self.partition_count += 1;
        partition.write(&mut self.partitions);
    }

    /// The merged watermark of the task's inputs. Where barriers overtake rows, tasks of one node may be at different ones.
    pub const fn watermark(&mut self, micros: i64) {
        self.watermark = Some(micros);
    }

    /// Rows that came to one of the task's inputs before its barrier did, and after the task had passed it: they are delivered first when the
    /// run goes on. `rows` in a form that the caller reads again.
    pub fn in_flight(&mut self, task: &TaskId, input: u32, rows: &[u8]) {
        self.in_flight_count += 1;
        self.in_flight.text(task.node.as_str());
        self.in_flight.u32(task.task);
        self.in_flight.u32(input);
        self.in_flight.sized(rows);
    }

    /// The whole part.
    pub fn finish(self) -> WrittenPart {
        let (mut out, mut pieces, mut blocks) = (Writer::default(), Vec::new(), BTreeSet::new());
        out.room(frame::HEADER_BYTES);
        out.u64(self.nodes.len() as u64);
        let length = |(id, counts, snapshot): &(NodeId, Counts, SnapshotWriter)| {
            8 + id.as_str().len() + size_of_val(&counts.fields()) + snapshot.len()
        };
        out.u64(self.nodes.iter().map(length).sum::<usize>() as u64);
        for (id, counts, snapshot) in self.nodes {
            out.text(id.as_str());
            counts.fields().iter().for_each(|count| out.u64(*count));
            blocks.extend(snapshot.blocks().iter().cloned());
            snapshot.write_to(&mut out, &mut pieces);
        }
        out.u64(self.partition_count);
        out.sized(self.partitions.as_bytes());
        out.optional_i64(self.watermark);
        out.u64(self.in_flight_count);
        out.sized(self.in_flight.as_bytes());
        pieces.push(out.into_bytes());
        let checksum = frame::enclose_in_place(KIND, &mut pieces);
        WrittenPart { pieces, checksum, blocks: blocks.into_iter().collect() }
    }
}

/// A part as it is put to rest.
#[derive(Debug)]
pub struct WrittenPart {
    /// In its frame, cut where it would have been copied otherwise.
    pub pieces: Vec<Vec<u8>>,
    pub checksum: u64,
    /// The blocks that its nodes refer to.
    pub blocks: Vec<String>,
}

impl WrittenPart {
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one.
    pub fn into_bytes(self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// A record of one key group: where it stands in the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRecord {
    pub group: u16,
    at: Range<usize>,
}

/// A node's share of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePart {
    pub node: NodeId,
    pub counts: Counts,
    shared: Range<usize>,
    keyed: Vec<KeyedRecord>,
    spilled: Vec<KeyedRecord>,
}

/// Rows that were in flight to a task: whose, by which of its inputs, and where they stand in the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlightRows {
    pub task: TaskId,
    pub input: u32,
    at: Range<usize>,
}

/// A part that was read: its bytes, and where what stands in them.
#[derive(Debug)]
pub struct TaskPart {
    what: String,
    /// In their frame.
    bytes: Vec<u8>,
    pub nodes: Vec<NodePart>,
    pub partitions: Vec<PartitionPart>,
    /// The merged watermark of the task's inputs, microseconds since 1970.
    pub watermark: Option<i64>,
    /// In the order in which they came.
    pub in_flight: Vec<InFlightRows>,
}

impl TaskPart {
    /// Reads what [`TaskPartWriter::finish`] framed. `checksum` is the manifest's; `what` names the part in errors.
    pub fn open(bytes: Vec<u8>, checksum: u64, what: String) -> StateResult<TaskPart> {
        let (version, payload) = frame::open(KIND, &bytes, &what)?;
        if frame::checksum(&bytes) != checksum {
            return Err(crate::StateError::damaged(what, "it is a part of another epoch than its manifest's"));
        }
        let Read { nodes, partitions, watermark, in_flight } = read(payload, version, &what)?;
        Ok(TaskPart { what, bytes, nodes, partitions, watermark, in_flight })
    }

    /// Rows that were in flight, as they were handed over.
    pub fn rows(&self, in_flight: &InFlightRows) -> &[u8] {
        self.payload().get(in_flight.at.clone()).unwrap_or_default()
    }

    /// Whether the node's operator had written anything.
    pub fn has_state(&self, node: &NodePart) -> bool {
        !node.shared.is_empty() || !node.keyed.is_empty()
    }

    /// What the node's operator holds for all keys together.
    pub fn shared<'a>(&'a self, node: &NodePart) -> Reader<'a> {
        self.reader(&node.shared)
    }

    /// The node's records of some key groups, each with its group.
    pub fn keyed<'a>(&'a self, node: &'a NodePart, groups: Range<u16>) -> impl Iterator<Item = (u16, Reader<'a>)> {
        let mine = node.keyed.iter().filter(move |record| groups.contains(&record.group));
        mine.map(|record| (record.group, self.reader(&record.at)))
    }

    /// The pieces of some key groups that lie in blocks, each with its group and what says what it is.
    pub fn spilled<'a>(
        &'a self,
        node: &'a NodePart,
        groups: Range<u16>,
    ) -> impl Iterator<Item = StateResult<(u16, PiecePlace, Reader<'a>)>> {
        let mine = node.spilled.iter().filter(move |record| groups.contains(&record.group));
        mine.map(|record| {
            let mut reader = self.reader(&record.at);
            let block = reader.text()?.to_owned();
            let place = PiecePlace { block, at: reader.u64()?, bytes: reader.u64()?, checksum: reader.u64()? };
            Ok((record.group, place, reader))
        })
    }

    fn reader<'a>(&'a self, at: &Range<usize>) -> Reader<'a> {
        Reader::new(self.payload().get(at.clone()).unwrap_or_default(), &self.what)
    }

    fn payload(&self) -> &[u8] {
        self.bytes.get(frame::HEADER_BYTES..).unwrap_or_default()
    }
}

struct Read {
    nodes: Vec<NodePart>,
    partitions: Vec<PartitionPart>,
    watermark: Option<i64>,
    in_flight: Vec<InFlightRows>,
}

/// Reads records, which fill their place; `place` tells where a reader stands in the part.
fn read_records(reader: &mut Reader<'_>, place: &dyn Fn(&Reader<'_>) -> usize) -> StateResult<Vec<KeyedRecord>> {
    let count = reader.u64()?;
    let bytes = reader.count(1)?;
    let end = place(reader) + bytes;
    let mut records = Vec::new();
    for _ in 0..count {
        let group = reader.u16()?;
        let length = reader.count(1)?;
        let at = place(reader)..place(reader) + length;
        reader.take(length)?;
        records.push(KeyedRecord { group, at });
    }
    if place(reader) != end {
        return Err(reader.damaged("its records do not fill their place"));
    }
    Ok(records)
}

fn read(payload: &[u8], version: u16, what: &str) -> StateResult<Read> {
    let mut reader = Reader::new(payload, what);
    let place = |reader: &Reader<'_>| payload.len() - reader.remaining();
    let node_count = reader.u64()?;
    let node_bytes = reader.count(1)?;
    let nodes_end = place(&reader) + node_bytes;
    let mut nodes = Vec::new();
    for _ in 0..node_count {
        let node = NodeId::new(reader.text()?);
        let counts = Counts::read(&mut reader)?;
        let shared = reader.count(1)?;
        let shared = place(&reader)..place(&reader) + shared;
        reader.take(shared.len())?;
        let keyed = read_records(&mut reader, &place)?;
        let spilled = if version >= WITH_PIECES { read_records(&mut reader, &place)? } else { Vec::new() };
        nodes.push(NodePart { node, counts, shared, keyed, spilled });
    }
    if place(&reader) != nodes_end {
        return Err(reader.damaged("its nodes do not fill their place"));
    }
    let partition_count = reader.u64()?;
    let mut inside = reader.within()?;
    let mut partitions = Vec::new();
    for _ in 0..partition_count {
        partitions.push(PartitionPart::read(&mut inside)?);
    }
    inside.finish()?;
    let (mut in_flight, mut watermark) = (Vec::new(), None);
    if version >= WITH_PIECES {
        watermark = reader.optional_i64()?;
        let count = reader.u64()?;
        let bytes = reader.count(1)?;
        let end = place(&reader) + bytes;
        for _ in 0..count {
            let task = TaskId { node: NodeId::new(reader.text()?), task: reader.u32()? };
            let input = reader.u32()?;
            let length = reader.count(1)?;
            let at = place(&reader)..place(&reader) + length;
            reader.take(length)?;
            in_flight.push(InFlightRows { task, input, at });
        }
        if place(&reader) != end {
            return Err(reader.damaged("its rows in flight do not fill their place"));
        }
    }
    reader.finish()?;
    Ok(Read { nodes, partitions, watermark, in_flight })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::writer::Records;
    use super::*;

    fn payload() -> Vec<u8> {
        let mut part = TaskPartWriter::default();
        let mut snapshot = SnapshotWriter::new(1024);
        snapshot.shared().i64(-7);
        for group in [3u16, 900, 3] {
            snapshot.keyed(group, |out| {
                out.text("key");
                out.u64(u64::from(group));
            });
        }
        part.node(NodeId::new("hourly"), Counts { rows_in: 5, late: 1, ..Counts::default() }, snapshot);
        part.node(NodeId::new("shown"), Counts::default(), SnapshotWriter::new(1024));
        part.partition(&PartitionPart {
            name: "data/a.csv".to_owned(),
            position: json!({ "byte": 17 }),
            newest_us: Some(-1),
            given: [1, 2, 3],
            is_idle: true,
            has_ended: false,
        });
        part.watermark(-3);
        part.in_flight(&TaskId { node: NodeId::new("hourly"), task: 2 }, 1, b"rows");
        part.finish().into_bytes().split_off(frame::HEADER_BYTES)
    }

    fn enclose(payload: &[u8]) -> (Vec<u8>, u64) {
        (frame::enclose(KIND, payload), xxhash_rust::xxh3::xxh3_64(payload))
    }

    #[test]
    fn records_that_were_written_apart_follow_the_others() {
        let (mut part, mut snapshot, mut apart) = (TaskPartWriter::default(), SnapshotWriter::new(1024), Records::default());
        apart.keyed(7, |out| out.text("apart"));
        snapshot.keyed(7, |out| out.text("first"));
        snapshot.add(apart);
        part.node(NodeId::new("hourly"), Counts::default(), snapshot);
        let written = part.finish();
        let checksum = written.checksum;
        let part = TaskPart::open(written.into_bytes(), checksum, "a part".to_owned()).unwrap();
        let texts: Vec<String> = part.keyed(&part.nodes[0], 0..1024).map(|(_, mut record)| record.text().unwrap().to_owned()).collect();
        assert_eq!(texts, ["first", "apart"]);
    }

    #[test]
    fn a_part_comes_back_as_it_was_and_a_task_reads_its_own_key_groups() {
        let (bytes, checksum) = enclose(&payload());
        let part = TaskPart::open(bytes.clone(), checksum, "a part".to_owned()).unwrap();
        let hourly = &part.nodes[0];
        assert_eq!((hourly.node.as_str(), hourly.counts.rows_in, hourly.counts.late), ("hourly", 5, 1));
        assert_eq!(part.shared(hourly).i64().unwrap(), -7);
        let groups = |range| part.keyed(hourly, range).map(|(group, _)| group).collect::<Vec<_>>();
        assert_eq!((groups(0..512), groups(512..1024)), (vec![3, 3], vec![900]));
        let (_, mut record) = part.keyed(hourly, 512..1024).next().unwrap();
        assert_eq!((record.text().unwrap(), record.u64().unwrap()), ("key", 900));
        assert_eq!((part.partitions[0].position["byte"].as_u64(), part.partitions[0].given), (Some(17), [1, 2, 3]));
        assert_eq!(part.watermark, Some(-3));
        let flying = &part.in_flight[0];
        assert_eq!((flying.task.task, flying.input, part.rows(flying)), (2, 1, &b"rows"[..]));
        assert!(TaskPart::open(bytes, checksum ^ 1, "a part".to_owned()).unwrap_err().to_string().contains("another epoch"));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_part_it_is_read_or_refused(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
            let mut payload = payload();
            for (at, value) in flips {
                let at = at.index(payload.len());
                payload[at] = value;
            }
            // A checksum that fits, as if an enemy had made it.
            let (bytes, checksum) = enclose(&payload);
            if let Ok(part) = TaskPart::open(bytes, checksum, "a part".to_owned()) {
                for node in &part.nodes {
                    let _ = part.shared(node).i64();
                    part.spilled(node, 0..u16::MAX).for_each(|piece| { let _ = piece; });
                    part.keyed(node, 0..u16::MAX).for_each(|(_, mut record)| { let _ = record.text(); });
                }
            }
        }
    }
}
