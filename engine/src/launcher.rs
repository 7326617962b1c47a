//! Makes runs out of deployments: what sessions hand over to the runtime.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use millrace_cluster::control::{ControlNode, RunLedger};
use millrace_cluster::host::lead_in_place;
use millrace_cluster::launch::{Run, RunLauncher};
use millrace_cluster::replica::bring_to_log;
use millrace_cluster::seen::file_name;
use millrace_cluster::share::Crew;
use millrace_model::field::Duration;
use millrace_model::{Diagnostic, Diagnostics, NodeId, PipelineSettings, Schema};
use millrace_runtime::RunError;
use millrace_runtime::alerts::Herald;
use millrace_runtime::checkpoint::{Allowances, StateHome, codes};
use millrace_runtime::clock::{Clock, SystemClock};
use millrace_runtime::connector::ResultSink;
use millrace_runtime::data_runtime::DataRuntime;
use millrace_runtime::files::Files;
use millrace_runtime::job::{HostContext, JobOptions, launch};
use millrace_runtime::ledger::Ledger;
use millrace_runtime::share::{FarLeader, MemberReport, Part, ShareStart, take_part};
use millrace_state::store::Store;
use millrace_wire::message::{Deployment, Failure, JobId, SharedPlace};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::inspect::{Inspector, NO_FOLDER, Nowhere};
use crate::local_run::{LocalRun, Maker, Place};
use crate::savepoint::{finding, parsed};
use crate::state_place::StatePlace;
use crate::webhooks::Webhooks;

/// Of how many nodes an epoch is on the disks, where the file does not say.
const REPLICAS: u32 = 2;

/// Epochs do not begin more often, whatever the file says.
const LEAST_INTERVAL: std::time::Duration = std::time::Duration::from_millis(10);

/// Runs pipelines in this process.
pub struct Launcher {
    maker: Maker,
    data: DataRuntime,
    webhooks: Webhooks,
}

impl Launcher {
    pub fn new(inspector: Arc<Inspector>, data: DataRuntime, crew: Arc<Crew>, webhooks: Webhooks) -> Launcher {
        Launcher { maker: Maker { inspector, crew }, data, webhooks }
    }

    /// Who is told of a run's alerts.
    fn herald(&self, run: &str, deployment: &Deployment, settings: &PipelineSettings) -> Arc<dyn Herald> {
        let name = if settings.name.is_empty() { file_name(&deployment.name) } else { &settings.name };
        Arc::new(self.webhooks.of_run(name, run))
    }

    /// Where the run is kept, and where its epochs are entered.
    async fn kept(
        &self,
        files: &Files,
        deployment: &Deployment,
        settings: &PipelineSettings,
        every: Duration,
    ) -> Result<Kept, Diagnostics> {
        if let (Some(control), Some(place)) = (self.maker.crew.control(), &deployment.options.place) {
            return self.kept_by_group(control, place, files, deployment, settings, every).await;
        }
        let (home, place) = open_state(files, deployment, settings, every).await?;
        let ledger = self.ledger(deployment, &place).await?;
        Ok(Kept { home, ledger, in_group: None })
    }

    /// The same of a run that the control group keeps running: its state lies on the disks of several nodes, or in a bucket.
    async fn kept_by_group(
        &self,
        control: &ControlNode,
        place: &SharedPlace,
        files: &Files,
        deployment: &Deployment,
        settings: &PipelineSettings,
        every: Duration,
    ) -> Result<Kept, Diagnostics> {
        let refuse = |finding| Diagnostics { items: vec![finding] };
        let at = StatePlace::of(files, &deployment.name, settings.state.as_deref()).map_err(refuse)?;
        let replicas = match &at {
            StatePlace::Bucket { .. } => 0,
            StatePlace::Folder(_) if settings.state.is_none() => settings.replicas.unwrap_or(REPLICAS),
            StatePlace::Folder(_) => return Err(refuse(one_folder())),
        };
        let (ledger, name) = lead_in_place(control, deployment, place, replicas).await.map_err(refuse)?;
        let ledger = Arc::new(ledger);
        let opened =
            if replicas == 0 { opened(&at).await } else { replica(control, &name, ledger.led_in(), deployment.options.fresh).await };
        let store = match opened {
            Ok(store) => store,
            Err(finding) => {
                give_up(Some(&ledger), deployment);
                return Err(refuse(finding));
            }
        };
        if replicas > 0 {
            ledger.copy_epochs(self.maker.crew.seen().clone(), store.clone(), replicas);
        }
        let mut home = home_of(store, deployment, every).inspect_err(|_| give_up(Some(&ledger), deployment))?;
        home.generation = ledger.led_in();
        let in_group = Some(Arc::downgrade(&ledger));
        Ok(Kept { home, ledger: Some(ledger), in_group })
    }

    /// Where the run's epochs are entered: with the control group, if this node is of one.
    async fn ledger(&self, deployment: &Deployment, place: &StatePlace) -> Result<Option<Arc<dyn Ledger>>, Diagnostics> {
        let Some(control) = self.maker.crew.control() else { return Ok(None) };
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
        let told = self.maker.inspector.told(&deployment.text, &deployment.name, &deployment.options.overrides, &env, &columns);
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
        let host = HostContext {
            files,
            clock,
            results,
            run: "share".to_owned(),
            data: self.data.clone(),
            team: None,
            state,
            ledger: None,
            herald: None,
        };
        let registry = self.maker.inspector.registry().clone();
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
        let version = self.maker.version(deployment.clone(), &files).await?;
        // By time first: a folder of runs reads in their order, and no two programs that share a project get one name.
        let clock = SystemClock::default();
        let run = format!("{}-{}-{}", clock.wall_us() / 1_000_000, std::process::id(), job.0);
        let kept = match version.settings.checkpoint_every {
            Some(every) => Some(self.kept(&files, deployment, &version.settings, every).await?),
            None if deployment.options.from.is_some() => return Err(not_kept()),
            None if deployment.options.place.as_ref().is_some_and(|place| place.handed.is_some()) => return Err(never_kept()),
            None => None,
        };
        let (state, ledger, in_group) = kept.map_or((None, None, None), |Kept { home, ledger, in_group }| (Some(home), ledger, in_group));
        let store = state.as_ref().map(StateHome::store);
        // The run alone holds its state: it ends with the run.
        let seen = store.as_ref().map(Arc::downgrade);
        let team = Some(self.maker.team(job, &version, store));
        // Held until it is begun: what cannot be is given up.
        let led = in_group.as_ref().and_then(Weak::upgrade);
        let herald = Some(self.herald(&run, deployment, &version.settings));
        let (files_of_run, clock, data) = (files.clone(), Arc::new(clock), self.data.clone());
        let host = HostContext { files: files_of_run, clock, results, run, data, team, state, ledger, herald };
        match launch(version.plan.clone(), self.maker.inspector.registry().clone(), version.options.clone(), host) {
            Ok(handle) => {
                self.maker.crew.seen().planned(job, &deployment.name, &handle.physical());
                Ok(Arc::new(LocalRun::new(handle, job, Place { files, store: seen, ledger: in_group }, self.maker.clone(), version)))
            }
            Err(error) => {
                give_up(led.as_ref(), deployment);
                Err(Diagnostics { items: vec![Diagnostic::error(error.code(), error.to_string())] })
            }
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

/// Has it entered that a run which the control group was to keep running is not to be there: it could not be begun, and whoever wanted it is told. One
/// that was handed to this node is declined by whoever begins it.
fn give_up(ledger: Option<&Arc<RunLedger>>, deployment: &Deployment) {
    let is_handed = deployment.options.place.as_ref().is_some_and(|place| place.handed.is_some());
    if let Some(ledger) = ledger.filter(|_| !is_handed) {
        ledger.clone().give_up();
    }
}

/// Where a run is kept, and where its epochs are entered.
struct Kept {
    home: StateHome,
    ledger: Option<Arc<dyn Ledger>>,
    /// Set if the control group keeps it running.
    in_group: Option<Weak<RunLedger>>,
}

/// Takes the pipeline's state, and what the run is to do with it.
async fn open_state(
    files: &Files,
    deployment: &Deployment,
    settings: &PipelineSettings,
    every: Duration,
) -> Result<(StateHome, StatePlace), Diagnostics> {
    let refuse = |finding| Diagnostics { items: vec![finding] };
    let place = StatePlace::of(files, &deployment.name, settings.state.as_deref()).map_err(refuse)?;
    let store = opened(&place).await.map_err(refuse)?;
    Ok((home_of(store, deployment, every)?, place))
}

async fn opened(place: &StatePlace) -> Result<Arc<dyn Store>, Diagnostic> {
    let runtime = Handle::current();
    let opening = place.clone();
    let opened = tokio::task::spawn_blocking(move || opening.open(&runtime)).await;
    let opened = opened.map_err(|panic| RunError::bug(panic.to_string())).and_then(|opened| opened.map_err(RunError::from));
    opened.map_err(|error| finding(&error))
}

/// What this node holds of a deployment's state, at the epoch that the log says.
async fn replica(control: &ControlNode, name: &str, generation: u64, is_fresh: bool) -> Result<Arc<dyn Store>, Diagnostic> {
    let (replicas, of) = (control.replicas().clone(), name.to_owned());
    let opening = tokio::task::spawn_blocking(move || replicas.leader(&of, generation)).await;
    let opened = opening.map_err(|panic| RunError::bug(panic.to_string())).and_then(|opened| opened.map_err(RunError::from));
    let store = opened.map_err(|error| finding(&error))?;
    if !is_fresh {
        bring_to_log(control, name, &store).await?;
    }
    Ok(store)
}

fn home_of(store: Arc<dyn Store>, deployment: &Deployment, every: Duration) -> Result<StateHome, Diagnostics> {
    let options = &deployment.options;
    let from = options.from.as_deref().map(parsed).transpose().map_err(|finding| Diagnostics { items: vec![finding] })?;
    let mut home = StateHome::new(store, interval(every), options.fresh);
    home.from = from;
    home.allows = Allowances { rewind: options.allow_rewind, state_loss: options.allow_state_loss };
    Ok(home)
}

/// From one epoch's begin to the next one's.
pub fn interval(every: Duration) -> std::time::Duration {
    std::time::Duration::from_micros(u64::try_from(every.micros).unwrap_or(0)).max(LEAST_INTERVAL)
}

fn one_folder() -> Diagnostic {
    let message = "`state` names a folder, and a pipeline that a control group keeps running has its state on the disks of several nodes";
    Diagnostic::error(codes::BAD_PLACE, message).field("pipeline.state").help("leave `state` out, or name a bucket: s3://BUCKET/PREFIX")
}

fn never_kept() -> Diagnostics {
    let finding = Diagnostic::error(codes::BAD_PLACE, "a pipeline without checkpoints cannot be gone on with by another node");
    Diagnostics { items: vec![finding.help("set `checkpoint_every` under [pipeline]")] }
}

fn not_kept() -> Diagnostics {
    let finding = Diagnostic::error(codes::NO_SAVEPOINT, "a pipeline without checkpoints cannot go on from a savepoint");
    Diagnostics { items: vec![finding.help("set `checkpoint_every` under [pipeline]")] }
}
