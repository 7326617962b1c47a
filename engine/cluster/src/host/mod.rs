//! The engine's end of sessions: carries out requests, and tells what becomes of runs.
//!
//! A job belongs to the session that staged it; another session cannot see it. When a session ends, its jobs are aborted at once:
//! nobody can take them up again, and the transport was patient before (see [`crate::socket`]).

mod caller;
pub(crate) mod files;
mod job;
mod noted;
mod outputs;
mod results;
mod session;
mod staging;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_runtime::Clock;
use millrace_wire::message::{EngineDescription, JobId};
use tokio::sync::Semaphore;

pub use caller::Caller;

use crate::launch::RunLauncher;
use crate::link::HostEnd;
use crate::share::Crew;

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

/// What an engine is made with.
pub struct HostOptions {
    pub launcher: Arc<dyn RunLauncher>,
    /// The nodes that enlist.
    pub crew: Arc<Crew>,
    pub clock: Arc<dyn Clock>,
    pub description: EngineDescription,
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
}

impl EngineHost {
    pub fn new(options: HostOptions) -> EngineHost {
        let slots = Arc::new(Semaphore::new(options.limits.max_jobs));
        EngineHost { shared: Arc::new(Shared { options, next_job: AtomicU64::new(1), slots }) }
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
}
