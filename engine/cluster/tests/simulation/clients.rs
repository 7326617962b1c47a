//! Who writes to a control group, and remembers what it was told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_control::ControlGroup;
use millrace_control::control::{Answer, Claim, Command, EpochId, Generation, Source};
use millrace_control::time::{Moment, draw, sleep};

use crate::fleet::Fleet;

/// The run that all claim.
pub const RUN: &str = "run";

/// The run's first begin.
const BEGUN: i64 = 1;

/// Places that a writer writes to, one after the other and round again.
const PLACES: u64 = 7;

/// An epoch that was answered to be complete.
#[derive(Debug, Clone, Copy)]
struct Completed {
    generation: u64,
    number: u64,
    at: Moment,
}

/// What was answered.
#[derive(Default)]
struct Told {
    /// By writer.
    written: Vec<(u64, u64)>,
    /// The newest generation that somebody was told to lead, and when each was.
    led: Vec<(u64, Moment)>,
    completed: Vec<Completed>,
}

/// All clients of a group.
pub struct Clients {
    fleet: Arc<Fleet>,
    told: Mutex<Told>,
    is_over: AtomicBool,
}

fn place(writer: u64, number: u64) -> String {
    format!("w{writer}-{}", number % PLACES)
}

fn join(writer: u64, number: u64) -> Command {
    let (name, generation) = (place(writer, number), Generation(number));
    Command::Join { name, generation, address: "wss://127.0.0.1:1".into(), slots: 1, is_control: false }
}

fn pause(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(least_ms + draw() % (most_ms - least_ms + 1))
}

impl Clients {
    /// Has the group hold the run; then so many write, and so many claim it.
    pub async fn begin(fleet: &Arc<Fleet>, writers: u64, claimants: u64) -> Result<Arc<Clients>, String> {
        let clients = Arc::new(Clients { fleet: fleet.clone(), told: Mutex::default(), is_over: AtomicBool::new(false) });
        let deploy = Command::Deploy { name: RUN.into(), generation: Generation(0), source: Source::default() };
        clients.write(0, deploy).await.filter(Answer::is_done).ok_or("the run is not held")?;
        for writer in 0..writers {
            drop(fleet.outside.run(clients.clone().writes(writer)));
        }
        for claimant in 0..claimants {
            drop(fleet.outside.run(clients.clone().claims(claimant)));
        }
        Ok(clients)
    }

    /// Nobody begins anything any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands were answered to be done.
    pub fn answered(&self) -> u64 {
        let told = self.told();
        (told.written.len() + told.led.len() + told.completed.len()) as u64
    }

    fn any_node(&self) -> Option<usize> {
        let present = self.fleet.net.present();
        let at = draw().checked_rem(present.len() as u64)?;
        present.get(at as usize).copied()
    }

    /// Asks a node's process; none if what became of it is not known.
    async fn write(&self, node: usize, command: Command) -> Option<Answer> {
        let host = self.fleet.net.host(node)?;
        let group = host.group.clone();
        let said = format!("{command:?}");
        let answer = host.process.run(async move { group.write(command).await }).await.ok()?.ok();
        self.fleet.world.say(format_args!("{said} by n{node}: {answer:?}"));
        answer
    }

    async fn writes(self: Arc<Self>, writer: u64) {
        let mut number = 0;
        while !self.is_over() {
            sleep(pause(5, 120)).await;
            number += 1;
            let Some(node) = self.any_node() else { continue };
            match self.write(node, join(writer, number)).await {
                Some(answer) if answer.is_done() => self.told().written.push((writer, number)),
                Some(answer) => self.fleet.net.judge.find(format!("what nobody else writes is answered with {answer:?}")),
                None => {}
            }
        }
    }

    /// Leads the run as often as it is deposed, and completes its epochs.
    async fn claims(self: Arc<Self>, claimant: u64) {
        while !self.is_over() {
            sleep(pause(10, 1_500)).await;
            // It keeps to a node, as the process does that leads a run; which one changes with each claim.
            let Some(node) = self.any_node() else { continue };
            let Some(host) = self.fleet.net.host(node) else { continue };
            let (generation, newest) = known(&host.group);
            let claim = Claim { node: format!("claimant-{claimant}"), nonce: draw(), ..Claim::default() };
            let lead = Command::Lead { name: RUN.into(), generation: Generation(generation), claim };
            let Some(Answer::Done { generation } | Answer::Already { generation }) = self.write(node, lead).await else { continue };
            self.told().led.push((generation.0, Moment::now()));
            self.completes(node, generation.0, newest).await;
        }
    }

    async fn completes(&self, node: usize, generation: u64, newest: u64) {
        let mut number = newest + 1;
        // What it does when nobody deposes it: it leaves by itself at some time.
        let until = Moment::now() + pause(100, 4_000);
        while !self.is_over() && Moment::now() < until {
            sleep(pause(5, 80)).await;
            let asked = Moment::now();
            let epoch = EpochId { run: BEGUN, number };
            let complete = Command::Complete {
                name: RUN.into(),
                generation: Generation(generation),
                epoch,
                holders: std::collections::BTreeSet::default(),
            };
            match self.write(node, complete).await {
                Some(Answer::Done { .. } | Answer::Already { .. }) => {
                    self.completed(Completed { generation, number, at: Moment::now() }, asked);
                    number += 1;
                    let commit = Command::Commit { name: RUN.into(), generation: Generation(generation), epoch };
                    // It is entered or not; what it says is looked at by the control's own tests.
                    let _ = self.write(node, commit).await;
                }
                Some(Answer::OutOfOrder { newest: Some(newest) }) => number = newest.number + 1,
                Some(Answer::Stale { .. }) => return,
                Some(answer) => return self.fleet.net.judge.find(format!("an epoch is answered with {answer:?}")),
                // Whether it came about is not known: the same again is safe.
                None => {}
            }
        }
    }

    fn completed(&self, now: Completed, asked: Moment) {
        let mut told = self.told();
        if let Some((newer, _)) = told.led.iter().find(|(led, at)| *led > now.generation && *at < asked) {
            let wrong = format!("generation {} completes epoch {} after generation {newer} has begun", now.generation, now.number);
            self.fleet.net.judge.find(wrong);
        }
        let is_after = |before: &&Completed| {
            before.at < asked && (before.number > now.number || before.number == now.number && before.generation == now.generation)
        };
        if let Some(before) = told.completed.iter().find(is_after) {
            self.fleet.net.judge.find(format!("{now:?} was answered after {before:?}"));
        }
        told.completed.push(now);
    }

    /// What is wrong with what a node holds once all is quiet.
    pub fn check(&self, group: &ControlGroup) -> Result<(), String> {
        let told = self.told();
        for (writer, number) in &told.written {
            let newest = group.read(|control| control.members().get(&place(*writer, *number)).map(|member| member.generation));
            if newest < Some(Generation(*number)) {
                return Err(format!("{number} of {writer} was answered and is lost: {newest:?}"));
            }
        }
        let (generation, complete) = known(group);
        if let Some(lost) = told.completed.iter().find(|completed| completed.number > complete) {
            return Err(format!("{lost:?} was answered and is lost: epoch {complete} is the newest"));
        }
        let led = told.led.iter().map(|(led, _)| *led).max().unwrap_or_default();
        if led > generation { Err(format!("generation {led} was answered and is lost: {generation} is the newest")) } else { Ok(()) }
    }
}

/// The run's generation and its newest complete epoch, as far as a node has heard.
fn known(group: &ControlGroup) -> (u64, u64) {
    group.read(|control| {
        let run = control.deployments().get(RUN);
        let complete = run.and_then(|run| run.complete).map_or(0, |epoch| epoch.number);
        (run.map_or(0, |run| run.generation.0), complete)
    })
}
