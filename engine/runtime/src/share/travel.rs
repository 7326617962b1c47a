//! Elements of an edge as bytes: a tag, then what belongs to it. Rows are Arrow IPC, read by a reader that believes nothing; their schema goes
//! before the first of them, and again where it changes.

use bytes::Bytes;
use millrace_model::Timestamp;

use super::codes;
use crate::arrow_bridge::{decode_ipc, decode_ipc_parts, encode_ipc_after, schema_length};
use crate::batch::Batch;
use crate::error::{RunError, RunResult};
use crate::flow::Element;
use crate::operator::EndReason;

/// A schema and rows.
const BATCH: u8 = 1;
const WATERMARK: u8 = 2;
const IDLE: u8 = 3;
const ACTIVE: u8 = 4;
const BARRIER: u8 = 5;
const FINISHED: u8 = 6;
const STOPPED: u8 = 7;
/// Rows of the schema that came last.
const ROWS: u8 = 8;

/// An edge's end where elements leave.
#[derive(Debug, Default)]
pub struct Encoder {
    /// That the other end has.
    schema: Bytes,
}

/// The end where they come.
#[derive(Debug, Default)]
pub struct Decoder {
    schema: Bytes,
}

impl Encoder {
    pub fn encode(&mut self, element: &Element) -> RunResult<Bytes> {
        let with = |tag: u8, rest: &[u8]| Bytes::from([&[tag], rest].concat());
        Ok(match element {
            Element::Batch(batch) => self.rows(batch)?,
            Element::Watermark(watermark) => with(WATERMARK, &watermark.micros().to_le_bytes()),
            Element::Idle => with(IDLE, &[]),
            Element::Active => with(ACTIVE, &[]),
            Element::Barrier { epoch } => with(BARRIER, &epoch.to_le_bytes()),
            Element::End(EndReason::Finished) => with(FINISHED, &[]),
            Element::End(EndReason::Stopped) => with(STOPPED, &[]),
        })
    }

    fn rows(&mut self, batch: &Batch) -> RunResult<Bytes> {
        let mut bytes = encode_ipc_after(&[BATCH], batch.frame())?;
        let stream = bytes.get(1..).unwrap_or_default();
        let length = schema_length(stream).ok_or_else(|| RunError::bug("a stream of rows begins with no schema"))?;
        let schema = stream.get(..length).unwrap_or_default();
        if *schema != *self.schema {
            self.schema = Bytes::copy_from_slice(schema);
            return Ok(Bytes::from(bytes));
        }
        // The tag takes the place of the schema's last byte.
        if let Some(tag) = bytes.get_mut(length) {
            *tag = ROWS;
        }
        Ok(Bytes::from(bytes).split_off(length))
    }
}

impl Decoder {
    pub fn decode(&mut self, bytes: &Bytes) -> RunResult<Element> {
        match bytes.split_first() {
            Some((&BATCH, stream)) => {
                let rows = decode_ipc(stream)?;
                let length = schema_length(stream).ok_or_else(|| foreign("rows without a schema"))?;
                self.schema = Bytes::copy_from_slice(stream.get(..length).unwrap_or_default());
                Ok(Element::Batch(Batch::new(rows)))
            }
            Some((&ROWS, _)) if self.schema.is_empty() => Err(foreign("rows before their schema")),
            Some((&ROWS, rows)) => Ok(Element::Batch(Batch::new(decode_ipc_parts(&[&self.schema, rows])?))),
            _ => decode_bare(bytes),
        }
    }
}

fn decode_bare(bytes: &[u8]) -> RunResult<Element> {
    let (tag, rest) = bytes.split_first().ok_or_else(|| foreign("it is empty"))?;
    let number = || <[u8; 8]>::try_from(rest).map_err(|_| foreign("a number is cut"));
    let bare = |element| if rest.is_empty() { Ok(element) } else { Err(foreign("bytes are left over")) };
    match *tag {
        WATERMARK => Ok(Element::Watermark(Timestamp(i64::from_le_bytes(number()?)))),
        IDLE => bare(Element::Idle),
        ACTIVE => bare(Element::Active),
        BARRIER => Ok(Element::Barrier { epoch: u64::from_le_bytes(number()?) }),
        FINISHED => bare(Element::End(EndReason::Finished)),
        STOPPED => bare(Element::End(EndReason::Stopped)),
        other => Err(foreign(&format!("its tag is {other}"))),
    }
}

/// What came by an edge is nothing that another process of the run sends.
pub fn foreign(why: &str) -> RunError {
    let message = format!("what came from another process is no element of an edge: {why}");
    RunError::State { code: codes::FOREIGN, message, help: "let all processes be of one release", retryable: false }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_element_comes_back_as_it_was() {
        let rows = df!("n" => [Some(1_i64), None], "__time" => [3_i64, 4]).unwrap();
        let others = df!("m" => [Some("a")]).unwrap();
        let elements = [
            Element::Batch(Batch::new(rows.clone())),
            Element::Batch(Batch::new(rows.slice(1, 1))),
            Element::Batch(Batch::new(others)),
            Element::Batch(Batch::new(rows)),
            Element::Watermark(Timestamp(-5)),
            Element::Idle,
            Element::Active,
            Element::Barrier { epoch: u64::MAX },
            Element::End(EndReason::Finished),
            Element::End(EndReason::Stopped),
        ];
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for element in elements {
            let back = decoder.decode(&encoder.encode(&element).unwrap()).unwrap();
            match (&element, &back) {
                (Element::Batch(before), Element::Batch(after)) => assert!(before.frame().equals_missing(after.frame())),
                _ => assert_eq!(format!("{element:?}"), format!("{back:?}")),
            }
        }
    }

    #[test]
    fn a_schema_goes_once_and_again_where_it_changes() {
        let rows = |name: &str| Element::Batch(Batch::new(df!(name => [1_i64]).unwrap()));
        let mut encoder = Encoder::default();
        let tags: Vec<u8> = ["a", "a", "b", "b", "a"].map(|name| encoder.encode(&rows(name)).unwrap()[0]).to_vec();
        assert_eq!(tags, [BATCH, ROWS, BATCH, ROWS, BATCH]);
        let first = Encoder::default().encode(&rows("a")).unwrap();
        let mut encoder = Encoder::default();
        encoder.encode(&rows("a")).unwrap();
        let second = encoder.encode(&rows("a")).unwrap();
        assert!(second.len() < first.len());
        assert!(Decoder::default().decode(&second).is_err(), "rows before their schema");
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_they_are_an_element_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Decoder::default().decode(&Bytes::from(bytes));
        }
    }
}
