//! The control side of a run: finds what to go on from, makes the tasks, sees them through their epochs, and says how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use millrace_model::{NodeId, Timestamp};
use millrace_plan::LEADER;
use millrace_state::checkpoint::{Ending, Manifest, PartEntry, RunId, SavepointName, TaskId};
use millrace_state::snapshot::{Counts, TaskPart};
use millrace_state::step::reached;
use millrace_state::store::Gate;
use millrace_wire::figures::RunState;
use millrace_wire::message::{Failure, NoticeSeverity};
use tokio::sync::{mpsc, oneshot, watch};

use crate::chain::CurrentWork;
use crate::checkpoint::{Found, Restored, StateHome, codes, may_go_back};
use crate::connector::Finality;
use crate::error::{RunError, RunResult};
use crate::guarantee::sinks;
use crate::job::change::{Over, unchangeable};
use crate::job::commit::{committed, recover};
use crate::job::epochs::{AttemptEnd, Epochs, Wires, by_another, forget};
use crate::job::handle::{JobOutcome, JobProgress};
use crate::job::lead::{self, MemberLines, Members};
use crate::job::poison::{Failed, Next, Precautions, Search};
use crate::job::restart::Restarts;
use crate::job::setup::{self, Attempt, Lines, Made, ReadyTask, Shared};
use crate::job::wiring::{Share, wire};
use crate::ledger::Fenced;
use crate::operator::EndReason;
use crate::share::edges::FarEnds;
use crate::task::boundary::{failure, panic_text};
use crate::task::sink_task::Decision;
use crate::task::{Caution, StopSignal, Stopping, Trail};
use crate::telemetry::figures::Role;

pub struct Coordinator {
    shared: Arc<Shared>,
    progress: Arc<JobProgress>,
    /// What the run was before it was changed, as long as no task has begun since.
    before: Option<Arc<Shared>>,
    /// The savepoint that it is changed at, and whether what sinks have shown since may be taken back.
    back_to: Option<(SavepointName, bool)>,
    /// What the epoch is to be kept as that it is changed at.
    keep_as: Option<SavepointName>,
}

impl Shared {
    /// The error with the node that was worked on, else the first there is.
    pub fn failed(&self, error: &RunError, work: &CurrentWork) -> Failure {
        let first = || self.plan.nodes.first().map_or_else(|| NodeId::new("pipeline"), |node| node.id().clone());
        failure(error, &work.node().unwrap_or_else(first), work)
    }
}

impl Coordinator {
    pub fn new(shared: Arc<Shared>, progress: Arc<JobProgress>) -> Self {
        Coordinator { shared, progress, before: None, back_to: None, keep_as: None }
    }

    /// `watched` is over once the monitor has seen the end.
    pub async fn run(mut self, outcome: watch::Sender<Option<JobOutcome>>, watched: oneshot::Receiver<()>) {
        let driven = AssertUnwindSafe(self.drive()).catch_unwind().await;
        let (state, cause) = match driven {
            Ok(Ok(EndReason::Finished)) => (RunState::Finished, None),
            Ok(Ok(EndReason::Stopped)) => (RunState::Stopped, None),
            Ok(Err(cause)) => (RunState::Failed, Some(cause)),
            Err(panic) => (RunState::Failed, Some(self.bug(format!("the job's control panicked: {}", panic_text(panic.as_ref()))))),
        };
        let was_stopped = self.progress.stop.current() != Stopping::No;
        // Whatever is left of the tasks ends now.
        self.progress.stop.send(Stopping::Abort);
        self.progress.end_ns.store(self.progress.clock.monotonic_ns().max(1), Ordering::Relaxed);
        if let Some(cause) = &cause {
            let message = cause.diagnostic.message.clone();
            self.shared.notices.say(cause.diagnostic.node.as_ref(), NoticeSeverity::Error, "failed", 1, || message);
        }
        self.shared.notices.flush(true);
        self.progress.set_state(state);
        self.progress.changes.over();
        self.progress.savepoints.over();
        if let Some(ledger) = self.shared.host.ledger.clone() {
            // Beside: the run has ended, whether that can be entered or not.
            // Whoever stopped it does not want it elsewhere either, whatever failed on the way.
            let state = if was_stopped && state == RunState::Failed { RunState::Stopped } else { state };
            let why = cause.as_ref().map(|cause| cause.diagnostic.message.clone());
            tokio::spawn(async move { ledger.ended(state, why).await });
        }
        // Alerts tell the end, and are part of its summary.
        let _ = watched.await;
        let summary = self.progress.summary();
        outcome.send_replace(Some(JobOutcome { state, summary, cause }));
    }

    fn bug(&self, message: String) -> Failure {
        self.failed(&RunError::Bug { message })
    }

    fn failed(&self, error: &RunError) -> Failure {
        self.shared.failed(error, &CurrentWork::default())
    }

    async fn drive(&mut self) -> Result<EndReason, Failure> {
        let mut attempt = match &self.shared.host.state {
            Some(home) => self.go_on(home).await?,
            None => Attempt::begins(self.progress.clock.wall_us(), false),
        };
        let mut again = Again::default();
        loop {
            let trail = attempt.precautions.trail.clone();
            let ended = self.attempt(attempt).await;
            if ended.is_ok() {
                self.before = None;
            }
            let next = match ended {
                Ok(AttemptEnd::Ended(reason)) => return Ok(reason),
                Ok(AttemptEnd::Aborted) => return Ok(EndReason::Stopped),
                Ok(AttemptEnd::Failed(failure)) => Err(*failure),
                Ok(AttemptEnd::Changing | AttemptEnd::GoingBack) => self.next().await,
                // It could not even begin as what it was changed to.
                Err(failure) if self.takes_back(&failure) => self.next().await,
                Err(failure) => Err(failure),
            };
            attempt = match next {
                Ok(attempt) => Attempt { precautions: again.search.precautions(), ..attempt },
                Err(failure) => match self.again(failure, &trail, &mut again).await? {
                    Some(attempt) => attempt,
                    None => return Ok(EndReason::Stopped),
                },
            };
        }
    }

    /// Finds what the next attempt goes on from: as what the run was changed to, if it was; and as it was before, if that cannot go on from there.
    async fn next(&mut self) -> Result<Attempt, Failure> {
        loop {
            self.adopt();
            let Some(mut home) = self.shared.host.state.as_ref().map(StateHome::resuming) else {
                return Err(self.bug("a run that is not kept goes on".to_owned()));
            };
            if let Some((to, allow_rewind)) = &self.back_to {
                (home.from, home.allows.rewind) = (Some(to.clone()), *allow_rewind);
                self.enter_rewind().await?;
            }
            match self.go_on(&home).await {
                Ok(attempt) => {
                    if self.back_to.take().is_some() {
                        // The state is of another pipeline now than the run was before.
                        self.before = None;
                    }
                    self.keep_as = None;
                    return Ok(attempt);
                }
                Err(failure) if self.takes_back(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Takes up what the run is changed to, if it is: whatever ends an attempt, the next one is that.
    fn adopt(&mut self) {
        let (progress, now) = (self.progress.clone(), self.progress.clock.monotonic_ns());
        progress.changes.consider(progress.clock.wall_us(), |wanted| self.shared.changed(wanted));
        let Some(next) = progress.changes.adopt() else { return };
        progress.changes.pauses(now);
        match &next.over {
            Over::AtEpoch(name) => self.keep_as.clone_from(name),
            Over::AtSavepoint { to, allow_rewind } => self.back_to = Some((to.clone(), *allow_rewind)),
        }
        let shared = Arc::new(self.shared.becoming(next));
        self.before = Some(std::mem::replace(&mut self.shared, shared));
        progress.becomes(&self.shared);
    }

    /// Whether the run goes on as it was before it was changed, since it cannot as what it was to be. Whoever asked for that is told.
    fn takes_back(&mut self, failure: &Failure) -> bool {
        let Some(before) = self.before.take_if(|_| !failure.retryable) else { return false };
        self.shared = before;
        (self.back_to, self.keep_as) = (None, None);
        self.progress.becomes(&self.shared);
        let message = format!("the run goes on as it was, since it cannot as it was to be: {}", failure.diagnostic.message);
        self.shared.notices.answer(NoticeSeverity::Warning, "change_refused", message.clone());
        self.progress.changes.refuse(unchangeable(message, "put that right, and ask again"));
        true
    }

    /// After a failure that may pass by itself, or that may lie in rows which may be set aside, goes back to the last epoch and waits a
    /// while. Going back may fail in the same way, and is then tried again like the rest. None if the run was stopped meanwhile.
    ///
    /// # Errors
    /// The failure, if the run is not kept, if nothing can come of another try, or after too many.
    async fn again(&mut self, mut failure: Failure, trail: &Trail, again: &mut Again) -> Result<Option<Attempt>, Failure> {
        loop {
            let lies_in_rows = self.shared.options.sets_aside && RunError::may_lie_in_rows(&failure.diagnostic.code);
            let goes_on = failure.retryable || lies_in_rows;
            if self.shared.host.state.is_none() || !goes_on {
                return Err(failure);
            }
            if self.progress.stop.current() != Stopping::No {
                return Err(failure);
            }
            let before = self.shared.telemetry.summary(0).rows_in;
            self.progress.changes.failed(&failure.diagnostic.message);
            let attempt = match self.next().await {
                Err(cause) if !cause.retryable => return Err(cause),
                attempt => attempt,
            };
            let counted =
                attempt.as_ref().ok().and_then(|attempt| attempt.restored.as_ref()).map_or(0, |restored| self.rows_read(restored));
            let (what, wait) = match &attempt {
                Ok(attempt) => {
                    let epoch = attempt.durability().restored_epoch;
                    let next =
                        if lies_in_rows { again.search.failed(in_rows(&failure, before, counted, trail, epoch)) } else { Next::Again };
                    let Some((how, wait)) = self.said(next, &mut failure, || again.wait(lies_in_rows, counted)) else {
                        return Err(failure);
                    };
                    (begins_again(epoch, before.saturating_sub(counted), wait, &how), wait)
                }
                Err(cause) => {
                    let Some(wait) = again.restarts.wait(counted) else { return Err(cause.clone()) };
                    (format!("goes back again in {} ms, since that failed: {}", wait.as_millis(), cause.diagnostic.message), wait)
                }
            };
            let message = || format!("{}; {what}", failure.diagnostic.message);
            self.shared.notices.say(failure.diagnostic.node.as_ref(), NoticeSeverity::Warning, "restarted", 1, message);
            self.progress.restarts.fetch_add(1, Ordering::Relaxed);
            let mut stop = self.progress.stop.receiver();
            tokio::select! {
                biased;
                () = stop.reached(Stopping::Drain) => return Ok(None),
                () = self.progress.clock.sleep(wait) => {}
            }
            match attempt {
                Ok(attempt) => return Ok(Some(Attempt { precautions: again.search.precautions(), ..attempt })),
                Err(cause) => failure = cause,
            }
        }
    }

    /// How the next attempt reads, in words, and how long it is waited for. None if the failure stands, which then says why.
    fn said(&self, next: Next, failure: &mut Failure, wait: impl FnOnce() -> Option<Duration>) -> Option<(String, Duration)> {
        match next {
            Next::Again => Some((String::new(), wait()?)),
            Next::Search(look) => Some((format!(", {} of them at a time, to find those that make it fail", look.rows), Duration::ZERO)),
            Next::Without(stretches) => {
                let rows: u64 = stretches.iter().map(|stretch| stretch.rows).sum();
                for stretch in stretches {
                    let (rows, partition) = (stretch.rows, stretch.from.name);
                    self.shared.notices.say(Some(&stretch.source), NoticeSeverity::Warning, "set_aside", 1, || {
                        format!("rows of {partition} are set aside after three tries, since they make it fail: {rows}")
                    });
                }
                Some((format!(", but for {rows} that make it fail, which leave by their source's `quarantined` port"), Duration::ZERO))
            }
            Next::Stands(why) => {
                failure.diagnostic = failure.diagnostic.clone().help(why);
                None
            }
        }
    }

    /// What the sources had read at an epoch.
    fn rows_read(&self, restored: &Restored) -> u64 {
        let sources = self.shared.telemetry.nodes.iter().filter(|(_, node)| node.role == Role::Source);
        sources.map(|(node, _)| restored.counts(node).rows_in).sum()
    }

    /// Finds what the run goes on from, gives up what it does not, and takes the sinks there.
    async fn go_on(&self, home: &StateHome) -> Result<Attempt, Failure> {
        reached("looking");
        let claiming = home.clone();
        self.blocking(move || Ok(claiming.claim_all()?)).await?;
        let went_back = match &home.from {
            Some(name) => Some(self.go_back(home, name).await?),
            None => None,
        };
        let looking = home.clone();
        let found = self.blocking(move || looking.find(went_back).map_err(RunError::from)).await?;
        let Found { newest, given_up } = found;
        let restored = match newest {
            Some(manifest) => Some(self.read(home, manifest).await?),
            None => None,
        };
        for run in given_up.iter().copied() {
            let attempt = Attempt::begins(run.0, false);
            recover(self.shared.clone(), attempt).await?;
            forget(&self.shared.host.data, home.clone(), run, Vec::new()).await;
        }
        let Some((mut restored, after)) = restored else {
            let run_start_us = self.progress.clock.wall_us();
            let beginning = home.clone();
            self.blocking(move || Ok(beginning.begin(RunId(run_start_us), &given_up)?)).await?;
            return Ok(Attempt { may_be_lost: home.is_shared(), ..Attempt::begins(run_start_us, true) });
        };
        self.shared.carry(&mut restored, home.allows).map_err(|error| self.failed(&error))?;
        let manifest = restored.manifest.clone();
        let (sweeping, of) = (home.clone(), manifest.clone());
        self.blocking(move || Ok(sweeping.forget_stray_blocks(&of)?)).await?;
        let (run, epoch, savepoints, keep_as) = (manifest.run, manifest.epoch, home.savepoints(), self.keep_as.clone());
        let keeping = move || {
            if let Some(name) = keep_as.filter(|_| epoch > 0)
                && savepoints.get(&name)?.is_none()
            {
                // The change was not taken up before the attempt failed.
                savepoints.keep(run, epoch, &name)?;
            }
            savepoints.newest_of(run).map_err(RunError::from)
        };
        let kept = self.blocking(keeping).await?;
        self.shared.kept_epoch.store(kept, Ordering::Relaxed);
        let may_rewind = went_back.is_some() && home.allows.rewind;
        let restored = Some(Arc::new(restored));
        let precautions = Precautions::default();
        let (run_start_us, is_durable, may_be_lost) = (run.0, true, home.is_shared());
        let attempt = Attempt { run_start_us, is_durable, may_rewind, restored, after, may_be_lost, precautions, is_change: false };
        // Before sinks are touched: who leads the run no more, and does not know it, learns of it here; and a run that goes back is known to, before
        // what its sinks have shown since is taken back.
        self.enter(run, manifest.epoch).await?;
        recover(self.shared.clone(), attempt.clone()).await?;
        let finality = match manifest.ending {
            None => Finality::Ongoing,
            Some(Ending::Stopped) => Finality::Paused,
            Some(Ending::Finished) => Finality::Final,
        };
        committed(self.shared.clone(), attempt.clone(), manifest.epoch, manifest.ready, finality).await?;
        reached("restored");
        let when = Timestamp(manifest.taken_us).to_rfc3339();
        let message = || format!("goes on from epoch {}, taken at {when}", manifest.epoch);
        self.shared.notices.say(None, NoticeSeverity::Info, "resumed", 1, message);
        Ok(attempt)
    }

    /// Has it entered, where that is asked for, that the run goes back.
    async fn enter_rewind(&self) -> Result<(), Failure> {
        let Some(ledger) = &self.shared.host.ledger else { return Ok(()) };
        self.waits_for_entry("the way back", ledger.rewind()).await
    }

    /// Has the epoch entered that the run goes on from: whoever made its manifest may not have come to that.
    async fn enter(&self, run: RunId, epoch: u64) -> Result<(), Failure> {
        let Some(ledger) = &self.shared.host.ledger else { return Ok(()) };
        self.waits_for_entry(&format!("epoch {epoch}"), ledger.complete(run, epoch)).await
    }

    /// Waits until something is entered, or the run is aborted.
    async fn waits_for_entry(&self, what: &str, entering: impl Future<Output = Result<(), Fenced>>) -> Result<(), Failure> {
        let mut stop = self.progress.stop.receiver();
        tokio::select! {
            biased;
            entered = entering => entered.map_err(|fenced| self.failed(&by_another(what, &fenced))),
            () = stop.reached(Stopping::Abort) => Err(self.failed(&RunError::State {
                code: codes::LAST_EPOCH,
                message: format!("the run was stopped while {what} waited for the control group"),
                help: "run it again: it goes on from there",
                retryable: true,
            })),
        }
    }

    /// Reads an epoch's parts, each beside the others, and takes the run over from there. Gives the number too that its own epochs come after.
    async fn read(&self, home: &StateHome, manifest: Manifest) -> Result<(Restored, u64), Failure> {
        let (run, epoch) = (manifest.run, manifest.epoch);
        let parts = read_parts(&self.shared, home, &manifest, |_| true).await.map_err(|error| self.failed(&error))?;
        let home = home.clone();
        let after = self.blocking(move || Ok(home.take_over(run, epoch)?)).await?;
        Ok((Restored::new(manifest, parts), after))
    }

    /// Goes back to a savepoint: it becomes the newest epoch of its run again.
    ///
    /// # Errors
    /// If rows that sinks have shown since would be taken back or come twice, unless that is allowed.
    async fn go_back(&self, home: &StateHome, name: &SavepointName) -> Result<RunId, Failure> {
        let (savepoints, name, allows, home) = (home.savepoints(), name.clone(), home.allows, home.clone());
        let sinks = sinks(&self.shared.plan, &self.shared.registry);
        self.blocking(move || {
            let savepoint = savepoints.get(&name)?.ok_or_else(|| no_savepoint(&name))?;
            may_go_back(&savepoints, &savepoint, &sinks, allows.rewind)?;
            Ok(savepoints.bring_back(&name, |run, epoch| home.take_over(run, epoch))?)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> RunResult<T> + Send + 'static) -> Result<T, Failure> {
        let done = self.shared.host.data.blocking(work).await.unwrap_or_else(|error| Err(RunError::bug(error.to_string())));
        done.map_err(|error| self.failed(&error))
    }

    async fn attempt(&self, attempt: Attempt) -> Result<AttemptEnd, Failure> {
        if let Some(restored) = attempt.restored.as_ref().filter(|it| it.manifest.ending == Some(Ending::Finished)) {
            return Ok(self.finish_restored(restored).await);
        }
        let attempt = Attempt { is_change: self.progress.changes.is_under_way(), ..attempt };
        let tasks: usize = self.shared.physical.vertices.iter().map(|vertex| vertex.parallelism as usize).sum();
        let (reports, inbox) = mpsc::channel(4 * tasks + 1);
        let (stop, decision) = (StopSignal::default(), watch::Sender::new(Decision::Pending));
        let hasten = watch::Sender::new(0);
        let look = attempt.precautions.look;
        let caution = watch::Sender::new(look.map(|look| Caution { complete: 0, rows: look.rows, in_turn: look.in_turn }));
        let lines = Lines {
            stop: stop.receiver(),
            reports: reports.clone(),
            decision: decision.subscribe(),
            hasten: hasten.subscribe(),
            caution: caution.subscribe(),
        };
        let Some(members) = self.gather(&attempt).await? else { return Ok(AttemptEnd::Aborted) };
        let Some((Made { tasks: ready, mut names, commands, quarantine }, far)) = self.make_tasks(attempt.clone(), &members, lines).await?
        else {
            return Ok(AttemptEnd::Aborted);
        };
        names.extend(members.names(&self.shared));
        let gates = members.gates();
        let lines = MemberLines { reports: reports.clone(), stop: stop.receiver(), hasten: hasten.subscribe() };
        members.follow(&self.shared, far, &quarantine, &lines).map_err(|error| self.failed(&error))?;
        self.progress.set_state(RunState::Running);
        self.shared.notices.say(None, NoticeSeverity::Info, "started", 1, || format!("running as {tasks} tasks"));
        for task in ready {
            let reports = reports.clone();
            let spawned = self.shared.host.data.spawn(async move {
                let report = task.run().await;
                // The job hears every report while it lives; if it is gone there is nobody to tell.
                let _ = reports.send(report).await;
            });
            if spawned.is_none() {
                return Err(self.bug("the data runtime has shut down".to_owned()));
            }
        }
        drop(reports);
        let wires = Wires { stop, decision, hasten, caution, inbox, gates: gates.clone() };
        let ended = Epochs::new(self.shared.clone(), self.progress.clone(), attempt, names, commands, wires).run().await;
        self.shut(gates).await?;
        Ok(ended)
    }

    /// What members have under way is put down before anything goes on from here, or not at all.
    async fn shut(&self, gates: Vec<Gate>) -> Result<(), Failure> {
        if gates.is_empty() {
            return Ok(());
        }
        self.blocking(move || {
            gates.iter().for_each(Gate::shut);
            Ok(())
        })
        .await
    }

    /// A run that had come to its end, but for the last word: all is committed now, and counted as it was then.
    async fn finish_restored(&self, restored: &Restored) -> AttemptEnd {
        for (node, telemetry) in &self.shared.telemetry.nodes {
            // What the others had counted in an attempt before is in what the first one goes on from.
            for (task, metrics) in telemetry.tasks.iter().enumerate() {
                metrics.begin(if task == 0 { restored.counts(node) } else { Counts::default() });
            }
        }
        if let Some(home) = self.shared.host.state.clone() {
            forget(&self.shared.host.data, home, RunId(restored.manifest.run.0), Vec::new()).await;
        }
        AttemptEnd::Ended(EndReason::Finished)
    }

    /// Has the members that take part make their tasks. None if the run was aborted meanwhile.
    async fn gather(&self, attempt: &Attempt) -> Result<Option<Members>, Failure> {
        let mut stop = self.progress.stop.receiver();
        tokio::select! {
            biased;
            () = stop.reached(Stopping::Abort) => Ok(None),
            members = lead::gather(&self.shared, attempt) => members.map(Some).map_err(|failure| *failure),
        }
    }

    /// Makes the tasks that run here, and the ends of channels whose other ends are elsewhere. None if the run was aborted meanwhile.
    async fn make_tasks(&self, attempt: Attempt, members: &Members, lines: Lines) -> Result<Option<(Made, FarEnds)>, Failure> {
        let shared = self.shared.clone();
        let placement = members.placement.clone();
        let mut wiring = wire(&shared.telemetry, shared.options.batch_rows, &Share { placement: &placement, me: LEADER });
        let far = wiring.far();
        let work = CurrentWork::default();
        let seen = work.clone();
        let mut stop = self.progress.stop.receiver();
        let making = self.shared.host.data.spawn(async move {
            let mut made = Made::default();
            let making = AssertUnwindSafe(async {
                tokio::select! {
                    biased;
                    () = stop.reached(Stopping::Abort) => Err(RunError::Cancelled),
                    made = setup::make(&shared, &attempt, Share { placement: &placement, me: LEADER }, wiring, lines, &mut made, &work) => made,
                }
            });
            let result = making.catch_unwind().await.unwrap_or_else(|panic| {
                Err(RunError::Bug { message: format!("making the tasks panicked: {}", panic_text(panic.as_ref())) })
            });
            match result {
                Ok(()) => Ok(made),
                Err(error) => {
                    undo(made).await;
                    Err(error)
                }
            }
        });
        let made = match making {
            Some(making) => making.await.unwrap_or_else(|error| Err(RunError::bug(error.to_string()))),
            None => Err(RunError::bug("the data runtime has shut down")),
        };
        match made {
            Ok(made) => Ok(Some((made, far))),
            Err(RunError::Cancelled) => Ok(None),
            Err(error) => Err(self.shared.failed(&error, &seen)),
        }
    }
}

/// Sinks that were made for a run that never began remove what they have put down.
async fn undo(made: Made) {
    for task in made.tasks {
        if let ReadyTask::Sink(_, _, mut sink) = task
            && let Err(error) = sink.abort().await
        {
            tracing::warn!(%error, "a sink could not remove what it wrote");
        }
    }
}

/// Reads those of an epoch's parts that are wanted, each beside the others.
pub async fn read_parts(
    shared: &Shared,
    home: &StateHome,
    manifest: &Manifest,
    is_wanted: impl Fn(&TaskId) -> bool,
) -> RunResult<Vec<(TaskId, TaskPart)>> {
    let (run, epoch) = (manifest.run, manifest.epoch);
    let read = |entry: PartEntry| {
        let (home, task) = (home.clone(), entry.task.clone());
        (task, shared.host.data.blocking(move || home.read_part(run, epoch, &entry)))
    };
    let reading: Vec<_> = manifest.parts.iter().filter(|entry| is_wanted(&entry.task)).cloned().map(read).collect();
    let mut parts = Vec::with_capacity(reading.len());
    for (task, part) in reading {
        parts.push((task, part.await.map_err(|error| RunError::bug(error.to_string()))??));
    }
    Ok(parts)
}

/// What a run has tried already.
#[derive(Default)]
struct Again {
    restarts: Restarts,
    search: Search,
}

impl Again {
    /// The wait before another try. Failures that may lie in rows have tries of their own, which their search counts: rows that follow each other
    /// are found one by one from one place, and none of that is to come off what a disk may fail.
    fn wait(&mut self, lies_in_rows: bool, counted: u64) -> Option<Duration> {
        if lies_in_rows { Some(self.search.wait()) } else { self.restarts.wait(counted) }
    }
}

/// A failure as the search for rows sees it.
fn in_rows<'a>(failure: &'a Failure, reached: u64, base: u64, trail: &Trail, epoch: u64) -> Failed<'a> {
    Failed { reached, base, since: trail.after(epoch), failure: &failure.diagnostic }
}

fn begins_again(epoch: u64, replayed: u64, wait: Duration, how: &str) -> String {
    let from = if epoch == 0 { "from its beginning".to_owned() } else { format!("from epoch {epoch}") };
    let rows = if replayed == 1 { "row" } else { "rows" };
    format!("begins again {from} in {} ms, and reads {replayed} {rows} again{how}", wait.as_millis())
}

pub fn no_savepoint(name: &SavepointName) -> RunError {
    let message = format!("there is no savepoint `{name}` of this pipeline");
    let help = "see which there are: millrace savepoint FILE --list";
    RunError::State { code: codes::NO_SAVEPOINT, message, help, retryable: false }
}
