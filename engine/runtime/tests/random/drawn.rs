//! What is drawn: data, a pipeline, and how it is run.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub const TEXTS: [&str; 5] = ["", "a", "b", "é", "longer than twelve bytes"];

/// A row of the source, besides its number.
#[derive(Debug, Clone)]
pub struct Row {
    pub partition: usize,
    pub k: Option<i64>,
    pub v: Option<&'static str>,
    /// In seconds. None is a bad record.
    pub time: Option<i64>,
}

/// In seconds, or rows.
#[derive(Debug, Clone)]
pub enum Window {
    Tumbling { size: i64, offset: i64 },
    Hopping { slide: i64, panes: i64, offset: i64 },
    Cumulate { step: i64, steps: i64 },
    Session { gap: i64 },
    Count { rows: i64, slide: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    None,
    KeyIsKnown,
    TextIsNotA,
    Odd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    CountFiltered,
    CountKey,
    Sum,
    SumOnce,
    SumDerived,
    Mean,
    Least,
    Most,
    Texts,
    Spread,
    Variance,
    Median,
    Quantile,
    AllHigh,
    AnyHigh,
}

pub const AGGREGATES: [Aggregate; 16] = [
    Aggregate::Count,
    Aggregate::CountFiltered,
    Aggregate::CountKey,
    Aggregate::Sum,
    Aggregate::SumOnce,
    Aggregate::SumDerived,
    Aggregate::Mean,
    Aggregate::Least,
    Aggregate::Most,
    Aggregate::Texts,
    Aggregate::Spread,
    Aggregate::Variance,
    Aggregate::Median,
    Aggregate::Quantile,
    Aggregate::AllHigh,
    Aggregate::AnyHigh,
];

#[derive(Debug, Clone)]
pub struct Drawn {
    pub rows: Vec<Row>,
    pub partitions: usize,
    pub filter: Filter,
    /// Whether the column `d` is derived: `k * 3 - 1`, else it is taken from `k` unchanged.
    pub derives: bool,
    pub window: Window,
    pub by: Vec<&'static str>,
    pub aggregates: Vec<Aggregate>,
    pub max_delay: i64,
    pub lateness: i64,
    pub batch_rows: usize,
    /// Where the script of each partition is cut, in thousandths of its rows; the failure comes at the first.
    pub cuts: Vec<usize>,
    /// From one task to three, or the other way.
    pub goes_wide: bool,
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        (1i64..400, 0i64..400).prop_map(|(size, offset)| Window::Tumbling { size, offset: offset % size }),
        (1i64..120, 1i64..6, 0i64..120).prop_map(|(slide, panes, offset)| Window::Hopping { slide, panes, offset: offset % slide }),
        (1i64..120, 1i64..6).prop_map(|(step, steps)| Window::Cumulate { step, steps }),
        (1i64..90).prop_map(|gap| Window::Session { gap }),
        (1i64..12, 1i64..12).prop_map(|(rows, slide)| Window::Count { rows, slide: slide.min(rows) }),
    ]
}

/// Rows that go forward in time, with some set back by a little, and a few by much.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let back = prop_oneof![6 => 0i64..4, 3 => 0i64..120, 1 => 0i64..2_000];
    let row = (0usize..3, option::weighted(0.9, -4i64..5), option::weighted(0.9, select(&TEXTS[..])), back, 0u8..40);
    (select(vec![-1_500i64, 1_700_000_000]), 1i64..30, vec(row, 0..220)).prop_map(|(begin, stride, rows)| {
        let place = |(number, (partition, k, v, back, no_time)): (usize, (usize, _, _, i64, u8))| {
            let time = (no_time > 0).then_some(begin + number as i64 * stride - back);
            Row { partition, k, v, time }
        };
        rows.into_iter().enumerate().map(place).collect()
    })
}

pub fn pipelines() -> impl Strategy<Value = Drawn> {
    let shape = (
        window(),
        select(vec![Filter::None, Filter::KeyIsKnown, Filter::TextIsNotA, Filter::Odd]),
        any::<bool>(),
        subsequence(vec!["k", "v"], 0..=2),
        subsequence(AGGREGATES.to_vec(), 1..=6),
    );
    let run = (prop_oneof![1usize..8, 8usize..300], vec(0usize..1_000, 1..5), any::<bool>());
    (rows(), 1usize..=3, shape, 0i64..200, prop_oneof![Just(0i64), 0i64..300], run).prop_map(
        |(rows, partitions, (window, filter, derives, by, aggregates), max_delay, lateness, (batch_rows, mut cuts, goes_wide))| {
            cuts.sort_unstable();
            let drawn =
                Drawn { rows, partitions, filter, derives, window, by, aggregates, max_delay, lateness, batch_rows, cuts, goes_wide };
            told_apart(drawn)
        },
    )
}

/// What SQL can tell: the order of rows that count windows take is known within one partition, and which rows of a session are late hangs
/// on one another, so that lateness covers all disorder there (a model is asked elsewhere).
fn told_apart(mut drawn: Drawn) -> Drawn {
    match drawn.window {
        Window::Count { .. } => drawn.partitions = 1,
        Window::Session { .. } => drawn.lateness = 100_000,
        _ => {}
    }
    for row in &mut drawn.rows {
        row.partition %= drawn.partitions;
    }
    drawn
}
