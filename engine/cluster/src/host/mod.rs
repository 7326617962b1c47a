//! The engine's end of sessions: carries out requests, and tells what becomes of runs.
//!
//! A job belongs to the session that staged it; another one sees it in the list of all, may stop it, and nothing else. When a session ends,
//! its jobs are aborted at once: nobody can take them up again, and the transport was patient before (see [`crate::socket`]).

mod admissions;
mod caller;
mod drain;
pub(crate) mod files;
mod handing;
mod job;
mod keeper;
mod moving;
mod noted;
mod outputs;
mod results;
mod session;
mod staging;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use millrace_model::Diagnostic;
use millrace_runtime::Clock;
use millrace_wire::cluster::{Cluster, PageMark};
use millrace_wire::message::{EngineDescription, JobId, Reply};
use tokio::sync::Semaphore;

pub use caller::Caller;
pub use keeper::{keep_deployments, lead_in_place};

use crate::control::ControlNode;
use crate::launch::RunLauncher;
use crate::link::HostEnd;
use crate::seen::{Seen, Vitals};
use crate::share::Crew;
use job::Job;

/// How much an engine takes on.
#[derive(Debug, Clone)]
pub struct HostLimits {
    /// Jobs that are staged or running.
    pub max_jobs: usize,
    /// Input files of one job, all together.
    pub max_input_bytes: u64,
    /// Input files of one job.
    pub max_input_files: usize,
    /// How long an announced input may stand still before the start fails.
    pub input_patience: Duration,
    /// Rows kept for one dashboard, in bytes.
    pub max_result_bytes: usize,
}

impl Default for HostLimits {
    fn default() -> Self {
        HostLimits {
            max_jobs: 64,
            max_input_bytes: 8 << 30,
            max_input_files: 10_000,
            input_patience: Duration::from_secs(30),
            max_result_bytes: 16 << 20,
        }
    }
}

/// Looks at shared folders at once: each keeps a thread, and one at a folder whose server is gone may keep it for good.
const MOST_LOOKS: usize = 16;

/// What an engine is made with.
pub struct HostOptions {
    pub launcher: Arc<dyn RunLauncher>,
    /// The nodes that enlist.
    pub crew: Arc<Crew>,
    pub clock: Arc<dyn Clock>,
    /// What it is; how it is at the moment is added when it is asked.
    pub description: EngineDescription,
    pub vitals: Arc<dyn Vitals>,
    pub limits: HostLimits,
    /// Where runs get a folder of their own if the asking side shares no disk. The system's temporary folder if absent.
    pub run_folder: Option<PathBuf>,
}

/// An engine that serves sessions.
#[derive(Clone)]
pub struct EngineHost {
    shared: Arc<Shared>,
}

struct Shared {
    options: HostOptions,
    next_job: AtomicU64,
    slots: Arc<Semaphore>,
    /// Looks at shared folders that are under way.
    looks: Arc<Semaphore>,
    /// The jobs of all sessions, for as long as those keep them.
    jobs: Mutex<BTreeMap<JobId, Weak<Job>>>,
    /// Held by each part that is taken in a run which is led elsewhere, to count them by.
    share: Arc<()>,
    /// Held by whoever moves runs.
    moving: tokio::sync::Mutex<()>,
    /// Held by whoever is about to spread runs anew, since a node has come.
    balancing: tokio::sync::Mutex<()>,
    /// Why deployments that this node leads could not be handed on, while it drains.
    not_handed: Mutex<BTreeMap<String, String>>,
}

impl EngineHost {
    pub fn new(options: HostOptions) -> EngineHost {
        let slots = Arc::new(Semaphore::new(options.limits.max_jobs));
        let (next_job, jobs, share) = (AtomicU64::new(1), Mutex::default(), Arc::new(()));
        let looks = Arc::new(Semaphore::new(MOST_LOOKS));
        let shared = Shared {
            options,
            next_job,
            slots,
            looks,
            jobs,
            share,
            moving: tokio::sync::Mutex::default(),
            balancing: tokio::sync::Mutex::default(),
            not_handed: Mutex::default(),
        };
        EngineHost { shared: Arc::new(shared) }
    }

    /// Serves one session of this process until its client is gone; then its jobs are being aborted.
    pub async fn serve(&self, end: HostEnd) {
        self.serve_for(end, Caller::local()).await;
    }

    /// The same for somebody else.
    pub async fn serve_for(&self, end: HostEnd, caller: Caller) {
        session::serve(self.shared.clone(), end, caller).await;
    }
}

impl Shared {
    fn job_id(&self) -> JobId {
        JobId(self.next_job.fetch_add(1, Ordering::Relaxed))
    }

    fn crew_seen(&self) -> &Seen {
        self.options.crew.seen()
    }

    /// Puts a job where other sessions find it.
    fn list(&self, job: &Arc<Job>) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, job| job.strong_count() > 0);
        jobs.insert(job.id, Arc::downgrade(job));
    }

    fn unlist(&self, job: JobId) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    /// A job of whatever session.
    fn job(&self, id: JobId) -> Option<Arc<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(&id).and_then(Weak::upgrade)
    }

    /// What this engine is, and how it is now.
    fn describe(&self) -> EngineDescription {
        let mut health = self.options.vitals.health();
        health.shares = self.shares();
        let control = self.options.crew.control().is_some();
        EngineDescription { health: Some(health), control, admits: true, drain: Some(self.drain()), ..self.options.description.clone() }
    }

    /// What this node has seen and heard of others, for another node of its control group.
    fn pages(&self, known: &BTreeMap<String, PageMark>) -> Result<Reply, Diagnostic> {
        let control = keeper::control(self)?;
        let (at_us, pages) = self.crew_seen().pages(control.name(), control.incarnation(), known);
        Ok(Reply::Timeline { at_us, pages })
    }

    /// A look at the nodes and the runs that this engine leads.
    fn cluster(&self, known: u64) -> Cluster {
        let seen = self.crew_seen();
        // Taken out of the lock: what a run is asked for may take a while.
        let jobs: Vec<Arc<Job>> = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect();
        let slots = self.options.crew.slots();
        let jobs = jobs.iter().filter_map(|job| job.seen(seen.places(job.id), seen.would_spread_better(job.id, &slots))).collect();
        let control = self.options.crew.control().map(ControlNode::look);
        let mut cluster = Cluster { jobs, control, ..seen.look(&self.describe(), known) };
        if let Some(own) = cluster.nodes.first_mut() {
            own.stays = self.own_stays();
        }
        cluster
    }
}
