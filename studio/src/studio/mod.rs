//! The one task that owns the studio's state, and the way in to it.

mod broadcast;
mod clusters;
mod files;
mod live;
mod requests;
mod savepoints;
mod upgrades;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_engine::cluster::{DataItem, EngineClient};
use millrace_engine::inspect::Inspector;
use millrace_studio_api::{AlertTold, Catalog, ClientMessage, Notice, Outcome, Platform};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::sync::mpsc;

use crate::cluster::{News, Watched};
use crate::document::{Look, Looker, OpenDocument};
use crate::home::Recent;
use crate::run::figures::Machine;
use crate::run::{Edge, Run, Told};
use crate::session::{Outbox, Session, SessionId, api_error, line};
use crate::targets::{Found, Targets};

/// Requests that may wait for the studio.
const MAX_COMMANDS: usize = 256;
/// Batches of rows that may wait for the studio; more wait in the engine's session, where the oldest go first.
const MAX_ROWS_WAITING: usize = 64;
/// How often the file on disk and the figures are looked at.
const TICK: Duration = Duration::from_millis(500);
/// The shortest time between two frames of a chart.
const CHART_TICK: Duration = Duration::from_millis(12);
/// Most lines that the Events screen keeps.
const MAX_NOTICES: usize = 2_000;

/// What a studio is made with.
pub struct StudioOptions {
    /// The engine in this process.
    pub engine: EngineClient,
    /// Looks at pipelines; it knows the kinds.
    pub inspector: Arc<Inspector>,
    /// Where the studio keeps its own files.
    pub data_dir: PathBuf,
    /// The folder that a browser may choose files in.
    pub top: PathBuf,
    /// Folders beyond a project's root that pipelines may use.
    pub allowed: Vec<PathBuf>,
    /// Who tells alerts on the desktop; none where pages do it.
    pub notifier: Option<Arc<dyn Notifier>>,
}

/// Tells alerts on the desktop. It does not wait.
pub trait Notifier: Send + Sync + 'static {
    fn notify(&self, alert: &AlertTold);
}

/// The way in to a studio. Cheap to clone.
#[derive(Clone)]
pub struct StudioHandle {
    commands: mpsc::Sender<Command>,
    next_session: Arc<AtomicU64>,
}

/// What the studio's task is told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a few a second: not worth a box")]
pub enum Command {
    Join { session: SessionId, outbox: Outbox },
    Leave { session: SessionId },
    Ask { session: SessionId, message: ClientMessage },
    Unreadable { session: SessionId, problem: String },
    Told { run: u32, told: Told },
    Cluster { target: String, news: News },
    Target { target: String, found: Found },
    OpenPath { path: PathBuf, run: bool },
}

impl StudioHandle {
    /// Starts a studio on the caller's tokio runtime. It ends with the last handle and session.
    pub fn start(options: StudioOptions) -> StudioHandle {
        let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
        let studio = Studio::new(options, commands.downgrade());
        tokio::spawn(studio.live(inbox));
        StudioHandle { commands, next_session: Arc::default() }
    }

    /// A new screen. None once the studio has ended.
    pub async fn join(&self, platform: Platform) -> Option<Session> {
        let session = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let (end, outbox) = line(session, platform, self.commands.clone());
        self.commands.send(Command::Join { session, outbox }).await.ok()?;
        Some(end)
    }

    /// Opens a file, and runs it at once if asked: what `studio --run FILE` does.
    pub async fn open(&self, path: PathBuf, run: bool) {
        let _ = self.commands.send(Command::OpenPath { path, run }).await;
    }
}

/// All state.
pub(crate) struct Studio {
    engine_rows: mpsc::Receiver<DataItem>,
    rows_sender: mpsc::Sender<DataItem>,
    commands: mpsc::WeakSender<Command>,
    options: StudioOptions,
    catalog: Catalog,
    looker: Looker,
    sessions: BTreeMap<SessionId, Outbox>,
    document: Option<OpenDocument>,
    look: Look,
    /// The file's text, where it changed under unsaved work.
    conflict: Option<String>,
    run: Option<Run>,
    runs: u32,
    restart: Option<(String, bool)>,
    notices: Vec<Notice>,
    next_notice: u32,
    targets: Targets,
    recent: Recent,
    /// Which screens watch which chart, and how far each has come.
    watched: BTreeMap<(SessionId, String), Option<u64>>,
    /// Which screens sample which edge.
    taps: BTreeMap<Edge, BTreeSet<SessionId>>,
    /// Nodes whose rows are passed on already, by client: one reader each.
    followed: BTreeSet<String>,
    /// The clusters that screens watch, by target.
    clusters: BTreeMap<String, Watched>,
    charts_due: bool,
    /// Screens whose welcome has just been said.
    greeted: BTreeSet<SessionId>,
    system: System,
}

impl Studio {
    fn new(options: StudioOptions, commands: mpsc::WeakSender<Command>) -> Studio {
        let (rows_sender, engine_rows) = mpsc::channel(MAX_ROWS_WAITING);
        Studio {
            engine_rows,
            rows_sender,
            commands: commands.clone(),
            catalog: crate::catalog::catalog(options.inspector.catalog()),
            looker: Looker::new(options.inspector.clone()),
            sessions: BTreeMap::new(),
            document: None,
            look: Look::default(),
            conflict: None,
            run: None,
            runs: 0,
            restart: None,
            notices: Vec::new(),
            next_notice: 1,
            targets: Targets::load(&options.data_dir, options.engine.clone(), commands),
            recent: Recent::load(&options.data_dir),
            watched: BTreeMap::new(),
            taps: BTreeMap::new(),
            followed: BTreeSet::new(),
            clusters: BTreeMap::new(),
            charts_due: false,
            greeted: BTreeSet::new(),
            system: System::new(),
            options,
        }
    }

    /// Until nobody can send commands any more.
    async fn live(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        let mut chart_tick = tokio::time::interval(CHART_TICK);
        for interval in [&mut tick, &mut chart_tick] {
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                // What the user asks comes before what the engine floods.
                biased;
                command = inbox.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                _ = tick.tick() => self.tick().await,
                _ = chart_tick.tick(), if self.charts_due => self.send_charts(),
                Some(item) = self.engine_rows.recv() => self.rows(item),
            }
            self.let_lost_go();
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Join { session, outbox } => {
                self.sessions.insert(session, outbox);
            }
            Command::Leave { session } => self.leave(session).await,
            Command::Unreadable { session, problem } => {
                if let Some(outbox) = self.sessions.get_mut(&session) {
                    tracing::warn!(%problem, "a request could not be read");
                    outbox.reply(u32::MAX, Outcome::Error(api_error("bad_request", problem)));
                }
            }
            Command::Ask { session, message } => {
                let outcome = match self.ask(session, message.request).await {
                    Ok(reply) => Outcome::Ok(Box::new(reply)),
                    Err(error) => Outcome::Error(error),
                };
                if let Some(outbox) = self.sessions.get_mut(&session) {
                    outbox.reply(message.id, outcome);
                }
                self.after_reply(session).await;
            }
            Command::Told { run, told } => self.told(run, told).await,
            Command::Cluster { target, news } => self.cluster_news(&target, news),
            Command::Target { target, found } => self.target_found(&target, found),
            Command::OpenPath { path, run } => {
                if let Err(error) = self.open(&path).await {
                    tracing::error!(path = %path.display(), error = %error.message, "could not be opened");
                    self.toast(millrace_studio_api::Severity::Error, error.message);
                } else if run && let Err(error) = self.start_run(crate::targets::LOCAL.to_owned(), true, savepoints::Begin::Afresh).await {
                    self.toast(millrace_studio_api::Severity::Error, error.message);
                }
            }
        }
    }

    async fn tick(&mut self) {
        self.look_at_disk().await;
        self.send_figures();
        self.ask_clusters();
    }

    async fn leave(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.watched.retain(|(watcher, _), _| *watcher != session);
        self.unwatch_clusters(session);
        let edges: Vec<Edge> = self.taps.keys().cloned().collect();
        for edge in edges {
            self.untap(&edge, session).await;
        }
    }

    /// Screens that did not read what they were sent are let go; they join anew.
    fn let_lost_go(&mut self) {
        let lost: Vec<SessionId> = self.sessions.iter().filter(|(_, outbox)| outbox.is_lost()).map(|(id, _)| *id).collect();
        for session in lost {
            self.sessions.remove(&session);
            self.unwatch_clusters(session);
            self.watched.retain(|(watcher, _), _| *watcher != session);
            self.taps.values_mut().for_each(|watchers| {
                watchers.remove(&session);
            });
        }
    }

    /// This process' share of the machine.
    fn machine(&mut self) -> Machine {
        let Ok(pid) = sysinfo::get_current_pid() else { return Machine::default() };
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let process = self.system.process(pid);
        process.map_or(Machine::default(), |process| Machine {
            cpu_percent: f64::from(process.cpu_usage()),
            memory_bytes: process.memory() as f64,
        })
    }

    /// The folder that relative paths start at: the file's, or the studio's top before there is one.
    fn folder(&self) -> PathBuf {
        self.document.as_ref().and_then(OpenDocument::folder).map_or_else(|| self.options.top.clone(), Path::to_path_buf)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}
