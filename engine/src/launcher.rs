//! Makes runs out of deployments: what sessions hand over to the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_cluster::control::RunLedger;
use millrace_cluster::launch::{Run, RunEnd, RunLauncher, Sample};
use millrace_cluster::share::{Crew, RunTeam};
use millrace_model::field::Duration;
use millrace_model::{Diagnostic, Diagnostics, NodeId, PipelineSettings, PortRef, Schema};
use millrace_plan::LogicalPlan;
use millrace_runtime::RunError;
use millrace_runtime::checkpoint::{Allowances, StateHome, codes};
use millrace_runtime::clock::{Clock, SystemClock};
use millrace_runtime::connector::ResultSink;
use millrace_runtime::data_runtime::DataRuntime;
use millrace_runtime::files::Files;
use millrace_runtime::job::{HostContext, JobHandle, JobOptions, launch};
use millrace_runtime::ledger::Ledger;
use millrace_runtime::share::{FarLeader, MemberReport, Part, ShareStart, Team, take_part};
use millrace_state::store::Store;
use millrace_wire::figures::{JobFigures, RunState};
use millrace_wire::message::{Deployment, Failure, JobId, Notice, StopMode};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, watch};

use millrace_runtime::telemetry::TapSample;

use crate::inspect::{Inspector, NO_FOLDER, Nowhere};
use crate::savepoint::{finding, parsed};
use crate::state_place::StatePlace;

/// Epochs do not begin more often, whatever the file says.
const LEAST_INTERVAL: std::time::Duration = std::time::Duration::from_millis(10);

/// Runs pipelines in this process.
pub struct Launcher {
    inspector: Arc<Inspector>,
    data: DataRuntime,
    /// The nodes that runs are spread over.
    crew: Arc<Crew>,
}

impl Launcher {
    pub fn new(inspector: Arc<Inspector>, data: DataRuntime, crew: Arc<Crew>) -> Launcher {
        Launcher { inspector, data, crew }
    }

    /// Where the run's epochs are entered: with the control group, if this node is of one.
    async fn ledger(&self, deployment: &Deployment, place: &StatePlace) -> Result<Option<Arc<dyn Ledger>>, Diagnostics> {
        let Some(control) = self.crew.control() else { return Ok(None) };
        let (name, options) = (place.deployment(control.name()), &deployment.options);
        // A savepoint may lie before the newest epoch, and lose nothing that sinks have shown.
        let may_rewind = options.allow_rewind || options.from.is_some();
        let led = RunLedger::lead(control, name, &deployment.text, &options.overrides, may_rewind).await;
        let ledger = led.map_err(|finding| Diagnostics { items: vec![finding] })?;
        Ok(Some(Arc::new(ledger)))
    }

    /// Makes ready what a member runs. The folder is for what does not fit in memory, and goes with the share.
    fn part(
        &self,
        deployment: &Deployment,
        columns: &BTreeMap<NodeId, Schema>,
        start: ShareStart,
        store: Arc<dyn Store>,
    ) -> Result<(Part, TempDir), Diagnostic> {
        let env = |name: &str| deployment.env.get(name).cloned();
        let columns = columns.iter().map(|(node, columns)| (node.clone(), Arc::new(columns.clone()))).collect();
        let told = self.inspector.told(&deployment.text, &deployment.name, &deployment.options.overrides, &env, &columns);
        let (pipeline, plan) = told.map_err(|found| {
            let first = found.items.into_iter().find(Diagnostic::is_error);
            first.unwrap_or_else(|| Diagnostic::error(NO_FOLDER, "the pipeline cannot be read"))
        })?;
        let no_folder = |error: std::io::Error| Diagnostic::error(NO_FOLDER, format!("the node cannot make a folder for the run: {error}"));
        let folder = tempfile::Builder::new().prefix("millrace-share-").tempdir().map_err(no_folder)?;
        let files = Arc::new(Files::for_folder(folder.path(), &[]).map_err(no_folder)?);
        let options = JobOptions::resolve(&deployment.options, &pipeline.settings);
        let state = start.is_durable.then(|| StateHome::new(store, LEAST_INTERVAL, false));
        let (clock, results) = (Arc::new(SystemClock::default()), Arc::new(Nowhere));
        let host = HostContext { files, clock, results, run: "share".to_owned(), data: self.data.clone(), team: None, state, ledger: None };
        let registry = self.inspector.registry().clone();
        Ok((Part { plan, registry, options, host, start }, folder))
    }
}

#[async_trait]
impl RunLauncher for Launcher {
    async fn launch(
        &self,
        job: JobId,
        deployment: &Deployment,
        files: Arc<Files>,
        results: Arc<dyn ResultSink>,
    ) -> Result<Arc<dyn Run>, Diagnostics> {
        let env = |name: &str| deployment.env.get(name).cloned();
        let overrides = &deployment.options.overrides;
        let name = Some(deployment.name.clone());
        // In the folders of this run and no others: on a node they are not those that its own user allowed.
        let inspection = self.inspector.inspect_within(&deployment.text, name, files.clone(), overrides, &env).await;
        let Some(pipeline) = inspection.pipeline.as_ref().filter(|_| !inspection.diagnostics.has_errors()) else {
            return Err(inspection.diagnostics);
        };
        let mut options = JobOptions::resolve(&deployment.options, &pipeline.settings);
        let hands: u32 = self.crew.present().iter().map(|(_, _, slots)| slots).sum();
        if hands > 0 && deployment.options.parallelism.or(pipeline.settings.parallelism).is_none() {
            options.parallelism = hands;
        }
        let clock = SystemClock::default();
        // By time first: a folder of runs reads in their order, and no two programs that share a project get one name.
        let run = format!("{}-{}-{}", clock.wall_us() / 1_000_000, std::process::id(), job.0);
        let mut ledger = None;
        let state = match pipeline.settings.checkpoint_every {
            Some(every) => {
                let (home, place) = open_state(&files, deployment, &pipeline.settings, every).await?;
                ledger = self.ledger(deployment, &place).await?;
                Some(home)
            }
            None if deployment.options.from.is_some() => return Err(not_kept()),
            None => None,
        };
        let columns = inspection.columns.iter().map(|(node, columns)| (node.clone(), columns.as_ref().clone())).collect();
        let store = state.as_ref().map(StateHome::store);
        let team: Arc<dyn Team> = Arc::new(RunTeam { crew: self.crew.clone(), job, deployment: deployment.clone(), columns, store });
        let host = HostContext { files, clock: Arc::new(clock), results, run, data: self.data.clone(), team: Some(team), state, ledger };
        let plan: LogicalPlan = inspection.plan;
        match launch(plan, self.inspector.registry().clone(), options, host) {
            Ok(handle) => {
                self.crew.seen().planned(job, &deployment.name, handle.physical());
                Ok(Arc::new(LocalRun::new(handle)))
            }
            Err(error) => Err(Diagnostics { items: vec![Diagnostic::error(error.code(), error.to_string())] }),
        }
    }

    async fn take_part(
        &self,
        deployment: &Deployment,
        columns: &BTreeMap<NodeId, Schema>,
        start: ShareStart,
        store: Arc<dyn Store>,
        leader: FarLeader,
    ) {
        match self.part(deployment, columns, start, store) {
            Ok((part, _folder)) => take_part(part, leader).await,
            Err(diagnostic) => {
                let failure = Box::new(Failure { diagnostic, retryable: false, sample: Vec::new() });
                // A leader that is gone has nothing to be told.
                let _ = leader.reports.send(MemberReport::NotBegun { failure }).await;
            }
        }
    }
}

/// Takes the pipeline's state, and what the run is to do with it.
async fn open_state(
    files: &Files,
    deployment: &Deployment,
    settings: &PipelineSettings,
    every: Duration,
) -> Result<(StateHome, StatePlace), Diagnostics> {
    let options = &deployment.options;
    let refuse = |finding| Diagnostics { items: vec![finding] };
    let from = options.from.as_deref().map(parsed).transpose().map_err(refuse)?;
    let place = StatePlace::of(files, &deployment.name, settings.state.as_deref()).map_err(refuse)?;
    let runtime = Handle::current();
    let opening = place.clone();
    let opened = tokio::task::spawn_blocking(move || opening.open(&runtime)).await;
    let opened = opened.map_err(|panic| RunError::bug(panic.to_string())).and_then(|opened| opened.map_err(RunError::from));
    let store = opened.map_err(|error| refuse(finding(&error)))?;
    let every = std::time::Duration::from_micros(u64::try_from(every.micros).unwrap_or(0)).max(LEAST_INTERVAL);
    let mut home = StateHome::new(store, every, options.fresh);
    home.from = from;
    home.allows = Allowances { rewind: options.allow_rewind, state_loss: options.allow_state_loss };
    Ok((home, place))
}

fn not_kept() -> Diagnostics {
    let finding = Diagnostic::error(codes::NO_SAVEPOINT, "a pipeline without checkpoints cannot go on from a savepoint");
    Diagnostics { items: vec![finding.help("set `checkpoint_every` under [pipeline]")] }
}

/// A run of the runtime's, for one session.
struct LocalRun {
    handle: JobHandle,
    notices: Mutex<Option<mpsc::Receiver<Notice>>>,
    samples: Mutex<Option<mpsc::Receiver<TapSample>>>,
}

impl LocalRun {
    fn new(handle: JobHandle) -> LocalRun {
        let (notices, samples) = (Mutex::new(handle.take_notices()), Mutex::new(handle.take_taps()));
        LocalRun { handle, notices, samples }
    }
}

#[async_trait]
impl Run for LocalRun {
    fn stop(&self, mode: StopMode) {
        self.handle.stop(mode);
    }

    fn kill(&self) {
        self.handle.kill();
    }

    fn watch_state(&self) -> watch::Receiver<RunState> {
        self.handle.watch_state()
    }

    fn figures(&self) -> JobFigures {
        self.handle.figures()
    }

    fn tap(&self, from: &PortRef, to: &NodeId, is_on: bool, max_rows: u32) -> bool {
        self.handle.tap(from, to, is_on, max_rows)
    }

    async fn sample(&self) -> Option<Sample> {
        let sample = self.samples.lock().await.as_mut()?.recv().await?;
        Some(Sample { from: sample.from, to: sample.to, batch: sample.batch })
    }

    async fn notice(&self) -> Option<Notice> {
        self.notices.lock().await.as_mut()?.recv().await
    }

    async fn ended(&self) -> RunEnd {
        let outcome = self.handle.wait().await;
        RunEnd { state: outcome.state, summary: outcome.summary, cause: outcome.cause }
    }
}
