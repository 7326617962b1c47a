//! Another pipeline for the run that is under way: what it would keep, going over to it, and back.
//!
//! Neither answer is waited for: the studio would stand still as long as the run's tasks end and begin. What came of it is told as all that a run tells.

use millrace_engine::cluster::{ClientError, EngineClient};
use millrace_engine::model::{Diagnostic, NodeId};
use millrace_engine::runtime::checkpoint::codes::COMMITTED_LATER;
use millrace_engine::wire::change::StateKept;
use millrace_engine::wire::message::{Deployment, JobId, RunOptions};
use millrace_studio_api::{ApiError, Event, Finding, RunPhase, Severity, UpgradeLook};

use super::{Command, Studio, now_ms};
use crate::document::{OpenDocument, finding, findings};
use crate::run::{Run, Told, Version};
use crate::session::{SessionId, api_error};

/// A run that can be changed.
pub(super) struct Changeable {
    pub number: u32,
    pub client: EngineClient,
    pub job: JobId,
}

impl Studio {
    pub(super) fn changeable(&self) -> Result<Changeable, ApiError> {
        let running = self.run.as_ref().filter(|run| run.phase == RunPhase::Running);
        let found = running.and_then(|run| Some(Changeable { number: run.number, client: run.client.clone()?, job: run.job? }));
        found.ok_or_else(|| api_error("no_run", "nothing runs"))
    }

    /// Asks what the run would keep as the text stands.
    pub(super) fn look_at_upgrade(&self) -> Result<(), ApiError> {
        let Changeable { number, client, job } = self.changeable()?;
        let deployment = self.deployment_now(RunOptions::default())?;
        let revision = self.revision()?;
        self.ask_of(number, move |text: String| async move {
            let look = match client.upgrade(job, deployment.await, true).await {
                Ok(upgraded) => outlook(upgraded.kept),
                Err(error) => UpgradeLook { refused: refusals(&error, &text), ..UpgradeLook::default() },
            };
            Told::UpgradeSeen(UpgradeLook { revision, ..look })
        })
    }

    fn revision(&self) -> Result<u32, ApiError> {
        self.document.as_ref().map(OpenDocument::revision).ok_or_else(|| api_error("not_open", "no pipeline is open"))
    }

    /// Has the run go on as the text stands, if that is what was looked at: nobody agreed to what another text loses.
    pub(super) fn upgrade_run(&self, revision: u32, allow_state_loss: bool) -> Result<(), ApiError> {
        let Changeable { number, client, job } = self.changeable()?;
        if revision != self.revision()? {
            return Err(api_error("stale_text", "the text has changed since: look at what differs again"));
        }
        if !self.look.is_sound {
            return Err(api_error("invalid", "the pipeline has errors: see Problems"));
        }
        let replay = self.run.as_ref().is_some_and(|run| run.replay);
        let deployment = self.deployment_now(RunOptions { replay, allow_state_loss, ..RunOptions::default() })?;
        let look = self.look.clone();
        self.ask_of(number, move |text: String| async move {
            match client.upgrade(job, deployment.await, false).await {
                Ok(upgraded) => Told::Upgraded { version: Box::new(Version::new(text, &look)), savepoint: upgraded.savepoint },
                Err(error) => Told::NotChanged { why: format!("not upgraded: {}", first(refusals(&error, &text))) },
            }
        })
    }

    /// Takes the newest upgrade back, if that is the one that was meant: another screen may have taken it back meanwhile.
    pub(super) fn roll_back_run(&self, session: SessionId, savepoint: String, allow: bool) -> Result<(), ApiError> {
        let Changeable { number, client, job } = self.changeable()?;
        if self.run.as_ref().and_then(Run::way_back) != Some(savepoint.as_str()) {
            return Err(api_error("not_found", format!("savepoint `{savepoint}` is not that of the newest upgrade any more")));
        }
        self.ask_of(number, move |text: String| async move {
            match client.roll_back(job, allow).await {
                Ok(_) => Told::RolledBack,
                Err(error) if !allow && error.code() == COMMITTED_LATER => {
                    Told::WouldRewind { session, savepoint, why: first(refusals(&error, &text)) }
                }
                Err(error) => Told::NotChanged { why: format!("not rolled back: {}", first(refusals(&error, &text))) },
            }
        })
    }

    /// Asks in a task of its own, and hands on what came of it. The text is the document's at this moment.
    fn ask_of<F>(&self, run: u32, ask: impl FnOnce(String) -> F + Send + 'static) -> Result<(), ApiError>
    where
        F: Future<Output = Told> + Send + 'static,
    {
        let text = self.document.as_ref().ok_or_else(|| api_error("not_open", "no pipeline is open"))?.text().to_owned();
        let asked = ask(text);
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let told = asked.await;
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Told { run, told }).await;
            }
        });
        Ok(())
    }

    /// What the text is to run as, once its sources have been asked what they need of the environment.
    fn deployment_now(&self, options: RunOptions) -> Result<impl Future<Output = Deployment> + Send + use<>, ApiError> {
        let document = self.document.as_ref().ok_or_else(|| api_error("not_open", "no pipeline is open"))?;
        let text = document.text().to_owned();
        let name = document.path.as_ref().map_or_else(|| document.file_stem(), |path| path.display().to_string());
        let (inspector, folder) = (self.options.inspector.clone(), self.folder());
        Ok(async move {
            let inspection = inspector.inspect(&text, Some(name.clone()), &folder, &[]).await;
            Deployment { name, text, env: inspection.environment(), options }
        })
    }

    pub(super) fn upgrade_seen(&mut self, look: UpgradeLook) {
        self.tell(Event::Upgrade(look));
    }

    pub(super) fn would_rewind(&mut self, session: SessionId, savepoint: String, why: String) {
        self.tell_one(session, Event::WouldRewind { savepoint, why });
    }

    /// The run goes on as another version of its pipeline.
    pub(super) fn upgraded(&mut self, version: Version, savepoint: Option<String>) {
        let Some(run) = &mut self.run else { return };
        let charts = run.upgraded(version, savepoint, now_ms());
        self.charts_changed(charts);
    }

    /// The run is again what it was before its newest upgrade.
    pub(super) fn rolled_back(&mut self) {
        let Some(run) = &mut self.run else { return };
        let charts = run.rolled_back();
        self.charts_changed(charts);
    }

    /// Charts that are new are watched; screens that had one of that name begin it anew.
    fn charts_changed(&mut self, new: Vec<NodeId>) {
        for ((_, node), come_to) in &mut self.watched {
            if new.iter().any(|new| new.as_str() == node) {
                *come_to = None;
            }
        }
        if let Some((client, job)) = self.running() {
            // Not waited for: a connection that is being made again would hold everything up.
            tokio::spawn(async move {
                for node in new {
                    if let Err(error) = client.watch_results(job, node.clone(), true).await {
                        tracing::warn!(%error, %node, "a chart cannot be watched");
                    }
                }
            });
        }
        self.tell_run();
        self.tell_charts();
        self.charts_due = true;
    }

    pub(super) fn not_changed(&mut self, why: String) {
        self.toast(Severity::Error, why.clone());
        self.notice(now_ms(), Severity::Error, None, "change_refused", why, 1);
    }

    /// Its client and its number there, as long as it is not over.
    pub(super) fn running(&self) -> Option<(EngineClient, JobId)> {
        let run = self.run.as_ref().filter(|run| !Run::is_over(run))?;
        Some((run.client.clone()?, run.job?))
    }
}

fn outlook(StateKept { kept, new, lost, notes }: StateKept) -> UpgradeLook {
    UpgradeLook { kept, new, lost, notes, ..UpgradeLook::default() }
}

/// Why nothing was changed.
fn refusals(error: &ClientError, text: &str) -> Vec<Finding> {
    match error {
        ClientError::Rejected { diagnostics } => {
            let found: Vec<_> = diagnostics.items.iter().filter(|found| found.is_error()).cloned().collect();
            findings(&found, text)
        }
        ClientError::Failed { diagnostic } => vec![finding(diagnostic, text)],
        error => {
            let mut told = Diagnostic::error("", error.to_string());
            told.code = error.code().to_owned().into();
            vec![finding(&told, text)]
        }
    }
}

fn first(found: Vec<Finding>) -> String {
    found.into_iter().next().map_or_else(|| "the run refused without a reason".to_owned(), |finding| finding.message)
}
