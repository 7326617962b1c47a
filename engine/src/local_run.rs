//! A run of the runtime's, for whoever asked for it, and the pipelines that it is and was.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use millrace_cluster::control::RunLedger;
use millrace_cluster::launch::{Run, RunEnd, Sample};
use millrace_cluster::share::{Crew, RunTeam};
use millrace_model::{Autoscale, Diagnostic, Diagnostics, NodeId, PipelineSettings, PortRef, Schema};
use millrace_plan::LogicalPlan;
use millrace_runtime::checkpoint::{Savepoint, codes};
use millrace_runtime::clock::{Clock, SystemClock};
use millrace_runtime::files::Files;
use millrace_runtime::job::{JobHandle, JobOptions, NewPipeline, Way, outlook};
use millrace_runtime::share::Team;
use millrace_runtime::telemetry::TapSample;
use millrace_state::checkpoint::SavepointName;
use millrace_state::store::Store;
use millrace_wire::change::{Changed, SavepointTaken, Scale, Upgraded};
use millrace_wire::figures::{JobFigures, RunState};
use millrace_wire::message::{Deployment, JobId, Notice, StopMode};
use tokio::sync::{Mutex, mpsc, watch};

use crate::inspect::Inspector;
use crate::launcher::interval;
use crate::savepoint::{finding, parsed};

/// Upgrades of a run that can be taken back; then the oldest cannot any more.
const MOST_BEFORE: usize = 16;

/// What makes pipelines out of texts.
#[derive(Clone)]
pub struct Maker {
    pub inspector: Arc<Inspector>,
    /// The nodes that runs are spread over.
    pub crew: Arc<Crew>,
}

/// A pipeline that a run is, was or is to be.
pub struct Version {
    pub deployment: Deployment,
    pub plan: LogicalPlan,
    pub settings: PipelineSettings,
    pub options: JobOptions,
    columns: BTreeMap<NodeId, Schema>,
}

impl Maker {
    /// Checks a deployment, and plans it.
    pub async fn version(&self, deployment: Deployment, files: &Arc<Files>) -> Result<Version, Diagnostics> {
        let env = |name: &str| deployment.env.get(name).cloned();
        let (overrides, name) = (&deployment.options.overrides, Some(deployment.name.clone()));
        // In the folders of this run and no others: on a node they are not those that its own user allowed.
        let inspection = self.inspector.inspect_within(&deployment.text, name, files.clone(), overrides, &env).await;
        let Some(pipeline) = inspection.pipeline.filter(|_| !inspection.diagnostics.has_errors()) else {
            return Err(inspection.diagnostics);
        };
        let mut options = JobOptions::resolve(&deployment.options, &pipeline.settings);
        options.alerts = pipeline.alerts.into();
        let hands = self.crew.hands();
        if hands > 0 && deployment.options.parallelism.or(pipeline.settings.parallelism).is_none() {
            options.parallelism = hands;
        }
        if hands > 0 {
            // Tasks run on the nodes, and not on this one's cores.
            let named = deployment.options.parallelism.or(pipeline.settings.parallelism).unwrap_or(1);
            options.autoscale = Autoscale::resolve(pipeline.settings.autoscale.as_ref(), hands.max(named));
        }
        let columns = inspection.columns.iter().map(|(node, columns)| (node.clone(), columns.as_ref().clone())).collect();
        Ok(Version { deployment, plan: inspection.plan, settings: pipeline.settings, options, columns })
    }

    /// The nodes that a version may be spread over, which are told of it.
    pub fn team(&self, job: JobId, version: &Version, store: Option<Arc<dyn Store>>) -> Arc<dyn Team> {
        let (deployment, columns) = (version.deployment.clone(), version.columns.clone());
        Arc::new(RunTeam { crew: self.crew.clone(), job, deployment, columns, store })
    }
}

/// Where a run reads and writes, and keeps its state as long as it goes on.
pub struct Place {
    pub files: Arc<Files>,
    pub store: Option<Weak<dyn Store>>,
    /// Set if a control group keeps it running: whoever takes it over goes on as what it is then.
    pub ledger: Option<Weak<RunLedger>>,
}

impl Place {
    /// Has it entered what the run is from here on, before it becomes that.
    async fn enter(&self, deployment: &Deployment) -> Result<(), Diagnostic> {
        match self.ledger.as_ref().and_then(Weak::upgrade) {
            Some(ledger) => ledger.revise(&deployment.text, &deployment.options, &deployment.env).await,
            None => Ok(()),
        }
    }

    /// Has it entered that it is what it was, and gives why it was not changed.
    async fn take_back(&self, deployment: &Deployment, mut why: Diagnostic) -> Diagnostic {
        if let Err(finding) = self.enter(deployment).await {
            why.message = format!("{}; and that cannot be entered with the control group: {}", why.message, finding.message);
        }
        why
    }
}

/// What a run is, and what it was before, each with the savepoint to go back to it.
struct Versions {
    now: Version,
    before: Vec<(Version, SavepointName)>,
}

pub struct LocalRun {
    handle: JobHandle,
    job: JobId,
    place: Place,
    maker: Maker,
    versions: Mutex<Versions>,
    notices: Mutex<Option<mpsc::Receiver<Notice>>>,
    samples: Mutex<Option<mpsc::Receiver<TapSample>>>,
}

impl LocalRun {
    pub fn new(handle: JobHandle, job: JobId, place: Place, maker: Maker, now: Version) -> LocalRun {
        let (notices, samples) = (Mutex::new(handle.take_notices()), Mutex::new(handle.take_taps()));
        LocalRun { handle, job, place, maker, versions: Mutex::new(Versions { now, before: Vec::new() }), notices, samples }
    }

    /// Has the run go on as a version of its pipeline, in as many tasks as now.
    async fn become_version(&self, version: &Version, parallelism: Option<u32>, way: Way) -> Result<Changed, Diagnostic> {
        let Some(every) = version.settings.checkpoint_every else {
            let message = "the new pipeline has no checkpoints, and a run that has them cannot go on without";
            return Err(Diagnostic::error(codes::UNCHANGEABLE, message).help("set `checkpoint_every` under [pipeline]"));
        };
        let store = self.place.store.as_ref().and_then(Weak::upgrade);
        let mut options = version.options.clone();
        options.parallelism = parallelism.unwrap_or_else(|| self.handle.figures().parallelism.max(1));
        let team = Some(self.maker.team(self.job, version, store));
        let pipeline = NewPipeline { plan: version.plan.clone(), options, every: interval(every), team, way };
        self.handle.replace(pipeline).await.map_err(|error| finding(&error))
    }

    async fn upgrade_to(&self, versions: &mut Versions, deployment: Deployment, looks_only: bool) -> Result<Upgraded, Diagnostics> {
        let refused = |diagnostic| Diagnostics { items: vec![diagnostic] };
        let (parallelism, allow_state_loss) = (deployment.options.parallelism, deployment.options.allow_state_loss);
        let mut deployment = deployment;
        // The run keeps its name, where its state lies, and its pace.
        deployment.name.clone_from(&versions.now.deployment.name);
        deployment.options.replay = versions.now.deployment.options.replay;
        let new = self.maker.version(deployment, &self.place.files).await?;
        if new.settings.state != versions.now.settings.state {
            let message = "`state` under [pipeline] has changed, and a run cannot take its state elsewhere";
            return Err(refused(Diagnostic::error(codes::UNCHANGEABLE, message).help("leave `state` as it was")));
        }
        let kept = outlook(&versions.now.plan, &new.plan, self.maker.inspector.registry());
        if looks_only {
            return Ok(Upgraded { kept, change: None, savepoint: None });
        }
        let savepoint = parsed(&format!("before-upgrade-{}", SystemClock::default().wall_us() / 1_000)).map_err(refused)?;
        let way = Way::Upgrade { savepoint: savepoint.clone(), allow_state_loss };
        self.place.enter(&new.deployment).await.map_err(refused)?;
        let change = match self.become_version(&new, parallelism, way).await {
            Ok(change) => change,
            Err(finding) => return Err(refused(self.place.take_back(&versions.now.deployment, finding).await)),
        };
        let old = std::mem::replace(&mut versions.now, new);
        if versions.before.len() >= MOST_BEFORE {
            versions.before.remove(0);
        }
        versions.before.push((old, savepoint.clone()));
        Ok(Upgraded { kept, change: Some(change), savepoint: Some(savepoint.to_string()) })
    }
}

fn under_way() -> Diagnostic {
    Diagnostic::error(codes::CHANGING, "another change of the run is under way").help("wait until it is through")
}

#[async_trait]
impl Run for LocalRun {
    fn stop(&self, mode: StopMode) {
        self.handle.stop(mode);
    }

    fn kill(&self) {
        self.handle.kill();
    }

    async fn rescale(&self, scale: Scale) -> Result<Changed, Diagnostic> {
        self.handle.rescale(scale).await.map_err(|error| finding(&error))
    }

    async fn spread_anew(&self, what: String) -> Result<Changed, Diagnostic> {
        self.handle.spread_anew(what).await.map_err(|error| finding(&error))
    }

    async fn savepoint(&self, name: &str) -> Result<SavepointTaken, Diagnostic> {
        let taken = self.handle.savepoint(parsed(name)?).await;
        let Savepoint { name, epoch, taken, bytes, .. } = taken.map_err(|error| finding(&error))?;
        Ok(SavepointTaken { name: name.to_string(), epoch, taken_us: taken.micros(), bytes })
    }

    async fn upgrade(&self, deployment: Deployment, looks_only: bool) -> Result<Upgraded, Diagnostics> {
        let mut versions = self.versions.try_lock().map_err(|_| Diagnostics { items: vec![under_way()] })?;
        self.upgrade_to(&mut versions, deployment, looks_only).await
    }

    async fn roll_back(&self, allow_rewind: bool) -> Result<Changed, Diagnostic> {
        let mut versions = self.versions.try_lock().map_err(|_| under_way())?;
        let Some((old, savepoint)) = versions.before.last() else {
            let finding = Diagnostic::error(codes::UNCHANGEABLE, "the run was not upgraded: there is nothing to go back to");
            return Err(finding.help("to go back to a savepoint of one's own, stop it, and run with --from"));
        };
        let way = Way::Back { to: savepoint.clone(), allow_rewind };
        self.place.enter(&old.deployment).await?;
        let changed = match self.become_version(old, None, way).await {
            Ok(changed) => changed,
            Err(finding) => return Err(self.place.take_back(&versions.now.deployment, finding).await),
        };
        if let Some((old, _)) = versions.before.pop() {
            versions.now = old;
        }
        Ok(changed)
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
