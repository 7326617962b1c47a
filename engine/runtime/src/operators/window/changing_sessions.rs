//! Sessions that may be told before they close: where a row belongs, what of each session is out, and which are due.
//!
//! A result of a session is known by its first and last row, which later rows move: so a result that no longer stands is deleted, and the session
//! is told anew. [`super::sessions`] keeps those that are told once, and is made for many rows; the rule is the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use millrace_model::DataType as Type;
use millrace_state::snapshot::{Reader, SnapshotWriter};

use super::shape::Window;
use super::states::States;
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedKeys, load_keys};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// Its rows are in another session; the heap still names it.
    Joined(u32),
    Free,
}

/// A session, with what of it is out.
#[derive(Debug, Clone)]
struct Session {
    key: u32,
    /// Of the first row.
    first: i64,
    /// Of the last row.
    last: i64,
    standing: Standing,
    /// Results that are out, its own and those of sessions that it has joined.
    told: Vec<Window>,
    /// It has had rows since its last result.
    is_touched: bool,
    /// How many.
    rows: u64,
    /// Its slot stands in the list of those that were touched, perhaps from before its last result.
    is_listed: bool,
    /// When it is to be looked at: other entries of it in the heap are of no account.
    due_at: i64,
}

/// It is not to be looked at.
const NEVER: i64 = i64::MIN;

/// Keys that may stand without a session before the table is made anew.
const IDLE_KEYS: usize = 1024;

/// What a watermark makes due.
#[derive(Debug, Default)]
pub struct Due {
    /// Sessions that have ended and have had rows since their last result.
    pub to_tell: Vec<u32>,
    /// Sessions that have closed.
    pub to_forget: Vec<u32>,
}

/// Sessions by key.
pub struct ChangingSessions {
    gap: i64,
    allowed_lateness: i64,
    keys: Groups,
    /// By key: its open sessions.
    of_key: Vec<Vec<u32>>,
    slots: Vec<Session>,
    free: Vec<u32>,
    /// Each slot that is not free, by when it is to be looked at again: when it ends or closes as far as is known.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    open: usize,
    /// All sessions that have had rows since their last result, each once, among some that have not.
    touched: Vec<u32>,
}

impl ChangingSessions {
    pub fn new(gap: i64, allowed_lateness: i64, keys: &[Type]) -> Self {
        ChangingSessions {
            gap,
            allowed_lateness,
            keys: Groups::new(keys),
            of_key: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            open: 0,
            touched: Vec::new(),
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

    fn end_of(&self, last: i64) -> i64 {
        last.saturating_add(self.gap)
    }

    fn close_of(&self, last: i64) -> i64 {
        self.end_of(last).saturating_add(self.allowed_lateness)
    }

    /// Tells the key of each row, as a number.
    pub fn find_keys(&mut self, keys: &BatchKeys, found: &mut [u32]) -> RunResult<()> {
        self.keys.find(keys, 0..found.len(), found)?;
        self.of_key.resize(self.keys.len(), Vec::new());
        Ok(())
    }

    /// Finds the slot of a row, opening, prolonging and joining sessions; `joined` hears which states belong to which from now on.
    pub fn place(&mut self, key: u32, time: i64, watermark: i64, joined: &mut Vec<(u32, u32)>) -> u32 {
        let near: Vec<u32> = self.of_key.get(key as usize).into_iter().flatten().copied().collect();
        let near: Vec<u32> = near.into_iter().filter(|slot| self.takes(*slot, time, watermark)).collect();
        let Some((target, others)) = near.split_first() else { return self.open(key, time) };
        for other in others {
            self.join(*other, *target);
            joined.push((*other, *target));
        }
        self.touch(*target, time);
        *target
    }

    /// Whether a row joins: less than a gap away, and the session closes after the row's own watermark.
    fn takes(&self, slot: u32, time: i64, watermark: i64) -> bool {
        self.slots.get(slot as usize).is_some_and(|session| {
            time < self.end_of(session.last) && session.first < time.saturating_add(self.gap) && self.close_of(session.last) > watermark
        })
    }

    fn touch(&mut self, slot: u32, time: i64) {
        let Some(session) = self.slots.get_mut(slot as usize) else { return };
        (session.first, session.last) = (session.first.min(time), session.last.max(time));
        session.rows += 1;
        session.is_touched = true;
        if !session.is_listed {
            session.is_listed = true;
            self.touched.push(slot);
        }
        // One that had ended, and was to be looked at only when it closes, may end anew before that.
        let (end, due_at) = (session.last.saturating_add(self.gap), session.due_at);
        if end < due_at {
            self.look_at(slot, end);
        }
    }

    fn open(&mut self, key: u32, time: i64) -> u32 {
        let slot = self.insert(Session {
            key,
            first: time,
            last: time,
            standing: Standing::Open,
            told: Vec::new(),
            is_touched: false,
            rows: 0,
            is_listed: false,
            due_at: NEVER,
        });
        self.touch(slot, time);
        slot
    }

    fn insert(&mut self, session: Session) -> u32 {
        let (key, end) = (session.key, self.end_of(session.last));
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            // What a slot's former session is listed for, the slot is.
            Some(place) => *place = Session { is_listed: place.is_listed, ..session },
            None => self.slots.push(session),
        }
        if let Some(of_key) = self.of_key.get_mut(key as usize) {
            of_key.push(slot);
        }
        self.open += 1;
        self.look_at(slot, end);
        slot
    }

    fn look_at(&mut self, slot: u32, at: i64) {
        if let Some(session) = self.slots.get_mut(slot as usize) {
            session.due_at = at;
            self.due.push(Reverse((at, slot)));
        }
    }

    /// Makes one session part of another.
    fn join(&mut self, from: u32, into: u32) {
        let Some(session) = self.slots.get_mut(from as usize) else { return };
        session.standing = Standing::Joined(into);
        let (key, first, last, rows) = (session.key, session.first, session.last, session.rows);
        let told = std::mem::take(&mut session.told);
        if let Some(target) = self.slots.get_mut(into as usize) {
            (target.first, target.last) = (target.first.min(first), target.last.max(last));
            target.rows += rows;
            target.told.extend(told);
        }
        if let Some(of_key) = self.of_key.get_mut(key as usize) {
            of_key.retain(|slot| *slot != from);
        }
        self.open -= 1;
    }

    /// The session that a slot's rows are in.
    pub fn target(&self, mut slot: u32) -> u32 {
        while let Some(Session { standing: Standing::Joined(into), .. }) = self.slots.get(slot as usize) {
            slot = *into;
        }
        slot
    }

    /// Rows since the session's last result.
    pub fn rows(&self, slot: u32) -> u64 {
        self.slots.get(slot as usize).map_or(0, |session| session.rows)
    }

    pub fn window(&self, slot: u32) -> Window {
        let session = self.slots.get(slot as usize);
        session.map_or(Window { start: 0, end: 1 }, |session| Window { start: session.first, end: self.end_of(session.last) })
    }

    /// The sessions that have had rows since their last result, by end, start and key, to be told now.
    pub fn take_touched(&mut self) -> Vec<u32> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|slot| {
            self.slots.get_mut(*slot as usize).is_some_and(|session| {
                session.is_listed = false;
                session.is_touched && session.standing == Standing::Open
            })
        });
        self.sort(&mut touched);
        touched
    }

    /// Of the sessions that had rows of a batch those that had ended before, or were told as ended and are not any more what was told.
    pub fn behind(&self, mut slots: Vec<u32>, watermark: i64) -> Vec<u32> {
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| {
            self.slots.get(*slot as usize).is_some_and(|session| {
                let is_over = self.end_of(session.last) <= watermark || session.told.iter().any(|told| told.end <= watermark);
                is_over && session.is_touched && session.standing == Standing::Open
            })
        });
        self.sort(&mut slots);
        slots
    }

    /// What has ended or closed.
    pub fn due(&mut self, watermark: i64) -> Due {
        let mut due = Due::default();
        while let Some(Reverse((at, slot))) = self.due.peek().copied().filter(|due| due.0.0 <= watermark) {
            self.due.pop();
            let Some(session) = self.slots.get_mut(slot as usize).filter(|session| session.due_at == at) else { continue };
            session.due_at = NEVER;
            if session.standing != Standing::Open {
                session.standing = Standing::Free;
                self.free.push(slot);
                continue;
            }
            let (last, is_touched) = (session.last, session.is_touched);
            let (end, close) = (self.end_of(last), self.close_of(last));
            if end > watermark {
                self.look_at(slot, end);
                continue;
            }
            if is_touched {
                due.to_tell.push(slot);
            }
            match close > watermark {
                true => self.look_at(slot, close),
                false => due.to_forget.push(slot),
            }
        }
        self.sort(&mut due.to_tell);
        due
    }

    fn sort(&self, slots: &mut [u32]) {
        let by = |slot: &u32| self.slots.get(*slot as usize).map_or((0, 0, 0), |session| (session.last, session.first, session.key));
        slots.sort_unstable_by(|a, b| {
            let ((last_a, first_a, key_a), (last_b, first_b, key_b)) = (by(a), by(b));
            (last_a, first_a).cmp(&(last_b, first_b)).then_with(|| self.keys.compare(key_a, key_b)).then_with(|| a.cmp(b))
        });
    }

    /// A result of a session goes out: gives those that it takes the place of.
    pub fn tell(&mut self, slot: u32) -> Vec<Window> {
        let window = self.window(slot);
        let Some(session) = self.slots.get_mut(slot as usize) else { return Vec::new() };
        (session.is_touched, session.rows) = (false, 0);
        std::mem::replace(&mut session.told, vec![window])
    }

    pub fn key(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |session| session.key)
    }

    /// Gives out keys by their numbers.
    pub fn give(&self, keys: &[u32], out: &mut [Cells]) {
        self.keys.give(keys, out);
    }

    /// Forgets a session that has closed.
    pub fn remove(&mut self, slot: u32) {
        let key = self.key(slot);
        if let Some(of_key) = self.of_key.get_mut(key as usize) {
            of_key.retain(|other| *other != slot);
        }
        if let Some(session) = self.slots.get_mut(slot as usize) {
            session.standing = Standing::Free;
            session.told = Vec::new();
        }
        self.free.push(slot);
        self.open -= 1;
    }

    /// Forgets keys without a session, once they are the most.
    pub fn tidy(&mut self) {
        if self.keys.len() < self.open * 2 + IDLE_KEYS {
            return;
        }
        let live: Vec<u32> = (0..).zip(&self.of_key).filter(|(_, slots)| !slots.is_empty()).map(|(key, _)| key).collect();
        self.keys = self.keys.pick(&live);
        self.of_key = live.iter().filter_map(|key| self.of_key.get_mut(*key as usize).map(std::mem::take)).collect();
        for (key, slots) in (0..).zip(&self.of_key) {
            for slot in slots {
                if let Some(session) = self.slots.get_mut(*slot as usize) {
                    session.key = key;
                }
            }
        }
    }

    /// When the last of the open sessions closes.
    pub fn greatest_close(&self) -> Option<i64> {
        let open = self.slots.iter().filter(|session| session.standing == Standing::Open);
        open.map(|session| self.close_of(session.last)).max()
    }

    /// Writes the sessions with their states, a record for each key group that has any.
    pub fn save(&self, types: &[Type], states: &States, writer: &mut SnapshotWriter) -> RunResult<()> {
        let saved = SavedKeys::new(&self.keys, types, writer.key_groups())?;
        for (key_group, keys) in saved.by_key_group() {
            let slots: Vec<u32> = keys.iter().filter_map(|key| self.of_key.get(*key as usize)).flatten().copied().collect();
            if slots.is_empty() {
                continue;
            }
            let sessions: Vec<&Session> = slots.iter().filter_map(|slot| self.slots.get(*slot as usize)).collect();
            writer.keyed(key_group, |out| {
                saved.write(&sessions.iter().map(|session| session.key).collect::<Vec<_>>(), out);
                for session in &sessions {
                    out.i64(session.first);
                    out.i64(session.last);
                    out.flag(session.is_touched);
                    out.u64(session.rows);
                    out.u64(session.told.len() as u64);
                    for told in &session.told {
                        out.i64(told.start);
                        out.i64(told.end);
                    }
                }
                states.save(&slots, out);
            });
        }
        Ok(())
    }

    /// Opens the sessions of a record of [`ChangingSessions::save`], and loads their states.
    pub fn load(&mut self, types: &[Type], states: &mut States, from: &mut Reader<'_>) -> RunResult<()> {
        let keys = load_keys(&mut self.keys, types, from)?;
        self.of_key.resize(self.keys.len(), Vec::new());
        let mut slots = Vec::with_capacity(keys.len());
        for key in keys {
            let (first, last, is_touched, rows) = (from.i64()?, from.i64()?, from.flag()?, from.u64()?);
            let mut told = Vec::new();
            for _ in 0..from.count(2 * size_of::<i64>())? {
                told.push(Window { start: from.i64()?, end: from.i64()? });
            }
            let session =
                Session { key, first, last, standing: Standing::Open, told, is_touched, rows, is_listed: is_touched, due_at: NEVER };
            let slot = self.insert(session);
            if is_touched {
                self.touched.push(slot);
            }
            slots.push(slot);
        }
        states.resize(self.slots());
        states.load(&slots, from)?;
        Ok(from.finish()?)
    }

    /// No session ends before it.
    pub fn next_end(&self) -> Option<i64> {
        self.due.peek().map(|due| due.0.0)
    }

    pub fn clear(&mut self) {
        self.keys.clear();
        self.of_key.clear();
        self.slots.clear();
        self.free.clear();
        self.due.clear();
        self.touched.clear();
        self.open = 0;
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
            + self.of_key.capacity() * size_of::<Vec<u32>>()
            + (self.open + self.free.capacity() + self.touched.capacity()) * size_of::<u32>()
            + self.slots.capacity() * (size_of::<Session>() + size_of::<Window>())
            + self.due.capacity() * size_of::<(i64, u32)>()
    }
}
