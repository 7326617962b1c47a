//! An operator's records outside of a part: what it wrote goes into pieces of blocks, and comes back out of them.

use std::ops::Range;
use std::sync::Arc;

use super::reader::Reader;
use super::writer::Writer;
use crate::error::StateResult;

/// Writes a piece of one key group.
pub fn write_piece(records: &[&[u8]], out: &mut Writer) {
    records.iter().for_each(|record| out.sized(record));
}

/// What an operator is restored from that was put aside while it ran.
#[derive(Debug, Clone)]
pub struct Apart {
    what: &'static str,
    /// What no key owns, of each task that wrote of it.
    shared: Arc<[Vec<u8>]>,
    pieces: Vec<(u16, Vec<u8>)>,
    /// The piece, and where the record stands in it.
    records: Vec<(usize, Range<usize>)>,
}

impl Apart {
    /// `what` names it in errors.
    pub const fn new(what: &'static str, shared: Arc<[Vec<u8>]>) -> Apart {
        Apart { what, shared, pieces: Vec::new(), records: Vec::new() }
    }

    /// Adds a piece as [`write_piece`] wrote it.
    pub fn add(&mut self, group: u16, piece: Vec<u8>) -> StateResult<()> {
        let mut reader = Reader::new(&piece, self.what);
        while reader.remaining() > 0 {
            let length = reader.count(1)?;
            let at = piece.len() - reader.remaining();
            reader.take(length)?;
            self.records.push((self.pieces.len(), at..at + length));
        }
        self.pieces.push((group, piece));
        Ok(())
    }

    pub fn shared(&self) -> impl Iterator<Item = Reader<'_>> {
        self.shared.iter().map(|shared| Reader::new(shared, self.what))
    }

    /// The records of some key groups, each with its group.
    pub fn keyed(&self, groups: Range<u16>) -> impl Iterator<Item = (u16, Reader<'_>)> {
        self.records.iter().filter_map(move |(piece, at)| {
            let (group, bytes) = self.pieces.get(*piece).filter(|(group, _)| groups.contains(group))?;
            Some((*group, Reader::new(bytes.get(at.clone()).unwrap_or_default(), self.what)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::SnapshotWriter;
    use super::*;

    #[test]
    fn what_an_operator_wrote_comes_back_out_of_its_pieces_in_order() {
        let mut written = SnapshotWriter::new(1024);
        written.shared().i64(-7);
        for (group, number) in [(9u16, 1u64), (3, 2), (9, 3)] {
            written.keyed(group, |out| out.u64(number));
        }
        let mut apart = Apart::new("a piece", vec![written.shared().as_bytes().to_vec()].into());
        for (group, records) in written.by_key_group() {
            let mut piece = Writer::default();
            write_piece(&records, &mut piece);
            apart.add(group, piece.into_bytes()).unwrap();
        }
        let of = |groups| apart.keyed(groups).map(|(group, mut record)| (group, record.u64().unwrap())).collect::<Vec<_>>();
        assert_eq!((of(0..9), of(9..10)), (vec![(3, 2)], vec![(9, 1), (9, 3)]));
        assert_eq!(apart.shared().next().unwrap().i64().unwrap(), -7);
        assert!(apart.add(1, vec![200, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "a length that does not fit is damage");
    }
}
