//! One job, from its inputs to its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_model::{Diagnostic, NodeId, PortRef};
use millrace_runtime::files::Files;
use millrace_wire::alerts::AlertStanding;
use millrace_wire::change::{Changed, Scale};
use millrace_wire::cluster::ClusterJob;
use millrace_wire::codes;
use millrace_wire::figures::{EpochOutcome, JobFigures, RunState, Summary};
use millrace_wire::message::{DataHeader, Deployment, Event, Failure, JobId, Reply, RequestId, StopMode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::keeper::name_of;
use super::outputs;
use super::results::ResultStore;
use super::session::Session;
use super::staging::Staging;
use crate::control::ControlNode;
use crate::data::{DataItem, DataPayload};
use crate::launch::{Run, RunEnd, Sample};
use crate::link::{Answers, bare};
use crate::seen::file_name;

/// How long the last notices of a run that is over are waited for.
const LAST_NOTICES: Duration = Duration::from_secs(1);

/// Where a job reads and writes.
pub enum Place {
    /// The asking side's own folders.
    Shared(Arc<Files>),
    /// A folder of the job's own, which goes with it.
    Own(Arc<Staging>),
}

impl Place {
    pub fn staging(&self) -> Option<&Arc<Staging>> {
        match self {
            Place::Shared(_) => None,
            Place::Own(staging) => Some(staging),
        }
    }

    fn files(&self) -> Arc<Files> {
        match self {
            Place::Shared(files) => files.clone(),
            Place::Own(staging) => staging.files.clone(),
        }
    }
}

pub struct Job {
    pub id: JobId,
    pub results: Arc<ResultStore>,
    deployment: Deployment,
    place: Place,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// One of the engine's places for jobs, given back at the end.
    slot: Option<OwnedSemaphorePermit>,
    figures: Option<AbortHandle>,
}

enum Phase {
    Staged,
    /// Between `Start` and the first task, with the stop that was asked for meanwhile.
    Starting(Option<StopMode>),
    Running(Arc<dyn Run>),
    /// The run stays to be asked for its last figures.
    Over(Option<Arc<dyn Run>>),
}

impl Job {
    pub fn new(id: JobId, deployment: Deployment, place: Place, results: Arc<ResultStore>, slot: OwnedSemaphorePermit) -> Job {
        let state = State { phase: Phase::Staged, slot: Some(slot), figures: None };
        Job { id, results, deployment, place, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn staging(&self) -> Option<Arc<Staging>> {
        self.place.staging().cloned()
    }

    /// Takes the job to be started: it can be once.
    pub fn claim(&self) -> Result<(), Diagnostic> {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Staged) {
            return Err(Diagnostic::error(codes::NOT_NOW, format!("job {} was started before", self.id.0)));
        }
        state.phase = Phase::Starting(None);
        Ok(())
    }

    /// Asks for a stop, in whatever phase the job is.
    pub fn stop(&self, mode: StopMode) {
        let mut state = self.state();
        match &mut state.phase {
            Phase::Running(run) => run.stop(mode),
            Phase::Starting(stop) => {
                *stop = Some(mode);
                drop(state);
                if let Some(staging) = self.place.staging() {
                    staging.cancel();
                }
            }
            Phase::Staged => {
                state.phase = Phase::Over(None);
                state.slot = None;
            }
            Phase::Over(_) => {}
        }
    }

    /// Fails its tasks as a crash would.
    pub fn kill(&self) -> Result<Reply, Diagnostic> {
        self.running()?.kill();
        Ok(Reply::Done)
    }

    /// Has it go on in other numbers of tasks.
    pub async fn rescale(&self, scale: Scale) -> Result<Reply, Diagnostic> {
        Ok(Reply::Changed { change: self.running()?.rescale(scale).await? })
    }

    /// Has it go on spread over the nodes that take part now.
    pub async fn spread_anew(&self, what: String) -> Result<Changed, Diagnostic> {
        self.running()?.spread_anew(what).await
    }

    /// Whether it was started and is not over.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state().phase, Phase::Starting(_) | Phase::Running(_))
    }

    /// `run 3 of departures.millrace.toml`
    pub fn called(&self) -> String {
        format!("run {} of {}", self.id.0, self.file())
    }

    /// The pipeline file's name.
    pub fn file(&self) -> &str {
        file_name(&self.deployment.name)
    }

    /// What the control group that this node is of calls it; none of a run whose files are its node's alone.
    pub fn group_name(&self, control: Option<&ControlNode>) -> Option<String> {
        let place = self.deployment.options.place.as_ref().filter(|_| control.is_some())?;
        Some(place.deployment.clone().unwrap_or_else(|| name_of(&self.deployment.name)))
    }

    /// Keeps its state under a name.
    pub async fn savepoint(&self, name: &str) -> Result<Reply, Diagnostic> {
        Ok(Reply::Savepoint { savepoint: self.running()?.savepoint(name).await? })
    }

    /// Has it go on as another pipeline.
    pub async fn upgrade(&self, deployment: Deployment, looks_only: bool) -> Result<Reply, Diagnostic> {
        Ok(match self.running()?.upgrade(deployment, looks_only).await {
            Ok(upgraded) => Reply::Upgraded { upgraded },
            Err(found) => Reply::Rejected { diagnostics: found.items },
        })
    }

    /// Takes its newest upgrade back.
    pub async fn roll_back(&self, allow_rewind: bool) -> Result<Reply, Diagnostic> {
        Ok(Reply::Changed { change: self.running()?.roll_back(allow_rewind).await? })
    }

    /// Nobody will ask for this job again.
    pub fn abandon(&self) {
        self.stop(StopMode::Abort);
        self.stop_watching();
    }

    pub fn forget(&self) -> Result<(), Diagnostic> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Starting(_) | Phase::Running(_)) {
            return Err(Diagnostic::error(codes::NOT_NOW, format!("job {} still runs", self.id.0)).help("stop it first"));
        }
        state.slot = None;
        Ok(())
    }

    fn run(&self) -> Option<Arc<dyn Run>> {
        match &self.state().phase {
            Phase::Running(run) | Phase::Over(Some(run)) => Some(run.clone()),
            _ => None,
        }
    }

    fn running(&self) -> Result<Arc<dyn Run>, Diagnostic> {
        self.run().ok_or_else(|| Diagnostic::error(codes::NOT_NOW, format!("job {} does not run yet", self.id.0)))
    }

    /// The job as a list shows it; none before it runs.
    pub fn seen(&self, places: BTreeMap<NodeId, Vec<u32>>, spreads_better: bool) -> Option<ClusterJob> {
        let figures = self.run()?.figures();
        let sum = |of: fn(&millrace_wire::figures::NodeFigures) -> u64| figures.nodes.values().map(of).sum();
        Some(ClusterJob {
            job: self.id,
            name: file_name(&self.deployment.name).to_owned(),
            state: figures.state,
            elapsed_ms: figures.elapsed_ms,
            rows_in: rows_read(&figures),
            late: sum(|node| node.late),
            quarantined: sum(|node| node.quarantined),
            epoch: figures.epochs.iter().filter(|epoch| epoch.outcome == EpochOutcome::Complete).map(|epoch| epoch.epoch).max(),
            places,
            parallelism: figures.parallelism,
            change: figures.change,
            autoscale: figures.autoscale,
            firing: figures.alerts.into_iter().filter(|alert| alert.standing == AlertStanding::Firing).collect(),
            // A run without checkpoints stays as it is.
            spreads_better: spreads_better && !figures.state.is_over() && !figures.epochs.is_empty(),
        })
    }

    pub fn watch_figures(&self, answers: &Answers, every: Option<Duration>) -> Result<Reply, Diagnostic> {
        let run = self.running()?;
        let mut state = self.state();
        if let Some(before) = state.figures.take() {
            before.abort();
        }
        answers.figures(self.id, run.figures());
        if let (Some(every), Phase::Running(_)) = (every, &state.phase) {
            let (id, answers) = (self.id, answers.clone());
            let watching = tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    answers.figures(id, run.figures());
                }
            });
            state.figures = Some(watching.abort_handle());
        }
        Ok(Reply::Done)
    }

    pub fn tap(&self, from: &PortRef, to: &NodeId, is_on: bool, max_rows: u32) -> Result<Reply, Diagnostic> {
        if self.running()?.tap(from, to, is_on, max_rows) {
            return Ok(Reply::Done);
        }
        Err(Diagnostic::error(codes::NOT_NOW, format!("the running pipeline has no edge from `{from}` to `{to}`")))
    }

    /// Whether figures were being watched.
    fn stop_watching(&self) -> bool {
        self.state().figures.take().map(|watching| watching.abort()).is_some()
    }

    /// Takes the run in; a stop that was asked for while it started is carried out.
    fn started(&self, run: &Arc<dyn Run>) {
        let mut state = self.state();
        if let Phase::Starting(Some(mode)) = state.phase {
            run.stop(mode);
        }
        state.phase = Phase::Running(run.clone());
    }

    fn over(&self) {
        let mut state = self.state();
        let run = match std::mem::replace(&mut state.phase, Phase::Over(None)) {
            Phase::Running(run) => Some(run),
            _ => None,
        };
        state.phase = Phase::Over(run);
        state.slot = None;
    }

    fn stopped_early(&self) -> bool {
        matches!(self.state().phase, Phase::Starting(Some(_)))
    }
}

/// Carries a job from `Start` to `Ended`. A panic ends this job and nothing else.
pub async fn run(session: Arc<Session>, job: Arc<Job>, asked: RequestId) {
    let launched = tokio::spawn(launch(session.clone(), job.clone())).await;
    let run = match launched {
        Ok(Ok(run)) => run,
        other => {
            job.over();
            let reply = other.map_or_else(
                |panic| Reply::Failed { diagnostic: bug(&panic) },
                |refused| refused.map_or_else(|reply| reply, |_| Reply::Done),
            );
            session.answer(asked, reply).await;
            return;
        }
    };
    session.answer(asked, Reply::Started { job: job.id }).await;
    let state = *run.watch_state().borrow();
    if !state.is_over() {
        session.event(Event::State { job: job.id, state }).await;
    }
    let watched = tokio::spawn(watch(session.clone(), job.clone(), run.clone())).await;
    let mut end =
        watched.unwrap_or_else(|panic| RunEnd { state: RunState::Failed, summary: Summary::default(), cause: Some(failure(bug(&panic))) });
    let figures_were_watched = job.stop_watching();
    if let Some(staging) = job.place.staging()
        && let Err(diagnostic) = outputs::send(staging, job.id, &session.data_out).await
        && end.cause.is_none()
    {
        end.state = RunState::Failed;
        end.cause = Some(failure(diagnostic));
    }
    job.over();
    session.host.crew_seen().over(job.id);
    if figures_were_watched {
        session.answers.clear_figures(job.id);
        session.event(Event::Figures { job: job.id, figures: run.figures() }).await;
    }
    session.data_out.send(bare(DataHeader::EndOfJob { job: job.id })).await;
    session.event(Event::Ended { job: job.id, state: end.state, summary: end.summary, cause: end.cause }).await;
}

async fn launch(session: Arc<Session>, job: Arc<Job>) -> Result<Arc<dyn Run>, Reply> {
    session.event(Event::State { job: job.id, state: RunState::Starting }).await;
    if let Some(staging) = job.place.staging() {
        staging.complete(session.host.options.limits.input_patience).await.map_err(|diagnostic| Reply::Failed { diagnostic })?;
    }
    if job.stopped_early() {
        return Err(Reply::Failed { diagnostic: Diagnostic::error(codes::NOT_NOW, "the job was stopped before it began") });
    }
    let launcher = session.host.options.launcher.clone();
    let run = launcher
        .launch(job.id, &job.deployment, job.place.files(), job.results.clone())
        .await
        .map_err(|found| Reply::Rejected { diagnostics: found.items })?;
    job.started(&run);
    Ok(run)
}

/// Passes on what the run tells, until it is over.
async fn watch(session: Arc<Session>, job: Arc<Job>, run: Arc<dyn Run>) -> RunEnd {
    let id = job.id;
    let seen = session.host.crew_seen();
    let told = |notice| {
        seen.noticed(id, &notice);
        session.event(Event::Notice { job: id, notice })
    };
    let mut state = run.watch_state();
    let end = loop {
        tokio::select! {
            biased;
            Ok(()) = state.changed() => {
                let state = *state.borrow_and_update();
                // The end is told by `Ended`, after everything else.
                if !state.is_over() {
                    session.event(Event::State { job: id, state }).await;
                }
            }
            Some(notice) = run.notice() => { told(notice).await; }
            Some(Sample { from, to, batch }) = run.sample() => {
                let header = DataHeader::TapRows { job: id, from, to, dropped: 0 };
                session.data_out.offer(DataItem { header, payload: DataPayload::Rows(batch) });
            }
            end = run.ended() => break end,
        }
    };
    let last = async {
        while let Some(notice) = run.notice().await {
            told(notice).await;
        }
    };
    let _ = tokio::time::timeout(LAST_NOTICES, last).await;
    end
}

/// What the sources have read: the nodes that no edge leads to.
fn rows_read(figures: &JobFigures) -> u64 {
    let sources = figures.nodes.iter().filter(|(node, _)| figures.edges.iter().all(|edge| edge.to != **node));
    sources.map(|(_, figures)| figures.rows_in).sum()
}

fn failure(diagnostic: Diagnostic) -> Failure {
    Failure { diagnostic, retryable: false, sample: Vec::new() }
}

fn bug(panic: &tokio::task::JoinError) -> Diagnostic {
    Diagnostic::error(codes::BUG, format!("the engine failed while it ran the pipeline: {panic}")).help("please report this")
}
