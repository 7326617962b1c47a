//! Sees an attempt through its epochs: hears its tasks, carries out what the checkpoints' state machine decides, ends with the last epoch.
//!
//! Nothing here waits for a disk or a sink: what takes time runs beside, and is heard of when it is done.

mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::NodeId;
use millrace_state::StateResult;
use millrace_state::checkpoint::{
    Cause, Committable, Coordinator, Decision, Ending, Manifest, Meaning, PartEntry, RunId, SavepointName, Settings, TaskId,
};
use millrace_state::planted::{self, Bug};
use millrace_state::snapshot::TaskPartWriter;
use millrace_state::step::reached;
use millrace_state::store::{Created, Gate};
use millrace_wire::message::{Failure, NoticeSeverity};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::chain::CurrentWork;
use crate::checkpoint::{Savepoint, StateHome, codes, identities, meanings};
use crate::clock::Clock;
use crate::connector::Finality;
use crate::data_runtime::DataRuntime;
use crate::error::{RunError, RunResult};
use crate::job::commit::{commit, committed};
use crate::job::handle::JobProgress;
use crate::job::setup::{Attempt, Shared};
use crate::ledger::Fenced;
use crate::operator::EndReason;
use crate::registry::Entry;
use crate::task::sink_task;
use crate::task::{BarrierCommand, Caution, StopSignal, Stopping, TaskReport};

/// An epoch that takes longer is told, with what it took long for.
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// An epoch that takes longer is given up, and the next one tried.
const TIMEOUT: Duration = Duration::from_secs(600);

/// From one epoch's begin to the next one's, where sources read with caution: as soon as can be.
const CAUTIOUS_EVERY: Duration = Duration::from_millis(1);

/// Work that was done beside.
enum Done {
    Part {
        epoch: u64,
        task: TaskId,
        result: StateResult<PartEntry>,
    },
    Manifest {
        epoch: u64,
        result: StateResult<Created>,
    },
    /// None: it was given up.
    Entered {
        epoch: u64,
        result: Option<Result<(), Fenced>>,
    },
    Committed {
        epoch: u64,
        result: Result<(), Failure>,
    },
    Kept {
        epoch: u64,
        kept: Vec<(SavepointName, StateResult<Savepoint>)>,
    },
    Forgotten,
    Refused,
    /// Whether the run may go back to a savepoint.
    MayGoBack(RunResult<()>),
    /// Savepoints that somebody asked for in the folder of the state.
    Asked(Vec<SavepointName>),
    /// Those that the run's holder asks for: the name, whether an attempt before had taken it up, and what there is of that name.
    Named(Vec<(SavepointName, bool, StateResult<Option<Savepoint>>)>),
}

/// Epochs are forgotten one after another: who removes an epoch's blocks reads in the manifest that is kept which of them are still needed,
/// and another must not forget that one meanwhile.
#[derive(Default)]
struct Forgetting {
    is_under_way: bool,
    /// The epoch below which all goes next.
    next: Option<u64>,
}

/// How long a change waits for a row before it is through without one.
const FIRST_ROW_WITHIN: Duration = Duration::from_secs(1);

/// How an attempt ended.
pub enum AttemptEnd {
    Ended(EndReason),
    /// In order, at an epoch from which the run goes on as something else.
    Changing,
    /// At once, since the run goes back to a savepoint.
    GoingBack,
    Failed(Box<Failure>),
    Aborted,
}

/// What an attempt's tasks are told, and what they tell.
pub struct Wires {
    pub stop: StopSignal,
    pub decision: watch::Sender<sink_task::Decision>,
    pub hasten: watch::Sender<u64>,
    pub caution: watch::Sender<Option<Caution>>,
    pub inbox: mpsc::Receiver<TaskReport>,
    /// Between members and the store of the run's state.
    pub gates: Vec<Gate>,
}

pub struct Epochs {
    shared: Arc<Shared>,
    progress: Arc<JobProgress>,
    attempt: Attempt,
    /// Set if the run is kept.
    home: Option<StateHome>,
    commands: Vec<mpsc::Sender<BarrierCommand>>,
    wires: Wires,
    machine: Coordinator,
    /// Of the pipeline's nodes, for the manifests.
    nodes: BTreeMap<NodeId, u64>,
    meanings: BTreeMap<NodeId, Meaning>,
    work: JoinSet<Done>,
    /// All tasks, and those that have not ended.
    tasks: usize,
    running: usize,
    exhausted: usize,
    /// Tasks of sinks, and those of them whose output nobody reads any more.
    sinks: usize,
    unread: usize,
    /// The run ends since nobody reads anything that it writes.
    is_unread: bool,
    /// When requests are looked for next, and whether that is under way.
    look_ns: u64,
    is_looking: bool,
    forgetting: Forgetting,
    /// Turns true once nothing more can be entered: what waits for a majority then waits no longer.
    leaving: watch::Sender<bool>,
    /// Whether its last epoch is that of a change, from which the run goes on.
    is_changing: bool,
    /// Of the first attempt after a change: when its tasks began, as long as no row has come.
    first_since_ns: Option<u64>,
    end: Option<AttemptEnd>,
}

impl Epochs {
    /// `names` are all tasks, `commands` those of the sources.
    pub fn new(
        shared: Arc<Shared>,
        progress: Arc<JobProgress>,
        attempt: Attempt,
        names: Vec<TaskId>,
        commands: Vec<mpsc::Sender<BarrierCommand>>,
        wires: Wires,
    ) -> Self {
        let home = shared.host.state.clone();
        let running = names.len();
        let is_sink = |task: &TaskId| {
            let kind = shared.plan.node(&task.node).map(|node| node.decl.kind.as_str());
            kind.is_some_and(|kind| matches!(shared.registry.get(kind), Some(Entry::Sink(_))))
        };
        let sinks = names.iter().filter(|task| is_sink(task)).count();
        let (every_ns, hasten_after_ns) = pace(&shared);
        let every_ns = if attempt.precautions.look.is_some() { Some(nanoseconds(CAUTIOUS_EVERY)) } else { every_ns };
        let machine = Coordinator::new(Settings {
            tasks: names.into_iter().collect(),
            after: attempt.after,
            every_ns,
            hasten_after_ns,
            timeout_ns: nanoseconds(TIMEOUT),
            now_ns: progress.clock.monotonic_ns(),
        });
        let first_since_ns = attempt.is_change.then(|| progress.clock.monotonic_ns());
        let meanings = if home.is_some() { meanings(&shared.plan) } else { BTreeMap::new() };
        let nodes = if home.is_some() { identities(&shared.plan) } else { BTreeMap::new() };
        Epochs {
            shared,
            progress,
            attempt,
            home,
            commands,
            wires,
            machine,
            nodes,
            meanings,
            work: JoinSet::new(),
            tasks: running,
            running,
            exhausted: 0,
            sinks,
            unread: 0,
            is_unread: false,
            look_ns: 0,
            is_looking: false,
            forgetting: Forgetting::default(),
            leaving: watch::Sender::new(false),
            is_changing: false,
            first_since_ns,
            end: None,
        }
    }

    /// Hears and decides until the last epoch is committed or nothing can come of it, and all tasks and all work beside have ended.
    pub async fn run(mut self) -> AttemptEnd {
        let mut heard = Stopping::No;
        let mut job_stop = self.progress.stop.receiver();
        let mut kills = self.progress.kills.subscribe();
        let (mut bell, mut wanted) = (self.progress.changes.bell(), self.progress.savepoints.bell());
        self.look_for_names(true);
        self.consider_change();
        if self.running == 0 {
            return AttemptEnd::Ended(EndReason::Finished);
        }
        while self.end.is_none() {
            let clock = self.progress.clock.clone();
            let next = if heard == Stopping::No { Stopping::Drain } else { Stopping::Abort };
            let due = sleep_until(clock.as_ref(), self.machine.wake_at_ns());
            let no_row = self.first_since_ns.map(|since| since.saturating_add(nanoseconds(FIRST_ROW_WITHIN)));
            let no_row = sleep_until(clock.as_ref(), no_row);
            let look = sleep_until(clock.as_ref(), Some(self.look_ns));
            tokio::select! {
                biased;
                report = self.wires.inbox.recv() => self.hear(report),
                () = look, if self.home.is_some() && !self.is_looking => self.look_for_requests(),
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.take(done),
                    Err(panic) => self.fail(&RunError::bug(format!("work beside the job panicked: {panic}"))),
                },
                () = job_stop.reached(next), if heard != Stopping::Abort => {
                    heard = job_stop.current();
                    self.wires.stop.send(heard);
                    if heard == Stopping::Drain {
                        self.conclude(Ending::Stopped);
                    }
                }
                Ok(()) = kills.changed() => self.fail(&killed()),
                Ok(()) = bell.changed() => self.consider_change(),
                Ok(()) = wanted.changed() => self.look_for_names(false),
                () = no_row => {
                    let since = self.first_since_ns.unwrap_or(0);
                    self.flows(since);
                }
                () = due => {
                    let decisions = self.machine.tick(self.now());
                    self.carry_out(decisions);
                }
            }
        }
        self.leave().await
    }

    /// Waits for the rest, which ends by itself after the last commit, and is aborted otherwise.
    async fn leave(mut self) -> AttemptEnd {
        let cause = match &self.end {
            Some(AttemptEnd::Failed(failure)) => failure.diagnostic.message.clone(),
            Some(AttemptEnd::GoingBack) => "the run goes back to a savepoint".to_owned(),
            _ => "the run was aborted".to_owned(),
        };
        self.progress.epochs().interrupted(&cause, self.now());
        let decision = match self.end {
            Some(AttemptEnd::Ended(_) | AttemptEnd::Changing) => sink_task::Decision::Committed,
            _ => sink_task::Decision::Dropped,
        };
        self.wires.decision.send_replace(decision);
        self.leaving.send_replace(true);
        if decision == sink_task::Decision::Dropped {
            self.wires.stop.send(Stopping::Abort);
        }
        while self.running > 0 {
            let report = self.wires.inbox.recv().await;
            self.hear(report);
        }
        // A commit that has begun comes to its end, whatever else failed.
        while self.work.join_next().await.is_some() {}
        if let (Some(AttemptEnd::Ended(EndReason::Finished)), Some(home)) = (&self.end, self.home.take()) {
            let gates = std::mem::take(&mut self.wires.gates);
            forget(&self.shared.host.data, home, RunId(self.attempt.run_start_us), gates).await;
        }
        if matches!(self.end, Some(AttemptEnd::Aborted)) && self.progress.stop.current() == Stopping::No {
            let error = RunError::bug("the tasks ended without a result");
            return AttemptEnd::Failed(Box::new(self.shared.failed(&error, &CurrentWork::default())));
        }
        self.end.unwrap_or(AttemptEnd::Aborted)
    }

    fn now(&self) -> u64 {
        self.progress.clock.monotonic_ns()
    }

    fn fail(&mut self, error: &RunError) {
        let failure = self.shared.failed(error, &CurrentWork::default());
        self.end.get_or_insert(AttemptEnd::Failed(Box::new(failure)));
    }

    fn conclude(&mut self, ending: Ending) {
        let decisions = self.machine.end(ending, self.now());
        self.carry_out(decisions);
    }

    fn hear(&mut self, report: Option<TaskReport>) {
        match report {
            Some(TaskReport::Acknowledged { task, epoch, part, ready }) => self.acknowledged(task, epoch, part, ready),
            Some(TaskReport::AtRest { epoch, part }) => {
                self.progress.epochs().handed_over(epoch, &part.task, self.now());
                self.progress.epochs().part_written(epoch, part.bytes);
                let decisions = self.machine.acknowledged(epoch, part);
                self.carry_out(decisions);
            }
            Some(TaskReport::Declined { epoch, task, why }) => {
                let decisions = self.machine.declined(epoch, task, why, self.now());
                self.carry_out(decisions);
            }
            Some(TaskReport::Quiet { tasks, why }) => {
                let decisions = self.machine.gone(&tasks, &why, self.now());
                self.carry_out(decisions);
            }
            Some(TaskReport::Flowing) => self.flows(self.now()),
            Some(TaskReport::Exhausted) => {
                self.exhausted += 1;
                if self.exhausted == self.commands.len() {
                    self.flows(self.now());
                    self.conclude(Ending::Finished);
                }
            }
            Some(TaskReport::ReaderGone) => {
                self.unread += 1;
                // Another sink's rows are still wanted, however little is read of this one's.
                if self.unread >= self.sinks {
                    self.is_unread = true;
                    self.wires.stop.send(Stopping::Drain);
                    self.conclude(Ending::Finished);
                }
            }
            Some(TaskReport::Ended) => self.running = self.running.saturating_sub(1),
            Some(TaskReport::Cancelled) => {
                self.running = self.running.saturating_sub(1);
                // Another task's failure, which made this one give up, may be heard of later.
                self.end.get_or_insert(AttemptEnd::Aborted);
            }
            Some(TaskReport::Failed(failure)) => {
                self.running = self.running.saturating_sub(1);
                if !matches!(self.end, Some(AttemptEnd::Failed(_) | AttemptEnd::Ended(_) | AttemptEnd::Changing | AttemptEnd::GoingBack)) {
                    self.end = Some(AttemptEnd::Failed(failure));
                }
            }
            None => {
                self.running = 0;
                self.end.get_or_insert(AttemptEnd::Aborted);
            }
        }
    }

    fn acknowledged(&mut self, task: TaskId, epoch: u64, part: Option<Box<TaskPartWriter>>, ready: Option<Committable>) {
        if let Some(ready) = ready {
            self.machine.prepared(epoch, ready);
        }
        self.progress.epochs().handed_over(epoch, &task, self.now());
        match (&self.home, part) {
            (Some(home), Some(part)) => {
                let (home, run) = (home.clone(), RunId(self.attempt.run_start_us));
                self.shared.host.data.blocking_in(&mut self.work, move || {
                    let result = home.write_part(run, epoch, task.clone(), *part);
                    Done::Part { epoch, task, result }
                });
            }
            _ => {
                let decisions = self.machine.acknowledged(epoch, PartEntry { task, bytes: 0, checksum: 0, blocks: Vec::new() });
                self.carry_out(decisions);
            }
        }
    }

    fn take(&mut self, done: Done) {
        let now = self.now();
        let decisions = match done {
            Done::Part { epoch, result: Ok(part), .. } => {
                self.progress.epochs().part_written(epoch, part.bytes);
                self.machine.acknowledged(epoch, part)
            }
            Done::Part { epoch, task, result: Err(error) } => self.machine.declined(epoch, task, error.to_string(), now),
            Done::Manifest { epoch, result: Ok(Created::Now) } if self.is_entered() => {
                self.progress.epochs().created(epoch, now);
                self.enter(epoch);
                Vec::new()
            }
            Done::Manifest { epoch, result: Ok(Created::Now) } | Done::Entered { epoch, result: Some(Ok(())) } => {
                self.give_leave(epoch);
                self.machine.published(epoch)
            }
            Done::Entered { epoch, result: Some(Err(fenced)) } => {
                self.fail(&by_another(&format!("epoch {epoch}"), &fenced));
                Vec::new()
            }
            Done::Entered { result: None, .. } => Vec::new(),
            Done::Manifest { epoch, result: Ok(Created::Before) } => self.machine.taken(epoch),
            Done::Manifest { epoch, result: Err(error) } => self.machine.not_published(epoch, error.to_string(), now),
            Done::Committed { epoch, result: Ok(()) } => {
                self.progress.epochs().committed(epoch, now);
                self.tell_if_slow(epoch);
                self.machine.committed(epoch, now)
            }
            Done::Committed { result: Err(failure), .. } => {
                self.end.get_or_insert(AttemptEnd::Failed(Box::new(failure)));
                Vec::new()
            }
            Done::Kept { epoch, kept } => {
                self.say_kept(kept);
                self.machine.kept(epoch, now)
            }
            Done::Asked(names) => {
                self.is_looking = false;
                names.into_iter().flat_map(|name| self.machine.ask_savepoint(name, now)).collect()
            }
            Done::Named(names) => names.into_iter().flat_map(|(name, again, known)| self.named(name, again, known)).collect(),
            Done::Forgotten => {
                self.forgetting.is_under_way = false;
                self.forget_next();
                Vec::new()
            }
            Done::Refused => Vec::new(),
            Done::MayGoBack(Ok(())) => {
                self.progress.changes.pauses(now);
                self.end.get_or_insert(AttemptEnd::GoingBack);
                Vec::new()
            }
            Done::MayGoBack(Err(why)) => {
                self.progress.changes.refuse(why);
                Vec::new()
            }
        };
        self.carry_out(decisions);
    }

    /// Whether an epoch has to be entered before it is complete.
    fn is_entered(&self) -> bool {
        self.shared.host.ledger.is_some() && !planted::has(Bug::CommitBeforeEntry)
    }

    /// Has an epoch entered whose manifest is there, where that is asked for. Rows go on meanwhile, and no other epoch begins.
    fn enter(&mut self, epoch: u64) {
        let (Some(ledger), run) = (self.shared.host.ledger.clone(), RunId(self.attempt.run_start_us)) else { return };
        let mut leaving = self.leaving.subscribe();
        self.work.spawn(async move {
            tokio::select! {
                biased;
                entered = ledger.complete(run, epoch) => Done::Entered { epoch, result: Some(entered) },
                // An error says that the job is gone, and this with it.
                _ = leaving.wait_for(|leaving| *leaving) => Done::Entered { epoch, result: None },
            }
        });
    }

    fn carry_out(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::InjectBarriers { epoch, is_last } => self.inject(epoch, is_last),
                Decision::HastenBarriers { epoch } => {
                    self.wires.hasten.send_replace(epoch);
                }
                Decision::CreateManifest { epoch, ending, parts, ready } => self.publish(epoch, ending, parts, ready),
                Decision::CommitSinks { epoch, ending, ready } => {
                    self.progress.epochs().published(epoch, self.now());
                    let finality = match (ending, &self.home) {
                        (None, _) => Finality::Ongoing,
                        (Some(_), _) if self.is_changing => Finality::Ongoing,
                        (Some(Ending::Stopped), Some(_)) => Finality::Paused,
                        (Some(_), _) => Finality::Final,
                    };
                    let committing = committed(self.shared.clone(), self.attempt.clone(), epoch, ready, finality);
                    self.work.spawn(async move { Done::Committed { epoch, result: committing.await } });
                }
                Decision::AbandonEpoch { epoch, cause } => self.abandoned(epoch, &cause),
                Decision::KeepSavepoints { epoch, names } => self.keep(epoch, names),
                Decision::RefuseSavepoints { names } => {
                    self.refuse(names, "the run had come to its end, and nothing is left to go on with")
                }
                // Rows wait: what can go goes with the next attempt's first epoch.
                Decision::ForgetBelow { .. } if self.is_changing => {}
                Decision::ForgetBelow { epoch } => {
                    self.forgetting.next = Some(epoch);
                    self.forget_next();
                }
                Decision::Finish { ending } => {
                    let end = match ending {
                        _ if self.is_changing => AttemptEnd::Changing,
                        Ending::Stopped => AttemptEnd::Ended(EndReason::Stopped),
                        Ending::Finished => AttemptEnd::Ended(EndReason::Finished),
                    };
                    self.end.get_or_insert(end);
                }
                Decision::Fail { epoch, cause } => {
                    self.progress.epochs().failed(epoch, in_words(&cause), self.now());
                    self.fail(&last_epoch_failed(epoch, &cause));
                }
                Decision::StopOrphaned { epoch } => self.fail(&orphaned(epoch)),
            }
        }
    }

    /// To all sources or to none, so that barriers come by every channel in the same order. The last one has a place of its own.
    fn inject(&mut self, epoch: u64, is_last: bool) {
        if self.home.is_some() {
            self.progress.epochs().began(epoch, self.tasks, self.now(), self.progress.clock.wall_us());
        }
        let needed = if is_last { 1 } else { 2 };
        if let Some(busy) = self.commands.iter().position(|command| command.capacity() < needed) {
            let task = TaskId { node: NodeId::new("source"), task: busy as u32 };
            let decisions =
                self.machine.declined(epoch, task, "a source takes no barriers: what follows it does not move".to_owned(), self.now());
            return self.carry_out(decisions);
        }
        let all_read = self.exhausted == self.commands.len() && !self.is_unread;
        let reason = if all_read && !self.is_changing { EndReason::Finished } else { EndReason::Stopped };
        if is_last && self.is_changing {
            self.progress.changes.pauses(self.now());
        }
        for command in &self.commands {
            // A source that is gone has failed, which is heard of by itself.
            let _ = command.try_send(BarrierCommand { epoch, end: is_last.then_some(reason) });
        }
        reached("barriers-sent");
    }

    fn publish(&mut self, epoch: u64, ending: Option<Ending>, parts: Vec<PartEntry>, ready: Vec<Committable>) {
        let Some(home) = self.home.clone() else { return };
        self.progress.epochs().parts_written(epoch, self.now());
        // Whoever stops the run before this ends it here; later, the next attempt does.
        self.is_changing &= self.progress.stop.current() == Stopping::No;
        let ending = ending.filter(|_| !self.is_changing);
        let manifest = Manifest {
            run: RunId(self.attempt.run_start_us),
            epoch,
            taken_us: self.progress.clock.wall_us(),
            ending,
            key_groups: self.shared.physical.key_groups,
            nodes: self.nodes.clone(),
            meanings: self.meanings.clone(),
            parts,
            ready,
        };
        if planted::has(Bug::CommitBeforeEpoch) {
            let committing = commit(self.shared.clone(), self.attempt.clone(), manifest.ready.clone(), Finality::Ongoing);
            self.work.spawn(async move {
                let _ = committing.await;
                Done::Manifest { epoch, result: home.create_manifest(&manifest) }
            });
            return;
        }
        self.shared.host.data.blocking_in(&mut self.work, move || Done::Manifest { epoch, result: home.create_manifest(&manifest) });
    }

    /// Where sources read with caution: lets them go on behind an epoch that is complete, or read as always if the place is passed.
    fn give_leave(&mut self, epoch: u64) {
        let Some(look) = self.attempt.precautions.look else { return };
        if self.shared.telemetry.summary(0).rows_in > look.until {
            self.attempt.precautions.look = None;
            let (every_ns, hasten_after_ns) = pace(&self.shared);
            self.machine.set_pace(every_ns, hasten_after_ns);
            self.wires.caution.send_replace(None);
            return;
        }
        self.wires.caution.send_replace(Some(Caution { complete: epoch, rows: look.rows, in_turn: look.in_turn }));
    }

    fn forget_next(&mut self) {
        let (Some(home), run) = (self.home.clone(), RunId(self.attempt.run_start_us)) else { return };
        let Some(epoch) = self.forgetting.next.take_if(|_| !self.forgetting.is_under_way) else { return };
        self.forgetting.is_under_way = true;
        self.shared.host.data.blocking_in(&mut self.work, move || {
            if let Err(error) = home.forget_below(run, epoch) {
                tracing::warn!(%error, "an old epoch could not be forgotten");
            }
            Done::Forgotten
        });
    }

    fn abandoned(&self, epoch: u64, cause: &Cause) {
        if *cause == Cause::Superseded {
            return self.progress.epochs().superseded(epoch, self.now());
        }
        reached("epoch-given-up");
        self.progress.epochs().failed(epoch, in_words(cause), self.now());
        let phases = self.progress.epochs().in_phases(epoch).map(|(_, phases)| format!(" ({phases})")).unwrap_or_default();
        let message = || format!("epoch {epoch} was given up, and the run goes on: {}{phases}", in_words(cause));
        self.shared.notices.say(None, NoticeSeverity::Warning, "checkpoint_failed", 1, message);
    }

    /// Says which phase it was that an epoch took long for.
    fn tell_if_slow(&self, epoch: u64) {
        let Some((took, phases)) = self.progress.epochs().in_phases(epoch).filter(|(took, _)| *took >= SLOW_AFTER) else { return };
        let message = || format!("epoch {epoch} took {} s: {phases}", took.as_secs());
        self.shared.notices.say(None, NoticeSeverity::Warning, "checkpoint_slow", 1, message);
    }
}

/// Until a moment of the monotonic clock; none never comes.
async fn sleep_until(clock: &dyn Clock, at_ns: Option<u64>) {
    match at_ns {
        Some(at) => clock.sleep(Duration::from_nanos(at.saturating_sub(clock.monotonic_ns()))).await,
        None => std::future::pending().await,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How often epochs begin, and how long their barriers wait for each other, in nanoseconds.
fn pace(shared: &Shared) -> (Option<u64>, u64) {
    // Rows that a barrier overtook would be in the epoch, and not among what is read after it: what makes a node fail must be there.
    let unaligned_after = if shared.options.sets_aside { TIMEOUT } else { shared.options.unaligned_after };
    (shared.host.state.as_ref().map(|home| nanoseconds(home.every)), nanoseconds(unaligned_after))
}

/// Removes all that a run has kept. Members may still write the part of an epoch that was given up: it is put down before that, or not at all.
pub async fn forget(data: &DataRuntime, home: StateHome, run: RunId, gates: Vec<Gate>) {
    let forgetting = move || {
        gates.iter().for_each(Gate::shut);
        home.forget_run(run)
    };
    let forgotten = data.blocking(forgetting).await;
    if let Ok(Err(error)) = forgotten {
        tracing::warn!(%error, "the state of a run that is over could not be removed");
    }
}

fn in_words(cause: &Cause) -> String {
    match cause {
        Cause::Declined { task, why } => format!("{} (task {}): {why}", task.node, task.task),
        Cause::TimedOut { waiting } => {
            let names: Vec<String> = waiting.iter().take(5).map(|task| format!("{} (task {})", task.node, task.task)).collect();
            format!("after {} s it still waits for {}", TIMEOUT.as_secs(), names.join(", "))
        }
        Cause::Superseded => "the last epoch takes its place".to_owned(),
        Cause::NotPublished { why } => why.clone(),
    }
}

fn last_epoch_failed(epoch: u64, cause: &Cause) -> RunError {
    let message = format!("the last epoch, {epoch}, could not be completed: {}", in_words(cause));
    let help = "run it again: it goes on from the epoch before";
    RunError::State { code: codes::LAST_EPOCH, message, help, retryable: true }
}

/// The run is led elsewhere.
pub fn by_another(what: &str, fenced: &Fenced) -> RunError {
    let message = format!("{what} is not this process's to complete any more: {}", fenced.why);
    let help = "nothing of it was committed here; see `millrace ps` on the node that leads the run now";
    RunError::State { code: codes::FENCED, message, help, retryable: false }
}

fn killed() -> RunError {
    let message = "its tasks were killed by hand".to_owned();
    RunError::State {
        code: codes::KILLED,
        message,
        help: "set `checkpoint_every` under [pipeline], and it goes on by itself",
        retryable: true,
    }
}

fn orphaned(epoch: u64) -> RunError {
    let message = format!("epoch {epoch} of this run was made by another process, which goes on with it");
    RunError::State { code: codes::ORPHANED, message, help: "let one process run a pipeline at a time", retryable: false }
}
