//! Runs small pipelines in a test.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_model::field::{CommonFields, SinkFields, SourceFields};
use millrace_model::{InputDecl, NodeDecl, NodeId, Pipeline, PortRef};
use millrace_plan::LogicalPlan;
use millrace_runtime::alerts::Herald;
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::connector::ResultSink;
use millrace_runtime::files::Files;
use millrace_runtime::ledger::Ledger;
use millrace_runtime::registry::{Entry, Registry};
use millrace_runtime::share::Team;
use millrace_runtime::{
    Batch, Clock, DataPriority, DataRuntime, HostContext, JobHandle, JobOptions, JobOutcome, SystemClock, launch, operators, prepare,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::changelog::Changelog;
use crate::memory::{Collected, Exploding, Flood, Memory};
use crate::team::{Recipe, TestTeam};
use crate::toiling::Toiling;

/// A node with its fields as the file would have them: the kind's own, `on_error`, `parallelism`, the time fields, `rate`.
#[track_caller]
pub fn node(id: &str, kind: &str, inputs: &[&str], fields: Value) -> NodeDecl {
    let of = |what: &str, error: serde_json::Error| -> ! { panic!("{what} of {id}: {error}") };
    NodeDecl {
        id: NodeId::new(id),
        kind: kind.to_owned(),
        inputs: inputs.iter().map(|from| InputDecl { name: None, from: PortRef::parse(from), span: None }).collect(),
        common: serde_json::from_value::<CommonFields>(fields.clone()).unwrap_or_else(|error| of("common fields", error)),
        source: serde_json::from_value::<SourceFields>(fields.clone()).unwrap_or_else(|error| of("time fields", error)),
        sink: serde_json::from_value::<SinkFields>(fields.clone()).unwrap_or_else(|error| of("sink fields", error)),
        spec: fields,
        spans: std::collections::BTreeMap::new(),
    }
}

/// An engine with the kinds of the engine and of this crate.
pub struct Harness {
    pub registry: Registry,
    pub collected: Collected,
    pub results: Arc<Results>,
    pub clock: Arc<dyn Clock>,
    pub data: DataRuntime,
    /// Where runs are kept; none unless a test sets it.
    pub state: Option<StateHome>,
    /// The processes that runs are spread over; none unless a test sets it.
    pub team: Option<Arc<TestTeam>>,
    /// Where epochs of runs that are kept are entered; nowhere unless a test sets it.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Who is told of alerts beside those who watch; nobody unless a test sets it.
    pub herald: Option<Arc<dyn Herald>>,
    folder: TempDir,
}

/// Keeps what `dashboard` nodes are given.
#[derive(Default)]
pub struct Results {
    pub rows: Mutex<Vec<(NodeId, Batch)>>,
}

impl ResultSink for Results {
    fn publish(&self, node: &NodeId, batch: Batch) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push((node.clone(), batch));
    }
}

impl Harness {
    pub fn new(memory: Memory) -> Self {
        Harness::with_collected(memory, Collected::default())
    }

    pub fn with_collected(memory: Memory, collected: Collected) -> Self {
        let kinds = [
            Entry::Source(Arc::new(memory)),
            Entry::Source(Arc::new(Flood::default())),
            Entry::Sink(Arc::new(collected.clone())),
            Entry::Operator(Arc::new(Exploding::default())),
            Entry::Operator(Arc::new(Toiling::default())),
            Entry::Operator(Arc::new(Changelog::default())),
        ];
        Harness {
            registry: Registry::default().with(operators::all()).with(kinds),
            collected,
            results: Arc::default(),
            clock: Arc::new(SystemClock::default()),
            data: DataRuntime::new(2, DataPriority::Equal).expect("threads start"),
            state: None,
            team: None,
            ledger: None,
            herald: None,
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn host(&self, run: &str) -> HostContext {
        HostContext {
            files: Arc::new(Files::for_folder(self.folder.path(), &[]).expect("the folder is there")),
            clock: self.clock.clone(),
            results: self.results.clone(),
            run: run.to_owned(),
            data: self.data.clone(),
            team: self.team.clone().map(|team| team as Arc<dyn Team>),
            state: self.state.clone(),
            ledger: self.ledger.clone(),
            herald: self.herald.clone(),
        }
    }

    /// Types a pipeline that has nothing wrong with it.
    #[track_caller]
    pub fn plan(&self, nodes: Vec<NodeDecl>) -> impl Future<Output = LogicalPlan> {
        let pipeline = Pipeline { nodes, ..Pipeline::default() };
        async move {
            let (plan, found) = prepare(&pipeline, &self.registry, &self.host("prepare")).await;
            plan.unwrap_or_else(|| panic!("the pipeline is wrong: {found:#?}"))
        }
    }

    pub async fn start(&self, nodes: Vec<NodeDecl>, options: JobOptions) -> JobHandle {
        let plan = self.plan(nodes).await;
        let host = self.host("test");
        if let Some(team) = &self.team {
            let (plan, registry, options, host) = (plan.clone(), self.registry.clone(), options.clone(), host.clone());
            team.learn(Recipe { plan, registry, options, host });
        }
        launch(plan, self.registry.clone(), options, host).expect("the job starts")
    }

    /// Runs to the end.
    pub async fn run(&self, nodes: Vec<NodeDecl>, options: JobOptions) -> JobOutcome {
        self.start(nodes, options).await.wait().await
    }
}
