//! The present run, or the last one: what is known of it, wherever it runs.

pub mod charts;
pub mod figures;
pub mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::cluster::{Contact, DataItem, DataPayload, EngineClient};
use millrace_engine::model::file::{changed_nodes, diff};
use millrace_engine::model::{AlertDecl, Diagnostic, NodeId, Pipeline, PortRef, Schema};
use millrace_engine::wire::figures::RunState;
use millrace_engine::wire::message::{DataHeader, Event, JobId};
use millrace_studio_api::{AlertTold, ChartInfo, Differs, Figures, Finding, Reconnecting, RunInfo, RunPhase, RunUpgraded, UpgradeLook};
use tokio::sync::{broadcast, mpsc, watch};

use crate::document::Look;
use crate::session::SessionId;
use charts::ChartBuffer;
use figures::Rates;

/// How often figures are asked of an engine.
pub const FIGURES_EVERY: Duration = Duration::from_millis(500);
/// Rows of one sample of an edge.
pub const TAP_ROWS: u32 = 50;

/// What a run tells the studio, beside its figures.
#[derive(Debug)]
pub enum Told {
    Started {
        client: EngineClientBox,
        job: JobId,
    },
    NotStarted {
        cause: Finding,
    },
    Event(Event),
    /// A connection to the target was dropped, or made again.
    Contact(Contact),
    Lost {
        why: String,
    },
    /// A savepoint that was asked for was not taken.
    NoSavepoint {
        problem: Diagnostic,
    },
    /// A change that was asked for came to nothing.
    NotChanged {
        why: String,
    },
    /// What the run would keep as another pipeline.
    UpgradeSeen(UpgradeLook),
    /// It goes on as another pipeline.
    Upgraded {
        version: Box<Version>,
        savepoint: Option<String>,
    },
    /// The newest upgrade was taken back.
    RolledBack,
    /// It was not: rows that were shown since would be taken back with it.
    WouldRewind {
        session: SessionId,
        savepoint: String,
        why: String,
    },
}

/// What runs: a text, and what was seen in it.
#[derive(Debug, Clone, Default)]
pub struct Version {
    pub text: String,
    pub pipeline: Pipeline,
    /// What flows into each node.
    inputs: BTreeMap<NodeId, Arc<Schema>>,
}

impl Version {
    pub fn new(text: String, look: &Look) -> Version {
        Version { text, pipeline: look.pipeline.clone().unwrap_or_default(), inputs: look.inputs.clone() }
    }

    /// Its charts, without a row. `stream` tells their points from those of another run.
    fn charts(&self, stream: u32) -> BTreeMap<String, ChartBuffer> {
        let dashboards = self.pipeline.nodes.iter().filter(|node| node.kind == "dashboard");
        let charts = dashboards.filter_map(|node| ChartBuffer::new(node, self.inputs.get(&node.id)?, stream));
        charts.map(|chart| (chart.node().to_owned(), chart)).collect()
    }
}

/// What ran before an upgrade, and what that can be taken back to.
struct Before {
    version: Version,
    upgraded: RunUpgraded,
}

/// A client without its insides, so that [`Told`] can be printed.
pub struct EngineClientBox(pub EngineClient);

impl std::fmt::Debug for EngineClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineClient")
    }
}

/// An edge, as a sample is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: PortRef,
    pub to: NodeId,
}

/// One run.
pub struct Run {
    pub number: u32,
    pub target: String,
    pub replay: bool,
    pub version: Version,
    /// What it was before each upgrade that can be taken back, the oldest first.
    before: Vec<Before>,
    pub charts: BTreeMap<String, ChartBuffer>,
    pub figures: Option<Figures>,
    pub phase: RunPhase,
    pub client: Option<EngineClient>,
    pub job: Option<JobId>,
    rates: Rates,
    started_at_ms: f64,
    ended_at_ms: Option<f64>,
    last_heard_ms: Option<f64>,
    pub reconnecting: Option<Reconnecting>,
    cause: Option<Finding>,
    sample: Vec<String>,
    /// A stop that was asked for before the run had begun.
    pub stop_early: Option<bool>,
}

impl Run {
    pub fn new(number: u32, target: String, replay: bool, text: String, look: &Look, now_ms: f64) -> Run {
        let version = Version::new(text, look);
        let charts = version.charts(number);
        Run {
            number,
            target,
            replay,
            version,
            before: Vec::new(),
            charts,
            figures: None,
            phase: RunPhase::Starting,
            client: None,
            job: None,
            rates: Rates::default(),
            started_at_ms: now_ms,
            ended_at_ms: None,
            last_heard_ms: None,
            reconnecting: None,
            cause: None,
            sample: Vec::new(),
            stop_early: None,
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, RunPhase::Finished | RunPhase::Stopped | RunPhase::Failed | RunPhase::ContactLost)
    }

    /// The run for the screens; `text` is the document's as it stands.
    pub fn info(&self, text: &str) -> RunInfo {
        RunInfo {
            run: self.number,
            phase: self.phase,
            target: self.target.clone(),
            started_at_ms: self.started_at_ms,
            ended_at_ms: self.ended_at_ms,
            last_heard_ms: self.last_heard_ms,
            reconnecting: self.reconnecting.clone(),
            reconnects: self.reconnects(),
            cause: self.cause.clone(),
            kept: self.version.pipeline.settings.checkpoint_every.is_some(),
            sample: self.sample.clone(),
            differs: self.differs(text),
            upgraded: self.before.last().map(|before| before.upgraded.clone()),
        }
    }

    /// The savepoint that the newest upgrade can be taken back to.
    pub fn way_back(&self) -> Option<&str> {
        self.before.last().map(|before| before.upgraded.savepoint.as_str())
    }

    /// It goes on as another version. Gives the charts that begin anew with it: a chart that is what it was goes on.
    pub fn upgraded(&mut self, version: Version, savepoint: Option<String>, now_ms: f64) -> Vec<NodeId> {
        let before = std::mem::replace(&mut self.version, version);
        if let Some(savepoint) = savepoint {
            self.before.push(Before { version: before, upgraded: RunUpgraded { at_ms: now_ms, savepoint } });
        }
        self.draw_anew()
    }

    /// It is again what it was before the newest upgrade. Gives the charts that begin anew with it.
    pub fn rolled_back(&mut self) -> Vec<NodeId> {
        if let Some(before) = self.before.pop() {
            self.version = before.version;
        }
        self.draw_anew()
    }

    fn draw_anew(&mut self) -> Vec<NodeId> {
        let mut old = std::mem::replace(&mut self.charts, self.version.charts(self.number));
        let mut new = Vec::new();
        for (name, chart) in &mut self.charts {
            match old.remove(name) {
                Some(kept) if kept.draws_as(chart) => *chart = kept,
                _ => new.push(NodeId::new(name.as_str())),
            }
        }
        new
    }

    /// How the document differs from what runs.
    fn differs(&self, text: &str) -> Option<Differs> {
        if text == self.version.text {
            return None;
        }
        let changes = diff(&self.version.text, text).ok()?;
        let nodes: BTreeSet<NodeId> = changed_nodes(&changes);
        (!changes.is_empty()).then(|| Differs { changes: changes.len() as u32, nodes: nodes.iter().map(ToString::to_string).collect() })
    }

    /// None if there were none.
    fn reconnects(&self) -> Option<u32> {
        let resumes = self.client.as_ref().map_or(0, EngineClient::resumes);
        (resumes > 0).then(|| u32::try_from(resumes).unwrap_or(u32::MAX))
    }

    /// What is new about the connection to the target. True: a connection was dropped that stood until now.
    pub fn contact(&mut self, contact: &Contact, now_ms: f64) -> bool {
        let before = self.reconnecting.take();
        if let Contact::Resuming { since, why } = contact {
            self.reconnecting = Some(Reconnecting { since_ms: now_ms - since.elapsed().as_secs_f64() * 1e3, why: why.clone() });
        }
        before.is_none() && self.reconnecting.is_some()
    }

    pub fn ended(&mut self, phase: RunPhase, now_ms: f64) {
        self.phase = phase;
        self.reconnecting = None;
        self.ended_at_ms = Some(now_ms);
    }

    pub fn failed(&mut self, cause: Option<Finding>, sample: Vec<String>, now_ms: f64) {
        (self.cause, self.sample) = (cause, sample);
        self.ended(RunPhase::Failed, now_ms);
    }

    /// The target is out of reach; the last figures stay, with their age.
    pub fn lost(&mut self, cause: Finding, now_ms: f64) {
        self.cause = Some(cause);
        self.last_heard_ms = self.last_heard_ms.or(Some(now_ms));
        self.ended(RunPhase::ContactLost, now_ms);
    }

    pub fn state(&mut self, state: RunState) {
        self.phase = match state {
            RunState::Starting => RunPhase::Starting,
            RunState::Running => RunPhase::Running,
            RunState::Draining => RunPhase::Draining,
            RunState::Finished => RunPhase::Finished,
            RunState::Stopped => RunPhase::Stopped,
            RunState::Failed => RunPhase::Failed,
        };
    }

    /// Takes the newest figures that the engine sent, if there are newer ones.
    pub fn look(&mut self, now_ms: f64, machine: figures::Machine) -> Option<&Figures> {
        let view = self.client.as_ref()?.view(self.job?)?;
        let seen = view.borrow().figures.clone()?;
        self.last_heard_ms = Some(now_ms - seen.age().as_secs_f64() * 1e3);
        self.figures = Some(self.rates.look(self.number, now_ms, &seen.figures, &self.version.pipeline, machine));
        self.figures.as_ref()
    }

    /// An alert that has begun to fire, or is over.
    pub fn alert_told(&self, name: &str, firing: bool, message: &str) -> AlertTold {
        let is_meant = |alert: &&AlertDecl| alert.name == name;
        let desktop = self.version.pipeline.alerts.iter().find(is_meant).is_some_and(|alert| alert.desktop);
        let pipeline = self.version.pipeline.settings.name.clone();
        AlertTold { name: name.to_owned(), firing, message: message.to_owned(), pipeline, desktop }
    }

    /// Rows of a dashboard. Gives its name, if it is one of ours.
    pub fn results(&mut self, item: DataItem) -> Option<String> {
        let (DataHeader::Results { node, dropped, newest_us, .. }, DataPayload::Rows(batch)) = (item.header, item.payload) else {
            return None;
        };
        let chart = self.charts.get_mut(node.as_str())?;
        chart.push(batch.into_frame(), dropped, newest_us);
        Some(node.to_string())
    }

    /// What stands around the charts, in the file's order.
    pub fn chart_infos(&self) -> Vec<ChartInfo> {
        let in_order = self.version.pipeline.nodes.iter().filter_map(|node| self.charts.get(node.id.as_str()));
        let waits =
            |chart: &ChartBuffer| if chart.end() == 0 { self.figures.as_ref().and_then(|figures| figures.waits_for.clone()) } else { None };
        in_order.map(|chart| chart.info(waits(chart))).collect()
    }
}

/// Passes on what a run tells, until it is over or out of reach. Rows go a way of their own.
pub async fn follow(client: EngineClient, job: JobId, told: mpsc::Sender<Told>) {
    let mut events = client.events();
    let mut contact = client.contact();
    // What it is by now is news, too.
    contact.mark_changed();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if job_of(&event) == Some(job) => {
                    let is_end = matches!(event, Event::Ended { .. });
                    let _ = told.send(Told::Event(event)).await;
                    if is_end {
                        return;
                    }
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            news = news_of(&mut contact) => {
                let is_lost = matches!(news, Told::Lost { .. });
                let _ = told.send(news).await;
                if is_lost {
                    return;
                }
            }
        }
    }
}

/// Waits until there is something new about the connection to the engine. Dropping the future loses nothing.
async fn news_of(contact: &mut watch::Receiver<Contact>) -> Told {
    if contact.changed().await.is_err() {
        return Told::Lost { why: "the engine ended the session".to_owned() };
    }
    match contact.borrow_and_update().clone() {
        Contact::Lost { why, .. } => Told::Lost { why },
        contact => Told::Contact(contact),
    }
}

/// Passes on rows until the session is over. The queue is short: what cannot be taken waits in the session, where the oldest go first.
pub async fn follow_data(client: EngineClient, rows: mpsc::Sender<DataItem>) {
    while let Some(item) = client.next_data().await {
        if rows.send(item).await.is_err() {
            return;
        }
    }
}

/// None of what goes between an engine and the members of its runs.
fn job_of(event: &Event) -> Option<JobId> {
    match event {
        Event::State { job, .. } | Event::Figures { job, .. } | Event::Notice { job, .. } | Event::Ended { job, .. } => Some(*job),
        Event::Share { .. } => None,
    }
}
