//! Bytes at rest in a frame that tells what they are, how many, and whether they are still the same.
//!
//! | bytes | |
//! |---|---|
//! | 4 | what it is |
//! | 2 | version, little-endian as all that follows |
//! | 2 | zero |
//! | 8 | length of the payload |
//! | 8 | xxh3 of the payload |
//! | .. | the payload, and nothing after it |

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::error::{StateError, StateResult};

pub const HEADER_BYTES: usize = 24;

/// A kind of frame: its first bytes, the versions that this release reads, and what a person calls it.
#[derive(Debug, Clone, Copy)]
pub struct FrameKind {
    pub magic: [u8; 4],
    /// Written by this release.
    pub version: u16,
    /// The oldest that this release reads.
    pub oldest: u16,
    pub name: &'static str,
}

/// Puts a payload in its frame.
pub fn enclose(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&header(kind, payload.len(), xxh3_64(payload)));
    bytes.extend_from_slice(payload);
    bytes
}

/// Frames a payload in pieces, of which the first begins with [`HEADER_BYTES`] bytes of room, without a copy of it; tells its checksum.
pub fn enclose_in_place(kind: FrameKind, pieces: &mut [Vec<u8>]) -> u64 {
    let length: usize = pieces.iter().map(Vec::len).sum();
    let Some((first, rest)) = pieces.split_first_mut() else { return 0 };
    let Some((place, begin)) = first.split_at_mut_checked(HEADER_BYTES) else { return 0 };
    let mut hasher = Xxh3Default::new();
    hasher.update(begin);
    rest.iter().for_each(|piece| hasher.update(piece));
    let checksum = hasher.digest();
    place.copy_from_slice(&header(kind, length - HEADER_BYTES, checksum));
    checksum
}

/// The checksum that a frame says its payload has.
pub fn checksum(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(array(bytes, 16))
}

fn header(kind: FrameKind, length: usize, checksum: u64) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = kind.magic;
    let [e, f] = kind.version.to_le_bytes();
    let mut header = [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (_, numbers) = header.split_at_mut(8);
    let (length_place, checksum_place) = numbers.split_at_mut(8);
    length_place.copy_from_slice(&(length as u64).to_le_bytes());
    checksum_place.copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Takes the payload out, with its version. `what` names the frame in errors.
pub fn open<'a>(kind: FrameKind, bytes: &'a [u8], what: &str) -> StateResult<(u16, &'a [u8])> {
    let damaged = |how: String| StateError::damaged(what, how);
    let (header, payload) =
        bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged(format!("{} bytes are less than its header", bytes.len())))?;
    if !header.starts_with(&kind.magic) {
        return Err(damaged(format!("it is no {}", kind.name)));
    }
    let version = u16::from_le_bytes(array(header, 4));
    if !(kind.oldest..=kind.version).contains(&version) {
        return Err(StateError::Version { what: what.to_owned(), found: version, known: kind.version });
    }
    let length = u64::from_le_bytes(array(header, 8));
    if array::<2>(header, 6) != [0, 0] || length != payload.len() as u64 {
        return Err(damaged(format!("it says {length} bytes and has {}", payload.len())));
    }
    if checksum(header) != xxh3_64(payload) {
        return Err(damaged("its checksum does not fit".to_owned()));
    }
    Ok((version, payload))
}

/// `N` bytes from `at` on; zeros where there are none.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: FrameKind = FrameKind { magic: *b"TEST", version: 2, oldest: 1, name: "test" };

    #[test]
    fn a_frame_of_another_kind_or_version_is_named() {
        let bytes = enclose(KIND, b"state");
        assert_eq!(open(KIND, &bytes, "x").unwrap(), (2, &b"state"[..]));
        let other = FrameKind { magic: *b"ELSE", ..KIND };
        assert_eq!(open(other, &bytes, "x").unwrap_err().to_string(), "x is damaged: it is no test");
        let newer = enclose(FrameKind { version: 3, ..KIND }, b"state");
        assert_eq!(open(KIND, &newer, "x").unwrap_err().to_string(), "x is of version 3, and this release reads up to 2");
    }

    proptest! {
        #[test]
        fn any_flipped_bit_and_any_cut_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let bytes = enclose(KIND, &payload);
            let mut in_place = vec![[vec![7; HEADER_BYTES], payload[..payload.len() / 2].to_vec()].concat(), payload[payload.len() / 2..].to_vec()];
            enclose_in_place(KIND, &mut in_place);
            prop_assert_eq!(&in_place.concat(), &bytes);
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            // One bit makes version 2 of version 0, 3 or beyond, never the 1 that is read as well.
            prop_assert!(open(KIND, &flipped, "x").is_err());
            prop_assert!(open(KIND, &bytes[..at.index(bytes.len())], "x").is_err());
        }
    }
}
