//! An engine in this process: a cluster of one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_cluster::client::Disk;
use millrace_cluster::control::ControlNode;
use millrace_cluster::host::HostOptions;
use millrace_cluster::seen::Keeping;
use millrace_cluster::share::{Crew, Drains};
use millrace_cluster::{EngineClient, EngineHost, HostLimits};
use millrace_runtime::clock::{Clock, SystemClock};
use millrace_runtime::data_runtime::{DataPriority, DataRuntime};
use millrace_runtime::memory::StateMemory;
use millrace_runtime::operators;
use millrace_runtime::registry::{Entry, Registry};
use millrace_wire::cluster::ControlLook;
use millrace_wire::message::{EngineDescription, NEWEST_PROTOCOL};

use crate::inspect::Inspector;
use crate::launcher::Launcher;
use crate::vitals::ProcessVitals;
use crate::webhooks::Webhooks;

/// What an engine is made with.
#[derive(Default)]
pub struct EngineOptions {
    /// The kinds beside the engine's own.
    pub connectors: Vec<Entry>,
    /// Folders beyond a project's root that pipelines may use.
    pub allowed: Vec<PathBuf>,
    /// Threads that move data; one per core if absent.
    pub data_threads: Option<usize>,
    pub data_priority: DataPriority,
    /// The most that the state of all pipelines takes in memory before what can goes to disk, in bytes; half of the machine's if absent.
    pub state_memory: Option<u64>,
    /// Where runs for clients elsewhere get a folder of their own; the system's temporary folder if absent.
    pub run_folder: Option<PathBuf>,
    /// Folders that others see under the same paths: a client's project below one is run where it lies. Absolute, and without links.
    pub shared: Vec<PathBuf>,
    pub limits: HostLimits,
}

/// The embedded engine. Cheap to clone; its threads end with the last clone and session.
#[derive(Clone)]
pub struct Engine {
    host: EngineHost,
    inspector: Arc<Inspector>,
    crew: Arc<Crew>,
    webhooks: Webhooks,
}

impl Engine {
    /// Starts the data threads. Control runs on the tokio runtime of whoever asks for a session.
    pub fn new(options: EngineOptions) -> io::Result<Engine> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = StateMemory::of_machine(memory_bytes(), options.state_memory);
        let data = DataRuntime::new(options.data_threads.unwrap_or(cores), options.data_priority)?.with_memory(memory);
        let registry = Registry::default().with(operators::all()).with(options.connectors);
        let inspector = Arc::new(Inspector::new(registry, options.allowed, data.clone()));
        let crew = Arc::new(Crew::default());
        let (clock, webhooks) = (SystemClock::default(), Webhooks::default());
        let vitals = ProcessVitals::new(cores, clock.wall_us());
        let host = EngineHost::new(HostOptions {
            launcher: Arc::new(Launcher::new(inspector.clone(), data, crew.clone(), webhooks.clone())),
            crew: crew.clone(),
            clock: Arc::new(clock),
            vitals: Arc::new(vitals),
            description: EngineDescription {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: NEWEST_PROTOCOL,
                cores: u32::try_from(cores).unwrap_or(u32::MAX),
                memory_bytes: memory_bytes(),
                health: None,
                drain: None,
                control: false,
                changes: true,
                shared: options.shared.iter().filter_map(|folder| folder.to_str().map(str::to_owned)).collect(),
                admits: false,
            },
            limits: options.limits,
            run_folder: options.run_folder,
        });
        Ok(Engine { host, inspector, crew, webhooks })
    }

    /// Looks at pipelines with this engine's kinds.
    pub fn inspector(&self) -> &Arc<Inspector> {
        &self.inspector
    }

    /// What a node serves to clients elsewhere.
    pub fn host(&self) -> &EngineHost {
        &self.host
    }

    /// Waits until every webhook has been told what alerts had to say, or has been given up; no longer than `patience`. For a process that is about
    /// to end.
    pub async fn webhooks_told(&self, patience: Duration) {
        self.webhooks.told(patience).await;
    }

    /// From now on the engine is of a control group. One that is of one already stays in it.
    pub fn take_control(&self, control: ControlNode) {
        if !self.crew.take_control(control) {
            debug_assert!(false, "an engine is of one control group");
        }
    }

    /// Keeps the deployments of the engine's control group running that are this node's to lead, for as long as this is polled; and while it leads the
    /// group, hands on those whose nodes are gone. Never returns.
    pub async fn keep_deployments(&self) {
        millrace_cluster::host::keep_deployments(&self.host).await;
    }

    /// Keeps the cluster's fault timeline in a file, and goes on with what is there. See [`millrace_cluster::seen::Seen::keep_in`].
    ///
    /// # Errors
    /// If the file can be neither read nor put aside.
    pub async fn keep_timeline(&self, path: PathBuf) -> io::Result<Keeping> {
        self.crew.seen().keep_in(path).await
    }

    /// Has the nodes of a control group tell this one what they have seen, for as long as this is polled: each shows the same timeline. Never returns.
    pub async fn share_timeline(&self, control: &ControlNode) {
        millrace_cluster::seen::share(self.crew.seen(), control).await;
    }

    /// From now on runs are spread anew whenever a node comes that they would be spread better with.
    pub fn balance_by_itself(&self) {
        self.crew.balance_by_itself();
    }

    /// Whether this process is being emptied, to be stopped.
    pub fn drains(&self) -> &Drains {
        self.crew.drains()
    }

    /// The engine's control group looks like this now.
    pub fn control_changed(&self, look: &ControlLook) {
        self.crew.seen().control(look);
    }

    /// A session by memory: the same messages as by socket, handed over as they are.
    pub fn session(&self) -> EngineClient {
        let (client, host) = millrace_cluster::link::link();
        let serving = self.host.clone();
        tokio::spawn(async move { serving.serve(host).await });
        EngineClient::new(client, Disk::Shared)
    }
}

/// The machine's memory; 0 where the system does not say.
fn memory_bytes() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    system.total_memory()
}
