//! One run of a pipeline: launch it, watch it, stop it, wait for its end.

mod asked;
mod change;
mod commit;
mod coordinator;
mod epochs;
mod handle;
mod keep;
mod lead;
pub(crate) mod member;
mod poison;
mod restart;
mod setup;
mod wiring;

use std::sync::Arc;
use std::time::Duration;

use millrace_model::field::OnPoison;
use millrace_model::{AlertDecl, Autoscale, NodeId, PipelineSettings};
use millrace_plan::{BoundNode, LogicalPlan, NodeFacts, PhysicalPlan, physical};
use millrace_wire::message::RunOptions;

use crate::alerts::Herald;
use crate::checkpoint::StateHome;
use crate::clock::Clock;
use crate::connector::{ConnectorContext, Durability, ResultSink};
use crate::data_runtime::DataRuntime;
use crate::error::{RunError, RunResult};
use crate::files::Files;
use crate::ledger::Ledger;
use crate::registry::{Entry, Registry};
use crate::share::Team;

pub(crate) use change::Wanted;
pub use change::{NewPipeline, Way};
pub use handle::{JobHandle, JobOutcome, JobProgress};
pub use keep::outlook;

/// Most rows in a batch, unless the run says otherwise.
pub const DEFAULT_BATCH_ROWS: usize = 4096;

/// A second of backpressure is enough to wait for.
const UNALIGNED_AFTER: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOptions {
    /// Tasks per node, where the node does not say.
    pub parallelism: u32,
    /// Most rows in a batch.
    pub batch_rows: usize,
    /// Whether sources with `replay` keep their pace.
    pub replay: bool,
    /// The most that the pipeline's state may hold, in bytes.
    pub max_state: Option<u64>,
    /// How long an epoch's barriers wait for each other before they overtake rows.
    pub unaligned_after: Duration,
    /// Whether rows that make a node fail again and again are set aside.
    pub sets_aside: bool,
    /// What is watched of its figures.
    pub alerts: Arc<[AlertDecl]>,
    /// How its numbers of tasks follow the load.
    pub autoscale: Autoscale,
}

impl Default for JobOptions {
    fn default() -> Self {
        JobOptions {
            parallelism: 1,
            batch_rows: DEFAULT_BATCH_ROWS,
            replay: false,
            max_state: None,
            unaligned_after: UNALIGNED_AFTER,
            sets_aside: false,
            alerts: Arc::default(),
            autoscale: Autoscale::OFF,
        }
    }
}

impl JobOptions {
    /// What was asked for, else what the pipeline says, else a task per core. Its alerts are their owner's to add: tasks elsewhere watch none.
    pub fn resolve(asked: &RunOptions, settings: &PipelineSettings) -> JobOptions {
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        let parallelism = asked.parallelism.or(settings.parallelism).unwrap_or(cores).max(1);
        JobOptions {
            parallelism,
            batch_rows: asked.batch_rows.map_or(DEFAULT_BATCH_ROWS, |rows| rows.max(1) as usize),
            replay: asked.replay,
            max_state: settings.max_state.map(|size| size.bytes),
            unaligned_after: settings.unaligned_after.map_or(UNALIGNED_AFTER, |time| Duration::from_micros(time.micros.max(0) as u64)),
            sets_aside: settings.on_poison == Some(OnPoison::Quarantine),
            alerts: Arc::default(),
            autoscale: Autoscale::resolve(settings.autoscale.as_ref(), cores.max(parallelism)),
        }
    }
}

/// What a run is given of the world.
#[derive(Clone)]
pub struct HostContext {
    pub files: Arc<Files>,
    pub clock: Arc<dyn Clock>,
    /// Where `dashboard` nodes put their rows.
    pub results: Arc<dyn ResultSink>,
    /// The run's name on disk: letters, digits, `-` and `_`.
    pub run: String,
    pub data: DataRuntime,
    /// The processes that the run may be spread over; none if it runs here alone.
    pub team: Option<Arc<dyn Team>>,
    /// Where the run is kept, so that it outlives its process; none if it is not.
    pub state: Option<StateHome>,
    /// Where epochs are entered beside their manifests; none if the manifest alone counts. Of a run that is kept only.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Who is told of alerts, beside those who watch the run.
    pub herald: Option<Arc<dyn Herald>>,
}

impl HostContext {
    /// What a task of a connector is given.
    pub fn connector(&self, node: &NodeId, task: u32, tasks: u32, batch_rows: usize, run_start_us: i64) -> ConnectorContext {
        ConnectorContext {
            node: node.clone(),
            task,
            tasks,
            batch_rows,
            files: self.files.clone(),
            clock: self.clock.clone(),
            run_start_us,
            durability: Durability::default(),
            restored: Arc::default(),
            results: self.results.clone(),
        }
    }
}

/// Cuts the plan into tasks as the registry's kinds allow.
pub fn cut(plan: &LogicalPlan, registry: &Registry, parallelism: u32, files: &Files) -> PhysicalPlan {
    physical(plan, parallelism, &|node: &BoundNode| match registry.get(&node.decl.kind) {
        Some(Entry::Source(factory)) => NodeFacts { max_parallelism: factory.max_parallelism(&node.decl, files), is_sink: false },
        Some(Entry::Sink(_)) => NodeFacts { max_parallelism: None, is_sink: true },
        Some(Entry::Operator(_)) | None => NodeFacts::default(),
    })
}

/// Starts a run. Its control side runs on the caller's tokio runtime, its tasks on `host.data`.
///
/// What goes wrong from here on is told by [`JobHandle::wait`], with its node. An error here is a fault of the caller: no tokio
/// runtime, or a run's name that is no file name.
pub fn launch(plan: LogicalPlan, registry: Registry, options: JobOptions, host: HostContext) -> RunResult<JobHandle> {
    let control = tokio::runtime::Handle::try_current().map_err(|_| RunError::bug("a job is launched from within a tokio runtime"))?;
    if host.run.is_empty() || !host.run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(RunError::bug(format!("`{}` cannot name a run", host.run)));
    }
    let physical = cut(&plan, &registry, options.parallelism, &host.files);
    Ok(handle::start(plan, physical, registry, options, host, &control))
}
