//! When sessions are to be looked at: a queue in buckets of time.
//!
//! A session that goes on is looked at again each time it would have closed, so that most entries come many times before they are over. A
//! heap would sift each of them through all others; here an entry goes to the end of its bucket, and order within a bucket is nobody's
//! concern (Brown, "Calendar queues", 1988).

use std::collections::BTreeMap;

/// Buckets in the length of the gap: an entry waits less than this part of it after its time.
const BUCKETS_A_GAP: i64 = 16;

/// Emptied buckets that are kept for those that come next.
const SPARE_BUCKETS: usize = 32;

pub struct DueQueue {
    width: i64,
    /// By time divided by `width`; none is empty.
    buckets: BTreeMap<i64, Vec<(i64, u32)>>,
    spare: Vec<Vec<(i64, u32)>>,
    len: usize,
}

impl DueQueue {
    /// A queue for times that are mostly `gap` ahead.
    pub fn new(gap: i64) -> Self {
        DueQueue { width: (gap / BUCKETS_A_GAP).max(1), buckets: BTreeMap::new(), spare: Vec::new(), len: 0 }
    }

    pub fn push(&mut self, at: i64, slot: u32) {
        let spare = &mut self.spare;
        self.buckets.entry(at.div_euclid(self.width)).or_insert_with(|| spare.pop().unwrap_or_default()).push((at, slot));
        self.len += 1;
    }

    /// Takes out all entries whose time is at or before `until`, in no order.
    pub fn take(&mut self, until: i64) -> Vec<(i64, u32)> {
        let last = until.div_euclid(self.width);
        let mut due = Vec::new();
        while let Some(mut first) = self.buckets.first_entry().filter(|first| *first.key() <= last) {
            if *first.key() < last {
                let mut bucket = first.remove();
                due.append(&mut bucket);
                self.keep(bucket);
                continue;
            }
            due.extend(first.get_mut().extract_if(.., |(at, _)| *at <= until));
            if first.get().is_empty() {
                let bucket = first.remove();
                self.keep(bucket);
            }
            break;
        }
        self.len -= due.len();
        due
    }

    fn keep(&mut self, bucket: Vec<(i64, u32)>) {
        if self.spare.len() < SPARE_BUCKETS {
            self.spare.push(bucket);
        }
    }

    /// The least time.
    pub fn first(&self) -> Option<i64> {
        self.buckets.values().next()?.iter().map(|(at, _)| *at).min()
    }

    pub fn clear(&mut self) {
        self.buckets.clear();
        self.len = 0;
    }

    /// Memory held, in bytes; what buckets have ready beyond their entries aside.
    pub const fn bytes(&self) -> usize {
        self.len * size_of::<(i64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_is_what_is_due(
            steps in proptest::collection::vec((proptest::collection::vec(-200i64..400, 0..20), -200i64..400), 1..20), gap in 1i64..100,
        ) {
            let mut queue = DueQueue::new(gap);
            let mut model: Vec<(i64, u32)> = Vec::new();
            let mut next = 0;
            for (pushed, until) in steps {
                for at in pushed {
                    queue.push(at, next);
                    model.push((at, next));
                    next += 1;
                }
                prop_assert_eq!(queue.first(), model.iter().map(|(at, _)| *at).min());
                let mut due = queue.take(until);
                due.sort_unstable();
                let mut expected: Vec<(i64, u32)> = model.extract_if(.., |(at, _)| *at <= until).collect();
                expected.sort_unstable();
                prop_assert_eq!(due, expected);
            }
        }
    }
}
