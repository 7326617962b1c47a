//! A channel against a model of it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::task::AtomicWaker;
use millrace_model::Timestamp;
use millrace_runtime::Batch;
use millrace_runtime::flow::channel::{Bounds, Received, channel};
use millrace_runtime::flow::element::Element;
use polars::prelude::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Batch(usize),
    Watermark(i64),
    Receive,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(1usize..40).prop_map(Step::Batch), (0i64..100).prop_map(Step::Watermark), Just(Step::Receive), Just(Step::Receive)]
}

fn batch(rows: usize) -> Batch {
    Batch::new(df! { "n" => vec![0i64; rows] }.unwrap())
}

/// What is in the queue, by the model: rows of a batch, or a watermark.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Rows(usize),
    Watermark(i64),
}

impl Held {
    const fn rows(self) -> usize {
        match self {
            Held::Rows(rows) => rows,
            Held::Watermark(_) => 1,
        }
    }

    fn of(element: &Element) -> Held {
        match element {
            Element::Batch(batch) => Held::Rows(batch.rows()),
            Element::Watermark(at) => Held::Watermark(at.micros()),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_channel_keeps_its_bounds_and_its_order(steps in prop::collection::vec(step(), 1..200), bound in 1usize..60) {
        // A row of the test's batches is 8 bytes.
        let bounds = Bounds { rows: bound, bytes: usize::MAX };
        let (sender, receiver) = channel(bounds, Arc::new(AtomicWaker::new()));
        let mut model: VecDeque<Held> = VecDeque::new();
        for step in steps {
            let element = match step {
                Step::Batch(rows) => Element::Batch(batch(rows)),
                Step::Watermark(at) => Element::Watermark(Timestamp(at)),
                Step::Receive => {
                    match (receiver.try_receive(), model.pop_front()) {
                        (Received::Element(got), Some(expected)) => prop_assert_eq!(Held::of(&got), expected),
                        (Received::Nothing, None) => {}
                        (got, expected) => prop_assert!(false, "{:?} is not {:?}", got, expected),
                    }
                    continue;
                }
            };
            let held = Held::of(&element);
            let queued: usize = model.iter().map(|held| held.rows()).sum();
            let fits = model.is_empty() || queued + held.rows() <= bound;
            prop_assert_eq!(sender.try_send(element).unwrap().is_none(), fits);
            if fits {
                match (model.back_mut(), held) {
                    (Some(last @ Held::Watermark(_)), Held::Watermark(_)) => *last = held,
                    _ => model.push_back(held),
                }
            }
        }
    }
}

#[test]
fn bytes_are_bounded_too_and_a_batch_beyond_the_bounds_passes_when_the_channel_is_empty() {
    let (sender, receiver) = channel(Bounds { rows: 1_000, bytes: 100 }, Arc::new(AtomicWaker::new()));
    assert!(sender.try_send(Element::Batch(batch(500))).unwrap().is_none(), "4,000 bytes into an empty channel");
    assert!(sender.try_send(Element::Batch(batch(1))).unwrap().is_some());
    assert!(matches!(receiver.try_receive(), Received::Element(_)));
    assert!(sender.try_send(Element::Batch(batch(10))).unwrap().is_none());
    assert!(sender.try_send(Element::Batch(batch(3))).unwrap().is_some(), "80 and 24 bytes");
    assert!(sender.try_send(Element::Batch(batch(2))).unwrap().is_none());
}

#[test]
fn each_end_learns_that_the_other_is_gone() {
    let (sender, receiver) = channel(Bounds { rows: 10, bytes: 1_000 }, Arc::new(AtomicWaker::new()));
    assert!(sender.try_send(Element::Idle).unwrap().is_none());
    drop(sender);
    assert!(matches!(receiver.try_receive(), Received::Element(Element::Idle)));
    assert!(matches!(receiver.try_receive(), Received::Closed));
    let (sender, receiver) = channel(Bounds { rows: 10, bytes: 1_000 }, Arc::new(AtomicWaker::new()));
    drop(receiver);
    assert!(sender.try_send(Element::Idle).is_err());
}
