//! Runs: starting, stopping, and what they tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_engine::cluster::{Contact, DataItem, EngineClient, RunFiles};
use millrace_engine::model::Diagnostic;
use millrace_engine::runtime::files::Files;
use millrace_engine::wire::change::Scale;
use millrace_engine::wire::figures::RunState;
use millrace_engine::wire::message::{DataHeader, Deployment, Event as EngineEvent, JobId, NoticeSeverity, RunOptions, StopMode};
use millrace_studio_api::{ApiError, Event, Finding, RunPhase, Severity};
use tokio::sync::mpsc;

use super::savepoints::Begin;
use super::upgrades::Changeable;
use super::{Command, Studio, now_ms};
use crate::document::{finding, findings};
use crate::run::{Edge, EngineClientBox, FIGURES_EVERY, Run, TAP_ROWS, Told, follow, follow_data};
use crate::session::{SessionId, api_error};
use crate::targets::Found;

impl Studio {
    /// Runs the text as it stands. The reply does not wait for the start; the run's state tells.
    pub(super) async fn start_run(&mut self, target: String, replay: bool, begin: Begin) -> Result<(), ApiError> {
        let Some(document) = &self.document else { return Err(api_error("not_open", "no pipeline is open")) };
        if self.run.as_ref().is_some_and(|run| !run.is_over()) {
            return Err(api_error("running", "it runs already"));
        }
        if !self.look.is_sound {
            let findings = self.look.findings.iter().filter(|finding| finding.severity == millrace_studio_api::FindingSeverity::Error);
            return Err(ApiError {
                findings: findings.cloned().collect(),
                ..api_error("invalid", "the pipeline has errors: see Problems")
            });
        }
        let text = document.text().to_owned();
        let name = document.path.as_ref().map_or_else(|| document.file_stem(), |path| path.display().to_string());
        self.runs += 1;
        let run = Run::new(self.runs, target.clone(), replay, text.clone(), &self.look, now_ms());
        self.run = Some(run);
        for come_to in self.watched.values_mut() {
            *come_to = None;
        }
        self.tell_run();
        self.tell_charts();
        // On the canvas a run follows an edit more often than a crash, and a changed pipeline cannot take up another's state: it begins afresh.
        let options = match begin {
            Begin::Afresh => RunOptions { replay, fresh: true, ..RunOptions::default() },
            Begin::From { savepoint, allow } => {
                RunOptions { replay, from: Some(savepoint), allow_rewind: allow, allow_state_loss: allow, ..RunOptions::default() }
            }
        };
        let deployment = Deployment { name, text, env: BTreeMap::new(), options };
        let client = match self.targets.client(&target).await {
            Ok(client) => client,
            Err(problem) => {
                let cause = Diagnostic::error("MR0701", format!("{target} cannot be reached: {problem}"));
                self.not_started(finding(&cause, ""));
                return Ok(());
            }
        };
        self.deploy(client, deployment);
        Ok(())
    }

    /// Stages and starts in a task of its own, since inputs may have to travel.
    fn deploy(&self, client: EngineClient, mut deployment: Deployment) {
        let (run, folder) = (self.runs, self.folder());
        let Some(commands) = self.commands.upgrade() else { return };
        let (inspector, allowed) = (self.options.inspector.clone(), self.options.allowed.clone());
        tokio::spawn(async move {
            let text = deployment.text.clone();
            let inspection = inspector.inspect(&text, Some(deployment.name.clone()), &folder, &[]).await;
            deployment.env = inspection.environment();
            let run_files: RunFiles = inspection.run_files;
            let told = match Files::for_folder(&folder, &allowed) {
                Err(error) => {
                    let cause = Diagnostic::error("MR0702", format!("{} cannot be used: {error}", folder.display()));
                    Told::NotStarted { cause: finding(&cause, "") }
                }
                Ok(files) => match client.deploy(deployment, Arc::new(files), run_files).await {
                    Ok(job) => Told::Started { client: EngineClientBox(client), job },
                    Err(error) => Told::NotStarted { cause: first_finding(&error, &text) },
                },
            };
            let _ = commands.send(Command::Told { run, told }).await;
        });
    }

    fn not_started(&mut self, cause: Finding) {
        let message = cause.message.clone();
        let node = cause.node.clone();
        if let Some(run) = &mut self.run {
            run.failed(Some(cause), Vec::new(), now_ms());
        }
        self.notice(now_ms(), Severity::Error, node, "failed", message, 1);
        self.tell_run();
    }

    /// Something that a run told; of an older run nothing is heard any more.
    pub(super) async fn told(&mut self, run: u32, told: Told) {
        if self.run.as_ref().is_none_or(|current| current.number != run) {
            // Its document was closed while it started.
            if let Told::Started { client, job } = told {
                tokio::spawn(async move { client.0.stop(job, StopMode::Abort).await });
            }
            return;
        }
        match told {
            Told::Started { client, job } => self.started(run, client.0, job).await,
            Told::NotStarted { cause } => self.not_started(cause),
            Told::Event(event) => self.engine_event(event).await,
            Told::Contact(contact) => self.contact(&contact),
            Told::Lost { why } => self.contact_lost(&why),
            Told::NoSavepoint { problem } => self.no_savepoint(&problem),
            Told::NotChanged { why } => self.not_changed(why),
            Told::UpgradeSeen(look) => self.upgrade_seen(look),
            Told::Upgraded { version, savepoint } => self.upgraded(*version, savepoint),
            Told::RolledBack => self.rolled_back(),
            Told::WouldRewind { session, savepoint, why } => self.would_rewind(session, savepoint, why),
        }
    }

    async fn started(&mut self, number: u32, client: EngineClient, job: JobId) {
        let Some(run) = &mut self.run else { return };
        (run.client, run.job) = (Some(client.clone()), Some(job));
        run.phase = RunPhase::Running;
        let (charts, target, stop_early) = (run.charts.keys().cloned().collect::<Vec<_>>(), run.target.clone(), run.stop_early.take());
        if self.followed.insert(target.clone()) {
            tokio::spawn(follow_data(client.clone(), self.rows_sender.clone()));
        }
        let (sender, mut told) = mpsc::channel(16);
        tokio::spawn(follow(client.clone(), job, sender));
        let commands = self.commands.clone();
        tokio::spawn(async move {
            while let Some(told) = told.recv().await {
                let Some(commands) = commands.upgrade() else { return };
                let _ = commands.send(Command::Told { run: number, told }).await;
            }
        });
        let _ = client.watch_figures(job, FIGURES_EVERY).await;
        for node in charts {
            let _ = client.watch_results(job, node.as_str().into(), true).await;
        }
        for edge in self.taps.keys() {
            let _ = client.tap(job, edge.from.clone(), edge.to.clone(), true, TAP_ROWS).await;
        }
        self.notice(now_ms(), Severity::Info, None, "started", format!("Run {number} started"), 1);
        self.catch_up(&client, job).await;
        self.tell_run();
        if let Some(abort) = stop_early {
            let _ = self.stop_run(abort).await;
        }
    }

    /// A run that was over before anyone listened has told its end already.
    async fn catch_up(&mut self, client: &EngineClient, job: JobId) {
        let ended = client.view(job).and_then(|view| view.borrow().ended.clone());
        if let Some(ended) = ended {
            let event = EngineEvent::Ended { job, state: ended.state, summary: ended.summary.clone(), cause: ended.cause.clone() };
            self.engine_event(event).await;
        }
    }

    async fn engine_event(&mut self, event: EngineEvent) {
        let Some(run) = &mut self.run else { return };
        match event {
            EngineEvent::State { state, .. } => {
                if !run.is_over() && !state.is_over() {
                    run.state(state);
                    self.tell_run();
                }
            }
            // A studio leads no run: shares are its engine's concern.
            EngineEvent::Figures { .. } | EngineEvent::Share { .. } => {}
            EngineEvent::Notice { notice, .. } => {
                let severity = match notice.severity {
                    NoticeSeverity::Info => Severity::Info,
                    NoticeSeverity::Warning => Severity::Warning,
                    NoticeSeverity::Error => Severity::Error,
                };
                let told = notice.alert.as_deref().map(|alert| run.alert_told(alert, notice.kind == "alert_firing", &notice.message));
                if ["rescaled", "upgraded", "rolled_back"].contains(&notice.kind.as_str()) {
                    // Somebody waits for it, on whatever screen.
                    self.toast(severity, notice.message.clone());
                }
                if let Some(told) = told {
                    self.alert(told);
                }
                let node = notice.node.map(|node| node.to_string());
                self.notice(notice.at_us as f64 / 1e3, severity, node, &notice.kind, notice.message, notice.count);
            }
            EngineEvent::Ended { state, cause, .. } => self.ended(state, cause).await,
        }
    }

    async fn ended(&mut self, state: RunState, cause: Option<millrace_engine::wire::message::Failure>) {
        self.send_figures();
        let Some(run) = &mut self.run else { return };
        if run.is_over() {
            return;
        }
        let text = run.version.text.clone();
        let number = run.number;
        match state {
            RunState::Failed => {
                let told = cause.as_ref().map(|cause| finding(&cause.diagnostic, &text));
                let message = told.as_ref().map_or_else(|| "it failed".to_owned(), |told| told.message.clone());
                let node = told.as_ref().and_then(|told| told.node.clone());
                run.failed(told, cause.map(|cause| cause.sample).unwrap_or_default(), now_ms());
                self.notice(now_ms(), Severity::Error, node, "failed", message, 1);
            }
            RunState::Stopped => {
                run.ended(RunPhase::Stopped, now_ms());
                self.notice(now_ms(), Severity::Info, None, "stopped", format!("Run {number} was stopped"), 1);
            }
            _ => {
                run.ended(RunPhase::Finished, now_ms());
                self.notice(now_ms(), Severity::Info, None, "finished", format!("Run {number} finished: all input was read"), 1);
            }
        }
        self.tell_run();
        self.tell_charts();
        self.charts_due = true;
        if let Some((target, replay)) = self.restart.take()
            && let Err(error) = self.start_run(target, replay, Begin::Afresh).await
        {
            self.toast(Severity::Error, error.message);
        }
    }

    /// A connection was dropped or made again; the run goes on.
    fn contact(&mut self, contact: &Contact) {
        let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) else { return };
        let (was_down, target) = (run.reconnecting.is_some(), run.target.clone());
        let was_dropped = run.contact(contact, now_ms());
        match contact {
            Contact::Resuming { why, .. } if was_dropped => {
                let message = format!("the connection to {target} was dropped and is being made again: {why}");
                self.notice(now_ms(), Severity::Warning, None, "reconnecting", message, 1);
            }
            Contact::Connected if was_down => {
                let message = format!("the connection to {target} was made again: nothing was lost");
                self.notice(now_ms(), Severity::Info, None, "reconnected", message, 1);
            }
            Contact::Connected | Contact::Resuming { .. } | Contact::Lost { .. } => return,
        }
        self.tell_run();
    }

    fn contact_lost(&mut self, why: &str) {
        let Some(run) = &mut self.run else { return };
        if run.is_over() {
            return;
        }
        let cause =
            Diagnostic::error("MR0703", why).help("the run there is aborted within half a minute; run it again once the node answers");
        let target = run.target.clone();
        run.lost(finding(&cause, ""), now_ms());
        self.restart = None;
        self.notice(now_ms(), Severity::Error, None, "contact_lost", format!("contact with {target} was lost: {why}"), 1);
        self.target_found(&target, Found::Lost { why: why.to_owned() });
        self.tell_run();
    }

    /// Asks the run to end: its rows in flight are committed, or with `abort` nothing more is.
    pub(super) async fn stop_run(&mut self, abort: bool) -> Result<(), ApiError> {
        let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) else { return Err(api_error("no_run", "nothing runs")) };
        let (Some(client), Some(job)) = (run.client.clone(), run.job) else {
            run.stop_early = Some(abort);
            return Ok(());
        };
        run.phase = RunPhase::Draining;
        let mode = if abort { StopMode::Abort } else { StopMode::Drain };
        // The answer is not waited for: the run's state tells, and nothing else here stands still.
        tokio::spawn(async move {
            if let Err(error) = client.stop(job, mode).await {
                tracing::warn!(%error, "a run could not be stopped");
            }
        });
        self.tell_run();
        Ok(())
    }

    /// Fails its tasks as a crash would; its notices tell what comes of it.
    pub(super) fn kill_run(&self) -> Result<(), ApiError> {
        let Changeable { client, job, .. } = self.changeable()?;
        tokio::spawn(async move {
            if let Err(error) = client.kill(job).await {
                tracing::warn!(%error, "a run could not be killed");
            }
        });
        Ok(())
    }

    /// Has it go on in other numbers of tasks. The answer is not waited for: its figures and notices tell, or why nothing came of it.
    pub(super) fn rescale_run(&self, scale: Scale) -> Result<(), ApiError> {
        let Changeable { number, client, job } = self.changeable()?;
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let Err(error) = client.scale(job, scale).await else { return };
            if let Some(commands) = commands.upgrade() {
                let told = Told::NotChanged { why: format!("not rescaled: {error}") };
                let _ = commands.send(Command::Told { run: number, told }).await;
            }
        });
        Ok(())
    }

    pub(super) async fn restart_run(&mut self) -> Result<(), ApiError> {
        let Some(run) = &self.run else { return Err(api_error("no_run", "nothing runs")) };
        let (target, replay) = (run.target.clone(), run.replay);
        if run.is_over() {
            return self.start_run(target, replay, Begin::Afresh).await;
        }
        if !self.look.is_sound {
            return Err(api_error("invalid", "the pipeline has errors: see Problems"));
        }
        self.restart = Some((target, replay));
        self.stop_run(false).await
    }

    /// Ends what runs before its document goes away.
    pub(super) async fn end_run_at_once(&mut self) {
        self.restart = None;
        if self.run.as_ref().is_some_and(|run| !run.is_over()) {
            let _ = self.stop_run(true).await;
        }
    }

    /// Rows of the run: of a dashboard, or of an edge that is sampled.
    pub(super) fn rows(&mut self, item: DataItem) {
        let Some(run) = &mut self.run else { return };
        match &item.header {
            DataHeader::Results { job, .. } if Some(*job) == run.job => {
                self.charts_due |= run.results(item).is_some();
            }
            DataHeader::TapRows { job, from, to, .. } if Some(*job) == run.job => {
                let edge = Edge { from: from.clone(), to: to.clone() };
                if let millrace_engine::cluster::DataPayload::Rows(batch) = &item.payload {
                    let frame = batch.frame().clone();
                    self.send_tap(&edge, &frame);
                }
            }
            _ => {}
        }
    }

    /// Figures and charts' surroundings, twice a second while something runs.
    pub(super) fn send_figures(&mut self) {
        if self.run.as_ref().is_none_or(Run::is_over) {
            return;
        }
        let machine = self.machine();
        let figures = self.run.as_mut().and_then(|run| run.look(now_ms(), machine)).cloned();
        if let Some(figures) = figures {
            self.tell(Event::Figures(figures));
            self.tell_charts();
        }
    }

    pub(super) async fn tap(&mut self, edge: Edge, session: SessionId) {
        let watchers = self.taps.entry(edge.clone()).or_default();
        let is_first = watchers.is_empty();
        watchers.insert(session);
        if is_first && let Some((client, job)) = self.running() {
            let _ = client.tap(job, edge.from, edge.to, true, TAP_ROWS).await;
        }
    }

    pub(super) async fn untap(&mut self, edge: &Edge, session: SessionId) {
        let Some(watchers) = self.taps.get_mut(edge) else { return };
        watchers.remove(&session);
        if watchers.is_empty() {
            self.taps.remove(edge);
            if let Some((client, job)) = self.running() {
                let _ = client.tap(job, edge.from.clone(), edge.to.clone(), false, TAP_ROWS).await;
            }
        }
    }
}

/// The first finding of a refusal; the others are in Problems.
fn first_finding(error: &millrace_engine::cluster::ClientError, text: &str) -> Finding {
    use millrace_engine::cluster::ClientError;
    let told = match error {
        ClientError::Rejected { diagnostics } => findings(&diagnostics.items, text).into_iter().next(),
        _ => None,
    };
    told.unwrap_or_else(|| finding(&Diagnostic::error("MR0704", error.to_string()), text))
}
