//! The bids of Nexmark, all in memory before the clock starts: what the generator costs does not count.

use std::sync::Arc;

use anyhow::Context;
use millrace_connectors::nexmark::Stream;
use millrace_connectors::nexmark::generator::{self, Generator};
use millrace_engine::model::Schema;
use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use super::prepared::Prepared;

/// Of so many events of the benchmark ..
const ROUND: u64 = 50;
/// .. so many are bids, the last ones.
const BIDS_A_ROUND: u64 = 46;
/// The examples' seed and rate, which are the source's own.
const SEED: u64 = 0;
const EVENTS_PER_SECOND: u64 = 10_000;

/// How many bids there are among the first so many events.
pub const fn bids_among(events: u64) -> u64 {
    let rest = (events % ROUND).saturating_sub(ROUND - BIDS_A_ROUND);
    events / ROUND * BIDS_A_ROUND + rest
}

/// Of how many events these are the bids.
pub fn events_of(bids: u64) -> f64 {
    bids as f64 * ROUND as f64 / BIDS_A_ROUND as f64
}

/// The number of a bid's event.
pub const fn event_of(bid: u64) -> u64 {
    bid / BIDS_A_ROUND * ROUND + (ROUND - BIDS_A_ROUND) + bid % BIDS_A_ROUND
}

/// The first bids of the stream, in batches.
pub struct Bids {
    batch_rows: u64,
    batches: Vec<DataFrame>,
}

impl Bids {
    /// At least `rows`, in whole batches; made by so many threads.
    pub fn new(rows: u64, batch_rows: u64, threads: u32) -> anyhow::Result<Bids> {
        let generator = Arc::new(Generator::new(SEED, EVENTS_PER_SECOND));
        let (count, threads) = (rows.div_ceil(batch_rows), u64::from(threads.max(1)));
        let share = |thread: u64| count * thread / threads..count * (thread + 1) / threads;
        let make = |number: u64| {
            let numbers: Vec<u64> = (number * batch_rows..(number + 1) * batch_rows).map(event_of).collect();
            generator.frame(Stream::Bid, &numbers)
        };
        let shares = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || share(thread).map(make).collect::<PolarsResult<Vec<_>>>())).collect();
            workers.into_iter().map(|worker| worker.join().ok().context("the maker of bids panicked")).collect::<anyhow::Result<Vec<_>>>()
        })?;
        let batches = shares.into_iter().collect::<PolarsResult<Vec<_>>>()?.into_iter().flatten().collect();
        Ok(Bids { batch_rows, batches })
    }
}

impl Prepared for Bids {
    fn schema(&self) -> Schema {
        generator::schema(Stream::Bid)
    }

    fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    fn batch(&self, number: u64) -> PolarsResult<DataFrame> {
        let batch = usize::try_from(number).ok().and_then(|number| self.batches.get(number));
        batch.cloned().ok_or_else(|| PolarsError::OutOfBounds(format!("there is no batch {number} of bids").into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bid_of_the_first_events_is_there_once() {
        let numbers: Vec<u64> = (0..bids_among(1_000)).map(event_of).collect();
        assert_eq!(numbers, (0..1_000).filter(|number| Stream::of(*number) == Stream::Bid).collect::<Vec<_>>());
        assert_eq!((bids_among(3), bids_among(4), bids_among(5), bids_among(54)), (0, 0, 1, 46));
        let bids = Bids::new(10_000, 4096, 2).unwrap();
        let batch = bids.batch(2).unwrap();
        let first = batch.column("event_number").unwrap().i64().unwrap().get(0).unwrap();
        assert_eq!((batch.height(), first as u64), (4096, event_of(8192)));
        assert!(bids.batch(3).is_err());
    }
}
