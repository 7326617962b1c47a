//! Which events a partition gives, and in which order.
//!
//! Of every 50 events one is a person, three are auctions and 46 bids. Events are dealt to partitions in blocks, as cards are, so that
//! the partitions' event times stay side by side however many tasks read them.

use super::Stream;

/// One round of persons, auctions and bids.
pub const ROUND: u64 = 50;

/// Events of a block: whole rounds.
const BLOCK: u64 = 20 * ROUND;

/// The step by which events of a group change places. A prime: as long as it does not divide the group's size, each event has its place.
pub const STRIDE: u64 = 953;

/// No event has this number or a greater one: up to here no arithmetic on numbers overflows.
pub const LAST: u64 = 1 << 53;

/// The slice of the events that one partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    pub stream: Stream,
    /// The first event's number.
    pub first: u64,
    /// The number after the last event's, of all partitions; [`LAST`] at most.
    pub end: u64,
    /// Events within groups of so many come in another order; 1 for none.
    pub disorder: u64,
    pub partition: u64,
    pub partitions: u64,
}

impl Slice {
    /// Appends the numbers of the next events of the stream, `rows` at most, from the place `from` on, and gives the place after them:
    /// `end` at the end.
    pub fn take(&self, from: u64, rows: usize, numbers: &mut Vec<u64>) -> u64 {
        let mut place = from.max(self.first);
        let full = numbers.len() + rows;
        while place < self.end {
            let block = place / BLOCK;
            if block % self.partitions != self.partition {
                place = (block + 1) * BLOCK;
                continue;
            }
            let block_end = ((block + 1) * BLOCK).min(self.end);
            place = if self.disorder == 1 {
                self.take_in_order(place, block_end, full, numbers)
            } else {
                self.take_in_groups(place, block_end, full, numbers)
            };
            if place < block_end {
                return place;
            }
        }
        self.end
    }

    /// Steps from one event of the stream to its next. Gives the place after the last one taken.
    fn take_in_order(&self, from: u64, end: u64, full: usize, numbers: &mut Vec<u64>) -> u64 {
        let mut place = self.stream.next_from(from);
        while place < end {
            if numbers.len() == full {
                return place;
            }
            numbers.push(place);
            place = self.stream.next_from(place + 1);
        }
        end
    }

    fn take_in_groups(&self, from: u64, end: u64, full: usize, numbers: &mut Vec<u64>) -> u64 {
        for place in from..end {
            let number = self.number_at(place);
            if Stream::of(number) == self.stream {
                if numbers.len() == full {
                    return place;
                }
                numbers.push(number);
            }
        }
        end
    }

    /// The event at a place. A group that the slice of all partitions cuts stays in order, so that no event is missing or foreign.
    fn number_at(&self, place: u64) -> u64 {
        let group = place - place % self.disorder;
        if group < self.first || group + self.disorder > self.end {
            return place;
        }
        group + place % self.disorder * STRIDE % self.disorder
    }

    /// How many places of the partition lie before `place`.
    pub fn places_before(&self, place: u64) -> u64 {
        self.own_below(place) - self.own_below(self.first)
    }

    /// Places of the partition below `place`, counted from event 0.
    fn own_below(&self, place: u64) -> u64 {
        let round = BLOCK * self.partitions;
        place / round * BLOCK + (place % round).saturating_sub(self.partition * BLOCK).min(BLOCK)
    }
}

impl Stream {
    /// Which stream an event belongs to.
    pub const fn of(number: u64) -> Stream {
        match number % ROUND {
            0 => Stream::Person,
            1..4 => Stream::Auction,
            _ => Stream::Bid,
        }
    }

    /// The stream's places within a round.
    const fn within_round(self) -> (u64, u64) {
        match self {
            Stream::Person => (0, 1),
            Stream::Auction => (1, 4),
            Stream::Bid => (4, ROUND),
        }
    }

    /// The stream's first event with this number or a greater one.
    const fn next_from(self, number: u64) -> u64 {
        let (begin, end) = self.within_round();
        let at = number % ROUND;
        let round = number - at;
        if at < begin {
            round + begin
        } else if at < end {
            number
        } else {
            round + ROUND + begin
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(stream: Stream, first: u64, end: u64, disorder: u64, partition: u64, partitions: u64) -> Slice {
        Slice { stream, first, end, disorder, partition, partitions }
    }

    fn all(slice: &Slice, rows: usize) -> Vec<u64> {
        let (mut numbers, mut place) = (Vec::new(), slice.first);
        while place < slice.end {
            let before = numbers.len();
            place = slice.take(place, rows, &mut numbers);
            assert!(numbers.len() - before <= rows);
            assert!(place == slice.end || numbers.len() - before == rows, "a read is full, but the last");
        }
        numbers
    }

    const STREAMS: [Stream; 3] = [Stream::Person, Stream::Auction, Stream::Bid];

    #[test]
    fn the_streams_of_all_partitions_are_every_event_once_in_any_order() {
        for (first, end) in [(0, 5_000), (123, 4_321), (7, 8), (999, 1_001), (5, 5)] {
            for disorder in [1, 2, 50, 700, 1_000, 10_000] {
                for partitions in [1, 3, 8] {
                    let mut numbers: Vec<u64> = STREAMS
                        .into_iter()
                        .flat_map(|stream| (0..partitions).map(move |partition| slice(stream, first, end, disorder, partition, partitions)))
                        .flat_map(|slice| all(&slice, 97))
                        .collect();
                    numbers.sort_unstable();
                    assert_eq!(numbers, (first..end).collect::<Vec<_>>(), "{first}..{end} by {disorder} in {partitions}");
                }
            }
        }
    }

    #[test]
    fn cuts_do_not_change_a_partition_and_its_places_add_up() {
        for disorder in [1, 300] {
            let slice = slice(Stream::Bid, 10, 20_000, disorder, 1, 3);
            let whole = all(&slice, usize::MAX);
            assert_eq!(all(&slice, 1), whole);
            assert_eq!(all(&slice, 333), whole);
            let in_order = whole.is_sorted();
            assert_eq!(in_order, disorder == 1);
            let places = (0..3).map(|partition| Slice { partition, ..slice.clone() }.places_before(slice.end)).sum::<u64>();
            assert_eq!(places, slice.end - slice.first);
            assert_eq!(slice.places_before(slice.first), 0);
        }
    }

    #[test]
    fn of_fifty_events_one_is_a_person_three_are_auctions_and_the_rest_bids() {
        let counts = STREAMS.map(|stream| all(&slice(stream, 0, 100_000, 1, 0, 1), 8_192).len());
        assert_eq!(counts, [2_000, 6_000, 92_000]);
    }
}
