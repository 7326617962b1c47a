//! Carries a schedule out against a fleet, and counts what really happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Member};
use crate::schedule::{Fault, Kind, Lane, Schedule, Step};

/// Whether faults may still come. All that wait for something wait for its end, too.
#[derive(Default)]
pub struct Over {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Over {
    pub fn end(&self) {
        *self.is_over.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Waits, and says whether it is over.
    fn wait(&self, time: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap();
        *self.changed.wait_timeout_while(is_over, time, |is_over| !*is_over).unwrap().0
    }
}

/// How often each kind of fault really befell a run that was going on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<Kind, u32>);

impl Tally {
    pub fn of(&self, kind: Kind) -> u32 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: &Tally) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = self.0.iter().map(|(kind, count)| format!("{count} x {}", kind.name())).collect();
        f.write_str(&told.join(", "))
    }
}

pub struct Storm<'a> {
    pub fleet: &'a Fleet,
    pub over: &'a Over,
    tally: Mutex<Tally>,
}

impl<'a> Storm<'a> {
    pub fn new(fleet: &'a Fleet, over: &'a Over) -> Storm<'a> {
        Storm { fleet, over, tally: Mutex::default() }
    }

    /// Lets faults come as the schedule has them, until their time is over or the run is.
    pub fn rage(&self, schedule: &Schedule) -> Tally {
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| self.befall(schedule.of_all(), |step| self.all(step)));
            for (n, member) in self.fleet.members.iter().enumerate() {
                scope.spawn(move || self.befall(schedule.of_member(n), |step| self.one(member, step)));
            }
            self.over.wait(schedule.time.saturating_sub(began.elapsed()));
            self.over.end();
        });
        self.tally.lock().unwrap().clone()
    }

    fn befall(&self, lane: Lane, carry_out: impl Fn(&Step) -> bool) {
        for step in lane {
            if self.over.wait(step.after) {
                return;
            }
            if carry_out(&step) {
                *self.tally.lock().unwrap().0.entry(step.kind).or_default() += 1;
            }
        }
    }

    /// Carries out what befalls one member, and undoes it. False if the run did not notice: nothing was there, or the member had no part in it.
    fn one(&self, member: &Member, step: &Step) -> bool {
        let took_part = member.takes_part();
        let happened = match step.fault {
            Fault::Kill { away } => {
                member.kill();
                self.over.wait(away);
                member.restart();
                true
            }
            Fault::Stop { time } => self.stop(member, time),
            Fault::Cut => member.up.cut() + member.down.cut() > 0,
            Fault::Partition { parted, time } => self.between(member, time, |is_on| self.fleet.part(member, parted, is_on)),
            Fault::SlowLink { delay, bytes_per_second, time } => self.between(member, time, |is_on| {
                let (delay, rate) = if is_on { (delay, bytes_per_second) } else { (Duration::ZERO, 0) };
                self.fleet.slow(member, delay, rate);
            }),
            Fault::FullDisk { .. } | Fault::RollingRestart { .. } | Fault::StopLeader { .. } => unreachable!("it befalls all of them"),
        };
        happened && took_part
    }

    fn stop(&self, member: &Member, time: Duration) -> bool {
        let Some(stopped) = member.signal("STOP") else { return false };
        self.over.wait(time);
        // Another process may stand in its place by now.
        member.signal_if("CONT", stopped);
        true
    }

    /// Changes what is between a member and its leader, for a while. Whether there was anything between them.
    fn between(&self, member: &Member, time: Duration, change: impl Fn(bool)) -> bool {
        let happened = member.up.connections() + member.down.connections() > 0;
        change(true);
        self.over.wait(time);
        change(false);
        happened
    }

    /// The same for what befalls the leader, or all members.
    fn all(&self, step: &Step) -> bool {
        match step.fault {
            Fault::FullDisk { time } => self.fill_disk(time),
            Fault::RollingRestart { apart } => {
                let took_part = self.fleet.members.iter().any(Member::takes_part);
                let is_over = self.fleet.members.iter().any(|member| {
                    member.kill();
                    member.restart();
                    self.over.wait(apart)
                });
                took_part && !is_over
            }
            Fault::StopLeader { time } => {
                let leader = self.fleet.leader.node();
                leader.signal("STOP");
                self.over.wait(time);
                leader.signal("CONT");
                true
            }
            _ => unreachable!("it befalls one of them"),
        }
    }

    fn fill_disk(&self, time: Duration) -> bool {
        let Some(disk) = &self.fleet.leader.disk else {
            self.over.wait(time);
            return false;
        };
        let until = Instant::now() + time;
        let mut was_full = false;
        // What the run removes meanwhile is taken, too.
        while Instant::now() < until && !self.over.wait(Duration::from_millis(10)) {
            was_full |= disk.fill();
        }
        disk.empty();
        was_full
    }
}
