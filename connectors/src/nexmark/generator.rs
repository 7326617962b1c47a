//! The events of the Nexmark benchmark: each a pure function of the seed and its number.
//!
//! The rules are those of the reference generator (Apache Beam's, which the field uses), whose random source has no seed; draws here are by
//! number ([`super::random`]), so that any slice can be made anywhere, and is the same every time. No event looks at another: whom a bid is
//! for follows from how many auctions its number says there were.
//!
//! Two things are not as in the reference: a bidder's id has the first id added once (there: twice), and the addresses of mail have no
//! spaces in them.

use millrace_engine::model::{DataType, Field, Schema};
use polars::prelude::*;
use polars_arrow::array::MutableBinaryViewArray;

use super::Stream;
use super::order::ROUND;
use super::random::{Draw, Random, below, letters, words};

/// When event 0 happens: 2015-07-15 00:00:00 UTC, in milliseconds since 1970.
pub const BASE_MS: i64 = 1_436_918_400_000;

/// Persons and auctions count from here.
pub const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
const AUCTIONS_A_ROUND: u64 = 3;

/// Of the persons only the last so many bid and sell.
const ACTIVE_PERSONS: u64 = 1_000;
/// Of the auctions only about the last so many are bid on.
const AUCTIONS_IN_FLIGHT: u64 = 100;
/// How far ahead an id may be of those that there are.
const LEAD: u64 = 10;
/// One in so many persons and auctions is hot.
const HOT: u64 = 100;

/// Sizes that `extra` pads a row to, on average, in bytes.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;
/// What the reference counts for a number or a time.
const WORD_BYTES: usize = 8;

const FIRST_NAMES: [&str; 11] = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const OTHER_CHANNELS: u64 = 10_000;

/// The columns of a stream.
pub fn schema(stream: Stream) -> Schema {
    use DataType::{BigInt, Timestamp, Varchar};
    let columns: &[(&str, DataType)] = match stream {
        Stream::Person => &[
            ("id", BigInt),
            ("name", Varchar),
            ("email_address", Varchar),
            ("credit_card", Varchar),
            ("city", Varchar),
            ("state", Varchar),
            ("date_time", Timestamp),
            ("extra", Varchar),
            ("event_number", BigInt),
        ],
        Stream::Auction => &[
            ("id", BigInt),
            ("item_name", Varchar),
            ("description", Varchar),
            ("initial_bid", BigInt),
            ("reserve", BigInt),
            ("date_time", Timestamp),
            ("expires", Timestamp),
            ("seller", BigInt),
            ("category", BigInt),
            ("extra", Varchar),
            ("event_number", BigInt),
        ],
        Stream::Bid => &[
            ("auction", BigInt),
            ("bidder", BigInt),
            ("price", BigInt),
            ("channel", Varchar),
            ("url", Varchar),
            ("date_time", Timestamp),
            ("extra", Varchar),
            ("event_number", BigInt),
        ],
    };
    Schema::new(columns.iter().map(|(name, data_type)| Field::new(*name, *data_type)).collect())
}

/// Makes events of a seed and rate.
pub struct Generator {
    random: Random,
    /// Events in a second of event time.
    rate: u64,
    channels: Channels,
}

impl Generator {
    /// `rate` is in events, of all three streams, in a second of event time; at least 1 and at most 10^12.
    pub fn new(seed: u64, rate: u64) -> Self {
        Generator { random: Random::new(seed), rate: rate.max(1), channels: Channels::new(Random::new(seed)) }
    }

    /// The events of these numbers, in the columns of [`schema`]. All of them must be of the stream ([`Stream::of`]).
    pub fn frame(&self, stream: Stream, numbers: &[u64]) -> PolarsResult<DataFrame> {
        let columns = match stream {
            Stream::Person => self.persons(numbers)?,
            Stream::Auction => self.auctions(numbers)?,
            Stream::Bid => self.bids(numbers)?,
        };
        DataFrame::new(numbers.len(), columns)
    }

    fn persons(&self, numbers: &[u64]) -> PolarsResult<Vec<Column>> {
        let random = self.random;
        let name = texts("name", numbers, |n, to| {
            to.extend_from_slice(pick(&FIRST_NAMES, random.draw(n, Draw::FirstName)));
            to.push(b' ');
            to.extend_from_slice(pick(&LAST_NAMES, random.draw(n, Draw::LastName)));
        })?;
        let email = texts("email_address", numbers, |n, to| {
            letters(to, random.draw(n, Draw::Mailbox), 3 + below(random.draw(n, Draw::Mailbox), 4) as usize);
            to.push(b'@');
            letters(to, random.draw(n, Draw::MailHost), 3 + below(random.draw(n, Draw::MailHost), 2) as usize);
            to.extend_from_slice(b".com");
        })?;
        let card = texts("credit_card", numbers, |n, to| {
            let (high, low) = (random.below(n, Draw::CardHigh, 100_000_000), random.below(n, Draw::CardLow, 100_000_000));
            for (index, part) in [high / 10_000, high % 10_000, low / 10_000, low % 10_000].into_iter().enumerate() {
                if index > 0 {
                    to.push(b' ');
                }
                to.extend([1_000, 100, 10, 1].map(|place| b'0' + (part / place % 10) as u8));
            }
        })?;
        let city = texts("city", numbers, |n, to| to.extend_from_slice(pick(&CITIES, random.draw(n, Draw::City))))?;
        let state = texts("state", numbers, |n, to| to.extend_from_slice(pick(&STATES, random.draw(n, Draw::State))))?;
        let extra = self.extra(numbers, PERSON_BYTES, WORD_BYTES, &[&name, &email, &card, &city, &state])?;
        let id = integers("id", numbers, |n| FIRST_ID + last_person(n));
        Ok(vec![
            id,
            name.into_column(),
            email.into_column(),
            card.into_column(),
            city.into_column(),
            state.into_column(),
            self.times(numbers),
            extra,
            own_numbers(numbers),
        ])
    }

    fn auctions(&self, numbers: &[u64]) -> PolarsResult<Vec<Column>> {
        let random = self.random;
        let name = trimmed_texts("item_name", numbers, |n, to| words(to, random.draw(n, Draw::ItemName), 20, b' '))?;
        let description = trimmed_texts("description", numbers, |n, to| words(to, random.draw(n, Draw::Description), 100, b' '))?;
        let initial: Vec<i64> = numbers.iter().map(|n| random.price(*n, Draw::InitialBid)).collect();
        let reserve = numbers.iter().zip(&initial).map(|(n, initial)| initial + random.price(*n, Draw::Reserve)).collect();
        let extra = self.extra(numbers, AUCTION_BYTES, 6 * WORD_BYTES, &[&name, &description])?;
        Ok(vec![
            integers("id", numbers, |n| FIRST_ID + last_auction(n)),
            name.into_column(),
            description.into_column(),
            Int64Chunked::from_vec("initial_bid".into(), initial).into_column(),
            Int64Chunked::from_vec("reserve".into(), reserve).into_column(),
            self.times(numbers),
            times("expires", numbers, |n| self.expires_ms(n)),
            integers("seller", numbers, |n| FIRST_ID + self.seller(n)),
            integers("category", numbers, |n| FIRST_CATEGORY + random.below(n, Draw::Category, CATEGORIES)),
            extra,
            own_numbers(numbers),
        ])
    }

    fn bids(&self, numbers: &[u64]) -> PolarsResult<Vec<Column>> {
        let channels: Vec<usize> = numbers.iter().map(|n| self.channel(*n)).collect();
        let extra = self.extra(numbers, BID_BYTES, 4 * WORD_BYTES, &[])?;
        Ok(vec![
            integers("auction", numbers, |n| FIRST_ID + self.auction(n)),
            integers("bidder", numbers, |n| FIRST_ID + self.bidder(n)),
            Int64Chunked::from_vec("price".into(), numbers.iter().map(|n| self.random.price(*n, Draw::Price)).collect()).into_column(),
            self.channels.names.gather("channel", &channels)?,
            self.channels.urls.gather("url", &channels)?,
            self.times(numbers),
            extra,
            own_numbers(numbers),
        ])
    }

    fn seller(&self, n: u64) -> u64 {
        if self.random.is_hot(n, Draw::IsHotSeller, 4) { last_person(n) / HOT * HOT } else { self.some_person(n, Draw::Seller) }
    }

    /// The hot bidders stand beside the hot sellers.
    fn bidder(&self, n: u64) -> u64 {
        if self.random.is_hot(n, Draw::IsHotBidder, 4) { last_person(n) / HOT * HOT + 1 } else { self.some_person(n, Draw::Bidder) }
    }

    fn auction(&self, n: u64) -> u64 {
        let last = last_auction(n);
        if self.random.is_hot(n, Draw::IsHotAuction, 2) {
            return last / HOT * HOT;
        }
        let least = last.saturating_sub(AUCTIONS_IN_FLIGHT);
        least + self.random.below(n, Draw::Auction, last - least + 1 + LEAD)
    }

    /// One of those who are active, or about to come.
    fn some_person(&self, n: u64, draw: Draw) -> u64 {
        let persons = last_person(n) + 1;
        let active = persons.min(ACTIVE_PERSONS);
        persons - active + self.random.below(n, draw, active + LEAD)
    }

    fn channel(&self, n: u64) -> usize {
        let hot = HOT_CHANNELS.len() as u64;
        let channel = if self.random.is_hot(n, Draw::IsHotChannel, 2) {
            self.random.below(n, Draw::Channel, hot)
        } else {
            hot + self.random.below(n, Draw::Channel, OTHER_CHANNELS)
        };
        channel as usize
    }

    /// Milliseconds since 1970: whole ones, `floor(n * 10^6 / rate) / 1000` after the first event.
    pub fn time_ms(&self, n: u64) -> i64 {
        // In two steps: the product alone may not fit.
        let micros = (n / self.rate).saturating_mul(1_000_000).saturating_add(n % self.rate * 1_000_000 / self.rate);
        BASE_MS.saturating_add((micros / 1_000).min(i64::MAX as u64 / 2_000) as i64)
    }

    /// On average an auction ends when as many more were begun as are in flight.
    fn expires_ms(&self, n: u64) -> i64 {
        let now = self.time_ms(n);
        let horizon = self.time_ms(n + AUCTIONS_IN_FLIGHT * ROUND / AUCTIONS_A_ROUND) - now;
        now + 1 + self.random.below(n, Draw::Length, (2 * horizon).max(1).unsigned_abs()) as i64
    }

    fn times(&self, numbers: &[u64]) -> Column {
        times("date_time", numbers, |n| self.time_ms(n))
    }

    /// Letters that pad a row of `fixed` bytes and these texts to `average`, give or take a fifth.
    fn extra(&self, numbers: &[u64], average: usize, fixed: usize, others: &[&StringChunked]) -> PolarsResult<Column> {
        let mut sizes = vec![fixed; numbers.len()];
        for column in others {
            sizes.iter_mut().zip(column.iter()).for_each(|(size, text)| *size += text.map_or(0, str::len));
        }
        let mut sizes = sizes.into_iter();
        let padded = texts("extra", numbers, |n, to| {
            let wanted = average.saturating_sub(sizes.next().unwrap_or_default());
            let fifth = (wanted + 2) / 5;
            let length = wanted - fifth + self.random.below(n, Draw::ExtraLength, (2 * fifth).max(1) as u64) as usize;
            letters(to, self.random.draw(n, Draw::Extra), length);
        })?;
        Ok(padded.into_column())
    }
}

/// The last person's number, from 0, when event `n` comes.
const fn last_person(n: u64) -> u64 {
    n / ROUND
}

/// The last auction's number, from 0, when an auction or a bid comes: an auction counts itself.
const fn last_auction(n: u64) -> u64 {
    let place = n % ROUND;
    let of_round = if place > AUCTIONS_A_ROUND { AUCTIONS_A_ROUND } else { place };
    (n / ROUND * AUCTIONS_A_ROUND + of_round).saturating_sub(1)
}

/// The channels and the pages from which they send bidders: few, and made once.
struct Channels {
    names: Table,
    urls: Table,
}

impl Channels {
    fn new(random: Random) -> Self {
        let (mut names, mut urls) = (Table::default(), Table::default());
        for channel in 0..HOT_CHANNELS.len() as u64 + OTHER_CHANNELS {
            let other = channel.checked_sub(HOT_CHANNELS.len() as u64);
            match (other, HOT_CHANNELS.get(channel as usize)) {
                (Some(other), _) => names.push(|to| to.extend_from_slice(format!("channel-{other}").as_bytes())),
                (None, name) => names.push(|to| to.extend_from_slice(name.copied().unwrap_or_default().as_bytes())),
            }
            urls.push(|to| {
                to.extend_from_slice(b"https://www.nexmark.com/");
                // The draws of an event that is none: a channel has its number, and `Url` is drawn for nothing else.
                let draw = |part: u64| random.draw(channel * 4 + part, Draw::Url);
                for part in 0..3 {
                    words(to, draw(part), 5, b'_');
                    to.push(b'/');
                }
                to.extend_from_slice(b"item.htm?query=1");
                if other.is_some() && below(draw(3), 10) > 0 {
                    to.extend_from_slice(format!("&channel_id={}", draw(3) & 0x7fff_ffff).as_bytes());
                }
            });
        }
        Channels { names, urls }
    }
}

/// Texts one behind the other.
#[derive(Default)]
struct Table {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Table {
    fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        fill(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let begin = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(index).and_then(|end| self.bytes.get(begin..*end)).unwrap_or_default()
    }

    /// A column of these texts. Each row gets its own bytes: sharing the table's would make every batch as large as the table.
    fn gather(&self, name: &str, indices: &[usize]) -> PolarsResult<Column> {
        let mut array = MutableBinaryViewArray::<[u8]>::with_capacity(indices.len());
        indices.iter().for_each(|index| array.push_value_ignore_validity(self.get(*index)));
        Ok(text_column(name, array)?.into_column())
    }
}

fn pick<const N: usize>(names: &[&'static str; N], bits: u64) -> &'static [u8] {
    names.get(below(bits, N as u64) as usize).copied().unwrap_or_default().as_bytes()
}

fn integers(name: &str, numbers: &[u64], value: impl Fn(u64) -> u64) -> Column {
    Int64Chunked::from_vec(name.into(), numbers.iter().map(|n| value(*n) as i64).collect()).into_column()
}

fn own_numbers(numbers: &[u64]) -> Column {
    integers("event_number", numbers, |n| n)
}

fn times(name: &str, numbers: &[u64], milliseconds: impl Fn(u64) -> i64) -> Column {
    let micros = numbers.iter().map(|n| milliseconds(*n) * 1_000).collect();
    Int64Chunked::from_vec(name.into(), micros).into_datetime(TimeUnit::Microseconds, None).into_column()
}

/// A column of texts, each put together in the same place and then copied to its own.
fn texts(name: &str, numbers: &[u64], mut fill: impl FnMut(u64, &mut Vec<u8>)) -> PolarsResult<StringChunked> {
    let mut array = MutableBinaryViewArray::<[u8]>::with_capacity(numbers.len());
    let mut text = Vec::new();
    for n in numbers {
        text.clear();
        fill(*n, &mut text);
        array.push_value_ignore_validity(text.as_slice());
    }
    text_column(name, array)
}

fn trimmed_texts(name: &str, numbers: &[u64], fill: impl Fn(u64, &mut Vec<u8>)) -> PolarsResult<StringChunked> {
    texts(name, numbers, |n, to| {
        fill(n, to);
        let end = to.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        to.truncate(end);
        let begin = to.iter().position(|byte| *byte != b' ').unwrap_or(0);
        to.drain(..begin);
    })
}

/// All of the column is checked at once to be UTF-8.
fn text_column(name: &str, array: MutableBinaryViewArray<[u8]>) -> PolarsResult<StringChunked> {
    Ok(StringChunked::with_chunk(name.into(), array.freeze().to_utf8view()?))
}
