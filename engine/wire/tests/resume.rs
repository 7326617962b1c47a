//! Frames across connections that break anywhere: what went in comes out, once and in order.

use std::collections::VecDeque;

use bytes::Bytes;
use millrace_wire::frame::{HEADER_BYTES, Head};
use millrace_wire::resume::{Arrived, Inbox, Outbox, Window};
use millrace_wire::{Frame, FrameKind, Outgoing, WireError};
use proptest::prelude::*;

const SMALL: Window =
    Window { kept_bytes: 4000, kept_frames: 12, unsent_bytes: 3000, waiting_bytes: 4300, acknowledge_bytes: 300, acknowledge_frames: 3 };

fn frame(sequence: u64, text: &str) -> Outgoing {
    of(sequence, Bytes::from(text.to_owned()))
}

fn of(sequence: u64, payload: Bytes) -> Outgoing {
    let head = Head { kind: FrameKind::Data, first: true, last: true, header_section: 0, message: sequence, sequence };
    Outgoing::new(head, [payload, Bytes::new()]).unwrap()
}

fn sequence_of(frame: &Outgoing) -> u64 {
    Frame::decode(&frame.to_bytes()).unwrap().sequence
}

fn filled(frames: u64) -> Outbox {
    let mut outbox = Outbox::new(SMALL);
    for n in 0..frames {
        assert_eq!(outbox.end(), n);
        outbox.push(frame(n, "x"));
    }
    outbox
}

#[test]
fn what_is_not_acknowledged_is_written_again_and_what_is_goes() {
    let mut outbox = filled(5);
    assert_eq!(std::iter::from_fn(|| outbox.write_next()).count(), 5);
    assert!(outbox.is_written());
    assert_eq!(outbox.acknowledged(2), Ok(2));
    assert_eq!(outbox.kept_frames(), 3);
    outbox.resume(3).unwrap();
    let again: Vec<u64> = std::iter::from_fn(|| outbox.write_next()).map(|frame| sequence_of(&frame)).collect();
    assert_eq!(again, [3, 4]);
}

#[test]
fn a_frame_that_is_kept_is_not_copied_and_is_the_same_each_time_that_it_is_written() {
    let payload = Bytes::from("rows".to_owned());
    let mut outbox = Outbox::new(SMALL);
    outbox.push(of(0, payload.clone()));
    assert!(!payload.is_unique(), "the outbox holds the message's own memory");
    let first = outbox.write_next().unwrap().to_bytes();
    outbox.resume(0).unwrap();
    assert_eq!(outbox.write_next().unwrap().to_bytes(), first);
    outbox.acknowledged(1).unwrap();
    assert!(payload.is_unique(), "and lets go of it");
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_refused() {
    let mut outbox = filled(5);
    outbox.write_next().unwrap();
    assert!(matches!(outbox.acknowledged(2), Err(WireError::Acknowledged { wants: 2, from: 0, to: 1 })));
    assert!(matches!(outbox.acknowledged(u64::MAX), Err(WireError::Acknowledged { .. })));
    assert_eq!(outbox.kept_frames(), 5);
}

#[test]
fn an_acknowledgement_that_goes_back_is_refused_and_one_that_is_repeated_is_nothing_new() {
    let mut outbox = filled(5);
    while outbox.write_next().is_some() {}
    assert_eq!(outbox.acknowledged(4), Ok(4));
    assert_eq!(outbox.acknowledged(4), Ok(0));
    assert!(matches!(outbox.acknowledged(3), Err(WireError::Acknowledged { wants: 3, from: 4, to: 5 })));
}

#[test]
fn a_peer_that_wants_what_is_gone_or_not_there_yet_cannot_resume_and_nothing_changes() {
    let mut outbox = filled(5);
    while outbox.write_next().is_some() {}
    outbox.acknowledged(2).unwrap();
    for wants in [0, 1, 6, u64::MAX] {
        assert!(outbox.resume(wants).is_err(), "{wants}");
    }
    assert!(outbox.is_written());
    assert_eq!(outbox.kept_frames(), 3);
    outbox.resume(5).unwrap();
    assert_eq!((outbox.kept_frames(), outbox.kept_bytes(), outbox.is_written()), (0, 0, true));
}

#[test]
fn what_was_written_before_and_is_acknowledged_now_is_not_written_again() {
    let mut outbox = filled(5);
    while outbox.write_next().is_some() {}
    outbox.resume(0).unwrap();
    // The peer had all of them, and took them while the connection was made.
    assert_eq!(outbox.acknowledged(3), Ok(3));
    assert_eq!(sequence_of(&outbox.write_next().unwrap()), 3);
}

#[test]
fn a_message_that_nobody_takes_is_not_acknowledged_and_no_more_of_them_wait_than_may() {
    let mut inbox = Inbox::new(SMALL);
    for sequence in 0..3 {
        inbox.take(sequence, 10).unwrap();
    }
    inbox.completed().unwrap();
    assert_eq!(inbox.wants(), 2, "its last frame is wanted until it is taken");
    inbox.take(3, 10).unwrap();
    assert_eq!(inbox.wants(), 2);
    inbox.delivered();
    assert_eq!(inbox.wants(), 4);

    let mut inbox = Inbox::new(SMALL);
    let full = (0..100).find_map(|sequence| inbox.take(sequence, 1000).and_then(|_| inbox.completed()).err());
    assert!(matches!(full, Some(WireError::Window { bytes: 5000, messages: 5, most: 4300 })), "{full:?}");
    let mut inbox = Inbox::new(SMALL);
    let full = (0..100).find_map(|sequence| inbox.take(sequence, 1).and_then(|_| inbox.completed()).err());
    assert!(matches!(full, Some(WireError::Window { messages: 13, .. })), "{full:?}");
}

#[test]
fn a_repeat_is_ignored_and_counted_and_a_gap_is_an_error() {
    let mut inbox = Inbox::new(SMALL);
    assert_eq!(inbox.take(0, 10), Ok(Arrived::New));
    assert_eq!(inbox.take(0, 10), Ok(Arrived::Repeat));
    assert_eq!(inbox.take(1, 10), Ok(Arrived::New));
    assert_eq!(inbox.take(3, 10), Err(WireError::Sequence { expected: 2, found: 3 }));
    assert_eq!((inbox.wants(), inbox.repeats()), (2, 1));
}

#[test]
fn an_acknowledgement_is_due_after_so_many_frames_or_bytes_and_not_before() {
    let mut inbox = Inbox::new(SMALL);
    assert!(!inbox.is_unacknowledged());
    inbox.take(0, 10).unwrap();
    inbox.take(1, 10).unwrap();
    assert!(inbox.is_unacknowledged() && !inbox.is_acknowledgement_due());
    inbox.take(2, 10).unwrap();
    assert!(inbox.is_acknowledgement_due());
    assert_eq!(inbox.acknowledge(), 3);
    assert!(!inbox.is_unacknowledged());
    inbox.take(3, 300).unwrap();
    assert!(inbox.is_acknowledgement_due());
}

#[test]
fn the_outbox_takes_no_more_than_its_bounds() {
    let mut outbox = Outbox::new(SMALL);
    let mut taken = 0;
    while outbox.has_room() {
        outbox.push(frame(taken, "x"));
        outbox.write_next();
        taken += 1;
    }
    assert_eq!(taken as usize, SMALL.kept_frames);
    outbox.acknowledged(1).unwrap();
    assert!(outbox.has_room());
    let mut outbox = Outbox::new(SMALL);
    outbox.push(of(0, Bytes::from(vec![0; SMALL.unsent_bytes])));
    assert!(!outbox.has_room(), "what is not written yet is bounded, too");
    outbox.write_next();
    assert!(outbox.has_room());
}

#[test]
fn an_acknowledgement_travels_as_a_frame_of_its_own() {
    let bytes = Frame::acknowledgement(77).encode().unwrap();
    assert_eq!(bytes.len(), HEADER_BYTES);
    let read = Frame::decode(&bytes).unwrap();
    assert_eq!((read.kind, read.sequence), (FrameKind::Acknowledgement, 77));
    let mut long = bytes.to_vec();
    long.push(0);
    assert!(Frame::decode(&Bytes::from(long)).is_err());
}

/// One end of a session's socket, as the real one is made: numbers given when frames are pushed, applied when they are new.
struct End {
    outbox: Outbox,
    inbox: Inbox,
    pushed: Vec<String>,
    applied: Vec<String>,
    waiting: VecDeque<String>,
}

impl End {
    fn new() -> End {
        End { outbox: Outbox::new(SMALL), inbox: Inbox::new(SMALL), pushed: Vec::new(), applied: Vec::new(), waiting: VecDeque::new() }
    }

    fn push(&mut self, text: String) {
        if self.outbox.has_room() {
            self.outbox.push(frame(self.outbox.end(), &text));
            self.pushed.push(text);
        }
    }

    /// Writes what may be written into a pipe.
    fn write(&mut self, pipe: &mut Vec<u8>, most: usize, acknowledge: bool) {
        for _ in 0..most {
            let Some(frame) = self.outbox.write_next() else { break };
            pipe.extend_from_slice(&frame.to_bytes());
        }
        if acknowledge && self.inbox.is_unacknowledged() {
            pipe.extend_from_slice(&Frame::acknowledgement(self.inbox.acknowledge()).encode().unwrap());
        }
    }

    /// Reads whole frames out of a pipe.
    fn read(&mut self, pipe: &mut Vec<u8>, most: usize) {
        for _ in 0..most {
            let Some(length) = pipe.get(24..28) else { return };
            let whole = HEADER_BYTES + u32::from_le_bytes(length.try_into().unwrap()) as usize;
            if pipe.len() < whole {
                return;
            }
            let read = Frame::decode(&Bytes::from(pipe.drain(..whole).collect::<Vec<u8>>())).unwrap();
            if read.kind == FrameKind::Acknowledgement {
                self.outbox.acknowledged(read.sequence).unwrap();
            } else if self.inbox.take(read.sequence, whole).unwrap() == Arrived::New {
                self.inbox.completed().unwrap();
                self.waiting.push_back(String::from_utf8(read.payload.to_vec()).unwrap());
            }
        }
    }

    /// Hands on what waits.
    fn deliver(&mut self, most: usize) {
        for text in self.waiting.drain(..most.min(self.waiting.len())) {
            self.inbox.delivered();
            self.applied.push(text);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push {
        left: bool,
        length: usize,
    },
    Write {
        left: bool,
        most: usize,
        acknowledge: bool,
    },
    Read {
        left: bool,
        most: usize,
    },
    Deliver {
        left: bool,
        most: usize,
    },
    /// The connection breaks: of what is under way as much arrives as these say, down to the byte.
    Cut {
        to_left: usize,
        to_right: usize,
        doubled: bool,
        late: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 0usize..200).prop_map(|(left, length)| Step::Push { left, length }),
        4 => (any::<bool>(), 0usize..6, any::<bool>()).prop_map(|(left, most, acknowledge)| Step::Write { left, most, acknowledge }),
        4 => (any::<bool>(), 0usize..6).prop_map(|(left, most)| Step::Read { left, most }),
        4 => (any::<bool>(), 0usize..6).prop_map(|(left, most)| Step::Deliver { left, most }),
        2 => (0usize..1200, 0usize..1200, any::<bool>(), 0usize..4)
            .prop_map(|(to_left, to_right, doubled, late)| Step::Cut { to_left, to_right, doubled, late }),
    ];
    proptest::collection::vec(step, 0..300)
}

fn pick<'a>(left: bool, a: &'a mut End, b: &'a mut End) -> &'a mut End {
    if left { a } else { b }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn wherever_connections_break_everything_arrives_once_and_in_order(steps in steps()) {
        let (mut a, mut b) = (End::new(), End::new());
        let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
        let mut pushes = 0;
        for step in steps {
            match step {
                Step::Push { left, length } => {
                    pushes += 1;
                    pick(left, &mut a, &mut b).push(format!("{pushes} {}", "y".repeat(length)));
                }
                Step::Write { left: true, most, acknowledge } => a.write(&mut to_b, most, acknowledge),
                Step::Write { left: false, most, acknowledge } => b.write(&mut to_a, most, acknowledge),
                Step::Read { left: true, most } => a.read(&mut to_a, most),
                Step::Read { left: false, most } => b.read(&mut to_b, most),
                Step::Deliver { left, most } => pick(left, &mut a, &mut b).deliver(most),
                Step::Cut { to_left, to_right, doubled, late } => {
                    to_a.truncate(to_left);
                    to_b.truncate(to_right);
                    a.read(&mut to_a, usize::MAX);
                    b.read(&mut to_b, usize::MAX);
                    to_a.clear();
                    to_b.clear();
                    let (a_wants, b_wants) = (a.inbox.wants(), b.inbox.wants());
                    a.outbox.resume(b_wants).unwrap();
                    b.outbox.resume(a_wants).unwrap();
                    // Messages are taken while the connection is made.
                    a.deliver(late);
                    b.deliver(late);
                    a.inbox.told(a_wants);
                    b.inbox.told(b_wants);
                    if doubled {
                        // The connection was taken twice before anything travelled.
                        a.outbox.resume(b_wants).unwrap();
                    }
                }
            }
            prop_assert!(b.pushed.starts_with(&a.applied) && a.pushed.starts_with(&b.applied));
        }
        for _ in 0..2000 {
            a.write(&mut to_b, usize::MAX, true);
            b.read(&mut to_b, usize::MAX);
            b.write(&mut to_a, usize::MAX, true);
            a.read(&mut to_a, usize::MAX);
            a.deliver(usize::MAX);
            b.deliver(usize::MAX);
            if a.applied.len() == b.pushed.len() && b.applied.len() == a.pushed.len() && a.outbox.kept_frames() + b.outbox.kept_frames() == 0 {
                break;
            }
        }
        prop_assert_eq!(&a.applied, &b.pushed);
        prop_assert_eq!(&b.applied, &a.pushed);
        prop_assert_eq!(a.outbox.kept_bytes() + b.outbox.kept_bytes(), 0);
    }

    /// Numbers of any kind, as an enemy would choose them, against a model that knows only what is wanted.
    #[test]
    fn whatever_numbers_come_a_frame_is_applied_only_when_it_is_the_next(numbers in proptest::collection::vec(prop_oneof![0u64..8, any::<u64>()], 0..60)) {
        let mut inbox = Inbox::new(SMALL);
        let mut next = 0;
        for number in numbers {
            match inbox.take(number, 1) {
                Ok(Arrived::New) => { prop_assert_eq!(number, next); next += 1; }
                Ok(Arrived::Repeat) => prop_assert!(number < next),
                Err(_) => prop_assert!(number > next),
            }
        }
    }

    #[test]
    fn whatever_is_acknowledged_or_wanted_the_outbox_keeps_its_sums(calls in proptest::collection::vec((0u8..4, prop_oneof![0u64..20, any::<u64>()]), 0..100)) {
        let mut outbox = Outbox::new(SMALL);
        for (call, number) in calls {
            match call {
                0 if outbox.has_room() => outbox.push(frame(outbox.end(), "z")),
                1 => drop(outbox.write_next()),
                2 => drop(outbox.acknowledged(number)),
                3 => drop(outbox.resume(number)),
                _ => {}
            }
            prop_assert_eq!(outbox.kept_bytes(), outbox.kept_frames() * frame(0, "z").bytes());
        }
    }
}
