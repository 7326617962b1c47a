//! An engine whose runs do what the deployment's text says, in one word.
#![allow(dead_code)]

pub mod group;
pub mod proxy;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millrace_cluster::client::Disk;
use millrace_cluster::host::HostOptions;
use millrace_cluster::launch::{Run, RunEnd, RunLauncher, Sample};
use millrace_cluster::link::link;
use millrace_cluster::seen::NoVitals;
use millrace_cluster::share::Crew;
use millrace_cluster::{Contact, EngineClient, EngineHost, HostLimits, Node, NodeOptions, RunFiles, connect, serve};
use millrace_model::{Diagnostic, Diagnostics, NodeId, PortRef, Schema};
use millrace_runtime::connector::ResultSink;
use millrace_runtime::files::Files;
use millrace_runtime::share::{FarLeader, ShareStart};
use millrace_runtime::{Batch, Clock};
use millrace_state::store::Store;
use millrace_wire::change::{Changed, SavepointTaken, Scale, StateKept, Upgraded};
use millrace_wire::figures::{JobFigures, RunState, Summary};
use millrace_wire::message::*;
use polars::prelude::*;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

pub struct RealClock;

impl Clock for RealClock {
    fn wall_us(&self) -> i64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64
    }
    fn monotonic_ns(&self) -> u64 {
        0
    }
    fn sleep(&self, time: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// Far less than a peer is given by default, and enough for a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How many runs go on.
pub type Running = Arc<AtomicUsize>;

pub struct FakeLauncher {
    pub running: Running,
}

struct FakeRun {
    stop: watch::Sender<Option<StopMode>>,
    state: watch::Sender<RunState>,
    end: watch::Receiver<Option<RunEnd>>,
    rows: Arc<AtomicU64>,
    taps: mpsc::Sender<Sample>,
    samples: Mutex<mpsc::Receiver<Sample>>,
    notices: Mutex<mpsc::Receiver<Notice>>,
}

#[async_trait]
impl Run for FakeRun {
    fn stop(&self, mode: StopMode) {
        self.state.send_replace(RunState::Draining);
        self.stop.send_replace(Some(mode));
    }
    fn kill(&self) {
        self.stop(StopMode::Abort);
    }
    async fn rescale(&self, scale: Scale) -> Result<Changed, Diagnostic> {
        let to = scale.parallelism.ok_or_else(|| Diagnostic::error("MR0436", "no number of tasks was given"))?;
        Ok(Changed { what: format!("rescaled from 1 to {to}"), epoch: 3, pause_us: 1_500, fault: None })
    }
    async fn spread_anew(&self, what: String) -> Result<Changed, Diagnostic> {
        Ok(Changed { what, epoch: 3, pause_us: 1_500, fault: None })
    }
    async fn savepoint(&self, name: &str) -> Result<SavepointTaken, Diagnostic> {
        Ok(SavepointTaken { name: name.to_owned(), epoch: 3, taken_us: 0, bytes: 7 })
    }
    async fn upgrade(&self, _: Deployment, _: bool) -> Result<Upgraded, Diagnostics> {
        Ok(Upgraded { kept: StateKept::default(), change: None, savepoint: None })
    }
    async fn roll_back(&self, _: bool) -> Result<Changed, Diagnostic> {
        Err(Diagnostic::error("MR0436", "the run was not upgraded"))
    }
    fn figures(&self) -> JobFigures {
        let elapsed_ms = self.rows.load(Ordering::Relaxed);
        JobFigures {
            state: *self.state.borrow(),
            elapsed_ms,
            nodes: BTreeMap::new(),
            edges: Vec::new(),
            bottleneck: None,
            bottleneck_busy: None,
            epochs: Vec::new(),
            parallelism: 1,
            change: None,
            restarts: 0,
            alerts: Vec::new(),
            autoscale: None,
        }
    }
    fn watch_state(&self) -> watch::Receiver<RunState> {
        self.state.subscribe()
    }
    fn tap(&self, from: &PortRef, to: &NodeId, is_on: bool, max_rows: u32) -> bool {
        if is_on {
            let batch = batch_of(i64::from(max_rows));
            let _ = self.taps.try_send(Sample { from: from.clone(), to: to.clone(), batch });
        }
        to.as_str() == "sink"
    }
    async fn sample(&self) -> Option<Sample> {
        self.samples.lock().await.recv().await
    }
    async fn notice(&self) -> Option<Notice> {
        self.notices.lock().await.recv().await
    }
    async fn ended(&self) -> RunEnd {
        let mut end = self.end.clone();
        end.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }
}

pub fn batch_of(rows: i64) -> Batch {
    let names: Vec<Option<String>> = (0..rows).map(|n| (n % 3 != 0).then(|| format!("row {n} of a name too long to be inline"))).collect();
    Batch::new(df!("n" => (0..rows).collect::<Vec<i64>>(), "name" => names).unwrap())
}

pub fn summary(rows: u64) -> Summary {
    Summary { rows_in: rows, rows_out: rows, elapsed_ms: 1, ..Summary::default() }
}

#[async_trait]
impl RunLauncher for FakeLauncher {
    /// It takes part in nothing: the leader is told that it is through.
    async fn take_part(&self, _: &Deployment, _: &BTreeMap<NodeId, Schema>, _: ShareStart, _: Arc<dyn Store>, _: FarLeader) {}

    async fn launch(
        &self,
        _job: JobId,
        deployment: &Deployment,
        files: Arc<Files>,
        results: Arc<dyn ResultSink>,
    ) -> std::result::Result<Arc<dyn Run>, Diagnostics> {
        let what = deployment.text.clone();
        match what.as_str() {
            "reject" => return Err(Diagnostics { items: vec![Diagnostic::error("MR0110", "there is no kind `fliter`")] }),
            "panic" => panic!("on purpose"),
            _ => {}
        }
        let (ended, end) = watch::channel(None);
        let (taps, samples) = mpsc::channel(4);
        let (notice, notices) = mpsc::channel(4);
        let stop = watch::Sender::new(None);
        let mut stopped = stop.subscribe();
        let rows = Arc::new(AtomicU64::new(0));
        let run = FakeRun {
            stop,
            state: watch::Sender::new(RunState::Running),
            end,
            rows: rows.clone(),
            taps,
            samples: Mutex::new(samples),
            notices: Mutex::new(notices),
        };
        let (running, state) = (self.running.clone(), run.state.clone());
        running.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let told = Notice {
                at_us: 1,
                severity: NoticeSeverity::Info,
                node: None,
                alert: None,
                kind: "started".into(),
                message: what.clone(),
                count: 1,
            };
            notice.send(told).await.unwrap();
            let end = if what == "copy" {
                copy(&files, &what)
            } else if what == "flood" {
                let batch = batch_of(20_000);
                while stopped.borrow_and_update().is_none() {
                    results.publish(&"chart".into(), batch.clone());
                    tokio::task::yield_now().await;
                }
                RunEnd { state: RunState::Stopped, summary: summary(0), cause: None }
            } else if let Some(count) = what.strip_prefix("count ") {
                // Numbered rows for the dashboard, and then the files.
                for n in 0..count.parse::<i64>().unwrap() {
                    results.publish(&"chart".into(), Batch::new(df!("n" => [n]).unwrap()));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                copy(&files, &what)
            } else {
                loop {
                    tokio::select! {
                        _ = stopped.wait_for(Option::is_some) => break,
                        () = tokio::time::sleep(Duration::from_millis(2)) => {}
                    }
                    rows.fetch_add(3, Ordering::Relaxed);
                    results.publish(&"chart".into(), batch_of(3));
                }
                RunEnd { state: RunState::Stopped, summary: summary(rows.load(Ordering::Relaxed)), cause: None }
            };
            running.fetch_sub(1, Ordering::SeqCst);
            state.send_replace(end.state);
            ended.send_replace(Some(end));
        });
        Ok(Arc::new(run))
    }
}

fn copy(files: &Files, what: &str) -> RunEnd {
    let mut text = String::new();
    files.open(Path::new("../data/in.csv")).unwrap().read_to_string(&mut text).unwrap();
    let write = |path: &str| files.create(Path::new(path)).unwrap().write_all(text.as_bytes()).unwrap();
    write("out/copy.csv");
    write("out/parts/part-1-0.csv");
    write("../.millrace/quarantine/1/n.jsonl");
    if !what.starts_with("count") {
        write("elsewhere.txt");
    }
    RunEnd { state: RunState::Finished, summary: summary(text.lines().count() as u64), cause: None }
}

pub fn host() -> (EngineHost, Running) {
    host_within(HostLimits::default())
}

pub fn host_within(limits: HostLimits) -> (EngineHost, Running) {
    host_of(limits, Arc::default())
}

pub fn host_of(limits: HostLimits, crew: Arc<Crew>) -> (EngineHost, Running) {
    let running = Running::default();
    let description = description();
    let launcher = Arc::new(FakeLauncher { running: running.clone() });
    (
        EngineHost::new(HostOptions {
            launcher,
            crew,
            clock: Arc::new(RealClock),
            description,
            vitals: Arc::new(NoVitals),
            limits,
            run_folder: None,
        }),
        running,
    )
}

pub fn description() -> EngineDescription {
    let (version, memory_bytes) = ("1".into(), 1 << 30);
    let shared = Vec::new();
    EngineDescription {
        version,
        protocol: NEWEST_PROTOCOL,
        cores: 2,
        memory_bytes,
        health: None,
        control: false,
        changes: true,
        shared,
        admits: false,
        drain: None,
    }
}

pub fn in_process(host: &EngineHost) -> EngineClient {
    let (client, end) = link();
    let host = host.clone();
    tokio::spawn(async move { host.serve(end).await });
    EngineClient::new(client, Disk::Shared)
}

pub async fn node() -> (Node, Running) {
    let (host, running) = host();
    (serve("127.0.0.1:0", host, NodeOptions::default()).await.unwrap(), running)
}

pub async fn session(node: &Node) -> EngineClient {
    connect(&format!("ws://{}", node.address()), &node.token().reveal()).await.unwrap()
}

pub fn deployment(text: &str) -> Deployment {
    Deployment { name: "x".into(), text: text.into(), env: BTreeMap::new(), options: RunOptions::default() }
}

/// A project with a file of `bytes` bytes at `data/in.csv`, and a pipeline's folder `pipelines`.
pub fn project(bytes: usize) -> (tempfile::TempDir, Arc<Files>) {
    let folder = tempfile::tempdir().unwrap();
    for inside in [".git", "data", "pipelines"] {
        std::fs::create_dir(folder.path().join(inside)).unwrap();
    }
    let text: String = (0..)
        .map(|n| format!("{n},x\n"))
        .scan(0, |sum, line| {
            *sum += line.len();
            (*sum <= bytes).then_some(line)
        })
        .collect();
    std::fs::write(folder.path().join("data/in.csv"), text).unwrap();
    let files = Files::for_folder(&folder.path().join("pipelines"), &[]).unwrap();
    (folder, Arc::new(files))
}

pub fn copies() -> RunFiles {
    RunFiles {
        inputs: vec![PathBuf::from("../data/in.csv")],
        outputs: ["out/copy.csv", "out/parts/"].map(PathBuf::from).to_vec(),
        ..RunFiles::default()
    }
}

/// Waits until contact is as `check` wants it, and gives it.
pub async fn becomes(client: &EngineClient, what: &str, check: impl FnMut(&Contact) -> bool) -> Contact {
    let mut contact = client.contact();
    timeout(PATIENCE, contact.wait_for(check)).await.unwrap_or_else(|_| panic!("contact is not {what}")).unwrap().clone()
}

/// Polls until `check` holds.
pub async fn until(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s: {what}");
}
