//! Two ends of a session whose connections break anywhere, and an enemy's numbers: what is pushed arrives once and in order, and a number
//! that cannot be is refused and changes nothing.

#![no_main]

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millrace_wire::resume::{Arrived, Inbox, Outbox, Window};

const SMALL: Window =
    Window { kept_bytes: 4000, kept_frames: 12, unsent_bytes: 3000, waiting_bytes: 4300, acknowledge_bytes: 300, acknowledge_frames: 3 };

#[derive(Debug, Arbitrary)]
enum Step {
    Push { bytes: u8 },
    Write { most: u8 },
    /// So many of what is under way arrive.
    Arrive { most: u8 },
    Deliver { most: u8 },
    Acknowledge { is_lost: bool },
    Cut { arrive: u8, is_lost: bool },
    /// Of an enemy, to the sending end and to the receiving one.
    Claim { wants: u64 },
    Frame { sequence: u64 },
}

struct Ends {
    outbox: Outbox,
    inbox: Inbox,
    /// Frames pushed, and applied.
    pushed: u64,
    applied: u64,
    on_the_way: VecDeque<(u64, usize)>,
    /// The number of the next frame that the sender writes on this connection.
    next: u64,
    waiting: u64,
}

impl Ends {
    fn arrive(&mut self, most: u8) {
        for _ in 0..most {
            let Some((sequence, bytes)) = self.on_the_way.pop_front() else { return };
            if self.inbox.take(sequence, bytes).expect("frames come in order") == Arrived::New {
                assert_eq!(sequence, self.applied + self.waiting, "what is new is the next");
                self.inbox.completed().expect("a peer that keeps to its bounds never fills the other");
                self.waiting += 1;
            }
        }
    }

    fn deliver(&mut self, most: u8) {
        let taken = self.waiting.min(most.into());
        (0..taken).for_each(|_| self.inbox.delivered());
        (self.waiting, self.applied) = (self.waiting - taken, self.applied + taken);
    }

    fn write(&mut self, most: u8) {
        for _ in 0..most {
            let Some(frame) = self.outbox.write_next() else { return };
            // The number is the frame's content.
            let (number, _) = frame.split_first_chunk::<8>().expect("every frame begins with its number");
            self.on_the_way.push_back((u64::from_le_bytes(*number), frame.len()));
            self.next = u64::from_le_bytes(*number) + 1;
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let (outbox, inbox) = (Outbox::new(SMALL), Inbox::new(SMALL));
    let mut ends = Ends { outbox, inbox, pushed: 0, applied: 0, on_the_way: VecDeque::new(), next: 0, waiting: 0 };
    for step in steps {
        match step {
            Step::Push { bytes } if ends.outbox.has_room() => {
                let mut frame = ends.outbox.end().to_le_bytes().to_vec();
                frame.resize(8 + usize::from(bytes), 0);
                ends.outbox.push(Bytes::from(frame));
                ends.pushed += 1;
            }
            Step::Push { .. } => {}
            Step::Write { most } => ends.write(most),
            Step::Arrive { most } => ends.arrive(most),
            Step::Deliver { most } => ends.deliver(most),
            Step::Acknowledge { is_lost } => {
                let wants = ends.inbox.acknowledge();
                if !is_lost {
                    ends.outbox.acknowledged(wants).expect("an honest number is taken");
                } else {
                    // Lost with its connection: what follows is the next connection.
                    ends.on_the_way.clear();
                    let wants = ends.inbox.wants();
                    ends.outbox.resume(wants).expect("an honest end can resume");
                    ends.inbox.told(wants);
                }
            }
            Step::Cut { arrive, is_lost } => {
                ends.arrive(arrive);
                if is_lost {
                    ends.on_the_way.clear();
                } else {
                    ends.arrive(u8::MAX);
                    ends.on_the_way.clear();
                }
                let wants = ends.inbox.wants();
                ends.outbox.resume(wants).expect("an honest end can resume");
                ends.inbox.told(wants);
            }
            Step::Claim { wants } => {
                let before = (ends.outbox.kept_frames(), ends.outbox.kept_bytes(), ends.outbox.end());
                if ends.outbox.check_resume(wants).is_err() {
                    assert!(ends.outbox.resume(wants).is_err() && ends.outbox.acknowledged(wants).is_err());
                    assert_eq!(before, (ends.outbox.kept_frames(), ends.outbox.kept_bytes(), ends.outbox.end()));
                }
            }
            Step::Frame { sequence } => {
                let due = ends.applied + ends.waiting;
                if sequence != due {
                    let taken = ends.inbox.take(sequence, 8);
                    assert!(if sequence > due { taken.is_err() } else { taken == Ok(Arrived::Repeat) });
                }
            }
        }
        assert!(ends.applied + ends.waiting <= ends.pushed);
    }
    // Without faults everything arrives.
    for _ in 0..1000 {
        ends.write(u8::MAX);
        ends.arrive(u8::MAX);
        ends.deliver(u8::MAX);
        let wants = ends.inbox.acknowledge();
        ends.outbox.acknowledged(wants).expect("an honest number is taken");
        if ends.outbox.kept_frames() == 0 {
            break;
        }
    }
    assert_eq!((ends.applied, ends.outbox.kept_frames(), ends.outbox.kept_bytes()), (ends.pushed, 0, 0));
});
