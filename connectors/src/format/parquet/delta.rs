//! The heads of delta-encoded values: what a decoder takes memory by.
//!
//! A run is a header (block size, miniblocks per block, number of values, first value) and blocks (least delta, a width per miniblock,
//! the miniblocks). See "Delta Encoding" in Parquet's `Encodings.md`.

/// Largest block, in values. Writers use 128 or 256.
const MAX_BLOCK: u64 = 1 << 16;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or("delta-encoded values end too soon")?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number of more than 10 bytes")
    }

    fn zigzag(&mut self) -> Result<i64, &'static str> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

/// A run's header.
struct Head {
    miniblocks: u64,
    values_per_miniblock: u64,
    values: u64,
}

fn head(cursor: &mut Cursor<'_>, most_values: u32) -> Result<Head, &'static str> {
    let (block, miniblocks, values) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
    if block == 0 || block > MAX_BLOCK || miniblocks == 0 || miniblocks > block || !block.is_multiple_of(miniblocks) {
        return Err("delta-encoded values in blocks of an impossible size");
    }
    if values > u64::from(most_values) {
        return Err("more delta-encoded values than the page has, or may have");
    }
    Ok(Head { miniblocks, values_per_miniblock: block / miniblocks, values })
}

/// Checks the header of the run that `bytes` begin with: it claims no more values than the page has.
pub fn check_head(bytes: &[u8], most_values: u32) -> Result<(), &'static str> {
    head(&mut Cursor { bytes, at: 0 }, most_values).map(|_| ())
}

/// Checks values that share prefixes with the one before: both runs of lengths, and that they do not unfold to more than `most_bytes`.
/// Gives the bytes that the prefixes add.
pub fn check_prefixed(bytes: &[u8], most_values: u32, most_bytes: u64) -> Result<u64, &'static str> {
    let (prefixes, end) = sum(bytes, most_values)?;
    let suffixes = bytes.get(end..).ok_or("delta-encoded values end too soon")?;
    check_head(suffixes, most_values)?;
    if prefixes.saturating_add(bytes.len() as u64) > most_bytes { Err("texts unfold to more than a page may hold") } else { Ok(prefixes) }
}

/// Reads a run of lengths, and gives their sum and where it ends.
fn sum(bytes: &[u8], most_values: u32) -> Result<(u64, usize), &'static str> {
    let mut run = Run::begin(bytes, most_values)?;
    let mut total = 0u64;
    run.each_value(|value| {
        let length = u64::try_from(value).map_err(|_| "a text of a length below zero")?;
        total = total.saturating_add(length);
        Ok(())
    })?;
    Ok((total, run.cursor.at))
}

/// The values of an INT32 column as plain ones, if some of its deltas are wider than 32 bits; `None` if none is.
///
/// The deltas of 32-bit values fit 32 bits, since they wrap. DuckDB subtracts in 64 bits instead, and parquet-rs refuses what comes of it.
pub fn plain_of_wide(bytes: &[u8], most_values: u32, most_bytes: usize) -> Result<Option<Vec<u8>>, &'static str> {
    if !is_wide(bytes, most_values) {
        return Ok(None);
    }
    let mut run = Run::begin(bytes, most_values)?;
    // A miniblock of no width holds many values in no bytes: their number alone says what they unfold to.
    if run.values.saturating_mul(size_of::<i32>() as u64) > most_bytes as u64 {
        return Err("values unfold to more than a page may hold");
    }
    let mut plain = Vec::with_capacity(run.values as usize * size_of::<i32>());
    run.each_value(|value| {
        plain.extend_from_slice(&value.to_le_bytes());
        Ok(())
    })?;
    Ok(Some(plain))
}

/// What ends too soon is not called wide: whoever decodes it will say what is wrong.
fn is_wide(bytes: &[u8], most_values: u32) -> bool {
    let Ok(mut run) = Run::begin(bytes, most_values) else { return false };
    while let Ok(Some(miniblock)) = run.miniblock() {
        if miniblock.width > 32 || i32::try_from(miniblock.least).is_err() {
            return true;
        }
    }
    false
}

/// A run under way.
struct Run<'a> {
    cursor: Cursor<'a>,
    miniblocks: u64,
    values_per_miniblock: u64,
    values: u64,
    first: i64,
    /// Values that no miniblock was read for.
    left: u64,
    /// Of the block at hand: its least delta, where its widths stand, and the next miniblock.
    least: i64,
    widths_at: usize,
    index: u64,
}

struct Miniblock<'a> {
    least: i64,
    width: usize,
    packed: &'a [u8],
    values: usize,
}

impl<'a> Run<'a> {
    fn begin(bytes: &'a [u8], most_values: u32) -> Result<Self, &'static str> {
        let mut cursor = Cursor { bytes, at: 0 };
        let Head { miniblocks, values_per_miniblock, values } = head(&mut cursor, most_values)?;
        let (first, left) = (cursor.zigzag()?, values.saturating_sub(1));
        Ok(Run { cursor, miniblocks, values_per_miniblock, values, first, left, least: 0, widths_at: 0, index: miniblocks })
    }

    fn miniblock(&mut self) -> Result<Option<Miniblock<'a>>, &'static str> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.index == self.miniblocks {
            self.least = self.cursor.zigzag()?;
            self.widths_at = self.cursor.at;
            self.cursor.at += self.miniblocks as usize;
            self.index = 0;
        }
        let width = usize::from(*self.cursor.bytes.get(self.widths_at + self.index as usize).ok_or("delta-encoded values end too soon")?);
        if width > 64 {
            return Err("delta-encoded values of an impossible width");
        }
        let end = self.cursor.at + (width * self.values_per_miniblock as usize).div_ceil(8);
        let packed = self.cursor.bytes.get(self.cursor.at..end).ok_or("delta-encoded values end too soon")?;
        let values = self.left.min(self.values_per_miniblock);
        self.cursor.at = end;
        self.index += 1;
        self.left -= values;
        Ok(Some(Miniblock { least: self.least, width, packed, values: values as usize }))
    }

    /// Gives out every value, 32 bits wide and wrapped as such, and stands behind the run.
    fn each_value(&mut self, mut each: impl FnMut(i32) -> Result<(), &'static str>) -> Result<(), &'static str> {
        let mut value = self.first as i32;
        if self.values > 0 {
            each(value)?;
        }
        while let Some(miniblock) = self.miniblock()? {
            for place in 0..miniblock.values {
                let delta = miniblock.least.wrapping_add(bits(miniblock.packed, place * miniblock.width, miniblock.width) as i64);
                value = value.wrapping_add(delta as i32);
                each(value)?;
            }
        }
        Ok(())
    }
}

/// `width` bits from bit `at` on, the lowest first; at most 64.
fn bits(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut window = [0u8; 16];
    let rest = bytes.get(at / 8..).unwrap_or_default();
    // 64 bits that begin within a byte reach into nine.
    for (place, byte) in window.iter_mut().zip(rest.iter().take(9)) {
        *place = *byte;
    }
    let mask = (1u128 << width) - 1;
    (u128::from_le_bytes(window) >> (at % 8) & mask) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value > 0x7f {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    /// A run of `values` times the length `length`, in blocks of 128 with 4 miniblocks.
    fn run(values: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for head in [128, 4, values, length << 1] {
            varint(head, &mut bytes);
        }
        for _ in 0..values.saturating_sub(1).div_ceil(128) {
            // A least delta of nothing, and miniblocks of no width.
            bytes.extend_from_slice(&[0, 0, 0, 0, 0]);
        }
        bytes
    }

    #[test]
    fn a_run_claims_no_more_values_than_its_page() {
        assert!(check_head(&run(300, 5), 300).is_ok());
        assert_eq!(check_head(&run(301, 5), 300), Err("more delta-encoded values than the page has, or may have"));
        assert!(check_head(&[0x80; 20], 300).is_err());
        assert!(check_head(&[], 300).is_err());
        assert!(check_head(&[128, 1, 0, 1, 0], 300).is_err(), "no miniblock");
    }

    #[test]
    fn texts_that_repeat_a_long_prefix_are_refused_by_what_they_unfold_to() {
        let bytes = [run(1_000, 1_000_000), run(1_000, 0)].concat();
        assert_eq!(check_prefixed(&bytes, 1_000, 1 << 28), Err("texts unfold to more than a page may hold"));
        assert!(check_prefixed(&bytes, 1_000, 1 << 32).is_ok());
        let lying = [run(10, 1), run(11, 1)].concat();
        assert_eq!(check_prefixed(&lying, 10, 1 << 28), Err("more delta-encoded values than the page has, or may have"));
    }

    #[test]
    fn bits_are_taken_lowest_first() {
        assert_eq!(bits(&[0b1010_0110, 0b0000_0001], 0, 3), 0b110);
        assert_eq!(bits(&[0b1010_0110, 0b0000_0001], 6, 3), 0b110);
        assert_eq!(bits(&[0xff; 9], 7, 64), u64::MAX);
        assert_eq!(bits(&[0xff], 0, 0), 0);
        assert_eq!(bits(&[0xff], 4, 64), 0xf, "what is not there is nothing");
    }

    /// Two values of 32 bits whose delta was taken in 64: a block of 8 with one miniblock, 33 bits wide.
    fn wide(values: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for head in [8, 1, values, u64::from(u32::MAX), 0] {
            varint(head, &mut bytes);
        }
        bytes.push(33);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.resize(bytes.len() + 29, 0);
        bytes
    }

    #[test]
    fn deltas_wider_than_their_values_wrap_to_them() {
        let plain = plain_of_wide(&wide(3), 3, 1 << 20).unwrap().unwrap();
        assert_eq!(plain, [i32::MIN, i32::MAX, i32::MAX].map(i32::to_le_bytes).concat());
        // The greatest value, then twice the least: the least delta itself has 33 bits.
        let mut falling = Vec::new();
        for head in [8, 1, 3, u64::from(u32::MAX) - 1, (u64::from(u32::MAX) << 1) - 1] {
            varint(head, &mut falling);
        }
        falling.push(32);
        falling.extend_from_slice(&[0u32, u32::MAX, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat());
        let plain = plain_of_wide(&falling, 3, 1 << 20).unwrap().unwrap();
        assert_eq!(plain, [i32::MAX, i32::MIN, i32::MIN].map(i32::to_le_bytes).concat());
        assert_eq!(plain_of_wide(&run(300, 5), 300, 1 << 20), Ok(None), "what fits is left to the decoder");
        assert_eq!(plain_of_wide(&wide(3), 3, 11), Err("values unfold to more than a page may hold"));
        assert_eq!(plain_of_wide(&wide(3)[..20], 3, 1 << 20), Ok(None), "so is what is cut short");
        assert!(plain_of_wide(&wide(100), 100, 1 << 20).is_err());
    }
}
