//! What a person may want to know, said at most every two seconds of each kind and node, with a count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millrace_model::NodeId;
use millrace_wire::message::{Notice, NoticeSeverity};
use tokio::sync::mpsc;

use crate::clock::Clock;

/// Notices that wait for their reader; more are dropped and counted.
pub const NOTICE_QUEUE: usize = 256;

const QUIET_NS: u64 = 2_000_000_000;

/// Takes notices from any task and hands them to one reader.
pub struct NoticeBoard {
    clock: Arc<dyn Clock>,
    queue: mpsc::Sender<Notice>,
    dropped: AtomicU64,
    held: Mutex<BTreeMap<(Option<NodeId>, &'static str), Held>>,
}

/// One kind of notice of one node.
struct Held {
    said_ns: u64,
    waiting: Option<Notice>,
}

impl NoticeBoard {
    pub fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Notice>) {
        let (queue, reader) = mpsc::channel(NOTICE_QUEUE);
        (NoticeBoard { clock, queue, dropped: AtomicU64::new(0), held: Mutex::default() }, reader)
    }

    /// Says it now, or with the next of its kind once two seconds have passed since the last. `message` is made only if it is kept.
    pub fn say(&self, node: Option<&NodeId>, severity: NoticeSeverity, kind: &'static str, count: u64, message: impl FnOnce() -> String) {
        let now = self.clock.monotonic_ns();
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry((node.cloned(), kind)).or_insert(Held { said_ns: 0, waiting: None });
        match &mut held.waiting {
            Some(waiting) => {
                waiting.count += count;
                waiting.at_us = self.clock.wall_us();
            }
            none => {
                let at_us = self.clock.wall_us();
                *none =
                    Some(Notice { at_us, severity, node: node.cloned(), alert: None, kind: kind.to_owned(), message: message(), count });
            }
        }
        if held.said_ns == 0 || now.saturating_sub(held.said_ns) >= QUIET_NS {
            self.release(held, now);
        }
    }

    /// Says now, and by itself, what somebody waits for.
    pub fn answer(&self, severity: NoticeSeverity, kind: &'static str, message: String) {
        let at_us = self.clock.wall_us();
        self.pass_on(Notice { at_us, severity, node: None, alert: None, kind: kind.to_owned(), message, count: 1 });
    }

    /// Passes on what was said elsewhere, as it was.
    pub fn pass_on(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says what waits, where its two seconds are over; all of it with `everything`.
    pub fn flush(&self, everything: bool) {
        let now = self.clock.monotonic_ns();
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for held in all.values_mut().filter(|held| everything || now.saturating_sub(held.said_ns) >= QUIET_NS) {
            self.release(held, now);
        }
    }

    fn release(&self, held: &mut Held, now: u64) {
        let Some(mut notice) = held.waiting.take() else { return };
        held.said_ns = now.max(1);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            notice.message.push_str(&format!(" ({dropped} notices before this were dropped: nobody took them)"));
        }
        if self.queue.try_send(notice).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}
