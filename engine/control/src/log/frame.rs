//! One write of the log: records, with what tells whether they are whole.
//!
//! | bytes | little-endian |
//! |---|---|
//! | 4 | `MRCL` |
//! | 2 | version |
//! | 2 | zero |
//! | 4 | length of the payload |
//! | 4 | zero |
//! | 8 | number, one more than the frame before |
//! | 8 | xxh3 of the payload |
//! | 8 | xxh3 of the 32 bytes before |
//! | .. | the payload: records as JSON |

use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 4] = b"MRCL";
const VERSION: u16 = 1;
pub const HEADER_BYTES: usize = 40;
const CHECKED_BYTES: usize = 32;

/// Longest payload. An entry is 1 MiB at most, twice that as JSON, and a frame has those that came together.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 20;

pub fn encode(number: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(payload).to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What stands at the begin of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    Whole {
        number: u64,
        payload: &'a [u8],
        rest: &'a [u8],
    },
    /// Written by a release that this one does not read.
    Newer {
        version: u16,
    },
    /// Cut, or not what was written.
    Broken,
    End,
}

pub fn read(bytes: &[u8]) -> Read<'_> {
    if bytes.is_empty() {
        return Read::End;
    }
    let Some(Header { version, length, number, checksum }) = header(bytes) else { return Read::Broken };
    if version != VERSION {
        return Read::Newer { version };
    }
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    match body.split_at_checked(length) {
        Some((payload, rest)) if length <= MAX_PAYLOAD_BYTES && xxh3_64(payload) == checksum => Read::Whole { number, payload, rest },
        _ => Read::Broken,
    }
}

/// Whether a frame of a number from `number` on begins anywhere in there: then what stands before it was synced once.
pub fn has_later(bytes: &[u8], number: u64) -> bool {
    let is_later = |window: &[u8]| header(window).is_some_and(|header| header.number >= number);
    bytes.windows(HEADER_BYTES).any(|window| window.starts_with(MAGIC) && is_later(window))
}

struct Header {
    version: u16,
    length: usize,
    number: u64,
    checksum: u64,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let (header, _) = bytes.split_at_checked(HEADER_BYTES)?;
    let (checked, own) = header.split_at_checked(CHECKED_BYTES)?;
    if !checked.starts_with(MAGIC) || xxh3_64(checked) != u64::from_le_bytes(own.try_into().ok()?) {
        return None;
    }
    Some(Header {
        version: u16::from_le_bytes(checked.get(4..6)?.try_into().ok()?),
        length: usize::try_from(u32::from_le_bytes(checked.get(8..12)?.try_into().ok()?)).ok()?,
        number: u64::from_le_bytes(checked.get(16..24)?.try_into().ok()?),
        checksum: u64::from_le_bytes(checked.get(24..32)?.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_flipped_bit_and_any_cut_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let bytes = encode(7, &payload);
            let whole = Read::Whole { number: 7, payload: &payload, rest: &[] };
            prop_assert_eq!(read(&bytes), whole);
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert_eq!(read(&flipped), Read::Broken);
            let cut = at.index(bytes.len());
            prop_assert_eq!(read(&bytes[..cut]), if cut == 0 { Read::End } else { Read::Broken });
        }

        #[test]
        fn bytes_that_are_no_frame_are_none(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            prop_assert_eq!(read(&bytes), Read::Broken);
            prop_assert!(!has_later(&bytes, 0));
        }
    }

    #[test]
    fn a_frame_is_found_behind_what_is_broken() {
        let bytes = [vec![1, 2, 3], encode(9, b"x")].concat();
        assert!(has_later(&bytes, 9));
        assert!(!has_later(&bytes, 10));
    }
}
