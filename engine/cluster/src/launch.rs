//! The boundary to what runs pipelines: sessions know deployments and jobs, not plans and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{Diagnostic, Diagnostics, NodeId, PortRef, Schema};
use millrace_runtime::Batch;
use millrace_runtime::connector::ResultSink;
use millrace_runtime::files::Files;
use millrace_runtime::share::{FarLeader, ShareStart};
use millrace_state::store::Store;
use millrace_wire::change::{Changed, SavepointTaken, Scale, Upgraded};
use millrace_wire::figures::{JobFigures, RunState, Summary};
use millrace_wire::message::{Deployment, Failure, JobId, Notice, StopMode};
use tokio::sync::watch;

/// Makes runs out of deployments.
#[async_trait]
pub trait RunLauncher: Send + Sync + 'static {
    /// Checks, plans and starts. `files` are the folders that the run may use; `results` takes the rows of dashboards. The findings
    /// hold at least one error if nothing runs.
    async fn launch(
        &self,
        job: JobId,
        deployment: &Deployment,
        files: Arc<Files>,
        results: Arc<dyn ResultSink>,
    ) -> Result<Arc<dyn Run>, Diagnostics>;

    /// Takes part in a run that is led elsewhere, whose sources have these columns and whose state lies in `store`. Returns once it is
    /// through; what becomes of it is told to the leader.
    async fn take_part(
        &self,
        deployment: &Deployment,
        columns: &BTreeMap<NodeId, Schema>,
        start: ShareStart,
        store: Arc<dyn Store>,
        leader: FarLeader,
    );
}

/// A pipeline that runs.
#[async_trait]
pub trait Run: Send + Sync {
    fn stop(&self, mode: StopMode);

    /// Fails its tasks as a crash would.
    fn kill(&self);

    /// Goes on in other numbers of tasks. Returns once rows flow again, or with why it cannot be.
    async fn rescale(&self, scale: Scale) -> Result<Changed, Diagnostic>;

    /// Goes on spread over the nodes that take part now. `what`: in words, as it is told. Returns once rows flow again, or with why it cannot be.
    async fn spread_anew(&self, what: String) -> Result<Changed, Diagnostic>;

    /// Keeps its state under a name. Returns once that is at rest, or with why it cannot be.
    async fn savepoint(&self, name: &str) -> Result<SavepointTaken, Diagnostic>;

    /// Goes on as another pipeline. Returns once rows flow again, or with why it cannot be; `looks_only`: with what it would keep.
    async fn upgrade(&self, deployment: Deployment, looks_only: bool) -> Result<Upgraded, Diagnostics>;

    /// Takes the newest upgrade back. Returns once rows flow again, or with why it cannot be.
    async fn roll_back(&self, allow_rewind: bool) -> Result<Changed, Diagnostic>;

    fn figures(&self) -> JobFigures;

    /// Follows the run's state.
    fn watch_state(&self) -> watch::Receiver<RunState>;

    /// Begins or ends the sampling of an edge, at most `max_rows` rows at a time. False if there is no such edge.
    fn tap(&self, from: &PortRef, to: &NodeId, is_on: bool, max_rows: u32) -> bool;

    /// The next sample of any tapped edge; none once the run is over. One reader. Dropping the future loses nothing.
    async fn sample(&self) -> Option<Sample>;

    /// The next notice; none once the run is over and all were told. One reader. Dropping the future loses nothing.
    async fn notice(&self) -> Option<Notice>;

    /// Waits for the end. Gives the same at every call.
    async fn ended(&self) -> RunEnd;
}

/// Some rows that passed along an edge.
#[derive(Debug, Clone)]
pub struct Sample {
    pub from: PortRef,
    pub to: NodeId,
    pub batch: Batch,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub state: RunState,
    pub summary: Summary,
    pub cause: Option<Failure>,
}
