//! What the owner of a run holds of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_model::{AlertDecl, Autoscale, NodeId, PortRef};
use millrace_plan::{LogicalPlan, PhysicalPlan};
use millrace_state::checkpoint::SavepointName;
use millrace_wire::alerts::AlertFigures;
use millrace_wire::autoscale::AutoscaleFigures;
use millrace_wire::change::{Changed, Scale};
use millrace_wire::figures::{JobFigures, NodeFigures, RunState, Skew, Summary};
use millrace_wire::message::{Failure, Notice, StopMode};
use tokio::sync::{mpsc, oneshot, watch};

use crate::autoscale::Graph;
use crate::checkpoint::Savepoint;
use crate::clock::Clock;
use crate::error::{RunError, RunResult};
use crate::job::asked::AskedSavepoints;
use crate::job::change::{Changes, NewPipeline, Wanted};
use crate::job::coordinator::Coordinator;
use crate::job::setup::Shared;
use crate::job::wiring::counters;
use crate::job::{HostContext, JobOptions};
use crate::memory::PipelineState;
use crate::registry::Registry;
use crate::task::{StopSignal, Stopping};
use crate::telemetry::bottleneck::Bottleneck;
use crate::telemetry::figures::Role;
use crate::telemetry::monitor::Monitor;
use crate::telemetry::{EpochHistory, JobTelemetry, NoticeBoard, TapSample};

/// Samples of edges that wait for their reader; more are dropped.
const TAP_QUEUE: usize = 64;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOutcome {
    pub state: RunState,
    pub summary: Summary,
    /// Set if the run failed.
    pub cause: Option<Failure>,
}

/// A run, from outside. When the last clone is dropped, the run is aborted.
#[derive(Clone)]
pub struct JobHandle {
    inner: Arc<Inner>,
}

struct Inner {
    progress: Arc<JobProgress>,
    outcome: watch::Receiver<Option<JobOutcome>>,
    notices: Mutex<Option<mpsc::Receiver<Notice>>>,
    taps: Mutex<Option<mpsc::Receiver<TapSample>>>,
}

/// What the control side of a run knows of it.
pub struct JobProgress {
    pub stop: StopSignal,
    /// Changes when the attempt under way is to fail, as it would by a crash.
    pub kills: watch::Sender<u64>,
    /// The counters of the attempt under way, which go on through all of them; others once the run was changed.
    telemetry: Mutex<Arc<JobTelemetry>>,
    /// Tasks of every node that does not say otherwise.
    parallelism: AtomicU32,
    pub changes: Changes,
    pub savepoints: AskedSavepoints,
    pub state: watch::Sender<RunState>,
    pub clock: Arc<dyn Clock>,
    pub start_ns: u64,
    /// When it was over; 0 before.
    pub end_ns: AtomicU64,
    /// The last that the monitor saw.
    pub bottleneck: Mutex<Option<Bottleneck>>,
    /// What came of the newest epochs.
    pub epochs: Mutex<EpochHistory>,
    /// How often the run went back to an epoch after a failure.
    pub restarts: AtomicU64,
    /// By node of several tasks: how unevenly rows are spread over them.
    pub skews: Mutex<BTreeMap<NodeId, Skew>>,
    /// Whether the run takes checkpoints.
    pub is_kept: bool,
    alerts: Mutex<Alerts>,
    scaling: Mutex<Scaling>,
}

/// How the numbers of tasks follow the load, and what came of it.
struct Scaling {
    settings: Autoscale,
    /// Of the tasks that there are now.
    graph: Arc<Graph>,
    figures: Option<AutoscaleFigures>,
}

impl Scaling {
    fn of(plan: &LogicalPlan, options: &JobOptions, telemetry: &JobTelemetry) -> Scaling {
        let role = |id: &NodeId| telemetry.nodes.get(id).map_or(Role::Operator, |node| node.role);
        let edges = telemetry.edges.iter().map(|edge| (&edge.probe.from, &edge.probe.to));
        let graph = Arc::new(Graph::of(plan, &telemetry.plan, options.replay, role, edges));
        Scaling { settings: options.autoscale, graph, figures: None }
    }
}

/// What is watched, and how it stands.
#[derive(Default)]
struct Alerts {
    rules: Arc<[AlertDecl]>,
    figures: Vec<AlertFigures>,
}

impl JobProgress {
    pub fn telemetry(&self) -> Arc<JobTelemetry> {
        self.telemetry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on the run is what this says.
    pub fn becomes(&self, shared: &Shared) {
        *self.telemetry.lock().unwrap_or_else(PoisonError::into_inner) = shared.telemetry.clone();
        self.parallelism.store(shared.options.parallelism, Ordering::Relaxed);
        self.alerts().rules = shared.options.alerts.clone();
        let mut scaling = self.scaling();
        let figures = scaling.figures.take();
        *scaling = Scaling { figures, ..Scaling::of(&shared.plan, &shared.options, &shared.telemetry) };
    }

    fn scaling(&self) -> MutexGuard<'_, Scaling> {
        self.scaling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the run is scaled, and what it is made of now.
    pub fn scaled(&self) -> (Autoscale, Arc<Graph>) {
        let scaling = self.scaling();
        (scaling.settings, scaling.graph.clone())
    }

    pub fn set_autoscale_figures(&self, figures: Option<AutoscaleFigures>) {
        self.scaling().figures = figures;
    }

    /// A run that is over wants nothing more; what was decided stays known.
    fn autoscale_figures(&self) -> Option<AutoscaleFigures> {
        let figures = self.scaling().figures.clone();
        if self.state.borrow().is_over() {
            return figures.map(|figures| AutoscaleFigures { advice: Vec::new(), waits: None, ..figures });
        }
        figures
    }

    fn alerts(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn alert_rules(&self) -> Arc<[AlertDecl]> {
        self.alerts().rules.clone()
    }

    pub fn alert_figures(&self) -> Vec<AlertFigures> {
        self.alerts().figures.clone()
    }

    pub fn set_alert_figures(&self, figures: Vec<AlertFigures>) {
        self.alerts().figures = figures;
    }

    /// Every node's counters, with how evenly its rows are spread.
    pub fn node_figures(&self, now_ns: u64) -> BTreeMap<NodeId, NodeFigures> {
        let mut nodes = self.telemetry().node_figures(now_ns);
        for (node, skew) in self.skews.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(figures) = nodes.get_mut(node) {
                figures.skew = Some(*skew);
            }
        }
        nodes
    }

    /// The end of a run in figures.
    pub fn summary(&self) -> Summary {
        Summary { alerts: self.alert_figures(), ..self.telemetry().summary(self.elapsed_ms()) }
    }

    pub fn epochs(&self) -> MutexGuard<'_, EpochHistory> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment to measure at: now, or the run's end.
    pub fn now_ns(&self) -> u64 {
        match self.end_ns.load(Ordering::Relaxed) {
            0 => self.clock.monotonic_ns(),
            end => end,
        }
    }

    pub fn elapsed_ms(&self) -> u64 {
        self.now_ns().saturating_sub(self.start_ns) / 1_000_000
    }

    /// Moves the run's state on; a run that is over stays as it is.
    pub fn set_state(&self, state: RunState) {
        self.state.send_if_modified(|current| {
            let moves = *current != state && !current.is_over() && !(*current == RunState::Draining && state == RunState::Running);
            if moves {
                *current = state;
            }
            moves
        });
    }
}

pub(super) fn start(
    plan: LogicalPlan,
    physical: PhysicalPlan,
    registry: Registry,
    options: JobOptions,
    host: HostContext,
    control: &tokio::runtime::Handle,
) -> JobHandle {
    let clock = host.clock.clone();
    let (samples, taps) = mpsc::channel(TAP_QUEUE);
    let telemetry = Arc::new(counters(&plan, &physical, &registry, options.batch_rows, clock.as_ref(), &samples, None));
    let (notices, reader) = NoticeBoard::new(clock.clone());
    let notices = Arc::new(notices);
    let progress = Arc::new(JobProgress {
        stop: StopSignal::default(),
        kills: watch::Sender::new(0),
        telemetry: Mutex::new(telemetry.clone()),
        parallelism: AtomicU32::new(options.parallelism),
        changes: Changes::default(),
        savepoints: AskedSavepoints::default(),
        state: watch::Sender::new(RunState::Starting),
        start_ns: clock.monotonic_ns(),
        end_ns: AtomicU64::new(0),
        bottleneck: Mutex::new(None),
        epochs: Mutex::default(),
        restarts: AtomicU64::new(0),
        skews: Mutex::default(),
        is_kept: host.state.is_some(),
        alerts: Mutex::new(Alerts { rules: options.alerts.clone(), figures: Vec::new() }),
        scaling: Mutex::new(Scaling::of(&plan, &options, &telemetry)),
        clock: clock.clone(),
    });
    let state = PipelineState::new(host.data.memory().clone(), options.max_state);
    let notices_of_all = notices.clone();
    let (kept_epoch, replays) = (Arc::default(), Arc::default());
    let shared =
        Shared { state, plan, physical, registry, options, host, telemetry, notices: notices_of_all, kept_epoch, samples, replays };
    let shared = Arc::new(shared);
    let (sender, outcome) = watch::channel(None);
    let (has_watched, watched) = oneshot::channel();
    let monitor = Monitor::new(progress.clone(), notices, shared.host.herald.clone());
    control.spawn(async move {
        // Held until the monitor has seen the end.
        let _has_watched: oneshot::Sender<()> = has_watched;
        monitor.run().await;
    });
    control.spawn(Coordinator::new(shared, progress.clone()).run(sender, watched));
    let (notices, taps) = (Mutex::new(Some(reader)), Mutex::new(Some(taps)));
    JobHandle { inner: Arc::new(Inner { progress, outcome, notices, taps }) }
}

impl JobHandle {
    /// Asks the run to stop, and returns at once. An abort overrides a drain.
    pub fn stop(&self, mode: StopMode) {
        self.inner.progress.stop.send(mode.into());
        self.inner.progress.set_state(RunState::Draining);
    }

    /// Fails its tasks as a crash would, and returns at once. Between two attempts it does nothing.
    pub fn kill(&self) {
        self.inner.progress.kills.send_modify(|kills| *kills += 1);
    }

    /// Goes on in other numbers of tasks, from an epoch that is taken for it. Returns once rows flow again.
    ///
    /// # Errors
    /// If the run cannot be changed so, with the reason: it goes on as it was. Or if it ends first.
    pub async fn rescale(&self, scale: Scale) -> RunResult<Changed> {
        self.change(Wanted::Scale(scale)).await
    }

    /// Goes on in the same numbers of tasks, spread over those that take part now, from an epoch that is taken for it. Returns once rows flow again.
    ///
    /// # Errors
    /// If the run is not kept or is of one process alone, or ends first.
    pub async fn spread_anew(&self, what: String) -> RunResult<Changed> {
        self.change(Wanted::Spread(what)).await
    }

    /// Goes on as another pipeline: from an epoch that is taken and kept for it, or from a savepoint. Returns once rows flow again.
    ///
    /// # Errors
    /// If it cannot, with the reason: it goes on as it was. Or if it ends first.
    pub async fn replace(&self, pipeline: NewPipeline) -> RunResult<Changed> {
        self.change(Wanted::Pipeline(Box::new(pipeline))).await
    }

    async fn change(&self, wanted: Wanted) -> RunResult<Changed> {
        let answered = self.inner.progress.changes.ask(wanted)?;
        // The control is gone without a word only if its runtime has shut down.
        answered.await.unwrap_or(Err(RunError::Cancelled))
    }

    /// Keeps the state of the run under a name, at an epoch that is taken for it. The run goes on. Returns once it is at rest.
    ///
    /// # Errors
    /// If the run is not kept, there is one of that name, or it ends first.
    pub async fn savepoint(&self, name: SavepointName) -> RunResult<Savepoint> {
        let answered = self.inner.progress.savepoints.ask(name)?;
        answered.await.unwrap_or(Err(RunError::Cancelled))
    }

    pub fn state(&self) -> RunState {
        *self.inner.progress.state.borrow()
    }

    /// Follows the run's state.
    pub fn watch_state(&self) -> watch::Receiver<RunState> {
        self.inner.progress.state.subscribe()
    }

    /// One look at every counter. Never waits for a task.
    pub fn figures(&self) -> JobFigures {
        let progress = &self.inner.progress;
        let now = progress.now_ns();
        let bottleneck = progress.bottleneck.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = self.state();
        let bottleneck = bottleneck.filter(|_| !state.is_over());
        let telemetry = progress.telemetry();
        JobFigures {
            state,
            elapsed_ms: progress.elapsed_ms(),
            nodes: progress.node_figures(now),
            edges: telemetry.edge_figures(now),
            bottleneck: bottleneck.as_ref().map(|it| it.node.clone()),
            bottleneck_busy: bottleneck.map(|it| it.busy),
            epochs: progress.epochs().figures(),
            parallelism: progress.parallelism.load(Ordering::Relaxed),
            change: progress.changes.newest(),
            restarts: progress.restarts.load(Ordering::Relaxed),
            alerts: progress.alert_figures(),
            autoscale: progress.autoscale_figures(),
        }
    }

    /// The tasks that run each node, and the exchanges between them, as they are now.
    pub fn physical(&self) -> PhysicalPlan {
        self.inner.progress.telemetry().plan.clone()
    }

    /// Samples an edge onto the tap's queue, at most `max_rows` rows twice a second, until it is turned off. False if there is no such edge.
    pub fn tap(&self, from: &PortRef, to: &NodeId, is_on: bool, max_rows: u32) -> bool {
        let telemetry = self.inner.progress.telemetry();
        telemetry.edge(from, to).inspect(|edge| edge.probe.set_tap(is_on, max_rows)).is_some()
    }

    /// The samples of all taps. There is one reader: the first to ask.
    pub fn take_taps(&self) -> Option<mpsc::Receiver<TapSample>> {
        self.inner.taps.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What happens, in words. There is one reader: the first to ask. It ends with the run.
    pub fn take_notices(&self) -> Option<mpsc::Receiver<Notice>> {
        self.inner.notices.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until the run is over.
    pub async fn wait(&self) -> JobOutcome {
        let mut outcome = self.inner.outcome.clone();
        let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        // The coordinator's task is gone without a word only if its runtime has shut down.
        ended.unwrap_or_else(|| JobOutcome { state: RunState::Stopped, summary: self.inner.progress.summary(), cause: None })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.progress.stop.send(Stopping::Abort);
    }
}
