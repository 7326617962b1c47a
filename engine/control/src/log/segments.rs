//! The files of a log: found and read at the start, begun, written to and removed.

use std::collections::VecDeque;
use std::io;

use millrace_state::planted::{self, Bug};
use millrace_state::store::AppendFile;

use super::frame::{self, HEADER_BYTES, MAX_PAYLOAD_BYTES, Read};
use super::records::{Head, Known, Record};
use crate::config::MOST_SEGMENT_BYTES;
use crate::error::{ControlError, ControlResult};
use crate::place::Place;

const PREFIX: &str = "log-";

/// The segments of a log, oldest first; the last one is written to.
#[derive(Debug)]
pub struct Segments {
    place: Place,
    /// One that is longer is not written to any more.
    most_bytes: u64,
    closed: VecDeque<Segment>,
    last: Segment,
    file: Box<dyn AppendFile>,
    written: u64,
    pub(super) next_frame: u64,
    head: Head,
}

#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    number: u64,
    /// The highest index of its entries.
    highest: Option<u64>,
}

impl Segments {
    /// Reads what is there, and cuts off a frame that a crash left half written.
    ///
    /// # Errors
    /// Damage that no crash explains.
    pub fn open(place: &Place, most_bytes: u64) -> ControlResult<(Segments, Known)> {
        let numbers = numbers(place)?;
        let mut reading = Reading { place, known: Known::default(), next_frame: None, segments: VecDeque::new() };
        let mut length = 0;
        if let Some((last, earlier)) = numbers.split_last() {
            earlier.iter().try_for_each(|number| reading.segment(*number, true).map(drop))?;
            length = reading.segment(*last, false)?;
            if let Some(before) = earlier.last().filter(|_| length == 0) {
                // It was being begun, and nothing stands in it: the one before is still the last.
                let path = place.path(&name(*last));
                place.disk.remove_file(&path).map_err(ControlError::io(&path))?;
                reading.segments.pop_back();
                length = file_bytes(place, *before)?;
            }
        }
        let Reading { known, next_frame, mut segments, .. } = reading;
        if !known.is_whole() {
            return Err(ControlError::damaged(&place.folder, "entries are missing"));
        }
        let head = known.head.clone();
        let Some(last) = segments.pop_back() else { return Ok((Segments::begin(place, most_bytes, head)?, known)) };
        let at = place.path(&name(last.number));
        // What was torn goes, so that the next frame follows the last whole one.
        let cut = place.disk.cut(&at, length).and_then(|()| place.disk.sync_folder(&place.folder));
        let file = cut.and_then(|()| place.disk.append_to(&at)).map_err(ControlError::io(&at))?;
        let next_frame = next_frame.unwrap_or_default();
        Ok((Segments { place: place.clone(), most_bytes, closed: segments, last, file, written: length, next_frame, head }, known))
    }

    fn begin(place: &Place, most_bytes: u64, head: Head) -> ControlResult<Segments> {
        let file = place.disk.append_to(&place.path(&name(0))).map_err(ControlError::io(&place.folder))?;
        let (closed, last) = (VecDeque::new(), Segment::default());
        let mut segments = Segments { place: place.clone(), most_bytes, closed, last, file, written: 0, next_frame: 0, head };
        segments.write_head().map_err(ControlError::io(&place.folder))?;
        Ok(segments)
    }

    /// Writes records such that they outlast a crash, all or none.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        if self.written > self.most_bytes {
            self.roll()?;
        }
        self.write_frame(records)?;
        for record in records {
            self.head.take(record);
            if let Record::Entries(entries) = record {
                self.last.highest = self.last.highest.max(entries.iter().map(|entry| entry.log_id.index).max());
            }
        }
        self.forget()
    }

    fn write_frame(&mut self, records: &[Record]) -> io::Result<()> {
        let payload = serde_json::to_vec(records)?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more entries at once than a frame can have"));
        }
        let bytes = frame::encode(self.next_frame, &payload);
        self.file.append(&bytes)?;
        if !is_left_unsynced(records) {
            self.file.sync()?;
        }
        self.next_frame += 1;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn write_head(&mut self) -> io::Result<()> {
        self.write_frame(&[Record::Head(self.head.clone())])?;
        self.place.disk.sync_folder(&self.place.folder)
    }

    /// Begins the next segment.
    fn roll(&mut self) -> io::Result<()> {
        let next = Segment { number: self.last.number + 1, highest: None };
        self.file = self.place.disk.append_to(&self.place.path(&name(next.number)))?;
        self.closed.push_back(std::mem::replace(&mut self.last, next));
        self.written = 0;
        self.write_head()
    }

    /// Removes segments of which no entry counts any more: what else they say is in the head of those after them.
    fn forget(&mut self) -> io::Result<()> {
        let Some(purged) = self.head.purged.map(|purged| purged.index) else { return Ok(()) };
        while let Some(oldest) = self.closed.front().copied().filter(|segment| segment.highest.is_none_or(|highest| highest <= purged)) {
            self.place.disk.remove_file(&self.place.path(&name(oldest.number)))?;
            // Before the next goes: a crash that brought back an older one alone would leave a gap, which is damage.
            self.place.disk.sync_folder(&self.place.folder)?;
            self.closed.pop_front();
        }
        Ok(())
    }
}

/// Never, but where a proof has to notice it.
fn is_left_unsynced(records: &[Record]) -> bool {
    let has = |is_one: fn(&Record) -> bool| records.iter().any(is_one);
    planted::has(Bug::VoteNotSynced) && has(|record| matches!(record, Record::Vote(_)))
        || planted::has(Bug::EntryNotSynced) && has(|record| matches!(record, Record::Entries(_)))
}

struct Reading<'a> {
    place: &'a Place,
    known: Known,
    next_frame: Option<u64>,
    segments: VecDeque<Segment>,
}

impl Reading<'_> {
    /// Reads one segment. Gives the bytes of its whole frames.
    fn segment(&mut self, number: u64, is_closed: bool) -> ControlResult<u64> {
        let name = name(number);
        let damaged = |how: &str| Err(ControlError::damaged(&self.place.path(&name), how));
        let Some(bytes) = self.place.read(&name, MAX_SEGMENT_BYTES)? else { return damaged("it has gone") };
        let mut segment = Segment { number, highest: None };
        let mut rest = bytes.as_slice();
        loop {
            let due = self.next_frame.unwrap_or_default();
            match frame::read(rest) {
                Read::End => break,
                Read::Broken if is_closed || frame::has_later(rest, due + 1) => return damaged("a frame before its end is broken"),
                Read::Broken => break,
                Read::Newer { version } => return damaged(&format!("it is of version {version}, which this release does not read")),
                Read::Whole { number, .. } if self.next_frame.is_some_and(|due| due != number) => {
                    return damaged(&format!("frame {number} stands where {due} is due"));
                }
                Read::Whole { number, payload, rest: after } => {
                    let Ok(records) = serde_json::from_slice::<Vec<Record>>(payload) else { return damaged("records cannot be read") };
                    self.take(records, &mut segment);
                    (self.next_frame, rest) = (Some(number + 1), after);
                }
            }
        }
        self.segments.push_back(segment);
        let torn = if planted::has(Bug::TornTailKept) { 0 } else { rest.len() };
        Ok((bytes.len() - torn) as u64)
    }

    fn take(&mut self, records: Vec<Record>, segment: &mut Segment) {
        for record in records {
            if let Record::Entries(entries) = &record {
                segment.highest = segment.highest.max(entries.iter().map(|entry| entry.log_id.index).max());
            }
            self.known.take(record);
        }
    }
}

/// No segment is longer: one frame passes its bound at most, which is no more than this.
const MAX_SEGMENT_BYTES: u64 = MOST_SEGMENT_BYTES + (MAX_PAYLOAD_BYTES + HEADER_BYTES) as u64;

fn name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

fn file_bytes(place: &Place, number: u64) -> ControlResult<u64> {
    let path = place.path(&name(number));
    place.disk.open(&path).and_then(|file| file.length()).map_err(ControlError::io(&path))
}

/// The numbers of the segments in a folder, in order.
fn numbers(place: &Place) -> ControlResult<Vec<u64>> {
    let names = place.disk.list(&place.folder).map_err(ControlError::io(&place.folder))?;
    let number = |name: &String| name.strip_prefix(PREFIX).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| matches!(pair, [before, after] if before + 1 != *after)) {
        return Err(ControlError::damaged(&place.folder, "a segment is missing"));
    }
    Ok(numbers)
}
