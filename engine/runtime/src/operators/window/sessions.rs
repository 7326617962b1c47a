//! The sessions of all keys: which one a row joins, which have ended.
//!
//! A session has a slot, the number of its states in the columns of the accumulators. Slots of a key form a list, mostly of one; a queue
//! holds each slot once, by when it would close as far as was known, and looks again when that time has come. So a row that prolongs a
//! session touches neither.

use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, SnapshotWriter};

use super::due::DueQueue;
use super::shape::Window;
use super::states::States;
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};

const NONE: u32 = u32::MAX;

/// Keys that may stand without a session before the table is made anew.
const IDLE_KEYS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// Its rows are in another session; the queue still names it.
    Joined(u32),
    Free,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    key: u32,
    /// Another session of the key.
    next: u32,
    /// Of the first row.
    first: i64,
    /// Of the last row.
    last: i64,
    standing: Standing,
}

/// Open sessions by key.
pub struct Sessions {
    gap: i64,
    allowed_lateness: i64,
    keys: Groups,
    /// By key: its sessions, the newest first.
    heads: Vec<u32>,
    /// Keys that have a session.
    live_keys: usize,
    slots: Vec<Session>,
    free: Vec<u32>,
    due: DueQueue,
    open: usize,
    /// Sessions that came together since [`Sessions::joined`] was asked.
    joined: Vec<(u32, u32)>,
}

impl Sessions {
    pub fn new(gap: i64, allowed_lateness: i64, keys: &[Type]) -> Self {
        Sessions {
            gap,
            allowed_lateness,
            keys: Groups::new(keys),
            heads: Vec::new(),
            live_keys: 0,
            slots: Vec::new(),
            free: Vec::new(),
            due: DueQueue::new(gap),
            open: 0,
            joined: Vec::new(),
        }
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open
    }

    /// One more than the greatest slot there is.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// When a session with this last row closes.
    fn close_of(&self, last: i64) -> i64 {
        last.saturating_add(self.gap).saturating_add(self.allowed_lateness)
    }

    /// Finds the slot of each row in `found`, opening, prolonging and joining sessions row by row.
    pub fn place(&mut self, keys: &BatchKeys, times: &[i64], watermarks: &[i64], found: &mut [u32]) -> RunResult<()> {
        self.keys.find(keys, 0..found.len(), found)?;
        self.heads.resize(self.keys.len(), NONE);
        for ((place, time), watermark) in found.iter_mut().zip(times).zip(watermarks) {
            let key = *place;
            let head = self.heads.get(key as usize).copied().unwrap_or(NONE);
            let (gap, allowed_lateness) = (self.gap, self.allowed_lateness);
            *place = match self.slots.get_mut(head as usize) {
                Some(session) if session.next == NONE && session.takes(*time, *watermark, gap, allowed_lateness) => {
                    session.prolong(*time, *time);
                    head
                }
                _ => self.join_or_open(key, head, *time, *watermark),
            };
        }
        Ok(())
    }

    fn join_or_open(&mut self, key: u32, head: u32, time: i64, watermark: i64) -> u32 {
        let mut target = NONE;
        let (mut before, mut at) = (NONE, head);
        while let Some(session) = self.slots.get(at as usize).copied() {
            if !session.takes(time, watermark, self.gap, self.allowed_lateness) {
                before = at;
            } else if target == NONE {
                target = at;
                before = at;
            } else {
                self.unlink(key, before, session.next);
                if let Some(session) = self.slots.get_mut(at as usize) {
                    session.standing = Standing::Joined(target);
                }
                if let Some(target) = self.slots.get_mut(target as usize) {
                    target.prolong(session.first, session.last);
                }
                self.joined.push((at, target));
                self.open -= 1;
            }
            at = session.next;
        }
        match self.slots.get_mut(target as usize) {
            Some(session) => {
                session.prolong(time, time);
                target
            }
            None => self.open(key, head, time, time),
        }
    }

    fn open(&mut self, key: u32, head: u32, first: i64, last: i64) -> u32 {
        let session = Session { key, next: head, first, last, standing: Standing::Open };
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = session,
            None => self.slots.push(session),
        }
        if let Some(first) = self.heads.get_mut(key as usize) {
            *first = slot;
        }
        self.live_keys += usize::from(head == NONE);
        self.open += 1;
        self.due.push(self.close_of(last), slot);
        slot
    }

    /// Leads from what stands before a session to what comes after it.
    fn unlink(&mut self, key: u32, before: u32, after: u32) {
        match self.slots.get_mut(before as usize) {
            Some(before) => before.next = after,
            None => {
                if let Some(head) = self.heads.get_mut(key as usize) {
                    *head = after;
                }
            }
        }
    }

    /// Sessions that came together, in this order: the first's states belong to the second's. The slots in `found` follow.
    pub fn joined(&mut self, found: &mut [u32]) -> Vec<(u32, u32)> {
        let joined = std::mem::take(&mut self.joined);
        if !joined.is_empty() {
            for slot in found {
                while let Some(Session { standing: Standing::Joined(target), .. }) = self.slots.get(*slot as usize) {
                    *slot = *target;
                }
            }
        }
        joined
    }

    /// The sessions that close at or before the watermark, by end, start and key.
    pub fn ended(&mut self, watermark: i64) -> Vec<u32> {
        let mut ended = Vec::new();
        for (_, slot) in self.due.take(watermark) {
            let Some(session) = self.slots.get_mut(slot as usize) else { continue };
            let (standing, last) = (session.standing, session.last);
            if standing != Standing::Open {
                session.standing = Standing::Free;
                self.free.push(slot);
                continue;
            }
            match self.close_of(last) {
                later if later > watermark => self.due.push(later, slot),
                _ => ended.push(slot),
            }
        }
        let by = |slot: &u32| self.slots.get(*slot as usize).map_or((0, 0, 0), |session| (session.last, session.first, session.key));
        ended.sort_unstable_by(|a, b| {
            let ((last_a, first_a, a), (last_b, first_b, b)) = (by(a), by(b));
            (last_a, first_a).cmp(&(last_b, first_b)).then_with(|| self.keys.compare(a, b))
        });
        ended
    }

    pub fn window(&self, slot: u32) -> Window {
        let session = self.slots.get(slot as usize);
        session.map_or(Window { start: 0, end: 1 }, |session| Window { start: session.first, end: session.last.saturating_add(self.gap) })
    }

    /// Gives out the keys of some sessions.
    pub fn give(&self, slots: &[u32], keys: &mut [Cells]) {
        let of: Vec<u32> = slots.iter().filter_map(|slot| self.slots.get(*slot as usize).map(|session| session.key)).collect();
        self.keys.give(&of, keys);
    }

    /// Forgets a session that [`Sessions::ended`] gave.
    pub fn remove(&mut self, slot: u32) {
        let Some(Session { key, next, .. }) = self.slots.get(slot as usize).copied() else { return };
        let (mut before, mut at) = (NONE, self.heads.get(key as usize).copied().unwrap_or(NONE));
        while at != slot && at != NONE {
            before = at;
            at = self.slots.get(at as usize).map_or(NONE, |session| session.next);
        }
        self.unlink(key, before, next);
        self.live_keys -= usize::from(before == NONE && next == NONE);
        if let Some(session) = self.slots.get_mut(slot as usize) {
            session.standing = Standing::Free;
        }
        self.free.push(slot);
        self.open -= 1;
    }

    /// Forgets keys without a session, once they are the most.
    pub fn tidy(&mut self) {
        if self.keys.len() < self.live_keys * 2 + IDLE_KEYS {
            return;
        }
        let live: Vec<u32> = (0..).zip(&self.heads).filter(|(_, head)| **head != NONE).map(|(key, _)| key).collect();
        self.keys = self.keys.pick(&live);
        self.heads = live.iter().filter_map(|key| self.heads.get(*key as usize).copied()).collect();
        for (key, head) in (0..).zip(&self.heads) {
            let mut at = *head;
            while let Some(session) = self.slots.get_mut(at as usize) {
                session.key = key;
                at = session.next;
            }
        }
    }

    /// Writes the sessions with their states, a record for each key group that has any: of each session its key, of each its first and
    /// last row, then the states.
    pub fn save(&self, types: &[Type], states: &States, writer: &mut SnapshotWriter) -> RunResult<()> {
        let saved = SavedKeys::new(&self.keys, types, writer.key_groups())?;
        for (key_group, keys) in saved.by_key_group() {
            let mut sessions: Vec<(u32, Session)> = keys.iter().flat_map(|key| self.of_key(*key)).collect();
            if sessions.is_empty() {
                continue;
            }
            // The newest of a key comes last, as it was opened.
            sessions.reverse();
            writer.keyed(key_group, |out| {
                saved.write(&sessions.iter().map(|(_, session)| session.key).collect::<Vec<_>>(), out);
                for (_, session) in &sessions {
                    out.i64(session.first);
                    out.i64(session.last);
                }
                states.save(&sessions.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), out);
            });
        }
        Ok(())
    }

    /// Opens the sessions of a record of [`Sessions::save`], and loads their states.
    pub fn load(&mut self, types: &[Type], states: &mut States, from: &mut Reader<'_>) -> RunResult<()> {
        let keys = load_keys(&mut self.keys, types, from)?;
        self.heads.resize(self.keys.len(), NONE);
        let mut slots = Vec::with_capacity(keys.len());
        for key in keys {
            let (first, last) = (from.i64()?, from.i64()?);
            let head = self.heads.get(key as usize).copied().unwrap_or(NONE);
            slots.push(self.open(key, head, first, last));
        }
        states.resize(self.slots());
        states.load(&slots, from)?;
        Ok(from.finish()?)
    }

    /// A key's sessions, the newest first.
    fn of_key(&self, key: u32) -> impl Iterator<Item = (u32, Session)> {
        let at = |slot: u32| self.slots.get(slot as usize).map(|session| (slot, *session));
        std::iter::successors(self.heads.get(key as usize).and_then(|head| at(*head)), move |(_, session)| at(session.next))
    }

    /// When the last of the open sessions closes.
    pub fn greatest_close(&self) -> Option<i64> {
        let open = self.slots.iter().filter(|session| session.standing == Standing::Open);
        open.map(|session| self.close_of(session.last)).max()
    }

    /// No session ends before it.
    pub fn next_end(&self) -> Option<i64> {
        self.next_close().map(|close| close.saturating_sub(self.allowed_lateness))
    }

    /// No session closes before it.
    pub fn next_close(&self) -> Option<i64> {
        self.due.first()
    }

    pub fn clear(&mut self) {
        self.keys.clear();
        self.heads.clear();
        self.slots.clear();
        self.free.clear();
        self.due.clear();
        self.joined.clear();
        (self.live_keys, self.open) = (0, 0);
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
            + (self.heads.capacity() + self.free.capacity()) * size_of::<u32>()
            + self.slots.capacity() * size_of::<Session>()
            + self.due.bytes()
    }
}

impl Session {
    /// Whether a row joins: less than a gap away, and the session closes after the row's own watermark.
    #[inline]
    fn takes(&self, time: i64, watermark: i64, gap: i64, allowed_lateness: i64) -> bool {
        let end = self.last.saturating_add(gap);
        time < end && self.first < time.saturating_add(gap) && end.saturating_add(allowed_lateness) > watermark
    }

    #[inline]
    fn prolong(&mut self, first: i64, last: i64) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}
