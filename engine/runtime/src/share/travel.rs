//! Elements of an edge as bytes: a tag, then what belongs to it. Rows are Arrow IPC, read by a reader that believes nothing.

use bytes::Bytes;
use millrace_model::Timestamp;

use super::codes;
use crate::arrow_bridge::{decode_ipc, encode_ipc};
use crate::batch::Batch;
use crate::error::{RunError, RunResult};
use crate::flow::Element;
use crate::operator::EndReason;

const BATCH: u8 = 1;
const WATERMARK: u8 = 2;
const IDLE: u8 = 3;
const ACTIVE: u8 = 4;
const BARRIER: u8 = 5;
const FINISHED: u8 = 6;
const STOPPED: u8 = 7;

pub fn encode(element: &Element) -> RunResult<Bytes> {
    let with = |tag: u8, rest: &[u8]| Bytes::from([&[tag], rest].concat());
    Ok(match element {
        Element::Batch(batch) => with(BATCH, &encode_ipc(batch.frame())?),
        Element::Watermark(watermark) => with(WATERMARK, &watermark.micros().to_le_bytes()),
        Element::Idle => with(IDLE, &[]),
        Element::Active => with(ACTIVE, &[]),
        Element::Barrier { epoch } => with(BARRIER, &epoch.to_le_bytes()),
        Element::End(EndReason::Finished) => with(FINISHED, &[]),
        Element::End(EndReason::Stopped) => with(STOPPED, &[]),
    })
}

pub fn decode(bytes: &[u8]) -> RunResult<Element> {
    let (tag, rest) = bytes.split_first().ok_or_else(|| foreign("it is empty"))?;
    let number = || <[u8; 8]>::try_from(rest).map_err(|_| foreign("a number is cut"));
    let bare = |element| if rest.is_empty() { Ok(element) } else { Err(foreign("bytes are left over")) };
    match *tag {
        BATCH => Ok(Element::Batch(Batch::new(decode_ipc(rest)?))),
        WATERMARK => Ok(Element::Watermark(Timestamp(i64::from_le_bytes(number()?)))),
        IDLE => bare(Element::Idle),
        ACTIVE => bare(Element::Active),
        BARRIER => Ok(Element::Barrier { epoch: u64::from_le_bytes(number()?) }),
        FINISHED => bare(Element::End(EndReason::Finished)),
        STOPPED => bare(Element::End(EndReason::Stopped)),
        other => Err(foreign(&format!("its tag is {other}"))),
    }
}

fn foreign(why: &str) -> RunError {
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
        let elements = [
            Element::Batch(Batch::new(rows)),
            Element::Watermark(Timestamp(-5)),
            Element::Idle,
            Element::Active,
            Element::Barrier { epoch: u64::MAX },
            Element::End(EndReason::Finished),
            Element::End(EndReason::Stopped),
        ];
        for element in elements {
            let back = decode(&encode(&element).unwrap()).unwrap();
            match (&element, &back) {
                (Element::Batch(before), Element::Batch(after)) => assert!(before.frame().equals_missing(after.frame())),
                _ => assert_eq!(format!("{element:?}"), format!("{back:?}")),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_they_are_an_element_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
