//! Savepoints of the open pipeline, for runs on this computer: their state lies beside the file, or where it says.

use millrace_engine::model::Diagnostic;
use millrace_engine::runtime::checkpoint::Savepoint as Kept;
use millrace_engine::savepoint::SavepointPlace;
use millrace_studio_api::{ApiError, RunPhase, Savepoint};

use super::{Studio, now_ms};
use crate::run::Run;
use crate::session::api_error;

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    Afresh,
    From { savepoint: String, allow: bool },
}

/// The engine in this process.
const LOCAL: &str = "local";

impl Studio {
    fn savepoint_place(&self) -> Result<SavepointPlace, ApiError> {
        let path = self.document.as_ref().and_then(|document| document.path.clone());
        let path = path.ok_or_else(|| api_error("no_path", "save the pipeline first: its state lies beside it"))?;
        let text = self.document.as_ref().map(|document| document.text().to_owned()).unwrap_or_default();
        let place = SavepointPlace::of(&self.folder(), &path.display().to_string(), &text, &self.options.allowed);
        place.map_err(|problem| refused(&problem))
    }

    /// Asks for a savepoint, and does not wait for it: the run's notices tell.
    pub(super) fn take_savepoint(&mut self, name: String) -> Result<(), ApiError> {
        let runs = self.run.as_ref().filter(|run| run.phase == RunPhase::Running);
        let run = runs.ok_or_else(|| api_error("no_run", "a savepoint is taken while the pipeline runs"))?;
        if run.target != LOCAL {
            return Err(api_error("bad_request", "a run elsewhere keeps its state there: savepoints are for runs on this computer"));
        }
        let place = self.savepoint_place()?;
        let commands = self.commands.clone();
        let number = run.number;
        tokio::spawn(async move {
            let Err(problem) = place.take(&name).await else { return };
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(super::Command::Told { run: number, told: crate::run::Told::NoSavepoint { problem } }).await;
            }
        });
        Ok(())
    }

    pub(super) fn no_savepoint(&mut self, problem: &Diagnostic) {
        self.notice(now_ms(), millrace_studio_api::Severity::Error, None, "savepoint", problem.message.clone(), 1);
    }

    pub(super) async fn savepoints(&self) -> Result<Vec<Savepoint>, ApiError> {
        let kept = self.savepoint_place()?.list().await.map_err(|problem| refused(&problem))?;
        Ok(kept.iter().map(told).collect())
    }

    /// Runs the text as it stands from a savepoint; what sinks have shown since is asked about first.
    pub(super) async fn restore_from(&mut self, savepoint: String, allow: bool) -> Result<(), ApiError> {
        let replay = self.run.as_ref().is_none_or(|run| run.replay);
        if self.run.as_ref().is_some_and(|run| !Run::is_over(run)) {
            return Err(api_error("running", "it runs already"));
        }
        let place = self.savepoint_place()?;
        let text = self.document.as_ref().map(|document| document.text().to_owned()).unwrap_or_default();
        let inspection = self.options.inspector.inspect(&text, None, &self.folder(), &[]).await;
        let losses = place.losses(&savepoint, &inspection.plan, self.options.inspector.registry()).await;
        let losses = losses.map_err(|problem| refused(&problem))?;
        if !losses.is_empty() && !allow {
            return Err(api_error("would_lose", losses.join("; ")));
        }
        self.start_run(LOCAL.to_owned(), replay, Begin::From { savepoint, allow }).await
    }
}

fn told(kept: &Kept) -> Savepoint {
    Savepoint { name: kept.name.to_string(), epoch: kept.epoch as f64, at_ms: kept.taken.micros() as f64 / 1e3, bytes: kept.bytes as f64 }
}

fn refused(problem: &Diagnostic) -> ApiError {
    api_error(&problem.code, problem.message.clone())
}
