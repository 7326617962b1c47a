//! Whether what goes by an edge is packed (LZ4, blocks), which is measured and not configured.
//!
//! The way between two nodes is what holds an edge up where its sender waits for credit while its taker waits for rows. Then, and only then, one
//! stretch is tried packed: if more rows come through in the same time, the edge stays so for a while, and is measured again. On a fast network
//! that comes to one stretch of 4 MiB tried in ever longer ones that are not.

use bytes::Bytes;
use lz4_flex::block;
use tokio::time::Instant;

/// What is measured at a time, in bytes before packing.
const STRETCH_BYTES: u64 = 4 << 20;
/// Packing has to bring this much more, since it costs the processor.
const MUST_BRING: f64 = 1.1;
/// Stretches that an edge stays packed before it is measured again.
const PACKED_FOR: u32 = 64;
/// Stretches until the next try after one that brought nothing, at first and at most: each one waits twice as long.
const FIRST_REST: u32 = 16;
const LONGEST_REST: u32 = 1024;
/// Shorter messages are not worth a call.
const LEAST_BYTES: usize = 4 << 10;
/// What does not become shorter by at least a sixteenth travels as it is.
const LEAST_GAIN: usize = 16;

/// A message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Travelling {
    pub bytes: Bytes,
    /// How long it was before it was packed; 0 if it is as it was.
    pub raw: u32,
}

impl Travelling {
    pub const fn plain(bytes: Bytes) -> Travelling {
        Travelling { bytes, raw: 0 }
    }

    /// Packed, where that makes it shorter.
    pub fn packed(bytes: Bytes) -> Travelling {
        let raw = u32::try_from(bytes.len()).unwrap_or(0);
        if bytes.len() < LEAST_BYTES || raw == 0 {
            return Travelling::plain(bytes);
        }
        let packed = block::compress(&bytes);
        if packed.len() + bytes.len() / LEAST_GAIN > bytes.len() {
            return Travelling::plain(bytes);
        }
        Travelling { bytes: Bytes::from(packed), raw }
    }

    /// The message as it was. The length was checked when it came, so that no more memory is taken than a message may have.
    ///
    /// # Errors
    /// If that is not what was packed: in words.
    pub fn unpacked(self) -> Result<Bytes, String> {
        if self.raw == 0 {
            return Ok(self.bytes);
        }
        let mut whole = vec![0; self.raw as usize];
        let length = block::decompress_into(&self.bytes, &mut whole).map_err(|error| error.to_string())?;
        if length != whole.len() {
            return Err(format!("it is of {length} bytes, and {} were announced", whole.len()));
        }
        Ok(Bytes::from(whole))
    }

    /// How long the message is, as it was.
    pub fn raw_bytes(&self) -> u64 {
        if self.raw == 0 { self.bytes.len() as u64 } else { u64::from(self.raw) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// For so many stretches at least.
    Plain { rest: u32 },
    /// A stretch that follows one that went plain at this many bytes a second.
    Trial { plain: f64 },
    /// For so many stretches more.
    Packed { left: u32 },
}

/// What is known of one edge.
#[derive(Debug)]
pub struct Packing {
    mode: Mode,
    /// How long the next rest is.
    rest: u32,
    since: Option<Instant>,
    raw_bytes: u64,
    sent: u32,
    waited: u32,
    is_hungry: bool,
}

impl Default for Packing {
    fn default() -> Self {
        Packing { mode: Mode::Plain { rest: 0 }, rest: FIRST_REST, since: None, raw_bytes: 0, sent: 0, waited: 0, is_hungry: false }
    }
}

impl Packing {
    pub const fn is_on(&self) -> bool {
        matches!(self.mode, Mode::Trial { .. } | Mode::Packed { .. })
    }

    /// The taker has told whether it waited for rows since it told last.
    pub const fn told(&mut self, is_hungry: bool) {
        self.is_hungry |= is_hungry;
    }

    /// A message went, of so many bytes before packing, and waited for credit or did not.
    pub fn sent(&mut self, raw_bytes: u64, has_waited: bool, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.raw_bytes += raw_bytes;
        self.sent += 1;
        self.waited += u32::from(has_waited);
        if self.raw_bytes < STRETCH_BYTES {
            return;
        }
        let rate = self.raw_bytes as f64 / now.duration_since(since).as_secs_f64().max(1e-9);
        self.mode = self.after(rate);
        (self.since, self.raw_bytes, self.sent, self.waited, self.is_hungry) = (Some(now), 0, 0, 0, false);
    }

    /// What follows a stretch that went at this many bytes a second.
    fn after(&mut self, rate: f64) -> Mode {
        match self.mode {
            Mode::Plain { rest } if rest > 0 => Mode::Plain { rest: rest - 1 },
            Mode::Plain { .. } if self.is_hungry && self.waited * 2 >= self.sent => Mode::Trial { plain: rate },
            Mode::Plain { .. } => Mode::Plain { rest: 0 },
            Mode::Trial { plain } if rate >= plain * MUST_BRING => {
                self.rest = FIRST_REST;
                Mode::Packed { left: PACKED_FOR }
            }
            Mode::Trial { .. } => {
                let rest = self.rest;
                self.rest = (rest * 2).min(LONGEST_REST);
                Mode::Plain { rest }
            }
            // The network may be another by now: one stretch goes plain, and is measured.
            Mode::Packed { left: 0 } => Mode::Plain { rest: 0 },
            Mode::Packed { left } => Mode::Packed { left: left - 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Sends a stretch over a way of so many bytes a second. Packed, three times as much passes; the processor packs no more than `packs` bytes a second.
    fn stretch(packing: &mut Packing, now: &mut Instant, way: f64, packs: f64) -> bool {
        let was_on = packing.is_on();
        let rate = if was_on { (way * 3.0).min(packs) } else { way };
        packing.told(true);
        for _ in 0..16 {
            *now += Duration::from_secs_f64((STRETCH_BYTES / 16) as f64 / rate);
            packing.sent(STRETCH_BYTES / 16, true, *now);
        }
        was_on
    }

    #[test]
    fn a_slow_way_is_packed_from_its_second_stretch_on_and_measured_again_now_and_then() {
        let (mut packing, mut now) = (Packing::default(), Instant::now());
        let packed = (0..300).filter(|_| stretch(&mut packing, &mut now, 50e6, 600e6)).count();
        assert!(packed > 280, "{packed} of 300");
    }

    #[test]
    fn a_fast_way_goes_as_it_is_but_for_a_try_in_ever_more_stretches() {
        let (mut packing, mut now) = (Packing::default(), Instant::now());
        let packed = (0..4_000).filter(|_| stretch(&mut packing, &mut now, 1.5e9, 600e6)).count();
        assert!((1..12).contains(&packed), "{packed} of 4,000");
    }

    #[test]
    fn a_way_that_becomes_slow_is_packed_and_one_that_becomes_fast_is_not_any_more() {
        let (mut packing, mut now) = (Packing::default(), Instant::now());
        for way in [1.5e9, 50e6, 1.5e9] {
            for _ in 0..40 + 2 * PACKED_FOR {
                stretch(&mut packing, &mut now, way, 600e6);
            }
            assert_eq!(packing.is_on(), way < 1e9, "{way}");
        }
    }

    #[test]
    fn an_edge_whose_taker_or_sender_is_the_slow_one_is_never_packed() {
        for (has_waited, is_hungry) in [(true, false), (false, true), (false, false)] {
            let (mut packing, mut now) = (Packing::default(), Instant::now());
            for _ in 0..1_000 {
                packing.told(is_hungry);
                now += Duration::from_millis(10);
                packing.sent(STRETCH_BYTES / 4, has_waited, now);
                assert!(!packing.is_on());
            }
        }
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_what_does_not_become_shorter_stays_as_it_is() {
        let rows = Bytes::from(vec![7; 100_000]);
        let mut packed = Travelling::packed(rows.clone());
        assert!(packed.raw == 100_000 && packed.bytes.len() < 1_000);
        assert_eq!(packed.clone().unpacked(), Ok(rows));
        packed.raw = 99_999;
        assert!(packed.clone().unpacked().is_err());
        packed.raw = 100_001;
        assert!(packed.unpacked().is_err());
        let noise: Vec<u8> = (0..100_000u64)
            .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 ^ (at.wrapping_mul(0xd134_2543_de82_ef95) >> 49) as u8)
            .collect();
        let short = Bytes::from_static(b"a few");
        assert_eq!(Travelling::packed(short.clone()), Travelling::plain(short));
        let noise = Travelling::packed(Bytes::from(noise));
        assert_eq!(noise.clone().unpacked().map(|bytes| bytes.len()), Ok(100_000));
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(bytes in proptest::collection::vec(0u8..4, 0..40_000)) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(Travelling::packed(bytes.clone()).unpacked(), Ok(bytes));
        }

        #[test]
        fn whatever_comes_packed_is_an_error_or_of_the_length_that_was_announced(bytes in proptest::collection::vec(any::<u8>(), 0..300), raw in 1u32..5_000) {
            if let Ok(whole) = (Travelling { bytes: Bytes::from(bytes), raw }).unpacked() {
                prop_assert_eq!(whole.len(), raw as usize);
            }
        }
    }
}
