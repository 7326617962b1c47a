//! The random numbers of the benchmark: drawn by event and field, not one after another.
//!
//! Draw `f` of event `n` is output number `64 n + f` (from 0) of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", 2014) begun at the mixed seed. SplitMix64 mixes a counter, so that any output can be had without those before it: a slice
//! of the events can be made anywhere. Texts take their letters from a SplitMix64 of their own, begun at the draw of their field.

/// What SplitMix64 adds to its state at every step.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws that an event may need, at most.
const DRAWS: u64 = 64;

/// SplitMix64's finalizer.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What an event's draws are for. The numbers are the generator's format: they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Draw {
    FirstName = 0,
    LastName = 1,
    Mailbox = 2,
    MailHost = 3,
    CardHigh = 4,
    CardLow = 5,
    City = 6,
    State = 7,
    ExtraLength = 8,
    Extra = 9,
    ItemName = 10,
    Description = 11,
    InitialBid = 12,
    Reserve = 13,
    Length = 14,
    IsHotSeller = 15,
    Seller = 16,
    Category = 17,
    IsHotAuction = 18,
    Auction = 19,
    IsHotBidder = 20,
    Bidder = 21,
    Price = 22,
    IsHotChannel = 23,
    Channel = 24,
    Url = 25,
}

/// All draws of all events of a seed.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    begin: u64,
}

impl Random {
    pub const fn new(seed: u64) -> Self {
        Random { begin: mix(seed) }
    }

    /// 64 random bits.
    pub const fn draw(self, event: u64, draw: Draw) -> u64 {
        let step = event.wrapping_mul(DRAWS).wrapping_add(draw as u64 + 1);
        mix(self.begin.wrapping_add(step.wrapping_mul(GAMMA)))
    }

    /// A number below `end`, which is at least 1.
    pub const fn below(self, event: u64, draw: Draw, end: u64) -> u64 {
        below(self.draw(event, draw), end)
    }

    /// Whether a chance of `n - 1` in `n` came.
    pub const fn is_hot(self, event: u64, draw: Draw, n: u64) -> bool {
        self.below(event, draw, n) > 0
    }

    /// A price in cents, from 100 to 100,000,000, its logarithm spread evenly: 10 to the power of 6u, times 100.
    pub fn price(self, event: u64, draw: Draw) -> i64 {
        let unit = (self.draw(event, draw) >> 11) as f64 / (1u64 << 53) as f64;
        (power_of_ten(6.0 * unit) * 100.0).round() as i64
    }
}

/// Scales 64 random bits to a number below `end`.
pub const fn below(bits: u64, end: u64) -> u64 {
    ((bits as u128 * end as u128) >> 64) as u64
}

/// 10 to the power of `x`, for `0 <= x < 6`, good to 14 digits.
///
/// By additions and multiplications alone, which IEEE 754 defines to the last bit: `pow` differs from one platform's library to another's,
/// and the same event must have the same price everywhere.
fn power_of_ten(x: f64) -> f64 {
    const TENS: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
    // 1/1 to 1/12, for e to the power of t as its Taylor series; t is below 0.29.
    const INVERSE: [f64; 12] = {
        let mut inverse = [0.0; 12];
        let mut k = 0;
        while k < 12 {
            inverse[k] = 1.0 / (k + 1) as f64;
            k += 1;
        }
        inverse
    };
    let whole = x as usize;
    let t = (x - whole as f64) * std::f64::consts::LN_10 / 8.0;
    let eighth = INVERSE.iter().rev().fold(1.0, |sum, inverse| 1.0 + t * inverse * sum);
    let square = eighth * eighth;
    let half = square * square;
    half * half * TENS.get(whole).copied().unwrap_or(1_000_000.0)
}

/// How many letters come of one output of SplitMix64.
const LETTERS_A_STEP: usize = 4;

/// Appends random text: for each of `length` places `pick` makes a letter of 16 random bits. `state` is where SplitMix64 begins.
fn text(to: &mut Vec<u8>, state: u64, length: usize, pick: impl Fn(u16) -> u8) {
    let end = to.len() + length;
    let mut state = state;
    while to.len() < end {
        state = state.wrapping_add(GAMMA);
        let bits = mix(state);
        let letters: [u8; LETTERS_A_STEP] =
            [pick(bits as u16), pick((bits >> 16) as u16), pick((bits >> 32) as u16), pick((bits >> 48) as u16)];
        to.extend_from_slice(&letters);
    }
    to.truncate(end);
}

/// Appends `length` letters, a to z.
pub fn letters(to: &mut Vec<u8>, state: u64, length: usize) {
    text(to, state, length, |bits| b'a' + ((u32::from(bits) * 26) >> 16) as u8);
}

/// Appends letters with `between` in the place of every 13th or so: from 3 to `most` of them, `most` itself left out.
pub fn words(to: &mut Vec<u8>, state: u64, most: u64, between: u8) {
    let length = 3 + below(mix(state), most - 3);
    text(to, state, length as usize, |bits| {
        // 26 in 338, and 12 in 338 for each letter.
        match (u32::from(bits) * 338) >> 16 {
            place @ 26.. => b'a' + ((place - 26) / 12) as u8,
            _ => between,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_splitmix64_by_number() {
        // The reference's first outputs for the state 1234567.
        let random = Random { begin: 1_234_567 };
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.draw(0, Draw::FirstName), random.draw(0, Draw::LastName), random.draw(0, Draw::Mailbox)], first);
    }

    #[test]
    fn powers_of_ten_are_those_of_the_library_but_for_the_last_digits() {
        for step in 0..6_000 {
            let x = f64::from(step) / 1_000.0;
            let expected = 10f64.powf(x);
            assert!((power_of_ten(x) - expected).abs() <= 4e-15 * expected, "{x}");
        }
    }

    #[test]
    fn a_thirteenth_of_the_places_between_letters_is_a_space() {
        let mut to = Vec::new();
        for state in 0..2_000 {
            let before = to.len();
            words(&mut to, mix(state), 100, b' ');
            assert!((3..100).contains(&(to.len() - before)));
        }
        let spaces = to.iter().filter(|byte| **byte == b' ').count() as f64 / to.len() as f64;
        assert!((spaces * 13.0 - 1.0).abs() < 0.05, "{spaces}");
        let mut counts = [0usize; 26];
        to.iter().filter(|byte| **byte != b' ').for_each(|byte| counts[usize::from(byte - b'a')] += 1);
        let mean = counts.iter().sum::<usize>() as f64 / 26.0;
        assert!(counts.iter().all(|count| (*count as f64 / mean - 1.0).abs() < 0.1), "{counts:?}");
    }
}
