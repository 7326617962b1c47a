//! When an epoch begins, is complete, may be committed, and what may be forgotten: a state machine that is told events and gives decisions.

use std::collections::BTreeSet;
use std::mem;

use super::manifest::{Committable, Ending, PartEntry, TaskId};
use super::paths::SavepointName;

/// What a run's epochs are like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All tasks, sources and sinks too.
    pub tasks: BTreeSet<TaskId>,
    /// The number after which epochs begin: that of the one the run goes on from, or higher; 0 for a run that begins.
    pub after: u64,
    /// From one epoch's begin to the next one's, in nanoseconds; none if there is only the last one, which is kept nowhere.
    pub every_ns: Option<u64>,
    /// Barriers that have not all met by then overtake the rows before them.
    pub hasten_after_ns: u64,
    /// An epoch that takes longer is given up.
    pub timeout_ns: u64,
    pub now_ns: u64,
}

/// Why an epoch came to nothing. The run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A task, or the store for it, could not.
    Declined { task: TaskId, why: String },
    /// These had not acknowledged in time.
    TimedOut { waiting: Vec<TaskId> },
    /// The last epoch takes its place.
    Superseded,
    /// The manifest could not be created.
    NotPublished { why: String },
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Send the barrier from every source; after the last one they end.
    InjectBarriers { epoch: u64, is_last: bool },
    /// Let the epoch's barriers overtake the rows before them, which become a part of the snapshots.
    HastenBarriers { epoch: u64 },
    /// All parts are at rest: create the manifest, unless another has.
    CreateManifest { epoch: u64, ending: Option<Ending>, parts: Vec<PartEntry>, ready: Vec<Committable> },
    /// The epoch is complete: make what was prepared visible.
    CommitSinks { epoch: u64, ending: Option<Ending>, ready: Vec<Committable> },
    /// The epoch came to nothing; what its sinks prepared goes with the next.
    AbandonEpoch { epoch: u64, cause: Cause },
    /// Sinks have committed it: keep a copy of it under each of these names, before anything else.
    KeepSavepoints { epoch: u64, names: Vec<SavepointName> },
    /// The run is at its end: there will be nothing to go on with from these.
    RefuseSavepoints { names: Vec<SavepointName> },
    /// Sinks have committed it: nobody restores below.
    ForgetBelow { epoch: u64 },
    /// The last epoch is committed.
    Finish { ending: Ending },
    /// The last epoch came to nothing: the run cannot end in order.
    Fail { epoch: u64, cause: Cause },
    /// Another process made this epoch: it owns the run, and this one must not touch anything any more.
    StopOrphaned { epoch: u64 },
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Aligning {
        waiting: BTreeSet<TaskId>,
        parts: Vec<PartEntry>,
        since_ns: u64,
        /// Whether its barriers may still be told to overtake rows. Never for a savepoint, which holds nothing in flight.
        may_overtake: bool,
    },
    Publishing,
    Committing {
        ready: Vec<Committable>,
    },
    /// Copied under the names of its savepoints; until then neither forgotten nor followed by another.
    Keeping,
}

#[derive(Debug, Clone, PartialEq)]
struct Current {
    epoch: u64,
    ending: Option<Ending>,
    phase: Phase,
    /// Asked for before it began.
    savepoints: Vec<SavepointName>,
}

/// The epochs of one run. One is under way at a time.
#[derive(Debug)]
pub struct Coordinator {
    settings: Settings,
    last_epoch: u64,
    current: Option<Current>,
    /// Prepared by sinks, with the epoch it was prepared in, and in no manifest yet.
    prepared: Vec<(u64, Committable)>,
    /// Asked for, and to go with the next epoch that begins.
    asked: Vec<SavepointName>,
    next_ns: Option<u64>,
    ending: Option<Ending>,
    is_over: bool,
}

impl Coordinator {
    pub fn new(settings: Settings) -> Self {
        let next_ns = settings.every_ns.map(|every| settings.now_ns.saturating_add(every));
        let last_epoch = settings.after;
        Coordinator { settings, last_epoch, current: None, prepared: Vec::new(), asked: Vec::new(), next_ns, ending: None, is_over: false }
    }

    /// From now on epochs come as often as this, and wait for their barriers so long. What is under way goes on as it began.
    pub const fn set_pace(&mut self, every_ns: Option<u64>, hasten_after_ns: u64) {
        self.settings.every_ns = every_ns;
        self.settings.hasten_after_ns = hasten_after_ns;
    }

    /// Whether the next epoch to be complete, or one after it, is the last.
    pub const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether epochs are kept at rest.
    pub const fn is_durable(&self) -> bool {
        self.settings.every_ns.is_some()
    }

    /// When [`Coordinator::tick`] has something to do, if nothing else happens before.
    pub fn wake_at_ns(&self) -> Option<u64> {
        match &self.current {
            _ if self.is_over => None,
            None => self.next_ns.filter(|_| self.ending.is_none()),
            Some(Current { ending: None, phase: Phase::Aligning { since_ns, may_overtake, .. }, .. }) => {
                let wait = if *may_overtake { self.settings.hasten_after_ns } else { self.settings.timeout_ns };
                Some(since_ns.saturating_add(wait.min(self.settings.timeout_ns)))
            }
            Some(_) => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Decision> {
        if self.is_over || self.wake_at_ns().is_none_or(|at| now_ns < at) {
            return Vec::new();
        }
        let Some(Current { epoch, phase: Phase::Aligning { waiting, since_ns, may_overtake, .. }, .. }) = &mut self.current else {
            return vec![self.begin(now_ns)];
        };
        if *may_overtake && now_ns < since_ns.saturating_add(self.settings.timeout_ns) {
            *may_overtake = false;
            return vec![Decision::HastenBarriers { epoch: *epoch }];
        }
        let cause = Cause::TimedOut { waiting: waiting.iter().cloned().collect() };
        let epoch = *epoch;
        self.abandon(epoch, cause, now_ns)
    }

    /// The run is to end: all sources have read everything, or it is to stop. An epoch that is still aligning gives way.
    pub fn end(&mut self, ending: Ending, now_ns: u64) -> Vec<Decision> {
        if self.is_over || self.ending.is_some() {
            return Vec::new();
        }
        self.ending = Some(ending);
        match self.current.as_ref().map(|current| (current.epoch, &current.phase)) {
            None => vec![self.begin(now_ns)],
            Some((epoch, Phase::Aligning { .. })) => self.abandon(epoch, Cause::Superseded, now_ns),
            Some(_) => Vec::new(),
        }
    }

    /// A savepoint is asked for: an epoch begins for it as soon as none is under way.
    pub fn ask_savepoint(&mut self, name: SavepointName, now_ns: u64) -> Vec<Decision> {
        let is_known = self.asked.contains(&name) || self.current.as_ref().is_some_and(|current| current.savepoints.contains(&name));
        if self.is_over || is_known {
            return Vec::new();
        }
        self.asked.push(name);
        match &self.current {
            None => vec![self.begin(now_ns)],
            Some(_) => Vec::new(),
        }
    }

    /// The copies are at rest, or could not be made.
    pub fn kept(&mut self, epoch: u64, now_ns: u64) -> Vec<Decision> {
        match self.in_phase(epoch, |phase| *phase == Phase::Keeping) {
            Some(_) => self.conclude(epoch, now_ns),
            None => Vec::new(),
        }
    }

    /// A sink has prepared. It counts for the first epoch from this one on that is complete.
    pub fn prepared(&mut self, epoch: u64, committable: Committable) {
        self.prepared.push((epoch, committable));
    }

    /// A task's part is at rest. One of an epoch that was given up changes nothing.
    pub fn acknowledged(&mut self, epoch: u64, part: PartEntry) -> Vec<Decision> {
        let Some(current) = self.current.as_mut().filter(|current| current.epoch == epoch) else { return Vec::new() };
        let Phase::Aligning { waiting, parts, .. } = &mut current.phase else { return Vec::new() };
        if waiting.remove(&part.task) {
            parts.push(part);
        }
        if !waiting.is_empty() {
            return Vec::new();
        }
        let (mut parts, ending) = (mem::take(parts), current.ending);
        parts.sort_by(|a, b| a.task.cmp(&b.task));
        let is_ready = |(of, _): &(u64, Committable)| *of <= epoch;
        let ready: Vec<Committable> = self.prepared.iter().filter(|it| is_ready(it)).map(|(_, it)| it.clone()).collect();
        if self.is_durable() {
            self.set_phase(Phase::Publishing);
            return vec![Decision::CreateManifest { epoch, ending, parts, ready }];
        }
        self.prepared.clear();
        self.set_phase(Phase::Committing { ready: ready.clone() });
        vec![Decision::CommitSinks { epoch, ending, ready }]
    }

    /// A task, or the store for it, could not.
    pub fn declined(&mut self, epoch: u64, task: TaskId, why: String, now_ns: u64) -> Vec<Decision> {
        self.abandon(epoch, Cause::Declined { task, why }, now_ns)
    }

    /// These tasks tell nothing more: an epoch that still waits for one of them waits for nothing.
    pub fn gone(&mut self, tasks: &[TaskId], why: &str, now_ns: u64) -> Vec<Decision> {
        let Some(Current { epoch, phase: Phase::Aligning { waiting, .. }, .. }) = &self.current else { return Vec::new() };
        let (epoch, owing) = (*epoch, tasks.iter().find(|task| waiting.contains(*task)).cloned());
        owing.map_or_else(Vec::new, |task| self.give_up(epoch, Cause::Declined { task, why: why.to_owned() }, now_ns))
    }

    /// The manifest is there, made by this process.
    pub fn published(&mut self, epoch: u64) -> Vec<Decision> {
        let Some(current) = self.in_phase(epoch, |phase| matches!(phase, Phase::Publishing)) else { return Vec::new() };
        let ending = current.ending;
        let (mut ready, mut later) = (Vec::new(), Vec::new());
        for (of, committable) in mem::take(&mut self.prepared) {
            if of <= epoch {
                ready.push(committable);
            } else {
                later.push((of, committable));
            }
        }
        self.prepared = later;
        self.set_phase(Phase::Committing { ready: ready.clone() });
        vec![Decision::CommitSinks { epoch, ending, ready }]
    }

    /// The manifest could not be created, and is not there.
    pub fn not_published(&mut self, epoch: u64, why: String, now_ns: u64) -> Vec<Decision> {
        match self.in_phase(epoch, |phase| matches!(phase, Phase::Publishing)) {
            Some(_) => self.give_up(epoch, Cause::NotPublished { why }, now_ns),
            None => Vec::new(),
        }
    }

    /// The manifest was there before: another process goes on with this run.
    pub fn taken(&mut self, epoch: u64) -> Vec<Decision> {
        self.is_over = true;
        self.current = None;
        vec![Decision::StopOrphaned { epoch }]
    }

    /// The sinks have committed.
    pub fn committed(&mut self, epoch: u64, now_ns: u64) -> Vec<Decision> {
        let Some(current) = self.in_phase(epoch, |phase| matches!(phase, Phase::Committing { .. })) else { return Vec::new() };
        let names = current.savepoints.clone();
        if names.is_empty() {
            return self.conclude(epoch, now_ns);
        }
        if current.ending == Some(Ending::Finished) {
            let mut decisions = vec![Decision::RefuseSavepoints { names }];
            decisions.extend(self.conclude(epoch, now_ns));
            return decisions;
        }
        self.set_phase(Phase::Keeping);
        vec![Decision::KeepSavepoints { epoch, names }]
    }

    /// Nothing is left to do for an epoch: the next may come.
    fn conclude(&mut self, epoch: u64, now_ns: u64) -> Vec<Decision> {
        let ending = self.current.take().and_then(|current| current.ending);
        let mut decisions = Vec::new();
        if self.is_durable() {
            decisions.push(Decision::ForgetBelow { epoch });
        }
        match ending {
            Some(ending) => {
                self.is_over = true;
                decisions.push(Decision::Finish { ending });
            }
            None if self.ending.is_some() || !self.asked.is_empty() => decisions.push(self.begin(now_ns)),
            None => {}
        }
        decisions
    }

    fn begin(&mut self, now_ns: u64) -> Decision {
        let epoch = self.last_epoch + 1;
        self.last_epoch = epoch;
        self.next_ns = self.settings.every_ns.map(|every| now_ns.saturating_add(every));
        let (waiting, may_overtake) = (self.settings.tasks.clone(), self.asked.is_empty());
        let phase = Phase::Aligning { waiting, parts: Vec::new(), since_ns: now_ns, may_overtake };
        self.current = Some(Current { epoch, ending: self.ending, phase, savepoints: mem::take(&mut self.asked) });
        Decision::InjectBarriers { epoch, is_last: self.ending.is_some() }
    }

    fn abandon(&mut self, epoch: u64, cause: Cause, now_ns: u64) -> Vec<Decision> {
        match self.in_phase(epoch, |phase| matches!(phase, Phase::Aligning { .. })) {
            Some(_) => self.give_up(epoch, cause, now_ns),
            None => Vec::new(),
        }
    }

    fn give_up(&mut self, epoch: u64, cause: Cause, now_ns: u64) -> Vec<Decision> {
        let gone = self.current.take();
        // They wait for the next that begins.
        self.asked.extend(gone.iter().flat_map(|current| current.savepoints.clone()));
        if gone.is_some_and(|current| current.ending.is_some()) {
            self.is_over = true;
            return vec![Decision::Fail { epoch, cause }];
        }
        let mut decisions = vec![Decision::AbandonEpoch { epoch, cause }];
        if self.ending.is_some() {
            decisions.push(self.begin(now_ns));
        }
        decisions
    }

    fn in_phase(&self, epoch: u64, is: impl Fn(&Phase) -> bool) -> Option<&Current> {
        self.current.as_ref().filter(|current| current.epoch == epoch && is(&current.phase))
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(current) = &mut self.current {
            current.phase = phase;
        }
    }
}
