//! Gates whose epochs were given up: a barrier that a later one has overtaken aligns nothing any more.

use std::sync::Arc;

use futures_util::task::AtomicWaker;
use millrace_runtime::Batch;
use millrace_runtime::flow::channel::{Bounds, Sender, channel};
use millrace_runtime::flow::{Element, Gate, GateEvent};
use polars::prelude::*;

fn two_channels() -> (Vec<Sender>, Gate) {
    let arrival = Arc::new(AtomicWaker::new());
    let bounds = Bounds { rows: 1_000, bytes: usize::MAX };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| channel(bounds, arrival.clone())).unzip();
    (senders, Gate::new(receivers.into_iter().map(|receiver| (0, receiver)).collect(), arrival))
}

/// A batch that is told by its rows.
fn rows(rows: usize) -> Element {
    Element::Batch(Batch::new(df! { "n" => vec![0i64; rows] }.unwrap()))
}

fn barrier(epoch: u64) -> Element {
    Element::Barrier { epoch }
}

fn send(sender: &Sender, elements: impl IntoIterator<Item = Element>) {
    elements.into_iter().for_each(|element| assert!(sender.try_send(element).unwrap().is_none()));
}

/// All that is at hand, in short.
fn told(gate: &mut Gate) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = gate.try_next().unwrap() {
        told.push(match event {
            GateEvent::Batch { batch, .. } => format!("rows {}", batch.rows()),
            GateEvent::Barrier { epoch, is_aligned } => format!("barrier {epoch}{}", if is_aligned { "" } else { " overtakes" }),
            GateEvent::Recorded { epoch, rows } => {
                format!("recorded {epoch}: {:?}", rows.iter().map(|row| row.batch.rows()).collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        });
    }
    told
}

#[test]
fn a_barrier_of_an_epoch_that_was_given_up_and_overtaken_is_passed_over() {
    let (senders, mut gate) = two_channels();
    send(&senders[0], [rows(1), barrier(1), rows(2), barrier(2)]);
    send(&senders[1], [barrier(1), rows(3), barrier(2)]);
    gate.hasten(2);
    let first = told(&mut gate);
    assert_eq!(first[..2], ["barrier 2 overtakes", "recorded 2: [1, 2, 3]"]);
    assert!(first[2..].iter().all(|event| event.starts_with("rows")) && first.len() == 5, "{first:?}");
    // Nothing of the past stands between the next barriers.
    send(&senders[1], [barrier(3), rows(6)]);
    assert_eq!(told(&mut gate), Vec::<String>::new());
    send(&senders[0], [rows(4), barrier(3), rows(5)]);
    let then = told(&mut gate);
    assert_eq!(then[..2], ["rows 4", "barrier 3"]);
}

#[test]
fn a_channel_that_waits_at_a_barrier_that_was_given_up_is_overtaken_like_any_other() {
    let (senders, mut gate) = two_channels();
    send(&senders[1], [barrier(1)]);
    assert_eq!(told(&mut gate), Vec::<String>::new());
    // The first channel's barrier has not come, and the next epoch's are sent.
    send(&senders[0], [rows(1), barrier(1), rows(2), barrier(2)]);
    send(&senders[1], [rows(3), barrier(2)]);
    gate.hasten(2);
    let events = told(&mut gate);
    assert_eq!(events[..2], ["barrier 2 overtakes", "recorded 2: [1, 2, 3]"]);
    assert!(events[2..].iter().all(|event| event.starts_with("rows")) && events.len() == 5, "{events:?}");
}

#[test]
fn a_barrier_that_was_given_up_does_not_end_what_is_recorded() {
    let (senders, mut gate) = two_channels();
    send(&senders[0], [rows(1), barrier(1), rows(2)]);
    send(&senders[1], [barrier(1), barrier(2)]);
    gate.hasten(2);
    // The first channel's rows come before its barrier, which is not there yet.
    let events = told(&mut gate);
    assert_eq!(events, ["barrier 2 overtakes", "rows 1", "rows 2"]);
    send(&senders[0], [rows(3), barrier(2), rows(4)]);
    assert_eq!(told(&mut gate), ["rows 3", "recorded 2: [1, 2, 3]", "rows 4"]);
}
