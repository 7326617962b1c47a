//! Time, turns and the log.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use millrace_runtime::{Clock, Turns};

use super::Chance;
use crate::clock::START_US;

/// A life that takes longer by its own clock hangs.
const LONGEST_LIFE_NS: u64 = 600_000_000_000;

/// Time may pass by a task that could go on, but no more than this.
const FARTHEST_LEAP_NS: u64 = 5_000_000;

/// Why a life ended before its work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    Crashed,
    /// Nothing can happen any more, or nothing comes of what happens.
    Stuck,
}

/// What one seed decides: whose turn it is, how long things take, and what all that came to. Cheap to clone.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
}

struct State {
    chance: Chance,
    now_ns: u64,
    /// By time and order.
    sleepers: BTreeMap<(u64, u64), Waker>,
    next: u64,
    /// Tasks that could go on.
    ready: BTreeMap<u64, Waker>,
    /// Whose turn it is.
    turn: Option<u64>,
    life: u32,
    life_began_ns: u64,
    halt: Option<Halt>,
    is_alive: bool,
    root: Option<Waker>,
    log: Vec<String>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    pub fn new(seed: u64) -> World {
        let state = State {
            chance: Chance::new(seed),
            now_ns: 0,
            sleepers: BTreeMap::new(),
            next: 0,
            ready: BTreeMap::new(),
            turn: None,
            life: 0,
            life_began_ns: 0,
            halt: None,
            is_alive: false,
            root: None,
            log: Vec::new(),
        };
        World { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws.
    pub fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.lock().chance)
    }

    pub fn say(&self, what: impl fmt::Display) {
        let mut state = self.lock();
        let line = format!("{:>12} life {} {what}", state.now_ns / 1_000, state.life);
        state.log.push(line);
    }

    /// All that happened so far.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// The number of the life that begins; what belongs to former ones has no effect any more.
    pub fn begin_life(&self) -> u32 {
        let mut state = self.lock();
        state.life += 1;
        (state.is_alive, state.halt, state.life_began_ns) = (true, None, state.now_ns);
        state.life
    }

    pub fn is_alive(&self, life: u32) -> bool {
        let state = self.lock();
        state.is_alive && state.life == life
    }

    /// The life is over, wherever it stands.
    pub fn halt(&self, halt: Halt) {
        let root = {
            let mut state = self.lock();
            (state.halt, state.is_alive) = (state.halt.or(Some(halt)), false);
            state.root.take()
        };
        root.into_iter().for_each(Waker::wake);
    }

    /// Runs the life that has begun until its work is done or it is halted. Whatever is left of it is dropped, without effect.
    ///
    /// # Errors
    /// Why it was halted.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let world = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || world.idle()).build().expect("a runtime");
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                halt = self.halted() => Err(halt),
                done = work => Ok(done),
            }
        });
        // Work may end by the error that the last call of a life gets.
        let result = {
            let mut state = self.lock();
            state.is_alive = false;
            state.halt.map_or(result, Err)
        };
        drop(runtime);
        let left = {
            let mut state = self.lock();
            state.turn = None;
            (std::mem::take(&mut state.sleepers), std::mem::take(&mut state.ready), state.root.take())
        };
        // A waker may be the last that holds a task, whose end asks for the lock.
        drop(left);
        result
    }

    fn halted(&self) -> impl Future<Output = Halt> {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(halt) = state.halt {
                return Poll::Ready(halt);
            }
            let before = state.root.replace(context.waker().clone());
            drop((state, before));
            Poll::Pending
        })
    }

    /// Nothing goes on by itself: gives somebody a turn, or lets time pass.
    fn idle(&self) {
        let woken = self.lock().step();
        match woken {
            Some(woken) => woken.into_iter().for_each(Waker::wake),
            None => self.halt(Halt::Stuck),
        }
    }
}

impl State {
    /// Who is to be woken; none if nothing can happen any more.
    fn step(&mut self) -> Option<Vec<Waker>> {
        if self.halt.is_some() {
            return Some(Vec::new());
        }
        if self.now_ns - self.life_began_ns > LONGEST_LIFE_NS {
            return None;
        }
        let next = self.sleepers.first_key_value().map(|((at, _), _)| *at);
        let leap = next.filter(|at| self.ready.is_empty() || *at < self.now_ns + FARTHEST_LEAP_NS && self.chance.one_in(16));
        let mut woken = Vec::new();
        if let Some(at) = leap {
            self.now_ns = self.now_ns.max(at);
        } else {
            let place = self.chance.below(self.ready.len() as u64) as usize;
            let task = *self.ready.keys().nth(place)?;
            self.turn = Some(task);
            woken.extend(self.ready.remove(&task));
            self.now_ns += self.chance.between(500, 20_000);
        }
        while let Some(sleeper) = self.sleepers.first_entry().filter(|sleeper| sleeper.key().0 <= self.now_ns) {
            woken.push(sleeper.remove());
        }
        Some(woken)
    }
}

impl Clock for World {
    fn wall_us(&self) -> i64 {
        START_US + (self.monotonic_ns() / 1_000) as i64
    }

    fn monotonic_ns(&self) -> u64 {
        self.lock().now_ns
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.lock();
        state.next += 1;
        let until = (state.now_ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)), state.next);
        Box::pin(Sleep { world: self.clone(), until })
    }
}

struct Sleep {
    world: World,
    until: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.world.lock();
        if state.now_ns >= self.until.0 {
            return Poll::Ready(());
        }
        let before = state.sleepers.insert(self.until, context.waker().clone());
        drop((state, before));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let gone = self.world.lock().sleepers.remove(&self.until);
        drop(gone);
    }
}

impl Turns for World {
    fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        state.next
    }

    fn poll_turn(&self, task: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.turn == Some(task) {
            state.turn = None;
            return Poll::Ready(());
        }
        let before = state.ready.insert(task, context.waker().clone());
        drop((state, before));
        Poll::Pending
    }

    fn end(&self, task: u64) {
        let gone = {
            let mut state = self.lock();
            if state.turn == Some(task) {
                state.turn = None;
            }
            state.ready.remove(&task)
        };
        drop(gone);
    }

    fn delay(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let micros = self.chance(|chance| match chance.below(32) {
            0..4 => 0,
            31 => chance.below(40_000),
            _ => chance.between(10, 3_000),
        });
        self.sleep(Duration::from_micros(micros))
    }
}
